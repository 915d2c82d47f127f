//! What the operator may know of a running hub: numbers, ids of members, and the names that members gave their durable
//! subscriptions. Nothing of what anybody published, asked for, or filters by.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::exchange::entries;
use crate::exchange::eraser::DemandCount;
use crate::exchange::hub::Hub;
use crate::exchange::hub::unreadable;
use crate::exchange::quota::QuotaLimit;
use crate::exchange::quota::QuotaUse;
use crate::exchange::readiness::Readiness;
use crate::exchange::tail::DurableHead;
use crate::exchange::tally::Counted;
use crate::exchange::turns::Halt;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::names::SubscriptionName;
use crate::model::roster::Role;
use crate::model::time::Timestamp;
use crate::store::Store;
use crate::store::StoreError;

/// A hub at one moment.
#[derive(Debug)]
pub(crate) struct HubState {
    /// Where the log stands.
    pub(crate) head: DurableHead,
    /// The first sequence whose body is kept, as far as retention goes.
    pub(crate) floor: u64,
    /// Demands to erase that are not met.
    pub(crate) demands: DemandCount,
    /// How many members there are of each role, and whether they are suspended; every pair is there.
    pub(crate) members: Vec<(Role, bool, usize)>,
    /// How many streams each member has open; every member is there.
    pub(crate) streams: BTreeMap<MemberId, usize>,
    /// How each member stands with each limit of its quota; every member is there.
    pub(crate) quotas: BTreeMap<MemberId, [QuotaUse; QuotaLimit::ALL.len()]>,
    /// Reads of the disk that run.
    pub(crate) reads_running: usize,
    /// Reads that wait for their turn.
    pub(crate) reads_waiting: usize,
    /// Whether records are taken, and what keeps them out.
    pub(crate) readiness: Readiness,
    /// How many durable subscriptions there are.
    pub(crate) subscriptions: usize,
    /// Those that lie furthest behind, at most [`limits::STATE_SUBSCRIPTIONS_MAX`].
    pub(crate) behind: Vec<Behind>,
    /// How many reports of misbehaviour are kept.
    pub(crate) reports: usize,
    /// What was done since the start.
    pub(crate) counted: Counted,
    /// Bytes that are free on the data volume.
    pub(crate) free_bytes: u64,
}

/// How far a durable subscription lies behind.
#[derive(Debug)]
pub(crate) struct Behind {
    /// Which.
    pub(crate) name: SubscriptionName,
    /// Entries of the log from its place on, whoever they are for.
    pub(crate) entries: u64,
    /// How long the entry at its place has waited; `None` if that entry cannot be read.
    pub(crate) time: Option<Duration>,
    /// Streams that are open on it.
    pub(crate) streams: usize,
}

impl Hub {
    /// The hub as it is now. Reads one entry for each of the places at which the subscriptions that are shown stand,
    /// and waits for its turn among the readers. An entry that cannot be read costs the lag of those that stand there and
    /// nothing else: who looks when a disk fails must see the other figures.
    pub(crate) async fn state(&self) -> Result<HubState, StoreError> {
        let places = self.durable.places();
        // After them: no place that was read lies beyond it.
        let head = self.head();
        let subscriptions = places.len();
        let places = furthest_behind(places);
        let mut positions: Vec<u64> = places.iter().map(|(_name, position)| *position).collect();
        positions.dedup();
        positions.retain(|position| *position < head.size);
        let read = move |store: &Store, halt: &Halt| {
            let times = Times::of(positions, halt, |at| entries::accept_time(store, at))?;
            Ok((times, store.free_bytes()?))
        };
        // Before: its own read is none that somebody waits for.
        let (reads_running, reads_waiting) = self.readers.count();
        let (times, free_bytes) = self.read(None, read).await?;
        let now = self.clock().now();
        if let Some(fault) = &times.fault {
            let _told = unreadable(fault);
            self.tally.take_failed_read(now);
        }
        let behind = places.into_iter().map(|(name, position)| Behind {
            entries: head.size.saturating_sub(position),
            time: times.waited(position, head.size, now),
            streams: self.streams_on(&name),
            name,
        });
        Ok(HubState {
            behind: behind.collect(),
            subscriptions,
            floor: self.floor.load(Ordering::SeqCst),
            demands: self.demands.count(),
            members: self.members_by_standing(),
            streams: self.streams_by_member(),
            quotas: self.quotas_by_member(),
            reads_running,
            reads_waiting,
            readiness: self.readiness(),
            reports: self.testimony.report_count(),
            counted: self.tally.counted(),
            free_bytes,
            head,
        })
    }

    fn members_by_standing(&self) -> Vec<(Role, bool, usize)> {
        let roster = self.roster();
        let pairs = Role::ALL.iter().flat_map(|role| [(*role, false), (*role, true)]);
        let count = |(role, suspended)| {
            let such = roster
                .members()
                .filter(|member| member.role == role && member.suspended == suspended);
            (role, suspended, such.count())
        };
        pairs.map(count).collect()
    }

    fn quotas_by_member(&self) -> BTreeMap<MemberId, [QuotaUse; QuotaLimit::ALL.len()]> {
        let roster = self.roster();
        let members = roster.members().map(|member| (member.id.clone(), &member.quota));
        members.map(|(id, quota)| (id.clone(), self.standing_with(&id, quota))).collect()
    }

    fn streams_by_member(&self) -> BTreeMap<MemberId, usize> {
        let roster = self.roster();
        let members = roster.members().map(|member| member.id.clone());
        members.map(|member| (member.clone(), self.streams_of(&member))).collect()
    }
}

/// When the entries at some places were taken in.
#[derive(Debug, Default)]
struct Times {
    /// Of those that could be read.
    known: BTreeMap<u64, Timestamp>,
    /// Why the last of the others could not.
    fault: Option<StoreError>,
}

impl Times {
    /// Reads on where one cannot be read, and ends when nobody waits any more: a disk that fails may be slow too.
    fn of(
        places: Vec<u64>,
        halt: &Halt,
        read: impl Fn(u64) -> Result<Timestamp, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut times = Self::default();
        for place in places {
            halt.check()?;
            match read(place) {
                Ok(time) => {
                    times.known.insert(place, time);
                }
                Err(fault) => times.fault = Some(fault),
            }
        }
        Ok(times)
    }

    /// How long the entry at a place has waited, in a log of so many; nothing waits at the head.
    fn waited(&self, place: u64, size: u64, now: Timestamp) -> Option<Duration> {
        if place >= size {
            return Some(Duration::ZERO);
        }
        self.known.get(&place).map(|time| now.saturating_since(*time))
    }
}

/// Those that are shown: whoever stands nearer to the head needs looking after last.
fn furthest_behind(mut places: Vec<(SubscriptionName, u64)>) -> Vec<(SubscriptionName, u64)> {
    places.sort_by_key(|(_name, position)| *position);
    places.truncate(limits::STATE_SUBSCRIPTIONS_MAX);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 9;

    fn minute(number: u64) -> Timestamp {
        Timestamp::default().saturating_add(Duration::from_mins(number))
    }

    /// A disk of which one place is damaged.
    fn read(place: u64) -> Result<Timestamp, StoreError> {
        if place == 3 { Err(StoreError::missing(place)) } else { Ok(minute(place)) }
    }

    #[test]
    fn a_place_that_cannot_be_read_costs_its_own_lag_and_nothing_else() {
        let times = Times::of(vec![1, 3, 8], &Halt::default(), read).unwrap();
        let lag = |place| times.waited(place, SIZE, minute(10));
        assert_eq!(lag(1), Some(Duration::from_mins(9)));
        assert_eq!(lag(3), None, "it is not said to be none");
        assert_eq!(lag(8), Some(Duration::from_mins(2)), "what is behind it is read");
        assert_eq!(lag(SIZE), Some(Duration::ZERO), "the head");
        assert!(matches!(times.fault, Some(StoreError::Corrupt { .. })), "it is told");
        let well = Times::of(vec![1, 8], &Halt::default(), read).unwrap();
        assert!(well.fault.is_none() && well.known.len() == 2);
    }

    #[test]
    fn nothing_is_read_any_more_once_nobody_waits() {
        let halt = Halt::default();
        drop(halt.on_drop());
        let asked = std::cell::Cell::new(0);
        let count = |place| {
            asked.set(asked.get() + 1);
            read(place)
        };
        assert!(Times::of(vec![1, 2], &halt, count).is_err());
        assert_eq!(asked.get(), 0);
    }

    #[test]
    fn however_many_subscriptions_there_are_those_furthest_behind_are_shown() {
        let place = |position: u64| {
            let name = SubscriptionName::new("acme-video".parse().unwrap(), "feed").unwrap();
            (name, position)
        };
        let maximum = u64::try_from(limits::STATE_SUBSCRIPTIONS_MAX).unwrap();
        let shown = furthest_behind((0..maximum + 10).rev().map(place).collect());
        let positions: Vec<u64> = shown.into_iter().map(|(_name, position)| position).collect();
        assert_eq!(positions, (0..maximum).collect::<Vec<_>>());
    }
}
