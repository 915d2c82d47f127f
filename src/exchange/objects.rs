//! The objects of a collection, page by page, in the order in which the log brought them.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::exchange::collections::Collection;
use crate::exchange::collections::absent;
use crate::exchange::collections::revisions;
use crate::exchange::emission::Emission;
use crate::exchange::emission::Emitted;
use crate::exchange::emission::Emitter;
use crate::exchange::entries;
use crate::exchange::exporter::Exporter;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::search::Agreed;
use crate::exchange::search::Clause;
use crate::exchange::search::agree;
use crate::exchange::token::Place;
use crate::exchange::turns::Halt;
use crate::interop::stix::ids;
use crate::model::index_keys::Group;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::sha256;
use crate::model::time::Timestamp;
use crate::store::Store;
use crate::store::StoreError;

/// The version of STIX in which objects are given.
const SPEC_VERSION: &str = "2.1";
/// Bits of a token's position that count the objects of an entry that were given.
const GIVEN_BITS: u32 = 16;

/// Which objects of a collection. Fields are joined by AND, the values of a field by OR; an empty field matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectsQuery {
    /// Brought later than this.
    pub added_after: Option<Timestamp>,
    /// STIX ids.
    pub ids: Vec<String>,
    /// STIX types.
    pub types: Vec<String>,
    /// Which versions; none says the last.
    pub versions: Vec<Version>,
    /// Versions of STIX.
    pub spec_versions: Vec<String>,
}

/// Which of the versions of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The first.
    First,
    /// The last.
    Last,
    /// Each.
    All,
    /// The one of this time.
    At(Timestamp),
}

/// One version of an object, as a collection has it.
#[derive(Debug)]
pub struct GivenObject {
    /// Its STIX id.
    pub id: String,
    /// When the entry that brought it was taken in.
    pub date_added: Timestamp,
    /// What tells its versions apart: when it was modified, made, or else brought.
    pub version: String,
    /// The object.
    pub json: Box<RawValue>,
}

/// A page of objects.
#[derive(Debug)]
pub struct ObjectPage {
    /// In the order in which they were brought.
    pub objects: Vec<GivenObject>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
}

impl Hub {
    /// One page of the objects of a collection. It holds at most so many objects and [`limits::OBJECTS_BYTES_MAX`] bytes
    /// of them, but one at least, unless enough was looked at or [`limits::PAGE_WORK_MAX`] is over; all pages of a request show the log as it was at the
    /// first. A collection that the member may not see is absent.
    pub async fn objects(
        &self,
        member: &MemberId,
        collection: Uuid,
        query: ObjectsQuery,
        limit: usize,
        next: &str,
    ) -> Result<ObjectPage, ExchangeError> {
        let reader = self.reader(member)?;
        self.take_lookups(member, 1)?;
        let request = query.digest(collection);
        let start = self.page_start(member, &request, next)?;
        let is_first = next.is_empty();
        let (exchange, now) = (self.exchange.clone(), self.clock().now());
        let page = move |store: &Store, halt: &Halt| {
            let as_of = if is_first { settled(store, now, start.as_of)? } else { start.as_of };
            let mut exporter = Exporter::new(store, &reader, as_of);
            let Some(found) = Collection::find(&mut exporter, &exchange, collection)? else {
                return Ok(None);
            };
            let groups = Group::of_reader(&reader);
            let clause = query.clause(&found, store, &groups, halt)?;
            let emitter = Emitter::new(exporter, &found, halt);
            let until = Instant::now().checked_add(limits::PAGE_WORK_MAX);
            let walk = Walk { emitter, query: &query, limit, until };
            let (objects, next) = walk.page(Spot::of(start.position), clause, halt)?;
            let place = |spot: Spot| Place { position: spot.position(), as_of, ..start };
            Ok(Some((objects, next.map(place))))
        };
        let (objects, next) = self.read(Some(member), page).await?.ok_or_else(absent)?;
        let next = next.map(|place| self.page_token(member, &request, Some(place)));
        Ok(ObjectPage { objects, next })
    }
}

/// How much of a log can be shown to those who will ask for what was added after its last entry: while the clock stands
/// behind the log, further entries may have the same time.
fn settled(store: &Store, now: Timestamp, size: u64) -> Result<u64, StoreError> {
    let Some(last) = size.checked_sub(1) else { return Ok(0) };
    if entries::accept_time(store, last)? < now {
        return Ok(size);
    }
    entries::first_since(store, now, size)
}

impl ObjectsQuery {
    /// What tells requests apart in a token.
    fn digest(&self, collection: Uuid) -> Digest {
        sha256(format!("objects {collection} {self:?}").as_bytes())
    }

    /// Where what is asked for may lie.
    fn clause(
        &self,
        collection: &Collection,
        store: &Store,
        groups: &[Group],
        halt: &Halt,
    ) -> Result<Clause, StoreError> {
        match self.named(store, groups, halt)? {
            Some(named) => Ok(named),
            None => collection.clause(store, groups, halt),
        }
    }

    /// If every id that is asked for tells its record, and finding them costs no more than a walk: the places of those
    /// records, and of what is said about them.
    fn named(
        &self,
        store: &Store,
        groups: &[Group],
        halt: &Halt,
    ) -> Result<Option<Clause>, StoreError> {
        if self.ids.is_empty() {
            return Ok(None);
        }
        let keys: BTreeSet<Option<u64>> =
            self.ids.iter().filter_map(|id| uuid_of(id)).map(ids::key_of).collect();
        // What is always the same has ids of others, and comes first.
        let (mut places, mut about) = (vec![0], Vec::new());
        for key in keys {
            let Some(key) = key else { return Ok(None) };
            for (name, _first) in store.records_of_key(key)? {
                places.extend(revisions(store, &name, halt)?);
                about.push(Term::about(&name));
            }
            let lists = about.len().saturating_mul(groups.len());
            if places.len() > limits::PAGE_EXAMINED_MAX || lists > limits::INDEX_PROBES_MAX {
                return Ok(None);
            }
        }
        places.sort_unstable();
        Ok(Some(Clause::at(places).or(Clause::new(about, groups, 1))))
    }

    fn wants(&self, emitted: &Emitted, version: &str) -> bool {
        let is_among = |values: &[String], property| {
            values.is_empty() || values.iter().any(|value| value == emitted.text(property))
        };
        is_among(&self.ids, "id")
            && is_among(&self.types, "type")
            && (self.spec_versions.is_empty()
                || self.spec_versions.iter().any(|version| version == SPEC_VERSION))
            && self.wants_version(emitted, version)
    }

    fn wants_version(&self, emitted: &Emitted, version: &str) -> bool {
        let wants = |asked: &Version| match asked {
            Version::First => emitted.is_first,
            Version::Last => emitted.is_last,
            Version::All => true,
            Version::At(time) => Timestamp::parse(version) == Some(*time),
        };
        if self.versions.is_empty() { emitted.is_last } else { self.versions.iter().any(wants) }
    }
}

/// The UUID of a STIX id; `None` if it is none, and so nothing has it.
fn uuid_of(id: &str) -> Option<Uuid> {
    let (_kind, uuid) = id.split_once("--")?;
    Uuid::try_parse(uuid).ok()
}

/// A place among the objects of a log: an entry, and how many of its objects were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    sequence: u64,
    given: usize,
}

impl Spot {
    const fn of(position: u64) -> Self {
        let given = position & ((1 << GIVEN_BITS) - 1);
        #[expect(clippy::as_conversions, reason = "it has 16 bits")]
        Self { sequence: position >> GIVEN_BITS, given: given as usize }
    }

    fn position(self) -> u64 {
        let given = u64::try_from(self.given).unwrap_or(u64::MAX).min((1 << GIVEN_BITS) - 1);
        (self.sequence << GIVEN_BITS) | given
    }
}

/// A page while it is filled.
struct Walk<'a> {
    emitter: Emitter<'a>,
    query: &'a ObjectsQuery,
    limit: usize,
    /// When the page ends with what it has.
    until: Option<Instant>,
}

#[derive(Default)]
struct Page {
    objects: Vec<GivenObject>,
    bytes: usize,
    /// Whether an entry or an object was looked at: no page ends where it began.
    has_moved: bool,
}

impl Walk<'_> {
    fn page(
        mut self,
        start: Spot,
        clause: Clause,
        halt: &Halt,
    ) -> Result<(Vec<GivenObject>, Option<Spot>), StoreError> {
        let (store, size) = (self.emitter.store(), self.emitter.size());
        let mut next = start.sequence.max(self.first()?);
        let (mut clauses, mut page) = ([clause], Page::default());
        loop {
            halt.check()?;
            let within = (next..size, &mut self.emitter.examined);
            let range = match agree(store, halt, &mut clauses, within)? {
                Agreed::Nowhere => return Ok((page.objects, None)),
                Agreed::Tired(at) => {
                    return Ok((page.objects, Some(Spot { sequence: at, given: 0 })));
                }
                Agreed::On(range) => range,
            };
            next = range.end;
            let full = self.take_range(range, start, &mut page)?;
            if full.is_some() {
                return Ok((page.objects, full));
            }
        }
    }

    /// Takes what entries of a range bring; the spot at which the page was full, or enough was looked at.
    fn take_range(
        &mut self,
        range: std::ops::Range<u64>,
        start: Spot,
        page: &mut Page,
    ) -> Result<Option<Spot>, StoreError> {
        for sequence in range {
            let given = if sequence == start.sequence { start.given } else { 0 };
            let spot = Spot { sequence, given };
            if self.is_enough(page) {
                return Ok(Some(spot));
            }
            let full = self.take(spot, page)?;
            if full.is_some() {
                return Ok(full);
            }
            page.has_moved = true;
        }
        Ok(None)
    }

    /// Whether a page ends although there is room.
    fn is_enough(&self, page: &Page) -> bool {
        let is_late = || self.until.is_some_and(|until| Instant::now() >= until);
        page.has_moved && (self.emitter.examined >= limits::PAGE_EXAMINED_MAX || is_late())
    }

    /// The first place whose entry was taken in late enough.
    fn first(&self) -> Result<u64, StoreError> {
        let Some(after) = self.query.added_after else { return Ok(0) };
        let since = after.saturating_add(std::time::Duration::from_micros(1));
        if since == after {
            return Ok(self.emitter.size());
        }
        entries::first_since(self.emitter.store(), since, self.emitter.size())
    }

    /// Takes what was asked for of what an entry brings; the spot of the first object for which there is no room or time.
    fn take(&mut self, spot: Spot, page: &mut Page) -> Result<Option<Spot>, StoreError> {
        let Some(emission) = self.emitter.emission(spot.sequence)? else { return Ok(None) };
        let Emission { accept_time, objects } = emission;
        let date_added = accept_time.to_string();
        for (given, emitted) in objects.into_iter().enumerate().skip(spot.given) {
            if self.is_enough(page) {
                return Ok(Some(Spot { given, ..spot }));
            }
            page.has_moved = true;
            let version = version(&emitted, &date_added);
            if !self.query.wants(&emitted, version)
                || !self.emitter.is_brought_by(&emitted, spot.sequence)?
            {
                continue;
            }
            let Ok(json) = serde_json::value::to_raw_value(&emitted.json) else { continue };
            let bytes = json.get().len();
            let is_full = page.objects.len() >= self.limit
                || page.bytes.saturating_add(bytes) > limits::OBJECTS_BYTES_MAX;
            if is_full && !page.objects.is_empty() {
                return Ok(Some(Spot { given, ..spot }));
            }
            page.bytes = page.bytes.saturating_add(bytes);
            let (id, version) = (emitted.text("id").to_owned(), version.to_owned());
            page.objects.push(GivenObject { id, date_added: accept_time, version, json });
        }
        Ok(None)
    }
}

/// What tells the versions of an object apart.
fn version<'a>(emitted: &'a Emitted, date_added: &'a str) -> &'a str {
    let times = [emitted.text("modified"), emitted.text("created"), date_added];
    times.into_iter().find(|time| !time.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_spot_is_found_again_by_its_position(sequence in 0_u64..1 << 48, given in 0_usize..1 << 16) {
            let spot = Spot { sequence, given };
            prop_assert_eq!(Spot::of(spot.position()), spot);
        }
    }

    #[test]
    fn only_ids_with_a_uuid_can_be_there() {
        assert!(uuid_of("indicator--f7f459f8-3d40-4709-a2d4-b4bc3b45e523").is_some());
        for none in ["", "indicator", "indicator--", "f7f459f8-3d40-4709-a2d4-b4bc3b45e523", "a--b"]
        {
            assert_eq!(uuid_of(none), None, "{none}");
        }
    }
}
