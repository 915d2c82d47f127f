//! Reads: one record, a page of records, many values. Every one of them asks the policy, entry by entry.

use std::collections::HashSet;
use std::sync::Arc;

use crate::exchange::entries;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::search::Query;
use crate::exchange::search::Search;
use crate::exchange::search::Shown;
use crate::exchange::token::Place;
use crate::exchange::token::Purpose;
use crate::model::facts::Facts;
use crate::model::filter::Filter;
use crate::model::header::BodyKind;
use crate::model::index_keys::Group;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::RevisionName;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::store::Store;
use crate::store::StoreError;
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
#[derive(Debug)]
pub struct Looked {
    /// Its indicators, oldest first.
    pub entries: Vec<pb::Entry>,
    /// Whether there are more.
    pub more: bool,
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
        let found = self.read(move |store| find(store, &reader, &name)).await?;
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
        let (shown, now) = (Shown::Latest, self.clock().now());
        let page = move |store: &Store| {
            Search { reader, query, shown, now, store, start, page_size }.page()
        };
        let (mut entries, next) = self.read(page).await?;
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
        digests: Vec<Option<Digest>>,
        matches_max: usize,
        decoded: bool,
    ) -> Result<Vec<Looked>, ExchangeError> {
        let reader = self.reader(member)?;
        self.take_lookups(member, digests.len())?;
        let looked = move |store: &Store| {
            // One budget for the call: a value that a member floods with records that nobody else sees costs the
            // caller an answer that says there is more, never one that says there is nothing.
            let mut budget = limits::LOOKUP_EXAMINED_MAX;
            let one = |digest: Option<Digest>| match digest {
                Some(digest) => look_up_one(store, &reader, &digest, matches_max, &mut budget),
                None => Ok(Looked { entries: Vec::new(), more: false }),
            };
            digests.into_iter().map(one).collect::<Result<Vec<_>, StoreError>>()
        };
        let mut looked = self.read(looked).await?;
        if decoded {
            let now = self.clock().now();
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

fn find(
    store: &Store,
    reader: &Reader,
    name: &RevisionName,
) -> Result<Option<(pb::Entry, Option<u64>)>, StoreError> {
    let sequence = match name.revision {
        Some(revision) => store.revision(&name.record, revision)?,
        None => store.latest(&name.record)?.map(|(_revision, sequence)| sequence),
    };
    let Some(sequence) = sequence else {
        return Ok(None);
    };
    let read = entries::read(store, sequence)?;
    if !may_see(reader, &read.facts.scope) {
        return Ok(None);
    }
    Ok(Some((read.entry, store.withdrawn(&name.record)?)))
}

/// Places of a value among what reaches the reader's groups, rising.
fn places_of_value(
    store: &Store,
    reader: &Reader,
    digest: &Digest,
    limit: usize,
) -> Result<Vec<u64>, StoreError> {
    let mut places = Vec::new();
    for group in Group::of_reader(reader) {
        places.extend(store.find_value(digest, group, limit)?);
    }
    places.sort_unstable();
    places.dedup();
    Ok(places)
}

fn look_up_one(
    store: &Store,
    reader: &Reader,
    digest: &Digest,
    matches_max: usize,
    budget: &mut usize,
) -> Result<Looked, StoreError> {
    let mut looked = Looked { entries: Vec::new(), more: false };
    let mut seen: HashSet<RecordName> = HashSet::new();
    for sequence in places_of_value(store, reader, digest, budget.saturating_add(1))? {
        let Some(left) = budget.checked_sub(1) else {
            looked.more = true;
            break;
        };
        *budget = left;
        let Some(block) = store.block_at(sequence)? else { continue };
        let Some(stored) = block.at(sequence) else { continue };
        let facts = &stored.facts;
        let wanted = facts.value_digest.as_ref() == Some(digest)
            && facts.scope.body_kind == BodyKind::Indicator
            && may_see(reader, &facts.scope)
            && store.revision(&facts.name(), facts.revision.saturating_add(1))?.is_none()
            && store.withdrawn(&facts.name())?.is_none()
            && seen.insert(facts.name());
        if !wanted {
            continue;
        }
        if looked.entries.len() >= matches_max {
            looked.more = true;
            break;
        }
        looked.entries.push(entries::decode(&block, stored)?);
    }
    Ok(looked)
}

pub(super) fn add_record(entry: &mut pb::Entry, now: Timestamp) {
    entry.record = entry.envelope.as_ref().and_then(|envelope| entries::readable(envelope, now));
}
