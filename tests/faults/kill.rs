//! SIGKILL at random moments under load: whatever had a receipt is there, in its place, once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use watchfire::client::Client;
use watchfire::model::names::Digest;
use watchfire::model::names::sha256;
use watchfire::wire::pb;

use crate::trials::Trials;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::replay;
use crate::world::sign;

const BATCH: usize = 16;
const PUBLISHERS: [&str; 2] = ["acme-video", "birch-social"];

/// What one publisher was promised: identity to place.
type Receipts = BTreeMap<Digest, u64>;

/// Publishes until the hub is gone; returns what was promised, and what was sent without an answer.
async fn publish_until_gone(client: &Client, receipts: &mut Receipts) -> Vec<pb::Envelope> {
    let signer = client.signer().expect("a key");
    let mut service = client.exchange_service();
    loop {
        let batch: Vec<pb::Envelope> = (0..BATCH)
            .map(|number| {
                let content = domain(&format!("n{number}.example"));
                sign(client, draft(&signer, content, handling(&["companies"], &[])))
            })
            .collect();
        let request =
            pb::PublishRequest { envelopes: batch.clone(), ..pb::PublishRequest::default() };
        let Ok(answer) = service.publish(request).await else {
            return batch;
        };
        take(answer.into_inner(), receipts);
    }
}

fn take(answer: pb::PublishResponse, receipts: &mut Receipts) {
    for result in answer.results {
        match result.outcome.expect("an outcome") {
            pb::publish_result::Outcome::Receipt(receipt) => {
                let digest = receipt.header_digest.try_into().expect("32 bytes");
                let known = receipts.insert(digest, receipt.sequence);
                assert!(
                    known.is_none_or(|known| known == receipt.sequence),
                    "two places for one record"
                );
            }
            // The hub died before the outcome was certain: the record is asked about again.
            pb::publish_result::Outcome::Refusal(refusal) => {
                assert_eq!(refusal.reason, "OUTCOME_UNKNOWN");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_promised_is_lost_when_the_hub_is_killed() {
    let mut trials = Trials::of("kill", 50, 1000);
    let mut world = World::with(&[(PUBLISHERS[0], "company"), (PUBLISHERS[1], "company")]).await;
    let mut receipts = Receipts::new();
    let mut unanswered: Vec<(usize, Vec<pb::Envelope>)> = Vec::new();
    while let Some(mut round) = trials.next() {
        let clients = [world.client(PUBLISHERS[0]).await, world.client(PUBLISHERS[1]).await];
        for (publisher, batch) in unanswered.drain(..) {
            // What had no answer goes out again, byte for byte, and gets one place.
            let request = pb::PublishRequest { envelopes: batch, ..pb::PublishRequest::default() };
            let answer = clients[publisher].exchange_service().publish(request).await;
            take(answer.expect("an answer").into_inner(), &mut receipts);
        }
        let moment = round.moment(Duration::from_millis(64));
        let (mut first, mut second) = (Receipts::new(), Receipts::new());
        let kill = async {
            tokio::time::sleep_until(tokio::time::Instant::now() + moment).await;
            world.kill();
        };
        let (left, right, ()) = tokio::join!(
            publish_until_gone(&clients[0], &mut first),
            publish_until_gone(&clients[1], &mut second),
            kill
        );
        receipts.extend(first);
        receipts.extend(second);
        unanswered = vec![(0, left), (1, right)];
        world.start(&[]).await;
        trials.keep(round);
    }
    let rounds = trials.finish();
    let reader = world.client(PUBLISHERS[0]).await;
    let entries = replay(&reader, watchfire::model::filter::Filter::default()).await;
    let places: BTreeMap<Digest, u64> =
        entries.iter().map(|entry| (sha256(&entry.envelope().payload), entry.sequence())).collect();
    assert_eq!(places.len(), entries.len(), "nothing appears twice");
    let sequences: BTreeSet<u64> = places.values().copied().collect();
    let dense = (0..u64::try_from(entries.len()).expect("a number")).collect::<BTreeSet<u64>>();
    assert_eq!(sequences, dense, "the log has no holes");
    for (digest, place) in &receipts {
        assert_eq!(places.get(digest), Some(place), "a promised record is not in its place");
    }
    println!("{} receipts over {rounds} kills", receipts.len());
    assert!(receipts.len() > usize::try_from(rounds).expect("a number"), "the load was too small");
    world.finish();
}
