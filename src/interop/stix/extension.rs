//! Our extension: the signed envelope, and what STIX has no property for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::Message as _;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::interop::exported::ExportedRecord;
use crate::interop::stix::ids;
use crate::interop::stix::object::Object;
use crate::interop::stix::object::Origin;
use crate::interop::stix::object::SOURCE_NAME;
use crate::interop::stix::object::shared;
use crate::wire;

/// The version of the extension: another first number is another meaning.
pub const EXTENSION_VERSION: &str = "1.0.0";

/// Where the schema of the extension is: a section of this document, which comes with the software.
const SCHEMA: &str = "docs/INTEROP.md#extension";

/// The id of our extension.
pub fn extension_id() -> String {
    ids::shared("extension-definition", "record")
}

/// The definition of our extension, and the identity that it is by.
pub(super) fn definition() -> [Object; 2] {
    let project = shared("identity", SOURCE_NAME, Origin::Fixed)
        .with("name", "Watchfire")
        .with("description", "The software that made these objects of the records of an exchange.")
        .with("identity_class", "system");
    let definition = shared("extension-definition", "record", Origin::Fixed)
        .with("created_by_ref", project.id())
        .with("name", "Watchfire record")
        .with(
            "description",
            "The signed envelope of the record that an object comes of, where it is in the log of its exchange, its \
             handling, and all that it says, in the words of its own model.",
        )
        .with("schema", SCHEMA)
        .with("version", EXTENSION_VERSION)
        .with("extension_types", vec!["property-extension"]);
    [project, definition]
}

/// The object with the extension of its record.
pub(super) fn extended(object: Object, record: &ExportedRecord) -> Object {
    let extensions = Map::from_iter([(extension_id(), extension(record))]);
    object.with("extensions", extensions)
}

fn extension(exported: &ExportedRecord) -> Value {
    let ExportedRecord { epoch, sequence, accept_time, record, recalled, .. } = exported;
    let header = &record.header;
    let handling = wire::header::header_to_wire(header).handling.unwrap_or_default();
    let handling = wire::json::message_to_json("watchfire.v1.Handling", &handling.encode_to_vec());
    let mut extension = json!({
        "extension_type": "property-extension",
        "exchange": header.exchange.name(),
        "record": header.name.to_string(),
        "revision": header.revision,
        "kind": header.body_kind.as_str(),
        "epoch": epoch,
        "sequence": sequence,
        "accept_time": accept_time.to_string(),
        "header_digest": hex::encode(record.header_digest),
        "handling": handling,
        "envelope": BASE64.encode(record.envelope.encode_to_vec()),
    });
    if let Value::Object(fields) = &mut extension {
        match said(exported) {
            Some(said) => fields.insert("body".to_owned(), said),
            None => fields.insert("erased".to_owned(), Value::Bool(true)),
        };
        if let Some(recalled) = recalled {
            let recalled = json!({
                "sequence": recalled.sequence,
                "accept_time": recalled.accept_time.to_string(),
            });
            fields.insert("recalled".to_owned(), recalled);
        }
    }
    extension
}

/// What the body says, without its salt, which says nothing.
fn said(exported: &ExportedRecord) -> Option<Value> {
    if exported.is_erased() {
        return None;
    }
    let mut body = wire::json::message_to_json("watchfire.v1.Body", &exported.record.envelope.body);
    body.as_object_mut()?.remove("salt");
    Some(body)
}
