//! One leaf of the log hidden or altered, at random (T-L3): by who has the disk, where the check of the whole log finds it,
//! and by who stands between, where the stock client finds it. Each time, and never where nothing was done.

use bytes::Bytes;
use watchfire::model::header::BodyKind;
use watchfire::model::names::KeyId;
use watchfire::store::Erasing;
use watchfire::store::Group;
use watchfire::store::Store;
use watchfire::wire;
use watchfire::wire::pb;

use crate::hostile::MEMBERS;
use crate::hostile::Victim;
use crate::hostile::front::Honest;
use crate::hostile::streams::Frames;
use crate::hostile::streams::Scene;
use crate::hostile::streams::leaf;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::sign;
use crate::world::watchfired;
use crate::world::withdrawal;

/// In the nanoseconds of a time, about a microsecond.
const MICROSECOND: i32 = 0x03e8;

/// How entries are altered, by number.
const WAYS: [&str; 9] =
    ["body", "header", "signature", "key", "time", "place", "another's", "erased", "signed anew"];

fn flipped(bytes: &Bytes, round: &mut Round) -> Bytes {
    let mut bytes = bytes.to_vec();
    let bit = round.below(u64::try_from(bytes.len() * 8).expect("a length"));
    bytes[usize::try_from(bit / 8).expect("a place")] ^= 1 << (bit % 8);
    bytes.into()
}

/// Alters an entry. `others` are envelopes that are as good as its own, and not its own.
fn alter(way: &str, entry: &mut pb::Entry, others: &[pb::Envelope], round: &mut Round) {
    let other = round.below(u64::try_from(others.len()).expect("a number"));
    let other = others[usize::try_from(other).expect("a place")].clone();
    let envelope = entry.envelope.as_mut().expect("an envelope");
    match way {
        "body" => envelope.body = flipped(&envelope.body, round),
        "header" => envelope.payload = flipped(&envelope.payload, round),
        "signature" => envelope.signatures[0].sig = flipped(&envelope.signatures[0].sig, round),
        "key" => envelope.signatures[0].keyid = KeyId::of_spki(b"nobody's").to_string(),
        "time" => entry.accept_time.as_mut().expect("a time").nanos ^= MICROSECOND,
        "place" => entry.sequence ^= 1,
        "erased" => {
            envelope.body = Bytes::new();
            entry.erased = Some(pb::Erasure { cause_sequence: entry.sequence + 1 });
        }
        _ => *envelope = other,
    }
}

/// Writes an entry back in its place, with checksums that fit: the skill of who owns the disk.
fn write_back(world: &World, sequence: u64, change: impl FnOnce(&mut pb::Entry)) {
    let store = Store::open(&world.data().join("store"), 0).expect("the store");
    let block = store.block_at(sequence).expect("a block").expect("a block");
    let stored = block.at(sequence).expect("an entry");
    let mut entry = wire::entry::decode(block.framed(stored)).expect("an entry");
    change(&mut entry);
    let entries = vec![(sequence, wire::entry::frame(&entry))];
    let erasing = Some(Erasing { entries, ..Erasing::default() });
    let head = store.head().expect("a head");
    store.append(&Group { head, erasing, ..Group::default() }).expect("it is written");
}

fn verify(world: &World) -> std::process::Output {
    watchfired(&["verify", "--data", world.data().to_str().expect("UTF-8")])
}

/// A log of records of several kinds, stopped; and its entries.
async fn furnished() -> (World, Vec<pb::Entry>, Vec<pb::Envelope>) {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    for number in 0..20 {
        let (name, _) = publish(&acme, domain(&format!("n{number}.example"))).await;
        publish(&acme, operation(&format!("Storm {number}"))).await;
        if number % 4 == 0 {
            publish_for(&acme, withdrawal(&name), handling(&[], &[])).await;
        }
    }
    // What its publisher signed too, and gave the hub alone.
    let signer = acme.signer().expect("a key");
    let anew = (0..5).map(|number| {
        let said =
            draft(&signer, domain(&format!("anew{number}.example")), handling(&["all"], &[]));
        sign(&acme, said)
    });
    let anew = anew.collect();
    world.stop();
    let store = Store::open(&world.data().join("store"), 0).expect("the store");
    let mut entries = Vec::new();
    for block in store.blocks_from(0, usize::MAX).expect("blocks") {
        for (_sequence, stored) in block.entries_from(0) {
            entries.push(wire::entry::decode(block.framed(stored)).expect("an entry"));
        }
    }
    drop(store);
    (world, entries, anew)
}

fn kind_of(entry: &pb::Entry) -> BodyKind {
    let payload = &entry.envelope.as_ref().expect("an envelope").payload;
    wire::header::header(payload).expect("a header").body_kind
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_leaf_is_found_by_the_check_of_the_whole_log() {
    let mut trials = Trials::of("leaves_disk", 18, 100);
    let (world, entries, anew) = furnished().await;
    demand(&verify(&world));
    // Written back in this way, an indicator loses what the indexes know of its value, whatever else is done to it: that
    // alone would be found.
    let able = |entry: &&pb::Entry| kind_of(entry) != BodyKind::Indicator;
    let able: Vec<&pb::Entry> = entries.iter().filter(able).collect();
    assert!(able.len() > 25, "{} entries", able.len());
    while let Some(mut round) = trials.next() {
        let which = round.below(u64::try_from(able.len()).expect("a number"));
        let own = able[usize::try_from(which).expect("a place")];
        let place = own.sequence;
        let way = usize::try_from(round.number).expect("a number") % WAYS.len();
        let way = WAYS[way];
        let others = others(way, own, &entries, &anew);
        let twin = world.twin();
        // The control: the same write, of the entry as it is, and the log holds.
        write_back(&twin, place, |_same| {});
        demand(&verify(&twin));
        write_back(&twin, place, |entry| alter(way, entry, &others, &mut round));
        let found = verify(&twin);
        let said = String::from_utf8_lossy(&found.stderr).into_owned();
        assert!(!found.status.success(), "{way} at {place} ({:?}) is not found", kind_of(own));
        let words = ["does not hold", "does not fit", "damage at"];
        assert!(words.iter().any(|word| said.contains(word)), "{way} at {place}: {said}");
        round.note("way", way);
        trials.keep(round);
    }
    trials.finish();
    world.check_log();
}

/// What could stand in an entry's place: envelopes of other entries, or what was signed anew.
fn others(
    way: &str,
    own: &pb::Entry,
    entries: &[pb::Entry],
    anew: &[pb::Envelope],
) -> Vec<pb::Envelope> {
    if way == "signed anew" {
        return anew.to_vec();
    }
    let rest = entries.iter().filter(|entry| entry.sequence != own.sequence);
    rest.filter_map(|entry| entry.envelope.clone()).collect()
}

/// How a frame is altered: one entry of it, or its order.
fn tamper(
    place: u64,
    way: &'static str,
    anew: pb::Envelope,
    mut round: Round,
) -> impl FnMut(&mut pb::SubscribeResponse) + Send {
    move |frame| {
        let Some(at) = frame.entries.iter().position(|entry| entry.sequence == place) else {
            return;
        };
        match way {
            "dropped" => drop(frame.entries.remove(at)),
            "hidden" => {
                let entry = frame.entries.remove(at);
                frame.hidden.extend(leaf(&entry));
            }
            "doubled" => frame.entries.insert(at, frame.entries[at].clone()),
            way => alter(way, &mut frame.entries[at], std::slice::from_ref(&anew), &mut round),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_that_is_hidden_or_altered_on_its_way_is_found_by_the_client() {
    const ON_THE_WAY: [&str; 11] = [
        "dropped",
        "hidden",
        "doubled",
        "body",
        "header",
        "signature",
        "key",
        "time",
        "place",
        "erased",
        "signed anew",
    ];
    let mut trials = Trials::of("leaves_way", 22, 100);
    let scene = Scene::open().await;
    let size = crate::world::head(&scene.acme).await;
    let signer = scene.acme.signer().expect("a key");
    while let Some(round) = trials.next() {
        let mut dice = Round::of("leaves_way place", round.number);
        // The founding record is pinned, and is no leaf that a hub would dare to change: the others are.
        let place = 1 + dice.below(size - 1);
        let way = ON_THE_WAY[usize::try_from(round.number).expect("a number") % ON_THE_WAY.len()];
        let said = draft(&signer, domain("anew.example"), handling(&["companies"], &[]));
        let anew = sign(&scene.acme, said);
        let victim = Victim::of(&scene.world, "birch-social");
        let change = tamper(place, way, anew, dice);
        let output = scene.read(&victim, Frames(change)).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{way} at {place}: {said}");
        assert_eq!(victim.evidence().len(), 1, "{way} at {place}: {said}");
        trials.keep(round);
    }
    trials.finish();
    // The control: the same client, of the same hub, where nothing is done.
    let honest = Victim::of(&scene.world, "birch-social");
    demand(&scene.read(&honest, Honest).await);
    assert!(honest.evidence().is_empty());
    scene.world.finish();
}

/// T-L2: whoever saw one of two histories finds the other at its next contact, whatever it asks, and keeps the checkpoints
/// of both, by which a stranger sees it too. However far they have grown apart.
#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_found_at_the_next_contact_wherever_it_lies() {
    let mut trials = Trials::of("forks", 3, 30);
    while let Some(mut round) = trials.next() {
        let [one, other] = [1 + round.below(40), 1 + round.below(40)];
        let [one, other] = [one, other].map(|count| usize::try_from(count).expect("a number"));
        let (world, twin) = crate::hostile::histories::forked(one, other, 1).await;
        let victim = Victim::of(&world, "birch-social");
        demand(&victim.watchfire(&world.address(), &["subscribe", "--until-head"]));
        let command: &[&str] = [
            &["status"][..],
            &["list"],
            &["subscribe", "--until-head"],
            &["audit"],
            &["get", "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057"],
        ][usize::try_from(round.below(5)).expect("a place")];
        let output = victim.watchfire(&twin.address(), command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{command:?} after {one} and {other}: {said}");
        let evidence = victim.evidence();
        assert_eq!(evidence.len(), 1, "{command:?} after {one} and {other}: {said}");
        let judged = demand(&crate::hostile::judge(&evidence[0]));
        assert!(judged.contains("PROVEN"), "{judged}");
        demand(&victim.watchfire(&world.address(), command_of_the_same(command)));
        world.finish();
        twin.finish();
        round.note("apart", format!("{one} and {other}"));
        trials.keep(round);
    }
    trials.finish();
}

/// The control: the history that it knows is asked the same, unless the answer is that nothing is there.
fn command_of_the_same<'a>(command: &'a [&'a str]) -> &'a [&'a str] {
    if command[0] == "get" { &["status"] } else { command }
}
