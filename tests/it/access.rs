//! Access that is gained and lost while records come and streams are open (T-A4): nothing is sent of an audience behind the
//! place at which somebody left it, and nothing is missing once it is in.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use watchfire::client::Client;
use watchfire::client::Delivery;
use watchfire::client::From;
use watchfire::client::KeeperChange;
use watchfire::client::Subscription;
use watchfire::client::draw_audience;
use watchfire::model::filter::Filter;
use watchfire::model::names::Audience;
use watchfire::model::names::MemberId;

use crate::trials::Round;
use crate::trials::Trials;
use crate::world::Ends;
use crate::world::PATIENCE;
use crate::world::World;
use crate::world::domain;
use crate::world::handling;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::subscribe;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("cedar-chat", "company"),
    ("dune-maps", "company"),
];
/// Records of one round, and changes of who is in: an odd number, so that birch is in at the end.
const POSTS: usize = 60;
const CHANGES: usize = 9;
/// What was under way when somebody left has arrived by then.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// An entry that came, and when.
struct Came {
    sequence: u64,
    when: Instant,
}

/// A change of who is in: its place, when it was asked for and when it was answered.
struct Change {
    joins: bool,
    sequence: u64,
    asked: Instant,
    answered: Instant,
}

fn birch() -> Vec<MemberId> {
    vec!["birch-social".parse().expect("a member")]
}

/// Takes what comes up to a place, which may not be known yet: 0.
async fn listen(stream: &mut Subscription, goal: &AtomicU64) -> Vec<Came> {
    let mut all = Vec::new();
    loop {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await;
        match next.expect("a delivery in time").expect("a delivery").expect("no end") {
            Delivery::Entries { entries, .. } => {
                let when = Instant::now();
                all.extend(entries.iter().map(|entry| Came { sequence: entry.sequence(), when }));
            }
            Delivery::Mark(mark) => {
                let goal = goal.load(Ordering::SeqCst);
                if goal != 0 && mark.position >= goal {
                    return all;
                }
            }
            Delivery::Snapshot | Delivery::AccessChanged(_) | Delivery::Interrupted(_) => {}
        }
    }
}

/// Puts birch in and out at random moments.
async fn change(acme: &Client, desk: &Audience, pauses: Vec<Duration>) -> Vec<Change> {
    let mut all = Vec::new();
    for (number, pause) in pauses.into_iter().enumerate() {
        tokio::time::sleep(pause).await;
        let joins = number % 2 == 0;
        let wish = if joins { KeeperChange::Add(birch()) } else { KeeperChange::Remove(birch()) };
        let asked = Instant::now();
        let receipt = acme.change_audience(desk, wish).await.expect("a receipt");
        let (sequence, answered) = (receipt.sequence, Instant::now());
        all.push(Change { joins, sequence, asked, answered });
    }
    all
}

async fn post(acme: &Client, desk: &Audience, count: usize) -> Vec<u64> {
    let mut all = Vec::new();
    for number in 0..count {
        let reach = handling(&[desk.as_str()], &[]);
        let value = format!("desk{number}.example");
        all.push(publish_for(acme, domain(&value), reach).await.1);
    }
    all
}

/// Whether an entry could be sent when it came: birch was in at its place and had not left for good since, or came in
/// later and before it came.
fn may_have_come(came: &Came, changes: &[Change]) -> bool {
    let before = changes.iter().rev().find(|change| change.sequence < came.sequence);
    let was_in = before.is_some_and(|change| change.joins);
    let later = || changes.iter().filter(|change| change.sequence > came.sequence);
    let has_joined = later().any(|change| change.joins && change.asked <= came.when);
    let has_left = later().any(|change| !change.joins && change.answered + UNDER_WAY < came.when);
    has_joined || (was_in && !has_left)
}

/// One round: posts and changes side by side, and three streams.
async fn play(round: &mut Round, clients: [&Client; 4]) {
    let [acme, birch_client, cedar, dune] = clients;
    let desk = draw_audience().expect("a handle");
    let members = vec!["cedar-chat".parse().expect("a member")];
    let create = KeeperChange::Create { title: "Desk".to_owned(), members };
    acme.change_audience(&desk, create).await.expect("a receipt");
    let live = |client| subscribe(client, From::Now, Filter::default(), Ends::Never);
    let [mut in_and_out, mut inside, mut outside] =
        [live(birch_client).await, live(cedar).await, live(dune).await];
    let pauses = (0..CHANGES).map(|_change| round.moment(Duration::from_millis(60))).collect();
    let goal = AtomicU64::new(0);
    let acting = async {
        let (posts, changes) = tokio::join!(post(acme, &desk, POSTS), change(acme, &desk, pauses));
        let last = publish(acme, domain("open.example")).await.1;
        goal.store(last + 1, Ordering::SeqCst);
        (posts, changes)
    };
    let ((posts, changes), came, all, none) = tokio::join!(
        acting,
        listen(&mut in_and_out, &goal),
        listen(&mut inside, &goal),
        listen(&mut outside, &goal)
    );
    let is_post = |came: &&Came| posts.contains(&came.sequence);
    for one in came.iter().filter(is_post) {
        let place = one.sequence;
        let places: Vec<(bool, u64)> =
            changes.iter().map(|change| (change.joins, change.sequence)).collect();
        assert!(may_have_come(one, &changes), "{place} came behind a loss: {places:?}");
    }
    let seen: BTreeSet<u64> = came.iter().map(|one| one.sequence).collect();
    let missing: Vec<&u64> = posts.iter().filter(|post| !seen.contains(post)).collect();
    assert!(missing.is_empty(), "birch is in at the end, and misses {missing:?}");
    // The controls: who was in all the time had each once, in order; who never was had none.
    let inside: Vec<u64> = all.iter().filter(is_post).map(|one| one.sequence).collect();
    assert_eq!(inside, posts);
    assert_eq!(none.iter().filter(is_post).count(), 0);
    let outside: Vec<u64> = posts
        .iter()
        .filter(|post| {
            let before = changes.iter().rev().find(|change| change.sequence < **post);
            before.is_none_or(|change| !change.joins)
        })
        .copied()
        .collect();
    round.note("posted_while_out", outside.len());
    lose(acme, birch_client, &desk, &mut in_and_out).await;
    // Nobody may be in as many audiences of one keeper as there are rounds.
    let members = vec!["cedar-chat".parse().expect("a member")];
    acme.change_audience(&desk, KeeperChange::Remove(members)).await.expect("a receipt");
}

/// Birch leaves for good: of what is said then nothing comes, by the open stream and by any other one.
async fn lose(acme: &Client, birch_client: &Client, desk: &Audience, live: &mut Subscription) {
    let before = live.place().clone();
    acme.change_audience(desk, KeeperChange::Remove(birch())).await.expect("a receipt");
    let posts = post(acme, desk, 5).await;
    let open = publish(acme, domain("open.example")).await.1;
    let came = listen(live, &AtomicU64::new(open + 1)).await;
    assert!(came.iter().any(|one| one.sequence == open), "the stream goes on");
    assert!(!came.iter().any(|one| posts.contains(&one.sequence)), "sent behind the loss");
    for from in [From::Place(before), From::Snapshot] {
        let mut again = subscribe(birch_client, from, Filter::default(), Ends::AtHead).await;
        while let Some(delivery) = again.next().await.expect("a delivery") {
            if let Delivery::Entries { entries, .. } = delivery {
                let wrong = entries.iter().find(|entry| posts.contains(&entry.sequence()));
                assert!(wrong.is_none(), "sent to who left");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_and_out_under_load_nothing_comes_that_must_not_and_nothing_is_missing() {
    let mut trials = Trials::of("access", 3, 100);
    let world = World::with(MEMBERS).await;
    let mut clients = Vec::new();
    for (name, _role) in MEMBERS {
        clients.push(world.client(name).await);
    }
    let [acme, birch, cedar, dune] = clients.as_slice() else { panic!("four") };
    while let Some(mut round) = trials.next() {
        // Boxed: three streams at once are large.
        Box::pin(play(&mut round, [acme, birch, cedar, dune])).await;
        trials.keep(round);
    }
    trials.finish();
    world.finish();
}
