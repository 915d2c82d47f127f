//! A hub whose clock jumps: the real server with a clock whose hands the test moves.

use std::time::Duration;

use watchfire::client::Client;
use watchfire::client::VerifiedEntry;
use watchfire::model::filter::Filter;
use watchfire::model::reason::Reason;
use watchfire::wire::pb;

use crate::turned::TurnedHub;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::publish;
use crate::world::replay;
use crate::world::sign;

async fn refusal_of_the_next(client: &Client) -> Option<String> {
    let record = draft(
        &client.signer().expect("a key"),
        domain("late.example"),
        handling(&["companies"], &[]),
    );
    let request = pb::PublishRequest {
        envelopes: vec![sign(client, record)],
        ..pb::PublishRequest::default()
    };
    let answer = client.exchange_service().publish(request).await.expect("an answer").into_inner();
    match answer.results.into_iter().next().and_then(|result| result.outcome) {
        Some(pb::publish_result::Outcome::Refusal(refusal)) => Some(refusal.reason),
        Some(pb::publish_result::Outcome::Receipt(_)) => None,
        None => panic!("a result without an outcome"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_clock_jumps_appends_nothing_until_its_operator_confirms_the_time() {
    let mut world = World::with_members_then_stopped(&[("acme-video", "company")]).await;
    let hub = TurnedHub::serve(&world, Duration::ZERO).await;
    let acme = world.client("acme-video").await;
    let (_, before) = publish(&acme, domain("before.example")).await;
    hub.turn(Duration::from_mins(9));
    assert_eq!(refusal_of_the_next(&acme).await, None, "nine minutes are no jump");
    hub.turn(Duration::from_mins(11));
    let jumped = Some(Reason::ClockUnconfirmed.as_str().to_owned());
    assert_eq!(refusal_of_the_next(&acme).await, jumped);
    hub.turn(Duration::ZERO);
    assert_eq!(
        refusal_of_the_next(&acme).await,
        jumped,
        "a clock that came back is not trusted either"
    );
    let seen = replay(&acme, Filter::default()).await;
    assert_eq!(seen.last().map(VerifiedEntry::sequence), Some(before + 1), "reads go on");
    drop(acme);
    hub.stop().await;

    // The log's last entry lies nine minutes ahead of the true time.
    world.start(&[]).await;
    assert_eq!(refusal_of_the_next(&world.client("acme-video").await).await, jumped);
    world.stop();
    world.start(&["--confirm-clock"]).await;
    let acme = world.client("acme-video").await;
    let (_, after) = publish(&acme, domain("after.example")).await;
    assert_eq!(after, before + 2);
    world.finish();
}
