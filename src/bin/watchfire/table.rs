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
const WIDTHS: [u16; 8] = [6, 18, 12, 12, 8, 38, 9, 36];
/// Blanks around a cell.
const PADDING: u16 = 2;
/// Characters of what a record says.
pub(crate) const SAYS_MAX: usize = 100;

/// A plain table with these titles.
pub(crate) fn plain(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(titles);
    table
}

/// A table of entries that is shown piece by piece: titles once, and columns that never become narrower, so that what
/// comes later stands under what came before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entries {
    widths: [u16; 8],
    is_begun: bool,
}

impl Entries {
    /// Nothing was shown yet.
    pub(crate) const fn new() -> Self {
        Self { widths: WIDTHS, is_begun: false }
    }

    /// The next entries, each with what its reader knows of it.
    pub(crate) fn next<'a>(
        &mut self,
        entries: impl Iterator<Item = (&'a VerifiedEntry, Reading<'a>)>,
    ) -> String {
        self.rows(entries.map(|(entry, reading)| row(entry, reading)).collect())
    }

    fn rows(&mut self, rows: Vec<[String; 8]>) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        if !self.is_begun {
            table.set_header(TITLES);
        }
        self.is_begun = true;
        table.add_rows(rows);
        for (least, width) in self.widths.iter_mut().zip(table.column_max_content_widths()) {
            *least = width.max(*least);
        }
        let padding = |width: u16| Width::Fixed(width.saturating_add(PADDING));
        let least = self.widths.map(|width| ColumnConstraint::LowerBoundary(padding(width)));
        table.set_constraints(least);
        trimmed(&table)
    }
}

/// A table's lines without blanks at their ends.
pub(crate) fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn row(entry: &VerifiedEntry, reading: Reading<'_>) -> [String; 8] {
    let header = entry.header();
    let (kind, platform, says) = said(entry);
    let time = entry.accept_time().to_string();
    let second = time.split('.').next().unwrap_or_default();
    [
        entry.sequence().to_string(),
        format!("{second}Z"),
        header.name.member.to_string() + doubts(entry),
        clean(&kind),
        clean(&platform),
        says_with(&cut(&says), &asides(entry, reading)),
        header.handling.tlp.to_string(),
        format!("{}@{}", header.name.record, header.revision),
    ]
}

/// What readers are told about the key that signed a record.
pub(crate) const fn doubts(entry: &VerifiedEntry) -> &'static str {
    match (entry.is_in_doubt(), entry.is_unconfirmed()) {
        (false, false) => "",
        (true, false) => " (key compromised)",
        (false, true) => " (key unconfirmed)",
        (true, true) => " (key compromised, and unconfirmed)",
    }
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
        Some(Content::Operation(operation)) => (kind, none(), harmless_text(&operation.title)),
        Some(content) => (kind, none(), harmless_text(&statement(content))),
        None => (kind, none(), none()),
    }
}

/// Kind, platform and the beginning of what is said, as one harmless line.
pub(crate) fn short(entry: &VerifiedEntry, most: usize) -> String {
    let (kind, platform, says) = said(entry);
    words(&[&kind, &clean(&platform), &cut_to(&says, most)])
}

/// Kind and platform of a value, and the value, as one harmless line.
pub(crate) fn short_value(kind: i32, platform: &str, value: &str) -> String {
    words(&[&kind_name(kind), &clean(platform), &harmless(value)])
}

/// Those words that are there.
pub(crate) fn words(words: &[&str]) -> String {
    let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    words.join(" ")
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
        Content::Epoch(said) => {
            format!("epoch {} begins: {}", said.epoch, said.reason)
        }
        Content::Conflict(said) => {
            format!("a second header for the record at sequence {}", said.first_sequence)
        }
        Content::LogKeyChange(_) => "puts the log's next key in place".to_owned(),
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
        Some(pb::roster_change::Change::ResetKeys(_)) => "resets the keys of",
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
    cut_to(text, SAYS_MAX)
}

/// The beginning of a text, at most so many characters.
pub(crate) fn cut_to(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let head: String = text.chars().take(most.saturating_sub(1)).collect();
    head + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_later_stands_under_what_came_before() {
        let row =
            |says: &str| TITLES.map(|title| if title == "SAYS" { says } else { title }.to_owned());
        let long = "a very long line ".repeat(4);
        let mut table = Entries::new();
        let shown = [&long, "short", &long].map(|says| table.rows(vec![row(says)])).concat();
        let places: Vec<Option<usize>> = shown.lines().map(|line| line.find("TLP")).collect();
        assert_eq!(places.len(), 4, "titles once: {shown}");
        assert!(places.iter().all(|place| place.is_some() && *place == places[0]), "{shown}");
    }

    #[test]
    fn what_is_known_of_an_erased_record_stands_at_the_edge() {
        assert_eq!(says_with("", "[erased, see 3]"), "[erased, see 3]");
        assert_eq!(says_with("x", "[expired]"), "x [expired]");
        assert_eq!(says_with("x", ""), "x");
    }

    #[test]
    fn a_count_has_its_total_and_where_its_parts_are() {
        let exact = |number| Some(pb::Figure { value: Some(pb::figure::Value::Exact(number)) });
        let part = |of: pb::ObservableKind, platform: &str, number| pb::AggregatePart {
            of: of.into(),
            platform: platform.to_owned(),
            count: exact(number),
        };
        let mut whole = pb::Aggregate {
            of: pb::ObservableKind::Account.into(),
            count: exact(58),
            parts: vec![
                part(pb::ObservableKind::Channel, "youtube", 39),
                part(pb::ObservableKind::Blog, "", 19),
            ],
        };
        assert_eq!(aggregate_said(&whole), "58 account (39 channel on youtube, 19 blog)");
        whole.parts.clear();
        assert_eq!(aggregate_said(&whole), "58 account");
    }
}
