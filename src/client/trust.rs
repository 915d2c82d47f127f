//! The newest checkpoint that this member has seen: every later one must be a continuation of it, on every connection
//! and across restarts. It is kept in the profile.

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use prost::Message as _;

use crate::client::account::Deviation;
use crate::client::account::Follower;
use crate::client::account::Hashes;
use crate::client::account::demand_growth;
use crate::client::account::open_statement;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::evidence::Evidence;
use crate::client::evidence::Exhibit;
use crate::client::known::KnownRoster;
use crate::client::verifier::VerificationError;
use crate::model::names::Digest;
use crate::profile::Profile;
use crate::profile::ProfileError;
use crate::transparency::Checkpoint;
use crate::transparency::LogKeys;
use crate::transparency::proof;
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

/// How long the hub is asked for what shows that it deviates.
const EVIDENCE_PATIENCE: Duration = Duration::from_secs(10);

/// The newest checkpoint, and its note. What is not written yet is when this goes.
#[derive(Debug)]
pub(super) struct Trust {
    profile: Arc<Profile>,
    newest: Option<Checkpoint>,
    note: String,
    saved: Option<Instant>,
    is_changed: bool,
    /// Some of what was newest before, rising, each with its note: should the log be restored, it must begin with them.
    past: Vec<(Checkpoint, String)>,
    is_past_changed: bool,
    /// What the hub signed with the newest signed mark.
    mark: Option<Exhibit>,
    /// The note that was opened last: one commit's is met many times.
    opened: Option<(String, Checkpoint)>,
}

impl Trust {
    /// What a profile remembers.
    pub(super) fn load(profile: Arc<Profile>, log_keys: &LogKeys) -> Result<Self, ClientError> {
        let mut trust = Self {
            profile,
            newest: None,
            note: String::new(),
            saved: None,
            is_changed: false,
            past: Vec::new(),
            is_past_changed: false,
            mark: None,
            opened: None,
        };
        let profile = &trust.profile;
        let Some(note) = profile.checkpoint()? else { return Ok(trust) };
        let newest = log_keys.open(&note).map_err(|error| ProfileError::Malformed {
            path: profile.folder().join("checkpoint"),
            why: error.to_string(),
        })?;
        let mut past = Vec::new();
        for note in profile.past_checkpoints()? {
            let opened = log_keys.open(&note).map_err(|error| ProfileError::Malformed {
                path: profile.folder().join("checkpoints.json"),
                why: error.to_string(),
            })?;
            past.push((opened, note));
        }
        // It is of use where it can be read.
        let mark = profile.last_mark()?.and_then(|text| serde_json::from_str(&text).ok());
        (trust.newest, trust.note, trust.mark, trust.past) = (Some(newest), note, mark, past);
        Ok(trust)
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
        (epoch, size): (u32, u64),
        (checkpoint, note): (&Checkpoint, &str),
    ) -> Result<(), ProfileError> {
        if let Some(newest) = self.newest {
            self.past.push((newest, self.note.clone()));
        }
        self.past.retain(|(one, _note)| one.epoch <= epoch && one.size <= size);
        self.newest = Some(*checkpoint);
        note.clone_into(&mut self.note);
        // What it signed in the epoch that ended is no evidence about this one.
        self.mark = None;
        self.profile.save_last_mark("")?;
        (self.is_changed, self.is_past_changed) = (true, true);
        self.save()
    }

    /// What is remembered, the newest last.
    fn notes(&self) -> Vec<(Checkpoint, String)> {
        let newest = self.newest.map(|newest| (newest, self.note.clone()));
        self.past.iter().cloned().chain(newest).collect()
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

    fn save(&mut self) -> Result<(), ProfileError> {
        if !std::mem::take(&mut self.is_changed) {
            return Ok(());
        }
        self.saved = Some(Instant::now());
        self.keep_past();
        // Before the newest: what that is compared with after a restore.
        if std::mem::take(&mut self.is_past_changed) {
            let notes: Vec<String> = self.past.iter().map(|(_, note)| note.clone()).collect();
            self.profile.save_past_checkpoints(&notes)?;
        }
        self.profile.save_checkpoint(&self.note)?;
        let mark = self.mark.as_ref().and_then(|mark| serde_json::to_string(mark).ok());
        mark.map_or(Ok(()), |mark| self.profile.save_last_mark(&mark))
    }

    fn is_due(&self) -> bool {
        self.saved.is_none_or(|at| at.elapsed() >= SAVE_INTERVAL)
    }
}

/// What the log was later than what was known, and its note.
type Later<'a> = Option<(Checkpoint, &'a str)>;

impl Drop for Trust {
    fn drop(&mut self) {
        // Who must know whether it was written says so before: `Client::save_checkpoint`.
        drop(self.save());
    }
}

impl Client {
    /// Demands of a hub that was just reached that its log is a continuation of the one that is remembered.
    pub(super) async fn demand_continuation(&self, note: &str) -> Result<(), ClientError> {
        let later = self.welcome().checkpoint;
        if let Some(earlier) = self.newest_checkpoint()
            && let Err(deviation) = self.demand_growth(&earlier, &later).await?
        {
            let mut exhibits = vec![Exhibit::checkpoint(note)];
            // A mark says when the log was so; a checkpoint does not.
            exhibits.extend(self.signed_mark().await);
            let error = VerificationError::deviation(deviation);
            return Err(self.keep_evidence(error, exhibits, Some((later, note))).await.into());
        }
        self.remember(&later, note)?;
        self.save_checkpoint()
    }

    /// Asks for the proof that a later log is a continuation of an earlier one, and checks it.
    pub(super) async fn demand_growth(
        &self,
        earlier: &Checkpoint,
        later: &Checkpoint,
    ) -> Result<Result<(), Deviation>, ClientError> {
        let path = if earlier.size >= later.size || earlier.epoch != later.epoch {
            // There is nothing to prove.
            Vec::new()
        } else {
            let request = pb::GetConsistencyProofRequest {
                first_size: earlier.size,
                second_size: later.size,
            };
            let answer = self.transparency_service().get_consistency_proof(request).await?;
            answer.into_inner().hashes.concat()
        };
        let hashes = Hashes::of(&path);
        Ok(hashes.and_then(|hashes| demand_growth(earlier, later, hashes.proof()?)))
    }

    /// What the hub signs with the first mark of a stream; `None` if it signs nothing.
    async fn signed_mark(&self) -> Option<Exhibit> {
        let request = pb::SubscribeRequest {
            start: Some(pb::subscribe_request::Start::From(pb::StartPoint::Now.into())),
            until_head: true,
            ..pb::SubscribeRequest::default()
        };
        let first = async {
            let mut stream = self.exchange_service().subscribe(request).await.ok()?.into_inner();
            stream.message().await.ok()??.mark
        };
        let mark = tokio::time::timeout(EVIDENCE_PATIENCE, first).await.ok()??;
        let log_keys = self.log_keys().load();
        open_statement(&log_keys, &mark.statement, &mark.statement_signature).ok()?;
        Some(Exhibit::mark(&mark.statement, &mark.statement_signature))
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
        let opened = self.log_keys().load().open(note);
        let checkpoint = opened.map_err(|_invalid| Deviation::Checkpoint)?;
        trust.opened = Some((note.to_owned(), checkpoint));
        Ok(checkpoint)
    }

    /// Takes a checkpoint that was shown to be a continuation of what is known.
    pub(super) fn remember(&self, checkpoint: &Checkpoint, note: &str) -> Result<(), ClientError> {
        let mut trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
        trust.take(checkpoint, note);
        if trust.is_due() {
            trust.save()?;
        }
        Ok(())
    }

    /// Takes what the hub signed with a mark that holds.
    pub(super) fn remember_mark(&self, statement: &[u8], signature: &[u8]) {
        let mut trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
        trust.mark = Some(Exhibit::mark(statement, signature));
        trust.is_changed = true;
    }

    /// Writes the newest checkpoint, if it is not written yet.
    pub fn save_checkpoint(&self) -> Result<(), ClientError> {
        let mut trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
        Ok(trust.save()?)
    }

    /// The checkpoint of the receipts of one answer, which is a continuation of what was known when the call was made.
    pub(super) async fn receipts_checkpoint(
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
        let note = &first.checkpoint;
        let checkpoint = self.opened(note).await?;
        let grown = |known: &Checkpoint| {
            demand_growth(known, &checkpoint, Hashes::of(growth_proof)?.proof()?)
        };
        if let Some(Err(deviation)) = known.as_ref().map(grown) {
            return Err(self.deviates_at(deviation, checkpoint, note).await);
        }
        self.remember(&checkpoint, note)?;
        Ok(Some(checkpoint))
    }

    /// The hub's newest checkpoint and its note.
    pub(super) async fn newest(&self) -> Result<(Checkpoint, String), ClientError> {
        let request = pb::GetCheckpointRequest {};
        let answer = self.transparency_service().get_checkpoint(request).await?;
        let note = answer.into_inner().checkpoint;
        Ok((self.continued(&note).await?, note))
    }

    /// A checkpoint that came without its proof, which is asked for.
    pub(super) async fn continued(&self, note: &str) -> Result<Checkpoint, ClientError> {
        let checkpoint = self.opened(note).await?;
        if let Some(known) = self.newest_checkpoint() {
            // Another call of this client may have seen a later one meanwhile.
            let is_later = known.size <= checkpoint.size;
            let (earlier, later) = if is_later { (known, checkpoint) } else { (checkpoint, known) };
            if let Err(deviation) = self.demand_growth(&earlier, &later).await? {
                return Err(self.deviates_at(deviation, checkpoint, note).await);
            }
        }
        self.remember(&checkpoint, note)?;
        Ok(checkpoint)
    }

    pub(super) async fn opened(&self, note: &str) -> Result<Checkpoint, ClientError> {
        let mut opened = self.open_checkpoint(note);
        if opened.is_err() && self.learn_log_keys().await.is_ok() {
            opened = self.open_checkpoint(note);
        }
        match opened {
            Ok(checkpoint) => Ok(checkpoint),
            Err(deviation) => {
                let exhibits = vec![Exhibit::received("a checkpoint", note.as_bytes())];
                let error = VerificationError::deviation(deviation);
                Err(self.keep_evidence(error, exhibits, None).await.into())
            }
        }
    }

    pub(super) async fn deviates_at(
        &self,
        deviation: Deviation,
        checkpoint: Checkpoint,
        note: &str,
    ) -> ClientError {
        if deviation == Deviation::Epoch {
            // A log that was restored deviates from nothing yet.
            return VerificationError::deviation(deviation).into();
        }
        let exhibits = vec![Exhibit::checkpoint(note)];
        let error = VerificationError::deviation(deviation);
        self.keep_evidence(error, exhibits, Some((checkpoint, note))).await.into()
    }

    /// Who follows the log.
    pub(super) fn follower(&self) -> Follower {
        Follower {
            exchange: self.pin().exchange().clone(),
            member: self.profile().settings().member.clone(),
            log_keys: Arc::clone(self.log_keys()),
        }
    }

    /// Keeps what shows that the hub deviates, with what it signed before. Should that fail, the error stands without it.
    pub(super) async fn keep_evidence(
        &self,
        error: VerificationError,
        mut exhibits: Vec<Exhibit>,
        later: Later<'_>,
    ) -> VerificationError {
        if error.evidence().is_some() {
            return error;
        }
        let (newest, note, mark) = {
            let trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
            (trust.newest, trust.note.clone(), trust.mark.clone())
        };
        if !matches!(exhibits.first(), Some(Exhibit::Roster { .. })) {
            exhibits.splice(0..0, self.log_key_exhibits());
        }
        exhibits.extend(mark);
        if let Some(newest) = newest {
            exhibits.push(Exhibit::checkpoint(&note));
            if let Some((later, note)) = later {
                exhibits.extend(self.last_entry_then(&newest, &later, note).await);
            }
        }
        let text = error.to_string();
        let kept = Evidence::new(self.profile(), self.now(), text, exhibits)
            .and_then(|evidence| evidence.save(self.profile()));
        match kept {
            Ok(path) => error.with_evidence(path),
            Err(_unwritten) => error,
        }
    }

    /// The entries about the roster that say whose a key is, with a checkpoint that signs them as a whole, if the hub has
    /// one.
    pub(super) async fn roster_exhibits(&self) -> Vec<Exhibit> {
        let known = self.known().lock().await.clone();
        let notes = self.remembered_notes();
        if notes.iter().any(|(checkpoint, _note)| checkpoint.roster == known.digest()) {
            return roster_exhibits(&known, &notes);
        }
        let asked = async {
            self.roster().await?;
            self.newest().await
        };
        // Without it the evidence is worth less, and still kept.
        drop(tokio::time::timeout(EVIDENCE_PATIENCE, asked).await);
        let known = self.known().lock().await.clone();
        roster_exhibits(&known, &self.remembered_notes())
    }

    /// The entries that put the log's later keys in place, where it has had more than the one that is pinned.
    fn log_key_exhibits(&self) -> Vec<Exhibit> {
        if self.log_keys().load().count() == 1 {
            return Vec::new();
        }
        // Who folds entries just now may be who found something.
        let known = self.known().try_lock().map(|known| known.clone());
        let known = known.or_else(|_folding| KnownRoster::load(self.profile(), self.pin()));
        known.map(|known| roster_exhibits(&known, &self.remembered_notes())).unwrap_or_default()
    }

    fn remembered_notes(&self) -> Vec<(Checkpoint, String)> {
        self.trust().lock().unwrap_or_else(PoisonError::into_inner).notes()
    }

    /// The same for what came with a frame of a stream.
    pub(super) async fn keep_frame(
        &self,
        error: VerificationError,
        frame: Option<&pb::SubscribeResponse>,
    ) -> VerificationError {
        let mut exhibits = Vec::new();
        let mut later = None;
        if let Some(mark) = frame.and_then(|frame| frame.mark.as_ref()) {
            let log_keys = self.log_keys().load();
            if let Ok(checkpoint) = log_keys.open(&mark.checkpoint) {
                exhibits.push(Exhibit::checkpoint(&mark.checkpoint));
                later = Some((checkpoint, mark.checkpoint.as_str()));
            }
            let (statement, signature) = (&mark.statement, &mark.statement_signature);
            if open_statement(&log_keys, statement, signature).is_ok() {
                exhibits.push(Exhibit::mark(statement, signature));
            }
        }
        if let Some(frame) = frame {
            exhibits.push(Exhibit::received("a frame of a subscription", &frame.encode_to_vec()));
        }
        self.keep_evidence(error, exhibits, later).await
    }

    /// Where the later log has the entry that was the last of the earlier one: it tells what the log was then.
    async fn last_entry_then(
        &self,
        earlier: &Checkpoint,
        later: &Checkpoint,
        note: &str,
    ) -> Option<Exhibit> {
        let sequence = earlier.size.checked_sub(1).filter(|_| earlier.size < later.size)?;
        let request = pb::GetInclusionProofRequest { sequence, tree_size: later.size };
        let mut service = self.transparency_service();
        let asked = service.get_inclusion_proof(request);
        let answer = tokio::time::timeout(EVIDENCE_PATIENCE, asked).await.ok()?.ok()?.into_inner();
        let leaf: Digest = answer.leaf_hash.try_into().ok()?;
        let hashes = answer.hashes.concat();
        let path = Hashes::of(&hashes).ok()?.proof().ok()?.to_vec();
        let tree = (later.size, &later.root);
        proof::check_inclusion(leaf, sequence, tree, &path).ok()?;
        Some(Exhibit::leaf(sequence, &leaf, &path, note))
    }
}

/// The entries that were folded. Before each that puts a log key in place there is what is remembered of the key before it, and at
/// the end a checkpoint that signs them as a whole, if one is remembered.
fn roster_exhibits(known: &KnownRoster, notes: &[(Checkpoint, String)]) -> Vec<Exhibit> {
    let verifier = known.verifier();
    let later_keys = verifier.roster().log_keys().iter().skip(1).map(|term| term.since.0);
    let (mut exhibits, mut from) = (Vec::new(), 0);
    for until in later_keys.chain([u64::MAX]) {
        let piece = known.entries().filter(|entry| (from..until).contains(&entry.sequence));
        exhibits.push(Exhibit::roster(&piece.collect::<Vec<_>>()));
        let is_whole = |checkpoint: &Checkpoint| {
            if until == u64::MAX {
                checkpoint.roster == known.digest()
            } else {
                checkpoint.size <= until
            }
        };
        let note = notes.iter().rev().find(|(checkpoint, _note)| is_whole(checkpoint));
        exhibits.extend(note.map(|(_checkpoint, note)| Exhibit::checkpoint(note)));
        from = until;
    }
    exhibits
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
