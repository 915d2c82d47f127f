//! A hub that is lost while it was backed up under load, and restored elsewhere (T-S10): the same root, and every receipt
//! from below the backup's end holds.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use watchfire::model::names::Digest;
use watchfire::store::read_backup;
use watchfire::transparency::Checkpoint;

use crate::kill::load::Publisher;
use crate::kill::promises::Promises;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::World;
use crate::world::demand;
use crate::world::head;
use crate::world::scratch;
use crate::world::until;
use crate::world::watchfired;

pub(crate) const MEMBERS: [(&str, &str); 2] =
    [("acme-video", "company"), ("birch-social", "company")];
/// Entries that come under load before a backup is begun, and again behind it.
const MORE: u64 = 150;

/// A backup that was taken under load.
struct BackedUp {
    /// Entries that were there when it was begun.
    before: u64,
    /// Entries that came while it was taken.
    meanwhile: u64,
    took: Duration,
}

/// A hub that is back.
pub(crate) struct Restored {
    /// How long the backup, its restore and the start took together.
    pub(crate) took: Duration,
    /// Entries that came while the backup was taken.
    pub(crate) meanwhile: u64,
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

async fn wait_for(world: &World, size: u64) {
    let client = world.client(MEMBERS[1].0).await;
    until("there is more", async || (head(&client).await >= size).then_some(())).await;
}

/// Backs a hub up while it is written to, and then kills it. What was promised meanwhile comes to the promises.
async fn lose(
    world: &mut World,
    file: &Path,
    publishers: [Publisher; 2],
    promises: &mut Promises,
) -> BackedUp {
    let (acme, birch) = (world.client(MEMBERS[0].0).await, world.client(MEMBERS[1].0).await);
    let gone = CancellationToken::new();
    let [first, second] = publishers;
    let backing_up = async {
        wait_for(world, head(&acme).await + MORE).await;
        let before = head(&acme).await;
        let (data, file, begun) = (text(&world.data()), text(file), Instant::now());
        let taken = tokio::task::spawn_blocking(move || {
            watchfired(&["backup", "--data", &data, "--out", &file])
        });
        demand(&taken.await.expect("no panic"));
        let took = begun.elapsed();
        let behind = head(&acme).await;
        wait_for(world, behind + MORE).await;
        world.kill();
        gone.cancel();
        BackedUp { before, meanwhile: behind - before, took }
    };
    let (left, right, taken) =
        tokio::join!(first.publish(&acme), second.publish(&birch), backing_up);
    promises.take(0, left);
    promises.take(1, right);
    taken
}

/// What a backup ends with, if it is whole.
fn end_of(file: &Path) -> Checkpoint {
    let file = BufReader::new(File::open(file).expect("a backup"));
    let summary = read_backup(file, |_block| {}).expect("it is whole");
    let checkpoint = Checkpoint::read_unverified(&summary.checkpoint).expect("a checkpoint");
    assert_eq!(checkpoint.size, summary.size, "it ends with the checkpoint of its entries");
    checkpoint
}

/// Restores a backup in an empty folder, where the log must have the root with which it ends, begins the next epoch, and
/// starts the hub there.
async fn restore(lost: &World, file: &Path, root: &Digest) -> World {
    let mut restored = lost.successor();
    let (from, data, keys) = (text(file), text(&restored.data()), text(&lost.data()));
    let root = hex::encode(root);
    let said = demand(&watchfired(&["restore", "--from", &from, "--data", &data, "--keys", &keys]));
    assert!(said.contains(&root), "another root than that of its checkpoint: {said}");
    let waiting = demand(&watchfired(&["verify", "--data", &data]));
    assert!(waiting.contains(&root), "{waiting}");
    begin(lost, &restored, &file.with_file_name("signed"));
    restored.start(&[]).await;
    restored
}

/// Loses a hub that is backed up under load, and restores it on an empty machine: the same root, and what was promised
/// below the backup's end, now or before, is kept.
pub(crate) async fn lose_and_restore(
    world: &mut World,
    round: &mut Round,
    mut promises: Promises,
) -> Restored {
    let place = scratch();
    let file = place.path().join("hub.backup");
    let publishers = [Publisher::new(round), Publisher::new(round)];
    let backed_up = Box::pin(lose(world, &file, publishers, &mut promises)).await;
    let BackedUp { before, meanwhile, took } = backed_up;
    let end = end_of(&file);
    assert!(end.size >= before, "what was there when it was begun is in it");
    let begun = Instant::now();
    let restored = restore(world, &file, &end.root).await;
    let restored_in = begun.elapsed();
    round.note("restored_seconds", restored_in.as_secs_f64());
    round.note("backup_seconds", took.as_secs_f64());
    for (member, _role) in MEMBERS {
        demand(&world.watchfire(member, &["epoch", "accept"]));
    }
    let reader = world.client(MEMBERS[0].0).await;
    let (kept, void) = promises.split_at(end.size);
    assert!(kept.are_kept(&reader).await, "a receipt below the end does not hold");
    assert!(!void.are_kept(&reader).await, "the check notices what is void");
    round.note("entries", end.size);
    round.note("entries_meanwhile", meanwhile);
    round.note("receipts_kept", kept.len());
    round.note("receipts_void", void.len());
    round.note("lost", 0);
    drop(reader);
    restored.finish();
    Restored { took: took + restored_in, meanwhile }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_restored_on_an_empty_machine_has_the_same_root_and_keeps_its_receipts() {
    let mut trials = Trials::of("restored", 3, 50);
    while let Some(mut round) = trials.next() {
        let mut world = World::with(&MEMBERS).await;
        lose_and_restore(&mut world, &mut round, Promises::default()).await;
        trials.keep(round);
    }
    trials.finish();
}

/// The operator signs, and the next epoch begins.
fn begin(old: &World, restored: &World, signed: &Path) {
    let (data, signed) = (text(&restored.data()), text(signed));
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
