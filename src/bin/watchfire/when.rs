//! Times as people give them: so long ago, a day, or a moment.

use std::str::FromStr;
use std::time::Duration;

use watchfire::model::time::Timestamp;

use crate::failure::Failure;

/// A time on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// So long before now.
    Ago(Duration),
    /// This moment.
    At(Timestamp),
}

impl When {
    /// The time that it is, seen from now; a usage error if it lies before 1970.
    pub(crate) fn time(self, now: Timestamp) -> Result<Timestamp, Failure> {
        match self {
            Self::At(time) => Ok(time),
            Self::Ago(ago) => u64::try_from(ago.as_micros())
                .ok()
                .and_then(|ago| now.as_micros().checked_sub(ago))
                .and_then(Timestamp::from_micros)
                .ok_or_else(|| Failure::Usage("a time must not lie before 1970".to_owned())),
        }
    }
}

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rule = "must be like 7d, 12h, 30m or 2w ago, 2018-08-22, or 2018-08-22T12:00:00Z";
        ago(text).map(Self::Ago).or_else(|| moment(text).map(Self::At)).ok_or(rule)
    }
}

fn ago(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// A day is its first moment in UTC.
fn moment(text: &str) -> Option<Timestamp> {
    let full = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    let time: jiff::Timestamp = full.parse().ok()?;
    u64::try_from(time.as_microsecond()).ok().and_then(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_534_939_200_000_000;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let now = Timestamp::from_micros(NOW).unwrap();
        let time = text.parse::<When>().ok().and_then(|when| when.time(now).ok());
        assert_eq!(time.map(|time| time.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn a_time_is_so_long_ago_a_day_or_a_moment() {
        check("0s", Some("2018-08-22T12:00:00.000000Z"));
        check("30m", Some("2018-08-22T11:30:00.000000Z"));
        check("12h", Some("2018-08-22T00:00:00.000000Z"));
        check("7d", Some("2018-08-15T12:00:00.000000Z"));
        check("2w", Some("2018-08-08T12:00:00.000000Z"));
        check("2018-08-22", Some("2018-08-22T00:00:00.000000Z"));
        check("2018-08-22T12:00:00Z", Some("2018-08-22T12:00:00.000000Z"));
        check("2018-08-22T12:00:00+02:00", Some("2018-08-22T10:00:00.000000Z"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "d", "-7d", "7", "7y", "99999999999999999w", "60000d", "1969-12-31", "soon", "7é"]
        {
            check(text, None);
        }
    }
}
