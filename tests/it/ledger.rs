//! The ledger as members compute it from what the hub sends them.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::ledger::Difference;
use watchfire::ledger::Ledger;
use watchfire::ledger::Row;
use watchfire::ledger::Stage;
use watchfire::ledger::Window;
use watchfire::ledger::differences;
use watchfire::model::header::BodyKind;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::sign;
use crate::world::withdrawal;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("cedar-chat", "company"),
    ("harbour-liaison", "observer"),
];
const AUDIENCE: &str = "0123456789abcdef0123";

async fn computed(client: &Client, head: u64) -> Ledger {
    client.recompute_ledger(Window::new(None, None, head)).await.expect("a ledger")
}

fn row<'a>(ledger: &'a Ledger, of: &str) -> &'a Row {
    let is = |row: &&Row| row.member.as_ref().is_some_and(|member| member.as_str() == of);
    ledger.rows.iter().find(is).expect("a row")
}

fn agrees(of: &RecordName) -> pb::body::Content {
    pb::body::Content::Opinion(pb::Opinion {
        of: of.to_string(),
        stance: pb::Stance::Agree.into(),
        ..pb::Opinion::default()
    })
}

fn removed(of: &RecordName) -> pb::body::Content {
    pb::body::Content::ActionReport(pb::ActionReport {
        of: of.to_string(),
        action: pb::Action::Removed.into(),
        ..pb::ActionReport::default()
    })
}

/// Makes an audience of its keeper and one more member.
async fn gather(keeper: &Client, other: &str) {
    use pb::audience_change::Change;

    let content = pb::body::Content::AudienceChange(pb::AudienceChange {
        audience: format!("audiences/{AUDIENCE}"),
        change: Some(Change::Create(pb::AudienceCreation {
            title: "two of us".to_owned(),
            members: vec![format!("members/{other}")],
        })),
    });
    let signer = keeper.signer().expect("a key");
    let envelope = sign(keeper, draft(&signer, content, handling(&[], &[])));
    let request = pb::ChangeAudienceRequest { envelope: Some(envelope) };
    keeper.audience_service().change_audience(request).await.expect("a change");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_member_computes_the_ledger_of_what_it_may_see() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let birch = world.client("birch-social").await;
    let cedar = world.client("cedar-chat").await;
    let (seen, _) = publish(&acme, domain("rumours.example")).await;
    publish(&acme, operation("Lantern")).await;
    publish(&birch, agrees(&seen)).await;
    publish(&birch, removed(&seen)).await;
    let (wrong, _) = publish(&cedar, domain("mistake.example")).await;
    publish_for(&cedar, withdrawal(&wrong), handling(&[], &[])).await;
    gather(&acme, "birch-social").await;
    let (_, last) = publish_for(&acme, domain("secret.example"), handling(&[AUDIENCE], &[])).await;
    let head = head(&acme).await;
    assert_eq!(last + 1, head);

    let (by_acme, by_birch) = (computed(&acme, head).await, computed(&birch, head).await);
    assert_eq!(by_acme, by_birch, "they see the same, and are told apart alike");
    let given = row(&by_acme, "acme-video");
    assert_eq!((given.given[&BodyKind::Indicator], given.given[&BodyKind::Operation]), (2, 1));
    assert_eq!((given.confirmed, given.confirmed_by, given.acted_on), (1, 1, 1));
    let received = row(&by_acme, "birch-social");
    assert_eq!((received.received, received.received_acted_on), (3, 1));
    assert_eq!(row(&by_acme, "cedar-chat").withdrawn, 1);
    let acted = by_acme.times.iter().find(|time| time.stage == Stage::Acted);
    assert_eq!(acted.map(|time| time.count), Some(1));

    let by_cedar = computed(&cedar, head).await;
    assert_eq!(row(&by_cedar, "acme-video").given[&BodyKind::Indicator], 1, "not the secret one");
    assert_eq!(row(&by_cedar, "birch-social").received, 2);
    assert_eq!(
        by_cedar.rows.last().map(|row| (row.members, row.member.is_none())),
        Some((1, true))
    );

    let by_observer = computed(&world.client("harbour-liaison").await, head).await;
    assert_eq!(by_observer.bounds, None, "nothing was for it");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_more_than_the_log_is_not_computed() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("rumours.example")).await;
    let head = head(&acme).await;
    let window = Window::new(None, None, head + 1);
    let error = acme.recompute_ledger(window).await.expect_err("it ends before");
    assert!(matches!(error, ClientError::Unverified(_)), "{error}");
    assert_eq!(computed(&acme, head - 1).await.bounds, None);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_time_or_format_is_a_usage_error() {
    let world = World::with(&[("acme-video", "company")]).await;
    for arguments in [["--since", "soon"], ["--until", "70000d"], ["--format", "jsonl"]] {
        let said = world.watchfire("acme-video", &[&["ledger"], &arguments[..]].concat());
        assert_eq!(said.status.code(), Some(2), "{arguments:?}");
    }
    world.finish();
}

/// Where the hub's ledger for a member is not what the member computes as of the same head.
async fn differing(client: &Client) -> Vec<Difference> {
    let window = Window::new(None, None, u64::MAX);
    let answer = client.ledger(&window).await.expect("a ledger");
    let computed = computed(client, answer.head).await;
    differences(&answer, &pb::GetLedgerResponse::from(&computed))
}

/// What everyone says of two assets, on the command line.
fn every_kind_of_feedback(world: &World, operation: &str, asset: &str, other: &str) {
    for (member, words) in [
        ("birch-social", &["sight", asset, "--count", "3"][..]),
        ("cedar-chat", &["sight", asset, "--count", "0"]),
        ("birch-social", &["opine", asset, "--stance", "agree"]),
        ("cedar-chat", &["opine", asset, "--stance", "disagree"]),
        ("cedar-chat", &["opine", other, "--stance", "strongly-agree"]),
        ("birch-social", &["act", asset, "--action", "removed"]),
        ("cedar-chat", &["act", asset, "--action", "monitored"]),
        ("birch-social", &["note", other, "The registrar was told."]),
        ("cedar-chat", &["attribute", operation, "--actor", "a firm for hire"]),
        ("birch-social", &["link", asset, "news[.]example", "--type", "amplifies"]),
    ] {
        demand(&world.watchfire(member, words));
    }
    let asked = demand(&world.watchfire("birch-social", &["ask", asset, "Who registered it?"]));
    let inquiry = asked.split('@').next().expect("a name");
    demand(&world.watchfire("cedar-chat", &["reply", inquiry, "--result", "no"]));
}

/// What the command line prints, after it computed the same.
fn printed(world: &World, member: &str) -> Value {
    let output = world.watchfire(member, &["ledger", "--recompute", "--format", "json"]);
    let text = demand(&output);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("the same numbers"), "{told}");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_says_what_each_member_computes() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let birch = world.client("birch-social").await;
    let cedar = world.client("cedar-chat").await;
    let (operation, _) = publish(&acme, operation("Lantern")).await;
    let mut content = domain("rumours.example");
    if let pb::body::Content::Indicator(indicator) = &mut content {
        indicator.operation = operation.to_string();
    }
    let (asset, _) = publish(&acme, content).await;
    let (other, _) = publish(&birch, domain("other.example")).await;
    let (of, on) = (asset.to_string(), other.to_string());
    every_kind_of_feedback(&world, &operation.to_string(), &of, &on);
    let (wrong, _) = publish(&cedar, domain("mistake.example")).await;
    publish(&birch, agrees(&wrong)).await;
    publish_for(&cedar, withdrawal(&wrong), handling(&[], &[])).await;
    let (taken, _) = publish(&cedar, domain("taken.example")).await;
    let down = ["takedown", &taken.to_string(), "--reason", "legal", "--explanation", "A court."];
    demand(&world.watchfire("operator", &down));
    gather(&acme, "birch-social").await;
    let (secret, _) =
        publish_for(&acme, domain("secret.example"), handling(&[AUDIENCE], &[])).await;
    publish_for(&birch, removed(&secret), handling(&[AUDIENCE], &[])).await;
    change_desk(&acme, "cedar-chat", true).await;
    change_desk(&acme, "birch-social", false).await;
    for client in [&acme, &birch, &cedar, &world.client("harbour-liaison").await] {
        assert_eq!(differing(client).await, []);
    }
    demand(&world.watchfire("operator", &["suspend", "birch-social", "--reason", "A test."]));
    let refused = world.watchfire("birch-social", &["ledger", "--recompute"]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    // The command asks twice if it must: what was taken down is erased about now.
    for member in ["acme-video", "cedar-chat"] {
        let ledger = printed(&world, member);
        let rows = ledger["rows"].as_array().expect("rows");
        let own = rows.iter().find(|row| row["member"] == format!("members/{member}"));
        assert_ne!(own.expect("its own row")["given"], Value::Null, "{ledger}");
    }
    let table = demand(&world.watchfire("acme-video", &["ledger"]));
    let titled = format!("Lantern acme-video/records/{}", operation.record);
    assert!(table.contains(&titled), "an operation has its title: {table}");
    for member in ["harbour-liaison", "operator"] {
        printed(&world, member);
    }
    assert_eq!(differing(&acme).await, []);
    assert_eq!(differing(&cedar).await, []);
    demand(&world.watchfire("operator", &["reinstate", "birch-social", "--reason", "It is over."]));
    assert_eq!(differing(&birch).await, []);
    printed(&world, "birch-social");
    world.finish();
}

async fn change_desk(keeper: &Client, member: &str, adds: bool) {
    use pb::audience_change::Change;

    let members = vec![format!("members/{member}")];
    let change = if adds {
        Change::Add(pb::AudienceMembers { members })
    } else {
        Change::Remove(pb::AudienceMembers { members })
    };
    let content = pb::body::Content::AudienceChange(pb::AudienceChange {
        audience: format!("audiences/{AUDIENCE}"),
        change: Some(change),
    });
    let signer = keeper.signer().expect("a key");
    let envelope = sign(keeper, draft(&signer, content, handling(&[], &[])));
    let request = pb::ChangeAudienceRequest { envelope: Some(envelope) };
    keeper.audience_service().change_audience(request).await.expect("a change");
}

/// How often members come and go while others ask.
const ROUNDS: usize = 40;

/// Lets members come and go in the desk, and speak.
async fn come_and_go(keeper: Client, others: Client, over: CancellationToken) {
    for round in 0..ROUNDS {
        change_desk(&keeper, "cedar-chat", round % 2 == 0).await;
        publish_for(&keeper, domain("secret.example"), handling(&[AUDIENCE], &[])).await;
        publish(&others, domain("open.example")).await;
    }
    over.cancel();
}

/// Every ledger that is answered until it is over, by its head.
async fn ask_on(
    client: Client,
    over: CancellationToken,
) -> BTreeMap<u64, Vec<pb::GetLedgerResponse>> {
    let mut answers: BTreeMap<u64, Vec<pb::GetLedgerResponse>> = BTreeMap::new();
    while !over.is_cancelled() {
        let window = Window::new(None, None, u64::MAX);
        let answer = client.ledger(&window).await.expect("a ledger");
        answers.entry(answer.head).or_default().push(answer);
    }
    answers
}

/// Answers of one head are the same, and what the entries below that head give.
async fn demand_of_one_moment(
    client: &Client,
    answers: &BTreeMap<u64, Vec<pb::GetLedgerResponse>>,
) {
    for answer in answers.values().flatten() {
        let first = &answers[&answer.head][0];
        assert_eq!(differences(answer, first), [], "as of {}", answer.head);
    }
    for (head, of_one_head) in answers.iter().step_by(answers.len() / 12 + 1) {
        let computed = pb::GetLedgerResponse::from(&computed(client, *head).await);
        assert_eq!(differences(&of_one_head[0], &computed), [], "as of {head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_of_one_moment_while_others_publish_and_come_and_go() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    gather(&acme, "birch-social").await;
    publish_for(&acme, domain("secret.example"), handling(&[AUDIENCE], &[])).await;
    let (over, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (keeper, others) = (acme.clone(), world.client("birch-social").await);
    let going = tasks.spawn(come_and_go(keeper, others, over.clone()));
    // Neither loses access to anything meanwhile, so each sees all that counts as of any answer's head.
    let mut asking = Vec::new();
    for member in ["acme-video", "birch-social"] {
        let client = world.client(member).await;
        asking.push((client.clone(), tasks.spawn(ask_on(client, over.clone()))));
    }
    going.await.expect("it ends");
    for (client, asked) in asking {
        let answers = asked.await.expect("it ends");
        assert!(answers.len() > ROUNDS / 4, "the log moved: {:?}", answers.keys());
        demand_of_one_moment(&client, &answers).await;
    }
    world.finish();
}
