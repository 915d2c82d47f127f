//! A publisher that says one thing to some and another to others.

#![expect(clippy::excessive_nesting, reason = "what is done to a frame is a closure in a table")]

use watchfire::client::Client;
use watchfire::client::Draft;
use watchfire::client::VerifiedEntry;
use watchfire::model::header::BodyKind;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::hostile::demand_proven;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::sign;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("cedar-chat", "company"),
    ("harbour-liaison", "observer"),
    ("jetty-audit", "auditor"),
];

/// Two different envelopes of one name and revision.
fn two(acme: &Client, recipients: &[&str]) -> (RecordName, [pb::Envelope; 3]) {
    let signer = acme.signer().expect("a key");
    let first = draft(&signer, domain("one.example"), handling(&[], recipients));
    let name = first.name.clone();
    let other = |value: &str| Draft {
        name: name.clone(),
        ..draft(&signer, domain(value), handling(&["companies"], &[]))
    };
    let (second, third) = (other("two.example"), other("three.example"));
    (name, [sign(acme, first), sign(acme, second), sign(acme, third)])
}

async fn send(acme: &Client, envelopes: Vec<pb::Envelope>) -> Vec<String> {
    let request = pb::PublishRequest { envelopes, ..pb::PublishRequest::default() };
    let answer = acme.exchange_service().publish(request).await.expect("an answer").into_inner();
    let said = |result: pb::PublishResult| match result.outcome {
        Some(pb::publish_result::Outcome::Refusal(refusal)) => refusal.reason,
        Some(pb::publish_result::Outcome::Receipt(_)) => "taken".to_owned(),
        None => String::new(),
    };
    answer.results.into_iter().map(said).collect()
}

async fn notices(world: &World, member: &str) -> Vec<u64> {
    let client = world.client(member).await;
    let filter = watchfire::model::filter::Filter {
        body_kinds: vec![BodyKind::Conflict],
        ..watchfire::model::filter::Filter::default()
    };
    crate::world::replay(&client, filter).await.iter().map(VerifiedEntry::sequence).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_records_under_one_name_are_kept_once_and_proven_by_whoever_may_read_the_first() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    // In one batch, and one after the other.
    for apart in [false, true] {
        let (name, [first, second, third]) = two(&acme, &["birch-social"]);
        let conflict = "REVISION_CONFLICT".to_owned();
        if apart {
            assert_eq!(send(&acme, vec![first]).await, ["taken"]);
            for again in [second.clone(), second, third] {
                assert_eq!(send(&acme, vec![again]).await, std::slice::from_ref(&conflict));
            }
        } else {
            let said = send(&acme, vec![first, second.clone(), second, third]).await;
            assert_eq!(said, ["taken".to_owned(), conflict.clone(), conflict.clone(), conflict]);
        }
        let said = demand(&world.watchfire("birch-social", &["conflicts"]));
        let line = said.lines().find(|line| line.starts_with(&format!("{name}@1:")));
        let line = line.unwrap_or_else(|| panic!("{said}"));
        let evidence = line.rsplit(": ").next().expect("a path");
        demand_proven(evidence.as_ref(), "members/acme-video signed two different records");
        // Handed in, it proves as much: the headers go along, and who hands it in is told.
        let output = world.watchfire("birch-social", &["report", evidence]);
        demand(&output);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("with 2 headers or counts, on which the verdict rests"), "{told}");
        let said = demand(&world.watchfire("jetty-audit", &["reports"]));
        assert!(said.contains("PROVEN") && said.contains(&name.to_string()), "{said}");
    }
    // Once for each, to its publisher and to who may read the first; to nobody else, though the second was for all companies.
    for member in ["acme-video", "birch-social"] {
        assert_eq!(notices(&world, member).await.len(), 2, "{member}");
    }
    for member in ["cedar-chat", "harbour-liaison"] {
        assert!(notices(&world, member).await.is_empty(), "{member}");
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_record_again_is_no_conflict_and_evidence_of_one_alone_proves_nothing() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (_name, [first, second, _third]) = two(&acme, &["birch-social"]);
    for _again in 0..3 {
        assert_eq!(send(&acme, vec![first.clone()]).await, ["taken"]);
    }
    assert!(notices(&world, "birch-social").await.is_empty());
    // Nobody else can make it look so.
    let birch = world.client("birch-social").await;
    assert_eq!(send(&birch, vec![second]).await, ["SIGNER_IS_NOT_CALLER"]);
    assert!(notices(&world, "birch-social").await.is_empty());
    world.finish();
}
