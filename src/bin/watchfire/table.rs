//! Records as a table for people: defanged, without control characters, cut to fit.

use comfy_table::ColumnConstraint;
use comfy_table::Table;
use comfy_table::Width;
use comfy_table::presets;
use watchfire::client::VerifiedEntry;
use watchfire::model::observable::ObservableKind;
use watchfire::model::refang::defang;
use watchfire::model::refang::refang;
use watchfire::wire::pb;

use crate::output::clean;

const TITLES: [&str; 8] =
    ["SEQUENCE", "ACCEPTED", "PUBLISHER", "KIND", "PLATFORM", "SAYS", "TLP", "RECORD"];
const WIDTHS: [u16; 8] = [8, 20, 14, 14, 10, 40, 11, 38];
/// Characters of what a record says.
const SAYS_MAX: usize = 100;

/// A plain table with these titles.
pub(crate) fn plain(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(titles);
    table
}

/// Whether a table begins anew or goes on under the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heading {
    /// With titles.
    Shown,
    /// Without.
    Left,
}

/// Entries as a table.
pub(crate) fn entries(entries: &[VerifiedEntry], heading: Heading) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if heading == Heading::Shown {
        table.set_header(TITLES);
    }
    for entry in entries {
        table.add_row(row(entry));
    }
    let least = WIDTHS.map(|width| ColumnConstraint::LowerBoundary(Width::Fixed(width)));
    table.set_constraints(least);
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn row(entry: &VerifiedEntry) -> [String; 8] {
    let header = entry.header();
    let (kind, platform, says) = said(entry);
    let doubt = if entry.is_in_doubt() { " (key compromised)" } else { "" };
    let time = entry.accept_time().to_string();
    let second = time.split('.').next().unwrap_or_default();
    [
        entry.sequence().to_string(),
        format!("{second}Z"),
        header.name.member.to_string() + doubt,
        clean(&kind),
        clean(&platform),
        cut(&clean(&says)),
        header.handling.tlp.to_string(),
        format!("{}@{}", header.name.record, header.revision),
    ]
}

/// Kind, platform, and what is said in short.
fn said(entry: &VerifiedEntry) -> (String, String, String) {
    use pb::body::Content;

    let kind = entry.header().body_kind.as_str().to_owned();
    let none = String::new;
    match entry.body().content.as_ref() {
        Some(Content::Indicator(indicator)) => indicator_said(indicator),
        Some(Content::Operation(operation)) => (kind, none(), operation.title.clone()),
        Some(Content::Withdrawal(withdrawal)) => {
            (kind, none(), format!("{} {}", reason(withdrawal.reason), withdrawal.of))
        }
        Some(Content::RosterChange(change)) => {
            (kind, none(), format!("{} {}", roster_change(change), change.member))
        }
        Some(Content::KeyChange(change)) => (kind, none(), key_change(change).to_owned()),
        Some(Content::Genesis(genesis)) => (kind, none(), format!("founds {}", genesis.title)),
        None => (kind, none(), none()),
    }
}

fn indicator_said(indicator: &pb::Indicator) -> (String, String, String) {
    let observable = indicator.observable.clone().unwrap_or_default();
    let value = if let Some(aggregate) = &observable.aggregate {
        let whole = || format!("{} {}", count(aggregate.count.as_ref()), kind_name(aggregate.of));
        let parts = aggregate.parts.iter();
        let parts: Vec<String> = parts
            .map(|part| format!("{} {}", count(part.count.as_ref()), kind_name(part.of)))
            .collect();
        if parts.is_empty() { whole() } else { parts.join(", ") }
    } else if observable.value.is_empty() {
        harmless(&observable.display_name)
    } else {
        harmless(&observable.value)
    };
    (kind_name(observable.kind), observable.platform, value)
}

/// Defanged once, whatever it was before.
pub(crate) fn harmless(value: &str) -> String {
    clean(&defang(&refang(value)))
}

fn kind_name(number: i32) -> String {
    ObservableKind::from_number(number).map_or_else(|| "asset".to_owned(), |kind| kind.to_string())
}

fn count(figure: Option<&pb::Figure>) -> String {
    match figure.and_then(|figure| figure.value.as_ref()) {
        Some(pb::figure::Value::Exact(number)) => number.to_string(),
        Some(pb::figure::Value::AtLeast(number)) => format!("at least {number}"),
        Some(pb::figure::Value::Between(range)) => format!("{} to {}", range.low, range.high),
        None => "?".to_owned(),
    }
}

fn reason(number: i32) -> String {
    let name = pb::WithdrawalReason::try_from(number).map_or("?", |reason| reason.as_str_name());
    name.trim_start_matches("WITHDRAWAL_REASON_").to_ascii_lowercase()
}

fn roster_change(change: &pb::RosterChange) -> &'static str {
    match &change.change {
        Some(pb::roster_change::Change::Admit(_)) => "admits",
        Some(pb::roster_change::Change::Suspend(_)) => "suspends",
        Some(pb::roster_change::Change::Reinstate(_)) => "reinstates",
        Some(pb::roster_change::Change::RetireKey(_)) => "retires a key of",
        None => "changes",
    }
}

fn key_change(change: &pb::KeyChange) -> &'static str {
    match &change.change {
        Some(pb::key_change::Change::Add(_)) => "adds a key",
        Some(pb::key_change::Change::Retire(_)) => "retires a key",
        None => "changes keys",
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SAYS_MAX {
        return text.to_owned();
    }
    let head: String = text.chars().take(SAYS_MAX - 1).collect();
    head + "…"
}
