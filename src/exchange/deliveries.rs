//! Deliveries: what was sent to each member, as far as the hub knows. Its claim, not proof: what is sent may be lost
//! on the way, and what a member did with it nobody here knows.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use prost::Message as _;

use crate::model::facts::Facts;
use crate::model::filter::Filter;
use crate::model::filter::Match;
use crate::model::limits;
use crate::model::names::Audience;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::roster::Roster;
use crate::model::roster::RosterMember;
use crate::model::time::Timestamp;
use crate::store::Store;
use crate::store::StoreError;
use crate::wire;
use crate::wire::disk;
use crate::wire::pb;

/// How a member came by entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// They were sent on a stream.
    Sent,
    /// They were acknowledged on a durable subscription.
    Acknowledged,
}

/// What was sent to every member, and what each acknowledged.
#[derive(Clone, Debug, Default)]
pub(super) struct Deliveries {
    state: Arc<Mutex<State>>,
}

pub(super) type Key = (MemberId, How, Digest);

#[derive(Debug, Default)]
struct State {
    runs: BTreeMap<Key, Passed>,
    /// Whether anything changed since it was last written.
    changed: bool,
}

/// What was passed at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    /// The places.
    pub(super) places: Range<u64>,
    /// The size of the log as of which it was known who may see what, at its end.
    pub(super) access: u64,
    /// The same when that was last noted. What was gained since was sent from below too.
    pub(super) before: u64,
}

/// Which places streams with one filter have passed, and when.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Passed {
    filter: Filter,
    /// The digest that its row is kept under: of its filter, or of one that it took the place of.
    row: Digest,
    noted: Timestamp,
    /// Disjoint and not touching among those of the same access; the one noted last is the last.
    ranges: Vec<Seen>,
    /// In the order in which they were noted.
    gains: Vec<Gain>,
    /// "Everything that was passed below this place had been by then", both rising.
    points: Vec<(u64, Timestamp)>,
}

/// Places that were passed by a member who could see what it could as of a size of the log.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    places: Range<u64>,
    access: u64,
    /// When the first of them was noted.
    since: Timestamp,
}

/// Everything below a place that a member could not see before, and could later, was sent to it.
#[derive(Clone, Debug, PartialEq)]
struct Gain {
    end: u64,
    access: u64,
    before: u64,
    time: Timestamp,
}

impl Deliveries {
    /// What was known when the hub last wrote it.
    pub(super) fn load(store: &Store) -> Result<Self, StoreError> {
        let damaged = || StoreError::Corrupt {
            place: "the deliveries".to_owned(),
            what: "one is unreadable",
        };
        let mut runs = BTreeMap::new();
        for bytes in store.deliveries()? {
            let (key, passed) = decode(&bytes).ok_or_else(damaged)?;
            runs.insert(key, passed);
        }
        Ok(Self { state: Arc::new(Mutex::new(State { runs, changed: false })) })
    }

    /// Takes note that streams of a member with a filter passed these places. A filter more than are kept apart takes
    /// the place of the one that was noted longest ago.
    pub(super) fn note(
        &self,
        (member, how): (&MemberId, How),
        (filter, digest): (&Filter, &Digest),
        passage: Passage,
        now: Timestamp,
    ) {
        if passage.places.is_empty() && passage.access <= passage.before {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (member.clone(), how, *digest);
        let known = state.runs.remove(&key);
        let mut passed = known.unwrap_or_else(|| {
            let row = state.make_room(member, how).unwrap_or(*digest);
            Passed::new(filter.clone(), row, now)
        });
        passed.take(passage, now);
        state.runs.insert(key, passed);
        state.changed = true;
    }

    /// When an entry reached a member, if it did; the earliest that can be said for certain. It did if the member could
    /// see it when a stream passed it, or later, when what it had gained was sent.
    pub(super) fn when(
        &self,
        (member, how): (&MemberId, How),
        (sequence, facts): (u64, &Facts),
        roster: &Roster,
    ) -> Option<Timestamp> {
        let member = roster.member(member)?;
        let sees = |access| could_see(roster, member, facts, access);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let reached = state
            .of(&member.id, how)
            .filter(|(_key, passed)| passed.filter.matches(facts) != Match::No);
        reached.filter_map(|(_key, passed)| passed.when(sequence, &sees)).min()
    }

    /// The state to be written, if it changed.
    pub(super) fn to_write(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut state.changed, false) {
            return Vec::new();
        }
        state.runs.iter().map(|(key, passed)| (row_key(key, passed), encode(key, passed))).collect()
    }
}

impl State {
    fn of<'a>(
        &'a self,
        member: &'a MemberId,
        how: How,
    ) -> impl Iterator<Item = (&'a Key, &'a Passed)> {
        let first = (member.clone(), how, [0; 32]);
        self.runs.range(first..).take_while(move |(key, _)| key.0 == *member && key.1 == how)
    }

    /// Forgets the filter that was noted longest ago if there are as many as are kept; the digest that its row is kept
    /// under, for whoever comes in its place.
    fn make_room(&mut self, member: &MemberId, how: How) -> Option<Digest> {
        if self.of(member, how).count() < limits::DELIVERY_FILTERS_MAX {
            return None;
        }
        let oldest = self.of(member, how).min_by_key(|(_key, passed)| passed.noted);
        let oldest = oldest.map(|(key, _passed)| key.clone())?;
        self.runs.remove(&oldest).map(|passed| passed.row)
    }
}

/// Whether a member could see an entry as of a size of the log.
fn could_see(roster: &Roster, member: &RosterMember, facts: &Facts, access: u64) -> bool {
    let by_role = Reader {
        member: member.id.clone(),
        role: member.role,
        suspended: false,
        audiences: member.role.audiences(),
    };
    if may_see(&by_role, &facts.scope) {
        return true;
    }
    // Only a custom audience can have changed it.
    let mut audiences = facts.scope.reach.audiences.iter();
    if audiences.all(Audience::is_built_in) {
        return false;
    }
    let audiences = roster.audiences.of_at(&member.id, access);
    may_see(&Reader { audiences, ..by_role }, &facts.scope)
}

impl Passed {
    const fn new(filter: Filter, row: Digest, noted: Timestamp) -> Self {
        Self { filter, row, noted, ranges: Vec::new(), gains: Vec::new(), points: Vec::new() }
    }

    fn take(&mut self, passage: Passage, now: Timestamp) {
        self.noted = now;
        let Passage { places, access, before } = passage;
        if access > before && places.end > 0 {
            self.gains.push(Gain { end: places.end, access, before, time: now });
        }
        // The oldest is forgotten.
        if self.gains.len() > limits::DELIVERY_GAINS_MAX {
            self.gains.remove(0);
        }
        if places.is_empty() {
            return;
        }
        let mut seen = Seen { places, access, since: now };
        self.ranges.retain(|own| {
            let touches =
                own.places.start <= seen.places.end && seen.places.start <= own.places.end;
            if own.access != access || !touches {
                return true;
            }
            let start = seen.places.start.min(own.places.start);
            seen.places = start..seen.places.end.max(own.places.end);
            seen.since = seen.since.min(own.since);
            false
        });
        // The shortest is forgotten: to have been sent is said too seldom rather than too often. But not the one that
        // grows now, or nothing would be noted any more.
        if self.ranges.len() >= limits::DELIVERY_RANGES_MAX {
            let length = |at: &usize| {
                self.ranges.get(*at).map(|own| own.places.end.saturating_sub(own.places.start))
            };
            let shortest = (0..self.ranges.len()).min_by_key(length);
            shortest.map(|at| self.ranges.remove(at));
        }
        let end = seen.places.end;
        self.ranges.push(seen);
        self.note_time(end, now);
    }

    fn note_time(&mut self, end: u64, now: Timestamp) {
        if self.points.last().is_some_and(|(known, _time)| *known >= end) {
            return;
        }
        self.points.push((end, now));
        if self.points.len() > limits::DELIVERY_POINTS_MAX {
            // Every second one of the older half: an older delivery is dated later than it was, never earlier.
            let older = self.points.len() / 2;
            let mut at = 0;
            self.points.retain(|_point| {
                at += 1;
                at > older || at % 2 == 0
            });
        }
    }

    fn when(&self, sequence: u64, sees: &dyn Fn(u64) -> bool) -> Option<Timestamp> {
        let point = self.points.partition_point(|(end, _time)| *end <= sequence);
        let point = self.points.get(point).map(|(_end, time)| *time);
        let passed = self.ranges.iter().filter(|own| own.places.contains(&sequence));
        let passed = passed.filter(|own| sees(own.access));
        let passed = passed.filter_map(|own| point.map(|point| point.max(own.since)));
        let gained = self.gains.iter().filter(|own| sequence < own.end);
        let gained = gained.filter(|own| sees(own.access) && !sees(own.before));
        passed.chain(gained.map(|own| own.time)).min()
    }
}

fn row_key((member, how, _digest): &Key, passed: &Passed) -> Vec<u8> {
    [member.as_str().as_bytes(), &[0, how_byte(*how)], &passed.row].concat()
}

const fn how_byte(how: How) -> u8 {
    match how {
        How::Sent => 1,
        How::Acknowledged => 2,
    }
}

pub(super) fn encode((member, how, _digest): &Key, passed: &Passed) -> Vec<u8> {
    let run = |own: &Seen| disk::Passed {
        start: own.places.start,
        end: own.places.end,
        access: own.access,
        since_us: own.since.as_micros(),
    };
    let gain = |own: &Gain| disk::Gained {
        end: own.end,
        access: own.access,
        before: own.before,
        time_us: own.time.as_micros(),
    };
    let (positions, times_us) =
        passed.points.iter().map(|(end, time)| (*end, time.as_micros())).unzip();
    disk::Delivery {
        member: member.as_str().to_owned(),
        acknowledged: *how == How::Acknowledged,
        filter: wire::filter::filter_to_wire(&passed.filter).encode_to_vec(),
        starts: Vec::new(),
        ends: Vec::new(),
        positions,
        times_us,
        passed: passed.ranges.iter().map(run).collect(),
        gained: passed.gains.iter().map(gain).collect(),
        row: passed.row.to_vec(),
        noted_us: passed.noted.as_micros(),
    }
    .encode_to_vec()
}

pub(super) fn decode(bytes: &[u8]) -> Option<(Key, Passed)> {
    let wire = disk::Delivery::decode(bytes).ok()?;
    let filter = pb::Filter::decode(wire.filter.as_slice()).ok()?;
    let filter = wire::filter::known(Some(filter)).ok()?;
    let digest = filter.digest();
    let how = if wire.acknowledged { How::Acknowledged } else { How::Sent };
    // Of runs without a word of access only what a role alone may see is known.
    let old = wire.starts.into_iter().zip(wire.ends);
    let old = old.map(|(start, end)| disk::Passed { start, end, access: 0, since_us: 0 });
    let run = |own: disk::Passed| {
        let since = Timestamp::from_micros(own.since_us)?;
        Some(Seen { places: own.start..own.end, access: own.access, since })
    };
    let gain = |own: disk::Gained| {
        let disk::Gained { end, access, before, time_us } = own;
        Some(Gain { end, access, before, time: Timestamp::from_micros(time_us)? })
    };
    let points = wire.positions.into_iter().zip(wire.times_us);
    let points = points.map(|(end, time)| Some((end, Timestamp::from_micros(time)?)));
    let row = if wire.row.is_empty() { digest } else { wire.row.try_into().ok()? };
    let passed = Passed {
        row,
        noted: Timestamp::from_micros(wire.noted_us)?,
        ranges: old.chain(wire.passed).map(run).collect::<Option<_>>()?,
        gains: wire.gained.into_iter().map(gain).collect::<Option<_>>()?,
        points: points.collect::<Option<_>>()?,
        filter,
    };
    Some(((wire.member.parse().ok()?, how, digest), passed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    fn blank() -> Passed {
        Passed::new(Filter::default(), [0; 32], at(0))
    }

    fn passage(places: Range<u64>, before: u64, access: u64) -> Passage {
        Passage { places, access, before }
    }

    fn always(_access: u64) -> bool {
        true
    }

    #[test]
    fn what_was_passed_is_known_with_its_time_and_what_was_not_is_not() {
        let mut passed = blank();
        passed.take(passage(0..10, 0, 0), at(1));
        passed.take(passage(20..30, 0, 0), at(2));
        assert_eq!(passed.when(5, &always), Some(at(1)));
        assert_eq!(passed.when(15, &always), None, "a stream that began behind it");
        assert_eq!(passed.when(25, &always), Some(at(2)));
        assert_eq!(passed.when(30, &always), None);
        passed.take(passage(10..20, 0, 0), at(3));
        assert_eq!((passed.ranges.len(), passed.ranges[0].places.clone()), (1, 0..30));
    }

    #[test]
    fn what_a_reader_could_not_see_counts_from_its_backfill_on() {
        // It joins with the entry at 20.
        let sees = |access| access > 20;
        let mut passed = blank();
        passed.take(passage(0..20, 0, 0), at(1));
        assert_eq!(passed.when(10, &sees), None, "it passed unseen");
        passed.take(passage(20..22, 0, 21), at(2));
        assert_eq!(passed.when(10, &sees), Some(at(2)), "what was gained was sent");
        assert_eq!(passed.when(10, &always), Some(at(1)), "what it could see was sent before");
        passed.take(passage(22..30, 21, 21), at(3));
        assert_eq!(passed.when(25, &sees), Some(at(3)));
        // A stream that began behind the gain was sent nothing of before.
        let mut late = blank();
        late.take(passage(22..30, 21, 21), at(3));
        assert_eq!(late.when(10, &sees), None);
        // A gain with nothing new behind it is one too.
        let mut idle = blank();
        idle.take(passage(0..22, 0, 0), at(1));
        idle.take(passage(22..22, 0, 21), at(2));
        assert_eq!((idle.when(10, &sees), idle.when(22, &sees)), (Some(at(2)), None));
        // Who passed it, lost sight of it and came back has it since the first time.
        let mut back = blank();
        back.take(passage(0..30, 21, 21), at(1));
        back.take(passage(30..40, 21, 31), at(2));
        assert_eq!(back.when(10, &|access| access == 21), Some(at(1)));
        assert_eq!(back.when(35, &|access| access == 21), None);
    }

    #[test]
    fn who_is_put_in_and_out_of_audiences_is_noted_all_the_same() {
        let mut passed = blank();
        passed.take(passage(0..1000, 0, 0), at(1));
        for turn in 1..500 {
            let start = 999 + turn;
            passed.take(passage(start..start + 1, turn - 1, turn), at(1 + turn));
        }
        passed.take(passage(1499..1500, 499, 499), at(600));
        passed.take(passage(1500..1501, 499, 499), at(601));
        assert_eq!(passed.ranges.len(), limits::DELIVERY_RANGES_MAX);
        assert_eq!(passed.gains.len(), limits::DELIVERY_GAINS_MAX);
        // Old ones are dated later than they were.
        assert!(passed.when(10, &always) >= Some(at(1)));
        assert_eq!(passed.when(1499, &always), Some(at(600)));
        assert_eq!(passed.when(1500, &always), Some(at(601)));
    }

    #[test]
    fn a_filter_more_takes_the_place_of_the_oldest_and_its_row() {
        let deliveries = Deliveries::default();
        let member: MemberId = "acme-video".parse().unwrap();
        let filter = |number: u64| {
            let platforms = vec![format!("platform {number}")];
            Filter { platforms, ..Filter::default() }
        };
        let note = |number: u64, second: u64| {
            let filter = filter(number);
            let own = (&filter, &filter.digest());
            deliveries.note((&member, How::Sent), own, passage(0..9, 0, 0), at(second));
        };
        let mut rows = BTreeMap::new();
        // The first one goes on all the time.
        for number in 1..100 {
            note(number, 2 * number);
            note(0, 2 * number + 1);
            rows.extend(deliveries.to_write());
        }
        assert_eq!(rows.len(), limits::DELIVERY_FILTERS_MAX, "on the disk too");
        let kept = rows.values().map(|row| decode(row).unwrap().1.filter.platforms[0].clone());
        let kept: std::collections::BTreeSet<String> = kept.collect();
        let expected = std::iter::once(0).chain(85..100).map(|number| format!("platform {number}"));
        assert_eq!(kept, expected.collect());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let deliveries = Deliveries::default();
        let member: MemberId = "acme-video".parse().unwrap();
        let filter = Filter { platforms: vec!["x".to_owned()], ..Filter::default() };
        let own = (&filter, &filter.digest());
        deliveries.note((&member, How::Sent), own, passage(3..9, 0, 2), at(4));
        let written = deliveries.to_write();
        assert!(deliveries.to_write().is_empty(), "nothing changed since");
        let (key, passed) = decode(&written[0].1).unwrap();
        assert_eq!(row_key(&key, &passed), written[0].0);
        assert_eq!(Some(&passed), deliveries.state.lock().unwrap().runs.get(&key));
        assert_eq!(passed.when(8, &always), Some(at(4)));
        // As it was written before access was: nothing is claimed but for a role.
        let old = disk::Delivery {
            member: "acme-video".to_owned(),
            starts: vec![3],
            ends: vec![9],
            positions: vec![9],
            times_us: vec![4_000_000],
            ..disk::Delivery::default()
        };
        let (_key, passed) = decode(&old.encode_to_vec()).unwrap();
        assert_eq!(passed.when(8, &|access| access == 0), Some(at(4)));
        assert_eq!(passed.when(8, &|access| access > 0), None);
    }

    #[test]
    fn a_row_fits_a_value_of_the_store_however_much_is_known() {
        let filter = Filter { platforms: vec!["x".repeat(200); 10], ..Filter::default() };
        let wire = wire::filter::filter_to_wire(&filter);
        let wire = wire::filter::kept_filter(Some(wire)).unwrap();
        assert!(wire::filter::filter_to_wire(&wire).encoded_len() > 2000);
        let mut passed = Passed::new(filter, [1; 32], at(1));
        let last = u64::from(u32::MAX);
        for number in 0..2 * u64::try_from(limits::DELIVERY_POINTS_MAX).unwrap() {
            let places = last + 3 * number..last + 3 * number + 2;
            let (access, before) = (last + number, last + number - 1);
            passed.take(Passage { places, access, before }, at(1_900_000_000 + number));
        }
        let key: Key = ("m".repeat(40).parse().unwrap(), How::Acknowledged, [1; 32]);
        let row = encode(&key, &passed);
        assert!((3500..limits::STORED_VALUE_BYTES_MAX).contains(&row.len()), "{}", row.len());
    }

    proptest! {
        /// However streams come and go: nothing is said to have been passed that was not, nor earlier than it was, and
        /// what is kept stays bounded.
        #[test]
        fn too_little_is_said_rather_than_too_much(
            runs in prop::collection::vec((0_u64..5000, 1_u64..50, 0_u64..3), 1..800)
        ) {
            let (mut passed, mut truth) = (blank(), std::collections::HashMap::new());
            for (second, (start, length, access)) in (1..).zip(&runs) {
                passed.take(passage(*start..start + length, *access, *access), at(second));
                for sequence in *start..start + length {
                    truth.entry((sequence, *access)).or_insert(second);
                }
            }
            prop_assert!(passed.ranges.len() <= limits::DELIVERY_RANGES_MAX);
            prop_assert!(passed.points.len() <= limits::DELIVERY_POINTS_MAX);
            for (sequence, access) in (0..5100).flat_map(|place| (0..3).map(move |own| (place, own))) {
                if let Some(time) = passed.when(sequence, &|own| own == access) {
                    prop_assert!(truth.contains_key(&(sequence, access)), "{sequence} was never passed");
                    prop_assert!(time >= at(1));
                }
            }
        }
    }
}
