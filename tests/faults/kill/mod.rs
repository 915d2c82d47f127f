//! SIGKILL at random moments while everything that a hub does is under way: whatever had a receipt is there, in its
//! place, once (T-S1). One world lives through all rounds. Each looks at what the last was promised; the whole is
//! looked at now and then, and at the end.

pub(crate) mod load;
pub(crate) mod promises;

use std::time::Duration;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use watchfire::client::Client;
use watchfire::client::From;
use watchfire::client::Place;
use watchfire::client::draw_audience;
use watchfire::model::filter::Filter;
use watchfire::model::names::SubscriptionName;
use watchfire::wire::pb;

use crate::kill::load::Operator;
use crate::kill::load::Publisher;
use crate::kill::promises::Promises;
use crate::trials::Lane;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::World;
use crate::world::replay;
use crate::world::watchfired;

const PUBLISHERS: [&str; 2] = ["acme-video", "birch-social"];
/// Is suspended and reinstated all the time.
const SUSPENDED: &str = "cedar-microblog";
/// Rounds after which the whole is looked at.
const WHOLE_EVERY: u64 = 34;
/// A short round ends within the work of a group; a long one about when time erases something, which it does each second.
const SHORT: Duration = Duration::from_millis(120);
const LONG: Duration = Duration::from_millis(2400);
/// One round in so many is long.
const LONG_EVERY: u64 = 5;
/// How long a start may take, whatever it finds.
const STARTS_WITHIN: Duration = Duration::from_secs(5);

/// A member's durable subscription, as its owner knows it.
pub(crate) struct Subscriber {
    name: SubscriptionName,
    /// What was acknowledged, and answered.
    acknowledged: u64,
    place: Option<Place>,
    seen: Vec<u64>,
}

impl Subscriber {
    fn from(&self) -> From {
        self.place.clone().map_or(From::Start, From::Place)
    }
}

/// Configures retention by few bytes.
pub(crate) fn keep_little(world: &World) {
    world.configure("\n[retention]\nbytes = 524288\n");
}

/// How long this round's hub lives from when its load begins.
fn moment(round: &mut Round) -> Duration {
    let within = if round.below(LONG_EVERY) == 0 { LONG } else { SHORT };
    round.moment(within)
}

/// Everything at once until the hub is killed; then what was promised meanwhile is known.
async fn under_load(
    world: &mut World,
    round: &mut Round,
    operator: &Operator,
    subscriber: &mut Subscriber,
    promises: &mut Promises,
) {
    let moment = moment(round);
    let (acme, birch) = (world.client(PUBLISHERS[0]).await, world.client(PUBLISHERS[1]).await);
    for client in [&acme, &birch] {
        promises.ask_again(client).await;
    }
    let own = world.client("operator").await;
    let gone = CancellationToken::new();
    let backups = load::back_up(world.data(), gone.clone());
    // These would wait for the hub to come back.
    let changes = gone.run_until_cancelled(operator.change(&own, &acme));
    let reading = gone.run_until_cancelled(load::follow(&birch, subscriber));
    let (first, second) = (Publisher::new(round), Publisher::new(round));
    let kill = async {
        tokio::time::sleep_until(tokio::time::Instant::now() + moment).await;
        gone.cancel();
        world.kill();
    };
    let (left, right, _changes, taken, _read, ()) =
        tokio::join!(first.publish(&acme), second.publish(&birch), changes, backups, reading, kill);
    round.note("backups", taken);
    promises.note_backups(taken);
    let before = promises.len();
    promises.take(0, left);
    promises.take(1, right);
    round.note("receipts", promises.len() - before);
}

/// The same command, and nobody has to look; how long it took. That is held to the plan on demand alone, where the programs
/// are those that are delivered.
async fn start_again(world: &mut World) -> Duration {
    let begun = Instant::now();
    world.start(&[]).await;
    let took = begun.elapsed();
    assert!(Lane::of_this_run() == Lane::Commit || took <= STARTS_WITHIN, "it took {took:?}");
    took
}

/// What can be looked at after each round: the places of what was promised in it, and how far the subscription came.
async fn look(world: &World, subscriber: &Subscriber, promises: &mut Promises) {
    let reader = world.client(PUBLISHERS[1]).await;
    promises.check_new(&reader).await;
    let kept = reader.subscriptions().await.expect("an answer");
    let kept = kept.iter().find(|kept| kept.name == subscriber.name).expect("it is there");
    assert!(
        kept.position >= subscriber.acknowledged,
        "an acknowledged place went back from {} to {}",
        subscriber.acknowledged,
        kept.position
    );
}

/// The whole: the log on the disk, its views, every promise, and what the subscriber saw.
async fn look_at_all(world: &mut World, subscriber: &Subscriber, promises: &mut Promises) {
    world.stop();
    world.check_log();
    start_again(world).await;
    // The keeper of the audience may read everything.
    let keeper = world.client(PUBLISHERS[0]).await;
    promises.check_all(&replay(&keeper, Filter::default()).await);
    promises.check_proofs(&keeper).await;
    let reader = world.client(PUBLISHERS[1]).await;
    let entries = replay(&reader, Filter::default()).await;
    assert!(subscriber.seen.is_sorted_by(|a, b| a < b), "sequences rise");
    let missed = entries.iter().map(watchfire::client::VerifiedEntry::sequence);
    let mut missed = missed.filter(|place| *place < subscriber.acknowledged);
    assert_eq!(missed.find(|place| subscriber.seen.binary_search(place).is_err()), None);
}

async fn make_subscription(client: &Client) -> Subscriber {
    let member = client.signer().expect("a key").member().clone();
    let name = SubscriptionName::new(member, "main").expect("a name");
    let made = client.create_subscription(&name, &Filter::default(), pb::StartPoint::Start).await;
    made.expect("a subscription");
    Subscriber { name, acknowledged: 0, place: None, seen: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_promised_is_lost_when_the_hub_is_killed() {
    let mut trials = Trials::of("kill", 100, 1000);
    let members = [PUBLISHERS[0], PUBLISHERS[1], SUSPENDED].map(|member| (member, "company"));
    let mut world = World::with(&members).await;
    world.stop();
    keep_little(&world);
    world.start(&[]).await;
    let operator = Operator {
        suspended: SUSPENDED.parse().expect("a member"),
        audience: draw_audience().expect("a handle"),
    };
    let mut subscriber = make_subscription(&world.client(PUBLISHERS[1]).await).await;
    let mut promises = Promises::default();
    while let Some(mut round) = trials.next() {
        let load = under_load(&mut world, &mut round, &operator, &mut subscriber, &mut promises);
        Box::pin(load).await;
        let took = start_again(&mut world).await;
        round.note("recovery_seconds", took.as_secs_f64());
        look(&world, &subscriber, &mut promises).await;
        if round.number % WHOLE_EVERY == WHOLE_EVERY - 1 {
            look_at_all(&mut world, &subscriber, &mut promises).await;
        }
        round.note("lost", 0);
        trials.keep(round);
    }
    let rounds = trials.finish();
    look_at_all(&mut world, &subscriber, &mut promises).await;
    promises.demand_load(rounds, subscriber.acknowledged);
    promises.demand_that_the_check_bites(&world.client(PUBLISHERS[0]).await).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_another_process_has_open_is_tried_again_by_the_supervisor() {
    let world = World::new().await;
    let data = world.data().to_str().expect("a path in UTF-8").to_owned();
    for command in
        [&["serve", "--listen", "127.0.0.1:0", "--data", &data][..], &["rebuild", "--data", &data]]
    {
        let refused = watchfired(command);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        // Not the code with which a supervisor gives up.
        assert_eq!(refused.status.code(), Some(1), "{told}");
        assert!(told.contains("another process has the data directory open"), "{told}");
    }
    world.finish();
}
