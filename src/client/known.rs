//! Who takes part, as this client folded it from the log, and where it stands with that.
//!
//! The folded entries are kept in the profile with the keys that they registered, so that saved records can be
//! checked offline; when they are read back every signature is checked again.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::Message as _;
use serde::Deserialize;
use serde::Serialize;

use crate::client::error::ClientError;
use crate::client::pin::Pin;
use crate::client::verifier::Fault;
use crate::client::verifier::Prepared;
use crate::client::verifier::VerificationError;
use crate::client::verifier::Verifier;
use crate::client::verifier::prepare;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::Sequence;
use crate::model::roster::KeyUse;
use crate::profile::Profile;
use crate::profile::ProfileError;
use crate::transparency::Checkpoint;
use crate::transparency::roster_digest;
use crate::wire;
use crate::wire::pb;

/// After so many places without a change the position is saved again, to spare the next start the way.
const SAVE_AFTER: u64 = 10_000;

/// The roster up to a place of the log.
#[derive(Clone, Debug)]
pub struct KnownRoster {
    exchange: ExchangeName,
    verifier: Arc<Verifier>,
    entries: BTreeMap<u64, pb::Entry>,
    epoch: u32,
    position: u64,
    /// Running digest over the entries that were folded, as checkpoints have it.
    digest: Digest,
    saved: u64,
    is_changed: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    exchange: String,
    epoch: u32,
    position: u64,
    keys: Vec<SavedKey>,
    entries: Vec<String>,
}

/// For people: what counts are the entries.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedKey {
    member: String,
    key: String,
    recovery: bool,
    valid_from: u64,
    retired_at: Option<u64>,
    compromised_since: Option<u64>,
}

impl KnownRoster {
    /// One that knows the founding record only.
    pub fn new(pin: &Pin) -> Self {
        Self {
            exchange: pin.exchange().clone(),
            verifier: Arc::new(Verifier::new(pin)),
            entries: BTreeMap::new(),
            epoch: 1,
            position: 0,
            digest: [0; 32],
            saved: 0,
            is_changed: false,
        }
    }

    /// The one that a profile keeps, folded anew.
    pub fn load(profile: &Profile, pin: &Pin) -> Result<Self, ClientError> {
        let mut known = Self::new(pin);
        let Some(text) = profile.known_keys()? else {
            return Ok(known);
        };
        let malformed = |why: String| ProfileError::Malformed {
            path: profile.folder().join("known_keys.json"),
            why,
        };
        let saved: Saved =
            serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        let Saved { exchange, epoch, position, keys: _for_people, entries } = saved;
        if exchange != pin.exchange().name() {
            return Err(malformed("it is of another exchange".to_owned()).into());
        }
        for text in entries {
            let bytes = BASE64.decode(text).map_err(|error| malformed(error.to_string()))?;
            let entry = pb::Entry::decode(bytes.as_slice())
                .map_err(|error| malformed(error.to_string()))?;
            known.fold(entry)?;
        }
        if position > 0 && !known.entries.contains_key(&0) {
            // Without the founding record there is no digest to compare: it is folded anew from the log.
            return Ok(Self::new(pin));
        }
        known.epoch = epoch;
        known.reach(position);
        known.saved = known.position;
        known.is_changed = false;
        Ok(known)
    }

    /// Saves it if that is worth a write.
    pub fn save(&mut self, profile: &Profile) -> Result<(), ClientError> {
        if !self.is_changed && self.position < self.saved.saturating_add(SAVE_AFTER) {
            return Ok(());
        }
        let saved = Saved {
            exchange: self.exchange.name(),
            epoch: self.epoch,
            position: self.position,
            keys: self.keys(),
            entries: self
                .entries
                .values()
                .map(|entry| BASE64.encode(entry.encode_to_vec()))
                .collect(),
        };
        let text =
            serde_json::to_string_pretty(&saved).map_err(|error| ProfileError::Malformed {
                path: profile.folder().join("known_keys.json"),
                why: error.to_string(),
            })?;
        profile.save_known_keys(&text)?;
        self.saved = self.position;
        self.is_changed = false;
        Ok(())
    }

    /// Folds the next roster entry, if it holds. One that was folded before is passed over.
    pub fn fold(&mut self, entry: pb::Entry) -> Result<(), VerificationError> {
        self.fold_prepared(&prepare(entry)?)
    }

    pub(super) fn fold_prepared(&mut self, prepared: &Prepared) -> Result<(), VerificationError> {
        let sequence = prepared.sequence;
        if sequence < self.position {
            return Ok(());
        }
        self.verifier.verify_prepared(vec![prepared.clone()])?;
        self.digest = roster_digest(&self.digest, &prepared.leaf_hash());
        self.entries.insert(sequence, prepared.to_entry());
        self.is_changed = true;
        // The founding record is folded already: it is what was pinned.
        if sequence > 0 {
            let place = Sequence(sequence);
            let roster = wire::roster::apply(
                self.verifier.roster(),
                &self.exchange,
                &prepared.record,
                place,
            )
            .map_err(|refusal| VerificationError::at(sequence, Fault::Roster(refusal)))?;
            if let Some(roster) = roster {
                Arc::make_mut(&mut self.verifier).adopt(roster);
            }
        }
        self.reach(sequence.saturating_add(1));
        Ok(())
    }

    /// Everything below this place was folded.
    pub(super) fn reach(&mut self, position: u64) {
        self.position = self.position.max(position);
    }

    /// The next save is worth a write if anything is new, the position alone included.
    pub(super) const fn touch(&mut self) {
        self.is_changed |= self.position > self.saved;
    }

    /// Whether a checkpoint of this position signs the roster that was folded; one of another says nothing of it.
    pub(super) fn fits(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.size != self.position || checkpoint.roster == self.digest
    }

    /// Everything below this place is folded.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The epoch that it was folded in.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) const fn set_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    /// Judges entries by this roster.
    pub fn verifier(&self) -> Arc<Verifier> {
        Arc::clone(&self.verifier)
    }

    fn keys(&self) -> Vec<SavedKey> {
        let roster = self.verifier.roster();
        let keys = roster.members().flat_map(|member| roster.keys_of(&member.id));
        keys.map(|key| SavedKey {
            member: key.member.to_string(),
            key: key.id.to_string(),
            recovery: key.key_use == KeyUse::Recovery,
            valid_from: key.valid_from.0,
            retired_at: key.retired_at.map(|place| place.0),
            compromised_since: key.compromised_since.map(|place| place.0),
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::founding::proven_key;
    use crate::client::tests::World;
    use crate::client::tests::domain;
    use crate::signing::SecretKey;

    #[test]
    fn a_member_cannot_admit_anyone() {
        let world = World::new();
        let mut known = world.known();
        let stranger = crate::client::Signer::new(
            world.founding.exchange.clone(),
            "stranger".parse().unwrap(),
            SecretKey::generate().unwrap(),
        );
        let forged = world.change(&world.acme, &world.admission(&stranger));
        known.fold(World::entry(3, forged)).unwrap_err();
        assert!(known.verifier().roster().member(stranger.member()).is_none());
    }

    #[test]
    fn a_key_that_was_added_signs_behind_its_place_and_a_retired_one_before_it() {
        let world = World::new();
        let mut known = world.known();
        let next = SecretKey::generate().unwrap();
        let member = world.acme.member().clone();
        let add = pb::body::Content::KeyChange(pb::KeyChange {
            change: Some(pb::key_change::Change::Add(proven_key(
                &world.founding.exchange,
                &member,
                &next,
            ))),
        });
        known.fold(World::entry(3, world.change(&world.acme, &add))).unwrap();
        let retire = pb::body::Content::KeyChange(pb::KeyChange {
            change: Some(pb::key_change::Change::Retire(pb::KeyRetirement {
                key: format!("{}/keys/{}", member.name(), world.acme.key().id()),
                compromised: false,
                compromised_since: 0,
            })),
        });
        let signer = crate::client::Signer::new(world.founding.exchange.clone(), member, next);
        known.fold(World::entry(4, world.change(&signer, &retire))).unwrap();

        let believes = |signer: &crate::client::Signer, sequence| {
            let envelope = world.publish(signer, domain("example.com"));
            known.verifier().verify(World::entry(sequence, envelope)).is_ok()
        };
        assert!(believes(&world.acme, 4) && !believes(&world.acme, 5));
        assert!(!believes(&signer, 3) && believes(&signer, 4) && believes(&signer, 9));
    }

    #[test]
    fn a_saved_roster_is_checked_again_when_it_is_read() {
        let world = World::new();
        let place = tempfile::tempdir().unwrap();
        let profile = profile(&world, &place.path().join("acme"));
        let mut known = world.known();
        known.save(&profile).unwrap();
        let again = KnownRoster::load(&profile, &world.pin()).unwrap();
        assert_eq!(again.verifier().roster(), known.verifier().roster());
        assert_eq!(again.position(), 3);

        let text = profile.known_keys().unwrap().unwrap();
        let mut saved: Saved = serde_json::from_str(&text).unwrap();
        saved.entries.swap(0, 1);
        let mut entry =
            pb::Entry::decode(BASE64.decode(&saved.entries[0]).unwrap().as_slice()).unwrap();
        let mut body = entry.envelope.as_ref().unwrap().body.to_vec();
        *body.last_mut().unwrap() ^= 1;
        entry.envelope.as_mut().unwrap().body = body.into();
        saved.entries[0] = BASE64.encode(entry.encode_to_vec());
        profile.save_known_keys(&serde_json::to_string(&saved).unwrap()).unwrap();
        KnownRoster::load(&profile, &world.pin()).unwrap_err();
    }

    fn profile(world: &World, folder: &std::path::Path) -> Profile {
        let settings = crate::profile::Settings {
            address: "127.0.0.1:7443".to_owned(),
            server_name: "localhost".to_owned(),
            exchange: world.founding.exchange.clone(),
            trust_domain: "spring.watchfire.internal".to_owned(),
            member: world.acme.member().clone(),
            role: crate::model::roster::Role::Company,
            hub_data: None,
            witnesses: None,
        };
        let new = crate::profile::NewProfile {
            settings: &settings,
            ca_pem: "ca",
            certificate_pem: "certificate",
            tls_key_pem: "key",
            signing_key: world.acme.key(),
            recovery_key: world.acme.key(),
            genesis: &world.founding.genesis.encode_to_vec(),
        };
        Profile::create(folder, &new).unwrap()
    }
}
