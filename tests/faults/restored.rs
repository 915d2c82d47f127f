//! A hub that is lost while it was backed up under load, and restored elsewhere (T-S10): the same root, and every receipt
//! from before the backup was begun holds.

use std::path::Path;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use watchfire::store::read_backup;
use watchfire::transparency::Checkpoint;

use crate::kill::load::Publisher;
use crate::kill::promises::Promises;
use crate::trials::Trials;
use crate::world::World;
use crate::world::demand;
use crate::world::head;
use crate::world::scratch;
use crate::world::until;
use crate::world::watchfired;

const MEMBERS: [(&str, &str); 2] = [("acme-video", "company"), ("birch-social", "company")];
/// Entries that are there before a backup is begun, and that come while it and behind it.
const MORE: u64 = 150;

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

async fn wait_for(world: &World, size: u64) {
    let client = world.client(MEMBERS[1].0).await;
    until("there is more", async || (head(&client).await >= size).then_some(())).await;
}

/// Backs a hub up while it is written to, and then kills it. How many entries were there before, what was promised, and
/// how long the backup took.
async fn lose(world: &mut World, file: &Path, publishers: [Publisher; 2]) -> (u64, Promises, f64) {
    let (acme, birch) = (world.client(MEMBERS[0].0).await, world.client(MEMBERS[1].0).await);
    let gone = CancellationToken::new();
    let [first, second] = publishers;
    let backing_up = async {
        wait_for(world, MORE).await;
        let before = head(&acme).await;
        let (data, file, begun) = (text(&world.data()), text(file), Instant::now());
        let taken = tokio::task::spawn_blocking(move || {
            watchfired(&["backup", "--data", &data, "--out", &file])
        });
        demand(&taken.await.expect("no panic"));
        let seconds = begun.elapsed().as_secs_f64();
        wait_for(world, head(&acme).await + MORE).await;
        world.kill();
        gone.cancel();
        (before, seconds)
    };
    let (left, right, (before, seconds)) =
        tokio::join!(first.publish(&acme), second.publish(&birch), backing_up);
    let mut promises = Promises::default();
    promises.take(0, left);
    promises.take(1, right);
    (before, promises, seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_restored_on_an_empty_machine_has_the_same_root_and_keeps_its_receipts() {
    let mut trials = Trials::of("restored", 3, 50);
    while let Some(mut round) = trials.next() {
        let mut world = World::with(&MEMBERS).await;
        let place = scratch();
        let file = place.path().join("hub.backup");
        let publishers = [Publisher::new(&mut round), Publisher::new(&mut round)];
        let (before, promises, seconds) = lose(&mut world, &file, publishers).await;
        let summary = read_backup(std::fs::File::open(&file).expect("a backup"), |_block| {});
        let summary = summary.expect("it is whole");
        assert!(summary.size >= before, "what was there when it was begun is in it");
        let root = Checkpoint::read_unverified(&summary.checkpoint).expect("a checkpoint").root;
        let begun = Instant::now();
        let mut restored = world.successor();
        let (from, data, keys) = (text(&file), text(&restored.data()), text(&world.data()));
        let said =
            demand(&watchfired(&["restore", "--from", &from, "--data", &data, "--keys", &keys]));
        assert!(
            said.contains(&hex::encode(root)),
            "another root than that of its checkpoint: {said}"
        );
        let waiting = demand(&watchfired(&["verify", "--data", &data]));
        assert!(waiting.contains(&hex::encode(root)), "{waiting}");
        begin(&world, &restored, place.path());
        restored.start(&[]).await;
        round.note("restored_seconds", begun.elapsed().as_secs_f64());
        round.note("backup_seconds", seconds);
        for (member, _role) in MEMBERS {
            demand(&world.watchfire(member, &["epoch", "accept"]));
        }
        let reader = world.client(MEMBERS[0].0).await;
        let (kept, void) = promises.split_at(summary.size);
        assert!(kept.are_kept(&reader).await, "a receipt below the end does not hold");
        assert!(!void.are_kept(&reader).await, "the check notices what is void");
        round.note("entries", summary.size);
        round.note("receipts_kept", kept.len());
        round.note("receipts_void", void.len());
        round.note("lost", 0);
        drop(reader);
        restored.finish();
        trials.keep(round);
    }
    trials.finish();
}

/// The operator signs, and the next epoch begins.
fn begin(old: &World, restored: &World, folder: &Path) {
    let (data, signed) = (text(&restored.data()), text(&folder.join("signed")));
    let checkpoint = text(&restored.data().join("restored.checkpoint"));
    let words = [
        "epoch",
        "sign",
        "--checkpoint",
        &checkpoint,
        "--reason",
        "a disk was lost",
        "--out",
        &signed,
    ];
    demand(&old.watchfire("operator", &words));
    demand(&watchfired(&["begin-epoch", "--data", &data, "--signed", &signed]));
}
