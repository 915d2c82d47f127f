//! Records in another's name (T-I1): whoever calls, whoever is named, whoever's key signs, whatever is said, by every
//! call that takes a record. Each round has records of the caller's own among them, which are taken.

use tonic::Code;
use watchfire::client::Client;
use watchfire::client::Signer;
use watchfire::client::draw_audience;
use watchfire::client::proven_key;
use watchfire::model::header::BodyKind;
use watchfire::model::names::ExchangeName;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::reason::Reason;
use watchfire::profile::OwnKey;
use watchfire::signing::SecretKey;
use watchfire::wire::pb;
use watchfire::wire::pb::body::Content;

use crate::identity::answers;
use crate::identity::by_its_call;
use crate::identity::offer_all;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::operation;
use crate::world::withdrawal;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("harbour-liaison", "observer"),
    ("juniper-audit", "auditor"),
];
/// Records in another's name in one round.
const CASES: usize = 50;
/// Of these, so many by a call of their own.
const APART: usize = 10;
/// What can be said: see [`content`].
const CONTENTS: u64 = 18;

/// One who takes part, with its keys.
struct Party {
    client: Client,
    member: MemberId,
    keys: [SecretKey; 2],
}

impl Party {
    async fn of(world: &World, name: &str) -> Self {
        let client = world.client(name).await;
        let keys = [OwnKey::Signing, OwnKey::Recovery];
        let keys = keys.map(|which| client.profile().key(which).expect("a key"));
        Self { member: name.parse().expect("a name"), client, keys }
    }

    fn exchange(&self) -> &ExchangeName {
        self.client.pin().exchange()
    }
}

fn number(of: usize) -> u64 {
    u64::try_from(of).expect("a number")
}

fn one_of<'a, T>(round: &mut Round, all: &'a [T]) -> &'a T {
    let place = round.below(number(all.len()));
    &all[usize::try_from(place).expect("a place")]
}

/// A change of keys with which a member brings in another key: everyone may make it for itself.
fn own_change(exchange: &ExchangeName, member: &MemberId) -> Content {
    let key = SecretKey::generate().expect("a key");
    let added = proven_key(exchange, member, &key);
    Content::KeyChange(pb::KeyChange { change: Some(pb::key_change::Change::Add(added)) })
}

/// What is said, by its number; each is well formed, so that nothing but the name stands in its way.
fn content(which: u64, exchange: &ExchangeName, claimed: &MemberId) -> Content {
    let record = RecordName { member: claimed.clone(), record: uuid::Uuid::now_v7() };
    let of = record.to_string();
    let change = |change| {
        Content::RosterChange(pb::RosterChange { member: claimed.name(), change: Some(change) })
    };
    let key = || Some(proven_key(exchange, claimed, &SecretKey::generate().expect("a key")));
    match which {
        0 => domain("forged.example"),
        1 => operation("Forged"),
        2 => withdrawal(&record),
        3 => own_change(exchange, claimed),
        4 => change(pb::roster_change::Change::Suspend(pb::Suspension::default())),
        5 => change(pb::roster_change::Change::Reinstate(pb::Reinstatement::default())),
        6 => change(pb::roster_change::Change::Quota(pb::Quota::default())),
        7 => change(pb::roster_change::Change::Admit(pb::Admission {
            role: pb::Role::Auditor.into(),
            signing_key: key(),
            recovery_key: key(),
            ..pb::Admission::default()
        })),
        8 => change(pb::roster_change::Change::ResetKeys(pb::KeyReset {
            signing_key: key(),
            recovery_key: key(),
            ..pb::KeyReset::default()
        })),
        9 => Content::AudienceChange(pb::AudienceChange {
            audience: draw_audience().expect("a handle").name(),
            change: Some(pb::audience_change::Change::Create(pb::AudienceCreation {
                title: "Desk".to_owned(),
                members: Vec::new(),
            })),
        }),
        10 => retirement(exchange, claimed),
        11 => Content::Takedown(pb::Takedown {
            of,
            reason: pb::TakedownReason::Legal.into(),
            ..pb::Takedown::default()
        }),
        12 => Content::Note(pb::Note { about: of, text: "Seen.".to_owned() }),
        _ => statement(which, of),
    }
}

/// The retirement of one of a member's keys.
fn retirement(exchange: &ExchangeName, claimed: &MemberId) -> Content {
    let key = proven_key(exchange, claimed, &SecretKey::generate().expect("a key"));
    let id = watchfire::model::names::KeyId::of_spki(&key.spki);
    let retirement = pb::KeyRetirement {
        key: format!("{}/keys/{id}", claimed.name()),
        ..pb::KeyRetirement::default()
    };
    Content::KeyChange(pb::KeyChange { change: Some(pb::key_change::Change::Retire(retirement)) })
}

/// Something about a record.
fn statement(which: u64, of: String) -> Content {
    match which {
        13 => Content::Sighting(pb::Sighting { of, count: 1, ..pb::Sighting::default() }),
        14 => Content::Opinion(pb::Opinion {
            of,
            stance: pb::Stance::Agree.into(),
            ..pb::Opinion::default()
        }),
        15 => Content::ActionReport(pb::ActionReport {
            of,
            action: pb::Action::Removed.into(),
            ..pb::ActionReport::default()
        }),
        16 => Content::Acknowledgement(pb::Acknowledgement {
            of,
            answer: pb::AcknowledgementAnswer::Deleted.into(),
            ..pb::Acknowledgement::default()
        }),
        _ => Content::Inquiry(pb::Inquiry {
            about: Some(pb::Reference { to: Some(pb::reference::To::Record(of)) }),
            question: "Who?".to_owned(),
            ..pb::Inquiry::default()
        }),
    }
}

/// A record that is not the caller's: by its name, by its key, or by both. The name may be nobody's.
fn forgery(round: &mut Round, parties: &[Party], caller: &Party) -> (Content, pb::Envelope) {
    let nobody: MemberId = "nobody-here".parse().expect("a name");
    let (claimed, owner) = loop {
        let owner = one_of(round, parties);
        let names: Vec<&MemberId> =
            parties.iter().map(|party| &party.member).chain([&nobody]).collect();
        let claimed = *one_of(round, &names);
        if *claimed != caller.member || owner.member != caller.member {
            break (claimed.clone(), owner);
        }
    };
    let content = content(round.below(CONTENTS), caller.exchange(), &claimed);
    let key = one_of(round, &owner.keys).clone();
    let signer = Signer::new(caller.exchange().clone(), claimed, key);
    let reach = if kind_is_chosen(&content) { &["companies"][..] } else { &[] };
    let said = draft(&signer, content.clone(), handling(reach, &[]));
    (content, signer.sign(said, caller.client.now()).expect("a record"))
}

/// Whether its publisher chooses who may read it.
const fn kind_is_chosen(content: &Content) -> bool {
    !matches!(
        content,
        Content::Withdrawal(_)
            | Content::KeyChange(_)
            | Content::RosterChange(_)
            | Content::AudienceChange(_)
            | Content::Takedown(_)
            | Content::Acknowledgement(_)
    )
}

/// A record of the caller's own, of a kind that every role may publish.
fn honest(caller: &Party) -> pb::Envelope {
    let [key, _recovery] = caller.keys.clone();
    let signer = Signer::new(caller.exchange().clone(), caller.member.clone(), key);
    let change = own_change(caller.exchange(), &caller.member);
    let said = draft(&signer, change, handling(&[], &[]));
    signer.sign(said, caller.client.now()).expect("a record")
}

/// Offers a batch by one of the two calls that take batches.
async fn offered(
    client: &Client,
    envelopes: Vec<pb::Envelope>,
    streamed: bool,
) -> Vec<super::Answer> {
    if !streamed {
        return offer_all(client, envelopes).await;
    }
    let request = pb::PublishStreamRequest { envelopes, ..pb::PublishStreamRequest::default() };
    let stream = client.exchange_service().publish_stream(tokio_stream::once(request)).await;
    let mut stream = stream.expect("a stream").into_inner();
    answers(stream.message().await.expect("an answer").expect("one").results)
}

/// One round: what one caller offers in the names and with the keys of others, and one record of its own.
async fn play(round: &mut Round, parties: &[Party]) {
    let caller = one_of(round, parties);
    let before = head(&caller.client).await;
    let mut apart = 0;
    let mut batch = Vec::new();
    while apart + batch.len() < CASES {
        let (content, envelope) = forgery(round, parties, caller);
        let alone = if apart < APART {
            by_its_call(&caller.client, &content, envelope.clone()).await
        } else {
            None
        };
        let Some((call, said)) = alone else {
            batch.push(envelope);
            continue;
        };
        let status = said.expect_err(call);
        let info = tonic_types::StatusExt::get_details_error_info(&status).expect("a reason");
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
        assert_eq!(info.reason, Reason::SignerIsNotCaller.as_str(), "{status:?}");
        apart += 1;
    }
    let place = usize::try_from(round.below(number(batch.len()))).expect("a place");
    batch.insert(place, honest(caller));
    let streamed = round.below(2) == 1;
    let said = offered(&caller.client, batch, streamed).await;
    for (index, answer) in said.into_iter().enumerate() {
        match answer {
            Ok(receipt) => assert_eq!(index, place, "taken at {}", receipt.sequence),
            Err(refusal) => {
                assert_ne!(index, place, "the caller's own record: {refusal:?}");
                let expected = (Reason::SignerIsNotCaller.as_str(), 7);
                assert_eq!((refusal.reason.as_str(), refusal.code), expected, "{refusal:?}");
            }
        }
    }
    assert_eq!(head(&caller.client).await, before + 1, "the caller's own record, and no other");
    round.note("apart", number(apart));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_publishes_in_anothers_name_whatever_it_says() {
    let mut trials = Trials::of("impostors", 8, 200);
    let world = World::with(MEMBERS).await;
    let mut parties = vec![Party::of(&world, "operator").await];
    for (name, _role) in MEMBERS {
        parties.push(Party::of(&world, name).await);
    }
    while let Some(mut round) = trials.next() {
        play(&mut round, &parties).await;
        trials.keep(round);
    }
    trials.finish();
    // What is in the log is of its publisher, by its publisher's key.
    let all = crate::world::replay(&parties[1].client, watchfire::model::filter::Filter::default());
    let all = all.await;
    assert!(all.iter().any(|entry| entry.header().body_kind == BodyKind::KeyChange));
    assert!(!all.iter().any(|entry| entry.header().body_kind == BodyKind::Indicator));
    world.finish();
}
