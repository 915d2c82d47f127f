//! A torn tail (T-S3): of what was written behind the last receipt, sectors are missing or the end is cut off. The hub
//! opens with everything that was promised, or refuses and says what to do; it never hangs.

use std::ffi::OsStr;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;

use watchfire::client::Client;
use watchfire::wire::pb;

use crate::calls::strace::Traced;
use crate::kill::load::Publisher;
use crate::kill::load::Sent;
use crate::kill::load::receipt_of;
use crate::kill::promises::Promises;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::World;
use crate::world::draft;
use crate::world::handling;
use crate::world::hub_program;
use crate::world::operation;
use crate::world::sign;
use crate::world::until;

const PUBLISHER: &str = "acme-video";
/// Bytes of a segment of the log's file.
const SEGMENT: usize = 512 * 1024;
const SECTOR: usize = 512;
/// By how much each sync is delayed, so that a group lies there unsynced; and when the hub is killed, from when the last
/// group was sent.
const DELAY: Duration = Duration::from_millis(150);
const WITHIN: Duration = Duration::from_millis(150);
/// A hub that needs longer hangs: its own watchdog ends it after 60 s.
const DEADLINE: Duration = Duration::from_secs(75);
/// The exit code of a data directory that cannot be used.
const UNUSABLE: i32 = 78;
/// Records of the group that is torn, some of them in pieces.
const GROUP: u64 = 60;

/// How a tail is torn.
#[derive(Clone, Copy, Debug)]
enum Tear {
    /// The file ends within it.
    Cut,
    /// Each sector is missing or not.
    Scattered,
    /// All from one sector on are missing.
    From,
    /// One sector is missing.
    One,
}

const TEARS: [Tear; 4] = [Tear::Cut, Tear::Scattered, Tear::From, Tear::One];

fn sector(bytes: &[u8], number: usize) -> &[u8] {
    let begin = (number * SECTOR).min(bytes.len());
    &bytes[begin..(begin + SECTOR).min(bytes.len())]
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Sectors that were written since, where nothing was before.
fn fresh(before: &[u8], after: &[u8]) -> Vec<usize> {
    let all = 0..after.len().div_ceil(SECTOR);
    all.filter(|one| is_zero(sector(before, *one)) && !is_zero(sector(after, *one))).collect()
}

/// How many sectors were written since over what was there before.
fn rewritten(before: &[u8], after: &[u8]) -> usize {
    let all = 0..before.len().div_ceil(SECTOR);
    all.filter(|one| !is_zero(sector(before, *one)) && sector(before, *one) != sector(after, *one))
        .count()
}

/// Tears what was written since; how many sectors are missing.
fn tear(before: &[u8], after: &mut Vec<u8>, how: Tear, round: &mut Round) -> usize {
    let fresh = fresh(before, after);
    if fresh.is_empty() {
        return 0;
    }
    let at = usize::try_from(round.below(u64::try_from(fresh.len()).expect("a number")));
    let at = at.expect("a place");
    let missing: Vec<usize> = match how {
        Tear::Cut => {
            // Never what was there before.
            let kept = before.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let within = round.below(u64::try_from(SECTOR).expect("a number"));
            let cut = fresh[at] * SECTOR + usize::try_from(within).expect("a place");
            after.truncate(cut.max(kept).min(after.len()));
            return fresh.len() - at;
        }
        Tear::Scattered => fresh.into_iter().filter(|_one| round.below(2) == 0).collect(),
        Tear::From => fresh[at..].to_vec(),
        Tear::One => vec![fresh[at]],
    };
    for one in &missing {
        let end = ((one + 1) * SECTOR).min(after.len());
        after[one * SECTOR..end].fill(0);
    }
    missing.len()
}

async fn run(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(hub_program());
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, command.output()).await;
    output.expect("it hangs").expect("watchfired runs")
}

/// A hub over what is left: `Some` whether every promise is kept, `None` if it refuses as it should.
async fn found(mut world: World, promises: &Promises) -> Option<bool> {
    let data = world.data().to_str().expect("a path in UTF-8").to_owned();
    let verified = run(&["verify", "--data", &data]).await;
    if !verified.status.success() {
        let told = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert_eq!(verified.status.code(), Some(UNUSABLE), "{told}");
        assert!(told.contains("restore from a backup"), "{told}");
        let served = run(&["serve", "--data", &data, "--listen", &world.address()]).await;
        assert_eq!(served.status.code(), Some(UNUSABLE));
        return None;
    }
    world.start(&[]).await;
    let profile = watchfire::profile::Profile::open(&world.profile_folder(PUBLISHER));
    let profile = profile.expect("a profile").at_address(Some(world.address()));
    let kept = match Client::connect(profile).await {
        Ok(reader) => promises.are_kept(&reader).await,
        Err(_what_it_knows_is_gone) => false,
    };
    world.finish();
    Some(kept)
}

/// The log's file as it lies there.
fn file(world: &World) -> Vec<u8> {
    std::fs::read(world.data().join("store/db")).expect("the log's file")
}

fn put(world: &World, bytes: &[u8]) {
    std::fs::write(world.data().join("store/db"), bytes).expect("the log's file");
}

/// Publishes records that are promised.
async fn promise(client: &Client, round: &mut Round, promises: &mut Promises) {
    let batch = Publisher::new(round).batch(client);
    let sent = send(client, batch).await.expect("an answer");
    promises.take(0, Sent { receipts: sent, ..Sent::default() });
}

async fn send(client: &Client, envelopes: Vec<pb::Envelope>) -> Option<Vec<pb::Receipt>> {
    let request = pb::PublishRequest { envelopes, ..pb::PublishRequest::default() };
    let answer = client.exchange_service().publish(request).await.ok()?.into_inner();
    Some(answer.results.into_iter().filter_map(receipt_of).collect())
}

fn group(client: &Client) -> Vec<pb::Envelope> {
    let signer = client.signer().expect("a key");
    let one = |number: u64| {
        let mut content = operation("Lantern");
        if let pb::body::Content::Operation(operation) = &mut content {
            let bytes = if number.is_multiple_of(7) { 3900 } else { 300 };
            operation.narratives.push("x".repeat(bytes));
        }
        sign(client, draft(&signer, content, handling(&["companies"], &[])))
    };
    (0..GROUP).map(one).collect()
}

/// The hub, whose syncs take long.
async fn start(world: &World) -> Traced {
    let (data, address) = (world.data(), world.address());
    let arguments = ["serve", "--listen", &address, "--data"].map(OsStr::new);
    let arguments = [&arguments[..], &[data.as_os_str()]].concat();
    let folder = data.parent().expect("a folder");
    let db = data.join("store/db");
    let hub = Traced::delayed(&hub_program(), &arguments, folder, &db, DELAY);
    until("the hub listens", || async {
        tokio::net::TcpStream::connect(&address).await.is_ok().then_some(())
    })
    .await;
    hub
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_costs_nothing_that_was_promised() {
    let mut trials = Trials::of("torn", 20, 200);
    let mut world = World::with_members_then_stopped(&[(PUBLISHER, "company")]).await;
    let mut promises = Promises::default();
    let (mut torn, mut opened) = (0, 0);
    while let Some(mut round) = trials.next() {
        let mut hub = start(&world).await;
        let client = world.client(PUBLISHER).await;
        for _batch in 0..3 {
            promise(&client, &mut round, &mut promises).await;
        }
        // Whatever had an answer was synced; nothing else is under way.
        let before = file(&world);
        let moment = round.moment(WITHIN);
        let group = group(&client);
        let sending = send(&client, group);
        let kill = async {
            tokio::time::sleep_until(tokio::time::Instant::now() + moment).await;
            hub.signal("-KILL");
            hub.ended().await;
        };
        let (answer, ()) = tokio::join!(sending, kill);
        drop(client);
        // A group that had its answer was synced: what came behind it may have been written over what it took the place
        // of, and nothing that a power cut can do takes the group back.
        let is_open = answer.is_none();
        let mut after = file(&world);
        let how = TEARS[usize::try_from(round.below(4)).expect("a place")];
        let missing = if is_open { tear(&before, &mut after, how, &mut round) } else { 0 };
        let reused = rewritten(&before, &file(&world));
        let twin = world.twin();
        put(&twin, &after);
        let kept = found(twin, &promises).await;
        assert_ne!(
            kept,
            Some(false),
            "a promise is lost: {how:?}, {missing} missing, {reused} reused"
        );
        torn += u32::from(missing > 0);
        opened += u32::from(kept.is_some());
        round.note("tear", format!("{how:?}"));
        round.note("sectors_missing", missing);
        round.note("sectors_reused", reused);
        round.note("ended", if kept.is_some() { "opened" } else { "refused" });
        round.note("lost", 0);
        trials.keep(round);
    }
    let rounds = trials.finish();
    println!("{torn} of {rounds} tails were torn, {opened} opened");
    assert!(u64::from(torn) * 3 >= rounds, "too few tails had something to tear");
    world.start(&[]).await;
    world.stop();
    a_tail_that_was_promised_is_missed(&world, &promises).await;
    world.finish();
}

/// Where the segment begins in the file that lies furthest on in the log. Its header has a checksum and then its place,
/// lowest byte first, with all bits but the highest turned.
fn newest_segment(bytes: &[u8]) -> usize {
    let place = |at: &usize| {
        let mut place: [u8; 8] = bytes[at + 4..at + 12].try_into().expect("eight bytes");
        place.reverse();
        u64::from_be_bytes(place) ^ 0x7fff_ffff_ffff_ffff
    };
    let is_begun = |at: &usize| bytes.get(*at..at + 16).is_some_and(|header| header != [0; 16]);
    let begun = (0..bytes.len()).step_by(SEGMENT).filter(is_begun);
    begun.max_by_key(place).expect("a log")
}

/// The control: what lies before the last receipt is missing too, and that is noticed.
async fn a_tail_that_was_promised_is_missed(world: &World, promises: &Promises) {
    let twin = world.twin();
    let mut bytes = file(&twin);
    // The log's last part: the file's may have been freed, and behind the log's end lies what was there before.
    let last = newest_segment(&bytes);
    let end = bytes.len().min(last + SEGMENT);
    bytes[last..end].fill(0);
    put(&twin, &bytes);
    assert_ne!(found(twin, promises).await, Some(true), "nothing is missed");
}

#[test]
fn only_what_is_new_is_torn() {
    let before = [vec![7; SECTOR], vec![0; SECTOR]].concat();
    let after = [vec![8; SECTOR], vec![9; SECTOR], vec![9; SECTOR]].concat();
    assert_eq!(fresh(&before, &after), [1, 2]);
}
