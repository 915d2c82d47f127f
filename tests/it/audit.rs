//! The log's proofs as any caller asks for them, and the audit of every leaf by one who sees no body.

use tonic::Code;
use watchfire::client::Client;
use watchfire::model::names::Digest;
use watchfire::model::reason::Reason;
use watchfire::transparency::Checkpoint;
use watchfire::transparency::proof;
use watchfire::wire::pb;

use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::handling;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::replay;

const MEMBERS: &[(&str, &str)] =
    &[("acme-video", "company"), ("birch-social", "company"), ("tide-audit", "auditor")];

async fn checkpoint(client: &Client) -> Checkpoint {
    let answer = client.transparency_service().get_checkpoint(pb::GetCheckpointRequest {}).await;
    let note = answer.expect("an answer").into_inner().checkpoint;
    client.pin().log_key().open(&note).expect("a checkpoint")
}

fn hashes(wire: Vec<Vec<u8>>) -> Vec<Digest> {
    wire.into_iter().map(|hash| hash.try_into().expect("32 bytes")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_is_proven_to_everyone_and_every_tree_to_be_the_beginning_of_the_next() {
    let world = World::with(MEMBERS).await;
    let (acme, auditor) = (world.client("acme-video").await, world.client("tide-audit").await);
    let mut seen = Vec::new();
    for number in 0..70 {
        // One in three is for nobody else.
        let audiences: &[&str] = if number % 3 == 0 { &[] } else { &["companies"] };
        let content = domain(&format!("n{number}.example"));
        publish_for(&acme, content, handling(audiences, &[])).await;
        seen.push(checkpoint(&auditor).await);
    }
    let last = *seen.last().expect("there are some");
    let mut log = auditor.transparency_service();
    let mut leaves = Vec::new();
    for sequence in 0..last.size {
        let request = pb::GetInclusionProofRequest { sequence, tree_size: last.size };
        let answer = log.get_inclusion_proof(request).await.expect("a proof").into_inner();
        assert_eq!(answer.tree_size, last.size);
        let leaf = answer.leaf_hash.try_into().expect("32 bytes");
        let path = hashes(answer.hashes);
        proof::check_inclusion(leaf, sequence, (last.size, &last.root), &path).expect("it holds");
        leaves.push(leaf);
    }
    // Some of them at once, and the tree continues each that was seen.
    for (step, earlier) in seen.iter().enumerate() {
        let sequences: Vec<u64> = (0..last.size).step_by(step + 1).collect();
        let request =
            pb::GetMultiproofRequest { sequences: sequences.clone(), known_size: earlier.size };
        let answer = log.get_multiproof(request).await.expect("a proof").into_inner();
        let leaf = |place: u64| (place, leaves[usize::try_from(place).expect("it fits")]);
        let leaves: Vec<(u64, Digest)> = sequences.into_iter().map(leaf).collect();
        let tree = (last.size, &last.root);
        proof::check_multiproof(&leaves, tree, answer.hashes.as_chunks().0).expect("it holds");
        let grown = answer.growth_proof.as_chunks().0;
        proof::check_consistency((earlier.size, &earlier.root), tree, grown).expect("it holds");
    }
    for earlier in &seen {
        let request =
            pb::GetConsistencyProofRequest { first_size: earlier.size, second_size: last.size };
        let answer = log.get_consistency_proof(request).await.expect("a proof").into_inner();
        let (old, new) = ((earlier.size, &earlier.root), (last.size, &last.root));
        proof::check_consistency(old, new, &hashes(answer.hashes)).expect("it holds");
    }
    // Leaves are those of the entries, for those who see them and for those who do not.
    let request = pb::ListLeafHashesRequest { start_sequence: 0, page_size: 1000 };
    let leaves = log.list_leaf_hashes(request).await.expect("leaves").into_inner().leaves;
    assert_eq!(leaves.len(), usize::try_from(last.size).expect("it fits"));
    for entry in replay(&acme, watchfire::model::filter::Filter::default()).await {
        let leaf = &leaves[usize::try_from(entry.sequence()).expect("it fits")];
        assert_eq!(leaf.header_digest, entry.header_digest());
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_of_what_is_not_there_is_refused_with_its_field() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("news.example")).await;
    let head = checkpoint(&acme).await.size;
    let mut log = acme.transparency_service();
    let refused = |status: tonic::Status, field: &str| {
        let error = watchfire::client::ClientError::from(status.clone());
        let watchfire::client::ClientError::Refused(refused) = error else { panic!("{status:?}") };
        assert!(refused.is(Reason::FieldInvalid), "{refused}");
        assert_eq!((status.code(), refused.field.as_str()), (Code::InvalidArgument, field));
    };
    for (sequence, tree_size, field) in [
        (head, 0, "sequence"),
        (0, head + 1, "tree_size"),
        (3, 3, "sequence"),
        (u64::MAX, 0, "sequence"),
    ] {
        let request = pb::GetInclusionProofRequest { sequence, tree_size };
        refused(log.get_inclusion_proof(request).await.expect_err("a refusal"), field);
    }
    for (first_size, second_size, field) in
        [(head + 1, 0, "first_size"), (2, 1, "first_size"), (0, u64::MAX, "second_size")]
    {
        let request = pb::GetConsistencyProofRequest { first_size, second_size };
        refused(log.get_consistency_proof(request).await.expect_err("a refusal"), field);
    }
    let most: Vec<u64> = (0..1001).collect();
    for sequences in [vec![], vec![1, 0], vec![1, 1], vec![0, head], vec![u64::MAX], most] {
        let request = pb::GetMultiproofRequest { sequences, known_size: 0 };
        refused(log.get_multiproof(request).await.expect_err("a refusal"), "sequences");
    }
    let request = pb::ListLeafHashesRequest { start_sequence: 0, page_size: 1001 };
    refused(log.list_leaf_hashes(request).await.expect_err("a refusal"), "page_size");
    for start_sequence in [head, u64::MAX] {
        let request = pb::ListLeafHashesRequest { start_sequence, page_size: 0 };
        let answer = log.list_leaf_hashes(request).await.expect("an answer").into_inner();
        assert!(answer.leaves.is_empty());
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_checks_every_leaf_and_goes_on_where_it_ended() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    for number in 0..5 {
        publish(&acme, domain(&format!("n{number}.example"))).await;
    }
    let said = demand(&world.watchfire("tide-audit", &["audit"]));
    assert!(said.contains("9 entries hold, 9 of them new"), "{said}");
    let (record, _) = publish(&acme, domain("more.example")).await;
    let said = demand(&world.watchfire("tide-audit", &["audit"]));
    assert!(said.contains("10 entries hold, 1 of them new"), "{said}");
    // What is erased leaves every proof as it was.
    let name = record.to_string();
    demand(
        &world.watchfire(
            "acme-video",
            &["withdraw", &name, "--reason", "privacy", "--demand-deletion"],
        ),
    );
    crate::world::until("the body is erased", || async {
        let request = pb::GetRecordRequest { name: name.clone(), include_record: false };
        let found = acme.exchange_service().get_record(request).await.ok()?.into_inner();
        found.entry?.erased.map(drop)
    })
    .await;
    let said = demand(&world.watchfire("tide-audit", &["audit"]));
    assert!(said.contains("12 entries hold, 2 of them new"), "{said}");
    let said = demand(&world.watchfire("birch-social", &["audit"]));
    assert!(said.contains("12 entries hold, 12 of them new"), "{said}");
    world.finish();
}
