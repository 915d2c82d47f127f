//! Objects that carry a signed record: what was signed, whether the objects around it say the same, and the record that it
//! becomes in another exchange.

use std::collections::BTreeMap;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::Message as _;
use serde_json::Map;
use serde_json::Value;

use crate::interop::exported::ExportedRecord;
use crate::interop::exported::Named;
use crate::interop::exported::Recalled;
use crate::interop::exported::names_of;
use crate::interop::stix::bundle::Bundle;
use crate::interop::stix::bundle::Given;
use crate::interop::stix::export::objects;
use crate::interop::stix::extension::extension_id;
use crate::interop::stix::ids;
use crate::interop::stix::object::Origin;
use crate::model::handling::Handling;
use crate::model::header::BodyKind;
use crate::model::limits;
use crate::model::names::ExchangeName;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;
use crate::wire;
use crate::wire::envelope::Record;
use crate::wire::pb;
use crate::wire::pb::body::Content;

/// The media type of a piece of evidence that is the header of a record of another exchange.
pub const HEADER_MEDIA_TYPE: &str = crate::model::header::HEADER_PAYLOAD_TYPE;

/// A signed record that an object carries, as it claims. Nothing of it is checked yet.
#[derive(Clone, Debug)]
pub struct Carried {
    /// The object.
    pub object: String,
    /// The exchange that the header names.
    pub exchange: ExchangeName,
    /// The entry; its place and time are the bundle's word.
    pub entry: pb::Entry,
    created: Timestamp,
    recalled: Option<Recalled>,
}

/// The signed record that an object carries, if it has our extension; the reason if that cannot be read.
pub fn carried(json: &Map<String, Value>) -> Option<Result<Carried, String>> {
    let extension = json.get("extensions")?.get(extension_id())?;
    Some(read(json, extension))
}

fn read(json: &Map<String, Value>, extension: &Value) -> Result<Carried, String> {
    let text = |value: &Value, field: &str| {
        let text = value.get(field).and_then(Value::as_str).map(ToOwned::to_owned);
        text.ok_or_else(|| format!("its extension has no {field}"))
    };
    let number = |value: &Value, field: &str| {
        let number = value.get(field).and_then(Value::as_u64);
        number.ok_or_else(|| format!("its extension has no {field}"))
    };
    let time = |value: &Value, field: &str| -> Result<Timestamp, String> {
        moment(&text(value, field)?).ok_or_else(|| format!("its {field} is no time"))
    };
    let envelope = BASE64.decode(text(extension, "envelope")?);
    let envelope = envelope.map_err(|error| format!("its envelope is no Base64: {error}"))?;
    if envelope.len() > limits::ENVELOPE_BYTES_MAX {
        return Err("its envelope is larger than any that a hub takes".to_owned());
    }
    let envelope = pb::Envelope::decode(envelope.as_slice());
    let envelope = envelope.map_err(|error| format!("its envelope cannot be read: {error}"))?;
    let header = wire::header::header(&envelope.payload);
    let header = header.map_err(|refusal| format!("its envelope cannot be read: {refusal}"))?;
    let sequence = number(extension, "sequence")?;
    let recalled = match extension.get("recalled") {
        None => None,
        Some(recalled) => Some(Recalled {
            sequence: number(recalled, "sequence")?,
            accept_time: time(recalled, "accept_time")?,
        }),
    };
    // What erased it is not said: any later place will do, since a body that is not there is not believed anyhow.
    let erased = extension.get("erased").and_then(Value::as_bool) == Some(true);
    let cause_sequence = sequence.saturating_add(1);
    let created = Value::Object(json.clone());
    Ok(Carried {
        object: text(&created, "id")?,
        exchange: header.exchange,
        entry: pb::Entry {
            epoch: u32::try_from(number(extension, "epoch")?)
                .map_err(|_large| "its epoch is none")?,
            sequence,
            accept_time: Some(wire::time::timestamp_to_wire(time(extension, "accept_time")?)),
            envelope: Some(envelope),
            erased: erased.then_some(pb::Erasure { cause_sequence }),
            record: None,
        },
        created: time(&created, "created")?,
        recalled,
    })
}

fn moment(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Timestamp::from_micros(u64::try_from(time.as_microsecond()).ok()?)
}

/// The ids of objects for which a signed record speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Those that come of it alone.
    pub own: Vec<String>,
    /// Those that others may bring too.
    pub shared: Vec<String>,
}

impl Carried {
    /// Whether it says that the record was taken back.
    pub const fn is_recalled(&self) -> bool {
        self.recalled.is_some() || self.entry.erased.is_some()
    }

    /// The objects of a bundle for which a verified record speaks; the reason if one of them says something else than what
    /// was signed.
    pub fn compare(&self, record: &Record, objects: &Objects<'_>) -> Result<Said, String> {
        let accept_time = self.entry.accept_time.unwrap_or_default();
        let accept_time = wire::time::timestamp(&accept_time, "accept_time");
        let exported = ExportedRecord {
            epoch: self.entry.epoch,
            sequence: self.entry.sequence,
            accept_time: accept_time.map_err(|refusal| refusal.to_string())?,
            first_accept_time: self.created,
            record: record.clone(),
            recalled: self.recalled,
            named: self.named(record, objects),
        };
        let mut said = Said::default();
        for object in self::objects(&exported) {
            let Some(given) = objects.get(object.id()) else { continue };
            let is_same = given.json().is_ok_and(|given| {
                same(&Value::Object(given), &Value::Object(object.json.clone()))
            });
            match (is_same, &object.origin) {
                (true, Origin::Record) => said.own.push(object.id().to_owned()),
                (true, _) => said.shared.push(object.id().to_owned()),
                // It is its own object then: whoever merges bundles may know more of a shared one.
                (false, shared) if *shared != Origin::Record => {}
                (false, _) => {
                    return Err(format!(
                        "{} says something else than its signed record",
                        object.id()
                    ));
                }
            }
        }
        if said.own.contains(&self.object) {
            Ok(said)
        } else {
            Err(format!("{} is not an object of the record that it carries", self.object))
        }
    }

    /// The kinds of the records that a record names, as the objects refer to them: nobody signed them, and the types of
    /// references hang on them.
    fn named(&self, record: &Record, objects: &Objects<'_>) -> BTreeMap<RecordName, Named> {
        let own = &record.header.name;
        let parts = [self.object.clone(), ids::of_record("relationship", own, "operation")];
        let texts: Vec<String> = parts
            .iter()
            .filter_map(|id| objects.get(id)?.json().ok())
            .flat_map(|json| references(&json))
            .collect();
        let kinds = [
            ("indicator", BodyKind::Indicator),
            ("campaign", BodyKind::Operation),
            ("relationship", BodyKind::Attribution),
            ("sighting", BodyKind::Sighting),
            ("opinion", BodyKind::Opinion),
            ("note", BodyKind::Note),
        ];
        let kind = |name: &RecordName| {
            kinds.iter().find_map(|(word, kind)| {
                let id = ids::of_record(word, name, "");
                // What stands as a note is said to be one, whatever it is.
                texts.contains(&id).then_some(Named { kind: *kind, is_unnameable: false })
            })
        };
        let names = names_of(record).into_iter();
        names.filter_map(|name| Some((name.clone(), kind(name)?))).collect()
    }
}

/// What an object refers to.
fn references(json: &Map<String, Value>) -> Vec<String> {
    let one = json.iter().filter(|(property, _)| property.ends_with("_ref"));
    let one = one.filter_map(|(_property, id)| id.as_str());
    let several = json.iter().filter(|(property, _)| property.ends_with("_refs"));
    let several = several.filter_map(|(_property, ids)| ids.as_array()).flatten();
    one.chain(several.filter_map(Value::as_str)).map(ToOwned::to_owned).collect()
}

/// Whether two values say the same: a moment may be written with fewer digits by whoever passed it on.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::String(one), Value::String(other)) => {
            let moments = || moment(one).filter(|_| one.ends_with('Z')).zip(moment(other));
            one == other || moments().is_some_and(|(one, other)| one == other)
        }
        _ => one == other,
    }
}

/// The objects of a bundle by id.
#[derive(Debug)]
pub struct Objects<'a> {
    by_id: HashMap<&'a str, &'a Given>,
}

impl<'a> Objects<'a> {
    /// Of one bundle.
    pub fn of(bundle: &'a Bundle) -> Self {
        Self { by_id: bundle.objects.iter().map(|given| (given.id.as_str(), given)).collect() }
    }

    fn get(&self, id: &str) -> Option<&'a Given> {
        self.by_id.get(id).copied()
    }
}

/// What a record of another exchange says, with the names in it as they are here, and a trace to where it comes from where
/// its kind has a field for one: evidence by the digest of its header, else a reference.
///
/// Members of another exchange are nobody here, so a question is asked of nobody in particular.
pub fn content_here(
    record: &Record,
    name_here: impl Fn(&RecordName) -> RecordName,
) -> Result<Content, String> {
    let mut content = record.body.content.clone().ok_or("its body is erased")?;
    let names = names_in(&mut content).ok_or("a record of this kind is not passed on")?;
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        let parsed: RecordName =
            name.parse().map_err(|error| format!("it names no record: {error}"))?;
        *name = name_here(&parsed).to_string();
    }
    leave_trace(&mut content, record);
    Ok(content)
}

/// The names of records in what a record says; `None` if it is of a kind that nobody but its publisher can say.
fn names_in(content: &mut Content) -> Option<Vec<&mut String>> {
    Some(match content {
        Content::Indicator(wire) => vec![&mut wire.operation],
        Content::Operation(_) => Vec::new(),
        Content::Attribution(wire) => vec![&mut wire.operation],
        Content::Link(wire) => {
            name_in(&mut wire.source).into_iter().chain(name_in(&mut wire.target)).collect()
        }
        Content::Sighting(wire) => vec![&mut wire.of],
        Content::Opinion(wire) => vec![&mut wire.of],
        Content::ActionReport(wire) => vec![&mut wire.of],
        Content::Inquiry(wire) => name_in(&mut wire.about).into_iter().collect(),
        Content::Reply(wire) => vec![&mut wire.to],
        Content::Note(wire) => vec![&mut wire.about],
        Content::Withdrawal(_)
        | Content::Acknowledgement(_)
        | Content::RosterChange(_)
        | Content::KeyChange(_)
        | Content::AudienceChange(_)
        | Content::Takedown(_)
        | Content::Erasure(_)
        | Content::Retention(_)
        | Content::Epoch(_)
        | Content::Conflict(_)
        | Content::LogKeyChange(_)
        | Content::Genesis(_) => return None,
    })
}

/// The name in an end that is a record.
fn name_in(end: &mut Option<pb::Reference>) -> Option<&mut String> {
    if let pb::reference::To::Record(name) = end.as_mut()?.to.as_mut()? {
        return Some(name);
    }
    None
}

/// Says where a record comes from, where its kind has a field for that and there is room.
fn leave_trace(content: &mut Content, record: &Record) {
    let header = &record.header;
    let uri = format!("{}/{}@{}", header.exchange.name(), header.name, header.revision);
    let refer = |references: &mut Vec<String>| {
        if references.len() < limits::ITEMS_MAX {
            references.push(uri.clone());
        }
    };
    if let Content::Indicator(wire) = content
        && wire.evidence.len() < limits::ITEMS_MAX
    {
        wire.evidence.push(pb::Evidence {
            sha256: record.header_digest.to_vec(),
            media_type: HEADER_MEDIA_TYPE.to_owned(),
            uri,
        });
    } else if let Content::Operation(wire) = content {
        refer(&mut wire.references);
    } else if let Content::Attribution(wire) = content {
        refer(&mut wire.references);
    } else if let Content::Inquiry(wire) = content {
        wire.addressees.clear();
    }
}

/// The revision of a record of another exchange that content was taken over from, if it says so.
pub fn traced_revision(
    content: &Content,
    exchange: &ExchangeName,
    name: &RecordName,
) -> Option<u32> {
    let uris: Vec<&str> = if let Content::Indicator(wire) = content {
        wire.evidence.iter().map(|evidence| evidence.uri.as_str()).collect()
    } else if let Content::Operation(wire) = content {
        wire.references.iter().map(String::as_str).collect()
    } else if let Content::Attribution(wire) = content {
        wire.references.iter().map(String::as_str).collect()
    } else {
        Vec::new()
    };
    let start = format!("{}/{name}@", exchange.name());
    uris.iter().filter_map(|uri| uri.strip_prefix(&start)?.parse().ok()).max()
}

/// The handling of such a record: never wider than the origin's, and with what its publisher allows and no more.
pub fn handling_here(wanted: &Handling, origin: &Handling) -> Handling {
    Handling {
        tlp: wanted.tlp.max(origin.tlp),
        reach: wanted.reach.clone(),
        onward_uses: origin.onward_uses.clone(),
        use_until: [wanted.use_until, origin.use_until].into_iter().flatten().min(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::interop::stix::bundle::read;
    use crate::interop::stix::export::tests::cases;

    fn bundle(objects: &[Value]) -> Bundle {
        let text = json!({ "type": "bundle", "objects": objects }).to_string();
        read(text.as_bytes()).unwrap()
    }

    fn derived(record: &ExportedRecord) -> Vec<Value> {
        let objects = objects(record).into_iter();
        objects.map(|object| Value::Object(object.json)).collect()
    }

    fn main_of(objects: &[Value]) -> Carried {
        let found = objects.iter().filter_map(|object| carried(object.as_object().unwrap()));
        found.map(Result::unwrap).next().unwrap()
    }

    #[test]
    fn the_objects_of_every_kind_of_record_are_what_its_envelope_says() {
        for (case, record) in cases() {
            let objects = derived(&record);
            let bundle = bundle(&objects);
            let carried = main_of(&objects);
            let said = carried.compare(&record.record, &Objects::of(&bundle)).unwrap();
            assert_eq!(said.own.len() + said.shared.len(), objects.len(), "{case}");
            assert_eq!(carried.is_recalled(), record.recalled.is_some(), "{case}");
        }
    }

    #[test]
    fn what_says_something_else_than_its_envelope_is_found_out() {
        let (_case, record) = cases().swap_remove(0);
        let objects = derived(&record);
        for (property, value) in [
            ("pattern", json!("[domain-name:value = 'rival.example']")),
            ("confidence", json!(99)),
            ("revoked", json!(true)),
            (
                "object_marking_refs",
                json!(["marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487"]),
            ),
            ("relationship_type", json!("derived-from")),
            ("x_more", json!("more")),
        ] {
            let mut objects = objects.clone();
            let kind = if property == "relationship_type" { "relationship" } else { "indicator" };
            let found = objects.iter_mut().find(|object| object["type"] == kind).unwrap();
            found.as_object_mut().unwrap().insert(property.to_owned(), value);
            let bundle = bundle(&objects);
            let error =
                main_of(&objects).compare(&record.record, &Objects::of(&bundle)).unwrap_err();
            assert!(error.contains("says something else"), "{property}: {error}");
        }
        let mut shorter = objects;
        shorter.retain(|object| object["type"] != "relationship");
        let time = json!("2026-01-01T00:00:00Z");
        let identity = shorter.iter_mut().find(|object| object["type"] == "identity").unwrap();
        identity.as_object_mut().unwrap().insert("created".to_owned(), time);
        let bundle = bundle(&shorter);
        let said = main_of(&shorter).compare(&record.record, &Objects::of(&bundle)).unwrap();
        assert_eq!(
            said.own.len() + said.shared.len(),
            shorter.len(),
            "parts may be missing, and times shorter"
        );
    }

    #[test]
    fn an_extension_that_cannot_be_read_is_told_why() {
        let check = |extension: Value, why: &str| {
            let json = json!({ "id": "note--1", "created": "2026-01-01T00:00:00Z",
                "extensions": { extension_id(): extension } });
            let error = carried(json.as_object().unwrap()).unwrap().unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        check(json!({}), "no envelope");
        check(json!({ "envelope": "*" }), "no Base64");
        check(json!({ "envelope": "AAAA" }), "cannot be read");
        check(json!({ "envelope": BASE64.encode(vec![0; 100_000]) }), "larger");
        assert!(carried(&Map::new()).is_none());
    }

    #[test]
    fn a_record_of_elsewhere_keeps_what_it_says_and_where_it_comes_from() {
        let here: RecordName =
            "members/bravo-net/records/01890a5d-ac96-774b-bcce-b302099a8001".parse().unwrap();
        for (case, record) in cases().into_iter().filter(|(_case, record)| !record.is_erased()) {
            let content = content_here(&record.record, |_name| here.clone()).unwrap();
            let given = record.record.body.content.clone().unwrap();
            let header = &record.record.header;
            let traced = traced_revision(&content, &header.exchange, &header.name);
            let has_trace = matches!(
                content,
                Content::Indicator(_) | Content::Operation(_) | Content::Attribution(_)
            );
            assert_eq!(traced, has_trace.then_some(header.revision), "{case}");
            match (content, given) {
                (Content::Indicator(mut content), Content::Indicator(given)) => {
                    assert_eq!(content.operation, here.to_string());
                    let evidence = content.evidence.pop().unwrap();
                    assert_eq!(evidence.sha256, record.record.header_digest);
                    assert!(evidence.uri.ends_with("@2"), "{}", evidence.uri);
                    content.operation.clone_from(&given.operation);
                    assert_eq!(content, given, "{case}");
                }
                (Content::Operation(content), Content::Operation(given)) => {
                    assert_eq!(content.references.len(), given.references.len() + 1);
                }
                (Content::Inquiry(content), _) => assert_eq!(content.addressees, [""; 0]),
                (content, _given) => {
                    let shown = format!("{content:?}");
                    let named = record.named.keys().any(|name| shown.contains(&name.to_string()));
                    assert!(!named, "{case}: {shown}");
                }
            }
        }
    }
}
