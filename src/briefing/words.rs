//! Numbers, times and our own terms as people read them.

use std::time::Duration;

use crate::briefing::cadence::Step;
use crate::briefing::figure::Figure;
use crate::briefing::figure::Measure;
use crate::briefing::figure::Provenance;
use crate::briefing::presented::ActionKind;
use crate::briefing::presented::OperationStatus;
use crate::briefing::problems::RecallOutcome;
use crate::briefing::problems::RecallReason;
use crate::briefing::problems::Stance;
use crate::model::time::Timestamp;

/// `13,466`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len().saturating_mul(2));
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 day`, `3 days`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// `39`, `at least 3,000`, `5 to 6`.
pub(super) fn figure(figure: Figure) -> String {
    shown(figure, number)
}

/// The same in hundredths: `1,000.50`.
pub(super) fn money(figure: Figure) -> String {
    shown(figure, |hundredths| format!("{}.{:02}", number(hundredths / 100), hundredths % 100))
}

fn shown(figure: Figure, number: impl Fn(u64) -> String) -> String {
    match figure {
        Figure::Exact(exact) => number(exact),
        Figure::AtLeast(least) => format!("at least {}", number(least)),
        Figure::Between { low, high } => format!("{} to {}", number(low), number(high)),
    }
}

/// `22 Aug 2018`, UTC.
pub(super) fn date(time: Timestamp) -> String {
    zoned(time, "%-d %b %Y")
}

/// `22 Aug 2018, 14:05 UTC`.
pub(super) fn moment(time: Timestamp) -> String {
    zoned(time, "%-d %b %Y, %H:%M UTC")
}

/// `22 Aug`, for axes.
pub(super) fn day(time: Timestamp) -> String {
    zoned(time, "%-d %b")
}

/// By the calendar alone, which reaches further than what knows of zones.
fn zoned(time: Timestamp, format: &str) -> String {
    let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let since = jiff::SignedDuration::from_micros(micros);
    let utc = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0).saturating_add(since);
    utc.strftime(format).to_string()
}

/// In the two units that tell most: `340 ms`, `12.4 s`, `5 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return format!("{} ms", duration.as_millis());
    }
    if seconds < 60 {
        return format!("{}.{} s", seconds, duration.subsec_millis() / 100);
    }
    let minutes = seconds / 60;
    if minutes < 60 {
        return two(minutes, "min", seconds % 60, "s");
    }
    let hours = minutes / 60;
    if hours < 24 {
        return two(hours, "h", minutes % 60, "min");
    }
    two(hours / 24, "d", hours % 24, "h")
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    let large = number(large);
    if small == 0 {
        return format!("{large} {large_unit}");
    }
    format!("{large} {large_unit} {small} {small_unit}")
}

/// The mark behind a number or a time.
pub(super) const fn mark(provenance: Provenance) -> &'static str {
    match provenance {
        Provenance::Proven => "",
        Provenance::HubClaims => "†",
        Provenance::MemberClaims => "‡",
    }
}

/// What the mark means, in a word or three.
pub(super) const fn provenance(provenance: Provenance) -> &'static str {
    match provenance {
        Provenance::Proven => "proven by the log",
        Provenance::HubClaims => "the hub says so",
        Provenance::MemberClaims => "a member says so",
    }
}

pub(super) const fn status(status: OperationStatus) -> &'static str {
    match status {
        OperationStatus::Suspected => "suspected",
        OperationStatus::Active => "active",
        OperationStatus::Disrupted => "disrupted",
        OperationStatus::Dormant => "dormant",
    }
}

pub(super) const fn measure(measure: Measure) -> &'static str {
    match measure {
        Measure::Views => "views",
        Measure::Followers => "followers",
        Measure::Members => "members of groups",
        Measure::AccountsReached => "accounts reached",
        Measure::Impressions => "impressions",
        Measure::Engagements => "engagements",
        Measure::AdSpend => "spent on ads",
        Measure::AdCount => "ads",
        Measure::Posts => "posts",
    }
}

pub(super) const fn action(action: ActionKind) -> &'static str {
    match action {
        ActionKind::Removed => "removed",
        ActionKind::Restricted => "restricted",
        ActionKind::Labelled => "labelled",
        ActionKind::Demonetised => "demonetised",
        ActionKind::Referred => "referred",
        ActionKind::Monitored => "monitored",
        ActionKind::NoAction => "no action",
        ActionKind::Restored => "restored",
    }
}

pub(super) const fn stance(stance: Stance) -> &'static str {
    match stance {
        Stance::StronglyDisagrees => "strongly disagrees",
        Stance::Disagrees => "disagrees",
        Stance::Neutral => "neutral",
        Stance::Agrees => "agrees",
        Stance::StronglyAgrees => "strongly agrees",
    }
}

pub(super) const fn recall_reason(reason: RecallReason) -> &'static str {
    match reason {
        RecallReason::Error => "it was wrong",
        RecallReason::Restored => "the asset was put back",
        RecallReason::Restricted => "restricted",
        RecallReason::Legal => "law",
        RecallReason::Privacy => "privacy",
        RecallReason::Duplicate => "duplicate",
        RecallReason::SuspendedMember => "its publisher is suspended",
    }
}

pub(super) const fn recall_outcome(outcome: RecallOutcome) -> &'static str {
    match outcome {
        RecallOutcome::Deleted => "deleted",
        RecallOutcome::NotHeld => "did not hold it",
        RecallOutcome::Refused => "refused",
    }
}

/// The step in full.
pub(super) const fn step(step: Step) -> &'static str {
    match step {
        Step::ObservedToPublished => "observed → published",
        Step::PublishedToDelivered => "published → delivered",
        Step::PublishedToAcknowledged => "published → acknowledged",
        Step::PublishedToActed => "published → acted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        for (given, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (13_466, "13,466"),
            (126_000_000, "126,000,000"),
        ] {
            assert_eq!(number(given), expected);
        }
        assert_eq!(number(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(figure(Figure::AtLeast(3000)), "at least 3,000");
        assert_eq!(figure(Figure::Between { low: 652, high: 653 }), "652 to 653");
        assert_eq!(money(Figure::Exact(100_005)), "1,000.05");
    }

    #[test]
    fn durations_have_two_units() {
        for (millis, expected) in [
            (0, "0 ms"),
            (340, "340 ms"),
            (12_400, "12.4 s"),
            (60_000, "1 min"),
            (320_000, "5 min 20 s"),
            (7_500_000, "2 h 5 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), expected);
        }
        assert_eq!(duration(Duration::MAX), "213,503,982,334,601 d 7 h");
    }

    #[test]
    fn times_are_in_utc() {
        let time = Timestamp::from_micros(1_534_946_700_000_000).unwrap();
        assert_eq!(moment(time), "22 Aug 2018, 14:05 UTC");
        assert_eq!(date(time), "22 Aug 2018");
        assert_eq!(date(Timestamp::MAX), "31 Dec 9999");
    }
}
