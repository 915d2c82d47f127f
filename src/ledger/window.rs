//! For which time a ledger is, and of which log.

use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::wire::pb;
use crate::wire::time;

/// The entries that count: those below a place of the log that were taken in within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    head: u64,
}

impl Window {
    /// Entries taken in at or after `since` and before `until`, below `head`, the log's size as of which the ledger is
    /// computed. An absent bound is none.
    pub const fn new(since: Option<Timestamp>, until: Option<Timestamp>, head: u64) -> Self {
        Self { since, until, head }
    }

    /// What a member asks for, of the whole log. A time that cannot be, or that ends before it begins, is refused with
    /// the field at fault.
    pub fn of_request(request: &pb::GetLedgerRequest) -> Result<Self, Refusal> {
        let pb::GetLedgerRequest { since_time, until_time } = request;
        let since =
            since_time.as_ref().map(|since| time::timestamp(since, "since_time")).transpose()?;
        let until =
            until_time.as_ref().map(|until| time::timestamp(until, "until_time")).transpose()?;
        if since.zip(until).is_some_and(|(since, until)| until < since) {
            let message = "must not lie before since_time";
            return Err(Refusal::field(Reason::FieldInvalid, "until_time", message));
        }
        Ok(Self::new(since, until, u64::MAX))
    }

    /// What to ask the hub for.
    pub fn to_request(&self) -> pb::GetLedgerRequest {
        pb::GetLedgerRequest {
            since_time: self.since.map(time::timestamp_to_wire),
            until_time: self.until.map(time::timestamp_to_wire),
        }
    }

    /// The same time, of a log of this size.
    #[must_use]
    pub const fn at_head(self, head: u64) -> Self {
        Self { head, ..self }
    }

    /// The log's size as of which the ledger is computed.
    pub const fn head(&self) -> u64 {
        self.head
    }

    /// From when on entries count, so that a reader of the log need not begin earlier.
    pub const fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Whether an entry at this place, taken in at this time, counts.
    pub fn holds(&self, sequence: u64, accept_time: Timestamp) -> bool {
        sequence < self.head
            && self.since.is_none_or(|since| since <= accept_time)
            && self.is_before_end(accept_time)
    }

    /// Whether something happened before the time was over.
    pub(super) fn is_before_end(&self, moment: Timestamp) -> bool {
        self.until.is_none_or(|until| moment < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds, nanos: 0 }
    }

    fn window(since: Option<i64>, until: Option<i64>) -> Result<Window, Refusal> {
        let request = pb::GetLedgerRequest { since_time: since.map(at), until_time: until.map(at) };
        Window::of_request(&request)
    }

    #[track_caller]
    fn check(since: Option<i64>, until: Option<i64>, sequence: u64, expected: bool) {
        let time = Timestamp::from_micros(100_000_000).unwrap();
        let asked = window(since, until).unwrap();
        let window = asked.at_head(9);
        assert_eq!(window.holds(sequence, time), expected, "{since:?} {until:?} {sequence}");
        assert_eq!(Window::of_request(&window.to_request()), Ok(asked));
    }

    #[test]
    fn the_first_moment_counts_and_the_last_does_not() {
        check(None, None, 8, true);
        check(None, None, 9, false);
        check(Some(100), None, 8, true);
        check(Some(101), None, 8, false);
        check(None, Some(101), 8, true);
        check(None, Some(100), 8, false);
        check(Some(100), Some(100), 8, false);
    }

    #[test]
    fn a_time_that_cannot_be_is_refused_with_its_field() {
        #[track_caller]
        fn check(since: Option<i64>, until: Option<i64>, field: &'static str) {
            let refusal = window(since, until).unwrap_err();
            assert_eq!((refusal.reason, refusal.field), (Reason::FieldInvalid, field));
        }
        check(Some(-1), None, "since_time");
        check(None, Some(i64::MAX), "until_time");
        check(Some(2), Some(1), "until_time");
    }
}
