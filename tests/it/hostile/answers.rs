//! What is done to answers to questions: what a look-up, a list, a search or a single read brings must be in the log as well.

use watchfire::model::names::RevisionName;
use watchfire::wire::pb;

use crate::hostile::MEMBERS;
use crate::hostile::Victim;
use crate::hostile::demand_caught;
use crate::hostile::front::Front;
use crate::hostile::front::Tamper;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::handling;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::recall;
use crate::world::until;

struct Entries<F>(F);

impl<F: FnMut(&mut pb::Entry) + Send + 'static> Tamper for Entries<F> {
    fn entries(&mut self, entries: &mut [pb::Entry]) {
        entries.last_mut().into_iter().for_each(&mut self.0);
    }
}

struct Proofs<F>(F);

impl<F: FnMut(&mut pb::GetMultiproofResponse) + Send + 'static> Tamper for Proofs<F> {
    fn proven(&mut self, proof: &mut pb::GetMultiproofResponse) {
        (self.0)(proof);
    }
}

/// A world with a record, and its name.
async fn scene() -> (World, String) {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (name, _sequence) = publish(&acme, domain("news.example")).await;
    publish(&acme, domain("more.example")).await;
    (world, name.to_string())
}

/// Each way to ask for what `news.example` brings.
fn questions(name: &str) -> [Vec<&str>; 4] {
    [vec!["get", name], vec!["list"], vec!["lookup", "news.example"], vec!["search", "news"]]
}

async fn caught(world: &World, question: &[&str], tamper: impl Tamper, expected: &str) {
    let front = Front::open(world, "birch-social", tamper).await;
    let victim = Victim::of(world, "birch-social");
    let output = victim.watchfire(&front.address(), question);
    demand_caught(&victim, &output, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_an_entry_that_is_not_in_the_log_like_that_is_refused() {
    let (world, name) = scene().await;
    for question in questions(&name) {
        demand(&world.watchfire("birch-social", &question));
        // The last of its entries, in each case.
        let back_dated = |entry: &mut pb::Entry| {
            entry.accept_time.as_mut().expect("a time").seconds -= 3600;
        };
        caught(&world, &question, Entries(back_dated), "not in the log").await;
    }
    // To where another one is.
    for question in [["get", &name], ["lookup", "news.example"], ["search", "news"]] {
        let moved = |entry: &mut pb::Entry| entry.sequence += 1;
        caught(&world, &question, Entries(moved), "not in the log").await;
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_for_an_answer_that_does_not_hold_is_refused() {
    let (world, name) = scene().await;
    let question = ["get", &name];
    let flipped = |proof: &mut pb::GetMultiproofResponse| proof.hashes[7] ^= 1;
    caught(&world, &question, Proofs(flipped), "not in the log").await;
    let halved = |proof: &mut pb::GetMultiproofResponse| {
        proof.hashes.truncate(proof.hashes.len() / 2);
    };
    caught(&world, &question, Proofs(halved), "not in the log").await;
    let none = |proof: &mut pb::GetMultiproofResponse| proof.hashes.clear();
    caught(&world, &question, Proofs(none), "not in the log").await;
    let unsigned = |proof: &mut pb::GetMultiproofResponse| {
        proof.checkpoint = proof.checkpoint.replacen("watchfire/", "campfire/", 1);
    };
    caught(&world, &question, Proofs(unsigned), "not signed by the log's key").await;
    world.finish();
}

/// Keeps the body of an entry back, as if a notice said that it was erased.
struct Erases {
    sequence: u64,
    cause: u64,
}

impl Tamper for Erases {
    fn frame(&mut self, mut frame: pb::SubscribeResponse) -> Vec<pb::SubscribeResponse> {
        self.entries(&mut frame.entries);
        vec![frame]
    }

    fn entries(&mut self, entries: &mut [pb::Entry]) {
        for entry in entries.iter_mut().filter(|entry| entry.sequence == self.sequence) {
            entry.envelope.as_mut().expect("an envelope").body.clear();
            entry.erased = Some(pb::Erasure { cause_sequence: self.cause });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_kept_back_as_if_it_were_erased_is_noticed() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (name, sequence) = publish(&acme, domain("news.example")).await;
    let (gone, _sequence) = publish(&acme, domain("gone.example")).await;
    let (_name, withdrawn) = publish_for(&acme, recall(&gone), handling(&[], &[])).await;
    let revision = RevisionName { record: gone.clone(), revision: None };
    let notice = until("the body is erased", async || {
        acme.get(&revision).await.expect("the record").entry.erased_by()
    });
    let notice = notice.await;
    let name = name.to_string();
    let subscribe = ["subscribe", "--until-head", "--format", "jsonl"];
    for question in [&["get", name.as_str()][..], &["list"], &subscribe] {
        // What was erased is read as ever.
        demand(&world.watchfire("birch-social", question));
        // A notice of another body, and what is no notice.
        for cause in [notice, withdrawn] {
            caught(&world, question, Erases { sequence, cause }, "said to be gone").await;
        }
    }
    world.finish();
}
