//! Markings: TLP 2.0 as objects, and what other people's markings come to.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::interop::stix::object::Object;
use crate::interop::stix::object::Origin;
use crate::interop::stix::object::fixed;
use crate::model::handling::Tlp;

/// The extension in which OASIS gives the labels of TLP 2.0.
const TLP_2_EXTENSION: &str = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";

/// Every label, its word in that extension, and the id that OASIS published for it.
const TLP_2: [(Tlp, &str, &str); 5] = [
    (Tlp::Clear, "clear", "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487"),
    (Tlp::Green, "green", "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"),
    (Tlp::Amber, "amber", "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"),
    (Tlp::AmberStrict, "amber+strict", "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"),
    (Tlp::Red, "red", "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"),
];

/// The labels of TLP 1.0, which the standard itself defines. Its AMBER is that of 2.0: the organisation and its clients.
const TLP_1: [(Tlp, &str, &str); 4] = [
    (Tlp::Clear, "white", "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"),
    (Tlp::Green, "green", "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"),
    (Tlp::Amber, "amber", "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"),
    (Tlp::Red, "red", "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"),
];

/// The id of a label's marking.
pub fn tlp_id(tlp: Tlp) -> &'static str {
    row(tlp).2
}

/// A label's marking, exactly as OASIS published it.
pub fn tlp_object(tlp: Tlp) -> Object {
    let (_tlp, word, id) = row(tlp);
    let extension = json!({ "extension_type": "property-extension", "tlp_2_0": word });
    let json = json!({
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": id,
        "created": "2022-10-01T00:00:00.000Z",
        "name": tlp.to_string(),
        "extensions": { TLP_2_EXTENSION: extension },
    });
    fixed(json, Origin::Fixed)
}

const fn row(tlp: Tlp) -> (Tlp, &'static str, &'static str) {
    let [clear, green, amber, amber_strict, red] = TLP_2;
    match tlp {
        Tlp::Clear => clear,
        Tlp::Green => green,
        Tlp::Amber => amber,
        Tlp::AmberStrict => amber_strict,
        Tlp::Red => red,
    }
}

/// What a marking asks for, as far as TLP says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// A label.
    Label(Tlp),
    /// A statement, for example a licence: it is no matter of who may read.
    Statement,
    /// Something else, which may ask for anything.
    Unknown,
}

/// The label of a well-known id.
pub fn known(id: &str) -> Option<Tlp> {
    TLP_2.iter().chain(&TLP_1).find_map(|(tlp, _word, known)| (*known == id).then_some(*tlp))
}

/// What the definition of a marking says. A well-known id counts more than what somebody writes under it, unless that is
/// stricter.
pub fn defined(id: &str, object: &Map<String, Value>) -> Marked {
    let word = object
        .get("extensions")
        .and_then(|extensions| extensions.get(TLP_2_EXTENSION)?.get("tlp_2_0"))
        .or_else(|| object.get("definition")?.get("tlp"))
        .and_then(Value::as_str)
        .or_else(|| object.get("name").and_then(Value::as_str));
    let said = word.and_then(label);
    match (known(id), said) {
        (Some(known), Some(said)) => Marked::Label(known.max(said)),
        (Some(tlp), None) | (None, Some(tlp)) => Marked::Label(tlp),
        (None, None) => {
            let kind = object.get("definition_type").and_then(Value::as_str);
            if kind == Some("statement") { Marked::Statement } else { Marked::Unknown }
        }
    }
}

/// A label as people write it; `WHITE` is what TLP 1.0 called CLEAR.
pub fn label(word: &str) -> Option<Tlp> {
    let word = word.trim().to_ascii_lowercase();
    let word = word.strip_prefix("tlp:").unwrap_or(&word);
    if word == "white" { Some(Tlp::Clear) } else { word.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_markings_are_those_that_oasis_published() {
        let expected = json!({
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
            "created": "2022-10-01T00:00:00.000Z",
            "name": "TLP:AMBER+STRICT",
            "extensions": {
                "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d": {
                    "extension_type": "property-extension",
                    "tlp_2_0": "amber+strict"
                }
            }
        });
        assert_eq!(Value::Object(tlp_object(Tlp::AmberStrict).json), expected);
        for (tlp, _word, id) in TLP_2 {
            assert_eq!((tlp_id(tlp), known(id)), (id, Some(tlp)));
            assert_eq!(defined(id, &tlp_object(tlp).json), Marked::Label(tlp));
            assert_eq!(defined("marking-definition--x", &tlp_object(tlp).json), Marked::Label(tlp));
        }
    }

    #[test]
    fn a_stricter_word_under_a_well_known_id_counts() {
        let white = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9";
        let definition =
            |tlp: &str| json!({ "definition_type": "tlp", "definition": { "tlp": tlp } });
        let marked = |tlp: &str| defined(white, definition(tlp).as_object().unwrap());
        assert_eq!(marked("clear"), Marked::Label(Tlp::Clear));
        assert_eq!(marked("red"), Marked::Label(Tlp::Red));
        let statement =
            json!({ "definition_type": "statement", "definition": { "statement": "CC0" } });
        assert_eq!(
            defined("marking-definition--y", statement.as_object().unwrap()),
            Marked::Statement
        );
        assert_eq!(defined("marking-definition--y", &Map::new()), Marked::Unknown);
    }
}
