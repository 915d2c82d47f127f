//! What members said about an operation and its assets, as reports of its event: sightings, opinions, actions, links,
//! questions, answers and notes. The format of feeds has no place for them on an attribute.

use crate::interop::exported::ExportedRecord;
use crate::interop::misp::asset::counted;
use crate::interop::misp::text;
use crate::interop::misp::text::markdown;
use crate::model::observable::ObservableKind;
use crate::wire::pb;
use crate::wire::pb::body::Content;

/// Bytes of a report: databases of MISP keep 64 KiB of one.
pub(super) const REPORT_BYTES_MAX: usize = 48 * 1024;

/// What a record says about others, as one line of Markdown without its end. `None` if it is not of that kind.
pub(super) fn line(record: &ExportedRecord) -> Option<String> {
    let said = match record.record.body.content.as_ref() {
        Some(Content::Sighting(said)) => sighting(said),
        Some(Content::Opinion(said)) => opinion(said),
        Some(Content::ActionReport(said)) => action(said),
        Some(Content::Link(said)) => link(said),
        Some(Content::Inquiry(said)) => {
            format!("asks about {}: {}", end(said.about.as_ref()), markdown(&said.question))
        }
        Some(Content::Reply(said)) => format!(
            "answers {} to {}: {}",
            word(said.result().as_str_name(), "REPLY_RESULT_"),
            markdown(&said.to),
            markdown(&said.text)
        ),
        Some(Content::Note(said)) => {
            format!("notes about {}: {}", markdown(&said.about), markdown(&said.text))
        }
        _ => return None,
    };
    let header = &record.record.header;
    let label = markdown(&header.handling.tlp.to_string());
    let time = header.create_time;
    let origin = markdown(&text::origin(record));
    Some(format!(
        "- {time} **{}** ({label}) {said} {origin}",
        markdown(header.name.member.as_str())
    ))
}

/// The operation's own report.
pub(super) fn operation(record: &ExportedRecord, said: &pb::Operation) -> String {
    let time = |wire: Option<&prost_types::Timestamp>| {
        text::moment(wire).map_or_else(String::new, |time| time.to_string())
    };
    let fields = [
        ("Also called", said.aliases.join(", ")),
        ("Status", word(said.status().as_str_name(), "OPERATION_STATUS_")),
        ("Came from", said.origin_regions.join(", ")),
        ("Aimed at", said.target_regions.join(", ")),
        ("Languages", said.languages.join(", ")),
        ("First activity", time(said.first_activity_time.as_ref())),
        ("Last activity", time(said.last_activity_time.as_ref())),
        ("Labels", said.labels.join(", ")),
        ("Description", said.description.clone()),
        ("Record", text::origin(record)),
    ];
    let mut lines: Vec<String> = fields
        .iter()
        .filter(|(_name, text)| !text.is_empty())
        .map(|(name, text)| format!("- **{name}:** {}", markdown(text)))
        .collect();
    for technique in said.techniques.iter().filter(|technique| !technique.observed.is_empty()) {
        let code = markdown(&technique.external_id);
        lines.push(format!("- **{code}:** {}", markdown(&technique.observed)));
    }
    lines.join("\n")
}

fn sighting(said: &pb::Sighting) -> String {
    let mut text = format!("saw {} {} times", markdown(&said.of), said.count);
    if !said.platform.is_empty() {
        text.push_str(" on ");
        text.push_str(&markdown(&said.platform));
    }
    let times = [(" from ", &said.first_seen_time), (" to ", &said.last_seen_time)];
    for (word, time) in times {
        if let Some(time) = text::moment(time.as_ref()) {
            text.push_str(word);
            text.push_str(&time.to_string());
        }
    }
    with(text, &said.description)
}

fn opinion(said: &pb::Opinion) -> String {
    let stance = word(said.stance().as_str_name(), "STANCE_");
    let reason = word(said.reason().as_str_name(), "OPINION_REASON_");
    let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
    with(format!("has the opinion {stance}{reason} on {}", markdown(&said.of)), &said.text)
}

fn action(said: &pb::ActionReport) -> String {
    let mut text =
        format!("{} {}", word(said.action().as_str_name(), "ACTION_"), markdown(&said.of));
    if let Some(time) = text::moment(said.action_time.as_ref()) {
        text.push_str(" at ");
        text.push_str(&time.to_string());
    }
    let counts =
        said.counts.iter().map(|part| counted(part.of(), &part.platform, part.count.as_ref()));
    let figures: Vec<String> = counts.chain(said.metrics.iter().map(text::metric)).collect();
    if !figures.is_empty() {
        text.push_str(", ");
        text.push_str(&markdown(&figures.join(", ")));
    }
    with(text, &said.text)
}

fn link(said: &pb::Link) -> String {
    let how = word(said.r#type().as_str_name(), "LINK_TYPE_");
    let (source, target) = (end(said.source.as_ref()), end(said.target.as_ref()));
    let confidence =
        said.confidence.map_or_else(String::new, |percent| format!(" (confidence {percent})"));
    with(format!("says that {source} {how} {target}{confidence}"), &said.description)
}

fn end(reference: Option<&pb::Reference>) -> String {
    match reference.and_then(|reference| reference.to.as_ref()) {
        Some(pb::reference::To::Record(name)) => markdown(name),
        Some(pb::reference::To::Value(value)) => {
            let kind =
                ObservableKind::from_number(value.kind).map_or("value", ObservableKind::as_str);
            let on = if value.platform.is_empty() {
                String::new()
            } else {
                format!(" on {}", value.platform)
            };
            markdown(&format!("{kind} {}{on}", value.value))
        }
        None => "something".to_owned(),
    }
}

fn with(text: String, free: &str) -> String {
    if free.is_empty() { text } else { format!("{text}: {}", markdown(free)) }
}

/// `OPINION_REASON_FALSE_POSITIVE` as `false positive`; nothing for what is not stated.
fn word(name: &str, prefix: &str) -> String {
    let word = name.strip_prefix(prefix).unwrap_or(name);
    if word == "UNSPECIFIED" { String::new() } else { word.to_ascii_lowercase().replace('_', " ") }
}
