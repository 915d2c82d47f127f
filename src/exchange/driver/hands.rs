//! A clock that is moved by hand.

use std::sync::Mutex;
use std::time::Duration;

use crate::model::limits;
use crate::model::time::Clock;
use crate::model::time::Timestamp;

#[derive(Debug, Default)]
struct Time {
    passed: Duration,
    /// By how many seconds the wall clock is off, and was when somebody vouched for it.
    off: i64,
    confirmed: i64,
}

/// The wall clock, and time that passes.
#[derive(Debug)]
pub(super) struct Hands {
    begun: Timestamp,
    time: Mutex<Time>,
}

impl Hands {
    pub(super) fn new(begun: Timestamp) -> Self {
        Self { begun, time: Mutex::default() }
    }

    pub(super) fn pass(&self, time: Duration) {
        self.time.lock().unwrap().passed += time;
    }

    pub(super) fn jump(&self, seconds: i64) {
        self.time.lock().unwrap().off += seconds;
    }

    /// The operator vouches for it.
    pub(super) fn confirm(&self) {
        let mut time = self.time.lock().unwrap();
        time.confirmed = time.off;
    }

    /// Whether it is off by more than a hub bears.
    pub(super) fn has_jumped(&self) -> bool {
        let time = self.time.lock().unwrap();
        time.off.abs_diff(time.confirmed) > limits::CLOCK_JUMP_MAX.as_secs()
    }

    pub(super) fn time(&self) -> Timestamp {
        let time = self.time.lock().unwrap();
        let off = Duration::from_secs(time.off.unsigned_abs());
        let begun = self.begun.saturating_add(time.passed);
        if time.off < 0 { begun.saturating_sub(off) } else { begun.saturating_add(off) }
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        self.time()
    }

    fn monotonic(&self) -> Duration {
        self.time.lock().unwrap().passed
    }
}
