//! Reads: one record, a page of records, many values. Every one of them asks the policy, entry by entry.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;

use crate::exchange::entries;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::search::Query;
use crate::exchange::search::Search;
use crate::exchange::search::Shown;
use crate::exchange::search::has_expired;
use crate::exchange::token::Place;
use crate::exchange::token::Purpose;
use crate::exchange::turns::Halt;
use crate::model::facts::Facts;
use crate::model::filter::Filter;
use crate::model::header::BodyKind;
use crate::model::index_keys::Group;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::RevisionName;
use crate::model::names::sha256;
use crate::model::perceptual;
use crate::model::perceptual::Pdq;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::store::Store;
use crate::store::StoreError;
use crate::wire;
use crate::wire::pb;

/// A page.
#[derive(Debug)]
pub struct Listed {
    /// Its entries, in rising sequence.
    pub entries: Vec<pb::Entry>,
    /// Empty after the last page.
    pub next_page_token: String,
}

/// What is known about one value.
#[derive(Debug, Default)]
pub struct Looked {
    /// Its indicators, oldest first.
    pub entries: Vec<pb::Entry>,
    /// In how many bits each differs from what was sought; empty if all are exact.
    pub distances: Vec<u32>,
    /// Operations that they name.
    pub operations: BTreeSet<RecordName>,
    /// Whether there are more.
    pub more: bool,
}

/// A value that is sought.
#[derive(Clone, Debug)]
pub struct Sought {
    /// Digest of its normal form.
    pub digest: Digest,
    /// For a PDQ hash: the hash, and in how many bits others may differ.
    pub near: Option<(Pdq, u32)>,
}

/// How to look up.
#[derive(Clone, Copy, Debug)]
pub struct LookUpOptions {
    /// At most this many matches for each value.
    pub matches_max: usize,
    /// Only what may still be acted on.
    pub active_only: bool,
    /// Entries also carry their record for reading.
    pub decoded: bool,
}

impl Hub {
    /// One revision of a record, or its latest; and where it was withdrawn. Absent and forbidden are alike.
    pub async fn record(
        &self,
        member: &MemberId,
        name: RevisionName,
        decoded: bool,
    ) -> Result<(pb::Entry, Option<u64>), ExchangeError> {
        let reader = self.reader(member)?;
        let missing = Refusal::field(
            Reason::RecordNotFound,
            "name",
            "there is no such record, or you may not see it",
        );
        let size = self.head().size;
        let find = move |store: &Store, _short: &Halt| find(store, &reader, &name, size);
        let found = self.read(Some(member), find).await?;
        let (mut entry, withdrawn) = found.ok_or(missing)?;
        if decoded {
            add_record(&mut entry, self.clock().now());
        }
        Ok((entry, withdrawn))
    }

    /// The latest visible revisions that match, page by page, in the order of the log.
    pub async fn list(
        &self,
        member: &MemberId,
        filter: Filter,
        page_size: usize,
        page_token: &str,
        decoded: bool,
    ) -> Result<Listed, ExchangeError> {
        let reader = self.reader(member)?;
        let digest = filter.digest();
        self.take_lookups(member, 1)?;
        let start = self.page_start(member, &digest, page_token)?;
        let query = Query { filter, ..Query::default() };
        query.demand_few(Group::of_reader(&reader).len())?;
        let (shown, now) = (Shown::Latest, self.clock().now());
        let page = move |store: &Store, halt: &Halt| {
            Search { reader, query, shown, now, store, start, page_size }.page(halt)
        };
        let (mut entries, next) = self.read(Some(member), page).await?;
        if decoded {
            for entry in &mut entries {
                add_record(entry, now);
            }
        }
        let next = next.map(|position| Place { position, ..start });
        Ok(Listed { entries, next_page_token: self.page_token(member, &digest, next) })
    }

    /// Where a page begins, and the size of the log that all pages of the request show.
    pub(super) fn page_start(
        &self,
        member: &MemberId,
        request: &Digest,
        page_token: &str,
    ) -> Result<Place, Refusal> {
        let head = self.head();
        if page_token.is_empty() {
            return Ok(Place { epoch: head.epoch, position: 0, as_of: head.size });
        }
        let token = hex::decode(page_token).unwrap_or_default();
        let place = self.tokens.open(Purpose::Page, member, request, &token)?;
        if place.epoch != head.epoch || place.as_of > head.size {
            let message = "the log was restored since; ask for the first page";
            return Err(Refusal::field(Reason::PageTokenInvalid, "page_token", message));
        }
        Ok(place)
    }

    /// The token of the next page; empty if there is none.
    pub(super) fn page_token(
        &self,
        member: &MemberId,
        request: &Digest,
        next: Option<Place>,
    ) -> String {
        let seal = |place| self.tokens.seal(Purpose::Page, member, request, place);
        next.map(seal).map(hex::encode).unwrap_or_default()
    }

    /// The indicators with each of these normal forms.
    pub async fn look_up(
        self: &Arc<Self>,
        member: &MemberId,
        values: Vec<Option<Sought>>,
        options: LookUpOptions,
    ) -> Result<Vec<Looked>, ExchangeError> {
        let LookUpOptions { matches_max, active_only, decoded } = options;
        let reader = self.reader(member)?;
        self.take_lookups(member, values.len())?;
        let now = self.clock().now();
        let looked = move |store: &Store, halt: &Halt| {
            // One budget for the call: a value that a member floods with records that nobody else sees costs the
            // caller an answer that says there is more, never one that says there is nothing.
            let budget = limits::LOOKUP_EXAMINED_MAX;
            let only = active_only.then_some(now);
            let bytes = limits::LOOKUP_BYTES_MAX / if decoded { 2 } else { 1 };
            let groups = Group::of_reader(&reader);
            let probes = Probes::new(values.iter().flatten().count(), groups.len());
            let mut looking = LookUp {
                store,
                halt,
                reader: &reader,
                groups,
                matches_max,
                only,
                probes,
                budget,
                bytes,
            };
            let one = |sought: Option<Sought>| match sought {
                Some(sought) => looking.one(&sought),
                None => Ok(Looked::default()),
            };
            values.into_iter().map(one).collect::<Result<Vec<_>, StoreError>>()
        };
        let mut looked = self.read(Some(member), looked).await?;
        if decoded {
            let entries = looked.iter_mut().flat_map(|looked| &mut looked.entries);
            entries.for_each(|entry| add_record(entry, now));
        }
        Ok(looked)
    }
}

/// Whether no later revision of a record is among the first so many entries of the log.
pub(super) fn is_latest(store: &Store, facts: &Facts, size: u64) -> Result<bool, StoreError> {
    let next = store.revision(&facts.name(), facts.revision.saturating_add(1))?;
    Ok(next.is_none_or(|sequence| sequence >= size))
}

/// The same, and the record was not withdrawn.
pub(super) fn is_current(store: &Store, facts: &Facts, size: u64) -> Result<bool, StoreError> {
    Ok(is_latest(store, facts, size)? && store.withdrawn(&facts.name())?.is_none())
}

/// One revision or the latest, judged before it is decoded, so that what is not for the reader costs no more than what is
/// not there.
fn find(
    store: &Store,
    reader: &Reader,
    name: &RevisionName,
    size: u64,
) -> Result<Option<(pb::Entry, Option<u64>)>, StoreError> {
    let sequence = match name.revision {
        Some(revision) => store.revision(&name.record, revision)?,
        None => store.latest(&name.record)?.map(|(_revision, sequence)| sequence),
    };
    let Some(sequence) = sequence else {
        pretend(store, name, size)?;
        return Ok(None);
    };
    let block = store.block_at(sequence)?.ok_or_else(|| StoreError::missing(sequence))?;
    let stored = block.at(sequence).ok_or_else(|| StoreError::missing(sequence))?;
    if !may_see(reader, &stored.facts.scope) {
        return Ok(None);
    }
    let entry = entries::decode(&block, stored)?;
    Ok(Some((entry, store.withdrawn(&name.record)?)))
}

/// Reads for a name that is not taken what is read for one that is: the entry whose name is compared, the revision behind
/// it, and the entry that is judged. The same name always reads the same place, so that asking again tells no more.
pub(super) fn pretend(store: &Store, name: &RevisionName, size: u64) -> Result<(), StoreError> {
    let digest = sha256(name.record.record.as_bytes());
    let (first, _rest) = digest.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let place = u64::from_be_bytes(*first) % size.max(1);
    let compared = store.block_at(place)?;
    if name.revision.is_none() {
        store.revision(&name.record, 2)?;
    }
    let judged = store.block_at(place)?;
    drop((compared, judged));
    Ok(())
}

/// Lists of postings that a look-up may still ask for. Near values, which take hundreds for each group of readers, leave
/// what the exact ones behind them need, so that a member in few audiences always learns whether a value is known.
struct Probes {
    left: usize,
    /// Those of one value.
    exact: usize,
    near: usize,
    /// Values that were not looked for yet.
    values: usize,
}

impl Probes {
    const fn new(values: usize, groups: usize) -> Self {
        let near = perceptual::PROBE_KEYS.saturating_mul(groups);
        Self { left: limits::INDEX_PROBES_MAX, exact: groups, near, values }
    }

    /// Takes what the next value needs by itself; whether there was enough.
    fn take_exact(&mut self) -> bool {
        self.values = self.values.saturating_sub(1);
        self.take(self.exact, 0)
    }

    /// Takes what the values near it need.
    fn take_near(&mut self) -> bool {
        self.take(self.near, self.exact.saturating_mul(self.values))
    }

    fn take(&mut self, wanted: usize, kept: usize) -> bool {
        let left = self.left.checked_sub(wanted).filter(|left| *left >= kept);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

/// A look-up while it runs.
struct LookUp<'a> {
    store: &'a Store,
    halt: &'a Halt,
    reader: &'a Reader,
    groups: Vec<Group>,
    matches_max: usize,
    /// Only what may still be acted on at this time.
    only: Option<Timestamp>,
    probes: Probes,
    /// Entries that may still be examined.
    budget: usize,
    /// Bytes of matches that may still be returned.
    bytes: usize,
}

impl LookUp<'_> {
    fn one(&mut self, sought: &Sought) -> Result<Looked, StoreError> {
        let mut looked = Looked::default();
        let mut seen: HashSet<RecordName> = HashSet::new();
        let (places, complete) = self.places(sought)?;
        looked.more = !complete;
        for sequence in places {
            self.halt.check()?;
            let Some(left) = self.budget.checked_sub(1) else {
                looked.more = true;
                break;
            };
            self.budget = left;
            let Some((facts, entry, distance)) = self.found(sequence, sought)? else { continue };
            if !seen.insert(facts.name()) {
                continue;
            }
            let left = self.bytes.checked_sub(prost::Message::encoded_len(&entry));
            let Some(left) = left.filter(|_fits| looked.entries.len() < self.matches_max) else {
                looked.more = true;
                break;
            };
            self.bytes = left;
            let shape = facts.scope.shapes.first();
            looked.operations.extend(shape.and_then(|shape| shape.operation.clone()));
            looked.entries.push(entry);
            looked.distances.push(distance);
        }
        if looked.distances.iter().all(|distance| *distance == 0) {
            looked.distances.clear();
        }
        Ok(looked)
    }

    /// Places that may have the value, or one near it, among what reaches the reader's groups, rising; and whether the
    /// bound let all of them be looked for.
    fn places(&mut self, sought: &Sought) -> Result<(Vec<u64>, bool), StoreError> {
        let limit = self.budget.saturating_add(1);
        let mut places = Vec::new();
        let exact = self.probes.take_exact();
        for group in self.groups.iter().filter(|_group| exact) {
            self.halt.check()?;
            places.extend(self.store.find_value(&sought.digest, *group, limit)?);
        }
        let near = sought.near.as_ref().filter(|_near| self.probes.take_near());
        for key in near.into_iter().flat_map(|(hash, _bits)| perceptual::probe_keys(hash)) {
            self.halt.check()?;
            let part = Term::part(key.to_bytes());
            for group in &self.groups {
                places.extend(self.store.find_term(part, *group, 0, limit)?);
            }
        }
        places.sort_unstable();
        places.dedup();
        Ok((places, exact && near.is_some() == sought.near.is_some()))
    }

    /// The entry at a place with its distance, if it is one that was sought.
    fn found(
        &self,
        sequence: u64,
        sought: &Sought,
    ) -> Result<Option<(Facts, pb::Entry, u32)>, StoreError> {
        let Some(block) = self.store.block_at(sequence)? else { return Ok(None) };
        let Some(stored) = block.at(sequence) else { return Ok(None) };
        let facts = &stored.facts;
        let is_exact = facts.value_digest.as_ref() == Some(&sought.digest);
        let shown = facts.scope.body_kind == BodyKind::Indicator
            && (is_exact || sought.near.is_some())
            && may_see(self.reader, &facts.scope)
            && is_current(self.store, facts, u64::MAX)?;
        if !shown {
            return Ok(None);
        }
        let entry = entries::decode(&block, stored)?;
        let body = entry.envelope.as_ref().and_then(|envelope| {
            let decoded = self.only.is_some() || !is_exact;
            decoded.then(|| wire::body::body(&envelope.body).ok())?
        });
        let distance = if is_exact { Some(0) } else { distance(body.as_ref(), sought) };
        let expired = self.only.is_some_and(|now| {
            entry
                .envelope
                .as_ref()
                .zip(body.as_ref())
                .is_some_and(|(envelope, body)| has_expired(envelope, body, now))
        });
        Ok(distance.filter(|_near| !expired).map(|distance| (facts.clone(), entry, distance)))
    }
}

/// In how many bits an indicator's PDQ hash differs, if in no more than was asked for.
fn distance(body: Option<&pb::Body>, sought: &Sought) -> Option<u32> {
    let (hash, bits) = sought.near.as_ref()?;
    let Some(pb::body::Content::Indicator(said)) = &body?.content else { return None };
    let own = wire::pdq(said.observable.as_ref()?)?;
    Some(hash.distance(&own)).filter(|distance| distance <= bits)
}

pub(super) fn add_record(entry: &mut pb::Entry, now: Timestamp) {
    entry.record = entry.envelope.as_ref().and_then(|envelope| entries::readable(envelope, now));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many near values are looked for in full, and how many exactly.
    fn looked_for(values: usize, groups: usize) -> (usize, usize) {
        let mut probes = Probes::new(values, groups);
        let (mut near, mut exact) = (0, 0);
        for _value in 0..values {
            exact += usize::from(probes.take_exact());
            near += usize::from(probes.take_near());
        }
        let taken = exact * groups + near * perceptual::PROBE_KEYS * groups;
        assert!(taken + probes.left == limits::INDEX_PROBES_MAX, "each is counted");
        (near, exact)
    }

    #[test]
    fn near_values_are_looked_for_as_far_as_the_bound_goes_and_leave_the_exact_ones_theirs() {
        let most = limits::AUDIENCES_KEPT_MAX + limits::AUDIENCES_JOINED_MAX + 5;
        assert_eq!(looked_for(1, most), (1, 1), "one alone, in all audiences that one can be in");
        let (near, exact) = looked_for(1000, 9);
        assert!((40..60).contains(&near), "{near} for a member in five custom audiences");
        assert_eq!(exact, 1000);
        assert_eq!(looked_for(1000, 100).1, 1000);
        assert!(looked_for(1000, most).1 > 300, "and for the others the answer is more");
    }
}
