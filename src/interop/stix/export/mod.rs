//! From a record to STIX objects.

mod statement;

use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;

use crate::interop::exported::ExportedRecord;
use crate::interop::exported::Named;
use crate::interop::stix::extension;
use crate::interop::stix::extension::extended;
use crate::interop::stix::ids;
use crate::interop::stix::marking;
use crate::interop::stix::object;
use crate::interop::stix::object::Frame;
use crate::interop::stix::object::Object;
use crate::interop::stix::object::Origin;
use crate::interop::stix::object::SOURCE_NAME;
use crate::interop::stix::observable;
use crate::interop::stix::words;
use crate::model::header::BodyKind;
use crate::model::names::RecordName;
use crate::model::normal_form::NormalForm;
use crate::model::time::Timestamp;
use crate::wire;
use crate::wire::body::Content;
use crate::wire::envelope::Record;
use crate::wire::pb;
use crate::wire::pb::body::Content as Said;

/// A pattern for what nobody can read any more: a name under `.invalid` is never found (RFC 2606).
const ERASED_PATTERN: &str = "[domain-name:value = 'erased.invalid']";

/// The objects of a record, each shared one before what refers to it. A record of a kind that STIX has no use for has
/// none, and so has one whose body is gone although nobody took it back: what readers have of it stays true.
pub fn objects(record: &ExportedRecord) -> Vec<Object> {
    let making = Making { record, frame: Frame::new(record) };
    let made = match record.record.body.content.as_ref() {
        _ if record.is_erased() => making.erased(),
        None => Vec::new(),
        Some(said) => making.said(said),
    };
    if made.is_empty() {
        return made;
    }
    let header = &record.record.header;
    let mut all: Vec<Object> = extension::definition().into();
    all.push(marking::tlp_object(header.handling.tlp));
    all.push(object::member(&header.name.member));
    all.extend(made);
    all
}

/// The ids of those objects of a record that others may have too, by a value or a technique. Where there can be many,
/// none is made for it.
pub fn shared_ids(record: &ExportedRecord) -> BTreeSet<String> {
    let said = record.record.body.content.as_ref().filter(|_said| !record.is_erased());
    match said {
        Some(Said::Indicator(wire)) => {
            let form = form_of(&record.record);
            let asset = wire.observable.as_ref();
            if asset.and_then(|asset| observable::pattern(asset, form)).is_none() {
                return BTreeSet::new();
            }
            let value = form.and_then(observable::of_form).map(|value| value.id().to_owned());
            technique_ids(&wire.techniques).chain(value).collect()
        }
        Some(Said::Operation(wire)) => technique_ids(&wire.techniques).collect(),
        Some(_) | None => {
            let shared = objects(record).into_iter().filter(|object| match object.origin {
                Origin::Value(_) | Origin::Technique(_) => true,
                Origin::Record | Origin::Member(_) | Origin::Fixed => false,
            });
            shared.map(|object| object.id().to_owned()).collect()
        }
    }
}

fn technique_ids(techniques: &[pb::Technique]) -> impl Iterator<Item = String> {
    let named = techniques.iter().filter(|technique| !technique.external_id.is_empty());
    named.map(object::technique_id)
}

/// The type of the object that stands for a record of a kind; for an indicator, for one that names an asset.
pub fn main_type(kind: BodyKind) -> Option<&'static str> {
    match kind {
        BodyKind::Indicator => Some("indicator"),
        BodyKind::Operation => Some("campaign"),
        BodyKind::Attribution | BodyKind::Link => Some("relationship"),
        BodyKind::Sighting => Some("sighting"),
        BodyKind::Opinion => Some("opinion"),
        BodyKind::ActionReport | BodyKind::Inquiry | BodyKind::Reply | BodyKind::Note => {
            Some("note")
        }
        BodyKind::Withdrawal
        | BodyKind::Acknowledgement
        | BodyKind::RosterChange
        | BodyKind::KeyChange
        | BodyKind::AudienceChange
        | BodyKind::Takedown
        | BodyKind::Erasure
        | BodyKind::Retention
        | BodyKind::Epoch
        | BodyKind::Conflict
        | BodyKind::LogKeyChange
        | BodyKind::Genesis => None,
    }
}

/// What whoever names a record must know of it.
pub fn named(record: &Record) -> Named {
    let is_unnameable = match &record.body.content {
        Some(Said::Indicator(said)) => said
            .observable
            .as_ref()
            .and_then(|it| observable::pattern(it, form_of(record)))
            .is_none(),
        _ => false,
    };
    Named { kind: record.header.body_kind, is_unnameable }
}

fn form_of(record: &Record) -> Option<&NormalForm> {
    if let Content::Indicator { form, .. } = &record.content { form.as_ref() } else { None }
}

/// One record on its way.
struct Making<'a> {
    record: &'a ExportedRecord,
    frame: Frame<'a>,
}

impl Making<'_> {
    fn said(&self, said: &Said) -> Vec<Object> {
        match said {
            Said::Indicator(wire) => self.indicator(wire),
            Said::Operation(wire) => self.operation(wire),
            Said::Attribution(wire) => self.attribution(wire),
            Said::Link(wire) => self.link(wire),
            Said::Sighting(wire) => self.sighting(wire),
            Said::Opinion(wire) => self.opinion(wire),
            Said::ActionReport(wire) => self.action_report(wire),
            Said::Inquiry(wire) => self.inquiry(wire),
            Said::Reply(wire) => self.reply(wire),
            Said::Note(wire) => self.note(wire),
            Said::Withdrawal(_)
            | Said::Acknowledgement(_)
            | Said::RosterChange(_)
            | Said::KeyChange(_)
            | Said::AudienceChange(_)
            | Said::Takedown(_)
            | Said::Erasure(_)
            | Said::Retention(_)
            | Said::Epoch(_)
            | Said::Conflict(_)
            | Said::LogKeyChange(_)
            | Said::Genesis(_) => Vec::new(),
        }
    }

    /// The identity of the publisher, which stands in where there is nothing better to be about.
    fn publisher(&self) -> String {
        object::member_id(&self.record.name().member)
    }

    /// The main object of another record, by what it is as far as is known, or the kind that is usual.
    fn named(&self, name: &str, usual: BodyKind) -> Option<String> {
        let name: RecordName = name.parse().ok()?;
        let named = self.record.named.get(&name).copied();
        let named = named.unwrap_or(Named { kind: usual, is_unnameable: false });
        let kind = if named.is_unnameable { "note" } else { main_type(named.kind)? };
        Some(ids::of_record(kind, &name, ""))
    }

    /// The object that stands for the record, with the extension on it.
    fn main(&self, kind: &str) -> Object {
        let name = self.record.name().to_string();
        let reference = json!({ "source_name": SOURCE_NAME, "external_id": name });
        let object = self.frame.object(kind, "").with("external_references", vec![reference]);
        extended(object, self.record)
    }

    fn indicator(&self, wire: &pb::Indicator) -> Vec<Object> {
        let unnamed = pb::Observable::default();
        let asset = wire.observable.as_ref().unwrap_or(&unnamed);
        let form = form_of(&self.record.record);
        match observable::pattern(asset, form) {
            Some(pattern) => self.pattern(wire, asset, form, &pattern),
            None => self.unnameable(wire, asset),
        }
    }

    fn pattern(
        &self,
        wire: &pb::Indicator,
        asset: &pb::Observable,
        form: Option<&NormalForm>,
        pattern: &str,
    ) -> Vec<Object> {
        let mut made = Vec::new();
        let publisher = &self.record.name().member;
        let name = words::asset(asset);
        let description = match wire.description.as_str() {
            "" => format!("The {name} is part of an influence operation, says {publisher}."),
            said => said.to_owned(),
        };
        let (from, until) = self.validity(wire);
        let indicator = self
            .main("indicator")
            .with("name", name)
            .with("description", description)
            .with("indicator_types", vec!["malicious-activity"])
            .with("pattern", pattern)
            .with("pattern_type", "stix")
            .with("pattern_version", "2.1")
            .with("valid_from", from.to_string())
            .with("valid_until", until.map(|until| until.to_string()))
            .with("confidence", wire.confidence)
            .with("labels", texts(&wire.labels));
        let indicator = with_references(indicator, &wire.evidence, &[]);
        let id = indicator.id().to_owned();
        let observable = form.and_then(observable::of_form);
        let about = observable.as_ref().map(|observable| {
            self.frame.relationship("observable", &id, "related-to", observable.id())
        });
        made.extend(observable);
        let techniques = self.techniques(&id, "indicates", &wire.techniques);
        made.extend(techniques.0);
        made.push(indicator);
        made.extend(about);
        made.extend(self.part_of(&id, "indicates", &wire.operation));
        made.extend(techniques.1);
        made
    }

    /// That something belongs to an operation.
    fn part_of(&self, id: &str, relation: &str, operation: &str) -> Option<Object> {
        let operation = self.named(operation, BodyKind::Operation)?;
        Some(self.frame.relationship("operation", id, relation, &operation))
    }

    /// An asset, or so many, for which STIX has no pattern.
    fn unnameable(&self, wire: &pb::Indicator, asset: &pb::Observable) -> Vec<Object> {
        let about =
            self.named(&wire.operation, BodyKind::Operation).unwrap_or_else(|| self.publisher());
        let note = self
            .main("note")
            .with("abstract", words::asset(asset))
            .with("content", words::lines(&[words::asset(asset), wire.description.clone()]))
            .with("confidence", wire.confidence)
            .with("labels", texts(&wire.labels))
            .with("object_refs", vec![about]);
        vec![with_references(note, &wire.evidence, &[])]
    }

    /// From when and until when to act on it. The standard wants the one before the other: what is over before it begins
    /// is valid for a microsecond that has passed.
    fn validity(&self, wire: &pb::Indicator) -> (Timestamp, Option<Timestamp>) {
        let until = wire::expiry(&self.record.record.header, Some(&self.record.record.body));
        let from = [wire.valid_from_time.as_ref(), wire.first_seen_time.as_ref()];
        let from = from.into_iter().flatten().find_map(moment);
        let from = from.unwrap_or_else(|| self.frame.created());
        let latest = until.map(|until| until.saturating_sub(std::time::Duration::from_micros(1)));
        (latest.map_or(from, |latest| from.min(latest)), until)
    }

    /// The attack patterns of techniques, and the relationships to them.
    fn techniques(
        &self,
        id: &str,
        relation: &str,
        techniques: &[pb::Technique],
    ) -> (Vec<Object>, Vec<Object>) {
        let (mut patterns, mut relations) = (Vec::new(), Vec::new());
        let mut known = BTreeSet::new();
        for technique in techniques.iter().filter(|technique| !technique.external_id.is_empty()) {
            let pattern = object::technique(technique);
            if !known.insert(pattern.id().to_owned()) {
                continue;
            }
            let relationship = self.frame.relationship(pattern.id(), id, relation, pattern.id());
            relations.push(relationship.with("description", technique.observed.as_str()));
            patterns.push(pattern);
        }
        (patterns, relations)
    }

    fn operation(&self, wire: &pb::Operation) -> Vec<Object> {
        let (first, last) =
            span(wire.first_activity_time.as_ref(), wire.last_activity_time.as_ref());
        let campaign = self
            .main("campaign")
            .with("name", wire.title.as_str())
            .with("description", wire.description.as_str())
            .with("aliases", texts(&wire.aliases))
            .with("objective", words::lines(&wire.narratives))
            .with("first_seen", first.map(|time| time.to_string()))
            .with("last_seen", last.map(|time| time.to_string()))
            .with("labels", texts(&wire.labels));
        let campaign = with_references(campaign, &[], &wire.references);
        let id = campaign.id().to_owned();
        let (mut made, relations) = self.techniques(&id, "uses", &wire.techniques);
        made.push(campaign);
        made.extend(relations);
        made
    }

    /// What stays to be said of a record that was taken back and whose body is gone.
    fn erased(&self) -> Vec<Object> {
        if self.record.recalled.is_none() {
            return Vec::new();
        }
        let publisher = self.publisher();
        let text = "It was taken back, and what it said is erased.";
        let note =
            || self.main("note").with("content", text).with("object_refs", vec![publisher.clone()]);
        let Some(kind) = main_type(self.record.record.header.body_kind) else {
            return Vec::new();
        };
        match kind {
            // Whether it named an asset, nobody knows any more.
            "indicator" => vec![
                self.main(kind)
                    .with("name", "erased")
                    .with("description", text)
                    .with("indicator_types", vec!["unknown"])
                    .with("pattern", ERASED_PATTERN)
                    .with("pattern_type", "stix")
                    .with("valid_from", self.frame.created().to_string()),
                note(),
            ],
            "campaign" => vec![self.main(kind).with("name", "erased").with("description", text)],
            "relationship" => vec![
                self.main(kind)
                    .with("relationship_type", "related-to")
                    .with("description", text)
                    .with("source_ref", publisher.as_str())
                    .with("target_ref", publisher.as_str()),
            ],
            "sighting" => vec![
                self.main(kind)
                    .with("description", text)
                    .with("sighting_of_ref", publisher.as_str()),
            ],
            "opinion" => vec![
                self.main(kind)
                    .with("opinion", "neutral")
                    .with("explanation", text)
                    .with("object_refs", vec![publisher.clone()]),
            ],
            _ => vec![note()],
        }
    }
}

/// Texts that are not empty.
fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).filter(|text| !text.is_empty()).collect()
}

fn moment(time: &prost_types::Timestamp) -> Option<Timestamp> {
    wire::time::timestamp(time, "time").ok()
}

/// Two times, of which the standard wants the later one not to be the earlier.
fn span(
    first: Option<&prost_types::Timestamp>,
    last: Option<&prost_types::Timestamp>,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let first = first.and_then(moment);
    let last = last.and_then(moment);
    let last = last.filter(|last| first.is_none_or(|first| first <= *last));
    (first, last)
}

/// The object with where to read more, behind what is there.
fn with_references(object: Object, evidence: &[pb::Evidence], references: &[String]) -> Object {
    let mut all = match object.json.get("external_references") {
        Some(Value::Array(all)) => all.clone(),
        _ => Vec::new(),
    };
    for pb::Evidence { sha256, media_type, uri } in evidence {
        let hashes = json!({ "SHA-256": hex::encode(sha256) });
        let text = if media_type.is_empty() { "evidence" } else { media_type };
        let mut reference =
            json!({ "source_name": "evidence", "description": text, "hashes": hashes });
        if let (true, Value::Object(fields)) = (is_address(uri), &mut reference) {
            fields.insert("url".to_owned(), uri.as_str().into());
        }
        all.push(reference);
    }
    for reference in references.iter().filter(|reference| !reference.is_empty()) {
        let key = if is_address(reference) { "url" } else { "description" };
        all.push(json!({ "source_name": "reference", key: reference }));
    }
    object.with("external_references", all)
}

/// Whether a text is an address as the standard takes it in references: in ASCII, with a scheme.
fn is_address(text: &str) -> bool {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}[]#".contains(&byte));
    plain && url::Url::parse(text).is_ok_and(|url| url.has_host())
}

#[cfg(test)]
pub(super) mod tests;
