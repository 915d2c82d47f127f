//! Which key signs is decided by the place in the log, and by no clock (T-I6): while keys change hands under load, with
//! times in headers that say something else, and with a hub whose clock moves meanwhile.

use std::time::Duration;

use watchfire::client::Client;
use watchfire::client::Signer;
use watchfire::model::filter::Filter;
use watchfire::model::reason::Reason;
use watchfire::model::time::Timestamp;
use watchfire::signing::SecretKey;
use watchfire::wire::pb;

use crate::identity::offer;
use crate::identity::offer_all;
use crate::identity::refused;
use crate::trials::Round;
use crate::trials::Trials;
use crate::turned::TurnedHub;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::replay;

const COMPANIES: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
/// Records that are offered while their key is retired.
const UNDER_WAY: usize = 60;
/// Records that are signed in time and offered too late.
const LATE: usize = 5;

/// A record that says of itself that it was made then.
fn made_at(signer: &Signer, time: Timestamp) -> pb::Envelope {
    let said = draft(signer, domain("one.example"), handling(&["companies"], &[]));
    signer.sign(said, time).expect("a record")
}

/// A time that says nothing about when a record is taken: from long ago to what is just taken.
fn any_time(round: &mut Round, client: &Client) -> Timestamp {
    match round.below(4) {
        0 => Timestamp::default(),
        1 => client.now().saturating_sub(round.moment(Duration::from_hours(100_000))),
        2 => client.now(),
        _ => client.now().saturating_add(round.moment(Duration::from_mins(9))),
    }
}

/// A key is brought in, signs beside the old one, and the old one is retired while both sign. What was taken by the old
/// one lies before its retirement, and what was refused does not: by their places alone.
async fn hand_over(round: &mut Round, acme: &Client, old: &Signer, hub: &TurnedHub) -> Signer {
    let key = SecretKey::generate().expect("a key");
    let new = Signer::new(old.exchange().clone(), old.member().clone(), key);
    let early = made_at(&new, any_time(round, acme));
    refused(acme, early.clone(), Reason::KeyNotValid).await;
    acme.add_key(old, new.key()).await.expect("a receipt");
    offer(acme, early)
        .await
        .expect("a receipt: the same bytes, behind the entry that brought it in");

    let late: Vec<pb::Envelope> =
        (0..LATE).map(|_number| made_at(old, any_time(round, acme))).collect();
    let under_way: Vec<pb::Envelope> =
        (0..UNDER_WAY).map(|_number| made_at(old, any_time(round, acme))).collect();
    let offering = async {
        let mut said = Vec::new();
        for envelope in &under_way {
            said.push(offer(acme, envelope.clone()).await);
        }
        said
    };
    let pause = round.moment(Duration::from_millis(60));
    hub.turn(round.moment(Duration::from_mins(9)));
    let retiring = async {
        tokio::time::sleep(pause).await;
        acme.retire_key(&new, old.key().id(), None).await.expect("a receipt").sequence
    };
    let (said, retired) = tokio::join!(offering, retiring);
    let mut taken = 0_u64;
    for answer in &said {
        match answer {
            Ok(receipt) => {
                taken += 1;
                assert!(receipt.sequence < retired, "{} behind {retired}", receipt.sequence);
            }
            Err(refusal) => assert_eq!(refusal.reason, Reason::KeyNotValid.as_str(), "{refusal:?}"),
        }
    }
    round.note("taken", taken);
    // Once refused, refused for good; and what was taken has its receipt still.
    let first_refused = said.iter().position(Result::is_err).unwrap_or(said.len());
    assert!(said[first_refused..].iter().all(Result::is_err), "a retired key signed again");
    let again = offer_all(acme, under_way).await;
    for (first, again) in said.iter().zip(again) {
        let places = [first.as_ref().ok(), again.as_ref().ok()];
        let [first, again] = places.map(|receipt| receipt.map(|receipt| receipt.sequence));
        assert_eq!(first, again);
    }
    for envelope in late {
        refused(acme, envelope, Reason::KeyNotValid).await;
    }
    // Nor does it bring itself back, nor another key.
    let another = SecretKey::generate().expect("a key");
    acme.add_key(old, &another).await.expect_err("a refusal");
    offer(acme, made_at(&new, any_time(round, acme))).await.expect("a receipt");
    new
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_in_the_log_decides_which_key_signs() {
    let mut trials = Trials::of("key_places", 4, 100);
    let world = World::with_members_then_stopped(COMPANIES).await;
    let hub = TurnedHub::serve(&world, Duration::ZERO).await;
    let acme = world.client("acme-video").await;
    let mut signer = acme.signer().expect("a key");
    let (mut before, mut behind) = (false, false);
    while let Some(mut round) = trials.next() {
        let old = signer.key().id();
        signer = hand_over(&mut round, &acme, &signer, &hub).await;
        hub.turn(Duration::ZERO);
        let birch = world.client("birch-social").await;
        // Whoever reads it for the first time verifies all of it: old keys and new ones, each at its places.
        let seen = replay(&birch, Filter::default()).await;
        let keys: Vec<_> =
            seen.iter().map(|entry| entry.envelope().signatures[0].keyid.clone()).collect();
        before |= keys.contains(&old.to_string());
        behind |= keys.contains(&signer.key().id().to_string());
        trials.keep(round);
    }
    trials.finish();
    assert!(before && behind, "records of old keys and of new ones are read");
    drop(acme);
    hub.stop().await;
    world.check_log();
}
