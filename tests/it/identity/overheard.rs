//! Envelopes that somebody read, sent again (T-I2): to the same hub and to another one, by their publisher and by everybody
//! else, as they were and with other readers, after they were taken back and after access was lost.

use watchfire::client::Client;
use watchfire::client::KeeperChange;
use watchfire::client::OperatorChange;
use watchfire::client::Signer;
use watchfire::client::draw_audience;
use watchfire::client::proven_key;
use watchfire::model::handling::Handling;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::reason::Reason;
use watchfire::signing::SecretKey;
use watchfire::wire::pb;
use watchfire::wire::pb::body::Content;

use crate::identity::offer;
use crate::identity::offer_all;
use crate::identity::refused;
use crate::recalls::erased;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::recall;
use crate::world::sign;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("harbour-liaison", "observer"),
    ("juniper-audit", "auditor"),
];
/// Everybody but the publisher.
const OTHERS: [&str; 4] = ["birch-social", "harbour-liaison", "juniper-audit", "operator"];

fn member(name: &str) -> MemberId {
    name.parse().expect("a name")
}

fn shared() -> Handling {
    handling(&["companies"], &["harbour-liaison"])
}

/// One of everything that a company publishes about a record, or without one.
fn of_each_kind(acme: &Client, about: &RecordName) -> Vec<pb::Envelope> {
    let of = about.to_string();
    let signer = acme.signer().expect("a key");
    let note = Content::Note(pb::Note { about: of.clone(), text: "Seen.".to_owned() });
    let sighting = Content::Sighting(pb::Sighting { of, count: 1, ..pb::Sighting::default() });
    let create = pb::audience_change::Change::Create(pb::AudienceCreation {
        title: "Desk".to_owned(),
        members: Vec::new(),
    });
    let audience = draw_audience().expect("a handle").name();
    let desk = Content::AudienceChange(pb::AudienceChange { audience, change: Some(create) });
    let key = SecretKey::generate().expect("a key");
    let added = proven_key(signer.exchange(), signer.member(), &key);
    let keys =
        Content::KeyChange(pb::KeyChange { change: Some(pb::key_change::Change::Add(added)) });
    let chosen = [domain("once.example"), note, sighting]
        .map(|content| sign(acme, draft(&signer, content, shared())));
    let bare = [desk, keys].map(|content| sign(acme, draft(&signer, content, handling(&[], &[]))));
    chosen.into_iter().chain(bare).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_publisher_gets_the_receipt_again() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (about, _) = publish_for(&acme, domain("about.example"), shared()).await;
    let envelopes = of_each_kind(&acme, &about);
    let first = offer_all(&acme, envelopes.clone()).await;
    let first: Vec<pb::Receipt> =
        first.into_iter().map(|answer| answer.expect("a receipt")).collect();
    let before = head(&acme).await;
    for name in OTHERS {
        let other = world.client(name).await;
        for answer in offer_all(&other, envelopes.clone()).await {
            let refusal = answer.expect_err("a refusal");
            assert_eq!(refusal.reason, Reason::SignerIsNotCaller.as_str(), "{name}: {refusal:?}");
            // Nothing that the receipt would have told.
            assert!(refusal.metadata.is_empty(), "{name}: {refusal:?}");
        }
    }
    let again = offer_all(&acme, envelopes).await;
    for (first, again) in first.iter().zip(again) {
        let again = again.expect("a receipt");
        assert!(again.repeated && !first.repeated);
        assert_eq!((again.sequence, &again.leaf_hash), (first.sequence, &first.leaf_hash));
    }
    assert_eq!(head(&acme).await, before, "nothing was added");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_does_not_come_back() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let birch = world.client("birch-social").await;
    let signer = acme.signer().expect("a key");
    let said = draft(&signer, domain("gone.example"), handling(&["companies"], &[]));
    let name = said.name.clone();
    let envelope = sign(&acme, said);
    let first = offer(&acme, envelope.clone()).await.expect("a receipt");
    publish_for(&acme, recall(&name), handling(&[], &[])).await;
    erased(&acme, &name).await;
    let before = head(&acme).await;
    let again = offer(&acme, envelope.clone()).await.expect("a receipt");
    assert_eq!((again.sequence, again.repeated), (first.sequence, true));
    refused(&birch, envelope.clone(), Reason::SignerIsNotCaller).await;
    assert_eq!(head(&acme).await, before);
    for client in [&acme, &birch] {
        let request = pb::GetRecordRequest { name: name.to_string(), include_record: true };
        let found = client.exchange_service().get_record(request).await.expect("an answer");
        let entry = found.into_inner().entry.expect("an entry");
        assert!(entry.erased.is_some());
        assert!(entry.envelope.expect("an envelope").body.is_empty(), "its body is back");
    }

    // Nor by a member that is out: not even the receipt.
    demand(&world.watchfire("operator", &["suspend", "acme-video"]));
    let envelopes = vec![envelope.clone()];
    let request = pb::PublishRequest { envelopes, ..pb::PublishRequest::default() };
    let status = acme.exchange_service().publish(request).await.expect_err("a refusal");
    let info = tonic_types::StatusExt::get_details_error_info(&status).expect("a reason");
    assert_eq!(info.reason, Reason::MemberSuspended.as_str());
    demand(&world.watchfire("operator", &["reinstate", "acme-video"]));
    assert!(offer(&acme, envelope).await.expect("a receipt").repeated);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn its_readers_are_those_whom_its_publisher_signed() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let signer = acme.signer().expect("a key");
    let narrow = sign(&acme, draft(&signer, domain("n.example"), handling(&[], &["birch-social"])));
    // Wider readers under the old signature, by whoever read it and by its publisher.
    let mut header = watchfire::wire::header::header(&narrow.payload).expect("a header");
    header.handling = handling(&["all"], &["birch-social"]);
    let payload = watchfire::wire::header::header_bytes(&header).into();
    let widened = pb::Envelope { payload, ..narrow.clone() };
    refused(&birch, widened.clone(), Reason::BadSignature).await;
    refused(&acme, widened, Reason::BadSignature).await;
    // A header of another record of the same publisher over this body.
    let other = sign(&acme, draft(&signer, domain("m.example"), handling(&["all"], &[])));
    let swapped = pb::Envelope { body: narrow.body.clone(), ..other };
    refused(&acme, swapped, Reason::BodyDigestMismatch).await;

    // Signed while its publisher was in the audience, sent when it is not any more.
    let desk = draw_audience().expect("a handle");
    let create =
        KeeperChange::Create { title: "Desk".to_owned(), members: vec![member("acme-video")] };
    birch.change_audience(&desk, create).await.expect("a receipt");
    let for_desk = || {
        let said = draft(&signer, domain("desk.example"), handling(&[desk.as_str()], &[]));
        sign(&acme, said)
    };
    let late = for_desk();
    offer(&acme, for_desk()).await.expect("a receipt, as long as it is in");
    let remove = KeeperChange::Remove(vec![member("acme-video")]);
    birch.change_audience(&desk, remove).await.expect("a receipt");
    refused(&acme, late, Reason::AudienceForbidden).await;
    offer(&acme, narrow).await.expect("a receipt: it was good all the time");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_exchange_takes_nothing_of_this_one() {
    let (world, elsewhere) = (World::with(MEMBERS).await, World::with(MEMBERS).await);
    let (here, there) = (world.client("acme-video").await, elsewhere.client("acme-video").await);
    let (about, _) = publish_for(&here, domain("about.example"), shared()).await;
    let envelopes = of_each_kind(&here, &about);
    // There the key is nobody's.
    for envelope in &envelopes {
        refused(&there, envelope.clone(), Reason::KeyNotValid).await;
    }
    // The proof with which it was registered here registers it nowhere else, nor for anybody else.
    let own = here.signer().expect("a key");
    let theirs = there.signer().expect("a key");
    let proof = proven_key(own.exchange(), own.member(), own.key());
    let overheard = pb::key_change::Change::Add(proof);
    let overheard = Content::KeyChange(pb::KeyChange { change: Some(overheard) });
    let foreign = sign(&there, draft(&theirs, overheard, handling(&[], &[])));
    refused(&there, foreign, Reason::FieldInvalid).await;
    // With a proof for that exchange, its owner signs there with the same key; what it signed here stays here.
    there.add_key(&theirs, own.key()).await.expect("a receipt");
    let same_key = Signer::new(theirs.exchange().clone(), own.member().clone(), own.key().clone());
    let said = draft(&same_key, domain("there.example"), handling(&["companies"], &[]));
    let good = same_key.sign(said, there.now()).expect("a record");
    offer(&there, good).await.expect("a receipt");
    for envelope in envelopes {
        refused(&there, envelope.clone(), Reason::WrongExchange).await;
        let other = elsewhere.client("birch-social").await;
        refused(&other, envelope.clone(), Reason::SignerIsNotCaller).await;
        offer(&here, envelope).await.expect("a receipt: here it is good");
    }
    world.finish();
    elsewhere.finish();
}

/// What the operator decided in one exchange decides nothing in another, nor once more in the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_of_the_operator_is_made_once() {
    let world = World::with(MEMBERS).await;
    let operator = world.client("operator").await;
    let signer = operator.signer().expect("a key");
    let suspend = Content::RosterChange(pb::RosterChange {
        member: member("birch-social").name(),
        change: Some(pb::roster_change::Change::Suspend(pb::Suspension::default())),
    });
    let envelope = sign(&operator, draft(&signer, suspend, handling(&[], &[])));
    let first = offer(&operator, envelope.clone()).await.expect("a receipt");
    operator
        .change_roster(&member("birch-social"), OperatorChange::Reinstate(String::new()))
        .await
        .expect("a receipt");
    let again = offer(&operator, envelope.clone()).await.expect("a receipt");
    assert_eq!((again.sequence, again.repeated), (first.sequence, true));
    // It is in good standing still: it publishes.
    let birch = world.client("birch-social").await;
    publish(&birch, domain("still.example")).await;
    let acme = world.client("acme-video").await;
    refused(&acme, envelope, Reason::SignerIsNotCaller).await;
    world.finish();
}
