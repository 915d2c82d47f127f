//! What a subscriber keeps survives SIGKILL at random moments: everything once, and the place with it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Child;
use std::process::Stdio;

use tokio_util::sync::CancellationToken;
use watchfire::client::Client;
use watchfire::client::Fact;
use watchfire::client::VerifiedEntry;
use watchfire::model::filter::Filter;
use watchfire::model::time::Timestamp;
use watchfire::wire::pb;

use crate::durable::pause;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::publish_for;
use crate::world::random_moment;
use crate::world::replay;
use crate::world::scratch;
use crate::world::sign;
use crate::world::until;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
/// Kills of each client in one run; more by the environment.
const ROUNDS: u32 = 25;
const BATCH: usize = 20;

fn rounds() -> u32 {
    let more = std::env::var("WATCHFIRE_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok());
    more.unwrap_or(ROUNDS)
}

/// Publishes records, and withdraws some of them, until it is told to stop.
async fn publish_on(client: Client, stop: CancellationToken) {
    let signer = client.signer().expect("a key");
    let mut number = 0;
    while !stop.is_cancelled() {
        let drafts: Vec<_> = (0..BATCH)
            .map(|_| {
                number += 1;
                let content = domain(&format!("n{number}.example"));
                draft(&signer, content, handling(&["companies"], &[]))
            })
            .collect();
        let names = drafts.iter().map(|draft| draft.name.clone()).step_by(BATCH / 2);
        let recalled: Vec<_> = names.zip([true, false]).collect();
        let envelopes = drafts.into_iter().map(|draft| sign(&client, draft)).collect();
        let request = pb::PublishRequest { envelopes, ..pb::PublishRequest::default() };
        client.exchange_service().publish(request).await.expect("an answer");
        for (name, demand_deletion) in recalled {
            let content = pb::body::Content::Withdrawal(pb::Withdrawal {
                of: name.to_string(),
                reason: pb::WithdrawalReason::Error.into(),
                demand_deletion,
                // The hub's own copies stay, so that all can be compared with them.
                acknowledge_by_time: Some(watchfire::wire::time::timestamp_to_wire(
                    Timestamp::from_micros(4_000_000_000_000_000).expect("a time"),
                )),
                ..pb::Withdrawal::default()
            });
            publish_for(&client, content, handling(&[], &[])).await;
        }
    }
}

fn start(world: &World, arguments: &[&str]) -> Child {
    let mut command = world.command("birch-social", arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("watchfire runs")
}

/// Starts a client that keeps what comes, and kills it.
async fn keep_and_kill(world: &World, target: &str) {
    // Answers would be further entries: they have tests of their own.
    let mut child = start(world, &["subscribe", "--no-acknowledge", "--into", target]);
    pause(random_moment() * 6).await;
    assert!(child.try_wait().expect("its state").is_none(), "it ran until it was killed");
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
}

/// What is held at a sequence: the identity of the revision, and whether its payload is there.
type Held = BTreeMap<u64, (String, bool)>;

fn take_line(line: &str, held: &mut Held) {
    let fact: Fact = serde_json::from_str(line).expect("an entry");
    let whole = fact.deleted.is_none();
    let before = held.insert(fact.sequence, (fact.header_digest, whole));
    assert!(before.is_none(), "sequence {} is there twice", fact.sequence);
}

fn take_folder(folder: &Path, held: &mut Held) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_str().expect("a text").to_owned();
        if path.is_dir() {
            take_folder(&path, held);
        } else if name != "withdrawn.json" {
            assert_eq!(path.extension().and_then(|own| own.to_str()), Some("json"), "{name}");
            take_line(std::fs::read_to_string(&path).expect("a file").trim_end(), held);
        }
    }
}

fn take_database(path: &Path, held: &mut Held) {
    let database = rusqlite::Connection::open(path).expect("a database");
    let mut rows = database
        .prepare("SELECT sequence, header_digest, envelope IS NOT NULL FROM records")
        .expect("a table");
    let rows = rows.query_map([], |row| {
        let sequence: i64 = row.get(0)?;
        let whole: bool = row.get(2)?;
        Ok((sequence, row.get(1)?, whole))
    });
    for row in rows.expect("rows") {
        let (sequence, digest, whole) = row.expect("a row");
        let sequence = u64::try_from(sequence).expect("a sequence");
        held.insert(sequence, (digest, whole));
    }
}

/// Which sequences a sink must hold whole, and which as facts.
fn check(held: &Held, entries: &[VerifiedEntry], deleted: &BTreeSet<u64>, what: &str) {
    let expected: Held = entries
        .iter()
        .map(|entry| {
            let whole = !deleted.contains(&entry.sequence());
            (entry.sequence(), (hex::encode(entry.header_digest()), whole))
        })
        .collect();
    assert_eq!(*held, expected, "{what}");
}

fn deleted(entries: &[VerifiedEntry]) -> BTreeSet<u64> {
    let names: BTreeSet<&str> = entries
        .iter()
        .filter_map(|entry| match entry.body().content.as_ref() {
            Some(pb::body::Content::Withdrawal(withdrawal)) if withdrawal.demand_deletion => {
                Some(withdrawal.of.as_str())
            }
            _ => None,
        })
        .collect();
    let of = |entry: &&VerifiedEntry| names.contains(entry.header().name.to_string().as_str());
    entries.iter().filter(of).map(VerifiedEntry::sequence).collect()
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn sinks_hold_everything_once_however_often_the_client_is_killed() {
    let world = World::with(MEMBERS).await;
    let place = scratch();
    let (folder, file) = (place.path().join("folder"), place.path().join("records.jsonl"));
    let database = place.path().join("records.db");
    let targets = [
        folder.display().to_string(),
        format!("sqlite:{}", database.display()),
        format!("jsonl:{}", file.display()),
    ];
    let stop = CancellationToken::new();
    let acme = world.client("acme-video").await;
    let publisher = publish_on(acme.clone(), stop.clone());
    let kills = async {
        for _round in 0..rounds() {
            let [a, b, c] = targets.each_ref().map(|target| keep_and_kill(&world, target));
            tokio::join!(a, b, c);
        }
        stop.cancel();
    };
    tokio::join!(publisher, kills);
    for target in &targets {
        let whole = ["subscribe", "--until-head", "--no-acknowledge", "--into", target];
        demand(&world.watchfire("birch-social", &whole));
    }

    let birch = world.client("birch-social").await;
    let entries = replay(&birch, Filter::default()).await;
    let deleted = deleted(&entries);
    assert!(deleted.len() > 10, "the load was too small: {}", deleted.len());
    let (mut in_folder, mut in_database, mut in_file) = (Held::new(), Held::new(), Held::new());
    take_folder(&folder.join("records"), &mut in_folder);
    take_database(&database, &mut in_database);
    let text = std::fs::read_to_string(&file).expect("a file");
    for line in text.lines() {
        take_line(line, &mut in_file);
    }
    check(&in_folder, &entries, &deleted, "the folder");
    check(&in_database, &entries, &deleted, "the database");
    check(&in_file, &entries, &deleted, "the file");

    // What is whole verifies again, and the place is at the head.
    let path = file.to_str().expect("a path in UTF-8");
    let counted = demand(&world.watchfire("birch-social", &["verify", path]));
    let whole = entries.len() - deleted.len();
    assert!(counted.contains(&format!("{whole} verified, 0 failed")), "{counted}");
    let last = entries.last().expect("an entry").sequence();
    assert_eq!(json(&folder.join("place.json"))["sequence"], last);
    assert_eq!(json(&place.path().join("records.jsonl.place"))["place"]["sequence"], last);
    let kept: i64 = rusqlite::Connection::open(&database)
        .expect("a database")
        .query_row("SELECT sequence FROM sink", [], |row| row.get(0))
        .expect("a place");
    assert_eq!(u64::try_from(kept), Ok(last));
    println!("{} entries over {} kills of each", entries.len(), rounds());
    world.finish();
}

/// A command that keeps its batch in a file named after it, and fails now and then, before or after that.
const FICKLE: &str = r#"
name=$WATCHFIRE_EPOCH-$WATCHFIRE_FIRST_SEQUENCE-$WATCHFIRE_LAST_SEQUENCE
echo "$name" >> runs
case $(od -An -N1 -tu1 /dev/urandom | tr -d ' ') in *[012]) exit 7 ;; esac
cat > "$$.part"
mv "$$.part" "$name.jsonl"
case $(od -An -N1 -tu1 /dev/urandom | tr -d ' ') in *[34]) exit 8 ;; esac
echo "$name" >> done
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_at_random_acknowledges_only_what_succeeded() {
    let world = World::with(MEMBERS).await;
    let place = scratch();
    let command = format!("cd {} || exit 9; {FICKLE}", place.path().display());
    let arguments = ["subscribe", "--cursor", "fickle", "--exec", &command];
    let stop = CancellationToken::new();
    let publisher = publish_on(world.client("acme-video").await, stop.clone());
    let mut failures = 0;
    let kills = async {
        for _round in 0..rounds() {
            let mut child = start(&world, &arguments);
            pause(random_moment() * 6).await;
            let ended = child.try_wait().expect("its state");
            assert!(ended.is_none_or(|status| status.code() == Some(1)), "{ended:?}");
            failures += usize::from(ended.is_some());
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
        stop.cancel();
    };
    tokio::join!(publisher, kills);
    let whole = [&arguments[..], &["--until-head"]].concat();
    loop {
        let ended = world.watchfire("birch-social", &whole);
        if ended.status.success() {
            break;
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains("exit code 7 on") || said.contains("exit code 8 on"), "{said}");
        failures += 1;
    }
    assert!(failures > 0, "the command never failed");

    let lines = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(place.path().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    // The next batch is another one only if the one before succeeded.
    let (runs, done) = (lines("runs"), lines("done"));
    for pair in runs.windows(2) {
        assert!(pair[0] == pair[1] || done.contains(&pair[0]), "{pair:?} without success");
    }
    let mut held = Held::new();
    for name in done.iter().collect::<BTreeSet<_>>() {
        for line in lines(&format!("{name}.jsonl")) {
            take_line(&line, &mut held);
        }
    }
    let entries = replay(&world.client("birch-social").await, Filter::default()).await;
    check(&held, &entries, &BTreeSet::new(), "what succeeded");
    println!("{} entries, {failures} failures, {} runs", entries.len(), runs.len());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_with_the_client_and_with_its_time() {
    let world = World::with(MEMBERS).await;
    let place = scratch();
    let pid = place.path().join("pid");
    let hangs = format!("sleep 600 & echo $! > {}; wait", pid.display());
    let cursor = place.path().join("cursor.json");
    let cursor = cursor.to_str().expect("a path in UTF-8");
    let arguments = ["subscribe", "--cursor-file", cursor, "--exec", &hangs];

    let timed = [&arguments[..], &["--exec-timeout", "1"]].concat();
    let ended = world.watchfire("birch-social", &timed);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("was killed after 1 s on sequences 0 to"), "{said}");
    gone(&pid).await;
    assert_eq!(json(Path::new(cursor))["sequence"], serde_json::Value::Null);

    std::fs::remove_file(&pid).expect("a file");
    let mut child = start(&world, &arguments);
    until("the command runs", || async {
        std::fs::read_to_string(&pid).ok().filter(|text| text.ends_with('\n'))
    })
    .await;
    World::signal(&child, "-TERM");
    assert!(child.wait().expect("it ends").success());
    gone(&pid).await;
    assert_eq!(json(Path::new(cursor))["sequence"], serde_json::Value::Null);
    world.finish();
}

/// Waits until a process is gone whose number a command wrote.
async fn gone(pid: &Path) {
    let number = std::fs::read_to_string(pid).expect("a number");
    let stat = format!("/proc/{}/stat", number.trim());
    until("the command is gone", || async {
        let lives = std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z "));
        (!lives).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_of_something_else_is_refused_at_the_front_door() {
    let world = World::with(MEMBERS).await;
    let place = scratch();
    for target in ["folder", "sqlite:records.db", "jsonl:records.jsonl"] {
        let (kind, name) = target.rsplit_once(':').map_or(("", target), |(_, name)| (target, name));
        let kind = kind.split_once(':').map_or(String::new(), |(kind, _)| format!("{kind}:"));
        let target = format!("{kind}{}", place.path().join(name).display());
        let into = ["subscribe", "--until-head", "--into", &target];
        demand(&world.watchfire("birch-social", &into));
        demand(&world.watchfire("birch-social", &into));
        let filtered = [&into[..], &["--kind", "domain"]].concat();
        let refused = world.watchfire("birch-social", &filtered);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("it was made for another filter"), "{said}");
        let refused = world.watchfire("acme-video", &into);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("it was made for another member"), "{said}");
    }
    world.finish();
}
