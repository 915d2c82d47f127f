//! What the hub has done since it started, as numbers that only rise: for its operator.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::exchange::histogram::Distribution;
use crate::exchange::histogram::Histogram;
use crate::exchange::histogram::SIZES;
use crate::exchange::histogram::TIMES;
use crate::exchange::observer::CommittedGroup;
use crate::exchange::sequencer::Outcome;
use crate::model::reason::Reason;
use crate::model::time::Timestamp;

/// The count. Nobody decides anything by it, so that no order between its numbers is needed.
#[derive(Debug)]
pub(super) struct Tally {
    accepted: AtomicU64,
    repeated: AtomicU64,
    /// One for each reason that there is, in their order.
    refused: Vec<(Reason, AtomicU64)>,
    sent: AtomicU64,
    commits: Histogram,
    writes: Histogram,
    syncs: Histogram,
    sizes: Histogram,
    failed_reads: Failures,
    failed_writes: Failures,
}

/// How often something failed, and when last, in microseconds since 1970.
#[derive(Debug, Default)]
struct Failures {
    count: AtomicU64,
    last: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// How often.
    pub(crate) count: u64,
    /// When last; 1970 if never.
    pub(crate) last: Timestamp,
}

impl Failures {
    fn take(&self, now: Timestamp) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.last.fetch_max(now.as_micros(), Ordering::Relaxed);
    }

    fn counted(&self) -> Failed {
        let last = Timestamp::from_micros(self.last.load(Ordering::Relaxed)).unwrap_or_default();
        Failed { count: self.count.load(Ordering::Relaxed), last }
    }
}

/// The numbers at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Records of members that were appended.
    pub(crate) accepted: u64,
    /// Records that were answered with the receipt that they had already.
    pub(crate) repeated: u64,
    /// Records that were refused, for each reason that there is.
    pub(crate) refused: Vec<(Reason, u64)>,
    /// Entries handed to the transport for a subscriber, each subscriber counted.
    pub(crate) sent: u64,
    /// Groups that became durable, by the microseconds from their beginning to their answers.
    pub(crate) commits: Distribution,
    /// The same by the microseconds of handing them to the database.
    pub(crate) writes: Distribution,
    /// The same by the microseconds of flush and sync.
    pub(crate) syncs: Distribution,
    /// The same by their entries.
    pub(crate) sizes: Distribution,
    /// Reads of the disk that failed.
    pub(crate) failed_reads: Failed,
    /// Writes to the disk that failed, after which the process ends.
    pub(crate) failed_writes: Failed,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            refused: Reason::ALL.iter().map(|reason| (*reason, AtomicU64::new(0))).collect(),
            sent: AtomicU64::new(0),
            commits: Histogram::new(TIMES),
            writes: Histogram::new(TIMES),
            syncs: Histogram::new(TIMES),
            sizes: Histogram::new(SIZES),
            failed_reads: Failures::default(),
            failed_writes: Failures::default(),
        }
    }
}

impl Tally {
    /// Counts what became of records.
    pub(super) fn take_outcomes(&self, outcomes: &[Outcome]) {
        let (mut accepted, mut repeated) = (0, 0);
        for outcome in outcomes {
            match outcome {
                Ok(receipt) if receipt.repeated => repeated += 1,
                Ok(_receipt) => accepted += 1,
                Err(refusal) => self.take_refused(refusal.reason, 1),
            }
        }
        self.accepted.fetch_add(accepted, Ordering::Relaxed);
        self.repeated.fetch_add(repeated, Ordering::Relaxed);
    }

    /// Counts so many records that were refused for one reason.
    pub(super) fn take_refused(&self, reason: Reason, records: usize) {
        let own = self.refused.iter().find(|(known, _count)| *known == reason);
        if let Some((_reason, count)) = own {
            count.fetch_add(wide(records), Ordering::Relaxed);
        }
    }

    /// Counts entries that were handed over for a subscriber.
    pub(super) fn take_sent(&self, entries: usize) {
        if entries > 0 {
            self.sent.fetch_add(wide(entries), Ordering::Relaxed);
        }
    }

    /// Counts a group that became durable.
    pub(super) fn take_commit(&self, group: &CommittedGroup) {
        self.commits.take_time(group.whole);
        self.writes.take_time(group.writing);
        self.syncs.take_time(group.syncing);
        self.sizes.take(group.entries);
    }

    /// Counts a read that failed.
    pub(super) fn take_failed_read(&self, now: Timestamp) {
        self.failed_reads.take(now);
    }

    /// Counts a write that failed.
    pub(super) fn take_failed_write(&self, now: Timestamp) {
        self.failed_writes.take(now);
    }

    /// The numbers now.
    pub(super) fn counted(&self) -> Counted {
        let refused = self.refused.iter();
        Counted {
            accepted: self.accepted.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
            refused: refused.map(|(reason, n)| (*reason, n.load(Ordering::Relaxed))).collect(),
            sent: self.sent.load(Ordering::Relaxed),
            commits: self.commits.distribution(),
            writes: self.writes.distribution(),
            syncs: self.syncs.distribution(),
            sizes: self.sizes.distribution(),
            failed_reads: self.failed_reads.counted(),
            failed_writes: self.failed_writes.counted(),
        }
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reason::Refusal;

    #[test]
    fn each_reason_is_counted_for_itself_and_every_one_can_be() {
        let tally = Tally::default();
        for (times, reason) in Reason::ALL.iter().enumerate() {
            tally.take_refused(*reason, times);
            tally.take_outcomes(&[Err(Refusal::new(*reason, "because"))]);
        }
        let counted = tally.counted();
        let expected = Reason::ALL.iter().zip(1..).map(|(reason, count)| (*reason, count));
        assert_eq!(counted.refused, expected.collect::<Vec<_>>());
        assert_eq!((counted.accepted, counted.repeated, counted.sent), (0, 0, 0));
    }
}
