//! What is said over the wire: bodies of each kind, and what is signed around them.

use std::collections::HashSet;

use crate::targets;
use crate::targets::world::World;
use crate::targets::world::world;
use prost::Message as _;
use serde_json::Value;
use watchfire::client::body_from_json;
use watchfire::model::head::Counted;
use watchfire::model::head::HeadName;
use watchfire::model::head::PublisherHead;
use watchfire::model::header::BodyKind;
use watchfire::wire;
use watchfire::wire::pb;

const JSONL: &str = include_str!("../../../docs/JSONL.md");

pub(super) fn index(kind: BodyKind) -> u8 {
    let index = BodyKind::ALL.iter().position(|own| *own == kind).expect("a kind");
    u8::try_from(index).expect("few kinds")
}

/// A body of each kind, with its kind.
pub(super) fn bodies() -> Vec<(BodyKind, Vec<u8>)> {
    let samples =
        JSONL.lines().filter(|line| line.starts_with("{\"body\"") || line.starts_with("{\"name\""));
    let said = samples.map(|line| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        body_from_json(line.get("body").expect("a body").clone()).expect("a body")
    });
    said.chain(about_the_exchange()).map(encoded).collect()
}

pub(super) fn encoded(content: pb::body::Content) -> (BodyKind, Vec<u8>) {
    let body = pb::Body { salt: vec![7; 32], content: Some(content) }.encode_to_vec();
    let is_of = |kind: &&BodyKind| wire::body::content(&body, **kind).is_ok();
    let kind = *BodyKind::ALL.iter().find(is_of).expect("of a kind");
    (kind, body)
}

/// What the roster, the operator and the hub say.
pub(super) fn about_the_exchange() -> Vec<pb::body::Content> {
    use pb::body::Content;
    let founding = pb::Envelope::decode(world().founding().as_slice()).expect("an envelope");
    let founding = pb::Body::decode(&*founding.body).expect("a body").content.expect("said");
    let audience = format!("audiences/{}", "a1".repeat(12));
    let (record, header) =
        (World::record(1, 3).to_string(), world().header(World::member(1), BodyKind::Note, b"x"));
    vec![
        founding,
        Content::RosterChange(admission(1)),
        Content::RosterChange(admission(2)),
        Content::RosterChange(pb::RosterChange {
            member: World::member(1).name(),
            change: Some(pb::roster_change::Change::Suspend(pb::Suspension::default())),
        }),
        Content::KeyChange(pb::KeyChange {
            change: Some(pb::key_change::Change::Add(proven(1, 1))),
        }),
        Content::AudienceChange(pb::AudienceChange {
            audience,
            change: Some(pb::audience_change::Change::Create(pb::AudienceCreation {
                title: "a few".to_owned(),
                members: vec![World::member(2).name()],
            })),
        }),
        Content::Takedown(pb::Takedown { of: record, reason: 1, explanation: "law".to_owned() }),
        Content::Erasure(pb::ErasureNotice { demand_sequence: 3, sequences: vec![1, 2] }),
        Content::Retention(pb::RetentionNotice {
            first_sequence: 0,
            end_sequence: 9,
            rule: "days".to_owned(),
        }),
        Content::Epoch(pb::EpochStart {
            previous_epoch: 1,
            epoch: 2,
            checkpoint: world().note.clone(),
            reason: "restored".to_owned(),
        }),
        Content::Conflict(pb::ConflictNotice {
            first_sequence: 3,
            payload: wire::header::header_bytes(&header),
            keyid: world().log.id().to_string(),
            sig: vec![1; 64],
        }),
        Content::LogKeyChange(pb::LogKeyChange {
            new_key: Some(wire::proven_key(
                &world().exchange,
                &watchfire::model::names::MemberId::hub(),
                &targets::world::key(21),
            )),
            cosignatures: Vec::new(),
        }),
    ]
}

pub(super) fn proven(member: u8, of_recovery: u8) -> pb::PublicKey {
    let keys = if of_recovery == 1 { &world().recovery } else { &world().keys };
    let key = keys.get(usize::from(member)).expect("a key");
    wire::proven_key(&world().exchange, &World::member(member), key)
}

pub(super) fn admission(member: u8) -> pb::RosterChange {
    pb::RosterChange {
        member: World::member(member).name(),
        change: Some(pb::roster_change::Change::Admit(pb::Admission {
            role: 1,
            signing_key: Some(proven(member, 0)),
            recovery_key: Some(proven(member, 1)),
            may_publish_indicators: false,
            display_name: "Acme".to_owned(),
        })),
    }
}

/// Signed envelopes with all kinds of salts, so that there are as many as anybody needs, each once.
pub(crate) fn different_envelopes() -> impl Iterator<Item = pb::Envelope> {
    let mut known = HashSet::new();
    let salted = (0..=u8::MAX).flat_map(|salt| {
        signed(move |body| {
            let mut body = pb::Body::decode(body.as_slice()).expect("a body");
            body.salt = vec![salt; 32];
            body.encode_to_vec()
        })
    });
    salted.filter(move |envelope| known.insert(envelope.encode_to_vec()))
}

/// A signed envelope around a body of each kind, by each member; the hub's by the hub.
fn signed_envelopes() -> impl Iterator<Item = pb::Envelope> + Clone {
    signed(|body| body)
}

fn signed(change: impl Fn(Vec<u8>) -> Vec<u8>) -> std::vec::IntoIter<pb::Envelope> {
    let of = |member| {
        let all = bodies().into_iter();
        all.map(|(kind, body)| world().envelope(member, kind, change(body))).collect::<Vec<_>>()
    };
    (0..3).flat_map(of).collect::<Vec<_>>().into_iter()
}

pub(super) fn envelopes() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        signed_envelopes().step_by(3).map(|envelope| envelope.encode_to_vec()).collect();
    let envelope = pb::Envelope::decode(all.first().expect("one").as_slice()).expect("an envelope");
    let entry = pb::Entry {
        epoch: 1,
        sequence: 7,
        accept_time: Some(wire::time::timestamp_to_wire(world().now)),
        envelope: Some(envelope),
        ..pb::Entry::default()
    };
    all.push(entry.encode_to_vec());
    all.push(wire::entry::frame(&entry));
    all
}

pub(super) fn headers() -> Vec<Vec<u8>> {
    let mut red = world().header(World::member(1), BodyKind::Note, b"x");
    red.handling.tlp = watchfire::model::handling::Tlp::Red;
    red.handling.reach.audiences.clear();
    red.handling.reach.recipients = vec![World::member(2)];
    red.handling.use_until = Some(world().now);
    red.revision = 2;
    red.previous_digest = Some([3; 32]);
    let plain = world().header(World::member(1), BodyKind::Indicator, b"y");
    let mut all: Vec<Vec<u8>> = [red, plain].iter().map(wire::header::header_bytes).collect();
    all.push(wire::head::head_bytes(&head()));
    let listing = wire::head::ListingStatement {
        exchange: world().exchange.clone(),
        member: World::member(2),
        name: head().name,
        epoch: 1,
        size: 12,
        root: [5; 32],
        counted: head().counted,
        time: world().now,
    };
    all.push(listing.to_bytes());
    all
}

pub(super) fn head() -> PublisherHead {
    let [_operator, key, _birch] = &world().keys;
    PublisherHead {
        exchange: world().exchange.clone(),
        name: HeadName {
            publisher: World::member(1),
            key: key.id(),
            scope: "audiences/companies".parse().expect("a scope"),
        },
        epoch: 1,
        size: 12,
        counted: Counted { count: 3, digest: [7; 32] },
        time: world().now,
        next_due: world().now,
        seen: Vec::new(),
    }
}

pub(super) fn roster() -> Vec<u8> {
    let mut all = Vec::new();
    let founding = about_the_exchange().into_iter().map(encoded);
    for (number, (kind, body)) in (0_u8..)
        .zip(founding.filter(|(kind, _body)| kind.is_roster() || *kind == BodyKind::AudienceChange))
    {
        let length = u16::try_from(body.len()).expect("a short body").to_be_bytes();
        // The operator founds and admits; the rest a member does.
        let signer = u8::from(kind != BodyKind::RosterChange && number > 0);
        all.extend([index(kind), signer]);
        all.extend(length);
        all.extend(body);
    }
    all
}

pub(super) fn queries() -> Vec<Vec<u8>> {
    let filter = pb::Filter {
        body_kinds: vec![2, 3],
        kinds: vec![1, 2],
        platforms: vec!["x".to_owned()],
        publishers: vec![World::member(1).name()],
        operations: vec![World::record(1, 3).to_string()],
    };
    let text = "added_after=2018-08-22T00%3A00%3A00.000001Z&match%5Bid%5D=b--1,a--2&match[type]=url%2Cindicator\
                &match[version]=last,first,2018-08-22T00:00:00Z&match[spec_version]=2.1&limit=7&next=abc&unknown=1";
    vec![filter.encode_to_vec(), text.into(), "limit=0".into(), "match[version]=all".into()]
}
