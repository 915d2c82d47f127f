//! A bad network, and many clients at once: what each is promised holds, and one log explains what all of them saw.

mod history;
mod parties;
mod proxy;

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use watchfire::model::filter::Filter;
use watchfire::model::header::BodyKind;
use watchfire::profile::Profile;

use crate::network::history::History;
use crate::network::parties::Given;
use crate::network::parties::Published;
use crate::network::parties::Publisher;
use crate::network::parties::Subscriber;
use crate::network::proxy::Proxy;
use crate::trials::Lane;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::World;
use crate::world::head;
use crate::world::replay;

const PUBLISHERS: [&str; 3] = ["acme-video", "birch-social", "cedar-microblog"];
const SUBSCRIBERS: [&str; 3] = ["dogwood-search", "elm-chat", "fir-forum"];
/// One who reads past the proxy: asks all the time, and has the last word at the end.
const READER: &str = "gorse-photos";
/// How long all of them together may take to come to the end.
const END_WITHIN: Duration = Duration::from_mins(3);
/// How long a round may take until the network has done its worst.
const WORST_WITHIN: Duration = Duration::from_mins(10);
/// Between two kills, and between two times that the hub stands still.
const BETWEEN: Duration = Duration::from_millis(700);

/// Everybody at work.
struct Crowd {
    world: World,
    history: History,
    published: Published,
    stop: CancellationToken,
    end: watch::Sender<u64>,
    publishers: Vec<JoinHandle<()>>,
    subscribers: Vec<JoinHandle<Given>>,
    asking: JoinHandle<u64>,
}

impl Crowd {
    /// Who publishes and subscribes does so through this address.
    async fn gather(world: World, address: &str, round: &mut Round) -> Self {
        let (history, published) = (History::new(), Published::default());
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (end, until) = watch::channel(u64::MAX);
        let profile = |member| Profile::open(&world.profile_folder(member)).expect("a profile");
        let mut publishers = Vec::new();
        for member in PUBLISHERS {
            let client = parties::connect(&profile(member), address).await;
            let one = Publisher::new(client, round.share(), history.clone(), published.clone());
            publishers.push(tasks.spawn(one.publish(stop.clone())));
        }
        let mut subscribers = Vec::new();
        for member in SUBSCRIBERS {
            let one = Subscriber {
                profile: profile(member),
                address: address.to_owned(),
                random: round.share(),
                history: history.clone(),
            };
            subscribers.push(tasks.spawn(one.read(until.clone())));
        }
        let asking = parties::ask(
            world.client(READER).await,
            round.share(),
            history.clone(),
            published.clone(),
            stop.clone(),
        );
        let asking = tasks.spawn(asking);
        Self { world, history, published, stop, end, publishers, subscribers, asking }
    }

    /// Everybody comes to the end; then what each saw is compared with the log.
    async fn end(self, round: &mut Round) -> usize {
        let Self { world, history, published, stop, end, publishers, subscribers, asking } = self;
        stop.cancel();
        let begun = Instant::now();
        for publisher in publishers {
            within(publisher).await;
        }
        let reader = world.client(READER).await;
        end.send(head(&reader).await).expect("somebody waits");
        let mut given = Vec::new();
        for subscriber in subscribers {
            given.push(within(subscriber).await);
        }
        let answers = within(asking).await;
        round.note("to the end, seconds", begun.elapsed().as_secs_f64());
        assert!(answers > 0, "nobody asked");
        check_log(&world, &published, &given, round).await;
        let operations = history.operations();
        assert_eq!(history::explain(&operations), Ok(()), "no log explains this");
        history::demand_that_contradictions_are_noticed(&operations);
        round.note("operations", operations.len());
        world.finish();
        operations.len()
    }
}

async fn within<T>(task: JoinHandle<T>) -> T {
    let ended = tokio::time::timeout(END_WITHIN, task).await;
    ended.expect("everybody comes to the end").expect("nobody found anything wrong")
}

/// What was published is in the log once, where its receipt says; and every subscriber was given all of the log, once,
/// in order.
async fn check_log(world: &World, published: &Published, given: &[Given], round: &mut Round) {
    let entries = replay(&world.client(READER).await, Filter::default()).await;
    let places = published.places();
    let mut found = BTreeMap::new();
    for entry in &entries {
        let before = found.insert(entry.header_digest(), entry.sequence());
        assert_eq!(before, None, "a record is in the log twice");
    }
    for (digest, (name, place)) in &places {
        assert_eq!(found.get(digest), Some(place), "{name} is not where its receipt says");
    }
    let theirs = entries.iter().filter(|entry| entry.header().body_kind == BodyKind::Indicator);
    assert_eq!(theirs.count(), places.len(), "something is in the log that has no receipt");
    let all: Vec<u64> = entries.iter().map(watchfire::client::VerifiedEntry::sequence).collect();
    for one in given {
        assert!(one.places == all, "{}", difference(&one.places, &all));
    }
    round.note("records", places.len());
    round.note("deliveries", given.iter().map(|one| one.places.len()).sum::<usize>());
    round.note("interrupted", given.iter().map(|one| one.interrupted).sum::<u64>());
    round.note("begun anew", given.iter().map(|one| one.begun_anew).sum::<u64>());
    assert!(given.iter().any(|one| one.begun_anew > 0), "nobody went on from a place");
    round.note("lost", 0);
}

/// Where a subscriber's entries are first others than they ought to be.
fn difference(given: &[u64], all: &[u64]) -> String {
    let at = given.iter().zip(all).take_while(|(given, due)| given == due).count();
    let around =
        |places: &[u64]| format!("{:?}", places.iter().skip(at).take(4).collect::<Vec<_>>());
    format!("after {at} entries {} came instead of {}", around(given), around(all))
}

async fn world() -> World {
    let members: Vec<&str> = PUBLISHERS.into_iter().chain(SUBSCRIBERS).chain([READER]).collect();
    let members: Vec<(&str, &str)> =
        members.into_iter().map(|member| (member, "company")).collect();
    World::with(&members).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_arrives_once_through_a_bad_network() {
    let mut trials = Trials::of("network", 1, 10);
    let (forced, half_open) = Lane::of_this_run().choose((150, 1), (400, 8), (400, 8));
    while let Some(mut round) = trials.next() {
        let world = world().await;
        let proxy = Proxy::before(&world, &round, half_open).await;
        let crowd = Crowd::gather(world, &proxy.address(), &mut round).await;
        let begun = Instant::now();
        while proxy.done().forced() < forced {
            assert!(begun.elapsed() < WORST_WITHIN, "nobody comes through: {:?}", proxy.done());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        proxy.calm();
        crowd.end(&mut round).await;
        proxy.done().note(&mut round);
        trials.keep(round);
    }
    trials.finish();
}

/// The hub is killed, or stands still, again and again.
async fn disturb(
    world: &mut World,
    operations: impl Fn() -> usize,
    due: usize,
    still: Duration,
) -> u32 {
    let mut disturbed = 0;
    while operations() < due || disturbed < 2 {
        tokio::time::sleep(BETWEEN).await;
        if disturbed % 2 == 0 {
            world.kill();
            world.start(&[]).await;
        } else {
            world.signal_hub("-STOP");
            tokio::time::sleep(still).await;
            world.signal_hub("-CONT");
        }
        disturbed += 1;
    }
    disturbed
}

#[tokio::test(flavor = "multi_thread")]
async fn one_log_explains_what_all_clients_saw_while_the_hub_is_killed_and_stands_still() {
    let mut trials = Trials::of("histories", 1, 10);
    let due = Lane::of_this_run().choose(4_000, 12_000, 12_000);
    while let Some(mut round) = trials.next() {
        let world = world().await;
        let address = world.address();
        let mut crowd = Crowd::gather(world, &address, &mut round).await;
        // Once as long as a machine may be gone from the net without being taken for dead.
        let is_long = Lane::of_this_run() != Lane::Commit && round.number % 5 == 0;
        let still = if is_long { Duration::from_secs(30) } else { Duration::from_millis(400) };
        let history = crowd.history.clone();
        let count = || history.operations().len();
        let disturbed = disturb(&mut crowd.world, count, due, still).await;
        round.note("kills and pauses", disturbed);
        let operations = crowd.end(&mut round).await;
        assert!(operations >= due, "too little was tried");
        trials.keep(round);
    }
    trials.finish();
}
