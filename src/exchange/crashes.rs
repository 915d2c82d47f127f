//! A hub whose process ends at each step of each commit (T-S7), before, at and behind the commit point: what had a
//! receipt is there, once, the log and its views hold, and what is sent again has one place.
//!
//! The test runs itself as another process, which serves, and aborts at the step that the environment names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use prost::Message as _;

use super::tests::ItsClock;
use super::*;
use crate::client::tests::World;
use crate::interop::framework::Frameworks;
use crate::interop::warning_list::WarningLists;
use crate::model::names::sha256;
use crate::model::time::Timestamp;
use crate::signing::SecretKey;
use crate::store::Store;
use crate::store::steps;
use crate::store::steps::Step;
use crate::wire::pb;

const STEPS: [Step; 7] = [
    Step::Judged,
    Step::Written,
    Step::Flushed,
    Step::Synced,
    Step::Indexed,
    Step::Told,
    Step::Answered,
];
/// The test that is run as a process of its own.
const CHILD: &str = "exchange::crashes::a_hub_that_ends_at_a_step";
const FOLDER: &str = "WATCHFIRE_CRASH_FOLDER";
const AIM: &str = "WATCHFIRE_CRASH_AT";
const LOG_KEY: &str = "log.key";
const SENT: &str = "sent";
const RECEIPTS: &str = "receipts";

/// A memory file system where there is one: the kernel keeps what was written there over the end of a process, too.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(base).unwrap()
}

fn settings() -> Settings {
    Settings {
        clock_confirmed: true,
        workers: 1,
        retention: Retention::default(),
        warning_lists: WarningLists::default(),
        frameworks: Frameworks::default(),
        observer: None,
    }
}

fn start(
    folder: &Path,
    genesis: pb::Envelope,
    secret: SecretKey,
) -> (Arc<Hub>, SequencerThread, Arc<Store>) {
    let store = Store::open(&folder.join("store"), 0).unwrap();
    // The small exchange's time: what is sent again was signed in it.
    let clock = ItsClock::new(Timestamp::from_micros(1_800_000_000_000_000).unwrap());
    let (hub, thread) = Hub::start(store, genesis, secret, clock, settings()).unwrap();
    let store = Arc::clone(&hub.store);
    (hub, thread, store)
}

/// Publishes a batch: what is sent is kept before, and what is promised behind.
async fn publish(hub: &Hub, folder: &Path, by: &str, batch: Vec<pb::Envelope>) {
    let append = |name: &str| File::options().create(true).append(true).open(folder.join(name));
    for envelope in &batch {
        let line = format!("{by} {}\n", hex::encode(envelope.encode_to_vec()));
        append(SENT).unwrap().write_all(line.as_bytes()).unwrap();
    }
    let outcomes = hub.publish(&by.parse().unwrap(), batch).await.unwrap();
    for receipt in outcomes.into_iter().map(Result::unwrap) {
        let line = format!("{} {}\n", receipt.sequence, hex::encode(receipt.header_digest));
        append(RECEIPTS).unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// Everything that commits: a record, a group of many blocks, one in pieces, the roster, a withdrawal, an erasure.
async fn serve(hub: &Hub, world: &World, folder: &Path) {
    let operation = |title: &str, text: &str| {
        pb::body::Content::Operation(pb::Operation {
            title: title.to_owned(),
            narratives: vec![text.to_owned(); 3],
            ..pb::Operation::default()
        })
    };
    for entry in world.entries.iter().skip(1) {
        publish(hub, folder, "operator", vec![entry.envelope.clone().unwrap()]).await;
    }
    let acme = &world.acme;
    publish(hub, folder, "acme-video", vec![world.publish(acme, operation("one", "text"))]).await;
    let many = (0..70).map(|number| world.publish(acme, operation(&number.to_string(), "text")));
    publish(hub, folder, "acme-video", many.collect()).await;
    let large = world.draft(acme, operation("large", &"x".repeat(4000)));
    let name = large.name.clone();
    let large = acme.sign(large, world.now).unwrap();
    publish(hub, folder, "acme-video", vec![large]).await;
    let recall = pb::body::Content::Withdrawal(pb::Withdrawal {
        of: name.to_string(),
        reason: pb::WithdrawalReason::Privacy.into(),
        demand_deletion: true,
        ..pb::Withdrawal::default()
    });
    publish(hub, folder, "acme-video", vec![world.change(acme, &recall)]).await;
    let before = hub.head().size;
    while hub.head().size == before {
        hub.tick();
        tokio::task::yield_now().await;
    }
    hub.tick();
    publish(hub, folder, "acme-video", vec![world.publish(acme, operation("last", "text"))]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test below, as a process of its own"]
async fn a_hub_that_ends_at_a_step() {
    let folder = std::env::var(FOLDER).unwrap();
    let folder = Path::new(&folder);
    let world = World::new();
    let pem = world.log_secret.to_pem().unwrap();
    std::fs::write(folder.join(LOG_KEY), pem.as_bytes()).unwrap();
    std::fs::write(folder.join("genesis"), world.founding.genesis.encode_to_vec()).unwrap();
    let aim = std::env::var(AIM).unwrap();
    let (step, time) = aim.split_once(' ').unwrap();
    let step = STEPS.into_iter().find(|one| format!("{one:?}") == step).unwrap();
    steps::end::aim(step, time.parse().unwrap());
    let (hub, thread, store) =
        start(folder, world.founding.genesis.clone(), world.log_secret.clone());
    serve(&hub, &world, folder).await;
    drop((hub, store));
    thread.join().unwrap().unwrap();
}

/// Runs a hub that ends at a step; whether it did.
fn ends_at(folder: &Path, step: Step, time: u32) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(AIM, format!("{step:?} {time}"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("running 1 test"), "{said}");
    !output.status.success()
}

/// Every promise by its identity.
fn receipts(folder: &Path) -> BTreeMap<String, u64> {
    let lines = std::fs::read_to_string(folder.join(RECEIPTS)).unwrap_or_default();
    let lines = lines.lines().map(|line| line.split_once(' ').unwrap());
    lines.map(|(place, digest)| (digest.to_owned(), place.parse().unwrap())).collect()
}

fn sent(folder: &Path) -> Vec<(String, pb::Envelope)> {
    let lines = std::fs::read_to_string(folder.join(SENT)).unwrap_or_default();
    let lines = lines.lines().map(|line| line.split_once(' ').unwrap());
    let envelope = |text: &str| pb::Envelope::decode(hex::decode(text).unwrap().as_slice());
    lines.map(|(by, text)| (by.to_owned(), envelope(text).unwrap())).collect()
}

/// Whether the log holds, its views are as it folds, and each promise is in its place.
fn holds(folder: &Path) -> Result<u64, String> {
    let store = Store::open(&folder.join("store"), 0).map_err(|error| error.to_string())?;
    let size = store.head().map_err(|error| error.to_string())?.frontier.size();
    let promised = receipts(folder);
    if size > 0 {
        verify_log(&store, |_entries| {}).map_err(|error| error.to_string())?;
    }
    if !store.rebuild().map_err(|error| error.to_string())?.unchanged {
        return Err("the views are not as the log folds".to_owned());
    }
    for (digest, place) in promised {
        let found = entries::read(&store, place).map_err(|error| error.to_string())?;
        if hex::encode(found.header_digest) != digest {
            return Err(format!("the promise at {place} is not kept"));
        }
    }
    Ok(size)
}

/// What was sent is sent again, byte for byte: each has one place, and what was promised is where it was.
async fn goes_on(folder: &Path) {
    let genesis = std::fs::read(folder.join("genesis")).unwrap();
    let genesis = pb::Envelope::decode(genesis.as_slice()).unwrap();
    let secret = std::fs::read_to_string(folder.join(LOG_KEY)).unwrap();
    let (hub, thread, store) = start(folder, genesis, SecretKey::from_pem(&secret).unwrap());
    let (promised, mut places) = (receipts(folder), BTreeMap::new());
    for (by, envelope) in sent(folder) {
        let digest = hex::encode(sha256(&envelope.payload));
        let outcomes = hub.publish(&by.parse().unwrap(), vec![envelope]).await.unwrap();
        let receipt = outcomes[0].clone().unwrap();
        let known = promised.get(&digest);
        assert!(known.is_none_or(|place| receipt.repeated && *place == receipt.sequence));
        assert_eq!(places.insert(receipt.sequence, digest), None, "a place has two records");
    }
    drop((hub, store));
    thread.join().unwrap().unwrap();
}

/// Whether a hub ended at a step; then everything must hold, before and after it goes on.
async fn ended_well(step: Step, time: u32) -> bool {
    let folder = scratch();
    if !ends_at(folder.path(), step, time) {
        return false;
    }
    holds(folder.path()).unwrap_or_else(|error| panic!("{step:?} {time}: {error}"));
    goes_on(folder.path()).await;
    holds(folder.path()).unwrap_or_else(|error| panic!("{step:?} {time}, later: {error}"));
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_cut_off_at_any_step_is_there_as_a_whole_or_not_at_all() {
    for step in STEPS {
        let mut times = 0;
        while ended_well(step, times + 1).await {
            times += 1;
        }
        assert!(times >= 8, "{step:?} came only {times} times");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_is_not_kept_is_noticed() {
    let folder = scratch();
    assert!(ends_at(folder.path(), Step::Judged, 5));
    let size = holds(folder.path()).unwrap();
    let invented = format!("{size} {}\n", hex::encode([7; 32]));
    let receipts = File::options().append(true).open(folder.path().join(RECEIPTS));
    receipts.unwrap().write_all(invented.as_bytes()).unwrap();
    holds(folder.path()).unwrap_err();
}
