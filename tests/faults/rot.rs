//! Bit rot (T-S4): one flipped bit anywhere in a stopped data directory is harmless, or it is noticed and named.
//!
//! Most flips are judged by a child process that opens the store as the hub does and reads everything there is in it; one in
//! twenty-five, and every flip outside of the store, by the real hub and its answers. Harmless is what changes no answer at all.
//! Folders of members are not the hub's, and left out.

#![expect(clippy::excessive_nesting, reason = "a round is read from its top to its end")]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;
use watchfire::client::Client;
use watchfire::client::HEAD_DUE_AFTER;
use watchfire::client::Wish;
use watchfire::model::filter::Filter;
use watchfire::model::names::Digest;
use watchfire::model::names::SubscriptionName;
use watchfire::model::names::sha256;
use watchfire::store::Store;
use watchfire::wire::pb;

use crate::answers;
use crate::answers::Answers;
use crate::answers::Questions;
use crate::hub::Begun;
use crate::hub::HANGS_AFTER;
use crate::hub::Hub;
use crate::hub::connect;
use crate::hub::said;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::Ends;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::recall;
use crate::world::sign;
use crate::world::subscribe;
use crate::world::until;
use crate::world::watchfired;
use crate::world::withdrawal;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
const READERS: [&str; 2] = ["acme-video", "birch-social"];
/// More than a run of the indexes, so that each has rows.
pub(crate) const RECORDS: usize = 4200;
const BATCH: usize = 256;
/// sled's.
const SEGMENT_BYTES: usize = 512 * 1024;
/// The audit log, in the data directory.
const AUDIT_LOG: &str = "audit.jsonl";
/// A round in so many is judged by the hub itself.
const BY_THE_HUB: u64 = 25;
/// A round in so many is of any file, whatever its size.
const ANY_FILE: u64 = 6;
/// An entry in so many is looked for by its name; the rows of the index are read in any case.
const NAMED: u64 = 50;
/// The folder that the child of a round reads, and whether it is to read what is not whole.
const FOLDER: &str = "WATCHFIRE_ROT_FOLDER";
const UNCHECKED: &str = "WATCHFIRE_ROT_UNCHECKED";

/// A data directory that was in use, stopped, and what is asked of it.
struct Specimen {
    world: World,
    questions: Questions,
}

/// One bit of one file.
#[derive(Debug)]
struct Flip {
    file: PathBuf,
    byte: u64,
    bit: u8,
}

/// What a child or a hub made of a folder.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Harmless,
    /// By what it was noticed, and what was said.
    Noticed(String, String),
    /// Nothing was said, and something is missing or different.
    Wrong(String),
}

impl Specimen {
    /// Records of all kinds, revisions, withdrawals, erasures, durable subscriptions, reports, heads, cosignatures, quotas,
    /// keys that changed hands; some of it written before the last start, some behind it.
    async fn new() -> Self {
        let mut world = World::with(MEMBERS).await;
        let quota = ["quota", "set", "acme-video", "--records-per-second", "1000000"];
        demand(&world.watchfire("operator", &quota));
        let mut questions = Questions::default();
        {
            let acme = world.client("acme-video").await;
            publish_many(&acme, RECORDS, &mut questions).await;
        }
        Self::settle_state(&world, &mut questions).await;
        world.stop();
        demand(&world.rotate_log_key(&[]));
        world.start(&[]).await;
        {
            let acme = world.client("acme-video").await;
            publish_many(&acme, BATCH, &mut questions).await;
            acme.put_heads(true, HEAD_DUE_AFTER).await.expect("heads");
        }
        demand(&world.watchfire("birch-social", &["keys", "rotate"]));
        world.stop();
        Self { world, questions }
    }

    /// Everything that is not just another record.
    async fn settle_state(world: &World, questions: &mut Questions) {
        let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
        let long = pb::body::Content::Operation(pb::Operation {
            title: "Lantern".to_owned(),
            narratives: vec!["n".repeat(4000); 3],
            ..pb::Operation::default()
        });
        let (long, _place) = publish(&birch, long).await;
        let (gone, _place) = publish(&birch, operation("Lantern that was not")).await;
        publish_for(&birch, withdrawal(&gone), handling(&[], &[])).await;
        let (erased, _place) = publish(&acme, domain("erased.example")).await;
        let (_name, place) = publish_for(&acme, recall(&erased), handling(&[], &[])).await;
        // The hub's own notice that the body is gone.
        until("the body is erased", || async { (head(&acme).await > place + 1).then_some(()) })
            .await;
        let amended = {
            let mut drafter = birch.drafter();
            let content = operation("Lantern, again");
            drafter.amendment(&long, content, &Wish::default()).await.expect("a draft")
        };
        birch.publish_one(sign(&birch, amended)).await.expect("a receipt");
        questions.names.extend([&long, &gone, &erased].map(ToString::to_string));
        for client in [&acme, &birch] {
            client.put_heads(true, HEAD_DUE_AFTER).await.expect("heads");
            client.cosign().await.expect("a cosignature");
            let member = client.profile().settings().member.clone();
            let name = SubscriptionName::new(member, "feed").expect("a name");
            let from = pb::StartPoint::Start;
            client.create_subscription(&name, &Filter::default(), from).await.expect("it is made");
        }
        let from = watchfire::client::From::Start;
        let mut stream = subscribe(&birch, from, Filter::default(), Ends::AtHead).await;
        while let Some(delivery) = stream.next().await.expect("a delivery") {
            if let watchfire::client::Delivery::Mark(mark) = delivery {
                let member = birch.profile().settings().member.clone();
                let name = SubscriptionName::new(member, "feed").expect("a name");
                birch.acknowledge_subscription(&name, &mark.cursor).await.expect("it is kept");
                break;
            }
        }
        let request = pb::ReportMisbehaviorRequest { evidence: evidence(&acme) };
        acme.transparency_service().report_misbehavior(request).await.expect("it is taken in");
    }

    /// A copy in which a bit may be flipped.
    fn copy(&self) -> World {
        self.world.twin()
    }

    /// Every file of the hub's own, with its length.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut files = Vec::new();
        collect(&self.world.data(), &self.world.data(), &mut files);
        files.retain(|(path, _length)| !path.starts_with("profiles"));
        files.sort();
        files
    }

    /// A bit: mostly one of the store, by size; otherwise one of any file, whatever its size.
    fn flip(&self, round: &mut Round) -> Flip {
        let files = self.files();
        let of_store = |file: &&(PathBuf, u64)| file.0.starts_with("store");
        let total: u64 = files.iter().filter(of_store).map(|(_path, length)| length).sum();
        let mut at = round.below(total);
        let by_size = files.iter().filter(of_store).find(|(_path, length)| {
            let is_here = at < *length;
            if !is_here {
                at -= length;
            }
            is_here
        });
        let mut chosen = (by_size.expect("a file").clone(), at);
        if round.below(ANY_FILE) == 0 {
            let full: Vec<_> = files.into_iter().filter(|(_path, length)| *length > 0).collect();
            let count = u64::try_from(full.len()).expect("a number");
            let number = usize::try_from(round.below(count)).expect("a number");
            let file = full.into_iter().nth(number).expect("a file");
            let byte = round.below(file.1);
            chosen = (file, byte);
        }
        let ((file, _length), byte) = chosen;
        Flip { file, byte, bit: u8::try_from(round.below(8)).expect("a bit") }
    }
}

impl Flip {
    fn make(&self, data: &Path) {
        let file = std::fs::File::options().read(true).write(true).open(data.join(&self.file));
        let file = file.expect("the file");
        let mut byte = [0];
        file.read_exact_at(&mut byte, self.byte).expect("a byte");
        file.write_all_at(&[byte[0] ^ (1 << self.bit)], self.byte).expect("it is written");
    }

    fn is_in_store(&self) -> bool {
        self.file.starts_with("store")
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(PathBuf, u64)>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let about = path.symlink_metadata().expect("it is there");
        if about.is_dir() {
            collect(root, &path, files);
        } else if about.is_file() {
            files.push((path.strip_prefix(root).expect("below it").to_owned(), about.len()));
        }
    }
}

/// Publishes small records in batches, and what to ask for some of them; what was promised.
pub(crate) async fn publish_many(
    acme: &Client,
    count: usize,
    questions: &mut Questions,
) -> BTreeMap<Digest, u64> {
    let mut receipts = BTreeMap::new();
    let signer = acme.signer().expect("a key");
    for first in (0..count).step_by(BATCH) {
        let record = |number: usize| {
            let value = format!("n{number}-{count}.example");
            if number.is_multiple_of(211) {
                questions.values.push(value.clone());
            }
            let draft = draft(&signer, domain(&value), handling(&["companies"], &[]));
            if number.is_multiple_of(97) {
                questions.names.push(draft.name.to_string());
            }
            sign(acme, draft)
        };
        let batch: Vec<pb::Envelope> = (first..count.min(first + BATCH)).map(record).collect();
        let sent = batch.len();
        let outcomes = acme.publish(batch).await.expect("answers");
        assert_eq!(outcomes.len(), sent);
        for outcome in outcomes {
            let receipt = outcome.receipt().expect("a receipt");
            receipts.insert(receipt.header_digest, receipt.sequence);
        }
    }
    receipts
}

fn evidence(client: &Client) -> Vec<u8> {
    use base64::Engine as _;

    let genesis = client.profile().genesis().expect("the founding record");
    let evidence = json!({
        "watchfire_evidence": 1,
        "exchange": client.pin().exchange().name(),
        "genesis": base64::engine::general_purpose::STANDARD.encode(genesis),
        "finder": client.profile().settings().member.name(),
        "time": "2027-01-15T08:00:00Z",
        "deviation": "x".repeat(9000),
        "exhibits": [],
    });
    serde_json::to_vec(&evidence).expect("JSON")
}

/// What a store says of all that it holds: a line each.
type Said = BTreeMap<String, String>;

/// Opens the store as the hub does, and reads everything. `Err` is what the hub would say.
fn read_all(store: &Path, is_checked: bool) -> Result<Said, String> {
    let opened = if is_checked { Store::open(store, 0) } else { Store::open_damaged(store) };
    let store = opened.map_err(|error| format!("open: {error}"))?;
    read_opened(&store).map_err(|error| format!("read: {error}"))
}

fn read_opened(store: &Store) -> Result<Said, watchfire::store::StoreError> {
    let mut said = Said::new();
    let head = store.head()?;
    said.insert("head".to_owned(), format!("{head:?}"));
    let (mut log, mut marks, mut next) = (Sha256::new(), Sha256::new(), 0);
    while next < head.frontier.size() {
        for block in store.blocks_from(next, 1 << 20)? {
            log.update(&block.bytes);
            for (sequence, entry) in block.entries_from(0) {
                let name = entry.facts.name();
                log.update(format!("{:?}", entry.facts));
                let (withdrawn, conflict) =
                    (store.withdrawn(&name)?, store.conflict(&name, entry.facts.revision)?);
                marks.update(format!("{sequence} {withdrawn:?} {conflict:?}\n"));
                if sequence.is_multiple_of(NAMED) {
                    marks.update(format!("{:?}", store.revision(&name, entry.facts.revision)?));
                }
            }
            next = block.end();
        }
    }
    said.insert("log".to_owned(), hex::encode(log.finalize()));
    said.insert("marks".to_owned(), hex::encode(marks.finalize()));
    said.insert("subscriptions".to_owned(), format!("{:?}", store.subscriptions()?));
    said.insert("cosignatures".to_owned(), format!("{:?}", store.cosignatures()?));
    said.insert("heads".to_owned(), format!("{:?}", store.heads()?));
    said.insert("deliveries".to_owned(), format!("{:?}", store.deliveries()?));
    said.insert("demands".to_owned(), format!("{:?}", store.demands()?));
    said.insert("floor".to_owned(), store.floor()?.to_string());
    said.insert("roster".to_owned(), format!("{:?}", store.roster_sequences()?));
    said.insert("cursor key".to_owned(), hex::encode(sha256(store.cursor_key())));
    for (name, row) in store.reports()? {
        let evidence = hex::encode(sha256(&store.evidence(&name)?));
        said.insert(format!("report {}", hex::encode(name.digest)), format!("{row:?} {evidence}"));
    }
    said.insert("views".to_owned(), hex::encode(store.views_digest()?));
    Ok(said)
}

/// Not a test by itself: the child of a round, which may hang or panic without harm.
#[test]
#[ignore = "the child of a round runs it"]
fn what_a_store_says() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let is_checked = std::env::var_os(UNCHECKED).is_none();
    match read_all(Path::new(&folder), is_checked) {
        Ok(said) => {
            for (what, value) in said {
                println!("\nSAYS\t{what}\t{}", hex::encode(sha256(value.as_bytes())));
            }
            println!("\nDONE");
        }
        Err(error) => println!("\nREFUSES\t{error}\nDONE"),
    }
}

/// What a child found in a store.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Said(Said),
    Refused(String),
    Died(String),
    Hung,
}

fn ask_child(store: &Path, is_checked: bool) -> Found {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", "rot::what_a_store_says", "--ignored", "--nocapture"])
        .env(FOLDER, store)
        .env_remove("WATCHFIRE_ROUND")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if !is_checked {
        command.env(UNCHECKED, "1");
    }
    let mut child = command.spawn().expect("a child");
    let (mut out, mut error) =
        (child.stdout.take().expect("out"), child.stderr.take().expect("error"));
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        out.read_to_end(&mut text).map(|_count| String::from_utf8_lossy(&text).into_owned())
    });
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        error.read_to_end(&mut text).map(|_count| String::from_utf8_lossy(&text).into_owned())
    });
    let since = Instant::now();
    while child.try_wait().expect("its state").is_none() {
        if since.elapsed() > HANGS_AFTER {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
            return Found::Hung;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    let text = reader.join().expect("a thread").expect("text");
    let errors = errors.join().expect("a thread").expect("text");
    if !text.contains("\nDONE") {
        return Found::Died(format!("{text}{errors}"));
    }
    if let Some(line) = text.lines().find_map(|line| line.strip_prefix("REFUSES\t")) {
        return Found::Refused(line.to_owned());
    }
    let lines = text.lines().filter_map(|line| line.strip_prefix("SAYS\t"));
    let pairs = lines.filter_map(|line| line.split_once('\t'));
    Found::Said(pairs.map(|(what, value)| (what.to_owned(), value.to_owned())).collect())
}

/// What a child found, against the undamaged twin.
fn judge(found: Found, twin: &Said) -> Verdict {
    match found {
        Found::Said(said) if said == *twin => Verdict::Harmless,
        Found::Said(said) => {
            let differs = twin.iter().filter(|(what, value)| said.get(*what) != Some(*value));
            let differs: Vec<&str> = differs.map(|(what, _value)| what.as_str()).collect();
            Verdict::Wrong(format!("different: {differs:?}"))
        }
        Found::Refused(error) => {
            let by = error.split(':').next().unwrap_or_default().to_owned();
            Verdict::Noticed(by, error)
        }
        // The hub's own watchdog and its own threads make exit codes of these.
        Found::Died(text) => Verdict::Noticed("panic".to_owned(), text),
        Found::Hung => Verdict::Noticed("watchdog".to_owned(), "it hung".to_owned()),
    }
}

/// What the hub and its clients make of a folder.
async fn ask_hub(
    world: &World,
    questions: &Questions,
) -> Result<BTreeMap<String, Answers>, Verdict> {
    let log = world.data().join("rot.log");
    let hub = match Hub::spawn(&[], world, &log).begun(world).await {
        Begun::Serves(hub) => hub,
        Begun::Ended(status, text) => {
            let code = status.code().map_or("signal".to_owned(), |code| code.to_string());
            assert!(text.contains("watchfired: "), "it says why: {text}");
            return Err(Verdict::Noticed(format!("start, exit {code}"), text));
        }
    };
    let (mut clients, mut all) = (Vec::new(), BTreeMap::new());
    for member in READERS {
        match connect(world, member).await {
            Ok(client) => clients.push((member, client)),
            Err(error) => {
                return Err(Verdict::Noticed(
                    "the client refuses".to_owned(),
                    format!("{error:?}"),
                ));
            }
        }
    }
    for (member, client) in &clients {
        all.insert((*member).to_owned(), answers::before(client).await);
    }
    for (member, client) in &clients {
        let more = answers::all(client, questions).await;
        all.entry((*member).to_owned()).or_default().extend(more);
    }
    drop(clients);
    hub.stop().await;
    Ok(all)
}

fn judge_answers(
    found: Result<BTreeMap<String, Answers>, Verdict>,
    twin: &BTreeMap<String, Answers>,
) -> Verdict {
    let found = match found {
        Ok(found) => found,
        Err(verdict) => return verdict,
    };
    let mut noticed = None;
    for (member, answers) in twin {
        for (what, good) in answers {
            let answer = found.get(member).and_then(|answers| answers.get(what));
            match answer {
                Some(answer) if answer == good => {}
                Some(Err(reason)) if reason == "STORE_CORRUPT" || reason == "BUSY" => {
                    noticed = Some(Verdict::Noticed(format!("answer {reason}"), what.clone()));
                }
                other => {
                    return Verdict::Wrong(format!("{what} for {member}: {other:?}, not {good:?}"));
                }
            }
        }
    }
    noticed.unwrap_or(Verdict::Harmless)
}

/// Whether `watchfired verify` names what was noticed in a store.
fn verify_names(world: &World) -> bool {
    let data = world.data();
    let output = watchfired(&["verify", "--data", data.to_str().expect("text")]);
    !output.status.success() && said(&output).contains("watchfired: ")
}

/// From which byte on nothing in the audit log is followed by what would tell of a change: the end of its last line but one.
fn audit_told_until(world: &World) -> u64 {
    let text = std::fs::read(world.data().join(AUDIT_LOG)).expect("the audit log");
    let lines = text.strip_suffix(b"\n").expect("the hub was stopped");
    let end = lines.iter().rposition(|byte| *byte == b'\n').expect("more than a line");
    u64::try_from(end).expect("a length")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_bit_changes_nothing_or_is_noticed() {
    let mut trials = Trials::of("rot", 200, 10_000);
    let specimen = Specimen::new().await;
    let twin = {
        let copy = specimen.copy();
        match ask_child(&copy.data().join("store"), true) {
            Found::Said(said) => said,
            found @ (Found::Refused(_) | Found::Died(_) | Found::Hung) => panic!("{found:?}"),
        }
    };
    assert!(twin.len() > 10, "{twin:?}");
    let answers = ask_hub(&specimen.copy(), &specimen.questions).await.expect("answers");
    let is_answered = answers.values().flat_map(Answers::values).all(Result::is_ok);
    assert!(is_answered, "the undamaged twin answers everything: {answers:?}");
    let again = judge_answers(ask_hub(&specimen.copy(), &specimen.questions).await, &answers);
    assert_eq!(again, Verdict::Harmless, "two twins say the same");
    let told_until = audit_told_until(&specimen.world);
    let mut noticed = 0_u64;
    while let Some(mut round) = trials.next() {
        let flip = specimen.flip(&mut round);
        let copy = specimen.copy();
        flip.make(&copy.data());
        // Nobody is served from the audit log, and the hub writes on behind what is there.
        let is_audit = flip.file == Path::new(AUDIT_LOG) && flip.byte < told_until;
        assert!(!is_audit || verify_names(&copy), "verify names it: {flip:?}");
        let by_hub = !flip.is_in_store() || round.number.is_multiple_of(BY_THE_HUB);
        let verdict = if by_hub {
            let found = ask_hub(&copy, &specimen.questions).await;
            judge_answers(found, &answers)
        } else {
            let copy = copy.data().join("store");
            judge(ask_child(&copy, true), &twin)
        };
        let kind = flip.file.components().next().expect("a name").as_os_str().to_owned();
        round.note("file", kind.to_string_lossy().into_owned());
        match verdict {
            Verdict::Harmless if is_audit => round.note("detected_by", "verify"),
            Verdict::Harmless => round.note("detected_by", "harmless"),
            Verdict::Noticed(by, text) => {
                assert!(!text.is_empty(), "it is named: {flip:?}");
                if flip.is_in_store() && by_hub && by.starts_with("start") {
                    assert!(verify_names(&copy), "verify names it, too: {flip:?}");
                }
                noticed += 1;
                round.note("detected_by", by);
            }
            Verdict::Wrong(what) => panic!("round {}: {flip:?}: {what}", round.number),
        }
        trials.keep(round);
    }
    let rounds = trials.finish();
    assert!(noticed > 0 || rounds < 20, "no flip was noticed: none was made");
    specimen.world.finish();
}

/// Where the last segment of sled's log begins in its file: the one with the highest place in its header.
fn last_segment(db: &[u8]) -> u64 {
    let place = |segment: &[u8]| {
        let number = segment
            .get(4..12)
            .expect("a header")
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        segment.iter().take(20).any(|byte| *byte != 0).then_some(number ^ 0x7FFF_FFFF_FFFF_FFFF)
    };
    let places =
        (0_u64..).zip(db.chunks(SEGMENT_BYTES)).filter(|(_at, segment)| segment.len() > 20);
    let last = places.max_by_key(|(_at, segment)| place(segment)).expect("a segment");
    last.0 * u64::try_from(SEGMENT_BYTES).expect("a number")
}

/// A copy of a specimen whose log has lost a bit near its end.
fn damaged_near_the_end(specimen: &Specimen) -> World {
    let copy = specimen.copy();
    let bytes = std::fs::read(copy.data().join("store/db")).expect("the log's file");
    let byte = last_segment(&bytes) + 200;
    Flip { file: "store/db".into(), byte, bit: 3 }.make(&copy.data());
    copy
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_end_is_refused_and_would_not_be_without_its_anchor() {
    let specimen = Specimen::new().await;
    let store_of = |world: &World| world.data().join("store");
    let Found::Said(twin) = ask_child(&store_of(&specimen.copy()), false) else {
        panic!("the twin is whole");
    };
    // The control: sled opens what is damaged as if nothing were missing, and the comparison sees it.
    let Found::Said(unchecked) = ask_child(&store_of(&damaged_near_the_end(&specimen)), false)
    else {
        panic!("sled notices by itself: the anchor is not needed");
    };
    assert!(matches!(judge(Found::Said(unchecked), &twin), Verdict::Wrong(_)));
    // With it, the store is refused, whoever opens it, and nothing of it was changed.
    let copy = damaged_near_the_end(&specimen);
    let before = std::fs::read(store_of(&copy).join("db")).expect("the log's file");
    let data = copy.data();
    for line in [["verify", "--data"], ["rebuild", "--data"], ["compact", "--data"]] {
        let output = watchfired(&[line[0], line[1], data.to_str().expect("text")]);
        assert!(!output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("of the log's file"), "{}", said(&output));
    }
    let Begun::Ended(status, text) =
        Hub::spawn(&[], &copy, &data.join("rot.log")).begun(&copy).await
    else {
        panic!("a damaged log is served");
    };
    assert_eq!(status.code(), Some(78), "{text}");
    let after = std::fs::read(store_of(&copy).join("db")).expect("the log's file");
    let used = after.len().min(before.len());
    assert!(before[..used] == after[..used], "what is left can be read still");
    // An end that is cut off as a whole segment is noticed as well, after a kill, too.
    let copy = specimen.copy();
    let db = std::fs::File::options().write(true).open(store_of(&copy).join("db"));
    let zeroes = vec![0; SEGMENT_BYTES];
    db.expect("the file").write_all_at(&zeroes, last_segment(&before)).expect("it is written");
    assert!(matches!(ask_child(&store_of(&copy), true), Found::Refused(_)));
    specimen.world.finish();
}
