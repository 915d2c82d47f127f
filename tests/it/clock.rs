//! Times that are not the hub's (T-I7): records from before, from ahead and from the ends of time; and a hub whose clock
//! jumps, the real server with a clock whose hands the test moves.

use std::time::Duration;

use watchfire::client::Client;
use watchfire::client::VerifiedEntry;
use watchfire::model::filter::Filter;
use watchfire::model::reason::Reason;
use watchfire::model::time::Timestamp;
use watchfire::wire::pb;

use crate::refusals::with_header;
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
    refusal_of(client, sign(client, record)).await.map(|refusal| refusal.reason)
}

async fn refusal_of(client: &Client, envelope: pb::Envelope) -> Option<pb::Refusal> {
    let request = pb::PublishRequest { envelopes: vec![envelope], ..pb::PublishRequest::default() };
    let answer = client.exchange_service().publish(request).await.expect("an answer").into_inner();
    match answer.results.into_iter().next().and_then(|result| result.outcome) {
        Some(pb::publish_result::Outcome::Refusal(refusal)) => Some(refusal),
        Some(pb::publish_result::Outcome::Receipt(_)) => None,
        None => panic!("a result without an outcome"),
    }
}

/// A good record that says of itself that it was made then, whatever that is.
fn made_at(client: &Client, seconds: i64, nanos: i32) -> pb::Envelope {
    let time = prost_types::Timestamp { seconds, nanos };
    with_header(client, |header| header.create_time = Some(time))
}

/// The time that a refusal names as the hub's.
fn hub_time(refusal: &pb::Refusal) -> Timestamp {
    let said = refusal.metadata.get("hub_time").expect("the hub's time");
    Timestamp::parse(said).expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_may_be_as_old_as_it_likes_and_ten_minutes_ahead() {
    const MINUTE: i64 = 60;
    let world = World::with(&[("acme-video", "company")]).await;
    let acme = world.client("acme-video").await;
    let now = || i64::try_from(acme.now().as_micros() / 1_000_000).expect("a time");
    // 1970, a leap second of 2016 and the second behind it, and around now.
    let (leap, millennium) = (1_483_228_799, 946_684_800);
    let taken = [(0, 0), (0, 1000), (1, 0), (millennium, 0), (leap, 999_999_000), (leap + 1, 0)];
    let around = [-11 * MINUTE, -9 * MINUTE, -1, 0, 1, 9 * MINUTE, 10 * MINUTE - 5];
    let around = around.map(|offset| (now() + offset, 0));
    for (seconds, nanos) in taken.into_iter().chain(around) {
        let refusal = refusal_of(&acme, made_at(&acme, seconds, nanos)).await;
        assert_eq!(refusal, None, "{seconds} s {nanos} ns");
    }
    let end = 253_402_300_799;
    for seconds in [now() + 10 * MINUTE + 5, now() + 11 * MINUTE, now() + 90 * 365 * 86_400, end] {
        let refusal = refusal_of(&acme, made_at(&acme, seconds, 0)).await.expect("a refusal");
        assert_eq!(refusal.reason, Reason::ClockSkew.as_str(), "{seconds}: {refusal:?}");
        let (said, now) = (hub_time(&refusal), acme.now());
        let apart = said.saturating_since(now).max(now.saturating_since(said));
        assert!(apart < Duration::from_mins(1), "the hub's time: {said}");
    }
    // No time at all: before 1970, in the year 10000, finer than a microsecond, a second of more than a second.
    for (seconds, nanos) in [
        (-1, 0),
        (i64::MIN, 0),
        (end + 1, 0),
        (i64::MAX, 0),
        (leap, 1_000_000_000),
        (leap, 1_000_001_000),
        (leap, 1),
        (leap, -1),
        (leap, i32::MIN),
    ] {
        let refusal = refusal_of(&acme, made_at(&acme, seconds, nanos)).await.expect("a refusal");
        assert_eq!(refusal.reason, Reason::FieldInvalid.as_str(), "{seconds} s {nanos} ns");
    }
    let timeless = with_header(&acme, |header| header.create_time = None);
    let refusal = refusal_of(&acme, timeless).await.expect("a refusal");
    assert_eq!(refusal.reason, Reason::FieldInvalid.as_str(), "{refusal:?}");
    // Whatever a record says, its place and its accept time are the hub's, and never run backwards.
    let times: Vec<Timestamp> =
        replay(&acme, Filter::default()).await.iter().map(VerifiedEntry::accept_time).collect();
    assert!(times.is_sorted() && times.len() > taken.len() + around.len());
    world.finish();
}

/// Ten minutes count from the hub's clock, and not from anybody else's.
#[tokio::test(flavor = "multi_thread")]
async fn ten_minutes_ahead_are_ten_minutes_ahead_of_the_hub() {
    let world = World::with_members_then_stopped(&[("acme-video", "company")]).await;
    let hub = TurnedHub::serve(&world, Duration::ZERO).await;
    let acme = world.client("acme-video").await;
    let ahead = |minutes: u64| {
        let seconds = acme.now().as_micros() / 1_000_000 + minutes * 60;
        made_at(&acme, i64::try_from(seconds).expect("a time"), 0)
    };
    let reason = async |envelope| refusal_of(&acme, envelope).await.map(|refusal| refusal.reason);
    let skewed = Some(Reason::ClockSkew.as_str().to_owned());
    assert_eq!(reason(ahead(9)).await, None);
    assert_eq!(reason(ahead(18)).await, skewed);
    hub.turn(Duration::from_mins(9));
    assert_eq!(reason(ahead(18)).await, None, "nine minutes ahead of a hub that is nine ahead");
    assert_eq!(reason(ahead(20)).await, skewed);
    let refusal = refusal_of(&acme, ahead(20)).await.expect("a refusal");
    let apart = hub_time(&refusal).saturating_since(acme.now());
    assert!(apart > Duration::from_mins(8), "it is the hub's own time that it names");
    drop(acme);
    hub.stop().await;
    world.check_log();
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
