//! The ledger as members compute it from what the hub sends them.

use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::ledger::Ledger;
use watchfire::ledger::Row;
use watchfire::ledger::Stage;
use watchfire::ledger::Window;
use watchfire::model::header::BodyKind;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::world::World;
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
