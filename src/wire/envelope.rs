//! Envelopes: from the wire to a record that only lacks the check of its signature.

use prost::Message as _;
use prost::encoding::WireType;
use prost::encoding::encode_key;
use prost::encoding::encode_varint;

use crate::model::header::BodyKind;
use crate::model::header::HEADER_PAYLOAD_TYPE;
use crate::model::header::HUB_PAYLOAD_TYPE;
use crate::model::header::Header;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::names::sha256;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::wire::body;
use crate::wire::body::Content;
use crate::wire::header;
use crate::wire::pb;

/// A record as it was received, taken apart. Its signature is claimed, not yet checked.
#[derive(Clone, Debug)]
pub struct Record {
    /// The envelope, whose bytes are what is stored and forwarded.
    pub envelope: pb::Envelope,
    /// The header that was parsed from the payload.
    pub header: Header,
    /// SHA-256 of the payload: the identity of this revision.
    pub header_digest: Digest,
    /// The key that is said to have signed.
    pub key_id: KeyId,
    /// What the body says, as far as decisions go.
    pub content: Content,
    /// The body, decoded for reading.
    pub body: pb::Body,
}

/// Takes an envelope apart: the form, the header, the body and its digest.
pub fn record(envelope: pb::Envelope) -> Result<Record, Refusal> {
    let length = envelope.encoded_len();
    if length > limits::ENVELOPE_BYTES_MAX {
        return Err(Refusal::field(
            Reason::RecordTooLarge,
            "envelope",
            format!("the envelope has {length} bytes, more than {}", limits::ENVELOPE_BYTES_MAX),
        )
        .with("envelope_bytes_max", limits::ENVELOPE_BYTES_MAX));
    }
    let (key_id, header) = signed(&envelope)?;
    if sha256(&envelope.body) != header.body_digest {
        return Err(Refusal::field(
            Reason::BodyDigestMismatch,
            "envelope.body",
            "the body is not the one whose digest the header names",
        ));
    }
    let (content, body) = body::content(&envelope.body, header.body_kind)?;
    let header_digest = sha256(&envelope.payload);
    Ok(Record { envelope, header, header_digest, key_id, content, body })
}

/// Takes an envelope apart whose body was erased: what was signed is there, what it said is not.
pub fn erased(envelope: pb::Envelope) -> Result<Record, Refusal> {
    let (key_id, header) = signed(&envelope)?;
    if !envelope.body.is_empty() {
        let message = "must be empty where the entry says that it was erased";
        return Err(Refusal::field(Reason::FieldInvalid, "envelope.body", message));
    }
    if header.body_kind.is_common() || header.body_kind == BodyKind::AudienceChange {
        let message = "an entry about the exchange itself is never erased";
        return Err(Refusal::field(Reason::FieldInvalid, "header.body_kind", message));
    }
    let header_digest = sha256(&envelope.payload);
    let (content, body) = (Content::Gone, pb::Body::default());
    Ok(Record { envelope, header, header_digest, key_id, content, body })
}

/// The record of an entry, whether its body is there or not.
pub fn of_entry(entry: pb::Entry) -> Result<Record, Refusal> {
    let envelope = entry.envelope.unwrap_or_default();
    if entry.erased.is_some() { erased(envelope) } else { record(envelope) }
}

/// The header, and the key that is said to have signed it. Each payload type has its own kinds of body: the hub's
/// cannot be taken for a member's, nor the other way round.
fn signed(envelope: &pb::Envelope) -> Result<(KeyId, Header), Refusal> {
    let is_hub = envelope.payload_type == HUB_PAYLOAD_TYPE;
    if !is_hub && envelope.payload_type != HEADER_PAYLOAD_TYPE {
        return Err(Refusal::field(
            Reason::UnsupportedField,
            "envelope.payload_type",
            format!("must be {HEADER_PAYLOAD_TYPE}"),
        ));
    }
    let key_id = key_id(envelope)?;
    let header = header::header(&envelope.payload)?;
    let by_hub = header.name.member == MemberId::hub();
    if is_hub != header.body_kind.is_hub() || is_hub != by_hub {
        return Err(Refusal::field(
            Reason::UnsupportedField,
            "header.body_kind",
            "records of the hub have a payload type, a publisher and kinds of body of their own",
        ));
    }
    Ok((key_id, header))
}

/// What a record that was admitted is found by in the indexes; `None` if it is damaged.
pub fn terms(envelope: &pb::Envelope) -> Option<Vec<Term>> {
    let header = header::header(&envelope.payload).ok()?;
    let (content, body) = body::content(&envelope.body, header.body_kind).ok()?;
    Some(crate::wire::terms(&content, &body, &header.handling.reach))
}

fn key_id(envelope: &pb::Envelope) -> Result<KeyId, Refusal> {
    let malformed =
        |field, message: &str| Refusal::field(Reason::MalformedEnvelope, field, message);
    let [signature] = envelope.signatures.as_slice() else {
        return Err(malformed("envelope.signatures", "there must be exactly one signature"));
    };
    if signature.sig.len() != 64 {
        return Err(malformed("envelope.signatures.sig", "must be 64 bytes"));
    }
    signature.keyid.parse().map_err(|_not_a_key| {
        malformed("envelope.signatures.keyid", "must be 64 lower-case hex digits")
    })
}

/// SHA-256 of the signatures as stored: each key id and signature, as fields of the envelope's encoding.
pub fn signatures_digest(envelope: &pb::Envelope) -> Digest {
    let mut bytes = Vec::with_capacity(160);
    for signature in &envelope.signatures {
        put_signature(signature, &mut bytes);
    }
    sha256(&bytes)
}

/// Encodes an envelope as prost does, which counts a reader of the buffer that the envelope came in for each field.
pub(super) fn put(envelope: &pb::Envelope, into: &mut Vec<u8>) {
    let pb::Envelope { payload_type, payload, signatures, body } = envelope;
    put_field(1, payload_type.as_bytes(), into);
    put_field(2, payload, into);
    for signature in signatures {
        encode_key(3, WireType::LengthDelimited, into);
        put_signature(signature, into);
    }
    put_field(4, body, into);
}

/// Encodes a signature behind its length.
fn put_signature(signature: &pb::Signature, into: &mut Vec<u8>) {
    let pb::Signature { keyid, sig } = signature;
    put_length(signature.encoded_len(), into);
    put_field(1, keyid.as_bytes(), into);
    put_field(2, sig, into);
}

/// Encodes a field, which is left out when it is empty.
fn put_field(number: u32, bytes: &[u8], into: &mut Vec<u8>) {
    if !bytes.is_empty() {
        encode_key(number, WireType::LengthDelimited, into);
        put_length(bytes.len(), into);
        into.extend_from_slice(bytes);
    }
}

fn put_length(length: usize, into: &mut Vec<u8>) {
    encode_varint(u64::try_from(length).unwrap_or(u64::MAX), into);
}
