//! Who takes part, as this client folded it from the log, and where it stands with that.
//!
//! The folded entries are kept in the profile with the keys that they registered, so that saved records can be
//! checked offline; when they are read back every signature is checked again.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::Message as _;
use serde::Deserialize;
use serde::Serialize;

use crate::client::error::ClientError;
use crate::client::pin::Pin;
use crate::client::verifier::Confirmed;
use crate::client::verifier::Fault;
use crate::client::verifier::Prepared;
use crate::client::verifier::VerificationError;
use crate::client::verifier::Verifier;
use crate::client::verifier::prepare;
use crate::model::header::BodyKind;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::Sequence;
use crate::model::roster::KeyUse;
use crate::model::roster::Roster;
use crate::profile::FileVersion;
use crate::profile::Profile;
use crate::profile::ProfileError;
use crate::transparency::Checkpoint;
use crate::transparency::LogKeys;
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
    /// Of the file with the resets that the reader confirmed, as it was last read.
    confirmed: Option<FileVersion>,
    /// Shared with whoever opens checkpoints.
    log_keys: Arc<ArcSwap<LogKeys>>,
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
            confirmed: None,
            log_keys: Arc::new(ArcSwap::from_pointee(LogKeys::new(pin.log_key().clone()))),
        }
    }

    /// The one that a profile keeps, folded anew.
    pub fn load(profile: &Profile, pin: &Pin) -> Result<Self, ClientError> {
        let mut known = Self::new(pin);
        known.read_confirmed(profile)?;
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
        if prepared.record.header.body_kind == BodyKind::LogKeyChange {
            // The key that it puts in place may have signed it, if members vouch for that, which the fold judges.
            let mut then = self.verifier.as_ref().clone();
            then.adopt(self.applied(prepared)?);
            then.verify_prepared(vec![prepared.clone()])?;
        } else {
            self.verifier.verify_prepared(vec![prepared.clone()])?;
        }
        self.digest = roster_digest(&self.digest, &prepared.leaf_hash());
        self.entries.insert(sequence, prepared.to_entry());
        self.is_changed = true;
        // The founding record is folded already: it is what was pinned.
        if sequence > 0 {
            let roster = self.applied(prepared)?;
            let keys = roster.log_keys().len();
            if keys != self.log_keys.load().count()
                && let Some(log_keys) = LogKeys::of(&self.exchange, roster.log_keys())
            {
                self.log_keys.store(Arc::new(log_keys));
            }
            Arc::make_mut(&mut self.verifier).adopt(roster);
        }
        self.reach(sequence.saturating_add(1));
        Ok(())
    }

    /// The roster as an entry makes it.
    fn applied(&self, prepared: &Prepared) -> Result<Roster, VerificationError> {
        let (roster, place) = (self.verifier.roster(), Sequence(prepared.sequence));
        let changed = wire::roster::apply(roster, &self.exchange, &prepared.record, place);
        let changed = changed
            .map_err(|refusal| VerificationError::at(prepared.sequence, Fault::Roster(refusal)))?;
        Ok(changed.unwrap_or_else(|| roster.clone()))
    }

    /// How many entries the log had by the newest checkpoint that the profile remembers.
    pub fn remembered_size(&self, profile: &Profile) -> Result<u64, ClientError> {
        let Some(note) = profile.checkpoint()? else { return Ok(0) };
        let opened = self.log_keys.load().open(&note);
        let checkpoint = opened.map_err(|error| ProfileError::Malformed {
            path: profile.folder().join("checkpoint"),
            why: error.to_string(),
        })?;
        Ok(checkpoint.size)
    }

    /// The keys of the log that are known; whoever holds this learns of those that are folded later.
    pub(super) fn log_keys(&self) -> Arc<ArcSwap<LogKeys>> {
        Arc::clone(&self.log_keys)
    }

    /// Everything below this place was folded.
    pub(super) fn reach(&mut self, position: u64) {
        self.position = self.position.max(position);
    }

    /// The next save is worth a write if anything is new, the position alone included.
    pub(super) const fn touch(&mut self) {
        self.is_changed |= self.position > self.saved;
    }

    /// The entries that were folded.
    pub(super) fn entries(&self) -> impl Iterator<Item = &pb::Entry> {
        self.entries.values()
    }

    /// Whether a checkpoint of this position signs the roster that was folded; one of another says nothing of it.
    pub(super) fn fits(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.size != self.position || checkpoint.roster == self.digest
    }

    /// The running digest over the entries that were folded, as checkpoints have it.
    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }

    /// Everything below this place is folded.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The epoch that it was folded in.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What was folded in another epoch is folded again: a restore may have changed it.
    pub(super) fn forget_other_epochs(&mut self, pin: &Pin, epoch: u32) {
        if self.epoch != epoch {
            let (confirmed, version) = (self.verifier.confirmed(), self.confirmed);
            *self = Self { epoch, confirmed: version, ..Self::new(pin) };
            self.confirm(confirmed);
        }
    }

    /// Takes the resets of members' keys that the reader confirmed.
    pub(super) fn confirm(&mut self, confirmed: Arc<Confirmed>) {
        Arc::make_mut(&mut self.verifier).confirm(confirmed);
    }

    /// Takes what the reader has confirmed since, maybe with another process: read when the file is another one.
    pub(super) fn read_confirmed(&mut self, profile: &Profile) -> Result<(), ProfileError> {
        let version = profile.confirmed_keys_version();
        if version != self.confirmed {
            self.confirm(Arc::new(profile.confirmed_keys()?.resets()));
            self.confirmed = version;
        }
        Ok(())
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
pub(super) mod tests {
    use super::*;
    use crate::client::Signer;
    use crate::client::founding::proven_key;
    use crate::client::tests::World;
    use crate::client::tests::domain;
    use crate::model::names::MemberId;
    use crate::signing::SecretKey;

    #[test]
    fn a_member_cannot_admit_anyone() {
        let world = World::new();
        let mut known = world.known();
        let stranger = Signer::new(
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
        let add = world.addition(&member, &next);
        known.fold(World::entry(3, world.change(&world.acme, &add))).unwrap();
        let retire = pb::body::Content::KeyChange(pb::KeyChange {
            change: Some(pb::key_change::Change::Retire(pb::KeyRetirement {
                key: format!("{}/keys/{}", member.name(), world.acme.key().id()),
                compromised: false,
                compromised_since: 0,
            })),
        });
        let signer = Signer::new(world.founding.exchange.clone(), member, next);
        known.fold(World::entry(4, world.change(&signer, &retire))).unwrap();

        let believes = |signer: &Signer, sequence| {
            let envelope = world.publish(signer, domain("example.com"));
            known.verifier().verify(World::entry(sequence, envelope)).is_ok()
        };
        assert!(believes(&world.acme, 4) && !believes(&world.acme, 5));
        assert!(!believes(&signer, 3) && believes(&signer, 4) && believes(&signer, 9));
    }

    /// Whether records by a signer at a place are believed, and then whether they are unconfirmed.
    fn seen(world: &World, known: &KnownRoster, signer: &Signer, at: u64) -> Option<bool> {
        let envelope = world.publish(signer, domain("example.com"));
        let entry = known.verifier().verify(World::entry(at, envelope)).ok()?;
        assert!(!entry.is_in_doubt());
        Some(entry.is_unconfirmed())
    }

    fn fold(
        world: &World,
        known: &mut KnownRoster,
        at: u64,
        by: &Signer,
        what: &pb::body::Content,
    ) {
        known.fold(World::entry(at, world.change(by, what))).unwrap();
    }

    #[test]
    fn what_is_signed_behind_a_reset_is_unconfirmed_until_the_reader_confirms_it() {
        let world = World::new();
        let mut known = world.known();
        let member = world.acme.member().clone();
        let signer = |key| Signer::new(world.founding.exchange.clone(), member.clone(), key);
        let added = signer(SecretKey::generate().unwrap());
        fold(&world, &mut known, 3, &world.acme, &world.addition(&member, added.key()));
        let (new, reset) = world.reset(&member);
        fold(&world, &mut known, 4, &world.operator, &reset);
        let heir = signer(SecretKey::generate().unwrap());
        fold(&world, &mut known, 5, &new, &world.addition(&member, heir.key()));

        // From before: believed up to the reset, never flagged, and nothing behind it.
        for old in [&world.acme, &added] {
            assert_eq!(seen(&world, &known, old, 4), Some(false));
            assert_eq!(seen(&world, &known, old, 5), None);
        }
        assert_eq!(seen(&world, &known, &new, 4), None);
        assert_eq!(seen(&world, &known, &new, 5), Some(true));
        assert_eq!(seen(&world, &known, &heir, 6), Some(true));
        assert_eq!(seen(&world, &known, &world.bravo, 6), Some(false), "another member");

        let verifier = known.verifier();
        let fingerprint = verifier.roster().resets_of(&member)[0].fingerprint;
        let confirm = |known: &mut KnownRoster, member: &MemberId| {
            known.confirm(Arc::new([(member.clone(), fingerprint)].into()));
        };
        confirm(&mut known, world.bravo.member());
        assert_eq!(seen(&world, &known, &new, 6), Some(true), "it is another's");
        confirm(&mut known, &member);
        assert_eq!(seen(&world, &known, &new, 6), Some(false));
        assert_eq!(seen(&world, &known, &heir, 6), Some(false));

        let (again, reset) = world.reset(&member);
        fold(&world, &mut known, 7, &world.operator, &reset);
        assert_eq!(
            seen(&world, &known, &again, 8),
            Some(true),
            "each reset is confirmed by itself"
        );
        assert_eq!(seen(&world, &known, &heir, 7), Some(false));
        assert_eq!(seen(&world, &known, &heir, 8), None);
    }

    #[test]
    fn what_is_folded_again_in_another_epoch_is_confirmed_as_before() {
        let world = World::new();
        let mut known = world.known();
        let member = world.acme.member().clone();
        let (new, reset) = world.reset(&member);
        let reset = World::entry(3, world.change(&world.operator, &reset));
        known.fold(reset.clone()).unwrap();
        let fingerprint = known.verifier().roster().resets_of(&member)[0].fingerprint;
        known.confirm(Arc::new([(member, fingerprint)].into()));
        known.forget_other_epochs(&world.pin(), 2);
        for entry in world.entries.iter().cloned().chain([reset]) {
            known.fold(entry).unwrap();
        }
        assert_eq!(seen(&world, &known, &new, 4), Some(false));
    }

    #[test]
    fn a_reset_that_is_not_the_operators_or_not_whole_is_not_believed() {
        use pb::roster_change::Change;

        let world = World::new();
        let member = world.acme.member().clone();
        let change = |content: &pb::body::Content, alter: &dyn Fn(&mut pb::KeyReset)| {
            let pb::body::Content::RosterChange(mut change) = content.clone() else { panic!() };
            let Some(Change::ResetKeys(reset)) = &mut change.change else { panic!() };
            alter(reset);
            pb::body::Content::RosterChange(change)
        };
        let (_new, whole) = world.reset(&member);
        let (_other, of_bravo) = world.reset(world.bravo.member());
        let (_other, of_operator) = world.reset(world.operator.member());
        let (_other, of_stranger) = world.reset(&"stranger".parse().unwrap());
        let owned = proven_key(&world.founding.exchange, &member, world.bravo.key());
        let no_proof = change(&whole, &|reset| {
            reset.signing_key.as_mut().unwrap().possession_proof = vec![0; 64];
        });
        let no_recovery_proof = change(&whole, &|reset| {
            reset.recovery_key.as_mut().unwrap().possession_proof.reverse();
        });
        let one_key = change(&whole, &|reset| reset.recovery_key.clone_from(&reset.signing_key));
        let anothers = change(&whole, &|reset| reset.signing_key = Some(owned.clone()));
        // Proofs are for one member: a request of bravo's is of no use for acme.
        let pb::body::Content::RosterChange(mut moved) = of_bravo else { panic!() };
        moved.member = member.name();
        let moved = pb::body::Content::RosterChange(moved);
        let bad = [
            (&world.acme, &whole),
            (&world.bravo, &whole),
            (&world.operator, &no_proof),
            (&world.operator, &no_recovery_proof),
            (&world.operator, &one_key),
            (&world.operator, &anothers),
            (&world.operator, &moved),
            (&world.operator, &of_operator),
            (&world.operator, &of_stranger),
        ];
        for (number, (by, content)) in bad.into_iter().enumerate() {
            let mut known = world.known();
            let before = known.verifier().roster().clone();
            known.fold(World::entry(3, world.change(by, content))).unwrap_err();
            assert_eq!(*known.verifier().roster(), before, "case {number}");
        }
        let mut known = world.known();
        fold(&world, &mut known, 3, &world.operator, &whole);
    }

    #[test]
    fn what_a_member_recovers_by_itself_stays_confirmed() {
        let world = World::new();
        let mut known = world.known();
        let dune = Signer::new(
            world.founding.exchange.clone(),
            "dune-forum".parse().unwrap(),
            SecretKey::generate().unwrap(),
        );
        let recovery = SecretKey::generate().unwrap();
        let pb::body::Content::RosterChange(mut change) = world.admission(&dune) else { panic!() };
        let Some(pb::roster_change::Change::Admit(admission)) = &mut change.change else {
            panic!()
        };
        let exchange = &world.founding.exchange;
        admission.recovery_key = Some(proven_key(exchange, dune.member(), &recovery));
        fold(&world, &mut known, 3, &world.operator, &pb::body::Content::RosterChange(change));
        let recovery = Signer::new(exchange.clone(), dune.member().clone(), recovery);
        let next = SecretKey::generate().unwrap();
        fold(&world, &mut known, 4, &recovery, &world.addition(dune.member(), &next));
        let next = Signer::new(exchange.clone(), dune.member().clone(), next);
        assert_eq!(seen(&world, &known, &next, 5), Some(false));
        assert_eq!(seen(&world, &known, &recovery, 5), None, "it signs key changes only");
    }

    #[test]
    fn the_operators_key_changes_hands_by_its_own_word_alone() {
        let world = World::new();
        let mut known = world.known();
        let operator = world.operator.member().clone();
        let next = SecretKey::generate().unwrap();
        let added = world.addition(&operator, &next);
        known.fold(World::entry(3, world.change(&world.acme, &added))).unwrap_err();
        fold(&world, &mut known, 3, &world.operator, &added);
        let next = Signer::new(world.founding.exchange.clone(), operator.clone(), next);
        let retire = pb::body::Content::KeyChange(pb::KeyChange {
            change: Some(pb::key_change::Change::Retire(pb::KeyRetirement {
                key: format!("{}/keys/{}", operator.name(), world.operator.key().id()),
                compromised: true,
                compromised_since: 2,
            })),
        });
        fold(&world, &mut known, 4, &next, &retire);
        let stranger = Signer::new(
            world.founding.exchange.clone(),
            "stranger".parse().unwrap(),
            SecretKey::generate().unwrap(),
        );
        let admission = world.admission(&stranger);
        // The old key admits nobody behind its retirement, and the pinned founding record does not bring it back.
        known.fold(World::entry(5, world.change(&world.operator, &admission))).unwrap_err();
        fold(&world, &mut known, 5, &next, &admission);
        assert!(known.verifier().roster().member(stranger.member()).is_some());
        let own_again = world.addition(&operator, &SecretKey::generate().unwrap());
        known.fold(World::entry(6, world.change(&world.operator, &own_again))).unwrap_err();
        assert_eq!(
            Pin::open(&world.founding.genesis.encode_to_vec()).unwrap().operator_key_id(),
            world.operator.key().id()
        );
    }

    fn change_log_key(
        world: &World,
        known: &mut KnownRoster,
        by: &SecretKey,
        change: pb::LogKeyChange,
    ) -> Result<(), String> {
        let at = known.position();
        let envelope = world.notice(by, pb::body::Content::LogKeyChange(change));
        known.fold(World::entry(at, envelope)).map_err(|error| error.to_string())
    }

    fn checkpoint(world: &World, secret: &SecretKey, size: u64) -> String {
        let key = crate::signing::VerifyingKey::from_spki(&secret.spki()).unwrap();
        let key = crate::transparency::LogKey::new(&world.founding.exchange, key).unwrap();
        let checkpoint = Checkpoint { epoch: 1, size, root: [1; 32], roster: [2; 32] };
        key.sign(&checkpoint, secret)
    }

    #[test]
    fn the_log_key_changes_by_the_old_ones_word_and_the_old_one_signs_nothing_behind_it() {
        let world = World::new();
        let mut known = world.known();
        let keys = known.log_keys();
        let next = SecretKey::generate().unwrap();
        let change = world.succession(&next, 3, &[]);
        change_log_key(&world, &mut known, &world.log_secret, change).unwrap();
        for (size, secret, opens) in [
            (3, &world.log_secret, true),
            (3, &next, false),
            (4, &world.log_secret, false),
            (4, &next, true),
        ] {
            let note = checkpoint(&world, secret, size);
            assert_eq!(keys.load().open(&note).is_ok(), opens, "whoever shares them learns of it");
        }
        let notice = |secret| {
            let erasure = pb::ErasureNotice { demand_sequence: 1, sequences: vec![2] };
            world.notice(secret, pb::body::Content::Erasure(erasure))
        };
        let believes =
            |secret, at| known.verifier().verify(World::entry(at, notice(secret))).is_ok();
        assert!(believes(&world.log_secret, 2) && !believes(&next, 2));
        assert!(!believes(&world.log_secret, 4) && believes(&next, 4));
        // The old key, which may be stolen, does not come back, nor does it name another.
        let thief = SecretKey::generate().unwrap();
        let again = world.succession(&thief, 4, &[]);
        change_log_key(&world, &mut known, &world.log_secret, again).unwrap_err();
        let back = world.succession(&world.log_secret, 4, &[]);
        change_log_key(&world, &mut known, &next, back).unwrap_err();
        let place = tempfile::tempdir().unwrap();
        let profile = profile(&world, &place.path().join("acme"));
        known.save(&profile).unwrap();
        let again = KnownRoster::load(&profile, &world.pin()).unwrap();
        assert_eq!(again.log_keys().load().count(), 2, "it is known after a restart");
    }

    #[test]
    fn a_lost_log_key_is_replaced_by_more_than_half_of_the_companies() {
        let world = World::new();
        let mut known = world.known();
        let [cedar, dune] = ["cedar-microblog", "dune-forum"].map(|member| {
            let key = SecretKey::generate().unwrap();
            Signer::new(world.founding.exchange.clone(), member.parse().unwrap(), key)
        });
        fold(&world, &mut known, 3, &world.operator, &world.admission(&cedar));
        fold(&world, &mut known, 4, &world.operator, &world.admission(&dune));
        let next = SecretKey::generate().unwrap();
        let [acme, bravo] = [&world.acme, &world.bravo];
        let (stranger, _) = world.reset(acme.member());
        let most = |at| world.succession(&next, at, &[acme, bravo, &cedar]);
        let mut forged = most(5);
        forged.cosignatures[2].signature = forged.cosignatures[1].signature.clone();
        let mut renamed = world.succession(&next, 5, &[acme, bravo, &stranger]);
        renamed.cosignatures[2].key.clone_from(&most(5).cosignatures[2].key);
        let mut unproven = most(5);
        unproven.new_key.as_mut().unwrap().possession_proof.reverse();
        let mut for_a_member = most(5);
        for_a_member.new_key = Some(proven_key(&world.founding.exchange, acme.member(), &next));
        for (number, change) in [
            world.succession(&next, 5, &[]),
            world.succession(&next, 5, &[acme, bravo]),
            world.succession(&next, 5, &[acme, bravo, bravo]),
            world.succession(&next, 5, &[acme, bravo, &stranger]),
            world.succession(&next, 5, &[acme, bravo, &world.operator]),
            most(4),
            most(6),
            forged,
            renamed,
            unproven,
            for_a_member,
        ]
        .into_iter()
        .enumerate()
        {
            let mut known = known.clone();
            change_log_key(&world, &mut known, &next, change).expect_err(&number.to_string());
            assert_eq!(known.log_keys().load().count(), 1, "case {number}");
        }
        // Members' word is for the new key, which must sign; the old one needs none.
        change_log_key(&world, &mut known.clone(), &world.log_secret, most(5)).unwrap_err();
        change_log_key(&world, &mut known, &next, most(5)).unwrap();
        assert!(known.log_keys().load().open(&checkpoint(&world, &next, 6)).is_ok());
    }

    #[test]
    fn suspended_companies_and_keys_from_a_reset_have_no_say_about_the_log_key() {
        let world = World::new();
        let mut known = world.known();
        let (reset, change) = world.reset(world.acme.member());
        fold(&world, &mut known, 3, &world.operator, &change);
        let next = SecretKey::generate().unwrap();
        let both = world.succession(&next, 4, &[&reset, &world.bravo]);
        change_log_key(&world, &mut known, &next, both).unwrap_err();
        let suspend = pb::body::Content::RosterChange(pb::RosterChange {
            member: world.acme.member().name(),
            change: Some(pb::roster_change::Change::Suspend(pb::Suspension::default())),
        });
        fold(&world, &mut known, 4, &world.operator, &suspend);
        let alone = world.succession(&next, 5, &[&world.bravo]);
        change_log_key(&world, &mut known, &next, alone).unwrap();
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

    pub(in crate::client) fn profile(world: &World, folder: &std::path::Path) -> Profile {
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
