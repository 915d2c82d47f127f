//! `ExportService`: the current state as one file, the same as our client makes of records that it has verified.

use std::collections::BTreeMap;

use bytes::BufMut as _;
use bytes::Bytes;
use bytes::BytesMut;
use h2::RecvStream;
use prost::Message as _;
use serde_json::Value;
use tonic::Code;
use tonic::Status;
use tonic::Streaming;
use watchfire::client::Client;
use watchfire::client::KeeperChange;
use watchfire::client::draw_audience;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::identity::raw;
use crate::recalls::erased;
use crate::world::PATIENCE;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::recall;
use crate::world::sign;
use crate::world::until;
use crate::world::withdrawal;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];

fn stix() -> pb::ExportRequest {
    pb::ExportRequest { filter: None, format: pb::ExportFormat::Stix.into() }
}

async fn begin(
    client: &Client,
    request: pb::ExportRequest,
) -> Result<Streaming<pb::ExportResponse>, Status> {
    Ok(client.export_service().export(request).await?.into_inner())
}

/// Everything that a stream brings.
async fn whole(mut stream: Streaming<pb::ExportResponse>) -> Result<Vec<u8>, Status> {
    let mut file = Vec::new();
    while let Some(pb::ExportResponse { chunk }) = stream.message().await? {
        assert!(!chunk.is_empty() && chunk.len() <= 128 * 1024, "{} bytes", chunk.len());
        file.extend(chunk);
    }
    Ok(file)
}

/// The objects of a bundle, by id.
fn objects(bundle: &[u8]) -> BTreeMap<String, Value> {
    let bundle: Value = serde_json::from_slice(bundle).expect("a bundle");
    let objects = bundle["objects"].as_array().expect("a list");
    let by_id = objects.iter().map(|one| (one["id"].as_str().expect("an id").to_owned(), one));
    let map: BTreeMap<String, Value> = by_id.map(|(id, one)| (id, one.clone())).collect();
    assert_eq!(map.len(), objects.len(), "an id is there twice");
    map
}

fn reason_of(status: &Status) -> String {
    let info = tonic_types::StatusExt::get_details_error_info(status);
    info.map(|info| info.reason).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_what_the_client_makes_of_verified_records() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (lantern, _) = publish(&acme, operation("Lantern")).await;
    for number in 0..450 {
        let mut content = domain(&format!("value-{}.example", number % 400));
        if let pb::body::Content::Indicator(said) = &mut content {
            said.operation = lantern.to_string();
        }
        publish(&acme, content).await;
    }
    publish_for(&acme, domain("private.example"), handling(&[], &[])).await;
    let (gone, _) = publish(&acme, domain("gone.example")).await;
    publish_for(&acme, withdrawal(&gone), handling(&[], &[])).await;

    let birch = world.client("birch-social").await;
    let exported = whole(begin(&birch, stix()).await.expect("a stream")).await.expect("a file");
    let exported = objects(&exported);
    let path = world.data().join("bundle.json");
    let out = path.to_str().expect("a path in UTF-8");
    demand(&world.watchfire("birch-social", &["export", "stix", "--out", out]));
    let own = objects(&std::fs::read(&path).expect("a file"));
    assert!(own.len() > 1200, "{}", own.len());
    assert_eq!(exported.keys().collect::<Vec<_>>(), own.keys().collect::<Vec<_>>());
    assert_eq!(exported, own);
    let text = format!("{exported:?}");
    assert!(!text.contains("private.example"));
    let gone: Vec<&Value> =
        own.values().filter(|object| object.to_string().contains("gone.example")).collect();
    let indicator = gone.iter().find(|object| object["type"] == "indicator");
    assert_eq!(indicator.map(|object| &object["revoked"]), Some(&Value::Bool(true)), "{gone:?}");

    let filter =
        pb::Filter { body_kinds: vec![pb::BodyKind::Operation.into()], ..pb::Filter::default() };
    let only = pb::ExportRequest { filter: Some(filter), ..stix() };
    let only = objects(&whole(begin(&birch, only).await.expect("a stream")).await.expect("a file"));
    let campaigns = only.keys().filter(|id| id.starts_with("campaign--")).count();
    assert_eq!((campaigns, only.keys().any(|id| id.starts_with("indicator--"))), (1, false));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_request_is_refused_with_its_field() {
    let world = World::with(MEMBERS).await;
    let birch = world.client("birch-social").await;
    let filter = pb::Filter { publishers: vec!["nobody".to_owned()], ..pb::Filter::default() };
    for (request, reason) in [
        (pb::ExportRequest::default(), "FIELD_INVALID"),
        (pb::ExportRequest { format: 99, ..stix() }, "UNSUPPORTED_FIELD"),
        (pb::ExportRequest { filter: Some(filter), ..stix() }, "FIELD_INVALID"),
    ] {
        let refused = begin(&birch, request).await.expect_err("a refusal");
        assert_eq!(reason_of(&refused), reason, "{refused:?}");
    }
    let empty = whole(begin(&birch, stix()).await.expect("a stream")).await.expect("a file");
    assert_eq!(objects(&empty).len(), 0, "an empty exchange is an empty bundle");
    world.finish();
}

/// A client whose look-ups are used up, so that its export waits.
async fn without_quota(world: &World) -> Client {
    let set = ["quota", "set", "birch-social", "--lookups-per-second", "1"];
    demand(&world.watchfire("operator", &set));
    let client = world.client("birch-social").await;
    loop {
        let request = pb::ListRecordsRequest::default();
        if let Err(status) = client.exchange_service().list_records(request).await {
            assert_eq!(reason_of(&status), "QUOTA", "{status:?}");
            return client;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_has_one_at_a_time_and_it_waits_for_the_quota() {
    let world = World::with(MEMBERS).await;
    publish(&world.client("acme-video").await, domain("news.example")).await;
    let birch = without_quota(&world).await;
    let waiting = begin(&birch, stix()).await.expect("a stream");
    let refused = begin(&birch, stix()).await.expect_err("a refusal");
    assert_eq!(reason_of(&refused), "TOO_MANY_STREAMS");
    assert!(!objects(&whole(waiting).await.expect("a file")).is_empty(), "it comes in time");
    // What is over, or given up, takes no room.
    drop(begin(&birch, stix()).await.expect("a stream"));
    until("the next is taken", || async { begin(&birch, stix()).await.ok().map(drop) }).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_its_member_and_with_the_hub() {
    let mut world = World::with(MEMBERS).await;
    publish(&world.client("acme-video").await, domain("news.example")).await;
    let birch = without_quota(&world).await;
    let waiting = begin(&birch, stix()).await.expect("a stream");
    demand(&world.watchfire("operator", &["suspend", "birch-social"]));
    let ended = whole(waiting).await;
    // Unless it was through already: a second is all that it waits.
    assert!(ended.is_ok() || reason_of(&ended.expect_err("an end")) == "MEMBER_SUSPENDED");
    let refused = begin(&birch, stix()).await.expect_err("a refusal");
    assert_eq!(reason_of(&refused), "MEMBER_SUSPENDED");
    demand(&world.watchfire("operator", &["reinstate", "birch-social"]));
    let birch = without_quota(&world).await;
    let waiting = begin(&birch, stix()).await.expect("a stream");
    world.ask_to_stop();
    let ended = whole(waiting).await;
    assert!(ended.is_ok() || reason_of(&ended.expect_err("an end")) == "DRAINING");
    world.stop();
    world.check_log();
}

/// Bytes of a chunk.
const CHUNK: usize = 128 * 1024;

/// An export whose reader takes nothing in but what it asks for: its window is 64 KiB, so that the hub holds the rest.
struct Slow {
    body: RecvStream,
    read: Vec<u8>,
}

impl Slow {
    /// One that has read a little of it.
    async fn begin(world: &World, member: &str) -> Self {
        let sender = raw::connect(world, member).await;
        let request = http::Request::post("https://hub/watchfire.v1.ExportService/Export")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a request");
        let message = stix().encode_to_vec();
        let mut framed = BytesMut::new();
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len()).expect("a length"));
        framed.put_slice(&message);
        let mut sender = sender.ready().await.expect("it is ready");
        let (answer, mut upload) = sender.send_request(request, false).expect("it is sent");
        upload.send_data(framed.freeze(), true).expect("it is sent");
        let answer = tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time");
        let mut slow = Self { body: answer.expect("an answer").into_body(), read: Vec::new() };
        assert!(slow.next().await.is_some(), "nothing came");
        slow
    }

    async fn next(&mut self) -> Option<Bytes> {
        let data = tokio::time::timeout(PATIENCE, self.body.data()).await.expect("data in time");
        let data = data?.expect("data");
        self.body.flow_control().release_capacity(data.len()).expect("a window");
        self.read.extend_from_slice(&data);
        Some(data)
    }

    /// Reads all that still comes; everything that came, and how it ended.
    async fn finish(mut self) -> (Vec<u8>, Code) {
        while self.next().await.is_some() {}
        let trailers = tokio::time::timeout(PATIENCE, self.body.trailers()).await;
        let trailers = trailers.expect("an end in time").expect("an end").unwrap_or_default();
        let status = trailers.get("grpc-status").and_then(|status| status.to_str().ok());
        let status: i32 = status.and_then(|text| text.parse().ok()).expect("a status");
        (self.read, Code::from_i32(status))
    }
}

/// Publishes so much to an audience that the first page of an export has many chunks; the names of the records, in order.
async fn fill(world: &World, audience: &str) -> Vec<RecordName> {
    let acme = world.client("acme-video").await;
    let signer = acme.signer().expect("a key");
    let (mut names, mut envelopes) = (Vec::new(), Vec::new());
    for number in 0..100 {
        let mut content = domain(&format!("value-{number}.example"));
        if let pb::body::Content::Indicator(said) = &mut content {
            "lantern ".repeat(480).trim_end().clone_into(&mut said.description);
        }
        let draft = draft(&signer, content, handling(&[audience], &[]));
        names.push(draft.name.clone());
        envelopes.push(sign(&acme, draft));
    }
    for outcome in acme.publish(envelopes).await.expect("outcomes") {
        outcome.receipt().expect("a receipt");
    }
    let all = whole(begin(&acme, stix()).await.expect("a stream")).await.expect("a file");
    assert!(all.len() > 5 * CHUNK, "the control: {} bytes", all.len());
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_suspended_gets_nothing_more_of_what_was_written_before() {
    let world = World::with(MEMBERS).await;
    fill(&world, "companies").await;
    let slow = Slow::begin(&world, "birch-social").await;
    demand(&world.watchfire("operator", &["suspend", "birch-social"]));
    let (read, code) = slow.finish().await;
    assert_eq!(code, Code::PermissionDenied);
    // What was on its way, of which the window takes a half, and one that waited for it.
    assert!(read.len() < 3 * CHUNK, "{} bytes were sent all the same", read.len());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_an_audience_gets_nothing_more_of_it_and_another_loss_ends_nothing() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let members = || -> Vec<MemberId> { vec!["birch-social".parse().expect("a member")] };
    let (desk, other) = (draw_audience().expect("a handle"), draw_audience().expect("a handle"));
    for audience in [&desk, &other] {
        let create = KeeperChange::Create { title: "Desk".to_owned(), members: members() };
        acme.change_audience(audience, create).await.expect("a receipt");
    }
    fill(&world, desk.as_str()).await;

    let slow = Slow::begin(&world, "birch-social").await;
    acme.change_audience(&other, KeeperChange::Remove(members())).await.expect("a receipt");
    let (read, code) = slow.finish().await;
    assert_eq!(code, Code::Ok, "an audience of which it has nothing is no reason to end");
    assert!(read.len() > 5 * CHUNK, "{} bytes", read.len());
    assert!(String::from_utf8_lossy(&read).contains("value-99.example"));

    let slow = Slow::begin(&world, "birch-social").await;
    acme.change_audience(&desk, KeeperChange::Remove(members())).await.expect("a receipt");
    let (read, code) = slow.finish().await;
    assert_eq!(code, Code::Unavailable);
    assert!(read.len() < 3 * CHUNK, "{} bytes were sent all the same", read.len());
    assert!(!String::from_utf8_lossy(&read).contains("value-99.example"));
    // Begun anew, it is whole, and has nothing of that audience.
    let birch = world.client("birch-social").await;
    let again = whole(begin(&birch, stix()).await.expect("a stream")).await.expect("a file");
    assert!(!String::from_utf8_lossy(&again).contains("value-"));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_before_it_is_sent_is_not_sent_and_other_erasures_end_nothing() {
    let world = World::with(MEMBERS).await;
    let names = fill(&world, "companies").await;
    let acme = world.client("acme-video").await;
    let (other, _) = publish_for(&acme, domain("other.example"), handling(&[], &[])).await;

    let slow = Slow::begin(&world, "birch-social").await;
    publish_for(&acme, recall(&other), handling(&[], &[])).await;
    erased(&acme, &other).await;
    let (read, code) = slow.finish().await;
    assert_eq!(code, Code::Ok, "a body that it does not have is no reason to end");
    assert!(read.len() > 5 * CHUNK, "{} bytes", read.len());

    let slow = Slow::begin(&world, "birch-social").await;
    publish_for(&acme, recall(&names[60]), handling(&[], &[])).await;
    erased(&acme, &names[60]).await;
    let (read, code) = slow.finish().await;
    assert_eq!(code, Code::Unavailable);
    assert!(read.len() < 3 * CHUNK, "{} bytes were sent all the same", read.len());
    assert!(!String::from_utf8_lossy(&read).contains("value-60.example"));
    // Begun anew, it is whole, and without the body.
    let birch = world.client("birch-social").await;
    let again = whole(begin(&birch, stix()).await.expect("a stream")).await.expect("a file");
    assert!(!String::from_utf8_lossy(&again).contains("value-60.example"));
    assert!(String::from_utf8_lossy(&again).contains("value-61.example"));
    world.finish();
}
