//! What a member may read, divided as TAXII divides it: everything, what an audience is told, what belongs to an
//! operation.

use uuid::Uuid;

use crate::exchange::exporter::Exporter;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::search::Clause;
use crate::exchange::turns::Halt;
use crate::interop::stix::ids;
use crate::model::facts::Facts;
use crate::model::filter::Filter;
use crate::model::filter::Match;
use crate::model::header::BodyKind;
use crate::model::index_keys::Group;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::names::Audience;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::policy::Reader;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::Roster;
use crate::model::visible::visible_line;
use crate::store::COARSE_SEQUENCES;
use crate::store::RUN_SEQUENCES;
use crate::store::Store;
use crate::store::StoreError;
use crate::wire::pb;

/// What tells the collection of an operation from other things whose ids come of its record.
const PART: &str = "collection";
/// Sequences among which operations are looked for at once, from the newest back.
const WINDOW: u64 = 16 * RUN_SEQUENCES;
/// The latest revisions of an operation that its collection has.
const REVISIONS_MAX: u32 = 1024;

/// One collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Collection {
    /// Everything that the reader may see.
    Everything,
    /// What is addressed to an audience that it is in.
    Audience(Audience),
    /// An operation, its indicators, what is said about either, and what of that was taken back.
    Operation(RecordName),
}

/// A collection as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedCollection {
    /// Its id, the same for every reader.
    pub id: Uuid,
    /// A name for people, one line.
    pub title: String,
    /// What is in it, for people, one line.
    pub description: String,
}

impl Hub {
    /// The collections of a member: everything, one for each of its audiences, and the newest operations, newest first.
    /// An operation that is not listed for lack of room is found by its id all the same.
    pub async fn collections(
        &self,
        member: &MemberId,
    ) -> Result<Vec<ListedCollection>, ExchangeError> {
        let reader = self.reader(member)?;
        self.take_lookups(member, 1)?;
        let (size, exchange, roster) = (self.head().size, self.exchange.clone(), self.roster());
        let list = move |store: &Store, halt: &Halt| {
            let fixed = fixed(&exchange, &reader).into_iter();
            let mut listed: Vec<ListedCollection> =
                fixed.map(|(id, collection)| described(id, &collection, &roster)).collect();
            let mut exporter = Exporter::new(store, &reader, size);
            listed.extend(operations(&mut exporter, halt)?);
            Ok(listed)
        };
        Ok(self.read(Some(member), list).await?)
    }

    /// One collection. Absent and forbidden are alike.
    pub async fn collection(
        &self,
        member: &MemberId,
        id: Uuid,
    ) -> Result<ListedCollection, ExchangeError> {
        let reader = self.reader(member)?;
        self.take_lookups(member, 1)?;
        let (size, exchange, roster) = (self.head().size, self.exchange.clone(), self.roster());
        let find = move |store: &Store, _short: &Halt| {
            let mut exporter = Exporter::new(store, &reader, size);
            let found = Collection::find(&mut exporter, &exchange, id)?;
            found.map(|found| show(&mut exporter, id, &found, &roster)).transpose()
        };
        Ok(self.read(Some(member), find).await?.ok_or_else(absent)?)
    }
}

/// The refusal of a collection that is not there for this reader.
pub(super) fn absent() -> Refusal {
    let message = "there is no such collection, or you may not see it";
    Refusal::field(Reason::RecordNotFound, "id", message)
}

impl Collection {
    /// The collection with an id, if the reader may see it.
    pub(super) fn find(
        exporter: &mut Exporter<'_>,
        exchange: &ExchangeName,
        id: Uuid,
    ) -> Result<Option<Self>, StoreError> {
        let mut fixed = fixed(exchange, exporter.reader).into_iter();
        if let Some((_id, found)) = fixed.find(|(known, _collection)| *known == id) {
            return Ok(Some(found));
        }
        let Some(key) = ids::key_of(id) else { return Ok(None) };
        for (name, _first) in exporter.store.records_of_key(key)? {
            let latest = exporter.latest(&name)?;
            let is_operation =
                latest.is_some_and(|(_, facts)| facts.scope.body_kind == BodyKind::Operation);
            if is_operation && ids::record_uuid(&name, PART) == id {
                return Ok(Some(Self::Operation(name)));
            }
        }
        Ok(None)
    }

    /// What tells collections apart in a token.
    pub(super) fn id(&self, exchange: &ExchangeName) -> Uuid {
        let shared = |name: &str| {
            let name = format!("{PART}\0{exchange}\0{name}");
            Uuid::new_v5(&ids::SHARED_NAMESPACE, name.as_bytes())
        };
        match self {
            Self::Everything => shared("everything"),
            Self::Audience(audience) => shared(&format!("audience\0{audience}")),
            Self::Operation(name) => ids::record_uuid(name, PART),
        }
    }

    /// Where its entries may lie: each place must be judged still.
    pub(super) fn clause(
        &self,
        store: &Store,
        groups: &[Group],
        halt: &Halt,
    ) -> Result<Clause, StoreError> {
        let coarse = |terms, groups: &[Group]| Clause::new(terms, groups, COARSE_SEQUENCES);
        let founding = || {
            let kinds = [BodyKind::Genesis, BodyKind::RosterChange].map(Term::body_kind);
            coarse(kinds.into(), &[Group::of_everyone()])
        };
        Ok(match self {
            Self::Everything => coarse(vec![Term::any()], groups),
            Self::Audience(audience) => {
                coarse(vec![Term::any()], &[Group::of_audience(audience)]).or(founding())
            }
            Self::Operation(name) => Clause::new(vec![Term::about(name)], groups, 1)
                .or(Clause::at(revisions(store, name, halt)?))
                .or(Clause::recalls(groups))
                .or(founding()),
        })
    }

    /// Whether an entry that the reader may see is in it. What takes something back is where that was.
    pub(super) fn has(&self, facts: &Facts) -> bool {
        if matches!(facts.scope.body_kind, BodyKind::Genesis | BodyKind::RosterChange) {
            return true;
        }
        match self {
            Self::Everything => true,
            Self::Audience(audience) => facts.scope.reach.audiences.contains(audience),
            Self::Operation(name) => {
                let filter = Filter { operations: vec![name.clone()], ..Filter::default() };
                filter.matches(facts) == Match::Yes
            }
        }
    }
}

/// The collections that need no look at the log.
fn fixed(exchange: &ExchangeName, reader: &Reader) -> Vec<(Uuid, Collection)> {
    let audiences = reader.audiences.iter().cloned().map(Collection::Audience);
    let all = std::iter::once(Collection::Everything).chain(audiences);
    all.map(|collection| (collection.id(exchange), collection)).collect()
}

fn described(id: Uuid, collection: &Collection, roster: &Roster) -> ListedCollection {
    let (title, description) = match collection {
        Collection::Everything => (
            "Everything".to_owned(),
            "Everything that you may read, whomever else it is addressed to".to_owned(),
        ),
        Collection::Audience(audience) => {
            let custom = roster.audiences.get(audience);
            let title = custom.map_or(audience.as_str(), |custom| custom.title.as_str());
            (visible_line(title), format!("What is addressed to {}", audience.name()))
        }
        Collection::Operation(name) => {
            (name.to_string(), format!("What belongs to the operation {name}"))
        }
    };
    ListedCollection { id, title, description }
}

/// A collection with the title that its operation has now.
fn show(
    exporter: &mut Exporter<'_>,
    id: Uuid,
    collection: &Collection,
    roster: &Roster,
) -> Result<ListedCollection, StoreError> {
    let mut listed = described(id, collection, roster);
    if let Collection::Operation(name) = collection
        && let Some((place, _facts)) = exporter.latest(name)?
    {
        title(exporter, place, &mut listed)?;
    }
    Ok(listed)
}

/// Puts the title of the operation at a place in the place of its name, unless it was erased.
fn title(
    exporter: &mut Exporter<'_>,
    place: u64,
    listed: &mut ListedCollection,
) -> Result<(), StoreError> {
    let record = exporter.bare(place)?.record;
    if let Some(pb::body::Content::Operation(said)) = &record.body.content {
        let title = visible_line(&said.title);
        if !title.is_empty() {
            listed.title = title;
        }
    }
    Ok(())
}

/// The newest operations that stand and that the reader may see, newest first.
fn operations(
    exporter: &mut Exporter<'_>,
    halt: &Halt,
) -> Result<Vec<ListedCollection>, StoreError> {
    let groups = Group::of_reader(exporter.reader);
    let (mut listed, mut left) = (Vec::new(), limits::PAGE_EXAMINED_MAX);
    let mut end = exporter.size;
    while end > 0 && left > 0 {
        let start = (end - 1) / WINDOW * WINDOW;
        let ranges = ranges(exporter.store, &groups, start..end, halt)?;
        left = left.saturating_sub(groups.len());
        for place in ranges
            .into_iter()
            .rev()
            .flat_map(|first| (first..first.saturating_add(COARSE_SEQUENCES).min(end)).rev())
        {
            halt.check()?;
            if listed.len() >= limits::COLLECTIONS_MAX || left == 0 {
                return Ok(listed);
            }
            left -= 1;
            listed.extend(operation(exporter, place)?);
        }
        end = start;
    }
    Ok(listed)
}

/// Where operations may lie within a window, rising: each stands for the sequences that share a posting.
fn ranges(
    store: &Store,
    groups: &[Group],
    window: std::ops::Range<u64>,
    halt: &Halt,
) -> Result<Vec<u64>, StoreError> {
    let term = Term::body_kind(BodyKind::Operation);
    let most = usize::try_from(WINDOW / COARSE_SEQUENCES).unwrap_or(usize::MAX);
    let mut ranges = Vec::new();
    for group in groups {
        halt.check()?;
        ranges.extend(store.find_term(term, *group, window.start, most)?);
    }
    ranges.retain(|first| window.contains(first));
    ranges.sort_unstable();
    ranges.dedup();
    Ok(ranges)
}

/// The collection of the operation at a place, if its latest revision lies there and stands.
fn operation(
    exporter: &mut Exporter<'_>,
    place: u64,
) -> Result<Option<ListedCollection>, StoreError> {
    let Some(facts) = exporter.facts(place)? else { return Ok(None) };
    if facts.scope.body_kind != BodyKind::Operation {
        return Ok(None);
    }
    let name = facts.name();
    let is_latest = exporter.latest(&name)?.is_some_and(|(latest, _facts)| latest == place);
    if !is_latest || exporter.store.withdrawn(&name)?.is_some() {
        return Ok(None);
    }
    let id = ids::record_uuid(&name, PART);
    let mut listed = described(id, &Collection::Operation(name), &Roster::default());
    title(exporter, place, &mut listed)?;
    Ok(Some(listed))
}

/// The places of an operation's own revisions, rising.
pub(super) fn revisions(
    store: &Store,
    name: &RecordName,
    halt: &Halt,
) -> Result<Vec<u64>, StoreError> {
    let Some((latest, _place)) = store.latest(name)? else { return Ok(Vec::new()) };
    let first = latest.saturating_sub(REVISIONS_MAX - 1).max(1);
    let mut places = Vec::new();
    for revision in first..=latest {
        halt.check()?;
        places.extend(store.revision(name, revision)?);
    }
    places.sort_unstable();
    Ok(places)
}
