//! What comes over the wire: envelopes, headers, statements, bodies, filters, and what a roster makes of them.

use prost::Message as _;
use watchfire::client::body_from_json;
use watchfire::model::handling::Reach;
use watchfire::model::header::BodyKind;
use watchfire::model::limits;
use watchfire::model::names::Sequence;
use watchfire::model::names::sha256;
use watchfire::model::roster::Roster;
use watchfire::taxii;
use watchfire::wire;
use watchfire::wire::MarkStatement;
use watchfire::wire::envelope::Record;
use watchfire::wire::head::ListingStatement;
use watchfire::wire::pb;
use watchfire::wire::report::ReportStatement;

use super::text;
use super::world::World;
use super::world::world;

/// Roster entries of one input at most.
const STEPS_MAX: u64 = 16;

/// An envelope, and an entry that holds one.
pub(super) fn envelope(data: &[u8]) {
    if let Ok(envelope) = pb::Envelope::decode(data) {
        taken_apart(&envelope);
        taken_apart(&mended(envelope));
    }
    if let Ok(entry) = pb::Entry::decode(data) {
        let is_erased = entry.erased.is_some();
        if let Ok(record) = wire::envelope::of_entry(entry) {
            assert!(!is_erased || record.envelope.body.is_empty(), "an erased body is gone");
        }
    }
    // From the disk: as fields of a frame.
    if let Some(entry) = wire::entry::decode(data.to_vec().into()) {
        let again = wire::entry::decode(wire::entry::frame(&entry).into());
        assert_eq!(again, Some(entry), "a framed entry survives its bytes");
    }
}

/// The digest of the body put right, and the header spelt as it must be: what lies behind those checks is met, too.
fn mended(mut envelope: pb::Envelope) -> pb::Envelope {
    if let Ok(mut header) = pb::Header::decode(&*envelope.payload) {
        header.body_digest = sha256(&envelope.body).to_vec();
        envelope.payload = header.encode_to_vec().into();
    }
    envelope
}

fn taken_apart(envelope: &pb::Envelope) {
    let bytes = envelope.encode_to_vec();
    let framed = wire::entry::frame_of(1, 7, world().now, envelope);
    let entry = wire::entry::decode(framed.into()).expect("what was framed is an entry");
    assert_eq!(entry.envelope.as_ref(), Some(envelope), "it is forwarded as it came");
    let _digest = wire::envelope::signatures_digest(envelope);
    let without_body = pb::Envelope { body: Vec::new().into(), ..envelope.clone() };
    let erased = wire::envelope::erased(without_body);
    let Ok(record) = wire::envelope::record(envelope.clone()) else { return };
    assert!(bytes.len() <= limits::ENVELOPE_BYTES_MAX, "{} bytes", bytes.len());
    assert_eq!(wire::header::header_bytes(&record.header), envelope.payload, "the signed bytes");
    assert_eq!(record.header_digest, sha256(&envelope.payload));
    assert_eq!(record.header.body_digest, sha256(&envelope.body));
    if let Ok(erased) = erased {
        assert_eq!(erased.header, record.header, "a body that goes takes nothing else along");
    }
    let terms = wire::envelope::terms(envelope).expect("a record has terms");
    assert_eq!(terms, wire::terms(&record.content, &record.body, &record.header.handling.reach));
    let _sense = wire::sense(&record.body, record.header.create_time);
}

/// A header, and the other statements that are signed: each has one spelling.
pub(super) fn header(data: &[u8]) {
    one_header(data);
    if let Ok(header) = pb::Header::decode(data) {
        one_header(&header.encode_to_vec());
    }
    statements(data);
    if let Ok(head) = pb::HeadStatement::decode(data) {
        statements(&head.encode_to_vec());
    }
    if let Ok(listing) = pb::ListingStatement::decode(data) {
        statements(&listing.encode_to_vec());
    }
    if let Ok(mark) = pb::MarkStatement::decode(data) {
        statements(&mark.encode_to_vec());
    }
}

fn one_header(data: &[u8]) {
    let Ok(header) = wire::header::header(data) else { return };
    assert!(data.len() <= limits::HEADER_BYTES_MAX);
    assert_eq!(wire::header::header_bytes(&header), data, "a header has one spelling");
    let reach = &header.handling.reach;
    assert!(reach.audiences.len() <= limits::AUDIENCES_MAX);
    assert!(reach.recipients.len() <= limits::RECIPIENTS_MAX);
}

fn statements(data: &[u8]) {
    if let Ok(head) = wire::head::head(data) {
        assert_eq!(wire::head::head_bytes(&head), data, "a head has one spelling");
    }
    if let Ok(listing) = ListingStatement::from_bytes(data) {
        assert_eq!(listing.to_bytes(), data, "a listing has one spelling");
    }
    if let Ok(mark) = MarkStatement::from_bytes(data) {
        assert_eq!(mark.to_bytes(), data, "a mark has one spelling");
    }
    if let Ok(report) = ReportStatement::from_bytes(data) {
        assert_eq!(report.to_bytes(), data, "a receipt for a report has one spelling");
    }
}

/// A body. The first byte is the kind that the header says it is of.
pub(super) fn body(data: &[u8]) {
    let Some((number, bytes)) = data.split_first() else { return };
    let kind = BodyKind::ALL.iter().cycle().nth(usize::from(*number) % BodyKind::ALL.len());
    let kind = *kind.expect("some kind");
    let Ok((content, body)) = wire::body::content(bytes, kind) else { return };
    // Whoever writes it again loses what it does not know, and says the same.
    let again = wire::body::content(&body.encode_to_vec(), kind).expect("the same body again");
    assert_eq!((&again.0, &again.1), (&content, &body));
    assert!(content.targets().len() <= 2, "a record is about two others at most");
    let _terms = wire::terms(&content, &body, &Reach::default());
    let _words = body.content.as_ref().map(wire::text_of);
    let _sense = wire::sense(&body, world().now);
    let json = wire::json::message_to_json("watchfire.v1.Body", bytes);
    assert!(json.is_object(), "it is shown");
    assert_eq!(body_from_json(json).ok(), body.content, "what is shown can be published");
}

/// A filter, and the query of a request for objects.
pub(super) fn query(data: &[u8]) {
    if let Ok(filter) = pb::Filter::decode(data) {
        let known = wire::filter::known(Some(filter.clone()));
        let asked = wire::filter::filter(Some(filter.clone()));
        let kept = wire::filter::kept_filter(Some(filter));
        assert!(kept.is_err() || asked.is_ok(), "what is kept may be asked");
        assert!(asked.is_err() || known.is_ok(), "what may be asked is known");
        if let Ok(known) = known {
            let again = wire::filter::filter_to_wire(&known);
            assert!(kept.is_err() || again.encoded_len() <= limits::FILTER_KEPT_BYTES_MAX);
            let again = wire::filter::known(Some(again)).expect("a filter");
            assert_eq!(again, known);
            assert_eq!(again.digest(), known.digest());
        }
    }
    let Some(Ok((objects, limit, next))) = text(data).map(taxii::fuzzing::query) else { return };
    assert!((1..=limits::PAGE_ENTRIES_MAX).contains(&limit));
    assert!(next.len() <= limits::TOKEN_BYTES_MAX);
    let lists = [
        objects.ids.len(),
        objects.types.len(),
        objects.spec_versions.len(),
        objects.versions.len(),
    ];
    assert!(lists.into_iter().all(|count| count <= limits::FILTER_VALUES_MAX));
}

/// Records one behind the other, each as kind, key, length and body: what the roster makes of them.
pub(super) fn roster(data: &[u8]) {
    let mut rest = data;
    let mut roster = Roster::default();
    for place in 0..STEPS_MAX {
        let Some((record, behind)) = next_record(rest) else { return };
        rest = behind;
        let Ok(Some(changed)) =
            wire::roster::apply(&roster, &world().exchange, &record, Sequence(place))
        else {
            continue;
        };
        for member in roster.members() {
            assert!(changed.member(&member.id).is_some(), "nobody is forgotten");
            let mut keys = roster.keys_of(&member.id);
            assert!(keys.all(|key| changed.key(&key.id).is_some()), "no key is forgotten");
        }
        assert!(changed.members().count() <= roster.members().count() + 1);
        assert!(changed.log_keys().len() <= roster.log_keys().len() + 1);
        roster = changed;
    }
}

fn next_record(data: &[u8]) -> Option<(Record, &[u8])> {
    let ([kind, signer, high, low], rest) = data.split_first_chunk()?;
    let kind = *BodyKind::ALL.iter().cycle().nth(usize::from(*kind) % BodyKind::ALL.len())?;
    let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
    let (bytes, behind) = rest.split_at(length);
    let world = world();
    let secret = world.keys.iter().chain(&world.recovery).cycle().nth(usize::from(*signer) % 6)?;
    let (content, body) = wire::body::content(bytes, kind).ok()?;
    let envelope = pb::Envelope::default();
    let header = world.header(World::member(*signer), kind, bytes);
    let header_digest = sha256(&wire::header::header_bytes(&header));
    Some((Record { envelope, header, header_digest, key_id: secret.id(), content, body }, behind))
}
