//! The log key's succession: whose word puts the next one in place.
//!
//! As a rule the old key signs the entry that names the new one. When it is lost, more than half of the companies in
//! good standing say so, each with one of its own signing keys, over a statement that names both keys and the very
//! place, so that it is of use once.

use std::collections::BTreeSet;

use crate::model::header::LOG_KEY_SUCCESSION_PAYLOAD_TYPE;
use crate::model::header::POSSESSION_PAYLOAD_TYPE;
use crate::model::names::ExchangeName;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::names::Sequence;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::KeyUse;
use crate::model::roster::LogKeyTerm;
use crate::model::roster::Role;
use crate::model::roster::Roster;
use crate::signing;
use crate::signing::Claim;
use crate::signing::VerifyingKey;
use crate::wire::body::LogKeyChange;

/// What members sign when the log key is lost.
pub fn succession_payload(
    exchange: &ExchangeName,
    old: &KeyId,
    new: &KeyId,
    place: Sequence,
) -> Vec<u8> {
    format!("{}\n{old}\n{new}\n{place}\n", exchange.name()).into_bytes()
}

/// How many companies must sign: more than half of those in good standing.
pub fn succession_threshold(roster: &Roster) -> usize {
    let companies = roster.members().filter(|member| is_elector(roster, &member.id));
    companies.count() / 2 + 1
}

fn is_elector(roster: &Roster, member: &MemberId) -> bool {
    roster.member(member).is_some_and(|member| member.role == Role::Company && !member.suspended)
}

/// The term of the key that a succession puts in place, if it holds: `signer` is the key that signed the entry.
pub(super) fn succeed(
    roster: &Roster,
    exchange: &ExchangeName,
    change: &LogKeyChange,
    signer: &KeyId,
    place: Sequence,
) -> Result<LogKeyTerm, Refusal> {
    let new = new_key(exchange, change)?;
    let current = roster.log_keys().last().map(|term| term.id);
    let current = current.ok_or_else(|| refused("body.log_key_change", "there is no log key"))?;
    if change.cosignatures.is_empty() {
        if *signer != current {
            let why = "the old log key must sign it, or members where that is lost";
            return Err(refused("envelope.signatures.keyid", why));
        }
    } else {
        if *signer != new.id() {
            let why = "the new log key must sign it where members vouch for it";
            return Err(refused("envelope.signatures.keyid", why));
        }
        let payload = succession_payload(exchange, &current, &new.id(), place);
        judge_cosignatures(roster, change, &payload, place)?;
    }
    Ok(LogKeyTerm { id: new.id(), spki: change.new_key.spki.clone(), since: place })
}

/// A key that may sign checkpoints, and whose holder wants it to.
fn new_key(exchange: &ExchangeName, change: &LogKeyChange) -> Result<VerifyingKey, Refusal> {
    let field = "body.log_key_change.new_key";
    let invalid = |why: String| Refusal::field(Reason::FieldInvalid, field, why);
    let key = VerifyingKey::from_spki(&change.new_key.spki)
        .map_err(|error| invalid(error.to_string()))?;
    if key.ed25519_bytes().is_none() {
        return Err(invalid("a log key must be an Ed25519 key".to_owned()));
    }
    let payload = signing::possession_payload(exchange, &MemberId::hub(), &key.id());
    let claim = Claim {
        payload_type: POSSESSION_PAYLOAD_TYPE,
        payload: &payload,
        signature: &change.new_key.possession_proof,
        key: &key,
        value: (),
    };
    signing::verify(claim).map_err(|_bad| invalid(signing::InvalidKey::Possession.to_string()))?;
    Ok(key)
}

/// Demands that every signature is good, each of another company, and that there are enough. A key that goes back to a
/// reset by the operator speaks for nobody here: or the operator alone could make up the members' word.
fn judge_cosignatures(
    roster: &Roster,
    change: &LogKeyChange,
    payload: &[u8],
    place: Sequence,
) -> Result<(), Refusal> {
    let field = "body.log_key_change.cosignatures";
    let mut companies = BTreeSet::new();
    for cosignature in &change.cosignatures {
        let key = roster.key(&cosignature.key).filter(|key| {
            key.member == cosignature.member
                && key.key_use == KeyUse::Signing
                && key.is_valid_at(place)
                && key.reset.is_none()
                && is_elector(roster, &key.member)
        });
        let key = key.ok_or_else(|| {
            let why = format!("{} is no key of a company that may sign it", cosignature.key);
            Refusal::field(Reason::KeyNotValid, field, why)
        })?;
        let verifying = VerifyingKey::from_spki(&key.spki)
            .map_err(|error| Refusal::field(Reason::KeyNotValid, field, error.to_string()))?;
        let claim = Claim {
            payload_type: LOG_KEY_SUCCESSION_PAYLOAD_TYPE,
            payload,
            signature: &cosignature.signature,
            key: &verifying,
            value: (),
        };
        signing::verify(claim).map_err(|_bad| {
            let why = format!("the signature of {} does not verify", cosignature.member);
            Refusal::field(Reason::BadSignature, field, why)
        })?;
        if !companies.insert(key.member.clone()) {
            let why = format!("{} signs twice", key.member);
            return Err(Refusal::field(Reason::FieldInvalid, field, why));
        }
    }
    let threshold = succession_threshold(roster);
    if companies.len() < threshold {
        let why = format!("{} companies sign, and {threshold} must", companies.len());
        return Err(Refusal::field(Reason::KeyNotValid, field, why));
    }
    Ok(())
}

fn refused(field: &'static str, why: &str) -> Refusal {
    Refusal::field(Reason::KeyNotValid, field, why)
}
