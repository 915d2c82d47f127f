//! The disk (T-S5, T-S6): full, read-only, slow, failing. What was acknowledged is there, nobody is told more than that,
//! and reads go on as long as there is anything to read.
//!
//! Volumes are real; failures of calls are made by `strace --inject` around the real hub.

#![expect(clippy::excessive_nesting, reason = "a round is read from its top to its end")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;
use watchfire::client::Client;
use watchfire::client::From;
use watchfire::client::VerifiedEntry;
use watchfire::model::filter::Filter;
use watchfire::model::names::Digest;
use watchfire::model::names::sha256;
use watchfire::wire::pb;

use crate::answers::Questions;
use crate::hub::Hub;
use crate::hub::connect;
use crate::hub::said;
use crate::rot::RECORDS;
use crate::rot::publish_many;
use crate::trials::Lane;
use crate::trials::Trials;
use crate::volume::Volume;
use crate::world::Ends;
use crate::world::PATIENCE;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::hub_program;
use crate::world::next_entries;
use crate::world::publish;
use crate::world::replay;
use crate::world::scratch;
use crate::world::sign;
use crate::world::subscribe;
use crate::world::watchfired;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
const MIB: u64 = 1024 * 1024;
/// What `watchfired` promises to end with when a write failed.
const WRITE_FAILED: i32 = 74;
/// A failed write ends the hub within a second (noted); a machine that is busy may take longer.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
/// From the first call that fails to the end of the process.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What was promised: identity to place.
type Receipts = BTreeMap<Digest, u64>;

/// What became of one record.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Receipt,
    Refused(String),
    /// The hub is gone.
    Nothing,
}

/// Publishes one record, with a deadline.
async fn publish_one(client: &Client, number: usize, receipts: &mut Receipts) -> Told {
    let signer = client.signer().expect("a key");
    let mut content = domain(&format!("n{number}.example"));
    if let pb::body::Content::Indicator(indicator) = &mut content {
        indicator.description = "d".repeat(3000);
    }
    let envelope = sign(client, draft(&signer, content, handling(&["companies"], &[])));
    let request = pb::PublishRequest { envelopes: vec![envelope], ..Default::default() };
    let mut service = client.exchange_service();
    let answer = tokio::time::timeout(PATIENCE, service.publish(request)).await;
    let Ok(answer) = answer.expect("an answer within the deadline") else { return Told::Nothing };
    let result = answer.into_inner().results.into_iter().next().expect("a result");
    match result.outcome.expect("an outcome") {
        pb::publish_result::Outcome::Receipt(receipt) => {
            let digest = receipt.header_digest.try_into().expect("32 bytes");
            receipts.insert(digest, receipt.sequence);
            Told::Receipt
        }
        pb::publish_result::Outcome::Refusal(refusal) => Told::Refused(refusal.reason),
    }
}

/// How many of what was promised are not in their places.
fn lost(receipts: &Receipts, places: &BTreeMap<Digest, u64>) -> usize {
    receipts.iter().filter(|(digest, place)| places.get(*digest) != Some(*place)).count()
}

async fn places(client: &Client) -> BTreeMap<Digest, u64> {
    let entries = replay(client, Filter::default()).await;
    entries.iter().map(|entry| (sha256(&entry.envelope().payload), entry.sequence())).collect()
}

/// Nothing is lost; and a record that nobody was promised would be missed.
async fn demand_all(client: &Client, receipts: &Receipts) {
    let places = places(client).await;
    assert_eq!(lost(receipts, &places), 0, "what was promised is there");
    let mut more = receipts.clone();
    more.insert([7; 32], 1);
    assert_eq!(lost(&more, &places), 1, "the check misses what is missing");
}

fn keep_free(world: &World, bytes: u64) {
    world.configure(&format!("\n[store]\nmin_free_bytes = {bytes}\n"));
}

fn log_of(world: &World) -> PathBuf {
    world.data().join("faults.log")
}

/// Starts the hub behind some words, and waits for it.
async fn start(world: &World, words: &[String]) -> Hub {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Hub::spawn(&words, world, &log_of(world)).serving(world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_volume_refuses_publishes_serves_reads_and_recovers_by_space_alone() {
    let world = World::with_members_then_stopped(MEMBERS).await;
    keep_free(&world, 8 * MIB);
    let volume = Volume::of_store(&world, 32 * MIB);
    let hub = start(&world, &volume.words()).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let mut receipts = Receipts::new();
    assert_eq!(publish_one(&acme, 0, &mut receipts).await, Told::Receipt);
    let mut live = subscribe(&birch, From::Start, Filter::default(), Ends::Never).await;
    next_entries(&mut live).await;
    volume.fill_to(7 * MIB);
    let since = Instant::now();
    for number in 1..4 {
        let told = publish_one(&acme, number, &mut receipts).await;
        assert_eq!(told, Told::Refused("STORE_FULL".to_owned()));
    }
    assert!(since.elapsed() < PATIENCE, "a refusal is an answer, and not a silence");
    demand_all(&birch, &receipts).await;
    volume.make_room();
    assert_eq!(publish_one(&acme, 4, &mut receipts).await, Told::Receipt);
    let newest = receipts.values().max().copied();
    while next_entries(&mut live).await.last().map(VerifiedEntry::sequence) != newest {}
    demand_all(&birch, &receipts).await;
    drop(live);
    assert_eq!(hub.log_text().matches("the disk is full").count(), 1, "an alarm is told once");
    hub.stop().await;
    volume.give_back(&world);
    world.check_log();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_volume_of_the_audit_log_keeps_no_hub_from_starting() {
    let world = World::with_members_then_stopped(MEMBERS).await;
    world.configure("\n[audit]\nfile = \"papers/audit.jsonl\"\n");
    let volume = Volume::at(&world.data().join("papers"), MIB);
    // A crash left a line that fills its page: there is no room even for its end.
    let file = volume.inside().join("audit.jsonl");
    std::fs::write(&file, [b'{'; 4096]).expect("it is written");
    volume.fill_to(0);
    let hub = start(&world, &volume.words()).await;
    let acme = world.client("acme-video").await;
    assert_eq!(publish_one(&acme, 0, &mut Receipts::new()).await, Told::Receipt);
    let alarm = "the audit log cannot be written; the hub goes on";
    assert_eq!(hub.log_text().matches(alarm).count(), 1, "{}", hub.log_text());
    volume.make_room();
    crate::world::until("what was held back is there", || async {
        let text = std::fs::read(&file).ok()?;
        String::from_utf8_lossy(&text).contains("\"what\":\"serve\"").then_some(())
    })
    .await;
    assert!(hub.log_text().contains("the audit log is written again"));
    drop(acme);
    hub.stop().await;
    let verified = watchfire::server::verify_audit(&[file]).expect("it holds");
    assert_eq!(verified.cut, 1);
    drop(volume);
    world.check_log();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_others_fill_to_the_last_byte_takes_nothing_that_was_acknowledged() {
    let mut trials = Trials::of("disk_last_byte", 2, 50);
    while let Some(mut round) = trials.next() {
        let world = World::with_members_then_stopped(MEMBERS).await;
        // No guard: the log itself meets the end of the volume.
        keep_free(&world, 0);
        let volume = Volume::of_store(&world, 24 * MIB);
        let hub = start(&world, &volume.words()).await;
        let acme = world.client("acme-video").await;
        let mut receipts = Receipts::new();
        let before = usize::try_from(round.below(300)).expect("a number");
        for number in 0..before {
            assert_eq!(publish_one(&acme, number, &mut receipts).await, Told::Receipt);
        }
        volume.fill_to(0);
        let mut told = Told::Receipt;
        let mut number = before;
        // What the log has ahead of it is written still.
        while told == Told::Receipt {
            told = publish_one(&acme, number, &mut receipts).await;
            number += 1;
        }
        round.note("told", format!("{told:?}"));
        let status = hub.end().await;
        assert_eq!(status.code(), Some(WRITE_FAILED), "{told:?}");
        volume.make_room();
        round.note("lost", 0);
        let hub = start(&world, &volume.words()).await;
        let acme = world.client("acme-video").await;
        demand_all(&acme, &receipts).await;
        assert_eq!(publish_one(&acme, number, &mut receipts).await, Told::Receipt);
        demand_all(&acme, &receipts).await;
        hub.stop().await;
        volume.give_back(&world);
        world.check_log();
        round.note("receipts", receipts.len());
        trials.keep(round);
    }
    trials.finish();
}

/// Words before the hub, so that calls fail or wait; what was done lies in a file.
fn traced(file: &Path, calls: &str, inject: &str) -> Vec<String> {
    let file = file.to_str().expect("text");
    let (calls, inject) = (format!("trace={calls}"), format!("inject={inject}"));
    let words =
        ["strace", "-D", "-f", "-qq", "-ttt", "-o", file, "-e", &calls, "-e", &inject, "--"];
    words.map(str::to_owned).to_vec()
}

/// When a call was made to fail first.
fn first_failure(trace: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(trace).unwrap_or_default();
    let line = text.lines().find(|line| line.contains("(INJECTED)"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn now() -> f64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_or_sync_ends_the_hub_at_once_and_a_new_start_finds_everything() {
    const CALLS: [&str; 2] = ["fdatasync", "pwrite64"];
    const ERRORS: [&str; 4] = ["EIO", "EROFS", "ENOSPC", "EDQUOT"];
    let mut trials = Trials::of("disk_failed_call", 6, 300);
    while let Some(mut round) = trials.next() {
        let mut world = World::with_members_then_stopped(MEMBERS).await;
        let call = CALLS[usize::try_from(round.below(2)).expect("a number")];
        let error = ERRORS[usize::try_from(round.below(4)).expect("a number")];
        let which = 12 + round.below(60);
        let folder = scratch();
        let trace = folder.path().join("trace");
        let words = traced(&trace, call, &format!("{call}:error={error}:when={which}+"));
        let hub = start(&world, &words).await;
        let acme = world.client("acme-video").await;
        let mut receipts = Receipts::new();
        let mut number = 0;
        let told = loop {
            let told = publish_one(&acme, number, &mut receipts).await;
            number += 1;
            if told != Told::Receipt {
                break told;
            }
        };
        // A caller hears that nobody knows, or nothing at all; never that it is done, nor that it is not.
        let is_open = told == Told::Nothing || told == Told::Refused("OUTCOME_UNKNOWN".to_owned());
        assert!(is_open, "{told:?}");
        let since = Instant::now();
        let status = hub.end().await;
        let ended = now();
        assert!(since.elapsed() < ENDS_WITHIN, "it goes on without its disk");
        assert_eq!(status.code(), Some(WRITE_FAILED), "after {call} failed with {error}");
        let refuses = connect(&world, "acme-video").await;
        assert!(refuses.is_err(), "a hub that ended answers nobody");
        round.note("call", format!("{call} {error}"));
        round.note("failed_after", which);
        if let Some(failed) = first_failure(&trace) {
            round.note("seconds_from_first_failure", ended - failed);
            // With a commit the machine does all kinds of things beside it.
            let within = if Lane::of_this_run() == Lane::Commit { ENDS_WITHIN } else { AT_ONCE };
            assert!(ended - failed < within.as_secs_f64(), "after {call} failed with {error}");
        }
        round.note("seconds_to_exit", since.elapsed().as_secs_f64());
        let since = Instant::now();
        world.start(&[]).await;
        round.note("recovery_seconds", since.elapsed().as_secs_f64());
        let acme = world.client("acme-video").await;
        demand_all(&acme, &receipts).await;
        assert_eq!(publish_one(&acme, number, &mut receipts).await, Told::Receipt);
        round.note("receipts", receipts.len());
        round.note("lost", 0);
        world.finish();
        trials.keep(round);
    }
    trials.finish();
}

#[test]
fn the_unit_file_starts_the_hub_again_after_a_failed_write_and_not_after_damage() {
    let unit = include_str!("../../packaging/watchfired.service");
    let setting = |name: &str| {
        let lines = unit.lines().filter_map(|line| line.split_once('='));
        lines.filter(|(key, _value)| *key == name).map(|(_key, value)| value).next_back()
    };
    // 74 is a failure, so that it is among those after which systemd starts the service again.
    assert_eq!(setting("Restart"), Some("on-failure"));
    assert_eq!(setting("RestartPreventExitStatus"), Some("78"));
    assert_eq!(setting("SuccessExitStatus"), None);
    // A disk may fail for hours: systemd must not give up before it is well again.
    assert_eq!(setting("StartLimitIntervalSec"), Some("0"));
    // What fails before the main process has an exit code of its own, which is not looked at.
    assert_eq!(setting("ExecStartPre"), None);
    let pause = setting("RestartSec").and_then(|text| text.parse::<u64>().ok()).expect("a number");
    assert!((2..=5).contains(&pause), "it is away for a few seconds, and the disk has a rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_before_a_slow_sync_and_reads_go_on_meanwhile() {
    const DELAY: Duration = Duration::from_millis(800);
    let world = World::with_members_then_stopped(MEMBERS).await;
    let folder = scratch();
    let trace = folder.path().join("trace");
    let delay = format!("fdatasync:delay_enter={}", DELAY.as_micros());
    let hub = start(&world, &traced(&trace, "fdatasync", &delay)).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let mut receipts = Receipts::new();
    for number in 0..3 {
        let reads = async {
            let mut done = 0_u32;
            loop {
                let request = pb::GetExchangeRequest {};
                birch.roster_service().get_exchange(request).await.expect("an answer");
                replay(&birch, Filter::default()).await;
                done += 1;
                if done >= 3 {
                    return done;
                }
            }
        };
        let since = Instant::now();
        let publishing = async {
            let told = publish_one(&acme, number, &mut receipts).await;
            (told, since.elapsed())
        };
        let reading = async {
            let done = reads.await;
            (done, since.elapsed())
        };
        let ((told, published), (done, _read)) = tokio::join!(publishing, reading);
        assert!(told == Told::Receipt || told == Told::Refused("BUSY".to_owned()), "{told:?}");
        assert!(done == 3 && published >= DELAY, "acknowledged {published:?} after it was sent");
    }
    // One publish is waiting for its sync, and others are answered: they do not wait for each other.
    let (since, mut answered, is_over) = (Instant::now(), 0_u32, Cell::new(false));
    let waiting = async {
        let told = publish_one(&acme, 100, &mut receipts).await;
        is_over.set(true);
        told
    };
    let asking = async {
        let mut service = birch.roster_service();
        while !is_over.get() {
            service.get_exchange(pb::GetExchangeRequest {}).await.expect("an answer");
            answered += u32::from(!is_over.get());
        }
    };
    let (told, ()) = tokio::join!(waiting, asking);
    assert_eq!(told, Told::Receipt);
    assert!(since.elapsed() >= DELAY && answered > 0, "{answered} reads went on meanwhile");
    assert_eq!(receipts.len(), 4, "a slow disk loses nothing");
    demand_all(&birch, &receipts).await;
    hub.stop().await;
    world.check_log();
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_fail_are_refused_and_never_wrong_and_go_on_when_the_disk_does() {
    let mut world = World::with(MEMBERS).await;
    let quota = ["quota", "set", "acme-video", "--records-per-second", "1000000"];
    demand(&world.watchfire("operator", &quota));
    // So many that a start does not read them all.
    let (receipts, published) = {
        let acme = world.client("acme-video").await;
        let receipts = publish_many(&acme, RECORDS, &mut Questions::default()).await;
        (receipts, replay(&acme, Filter::default()).await)
    };
    world.stop();
    let hub = start(&world, &["env".to_owned()]).await;
    let good = {
        // The pages are on the disk until they are asked for.
        let folder = scratch();
        let mut tracer = tracer_of(&hub, &folder).await;
        let birch = world.client("birch-social").await;
        let mut refused = 0;
        for sequence in receipts.values().step_by(150) {
            let request = pb::SubscribeRequest {
                start: Some(pb::subscribe_request::Start::Sequence(*sequence)),
                until_head: true,
                ..Default::default()
            };
            match first_of(&birch, request).await {
                Ok(found) => assert!(
                    receipts.get(&found).is_some_and(|place| place >= sequence),
                    "it is one of those that were published"
                ),
                Err(reason) => {
                    assert!(["STORE_CORRUPT", "BUSY"].contains(&reason.as_str()), "{reason}");
                    refused += 1;
                }
            }
        }
        // One record's read fails, and everybody's publishing goes on: the sequencer reads what is sent again.
        let places: BTreeSet<u64> = receipts.values().copied().collect();
        let own = published.iter().filter(|entry| places.contains(&entry.sequence()));
        let told = tell_again(&world.client("acme-video").await, own.step_by(150)).await;
        assert!(told.contains("BUSY") || told.contains("STORE_CORRUPT"), "{told:?}");
        tracer.kill().await.expect("it can be killed");
        assert!(first_failure(&folder.path().join("trace")).is_some(), "no read failed");
        assert!(refused > 0, "a failed read was not noticed");
        birch
    };
    demand_all(&good, &receipts).await;
    hub.stop().await;
    world.check_log();
}

/// What becomes of records that are sent again, each alone: the reasons for which there was no receipt.
async fn tell_again(
    client: &Client,
    entries: impl Iterator<Item = &VerifiedEntry>,
) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    for entry in entries {
        let envelopes = vec![entry.envelope().clone()];
        let request = pb::PublishRequest { envelopes, ..pb::PublishRequest::default() };
        match client.exchange_service().publish(request).await {
            Ok(answer) => {
                let outcome = answer.into_inner().results.into_iter().next();
                if let Some(pb::publish_result::Outcome::Refusal(refusal)) =
                    outcome.and_then(|result| result.outcome)
                {
                    told.insert(refusal.reason);
                }
            }
            Err(status) => {
                told.insert(reason_of(&status));
            }
        }
    }
    told
}

fn reason_of(status: &tonic::Status) -> String {
    use tonic_types::StatusExt as _;

    let info = status.get_details_error_info().map(|info| info.reason);
    info.unwrap_or_else(|| status.to_string())
}

/// The first entry of a stream, by its identity, or the reason why there is none.
async fn first_of(client: &Client, request: pb::SubscribeRequest) -> Result<Digest, String> {
    let reason = |status: tonic::Status| reason_of(&status);
    let mut stream =
        client.exchange_service().subscribe(request).await.map_err(reason)?.into_inner();
    loop {
        let frame = stream.message().await.map_err(reason)?.ok_or("the stream ended")?;
        if let Some(entry) = frame.entries.into_iter().next() {
            return Ok(sha256(&entry.envelope.expect("an envelope").payload));
        }
    }
}

/// A tracer that makes every read of the hub's disk fail, at work.
async fn tracer_of(hub: &Hub, folder: &TempDir) -> tokio::process::Child {
    let (file, words) = (folder.path().join("trace"), folder.path().join("words"));
    let tracer = tokio::process::Command::new("strace")
        .args(["-f", "-ttt", "-o"])
        .arg(file)
        .args(["-e", "trace=pread64", "-e", "inject=pread64:error=EIO", "-p"])
        .arg(hub.id().to_string())
        .stderr(std::fs::File::create(&words).expect("a file"))
        .kill_on_drop(true)
        .spawn()
        .expect("strace runs");
    crate::world::until("strace is attached", || async {
        std::fs::read_to_string(&words).expect("its words").contains("attached").then_some(())
    })
    .await;
    tracer
}

/// Processor time of a process so far.
fn processor_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("its figures");
    let (_name, figures) = stat.rsplit_once(')').expect("a name");
    let figure = |at: usize| -> f64 {
        figures.split_whitespace().nth(at).expect("a figure").parse().expect("a number")
    };
    // User and system time, in hundredths on every Linux.
    (figure(11) + figure(12)) / 100.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_without_files_left_waits_without_spinning_and_recovers() {
    const FILES: &str = "64";
    let world = World::with_members_then_stopped(MEMBERS).await;
    let limit = format!("--nofile={FILES}:{FILES}");
    let hub = start(&world, &["prlimit".to_owned(), limit, "--".to_owned()]).await;
    let acme = world.client("acme-video").await;
    let mut receipts = Receipts::new();
    assert_eq!(publish_one(&acme, 0, &mut receipts).await, Told::Receipt);
    let mut held = Vec::new();
    for _connection in 0..100 {
        let address = world.address();
        held.push(tokio::net::TcpStream::connect(address).await.expect("the kernel takes it"));
    }
    let open = || std::fs::read_dir(format!("/proc/{}/fd", hub.id())).expect("its files").count();
    crate::world::until("no file is left", || async { (open() >= 62).then_some(()) }).await;
    let (before, since) = (processor_seconds(hub.id()), Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let share = (processor_seconds(hub.id()) - before) / since.elapsed().as_secs_f64();
    assert!(share < 0.2, "it spins: {share} of a processor");
    // Who is connected is served.
    assert_eq!(publish_one(&acme, 1, &mut receipts).await, Told::Receipt);
    drop(held);
    crate::world::until("others are let in again", || async {
        connect(&world, "birch-social").await.ok()
    })
    .await;
    demand_all(&acme, &receipts).await;
    hub.stop().await;
    world.check_log();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_on_a_full_disk_say_so_and_leave_the_store_whole() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let mut receipts = Receipts::new();
    for number in 0..300 {
        assert_eq!(publish_one(&acme, number, &mut receipts).await, Told::Receipt);
    }
    world.stop();
    let place = scratch();
    let small = Volume::at(&place.path().join("small"), MIB / 2);
    let inside = |name: &str| place.path().join("small").join(name);
    let text = |path: PathBuf| path.to_str().expect("text").to_owned();
    let data = text(world.data());
    let run = |volume: &Volume, line: &[&str]| {
        let words = volume.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(hub_program()).args(line).output().expect("it runs")
    };
    let fails = |output: &std::process::Output, what: &str| {
        assert!(!output.status.success(), "{what} on a full disk");
        let words = said(output);
        assert!(words.contains("No space left") || words.contains("free"), "{what}: {words}");
    };
    fails(&run(&small, &["backup", "--data", &data, "--out", &text(inside("backup"))]), "backup");
    let left: Vec<_> = std::fs::read_dir(small.inside()).expect("a folder").collect();
    assert!(left.is_empty(), "half a backup is none: {left:?}");

    let backup = text(place.path().join("backup"));
    demand(&watchfired(&["backup", "--data", &data, "--out", &backup]));
    let operator = text(world.profile_folder("operator"));
    let to = text(inside("restored"));
    let line =
        ["restore", "--from", &backup, "--data", &to, "--keys", &data, "--operator", &operator];
    fails(&run(&small, &[&line[..], &["--reason", "a disk was lost"]].concat()), "restore");
    drop(small);

    // The store and its copy do not both fit.
    let used = std::fs::metadata(world.data().join("store/db")).expect("the log").len();
    let data_folder = world.data();
    let saved = data_folder.with_extension("saved");
    std::fs::rename(&data_folder, &saved).expect("it is moved");
    let volume = Volume::at(&data_folder, used + 2 * MIB);
    let copied = Command::new("cp").arg("-a").arg(saved.join(".")).arg(volume.inside()).status();
    assert!(copied.expect("cp runs").success());
    // What the log had ahead of it is given back, and on so small a volume not taken again.
    demand(&run(&volume, &["verify", "--data", &data]));
    volume.fill_to(MIB / 4);
    fails(&run(&volume, &["compact", "--data", &data]), "compact");
    volume.make_room();
    demand(&run(&volume, &["verify", "--data", &data]));
    drop(volume);
    std::fs::remove_dir(&data_folder).expect("it is empty without its volume");
    std::fs::rename(&saved, &data_folder).expect("it is moved back");
    world.start(&[]).await;
    demand_all(&world.client("acme-video").await, &receipts).await;
    publish(&world.client("acme-video").await, domain("after.example")).await;
    world.finish();
}
