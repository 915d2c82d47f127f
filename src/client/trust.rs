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

/// Checkpoints of the past that are remembered.
const PAST_MAX: usize = 64;
/// A checkpoint is remembered when the log has grown by one part in so many: a write now and then.
const PAST_SHARE: u64 = 32;

/// Leaves out of many, which rise by their sizes, the one that is missed least: whose neighbours lie closest, as seen
/// from the newest. The first and the last stay.
fn thin<T>(past: &mut Vec<T>, size: impl Fn(&T) -> u64) {
    while past.len() > PAST_MAX {
        let newest = past.last().map_or(0, &size);
        let gap = |window: &[T]| match window {
            [before, _one, behind] => {
                let (before, behind) = (size(before), size(behind));
                let distance = newest.saturating_sub(before).max(1);
                // Per mille of the way to the newest.
                behind.saturating_sub(before).saturating_mul(1000) / distance
            }
            _ => u64::MAX,
        };
        let least = past.windows(3).enumerate().min_by_key(|(_, window)| gap(window));
        let Some((at, _window)) = least else { return };
        past.remove(at + 1);
    }
}

/// The newest checkpoint, and its note.
#[derive(Debug, Default)]
pub(super) struct Trust {
    newest: Option<Checkpoint>,
    note: String,
    saved: Option<Instant>,
    is_changed: bool,
    /// Some of what was newest before, rising, each with its note: should the log be restored, it must begin with them.
    past: Vec<(Checkpoint, String)>,
    is_past_changed: bool,
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
        let mut past = Vec::new();
        for note in profile.past_checkpoints()? {
            let opened = log_key.open(&note).map_err(|error| ProfileError::Malformed {
                path: profile.folder().join("checkpoints.json"),
                why: error.to_string(),
            })?;
            past.push((opened, note));
        }
        Ok(Self { newest: Some(newest), note, past, ..Self::default() })
    }

    /// The largest checkpoint that is remembered of an epoch, or of one before it, with at most so many entries.
    pub(super) fn largest_within(&self, epoch: u32, size: u64) -> Option<Checkpoint> {
        let past = self.past.iter().map(|(checkpoint, _note)| *checkpoint);
        let within = past.chain(self.newest).filter(|one| one.epoch <= epoch && one.size <= size);
        within.max_by_key(|one| one.size)
    }

    /// Forgets everything behind the end of an epoch, and goes on with a log's head in another one. Written at once.
    pub(super) fn restart(
        &mut self,
        profile: &Profile,
        (epoch, size): (u32, u64),
        (checkpoint, note): (&Checkpoint, &str),
    ) -> Result<(), ProfileError> {
        if let Some(newest) = self.newest {
            self.past.push((newest, self.note.clone()));
        }
        self.past.retain(|(one, _note)| one.epoch <= epoch && one.size <= size);
        self.newest = Some(*checkpoint);
        note.clone_into(&mut self.note);
        (self.is_changed, self.is_past_changed) = (true, true);
        self.save(profile)
    }

    /// Keeps the newest checkpoint among those of the past, if it is far enough from the last of them.
    fn keep_past(&mut self) {
        let Some(newest) = self.newest else { return };
        let last = self.past.last().map_or(0, |(checkpoint, _note)| checkpoint.size);
        if newest.size >= last.saturating_add((last / PAST_SHARE).max(1)) {
            self.past.push((newest, self.note.clone()));
            thin(&mut self.past, |(checkpoint, _note)| checkpoint.size);
            self.is_past_changed = true;
        }
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
        self.keep_past();
        // Before the newest: what that is compared with after a restore.
        if std::mem::take(&mut self.is_past_changed) {
            let notes: Vec<String> = self.past.iter().map(|(_, note)| note.clone()).collect();
            profile.save_past_checkpoints(&notes)?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_remembered_thinly_and_close_to_the_newest_densely() {
        let mut past = Vec::new();
        for size in 1..=10_000_u64 {
            past.push(size);
            thin(&mut past, |size| *size);
        }
        assert_eq!(past.len(), PAST_MAX);
        assert!(past.is_sorted() && past.first() == Some(&1) && past.last() == Some(&10_000));
        let below = |place: u64| past.iter().copied().filter(|size| *size <= place).max().unwrap();
        for (place, at_least) in [(9_990, 9_980), (9_000, 8_000), (5_000, 2_500), (300, 1)] {
            assert!(below(place) >= at_least, "{place}: {}", below(place));
        }
    }
}
