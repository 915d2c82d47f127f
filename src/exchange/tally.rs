//! What the hub has done since it started, as numbers that only rise: for its operator.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::exchange::sequencer::Outcome;
use crate::model::reason::Reason;

/// The count. Nobody decides anything by it, so that no order between its numbers is needed.
#[derive(Debug)]
pub(super) struct Tally {
    accepted: AtomicU64,
    repeated: AtomicU64,
    /// One for each reason that there is, in their order.
    refused: Vec<(Reason, AtomicU64)>,
    sent: AtomicU64,
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
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            refused: Reason::ALL.iter().map(|reason| (*reason, AtomicU64::new(0))).collect(),
            sent: AtomicU64::new(0),
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

    /// The numbers now.
    pub(super) fn counted(&self) -> Counted {
        let refused = self.refused.iter();
        Counted {
            accepted: self.accepted.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
            refused: refused.map(|(reason, n)| (*reason, n.load(Ordering::Relaxed))).collect(),
            sent: self.sent.load(Ordering::Relaxed),
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
