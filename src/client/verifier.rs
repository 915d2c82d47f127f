//! From an entry as the hub sent it to one that may be believed.
//!
//! Signed by a key that is its publisher's and valid at that place of the log, for the pinned exchange, with the
//! body that the header names. Nothing else is ever shown as data.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::client::account::Deviation;
use crate::client::pin::Pin;
use crate::model::fingerprint::Fingerprint;
use crate::model::header::BodyKind;
use crate::model::header::HEADER_PAYLOAD_TYPE;
use crate::model::header::Header;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::Sequence;
use crate::model::reason::Refusal;
use crate::model::roster::KeyUse;
use crate::model::roster::RegisteredKey;
use crate::model::roster::Role;
use crate::model::roster::Roster;
use crate::model::time::Timestamp;
use crate::signing;
use crate::signing::Claim;
use crate::signing::VerifyingKey;
use crate::transparency::LeafData;
use crate::wire;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// What the hub sent does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("verification failed{}: {fault}{}", Place(*sequence), Kept(evidence.as_deref()))]
pub struct VerificationError {
    sequence: Option<u64>,
    /// Apart: a result with an error in it should not be large.
    fault: Box<Fault>,
    /// Where what shows it is kept.
    evidence: Option<PathBuf>,
}

struct Kept<'a>(Option<&'a Path>);

impl fmt::Display for Kept<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |path| {
            let path = path.display();
            write!(
                formatter,
                ". Evidence is kept in {path}: watchfire verify {path}; to hand it to the operator and the auditors: \
                 watchfire report {path}"
            )
        })
    }
}

struct Place(Option<u64>);

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |sequence| write!(formatter, " at sequence {sequence}"))
    }
}

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the founding record does not hold: {0}")]
    Genesis(String),
    #[error("the entry is malformed: {0}")]
    Malformed(String),
    #[error("the record was signed for another exchange")]
    WrongExchange,
    #[error("the signing key {0} is not one that may sign this record here")]
    Key(KeyId),
    #[error("the signature does not verify")]
    Signature,
    #[error("the roster entry does not fit: {0}")]
    Roster(Refusal),
    #[error("the receipt does not hold: {0}")]
    Receipt(&'static str),
    #[error("the hub's answer does not hold: {0}")]
    Answer(String),
    #[error("the hub deviates: {0}")]
    Deviation(Deviation),
}

impl VerificationError {
    pub(super) fn at(sequence: u64, fault: Fault) -> Self {
        Self { sequence: Some(sequence), fault: Box::new(fault), evidence: None }
    }

    pub(super) fn answer(why: impl Into<String>) -> Self {
        Self { sequence: None, fault: Box::new(Fault::Answer(why.into())), evidence: None }
    }

    /// The same, with what shows it kept in a file.
    pub(super) fn with_evidence(self, path: PathBuf) -> Self {
        Self { evidence: Some(path), ..self }
    }

    /// Where what shows it is kept, if it is.
    pub fn evidence(&self) -> Option<&Path> {
        self.evidence.as_deref()
    }

    /// How the hub deviates, where that is what is wrong.
    pub fn is_deviation(&self) -> Option<Deviation> {
        if let Fault::Deviation(deviation) = &*self.fault { Some(*deviation) } else { None }
    }

    pub(super) fn deviation(deviation: Deviation) -> Self {
        Self { sequence: None, fault: Box::new(Fault::Deviation(deviation)), evidence: None }
    }

    pub(super) fn receipt(why: &'static str) -> Self {
        Self { sequence: None, fault: Box::new(Fault::Receipt(why)), evidence: None }
    }
}

/// An entry that was checked in full. Only a [`Verifier`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedEntry {
    one: Prepared,
    doubts: Doubts,
}

/// What a reader should know about the key that signed an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// It was said to be compromised from that place or an earlier one on.
    pub compromised: bool,
    /// It goes back to a reset by the operator that the reader has not confirmed.
    pub unconfirmed: bool,
}

impl VerifiedEntry {
    /// The log's epoch.
    pub const fn epoch(&self) -> u32 {
        self.one.epoch
    }

    /// The place.
    pub const fn sequence(&self) -> u64 {
        self.one.sequence
    }

    /// When the hub took it in.
    pub const fn accept_time(&self) -> Timestamp {
        self.one.accept_time
    }

    /// The signed header.
    pub const fn header(&self) -> &Header {
        &self.one.record.header
    }

    /// The identity of this revision.
    pub const fn header_digest(&self) -> Digest {
        self.one.record.header_digest
    }

    /// The envelope as received.
    pub const fn envelope(&self) -> &pb::Envelope {
        &self.one.record.envelope
    }

    /// The record, taken apart.
    pub const fn record(&self) -> &Record {
        &self.one.record
    }

    /// The body, decoded.
    pub const fn body(&self) -> &pb::Body {
        &self.one.record.body
    }

    /// The place of the hub's notice that it erased the body, which is empty then; that notice says why.
    pub const fn erased_by(&self) -> Option<u64> {
        self.one.erased_by
    }

    /// What the reader should know about its key.
    pub const fn doubts(&self) -> Doubts {
        self.doubts
    }

    /// Whether its key was said to be compromised from this place or an earlier one on.
    pub const fn is_in_doubt(&self) -> bool {
        self.doubts.compromised
    }

    /// Whether its key goes back to the operator's reset of the member's keys, and this profile's user has not
    /// confirmed that the new keys are the member's own.
    pub const fn is_unconfirmed(&self) -> bool {
        self.doubts.unconfirmed
    }

    /// Whether it should no longer be acted on at this time, as its publisher signed it: its `use_until` or
    /// `valid_until` has passed.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        wire::expiry(self.header(), Some(self.body())).is_some_and(|until| until <= now)
    }

    /// Its leaf in the log's tree.
    pub(super) fn leaf_hash(&self) -> Digest {
        self.one.leaf_hash()
    }

    /// The entry that it was, without the part that nobody signed.
    pub(super) fn to_entry(&self) -> pb::Entry {
        self.one.to_entry()
    }

    /// The record that it is a revision of.
    pub const fn name(&self) -> &RecordName {
        &self.one.record.header.name
    }
}

/// An entry that was taken apart; its signature is not checked yet.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) epoch: u32,
    pub(super) sequence: u64,
    accept_time: Timestamp,
    erased_by: Option<u64>,
    pub(super) record: Record,
}

impl Prepared {
    /// Its leaf in the log's tree.
    pub(super) fn leaf_hash(&self) -> Digest {
        LeafData {
            sequence: Sequence(self.sequence),
            accept_time: self.accept_time,
            name_digest: self.record.header.name_digest(),
            header_digest: self.record.header_digest,
            signatures_digest: wire::envelope::signatures_digest(&self.record.envelope),
        }
        .hash()
    }

    /// The entry that it was, without the part that nobody signed.
    pub(super) fn to_entry(&self) -> pb::Entry {
        pb::Entry {
            epoch: self.epoch,
            sequence: self.sequence,
            accept_time: Some(wire::time::timestamp_to_wire(self.accept_time)),
            envelope: Some(self.record.envelope.clone()),
            erased: self.erased_by.map(|cause_sequence| pb::Erasure { cause_sequence }),
            record: None,
        }
    }
}

/// Takes an entry apart.
pub(super) fn prepare(entry: pb::Entry) -> Result<Prepared, VerificationError> {
    // The decoded record is for people who look over the wire; what counts is the envelope.
    let pb::Entry { epoch, sequence, accept_time, envelope, erased, record: _unsigned } = entry;
    let malformed = |why: String| VerificationError::at(sequence, Fault::Malformed(why));
    let envelope = envelope.ok_or_else(|| malformed("it has no envelope".to_owned()))?;
    let time = accept_time.ok_or_else(|| malformed("it has no time".to_owned()))?;
    let accept_time = wire::time::timestamp(&time, "accept_time")
        .map_err(|refusal| malformed(refusal.to_string()))?;
    let erased_by = erased.map(|erased| erased.cause_sequence);
    if erased_by.is_some_and(|cause| cause <= sequence) {
        return Err(malformed("its body was erased by an entry before it".to_owned()));
    }
    let record = match erased_by {
        None => wire::envelope::record(envelope),
        Some(_cause) => wire::envelope::erased(envelope),
    };
    let record = record.map_err(|refusal| malformed(refusal.to_string()))?;
    Ok(Prepared { epoch, sequence, accept_time, erased_by, record })
}

/// Judges entries by a roster.
#[derive(Clone, Debug)]
pub struct Verifier {
    exchange: ExchangeName,
    genesis: Digest,
    roster: Arc<Roster>,
    keys: HashMap<KeyId, VerifyingKey>,
    /// The log's, which sign the hub's own entries; by id.
    log: HashMap<KeyId, VerifyingKey>,
    /// Resets of members' keys that this reader confirmed.
    confirmed: Arc<Confirmed>,
    /// Keys that go back to a reset that it did not.
    unconfirmed: HashSet<KeyId>,
}

/// The resets of members' keys that a reader has confirmed, each by its member and the fingerprint of the new keys.
pub(super) type Confirmed = BTreeSet<(MemberId, Fingerprint)>;

/// The key that may sign a record.
struct Signing<'a> {
    key: &'a VerifyingKey,
    /// As the roster has it; `None` for the log's.
    registered: Option<&'a RegisteredKey>,
}

impl Verifier {
    /// A verifier that knows the founding record only.
    pub fn new(pin: &Pin) -> Self {
        let mut verifier = Self {
            exchange: pin.exchange().clone(),
            genesis: pin.header_digest(),
            roster: Arc::default(),
            keys: HashMap::new(),
            log: HashMap::new(),
            confirmed: Arc::default(),
            unconfirmed: HashSet::new(),
        };
        verifier.adopt(pin.roster().clone());
        verifier
    }

    /// Takes a roster that grew; its keys were checked when they were folded.
    pub(super) fn adopt(&mut self, roster: Roster) {
        for key in roster.members().flat_map(|member| roster.keys_of(&member.id)) {
            if let Entry::Vacant(place) = self.keys.entry(key.id)
                && let Ok(parsed) = VerifyingKey::from_spki(&key.spki)
            {
                place.insert(parsed);
            }
        }
        for term in roster.log_keys() {
            if let Entry::Vacant(place) = self.log.entry(term.id)
                && let Ok(parsed) = VerifyingKey::from_spki(&term.spki)
            {
                place.insert(parsed);
            }
        }
        self.roster = Arc::new(roster);
        self.find_unconfirmed();
    }

    /// Takes the resets that the reader confirmed.
    pub(super) fn confirm(&mut self, confirmed: Arc<Confirmed>) {
        self.confirmed = confirmed;
        self.find_unconfirmed();
    }

    /// The resets that the reader confirmed.
    pub(super) fn confirmed(&self) -> Arc<Confirmed> {
        Arc::clone(&self.confirmed)
    }

    fn find_unconfirmed(&mut self) {
        let roster = &self.roster;
        let keys = roster.members().flat_map(|member| roster.keys_of(&member.id));
        let unconfirmed = keys.filter(|key| {
            key.reset.is_some_and(|reset| {
                !self.confirmed.contains(&(key.member.clone(), reset.fingerprint))
            })
        });
        self.unconfirmed = unconfirmed.map(|key| key.id).collect();
    }

    /// Whether a key goes back to a reset that the reader has not confirmed.
    pub fn is_unconfirmed(&self, key: &KeyId) -> bool {
        self.unconfirmed.contains(key)
    }

    /// Who takes part.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Checks one entry.
    pub fn verify(&self, entry: pb::Entry) -> Result<VerifiedEntry, VerificationError> {
        let mut verified = self.verify_all(vec![entry])?;
        verified.pop().ok_or_else(|| VerificationError::answer("there is no entry"))
    }

    /// Checks entries; the first that does not hold is named.
    pub fn verify_all(
        &self,
        entries: Vec<pb::Entry>,
    ) -> Result<Vec<VerifiedEntry>, VerificationError> {
        let prepared = entries.into_iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
        self.verify_prepared(prepared)
    }

    pub(super) fn verify_prepared(
        &self,
        prepared: Vec<Prepared>,
    ) -> Result<Vec<VerifiedEntry>, VerificationError> {
        let keys = prepared.iter().map(|one| self.key_for(one)).collect::<Result<Vec<_>, _>>()?;
        let claims = prepared
            .iter()
            .zip(&keys)
            .map(|(one, Signing { key, .. })| {
                let envelope = &one.record.envelope;
                let signature = envelope.signatures.first().map(|signature| signature.sig.as_ref());
                Claim {
                    payload_type: &envelope.payload_type,
                    payload: &envelope.payload,
                    signature: signature.unwrap_or_default(),
                    key,
                    value: (),
                }
            })
            .collect();
        let verdicts = signing::verify_all(claims);
        for (one, verdict) in prepared.iter().zip(verdicts) {
            verdict.map_err(|_bad| VerificationError::at(one.sequence, Fault::Signature))?;
        }
        let doubts: Vec<Doubts> =
            prepared.iter().zip(&keys).map(|(one, signing)| self.doubts(one, signing)).collect();
        Ok(prepared
            .into_iter()
            .zip(doubts)
            .map(|(one, doubts)| VerifiedEntry { one, doubts })
            .collect())
    }

    fn doubts(&self, one: &Prepared, signing: &Signing<'_>) -> Doubts {
        let Some(key) = signing.registered else { return Doubts::default() };
        Doubts {
            compromised: key.compromised_since.is_some_and(|since| one.sequence >= since.0),
            unconfirmed: key.reset.is_some() && self.is_unconfirmed(&key.id),
        }
    }

    /// The key of a record, if it may sign this record at this place.
    fn key_for(&self, one: &Prepared) -> Result<Signing<'_>, VerificationError> {
        let record = &one.record;
        if record.header.exchange != self.exchange {
            return Err(VerificationError::at(one.sequence, Fault::WrongExchange));
        }
        if (one.sequence == 0) != (record.header.body_kind == BodyKind::Genesis)
            || (one.sequence == 0 && record.header_digest != self.genesis)
        {
            let why = "it is not the one that was pinned".to_owned();
            return Err(VerificationError::at(one.sequence, Fault::Genesis(why)));
        }
        let refused = || VerificationError::at(one.sequence, Fault::Key(record.key_id));
        if record.header.body_kind.is_hub() {
            let term = self.roster.log_key_at(Sequence(one.sequence), &record.key_id);
            let key = term.and_then(|term| self.log.get(&term.id)).ok_or_else(refused)?;
            return Ok(Signing { key, registered: None });
        }
        let registered = self.roster.key(&record.key_id).ok_or_else(refused)?;
        let key = self.keys.get(&record.key_id).ok_or_else(refused)?;
        let fits = registered.member == record.header.name.member
            && registered.is_valid_at(Sequence(one.sequence))
            && self.may_sign(registered, record.header.body_kind);
        let signing = Signing { key, registered: Some(registered) };
        if fits { Ok(signing) } else { Err(refused()) }
    }

    /// A member's signing key, retired or not.
    pub(super) fn signing_key(&self, member: &MemberId, key_id: &KeyId) -> Option<&VerifyingKey> {
        let registered = self.roster.key(key_id).filter(|key| key.member == *member)?;
        self.keys.get(key_id).filter(|_key| registered.key_use == KeyUse::Signing)
    }

    /// Whether a member's signing key, retired or not, made a signature over the bytes of a header.
    pub(super) fn signed_by(
        &self,
        member: &MemberId,
        key_id: &KeyId,
        payload: &[u8],
        signature: &[u8],
    ) -> Option<()> {
        let key = self.signing_key(member, key_id)?;
        let payload_type = HEADER_PAYLOAD_TYPE;
        signing::verify(Claim { payload_type, payload, signature, key, value: () }).ok().map(drop)
    }

    fn may_sign(&self, key: &RegisteredKey, kind: BodyKind) -> bool {
        let role = self.roster.member(&key.member).map(|member| member.role);
        match kind {
            BodyKind::KeyChange => true,
            BodyKind::RosterChange | BodyKind::Genesis | BodyKind::Takedown | BodyKind::Epoch => {
                key.key_use == KeyUse::Signing && role == Some(Role::Operator)
            }
            BodyKind::Erasure
            | BodyKind::Retention
            | BodyKind::Conflict
            | BodyKind::LogKeyChange => false,
            BodyKind::Indicator
            | BodyKind::Operation
            | BodyKind::Attribution
            | BodyKind::Link
            | BodyKind::Sighting
            | BodyKind::Opinion
            | BodyKind::ActionReport
            | BodyKind::Inquiry
            | BodyKind::Reply
            | BodyKind::Note
            | BodyKind::Withdrawal
            | BodyKind::Acknowledgement
            | BodyKind::AudienceChange => {
                key.key_use == KeyUse::Signing && role != Some(Role::Operator)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Signer;
    use crate::client::tests::World;
    use crate::client::tests::domain;
    use crate::signing::SecretKey;

    #[track_caller]
    fn check(world: &World, entry: pb::Entry, expected: &str) {
        let place = format!(" at sequence {}", entry.sequence);
        let error = world.verifier().verify(entry).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(&place), "{error}");
    }

    #[test]
    fn a_record_of_a_member_is_believed() {
        let world = World::new();
        let envelope = world.publish(&world.acme, domain("example.com"));
        let entry = world.verifier().verify(World::entry(3, envelope.clone())).unwrap();
        assert_eq!(entry.envelope(), &envelope);
        assert_eq!(entry.to_entry(), World::entry(3, envelope));
        assert_eq!(entry.header().name.member, *world.acme.member());
        assert!(!entry.is_in_doubt());
        let doubts = Doubts { compromised: true, ..entry.doubts() };
        assert!(VerifiedEntry { doubts, ..entry }.is_in_doubt());
    }

    #[test]
    fn an_entry_is_of_the_epoch_that_it_says() {
        let world = World::new();
        let envelope = world.publish(&world.acme, domain("example.com"));
        let entry = pb::Entry { epoch: 7, ..World::entry(3, envelope) };
        assert_eq!(world.verifier().verify(entry).unwrap().epoch(), 7);
    }

    #[test]
    fn a_header_is_signed_by_its_members_key_or_not() {
        let (world, verifier) = (World::new(), World::new().verifier());
        let envelope = world.publish(&world.acme, domain("example.com"));
        let (member, key) = (world.acme.member(), world.acme.key().id());
        let sig = &envelope.signatures[0].sig;
        let signed = |verifier: &Verifier, payload| verifier.signed_by(member, &key, payload, sig);
        assert_eq!(signed(&world.verifier(), &envelope.payload), Some(()));
        assert_eq!(signed(&world.verifier(), b"another header"), None);
        assert_eq!(signed(&verifier, &envelope.payload), None, "where nobody has that key");
    }

    #[test]
    fn a_deviation_of_the_hub_is_told_from_other_faults() {
        let hidden = VerificationError::deviation(Deviation::Hidden);
        assert_eq!(hidden.is_deviation(), Some(Deviation::Hidden));
        let signature = VerificationError::at(3, Fault::Signature);
        assert_eq!(signature.is_deviation(), None);
    }

    #[test]
    fn a_record_that_does_not_hold_is_not_believed() {
        let world = World::new();
        let good = world.publish(&world.acme, domain("example.com"));

        let mut flipped = good.clone();
        let mut signature = flipped.signatures[0].sig.to_vec();
        signature[20] ^= 1;
        flipped.signatures[0].sig = signature.into();
        check(&world, World::entry(3, flipped), "the signature does not verify");

        let mut other_body = good.clone();
        other_body.body = world.publish(&world.acme, domain("example.org")).body;
        check(&world, World::entry(3, other_body), "the body is not the one");

        let mut no_time = World::entry(3, good.clone());
        no_time.accept_time = None;
        check(&world, no_time, "it has no time");

        let mut erased = World::entry(3, good.clone());
        erased.erased = Some(pb::Erasure { cause_sequence: 4 });
        check(&world, erased, "must be empty");

        let mut too_early = World::entry(3, good.clone());
        too_early.erased = Some(pb::Erasure { cause_sequence: 3 });
        check(&world, too_early, "an entry before it");

        let mut hidden = World::entry(3, good.clone());
        hidden.envelope.as_mut().unwrap().body = bytes::Bytes::new();
        check(&world, hidden.clone(), "the body is not the one");
        hidden.erased = Some(pb::Erasure { cause_sequence: 4 });
        let believed = world.verifier().verify(hidden).unwrap();
        assert_eq!((believed.erased_by(), believed.body()), (Some(4), &pb::Body::default()));

        // A member's record under the hub's payload type, and the hub's kinds under a member's.
        let mut disguised = World::entry(3, good);
        disguised.envelope.as_mut().unwrap().payload_type =
            crate::model::header::HUB_PAYLOAD_TYPE.to_owned();
        check(&world, disguised, "of their own");
    }

    #[test]
    fn a_record_signed_by_another_members_key_is_not_believed() {
        let world = World::new();
        let mut draft = world.draft(&world.acme, domain("example.com"));
        draft.name.member = world.bravo.member().clone();
        let forged = world.acme.sign(draft, world.now).unwrap();
        check(&world, World::entry(3, forged), "may sign this record");
    }

    #[test]
    fn a_record_for_another_exchange_is_not_believed() {
        let (world, elsewhere) = (World::new(), World::new());
        let envelope = elsewhere.publish(&elsewhere.acme, domain("example.com"));
        check(&world, World::entry(3, envelope), "another exchange");
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let world = World::new();
        let key = SecretKey::generate().unwrap();
        let stranger =
            Signer::new(world.founding.exchange.clone(), world.acme.member().clone(), key);
        let envelope = world.publish(&stranger, domain("example.com"));
        check(&world, World::entry(3, envelope), "may sign this record");
    }

    #[test]
    fn the_operator_cannot_write_as_a_member() {
        let world = World::new();
        let mut draft = world.draft(&world.operator, domain("example.com"));
        draft.name.member = world.acme.member().clone();
        let forged = world.operator.sign(draft, world.now).unwrap();
        check(&world, World::entry(3, forged), "may sign this record");
        let own = world.publish(&world.operator, domain("example.com"));
        check(&world, World::entry(3, own), "may sign this record");
    }

    #[test]
    fn a_record_before_its_keys_admission_is_not_believed() {
        let world = World::new();
        let envelope = world.publish(&world.bravo, domain("example.com"));
        check(&world, World::entry(1, envelope), "may sign this record");
    }

    #[test]
    fn another_founding_record_is_not_believed() {
        let (world, elsewhere) = (World::new(), World::new());
        let (ours, theirs) = (&world.founding.genesis, elsewhere.founding.genesis);
        check(&world, World::entry(0, theirs), "another exchange");
        check(&world, World::entry(5, ours.clone()), "not the one that was pinned");
        world.verifier().verify(World::entry(0, ours.clone())).unwrap();
    }
}
