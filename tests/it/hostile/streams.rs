//! What is done to a stream, and to an answer, on its way.

#![expect(clippy::excessive_nesting, reason = "what is done to a frame is a closure in a table")]

use std::time::Duration;

use watchfire::client::Client;
use watchfire::client::From;
use watchfire::client::Signer;
use watchfire::model::filter::Filter;
use watchfire::model::header::BodyKind;
use watchfire::model::names::Digest;
use watchfire::model::names::ExchangeName;
use watchfire::profile::Profile;
use watchfire::signing::SecretKey;
use watchfire::transparency::Checkpoint;
use watchfire::wire::pb;

use crate::hostile::MEMBERS;
use crate::hostile::Victim;
use crate::hostile::demand_caught;
use crate::hostile::demand_proven;
use crate::hostile::front::Front;
use crate::hostile::front::Honest;
use crate::hostile::front::Keys;
use crate::hostile::front::Tamper;
use crate::hostile::judge;
use crate::world::Ends;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::subscribe;
use crate::world::withdrawal;

const SUBSCRIBE: &[&str] = &["subscribe", "--until-head", "--format", "jsonl"];

/// What is done to a message.
type Change<M> = Box<dyn FnMut(&mut M) + Send>;
/// What is said instead in a mark.
type Lie = fn(&mut watchfire::wire::MarkStatement);

/// What is done to each frame.
pub(super) struct Frames<F>(pub(super) F);

impl<F: FnMut(&mut pb::SubscribeResponse) + Send + 'static> Tamper for Frames<F> {
    fn frame(&mut self, mut frame: pb::SubscribeResponse) -> Vec<pb::SubscribeResponse> {
        self.0(&mut frame);
        vec![frame]
    }
}

struct Published<F>(F);

impl<F: FnMut(&mut pb::PublishStreamResponse) + Send + 'static> Tamper for Published<F> {
    fn published(&mut self, mut answer: pb::PublishStreamResponse) -> pb::PublishStreamResponse {
        self.0(&mut answer);
        answer
    }
}

/// A world in which five records were published, and the keys of its hub.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) acme: Client,
    keys: Keys,
}

impl Scene {
    pub(super) async fn open() -> Self {
        let world = World::with(MEMBERS).await;
        let acme = world.client("acme-video").await;
        for number in 0..5 {
            publish(&acme, domain(&format!("n{number}.example"))).await;
        }
        let keys = Keys::of(&world, acme.pin().exchange());
        Self { world, acme, keys }
    }

    /// The stock client reads everything from a hub that does this to its frames.
    #[track_caller]
    pub(super) fn read(
        &self,
        victim: &Victim,
        tamper: impl Tamper,
    ) -> impl Future<Output = std::process::Output> {
        self.run(victim, tamper, SUBSCRIBE)
    }

    async fn run(
        &self,
        victim: &Victim,
        tamper: impl Tamper,
        arguments: &[&str],
    ) -> std::process::Output {
        let front = Front::open(&self.world, "birch-social", tamper).await;
        let (profile, address) = (victim.profile(), front.address());
        let arguments: Vec<String> = arguments.iter().map(|part| (*part).to_owned()).collect();
        let ran = tokio::task::spawn_blocking(move || {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_watchfire"));
            command.arg("--profile").arg(profile).args(["--address", &address]).args(arguments);
            command.stdin(std::process::Stdio::null()).output().expect("watchfire runs")
        });
        ran.await.expect("it runs")
    }

    /// Demands that this is noticed, with these words.
    async fn check(
        &self,
        change: impl FnMut(&mut pb::SubscribeResponse) + Send + 'static,
        expected: &str,
    ) -> (Victim, std::path::PathBuf) {
        let victim = Victim::of(&self.world, "birch-social");
        let output = self.read(&victim, Frames(change)).await;
        let evidence = demand_caught(&victim, &output, expected);
        (victim, evidence)
    }
}

fn kind_of(entry: &pb::Entry) -> BodyKind {
    let payload = &entry.envelope.as_ref().expect("an envelope").payload;
    watchfire::wire::header::header(payload).expect("a header").body_kind
}

fn is_indicator(entry: &pb::Entry) -> bool {
    kind_of(entry) == BodyKind::Indicator
}

/// The place in a frame of the indicator with a number.
fn indicator(frame: &pb::SubscribeResponse, number: usize) -> Option<usize> {
    let places = frame.entries.iter().enumerate().filter(|(_, entry)| is_indicator(entry));
    places.map(|(place, _)| place).nth(number)
}

pub(super) fn leaf(entry: &pb::Entry) -> Digest {
    watchfire::store::leaf(entry).expect("a leaf").hash()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_hub_raises_no_alarm() {
    let scene = Scene::open().await;
    let victim = Victim::of(&scene.world, "birch-social");
    for more in 0..3 {
        let said = demand(&scene.read(&victim, Honest).await);
        assert_eq!(said.lines().filter(|line| line.contains("\"indicator\"")).count(), 5 + more);
        publish(&scene.acme, domain(&format!("more{more}.example"))).await;
        demand(&scene.run(&victim, Honest, &["status"]).await);
        assert!(victim.evidence().is_empty());
    }
    scene.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_changed_is_refused() {
    let scene = Scene::open().await;
    let flip = |bytes: &bytes::Bytes| {
        let mut flipped = bytes.to_vec();
        *flipped.last_mut().expect("a byte") ^= 1;
        bytes::Bytes::from(flipped)
    };
    let envelope = |frame: &mut pb::SubscribeResponse, change: &dyn Fn(&mut pb::Envelope)| {
        if let Some(place) = indicator(frame, 2) {
            change(frame.entries[place].envelope.as_mut().expect("an envelope"));
        }
    };
    let body = move |frame: &mut pb::SubscribeResponse| {
        envelope(frame, &|envelope| envelope.body = flip(&envelope.body));
    };
    scene.check(body, "the body is not the one").await;
    let header = move |frame: &mut pb::SubscribeResponse| {
        envelope(frame, &|envelope| envelope.payload = flip(&envelope.payload));
    };
    let (_victim, evidence) = scene.check(header, "verification failed").await;
    let judged = judge(&evidence);
    let said = String::from_utf8_lossy(&judged.stdout);
    assert!(said.contains("not proven by this file alone"), "{said}");
    let signature = move |frame: &mut pb::SubscribeResponse| {
        envelope(frame, &|envelope| envelope.signatures[0].sig = flip(&envelope.signatures[0].sig));
    };
    scene.check(signature, "the signature does not verify").await;
    scene.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_forged_or_from_elsewhere_is_refused() {
    let scene = Scene::open().await;
    let acme = scene.acme.signer().expect("a key");
    let stranger = SecretKey::generate().expect("a key");
    let forge = |exchange: ExchangeName, key: SecretKey| {
        let signer = Signer::new(exchange, acme.member().clone(), key);
        let draft = draft(&signer, domain("forged.example"), handling(&["companies"], &[]));
        signer.sign(draft, scene.acme.now()).expect("a record")
    };
    let here = scene.acme.pin().exchange().clone();
    let forged = forge(here, stranger);
    let insert = move |frame: &mut pb::SubscribeResponse| {
        if let Some(place) = indicator(frame, 1) {
            frame.entries[place].envelope = Some(forged.clone());
        }
    };
    scene.check(insert, "is not one that may sign this record").await;
    let elsewhere = ExchangeName::from_name("exchanges/autumn-0123456789abcdef").expect("a name");
    let foreign = forge(elsewhere, acme.key().clone());
    let replay = move |frame: &mut pb::SubscribeResponse| {
        if let Some(place) = indicator(frame, 1) {
            frame.entries[place].envelope = Some(foreign.clone());
        }
    };
    scene.check(replay, "another exchange").await;
    scene.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_moved_doubled_or_back_dated_is_noticed() {
    let scene = Scene::open().await;
    let swap = |frame: &mut pb::SubscribeResponse| {
        if let (Some(one), Some(other)) = (indicator(frame, 1), indicator(frame, 2)) {
            frame.entries.swap(one, other);
        }
    };
    scene.check(swap, "comes after a later one").await;
    let renumber = |frame: &mut pb::SubscribeResponse| {
        if let (Some(one), Some(other)) = (indicator(frame, 1), indicator(frame, 2)) {
            frame.entries.swap(one, other);
            let (first, second) = (frame.entries[one].sequence, frame.entries[other].sequence);
            (frame.entries[one].sequence, frame.entries[other].sequence) = (second, first);
        }
    };
    scene.check(renumber, "is not in the log that the hub signed").await;
    let double = |frame: &mut pb::SubscribeResponse| {
        if let Some(place) = indicator(frame, 1) {
            let entry = frame.entries[place].clone();
            frame.entries.insert(place, entry);
        }
    };
    scene.check(double, "comes after a later one").await;
    let back_date = |frame: &mut pb::SubscribeResponse| {
        if let Some(place) = indicator(frame, 1) {
            frame.entries[place].accept_time.as_mut().expect("a time").seconds -= 3600;
        }
    };
    scene.check(back_date, "is not in the log that the hub signed").await;
    scene.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_dropped_is_missed_by_the_tree_and_by_the_count() {
    let scene = Scene::open().await;
    for number in [1, 4] {
        let drop_it = move |frame: &mut pb::SubscribeResponse| {
            if let Some(place) = indicator(frame, number) {
                frame.entries.remove(place);
            }
        };
        scene.check(drop_it, "hashes for what was not sent do not fit").await;
        // Its leaf in its place, as for what one may not see.
        let hide = move |frame: &mut pb::SubscribeResponse| {
            if let Some(place) = indicator(frame, number) {
                let entry = frame.entries.remove(place);
                frame.hidden.extend(leaf(&entry));
            }
        };
        scene.check(hide, "entries on this stream, and").await;
    }
    scene.world.finish();
}

/// Hides one entry: its leaf in its place, and marks that count the others alone. Nothing on the stream tells of it.
fn hide_one(
    keys: &Keys,
    is_hidden: fn(&pb::Entry) -> bool,
) -> impl FnMut(&mut pb::SubscribeResponse) + Send + use<> {
    let (keys, mut count, mut digest) = (keys.clone(), 0_u64, [0; 32]);
    move |frame| {
        if count == 0
            && let Some(place) = frame.entries.iter().rposition(is_hidden)
        {
            let entry = frame.entries.remove(place);
            frame.hidden.extend(leaf(&entry));
        }
        if frame.entries.iter().any(is_indicator) {
            for entry in &frame.entries {
                digest = watchfire::transparency::roster_digest(&digest, &leaf(entry));
                count += 1;
            }
        }
        if let Some(mark) = &mut frame.mark {
            keys.restate(mark, |said| {
                // The client's other streams are left alone.
                if said.count == count + 1 {
                    (said.count, said.digest) = (count, digest);
                }
            });
        }
    }
}

impl Scene {
    async fn put_head(&self) {
        let heads = self.acme.put_heads(true, watchfire::client::HEAD_DUE_AFTER).await;
        assert_eq!(heads.expect("answers").put.len(), 1);
    }

    /// A stream of a victim notices that something was hidden.
    async fn follow_hidden(&self, victim: &Victim, is_hidden: fn(&pb::Entry) -> bool) {
        let tamper = Frames(hide_one(&self.keys, is_hidden));
        let front = Front::open(&self.world, "birch-social", tamper).await;
        let profile = Profile::open(&victim.profile()).expect("a profile");
        let birch = Client::connect(profile.at_address(Some(front.address()))).await;
        let birch = birch.expect("a connection");
        let mut stream = subscribe(&birch, From::Start, Filter::default(), Ends::Never).await;
        stream.check_heads_every(Duration::ZERO);
        let (begun, mut number) = (std::time::Instant::now(), 0);
        let error = loop {
            match tokio::time::timeout(Duration::from_secs(1), stream.next()).await {
                Ok(Ok(_more)) => {}
                Ok(Err(error)) => break error,
                Err(_quiet) => {
                    assert!(begun.elapsed() < Duration::from_mins(1), "nothing was noticed");
                    // Each brings a mark.
                    publish(&self.acme, domain(&format!("more{number}.example"))).await;
                    number += 1;
                }
            }
        };
        assert!(error.to_string().contains(NOT_SENT), "{error}");
        assert_eq!((error.exit_code(), victim.evidence().len()), (5, 1));
    }
}

const NOT_SENT: &str = "did not come on a stream whose marks say";

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_hidden_as_if_for_another_is_counted_by_its_publisher() {
    let scene = Scene::open().await;
    scene.put_head().await;
    scene.follow_hidden(&Victim::of(&scene.world, "birch-social"), is_indicator).await;
    scene.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recall_that_is_hidden_as_if_for_another_is_counted_by_its_publisher() {
    let scene = Scene::open().await;
    let (name, _sequence) = publish(&scene.acme, domain("gone.example")).await;
    publish_for(&scene.acme, withdrawal(&name), handling(&[], &[])).await;
    scene.put_head().await;
    let is_recall = |entry: &pb::Entry| kind_of(entry) == BodyKind::Withdrawal;
    scene.follow_hidden(&Victim::of(&scene.world, "birch-social"), is_recall).await;
    scene.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_another_check_has_found_right_is_held_against_each_stream() {
    let scene = Scene::open().await;
    scene.put_head().await;
    // Nothing is hidden from the listing, so that the head is right: the profile remembers that.
    let victim = Victim::of(&scene.world, "birch-social");
    let said = demand(&victim.watchfire(&scene.world.address(), &["heads", "check"]));
    assert!(said.contains("all there"), "{said}");
    assert!(victim.profile().join("heads.json").exists());
    scene.follow_hidden(&victim, is_indicator).await;
    scene.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_from_a_replay_is_told_at_its_end() {
    let scene = Scene::open().await;
    let honest = Victim::of(&scene.world, "birch-social");
    demand(&scene.read(&honest, Honest).await);
    scene.put_head().await;
    for _again in 0..2 {
        let began = std::time::Instant::now();
        demand(&scene.read(&honest, Honest).await);
        assert!(
            began.elapsed() < Duration::from_secs(9),
            "it does not wait where nothing is missing"
        );
    }
    assert!(honest.evidence().is_empty());
    for victim in [Victim::of(&scene.world, "birch-social"), honest] {
        let output = scene.read(&victim, Frames(hide_one(&scene.keys, is_indicator))).await;
        demand_caught(&victim, &output, NOT_SENT);
    }
    scene.world.finish();
}

/// A listing that goes on entry by entry, for as long as somebody asks.
struct Endless(u64);

impl Tamper for Endless {
    fn listed(
        &mut self,
        page: pb::ListPublisherEntriesResponse,
    ) -> pb::ListPublisherEntriesResponse {
        self.0 += 1;
        assert!(self.0 < 3, "it is asked again and again");
        let entries: Vec<_> = page.entries.into_iter().take(1).collect();
        let next_sequence = entries.first().map_or(0, |entry| entry.sequence + 1);
        pb::ListPublisherEntriesResponse { entries, next_sequence, listing: None }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_goes_on_entry_by_entry_is_refused_at_once() {
    let scene = Scene::open().await;
    scene.put_head().await;
    let victim = Victim::of(&scene.world, "birch-social");
    let output = scene.run(&victim, Endless(0), &["heads", "check"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("what it lists of a publisher's entries"), "{said}");
    demand(&scene.run(&victim, Honest, &["heads", "check"]).await);
    scene.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_roster_that_is_hidden_is_missed_by_the_checkpoint() {
    let scene = Scene::open().await;
    let world = &scene.world;
    let victim = Victim::of(world, "birch-social");
    demand(&scene.run(&victim, Honest, &["status"]).await);
    demand(&world.watchfire("operator", &["suspend", "acme-video", "--reason", "a test"]));
    let (keys, mut hidden, mut count, mut digest) = (scene.keys.clone(), None, 0_u64, [0; 32]);
    // As thorough as a hub can be: the leaf stands for the entry, and what it signs counts the others alone.
    let hide = move |frame: &mut pb::SubscribeResponse| {
        if frame.mark.as_ref().is_some_and(|mark| !mark.frontier.is_empty() || mark.position == 0) {
            (count, digest) = (0, [0; 32]);
        }
        let suspends = |entry: &pb::Entry| entry.sequence >= 8 && kind_of(entry).is_roster();
        let place = frame.entries.iter().position(suspends);
        if let Some(place) = place {
            let entry = frame.entries.remove(place);
            frame.hidden.splice(0..0, leaf(&entry));
            hidden = Some(entry.sequence);
        }
        for entry in &frame.entries {
            digest = watchfire::transparency::roster_digest(&digest, &leaf(entry));
            count += 1;
        }
        if hidden.is_some()
            && let Some(mark) = &mut frame.mark
        {
            keys.restate(mark, |said| (said.count, said.digest) = (count, digest));
        }
    };
    let output = scene.run(&victim, Frames(hide), SUBSCRIBE).await;
    demand_caught(&victim, &output, "hides or adds a change of who takes part");
    drop(scene.acme);
    scene.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_in_a_mark_is_noticed() {
    let scene = Scene::open().await;
    let keys = &scene.keys;
    let lies: [(Lie, &str); 9] = [
        (|said| said.member = "acme-video".parse().expect("a member"), "about another stream"),
        (|said| said.filter_digest[0] ^= 1, "about another stream"),
        (|said| said.position += 1, "not what the mark says"),
        (|said| said.head += 1, "not what the mark says"),
        (|said| said.root[0] ^= 1, "not what the mark says"),
        (|said| said.access = said.head + 1, "not what the mark says"),
        (|said| said.roster_digest[0] ^= 1, "not what the mark says"),
        (|said| said.count += 1, "entries on this stream, and"),
        (|said| said.digest[0] ^= 1, "other entries on this stream"),
    ];
    for (number, (lie, expected)) in lies.into_iter().enumerate() {
        let keys = keys.clone();
        let tell = move |frame: &mut pb::SubscribeResponse| {
            if let Some(mark) = &mut frame.mark {
                keys.restate(mark, lie);
            }
        };
        let (_victim, evidence) = scene.check(tell, expected).await;
        // A mark that signs another log than the checkpoint beside it.
        if number == 4 {
            demand_proven(&evidence, "two different logs");
        }
        if number == 6 {
            demand_proven(&evidence, "two different rosters");
        }
    }
    let silent = |frame: &mut pb::SubscribeResponse| {
        if let Some(mark) = &mut frame.mark {
            mark.statement.clear();
        }
    };
    scene.check(silent, "does not sign what it sends").await;
    let stranger = Keys { secret: SecretKey::generate().expect("a key"), ..keys.clone() };
    let unsigned = {
        let stranger = stranger.clone();
        move |frame: &mut pb::SubscribeResponse| {
            if let Some(mark) = &mut frame.mark {
                stranger.restate(mark, |_same| {});
            }
        }
    };
    scene.check(unsigned, "not signed by the log's key").await;
    let other_key = move |frame: &mut pb::SubscribeResponse| {
        if let Some(mark) = &mut frame.mark {
            let checkpoint = stranger.log.open(&mark.checkpoint).expect("a checkpoint");
            mark.checkpoint = stranger.log.sign(&checkpoint, &stranger.secret);
        }
    };
    scene.check(other_key, "a checkpoint is not signed by the log's key").await;
    scene.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_for_another_tree_is_noticed() {
    let scene = Scene::open().await;
    // A log of which some of the entries are none, with checkpoint and statement that fit each other.
    let keys = scene.keys.clone();
    let other_tree = move |frame: &mut pb::SubscribeResponse| {
        if let Some(mark) = &mut frame.mark {
            let checkpoint = keys.log.open(&mark.checkpoint).expect("a checkpoint");
            let other = Checkpoint { root: [7; 32], ..checkpoint };
            mark.checkpoint = keys.log.sign(&other, &keys.secret);
            keys.restate(mark, |said| said.root = other.root);
        }
    };
    let (_victim, evidence) = scene.check(other_tree, "two different logs of one size").await;
    demand_proven(&evidence, "two different logs");
    // A stream that begins in the midst: the way from there to the head must be proved, and what lies before it.
    let midst = [SUBSCRIBE, &["--from", "4"]].concat();
    let cut = |frame: &mut pb::SubscribeResponse| {
        if let Some(mark) = &mut frame.mark {
            mark.head_proof.truncate(mark.head_proof.len().saturating_sub(32));
        }
    };
    let other_peaks = |frame: &mut pb::SubscribeResponse| {
        if let Some(mark) = &mut frame.mark
            && let Some(first) = mark.frontier.first_mut()
        {
            *first ^= 1;
        }
    };
    let tampers: [Change<pb::SubscribeResponse>; 2] = [Box::new(cut), Box::new(other_peaks)];
    for tamper in tampers {
        let victim = Victim::of(&scene.world, "birch-social");
        let output = scene.run(&victim, Frames(tamper), &midst).await;
        demand_caught(&victim, &output, "not in the log that the hub signed");
    }
    // Later than it was asked to begin, so that something is left out.
    let victim = Victim::of(&scene.world, "birch-social");
    let late = Frames(|frame: &mut pb::SubscribeResponse| {
        frame.entries.retain(|entry| !is_indicator(entry));
        if let Some(mark) = &mut frame.mark {
            (mark.position, mark.head_proof) = (mark.head, Vec::new());
        }
    });
    let output = scene.run(&victim, late, &midst).await;
    demand_caught(&victim, &output, "does not stand where the stream does");
    let longer = |frame: &mut pb::SubscribeResponse| frame.hidden.extend([7; 32]);
    scene.check(longer, "hashes for what was not sent do not fit").await;
    scene.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_key_that_was_retired_signs_nothing_more() {
    let Scene { mut world, acme, keys: retired } = Scene::open().await;
    let exchange = acme.pin().exchange().clone();
    drop(acme);
    world.stop();
    let rotated = std::process::Command::new(env!("CARGO_BIN_EXE_watchfired"))
        .args(["rotate-log-key", "--data"])
        .arg(world.data())
        .output();
    demand(&rotated.expect("watchfired runs"));
    world.start(&[]).await;
    let keys = Keys::of(&world, &exchange);
    let scene = Scene { acme: world.client("acme-video").await, world, keys };
    let said = demand(&scene.read(&Victim::of(&scene.world, "birch-social"), Honest).await);
    assert!(said.contains("log-key-change"), "{said}");
    let now = scene.keys.clone();
    let old_key = move |frame: &mut pb::SubscribeResponse| {
        if let Some(mark) = &mut frame.mark {
            let checkpoint = now.log.open(&mark.checkpoint).expect("a checkpoint");
            mark.checkpoint = retired.log.sign(&checkpoint, &retired.secret);
            retired.restate(mark, |_same| {});
        }
    };
    scene.check(old_key, "a checkpoint is not signed by the log's key").await;
    scene.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_is_not_in_the_log_is_refused_and_the_record_stays_in_the_outbox() {
    let scene = Scene::open().await;
    let keys = scene.keys.clone();
    let cases: [(Change<pb::PublishStreamResponse>, &str); 3] = [
        (
            Box::new(|answer| receipt(answer).inclusion_proof[0] ^= 1),
            "not in the log that it signs",
        ),
        (Box::new(|answer| answer.growth_proof.clear()), "not a continuation"),
        (
            Box::new(move |answer| {
                let receipt = receipt(answer);
                let checkpoint = keys.log.open(&receipt.checkpoint).expect("a checkpoint");
                let forked = Checkpoint { root: [7; 32], ..checkpoint };
                receipt.checkpoint = keys.log.sign(&forked, &keys.secret);
            }),
            "not a continuation",
        ),
    ];
    for (tamper, expected) in cases {
        let victim = Victim::of(&scene.world, "birch-social");
        demand(&scene.run(&victim, Honest, &["status"]).await);
        publish(&scene.acme, domain("between.example")).await;
        let arguments = [
            "publish",
            "indicator",
            "--value",
            "mine.example",
            "--audience",
            "companies",
            "--tlp",
            "green",
        ];
        let output = scene.run(&victim, Published(tamper), &arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains(expected), "{said}");
        let outbox = std::fs::read_dir(victim.profile().join("outbox")).expect("an outbox").count();
        assert_eq!(outbox, 1, "it is sent again");
    }
    scene.world.finish();
}

fn receipt(answer: &mut pb::PublishStreamResponse) -> &mut pb::Receipt {
    let outcome = answer.results[0].outcome.as_mut().expect("an outcome");
    let pb::publish_result::Outcome::Receipt(receipt) = outcome else { panic!("{outcome:?}") };
    receipt
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_stands_still_is_noticed_in_half_a_minute() {
    let scene = Scene::open().await;
    let victim = Victim::of(&scene.world, "birch-social");
    let keys = scene.keys.clone();
    let old = move |frame: &mut pb::SubscribeResponse| {
        if let Some(mark) = &mut frame.mark {
            let past = Duration::from_mins(1);
            keys.restate(mark, |said| said.time = said.time.saturating_sub(past));
        }
    };
    let output = scene.run(&victim, Frames(old), &["subscribe", "--format", "jsonl"]).await;
    demand_caught(&victim, &output, "no fresh signed mark came for");
    scene.world.finish();
}
