//! What the hub erases, and when: a record whose publisher or the operator demanded it, once that is due; and, if its
//! operator says so, what is old or too much.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::exchange::entries;
use crate::exchange::hub_entries;
use crate::model::header::BodyKind;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;
use crate::store;
use crate::store::Erasing;
use crate::store::Head;
use crate::store::NewEntry;
use crate::store::OpenDemand;
use crate::store::Store;
use crate::store::StoreError;
use crate::wire::pb;

/// How long, and how much, bodies are kept. Without a bound they are kept for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Bodies that are older go.
    pub age: Option<std::time::Duration>,
    /// The oldest bodies go while those of the log have more bytes together.
    pub bytes: Option<u64>,
}

/// How many demands to erase are not met, for everyone to see.
#[derive(Debug, Default)]
pub(super) struct Demands {
    open: AtomicU64,
    due: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DemandCount {
    /// All of them.
    pub(crate) open: u64,
    /// Those that should be met by now, as of the last tick.
    pub(crate) due: u64,
}

impl Demands {
    pub(super) fn count(&self) -> DemandCount {
        let (open, due) = (self.open.load(Ordering::Relaxed), self.due.load(Ordering::Relaxed));
        DemandCount { open, due }
    }
}

/// What is to be erased. Owned by the sequencer.
#[derive(Debug)]
pub(super) struct Eraser {
    demands: Queue,
    counted: Arc<Demands>,
    retention: Retention,
    floor: Arc<AtomicU64>,
    /// Below here retention has nothing to let go: what is there already went, or stays for good.
    bare: u64,
}

/// Demands that are not met, by whose records they are about. Each publisher has its turn, so that one who takes back
/// many records at once delays nobody else.
#[derive(Debug, Default)]
struct Queue {
    /// By when they are due, and by place.
    of: BTreeMap<MemberId, BTreeMap<(Timestamp, u64), RecordName>>,
    /// Whose was met last.
    last: Option<MemberId>,
}

/// One erasure, with a notice of its own.
#[derive(Debug)]
pub(super) enum Task {
    /// A record that was taken back.
    Demand {
        /// When it was due.
        due: Timestamp,
        /// The withdrawal's place.
        sequence: u64,
        /// Whose record it is.
        publisher: MemberId,
        /// Places of the record's revisions whose bodies go.
        places: Vec<u64>,
        /// Whether these are all.
        is_last: bool,
    },
    /// A run of the log.
    Retention {
        /// Its first place.
        first: u64,
        /// The place behind its last.
        end: u64,
        /// Why.
        rule: String,
    },
}

impl Eraser {
    pub(super) fn load(store: &Store, retention: Retention) -> Result<Self, StoreError> {
        let mut demands = Queue::default();
        for OpenDemand { due, sequence, of } in store.demands()? {
            demands.insert((due, sequence), of);
        }
        let floor = Arc::new(AtomicU64::new(store.floor()?));
        let counted = Arc::default();
        let eraser = Self { demands, counted, retention, floor, bare: 0 };
        eraser.count(Timestamp::default());
        Ok(eraser)
    }

    /// How many demands are not met.
    pub(super) fn counted(&self) -> Arc<Demands> {
        Arc::clone(&self.counted)
    }

    /// Tells everyone how many demands there are, and how many should be met by now.
    pub(super) fn count(&self, now: Timestamp) {
        let of = || self.demands.of.values();
        let open: usize = of().map(BTreeMap::len).sum();
        let due: usize = of().map(|own| own.range(..=(now, u64::MAX)).count()).sum();
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.counted.open.store(wide(open), Ordering::Relaxed);
        self.counted.due.store(wide(due), Ordering::Relaxed);
    }

    /// Bodies are kept so long, and so many, from now on.
    pub(super) fn keep(&mut self, retention: Retention) {
        self.retention = retention;
    }

    /// The first sequence whose body is kept, as far as retention goes, for everyone to see.
    pub(super) fn floor(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.floor)
    }

    /// Takes in the demands of a group whose first entry is at a place.
    pub(super) fn demanded(&mut self, first: u64, entries: &[NewEntry]) {
        for (sequence, entry) in (first..).zip(entries) {
            if let Some((due, of)) = entry.record.get().content.demand() {
                self.demands.insert((due.unwrap_or_default(), sequence), of.clone());
            }
        }
    }

    /// The next erasure that is due.
    pub(super) fn next(
        &mut self,
        store: &Store,
        head: &Head,
        now: Timestamp,
    ) -> Result<Option<Task>, StoreError> {
        if let Some(((due, sequence), of)) = self.demands.next(now) {
            let found = revisions(store, &of);
            let publisher = of.member;
            let (places, is_last) = found.inspect_err(|_unreadable| {
                // The next time it is another's turn.
                self.demands.done(&publisher, None);
            })?;
            return Ok(Some(Task::Demand { due, sequence, publisher, places, is_last }));
        }
        self.too_old(store, head, now)
    }

    /// A task that cannot be carried out now: the next time it is another's turn.
    pub(super) fn passed(&mut self, task: &Task) {
        if let Task::Demand { publisher, .. } = task {
            self.demands.done(publisher, None);
        }
    }

    pub(super) fn done(&mut self, task: &Task) {
        match task {
            Task::Demand { due, sequence, publisher, is_last, .. } => {
                self.demands.done(publisher, is_last.then_some((*due, *sequence)));
            }
            Task::Retention { end, .. } => self.floor.store(*end, Ordering::SeqCst),
        }
    }

    /// The next run that retention lets go. A notice is an entry too: it lets enough go that not every further entry
    /// makes another one due, and there is none where nothing would go.
    fn too_old(
        &mut self,
        store: &Store,
        head: &Head,
        now: Timestamp,
    ) -> Result<Option<Task>, StoreError> {
        self.bare = self.bare.max(self.floor.load(Ordering::SeqCst));
        let by_age = self.beyond_age(store, head, now)?;
        let by_bytes = self.beyond_bytes(store, head)?;
        let Some((end, rule)) = by_age.into_iter().chain(by_bytes).max_by_key(|(end, _)| *end)
        else {
            return Ok(None);
        };
        self.bare = first_erasable(store, self.bare..end)?;
        if self.bare >= end {
            return Ok(None);
        }
        let end = end.min(self.bare.saturating_add(limits::RETENTION_SEQUENCES_MAX));
        let end = store.end_within(self.bare..end, limits::ERASED_POSTINGS_MAX)?;
        Ok(Some(Task::Retention { first: self.bare, end, rule }))
    }

    fn beyond_age(
        &self,
        store: &Store,
        head: &Head,
        now: Timestamp,
    ) -> Result<Option<(u64, String)>, StoreError> {
        let Some(age) = self.retention.age else { return Ok(None) };
        let (size, before) = (head.frontier.size(), now.saturating_sub(age));
        if self.bare >= size
            || entries::accept_time(store, self.bare)?.saturating_add(limits::RETENTION_SLACK)
                > before
        {
            return Ok(None);
        }
        let old = entries::first_since(store, before, size)?;
        let rule = format!("older than {} days", age.as_secs() / 86_400);
        Ok((old > self.bare).then_some((old, rule)))
    }

    fn beyond_bytes(
        &self,
        store: &Store,
        head: &Head,
    ) -> Result<Option<(u64, String)>, StoreError> {
        let Some(bytes) = self.retention.bytes else { return Ok(None) };
        if store.first_within(head, bytes)? <= self.bare {
            return Ok(None);
        }
        let end = store.first_within(head, bytes - bytes / 10)?;
        Ok(Some((end, format!("more than {bytes} bytes"))))
    }
}

impl Queue {
    fn insert(&mut self, place: (Timestamp, u64), of: RecordName) {
        self.of.entry(of.member.clone()).or_default().insert(place, of);
    }

    /// The first demand that is due of the next publisher who has one.
    fn next(&self, now: Timestamp) -> Option<((Timestamp, u64), RecordName)> {
        let later = self.last.as_ref().map(|last| (Bound::Excluded(last), Bound::Unbounded));
        let later = later.into_iter().flat_map(|range| self.of.range::<MemberId, _>(range));
        let mut firsts =
            later.chain(&self.of).filter_map(|(_publisher, own)| own.first_key_value());
        let due = firsts.find(|((due, _sequence), _of)| *due <= now);
        due.map(|(place, of)| (*place, of.clone()))
    }

    /// Takes note of whose turn it was, and forgets the demand if it is met.
    fn done(&mut self, publisher: &MemberId, met: Option<(Timestamp, u64)>) {
        if let Some((place, own)) = met.zip(self.of.get_mut(publisher)) {
            own.remove(&place);
            if own.is_empty() {
                self.of.remove(publisher);
            }
        }
        self.last = Some(publisher.clone());
    }
}

impl Task {
    pub(super) const fn kind(&self) -> BodyKind {
        match self {
            Self::Demand { .. } => BodyKind::Erasure,
            Self::Retention { .. } => BodyKind::Retention,
        }
    }

    /// What the hub says that it did.
    pub(super) fn notice(&self) -> pb::body::Content {
        match self {
            Self::Demand { sequence, places, .. } => {
                pb::body::Content::Erasure(pb::ErasureNotice {
                    demand_sequence: *sequence,
                    sequences: places.clone(),
                })
            }
            Self::Retention { first, end, rule } => {
                pb::body::Content::Retention(pb::RetentionNotice {
                    first_sequence: *first,
                    end_sequence: *end,
                    rule: rule.clone(),
                })
            }
        }
    }

    /// The encodings, without their bodies, of the entries that lose them to the notice at a place.
    pub(super) fn entries(
        &self,
        store: &Store,
        notice: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        match self {
            Self::Demand { places, .. } => {
                let mut erased = Vec::new();
                for place in places {
                    erased.extend(erased_in(store, *place..place + 1, notice)?);
                }
                Ok(erased)
            }
            Self::Retention { first, end, .. } => erased_in(store, *first..*end, notice),
        }
    }

    pub(super) fn erasing(&self, entries: Vec<(u64, Vec<u8>)>) -> Erasing {
        match self {
            Self::Demand { due, sequence, is_last, .. } => {
                Erasing { entries, met: is_last.then_some((*due, *sequence)), floor: None }
            }
            Self::Retention { end, .. } => Erasing { entries, met: None, floor: Some(*end) },
        }
    }

    pub(super) fn log(&self, notice: u64) {
        match self {
            Self::Demand { sequence, places, .. } => tracing::info!(
                demand.sequence = sequence,
                notice.sequence = notice,
                bodies = places.len(),
                "erased what was taken back"
            ),
            Self::Retention { first, end, rule } => tracing::info!(
                retention.first = first,
                retention.end = end,
                retention.rule = rule,
                notice.sequence = notice,
                "let old bodies go"
            ),
        }
    }
}

/// The first entry of a range that may lose its body; the range's end if none may.
fn first_erasable(store: &Store, range: std::ops::Range<u64>) -> Result<u64, StoreError> {
    let mut next = range.start;
    while next < range.end {
        let block = store.block_at(next)?.ok_or_else(|| StoreError::missing(next))?;
        let mut entries = block.entries_from(next);
        if let Some((at, _)) = entries.find(|(_, stored)| hub_entries::is_erasable(&stored.facts)) {
            return Ok(at.min(range.end));
        }
        next = block.end();
    }
    Ok(range.end)
}

/// Entries of a range that lose their bodies.
pub(super) fn erased_in(
    store: &Store,
    range: std::ops::Range<u64>,
    notice: u64,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let mut erased = Vec::new();
    let mut next = range.start;
    while next < range.end {
        let block = store.block_at(next)?.ok_or_else(|| StoreError::missing(next))?;
        for (sequence, stored) in block.entries_from(next).take_while(|(at, _)| *at < range.end) {
            let framed = hub_entries::without_body(&block, stored, notice)?;
            erased.extend(framed.map(|framed| (sequence, framed)));
        }
        next = block.end();
    }
    Ok(erased)
}

/// Places of a record's revisions that still have a body, rising, as many as one notice names; whether these are all.
fn revisions(store: &Store, of: &RecordName) -> Result<(Vec<u64>, bool), StoreError> {
    let (mut places, mut postings) = (Vec::new(), 0_usize);
    let mut revision = 1;
    while let Some(place) = store.revision(of, revision)? {
        let block = store.block_at(place)?;
        let stored = block.as_ref().and_then(|block| Some((block, block.at(place)?)));
        let entry = stored.and_then(|(block, stored)| {
            crate::wire::entry::decode(block.framed(stored)).filter(|entry| entry.erased.is_none())
        });
        if let (Some((block, stored)), Some(_entry)) = (stored, entry) {
            postings = postings.saturating_add(store::body_postings(block, stored)?);
            let is_full = postings > limits::ERASED_POSTINGS_MAX && !places.is_empty();
            if is_full || places.len() >= limits::ERASED_MAX {
                return Ok((places, false));
            }
            places.push(place);
        }
        revision += 1;
    }
    Ok((places, true))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn publishers_have_their_turns_and_each_its_oldest_demand_first() {
        let name = |member: &str, record: u64| RecordName {
            member: member.parse().unwrap(),
            record: Uuid::from_u64_pair(0x0189_0a5d_ac96_774b, record | 1 << 63),
        };
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let mut queue = Queue::default();
        // One takes back four records, then another one, later another two, of which one has time.
        for place in 1..=4 {
            queue.insert((Timestamp::default(), place), name("acme-video", place));
        }
        queue.insert((Timestamp::default(), 5), name("birch-social", 5));
        queue.insert((at(10), 6), name("cedar-media", 6));
        queue.insert((at(90), 7), name("cedar-media", 7));
        let mut order = Vec::new();
        while let Some(((due, sequence), of)) = queue.next(at(20)) {
            // What takes two notices is not met with the first, and gives way to others in between.
            let is_met = sequence != 1 || order.contains(&1);
            order.push(sequence);
            queue.done(&of.member, is_met.then_some((due, sequence)));
        }
        assert_eq!(order, [1, 5, 6, 1, 2, 3, 4]);
        assert_eq!(queue.next(at(90)).unwrap().0, (at(90), 7));
    }
}
