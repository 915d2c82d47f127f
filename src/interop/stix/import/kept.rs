//! What is kept of an object while a bundle is imported.
//!
//! The tree of a parsed object takes many times the bytes of its text: a list of zeros some sixteen times. So of each
//! object only those properties are kept that records have room for, no longer than records have room for, and as text.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::interop::stix::import::text;
use crate::model::limits;

/// Properties that are texts.
const TEXTS: [&str; 14] = [
    "type",
    "name",
    "description",
    "x_opencti_description",
    "objective",
    "first_seen",
    "last_seen",
    "valid_from",
    "valid_until",
    "sighting_of_ref",
    "opinion",
    "explanation",
    "abstract",
    "content",
];

/// Properties that are numbers.
const NUMBERS: [&str; 2] = ["confidence", "count"];

/// Properties that are lists of short texts.
const LISTS: [&str; 3] = ["aliases", "labels", "threat_actor_types"];

/// Kinds of which the objects that they are about are kept.
const STATEMENTS: [&str; 2] = ["opinion", "note"];

/// The shortest id: a letter, two dashes and a UUID.
const ID_BYTES_MIN: usize = 39;

/// The properties of an object that are kept.
pub(super) fn properties(object: &Map<String, Value>) -> Box<str> {
    let mut kept = Map::new();
    let mut keep = |property: &str, value: Value| drop(kept.insert(property.to_owned(), value));
    for property in TEXTS {
        if let Some(text) = text::text(object, property) {
            keep(property, text::long(Some(text)).into());
        }
    }
    for property in NUMBERS {
        if let Some(number) = object.get(property).and_then(Value::as_u64) {
            keep(property, number.into());
        }
    }
    for property in LISTS.into_iter().filter(|property| object.contains_key(*property)) {
        keep(property, text::labels(object, property).into());
    }
    let urls = text::addresses(object);
    if !urls.is_empty() {
        let references = urls.into_iter().map(|url| json!({ "url": url }));
        keep("external_references", references.collect());
    }
    if text::text(object, "type").is_some_and(|kind| STATEMENTS.contains(&kind)) {
        keep("object_refs", ids(object, "object_refs").into());
    }
    Value::Object(kept).to_string().into_boxed_str()
}

/// A property that is a list of ids. What is too short for one is left out: it is nothing's id.
pub(super) fn ids(object: &Map<String, Value>, property: &str) -> Vec<String> {
    let list = object.get(property).and_then(Value::as_array);
    let ids = list.into_iter().flatten().filter_map(Value::as_str);
    let ids = ids.filter(|id| (ID_BYTES_MIN..=limits::LABEL_BYTES_MAX).contains(&id.len()));
    ids.map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_record_has_room_for_is_not_kept() {
        let zeros = vec![0; 100_000];
        let object = json!({ "type": "campaign", "name": "Storm", "x": zeros, "labels": zeros,
            "object_refs": zeros, "external_references": zeros, "aliases": vec!["a"; 100_000],
            "description": "y".repeat(900_000) });
        let kept = properties(object.as_object().unwrap());
        let most = limits::TEXT_BYTES_MAX + limits::ITEMS_MAX * 4 + 200;
        assert!(kept.len() < most, "{}", kept.len());
        let kept: Value = serde_json::from_str(&kept).unwrap();
        assert_eq!(kept.get("name"), Some(&json!("Storm")));
    }
}
