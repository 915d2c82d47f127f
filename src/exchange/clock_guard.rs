//! The clock's guard: hub time never runs backwards, and a clock that jumps stops appends.

use std::time::Duration;

use crate::model::limits;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Clock;
use crate::model::time::Timestamp;

/// How far the clock may stand behind the last accept time at start: what a time service corrects in passing.
const BEHIND_AT_START_MAX: Duration = Duration::from_secs(2);

/// Watches one clock. Owned by the sequencer.
#[derive(Debug)]
pub(super) struct ClockGuard {
    /// The wall clock minus monotonic time, at the start.
    offset_micros: i128,
    jumped: bool,
}

impl ClockGuard {
    /// Starts the watch; a clock behind the log's last accept time counts as a jump, unless confirmed.
    pub(super) fn new(clock: &dyn Clock, last: Timestamp, confirmed: bool) -> Self {
        let now = clock.now();
        let behind = last.saturating_since(now) > BEHIND_AT_START_MAX;
        let jumped = behind && !confirmed;
        if jumped {
            tracing::error!(
                hub.time = %now,
                log.time = %last,
                "the clock stands behind the log: appends stop until serve --confirm-clock"
            );
        }
        Self { offset_micros: offset(clock, now), jumped }
    }

    /// The time for entries that are accepted now, never before `last`; refused after a jump.
    pub(super) fn accept_time(
        &mut self,
        clock: &dyn Clock,
        last: Timestamp,
    ) -> Result<Timestamp, Refusal> {
        let now = clock.now();
        let drift = offset(clock, now).abs_diff(self.offset_micros);
        if drift > limits::CLOCK_JUMP_MAX.as_micros() && !self.jumped {
            self.jumped = true;
            tracing::error!(
                hub.time = %now,
                "the clock jumped against monotonic time: appends stop until serve --confirm-clock"
            );
        }
        if self.jumped {
            return Err(Refusal::new(
                Reason::ClockUnconfirmed,
                "the hub's clock jumped; nothing is appended until its operator confirms the time",
            )
            .with("hub_time", now));
        }
        Ok(now.max(last))
    }
}

fn offset(clock: &dyn Clock, now: Timestamp) -> i128 {
    let monotonic = i128::try_from(clock.monotonic().as_micros()).unwrap_or(i128::MAX);
    i128::from(now.as_micros()).saturating_sub(monotonic)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Hands(Mutex<(u64, u64)>);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0.lock().unwrap().0).unwrap()
        }

        fn monotonic(&self) -> Duration {
            Duration::from_micros(self.0.lock().unwrap().1)
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    #[track_caller]
    fn check(wall_after: u64, monotonic_after: u64, expected: bool) {
        let hands = Hands(Mutex::new((1_000_000_000_000, 0)));
        let mut guard = ClockGuard::new(&hands, at(1), false);
        *hands.0.lock().unwrap() = (wall_after * 1_000_000, monotonic_after * 1_000_000);
        assert_eq!(guard.accept_time(&hands, at(1)).is_ok(), expected);
    }

    #[test]
    fn a_jump_of_more_than_ten_minutes_stops_appends() {
        check(1_000_060, 60, true);
        check(1_000_600, 0, true);
        check(1_000_601, 0, false);
        check(999_399, 0, false);
    }

    #[test]
    fn time_never_runs_backwards() {
        let hands = Hands(Mutex::new((10_000_000, 0)));
        let mut guard = ClockGuard::new(&hands, at(11), false);
        assert_eq!(guard.accept_time(&hands, at(11)), Ok(at(11)));
    }

    #[test]
    fn a_clock_behind_the_log_needs_a_word_of_the_operator() {
        let hands = Hands(Mutex::new((10_000_000, 0)));
        assert!(ClockGuard::new(&hands, at(60), false).accept_time(&hands, at(60)).is_err());
        assert!(ClockGuard::new(&hands, at(60), true).accept_time(&hands, at(60)).is_ok());
    }
}
