//! What a member published on an operation, or besides, as a MISP event.

use std::collections::BTreeSet;

use md5::Digest as _;
use md5::Md5;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use crate::interop::exported::ExportedRecord;
use crate::interop::misp::asset;
use crate::interop::misp::home::Home;
use crate::interop::misp::ids;
use crate::interop::misp::piece::Attribute;
use crate::interop::misp::piece::Object;
use crate::interop::misp::piece::Piece;
use crate::interop::misp::piece::Seen;
use crate::interop::misp::report;
use crate::interop::misp::tags;
use crate::interop::misp::template;
use crate::interop::misp::text;
use crate::model::handling::Tlp;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;
use crate::wire::pb;
use crate::wire::pb::body::Content;

/// Bytes of an event's attributes, objects and reports, as they stand in its file. A MISP takes less in at once. What is
/// said to be deleted has as much again.
pub(super) const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An event of a feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its UUID, and the name of its file.
    pub uuid: Uuid,
    /// What the file says: `{"Event": ...}`.
    pub json: Value,
    /// MD5 of every value in it, in hex: by these a MISP looks up whether a feed has a value.
    pub hashes: BTreeSet<String>,
    /// How many records are in it.
    pub records: usize,
    /// How many have no room in it: all are of the one member whose event it is.
    pub left_out: usize,
}

impl Event {
    /// What the manifest says about it.
    pub fn listed(&self) -> Value {
        listed(&self.json)
    }
}

/// What the manifest says about an event that reads so.
pub fn listed(json: &Value) -> Value {
    let event = json.get("Event");
    let of = |name: &str| event.and_then(|event| event.get(name)).cloned().unwrap_or(Value::Null);
    json!({
        "Orgc": of("Orgc"),
        "Tag": of("Tag"),
        "info": of("info"),
        "date": of("date"),
        "analysis": of("analysis"),
        "threat_level_id": of("threat_level_id"),
        "timestamp": of("timestamp"),
    })
}

/// Makes an event of its records, in the order of their names. The event has the strictest of their labels.
pub(super) fn event(home: &Home, records: &[&ExportedRecord], now: Timestamp) -> Event {
    let mut made = Made::new(EVENT_BYTES_MAX);
    // What the event is about comes first, so that it has room.
    let (own, others): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| home.operation.as_ref() == Some(record.name()));
    for record in own.into_iter().chain(others) {
        made.put(record, now);
    }
    let left_out = made.left_out;
    let said = made.operation.map(|(_record, said)| said);
    let uuid = home.event();
    let time = text::seconds(made.changed).to_string();
    let member = &home.member;
    let extends = home.extends().map_or_else(String::new, |uuid| uuid.to_string());
    let orgc = json!({
        "name": member.as_str(),
        "uuid": ids::organisation(member).to_string(),
    });
    let fields = [
        ("uuid", json!(uuid.to_string())),
        ("info", json!(info(home, said))),
        ("date", json!(text::day(made.first().min(now)))),
        ("analysis", json!(analysis(said))),
        // Undefined: no record says how bad it is.
        ("threat_level_id", json!("4")),
        ("published", json!(true)),
        ("protected", json!(false)),
        ("extends_uuid", json!(extends)),
        ("timestamp", json!(time)),
        ("publish_timestamp", json!(time)),
        ("Orgc", orgc),
        ("Tag", tags::to_json(made.tags())),
        ("EventReport", reports_to_json(uuid, made.reports(), &time)),
        ("Attribute", Value::Array(made.attributes)),
        ("Object", Value::Array(made.objects)),
    ];
    let event: Map<String, Value> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Event {
        uuid,
        json: json!({ "Event": event }),
        hashes: made.hashes,
        records: records.len().saturating_sub(left_out),
        left_out,
    }
}

/// What was made so far.
struct Made<'a> {
    /// Bytes that are left.
    room: usize,
    /// Records for which too few were.
    left_out: usize,
    attributes: Vec<Value>,
    objects: Vec<Value>,
    hashes: BTreeSet<String>,
    /// Lines of reports, and when they were taken in.
    lines: Vec<(Timestamp, &'a RecordName, String)>,
    label: Tlp,
    changed: Timestamp,
    first: Timestamp,
    operation: Option<(&'a ExportedRecord, &'a pb::Operation)>,
}

impl<'a> Made<'a> {
    fn new(room: usize) -> Self {
        Self {
            room,
            left_out: 0,
            attributes: Vec::new(),
            objects: Vec::new(),
            hashes: BTreeSet::new(),
            lines: Vec::new(),
            label: Tlp::Clear,
            changed: Timestamp::default(),
            first: Timestamp::MAX,
            operation: None,
        }
    }

    fn put(&mut self, record: &'a ExportedRecord, now: Timestamp) {
        let changed = asset::changed(record, now);
        let mut pieces = asset::pieces(record, now).unwrap_or_default();
        let mut operation = None;
        match &record.record.body.content {
            Some(Content::Operation(said)) => {
                pieces.extend(about_operation(record, said));
                operation = Some((record, said));
            }
            Some(Content::Attribution(said)) => pieces.push(attribution(record, said)),
            _ => {}
        }
        let line = report::line(record);
        let made: Vec<(&Piece, Value)> =
            pieces.iter().map(|piece| (piece, piece.to_json(changed))).collect();
        let length = made.iter().map(|(_piece, json)| json.to_string().len()).sum::<usize>()
            + line.as_ref().map_or(0, String::len);
        let Some(room) = self.room.checked_sub(length) else {
            self.left_out += 1;
            return;
        };
        self.room = room;
        self.label = self.label.max(record.record.header.handling.tlp);
        self.changed = self.changed.max(changed);
        self.first = self.first.min(record.first_accept_time);
        self.operation = self.operation.or(operation);
        for (piece, json) in made {
            self.hashes.extend(piece.values().into_iter().map(hash));
            match piece {
                Piece::Attribute(_) => self.attributes.push(json),
                Piece::Object(_) => self.objects.push(json),
            }
        }
        self.lines.extend(line.map(|line| (record.accept_time, record.name(), line)));
    }

    /// When the operation came; without it, the first of its records.
    fn first(&self) -> Timestamp {
        self.operation.map_or(self.first, |(record, _said)| record.first_accept_time)
    }

    fn tags(&self) -> Vec<String> {
        let mut tags = vec![tags::tlp(self.label).to_owned()];
        if let Some((_record, said)) = self.operation {
            tags.extend(tags::techniques(&said.techniques));
            tags.extend(tags::regions(said));
        }
        tags
    }

    /// Names and texts of the reports.
    fn reports(&mut self) -> Vec<(String, String)> {
        let mut reports = Vec::new();
        if let Some((record, said)) = self.operation {
            reports.push(("Operation".to_owned(), report::operation(record, said)));
        }
        self.lines.sort_unstable();
        let lines: Vec<String> =
            std::mem::take(&mut self.lines).into_iter().map(|(_time, _name, line)| line).collect();
        reports.extend(pages(&lines));
        if self.left_out > 0 {
            let text = format!("{} records are left out: the event has no room.", self.left_out);
            reports.push(("Left out".to_owned(), text));
        }
        reports
    }
}

/// By this a MISP looks a value up in the feeds that it knows. It protects nothing.
fn hash(value: &str) -> String {
    hex::encode(Md5::digest(value.as_bytes()))
}

fn info(home: &Home, operation: Option<&pb::Operation>) -> String {
    let title = operation.map_or_else(String::new, |said| text::line(&said.title));
    let member = &home.member;
    match &home.operation {
        Some(_) if !title.is_empty() => title,
        // The title is the other member's to say, and to take back.
        Some(operation) => format!("On {operation}, published by {member}"),
        None => format!("Of no operation in this feed, published by {member}"),
    }
}

/// 0 is initial, 1 ongoing, 2 completed.
fn analysis(operation: Option<&pb::Operation>) -> &'static str {
    match operation.map(pb::Operation::status) {
        Some(pb::OperationStatus::Suspected) => "0",
        Some(pb::OperationStatus::Active) => "1",
        Some(
            pb::OperationStatus::Unspecified
            | pb::OperationStatus::Disrupted
            | pb::OperationStatus::Dormant,
        )
        | None => "2",
    }
}

/// Attributes and objects of an operation itself.
fn about_operation(record: &ExportedRecord, said: &pb::Operation) -> Vec<Piece> {
    let tags = vec![tags::tlp(record.record.header.handling.tlp).to_owned()];
    let attribute = |part: String, kind, category, value: &str| Attribute {
        uuid: ids::part(record.name(), &part),
        kind,
        category,
        value: text::line(value),
        comment: text::comment(&[], record),
        to_ids: false,
        relation: None,
        seen: Seen::default(),
        tags: tags.clone(),
    };
    let mut pieces = Vec::new();
    for (number, name) in [&said.title].into_iter().chain(&said.aliases).enumerate() {
        let made = attribute(format!("title {number}"), "campaign-name", "Attribution", name);
        pieces.push(Piece::Attribute(made));
    }
    for (number, reference) in said.references.iter().enumerate() {
        let is_address = reference.starts_with("https://") || reference.starts_with("http://");
        let kind = if is_address { "link" } else { "text" };
        let made = attribute(format!("reference {number}"), kind, "External analysis", reference);
        pieces.push(Piece::Attribute(made));
    }
    for (number, narrative) in said.narratives.iter().enumerate() {
        let summary = Attribute {
            relation: Some(template::NARRATIVE.names),
            comment: String::new(),
            ..attribute(format!("narrative summary {number}"), "text", "Other", narrative)
        };
        pieces.push(Piece::Object(Object {
            uuid: ids::part(record.name(), &format!("narrative {number}")),
            template: &template::NARRATIVE,
            comment: text::comment(&[], record),
            seen: Seen::default(),
            attributes: vec![summary],
        }));
    }
    pieces.extend(asset::metrics(record, &said.metrics));
    pieces.retain(|piece| piece.values().iter().all(|value| !value.is_empty()));
    pieces
}

/// Who is behind it, says a member: an attribute for each claim, never merged.
fn attribution(record: &ExportedRecord, said: &pb::Attribution) -> Piece {
    let header = &record.record.header;
    let lower = |name: &str, prefix: &str| {
        let word = name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase().replace('_', " ");
        if word == "unspecified" { String::new() } else { word }
    };
    let claimant =
        if said.claimant.is_empty() { header.name.member.as_str() } else { &said.claimant };
    let fields = [
        ("claimant", claimant.to_owned()),
        ("said by", header.name.member.to_string()),
        ("actor type", lower(said.actor_type().as_str_name(), "ACTOR_TYPE_")),
        ("confidence", said.confidence.map_or_else(String::new, |percent| percent.to_string())),
        ("basis", lower(said.basis().as_str_name(), "ATTRIBUTION_BASIS_")),
        ("rationale", said.rationale.clone()),
        ("references", said.references.join(" ")),
        ("of", said.operation.clone()),
    ];
    let mut tags = vec![tags::tlp(header.handling.tlp).to_owned()];
    tags.extend(said.confidence.map(|percent| tags::confidence(percent).to_owned()));
    Piece::Attribute(Attribute {
        uuid: ids::part(record.name(), "actor"),
        kind: "threat-actor",
        category: "Attribution",
        value: text::line(&said.actor),
        comment: text::comment(&fields, record),
        to_ids: false,
        relation: None,
        seen: Seen::default(),
        tags,
    })
}

/// Lines on as many reports as they need.
fn pages(lines: &[String]) -> Vec<(String, String)> {
    let mut pages: Vec<String> = Vec::new();
    for line in lines {
        match pages.last_mut() {
            Some(page) if page.len() + line.len() < report::REPORT_BYTES_MAX => {
                page.push('\n');
                page.push_str(line);
            }
            Some(_) | None => pages.push(line.clone()),
        }
    }
    let numbered = |(number, page)| (format!("What members said ({})", number + 1), page);
    pages.into_iter().enumerate().map(numbered).collect()
}

fn reports_to_json(event: Uuid, reports: Vec<(String, String)>, time: &str) -> Value {
    let one = |(number, (name, content)): (usize, (String, String))| {
        json!({
            "uuid": ids::report(event, number).to_string(),
            "name": name,
            "content": content,
            "timestamp": time,
            "deleted": false,
        })
    };
    reports.into_iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interop::sample::asset;
    use crate::interop::sample::at;
    use crate::wire::pb::ObservableKind;

    #[test]
    fn what_has_no_room_is_counted_and_said() {
        let records: Vec<ExportedRecord> = (1..=9)
            .map(|number| asset(number, ObservableKind::Domain, "", &format!("n{number}.net")))
            .collect();
        let mut made = Made::new(3000);
        for record in &records {
            made.put(record, at(0));
        }
        let length: usize = made.attributes.iter().map(|one| one.to_string().len()).sum();
        assert!(length <= 3000 && !made.attributes.is_empty());
        assert_eq!(made.attributes.len() + made.left_out, 9);
        assert_eq!(made.hashes.len(), made.attributes.len());
        let (name, text) = made.reports().pop().unwrap();
        assert!(name == "Left out" && text.starts_with(&made.left_out.to_string()), "{text}");
    }
}
