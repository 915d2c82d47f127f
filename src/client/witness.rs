//! Being a witness, and asking for witnesses: a checkpoint is final when enough of them have cosigned it or a later one.
//!
//! A witness signs a checkpoint only after it was shown to be a continuation of the newest that it remembers, and
//! remembers it, on the disk, before it signs.

use std::collections::BTreeMap;

use crate::client::account::Deviation;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::verifier::VerificationError;
use crate::client::verifier::Verifier;
use crate::model::names::MemberId;
use crate::model::roster::KeyUse;
use crate::model::witnesses::Witnesses;
use crate::signing::VerifyingKey;
use crate::transparency::Checkpoint;
use crate::transparency::Cosigned;
use crate::transparency::Cosigner;
use crate::wire::pb;

/// How far the log is final, for who asks for witnesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finality {
    /// The newest checkpoint.
    pub checkpoint: Checkpoint,
    /// The log is final up to this size; 0: not at all.
    pub final_size: u64,
    /// How large a log each of the witnesses that were named has cosigned.
    pub cosigned: BTreeMap<MemberId, u64>,
}

impl Client {
    /// Checks the newest checkpoint as a continuation of what is remembered, and cosigns it with the profile's signing key.
    pub async fn cosign(&self) -> Result<Cosigned, ClientError> {
        let (checkpoint, note, _others) = self.newest_cosigned().await?;
        self.save_checkpoint().await?;
        let signer = self.signer()?;
        let key = VerifyingKey::from_spki(&signer.key().spki())?;
        let invalid = || VerificationError::answer("its checkpoint cannot be cosigned");
        let witness = Cosigner::of_member(signer.exchange(), signer.member(), key);
        let witness = witness.ok_or_else(invalid)?;
        let seconds = self.now().as_micros() / 1_000_000;
        let cosigned = self.log_keys().load().cosign(&note, &witness, (seconds, signer.key()));
        let cosigned = cosigned.map_err(|_invalid| invalid())?;
        debug_assert_eq!(cosigned.checkpoint, checkpoint, "the note is the one that was opened");
        let request = pb::AddCosignatureRequest { checkpoint: cosigned.note.clone() };
        self.transparency_service().add_cosignature(request).await?;
        Ok(cosigned)
    }

    /// How far the log is final. Every checkpoint that a named witness has cosigned must be of the history that this
    /// client follows.
    pub async fn finality(&self, witnesses: &Witnesses) -> Result<Finality, ClientError> {
        let (checkpoint, _note, notes) = self.newest_cosigned().await?;
        let verifier = self.roster().await?;
        let mut cosigned = BTreeMap::new();
        for member in witnesses.members() {
            let by = (&*verifier, member);
            if let Some(size) = self.cosigned_size(by, &notes, &checkpoint).await? {
                cosigned.insert(member.clone(), size);
            }
        }
        let final_size = witnesses.final_size(&cosigned);
        Ok(Finality { checkpoint, final_size, cosigned })
    }

    /// Holds a checkpoint of this log that came from elsewhere, from another member or as evidence, against the history
    /// that this client follows.
    pub async fn check_checkpoint(&self, note: &str) -> Result<Checkpoint, ClientError> {
        let shown = self.opened(note).await?;
        let (own, _note, _cosigned) = self.newest_cosigned().await?;
        self.demand_same_history(&shown, note, &own).await?;
        Ok(shown)
    }

    /// The newest checkpoint of the hub, which is a continuation of what was known.
    pub(super) async fn follow_newest(&self) -> Result<Checkpoint, ClientError> {
        Ok(self.newest_cosigned().await?.0)
    }

    /// The newest checkpoint of the hub, which is a continuation of what was known, its note, and what witnesses cosigned.
    async fn newest_cosigned(&self) -> Result<(Checkpoint, String, Vec<String>), ClientError> {
        let known = self.newest_checkpoint();
        let answer =
            self.transparency_service().get_checkpoint(pb::GetCheckpointRequest {}).await?;
        let pb::GetCheckpointResponse { checkpoint: note, cosigned } = answer.into_inner();
        let checkpoint = self.opened(&note).await?;
        if let Some(known) = &known
            && let Err(deviation) = self.demand_growth(known, &checkpoint).await?
        {
            return Err(self.deviates_at(deviation, checkpoint, &note).await);
        }
        self.remember(&checkpoint, &note, known).await?;
        Ok((checkpoint, note, cosigned))
    }

    /// How large a log a member has cosigned, all of it of the history of a checkpoint.
    async fn cosigned_size(
        &self,
        (verifier, member): (&Verifier, &MemberId),
        notes: &[String],
        own: &Checkpoint,
    ) -> Result<Option<u64>, ClientError> {
        let mut largest = None;
        for note in notes {
            let Some(found) = self.cosigned_by(verifier, member, note) else { continue };
            self.demand_same_history(&found.checkpoint, note, own).await?;
            largest = largest.max(Some(found.checkpoint.size));
        }
        Ok(largest)
    }

    /// A note that a member cosigned with one of its signing keys that is not retired.
    fn cosigned_by(&self, verifier: &Verifier, member: &MemberId, note: &str) -> Option<Cosigned> {
        let keys = verifier.roster().keys_of(member);
        let mut current =
            keys.filter(|key| key.key_use == KeyUse::Signing && key.retired_at.is_none());
        current.find_map(|key| {
            let verifying = VerifyingKey::from_spki(&key.spki).ok()?;
            let witness = Cosigner::of_member(self.pin().exchange(), member, verifying)?;
            self.log_keys().load().open_cosigned(note, &witness).ok()
        })
    }

    /// Demands that a checkpoint that somebody else was shown is of the history of one that this client follows.
    async fn demand_same_history(
        &self,
        shown: &Checkpoint,
        note: &str,
        own: &Checkpoint,
    ) -> Result<(), ClientError> {
        let grown = if shown.epoch == own.epoch && shown.size > own.size {
            // The hub answered with less than it had shown before.
            Err(Deviation::RolledBack)
        } else {
            self.demand_growth(shown, own).await?
        };
        match grown {
            Ok(()) => Ok(()),
            Err(deviation) => Err(self.deviates_at(deviation, *shown, note).await),
        }
    }
}
