//! Damage to what was written since a hub's start, found after a kill: it is refused, and nothing of the log is cut.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;

use watchfire::client::Client;
use watchfire::model::filter::Filter;
use watchfire::wire::pb;

use crate::hub::Begun;
use crate::hub::Hub;
use crate::trials::Trials;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::replay;
use crate::world::sign;

const MEMBER: &str = "acme-video";
/// Records, about a KiB each: so that sled's log has some segments behind where it was last opened.
const RECORDS: u32 = 4000;
const BATCH: usize = 100;
/// Bytes before the end where the damage may lie.
const BEFORE_END: u64 = 3 << 20;
/// Of the last group, that the log was not seen to be behind when its sync began.
const LAST_GROUP: u64 = 256 << 10;
/// The code of damage, which no supervisor starts again.
const DAMAGED: i32 = 78;

fn log_file(world: &World) -> PathBuf {
    world.data().join("store/db")
}

async fn publish_much(client: &Client) {
    let signer = client.signer().expect("a key");
    let envelope = |number: u32| {
        let mut content = domain(&format!("n{number}.example"));
        if let pb::body::Content::Indicator(indicator) = &mut content {
            indicator.description.push_str(&" x".repeat(250));
        }
        sign(client, draft(&signer, content, handling(&["companies"], &[])))
    };
    let envelopes: Vec<pb::Envelope> = (0..RECORDS).map(envelope).collect();
    for batch in envelopes.chunks(BATCH) {
        for outcome in client.publish(batch.to_vec()).await.expect("receipts") {
            outcome.receipt().expect("nothing is refused");
        }
    }
}

/// Where the bytes of a file end that are not zero.
fn end(file: &[u8]) -> u64 {
    let last = file.iter().rposition(|byte| *byte != 0).expect("a log");
    u64::try_from(last + 1).expect("a length")
}

fn flip(file: &Path, at: u64, bit: u64) {
    let file = std::fs::File::options().read(true).write(true).open(file).expect("the log");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("a byte");
    file.write_all_at(&[byte[0] ^ (1 << bit)], at).expect("it is written");
}

/// How many entries a hub serves that was started over a log; why not, if it was refused.
async fn served(world: &World) -> Result<usize, String> {
    let hub = Hub::spawn(&[], world, &world.data().with_file_name("tail.log"));
    match hub.begun(world).await {
        Begun::Serves(hub) => {
            let entries = replay(&world.client(MEMBER).await, Filter::default()).await;
            hub.stop().await;
            Ok(entries.len())
        }
        Begun::Ended(status, said) => {
            assert_eq!(status.code(), Some(DAMAGED), "{said}");
            Err(said)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_behind_the_last_start_is_refused_after_a_kill_and_nothing_is_cut() {
    let mut trials = Trials::of("tail", 8, 200);
    let mut world = World::with(&[(MEMBER, "company")]).await;
    publish_much(&world.client(MEMBER).await).await;
    world.kill();
    let whole = served(&world.twin()).await.expect("nothing is damaged");
    assert!(whole > 4000, "{whole} entries");
    let mut refused = 0;
    while let Some(mut round) = trials.next() {
        let twin = world.twin();
        let end = end(&std::fs::read(log_file(&twin)).expect("the log"));
        let at = end - LAST_GROUP - round.below(BEFORE_END);
        flip(&log_file(&twin), at, round.below(8));
        let before = std::fs::read(log_file(&twin)).expect("the log");
        let found = match served(&twin).await {
            // What fills a segment up is never read.
            Ok(entries) => {
                assert_eq!(entries, whole, "a bit at {at} took entries, and nobody said so");
                "harmless"
            }
            Err(said) => {
                refused += 1;
                let after = std::fs::read(log_file(&twin)).expect("the log");
                let length = usize::try_from(end).expect("a length");
                assert!(after[..length] == before[..length], "the log was changed: {said}");
                "refused"
            }
        };
        round.note("found", found);
        round.note("served wrong", 0);
        trials.keep(round);
    }
    let rounds = trials.finish();
    assert!(refused * 2 > rounds, "{refused} of {rounds} were refused: the rest is not read");
    world.check_log();
}
