use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::interop::exported::ExportedRecord;
use crate::interop::exported::Recalled;
use crate::interop::sample::asset;
use crate::interop::sample::at;
use crate::interop::sample::handling;
use crate::interop::sample::indicator;
use crate::interop::sample::name;
use crate::interop::sample::record;
use crate::interop::sample::wire_at;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::time::Timestamp;
use crate::wire::pb;
use crate::wire::pb::ObservableKind as Wire;
use crate::wire::pb::body::Content;

/// An event of an operation with one of each, as it was looked over once.
const GOLDEN: &str = include_str!("../samples/misp.json");
const OPERATION: u32 = 1;

fn operation(title: &str) -> ExportedRecord {
    let said = pb::Operation {
        title: title.to_owned(),
        aliases: vec!["Gale".to_owned()],
        status: pb::OperationStatus::Active.into(),
        target_regions: vec!["US".to_owned(), "x\"y".to_owned()],
        narratives: vec!["The <b>dam</b> broke.".to_owned()],
        references: vec!["https://news.example/1".to_owned()],
        techniques: vec![pb::Technique {
            framework: "disarm".to_owned(),
            external_id: "T0002".to_owned(),
            name: "Facilitate State Propaganda".to_owned(),
            observed: "They [did](it).".to_owned(),
            ..pb::Technique::default()
        }],
        description: "# No\n\nheading".to_owned(),
        ..pb::Operation::default()
    };
    record(OPERATION, BodyKind::Operation, Content::Operation(said), handling(Tlp::Green))
}

fn of_operation(number: u32, said: pb::Indicator, tlp: Tlp) -> ExportedRecord {
    let said = pb::Indicator { operation: name(OPERATION).to_string(), ..said };
    record(number, BodyKind::Indicator, Content::Indicator(said), handling(tlp))
}

fn everything() -> Vec<ExportedRecord> {
    let whole = pb::Indicator {
        first_seen_time: Some(wire_at(1)),
        last_seen_time: Some(wire_at(2)),
        valid_until_time: Some(wire_at(100)),
        confidence: Some(80),
        review: pb::Review::Confirmed.into(),
        labels: vec!["copy".to_owned()],
        ..indicator(Wire::Domain, "", "News[.]Example.net")
    };
    let attribution = pb::Attribution {
        operation: name(OPERATION).to_string(),
        actor: "Bureau 7".to_owned(),
        actor_type: pb::ActorType::State.into(),
        confidence: Some(20),
        claimant: "a court".to_owned(),
        ..pb::Attribution::default()
    };
    let sighting = pb::Sighting {
        of: name(2).to_string(),
        count: 7,
        platform: "x".to_owned(),
        description: "![x](y)".to_owned(),
        ..pb::Sighting::default()
    };
    let aggregate = pb::Observable {
        kind: Wire::Aggregate.into(),
        platform: "facebook".to_owned(),
        aggregate: Some(pb::Aggregate {
            of: Wire::Account.into(),
            count: Some(pb::Figure { value: Some(pb::figure::Value::Exact(22)) }),
            parts: Vec::new(),
        }),
        ..pb::Observable::default()
    };
    let aggregate = pb::Indicator { observable: Some(aggregate), ..pb::Indicator::default() };
    vec![
        operation("Storm"),
        of_operation(2, whole, Tlp::Amber),
        of_operation(3, indicator(Wire::Account, "twitter", "@Puppet_1"), Tlp::Green),
        of_operation(
            4,
            indicator(Wire::Channel, "youtube", "channel/UCabcdefghijklmnopqrstuv"),
            Tlp::Green,
        ),
        of_operation(5, aggregate, Tlp::Green),
        record(6, BodyKind::Attribution, Content::Attribution(attribution), handling(Tlp::Green)),
        record(7, BodyKind::Sighting, Content::Sighting(sighting), handling(Tlp::Green)),
    ]
}

fn feed(records: Vec<ExportedRecord>) -> Feed {
    let mut feed = Feed::new(Tlp::AmberStrict);
    for record in records {
        feed.put(record).unwrap();
    }
    feed
}

fn made(records: Vec<ExportedRecord>, now: Timestamp) -> Vec<Event> {
    feed(records).make(Timestamp::default(), now).0
}

fn list<'a>(event: &'a Value, of: &str) -> &'a Vec<Value> {
    event["Event"][of].as_array().unwrap()
}

#[test]
fn an_operation_is_an_event_as_it_was_looked_over() {
    let events = made(everything(), at(50));
    assert_eq!(events.len(), 1);
    let now = serde_json::to_string_pretty(&events[0].json).unwrap();
    if std::env::var_os("WATCHFIRE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/interop/samples/misp.json");
        std::fs::write(path, format!("{now}\n")).unwrap();
    }
    assert_eq!(now, GOLDEN.trim_end());
    let listed = manifest([&events[0].json].into_iter());
    let line = &listed[events[0].uuid.to_string()];
    assert_eq!((&line["info"], &line["analysis"]), (&json!("Storm"), &json!("1")));
    let hashes = hashes_csv(events.iter().map(|event| (event.uuid, &event.hashes)));
    // MD5 of news.example.net, by another program.
    assert!(hashes.contains(&format!("f5bcaf2e040cd40a15da2e9393e9ce8a,{}\n", events[0].uuid)));
}

#[test]
fn detection_ends_with_the_record_s_end_and_the_event_says_when() {
    let mut feed = feed(everything());
    let marked = |event: &Event| {
        let of = |one: &Value| one["value"] == "news.example.net" && one["to_ids"] == true;
        list(&event.json, "Attribute").iter().any(of)
    };
    assert_eq!(feed.next_change(at(50)), Some(at(100)));
    let (before, _gone) = feed.make(Timestamp::default(), at(50));
    assert!(marked(&before[0]));
    assert!(feed.make(at(50), at(99)).0.is_empty(), "nothing changed");
    let (after, _gone) = feed.make(at(99), at(100));
    assert!(!marked(&after[0]));
    assert_eq!(after[0].json["Event"]["timestamp"], "1800000100");
}

#[test]
fn only_events_that_changed_are_made_again() {
    let mut feed = feed(everything());
    feed.put(asset(20, Wire::Domain, "", "alone.net")).unwrap();
    assert_eq!(feed.make(Timestamp::default(), at(0)).0.len(), 2);
    feed.put(asset(20, Wire::Domain, "", "other.net")).unwrap();
    let (events, gone) = feed.make(at(0), at(1));
    assert_eq!((events.len(), gone.len()), (1, 0));
    assert!(events[0].json["Event"]["info"].as_str().unwrap().starts_with("Of no operation"));
    feed.remove(&name(20));
    let (events, gone) = feed.make(at(1), at(2));
    assert_eq!((events.len(), gone.len()), (0, 1));
}

#[test]
fn what_is_too_strict_taken_back_or_erased_is_not_in_it() {
    let red = of_operation(9, indicator(Wire::Domain, "", "red.net"), Tlp::Red);
    let back = of_operation(10, indicator(Wire::Domain, "", "back.net"), Tlp::Clear);
    let recalled = Some(Recalled { sequence: 11, accept_time: at(0) });
    let feed_of = feed(vec![red, ExportedRecord { recalled, ..back }]);
    assert_eq!(feed_of.too_strict(), 1);
    let mut feed_of = feed_of;
    assert!(feed_of.make(Timestamp::default(), at(0)).0.is_empty());
    // A label that became stricter takes the record out.
    let mut feed = feed(vec![of_operation(9, indicator(Wire::Domain, "", "red.net"), Tlp::Clear)]);
    assert_eq!(feed.make(Timestamp::default(), at(0)).0.len(), 1);
    feed.put(of_operation(9, indicator(Wire::Domain, "", "red.net"), Tlp::Red)).unwrap();
    let (events, gone) = feed.make(at(0), at(1));
    assert_eq!((events.len(), gone.len()), (0, 1));
}

#[test]
fn what_is_gone_is_deleted_without_saying_what_it_was() {
    let before = &made(everything(), at(50))[0].json;
    let mut fewer = everything();
    fewer.retain(|record| !matches!(record.sequence, 2 | 3 | 7));
    let after = &made(fewer, at(60))[0].json;
    let merged = merge(before, Some(after), at(60)).unwrap();
    let text = merged.to_string();
    assert!(!text.contains("news.example.net") && !text.contains("puppet"), "{text}");
    let deleted = |of: &str| list(&merged, of).iter().filter(|one| one["deleted"] == true).count();
    assert_eq!((deleted("Attribute"), deleted("Object")), (1, 1));
    assert_eq!(merged["Event"]["timestamp"], "1800000060");
    // Again, nothing changes; and what comes back is there again.
    assert_eq!(merge(&merged, Some(after), at(70)).unwrap(), merged);
    let back = merge(&merged, Some(before), at(80)).unwrap();
    assert!(back.to_string().contains("news.example.net"));
    assert_eq!(back["Event"]["timestamp"], "1800000080");
    // All of it gone: its title, too.
    let empty = merge(before, None, at(60)).unwrap();
    assert!(!empty.to_string().contains("Storm") && !empty.to_string().contains("Gale"));
    let ids = |event: &Value| -> BTreeSet<Uuid> {
        let items = ["Attribute", "Object"].into_iter().flat_map(|of| list(event, of));
        items.map(|one| one["uuid"].as_str().unwrap().parse().unwrap()).collect()
    };
    assert_eq!(ids(&empty), ids(before));
    for bad in [json!(null), json!({ "Event": [] }), json!({ "Event": {} })] {
        assert_eq!(merge(&bad, None, at(0)), Err(InvalidEvent));
    }
}

/// The same record, published by another member.
fn by_birch(mut record: ExportedRecord) -> ExportedRecord {
    record.record.header.name.member = "birch-social".parse().unwrap();
    record
}

#[test]
fn nobody_s_records_are_in_an_event_of_another_member() {
    let planted =
        by_birch(of_operation(40, indicator(Wire::Domain, "", "planted.net"), Tlp::Green));
    let sighting = pb::Sighting { of: name(2).to_string(), count: 7, ..pb::Sighting::default() };
    let sighting =
        by_birch(record(41, BodyKind::Sighting, Content::Sighting(sighting), handling(Tlp::Green)));
    let mut all = everything();
    all.extend([planted.clone(), sighting]);
    let events = made(all, at(0));
    let of = |member: &str| -> Vec<&Event> {
        let events = events.iter();
        events.filter(|event| event.json["Event"]["Orgc"]["name"] == member).collect()
    };
    let ([own], [others]) = (&of("acme-video")[..], &of("birch-social")[..]) else {
        panic!("one of each: {events:?}")
    };
    assert!(!own.json.to_string().contains("planted.net"));
    assert!(!own.json.to_string().contains("birch-social"));
    assert_eq!(own.json["Event"]["extends_uuid"], "");
    assert_eq!(others.json["Event"]["extends_uuid"], own.uuid.to_string());
    assert!(others.json.to_string().contains("planted.net"));
    assert!(others.json["Event"]["EventReport"].to_string().contains("7 times"));
    // The title is its publisher's.
    assert!(!others.json.to_string().contains("Storm"));
    // An operation that is not there, or never was, is in no event.
    let alone = made(vec![planted], at(0));
    assert_eq!(alone.len(), 1);
    let event = &alone[0].json["Event"];
    assert_eq!(
        (&event["Orgc"]["name"], &event["extends_uuid"]),
        (&json!("birch-social"), &json!(""))
    );
    assert!(event["info"].as_str().unwrap().starts_with("Of no operation"));
}

#[test]
fn no_text_of_a_technique_stays_in_an_event_that_is_emptied() {
    let technique = |framework: &str| pb::Technique {
        framework: framework.to_owned(),
        external_id: "my secret".to_owned(),
        name: "my secret".to_owned(),
        ..pb::Technique::default()
    };
    let said = pb::Operation {
        title: "Storm".to_owned(),
        techniques: ["tlp", "disarm", "tlp:red"].map(technique).into(),
        ..pb::Operation::default()
    };
    let one =
        record(OPERATION, BodyKind::Operation, Content::Operation(said), handling(Tlp::Green));
    let event = &made(vec![one], at(0))[0].json;
    assert!(event.to_string().contains("my secret"));
    let empty = merge(event, None, at(60)).unwrap();
    assert!(!empty.to_string().contains("my secret"), "{empty}");
    assert_eq!(empty["Event"]["Tag"].as_array().unwrap().len(), 1);
    // One that was written before has such a tag still.
    let mut old = event.clone();
    old["Event"]["Tag"] = json!([{ "name": "tlp:technique=\"my secret\"" }]);
    assert!(!merge(&old, None, at(60)).unwrap().to_string().contains("my secret"));
}

#[test]
fn an_asset_is_tagged_once_and_not_without_end() {
    let technique = |number: u32| pb::Technique {
        framework: "disarm".to_owned(),
        external_id: format!("T{number:04}"),
        name: format!("Name {number}"),
        ..pb::Technique::default()
    };
    let mut said = indicator(Wire::Account, "twitter", "@Puppet_1");
    said.techniques = (0..256).map(technique).collect();
    let observable = said.observable.as_mut().unwrap();
    observable.display_name = "Puppet".to_owned();
    observable.platform_id = "77".to_owned();
    let event = &made(vec![operation("Storm"), of_operation(3, said, Tlp::Green)], at(0))[0].json;
    let mut accounts = list(event, "Object").iter();
    let account = accounts.rfind(|one| one["name"] == "twitter-account").unwrap();
    let tags: Vec<usize> = account["Attribute"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["Tag"].as_array().unwrap().len())
        .collect();
    assert_eq!(tags, [18, 1, 1], "{account}");
    assert!(account["comment"].as_str().unwrap().contains("further techniques: 248"));
}

#[test]
fn an_answer_to_a_question_about_an_asset_is_in_the_operation_s_event() {
    let about = pb::Reference { to: Some(pb::reference::To::Record(name(2).to_string())) };
    let inquiry =
        pb::Inquiry { about: Some(about), question: "Who?".to_owned(), ..pb::Inquiry::default() };
    let reply = pb::Reply {
        to: name(30).to_string(),
        result: pb::ReplyResult::No.into(),
        text: "Nobody\u{202e}.".to_owned(),
    };
    let mut all = everything();
    all.push(record(30, BodyKind::Inquiry, Content::Inquiry(inquiry), handling(Tlp::Green)));
    all.push(record(31, BodyKind::Reply, Content::Reply(reply), handling(Tlp::Green)));
    let events = made(all, at(0));
    assert_eq!(events.len(), 1);
    let reports = list(&events[0].json, "EventReport");
    let text = reports.last().unwrap()["content"].as_str().unwrap();
    assert!(
        text.contains("asks about") && text.contains("answers no to") && !text.contains('\u{202e}')
    );
}

#[test]
fn long_talk_is_cut_into_reports_that_a_database_takes() {
    let mut all = everything();
    for number in 100..150 {
        let note = pb::Note { about: name(2).to_string(), text: "*".repeat(3000) };
        all.push(record(number, BodyKind::Note, Content::Note(note), handling(Tlp::Green)));
    }
    let events = made(all, at(0));
    let reports = list(&events[0].json, "EventReport");
    assert!(reports.len() > 5);
    for report in reports {
        assert!(report["content"].as_str().unwrap().len() < 64 * 1024);
    }
}
