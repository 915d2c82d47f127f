//! Waiting between attempts: twice as long each time, up to a limit, and never in step with others.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(5);

/// How long to wait before the next attempt.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The next wait: between half and all of a span that doubles.
    pub(super) fn next(&mut self) -> Duration {
        let span = self.next;
        self.next = span.saturating_mul(2).min(LAST);
        let mut random = [0_u8; 1];
        // Without randomness the full span is as good.
        let share = getrandom::fill(&mut random).map_or(u8::MAX, |()| random[0]);
        span / 2 + span.mul_f64(f64::from(share) / 510.0)
    }

    /// Something went well: begin anew.
    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_limit() {
        let mut backoff = Backoff::default();
        for round in 0..20_u32 {
            let span = FIRST.saturating_mul(2_u32.saturating_pow(round)).min(LAST);
            let wait = backoff.next();
            assert!((span / 2..=span).contains(&wait), "round {round}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
