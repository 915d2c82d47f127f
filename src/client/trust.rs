//! The newest checkpoint that this member has seen: every later one must be a continuation of it, on every connection
//! and across restarts. It is kept in the profile.

use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::client::account::Deviation;
use crate::client::account::Follower;
use crate::client::account::Hashes;
use crate::client::account::demand_growth;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::verifier::VerificationError;
use crate::profile::Profile;
use crate::profile::ProfileError;
use crate::transparency::Checkpoint;
use crate::transparency::LogKey;
use crate::wire::pb;

/// How often the newest checkpoint is written while a stream runs: what a crash forgets is the last seconds.
const SAVE_INTERVAL: Duration = Duration::from_secs(5);

/// The newest checkpoint, and its note.
#[derive(Debug, Default)]
pub(super) struct Trust {
    newest: Option<Checkpoint>,
    note: String,
    saved: Option<Instant>,
    is_changed: bool,
    /// The note that was opened last: one commit's is met many times.
    opened: Option<(String, Checkpoint)>,
}

impl Trust {
    /// What a profile remembers.
    pub(super) fn load(profile: &Profile, log_key: &LogKey) -> Result<Self, ClientError> {
        let Some(note) = profile.checkpoint()? else { return Ok(Self::default()) };
        let newest = log_key.open(&note).map_err(|error| ProfileError::Malformed {
            path: profile.folder().join("checkpoint"),
            why: error.to_string(),
        })?;
        Ok(Self { newest: Some(newest), note, ..Self::default() })
    }

    fn take(&mut self, checkpoint: &Checkpoint, note: &str) {
        let is_newer =
            |known: &Checkpoint| (checkpoint.epoch, checkpoint.size) > (known.epoch, known.size);
        if self.newest.as_ref().is_none_or(is_newer) {
            self.newest = Some(*checkpoint);
            note.clone_into(&mut self.note);
            self.is_changed = true;
        }
    }

    fn save(&mut self, profile: &Profile) -> Result<(), ProfileError> {
        if !std::mem::take(&mut self.is_changed) {
            return Ok(());
        }
        self.saved = Some(Instant::now());
        profile.save_checkpoint(&self.note)
    }

    fn is_due(&self) -> bool {
        self.saved.is_none_or(|at| at.elapsed() >= SAVE_INTERVAL)
    }
}

impl Client {
    /// Demands of a hub that was just reached that its log is a continuation of the one that is remembered.
    pub(super) async fn demand_continuation(&self, note: &str) -> Result<(), ClientError> {
        let later = self.welcome().checkpoint;
        if let Some(earlier) = self.newest_checkpoint() {
            let path = self.growth(&earlier, &later).await?;
            let holds = Hashes::of(&path)
                .and_then(|hashes| demand_growth(&earlier, &later, hashes.proof()?));
            holds.map_err(|deviation| self.accuse(deviation))?;
        }
        self.remember(&later, note)?;
        self.save_checkpoint()
    }

    /// Asks for the proof that a later tree begins with an earlier one; nothing where there is nothing to prove.
    async fn growth(
        &self,
        earlier: &Checkpoint,
        later: &Checkpoint,
    ) -> Result<Vec<u8>, ClientError> {
        if earlier.size >= later.size || earlier.epoch != later.epoch {
            return Ok(Vec::new());
        }
        let request =
            pb::GetConsistencyProofRequest { first_size: earlier.size, second_size: later.size };
        let answer = self.transparency_service().get_consistency_proof(request).await?;
        Ok(answer.into_inner().hashes.concat())
    }

    /// The newest checkpoint that is known.
    pub fn newest_checkpoint(&self) -> Option<Checkpoint> {
        self.trust().lock().unwrap_or_else(PoisonError::into_inner).newest
    }

    /// Opens a checkpoint of the log.
    pub(super) fn open_checkpoint(&self, note: &str) -> Result<Checkpoint, Deviation> {
        let mut trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((opened, checkpoint)) = &trust.opened
            && opened == note
        {
            return Ok(*checkpoint);
        }
        let opened = self.pin().log_key().open(note);
        let checkpoint = opened.map_err(|_invalid| Deviation::Checkpoint)?;
        trust.opened = Some((note.to_owned(), checkpoint));
        Ok(checkpoint)
    }

    /// Takes a checkpoint that was shown to be a continuation of what is known.
    pub(super) fn remember(&self, checkpoint: &Checkpoint, note: &str) -> Result<(), ClientError> {
        let mut trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
        trust.take(checkpoint, note);
        if trust.is_due() {
            trust.save(self.profile())?;
        }
        Ok(())
    }

    /// Writes the newest checkpoint, if it is not written yet.
    pub fn save_checkpoint(&self) -> Result<(), ClientError> {
        let mut trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
        Ok(trust.save(self.profile())?)
    }

    /// The checkpoint of the receipts of one answer, which is a continuation of what was known when the call was made.
    pub(super) fn receipts_checkpoint(
        &self,
        results: &[pb::PublishResult],
        known: Option<Checkpoint>,
        growth_proof: &[u8],
    ) -> Result<Option<Checkpoint>, ClientError> {
        let mut receipts = results.iter().filter_map(|result| match &result.outcome {
            Some(pb::publish_result::Outcome::Receipt(receipt)) => Some(receipt),
            Some(pb::publish_result::Outcome::Refusal(_)) | None => None,
        });
        let Some(first) = receipts.next() else { return Ok(None) };
        if receipts.any(|receipt| receipt.checkpoint != first.checkpoint) {
            let why = "the receipts of one answer have different checkpoints";
            return Err(VerificationError::receipt(why).into());
        }
        let held = self.open_checkpoint(&first.checkpoint).and_then(|checkpoint| {
            if let Some(known) = &known {
                demand_growth(known, &checkpoint, Hashes::of(growth_proof)?.proof()?)?;
            }
            Ok(checkpoint)
        });
        let checkpoint = held.map_err(|deviation| self.accuse(deviation))?;
        self.remember(&checkpoint, &first.checkpoint)?;
        Ok(Some(checkpoint))
    }

    /// The same for a receipt that came without its proof, which is asked for.
    pub(super) async fn receipt_checkpoint(
        &self,
        receipt: &pb::Receipt,
    ) -> Result<Checkpoint, ClientError> {
        let checkpoint = self.open_checkpoint(&receipt.checkpoint);
        let checkpoint = checkpoint.map_err(|deviation| self.accuse(deviation))?;
        if let Some(known) = self.newest_checkpoint() {
            // Another call of this client may have seen a later one meanwhile.
            let (earlier, later) = if known.size <= checkpoint.size {
                (known, checkpoint)
            } else {
                (checkpoint, known)
            };
            let path = self.growth(&earlier, &later).await?;
            let held = Hashes::of(&path)
                .and_then(|hashes| demand_growth(&earlier, &later, hashes.proof()?));
            held.map_err(|deviation| self.accuse(deviation))?;
        }
        self.remember(&checkpoint, &receipt.checkpoint)?;
        Ok(checkpoint)
    }

    /// Who follows the log.
    pub(super) fn follower(&self) -> Follower {
        Follower {
            exchange: self.pin().exchange().clone(),
            member: self.profile().settings().member.clone(),
            log_key: self.pin().log_key().clone(),
        }
    }

    /// What is told of a hub that deviates.
    #[expect(clippy::unused_self, reason = "evidence is kept in the profile")]
    pub(super) fn accuse(&self, deviation: Deviation) -> VerificationError {
        VerificationError::deviation(deviation)
    }
}
