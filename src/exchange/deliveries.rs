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
use crate::model::names::Digest;
use crate::model::names::MemberId;
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

type Key = (MemberId, How, Digest);

#[derive(Debug, Default)]
struct State {
    runs: BTreeMap<Key, Passed>,
    /// Whether anything changed since it was last written.
    changed: bool,
}

/// Which places streams with one filter have passed, and when.
#[derive(Clone, Debug, Default, PartialEq)]
struct Passed {
    filter: Filter,
    /// Disjoint, rising, not touching.
    ranges: Vec<Range<u64>>,
    /// "Everything that was passed below this place had been by then", both rising.
    points: Vec<(u64, Timestamp)>,
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

    /// Takes note that streams of a member with a filter passed these places.
    pub(super) fn note(
        &self,
        (member, how): (&MemberId, How),
        (filter, digest): (&Filter, &Digest),
        range: Range<u64>,
        now: Timestamp,
    ) {
        if range.is_empty() {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (member.clone(), how, *digest);
        if !state.runs.contains_key(&key) {
            let own = state.runs.keys().filter(|known| known.0 == *member && known.1 == how);
            if own.count() >= limits::DELIVERY_FILTERS_MAX {
                return;
            }
        }
        let passed = state.runs.entry(key).or_default();
        passed.filter.clone_from(filter);
        passed.take(range, now);
        state.changed = true;
    }

    /// When an entry reached a member, if it did; the earliest that can be said for certain.
    pub(super) fn when(
        &self,
        (member, how): (&MemberId, How),
        sequence: u64,
        facts: &Facts,
    ) -> Option<Timestamp> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let first = (member.clone(), how, [0; 32]);
        let own = state.runs.range(first..).take_while(|(key, _)| key.0 == *member && key.1 == how);
        let reached = own.filter(|(_key, passed)| passed.filter.matches(facts) != Match::No);
        reached.filter_map(|(_key, passed)| passed.when(sequence)).min()
    }

    /// The state to be written, if it changed.
    pub(super) fn to_write(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut state.changed, false) {
            return Vec::new();
        }
        state.runs.iter().map(|(key, passed)| (key_bytes(key), encode(key, passed))).collect()
    }
}

impl Passed {
    fn take(&mut self, range: Range<u64>, now: Timestamp) {
        let start = self.ranges.partition_point(|own| own.end < range.start);
        let end = self.ranges.partition_point(|own| own.start <= range.end);
        let touched = self.ranges.get(start..end).unwrap_or_default();
        let merged = touched.iter().fold(range.clone(), |merged, own| {
            merged.start.min(own.start)..merged.end.max(own.end)
        });
        self.ranges.splice(start..end, [merged]);
        // The shortest is forgotten: to have been sent is said too seldom rather than too often.
        while self.ranges.len() > limits::DELIVERY_RANGES_MAX {
            let shortest = (0..self.ranges.len())
                .min_by_key(|at| self.ranges.get(*at).map(|range| range.end - range.start));
            shortest.map(|at| self.ranges.remove(at));
        }
        self.note_time(range.end, now);
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

    fn when(&self, sequence: u64) -> Option<Timestamp> {
        let at = self.ranges.partition_point(|range| range.end <= sequence);
        self.ranges.get(at).filter(|range| range.contains(&sequence))?;
        let point = self.points.partition_point(|(end, _time)| *end <= sequence);
        self.points.get(point).map(|(_end, time)| *time)
    }
}

fn key_bytes((member, how, digest): &Key) -> Vec<u8> {
    [member.as_str().as_bytes(), &[0, how_byte(*how)], digest].concat()
}

const fn how_byte(how: How) -> u8 {
    match how {
        How::Sent => 1,
        How::Acknowledged => 2,
    }
}

fn encode((member, how, _digest): &Key, passed: &Passed) -> Vec<u8> {
    let (starts, ends) = passed.ranges.iter().map(|range| (range.start, range.end)).unzip();
    let (positions, times) =
        passed.points.iter().map(|(end, time)| (*end, time.as_micros())).unzip();
    disk::Delivery {
        member: member.as_str().to_owned(),
        acknowledged: *how == How::Acknowledged,
        filter: wire::filter::filter_to_wire(&passed.filter).encode_to_vec(),
        starts,
        ends,
        positions,
        times_us: times,
    }
    .encode_to_vec()
}

fn decode(bytes: &[u8]) -> Option<(Key, Passed)> {
    let disk::Delivery { member, acknowledged, filter, starts, ends, positions, times_us } =
        disk::Delivery::decode(bytes).ok()?;
    let filter = pb::Filter::decode(filter.as_slice()).ok()?;
    let filter = wire::filter::known(Some(filter)).ok()?;
    let how = if acknowledged { How::Acknowledged } else { How::Sent };
    let points = positions.into_iter().zip(times_us);
    let passed = Passed {
        ranges: starts.into_iter().zip(ends).map(|(start, end)| start..end).collect(),
        points: points
            .map(|(end, time)| Some((end, Timestamp::from_micros(time)?)))
            .collect::<Option<_>>()?,
        filter,
    };
    Some(((member.parse().ok()?, how, passed.filter.digest()), passed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    #[test]
    fn what_was_passed_is_known_with_its_time_and_what_was_not_is_not() {
        let mut passed = Passed::default();
        passed.take(0..10, at(1));
        passed.take(20..30, at(2));
        assert_eq!(passed.when(5), Some(at(1)));
        assert_eq!(passed.when(15), None, "a stream that began behind it");
        assert_eq!(passed.when(25), Some(at(2)));
        assert_eq!(passed.when(30), None);
        passed.take(10..20, at(3));
        assert_eq!((passed.ranges.len(), passed.ranges[0].clone()), (1, 0..30));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let deliveries = Deliveries::default();
        let member: MemberId = "acme-video".parse().unwrap();
        let filter = Filter { platforms: vec!["x".to_owned()], ..Filter::default() };
        deliveries.note((&member, How::Sent), (&filter, &filter.digest()), 3..9, at(4));
        let written = deliveries.to_write();
        assert!(deliveries.to_write().is_empty(), "nothing changed since");
        let (key, passed) = decode(&written[0].1).unwrap();
        assert_eq!(key_bytes(&key), written[0].0);
        assert_eq!((passed.ranges.len(), passed.ranges[0].clone()), (1, 3..9));
        assert_eq!(passed.when(8), Some(at(4)));
    }

    #[test]
    fn a_row_fits_a_value_of_the_store_however_much_is_known() {
        let filter = Filter { platforms: vec!["x".repeat(200); 10], ..Filter::default() };
        let wire = wire::filter::filter_to_wire(&filter);
        let wire = wire::filter::kept_filter(Some(wire)).unwrap();
        assert!(wire::filter::filter_to_wire(&wire).encoded_len() > 2000);
        let (mut passed, last) = (Passed { filter, ..Passed::default() }, u64::from(u32::MAX));
        for number in 0..2 * u64::try_from(limits::DELIVERY_RANGES_MAX).unwrap() {
            passed.take(last + 3 * number..last + 3 * number + 2, at(1_900_000_000 + number));
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
            runs in prop::collection::vec((0_u64..5000, 1_u64..50), 1..800)
        ) {
            let (mut passed, mut truth) = (Passed::default(), std::collections::HashMap::new());
            for (second, (start, length)) in (1..).zip(&runs) {
                passed.take(*start..start + length, at(second));
                for sequence in *start..start + length {
                    truth.entry(sequence).or_insert(second);
                }
            }
            prop_assert!(passed.ranges.len() <= limits::DELIVERY_RANGES_MAX);
            prop_assert!(passed.points.len() <= limits::DELIVERY_POINTS_MAX);
            for sequence in 0..5100 {
                if let Some(time) = passed.when(sequence) {
                    prop_assert!(truth.contains_key(&sequence), "{sequence} was never passed");
                    prop_assert!(time >= at(1));
                }
            }
        }
    }
}
