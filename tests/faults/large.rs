//! A log of a million records: replayed from its beginning (T-L5), and then backed up under load, lost and restored
//! (T-S10).
//!
//! With every change the same is done with a few thousand. Times and rates are held to the plan on demand alone, where the
//! programs are those that are delivered.

use std::ops::Range;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use watchfire::client::Client;
use watchfire::client::Delivery;
use watchfire::client::From;
use watchfire::client::VerifiedEntry;
use watchfire::model::filter::Filter;
use watchfire::profile::Profile;
use watchfire::tls;
use watchfire::wire::pb;

use crate::counted;
use crate::counted::Counted;
use crate::kill::load::Sent;
use crate::kill::load::receipt_of;
use crate::kill::promises::Promises;
use crate::restored::MEMBERS;
use crate::restored::lose_and_restore;
use crate::trials::Lane;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::Ends;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::subscribe;

/// Records of a batch: as many as one may have.
const BATCH: usize = 256;
/// Batches that are signed and wait for the stream.
const BATCHES_AHEAD: usize = 4;
/// Threads that sign: it takes longer than to take the records in.
const SIGNERS: u64 = 4;
/// Frames of the replay that is timed, of about 128 KiB each, between two looks at what the hub holds.
const LOOK_EVERY: u64 = 16;
/// Entries a second that one subscriber must get.
const RATE_LEAST: f64 = 20_000.0;
const MIB: u64 = 1024 * 1024;
/// What a hub may hold more while it sends the whole log, once what it keeps of what it has read is there. A stream costs
/// a frame, the blocks that are read ahead for the next one, and its windows: a few MiB. The rest is for pages that sled's
/// cache, 24 MiB, has dropped and that are let go a little later. Of a million records some 500 MiB are sent.
const MORE_MAX: u64 = 32 * MIB;
/// What a hub with a million records may hold altogether, indexes included: docs/PERFORMANCE.md has 313 MiB behind a million
/// publishes. A hub that kept what it sends would hold 500 MiB more.
const HELD_MAX: u64 = 400 * MIB;
/// What an entry is on its way, at the least.
const ENTRY_BYTES: u64 = 400;
/// How long a backup, its restore and the start may take together.
const BACK_WITHIN: Duration = Duration::from_mins(10);

/// The whole log read once by one subscriber.
#[derive(Clone, Copy, Debug)]
struct Replay {
    entries: u64,
    took: Duration,
    /// Bytes that the hub held before it.
    before: u64,
    /// The most that it held from then until right behind the end.
    most: u64,
}

impl Replay {
    fn rate(&self) -> f64 {
        let entries = u32::try_from(self.entries).expect("a few million");
        f64::from(entries) / self.took.as_secs_f64()
    }

    const fn is_flat(&self) -> bool {
        self.most <= self.before + MORE_MAX
    }

    /// The same of a hub that keeps a tenth of what it sends.
    const fn leaking(&self) -> Self {
        Self { most: self.most + self.entries * ENTRY_BYTES / 10, ..*self }
    }
}

fn mib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).expect("less than 4 TiB")) / 1024.0
}

/// Fills a log on one stream of batches; what was promised.
async fn fill(client: &Client, records: u64) -> Promises {
    let (requests, receiver) = mpsc::channel(BATCHES_AHEAD);
    let share = |signer: u64| records * signer / SIGNERS..records * (signer + 1) / SIGNERS;
    let signers: Vec<_> = (0..SIGNERS)
        .map(|signer| {
            let (client, requests) = (client.clone(), requests.clone());
            let numbers = share(signer);
            tokio::task::spawn_blocking(move || sign_all(&client, numbers, &requests))
        })
        .collect();
    // The stream ends when the last of them has.
    drop(requests);
    let answers = client.exchange_service().publish_stream(ReceiverStream::new(receiver)).await;
    let mut answers = answers.expect("a stream").into_inner();
    let mut promises = Promises::default();
    while let Some(answer) = answers.message().await.expect("an answer") {
        let receipts = answer.results.into_iter().map(receipt_of);
        let receipts = receipts.map(|receipt| receipt.expect("the hub is whole: it is certain"));
        promises.take(0, Sent { receipts: receipts.collect(), ..Sent::default() });
    }
    for signer in signers {
        signer.await.expect("everything was signed");
    }
    assert_eq!(u64::try_from(promises.len()), Ok(records), "each record has its receipt");
    promises
}

fn sign_all(
    client: &Client,
    numbers: Range<u64>,
    requests: &mpsc::Sender<pb::PublishStreamRequest>,
) {
    // Once: it is read from the profile.
    let signer = client.signer().expect("a key");
    let one = |number: &u64| {
        let content = domain(&format!("n{number}.example"));
        let draft = draft(&signer, content, handling(&["companies"], &[]));
        signer.sign(draft, client.now()).expect("a record")
    };
    let numbers: Vec<u64> = numbers.collect();
    for batch in numbers.chunks(BATCH) {
        let envelopes = batch.iter().map(one).collect();
        let request = pb::PublishStreamRequest { envelopes, ..pb::PublishStreamRequest::default() };
        requests.blocking_send(request).expect("the stream is open");
    }
}

/// The whole log as a member reads it: everything verified, and every place there, once and in order.
async fn verify_all(world: &World) -> Replay {
    let client = world.client(MEMBERS[1].0).await;
    let end = head(&client).await;
    let (before, begun) = (world.resident_bytes(), Instant::now());
    let mut stream = subscribe(&client, From::Start, Filter::default(), Ends::AtHead).await;
    let (mut next, mut most) = (0, before);
    while let Some(delivery) = stream.next().await.expect("a delivery") {
        let Delivery::Entries { entries, .. } = delivery else { continue };
        let behind = next + u64::try_from(entries.len()).expect("a frame's");
        let places = entries.iter().map(VerifiedEntry::sequence);
        assert!(places.eq(next..behind), "a place at or behind {next} is missing");
        next = behind;
        most = most.max(world.resident_bytes());
    }
    let took = begun.elapsed();
    assert_eq!(next, end, "it ends where the log does");
    Replay { entries: next, took, before, most: most.max(world.resident_bytes()) }
}

/// The same with the places alone looked at, as `watchfire bench replay` does it, so that it is the hub that is timed.
async fn count_all(world: &World) -> Replay {
    let end = head(&world.client(MEMBERS[1].0).await).await;
    let profile = Profile::open(&world.profile_folder(MEMBERS[1].0)).expect("a profile");
    let keys = profile.tls().expect("its keys");
    let channel = tls::connect(&world.address(), &keys).await.expect("a connection");
    let (before, begun) = (world.resident_bytes(), Instant::now());
    let stream = counted::subscribe(channel, pb::StartPoint::Start, None).await;
    let mut stream = stream.expect("a stream");
    let (mut next, mut most, mut frames) = (0, before, 0_u64);
    while next < end {
        let frame = stream.message().await.expect("a frame").expect("a stream that goes on");
        if frame.entries == 0 {
            // It brought a mark.
            continue;
        }
        assert!(follows(&frame, next), "a place at or behind {next} is missing: {frame:?}");
        next = frame.last + 1;
        frames += 1;
        if frames.is_multiple_of(LOOK_EVERY) {
            most = most.max(world.resident_bytes());
        }
    }
    let took = begun.elapsed();
    assert_eq!(next, end, "nobody publishes meanwhile");
    demand_that_gaps_are_noticed(next);
    Replay { entries: next, took, before, most: most.max(world.resident_bytes()) }
}

/// Whether a frame begins with a place, and goes on from there without a gap.
fn follows(frame: &Counted, next: u64) -> bool {
    let entries = u64::try_from(frame.entries).expect("a frame's");
    frame.first == Some(next) && frame.rising && frame.last + 1 == next + entries
}

/// A frame that leaves a place out, within or before it, that brings one again, or that does not rise.
fn demand_that_gaps_are_noticed(next: u64) {
    let (first, last) = (Some(next), next + 2);
    let frame = Counted { entries: 3, first, last, rising: true, marked: false };
    assert!(follows(&frame, next), "a frame that is whole");
    let wrong = [
        Counted { entries: 2, ..frame },
        Counted { first: Some(next + 1), last: last + 1, ..frame },
        Counted { first: Some(next - 1), last: last - 1, ..frame },
        Counted { rising: false, ..frame },
    ];
    for frame in wrong {
        assert!(!follows(&frame, next), "a gap is not noticed: {frame:?}");
    }
}

/// All of it twice: what the hub keeps of what it reads, up to its bounds, is there when the second begins.
async fn replay_twice(world: &World, round: &mut Round) {
    let verified = verify_all(world).await;
    let counted = count_all(world).await;
    let more = counted.most - counted.before;
    round.note("entries_replayed", counted.entries);
    round.note("verified_a_second", verified.rate());
    round.note("replayed_a_second", counted.rate());
    round.note("replay_mib_before", mib(counted.before));
    round.note("replay_mib_more_at_most", mib(more));
    assert!(counted.is_flat(), "{} MiB more while the log was replayed", mib(more));
    let most = verified.most.max(counted.most);
    assert!(most <= HELD_MAX, "{} MiB were held", mib(most));
    if Lane::of_this_run() == Lane::Commit {
        // A log of a few MiB says little of memory, and the programs are not those that are delivered.
        return;
    }
    assert!(!counted.leaking().is_flat(), "what is kept is not noticed");
    assert!(counted.rate() >= RATE_LEAST, "{} entries a second", counted.rate());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_records_are_replayed_backed_up_and_restored() {
    let mut trials = Trials::of("large", 1, 3);
    let lane = Lane::of_this_run();
    let records = lane.choose(5_000, 1_000_000, 1_000_000);
    while let Some(mut round) = trials.next() {
        let mut world = World::with(&MEMBERS).await;
        let begun = Instant::now();
        let promises = fill(&world.client(MEMBERS[0].0).await, records).await;
        round.note("filled_seconds", begun.elapsed().as_secs_f64());
        // Of what was published last nothing is in memory any more: all of it is read.
        world.stop();
        world.start(&[]).await;
        replay_twice(&world, &mut round).await;
        let restored = lose_and_restore(&mut world, &mut round, promises).await;
        if lane != Lane::Commit {
            assert!(restored.meanwhile > 0, "nothing was published while it was backed up");
            assert!(restored.took <= BACK_WITHIN, "{:?} until it was back", restored.took);
        }
        trials.keep(round);
    }
    trials.finish();
}
