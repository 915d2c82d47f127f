//! Records as a table for people: defanged, without control characters, cut to fit.

use comfy_table::ColumnConstraint;
use comfy_table::Table;
use comfy_table::Width;
use comfy_table::presets;
use watchfire::client::Reading;
use watchfire::client::VerifiedEntry;
use watchfire::client::expiry;
use watchfire::model::observable::ObservableKind;
use watchfire::model::refang::defang;
use watchfire::model::refang::defang_text;
use watchfire::model::refang::refang;
use watchfire::model::visible::visible_line;
use watchfire::wire::pb;

use crate::operation_claims;
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

/// Entries as a table, each with what its reader knows of it.
pub(crate) fn entries<'a>(
    entries: impl Iterator<Item = (&'a VerifiedEntry, Reading<'a>)>,
    heading: Heading,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if heading == Heading::Shown {
        table.set_header(TITLES);
    }
    for (entry, reading) in entries {
        table.add_row(row(entry, reading));
    }
    let least = WIDTHS.map(|width| ColumnConstraint::LowerBoundary(Width::Fixed(width)));
    table.set_constraints(least);
    trimmed(&table)
}

/// A table's lines without blanks at their ends.
pub(crate) fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn row(entry: &VerifiedEntry, reading: Reading<'_>) -> [String; 8] {
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
        says_with(&cut(&says), &asides(entry, reading)),
        header.handling.tlp.to_string(),
        format!("{}@{}", header.name.record, header.revision),
    ]
}

/// How sure the publisher is, and the reader; until when it may be acted on; and whether the hub still has it.
fn asides(entry: &VerifiedEntry, reading: Reading<'_>) -> String {
    let mut asides = Vec::new();
    asides.extend(stated(entry).map(|confidence| format!("confidence {confidence}")));
    asides.extend(reading.overlay.map(|own| format!("own confidence {}", own.confidence)));
    asides.extend(expiry(entry).map(|until| {
        let time = until.to_string();
        let day = time.split('T').next().unwrap_or_default();
        if until <= reading.now { format!("expired {day}") } else { format!("until {day}") }
    }));
    asides.extend(match reading.distance {
        0 => None,
        1 => Some("1 bit off".to_owned()),
        bits => Some(format!("{bits} bits off")),
    });
    asides.extend(entry.erased_by().map(|cause| format!("erased, see {cause}")));
    if asides.is_empty() { String::new() } else { format!("[{}]", asides.join("; ")) }
}

fn says_with(says: &str, asides: &str) -> String {
    format!("{says} {asides}").trim().to_owned()
}

/// How sure the publisher says it is.
fn stated(entry: &VerifiedEntry) -> Option<u32> {
    use pb::body::Content;

    let content = entry.body().content.as_ref();
    if let Some(Content::Indicator(said)) = content {
        return said.confidence;
    }
    if let Some(Content::Attribution(said)) = content {
        return said.confidence;
    }
    if let Some(Content::Link(said)) = content { said.confidence } else { None }
}

/// Kind, platform, and what is said in short, as one harmless line.
pub(crate) fn said(entry: &VerifiedEntry) -> (String, String, String) {
    use pb::body::Content;

    let kind = entry.header().body_kind.as_str().to_owned();
    let none = String::new;
    match entry.body().content.as_ref() {
        Some(Content::Indicator(indicator)) => indicator_said(indicator),
        Some(Content::Operation(operation)) => {
            (kind, none(), harmless_text(&operation.title))
        }
        Some(content) => (kind, none(), harmless_text(&statement(content))),
        None => (kind, none(), none()),
    }
}

/// What a record says in short, if it is neither an indicator nor an operation.
fn statement(content: &pb::body::Content) -> String {
    use pb::body::Content;

    match content {
        Content::Indicator(_) | Content::Operation(_) => String::new(),
        Content::Attribution(said) => format!("{} behind {}", said.actor, said.operation),
        Content::Link(said) => {
            let (from, to) = (reference(said.source.as_ref()), reference(said.target.as_ref()));
            format!("{from} {} {to}", word(said.r#type().as_str_name(), "LINK_TYPE_"))
        }
        Content::Sighting(said) => format!("saw {} of {}", said.count, said.of),
        Content::Opinion(said) => {
            let stance = word(said.stance().as_str_name(), "STANCE_");
            let reason = word(said.reason().as_str_name(), "OPINION_REASON_");
            format!("{stance} ({reason}): {}", said.of)
        }
        Content::ActionReport(said) => {
            format!("{} {}", word(said.action().as_str_name(), "ACTION_"), said.of)
        }
        Content::Inquiry(said) => said.question.clone(),
        Content::Reply(said) => {
            let result = word(said.result().as_str_name(), "REPLY_RESULT_");
            format!("{result}: {}", said.text)
        }
        Content::Note(said) => said.text.clone(),
        Content::Withdrawal(said) => {
            format!("{} {}", word(said.reason().as_str_name(), "WITHDRAWAL_REASON_"), said.of)
        }
        Content::Acknowledgement(said) => {
            let answer = word(said.answer().as_str_name(), "ACKNOWLEDGEMENT_ANSWER_");
            format!("{answer} {}", said.of)
        }
        Content::RosterChange(change) => format!("{} {}", roster_change(change), change.member),
        Content::KeyChange(change) => key_change(change).to_owned(),
        Content::AudienceChange(change) => {
            format!("{} {}", audience_change(change), change.audience)
        }
        Content::Takedown(said) => {
            format!("{} {}", word(said.reason().as_str_name(), "TAKEDOWN_REASON_"), said.of)
        }
        Content::Erasure(said) => format!("erased {} bodies", said.sequences.len()),
        Content::Retention(said) => {
            format!("let go the bodies of {} to {}", said.first_sequence, said.end_sequence)
        }
        Content::Genesis(genesis) => format!("founds {}", genesis.title),
    }
}

/// An enum value in the words of people.
pub(crate) fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_ascii_lowercase().replace('_', "-")
}

/// A record, or a harmless value.
pub(crate) fn reference(reference: Option<&pb::Reference>) -> String {
    match reference.and_then(|reference| reference.to.as_ref()) {
        Some(pb::reference::To::Record(name)) => name.clone(),
        Some(pb::reference::To::Value(value)) => harmless(&value.value),
        None => "?".to_owned(),
    }
}

fn audience_change(change: &pb::AudienceChange) -> &'static str {
    match &change.change {
        Some(pb::audience_change::Change::Create(_)) => "makes",
        Some(pb::audience_change::Change::Add(_)) => "adds to",
        Some(pb::audience_change::Change::Remove(_)) => "removes from",
        None => "changes",
    }
}

fn indicator_said(indicator: &pb::Indicator) -> (String, String, String) {
    let observable = indicator.observable.clone().unwrap_or_default();
    let value = if let Some(aggregate) = &observable.aggregate {
        aggregate_said(aggregate)
    } else if observable.value.is_empty() {
        harmless(&observable.display_name)
    } else {
        harmless(&observable.value)
    };
    (kind_name(observable.kind), observable.platform, value)
}

/// The total first, then what it is made of: `58 account (39 channel on youtube, 13 account on google-plus)`.
fn aggregate_said(aggregate: &pb::Aggregate) -> String {
    let pb::Aggregate { of, count, parts } = aggregate;
    let whole = operation_claims::count(count.as_ref(), *of);
    let parts = operation_claims::counts(parts);
    if parts.is_empty() { whole } else { format!("{whole} ({parts})") }
}

/// A text of people as one line, with harmless addresses.
pub(crate) fn harmless_text(text: &str) -> String {
    defang_text(&visible_line(text))
}

/// Defanged once, whatever it was before.
pub(crate) fn harmless(value: &str) -> String {
    defang(&visible_line(&refang(value)))
}

/// A kind of asset, by its number.
pub(crate) fn kind_name(number: i32) -> String {
    ObservableKind::from_number(number).map_or_else(|| "asset".to_owned(), |kind| kind.to_string())
}

fn roster_change(change: &pb::RosterChange) -> &'static str {
    match &change.change {
        Some(pb::roster_change::Change::Admit(_)) => "admits",
        Some(pb::roster_change::Change::Suspend(_)) => "suspends",
        Some(pb::roster_change::Change::Reinstate(_)) => "reinstates",
        Some(pb::roster_change::Change::RetireKey(_)) => "retires a key of",
        Some(pb::roster_change::Change::Quota(_)) => "sets the quota of",
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

/// The beginning of what a record says.
pub(crate) fn cut(text: &str) -> String {
    if text.chars().count() <= SAYS_MAX {
        return text.to_owned();
    }
    let head: String = text.chars().take(SAYS_MAX - 1).collect();
    head + "…"
}
