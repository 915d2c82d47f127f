//! Moments as people write them: a day, a time with its zone, or for what is due so long from now.

use watchfire::model::time::Timestamp;
use watchfire::wire;

use crate::crl::now;
use crate::output;

/// A day (`2026-03-01`, from midnight UTC), a time (RFC 3339), or `now`.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(now());
    }
    let day = text.parse::<jiff::civil::Date>().ok().filter(|_day| !text.contains(['T', ' ']));
    let time = match day {
        Some(day) => day.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp()),
        None => text.parse(),
    };
    let time = time.map_err(|_no_time| {
        "must be a day (2026-03-01), a time with its zone (2026-03-01T12:00:00Z), or now".to_owned()
    })?;
    let micros = u64::try_from(time.as_microsecond()).ok();
    micros
        .and_then(Timestamp::from_micros)
        .ok_or_else(|| "must lie between 1970 and 9999".to_owned())
}

/// The same, or so long from now: `12h`, `3d`, `2w`.
pub(crate) fn due(text: &str) -> Result<Timestamp, String> {
    let span: Option<jiff::Span> = text.parse().ok();
    let duration = span
        .and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok())
        .and_then(|duration| std::time::Duration::try_from(duration).ok());
    match duration {
        Some(duration) => Ok(now().saturating_add(duration)),
        None => moment(text).map_err(|rule| format!("{rule}, or so long from now (12h, 3d, 2w)")),
    }
}

/// Says so if what a flag sets is over already. It may be meant: what is amended may no longer hold.
pub(crate) fn note_past(time: Option<Timestamp>, flag: &str) {
    if let Some(time) = time.filter(|time| *time < now()) {
        output::note(&format!("warning: {flag} lies in the past: {time}"));
    }
}

/// A moment as a message.
pub(crate) fn to_wire(time: Option<Timestamp>) -> Option<prost_types::Timestamp> {
    time.map(wire::time::timestamp_to_wire)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_is_a_day_or_a_time_with_its_zone() {
        let at = |text| moment(text).map(|time| time.to_string());
        assert_eq!(at("2018-08-22").unwrap(), "2018-08-22T00:00:00.000000Z");
        assert_eq!(at("2018-08-22T01:00:00+02:00").unwrap(), "2018-08-21T23:00:00.000000Z");
        assert_eq!(at("2018-08-22T01:00:00.0000019Z").unwrap(), "2018-08-22T01:00:00.000001Z");
        for bad in ["", "yesterday", "2018-08", "2018-08-22T01:00:00", "1969-12-31", "3d"] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_due_may_be_so_long_from_now() {
        let in_days = |days: u64| now().saturating_add(Duration::from_secs(days * 86_400));
        for (text, days) in [("3d", 3), ("2w", 14), ("48h", 2)] {
            let away = in_days(days).saturating_since(due(text).unwrap());
            assert!(away < Duration::from_mins(1), "{text}");
        }
        assert_eq!(due("2018-08-22").unwrap(), moment("2018-08-22").unwrap());
        for bad in ["-3d", "3", "soon", "3 fortnights"] {
            assert!(due(bad).is_err(), "{bad}");
        }
    }
}
