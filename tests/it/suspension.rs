//! A suspended member: every call says so, streams end, nothing comes after; and once it is reinstated nothing is
//! missing.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use prost::Message as _;
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use watchfire::client::Client;
use watchfire::wire::pb;
use watchfire::wire::pb::subscribe_request::Start;

use crate::world::CANARY;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::publish;
use crate::world::sign;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("harbour-liaison", "observer"),
    ("jetty-audit", "auditor"),
];
const SUSPENDED: [&str; 3] = ["birch-social", "harbour-liaison", "jetty-audit"];

/// Takes an answer apart: what matters is whether there was one.
fn outcome<R>(answer: Result<Response<R>, Status>) -> Result<(), Status> {
    answer.map(drop)
}

/// Every call of every service that exists, each with a request that a member in good standing may make.
#[expect(clippy::too_many_lines, reason = "every call")]
async fn every_call(client: &Client, record: &str) -> BTreeMap<String, Result<(), Status>> {
    let me = client.signer().expect("a key").member().name();
    let mut said = BTreeMap::new();
    let mut add = |call: &str, outcome| {
        said.insert(call.to_owned(), outcome);
    };
    let envelope = || {
        let signer = client.signer().expect("a key");
        Some(sign(client, draft(&signer, domain("news.example"), handling(&[], &[]))))
    };
    let envelopes = || envelope().into_iter().collect();
    let mut records = client.exchange_service();
    let request = pb::PublishRequest { envelopes: envelopes(), ..pb::PublishRequest::default() };
    add("ExchangeService/Publish", outcome(records.publish(request).await));
    let requests = tokio_stream::once(pb::PublishStreamRequest {
        envelopes: envelopes(),
        ..pb::PublishStreamRequest::default()
    });
    add("ExchangeService/PublishStream", outcome(records.publish_stream(requests).await));
    let request = pb::SubscribeRequest::default();
    add("ExchangeService/Subscribe", first(records.subscribe(request).await).await);
    let request = pb::GetRecordRequest { name: record.to_owned(), include_record: true };
    add("ExchangeService/GetRecord", outcome(records.get_record(request).await));
    let request = pb::ListRecordsRequest::default();
    add("ExchangeService/ListRecords", outcome(records.list_records(request).await));
    let request = pb::LookupValuesRequest::default();
    add("ExchangeService/LookupValues", outcome(records.lookup_values(request).await));

    let mut queries = client.query_service();
    let request = pb::GetOperationRequest { name: record.to_owned() };
    add("QueryService/GetOperation", outcome(queries.get_operation(request).await));
    let start = Some(pb::list_links_request::Start::Record(record.to_owned()));
    let request = pb::ListLinksRequest { start, ..pb::ListLinksRequest::default() };
    add("QueryService/ListLinks", outcome(queries.list_links(request).await));
    let request = pb::SearchRecordsRequest::default();
    add("QueryService/SearchRecords", outcome(queries.search_records(request).await));
    let request = pb::ListRecallsRequest::default();
    add("QueryService/ListRecalls", outcome(queries.list_recalls(request).await));
    let request = pb::GetLedgerRequest::default();
    add("QueryService/GetLedger", outcome(queries.get_ledger(request).await));
    let request = pb::ListTechniquesRequest::default();
    add("QueryService/ListTechniques", outcome(queries.list_techniques(request).await));

    let export =
        pb::ExportRequest { format: pb::ExportFormat::Stix.into(), ..pb::ExportRequest::default() };
    let exported = client.export_service().export(export).await;
    let chunk = async { exported?.into_inner().message().await.map(drop) };
    add("ExportService/Export", chunk.await);

    let mut audiences = client.audience_service();
    let request = pb::ListAudiencesRequest::default();
    add("AudienceService/ListAudiences", outcome(audiences.list_audiences(request).await));
    let request = pb::ChangeAudienceRequest { envelope: envelope() };
    add("AudienceService/ChangeAudience", outcome(audiences.change_audience(request).await));
    let mut log = client.transparency_service();
    add(
        "TransparencyService/GetCheckpoint",
        outcome(log.get_checkpoint(pb::GetCheckpointRequest {}).await),
    );
    let request = pb::GetInclusionProofRequest::default();
    add("TransparencyService/GetInclusionProof", outcome(log.get_inclusion_proof(request).await));
    let request = pb::GetMultiproofRequest { sequences: vec![0], known_size: 0 };
    add("TransparencyService/GetMultiproof", outcome(log.get_multiproof(request).await));
    let request = pb::GetConsistencyProofRequest::default();
    add(
        "TransparencyService/GetConsistencyProof",
        outcome(log.get_consistency_proof(request).await),
    );
    let request = pb::ListLeafHashesRequest::default();
    add("TransparencyService/ListLeafHashes", outcome(log.list_leaf_hashes(request).await));
    said.extend(testimony_calls(client, &me).await);
    said.extend(roster_calls(client, &me, &envelope).await);
    said.extend(subscription_calls(client, &me).await);
    said
}

async fn testimony_calls(client: &Client, me: &str) -> Vec<(String, Result<(), Status>)> {
    let mut log = client.transparency_service();
    let entries = pb::ListPublisherEntriesRequest {
        publisher: me.to_owned(),
        key: client.signer().expect("a key").key().id().to_string(),
        scope: "audiences/all".to_owned(),
        ..pb::ListPublisherEntriesRequest::default()
    };
    let cosignature = pb::AddCosignatureRequest::default();
    let (put, list) =
        (pb::PutPublisherHeadRequest::default(), pb::ListPublisherHeadsRequest::default());
    let report = pb::ReportMisbehaviorRequest::default();
    let reports = pb::ListMisbehaviorReportsRequest::default();
    let said = [
        ("AddCosignature", outcome(log.add_cosignature(cosignature).await)),
        ("PutPublisherHead", outcome(log.put_publisher_head(put).await)),
        ("ListPublisherHeads", outcome(log.list_publisher_heads(list).await)),
        ("ListPublisherEntries", outcome(log.list_publisher_entries(entries).await)),
        ("ReportMisbehavior", outcome(log.report_misbehavior(report).await)),
        ("ListMisbehaviorReports", outcome(log.list_misbehavior_reports(reports).await)),
    ];
    said.map(|(call, outcome)| (format!("TransparencyService/{call}"), outcome)).into()
}

async fn roster_calls(
    client: &Client,
    me: &str,
    envelope: &impl Fn() -> Option<pb::Envelope>,
) -> Vec<(String, Result<(), Status>)> {
    let mut roster = client.roster_service();
    let envelope = || envelope();
    let list = pb::ListKeysRequest { parent: me.to_owned(), ..pb::ListKeysRequest::default() };
    let admit = pb::AdmitMemberRequest { envelope: envelope() };
    let suspend = pb::SuspendMemberRequest { envelope: envelope() };
    let reinstate = pb::ReinstateMemberRequest { envelope: envelope() };
    let rotate = pb::RotateKeyRequest { envelope: envelope() };
    let retire = pb::RetireKeyRequest { envelope: envelope() };
    let reset = pb::ResetKeysRequest { envelope: envelope() };
    let quota = pb::SetQuotaRequest { envelope: envelope() };
    let said = [
        ("GetExchange", outcome(roster.get_exchange(pb::GetExchangeRequest {}).await)),
        ("ListMembers", outcome(roster.list_members(pb::ListMembersRequest::default()).await)),
        (
            "GetMember",
            outcome(roster.get_member(pb::GetMemberRequest { name: me.to_owned() }).await),
        ),
        ("AdmitMember", outcome(roster.admit_member(admit).await)),
        ("SuspendMember", outcome(roster.suspend_member(suspend).await)),
        ("ReinstateMember", outcome(roster.reinstate_member(reinstate).await)),
        ("RotateKey", outcome(roster.rotate_key(rotate).await)),
        ("RetireKey", outcome(roster.retire_key(retire).await)),
        ("ResetKeys", outcome(roster.reset_keys(reset).await)),
        ("ListKeys", outcome(roster.list_keys(list).await)),
        ("SetQuota", outcome(roster.set_quota(quota).await)),
        ("GetQuota", outcome(roster.get_quota(pb::GetQuotaRequest {}).await)),
    ];
    said.map(|(call, outcome)| (format!("RosterService/{call}"), outcome)).into()
}

async fn subscription_calls(client: &Client, me: &str) -> Vec<(String, Result<(), Status>)> {
    let mut service = client.subscription_service();
    let name = format!("{me}/subscriptions/mine");
    let create = pb::CreateSubscriptionRequest {
        name: name.clone(),
        ..pb::CreateSubscriptionRequest::default()
    };
    let acknowledge = pb::AcknowledgeSubscriptionRequest { name: name.clone(), cursor: vec![1] };
    let to = Some(pb::seek_subscription_request::To::Sequence(0));
    let seek = pb::SeekSubscriptionRequest { name: name.clone(), to };
    let list = pb::ListSubscriptionsRequest::default();
    let delete = pb::DeleteSubscriptionRequest { name };
    let said = [
        ("CreateSubscription", outcome(service.create_subscription(create).await)),
        ("ListSubscriptions", outcome(service.list_subscriptions(list).await)),
        ("AcknowledgeSubscription", outcome(service.acknowledge_subscription(acknowledge).await)),
        ("SeekSubscription", outcome(service.seek_subscription(seek).await)),
        ("DeleteSubscription", outcome(service.delete_subscription(delete).await)),
    ];
    said.map(|(call, outcome)| (format!("SubscriptionService/{call}"), outcome)).into()
}

/// The first frame of a stream, or its refusal.
async fn first(
    answer: Result<Response<Streaming<pb::SubscribeResponse>>, Status>,
) -> Result<(), Status> {
    answer?.into_inner().message().await.map(drop)
}

fn calls() -> Vec<String> {
    let files = prost_types::FileDescriptorSet::decode(watchfire::wire::DESCRIPTORS);
    let services = files.expect("descriptors").file.into_iter().flat_map(|file| file.service);
    let mut calls: Vec<String> = services
        .flat_map(|service| {
            let name = service.name().to_owned();
            let calls = service.method.into_iter();
            calls.map(move |call| format!("{name}/{}", call.name()))
        })
        .collect();
    calls.sort_unstable();
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_suspended_member_says_that_it_is_suspended() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (record, _) = publish(&acme, domain("news.example")).await;
    for name in SUSPENDED {
        let client = world.client(name).await;
        let before = every_call(&client, &record.to_string()).await;
        let suspended = |status: &Status| reason_of(status) == "MEMBER_SUSPENDED";
        assert!(before.values().all(|said| !said.as_ref().is_err_and(&suspended)), "{before:?}");
        demand(&world.watchfire("operator", &["suspend", name]));
        let said = every_call(&client, &record.to_string()).await;
        assert_eq!(said.keys().cloned().collect::<Vec<_>>(), calls());
        for (call, outcome) in said {
            let status = outcome.expect_err(&call);
            assert_eq!(
                (reason_of(&status).as_str(), status.code()),
                ("MEMBER_SUSPENDED", Code::PermissionDenied),
                "{name}: {call}: {status:?}"
            );
            assert!(!format!("{status:?}").contains(CANARY));
        }
    }
    world.finish();
}

fn reason_of(status: &Status) -> String {
    let info = tonic_types::StatusExt::get_details_error_info(status);
    info.map(|info| info.reason).unwrap_or_default()
}

/// The sequences of a stream's entries up to the head or to its end, and its last cursor.
async fn read(
    frames: &mut Streaming<pb::SubscribeResponse>,
    sequences: &mut Vec<u64>,
) -> (Vec<u8>, Result<(), Status>) {
    let mut cursor = Vec::new();
    loop {
        let frame = match frames.message().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return (cursor, Ok(())),
            Err(status) => return (cursor, Err(status)),
        };
        sequences.extend(frame.entries.iter().map(|entry| entry.sequence));
        if let Some(mark) = frame.mark {
            cursor = mark.cursor;
            if mark.position >= mark.head {
                return (cursor, Ok(()));
            }
        }
    }
}

async fn stream(client: &Client, start: Option<Start>) -> Streaming<pb::SubscribeResponse> {
    let request = pb::SubscribeRequest { start, ..pb::SubscribeRequest::default() };
    client.exchange_service().subscribe(request).await.expect("a stream").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_member_is_sent_nothing_and_misses_nothing() {
    let world = World::with(&MEMBERS[..2]).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    publish(&acme, domain("before.example")).await;
    let mut shown = Vec::new();
    let mut frames = stream(&birch, None).await;
    let (cursor, ended) = read(&mut frames, &mut shown).await;
    ended.expect("at the head");
    let batches = tokio_stream::pending::<pb::PublishStreamRequest>();
    let (sender, requests) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests).merge(batches);
    let answers = birch.exchange_service().publish_stream(requests).await;
    let mut answers = answers.expect("a stream").into_inner();

    demand(&world.watchfire("operator", &["suspend", "birch-social"]));
    let begun = Instant::now();
    let (_, during) = publish(&acme, domain("during.example")).await;
    let next = tokio::time::timeout(Duration::from_secs(1), read(&mut frames, &mut shown));
    let (_, ended) = next.await.expect("within a second");
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(reason_of(&ended.expect_err("it ends")), "MEMBER_SUSPENDED");
    assert!(!shown.contains(&during), "sent after the suspension");
    // A stream for publishing that is open ends with the next batch: not even its signatures are checked.
    let signer = birch.signer().expect("a key");
    let late = sign(&birch, draft(&signer, domain("late.example"), handling(&[], &[])));
    sender
        .send(pb::PublishStreamRequest {
            envelopes: vec![late],
            ..pb::PublishStreamRequest::default()
        })
        .await
        .expect("it is sent");
    let ended = answers.message().await.expect_err("it ends");
    assert_eq!(reason_of(&ended), "MEMBER_SUSPENDED");

    demand(&world.watchfire("operator", &["reinstate", "birch-social"]));
    let (_, after) = publish(&acme, domain("after.example")).await;
    let mut again = stream(&birch, Some(Start::Cursor(cursor))).await;
    let (_, ended) = read(&mut again, &mut shown).await;
    ended.expect("at the head");
    assert!(shown.contains(&during) && shown.contains(&after));
    assert_eq!(shown, (0..=after).collect::<Vec<u64>>(), "everything, once, in order");
    world.finish();
}
