//! Health by `grpc.health.v1`, and the two plain probes on the operator's listener.

use std::time::Duration;

use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use watchfire::profile::Profile;
use watchfire::tls;

use crate::metrics::address_of_figures;
use crate::metrics::ask;
use crate::metrics::check;
use crate::metrics::figures;
use crate::metrics::watched;
use crate::turned::TurnedHub;
use crate::world::PATIENCE;
use crate::world::World;
use crate::world::until;

const EXCHANGE: &str = "watchfire.v1.ExchangeService";
const SERVICES: [&str; 7] = [
    EXCHANGE,
    "watchfire.v1.RosterService",
    "watchfire.v1.AudienceService",
    "watchfire.v1.SubscriptionService",
    "watchfire.v1.QueryService",
    "watchfire.v1.TransparencyService",
    "watchfire.v1.ExportService",
];

async fn client(world: &World) -> HealthClient<Channel> {
    let profile = Profile::open(&world.profile_folder("acme-video")).expect("a profile");
    let keys = profile.tls().expect("its keys");
    HealthClient::new(tls::connect(&world.address(), &keys).await.expect("a connection"))
}

async fn status(health: &mut HealthClient<Channel>, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    health.check(request).await.expect("an answer").into_inner().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_lives_and_is_ready_by_the_names_of_its_services() {
    let world = World::with(&[("acme-video", "company")]).await;
    let mut health = client(&world).await;
    assert_eq!(status(&mut health, "").await, ServingStatus::Serving);
    for service in SERVICES {
        assert_eq!(status(&mut health, service).await, ServingStatus::Serving, "{service}");
    }
    let other = HealthCheckRequest { service: "watchfire.v1.NoService".to_owned() };
    let refused = health.check(other).await.expect_err("there is no such service");
    assert_eq!(refused.code(), tonic::Code::NotFound);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_hears_that_records_are_not_taken_while_the_hub_lives_on() {
    let world = World::with_members_then_stopped(&[("acme-video", "company")]).await;
    let hub = TurnedHub::serve(&world, Duration::ZERO).await;
    let mut health = client(&world).await;
    let request = HealthCheckRequest { service: EXCHANGE.to_owned() };
    let mut watched = health.watch(request).await.expect("a stream").into_inner();
    let first = watched.message().await.expect("an answer").expect("no end");
    assert_eq!(first.status(), ServingStatus::Serving);
    hub.turn(Duration::from_mins(11));
    let next = tokio::time::timeout(PATIENCE, watched.message()).await.expect("in time");
    let next = next.expect("an answer").expect("no end");
    assert_eq!(
        next.status(),
        ServingStatus::NotServing,
        "the clock jumped, though nobody publishes"
    );
    assert_eq!(status(&mut health, "").await, ServingStatus::Serving, "it lives");
    drop((health, watched));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_hears_of_the_drain_and_does_not_hold_it_up() {
    let mut world = World::with(&[("acme-video", "company")]).await;
    let mut health = client(&world).await;
    let watch = |service: &str| HealthCheckRequest { service: service.to_owned() };
    let mut ready = health.watch(watch(EXCHANGE)).await.expect("a stream").into_inner();
    let mut lives = health.watch(watch("")).await.expect("a stream").into_inner();
    for stream in [&mut ready, &mut lives] {
        let first = stream.message().await.expect("an answer").expect("no end");
        assert_eq!(first.status(), ServingStatus::Serving);
    }
    world.ask_to_stop();
    let last = tokio::time::timeout(PATIENCE, ready.message()).await.expect("in time");
    assert_eq!(last.expect("an answer").expect("a word").status(), ServingStatus::NotServing);
    for stream in [&mut ready, &mut lives] {
        let end = tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time");
        assert!(matches!(end, Ok(None)), "it ends in good order: {end:?}");
    }
    drop((health, ready, lives));
    world.stop();
    assert!(!world.log_text().contains("cutting connections"), "{}", world.log_text());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_without_anybody_publishing() {
    let (mut world, address) = watched().await;
    let local = address.to_string();
    let probe = async |path: &str| ask(address, "GET", path, &local).await;
    assert!(probe("/livez").await.starts_with("HTTP/1.1 200 "));
    assert!(probe("/readyz").await.starts_with("HTTP/1.1 200 "));
    let foreign = ask(address, "GET", "/readyz", "rebind.example").await;
    assert!(foreign.starts_with("HTTP/1.1 421 "), "{foreign}");
    let refused = ask(address, "POST", "/readyz", &local).await;
    assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
    world.stop();

    let path = world.data().join("watchfired.toml");
    let roomy = std::fs::read_to_string(&path).expect("a text");
    world.configure(&format!("\n[store]\nmin_free_bytes = {}\n", i64::MAX));
    world.start(&[]).await;
    let address = address_of_figures(&world).await;
    let local = address.to_string();
    let full = until("it is not ready", || async {
        let answer = ask(address, "GET", "/readyz", &local).await;
        answer.starts_with("HTTP/1.1 503 ").then_some(answer)
    });
    assert!(full.await.ends_with("disk-full\n"));
    check(
        &figures(address).await,
        &[
            ("ready", 0.0),
            (r#"unready{cause="disk-full"}"#, 1.0),
            (r#"unready{cause="clock-unconfirmed"}"#, 0.0),
        ],
    );
    assert!(ask(address, "GET", "/livez", &local).await.starts_with("HTTP/1.1 200 "));
    let mut health = client(&world).await;
    assert_eq!(status(&mut health, EXCHANGE).await, ServingStatus::NotServing);
    assert_eq!(status(&mut health, "").await, ServingStatus::Serving);
    drop(health);
    world.stop();
    std::fs::write(&path, roomy).expect("it is written");
    world.start(&[]).await;
    let mut health = client(&world).await;
    assert_eq!(status(&mut health, EXCHANGE).await, ServingStatus::Serving);
    drop(health);
    world.finish();
}
