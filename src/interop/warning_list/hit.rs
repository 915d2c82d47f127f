//! What a list says about a value.

use std::fmt;

use crate::interop::warning_list::List;
use crate::interop::warning_list::kinds::Kinds;
use crate::interop::warning_list::postings::ListId;
use crate::model::limits::WARNINGS_MAX;

/// A value meets a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    /// The list's name.
    pub list: &'a str,
    /// The entry that it met: hosts, values and networks in their normal form, patterns as written.
    pub entry: String,
    /// How they met.
    pub why: Why,
}

/// How a value meets an entry, the closest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The value is the entry, or the bare address of the host that is.
    Listed,
    /// The value is something on the host that is listed, where others have things too.
    OnListedHost,
    /// The value is an address within the network.
    Network,
    /// Its host is below the host that is listed, where others may have theirs too.
    BelowListed,
    /// The value contains the entry.
    Contains,
    /// The pattern is found in the value.
    Pattern,
}

impl Why {
    /// Every way.
    pub const ALL: [Self; 6] = [
        Self::Listed,
        Self::OnListedHost,
        Self::Network,
        Self::BelowListed,
        Self::Contains,
        Self::Pattern,
    ];

    /// Its name: `below-listed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::OnListedHost => "on-listed-host",
            Self::Network => "network",
            Self::BelowListed => "below-listed",
            Self::Contains => "contains",
            Self::Pattern => "pattern",
        }
    }
}

impl fmt::Display for Hit<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { list, entry, why } = self;
        match why {
            Why::Listed => write!(formatter, "{entry} is on the list '{list}'"),
            Why::OnListedHost => write!(
                formatter,
                "its host {entry} is on the list '{list}', where others publish too"
            ),
            Why::Network => write!(formatter, "it is within {entry}, on the list '{list}'"),
            Why::BelowListed => write!(
                formatter,
                "it is below {entry}, on the list '{list}', where others publish too"
            ),
            Why::Contains => write!(formatter, "it contains {entry}, on the list '{list}'"),
            Why::Pattern => write!(formatter, "it matches {entry}, on the list '{list}'"),
        }
    }
}

/// The hits so far, one a list.
pub(super) struct Found<'a> {
    lists: &'a [List],
    hits: Vec<(ListId, Hit<'a>)>,
}

impl<'a> Found<'a> {
    pub(super) fn new(lists: &'a [List]) -> Self {
        Self { lists, hits: Vec::new() }
    }

    /// Adds a hit, if the list is for one of these kinds and has no closer one.
    pub(super) fn add(&mut self, id: ListId, kinds: Kinds, entry: &str, why: Why) {
        let list = self.lists.get(usize::from(id)).filter(|list| list.kinds.meet(kinds));
        let Some(List { name, .. }) = list else {
            return;
        };
        let hit = || Hit { list: name, entry: entry.to_owned(), why };
        match self.hits.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) if known.why > why => *known = hit(),
            Some(_closer) => {}
            None => self.hits.push((id, hit())),
        }
    }

    pub(super) fn into_hits(mut self) -> Vec<Hit<'a>> {
        self.hits.sort_by_key(|(id, hit)| (hit.why, *id));
        self.hits.into_iter().take(WARNINGS_MAX).map(|(_, hit)| hit).collect()
    }
}
