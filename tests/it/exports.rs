//! `ExportService`: the current state as one file, the same as our client makes of records that it has verified.

use std::collections::BTreeMap;

use serde_json::Value;
use tonic::Status;
use tonic::Streaming;
use watchfire::client::Client;
use watchfire::wire::pb;

use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::handling;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
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
