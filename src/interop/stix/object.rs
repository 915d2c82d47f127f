//! Objects of STIX, and what they come of.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::interop::exported::ExportedRecord;
use crate::interop::stix::ids;
use crate::interop::stix::marking;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::time::Timestamp;
use crate::wire::pb;

/// When shared objects are said to have been made: they are functions of their ids, so they have no time of their own.
/// It is the day on which the first version of this mapping was fixed.
pub const SHARED_TIME: &str = "2026-01-01T00:00:00.000000Z";

/// The name under which external references and the extension speak of this software.
pub const SOURCE_NAME: &str = "watchfire";

/// The type of the object of a technique.
const ATTACK_PATTERN: &str = "attack-pattern";

/// An object, and what it comes of.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its properties, as STIX has them; `id` and `type` are always there.
    pub json: Map<String, Value>,
    /// What it comes of.
    pub origin: Origin,
}

/// What an object comes of: by this the first entry of a log that brings a shared one can be found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The record alone.
    Record,
    /// A value, by the digest of its normal form.
    Value(Digest),
    /// A technique, by its external id. Several frameworks may use the same.
    Technique(String),
    /// A member.
    Member(MemberId),
    /// Nothing: it is always the same.
    Fixed,
}

impl Object {
    /// Its id.
    pub fn id(&self) -> &str {
        self.json.get("id").and_then(Value::as_str).unwrap_or_default()
    }

    /// Its type.
    pub fn kind(&self) -> &str {
        self.json.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// Sets a property, unless it is empty: the standard forbids empty lists and texts.
    #[must_use]
    pub(super) fn with(mut self, property: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let is_empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(properties) => properties.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        if !is_empty {
            self.json.insert(property.to_owned(), value);
        }
        self
    }
}

/// An object of properties that are written here: anything else than an object has none.
pub(super) fn fixed(json: Value, origin: Origin) -> Object {
    let json = if let Value::Object(json) = json { json } else { Map::new() };
    Object { json, origin }
}

/// A shared object that is no observable, without the properties of its type.
pub(super) fn shared(kind: &str, name: &str, origin: Origin) -> Object {
    let json = json!({
        "type": kind,
        "spec_version": "2.1",
        "id": ids::shared(kind, name),
        "created": SHARED_TIME,
        "modified": SHARED_TIME,
    });
    fixed(json, origin)
}

/// The identity of a member: a function of its id.
pub fn member(id: &MemberId) -> Object {
    shared("identity", &id.name(), Origin::Member(id.clone()))
        .with("name", id.as_str())
        .with("identity_class", "organization")
}

/// The id of a member's identity.
pub fn member_id(id: &MemberId) -> String {
    ids::shared("identity", &id.name())
}

/// The external id of a technique together with its framework and release: what its object is a function of.
pub fn technique(technique: &pb::Technique) -> Object {
    let pb::Technique { framework, version, external_id, .. } = technique;
    let name = technique_name(technique);
    let origin = Origin::Technique(external_id.clone());
    let source = source_name(framework);
    let reference = json!({ "source_name": source, "external_id": external_id });
    let mut reference = fixed(reference, Origin::Fixed);
    if !version.is_empty() {
        reference = reference.with("description", format!("{source}, release {version}"));
    }
    shared(ATTACK_PATTERN, &name, origin)
        .with("name", external_id.as_str())
        .with("external_references", vec![Value::Object(reference.json)])
}

/// The id of a technique's object.
pub(super) fn technique_id(technique: &pb::Technique) -> String {
    ids::shared(ATTACK_PATTERN, &technique_name(technique))
}

/// What tells techniques apart.
fn technique_name(technique: &pb::Technique) -> String {
    let pb::Technique { framework, version, external_id, .. } = technique;
    format!("{framework}\0{version}\0{external_id}")
}

/// The name that a framework has among the sources of references.
fn source_name(framework: &str) -> &str {
    match framework {
        "" => "unknown",
        "disarm" => "DISARM",
        "attack" => "mitre-attack",
        other => other,
    }
}

/// What the objects of one record have in common.
pub(super) struct Frame<'a> {
    record: &'a ExportedRecord,
    created: String,
    modified: String,
}

impl<'a> Frame<'a> {
    pub(super) fn new(record: &'a ExportedRecord) -> Self {
        let modified = Self::modified(record);
        let created = record.first_accept_time.min(modified);
        Self { record, created: created.to_string(), modified: modified.to_string() }
    }

    /// When this version of the record's objects was made.
    pub(super) fn modified(record: &ExportedRecord) -> Timestamp {
        let micros = |micros: u64| std::time::Duration::from_micros(micros);
        let revision = u64::from(record.record.header.revision);
        // Two revisions may have been taken in within one microsecond: each is one later than the time says, so that what
        // is newer always says so.
        match record.recalled {
            None => record.accept_time.saturating_add(micros(revision.saturating_sub(1))),
            Some(recalled) => recalled.accept_time.saturating_add(micros(revision)),
        }
    }

    /// When the record was made, as STIX has it.
    pub(super) const fn created(&self) -> Timestamp {
        self.record.first_accept_time
    }

    /// An object of the record, without the properties of its type.
    pub(super) fn object(&self, kind: &str, part: &str) -> Object {
        let header = &self.record.record.header;
        let json = json!({
            "type": kind,
            "spec_version": "2.1",
            "id": ids::of_record(kind, &header.name, part),
            "created_by_ref": member_id(&header.name.member),
            "created": self.created,
            "modified": self.modified,
            "object_marking_refs": [marking::tlp_id(header.handling.tlp)],
        });
        let object = fixed(json, Origin::Record);
        if self.record.recalled.is_some() { object.with("revoked", true) } else { object }
    }

    /// A relationship of the record.
    pub(super) fn relationship(
        &self,
        part: &str,
        source: &str,
        relation: &str,
        target: &str,
    ) -> Object {
        self.object("relationship", part)
            .with("relationship_type", relation)
            .with("source_ref", source)
            .with("target_ref", target)
    }
}
