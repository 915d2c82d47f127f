//! Lists of values that are mostly harmless, in the format of the MISP warning lists: a hit is a reason to ask.
//!
//! A hit never refuses or drops anything: real indicators have popular parents, and people publish the address of a
//! spoofed site by mistake for that of its copy. Loading reads files; finding is pure, and its cost grows with the
//! labels of a host and not with the entries of the lists.
//!
//! What the format says, and what it means here (docs/adr/0016):
//!
//! | `type` | matches |
//! |---|---|
//! | `string` | the value itself; where the entry is a host, also what is on it or below it, but for public suffixes |
//! | `hostname` | the host and every host below it |
//! | `substring` | every value that contains the entry, whatever its case |
//! | `regex` | every value in which the pattern is found; `/pattern/flags` or the bare pattern |
//! | `cidr` | every address of the network |
//!
//! Entries are brought to the normal form of what they are compared with. `matching_attributes` say for which
//! kinds a list is; without them it is for all. A URL is also looked up by its host in lists of hosts and networks.

mod built_in;
mod format;
#[doc(hidden)]
pub mod fuzzing;
mod hit;
mod kinds;
mod load;
mod network;
mod place;
mod postings;
mod search;
#[cfg(test)]
mod tests;

use std::iter;
use std::net::IpAddr;

pub use self::format::ListError;
pub use self::hit::Hit;
pub use self::hit::Why;
pub use self::load::LoadError;

use crate::interop::warning_list::format::Matching;
use crate::interop::warning_list::format::RawList;
use crate::interop::warning_list::hit::Found;
use crate::interop::warning_list::kinds::Kinds;
use crate::interop::warning_list::network::Networks;
use crate::interop::warning_list::place::Host;
use crate::interop::warning_list::place::Place;
use crate::interop::warning_list::postings::ListId;
use crate::interop::warning_list::postings::Postings;
use crate::interop::warning_list::search::Search;
use crate::model::limits::WARNING_ENTRIES_MAX;
use crate::model::limits::WARNING_LISTS_MAX;
use crate::model::normal_form::NormalForm;
use crate::model::normal_form::normal_form;
use crate::model::observable::ObservableKind as Kind;

/// Some warning lists, ready to be asked.
#[derive(Debug, Default)]
pub struct WarningLists {
    lists: Vec<List>,
    entries: usize,
    hosts: Postings<Box<str>>,
    values: Postings<Box<str>>,
    networks: Networks,
    searches: Vec<Search>,
}

/// One list, without its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its name.
    pub name: String,
    /// Its version, which only grows.
    pub version: u64,
    /// How many entries it has.
    pub entries: usize,
    /// How many of them can match nothing here: no host where hosts are listed, or of a kind that is not known.
    pub unusable: usize,
    kinds: Kinds,
    matching: Matching,
}

impl WarningLists {
    /// A short list of our own: hosts of the large platforms, and of what is often spoofed.
    pub fn built_in() -> Self {
        let mut lists = Self::default();
        let id = lists.open(built_in::NAME, 1, Kinds::of_hosts(), Matching::Hostname);
        for host in built_in::HOSTS {
            lists.hosts.add((*host).into(), id);
        }
        lists.close(built_in::HOSTS.len(), 0);
        lists
    }

    /// The lists, in the order in which they were read.
    pub fn lists(&self) -> &[List] {
        &self.lists
    }

    /// What the lists say about a value: one hit a list at most, the closest first,
    /// and [`WARNINGS_MAX`](crate::model::limits::WARNINGS_MAX) of them at most.
    pub fn find(&self, normal: &NormalForm) -> Vec<Hit<'_>> {
        let mut found = Found::new(&self.lists);
        let own = Kinds::of(normal.kind);
        self.find_value(&normal.value, own, Why::Listed, &mut found);
        if let Some(place) = Place::of(normal) {
            match place.host {
                Host::Name(name) => self.find_host(name, &place, &mut found),
                Host::Address(address) => self.find_address(address, &place, &mut found),
            }
        }
        for search in &self.searches {
            if let Some((entry, why)) = search.find(&normal.value) {
                found.add(search.list, own, entry, why);
            }
        }
        found.into_hits()
    }

    fn find_value<'a>(&'a self, value: &str, kinds: Kinds, why: Why, found: &mut Found<'a>) {
        for list in self.values.get(value) {
            found.add(list, kinds, value, why);
        }
    }

    fn find_host<'a>(&'a self, host: &str, place: &Place<'_>, found: &mut Found<'a>) {
        for (above, name) in above(host).enumerate() {
            let why = if above == 0 { place.why } else { Why::BelowListed };
            let lists = self.hosts.get(name);
            for list in lists.filter(|list| above == 0 || self.reaches_below(*list, name)) {
                found.add(list, place.kinds, name, why);
            }
        }
    }

    /// Whether a list means what is below its entry: lists of strings may hold `com` and `co.uk`.
    fn reaches_below(&self, list: ListId, name: &str) -> bool {
        let matching = self.lists.get(usize::from(list)).map(|list| list.matching);
        matching == Some(Matching::Hostname) || psl::suffix_str(name) != Some(name)
    }

    fn find_address<'a>(&'a self, address: IpAddr, place: &Place<'_>, found: &mut Found<'a>) {
        self.find_value(&address.to_string(), place.kinds, place.why, found);
        for (network, list) in self.networks.around(address) {
            found.add(list, place.kinds, &network.to_string(), Why::Network);
        }
    }

    /// Takes one list in, or says why not; then some of its entries may be in.
    fn add(&mut self, raw: RawList) -> Result<(), ListError> {
        let RawList { name, version, matching, matching_attributes, list: entries } = raw;
        format::check(&name, matching, &entries)?;
        if self.lists.len() >= WARNING_LISTS_MAX {
            return Err(ListError::TooManyLists);
        }
        if self.entries.saturating_add(entries.len()) > WARNING_ENTRIES_MAX {
            return Err(ListError::TooManyEntries);
        }
        let kinds = Kinds::of_attributes(&matching_attributes);
        let id = self.open(&name, version, kinds, matching);
        let unusable = match matching {
            Matching::String => count(&entries, |entry| !self.add_string(id, kinds, entry)),
            Matching::Hostname => count(&entries, |entry| !self.add_hostname(id, entry)),
            Matching::Cidr => {
                for (index, entry) in entries.iter().enumerate() {
                    let network = entry.parse().map_err(|_invalid| ListError::Network(index))?;
                    self.networks.add(network, id);
                }
                0
            }
            Matching::Substring | Matching::Regex => {
                self.searches.push(Search::new(id, matching, &entries)?);
                0
            }
        };
        self.close(entries.len(), unusable);
        Ok(())
    }

    fn open(&mut self, name: &str, version: u64, kinds: Kinds, matching: Matching) -> ListId {
        let id = ListId::try_from(self.lists.len()).unwrap_or(ListId::MAX);
        let name = name.to_owned();
        self.lists.push(List { name, version, entries: 0, unusable: 0, kinds, matching });
        id
    }

    fn close(&mut self, entries: usize, unusable: usize) {
        self.entries = self.entries.saturating_add(entries);
        if let Some(list) = self.lists.last_mut() {
            list.entries = entries;
            list.unusable = unusable;
        }
    }

    fn add_hostname(&mut self, id: ListId, entry: &str) -> bool {
        let host = host_name(entry).or_else(|| top_level(entry));
        host.map(|host| self.hosts.add(host, id)).is_some()
    }

    /// A string counts as everything that it can be within the kinds of its list.
    fn add_string(&mut self, id: ListId, kinds: Kinds, entry: &str) -> bool {
        let mut used = false;
        if kinds.meet(Kinds::with_hosts())
            && let Some(host) = host_name(entry)
        {
            self.hosts.add(host, id);
            used = true;
        }
        for (spelled_as, alike) in kinds::SPELLINGS {
            if !kinds.meet(Kinds::of_all(alike)) {
                continue;
            }
            if let Some(value) = spelled(*spelled_as, entry) {
                self.values.add(value, id);
                used = true;
            }
        }
        used
    }
}

/// A host and every name above it: `a.example.com`, `example.com`, `com`.
fn above(host: &str) -> impl Iterator<Item = &str> {
    iter::successors(Some(host), |name| name.split_once('.').map(|(_, above)| above))
}

/// The normal form of an entry that is a host, with or without a dot before it.
fn host_name(entry: &str) -> Option<Box<str>> {
    if entry.contains('/') {
        return None;
    }
    let form = normal_form(Kind::Domain, None, entry.trim().trim_start_matches('.')).ok()?;
    (form.kind == Kind::Domain).then(|| form.value.into())
}

/// A single label, which only a list of host names means to reach below.
fn top_level(entry: &str) -> Option<Box<str>> {
    let label = entry.trim().trim_start_matches('.').to_ascii_lowercase();
    let legal = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (legal && !label.is_empty()).then(|| label.into())
}

/// An entry as a value of this kind is spelled, if it can be one.
fn spelled(kind: Kind, entry: &str) -> Option<Box<str>> {
    if kind == Kind::Url && !entry.contains('/') {
        return None;
    }
    // The address of a profile becomes an account, which a bare name of it must not match.
    normal_form(kind, None, entry)
        .ok()
        .filter(|form| form.kind == kind)
        .map(|form| form.value.into())
}

fn count(entries: &[String], mut is_counted: impl FnMut(&str) -> bool) -> usize {
    entries.iter().filter(|entry| is_counted(entry)).count()
}
