//! Preparation: from received envelopes to records whose signature was checked.
//!
//! It runs in parallel, off the runtime's threads, and proves only "these bytes by this key"; whether the key and
//! its owner may say so at that place is the sequencer's to decide.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use crate::model::header::HEADER_PAYLOAD_TYPE;
use crate::model::names::KeyId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::Roster;
use crate::signing;
use crate::signing::Claim;
use crate::signing::Verified;
use crate::signing::VerifyingKey;
use crate::wire;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// Keys that were parsed before: parsing one costs more than a signature check.
#[derive(Debug, Default)]
pub(super) struct KeyRing {
    parsed: RwLock<HashMap<KeyId, Arc<VerifyingKey>>>,
}

impl KeyRing {
    /// The parsed key with this id, if the roster has it.
    pub(super) fn key(&self, roster: &Roster, id: &KeyId) -> Option<Arc<VerifyingKey>> {
        let found = self.parsed.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if found.is_some() {
            return found;
        }
        let key = Arc::new(VerifyingKey::from_spki(&roster.key(id)?.spki).ok()?);
        // Bounded by the roster: only registered keys come this far.
        self.parsed.write().unwrap_or_else(PoisonError::into_inner).insert(*id, Arc::clone(&key));
        Some(key)
    }
}

/// Parses envelopes and checks their signatures; each is answered for itself, in order.
pub(super) fn prepare(
    envelopes: Vec<pb::Envelope>,
    roster: &Roster,
    keys: &KeyRing,
) -> Vec<Result<Verified<Record>, Refusal>> {
    let parsed: Vec<Result<(Record, Arc<VerifyingKey>), Refusal>> = envelopes
        .into_iter()
        .map(|envelope| {
            let record = wire::envelope::record(envelope)?;
            let key = keys.key(roster, &record.key_id).ok_or_else(unknown_key)?;
            Ok((record, key))
        })
        .collect();
    let payloads: Vec<(bytes::Bytes, bytes::Bytes, Arc<VerifyingKey>)> = parsed
        .iter()
        .flatten()
        .map(|(record, key)| {
            let sig = record.envelope.signatures.first().map(|first| first.sig.clone());
            (record.envelope.payload.clone(), sig.unwrap_or_default(), Arc::clone(key))
        })
        .collect();
    let mut refusals = Vec::with_capacity(parsed.len());
    let mut records = Vec::with_capacity(payloads.len());
    for outcome in parsed {
        match outcome {
            Ok((record, _key)) => {
                records.push(record);
                refusals.push(None);
            }
            Err(refusal) => refusals.push(Some(refusal)),
        }
    }
    let claims = records
        .into_iter()
        .zip(&payloads)
        .map(|(value, (payload, signature, key))| Claim {
            payload_type: HEADER_PAYLOAD_TYPE,
            payload,
            signature,
            key,
            value,
        })
        .collect();
    let mut verdicts = signing::verify_all(claims).into_iter();
    refusals
        .into_iter()
        .map(|refusal| match refusal {
            Some(refusal) => Err(refusal),
            None => match verdicts.next() {
                Some(Ok(verified)) => Ok(verified),
                Some(Err(_)) | None => Err(bad_signature()),
            },
        })
        .collect()
}

fn unknown_key() -> Refusal {
    let message = "the key is not registered with this exchange";
    Refusal::field(Reason::KeyNotValid, "envelope.signatures.keyid", message)
}

fn bad_signature() -> Refusal {
    let message = "the signature is not one by the named key over these bytes";
    Refusal::field(Reason::BadSignature, "envelope.signatures.sig", message)
}
