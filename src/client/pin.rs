//! The exchange that a member joined: its founding record, which is all that it takes on trust.

use prost::Message as _;

use crate::client::verifier::Fault;
use crate::client::verifier::VerificationError;
use crate::model::fingerprint::Fingerprint;
use crate::model::header::BodyKind;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::KeyId;
use crate::model::names::Sequence;
use crate::model::names::sha256;
use crate::model::roster::Roster;
use crate::signing;
use crate::signing::Claim;
use crate::signing::VerifyingKey;
use crate::transparency::LogKey;
use crate::wire;
use crate::wire::body::Content;
use crate::wire::body::Genesis;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// A founding record that holds: named after its keys and signed by the operator that it names.
#[derive(Clone, Debug)]
pub struct Pin {
    record: Record,
    genesis: Genesis,
    roster: Roster,
    log_key: LogKey,
}

impl Pin {
    /// Opens the encoded founding envelope.
    pub fn open(bytes: &[u8]) -> Result<Self, VerificationError> {
        let fault = |why: String| VerificationError::at(0, Fault::Genesis(why));
        let envelope = pb::Envelope::decode(bytes).map_err(|error| fault(error.to_string()))?;
        let record =
            wire::envelope::record(envelope).map_err(|refusal| fault(refusal.to_string()))?;
        let Content::Genesis(genesis) = &record.content else {
            return Err(fault("it is another kind of record".to_owned()));
        };
        let genesis = (**genesis).clone();
        let exchange =
            ExchangeName::derive(&genesis.title, &genesis.operator_key.spki, &genesis.log_key)
                .map_err(|error| fault(error.to_string()))?;
        let named =
            record.header.exchange == exchange && record.header.name.member == genesis.operator;
        if !named || record.header.body_kind != BodyKind::Genesis {
            return Err(fault("its name is not that of its keys".to_owned()));
        }
        check_signature(&record, &genesis).map_err(fault)?;
        let roster = wire::roster::apply(&Roster::default(), &exchange, &record, Sequence(0))
            .map_err(|refusal| fault(refusal.to_string()))?
            .unwrap_or_default();
        let log_key = VerifyingKey::from_spki(&genesis.log_key)
            .ok()
            .and_then(|key| LogKey::new(&exchange, key))
            .ok_or_else(|| fault("the log key is not an Ed25519 key".to_owned()))?;
        Ok(Self { record, genesis, roster, log_key })
    }

    /// The exchange.
    pub const fn exchange(&self) -> &ExchangeName {
        &self.record.header.exchange
    }

    /// Its founding facts.
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The founding envelope.
    pub const fn envelope(&self) -> &pb::Envelope {
        &self.record.envelope
    }

    /// The key that signs checkpoints.
    pub const fn log_key(&self) -> &LogKey {
        &self.log_key
    }

    /// What people compare when they join: the operator's first key and the log's first key together. It stays what it
    /// is when those keys change, as the exchange's name does.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_keys(&[&self.genesis.operator_key.spki, &self.genesis.log_key])
    }

    /// The id of the operator's first signing key.
    pub fn operator_key_id(&self) -> KeyId {
        KeyId::of_spki(&self.genesis.operator_key.spki)
    }

    /// The id of the log's key.
    pub fn log_key_id(&self) -> KeyId {
        KeyId::of_spki(&self.genesis.log_key)
    }

    /// SHA-256 of the founding header: the identity of the record at sequence 0.
    pub const fn header_digest(&self) -> Digest {
        self.record.header_digest
    }

    /// Who takes part at sequence 0.
    pub(super) const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Refuses an authority other than the one of the founding record.
    pub fn check_authority(&self, ca_der: &[u8]) -> Result<(), VerificationError> {
        if sha256(ca_der) == self.genesis.ca_digest {
            return Ok(());
        }
        let why = "its certificate authority is another one".to_owned();
        Err(VerificationError::at(0, Fault::Genesis(why)))
    }
}

fn check_signature(record: &Record, genesis: &Genesis) -> Result<(), String> {
    let key =
        VerifyingKey::from_spki(&genesis.operator_key.spki).map_err(|error| error.to_string())?;
    if key.id() != record.key_id {
        return Err("it is signed by another key than the operator's".to_owned());
    }
    let signature = record.envelope.signatures.first().map(|signature| signature.sig.clone());
    let claim = Claim {
        payload_type: &record.envelope.payload_type,
        payload: &record.envelope.payload,
        signature: &signature.unwrap_or_default(),
        key: &key,
        value: (),
    };
    signing::verify(claim).map(|_verified| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::World;

    #[test]
    fn a_founding_record_is_pinned() {
        let world = World::new();
        let pin = Pin::open(&world.founding.genesis.encode_to_vec()).unwrap();
        assert_eq!(pin.exchange(), &world.founding.exchange);
        pin.check_authority(b"ca").unwrap();
        pin.check_authority(b"another").unwrap_err();
    }

    #[test]
    fn no_bit_of_a_founding_record_can_be_changed() {
        let world = World::new();
        let bytes = world.founding.genesis.encode_to_vec();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Pin::open(&changed).is_err(), "byte {at}");
        }
    }
}
