//! A hub whose clock jumps: the real server with a clock whose hands the test moves.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use watchfire::client::Client;
use watchfire::client::VerifiedEntry;
use watchfire::model::filter::Filter;
use watchfire::model::reason::Reason;
use watchfire::model::time::Clock;
use watchfire::model::time::SystemClock;
use watchfire::model::time::Timestamp;
use watchfire::server::Config;
use watchfire::server::serve;
use watchfire::wire::pb;

use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::publish;
use crate::world::replay;
use crate::world::sign;
use crate::world::until;

/// The machine's clock, and how far its hands were turned.
struct Turned {
    true_time: SystemClock,
    ahead: Mutex<Duration>,
}

impl Turned {
    fn turn(&self, ahead: Duration) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = ahead;
    }
}

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        self.true_time.now().saturating_add(ahead)
    }

    fn monotonic(&self) -> Duration {
        self.true_time.monotonic()
    }
}

async fn refusal_of_the_next(client: &Client) -> Option<String> {
    let record = draft(
        &client.signer().expect("a key"),
        domain("late.example"),
        handling(&["companies"], &[]),
    );
    let request = pb::PublishRequest { envelopes: vec![sign(client, record)] };
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
    let clock =
        Arc::new(Turned { true_time: SystemClock::default(), ahead: Mutex::new(Duration::ZERO) });
    let mut config = Config::of_data(&world.data()).expect("a configuration");
    config.listen = world.address().parse().expect("an address");
    let (stop, (_reload, reloads)) = (CancellationToken::new(), watch::channel(0));
    let serving: Arc<dyn Clock> = Arc::<Turned>::clone(&clock);
    let tasks = TaskTracker::new();
    let hub = tasks.spawn(serve(config, serving, false, stop.clone(), reloads));
    until("the hub listens", || async {
        tokio::net::TcpStream::connect(world.address()).await.is_ok().then_some(())
    })
    .await;

    let acme = world.client("acme-video").await;
    let (_, before) = publish(&acme, domain("before.example")).await;
    clock.turn(Duration::from_mins(9));
    assert_eq!(refusal_of_the_next(&acme).await, None, "nine minutes are no jump");
    clock.turn(Duration::from_mins(11));
    let jumped = Some(Reason::ClockUnconfirmed.as_str().to_owned());
    assert_eq!(refusal_of_the_next(&acme).await, jumped);
    clock.turn(Duration::ZERO);
    assert_eq!(
        refusal_of_the_next(&acme).await,
        jumped,
        "a clock that came back is not trusted either"
    );
    let seen = replay(&acme, Filter::default()).await;
    assert_eq!(seen.last().map(VerifiedEntry::sequence), Some(before + 1), "reads go on");
    drop(acme);
    stop.cancel();
    hub.await.expect("no panic").expect("it stops well");

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
