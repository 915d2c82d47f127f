//! How large the log is known to have been, held against what marks say that it is: a hub that shows an old log as if
//! nothing had come since is found out by whatever else shows that there was more.
//!
//! An honest hub's log may be ahead of a mark that is under way, so that only what was known for half a minute counts,
//! and only what a stream was *waited* for: frames that lay in a buffer while their reader was busy were signed before.

use std::time::Duration;

use crate::client::account::Deviation;
use crate::model::time::Timestamp;

/// For how long a stream is waited for until its marks must have what the log is known to have.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(30);

/// Something that shows that the log had so many entries.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known<S> {
    epoch: u32,
    size: u64,
    /// What shows it.
    shown_by: S,
    /// When it was noticed, by the reader's clock.
    noticed: Timestamp,
    /// How long the stream was waited for since.
    waited: Duration,
}

/// What one stream's marks are held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Horizon<S> {
    known: Option<Known<S>>,
}

impl<S> Default for Horizon<S> {
    fn default() -> Self {
        Self { known: None }
    }
}

impl<S: Clone> Horizon<S> {
    /// The log is known to have had so many entries. What is known already and was not reached yet goes on to count: it
    /// was known longer.
    pub(super) fn learn(&mut self, (epoch, size): (u32, u64), shown_by: S, now: Timestamp) {
        if self.known.as_ref().is_none_or(|known| known.epoch != epoch) {
            let waited = Duration::ZERO;
            self.known = Some(Known { epoch, size, shown_by, noticed: now, waited });
        }
    }

    /// The stream was waited for.
    pub(super) fn waited(&mut self, time: Duration) {
        if let Some(known) = &mut self.known {
            known.waited += time;
        }
    }

    /// The stream begins anew.
    pub(super) fn begin(&mut self) {
        if let Some(known) = &mut self.known {
            known.waited = Duration::ZERO;
        }
    }

    /// Judges a mark that is signed at a time, by the hub's clock: what shows that it is too old, and how it deviates.
    pub(super) fn judge(
        &mut self,
        (epoch, head): (u32, u64),
        signed: Timestamp,
    ) -> Result<(), (Deviation, S)> {
        let Some(known) = &self.known else { return Ok(()) };
        if known.epoch != epoch || known.size <= head {
            self.known = None;
            return Ok(());
        }
        if known.waited <= CAUGHT_UP_WITHIN || signed < known.noticed {
            return Ok(());
        }
        Err((Deviation::OldHead { known: known.size, head }, known.shown_by.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::default().saturating_add(Duration::from_secs(1000 + seconds))
    }

    #[test]
    fn a_mark_of_now_over_an_old_head_is_told_after_half_a_minute_of_waiting() {
        let mut horizon = Horizon::default();
        assert_eq!(horizon.judge((1, 5), at(0)), Ok(()), "nothing is known");
        horizon.learn((1, 9), "a receipt", at(0));
        for second in 1..=30 {
            horizon.waited(SECOND);
            // More is learnt meanwhile: it does not begin anew.
            horizon.learn((1, 9 + second), "another", at(second));
            assert_eq!(horizon.judge((1, 5), at(second)), Ok(()), "{second}");
        }
        horizon.waited(SECOND);
        let told = (Deviation::OldHead { known: 9, head: 5 }, "a receipt");
        assert_eq!(horizon.judge((1, 5), at(31)), Err(told));
    }

    #[test]
    fn a_log_that_reaches_what_is_known_is_not_old() {
        let mut horizon = Horizon::default();
        for round in 0..10 {
            horizon.learn((1, 9 + round), (), at(0));
            horizon.waited(20 * SECOND);
            assert_eq!(horizon.judge((1, 8 + round), at(20)), Ok(()), "it is on its way");
            assert_eq!(horizon.judge((1, 9 + round), at(21)), Ok(()));
            horizon.waited(60 * SECOND);
            assert_eq!(horizon.judge((1, 9 + round), at(99)), Ok(()));
        }
    }

    #[test]
    fn what_lay_in_a_buffer_or_is_of_another_epoch_is_not_judged() {
        let mut horizon = Horizon::default();
        horizon.learn((1, 9), (), at(50));
        horizon.waited(60 * SECOND);
        assert_eq!(horizon.judge((1, 5), at(49)), Ok(()), "it was signed before");
        // A reader that is busy, and frames that come at once when it is not.
        let mut busy = Horizon::default();
        busy.learn((1, 9), (), at(0));
        assert_eq!(busy.judge((1, 5), at(600)), Ok(()));
        // A stream that was opened anew.
        horizon.begin();
        assert_eq!(horizon.judge((1, 5), at(200)), Ok(()));
        horizon.waited(60 * SECOND);
        assert_eq!(horizon.judge((2, 5), at(200)), Ok(()), "the log was restored");
        assert_eq!(horizon, Horizon::default());
    }
}
