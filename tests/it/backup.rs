//! Backup while the hub serves, restore elsewhere, and what members demand of a log that was restored.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use prost::Message as _;
use tokio_util::task::TaskTracker;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::Receipt;
use watchfire::client::SignEpoch;
use watchfire::client::Signer;
use watchfire::client::sign_epoch;
use watchfire::client::unaddressed;
use watchfire::exchange::begin_epoch;
use watchfire::model::facts::Facts;
use watchfire::model::facts::Scope;
use watchfire::model::facts::Shape;
use watchfire::model::filter::Filter;
use watchfire::model::handling::Reach;
use watchfire::model::reason::Reason;
use watchfire::model::time::SystemClock;
use watchfire::profile::Profile;
use watchfire::signing;
use watchfire::signing::Claim;
use watchfire::signing::SecretKey;
use watchfire::signing::VerifyingKey;
use watchfire::store::Group;
use watchfire::store::NewEntry;
use watchfire::store::Store;
use watchfire::store::read_backup;
use watchfire::transparency::LogKey;
use watchfire::wire;
use watchfire::wire::pb;

use crate::hostile::Victim;
use crate::hostile::demand_caught;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::recall;
use crate::world::replay;
use crate::world::scratch;
use crate::world::sign;
use crate::world::until;
use crate::world::watchfired;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
/// The exit code of a member that meets a restored log.
const NOT_ACCEPTED: i32 = 6;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn back_up(world: &World, out: &Path) -> Output {
    watchfired(&["backup", "--data", text(&world.data()), "--out", text(out)])
}

fn restore(world: &World, from: &Path, more: &[&str]) -> Output {
    let data = world.data();
    let mut arguments = vec!["restore", "--from", text(from), "--data", text(&data)];
    arguments.extend(more);
    watchfired(&arguments)
}

/// Restores with the operator's profile at hand, and the files that no backup has.
fn restore_whole(old: &World, new: &World, from: &Path, more: &[&str]) -> Output {
    let (keys, operator) = (old.data(), old.profile_folder("operator"));
    let mut arguments =
        vec!["--keys", text(&keys), "--operator", text(&operator), "--reason", "a disk was lost"];
    arguments.extend(more);
    restore(new, from, &arguments)
}

fn size_of(backup: &Path) -> u64 {
    let file = std::fs::File::open(backup).expect("a backup");
    read_backup(file, |_block| {}).expect("a whole backup").size
}

fn head(client: &Client) -> u64 {
    client.newest_checkpoint().expect("a checkpoint").size
}

/// A member that publishes until it is told to stop; what it was promised.
async fn publishing(client: Client, stop: Arc<AtomicBool>) -> Vec<(pb::Envelope, Receipt)> {
    let signer = client.signer().expect("a key");
    let mut promised = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = promised.len();
        let content = domain(&format!("load{number}.example"));
        let envelope = sign(&client, draft(&signer, content, handling(&["companies"], &[])));
        let receipt = client.publish_one(envelope.clone()).await.expect("a receipt");
        promised.push((envelope, receipt));
    }
    promised
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn a_hub_that_is_lost_comes_back_and_nothing_is_lost_nor_doubled() {
    let mut world = World::with(MEMBERS).await;
    let place = scratch();
    let file = place.path().join("hub.backup");
    let stop = Arc::new(AtomicBool::new(false));
    let acme = world.client("acme-video").await;
    let load = TaskTracker::new().spawn(publishing(acme.clone(), Arc::clone(&stop)));
    let birch = world.client("birch-social").await;
    until("there is a load", async || {
        (replay(&birch, Filter::default()).await.len() > 20).then_some(())
    })
    .await;
    demand(&back_up(&world, &file));
    assert_eq!(std::fs::read_dir(place.path()).expect("a folder").count(), 1);
    let size = size_of(&file);
    until("more was published", async || {
        let entries = replay(&birch, Filter::default()).await;
        (entries.last().expect("entries").sequence() > size + 10).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let promised = load.await.expect("no panic");
    let before: Vec<_> = replay(&birch, Filter::default()).await;
    drop((acme, birch));
    world.kill();

    // Elsewhere, with the operator's key at hand.
    let mut restored = world.successor();
    let said = demand(&restore_whole(&world, &restored, &file, &[]));
    assert!(said.contains(&format!("epoch 2 begins at sequence {size}")), "{said}");
    restored.start(&[]).await;

    // Nobody goes on silently.
    for member in ["acme-video", "birch-social"] {
        let output = world.watchfire(member, &["list"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(NOT_ACCEPTED), "{told}");
        let restored_to = format!("restored to its first {size} entries");
        assert!(told.contains(&restored_to) && told.contains("a disk was lost"), "{told}");
        assert!(told.contains("watchfire epoch accept"), "{told}");
    }
    let void = promised.iter().filter(|(_, receipt)| receipt.sequence >= size).count();
    let told = world.watchfire("acme-video", &["list"]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(void > 0 && told.contains(&format!("receipts for {void} records")), "{told}");

    let said = demand(&world.watchfire("acme-video", &["epoch", "accept"]));
    assert!(said.contains(&format!("{void} batches wait to be sent again")), "{said}");
    let again = demand(&world.watchfire("acme-video", &["epoch", "accept"]));
    assert!(again.contains("as this profile knows"), "{again}");
    demand(&world.watchfire("birch-social", &["epoch", "accept"]));

    // What was promised below the end holds at its place, what was void has another one, and nothing is there twice.
    let birch = world.client("birch-social").await;
    let after = replay(&birch, Filter::default()).await;
    for (one, other) in before.iter().zip(&after).take_while(|(one, _)| one.sequence() < size) {
        assert_eq!(
            (one.sequence(), one.header_digest()),
            (other.sequence(), other.header_digest())
        );
    }
    let acme = world.client("acme-video").await;
    for (envelope, receipt) in &promised {
        let there: Vec<_> =
            after.iter().filter(|one| one.header_digest() == receipt.header_digest).collect();
        let [one] = there.as_slice() else { panic!("{} times", there.len()) };
        let epoch = if receipt.sequence < size { 1 } else { 2 };
        assert_eq!((one.epoch(), one.envelope()), (epoch, envelope));
        let repeated = acme.publish_one(envelope.clone()).await.expect("a receipt");
        assert!(repeated.repeated && repeated.sequence == one.sequence());
        assert_eq!(repeated.sequence == receipt.sequence, receipt.sequence < size);
    }
    assert!(head(&birch) > size);
    assert!(acme.profile().outbox().expect("an outbox").waiting().expect("it").is_empty());
    drop((acme, birch));
    world.check_log();
    restored.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_stopped_hub_is_the_same_log() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("one.example")).await;
    let place = scratch();
    let (online, offline) = (place.path().join("online"), place.path().join("offline"));
    demand(&back_up(&world, &online));
    world.stop();
    assert!(!world.data().join("admin.sock").exists() || size_of(&online) > 0);
    demand(&back_up(&world, &offline));
    assert_eq!(size_of(&online), size_of(&offline));
    let twice = back_up(&world, &offline);
    assert!(String::from_utf8_lossy(&twice.stderr).contains("is there already"));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&offline).expect("a file").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);

    let root = |said: &str| {
        let first = said.lines().next().unwrap_or_default();
        first.split("root ").nth(1).map(str::to_owned)
    };
    let verified = demand(&watchfired(&["verify", "--data", text(&world.data())]));
    let restored = world.successor();
    let said = demand(&restore(&restored, &online, &[]));
    assert!(root(&said).is_some(), "{said}");
    assert_eq!(root(&said), root(&verified));
    assert!(said.contains("still missing beside them: log.key"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_or_changed_is_refused_wherever_it_is() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    for number in 0..3 {
        publish(&acme, domain(&format!("n{number}.example"))).await;
    }
    let place = scratch();
    let file = place.path().join("whole");
    world.stop();
    demand(&back_up(&world, &file));
    let whole = std::fs::read(&file).expect("a backup");
    let read = |bytes: &[u8]| read_backup(bytes, |_block| {});
    read(&whole).expect("it is whole");
    for cut in 0..whole.len() {
        read(&whole[..cut]).expect_err("it is cut");
    }
    let mut changed = whole.clone();
    for at in 0..whole.len() {
        changed[at] ^= 1 << (at % 8);
        read(&changed).expect_err("a bit of it is another");
        changed[at] = whole[at];
    }
    let more = [whole.as_slice(), b"x"].concat();
    read(&more).expect_err("something follows it");

    // And the command says so, and leaves nothing that could be served.
    for (bytes, expected) in [
        (&whole[..whole.len() / 2], "is cut"),
        (&whole[..whole.len() - 1], "is cut"),
        (&b"something else, and much longer than the name of a format"[..], "not a backup"),
    ] {
        std::fs::write(place.path().join("bad"), bytes).expect("a file");
        let restored = world.successor();
        let refused = restore(&restored, &place.path().join("bad"), &[]);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.contains(expected), "{told}");
        assert!(!restored.data().join("store").exists());
        assert!(!restored.data().join("store.restoring").exists());
    }
    let occupied = restore(&world, &file, &[]);
    assert!(String::from_utf8_lossy(&occupied.stderr).contains("is not empty"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_log_is_not_served_before_its_operator_begins_its_epoch() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("one.example")).await;
    let place = scratch();
    let file = place.path().join("backup");
    demand(&back_up(&world, &file));
    // A member cannot publish one, and neither can the operator: an epoch begins with a restore alone.
    let note = {
        let mut service = acme.transparency_service();
        let answer = service.get_checkpoint(pb::GetCheckpointRequest {}).await;
        answer.expect("a checkpoint").into_inner().checkpoint
    };
    let what = SignEpoch { checkpoint: &note, epoch: None, reason: "none" };
    let operator = Profile::open(&world.profile_folder("operator")).expect("a profile");
    let signed = sign_epoch(&operator, &what).expect("the operator signs");
    let refused = world.client("operator").await.publish_one(signed.clone()).await;
    assert!(refused.expect_err("refused").is_refusal(Reason::RoleForbids));
    let own = acme.signer().expect("a key");
    let forged = epoch_by(&own, &note, 2);
    let refused = acme.publish_one(forged.clone()).await.expect_err("refused");
    assert!(refused.is_refusal(Reason::RoleForbids), "{refused}");
    let member = Profile::open(&world.profile_folder("acme-video")).expect("a profile");
    assert!(matches!(sign_epoch(&member, &what), Err(ClientError::Profile(_))));
    drop(acme);
    world.kill();

    let mut restored = world.successor();
    let keys = world.data();
    let said = demand(&restore(&restored, &file, &["--keys", text(&keys)]));
    assert!(said.contains("epoch sign --checkpoint"), "{said}");
    let served =
        watchfired(&["serve", "--data", text(&restored.data()), "--listen", "127.0.0.1:0"]);
    assert_eq!(served.status.code(), Some(78));
    let begin = |envelope: &pb::Envelope| {
        let path = place.path().join("signed");
        std::fs::write(&path, envelope.encode_to_vec()).expect("a file");
        let data = restored.data();
        watchfired(&["begin-epoch", "--data", text(&data), "--signed", text(&path)])
    };
    let told = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let checkpoint = std::fs::read_to_string(restored.data().join("restored.checkpoint"));
    let checkpoint = checkpoint.expect("a checkpoint");
    let refused = told(&begin(&epoch_by(&own, &checkpoint, 2)));
    assert!(refused.contains("not signed by a key of the operator"), "{refused}");
    // Of a log that goes on behind the backup, as the operator signed it before.
    let mut flipped = signed.clone();
    let mut signature = flipped.signatures[0].sig.to_vec();
    signature[3] ^= 1;
    flipped.signatures[0].sig = signature.into();
    assert!(!begin(&flipped).status.success());

    let what = SignEpoch { checkpoint: &checkpoint, epoch: None, reason: "a disk was lost" };
    let signed = sign_epoch(&operator, &what).expect("the operator signs");
    demand(&begin(&signed));
    assert!(told(&begin(&signed)).contains("no restored log waits"));
    restored.start(&[]).await;
    demand(&world.watchfire("acme-video", &["epoch", "accept"]));
    restored.finish();
}

/// An epoch's beginning as somebody signs it.
fn epoch_by(signer: &Signer, checkpoint: &str, epoch: u32) -> pb::Envelope {
    let content = pb::body::Content::Epoch(pb::EpochStart {
        previous_epoch: 1,
        epoch,
        checkpoint: checkpoint.to_owned(),
        reason: "none".to_owned(),
    });
    let now = watchfire::model::time::Clock::now(&SystemClock::default());
    signer.sign(draft(signer, content, unaddressed()), now).expect("it is signed")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_since_is_erased_before_anything_is_served() {
    for from_folder in [true, false] {
        let mut world = World::with(MEMBERS).await;
        let acme = world.client("acme-video").await;
        let (secret, _) = publish(&acme, domain("secret.example")).await;
        let (kept, _) = publish(&acme, domain("kept.example")).await;
        let place = scratch();
        let (old, new) = (place.path().join("old"), place.path().join("new"));
        demand(&back_up(&world, &old));
        let size = size_of(&old);
        publish_for(&acme, recall(&secret), handling(&[], &[])).await;
        let name = |of: &watchfire::model::names::RecordName| of.to_string().parse().expect("it");
        let birch = world.client("birch-social").await;
        until("the body is erased", async || {
            birch.get(&name(&secret)).await.expect("its header stays").entry.erased_by()
        })
        .await;
        demand(&back_up(&world, &new));
        drop((acme, birch));
        world.kill();

        let mut restored = world.successor();
        let newer = if from_folder { world.data() } else { new };
        let said = demand(&restore_whole(&world, &restored, &old, &["--newer-copy", text(&newer)]));
        assert!(said.contains("1 bodies were erased since"), "{said}");
        assert!(said.contains("entries of a newer copy lie behind them: they are void"), "{said}");
        restored.start(&[]).await;
        demand(&world.watchfire("birch-social", &["epoch", "accept"]));
        let birch = world.client("birch-social").await;
        let found = birch.get(&name(&secret)).await.expect("its header stays");
        let notice = found.entry.erased_by().expect("its body is gone");
        assert!(notice > size, "it was the hub's own notice in the new epoch");
        assert!(birch.get(&name(&kept)).await.expect("it").entry.erased_by().is_none());
        drop(birch);
        // The publisher's demand is void with the rest, and comes again.
        demand(&world.watchfire("acme-video", &["epoch", "accept"]));
        let acme = world.client("acme-video").await;
        let found = acme.get(&name(&secret)).await.expect("its header stays");
        assert!(found.withdrawn_sequence.is_some_and(|sequence| sequence > size));
        drop(acme);
        restored.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_run_again_keeps_the_keys_that_were_put_there_meanwhile() {
    let world = World::with_members_then_stopped(MEMBERS).await;
    let place = scratch();
    let (file, half) = (place.path().join("backup"), place.path().join("half"));
    demand(&back_up(&world, &file));
    let whole = std::fs::read(&file).expect("a backup");
    std::fs::write(&half, &whole[..whole.len() / 2]).expect("a file");

    // One that was killed, in the middle of its store, of a newer copy, and of a key.
    let restored = world.successor();
    let data = restored.data();
    let left = ["store.restoring", "newer.restoring", "log.key.0.tmp", "tls/server.key.0.tmp"]
        .map(|name| data.join(name));
    for folder in [&left[0], &left[1], &data.join("tls")] {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    for path in [&left[1].join("db"), &left[2], &left[3]] {
        std::fs::write(path, "a part").expect("a file");
    }
    let keys = ["log.key", "tls/server.key", "tls/server.pem", "watchfired.toml"];
    let put = |name: &str| format!("what the operator put there as {name}");
    for name in keys {
        std::fs::write(data.join(name), put(name)).expect("a file");
    }
    let are_kept = || {
        keys.iter()
            .all(|&name| std::fs::read_to_string(data.join(name)).is_ok_and(|it| it == put(name)))
    };
    // It is not to be had, and then it is.
    let refused = restore(&restored, &half, &[]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("is cut"), "{told}");
    assert!(are_kept(), "a restore that failed took them along");
    assert!(left.iter().all(|path| !path.exists()), "something is left");
    demand(&restore(&restored, &file, &[]));
    assert!(are_kept(), "a restore took them along");
    assert!(data.join("store").exists() && data.join("restored.json").exists());

    // What is asked for takes their places, unless it is another exchange's.
    let other = world.successor();
    std::fs::create_dir_all(other.data()).expect("a folder");
    std::fs::write(other.data().join("log.key"), "a wrong one").expect("a file");
    let foreign = World::stopped();
    let refused = restore(&other, &file, &["--keys", text(&foreign.data())]);
    assert!(!refused.status.success());
    let kept = std::fs::read_to_string(other.data().join("log.key")).expect("a file");
    assert_eq!(kept, "a wrong one", "it was replaced by a key of another exchange");
    demand(&restore(&other, &file, &["--keys", text(&world.data())]));
    let key = |world: &World| std::fs::read(world.data().join("log.key")).expect("a key");
    assert_eq!(key(&other), key(&world));
}

/// Every file in a folder and in those in it, by its path.
fn files_in(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            let inner = files_in(&path);
            files.extend(inner.into_iter().map(|(name, bytes)| {
                (Path::new(path.file_name().expect("a name")).join(name), bytes)
            }));
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            files.insert(PathBuf::from(path.file_name().expect("a name")), bytes);
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_newer_copy_is_read_and_not_a_byte_of_it_is_changed() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (secret, _) = publish(&acme, domain("secret.example")).await;
    let place = scratch();
    let file = place.path().join("backup");
    demand(&back_up(&world, &file));
    publish_for(&acme, recall(&secret), handling(&[], &[])).await;
    let name = secret.to_string().parse().expect("a name");
    until("the body is erased", async || {
        acme.get(&name).await.expect("its header stays").entry.erased_by()
    })
    .await;
    for number in 0..20 {
        publish(&acme, domain(&format!("later{number}.example"))).await;
    }
    drop(acme);
    world.kill();
    // A bit near its end, before what was written last.
    let log = world.data().join("store").join("db");
    let mut bytes = std::fs::read(&log).expect("the log");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("an end");
    bytes[end - 6000] ^= 1;
    std::fs::write(&log, bytes).expect("the log");

    let store = world.data().join("store");
    let before = files_in(&store);
    let probe = place.path().join("probe");
    std::fs::create_dir(&probe).expect("a folder");
    copy_all(&world.data(), &probe);
    let verified = watchfired(&["verify", "--data", text(&probe)]);
    assert!(!verified.status.success(), "the control: it is damaged");
    drop(Store::open_damaged(&probe.join("store")).expect("sled makes something of it"));
    assert!(files_in(&probe.join("store")) != before, "the control: who opens it changes it");

    let restored = world.successor();
    let newer = world.data();
    let said = demand(&restore_whole(&world, &restored, &file, &["--newer-copy", text(&newer)]));
    assert!(said.contains("1 bodies were erased since"), "{said}");
    assert!(files_in(&store) == before, "the original was changed");
    assert!(!restored.data().join("newer.restoring").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_subscription_ends_with_the_explanation() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("one.example")).await;
    let place = scratch();
    let file = place.path().join("backup");
    demand(&back_up(&world, &file));
    let sink = place.path().join("records.jsonl");
    let target = format!("jsonl:{}", text(&sink));
    let printed = place.path().join("printed");
    let null = place.path().join("nothing");
    let arguments: [(&[&str], _); 2] = [
        (&["subscribe", "--into", &target], &null),
        (&["subscribe", "--format", "jsonl"], &printed),
    ];
    let mut running: Vec<_> = arguments
        .iter()
        .map(|(arguments, stdout)| {
            let mut command = world.command("birch-social", arguments);
            let stdout = std::fs::File::create(stdout).expect("a file");
            command.stdout(stdout).stderr(std::process::Stdio::piped());
            command.spawn().expect("watchfire runs")
        })
        .collect();
    publish(&acme, domain("void.example")).await;
    let read = |file: &Path| std::fs::read_to_string(file).unwrap_or_default();
    let shown = || read(&sink);
    until("it is in the sink", async || shown().contains("void.example").then_some(())).await;
    until("it is printed", async || read(&printed).contains("void.example").then_some(())).await;
    drop(acme);
    world.kill();
    let mut restored = world.successor();
    demand(&restore_whole(&world, &restored, &file, &[]));
    restored.start(&[]).await;
    for child in running.drain(..) {
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
        let ended = tokio::time::timeout(crate::world::PATIENCE, ended).await;
        let output = ended.expect("it ends").expect("no panic").expect("its output");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(NOT_ACCEPTED), "{told}");
        assert!(told.contains("restored to its first"), "{told}");
    }
    // Accepted, the same sink goes on; what is void stays in it, and what comes again is there in the new epoch.
    demand(&world.watchfire("birch-social", &["epoch", "accept"]));
    demand(&world.watchfire("acme-video", &["epoch", "accept"]));
    let acme = world.client("acme-video").await;
    publish(&acme, domain("later.example")).await;
    demand(&world.watchfire("birch-social", &["subscribe", "--into", &target, "--until-head"]));
    let lines = shown();
    assert!(lines.contains("later.example"), "{lines}");
    let again = lines.lines().filter(|line| line.contains("void.example")).collect::<Vec<_>>();
    assert!(again.iter().any(|line| line.contains("\"epoch\":2")), "{again:?}");
    drop(acme);
    restored.finish();
}

/// Begins an epoch in a copy of a world's log, with whatever the operator signed, as a hub with all files can.
pub(crate) fn begin_in(world: &World, operator: &Profile, epoch: u32) {
    let data = world.data();
    let store = Store::open(&data.join("store"), 0).expect("the store");
    let note = store.head().expect("a head").checkpoint;
    let what = SignEpoch { checkpoint: &note, epoch: Some(epoch), reason: "a disk was lost" };
    let signed = sign_epoch(operator, &what).expect("the operator signs");
    let genesis = std::fs::read(data.join("genesis.envelope")).expect("a file");
    let genesis = pb::Envelope::decode(genesis.as_slice()).expect("an envelope");
    let pem = std::fs::read_to_string(data.join("log.key")).expect("a key");
    let secret = SecretKey::from_pem(&pem).expect("a key");
    begin_epoch(&store, genesis, &secret, signed, &[], &SystemClock::default()).expect("it begins");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_of_another_history_is_refused_and_so_is_an_earlier_one() {
    let mut world = World::with(MEMBERS).await;
    publish(&world.client("acme-video").await, domain("common.example")).await;
    world.stop();
    let mut twin = world.twin();
    for (world, name) in [(&mut world, "one"), (&mut twin, "other")] {
        world.start(&[]).await;
        let acme = world.client("acme-video").await;
        publish(&acme, domain(&format!("{name}.example"))).await;
        drop(acme);
        world.stop();
    }
    world.start(&[]).await;
    let subscribe = ["subscribe", "--until-head"];
    let victim = Victim::of(&world, "birch-social");
    demand(&victim.watchfire(&world.address(), &subscribe));
    world.stop();

    // The operator signs an epoch of the other history, which is as long as what the member knows.
    let operator = Profile::open(&world.profile_folder("operator")).expect("a profile");
    begin_in(&twin, &operator, 2);
    twin.start(&[]).await;
    for command in [&subscribe[..], &["epoch", "accept"]] {
        let output = victim.watchfire(&twin.address(), command);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{told}");
        assert!(told.contains("two different logs of one size"), "{told}");
    }
    twin.finish();

    // One of its own history is accepted, and then the log of the epoch before is one that was rolled back.
    let mut before = world.twin();
    begin_in(&world, &operator, 3);
    world.start(&[]).await;
    let refused = victim.watchfire(&world.address(), &subscribe);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(NOT_ACCEPTED), "{told}");
    assert!(told.contains("nothing that this profile knew is lost"), "{told}");
    demand(&victim.watchfire(&world.address(), &["epoch", "accept"]));
    demand(&victim.watchfire(&world.address(), &subscribe));
    before.start(&[]).await;
    let output = victim.watchfire(&before.address(), &subscribe);
    demand_caught_without_evidence(&output, "in an earlier epoch");
    before.finish();
    world.finish();
}

fn demand_caught_without_evidence(output: &Output, expected: &str) {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains(expected), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_goes_back_without_an_epoch_stays_refused() {
    let mut world = World::with(MEMBERS).await;
    publish(&world.client("acme-video").await, domain("common.example")).await;
    world.stop();
    let mut backup = world.twin();
    world.start(&[]).await;
    publish(&world.client("acme-video").await, domain("later.example")).await;
    let victim = Victim::of(&world, "birch-social");
    demand(&victim.watchfire(&world.address(), &["subscribe", "--until-head"]));
    world.stop();
    backup.start(&[]).await;
    let output = victim.watchfire(&backup.address(), &["epoch", "accept"]);
    demand_caught(&victim, &output, "it was rolled back");
    backup.finish();
}

/// Writes an entry that begins an epoch into the log of a world, whoever signed it, as a hub with its files and its log
/// key can.
fn forge_epoch(world: &World, signer: &Signer) {
    let data = world.data();
    let store = Store::open(&data.join("store"), 0).expect("the store");
    let mut head = store.head().expect("a head");
    let envelope = epoch_by(signer, &head.checkpoint, 2);
    let record = wire::envelope::record(envelope.clone()).expect("a record");
    let kind = record.header.body_kind;
    let facts = Facts {
        scope: Arc::new(Scope {
            publisher: signer.member().clone(),
            body_kind: kind,
            reach: Reach::default(),
            publisher_is_reached: false,
            shapes: vec![Shape::default()],
        }),
        record: record.header.name.record,
        revision: 1,
        value_digest: None,
        withdraws: None,
    };
    let verified = signing::verify(Claim {
        payload_type: &envelope.payload_type,
        payload: &envelope.payload,
        signature: &envelope.signatures[0].sig,
        key: &VerifyingKey::from_spki(&signer.key().spki()).expect("a key"),
        value: Box::new(record),
    });
    let place = head.frontier.size();
    let entry = pb::Entry {
        epoch: 2,
        sequence: place,
        accept_time: Some(wire::time::timestamp_to_wire(head.accept_time)),
        envelope: Some(envelope),
        erased: None,
        record: None,
    };
    let leaf_hash = watchfire::store::leaf(&entry).expect("a leaf").hash();
    head.epoch = 2;
    head.push(kind, leaf_hash);
    let pem = std::fs::read_to_string(data.join("log.key")).expect("a key");
    let secret = SecretKey::from_pem(&pem).expect("a key");
    let key = VerifyingKey::from_spki(&secret.spki()).expect("a key");
    let log_key = LogKey::new(signer.exchange(), key).expect("a log key");
    head.checkpoint = log_key.sign(&head.summary(), &secret);
    let new = NewEntry {
        record: verified.expect("it is signed"),
        facts,
        framed: wire::entry::frame(&entry),
        terms: Vec::new(),
        leaf_hash,
    };
    let group = Group { entries: vec![new], head, ..Group::default() };
    store.append(&group).expect("it is written");
    store.apply_views(place, &group.entries).expect("it is found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_is_not_the_operators_is_refused() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("one.example")).await;
    let signer = acme.signer().expect("a key");
    demand(&world.watchfire("birch-social", &["subscribe", "--until-head"]));
    drop(acme);
    world.stop();
    forge_epoch(&world, &signer);
    let verified = watchfired(&["verify", "--data", text(&world.data())]);
    let told = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(told.contains("an epoch that is not the operator's begins"), "{told}");
    world.start(&[]).await;
    let commands: [&[&str]; 3] = [&["list"], &["subscribe", "--until-head"], &["epoch", "accept"]];
    for command in commands {
        let output = world.watchfire("birch-social", command);
        demand_caught_without_evidence(&output, "may sign this record");
    }
    world.stop();
}

fn rotate_log_key(world: &World) {
    demand(&watchfired(&["rotate-log-key", "--data", text(&world.data())]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_restored_to_before_its_key_was_changed_can_be_accepted() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("kept.example")).await;
    drop(acme);
    world.stop();
    let place = scratch();
    let file = place.path().join("backup");
    demand(&back_up(&world, &file));
    let old_key = place.path().join("keys");
    std::fs::create_dir(&old_key).expect("a folder");
    copy_all(&world.data(), &old_key);
    rotate_log_key(&world);
    world.start(&[]).await;
    // One that folds the roster with the new key in it, one that only met its checkpoint, and one that runs on.
    publish(&world.client("acme-video").await, domain("void.example")).await;
    let [folded, met] = [(); 2].map(|()| Victim::of(&world, "birch-social"));
    demand(&folded.watchfire(&world.address(), &["subscribe", "--until-head"]));
    let profile = Profile::open(&met.profile()).expect("a profile");
    let client = Client::connect(profile.at_address(Some(world.address()))).await;
    drop(client.expect("a connection"));
    let mut running = world.command("birch-social", &["subscribe", "--format", "jsonl"]);
    running.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let running = running.spawn().expect("watchfire runs");
    // How many entries about the roster it has folded.
    let folded_in = |profile: &Path| {
        let text = std::fs::read_to_string(profile.join("known_keys.json")).ok()?;
        let known: serde_json::Value = serde_json::from_str(&text).ok()?;
        known["entries"].as_array().map(Vec::len)
    };
    let all = folded_in(&folded.profile()).expect("a roster");
    let own = world.profile_folder("birch-social");
    until("it has the new key", async || folded_in(&own).filter(|count| *count == all).map(drop))
        .await;
    world.kill();

    let mut restored = world.successor();
    let operator = world.profile_folder("operator");
    let more =
        ["--keys", text(&old_key), "--operator", text(&operator), "--reason", "a disk was lost"];
    demand(&restore(&restored, &file, &more));
    restored.start(&[]).await;
    let ended = tokio::task::spawn_blocking(move || running.wait_with_output());
    let ended = tokio::time::timeout(crate::world::PATIENCE, ended).await;
    let output = ended.expect("it ends").expect("no panic").expect("its output");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(NOT_ACCEPTED), "{told}");
    for victim in [&folded, &met] {
        let output = victim.watchfire(&restored.address(), &["list"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(NOT_ACCEPTED), "{told}");
        demand(&victim.watchfire(&restored.address(), &["epoch", "accept"]));
        demand(&victim.watchfire(&restored.address(), &["subscribe", "--until-head"]));
        assert!(victim.evidence().is_empty());
    }
    // The publisher's record is void, and comes again.
    let said = demand(&world.watchfire("acme-video", &["epoch", "accept"]));
    assert!(said.contains("1 batches wait to be sent again"), "{said}");
    demand(&world.watchfire("birch-social", &["epoch", "accept"]));
    let entries = replay(&world.client("birch-social").await, Filter::default()).await;
    assert!(entries.last().is_some_and(|last| last.epoch() == 2));
    restored.finish();
}

fn copy_all(from: &Path, to: &Path) {
    let inside = from.join(".");
    let copied = std::process::Command::new("cp").arg("-a").arg(inside).arg(to).status();
    assert!(copied.expect("cp runs").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_restores_in_a_row_are_accepted_one_by_one_or_together() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("kept.example")).await;
    let place = scratch();
    let files = ["first", "second"].map(|name| place.path().join(name));
    demand(&back_up(&world, &files[0]));
    publish(&acme, domain("void.example")).await;
    let together = Victim::of(&world, "birch-social");
    demand(&together.watchfire(&world.address(), &["subscribe", "--until-head"]));
    drop(acme);
    world.kill();

    let mut second = world.successor();
    demand(&restore_whole(&world, &second, &files[0], &[]));
    second.start(&[]).await;
    demand(&world.watchfire("acme-video", &["epoch", "accept"]));
    demand(&world.watchfire("birch-social", &["epoch", "accept"]));
    let acme = world.client("acme-video").await;
    publish(&acme, domain("between.example")).await;
    demand(&back_up(&second, &files[1]));
    publish(&acme, domain("void-again.example")).await;
    demand(&world.watchfire("birch-social", &["subscribe", "--until-head"]));
    drop(acme);
    second.kill();

    let mut third = world.successor();
    let said = demand(&restore_whole(&world, &third, &files[1], &[]));
    assert!(said.contains("epoch 3 begins at sequence"), "{said}");
    third.start(&[]).await;
    for member in ["acme-video", "birch-social"] {
        let refused = world.watchfire(member, &["list"]);
        assert_eq!(refused.status.code(), Some(NOT_ACCEPTED));
        demand(&world.watchfire(member, &["epoch", "accept"]));
        let again = demand(&world.watchfire(member, &["epoch", "accept"]));
        assert!(again.contains("as this profile knows"), "{again}");
    }
    // One that slept through both accepts them at once.
    let refused = together.watchfire(&third.address(), &["subscribe", "--until-head"]);
    assert_eq!(refused.status.code(), Some(NOT_ACCEPTED));
    demand(&together.watchfire(&third.address(), &["epoch", "accept"]));
    demand(&together.watchfire(&third.address(), &["subscribe", "--until-head"]));
    assert!(together.evidence().is_empty());
    // Everything is there once.
    let entries = replay(&world.client("birch-social").await, Filter::default()).await;
    let mut names: Vec<_> = entries.iter().map(|entry| entry.header().name.clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), entries.len());
    for epoch in 1..=3 {
        assert!(entries.iter().any(|entry| entry.epoch() == epoch), "{epoch}");
    }
    third.finish();
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn an_epoch_that_began_before_a_crash_is_begun_again_without_a_second_entry() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (secret, _) = publish(&acme, domain("secret.example")).await;
    let place = scratch();
    let (old, new) = (place.path().join("old"), place.path().join("new"));
    demand(&back_up(&world, &old));
    let size = size_of(&old);
    publish_for(&acme, recall(&secret), handling(&[], &[])).await;
    let name = secret.to_string().parse().expect("a name");
    until("the body is erased", async || {
        acme.get(&name).await.expect("its header stays").entry.erased_by()
    })
    .await;
    demand(&back_up(&world, &new));
    drop(acme);
    world.kill();

    let mut restored = world.successor();
    let keys = world.data();
    let newer = ["--keys", text(&keys), "--newer-copy", text(&new)];
    demand(&restore(&restored, &old, &newer));
    let waiting = ["restored.json", "restored.checkpoint"].map(|name| restored.data().join(name));
    let kept = waiting.each_ref().map(|path| std::fs::read(path).expect("it waits"));
    let checkpoint = String::from_utf8(kept[1].clone()).expect("a note");
    let operator = Profile::open(&world.profile_folder("operator")).expect("a profile");
    let what = SignEpoch { checkpoint: &checkpoint, epoch: None, reason: "a disk was lost" };
    let signed = sign_epoch(&operator, &what).expect("the operator signs");
    let other = sign_epoch(&operator, &what).expect("the operator signs");
    let begin = |envelope: &pb::Envelope| {
        let path = place.path().join("signed");
        std::fs::write(&path, envelope.encode_to_vec()).expect("a file");
        let data = restored.data();
        watchfired(&["begin-epoch", "--data", text(&data), "--signed", text(&path)])
    };
    // Cut off behind the entry, before what a newer copy knew to be erased is.
    {
        let data = restored.data();
        let store = Store::open(&data.join("store"), 0).expect("the store");
        let genesis = std::fs::read(data.join("genesis.envelope")).expect("a file");
        let genesis = pb::Envelope::decode(genesis.as_slice()).expect("an envelope");
        let pem = std::fs::read_to_string(data.join("log.key")).expect("a key");
        let secret = SecretKey::from_pem(&pem).expect("a key");
        let clock = SystemClock::default();
        begin_epoch(&store, genesis, &secret, signed.clone(), &[], &clock).expect("it begins");
    }
    let served =
        watchfired(&["serve", "--data", text(&restored.data()), "--listen", "127.0.0.1:0"]);
    assert_eq!(served.status.code(), Some(78), "it is not served half begun");
    // Another entry does not begin it a second time.
    let refused = begin(&other);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("this one ends with"), "{told}");
    let expected = format!("epoch 2 begins at sequence {size}");
    let said = demand(&begin(&signed));
    assert!(said.contains(&expected) && said.contains("1 bodies were erased,"), "{said}");
    // Cut off at the end, before it is no longer waited for.
    for (path, bytes) in waiting.iter().zip(&kept) {
        std::fs::write(path, bytes).expect("it waits again");
    }
    let said = demand(&begin(&signed));
    assert!(said.contains(&expected), "{said}");
    assert!(waiting.iter().all(|path| !path.exists()));
    demand(&watchfired(&["verify", "--data", text(&restored.data())]));
    restored.start(&[]).await;
    demand(&world.watchfire("birch-social", &["epoch", "accept"]));
    let birch = world.client("birch-social").await;
    // The entry that begins it, and one notice.
    assert_eq!(head(&birch), size + 2);
    assert_eq!(birch.get(&name).await.expect("its header").entry.erased_by(), Some(size + 1));
    drop(birch);
    restored.finish();
}
