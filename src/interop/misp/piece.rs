//! What an event is made of: attributes, and objects of attributes; and how a feed spells them.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use crate::interop::misp::tags;
use crate::interop::misp::template::Template;
use crate::interop::misp::text;
use crate::model::time::Timestamp;

/// An attribute.
#[derive(Clone, Debug)]
pub(super) struct Attribute {
    pub(super) uuid: Uuid,
    /// Its type, as MISP names it.
    pub(super) kind: &'static str,
    pub(super) category: &'static str,
    pub(super) value: String,
    pub(super) comment: String,
    /// Whether detection and blocking may use it.
    pub(super) to_ids: bool,
    /// Its role in its object.
    pub(super) relation: Option<&'static str>,
    pub(super) seen: Seen,
    pub(super) tags: Vec<String>,
}

/// When something was first and last seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
}

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) uuid: Uuid,
    pub(super) template: &'static Template,
    pub(super) comment: String,
    pub(super) seen: Seen,
    /// At least the one that names it.
    pub(super) attributes: Vec<Attribute>,
}

/// One or the other.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Attribute(Attribute),
    Object(Object),
}

impl Seen {
    /// MISP refuses an end before the beginning.
    pub(super) fn new(first: Option<Timestamp>, last: Option<Timestamp>) -> Self {
        let last = last.filter(|last| first.is_none_or(|first| first <= *last));
        Self { first, last }
    }

    fn put(self, json: &mut Map<String, Value>) {
        let times = [("first_seen", self.first), ("last_seen", self.last)];
        for (name, time) in times {
            if let Some(time) = time {
                json.insert(name.to_owned(), time.to_string().replace('Z', "+00:00").into());
            }
        }
    }
}

impl Attribute {
    /// As a feed has it; `changed` is when anything about it changed last.
    pub(super) fn to_json(&self, changed: Timestamp) -> Value {
        let json = json!({
            "uuid": self.uuid.to_string(),
            "type": self.kind,
            "category": self.category,
            "value": self.value,
            "comment": self.comment,
            "to_ids": self.to_ids,
            "disable_correlation": false,
            "timestamp": text::seconds(changed).to_string(),
        });
        let Value::Object(mut json) = json else { return json };
        if let Some(relation) = self.relation {
            json.insert("object_relation".to_owned(), relation.into());
        }
        if !self.tags.is_empty() {
            json.insert("Tag".to_owned(), tags::to_json(self.tags.clone()));
        }
        self.seen.put(&mut json);
        Value::Object(json)
    }
}

impl Object {
    /// The same of an object.
    pub(super) fn to_json(&self, changed: Timestamp) -> Value {
        let attributes: Vec<Value> =
            self.attributes.iter().map(|attribute| attribute.to_json(changed)).collect();
        let json = json!({
            "uuid": self.uuid.to_string(),
            "name": self.template.name,
            "meta-category": "misc",
            "description": self.template.description,
            "template_uuid": self.template.uuid,
            "template_version": self.template.version.to_string(),
            "comment": self.comment,
            "timestamp": text::seconds(changed).to_string(),
            "Attribute": attributes,
        });
        let Value::Object(mut json) = json else { return json };
        self.seen.put(&mut json);
        Value::Object(json)
    }
}

impl Piece {
    /// As a feed has it; `changed` is when anything about it changed last.
    pub(super) fn to_json(&self, changed: Timestamp) -> Value {
        match self {
            Self::Attribute(attribute) => attribute.to_json(changed),
            Self::Object(object) => object.to_json(changed),
        }
    }

    /// The values in it.
    pub(super) fn values(&self) -> Vec<&str> {
        match self {
            Self::Attribute(attribute) => vec![&attribute.value],
            Self::Object(object) => {
                object.attributes.iter().map(|attribute| attribute.value.as_str()).collect()
            }
        }
    }
}
