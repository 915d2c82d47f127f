//! The papers of a lost log key: what the operator asks the companies to sign, and what each of them answers.
//!
//! Neither holds anything secret. The hub cannot be asked meanwhile, since it cannot serve without its key: what a member
//! knows of the log from before is what it judges by.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::Serialize;

use crate::client::enrol::InvalidPaper;
use crate::client::known::KnownRoster;
use crate::client::signer::Signer;
use crate::model::fingerprint::Fingerprint;
use crate::model::header::LOG_KEY_SUCCESSION_PAYLOAD_TYPE;
use crate::model::names::ExchangeName;
use crate::model::names::KeyId;
use crate::model::names::Sequence;
use crate::wire;
use crate::wire::pb;

/// The version of the papers.
const VERSION: u32 = 1;

/// What companies are asked to sign.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SuccessionRequest {
    version: u32,
    exchange: String,
    old_log_key: String,
    new_log_key: String,
    sequence: u64,
}

/// What one company answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SuccessionCosignature {
    version: u32,
    exchange: String,
    key: String,
    signature: String,
}

impl SuccessionRequest {
    /// Makes one: the new key takes the old one's place with the entry at this sequence, and no other.
    pub fn new(exchange: &ExchangeName, old: &KeyId, new: &KeyId, sequence: Sequence) -> Self {
        Self {
            version: VERSION,
            exchange: exchange.name(),
            old_log_key: old.to_string(),
            new_log_key: new.to_string(),
            sequence: sequence.0,
        }
    }

    /// Reads one.
    pub fn parse(json: &str) -> Result<Self, InvalidPaper> {
        let request: Self =
            serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
        if request.version != VERSION {
            return Err(invalid("it is of another version"));
        }
        request.new_key()?;
        Ok(request)
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// What the member compares with the operator: the new key.
    pub fn fingerprint(&self) -> Result<Fingerprint, InvalidPaper> {
        Ok(Fingerprint::of_key(self.new_key()?))
    }

    /// The place that the change is for.
    pub const fn sequence(&self) -> Sequence {
        Sequence(self.sequence)
    }

    fn new_key(&self) -> Result<KeyId, InvalidPaper> {
        self.new_log_key.parse().map_err(|_not_a_key| invalid("the new key is not one"))
    }

    /// Vouches for the new key, if the request fits what this member knows of the log: the old key is the one that
    /// signs, and the log does not go further than the place. `seen` is the size of the newest checkpoint that it has
    /// seen: to sign below that would help to cut the log off.
    pub fn cosign(
        &self,
        signer: &Signer,
        known: &KnownRoster,
        seen: u64,
    ) -> Result<SuccessionCosignature, InvalidPaper> {
        if self.exchange != signer.exchange().name() {
            return Err(invalid("it is for another exchange"));
        }
        let verifier = known.verifier();
        let current = verifier.roster().log_keys().last().map(|term| term.id);
        let Some(old) = current.filter(|id| id.to_string() == self.old_log_key) else {
            return Err(invalid("the old key is not the one that signs for the log"));
        };
        if self.sequence < seen.max(known.position()) {
            let seen = seen.max(known.position());
            return Err(invalid(format!(
                "the log that this member knows has {seen} entries, more than {} before the change: it would be cut off",
                self.sequence
            )));
        }
        let new = self.new_key()?;
        let payload =
            wire::succession_payload(signer.exchange(), &old, &new, Sequence(self.sequence));
        let signature = signer.key().sign(LOG_KEY_SUCCESSION_PAYLOAD_TYPE, &payload);
        Ok(SuccessionCosignature {
            version: VERSION,
            exchange: self.exchange.clone(),
            key: format!("{}/keys/{}", signer.member().name(), signer.key().id()),
            signature: BASE64.encode(signature),
        })
    }
}

impl SuccessionCosignature {
    /// Reads one for an exchange.
    pub fn parse(json: &str, exchange: &ExchangeName) -> Result<Self, InvalidPaper> {
        let answer: Self =
            serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
        if answer.version != VERSION || answer.exchange != exchange.name() {
            return Err(invalid("it is of another version, or for another exchange"));
        }
        Ok(answer)
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// As the entry carries it.
    pub fn to_wire(&self) -> Result<pb::LogKeyCosignature, InvalidPaper> {
        let signature =
            BASE64.decode(&self.signature).map_err(|error| invalid(error.to_string()))?;
        Ok(pb::LogKeyCosignature { key: self.key.clone(), signature })
    }
}

fn invalid(why: impl Into<String>) -> InvalidPaper {
    InvalidPaper::new("succession of the log key", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::World;
    use crate::signing::SecretKey;

    #[test]
    fn a_member_signs_for_the_log_that_it_knows_and_for_no_shorter_one() {
        let world = World::new();
        let known = world.known();
        let exchange = &world.founding.exchange;
        let (old, new) = (world.log_secret.id(), SecretKey::generate().unwrap().id());
        let ask = |sequence| SuccessionRequest::new(exchange, &old, &new, Sequence(sequence));
        ask(3).cosign(&world.acme, &known, 3).unwrap();
        ask(9).cosign(&world.acme, &known, 9).unwrap();
        ask(2).cosign(&world.acme, &known, 0).unwrap_err();
        ask(8).cosign(&world.acme, &known, 9).unwrap_err();
        let not_the_old = SuccessionRequest::new(exchange, &new, &new, Sequence(3));
        not_the_old.cosign(&world.acme, &known, 3).unwrap_err();
        let elsewhere = World::new();
        ask(3).cosign(&elsewhere.acme, &elsewhere.known(), 3).unwrap_err();
        let json = ask(3).to_json();
        assert_eq!(SuccessionRequest::parse(&json).unwrap(), ask(3));
        SuccessionRequest::parse(&json.replace(&new.to_string(), "none")).unwrap_err();
    }
}
