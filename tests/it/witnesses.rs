//! Witnesses: who may cosign what, what is kept of it, and when a checkpoint is final.

use std::process::Command;

use tonic::Status;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::signing::VerifyingKey;
use watchfire::transparency::ConflictingCheckpoints;
use watchfire::transparency::Cosigner;
use watchfire::transparency::LogKeys;
use watchfire::wire::pb;

use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::head;
use crate::world::publish;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("harbour-liaison", "observer"),
    ("jetty-audit", "auditor"),
];
const TWO: &str = "2:birch-social,harbour-liaison,jetty-audit";

fn final_line(world: &World) -> String {
    let said = demand(&world.watchfire("acme-video", &["status", "--witnesses", TWO]));
    said.lines().find(|line| line.starts_with("final")).expect("a line").to_owned()
}

fn reason_of(status: &Status) -> String {
    let info = tonic_types::StatusExt::get_details_error_info(status);
    info.map(|info| info.reason).unwrap_or_default()
}

async fn checkpoint(client: &Client) -> pb::GetCheckpointResponse {
    let answer = client.transparency_service().get_checkpoint(pb::GetCheckpointRequest {}).await;
    answer.expect("an answer").into_inner()
}

async fn add(client: &Client, note: &str) -> Result<String, String> {
    let request = pb::AddCosignatureRequest { checkpoint: note.to_owned() };
    let answer = client.transparency_service().add_cosignature(request).await;
    answer.map(|kept| kept.into_inner().checkpoint).map_err(|status| reason_of(&status))
}

/// What a member's key makes of a note of the log.
fn cosigned(client: &Client, note: &str, seconds: u64) -> String {
    let signer = client.signer().expect("a key");
    let key = VerifyingKey::from_spki(&signer.key().spki()).expect("a key");
    let witness = Cosigner::of_member(signer.exchange(), signer.member(), key).expect("Ed25519");
    let log = LogKeys::new(client.pin().log_key().clone());
    log.cosign(note, &witness, (seconds, signer.key())).expect("a checkpoint").note
}

fn now(client: &Client) -> u64 {
    client.now().as_micros() / 1_000_000
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_final_when_enough_witnesses_have_cosigned_it() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("one.example")).await;
    assert!(final_line(&world).contains(" 0 entries, by 2 of 3"));
    demand(&world.watchfire("jetty-audit", &["cosign"]));
    assert!(final_line(&world).contains(" 0 entries"), "one is not two");
    let first = head(&acme).await;
    demand(&world.watchfire("birch-social", &["cosign"]));
    assert!(final_line(&world).contains(&format!(" {first} entries")));

    publish(&acme, domain("two.example")).await;
    let said = demand(&world.watchfire("harbour-liaison", &["cosign"]));
    assert!(said.starts_with(&format!("cosigned {} entries, epoch 1", first + 1)), "{said}");
    // The second largest of the three.
    assert!(final_line(&world).contains(&format!(" {first} entries")));
    let before = checkpoint(&acme).await.cosigned;
    assert_eq!(before.len(), 3);

    // It survives the hub's end, and a compaction.
    world.stop();
    let data = world.data();
    let mut compact = Command::new(env!("CARGO_BIN_EXE_watchfired"));
    compact.args(["compact", "--data", data.to_str().expect("a text")]);
    demand(&compact.output().expect("watchfired runs"));
    world.start(&[]).await;
    let acme = world.client("acme-video").await;
    assert_eq!(checkpoint(&acme).await.cosigned, before);
    assert!(final_line(&world).contains(&format!(" {first} entries")));

    // Who is suspended, and a key that is retired, witness no more.
    demand(&world.watchfire("operator", &["suspend", "birch-social"]));
    demand(&world.watchfire("harbour-liaison", &["keys", "rotate"]));
    assert_eq!(checkpoint(&acme).await.cosigned.len(), 1);
    assert!(final_line(&world).contains(" 0 entries"));
    demand(&world.watchfire("harbour-liaison", &["cosign"]));
    assert_eq!(checkpoint(&acme).await.cosigned.len(), 2, "with its new key");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cosignature_that_does_not_hold_is_refused() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("one.example")).await;
    let (birch, jetty) = (world.client("birch-social").await, world.client("jetty-audit").await);
    let operator = world.client("operator").await;
    let bare = checkpoint(&birch).await.checkpoint;
    let good = cosigned(&birch, &bare, now(&birch));

    let refused = |reason: &str| Err(reason.to_owned());
    assert_eq!(add(&birch, "").await, refused("FIELD_INVALID"));
    assert_eq!(add(&birch, &"x".repeat(9000)).await, refused("FIELD_INVALID"));
    assert_eq!(add(&birch, &bare).await, refused("BAD_SIGNATURE"), "without a cosignature");
    assert_eq!(add(&jetty, &good).await, refused("BAD_SIGNATURE"), "another member's");
    let others = good.replace("/members/birch-social ", "/members/jetty-audit ");
    assert_eq!(add(&jetty, &others).await, refused("BAD_SIGNATURE"), "another name");
    let operators = cosigned(&operator, &bare, now(&operator));
    assert_eq!(add(&operator, &operators).await, refused("ROLE_FORBIDS"));
    let late = cosigned(&birch, &bare, now(&birch) + 3600);
    assert_eq!(add(&birch, &late).await, refused("CLOCK_SKEW"));
    let renamed = good.replacen("watchfire/spring-", "watchfire/autumn-", 1);
    assert_eq!(add(&birch, &renamed).await, refused("WRONG_EXCHANGE"));
    let altered = good.replacen("\nepoch 1\n", "\nepoch 2\n", 1);
    assert_eq!(add(&birch, &altered).await, refused("BAD_SIGNATURE"));

    assert_eq!(add(&birch, &good).await, Ok(good.clone()));
    // An older one changes nothing.
    let noisy = format!("{}\u{2014} somebody/else AAAA\n", cosigned(&birch, &bare, 1));
    assert_eq!(add(&birch, &noisy).await, Ok(good.clone()));
    let newer = cosigned(&birch, &bare, now(&birch) + 5);
    let noisy = format!("{newer}\u{2014} somebody/else AAAA\n");
    assert_eq!(add(&birch, &noisy).await, Ok(newer), "other lines are not kept");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_histories_need_two_sets_of_witnesses() {
    let mut world = World::with_members_then_stopped(MEMBERS).await;
    let mut twin = world.twin();
    world.start(&[]).await;
    twin.start(&[]).await;
    let (acme, other) = (world.client("acme-video").await, twin.client("acme-video").await);
    publish(&acme, domain("one.example")).await;
    publish(&other, domain("other.example")).await;
    let birch = twin.client("birch-social").await;
    let shown = birch.cosign().await.expect("a cosignature").note;
    // The hub takes no cosignature of another history under its own key.
    let here = world.client("birch-social").await;
    assert_eq!(add(&here, &shown).await, Err("FIELD_INVALID".to_owned()));
    // Whoever was shown one history, and hears of the other, has evidence.
    let error = acme.check_checkpoint(&shown).await.expect_err("another history");
    let ClientError::Unverified(error) = &error else { panic!("{error}") };
    assert!(error.evidence().is_some(), "{error}");
    let own = checkpoint(&acme).await.checkpoint;
    let conflict = ConflictingCheckpoints { notes: [own, shown] };
    let [one, other] =
        conflict.check(&LogKeys::new(acme.pin().log_key().clone())).expect("two of one size");
    assert!(one.size == other.size && one.root != other.root);
    // A witness that followed one history does not cosign the other.
    let profile = world.profile_folder("birch-social");
    std::fs::copy(
        twin.profile_folder("birch-social").join("checkpoint"),
        profile.join("checkpoint"),
    )
    .expect("a copy");
    let refused = world.watchfire("birch-social", &["cosign"]);
    assert_eq!(refused.status.code(), Some(5), "{}", String::from_utf8_lossy(&refused.stderr));
    assert!(checkpoint(&acme).await.cosigned.is_empty());
    twin.finish();
    world.finish();
}
