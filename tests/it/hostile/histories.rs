//! What is done to the log itself, by an operator with all of its files and keys: two histories, an old one, a changed one.

use watchfire::store::Erasing;
use watchfire::store::Group;
use watchfire::store::Store;
use watchfire::wire;

use crate::hostile::MEMBERS;
use crate::hostile::Victim;
use crate::hostile::demand_caught;
use crate::hostile::demand_proven;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::publish;

const SUBSCRIBE: &[&str] = &["subscribe", "--until-head", "--format", "jsonl"];

/// A world whose log goes on in two ways, each with so many records more; both hubs run.
pub(super) async fn forked(one: usize, other: usize, log_keys: usize) -> (World, World) {
    let mut world = World::with(MEMBERS).await;
    publish(&world.client("acme-video").await, domain("common.example")).await;
    world.stop();
    for _later in 1..log_keys {
        demand(&world.rotate_log_key(&[]));
    }
    let mut twin = world.twin();
    for (world, count) in [(&mut world, one), (&mut twin, other)] {
        world.start(&[]).await;
        let acme = world.client("acme-video").await;
        for number in 0..count {
            publish(&acme, domain(&format!("n{number}.example"))).await;
        }
    }
    (world, twin)
}

/// A member that saw the one history meets the other.
async fn meets_another((one, other): (usize, usize), log_keys: usize, said: &str, proven: &str) {
    let (world, twin) = forked(one, other, log_keys).await;
    let victim = Victim::of(&world, "birch-social");
    demand(&victim.watchfire(&world.address(), SUBSCRIBE));
    assert!(victim.evidence().is_empty());
    for command in [SUBSCRIBE, &["status"], &["list"]] {
        let victim = Victim::again(&victim);
        let output = victim.watchfire(&twin.address(), command);
        let evidence = demand_caught(&victim, &output, said);
        demand_proven(&evidence, proven);
    }
    // And with the one that it knows it goes on.
    demand(&victim.watchfire(&world.address(), SUBSCRIBE));
    world.finish();
    twin.finish();
}

impl Victim {
    pub(super) fn again(victim: &Self) -> Self {
        let folder = crate::world::scratch();
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .args([victim.profile(), folder.path().join("profile")])
            .status();
        assert!(copied.expect("cp runs").success());
        Self { folder }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_that_is_longer_is_proven() {
    meets_another((3, 5), 1, "not a continuation of what it was", "two different logs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_of_the_same_length_is_proven() {
    meets_another((4, 4), 1, "two different logs of one size", "two different logs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_under_a_later_log_key_is_proven_to_who_knows_the_first() {
    meets_another((4, 4), 3, "two different logs of one size", "two different logs").await;
    meets_another((5, 2), 2, "shorter than it was", "it has").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_shorter_than_it_was_is_proven() {
    meets_another((5, 2), 1, "shorter than it was", "it has").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_rolled_back_under_an_open_stream_is_noticed() {
    let mut world = World::with(MEMBERS).await;
    publish(&world.client("acme-video").await, domain("common.example")).await;
    world.stop();
    let backup = world.twin();
    world.start(&[]).await;
    publish(&world.client("acme-video").await, domain("later.example")).await;
    let victim = Victim::of(&world, "birch-social");
    demand(&victim.watchfire(&world.address(), SUBSCRIBE));
    world.stop();
    let mut backup = backup;
    backup.start(&[]).await;
    let output = victim.watchfire(&backup.address(), SUBSCRIBE);
    let evidence = demand_caught(&victim, &output, "it was rolled back");
    demand_proven(&evidence, "the hub signed at");
    backup.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_that_is_flipped_on_the_disk_with_its_checksum_is_noticed() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (_name, sequence) = publish(&acme, domain("true.example")).await;
    publish(&acme, domain("after.example")).await;
    world.stop();
    let store = Store::open(&world.data().join("store"), 0).expect("the store");
    let block = store.block_at(sequence).expect("a block").expect("a block");
    let stored = block.at(sequence).expect("an entry");
    let mut entry = wire::entry::decode(block.framed(stored)).expect("an entry");
    let envelope = entry.envelope.as_mut().expect("an envelope");
    let mut body = envelope.body.to_vec();
    *body.last_mut().expect("a byte") ^= 1;
    envelope.body = body.into();
    let group = Group {
        head: store.head().expect("a head"),
        erasing: Some(Erasing {
            entries: vec![(sequence, wire::entry::frame(&entry))],
            ..Erasing::default()
        }),
        ..Group::default()
    };
    store.append(&group).expect("it is written");
    drop(store);
    world.start(&[]).await;
    let victim = Victim::of(&world, "birch-social");
    let output = victim.watchfire(&world.address(), SUBSCRIBE);
    demand_caught(&victim, &output, "the body is not the one");
    world.stop();
}
