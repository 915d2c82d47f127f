//! Signed records in bundles: verified first, then either here already, or taken over from another exchange.

use std::collections::HashMap;
use std::collections::HashSet;
use std::path::PathBuf;

use futures_util::StreamExt as _;
use futures_util::TryStreamExt as _;
use futures_util::stream;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::Current;
use watchfire::client::KnownRoster;
use watchfire::client::Pin;
use watchfire::client::VerifiedEntry;
use watchfire::interop::stix::Given;
use watchfire::interop::stix::import::BundleFile;
use watchfire::interop::stix::import::ImportTarget;
use watchfire::interop::stix::import::Planned;
use watchfire::interop::stix::import::Version;
use watchfire::interop::stix::origin;
use watchfire::interop::stix::origin::Carried;
use watchfire::interop::stix::origin::Objects;
use watchfire::interop::stix::origin::Said;
use watchfire::model::handling::Tlp;
use watchfire::model::names::ExchangeName;
use watchfire::model::names::RecordName;
use watchfire::model::names::RevisionName;
use watchfire::model::reason::Reason;
use watchfire::profile::Profile;

use crate::failure::Failure;
use crate::output;

/// Records that are asked for at once.
const CALLS_AT_ONCE: usize = 16;
/// Objects that do not hold which are told one by one.
const TOLD_MAX: usize = 10;

/// A record that was verified, and the objects that it speaks for.
struct One {
    carried: Carried,
    entry: VerifiedEntry,
    said: Said,
}

/// The signed records of bundles.
pub(super) struct Signed {
    /// The exchange of whoever imports.
    own: ExchangeName,
    records: Vec<One>,
    /// Objects whose signed record cannot be verified here, and why.
    unknown: HashMap<String, String>,
}

/// Records that are in this exchange already.
#[derive(Default)]
pub(super) struct Here {
    /// Each with its place.
    found: Vec<(RevisionName, u64)>,
    names: HashSet<RecordName>,
}

impl Signed {
    /// Verifies what bundles carry. One that does not verify, or whose objects say something else, is a forgery, and then
    /// nothing of any bundle is taken.
    pub(super) fn gather(
        files: &[BundleFile],
        profile: &Profile,
        origins: &[PathBuf],
    ) -> anyhow::Result<Self> {
        let known = known(profile, origins)?;
        let own = profile.settings().exchange.clone();
        let mut signed = Self { own, records: Vec::new(), unknown: HashMap::new() };
        let mut told = Vec::new();
        for BundleFile { file, bundle } in files {
            let objects = Objects::of(bundle);
            let faults = bundle.objects.iter().filter_map(|given| {
                let why = signed.check(given, &known, &objects).err()?;
                Some(format!("{file}: {}: {why}", given.label()))
            });
            told.extend(faults);
        }
        if !told.is_empty() {
            for text in told.iter().take(TOLD_MAX) {
                output::note(&output::clean(text));
            }
            output::note("nothing of these bundles is taken");
            return Err(Failure::SomeUnverified(told.len()).into());
        }
        let is_beyond = |one: &&One| {
            known
                .get(&one.carried.exchange)
                .is_some_and(|known| one.entry.sequence() >= known.position())
        };
        let beyond = signed.records.iter().filter(is_beyond).count();
        if beyond > 0 {
            output::note(&format!(
                "warning: {beyond} records lie behind the place up to which the profile of their exchange knows who \
                 held which key: run watchfire status with it"
            ));
        }
        Ok(signed)
    }

    /// Takes in what an object carries, if it carries something.
    fn check(
        &mut self,
        given: &Given,
        known: &HashMap<ExchangeName, KnownRoster>,
        objects: &Objects<'_>,
    ) -> Result<(), String> {
        // What cannot be taken apart is skipped with its reason later.
        let found = given.json().ok().and_then(|json| origin::carried(&json));
        let Some(carried) = found.transpose()? else { return Ok(()) };
        let Some(known) = known.get(&carried.exchange) else {
            let exchange = carried.exchange.name();
            let why = format!(
                "it is a signed record of {exchange}: name a profile of that exchange with --origin"
            );
            self.unknown.insert(given.id.clone(), why);
            return Ok(());
        };
        let entry = known.verifier().verify(carried.entry.clone());
        let entry = entry.map_err(|error| error.to_string())?;
        let said = carried.compare(entry.record(), objects)?;
        self.records.push(One { carried, entry, said });
        Ok(())
    }

    /// Those of this exchange that the hub has: a bundle's word about a place counts for nothing.
    pub(super) async fn find_here(&self, client: &Client) -> anyhow::Result<Here> {
        let own = self.records.iter().filter(|one| one.carried.exchange == self.own);
        let found: Vec<Option<(RevisionName, u64)>> = stream::iter(own)
            .map(|one| find(client, one))
            .buffered(CALLS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(Here::of(found.into_iter().flatten()))
    }

    /// Those of this exchange, where the bundle says that they are.
    pub(super) fn as_claimed(&self) -> Here {
        let own = self.records.iter().filter(|one| one.carried.exchange == self.own);
        Here::of(own.map(|one| (revision(one), one.entry.sequence())))
    }

    /// The records that are taken over; and the objects that they speak for are told to the target. `current`: one's own
    /// records as they are; `None` if nobody asked.
    pub(super) fn take(
        self,
        target: &mut ImportTarget,
        here: &Here,
        current: Option<&HashMap<RecordName, Current>>,
    ) -> (Vec<Planned>, Vec<(String, Version)>) {
        let is_there = |name: &RecordName| {
            let known = |current: &HashMap<RecordName, Current>| {
                current.get(name).is_some_and(|current| !current.is_withdrawn)
            };
            current.is_none_or(known)
        };
        target.not_taken.extend(self.unknown);
        let mut taken: Vec<Taken> = Vec::new();
        let mut revisions: HashMap<RecordName, u32> = HashMap::new();
        let Self { own, mut records, .. } = self;
        records.sort_by_key(|one| std::cmp::Reverse(one.entry.header().revision));
        let mut seen: HashSet<(ExchangeName, RecordName)> = HashSet::new();
        for one in records {
            let name = one.entry.name().clone();
            if here.names.contains(&name) {
                speak(target, &one.said, &name);
                continue;
            }
            if !seen.insert((one.carried.exchange.clone(), name)) {
                leave(target, one.said, "another file has it too, in this revision or a newer one");
                continue;
            }
            let planned = planned(&one, &own, target);
            match planned.and_then(|record| newest(&one, record, target, current)) {
                Ok(record) => {
                    revisions.insert(record.name.clone(), one.entry.header().revision);
                    taken.push((record, one.said));
                }
                Err(why) => leave(target, one.said, &why),
            }
        }
        let (taken, lacking) = whole(taken, is_there);
        for (_record, said) in lacking {
            let why = "it is about a record that is neither in the bundles nor taken over before";
            leave(target, said, why);
        }
        let mut records = Vec::with_capacity(taken.len());
        let mut versions = Vec::with_capacity(taken.len());
        for (record, said) in taken {
            speak(target, &said, &record.name);
            let revision = revisions.get(&record.name).copied().unwrap_or_default();
            versions.push((record.name.to_string(), Version::of_revision(revision)));
            records.push(record);
        }
        (records, versions)
    }
}

/// A record and what it speaks for.
type Taken = (Planned, Said);

/// Those that can be published, and the others: what is about a record that is not taken is not taken either, and so on.
fn whole(taken: Vec<Taken>, is_there: impl Fn(&RecordName) -> bool) -> (Vec<Taken>, Vec<Taken>) {
    let names: HashSet<RecordName> =
        taken.iter().map(|(record, _said)| record.name.clone()).collect();
    let mut behind: HashMap<RecordName, Vec<usize>> = HashMap::new();
    let mut lacking: HashSet<usize> = HashSet::new();
    let mut next = Vec::new();
    for (place, (record, _said)) in taken.iter().enumerate() {
        for name in record.targets().into_iter().filter(|name| !is_there(name)) {
            if !names.contains(&name) && lacking.insert(place) {
                next.push(place);
            }
            behind.entry(name).or_default().push(place);
        }
    }
    while let Some(place) = next.pop() {
        let Some((record, _said)) = taken.get(place) else { continue };
        for place in behind.remove(&record.name).unwrap_or_default() {
            if lacking.insert(place) {
                next.push(place);
            }
        }
    }
    let (lacking, whole): (Vec<_>, Vec<_>) =
        taken.into_iter().enumerate().partition(|(place, _taken)| lacking.contains(place));
    let only = |list: Vec<(usize, Taken)>| list.into_iter().map(|(_place, taken)| taken).collect();
    (only(whole), only(lacking))
}

/// Who signs in this exchange and in those of other profiles.
fn known(
    profile: &Profile,
    origins: &[PathBuf],
) -> anyhow::Result<HashMap<ExchangeName, KnownRoster>> {
    let mut known = HashMap::new();
    let origins = origins.iter().map(|folder| Ok(Profile::open(folder)?));
    let origins = origins.collect::<anyhow::Result<Vec<Profile>>>()?;
    for profile in origins.iter().chain([profile]) {
        let pin = Pin::open(&profile.genesis()?)?;
        let exchange = pin.exchange().clone();
        known.insert(exchange, KnownRoster::load(profile, &pin)?);
    }
    Ok(known)
}

fn revision(one: &One) -> RevisionName {
    let header = one.entry.header();
    RevisionName { record: header.name.clone(), revision: Some(header.revision) }
}

/// Where the hub has a record; `None` if it has none of that name for this reader, or another one.
async fn find(client: &Client, one: &One) -> Result<Option<(RevisionName, u64)>, ClientError> {
    let name = revision(one);
    match client.get(&name).await {
        Ok(found) if found.entry.header_digest() == one.entry.header_digest() => {
            Ok(Some((name, found.entry.sequence())))
        }
        Ok(_another) => Ok(None),
        Err(ClientError::Refused(refused)) if refused.is(Reason::RecordNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The record that one of another exchange becomes; the reason if it is not taken.
fn planned(one: &One, own: &ExchangeName, target: &ImportTarget) -> Result<Planned, String> {
    let header = one.entry.header();
    if one.carried.exchange == *own {
        return Err(
            "it was signed for this exchange, which does not have it for this member".to_owned()
        );
    }
    let exchange = header.exchange.name();
    if one.carried.is_recalled() {
        return Err(format!("{} was taken back", header.name));
    }
    if one.entry.is_in_doubt() || one.entry.is_unconfirmed() {
        return Err(format!("the key that signed {} is in doubt", header.name));
    }
    if header.handling.tlp == Tlp::Red && target.handling.tlp != Tlp::Red {
        return Err("it is TLP:RED, which takes named recipients".to_owned());
    }
    if !header.body_kind.is_chosen() {
        return Err("a record of this kind is not passed on".to_owned());
    }
    let here = |name: &RecordName| target.record(&["origin", &exchange, &name.to_string()]);
    Ok(Planned {
        name: here(&header.name),
        handling: origin::handling_here(&target.handling, &header.handling),
        kind: header.body_kind,
        content: origin::content_here(one.entry.record(), here)?,
    })
}

/// The record, unless a newer revision was taken over before: by the trace in one's own record, or by what the profile
/// remembers.
fn newest(
    one: &One,
    record: Planned,
    target: &ImportTarget,
    current: Option<&HashMap<RecordName, Current>>,
) -> Result<Planned, String> {
    let header = one.entry.header();
    let traced = current
        .and_then(|current| current.get(&record.name)?.content.as_ref())
        .and_then(|content| origin::traced_revision(content, &header.exchange, &header.name));
    let version = Version::of_revision(header.revision);
    if traced.is_some_and(|traced| header.revision < traced)
        || target.versions.is_stale(&record.name.to_string(), &version)
    {
        return Err("a newer revision of it was taken over before".to_owned());
    }
    Ok(record)
}

fn speak(target: &mut ImportTarget, said: &Said, name: &RecordName) {
    for id in said.own.iter().chain(&said.shared) {
        target.said.entry(id.clone()).or_insert_with(|| name.clone());
    }
}

fn leave(target: &mut ImportTarget, said: Said, why: &str) {
    for id in said.own {
        target.not_taken.insert(id, why.to_owned());
    }
}

impl Here {
    fn of(found: impl Iterator<Item = (RevisionName, u64)>) -> Self {
        let mut here = Self::default();
        for (name, sequence) in found {
            here.names.insert(name.record.clone());
            here.found.push((name, sequence));
        }
        here
    }

    /// Says where each is.
    pub(super) fn tell(&self) -> anyhow::Result<()> {
        for (RevisionName { record, revision }, sequence) in &self.found {
            let revision = revision.unwrap_or_default();
            output::line(&format!("{record}@{revision} is here already, at sequence {sequence}"))?;
        }
        Ok(())
    }
}
