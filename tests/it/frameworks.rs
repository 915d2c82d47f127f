//! Frameworks of techniques, through the hub's configuration: searched by every member, used to warn at publish, and
//! never a reason to refuse. A file that cannot be used stops the start, by name and place.

use std::process::Output;

use serde_json::Value;
use serde_json::json;
use tonic::Code;
use watchfire::client::Client;
use watchfire::client::Outcome;
use watchfire::client::TechniqueSearch;
use watchfire::model::limits;
use watchfire::wire::pb;

use crate::durable::json_lines;
use crate::warnings::does_not_start;
use crate::world::World;
use crate::world::demand;
use crate::world::draft;
use crate::world::handling;
use crate::world::sign;

const MEMBERS: &[(&str, &str)] =
    &[("acme-video", "company"), ("harbour-liaison", "observer"), ("jetty-audit", "auditor")];

fn bundle(techniques: &[(&str, &str)]) -> String {
    let pattern = |(code, name): &(&str, &str)| {
        json!({
            "type": "attack-pattern", "id": format!("attack-pattern--{code}"), "name": name,
            "description": format!("How to {name}"),
            "kill_chain_phases": [{"kill_chain_name": "mitre-attack", "phase_name": "persist"}],
            "external_references": [{"source_name": "mitre-attack", "external_id": code}],
        })
    };
    let tactic = json!({
        "type": "x-mitre-tactic", "name": "Persist", "x_mitre_shortname": "persist",
        "external_references": [{"source_name": "DISARM", "external_id": "TA11"}],
    });
    let objects: Vec<Value> =
        std::iter::once(tactic).chain(techniques.iter().map(pattern)).collect();
    json!({"type": "bundle", "objects": objects}).to_string()
}

fn configure(world: &World, files: &[&str]) {
    let tables = files.iter().map(|file| format!("[[frameworks]]\nfile = {}\n", json!(file)));
    let config = world.data().join("watchfired.toml");
    std::fs::write(config, tables.collect::<String>()).expect("a configuration");
}

fn write(world: &World, name: &str, text: &str) {
    std::fs::write(world.data().join(name), text).expect("a file");
}

/// A world whose hub has a framework in two versions, and the kill chain.
async fn framed_world() -> World {
    let mut world = World::with_members_then_stopped(MEMBERS).await;
    write(&world, "DISARM-1.5.json", &bundle(&[("T0001", "Build a fake site"), ("T0009", "Old")]));
    let new = bundle(&[("T0001", "Build an inauthentic site"), ("T0001.001", "Copy a site")]);
    write(&world, "DISARM-1.6.json", &new);
    let list = "Tactic,Technique,Procedure\n0. Assets,0.6 Domains,0.6.2 Own domains\n";
    write(&world, "chain.csv", list);
    configure(&world, &["DISARM-1.5.json", "DISARM-1.6.json", "chain.csv"]);
    world.start(&[]).await;
    world
}

fn technique(framework: &str, version: &str, external_id: &str) -> pb::Technique {
    pb::Technique {
        framework: framework.to_owned(),
        version: version.to_owned(),
        external_id: external_id.to_owned(),
        ..pb::Technique::default()
    }
}

/// What is warned of an operation with these techniques: reason, code, and the framework that was asked.
async fn warned(client: &Client, techniques: Vec<pb::Technique>) -> Vec<(String, String, String)> {
    let content = pb::body::Content::Operation(pb::Operation {
        title: "Lantern".to_owned(),
        techniques,
        ..pb::Operation::default()
    });
    let signer = client.signer().expect("a key");
    let envelope = sign(client, draft(&signer, content, handling(&["all"], &[])));
    let outcomes = client.publish(vec![envelope]).await.expect("answers");
    let Some(Outcome::Taken(receipt)) = outcomes.first() else {
        panic!("it is taken, whatever it names: {outcomes:?}");
    };
    let warnings = receipt.warnings.iter();
    warnings
        .map(|warning| {
            assert_eq!(warning.field, "body.operation.techniques");
            assert!(warning.message.contains(&warning.matched), "{warning}");
            (warning.reason.clone(), warning.matched.clone(), warning.list.clone())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_codes_are_warned_of_by_framework_and_version_and_kept() {
    let world = framed_world().await;
    let acme = world.client("acme-video").await;
    let known = vec![
        technique("disarm", "", "T0009"),
        technique("DISARM", "1.6", "t0001.001"),
        technique("online-operations-kill-chain", "", "0.6.2.0"),
        technique("attack", "", "T9999"),
        technique("disarm", "", ""),
    ];
    assert_eq!(warned(&acme, known).await.first(), None);
    let odd = vec![
        technique("disarm", "1.6", "T9999"),
        technique("disarm", "1.6", "T0009"),
        technique("disarm", "1.7", "T0001.001"),
        technique("online-operations-kill-chain", "", "9.9.9"),
    ];
    let expected = [
        ("TECHNIQUE_UNKNOWN", "T9999", "disarm 1.5, disarm 1.6"),
        ("TECHNIQUE_OF_OTHER_VERSION", "T0009", "disarm 1.5"),
        ("TECHNIQUE_OF_OTHER_VERSION", "T0001.001", "disarm 1.6"),
        ("TECHNIQUE_UNKNOWN", "9.9.9", "online-operations-kill-chain"),
    ];
    let expected = expected
        .map(|(reason, code, asked)| (reason.to_owned(), code.to_owned(), asked.to_owned()));
    assert_eq!(warned(&acme, odd).await, expected);
    let many = (0..100).map(|number| technique("disarm", "", &format!("X{number}"))).collect();
    assert_eq!(warned(&acme, many).await.len(), limits::WARNINGS_MAX);
    world.finish();
}

async fn codes(client: &Client, search: TechniqueSearch) -> Vec<String> {
    let (mut codes, mut token) = (Vec::new(), String::new());
    loop {
        let page = client.techniques(&search, 1, &token).await.expect("a page");
        assert!(page.techniques.len() <= 1, "{page:?}");
        assert_eq!(page.frameworks.len(), 3, "all are told, whatever is asked for");
        let of = page.techniques.into_iter();
        codes.extend(of.map(|one| format!("{} {}", one.version, one.technique.external_id)));
        match page.next {
            Some(next) => token = next,
            None => return codes,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_searches_the_operators_frameworks_page_by_page() {
    let world = framed_world().await;
    for member in ["acme-video", "harbour-liaison", "jetty-audit"] {
        let client = world.client(member).await;
        let search = |text: &str| TechniqueSearch { text: text.to_owned(), ..Default::default() };
        assert_eq!(codes(&client, search("")).await.len(), 6);
        assert_eq!(codes(&client, search("INAUTHENT site")).await, ["1.6 T0001"]);
        let by_code =
            TechniqueSearch { external_ids: vec!["disarm/t0001".to_owned()], ..search("") };
        assert_eq!(codes(&client, by_code).await, ["1.5 T0001", "1.6 T0001"]);
        let by_tactic = TechniqueSearch { tactic: "ta11".to_owned(), ..search("copy") };
        assert_eq!(codes(&client, by_tactic).await, ["1.6 T0001.001"]);
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_nothing_or_too_much_is_refused_by_its_field() {
    let world = framed_world().await;
    let client = world.client("acme-video").await;
    let long = "x".repeat(limits::LABEL_BYTES_MAX + 1);
    let plain = pb::ListTechniquesRequest::default;
    let many = vec!["T0001".to_owned(); limits::FILTER_VALUES_MAX + 1];
    let words = (0..17).map(|number| format!("w{number}")).collect::<Vec<_>>().join(" ");
    for (request, field) in [
        (pb::ListTechniquesRequest { text: "?!".to_owned(), ..plain() }, "text"),
        (pb::ListTechniquesRequest { text: words, ..plain() }, "text"),
        (pb::ListTechniquesRequest { framework: long.clone(), ..plain() }, "framework"),
        (pb::ListTechniquesRequest { version: long.clone(), ..plain() }, "version"),
        (pb::ListTechniquesRequest { tactic: long.clone(), ..plain() }, "tactic"),
        (pb::ListTechniquesRequest { external_ids: vec![long], ..plain() }, "external_ids"),
        (
            pb::ListTechniquesRequest { external_ids: vec![String::new()], ..plain() },
            "external_ids",
        ),
        (pb::ListTechniquesRequest { external_ids: many, ..plain() }, "external_ids"),
        (pb::ListTechniquesRequest { page_size: 1001, ..plain() }, "page_size"),
        (pb::ListTechniquesRequest { page_token: "00".to_owned(), ..plain() }, "page_token"),
    ] {
        let answer = client.query_service().list_techniques(request).await;
        let status = answer.expect_err("it is refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
        let told = String::from_utf8_lossy(status.details()).into_owned();
        assert!(told.contains(field), "{field}: {told}");
    }
    // The token of one question serves no other, and nobody else.
    let ask = pb::ListTechniquesRequest { page_size: 1, ..plain() };
    let page = client.query_service().list_techniques(ask.clone()).await.expect("a page");
    let page_token = page.into_inner().next_page_token;
    let other = pb::ListTechniquesRequest {
        text: "site".to_owned(),
        page_token: page_token.clone(),
        ..ask.clone()
    };
    client.query_service().list_techniques(other).await.expect_err("another question");
    let observer = world.client("harbour-liaison").await;
    let taken = pb::ListTechniquesRequest { page_token, ..ask };
    observer.query_service().list_techniques(taken).await.expect_err("another member");
    world.finish();
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_searches_the_hub_or_a_file_and_names_what_records_left_bare() {
    let world = framed_world().await;
    let run = |arguments: &[&str]| world.watchfire("acme-video", arguments);
    let lines = json_lines(&run(&["techniques", "copy", "--format", "jsonl"]));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        (&lines[0]["framework"], &lines[0]["version"], &lines[0]["tactics"][0]["external_id"]),
        (&"disarm".into(), &"1.6".into(), &"TA11".into())
    );
    let table = demand(&run(&["techniques", "--code", "0.6.2"]));
    assert!(table.contains("online-operations-kill-chain/0.6.2"), "{table}");
    let nothing = run(&["techniques", "elephants"]);
    assert_eq!(demand(&nothing), "");
    assert!(said(&nothing).contains("disarm 1.5 (2), disarm 1.6 (2)"), "{}", said(&nothing));

    let file = world.data().join("DISARM-1.6.json");
    let file = file.to_str().expect("a path in UTF-8");
    let local = world.watchfire("nobody", &["techniques", "--file", file, "inauthentic"]);
    assert!(demand(&local).contains("disarm/T0001"), "no profile is needed: {local:?}");
    let hostile = world.data().join("hostile-1.0.json");
    let text = bundle(&[("T0001", "a\u{1b}]0;owned\u{7}\u{202e}b")]);
    std::fs::write(&hostile, text).expect("a file");
    let hostile = hostile.to_str().expect("a path in UTF-8");
    let shown = demand(&run(&["techniques", "--file", hostile]));
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");

    let operation = ["publish", "operation", "--title", "Lantern", "--tlp", "green"];
    let rest = ["--audience", "companies", "--technique", "disarm/T0001.001"];
    demand(&run(&[&operation[..], &rest].concat()));
    let shown = demand(&run(&["show", "Lantern"]));
    assert!(shown.contains("Copy a site*"), "the framework's name, marked: {shown}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_framework_that_cannot_be_used_stops_the_start_by_name_and_place() {
    let mut world = World::stopped();
    let twice = bundle(&[("T0001", "One"), ("T0001", "Two")]);
    for (name, text, why) in [
        ("broken.json", "{\"objects\": [", "EOF"),
        ("other.json", "{\"a\": 1}", "neither a STIX bundle"),
        ("deep.json", &"[".repeat(1000), "neither JSON nor"),
        ("twice-1.0.json", &twice, "its id stands there twice"),
        ("list.csv", "Tactic,Technique,Procedure\na,b,c\n", "line 2"),
    ] {
        write(&world, name, text);
        configure(&world, &[name]);
        let said = does_not_start(&world);
        assert!(said.contains(name) && said.contains(why), "{name}: {said}");
    }
    configure(&world, &["absent.json"]);
    assert!(does_not_start(&world).contains("cannot read"));
    write(&world, "DISARM-1.6.json", &bundle(&[("T0001", "One")]));
    configure(&world, &["DISARM-1.6.json", "DISARM-1.6.json"]);
    assert!(does_not_start(&world).contains("disarm 1.6 is there already"));
    configure(&world, &["DISARM-1.6.json"]);
    world.start(&[]).await;
    world.finish();
}
