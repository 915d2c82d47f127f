//! Erasure on the disk: after `watchfired compact` no byte of an erased body is in the folder, and the log holds.

use std::path::Path;

use watchfire::wire::pb;

use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::handling;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::recall;
use crate::world::until;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
/// Stands in one body that is erased, in a long one that lies in pieces, and in their values.
const MARKER: &str = "kestrel-under-glass";
/// Stands in a body that stays.
const KEPT: &str = "heron-by-the-lake";

/// Whether a text lies anywhere in the files of a folder.
fn lies_in(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return lies_in(&path, text);
        }
        let bytes = std::fs::read(&path).expect("a file");
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn marked(value: &str, description: &str) -> pb::body::Content {
    let mut content = domain(value);
    if let pb::body::Content::Indicator(indicator) = &mut content {
        description.clone_into(&mut indicator.description);
    }
    content
}

fn compact(world: &World) -> String {
    let data = world.data();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_watchfired"));
    command.args(["compact", "--data", data.to_str().expect("a text")]);
    demand(&command.output().expect("watchfired runs"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_an_erased_body_is_left_after_compaction() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let short = marked(&format!("{MARKER}.example"), &format!("{MARKER} in a description"));
    let long = marked("long.example", &format!("{MARKER} ").repeat(190));
    let mut names = Vec::new();
    for content in [short, long] {
        names.push(publish_for(&acme, content, handling(&["companies"], &[])).await.0);
    }
    publish(&acme, marked("kept.example", KEPT)).await;
    for name in &names {
        publish_for(&acme, recall(name), handling(&[], &[])).await;
    }
    let birch = world.client("birch-social").await;
    for name in &names {
        let name: watchfire::model::names::RevisionName = name.to_string().parse().expect("a name");
        until("the body is erased", async || {
            let found = birch.get(&name).await.expect("its header stays");
            found.entry.erased_by()
        })
        .await;
    }
    world.stop();
    let store = world.data().join("store");
    assert!(lies_in(&store, MARKER), "else this test would show nothing");
    assert!(lies_in(&store, KEPT));

    let said = compact(&world);
    assert!(said.contains("entries hold, before and after"), "{said}");
    // But for the publisher's own folder, which keeps for a while what it sent.
    for entry in std::fs::read_dir(world.data()).expect("a folder") {
        let path = entry.expect("an entry").path();
        let is_hubs = path.is_dir() && !path.ends_with("profiles");
        assert!(!is_hubs || !lies_in(&path, MARKER), "in no file of the hub");
    }
    assert!(lies_in(&store, KEPT), "what was not erased stays");
    assert!(!world.data().join("store.compact").exists());

    world.check_log();
    world.start(&[]).await;
    let birch = world.client("birch-social").await;
    for name in &names {
        let name = name.to_string().parse().expect("a name");
        let found = birch.get(&name).await.expect("its header stays");
        assert!(found.entry.erased_by().is_some());
        assert!(found.withdrawn_sequence.is_some());
    }
    let acme = world.client("acme-video").await;
    publish(&acme, domain("after.example")).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_did_not_end_leaves_nothing() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("kept.example")).await;
    world.stop();
    let leftover = world.data().join("store.compact");
    std::fs::create_dir(&leftover).expect("a folder");
    std::fs::write(leftover.join("db"), MARKER).expect("a file");
    world.start(&[]).await;
    assert!(!leftover.exists(), "it may hold what was erased");
    world.finish();
}
