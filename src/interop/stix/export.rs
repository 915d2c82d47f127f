//! From a record to STIX objects.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::interop::exported::ExportedRecord;
use crate::interop::stix::ids;
use crate::model::names::Digest;
use crate::model::names::MemberId;

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

/// The objects of a record, each shared one before what refers to it. A record of a kind that STIX has no use for has
/// none.
pub fn objects(record: &ExportedRecord) -> Vec<Object> {
    let id = ids::of_record("indicator", record.name(), "");
    let Value::Object(json) = json!({ "type": "indicator", "spec_version": "2.1", "id": id })
    else {
        return Vec::new();
    };
    vec![Object { json, origin: Origin::Record }]
}
