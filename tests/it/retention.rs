//! Retention through the front door: what is old, or too much, is nowhere to be had any more, and everything that says
//! that it was there stays.

use std::time::Duration;

use serde_json::Value;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::From;
use watchfire::client::LookUpOptions;
use watchfire::client::SearchQuery;
use watchfire::client::VerifiedEntry;
use watchfire::model::filter::Filter;
use watchfire::model::names::RecordName;
use watchfire::model::names::RevisionName;
use watchfire::model::reason::Reason;
use watchfire::wire::pb;

use crate::durable::flood;
use crate::durable::json_lines;
use crate::durable::keep_little;
use crate::durable::let_go;
use crate::durable::name;
use crate::durable::pause;
use crate::durable::refusal;
use crate::durable::said;
use crate::durable::settled;
use crate::durable::to_mark;
use crate::turned::TurnedHub;
use crate::world::Ends;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::handling;
use crate::world::head;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::replay;
use crate::world::subscribe;
use crate::world::until;
use crate::world::withdrawal;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
/// Stands in every body that goes.
const MARKER: &str = "kestrel";
const HOUR: Duration = Duration::from_hours(1);

/// What acme and birch said before retention came.
struct Said {
    operation: RecordName,
    asset: RecordName,
    withdrawal: u64,
    /// The whole log as it was then, for birch.
    before: Vec<VerifiedEntry>,
    /// A place of birch's within it.
    cursor: Vec<u8>,
}

async fn said_before(world: &World) -> Said {
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let (operation, _) = publish(&acme, operation("Kestrel over the harbour")).await;
    let mut content = domain("kestrel.example");
    if let pb::body::Content::Indicator(indicator) = &mut content {
        indicator.operation = operation.to_string();
        "A kestrel was seen.".clone_into(&mut indicator.description);
    }
    let (asset, _) = publish(&acme, content).await;
    let note = pb::Note { about: asset.to_string(), text: "Which kestrel?".to_owned() };
    publish(&birch, pb::body::Content::Note(note)).await;
    let (wrong, _) = publish(&acme, domain("wrong-kestrel.example")).await;
    let (_, withdrawal) = publish_for(&acme, withdrawal(&wrong), handling(&[], &[])).await;
    let create = ["subscriptions", "create", "main"];
    demand(&world.watchfire("birch-social", &create));
    let mut stream = subscribe(&birch, From::Start, Filter::default(), Ends::Never).await;
    let (_, mark) = to_mark(&mut stream).await;
    let before = replay(&birch, Filter::default()).await;
    Said { operation, asset, withdrawal, before, cursor: mark.cursor.bytes }
}

fn keep_a_day(world: &World) {
    let config = world.data().join("watchfired.toml");
    std::fs::write(config, "[retention]\ndays = 1\n").expect("a configuration");
}

/// Everything that a member can ask, printed for programs; none of it may hold a word of a body that went.
fn asked(world: &World, said: &Said) -> Vec<String> {
    let (operation, asset) = (said.operation.to_string(), said.asset.to_string());
    let programs = ["--format", "jsonl"];
    let lines: [&[&str]; 7] = [
        &["get", &asset],
        &["get", &operation],
        &["list"],
        &["lookup", "kestrel.example"],
        &["search", MARKER],
        &["search", "--active-only"],
        &["subscribe", "--from", "start", "--until-head"],
    ];
    let answer = |line: &[&str]| demand(&world.watchfire("birch-social", line));
    let mut answers: Vec<String> =
        lines.iter().map(|line| answer(&[*line, &programs[..]].concat())).collect();
    answers.extend(lines.iter().take(6).map(|line| answer(line)));
    let whole = ["show", &operation, "--format", "json"];
    answers.push(String::from_utf8_lossy(&world.watchfire("birch-social", &whole).stdout).into());
    answers
}

async fn floor_of(client: &Client) -> u64 {
    let_go(client).await.last().expect("a notice").end_sequence
}

/// The notices' places and what they name; each body below the floor is gone by the notice that names it.
async fn demand_gone(world: &World, said: &Said, rule: &str) {
    let client = world.client("birch-social").await;
    let notices = let_go(&client).await;
    assert!(notices.iter().all(|notice| notice.rule == rule), "{notices:?}");
    let floor = floor_of(&client).await;
    let now = replay(&client, Filter::default()).await;
    for was in &said.before {
        let is = now.iter().find(|entry| entry.sequence() == was.sequence()).expect("its header");
        assert_eq!(is.header_digest(), was.header_digest());
        assert_eq!(is.header(), was.header());
        assert_eq!(is.accept_time(), was.accept_time());
        let goes = was.header().body_kind.is_chosen();
        assert!(!goes || was.sequence() < floor, "{} of {floor}", was.sequence());
        assert_eq!(is.body().content.is_none(), goes, "{}", was.sequence());
        let Some(by) = is.erased_by() else { continue };
        let notice = now.iter().find(|entry| entry.sequence() == by).expect("the notice");
        let Some(pb::body::Content::Retention(notice)) = &notice.body().content else {
            panic!("{by} is no notice of retention");
        };
        assert!((notice.first_sequence..notice.end_sequence).contains(&was.sequence()));
    }
    for answer in asked(world, said) {
        assert!(!answer.to_lowercase().contains(MARKER), "{answer}");
    }
    demand_not_found(&client, said).await;
    demand_caught_up(world, &client, said, floor).await;
}

/// The digests in the headers stay; nothing that was said is found by its words or values.
async fn demand_not_found(client: &Client, said: &Said) {
    let revision = RevisionName { record: said.asset.clone(), revision: None };
    let found = client.get(&revision).await.expect("its header stays");
    assert!(found.entry.erased_by().is_some() && found.entry.body().content.is_none());
    let found = client.look_up(&["kestrel.example".to_owned()], &LookUpOptions::default()).await;
    assert_eq!(found.expect("an answer")[0].entries.len(), 0);
    let query = SearchQuery { text: MARKER.to_owned(), ..SearchQuery::default() };
    let (found, _) = client.search(&query, 100, "").await.expect("an answer");
    assert_eq!(found.len(), 0);
    let current = client.list_all(&Filter::default()).await.expect("an answer");
    assert!(current.iter().all(|entry| entry.name() != &said.asset || entry.erased_by().is_some()));
}

/// An old place is refused with the floor, and the current state is what is left.
async fn demand_caught_up(world: &World, client: &Client, said_before: &Said, floor: u64) {
    let request = pb::SubscribeRequest {
        start: Some(pb::subscribe_request::Start::Cursor(said_before.cursor.clone())),
        ..pb::SubscribeRequest::default()
    };
    let refused = client.exchange_service().subscribe(request).await.expect_err("it is gone");
    let refused = refusal::<()>(Err(ClientError::from(refused)));
    assert!(refused.is(Reason::CursorCompacted), "{refused}");
    assert_eq!(refused.metadata["floor"], floor.to_string());
    assert!(refused.message.contains("catch up by a snapshot"), "what to do: {refused}");
    let by_name = ["subscribe", "--name", "main", "--until-head"];
    let told =
        said(&world.watchfire("birch-social", &by_name), 3, Reason::CursorCompacted.as_str());
    // What went wrong first, then what to do about it.
    let lines: Vec<&str> = told.lines().collect();
    let [.., error, advice] = lines.as_slice() else { panic!("two lines: {told}") };
    assert!(error.contains(Reason::CursorCompacted.as_str()), "{told}");
    assert!(error.contains(&format!("from the floor on, sequence {floor}")), "{told}");
    assert!(advice.contains("--catch-up"), "{told}");
    assert!(advice.contains(&format!("from sequence {floor} on")), "{told}");

    let snapshot = ["subscribe", "--from", "snapshot", "--until-head", "--format", "jsonl"];
    let lines = json_lines(&world.watchfire("birch-social", &snapshot));
    let places: Vec<u64> = lines.iter().filter_map(|line| line["sequence"].as_u64()).collect();
    assert!(places.contains(&said_before.withdrawal), "withdrawals stay: {places:?}");
    for line in &lines {
        let is_fact = line["erased"] != Value::Null;
        assert_eq!(line["body"] == serde_json::json!({}), is_fact, "{line}");
    }
    let caught_up = [&by_name[..], &["--catch-up"]].concat();
    demand(&world.watchfire("birch-social", &caught_up));
    let kept = client.subscriptions().await.expect("an answer");
    let kept = kept.iter().find(|kept| kept.name == name("birch-social", "main")).expect("it");
    assert_eq!(kept.position, head(client).await);
    // The ledger of what is left is the same however it is counted.
    demand(&world.watchfire("birch-social", &["ledger", "--recompute"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_older_than_the_days_are_gone_everywhere() {
    let mut world = World::with(MEMBERS).await;
    let before = said_before(&world).await;
    world.stop();
    keep_a_day(&world);
    // A body may stay an hour longer than its days.
    let hub = TurnedHub::serve(&world, 24 * HOUR).await;
    let client = world.client("birch-social").await;
    let size = head(&client).await;
    pause(Duration::from_millis(2500)).await;
    assert_eq!((let_go(&client).await.len(), head(&client).await), (0, size));
    assert!(asked(&world, &before).iter().all(|answer| answer.to_lowercase().contains(MARKER)));
    drop(client);
    hub.stop().await;

    let hub = TurnedHub::serve(&world, 26 * HOUR).await;
    let client = world.client("birch-social").await;
    until("old bodies go", || async { (!let_go(&client).await.is_empty()).then_some(()) }).await;
    let acme = world.client("acme-video").await;
    let (young, at) = publish(&acme, domain("young.example")).await;
    let notices = let_go(&client).await;
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!(notices[0].end_sequence, size, "everything that was old");
    let first = before.before.iter().find(|entry| entry.header().body_kind.is_chosen());
    assert_eq!(Some(notices[0].first_sequence), first.map(VerifiedEntry::sequence));
    demand_gone(&world, &before, "older than 1 days").await;
    let found = client.get(&RevisionName { record: young, revision: None }).await;
    assert!(found.expect("the record").entry.body().content.is_some(), "what is young stays");
    pause(Duration::from_millis(2500)).await;
    assert_eq!(let_go(&client).await.len(), 1, "a notice makes no more go");
    assert_eq!(head(&client).await, at + 1);
    drop((client, acme));
    hub.stop().await;

    // What went does not come back when the setting is taken away, nor with a clock that is right again.
    std::fs::write(world.data().join("watchfired.toml"), "").expect("a configuration");
    world.start(&["--confirm-clock"]).await;
    assert!(asked(&world, &before).iter().all(|answer| !answer.to_lowercase().contains(MARKER)));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_beyond_the_bytes_are_gone_everywhere() {
    let mut world = World::with(MEMBERS).await;
    let before = said_before(&world).await;
    keep_little(&mut world).await;
    flood(&world.client("acme-video").await, 6).await;
    let client = world.client("birch-social").await;
    settled(&client).await;
    demand_gone(&world, &before, "more than 65536 bytes").await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn days_and_bytes_that_cannot_be_stop_the_start() {
    let world = World::stopped();
    for (setting, key) in [
        ("days = 0", "retention.days"),
        ("days = 36501", "retention.days"),
        ("days = -1", "watchfired.toml"),
        ("bytes = 65535", "retention.bytes"),
        ("months = 1", "months"),
    ] {
        let config = world.data().join("watchfired.toml");
        std::fs::write(config, format!("[retention]\n{setting}\n")).expect("a configuration");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_watchfired"))
            .args(["serve", "--check-config", "--data"])
            .arg(world.data())
            .output()
            .expect("watchfired runs");
        said(&output, 78, key);
    }
}
