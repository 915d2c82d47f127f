//! The hub's own entries: notices of what it did, signed by the log key, in a payload type of their own.

use prost::Message as _;
use uuid::Uuid;

use crate::model::facts::Facts;
use crate::model::handling::Handling;
use crate::model::handling::Reach;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::header::HUB_PAYLOAD_TYPE;
use crate::model::header::Header;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::sha256;
use crate::model::time::Timestamp;
use crate::signing;
use crate::signing::Claim;
use crate::signing::SecretKey;
use crate::signing::Verified;
use crate::signing::VerifyingKey;
use crate::store::LogBlock;
use crate::store::StoreError;
use crate::store::StoredEntry;
use crate::wire;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// A notice, signed and checked like every other record.
pub(super) fn notice(
    exchange: &ExchangeName,
    secret: &SecretKey,
    kind: BodyKind,
    content: pb::body::Content,
    now: Timestamp,
) -> Result<Verified<Box<Record>>, StoreError> {
    let body = pb::Body { salt: random::<32>()?.to_vec(), content: Some(content) }.encode_to_vec();
    let header = Header {
        exchange: exchange.clone(),
        name: RecordName { member: MemberId::hub(), record: Uuid::now_v7() },
        revision: 1,
        previous_digest: None,
        create_time: now,
        nonce: random()?,
        handling: Handling {
            tlp: Tlp::Clear,
            reach: Reach::default(),
            onward_uses: Vec::new(),
            use_until: None,
        },
        body_kind: kind,
        body_digest: sha256(&body),
    };
    let payload: bytes::Bytes = wire::header::header_bytes(&header).into();
    let signature = secret.sign(HUB_PAYLOAD_TYPE, &payload);
    let envelope = pb::Envelope {
        payload_type: HUB_PAYLOAD_TYPE.to_owned(),
        payload: payload.clone(),
        signatures: vec![pb::Signature {
            keyid: secret.id().to_string(),
            sig: bytes::Bytes::copy_from_slice(&signature),
        }],
        body: body.into(),
    };
    let failed = |cause: String| StoreError::Io { action: "signing a notice", cause };
    let record = wire::envelope::record(envelope).map_err(|refusal| failed(refusal.to_string()))?;
    let key = VerifyingKey::from_spki(&secret.spki()).map_err(|error| failed(error.to_string()))?;
    signing::verify(Claim {
        payload_type: HUB_PAYLOAD_TYPE,
        payload: &payload,
        signature: &signature,
        key: &key,
        value: Box::new(record),
    })
    .map_err(|error| failed(error.to_string()))
}

/// The encoding of an entry without its body, which an entry at another place caused; `None` if it has none any more,
/// or is one that keeps it.
pub(super) fn without_body(
    block: &LogBlock,
    stored: &StoredEntry,
    cause_sequence: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let damaged = || StoreError::Corrupt {
        place: format!("the block of sequence {}", block.first),
        what: "an entry does not decode",
    };
    let mut entry = wire::entry::decode(block.framed(stored)).ok_or_else(damaged)?;
    let keeps = !is_erasable(&stored.facts) || entry.erased.is_some();
    let Some(envelope) = entry.envelope.as_mut().filter(|_there| !keeps) else {
        return Ok(None);
    };
    envelope.body = bytes::Bytes::new();
    entry.erased = Some(pb::Erasure { cause_sequence });
    Ok(Some(wire::entry::frame(&entry)))
}

/// What members said may go; what the exchange is made of, and recalls with their answers, stay: without them a member
/// that answered would seem to owe an answer.
pub(super) fn is_erasable(facts: &Facts) -> bool {
    facts.scope.body_kind.is_chosen()
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Io {
        action: "drawing random bytes",
        cause: error.to_string(),
    })?;
    Ok(bytes)
}
