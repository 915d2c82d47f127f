//! An operation whole as text for people: one part after the other, each claim with who says so, nothing added up.

use std::collections::BTreeMap;

use comfy_table::ColumnConstraint;
use comfy_table::ContentArrangement;
use comfy_table::Table;
use comfy_table::Width;
use watchfire::client::Found;
use watchfire::client::OperationView;
use watchfire::client::VerifiedEntry;
use watchfire::model::names::RecordName;
use watchfire::model::time::Timestamp;
use watchfire::wire;
use watchfire::wire::pb;

use crate::operation_claims;
use crate::operation_subjects::Subjects;
use crate::table;
use crate::table::doubts;
use crate::table::harmless_text;
use crate::table::word;

/// Columns of free text are wrapped at so many characters.
const TEXT_WIDTH: u16 = 60;
/// The column of what a statement says besides: on a screen of 120 columns it is seen whole behind what it is about.
const REMARK_WIDTH: u16 = 48;
/// Wide enough that nothing but free text is wrapped.
const TABLE_WIDTH: u16 = 2000;
/// Columns of free text.
const TEXTS: [&str; 7] = ["TEXT", "REASONING", "QUESTION", "ANSWERS", "OBSERVED", "NOTE", "ACTOR"];

/// The whole of it, as it stands at a time, with what is known of the records that its statements are about.
pub(crate) fn operation(
    view: &OperationView,
    known: &BTreeMap<RecordName, Found>,
    now: Timestamp,
) -> String {
    let subjects = Subjects::of(view, known);
    let mut out = head(view);
    operation_claims::add(view, &mut out);
    actions(view, &subjects, &mut out);
    opinions(view, &subjects, &mut out);
    sightings(view, &subjects, &mut out);
    questions(view, &subjects, now, &mut out);
    unasked(view, &mut out);
    notes(view, &subjects, &mut out);
    links(view, &subjects, &mut out);
    subjects.add(&mut out);
    if view.more > 0 {
        let left_out = format!("\n{} more were left out.*\n", view.more);
        out.push_str(&left_out);
    }
    if out.contains('*') {
        out.push_str("\n* The hub's word: nobody signed it, or the record that says so was not there to be checked.\n");
    }
    out
}

/// A part with a table, or nothing if there are no rows; columns in which nothing is said are left out.
pub(crate) fn part<const N: usize>(
    title: &str,
    titles: [&str; N],
    rows: Vec<[String; N]>,
    out: &mut String,
) {
    if rows.is_empty() {
        return;
    }
    let used = |at: usize| rows.iter().any(|row| row.get(at).is_some_and(|cell| !cell.is_empty()));
    let kept: Vec<bool> = (0..N).map(used).collect();
    let titles: Vec<&str> = keep(titles, &kept);
    let mut table: Table = table::plain(&titles);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(TABLE_WIDTH);
    table.add_rows(rows.into_iter().map(|row| keep(row, &kept)));
    for (title, column) in titles.iter().zip(table.column_iter_mut()) {
        if TEXTS.contains(title) {
            let width = if *title == "TEXT" { REMARK_WIDTH } else { TEXT_WIDTH };
            column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(width)));
        }
    }
    let shown = format!("\n{title}\n{}", table::trimmed(&table));
    out.push_str(&shown);
}

fn keep<T>(cells: impl IntoIterator<Item = T>, kept: &[bool]) -> Vec<T> {
    cells.into_iter().zip(kept).filter(|(_cell, kept)| **kept).map(|(cell, _)| cell).collect()
}

fn head(view: &OperationView) -> String {
    let entry = &view.operation;
    let said = match &entry.body().content {
        Some(pb::body::Content::Operation(said)) => said.clone(),
        _ => pb::Operation::default(),
    };
    let mut lines = vec![
        ("operation", name(entry)),
        ("publisher", by(entry)),
        ("taken in", moment(entry.accept_time())),
        ("also known", texts(&said.aliases)),
        (
            "status",
            operation_claims::specified(&word(said.status().as_str_name(), "OPERATION_STATUS_")),
        ),
        ("came from", texts(&said.origin_regions)),
        ("aimed at", texts(&said.target_regions)),
        ("languages", texts(&said.languages)),
        ("activity", span(said.first_activity_time.as_ref(), said.last_activity_time.as_ref())),
        ("labels", texts(&said.labels)),
        ("handling", handling(entry)),
    ];
    if let Some(sequence) = view.withdrawn_sequence {
        lines.push(("withdrawn", format!("at sequence {sequence}*")));
    }
    if let Some(notice) = entry.erased_by() {
        lines.push(("erased", format!("what it said is gone, see sequence {notice}")));
    }
    lines.push(("description", harmless_text(&said.description)));
    lines.extend(said.narratives.iter().map(|text| ("narrative", harmless_text(text))));
    lines.extend(said.references.iter().map(|text| ("read more", harmless_text(text))));
    let shown = lines.iter().filter(|(_what, text)| !text.is_empty());
    let lines: Vec<String> = shown.map(|(what, text)| format!("  {what:<12} {text}\n")).collect();
    let title = if said.title.is_empty() { "[erased]" } else { &harmless_text(&said.title) };
    format!("{title}\n{}", lines.concat())
}

fn actions(view: &OperationView, subjects: &Subjects<'_>, out: &mut String) {
    use pb::body::Content;

    let row = |entry: &VerifiedEntry| {
        let Some(Content::ActionReport(said)) = &entry.body().content else { return None };
        Some([
            by(entry),
            word(said.action().as_str_name(), "ACTION_"),
            operation_claims::counts(&said.counts),
            time(said.action_time.as_ref()),
            subjects.about(&said.of),
            harmless_text(&said.text),
            name(entry),
        ])
    };
    let titles = ["MEMBER", "DID", "TO HOW MANY", "WHEN", "ABOUT", "TEXT", "RECORD"];
    part("What members did", titles, view.actions.iter().filter_map(row).collect(), out);
}

fn opinions(view: &OperationView, subjects: &Subjects<'_>, out: &mut String) {
    let row = |entry: &VerifiedEntry| {
        let Some(pb::body::Content::Opinion(said)) = &entry.body().content else { return None };
        let is_dispute = [pb::Stance::StronglyDisagree, pb::Stance::Disagree];
        let cells = [
            by(entry),
            word(said.stance().as_str_name(), "STANCE_"),
            operation_claims::specified(&word(said.reason().as_str_name(), "OPINION_REASON_")),
            subjects.about(&said.of),
            harmless_text(&said.text),
            name(entry),
        ];
        Some((is_dispute.contains(&said.stance()), cells))
    };
    let (disputes, others): (Vec<_>, Vec<_>) =
        view.opinions.iter().filter_map(row).partition(|(is_dispute, _cells)| *is_dispute);
    let cells = |rows: Vec<(bool, [String; 6])>| rows.into_iter().map(|(_, cells)| cells).collect();
    let titles = ["MEMBER", "STANCE", "REASON", "ABOUT", "TEXT", "RECORD"];
    part("Disputed", titles, cells(disputes), out);
    part("Other opinions", titles, cells(others), out);
}

fn sightings(view: &OperationView, subjects: &Subjects<'_>, out: &mut String) {
    let row = |entry: &VerifiedEntry| {
        let Some(pb::body::Content::Sighting(said)) = &entry.body().content else { return None };
        let times = if said.count == 0 { "not seen".to_owned() } else { said.count.to_string() };
        Some([
            by(entry),
            times,
            harmless_text(&said.platform),
            span(said.first_seen_time.as_ref(), said.last_seen_time.as_ref()),
            subjects.about(&said.of),
            harmless_text(&said.description),
            name(entry),
        ])
    };
    let titles = ["MEMBER", "TIMES", "PLATFORM", "SEEN", "ABOUT", "TEXT", "RECORD"];
    part("Sightings", titles, view.sightings.iter().filter_map(row).collect(), out);
}

fn questions(view: &OperationView, subjects: &Subjects<'_>, now: Timestamp, out: &mut String) {
    let row = |entry: &VerifiedEntry| {
        let Some(pb::body::Content::Inquiry(said)) = &entry.body().content else { return None };
        let asked = entry.name().to_string();
        let answers: Vec<(pb::ReplyResult, String)> =
            view.replies.iter().filter_map(|reply| answer(reply, &asked)).collect();
        let is_final =
            |result: &pb::ReplyResult| matches!(result, pb::ReplyResult::Yes | pb::ReplyResult::No);
        let state = if answers.iter().any(|(result, _)| is_final(result)) {
            "answered"
        } else if is_past(said.due_time.as_ref(), now) {
            "open, overdue"
        } else {
            "open"
        };
        let answers: Vec<String> = answers.into_iter().map(|(_result, text)| text).collect();
        Some([
            by(entry),
            state.to_owned(),
            time(said.due_time.as_ref()),
            addressees(&said.addressees),
            harmless_text(&said.question),
            answers.join("\n"),
            subjects.reference(said.about.as_ref()),
            asked,
        ])
    };
    let titles = ["MEMBER", "STATE", "DUE", "TO", "QUESTION", "ANSWERS", "ABOUT", "RECORD"];
    part("Questions", titles, view.inquiries.iter().filter_map(row).collect(), out);
}

/// Answers to questions that are not among those shown.
fn unasked(view: &OperationView, out: &mut String) {
    let is_asked = |of: &str| view.inquiries.iter().any(|entry| entry.name().to_string() == of);
    let left = |entry: &VerifiedEntry| {
        let Some(pb::body::Content::Reply(said)) = &entry.body().content else { return None };
        let (_result, text) = answer(entry, &said.to).filter(|_answer| !is_asked(&said.to))?;
        Some([text, said.to.clone(), name(entry)])
    };
    let titles = ["ANSWERS", "TO", "RECORD"];
    let left = view.replies.iter().filter_map(left).collect();
    part("Answers to questions that are not shown", titles, left, out);
}

/// An answer to a question, with who gives it.
fn answer(reply: &VerifiedEntry, asked: &str) -> Option<(pb::ReplyResult, String)> {
    let Some(pb::body::Content::Reply(said)) = &reply.body().content else { return None };
    let result = word(said.result().as_str_name(), "REPLY_RESULT_");
    let text = match harmless_text(&said.text) {
        text if text.is_empty() => format!("{}: {result}", by(reply)),
        text => format!("{}: {result}, {text}", by(reply)),
    };
    (said.to == asked).then(|| (said.result(), text))
}

fn notes(view: &OperationView, subjects: &Subjects<'_>, out: &mut String) {
    let row = |entry: &VerifiedEntry| {
        let Some(pb::body::Content::Note(said)) = &entry.body().content else { return None };
        Some([by(entry), harmless_text(&said.text), subjects.about(&said.about), name(entry)])
    };
    let rows = view.notes.iter().filter_map(row).collect();
    part("Notes", ["MEMBER", "TEXT", "ABOUT", "RECORD"], rows, out);
}

fn links(view: &OperationView, subjects: &Subjects<'_>, out: &mut String) {
    let row = |entry: &VerifiedEntry| {
        let Some(pb::body::Content::Link(said)) = &entry.body().content else { return None };
        Some([
            by(entry),
            subjects.end(said.source.as_ref()),
            word(said.r#type().as_str_name(), "LINK_TYPE_"),
            subjects.end(said.target.as_ref()),
            confidence(said.confidence),
            harmless_text(&said.description),
            name(entry),
        ])
    };
    let titles = ["MEMBER", "FROM", "IS", "TO", "CONFIDENCE", "TEXT", "RECORD"];
    part("Links", titles, view.links.iter().filter_map(row).collect(), out);
}

/// Who published a record.
pub(crate) fn by(entry: &VerifiedEntry) -> String {
    format!("{}{}", entry.name().member, doubts(entry))
}

/// Under which name.
pub(crate) fn name(entry: &VerifiedEntry) -> String {
    entry.name().to_string()
}

/// How sure somebody is.
pub(crate) fn confidence(number: Option<u32>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// A time on the wire; empty if there is none.
pub(crate) fn time(time: Option<&prost_types::Timestamp>) -> String {
    let time = time.and_then(|time| wire::time::timestamp(time, "time").ok());
    time.map(moment).unwrap_or_default()
}

/// Texts as one.
pub(crate) fn texts(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| harmless_text(text)).collect();
    texts.join(", ")
}

/// A day, with the time of day where one was said; to the second, UTC.
pub(crate) fn moment(time: Timestamp) -> String {
    let text = time.to_string();
    let (day, clock) = text.split_once('T').unwrap_or((&text, ""));
    match clock.split('.').next() {
        None | Some("" | "00:00:00") => day.to_owned(),
        Some(clock) => format!("{day} {clock}Z"),
    }
}

/// From when to when; empty if neither was said.
pub(crate) fn span(
    first: Option<&prost_types::Timestamp>,
    last: Option<&prost_types::Timestamp>,
) -> String {
    match (time(first), time(last)) {
        (first, last) if first.is_empty() && last.is_empty() => String::new(),
        (first, last) if last.is_empty() => format!("from {first}"),
        (first, last) if first.is_empty() => format!("to {last}"),
        (first, last) => format!("{first} to {last}"),
    }
}

fn is_past(due: Option<&prost_types::Timestamp>, now: Timestamp) -> bool {
    let due = due.and_then(|due| wire::time::timestamp(due, "due_time").ok());
    due.is_some_and(|due| due <= now)
}

fn handling(entry: &VerifiedEntry) -> String {
    let handling = &entry.header().handling;
    let audiences = handling.reach.audiences.iter().map(ToString::to_string);
    let recipients = handling.reach.recipients.iter().map(ToString::to_string);
    let readers: Vec<String> = audiences.chain(recipients).collect();
    let readers = if readers.is_empty() { "nobody else".to_owned() } else { readers.join(", ") };
    format!("{}, for {readers}", handling.tlp)
}

/// Who is asked; empty: everyone.
fn addressees(names: &[String]) -> String {
    let names: Vec<String> =
        names.iter().map(|name| harmless_text(name.trim_start_matches("members/"))).collect();
    names.join(", ")
}
