//! What one member can ask for stops nobody else: look-ups, subscriptions, audiences, quotas, ledgers.

use std::time::Duration;

use futures_util::future::join_all;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt as _;
use watchfire::client::Client;
use watchfire::model::reason::Reason;
use watchfire::wire::pb;
use watchfire::wire::pb::subscribe_request::Start;

use crate::world::PATIENCE;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::publish;
use crate::world::sign;

const MEMBERS: &[(&str, &str)] =
    &[("acme-video", "company"), ("birch-social", "company"), ("cedar-chat", "company")];
const KNOWN: &str = "daily-lantern.example";

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, reason: Reason, field: &str) -> Status {
    let status = answer.expect_err("a refusal");
    let info = status.get_details_error_info().expect("a reason");
    assert_eq!(info.reason, reason.as_str(), "{status}");
    let fields = status.get_details_bad_request().map(|bad| bad.field_violations);
    let fields: Vec<String> =
        fields.into_iter().flatten().map(|violation| violation.field).collect();
    assert_eq!(fields.first().map(String::as_str).unwrap_or_default(), field, "{status}");
    status
}

fn retry_delay(status: &Status) -> Duration {
    status.get_details_retry_info().and_then(|info| info.retry_delay).expect("a delay")
}

/// Makes an audience of its keeper and others.
async fn gather(keeper: &Client, number: usize, others: &[&str]) -> Result<(), Status> {
    use pb::audience_change::Change;

    let signer = keeper.signer().expect("a key");
    let content = pb::body::Content::AudienceChange(pb::AudienceChange {
        audience: format!("audiences/{}-{number:010}", signer.member().as_str()),
        change: Some(Change::Create(pb::AudienceCreation {
            title: "some of us".to_owned(),
            members: others.iter().map(|other| format!("members/{other}")).collect(),
        })),
    });
    let envelope = sign(keeper, draft(&signer, content, handling(&[], &[])));
    let request = pb::ChangeAudienceRequest { envelope: Some(envelope) };
    keeper.audience_service().change_audience(request).await.map(drop)
}

/// A thousand hashes that nobody knows, and one value behind them that somebody does.
fn hashes() -> pb::LookupValuesRequest {
    let hash = |number: usize| pb::ValueQuery {
        kind: pb::ObservableKind::MediaHash.into(),
        value: hex::encode(watchfire::model::names::sha256(&number.to_be_bytes())),
        ..pb::ValueQuery::default()
    };
    let known = pb::ValueQuery { value: KNOWN.to_owned(), ..pb::ValueQuery::default() };
    let queries = (0..999).map(hash).chain([known]).collect();
    pb::LookupValuesRequest { queries, ..pb::LookupValuesRequest::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_up_a_thousand_hashes_again_and_again_stops_nobody() {
    let world = World::with(MEMBERS).await;
    let (acme, cedar) = (world.client("acme-video").await, world.client("cedar-chat").await);
    let (name, _) = publish(&acme, domain(KNOWN)).await;
    for number in 0..30 {
        gather(&cedar, number, &[]).await.expect("an audience");
    }
    let calls = (0..6).map(|_call| async {
        let answer = cedar.exchange_service().lookup_values(hashes()).await;
        let results = answer.expect("an answer").into_inner().results;
        assert_eq!(results.len(), 1000);
        assert!(!results[0].more, "the first is looked for in full");
        let unsure = results.iter().filter(|result| result.more).count();
        assert!(unsure > 900, "for the rest the answer says so: {unsure}");
        assert_eq!((results[999].entries.len(), results[999].more), (1, false), "what is exact");
    });
    let other = async {
        for _call in 0..20 {
            let request =
                pb::GetRecordRequest { name: name.to_string(), ..pb::GetRecordRequest::default() };
            let mut service = acme.exchange_service();
            let found = service.get_record(request);
            let found = tokio::time::timeout(PATIENCE, found).await.expect("in time");
            assert!(found.expect("an answer").into_inner().entry.is_some());
        }
    };
    tokio::join!(join_all(calls), other);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_put_into_so_many_audiences_by_one_keeper() {
    let world = World::with(MEMBERS).await;
    let (acme, cedar) = (world.client("acme-video").await, world.client("cedar-chat").await);
    for number in 0..64 {
        gather(&cedar, number, &["birch-social"]).await.expect("an audience");
    }
    let members = "body.audience_change.members";
    refused(gather(&cedar, 64, &["birch-social"]).await, Reason::RosterConflict, members);
    refused(
        gather(&cedar, 64, &["acme-video", "birch-social"]).await,
        Reason::RosterConflict,
        members,
    );
    gather(&cedar, 64, &["acme-video"]).await.expect("somebody else");
    gather(&acme, 0, &["birch-social"]).await.expect("another keeper");
    let birch = world.client("birch-social").await;
    gather(&birch, 0, &["acme-video"]).await.expect("its own");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_is_kept_is_small() {
    let world = World::with(&MEMBERS[..1]).await;
    let acme = world.client("acme-video").await;
    let create = async |platforms: Vec<String>| {
        let request = pb::CreateSubscriptionRequest {
            name: "members/acme-video/subscriptions/main".to_owned(),
            filter: Some(pb::Filter { platforms, ..pb::Filter::default() }),
            ..pb::CreateSubscriptionRequest::default()
        };
        acme.subscription_service().create_subscription(request).await
    };
    let stream = async |platforms: Vec<String>| {
        let request = pb::SubscribeRequest {
            start: Some(Start::Sequence(0)),
            filter: Some(pb::Filter { platforms, ..pb::Filter::default() }),
            ..pb::SubscribeRequest::default()
        };
        acme.exchange_service().subscribe(request).await.map(drop)
    };
    let huge = vec!["x".repeat(7000); 256];
    refused(create(huge.clone()).await, Reason::FieldInvalid, "filter.platforms");
    refused(stream(huge).await, Reason::FieldInvalid, "filter.platforms");
    let many = vec!["x".repeat(256); 256];
    refused(create(many.clone()).await, Reason::FieldInvalid, "filter");
    refused(stream(many).await, Reason::FieldInvalid, "filter");
    create(vec!["x".to_owned(); 256]).await.expect("a small one");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_about_subscriptions_cost_look_ups() {
    let world = World::with(&MEMBERS[..1]).await;
    let acme = world.client("acme-video").await;
    let name = "members/acme-video/subscriptions/main".to_owned();
    let request = pb::CreateSubscriptionRequest {
        name: name.clone(),
        ..pb::CreateSubscriptionRequest::default()
    };
    acme.subscription_service().create_subscription(request).await.expect("a subscription");
    let limit = ["quota", "set", "acme-video", "--lookups-per-second", "1"];
    demand(&world.watchfire("operator", &limit));
    let seeks = (0..40).map(|sequence: u64| {
        let to = pb::seek_subscription_request::To::Sequence(sequence % 2);
        let request = pb::SeekSubscriptionRequest { name: name.clone(), to: Some(to) };
        let mut service = acme.subscription_service();
        async move { service.seek_subscription(request).await }
    });
    let answers = join_all(seeks).await;
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!((10..40).contains(&taken), "{taken} of 40, ten of them at once");
    let beyond = answers.into_iter().find(Result::is_err).expect("a refusal");
    let status = refused(beyond, Reason::Quota, "");
    assert!(retry_delay(&status) <= Duration::from_secs(1));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_values_at_once_are_owed_in_full() {
    let world = World::with(&MEMBERS[..1]).await;
    let acme = world.client("acme-video").await;
    let limit = ["quota", "set", "acme-video", "--lookups-per-second", "1"];
    demand(&world.watchfire("operator", &limit));
    let query = |number| pb::ValueQuery {
        value: format!("bulk-{number}.example"),
        ..pb::ValueQuery::default()
    };
    let look_up = async |count: usize| {
        let request = pb::LookupValuesRequest {
            queries: (0..count).map(query).collect(),
            ..pb::LookupValuesRequest::default()
        };
        acme.exchange_service().lookup_values(request).await
    };
    look_up(1000).await.expect("an answer");
    let delay = retry_delay(&refused(look_up(1000).await, Reason::Quota, ""));
    assert!((900..=1000).contains(&delay.as_secs()), "{delay:?}");
    let delay = retry_delay(&refused(look_up(1).await, Reason::Quota, ""));
    assert!((890..=991).contains(&delay.as_secs()), "{delay:?}");
    let limit = ["quota", "set", "acme-video", "--lookups-per-second", "1000000"];
    demand(&world.watchfire("operator", &limit));
    look_up(1).await.expect("a debt counts by the quota that holds");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_members_ledgers_stop_nobody() {
    let world = World::with(MEMBERS).await;
    let (acme, cedar) = (world.client("acme-video").await, world.client("cedar-chat").await);
    let (name, _) = publish(&acme, domain(KNOWN)).await;
    let ledgers = (0..32).map(|_call| {
        let mut service = cedar.query_service();
        async move { service.get_ledger(pb::GetLedgerRequest::default()).await }
    });
    let request =
        pb::GetRecordRequest { name: name.to_string(), ..pb::GetRecordRequest::default() };
    let mut service = acme.exchange_service();
    let other = service.get_record(request);
    let (answers, other) = tokio::join!(join_all(ledgers), tokio::time::timeout(PATIENCE, other));
    assert!(other.expect("in time").expect("an answer").into_inner().entry.is_some());
    assert!(answers.iter().any(Result::is_ok));
    for answer in answers.into_iter().filter(Result::is_err) {
        let status = refused(answer, Reason::Quota, "");
        assert_eq!(status.code(), Code::ResourceExhausted);
        let info = status.get_details_error_info().expect("a reason");
        assert_eq!(info.metadata.get("limit").map(String::as_str), Some("ledgers"));
        assert!(!retry_delay(&status).is_zero());
    }
    let acmes = acme.query_service().get_ledger(pb::GetLedgerRequest::default()).await;
    assert!(acmes.is_ok(), "each has its own");
    world.finish();
}
