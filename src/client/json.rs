//! Records as JSON: one object an entry, stable and documented, in proto-JSON spelling where it shows messages.
//!
//! The envelope goes along in base64, so that whoever keeps the line keeps the proof: [`entry_from_json`] reads
//! it back and what it decodes to must equal the rest of the line.

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::client::batch::ErasedBy;
use crate::client::verifier::VerificationError;
use crate::client::verifier::VerifiedEntry;
use crate::client::verifier::Verifier;
use crate::model::handling::Handling;
use crate::model::handling::OnwardUse;
use crate::model::handling::Reach;
use crate::model::handling::Tlp;
use crate::model::names::Audience;
use crate::model::names::InvalidName;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::model::visible::escaped;
use crate::profile::Overlay;
use crate::wire;
use crate::wire::pb;

/// Why a line is not an entry that may be believed.
#[derive(Debug, thiserror::Error)]
pub enum SavedEntryError {
    /// It is not such an object.
    #[error("it is not a saved entry: {0}")]
    Format(String),
    /// Its envelope does not hold.
    #[error(transparent)]
    Unverified(#[from] VerificationError),
    /// The envelope holds, and the line says something else than it.
    #[error("the field {0} is not what the envelope says")]
    Differs(String),
}

#[expect(clippy::struct_excessive_bools, reason = "the fields of a line, as documented")]
#[derive(Serialize)]
struct Line<'a> {
    epoch: u32,
    sequence: u64,
    accept_time: String,
    name: String,
    revision: u32,
    publisher: String,
    kind: &'static str,
    handling: Value,
    body: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    erased: Option<ErasedBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay: Option<&'a Overlay>,
    header_digest: String,
    verified: bool,
    #[serde(skip_serializing_if = "is_false")]
    in_doubt: bool,
    #[serde(skip_serializing_if = "is_false")]
    unconfirmed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    distance: Option<u32>,
    envelope: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// What one reader knows of an entry at one moment: never part of what was signed, nor of what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The reader's clock.
    pub now: Timestamp,
    /// The reader's own view of the record.
    pub overlay: Option<&'a Overlay>,
    /// In how many bits it differs from what was sought.
    pub distance: u32,
}

/// The moment from which readers should no longer act on a record, as its publisher signed it.
pub fn expiry(entry: &VerifiedEntry) -> Option<Timestamp> {
    wire::expiry(entry.header(), Some(entry.body()))
}

/// One line of JSON as sinks and commands get it, without the line break.
pub fn entry_to_json(entry: &VerifiedEntry) -> String {
    line(entry, None)
}

/// One line of `--format jsonl`, without the line break: the same, and whether it has expired, and the reader's view.
pub fn entry_to_json_for(entry: &VerifiedEntry, reading: Reading<'_>) -> String {
    line(entry, Some(reading))
}

fn line(entry: &VerifiedEntry, reading: Option<Reading<'_>>) -> String {
    let expires = expiry(entry);
    let header = entry.header();
    let wire_header = wire::header::header_to_wire(header);
    let line = Line {
        epoch: entry.epoch(),
        sequence: entry.sequence(),
        accept_time: entry.accept_time().to_string(),
        name: header.name.to_string(),
        revision: header.revision,
        publisher: header.name.member.name(),
        kind: header.body_kind.as_str(),
        handling: to_json(
            "watchfire.v1.Handling",
            &wire_header.handling.unwrap_or_default().encode_to_vec(),
        ),
        body: to_json("watchfire.v1.Body", &entry.envelope().body),
        erased: entry.erased_by().map(|cause_sequence| ErasedBy { cause_sequence }),
        expires: expires.map(|time| time.to_string()),
        expired: reading.and_then(|reading| Some(expires? <= reading.now)),
        overlay: reading.and_then(|reading| reading.overlay),
        header_digest: hex::encode(entry.header_digest()),
        verified: true,
        in_doubt: entry.is_in_doubt(),
        unconfirmed: entry.is_unconfirmed(),
        distance: reading.map(|reading| reading.distance).filter(|bits| *bits > 0),
        envelope: &BASE64.encode(entry.envelope().encode_to_vec()),
    };
    // Texts, numbers and objects: there is nothing in it that JSON cannot say.
    escaped(&serde_json::to_string(&line).unwrap_or_default()).into_owned()
}

/// The ledger as one JSON object, in proto-JSON spelling, without the line break.
pub fn ledger_to_json(answer: &pb::GetLedgerResponse) -> String {
    to_json("watchfire.v1.GetLedgerResponse", &answer.encode_to_vec()).to_string()
}

#[derive(Deserialize)]
struct SavedLine {
    epoch: u32,
    sequence: u64,
    accept_time: String,
    erased: Option<ErasedBy>,
    envelope: String,
}

/// Reads a line back, checks its envelope by the roster, and that the rest of it is what the envelope says.
pub fn entry_from_json(line: &str, verifier: &Verifier) -> Result<VerifiedEntry, SavedEntryError> {
    let format = |error: &dyn Display| SavedEntryError::Format(error.to_string());
    let given: Value = serde_json::from_str(line).map_err(|error| format(&error))?;
    let saved = SavedLine::deserialize(&given).map_err(|error| format(&error))?;
    let bytes = BASE64.decode(&saved.envelope).map_err(|error| format(&error))?;
    let envelope = pb::Envelope::decode(bytes.as_slice()).map_err(|error| format(&error))?;
    let time: jiff::Timestamp = saved.accept_time.parse().map_err(|error| format(&error))?;
    let accept_time = u64::try_from(time.as_microsecond())
        .ok()
        .and_then(Timestamp::from_micros)
        .ok_or_else(|| format(&"the accept_time lies before 1970"))?;
    let entry = verifier.verify(pb::Entry {
        epoch: saved.epoch,
        sequence: saved.sequence,
        accept_time: Some(wire::time::timestamp_to_wire(accept_time)),
        envelope: Some(envelope),
        erased: saved.erased.map(|by| pb::Erasure { cause_sequence: by.cause_sequence }),
        record: None,
    })?;
    let expected: Value =
        serde_json::from_str(&entry_to_json(&entry)).map_err(|error| format(&error))?;
    match difference(&given, &expected) {
        None => Ok(entry),
        Some(field) => Err(SavedEntryError::Differs(field)),
    }
}

/// Fields that nobody signed and that change with the reader, the time, and what was sought.
const OF_THE_READER: [&str; 5] = ["in_doubt", "unconfirmed", "expired", "overlay", "distance"];

/// The first field in which two objects differ. A doubt may have come up after the line was saved, or been settled.
fn difference(given: &Value, expected: &Value) -> Option<String> {
    let (Some(given), Some(expected)) = (given.as_object(), expected.as_object()) else {
        return Some("line".to_owned());
    };
    let fields = given.keys().chain(expected.keys());
    let mut fields = fields.filter(|field| !OF_THE_READER.contains(&field.as_str()));
    fields.find(|field| given.get(*field) != expected.get(*field)).cloned()
}

/// A body's content from proto-JSON; a salt in it counts for nothing, the signer draws its own.
pub fn body_from_json(value: Value) -> Result<pb::body::Content, Refusal> {
    let bytes = from_json("watchfire.v1.Body", value, "body")?;
    let body = wire::body::body(&bytes)?;
    body.content.ok_or_else(|| refusal("body", "nothing is said in it"))
}

/// A handling from proto-JSON.
pub fn handling_from_json(value: Value) -> Result<Handling, Refusal> {
    let bytes = from_json("watchfire.v1.Handling", value, "handling")?;
    let wire =
        pb::Handling::decode(bytes.as_slice()).map_err(|error| refusal("handling", error))?;
    let pb::Handling { tlp, audiences, recipients, onward_uses, use_until_time } = wire;
    let mut reach = Reach {
        audiences: names(&audiences, "handling.audiences", Audience::from_name)?,
        recipients: names(&recipients, "handling.recipients", MemberId::from_name)?,
    };
    // Sorts them, and lets each stand once: what is signed has one spelling.
    reach.widen(&Reach::default());
    let mut onward_uses = onward_uses.into_iter().map(onward_use).collect::<Result<Vec<_>, _>>()?;
    onward_uses.sort_unstable();
    onward_uses.dedup();
    let use_until = use_until_time
        .map(|time| wire::time::timestamp(&time, "handling.use_until_time"))
        .transpose()?;
    Ok(Handling { tlp: tlp_label(tlp)?, reach, onward_uses, use_until })
}

fn names<T>(
    wire: &[String],
    field: &'static str,
    parse: impl Fn(&str) -> Result<T, InvalidName>,
) -> Result<Vec<T>, Refusal> {
    wire.iter().map(|name| parse(name).map_err(|error| refusal(field, error))).collect()
}

fn tlp_label(number: i32) -> Result<Tlp, Refusal> {
    match pb::Tlp::try_from(number) {
        Ok(pb::Tlp::Clear) => Ok(Tlp::Clear),
        Ok(pb::Tlp::Green) => Ok(Tlp::Green),
        Ok(pb::Tlp::Amber) => Ok(Tlp::Amber),
        Ok(pb::Tlp::AmberStrict) => Ok(Tlp::AmberStrict),
        Ok(pb::Tlp::Red) => Ok(Tlp::Red),
        Ok(pb::Tlp::Unspecified) | Err(_) => {
            let why = "every record has a TLP label";
            Err(Refusal::field(Reason::TlpMissing, "handling.tlp", why))
        }
    }
}

fn onward_use(number: i32) -> Result<OnwardUse, Refusal> {
    match pb::OnwardUse::try_from(number) {
        Ok(pb::OnwardUse::Block) => Ok(OnwardUse::Block),
        Ok(pb::OnwardUse::NotifyAffected) => Ok(OnwardUse::NotifyAffected),
        Ok(pb::OnwardUse::PassToGovernment) => Ok(OnwardUse::PassToGovernment),
        Ok(pb::OnwardUse::Unspecified) | Err(_) => {
            Err(refusal("handling.onward_uses", format!("{number} is not one")))
        }
    }
}

/// A message in proto-JSON.
pub(super) fn to_json(name: &str, bytes: &[u8]) -> Value {
    wire::json::message_to_json(name, bytes)
}

fn from_json(name: &str, value: Value, field: &'static str) -> Result<Vec<u8>, Refusal> {
    let descriptor =
        wire::json::descriptor(name).ok_or_else(|| refusal(field, "its description is missing"))?;
    let message =
        DynamicMessage::deserialize(descriptor, value).map_err(|error| refusal(field, error))?;
    Ok(message.encode_to_vec())
}

fn refusal(field: &'static str, why: impl Display) -> Refusal {
    Refusal::field(Reason::FieldInvalid, field, why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::World;
    use crate::client::tests::domain;
    use crate::model::header::BodyKind;

    fn line(world: &World) -> String {
        let envelope = world.publish(&world.acme, domain("example.com"));
        entry_to_json(&world.verifier().verify(World::entry(3, envelope)).unwrap())
    }

    #[test]
    fn a_line_has_the_documented_fields() {
        let world = World::new();
        let line = line(&world);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["sequence"], 3);
        assert_eq!(value["accept_time"], "2027-01-15T08:00:00.000001Z");
        assert_eq!(value["publisher"], "members/acme-video");
        assert_eq!(value["handling"]["tlp"], "TLP_GREEN");
        assert_eq!(value["handling"]["audiences"][0], "audiences/companies");
        let observable = &value["body"]["indicator"]["observable"];
        assert_eq!(observable["kind"], "OBSERVABLE_KIND_DOMAIN");
        assert_eq!(observable["value"], "example.com");
        assert_eq!(value["verified"], true);
        let seen = pb::Indicator { warning_seen: true, ..pb::Indicator::default() };
        let value = to_json("watchfire.v1.Indicator", &seen.encode_to_vec());
        assert_eq!(value, serde_json::json!({"warning_seen": true}), "the names of the proto");
        assert!(line.starts_with("{\"epoch\":1,\"sequence\":3,\"accept_time\":"), "{line}");
    }

    #[test]
    fn a_saved_line_is_believed_and_a_changed_one_is_not() {
        let world = World::new();
        let line = line(&world);
        assert_eq!(entry_from_json(&line, &world.verifier()).unwrap().sequence(), 3);
        for (from, to) in [
            ("example.com", "example.org"),
            ("TLP_GREEN", "TLP_CLEAR"),
            ("\"revision\":1", "\"revision\":2"),
            ("\"verified\":true", "\"verified\":true,\"note\":1"),
        ] {
            let changed = line.replace(from, to);
            assert_ne!(changed, line);
            let error = entry_from_json(&changed, &world.verifier()).unwrap_err();
            assert!(matches!(error, SavedEntryError::Differs(_)), "{to}: {error}");
        }
        let moved = line.replace("\"sequence\":3", "\"sequence\":0");
        assert!(matches!(
            entry_from_json(&moved, &world.verifier()),
            Err(SavedEntryError::Unverified(_))
        ));
        assert!(matches!(
            entry_from_json("{}", &world.verifier()),
            Err(SavedEntryError::Format(_))
        ));
    }

    #[test]
    fn a_match_is_a_saved_line_too() {
        let world = World::new();
        let envelope = world.publish(&world.acme, domain("example.com"));
        let entry = world.verifier().verify(World::entry(3, envelope)).unwrap();
        let reading = Reading { now: world.now, overlay: None, distance: 0 };
        assert_eq!(entry_to_json_for(&entry, reading), entry_to_json(&entry));
        let line = entry_to_json_for(&entry, Reading { distance: 7, ..reading });
        assert!(line.contains("\"distance\":7"), "{line}");
        entry_from_json(&line, &world.verifier()).unwrap();
    }

    #[test]
    fn what_was_printed_can_be_published() {
        let world = World::new();
        let value: Value = serde_json::from_str(&line(&world)).unwrap();
        assert_eq!(body_from_json(value["body"].clone()).unwrap(), domain("example.com"));
        let handling = handling_from_json(value["handling"].clone()).unwrap();
        assert_eq!(handling, world.draft(&world.acme, domain("x")).handling);
    }

    #[test]
    fn the_documented_samples_are_records() {
        let samples: Vec<Value> = include_str!("../../docs/JSONL.md")
            .lines()
            .filter(|line| line.starts_with("{\"body\"") || line.starts_with("{\"name\""))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let world = World::new();
        let mut kinds = std::collections::BTreeSet::new();
        for sample in samples {
            let content = body_from_json(sample["body"].clone()).unwrap();
            kinds.insert(crate::client::signer::kind_of(&content));
            let mut draft = world.draft(&world.acme, content);
            if let Some(handling) = sample.get("handling") {
                draft.handling = handling_from_json(handling.clone()).unwrap();
            }
            world.acme.sign(draft, world.now).unwrap();
        }
        let others = |kind: &BodyKind| kind.is_common() || kind.is_hub();
        let missing: Vec<&BodyKind> =
            BodyKind::ALL.iter().filter(|kind| !others(kind) && !kinds.contains(kind)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let value = serde_json::json!({"indicator": {"colour": "red"}});
        body_from_json(value).unwrap_err();
        body_from_json(serde_json::json!({})).unwrap_err();
    }
}
