//! Warnings at publish: lists in the format of the MISP warning lists, through the hub's configuration and both ways
//! of publishing. Nothing is ever dropped for them; a list that cannot be used stops the start, by name.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use watchfire::client::Client;
use watchfire::client::Outcome;
use watchfire::client::Receipt;
use watchfire::model::filter::Filter;
use watchfire::wire::pb;
use watchfire::wire::pb::ObservableKind as Kind;

use crate::durable::json_lines;
use crate::world::PATIENCE;
use crate::world::World;
use crate::world::demand;
use crate::world::draft;
use crate::world::handling;
use crate::world::replay;
use crate::world::scratch;
use crate::world::sign;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
/// What the hub exits with when starting again does not help.
const UNUSABLE: i32 = 78;
const FOR_COMPANIES: [&str; 4] = ["--tlp", "green", "--audience", "companies"];

fn list(name: &str, matching: &str, entries: &[&str]) -> Value {
    json!({"name": name, "version": 1, "type": matching, "list": entries})
}

/// One list of each type, in a folder as a checkout has them, and one beside it that is named as a file.
fn one_of_each(world: &World) {
    let folder = world.data().join("lists");
    let lists = [
        list("own sites", "string", &["common.example", "not a host"]),
        list("shared hosts", "hostname", &["shared-host.example", "not a host"]),
        list("harmless words", "substring", &["harmless-tracker"]),
        list("delivery networks", "regex", &["/^edge[0-9]+\\.delivery\\.example$/i"]),
    ];
    for (place, list) in ["a", "b", "c", "d"].into_iter().zip(lists) {
        let folder = folder.join(place);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("list.json"), list.to_string()).expect("a list");
    }
    let networks = list("documentation networks", "cidr", &["192.0.2.0/24", "2001:db8::/32"]);
    std::fs::write(world.data().join("networks.json"), networks.to_string()).expect("a list");
}

fn configure(world: &World, lists: &[&str]) {
    let config = world.data().join("watchfired.toml");
    let text = format!("[warnings]\nlists = {}\n", json!(lists));
    std::fs::write(config, text).expect("a configuration");
}

/// A world whose hub has one list of each type.
async fn warned_world() -> World {
    let mut world = World::with_members_then_stopped(MEMBERS).await;
    one_of_each(&world);
    configure(&world, &["lists", "networks.json"]);
    world.start(&[]).await;
    world
}

fn asset(kind: Kind, value: &str, warning_seen: bool) -> pb::body::Content {
    pb::body::Content::Indicator(pb::Indicator {
        observable: Some(pb::Observable {
            kind: kind.into(),
            value: value.to_owned(),
            ..pb::Observable::default()
        }),
        warning_seen,
        ..pb::Indicator::default()
    })
}

fn signed(client: &Client, kind: Kind, value: &str, warning_seen: bool) -> pb::Envelope {
    let signer = client.signer().expect("a key");
    let content = asset(kind, value, warning_seen);
    sign(client, draft(&signer, content, handling(&["companies"], &[])))
}

#[track_caller]
fn taken(outcome: &Outcome) -> &Receipt {
    match outcome {
        Outcome::Taken(receipt) => receipt,
        Outcome::Refused(refused) => panic!("{refused}"),
    }
}

/// Lists and entries that a value met, and how.
fn warned(outcome: &Outcome) -> Vec<String> {
    let warnings = taken(outcome).warnings.iter();
    warnings
        .map(|warning| {
            assert_eq!(warning.reason, "COMMON_BENIGN_VALUE");
            assert_eq!(warning.field, "body.indicator.observable.value");
            let how = warning.message.rsplit(['(', ')']).nth(1).expect("how");
            format!("{}: {} {how}", warning.list, warning.matched)
        })
        .collect()
}

/// A value of a kind, and what is said of it.
const CASES: &[(Kind, &str, &[&str])] = &[
    (Kind::Domain, "common.example", &["own sites: common.example listed"]),
    (Kind::Url, "https://common.example/a", &["own sites: common.example on-listed-host"]),
    (Kind::Domain, "shared-host.example", &["shared hosts: shared-host.example listed"]),
    // A popular parent: what is below it is somebody else's.
    (
        Kind::Domain,
        "rumours.shared-host.example",
        &["shared hosts: shared-host.example below-listed"],
    ),
    (
        Kind::Url,
        "https://news.example/harmless-tracker/1",
        &["harmless words: harmless-tracker contains"],
    ),
    (
        Kind::Domain,
        "EDGE7.delivery.example",
        &["delivery networks: /^edge[0-9]+\\.delivery\\.example$/i pattern"],
    ),
    (Kind::IpAddress, "192.0.2.77", &["documentation networks: 192.0.2.0/24 network"]),
    (Kind::IpAddress, "2001:db8::7", &["documentation networks: 2001:db8::/32 network"]),
    (Kind::Url, "http://192.0.2.9/login", &["documentation networks: 192.0.2.0/24 network"]),
    (Kind::Domain, "wikipedia.org", &["widely used sites: wikipedia.org listed"]),
    (Kind::Domain, "www.wikipedia.org", &["widely used sites: wikipedia.org listed"]),
    // The closest list first.
    (
        Kind::Domain,
        "harmless-tracker.shared-host.example",
        &[
            "shared hosts: shared-host.example below-listed",
            "harmless words: harmless-tracker contains",
        ],
    ),
    // Near misses.
    (Kind::Domain, "uncommon.example", &[]),
    (Kind::Domain, "shared-host.example.net", &[]),
    (Kind::Domain, "edge.delivery.example", &[]),
    (Kind::IpAddress, "192.0.3.1", &[]),
    (Kind::Domain, "notwikipedia.org", &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_list_warns_and_every_record_is_taken() {
    let world = warned_world().await;
    let acme = world.client("acme-video").await;
    let batch = |seen: bool| -> Vec<pb::Envelope> {
        CASES.iter().map(|(kind, value, _)| signed(&acme, *kind, value, seen)).collect()
    };
    let outcomes = acme.publish(batch(false)).await.expect("answers");
    let mut pipeline = acme.publish_stream().await.expect("a stream");
    pipeline.send(batch(false)).await.expect("it is sent");
    let streamed = pipeline.answer().await.expect("an answer").expect("an answer");
    pipeline.finish();
    let stood_by = acme.publish(batch(true)).await.expect("answers");
    for (at, (_, value, expected)) in CASES.iter().enumerate() {
        assert_eq!(warned(&outcomes[at]), *expected, "{value}");
        assert_eq!(warned(&streamed[at]), *expected, "{value}, streamed");
        assert_eq!(warned(&stood_by[at]), [""; 0], "{value}, that its publisher stands by");
    }
    // One alone takes another way to the sequencer.
    let alone = acme.publish_one(signed(&acme, Kind::Domain, "common.example", false)).await;
    assert_eq!(alone.expect("a receipt").warnings.len(), 1);
    let seen = replay(&world.client("birch-social").await, Filter::default()).await;
    let indicators = seen
        .iter()
        .filter(|entry| matches!(entry.body().content, Some(pb::body::Content::Indicator(_))));
    assert_eq!(indicators.count(), 3 * CASES.len() + 1, "nothing is dropped");
    let log = world.log_text();
    assert_eq!(log.matches("can match nothing here").count(), 1, "{log}");
    assert!(log.contains("shared hosts"), "a host that is none is counted: {log}");
    world.finish();
}

/// What a command said on standard error that is a warning.
fn told(output: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.lines().filter(|line| line.starts_with("warning: ")).map(str::to_owned).collect()
}

/// What another member gets of a record, as its publisher's command named it.
fn read_by_birch(world: &World, name: &str) -> Value {
    let lines = json_lines(&world.watchfire("birch-social", &["get", name, "--format", "jsonl"]));
    lines.into_iter().next().expect("the record")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_tells_a_warning_and_signs_that_it_was_seen() {
    let world = warned_world().await;
    let publish = |value: &str, more: &[&str]| {
        let asset = ["publish", "--kind", "domain", "--value", value];
        world.watchfire("acme-video", &[&asset[..], &FOR_COMPANIES, more].concat())
    };
    let name = |output: &Output| {
        let said = demand(output);
        said.split('@').next().expect("a name").to_owned()
    };
    let warned = publish("common[.]example", &[]);
    let lines = told(&warned);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("own sites") && lines[0].contains("common.example"), "{lines:?}");
    let record = read_by_birch(&world, &name(&warned));
    assert_eq!(record["body"]["indicator"]["observable"]["value"], "common[.]example");
    assert_eq!(record["body"]["indicator"].get("warning_seen"), None, "{record}");

    let forced = publish("common[.]example", &["--force"]);
    assert_eq!(told(&forced), [""; 0]);
    let record = read_by_birch(&world, &name(&forced));
    assert_eq!(record["body"]["indicator"]["warning_seen"], true);
    assert_eq!(record["verified"], true, "it is in what was signed");

    let receipts = json_lines(&publish("a.shared-host.example", &["--receipts"]));
    let warning = &receipts[0]["warnings"][0];
    assert_eq!(
        (&warning["reason"], &warning["list"], &warning["matched"]),
        (&"COMMON_BENIGN_VALUE".into(), &"shared hosts".into(), &"shared-host.example".into())
    );
    assert!(receipts[0]["sequence"].is_u64(), "it was taken: {receipts:?}");
    let plain = json_lines(&publish("plain.example", &["--receipts", "--force"]));
    assert_eq!(plain[0].get("warnings"), None);
    world.finish();
}

fn line(value: &str, warning_seen: bool) -> String {
    let observable = json!({"kind": "OBSERVABLE_KIND_DOMAIN", "value": value});
    let mut indicator = json!({"observable": observable});
    if warning_seen {
        indicator["warning_seen"] = true.into();
    }
    json!({"body": {"indicator": indicator}}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_warned_of_and_say_that_it_was_seen() {
    let world = warned_world().await;
    let place = scratch();
    let file = place.path().join("lines.jsonl");
    let lines =
        [line("common.example", false), line("common.example", true), line("a.example", false)];
    std::fs::write(&file, lines.join("\n")).expect("a file");
    let file = file.to_str().expect("a path in UTF-8");
    let publish = |more: &[&str]| {
        let arguments = [&["publish", "--jsonl", file][..], &FOR_COMPANIES, more].concat();
        world.watchfire("acme-video", &arguments)
    };
    let plain = publish(&[]);
    assert!(demand(&plain).contains("3 records are durable"), "{plain:?}");
    assert_eq!(told(&plain).len(), 1, "{plain:?}");

    let receipts = publish(&["--receipts"]);
    let printed = json_lines(&receipts);
    let warned: Vec<bool> = printed.iter().map(|line| line.get("warnings").is_some()).collect();
    assert_eq!(warned, [true, false, false]);
    for (receipt, expected) in printed.iter().zip([Value::Null, true.into(), Value::Null]) {
        let record = read_by_birch(&world, receipt["name"].as_str().expect("a name"));
        assert_eq!(record["body"]["indicator"]["warning_seen"], expected, "{record}");
    }

    let many = place.path().join("many.jsonl");
    let lines: Vec<String> =
        (0..30).map(|number| line(&format!("n{number}.shared-host.example"), false)).collect();
    std::fs::write(&many, lines.join("\n")).expect("a file");
    let many = ["publish", "--jsonl", many.to_str().expect("a path in UTF-8")];
    let output = world.watchfire("acme-video", &[&many[..], &FOR_COMPANIES].concat());
    demand(&output);
    let lines = told(&output);
    assert_eq!(lines.len(), 11, "ten, and how many more: {lines:?}");
    assert_eq!(lines[10], "warning: and 20 more like these");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_that_is_slow_elsewhere_holds_nobody_up() {
    let mut world = World::with_members_then_stopped(MEMBERS).await;
    let patterns = ["/(a+)+$/", "/(a|aa)+b/", "/(.*a){20}c/"];
    let slow = list("slow elsewhere", "regex", &patterns);
    std::fs::write(world.data().join("slow.json"), slow.to_string()).expect("a list");
    configure(&world, &["slow.json"]);
    world.start(&[]).await;
    let acme = world.client("acme-video").await;
    let value = format!("https://news.example/{}!", "a".repeat(1500));
    let batch: Vec<pb::Envelope> =
        (0..20).map(|_| signed(&acme, Kind::Url, &value, false)).collect();
    let begun = Instant::now();
    let outcomes = acme.publish(batch).await.expect("answers");
    // One engine that goes back would take longer than anyone waits for one of them.
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(outcomes.iter().all(|outcome| warned(outcome).is_empty()));
    let last = format!("https://news.example/{}", "a".repeat(1500));
    let outcomes = acme.publish(vec![signed(&acme, Kind::Url, &last, false)]).await;
    assert_eq!(warned(&outcomes.expect("answers")[0]), ["slow elsewhere: /(a+)+$/ pattern"]);
    world.finish();
}

/// What a hub says that must not start.
#[track_caller]
pub(crate) fn does_not_start(world: &World) -> String {
    // It would serve for good: then the test says so.
    let limit = (PATIENCE + Duration::from_secs(40)).as_secs().to_string();
    let output = Command::new("timeout")
        .args([&limit, env!("CARGO_BIN_EXE_watchfired"), "serve", "--listen", &world.address()])
        .arg("--data")
        .arg(world.data())
        .output()
        .expect("timeout runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(UNUSABLE), "{said}");
    said
}

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("a file");
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_used_stops_the_start_by_name() {
    let mut world = World::stopped();
    let data = world.data();
    let bad = |name: &str, matching: &str, entries: &[&str]| {
        write(&data, name, &list("one", matching, entries).to_string())
    };
    let huge = data.join("huge.json");
    let beyond =
        u64::try_from(watchfire::model::limits::WARNING_FILE_BYTES_MAX).expect("a size") + 1;
    File::create(&huge).and_then(|file| file.set_len(beyond)).expect("a file with a hole");
    let folder = data.join("empty");
    std::fs::create_dir(&folder).expect("a folder");
    for (path, why) in [
        (write(&data, "broken.json", "{\"name\": \"one\", \"list\": [\"a\""), "EOF"),
        (write(&data, "other.json", "[1, 2]"), "is not a warning list"),
        (bad("fuzzy.json", "fuzzy", &["a"]), "fuzzy"),
        (bad("pattern.json", "regex", &["fine", "(a{1000}){1000}"]), "list[1]"),
        (bad("behind.json", "regex", &["(?=a)b"]), "list[0]"),
        (bad("network.json", "cidr", &["192.0.2.0/99"]), "list[0] is no network"),
        (bad("blank.json", "string", &["a", " "]), "list[1]"),
        (data.join("absent.json"), "cannot read"),
        (PathBuf::from("/dev/zero"), "neither a file nor a folder"),
        (folder, "holds no list"),
        (huge, "is larger than"),
    ] {
        let path = path.to_str().expect("a path in UTF-8");
        configure(&world, &[path]);
        let said = does_not_start(&world);
        assert!(said.contains(path) && said.contains(why), "{path}: {said}");
    }
    // One bad list among good ones is not passed over either.
    one_of_each(&world);
    configure(&world, &["lists", "broken.json"]);
    assert!(does_not_start(&world).contains("broken.json"));
    configure(&world, &["lists", "networks.json"]);
    world.start(&[]).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_loaded_and_asked() {
    let mut world = World::with_members_then_stopped(MEMBERS).await;
    let entries: Vec<String> = (0..100_000).map(|number| format!("n{number}.example")).collect();
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    let path = write(&world.data(), "long.json", &list("long", "hostname", &entries).to_string());
    configure(&world, &[path.to_str().expect("a path in UTF-8")]);
    world.start(&[]).await;
    let acme = world.client("acme-video").await;
    let batch = ["n99999.example", "a.n5.example", "n100000.example"];
    let batch = batch.map(|value| signed(&acme, Kind::Domain, value, false)).into();
    let outcomes = acme.publish(batch).await.expect("answers");
    let said: Vec<Vec<String>> = outcomes.iter().map(warned).collect();
    let expected: [&[&str]; 3] =
        [&["long: n99999.example listed"], &["long: n5.example below-listed"], &[]];
    assert_eq!(said, expected);
    world.finish();
}
