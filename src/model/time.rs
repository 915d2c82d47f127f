//! Time as the log knows it: whole microseconds since 1970, and the clock they come from.

use std::fmt;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The last moment that can be written in RFC 3339: the end of the year 9999.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// From microseconds since 1970; `None` past the year 9999.
    pub const fn from_micros(micros: u64) -> Option<Self> {
        if micros <= Self::MAX.0 { Some(Self(micros)) } else { None }
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// From RFC 3339; what is finer than a microsecond is cut off, and moments before 1970 become 1970. `None` if it is
    /// no such text, or lies in the last days of the year 9999 or after.
    pub fn parse(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.parse().ok()?;
        Self::from_micros(u64::try_from(time.as_microsecond()).unwrap_or_default())
    }

    /// So long before; 1970 at the earliest.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(micros))
    }

    /// The moment `duration` later, or the last one.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros).min(Self::MAX.0))
    }

    /// How much later this is than `earlier`; zero if it is not.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    /// Moments before 1970 become 1970.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_micros()).unwrap_or(Self::MAX.0).min(Self::MAX.0))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_micros(time.0)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, UTC, microseconds.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_microsecond(micros) {
            Ok(time) => write!(formatter, "{time:.6}"),
            Err(_out_of_range) => write!(formatter, "{micros}us"),
        }
    }
}

/// Where the time comes from; tests put their own in its place.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Time that only goes forward, from any start.
    fn monotonic(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that others take")]
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_microseconds() {
        let time = Timestamp::from_micros(1_534_896_000_000_001).unwrap();
        assert_eq!(time.to_string(), "2018-08-22T00:00:00.000001Z");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let parse = |text| Timestamp::parse(text).map(Timestamp::as_micros);
        assert_eq!(parse("2018-08-22T00:00:00.000001Z"), Some(1_534_896_000_000_001));
        assert_eq!(parse("2018-08-22T00:00:00.0000019Z"), Some(1_534_896_000_000_001));
        assert_eq!(parse("2018-08-22T01:00:00+01:00"), Some(1_534_896_000_000_000));
        assert_eq!(parse("1969-12-31T23:59:59Z"), Some(0));
        for wrong in
            ["", "2018-08-22", "2018-13-22T00:00:00Z", "now", "1534896000", "2018-08-22T00:00:00"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_year_10000_is_refused() {
        assert!(Timestamp::from_micros(Timestamp::MAX.as_micros()).is_some());
        assert!(Timestamp::from_micros(Timestamp::MAX.as_micros() + 1).is_none());
    }
}
