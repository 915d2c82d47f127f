use serde_json::Value;
use serde_json::json;

use super::*;
use crate::interop::stix::bundle::read;
use crate::model::handling::Reach;
use crate::model::handling::Tlp;
use crate::model::names::Audience;
use crate::wire::pb::body::Content;

fn target() -> ImportTarget {
    ImportTarget {
        member: "acme-video".parse().unwrap(),
        namespace: Uuid::from_bytes([7; 16]),
        handling: Handling {
            tlp: Tlp::Green,
            reach: Reach { audiences: vec![Audience::companies()], recipients: Vec::new() },
            onward_uses: Vec::new(),
            use_until: None,
        },
        operation: None,
        now: Timestamp::from_micros(1_800_000_000_000_000).unwrap(),
        said: HashMap::new(),
        not_taken: HashMap::new(),
        versions: Versions::default(),
    }
}

fn id(kind: &str, number: u8) -> String {
    format!("{kind}--01890a5d-ac96-474b-bcce-b302099a80{number:02x}")
}

fn file(objects: &[Value]) -> BundleFile {
    let text = json!({ "type": "bundle", "id": id("bundle", 0), "objects": objects }).to_string();
    BundleFile { file: "a.json".to_owned(), bundle: read(text.as_bytes()).unwrap() }
}

fn planned(objects: &[Value]) -> Plan {
    let plan = plan(&[file(objects)], &target());
    assert!(plan.account.adds_up(), "{:?}", plan.account);
    plan
}

fn object(kind: &str, number: u8, more: Value) -> Value {
    let mut json = json!({ "type": kind, "spec_version": "2.1", "id": id(kind, number) });
    let Value::Object(more) = more else { panic!("no object") };
    json.as_object_mut().unwrap().extend(more);
    json
}

fn relation(number: u8, source: &str, kind: &str, target: &str) -> Value {
    let more = json!({ "relationship_type": kind, "source_ref": source, "target_ref": target });
    object("relationship", number, more)
}

fn indicator(number: u8, pattern: &str) -> Value {
    object("indicator", number, json!({ "name": "n", "pattern": pattern, "pattern_type": "stix" }))
}

fn reasons(plan: &Plan) -> Vec<(&str, &str)> {
    let skipped = plan.account.skipped.iter();
    skipped.map(|skipped| (skipped.object.as_str(), skipped.reason.as_str())).collect()
}

#[test]
fn an_operation_with_all_that_belongs_to_it_becomes_records() {
    let (campaign, value) = (id("campaign", 1), id("domain-name", 2));
    let pattern = object(
        "attack-pattern",
        3,
        json!({ "name": "T", "external_references": [{ "source_name": "DISARM", "external_id": "T0013" }] }),
    );
    let plan = planned(&[
        object("campaign", 1, json!({ "name": "Spring storm", "objective": "Nothing works." })),
        object("domain-name", 2, json!({ "value": "News[.]Example" })),
        pattern,
        object(
            "threat-actor",
            4,
            json!({ "name": "Storm Ltd", "threat_actor_types": ["nation-state"] }),
        ),
        indicator(5, "[domain-name:value = 'news.example' OR url:value = 'http://a.example/x']"),
        object("narrative", 6, json!({ "name": "All lie." })),
        object("sighting", 7, json!({ "sighting_of_ref": id("campaign", 1), "count": 0 })),
        object(
            "opinion",
            8,
            json!({ "opinion": "agree", "object_refs": [id("relationship", 13)] }),
        ),
        object("location", 9, json!({ "country": "fr" })),
        relation(10, &value, "related-to", &campaign),
        relation(11, &id("indicator", 5), "indicates", &campaign),
        relation(12, &campaign, "uses", &id("attack-pattern", 3)),
        relation(13, &campaign, "attributed-to", &id("threat-actor", 4)),
        relation(14, &campaign, "uses", &id("narrative", 6)),
        relation(15, &campaign, "targets", &id("location", 9)),
        relation(16, &id("indicator", 5), "based-on", &value),
    ]);
    assert_eq!(reasons(&plan), []);
    let account = &plan.account;
    assert_eq!((account.objects, account.carried, account.joined), (16, 5, 11));
    let kinds: Vec<&str> = plan.records.iter().map(|record| record.kind.as_str()).collect();
    let expected = ["operation", "indicator", "indicator", "attribution", "opinion", "sighting"];
    assert_eq!(kinds, expected);
    let Content::Operation(operation) = &plan.records[0].content else { panic!("no operation") };
    assert_eq!(operation.narratives, ["Nothing works.", "All lie."]);
    assert_eq!(operation.target_regions, ["FR"]);
    assert_eq!(operation.techniques[0].framework, "disarm");
    let Content::Indicator(indicator) = &plan.records[1].content else { panic!("no indicator") };
    assert_eq!(indicator.operation, plan.records[0].name.to_string());
    let Content::Opinion(opinion) = &plan.records[4].content else { panic!("no opinion") };
    assert_eq!(opinion.of, plan.records[3].name.to_string(), "of the claim, not of the actor");
}

#[test]
fn the_same_bundle_becomes_the_same_records_in_any_order_and_twice() {
    let objects = [
        object("campaign", 1, json!({ "name": "Spring storm" })),
        indicator(5, "[domain-name:value = 'news.example']"),
        relation(11, &id("indicator", 5), "indicates", &id("campaign", 1)),
    ];
    let once = planned(&objects);
    let mut turned = objects.to_vec();
    turned.reverse();
    assert_eq!(planned(&turned).records, once.records);
    let twice = plan(&[file(&objects), file(&objects)], &target());
    assert!(twice.account.adds_up());
    assert_eq!((twice.records, twice.account.duplicates), (once.records, 3));
}

#[test]
fn a_value_of_which_nothing_is_said_is_nobodys_operation() {
    let value = object("domain-name", 2, json!({ "value": "victim.example" }));
    let plan = planned(std::slice::from_ref(&value));
    assert_eq!(plan.records, []);
    assert_eq!(plan.account.skipped[0].reason, "nothing says to which operation it belongs");
    let operation = target().record(&["x"]);
    let into = ImportTarget { operation: Some(operation.clone()), ..target() };
    let plan = super::plan(&[file(&[value])], &into);
    let Content::Indicator(indicator) = &plan.records[0].content else { panic!("no indicator") };
    assert_eq!(indicator.operation, operation.to_string());
}

#[test]
fn a_marking_is_never_widened() {
    let marked = |id: &str| {
        let mut object = indicator(5, "[domain-name:value = 'news.example']");
        object.as_object_mut().unwrap().insert("object_marking_refs".to_owned(), json!([id]));
        object
    };
    let tlp = |id: &str| planned(&[marked(id)]).records.first().map(|record| record.handling.tlp);
    assert_eq!(tlp("marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"), Some(Tlp::Green));
    assert_eq!(
        tlp("marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"),
        Some(Tlp::AmberStrict)
    );
    assert_eq!(tlp("marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"), None);
    assert_eq!(tlp("marking-definition--01890a5d-ac96-474b-bcce-b302099a8099"), None, "anything");
    let granular = json!([{ "marking_ref": "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed", "selectors": ["name"] }]);
    let mut object = indicator(5, "[domain-name:value = 'news.example']");
    object.as_object_mut().unwrap().insert("granular_markings".to_owned(), granular);
    assert_eq!(planned(&[object]).records, [], "red in part");
}

#[test]
fn what_is_hostile_ends_in_a_reason_and_never_in_a_record() {
    let circle = |number: u8, of: u8| {
        let more = json!({ "content": "x", "object_refs": [id("note", of)] });
        object("note", number, more)
    };
    let long = "x".repeat(200_000);
    let plan = planned(&[
        circle(1, 2),
        circle(2, 1),
        circle(3, 3),
        relation(4, &id("relationship", 5), "related-to", &id("relationship", 4)),
        relation(5, &id("relationship", 4), "related-to", &id("relationship", 5)),
        object("report", 6, json!({ "object_refs": [id("report", 6)] })),
        indicator(7, &format!("[domain-name:value = '{long}']")),
        indicator(8, "[domain-name:value = 'a\u{202e}b']"),
        indicator(9, "[file:size = 5]"),
        object("malware", 10, json!({})),
        object(
            "indicator",
            11,
            json!({ "revoked": true, "pattern": "[domain-name:value = 'a.example']" }),
        ),
        object(
            "indicator",
            12,
            json!({ "indicator_types": ["benign"], "pattern": "[domain-name:value = 'a.example']" }),
        ),
        object("campaign", 13, json!({ "name": long.as_str(), "description": long.as_str() })),
        object("opinion", 14, json!({ "opinion": 5, "object_refs": "x" })),
    ]);
    let kinds: Vec<&str> = plan.records.iter().map(|record| record.kind.as_str()).collect();
    assert_eq!(kinds, ["operation"], "what is long is cut");
    assert_eq!(plan.account.skipped.len(), 13);
}

#[test]
fn what_signed_records_speak_for_is_taken_with_them() {
    let record = target().record(&["x"]);
    let said = HashMap::from([(id("campaign", 1), record.clone())]);
    let into = ImportTarget { said, ..target() };
    let objects = [
        object("campaign", 1, json!({ "name": "Spring storm" })),
        object("note", 2, json!({ "content": "Seen.", "object_refs": [id("campaign", 1)] })),
    ];
    let plan = plan(&[file(&objects)], &into);
    assert!(plan.account.adds_up());
    assert_eq!((plan.account.said, plan.account.carried), (1, 1));
    let Content::Note(note) = &plan.records[0].content else { panic!("no note") };
    assert_eq!(note.about, record.to_string());
}

fn marked(mut object: Value, tlp: Tlp) -> Value {
    let refs = json!([crate::interop::stix::marking::tlp_id(tlp)]);
    object.as_object_mut().unwrap().insert("object_marking_refs".to_owned(), refs);
    object
}

fn made_by(mut object: Value, maker: &str) -> Value {
    object.as_object_mut().unwrap().insert("created_by_ref".to_owned(), json!(maker));
    object
}

/// A campaign, what is joined into it, and an attribution; all of one label but one object.
fn operation_with(number: u8, strict: Tlp) -> Plan {
    let (campaign, maker) = (id("campaign", 1), id("identity", 9));
    let technique = json!({ "name": "T",
        "external_references": [{ "source_name": "DISARM", "external_id": "T0013" }] });
    let objects = [
        object("campaign", 1, json!({ "name": "Storm" })),
        object("threat-actor", 2, json!({ "name": "SECRET ACTOR" })),
        object("narrative", 3, json!({ "name": "SECRET NARRATIVE" })),
        object(
            "report",
            4,
            json!({ "object_refs": [campaign], "external_references": [{ "url": "https://secret.example/" }] }),
        ),
        object("location", 5, json!({ "country": "FR" })),
        object("attack-pattern", 6, technique),
        indicator(7, "[domain-name:value = 'news.example']"),
        object("identity", 9, json!({ "name": "SECRET SOURCE" })),
        made_by(relation(10, &campaign, "attributed-to", &id("threat-actor", 2)), &maker),
        relation(11, &campaign, "uses", &id("narrative", 3)),
        relation(12, &campaign, "targets", &id("location", 5)),
        relation(13, &campaign, "uses", &id("attack-pattern", 6)),
        relation(14, &id("indicator", 7), "indicates", &campaign),
    ];
    let suffix = format!("80{number:02x}");
    let objects = objects.map(|object| {
        let is_strict = object["id"].as_str().unwrap().ends_with(&suffix);
        marked(object, if is_strict { strict } else { Tlp::Green })
    });
    planned(&objects)
}

#[test]
fn a_record_is_as_strict_as_the_strictest_that_goes_into_it() {
    let strict = |number: u8| -> Vec<&str> {
        let records = operation_with(number, Tlp::AmberStrict).records;
        assert_eq!(records.len(), 3, "{number}");
        let strict = records.iter().filter(|record| record.handling.tlp == Tlp::AmberStrict);
        strict.map(|record| record.kind.as_str()).collect()
    };
    assert_eq!(strict(99), [""; 0]);
    assert_eq!(strict(1), ["operation"]);
    for (number, kinds) in [
        (2, ["attribution"]),
        (3, ["operation"]),
        (4, ["operation"]),
        (5, ["operation"]),
        (6, ["operation"]),
        (7, ["indicator"]),
        (9, ["attribution"]),
        (10, ["attribution"]),
        (11, ["operation"]),
        (12, ["operation"]),
        (13, ["operation"]),
        (14, ["indicator"]),
    ] {
        assert_eq!(strict(number), kinds, "{number}");
    }
}

#[test]
fn of_what_is_red_or_marked_as_nobody_knows_no_word_gets_in() {
    for (number, secret) in [
        (2, "SECRET ACTOR"),
        (3, "SECRET NARRATIVE"),
        (4, "https://secret.example/"),
        (9, "SECRET SOURCE"),
    ] {
        let plan = operation_with(number, Tlp::Red);
        assert!(!format!("{:?}", plan.records).contains(secret), "{secret}");
        let suffix = format!("80{number:02x}");
        let said = reasons(&plan).into_iter().find(|(object, _why)| object.ends_with(&suffix));
        assert!(said.unwrap().1.contains("TLP:RED"), "{said:?}");
    }
    let maker = id("identity", 9);
    for more in [
        json!({ "name": "SECRET SOURCE", "revoked": true }),
        json!({ "name": "SECRET SOURCE", "object_marking_refs": [id("marking-definition", 77)] }),
    ] {
        let plan = planned(&[
            object("campaign", 1, json!({ "name": "Storm" })),
            object("threat-actor", 2, json!({ "name": "Storm Ltd" })),
            object("identity", 9, more),
            made_by(
                relation(10, &id("campaign", 1), "attributed-to", &id("threat-actor", 2)),
                &maker,
            ),
        ]);
        let Content::Attribution(claim) = &plan.records[1].content else { panic!("no claim") };
        assert_eq!(claim.claimant, "");
        assert_eq!(plan.account.skipped.len(), 1);
    }
}

#[test]
fn two_files_that_disagree_about_a_marking_make_it_unknown() {
    let marking = |number: u8, more: Value| object("marking-definition", number, more);
    let said = json!({ "definition_type": "statement", "definition": { "statement": "CC0" } });
    let mut value = indicator(5, "[domain-name:value = 'news.example']");
    let refs = json!([id("marking-definition", 1)]);
    value.as_object_mut().unwrap().insert("object_marking_refs".to_owned(), refs);
    let files =
        [file(&[marking(1, json!({ "name": "TLP:AMBER" })), value]), file(&[marking(1, said)])];
    assert_eq!(plan(&files, &target()).records, []);
}

#[test]
fn what_another_maker_says_under_an_id_is_another_record() {
    let by = |maker: u8| {
        let campaign = object("campaign", 1, json!({ "name": "Storm" }));
        let mut campaign = made_by(campaign, &id("identity", maker));
        campaign["modified"] = json!("2001-01-01T00:00:00.000Z");
        let records = planned(&[campaign]).records;
        records.first().unwrap().name.clone()
    };
    assert_eq!(by(8), by(8));
    assert_ne!(by(8), by(9));
}

fn numbered(kind: &str, number: usize) -> String {
    format!("{kind}--01890a5d-ac96-474b-bcce-{number:012x}")
}

#[test]
fn long_chains_and_many_of_the_same_take_no_time() {
    let started = std::time::Instant::now();
    let note = |number: usize| {
        json!({ "type": "note", "spec_version": "2.1", "id": numbered("note", number),
            "content": "x", "object_refs": [numbered("note", number + 1)] })
    };
    let mut notes: Vec<Value> = (0..8_000).map(note).collect();
    notes.push(json!({ "type": "note", "spec_version": "2.1", "id": numbered("note", 8_000),
        "content": "x", "object_refs": [id("campaign", 1)] }));
    notes.push(object("campaign", 1, json!({ "name": "Storm" })));
    let plan = planned(&notes);
    assert_eq!(plan.records.len(), 8_002);
    let (stages, circle) = stages(plan.records);
    assert_eq!((stages.len(), circle.len()), (8_002, 0));

    let campaign = id("campaign", 1);
    let narrative = |number: usize| {
        let id = numbered("narrative", number);
        let used = numbered("relationship", number);
        let used = json!({ "type": "relationship", "spec_version": "2.1", "id": used,
            "relationship_type": "uses", "source_ref": campaign, "target_ref": id });
        [json!({ "type": "narrative", "spec_version": "2.1", "id": id, "name": "n" }), used]
    };
    let value = |number: usize| {
        let (name, id) = (format!("a{number}.example"), numbered("domain-name", number));
        let pattern = format!("[domain-name:value = '{name}']");
        [
            json!({ "type": "domain-name", "spec_version": "2.1", "id": id, "value": name }),
            json!({ "type": "indicator", "spec_version": "2.1", "id": numbered("indicator", number),
                "pattern": pattern, "pattern_type": "stix" }),
        ]
    };
    let mut many: Vec<Value> = (0..8_000).flat_map(narrative).collect();
    many.extend((0..8_000).flat_map(value));
    many.push(object("campaign", 1, json!({ "name": "Storm" })));
    assert_eq!(planned(&many).records.len(), 8_001);
    // In a debug build on a slow machine; the square of so many takes minutes.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn an_older_version_takes_the_place_of_nothing_that_was_imported() {
    let storm = |year: u32, name: &str, story: &str| {
        let modified = json!(format!("{year}-01-01T00:00:00.000Z"));
        let dated = |mut object: Value| {
            object["modified"] = modified.clone();
            object
        };
        let maker = id("identity", 9);
        [
            made_by(dated(object("campaign", 1, json!({ "name": name }))), &maker),
            dated(object("narrative", 2, json!({ "name": story }))),
            relation(3, &id("campaign", 1), "uses", &id("narrative", 2)),
            indicator(5, "[domain-name:value = 'news.example']"),
            relation(6, &id("indicator", 5), "indicates", &id("campaign", 1)),
        ]
    };
    let first = planned(&storm(2025, "Storm", "All lie."));
    let mut versions = Versions::default();
    versions.remember(first.versions.clone());
    let into = ImportTarget { versions, ..target() };
    let kinds = |objects: &[Value]| -> Vec<(&str, String)> {
        let plan = plan(&[file(objects)], &into);
        assert!(plan.account.adds_up());
        let records = plan.records.iter();
        records.map(|record| (record.kind.as_str(), format!("{:?}", record.content))).collect()
    };
    assert_eq!(kinds(&storm(2025, "Storm", "All lie.")).len(), 2, "the same again");
    assert_eq!(kinds(&storm(2026, "Gale", "All lie.")).len(), 2, "a newer one");
    for (year, name, story) in
        [(2001, "Gale", "All lie."), (2025, "Gale", "All lie."), (2025, "Storm", "They lie.")]
    {
        let left = kinds(&storm(year, name, story));
        let [(kind, content)] = left.as_slice() else { panic!("{left:?}") };
        let operation = first.records[0].name.to_string();
        assert!(*kind == "indicator" && content.contains(&operation), "{content}");
    }
}
