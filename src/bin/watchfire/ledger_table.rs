//! The ledger as tables for people.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use watchfire::client::Found;
use watchfire::model::header::BodyKind;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::output::clean;
use crate::table;
use crate::table::word;

const ROWS: [&str; 11] = [
    "MEMBER",
    "ROLE",
    "GIVEN",
    "WITHDRAWN",
    "CONFIRMED",
    "DISPUTED",
    "ACTED ON",
    "RECEIVED",
    "ACTED",
    "DELIVERED*",
    "ACKNOWLEDGED*",
];
const TIMES: [&str; 7] =
    ["OF", "FROM .. TO", "VOUCHED FOR BY", "COUNT", "HALF", "9 IN 10", "LEFT OUT"];

/// Characters of an operation's title.
const TITLE_MAX: usize = 40;

/// Records that an answer names, as far as they may be read.
pub(crate) type Known = BTreeMap<RecordName, Found>;

/// The operations that have times of their own.
pub(crate) fn operations(answer: &pb::GetLedgerResponse) -> BTreeSet<RecordName> {
    answer.times.iter().filter_map(|time| time.operation.parse().ok()).collect()
}

/// Who gave and received what, then how long sharing took.
pub(crate) fn ledger(answer: &pb::GetLedgerResponse, known: &Known) -> String {
    let mut rows = table::plain(&ROWS);
    for row in &answer.rows {
        rows.add_row(cells(row));
    }
    let mut times = table::plain(&TIMES);
    for time in &answer.times {
        times.add_row(measured(time, known));
    }
    let left_out = match answer.operations_left_out {
        0 => String::new(),
        count => format!("{count} smaller operations have no times of their own.\n"),
    };
    let note = "In brackets: by how many different members. * what the hub claims of itself.";
    let (rows, times) = (table::trimmed(&rows), table::trimmed(&times));
    format!("{rows}\n{times}\n{left_out}{note}\n")
}

fn cells(row: &pb::LedgerRow) -> [String; 11] {
    let member = match row.member.strip_prefix("members/") {
        Some(member) => clean(member),
        None if row.members == 1 => "(1 other)".to_owned(),
        None => format!("({} others)", row.members),
    };
    let role = match row.role() {
        pb::Role::Unspecified => "several".to_owned(),
        role
        @ (pb::Role::Company | pb::Role::Observer | pb::Role::Auditor | pb::Role::Operator) => {
            word(role.as_str_name(), "ROLE_")
        }
    };
    let given: Vec<String> = row
        .given
        .iter()
        .map(|given| {
            let kind = BodyKind::from_number(given.kind).map_or("unknown", BodyKind::as_str);
            format!("{} {kind}", given.count)
        })
        .collect();
    let by =
        |count: u64, by: u64| if count == 0 { "0".to_owned() } else { format!("{count} ({by})") };
    let claimed =
        |claim: Option<u64>| claim.map_or_else(|| "-".to_owned(), |count| count.to_string());
    [
        member,
        role,
        if given.is_empty() { "0".to_owned() } else { given.join(", ") },
        row.withdrawn.to_string(),
        by(row.confirmed, row.confirmed_by),
        by(row.disputed, row.disputed_by),
        by(row.acted_on, row.acted_on_by),
        row.received.to_string(),
        row.received_acted_on.to_string(),
        claimed(row.delivered),
        claimed(row.acknowledged),
    ]
}

/// An operation by its title, as its record has it, and its name.
fn titled(operation: &str, known: &Known) -> String {
    let found = operation.parse().ok().and_then(|name: RecordName| known.get(&name));
    let title = found.map(|found| table::said(&found.entry).2).unwrap_or_default();
    let name = clean(operation.trim_start_matches("members/"));
    table::words(&[&table::cut_to(&title, TITLE_MAX), &name])
}

fn measured(time: &pb::TimeToShare, known: &Known) -> [String; 7] {
    let whose = match (time.member.as_str(), time.operation.as_str()) {
        ("", "") => "all".to_owned(),
        (member, "") => clean(member.trim_start_matches("members/")),
        (_, operation) => titled(operation, known),
    };
    let vouched = match time.basis() {
        pb::TimeBasis::Claimed => "a member",
        pb::TimeBasis::Log => "the log",
        pb::TimeBasis::Hub => "the hub*",
        pb::TimeBasis::Unspecified => "nobody",
    };
    [
        whose,
        word(time.stage().as_str_name(), "SHARE_STAGE_").replace("-to-", " .. "),
        vouched.to_owned(),
        time.count.to_string(),
        span(time.p50.as_ref()),
        span(time.p90.as_ref()),
        time.left_out.to_string(),
    ]
}

/// A span in its two largest units.
fn span(wire: Option<&prost_types::Duration>) -> String {
    let Some(span) = wire.and_then(|span| Duration::try_from(*span).ok()) else {
        return "-".to_owned();
    };
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{:.3}s", span.as_secs_f64()),
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i64, nanos: i32, expected: &str) {
        assert_eq!(span(Some(&prost_types::Duration { seconds, nanos })), expected);
    }

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        check(0, 12_300_000, "0.012s");
        check(59, 0, "59s");
        check(60, 0, "1m 0s");
        check(3 * 3600 + 59, 0, "3h 0m");
        check(9 * 86_400 + 7200, 0, "9d 2h");
        check(-1, 0, "-");
        assert_eq!(span(None), "-");
    }

    #[test]
    fn a_ledger_says_whose_word_it_is_and_obeys_no_name() {
        let row = |member: &str, delivered| pb::LedgerRow {
            member: member.to_owned(),
            members: 2,
            given: vec![pb::KindCount { kind: 2, count: 5 }, pb::KindCount { kind: 6, count: 1 }],
            confirmed: 4,
            confirmed_by: 1,
            delivered,
            ..pb::LedgerRow::default()
        };
        let time = pb::TimeToShare {
            member: "members/acme-video".to_owned(),
            stage: pb::ShareStage::PublishedToDelivered.into(),
            basis: pb::TimeBasis::Hub.into(),
            count: 3,
            ..pb::TimeToShare::default()
        };
        let answer = pb::GetLedgerResponse {
            rows: vec![row("members/acme\u{1b}[31m", Some(7)), row("", None)],
            times: vec![time],
            operations_left_out: 2,
            ..pb::GetLedgerResponse::default()
        };
        let shown = ledger(&answer, &Known::new());
        for text in [
            "acme[31m",
            "(2 others)",
            "several",
            "5 indicator, 1 sighting",
            "4 (1)",
            "7",
            "acme-video",
            "published .. delivered",
            "the hub*",
            "2 smaller operations",
        ] {
            assert!(shown.contains(text), "{text:?} in {shown}");
        }
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}
