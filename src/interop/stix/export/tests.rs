use std::collections::BTreeMap;

use prost::Message as _;
use serde_json::Value;

use super::*;
use crate::interop::exported::Named;
use crate::interop::exported::Recalled;
use crate::interop::stix::object::Origin;
use crate::model::handling::Handling;
use crate::model::handling::Reach;
use crate::model::handling::Tlp;
use crate::model::header::HEADER_PAYLOAD_TYPE;
use crate::model::header::Header;
use crate::model::names::Audience;
use crate::model::names::ExchangeName;
use crate::model::names::sha256;

/// One record of each kind, and what became of some; the objects of each, as they were looked over once, also by the
/// validator of OASIS. `WATCHFIRE_GOLDEN=FILE cargo test --lib -- interop::stix::export` writes it anew.
const GOLDEN: &str = include_str!("../../samples/stix.json");

const OPERATION: &str = "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8001";
const INDICATOR: &str = "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8002";
const ATTRIBUTION: &str = "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8003";
const INQUIRY: &str = "members/birch-social/records/01890a5d-ac96-774b-bcce-b302099a8004";

#[expect(clippy::unnecessary_wraps, reason = "the form of the field")]
fn time(day: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: 1_800_000_000 + day * 86_400, nanos: 0 })
}

#[expect(clippy::unnecessary_wraps, reason = "the form of the field")]
fn exact(number: u64) -> Option<pb::Figure> {
    Some(pb::Figure { value: Some(pb::figure::Value::Exact(number)) })
}

pub(in crate::interop::stix) fn exported(content: Said, kind: BodyKind) -> ExportedRecord {
    let accept_time = Timestamp::from_micros(1_800_000_000_000_007).unwrap();
    let body = pb::Body { salt: vec![7; 32], content: Some(content) }.encode_to_vec();
    let header = Header {
        exchange: ExchangeName::derive("spring", b"operator", b"log").unwrap(),
        name: "members/birch-social/records/01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        revision: 2,
        previous_digest: Some([5; 32]),
        create_time: accept_time,
        nonce: [9; 16],
        handling: Handling {
            tlp: Tlp::Amber,
            reach: Reach { audiences: vec![Audience::companies()], recipients: Vec::new() },
            onward_uses: Vec::new(),
            use_until: None,
        },
        body_kind: kind,
        body_digest: sha256(&body),
    };
    let envelope = pb::Envelope {
        payload_type: HEADER_PAYLOAD_TYPE.to_owned(),
        payload: wire::header::header_bytes(&header).into(),
        signatures: vec![pb::Signature { keyid: "ab".repeat(32), sig: vec![1; 64].into() }],
        body: body.into(),
    };
    let named = [
        (OPERATION, BodyKind::Operation),
        (INDICATOR, BodyKind::Indicator),
        (ATTRIBUTION, BodyKind::Attribution),
        (INQUIRY, BodyKind::Inquiry),
    ];
    ExportedRecord {
        epoch: 1,
        sequence: 12,
        accept_time,
        first_accept_time: Timestamp::from_micros(1_800_000_000_000_001).unwrap(),
        record: wire::envelope::record(envelope).unwrap(),
        recalled: None,
        named: BTreeMap::from(
            named.map(|(name, kind)| (name.parse().unwrap(), Named { kind, is_unnameable: false })),
        ),
    }
}

fn technique() -> pb::Technique {
    pb::Technique {
        framework: "disarm".to_owned(),
        version: "1.6".to_owned(),
        external_id: "T0013".to_owned(),
        name: "Create inauthentic websites".to_owned(),
        phase: "establish-assets".to_owned(),
        observed: "They copied newspapers.".to_owned(),
    }
}

fn domain() -> pb::Observable {
    pb::Observable {
        kind: pb::ObservableKind::Domain.into(),
        value: "News[.]Example".to_owned(),
        ..pb::Observable::default()
    }
}

pub(in crate::interop::stix) fn indicator() -> pb::Indicator {
    pb::Indicator {
        observable: Some(domain()),
        operation: OPERATION.to_owned(),
        first_seen_time: time(-30),
        last_seen_time: time(-2),
        valid_from_time: time(-3),
        valid_until_time: time(90),
        confidence: Some(85),
        review: pb::Review::Analyst.into(),
        techniques: vec![technique(), technique()],
        metrics: vec![pb::Metric {
            kind: pb::MetricKind::Views.into(),
            figure: exact(13_466),
            ..pb::Metric::default()
        }],
        evidence: vec![pb::Evidence {
            sha256: vec![3; 32],
            media_type: "image/png".to_owned(),
            uri: "https://evidence.example/1".to_owned(),
        }],
        description: "A copy of a newspaper.\nWith \"quotes\".".to_owned(),
        labels: vec!["copy".to_owned(), String::new()],
        warning_seen: true,
    }
}

fn aggregate() -> pb::Indicator {
    let part = |of: pb::ObservableKind, platform: &str, number| pb::AggregatePart {
        of: of.into(),
        platform: platform.to_owned(),
        count: exact(number),
    };
    let parts = vec![
        part(pb::ObservableKind::Channel, "youtube", 39),
        part(pb::ObservableKind::Account, "google-plus", 13),
        part(pb::ObservableKind::Blog, "blogger", 6),
    ];
    let aggregate =
        pb::Aggregate { of: pb::ObservableKind::Account.into(), count: exact(58), parts };
    pb::Indicator {
        observable: Some(pb::Observable {
            kind: pb::ObservableKind::Aggregate.into(),
            aggregate: Some(aggregate),
            ..pb::Observable::default()
        }),
        operation: OPERATION.to_owned(),
        ..pb::Indicator::default()
    }
}

fn operation() -> pb::Operation {
    pb::Operation {
        title: "Spring storm".to_owned(),
        aliases: vec!["Lantern".to_owned()],
        status: pb::OperationStatus::Active.into(),
        origin_regions: vec!["XA".to_owned()],
        target_regions: vec!["FR".to_owned()],
        languages: vec!["fr".to_owned()],
        narratives: vec!["Nothing works.".to_owned(), "All lie.".to_owned()],
        first_activity_time: time(-300),
        last_activity_time: time(-1),
        references: vec!["https://report.example/storm".to_owned(), "A book".to_owned()],
        description: "Copies of newspapers.".to_owned(),
        techniques: vec![technique()],
        metrics: Vec::new(),
        labels: vec!["elections".to_owned()],
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the form of the field")]
fn record_end(name: &str) -> Option<pb::Reference> {
    Some(pb::Reference { to: Some(pb::reference::To::Record(name.to_owned())) })
}

#[expect(clippy::unnecessary_wraps, reason = "the form of the field")]
fn value_end(value: pb::Observable) -> Option<pb::Reference> {
    Some(pb::Reference { to: Some(pb::reference::To::Value(value)) })
}

fn attribution() -> pb::Attribution {
    pb::Attribution {
        operation: OPERATION.to_owned(),
        actor: "Storm Ltd".to_owned(),
        actor_type: pb::ActorType::Commercial.into(),
        confidence: Some(60),
        basis: pb::AttributionBasis::Technical.into(),
        rationale: "The same payments.".to_owned(),
        claimant: "A court".to_owned(),
        references: vec!["https://court.example/1".to_owned()],
    }
}

fn link(source: Option<pb::Reference>) -> Said {
    Said::Link(pb::Link {
        source,
        target: value_end(domain()),
        r#type: pb::LinkType::RedirectsTo.into(),
        confidence: Some(0),
        description: "Through two hops.".to_owned(),
    })
}

fn statements() -> Vec<(&'static str, ExportedRecord)> {
    let hashtag = pb::Observable {
        kind: pb::ObservableKind::Hashtag.into(),
        value: "#storm".to_owned(),
        ..pb::Observable::default()
    };
    let opinion = pb::Opinion {
        of: ATTRIBUTION.to_owned(),
        stance: pb::Stance::Disagree.into(),
        reason: pb::OpinionReason::WrongActor.into(),
        text: "It was somebody else.".to_owned(),
    };
    let sighting = |of: &str| {
        Said::Sighting(pb::Sighting {
            of: of.to_owned(),
            count: 0,
            first_seen_time: time(-9),
            last_seen_time: time(-8),
            platform: "x".to_owned(),
            description: "We looked.".to_owned(),
        })
    };
    let report = pb::ActionReport {
        of: INDICATOR.to_owned(),
        action: pb::Action::Removed.into(),
        counts: vec![pb::AggregatePart {
            of: pb::ObservableKind::Account.into(),
            platform: "x".to_owned(),
            count: exact(284),
        }],
        text: "In two sweeps.".to_owned(),
        ..pb::ActionReport::default()
    };
    let inquiry = |about| {
        Said::Inquiry(pb::Inquiry {
            about,
            question: "Does anyone know more?".to_owned(),
            addressees: vec!["members/acme-video".to_owned()],
            due_time: None,
        })
    };
    let reply = pb::Reply {
        to: INQUIRY.to_owned(),
        result: pb::ReplyResult::Looking.into(),
        text: "Soon.".to_owned(),
    };
    let note = pb::Note { about: OPERATION.to_owned(), text: "It is quiet.".to_owned() };
    vec![
        ("attribution", exported(Said::Attribution(attribution()), BodyKind::Attribution)),
        ("link", exported(link(record_end(INDICATOR)), BodyKind::Link)),
        ("link of what cannot be named", exported(link(value_end(hashtag)), BodyKind::Link)),
        ("link of a claim", exported(link(record_end(ATTRIBUTION)), BodyKind::Link)),
        ("sighting", exported(sighting(INDICATOR), BodyKind::Sighting)),
        ("sighting of a claim", exported(sighting(ATTRIBUTION), BodyKind::Sighting)),
        ("opinion", exported(Said::Opinion(opinion), BodyKind::Opinion)),
        ("action report", exported(Said::ActionReport(report), BodyKind::ActionReport)),
        ("inquiry", exported(inquiry(record_end(OPERATION)), BodyKind::Inquiry)),
        ("inquiry about a value", exported(inquiry(value_end(domain())), BodyKind::Inquiry)),
        ("reply", exported(Said::Reply(reply), BodyKind::Reply)),
        ("note", exported(Said::Note(note), BodyKind::Note)),
    ]
}

fn recalled(mut record: ExportedRecord, erased: bool) -> ExportedRecord {
    let accept_time = record.accept_time;
    record.recalled = Some(Recalled { sequence: 30, accept_time });
    if erased {
        let envelope = pb::Envelope { body: Vec::new().into(), ..record.record.envelope };
        record.record = wire::envelope::erased(envelope).unwrap();
    }
    record
}

/// Every case of the golden file.
pub(in crate::interop::stix) fn cases() -> Vec<(&'static str, ExportedRecord)> {
    let mut cases = vec![
        ("indicator", exported(Said::Indicator(indicator()), BodyKind::Indicator)),
        ("aggregate", exported(Said::Indicator(aggregate()), BodyKind::Indicator)),
        ("operation", exported(Said::Operation(operation()), BodyKind::Operation)),
    ];
    cases.extend(statements());
    let indicator = exported(Said::Indicator(indicator()), BodyKind::Indicator);
    let operation = exported(Said::Operation(operation()), BodyKind::Operation);
    let attribution = exported(Said::Attribution(attribution()), BodyKind::Attribution);
    cases.push(("recalled indicator", recalled(indicator.clone(), false)));
    cases.push(("erased indicator", recalled(indicator, true)));
    cases.push(("erased operation", recalled(operation, true)));
    cases.push(("erased attribution", recalled(attribution, true)));
    cases
}

#[test]
fn every_kind_of_record_has_the_objects_that_were_looked_over() {
    let made: serde_json::Map<String, Value> = cases()
        .into_iter()
        .map(|(case, record)| {
            let objects = objects(&record).into_iter();
            (case.to_owned(), objects.map(|object| Value::Object(object.json)).collect())
        })
        .collect();
    let golden: serde_json::Map<String, Value> = serde_json::from_str(GOLDEN).unwrap();
    if let Some(path) = std::env::var_os("WATCHFIRE_GOLDEN") {
        std::fs::write(path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    for (case, objects) in &made {
        assert_eq!(Some(objects), golden.get(case), "{case}");
    }
    assert_eq!(made.len(), golden.len());
}

#[test]
fn a_shared_object_is_the_same_whichever_record_brings_it() {
    let mut shared = BTreeMap::new();
    for (case, record) in cases() {
        let mut ids = Vec::new();
        for object in objects(&record) {
            let id = object.id().to_owned();
            assert!(!ids.contains(&id), "{case}: {id} stands twice");
            let refers = object.json.iter().filter(|(property, _)| property.ends_with("_ref"));
            for (_property, target) in refers.filter(|_| object.origin != Origin::Record) {
                let target = target.as_str().unwrap().to_owned();
                assert!(ids.contains(&target), "{case}: {id} comes before {target}");
            }
            if object.origin != Origin::Record {
                let earlier = shared.insert(id.clone(), object.clone());
                assert!(earlier.is_none_or(|earlier| earlier == object), "{id}");
            }
            ids.push(id);
        }
    }
    assert!(shared.len() > 5);
}

#[test]
fn what_a_record_shares_is_known_without_its_objects() {
    let mut records = cases();
    let unnameable = pb::Indicator { techniques: vec![technique()], ..aggregate() };
    records.push(("unnameable", exported(Said::Indicator(unnameable), BodyKind::Indicator)));
    let mut count = 0;
    for (name, record) in records {
        let is_shared =
            |object: &Object| matches!(object.origin, Origin::Value(_) | Origin::Technique(_));
        let made = objects(&record).into_iter().filter(is_shared);
        let made: BTreeSet<String> = made.map(|object| object.id().to_owned()).collect();
        count += made.len();
        assert_eq!(shared_ids(&record), made, "{name}");
    }
    assert!(count > 3, "{count}");
}

#[test]
fn the_objects_of_a_record_tell_the_record_and_no_shared_one_does() {
    for (case, record) in cases() {
        for object in objects(&record) {
            let (_kind, id) = object.id().split_once("--").unwrap();
            let key = ids::key_of(id.parse().unwrap());
            let expected =
                (object.origin == Origin::Record).then(|| ids::record_key(record.name()));
            // The ids of markings are other people's, drawn at random.
            if object.kind() != "marking-definition" {
                assert_eq!(key, expected, "{case}: {}", object.id());
            }
        }
    }
}

#[test]
fn what_is_newer_says_so_within_one_microsecond() {
    let mut record = exported(Said::Indicator(indicator()), BodyKind::Indicator);
    let modified =
        |record: &ExportedRecord| objects(record).last().unwrap().json["modified"].clone();
    record.record.header.revision = 1;
    let first = modified(&record);
    record.record.header.revision = 2;
    let second = modified(&record);
    let last = modified(&recalled(record, false));
    assert!(first.as_str() < second.as_str() && second.as_str() < last.as_str());
}

#[test]
fn an_indicator_that_is_over_before_it_begins_is_valid_for_no_time_worth_naming() {
    let mut record = exported(Said::Indicator(indicator()), BodyKind::Indicator);
    record.record.header.handling.use_until = Timestamp::from_micros(1_000_000);
    let objects = objects(&record);
    let indicator = objects.iter().find(|object| object.kind() == "indicator").unwrap();
    assert_eq!(indicator.json["valid_from"], "1970-01-01T00:00:00.999999Z");
    assert_eq!(indicator.json["valid_until"], "1970-01-01T00:00:01.000000Z");
}

#[test]
fn a_body_that_was_let_go_and_not_taken_back_says_nothing_new() {
    let mut record = recalled(exported(Said::Indicator(indicator()), BodyKind::Indicator), true);
    record.recalled = None;
    assert_eq!(objects(&record), Vec::new());
}

#[test]
fn what_is_said_of_an_asset_without_a_pattern_is_said_of_its_note() {
    let count = pb::Aggregate {
        of: pb::ObservableKind::Account.into(),
        count: exact(22),
        ..pb::Aggregate::default()
    };
    let aggregate = pb::Observable {
        kind: pb::ObservableKind::Aggregate.into(),
        platform: "facebook".to_owned(),
        aggregate: Some(count),
        ..pb::Observable::default()
    };
    let said = pb::Indicator { observable: Some(aggregate), ..pb::Indicator::default() };
    let counted = exported(Said::Indicator(said), BodyKind::Indicator);
    let known = named(&counted.record);
    assert_eq!(known, Named { kind: BodyKind::Indicator, is_unnameable: true });
    let mut about = objects(&counted).into_iter().map(|object| object.id().to_owned());
    let note = about.rfind(|id| id.starts_with("note--")).unwrap();

    let opinion = pb::Opinion {
        of: counted.name().to_string(),
        stance: pb::Stance::Agree.into(),
        ..pb::Opinion::default()
    };
    let mut opinion = exported(Said::Opinion(opinion), BodyKind::Opinion);
    opinion.named.insert(counted.name().clone(), known);
    let refers = objects(&opinion).into_iter().find_map(|object| {
        object.json.get("object_refs").filter(|_| object.id().starts_with("opinion--")).cloned()
    });
    assert_eq!(refers, Some(serde_json::json!([note])));
}
