//! Many members at once, each record for some of them: nobody is given what is for others (T-A3).

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use watchfire::client::Client;
use watchfire::client::Delivery;
use watchfire::client::From;
use watchfire::client::VerifiedEntry;
use watchfire::model::filter::Filter;
use watchfire::model::names::Digest;
use watchfire::model::names::sha256;
use watchfire::wire::pb;

use crate::network::within;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::Ends;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::sign;
use crate::world::subscribe;

const MEMBERS: usize = 50;
/// Members that publish besides.
const PUBLISHERS: usize = 5;
/// Records of one call.
const BATCH: usize = 20;
/// Calls of each publisher in a round.
const CALLS: usize = 10;

/// Who may read a record: a bit for each member.
type Readers = u64;

fn name(number: usize) -> String {
    format!("member-{number}")
}

/// The readers that a record names in its value; none for what is of the roster.
fn marked(entry: &VerifiedEntry) -> Option<Readers> {
    let Some(pb::body::Content::Indicator(indicator)) = &entry.body().content else { return None };
    let value = &indicator.observable.as_ref()?.value;
    let mark = value.strip_prefix('m')?.split_once('.')?.0;
    Some(Readers::from_str_radix(mark, 16).expect("a mark"))
}

/// The first record that a member was given and that is not for it.
fn wrong(member: usize, given: &BTreeMap<Digest, Readers>) -> Option<Readers> {
    given.values().copied().find(|readers| readers & (1 << member) == 0)
}

/// Reads until everything below a place was delivered.
async fn read(
    client: Client,
    mut until: tokio::sync::watch::Receiver<u64>,
) -> BTreeMap<Digest, Readers> {
    let mut stream = subscribe(&client, From::Start, Filter::default(), Ends::Never).await;
    let (mut given, mut position) = (BTreeMap::new(), 0);
    while position < *until.borrow_and_update() {
        let delivery = tokio::select! {
            delivery = stream.next() => delivery.expect("a delivery").expect("no end"),
            changed = until.changed() => {
                changed.expect("whoever knows the end waits for this");
                continue;
            }
        };
        match delivery {
            Delivery::Entries { entries, .. } => {
                let marked = |it: &VerifiedEntry| Some((it.header_digest(), marked(it)?));
                given.extend(entries.iter().filter_map(marked));
            }
            Delivery::Mark(mark) => position = mark.position,
            Delivery::AccessChanged(_) | Delivery::Snapshot | Delivery::Interrupted(_) => {}
        }
    }
    given
}

/// Publishes records for some members each; a publisher may always read its own.
async fn publish(client: &Client, own: usize, marks: Vec<Readers>) -> Vec<(Digest, Readers)> {
    let signer = client.signer().expect("a key");
    let mut sent = Vec::new();
    let envelope = |readers: Readers| {
        let of = (0..MEMBERS).filter(|member| readers & (1 << member) != 0 && *member != own);
        let names: Vec<String> = of.map(name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let content = domain(&format!("m{readers:x}.example"));
        let envelope = sign(client, draft(&signer, content, handling(&[], &names)));
        sent.push((sha256(&envelope.payload), readers));
        envelope
    };
    let envelopes: Vec<pb::Envelope> = marks.into_iter().map(envelope).collect();
    for outcome in client.publish(envelopes).await.expect("receipts") {
        outcome.receipt().expect("nothing is refused");
    }
    sent
}

/// Somebody and the publisher.
fn draw(round: &mut Round, own: usize) -> Readers {
    let all = (1 << MEMBERS) - 1;
    let some = round.below(1 << MEMBERS);
    // Few, half, or nearly all.
    let readers = match round.below(4) {
        0 => some & round.below(1 << MEMBERS) & round.below(1 << MEMBERS),
        1 => some | round.below(1 << MEMBERS) | round.below(1 << MEMBERS),
        _ => some,
    };
    (readers | (1 << own)) & all
}

async fn publish_all(clients: &[Client], round: &mut Round) -> Vec<(Digest, Readers)> {
    let mut sent = Vec::new();
    for _call in 0..CALLS {
        let calls = (0..PUBLISHERS).map(|own| {
            let marks = (0..BATCH).map(|_| draw(round, own)).collect();
            publish(&clients[own], own, marks)
        });
        let calls: Vec<_> = calls.collect();
        sent.extend(futures_util::future::join_all(calls).await.into_iter().flatten());
    }
    sent
}

async fn round(world: &World, clients: &[Client], round: &mut Round) -> usize {
    let tasks = TaskTracker::new();
    let (end, until) = tokio::sync::watch::channel(u64::MAX);
    // What earlier rounds left is delivered again, and is theirs as before.
    let readers: Vec<JoinHandle<BTreeMap<Digest, Readers>>> =
        clients.iter().map(|client| tasks.spawn(read(client.clone(), until.clone()))).collect();
    let sent = publish_all(clients, round).await;
    end.send(head(&world.client("operator").await).await).expect("somebody waits");
    let mut deliveries = 0;
    for (member, reader) in readers.into_iter().enumerate() {
        let given = within(reader).await;
        assert_eq!(wrong(member, &given), None, "{} was given what is for others", name(member));
        let due: BTreeSet<&Digest> =
            sent.iter().filter(|(_, of)| of & (1 << member) != 0).map(|(it, _)| it).collect();
        let missed = due.iter().find(|digest| !given.contains_key(**digest));
        assert_eq!(missed, None, "{} was not given what is for it", name(member));
        deliveries += given.len();
        let mut spoilt = given;
        spoilt.insert([0; 32], !(1 << member));
        assert!(wrong(member, &spoilt).is_some(), "a wrong delivery was not noticed");
    }
    deliveries
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_fifty_members_is_given_its_own_and_nothing_else() {
    let mut trials = Trials::of("crosstalk", 1, 10);
    let mut world = World::new().await;
    for member in 0..MEMBERS {
        world.admit(&name(member), "company");
    }
    let mut clients = Vec::new();
    for member in 0..MEMBERS {
        clients.push(world.client(&name(member)).await);
    }
    let mut least = usize::MAX;
    while let Some(mut this) = trials.next() {
        let deliveries = round(&world, &clients, &mut this).await;
        this.note("deliveries", deliveries);
        this.note("wrong", 0);
        least = least.min(deliveries);
        trials.keep(this);
    }
    if trials.finish() > 0 {
        assert!(least > 5000, "only {least} deliveries in a round");
    }
    drop(clients);
    world.stop();
    world.check_log();
}
