//! The newest checkpoint that this member has seen: every later one must be a continuation of it, on every connection
//! and across restarts. It is kept in the profile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
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
use crate::model::reason::Reason;
use crate::profile::Profile;
use crate::profile::ProfileError;
use crate::transparency::Checkpoint;
use crate::transparency::LogKeys;
use crate::transparency::proof;
use crate::wire::MarkStatement;
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
/// Checkpoints of the newest one's log that need no proof when they come again: one commit's come on many ways.
const RECENT_MAX: usize = 64;

/// The newest checkpoint, and its note. What is not written yet is when this goes.
#[derive(Debug)]
pub(super) struct Trust {
    profile: Arc<Profile>,
    newest: Option<Checkpoint>,
    note: String,
    /// What the profile had when it was last read or written here: anything else is another process's.
    met: Option<String>,
    saved: Option<Instant>,
    is_changed: bool,
    /// Some of what was newest before, rising, each with its note: should the log be restored, it must begin with them.
    past: Vec<(Checkpoint, String)>,
    is_past_changed: bool,
    /// What the hub signed with the newest signed mark.
    mark: Option<Exhibit>,
    /// The same of the first mark that had the largest log: a later one that has less contradicts it.
    highest: Option<Exhibit>,
    /// What was shown to be of the newest one's log, the last of it.
    recent: VecDeque<(Checkpoint, String)>,
    /// What other processes left that cannot be judged here.
    passed_over: Vec<String>,
    /// The note that was opened last: one commit's is met many times.
    opened: Option<(String, Checkpoint)>,
}

/// What a profile had kept at a moment: signed notes, and a mark. It is read before the hub is asked what it has, so that what
/// other processes learn meanwhile does not make it look shorter than it was.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    pub(super) newest: Option<String>,
    past: Vec<String>,
    mark: Option<String>,
}

impl Remembered {
    /// Reads it.
    pub(super) fn read(profile: &Profile) -> Result<Self, ProfileError> {
        let _lock = profile.lock_checkpoints()?;
        let Some(newest) = profile.checkpoint()? else { return Ok(Self::default()) };
        let (past, mark) = (profile.past_checkpoints()?, profile.last_mark()?);
        Ok(Self { newest: Some(newest), past, mark })
    }
}

/// Whether a checkpoint goes with what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Weighed {
    /// It is of the newest one's log, which it is itself from now on if it is larger.
    Held,
    /// It must be held against this one, whose note this is.
    Against(Checkpoint, String),
}

/// What another process of the profile has written, and was not compared here: a signed note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// As the newest checkpoint.
    Newest(String),
    /// To be compared, since it could not do so itself.
    Left(String),
}

impl Foreign {
    /// The note.
    pub(super) fn note(&self) -> &str {
        let (Self::Newest(note) | Self::Left(note)) = self;
        note
    }
}

/// Epoch and size of the log of which a mark is, where that can be read.
fn log_of_mark(mark: &Exhibit) -> Option<(u32, u64)> {
    let Exhibit::Mark { statement, .. } = mark else { return None };
    let statement = MarkStatement::from_bytes(&BASE64.decode(statement).ok()?).ok()?;
    Some((statement.epoch, statement.head))
}

impl Trust {
    /// What a profile remembers. `log_keys` are those that may have signed it: of the log as it is, and as the profile knew it;
    /// `epoch` is the log's now. What was kept of an epoch before that may be signed by a key that a restored log has not.
    pub(super) fn open(
        profile: Arc<Profile>,
        remembered: Remembered,
        log_keys: [&LogKeys; 2],
        epoch: u32,
    ) -> Result<Self, ProfileError> {
        let Remembered { newest: note, past: past_notes, mark } = remembered;
        let open = |note: &str, file: &str| {
            let opened = log_keys.iter().find_map(|keys| keys.open(note).ok());
            let ended = || Checkpoint::read_unverified(note).ok().filter(|it| it.epoch < epoch);
            opened.or_else(ended).ok_or_else(|| ProfileError::Malformed {
                path: profile.folder().join(file),
                why: "it is not signed by the log's key".to_owned(),
            })
        };
        let newest = note.as_ref().map(|note| open(note, "checkpoint")).transpose()?;
        let mut past = Vec::new();
        for note in past_notes {
            past.push((open(&note, "checkpoints.json")?, note));
        }
        // It is of use where it can be read.
        let mark: Option<Exhibit> = mark.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self {
            profile,
            newest,
            note: note.clone().unwrap_or_default(),
            met: note,
            saved: None,
            is_changed: false,
            past,
            is_past_changed: false,
            highest: mark.clone(),
            mark,
            recent: VecDeque::new(),
            passed_over: Vec::new(),
            opened: None,
        })
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
        (self.mark, self.highest) = (None, None);
        self.recent.clear();
        self.is_past_changed = true;
        let profile = Arc::clone(&self.profile);
        let _lock = profile.lock_checkpoints()?;
        profile.save_last_mark("")?;
        self.write()
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

    /// Takes a checkpoint that was shown to be a continuation of `shown`, unless it must be held against what is known, too.
    pub(super) fn weigh(
        &mut self,
        checkpoint: &Checkpoint,
        note: &str,
        shown: Option<Checkpoint>,
    ) -> Weighed {
        if self.newest == Some(*checkpoint) {
            return Weighed::Held;
        }
        let same_size = |(one, _note): &&(Checkpoint, String)| {
            (one.epoch, one.size) == (checkpoint.epoch, checkpoint.size)
        };
        if let Some((known, note)) = self.recent.iter().find(same_size) {
            let is_it = known == checkpoint;
            return if is_it { Weighed::Held } else { Weighed::Against(*known, note.clone()) };
        }
        match self.newest {
            Some(newest) if shown != Some(newest) => Weighed::Against(newest, self.note.clone()),
            Some(_) | None => {
                self.newest = Some(*checkpoint);
                note.clone_into(&mut self.note);
                self.keep_recent(checkpoint, note);
                self.is_changed = true;
                Weighed::Held
            }
        }
    }

    /// Keeps a checkpoint that was shown to be of the newest one's log.
    pub(super) fn keep_recent(&mut self, checkpoint: &Checkpoint, note: &str) {
        self.recent.push_back((*checkpoint, note.to_owned()));
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    /// Takes what the hub signed with a mark that holds.
    fn take_mark(&mut self, mark: Exhibit) {
        let (of, highest) = (log_of_mark(&mark), self.highest.as_ref().and_then(log_of_mark));
        if of > highest {
            self.highest = Some(mark.clone());
            self.is_changed = true;
        }
        self.mark = Some(mark);
    }

    /// What was compared with what is known does not stand in the way any more.
    pub(super) fn met(&mut self, foreign: &Foreign) -> Result<(), ProfileError> {
        match foreign {
            Foreign::Newest(note) => {
                self.met = Some(note.clone());
                self.is_changed = true;
                Ok(())
            }
            Foreign::Left(note) => self.profile.settle_checkpoint(note),
        }
    }

    /// What cannot be judged stays for others; whether anything can be written beside it.
    pub(super) fn pass_over(&mut self, foreign: &Foreign) -> bool {
        match foreign {
            Foreign::Newest(_) => false,
            Foreign::Left(note) => {
                self.passed_over.push(note.clone());
                true
            }
        }
    }

    /// Writes what is not written yet, unless another process has written something meanwhile that was not compared: that.
    pub(super) fn save(&mut self) -> Result<Option<Foreign>, ProfileError> {
        self.saved = Some(Instant::now());
        let profile = Arc::clone(&self.profile);
        let _lock = profile.lock_checkpoints()?;
        let there = profile.checkpoint()?.filter(|there| *there != self.note);
        if let Some(there) = there.filter(|there| self.met.as_ref() != Some(there)) {
            return Ok(Some(Foreign::Newest(there)));
        }
        if self.is_changed && self.newest.is_some() {
            self.take_written_mark()?;
            self.write()?;
        }
        let mut left = profile.left_checkpoints()?.into_iter();
        Ok(left.find(|note| !self.passed_over.contains(note)).map(Foreign::Left))
    }

    /// The mark that is written stays, if it had a larger log.
    fn take_written_mark(&mut self) -> Result<(), ProfileError> {
        let written = self.profile.last_mark()?;
        let written: Option<Exhibit> = written.and_then(|text| serde_json::from_str(&text).ok());
        let log = |mark: &Option<Exhibit>| mark.as_ref().and_then(log_of_mark);
        if log(&written).is_some() && log(&written) >= log(&self.highest) {
            self.highest = written;
        }
        Ok(())
    }

    /// Writes everything; the lock is held.
    fn write(&mut self) -> Result<(), ProfileError> {
        self.is_changed = false;
        self.keep_past();
        // Before the newest: what that is compared with after a restore.
        if std::mem::take(&mut self.is_past_changed) {
            let notes: Vec<String> = self.past.iter().map(|(_, note)| note.clone()).collect();
            self.profile.save_past_checkpoints(&notes)?;
        }
        if self.met.as_ref() != Some(&self.note) {
            self.profile.save_checkpoint(&self.note)?;
            self.met = Some(self.note.clone());
        }
        let mark = self.highest.as_ref().and_then(|mark| serde_json::to_string(mark).ok());
        mark.map_or(Ok(()), |mark| self.profile.save_last_mark(&mark))
    }

    /// Whether what is remembered is to be written, and what others wrote to be read.
    pub(super) fn is_due(&self) -> bool {
        self.saved.is_none_or(|at| at.elapsed() >= SAVE_INTERVAL)
    }
}

/// What the log was later than what was known, and its note.
type Later<'a> = Option<(Checkpoint, &'a str)>;

impl Drop for Trust {
    fn drop(&mut self) {
        // Who must know whether it was written says so before: `Client::save_checkpoint`. What stands there and was not
        // compared is not written over: whoever connects next compares both.
        let is_kept_apart = matches!(self.save(), Ok(Some(Foreign::Newest(_))));
        if is_kept_apart && self.newest.is_some() && self.met.as_ref() != Some(&self.note) {
            drop(self.profile.leave_checkpoint(&self.note));
        }
    }
}

impl Client {
    /// Demands of a hub that was just reached that its log is a continuation of the one that is remembered.
    pub(super) async fn demand_continuation(&self, note: &str) -> Result<(), ClientError> {
        let later = self.welcome().checkpoint;
        let earlier = self.newest_checkpoint();
        if let Some(earlier) = &earlier
            && let Err(deviation) = self.demand_growth(earlier, &later).await?
        {
            let mut exhibits = vec![Exhibit::checkpoint(note)];
            // A mark says when the log was so; a checkpoint does not.
            exhibits.extend(self.signed_mark().await);
            let error = VerificationError::deviation(deviation);
            return Err(self.keep_evidence(error, exhibits, Some((later, note))).await.into());
        }
        self.remember(&later, note, earlier).await?;
        self.save_checkpoint().await
    }

    /// Asks for the proof that a later log is a continuation of an earlier one, and checks it.
    pub(super) async fn demand_growth(
        &self,
        earlier: &Checkpoint,
        later: &Checkpoint,
    ) -> Result<Result<(), Deviation>, ClientError> {
        let path = if earlier.size >= later.size || earlier.epoch != later.epoch {
            // There is nothing to prove.
            Some(Vec::new())
        } else {
            self.growth_path(earlier.size, later.size).await?
        };
        // Both sizes were signed: a log that has not got so far was longer before.
        let Some(path) = path else { return Ok(Err(Deviation::RolledBack)) };
        let hashes = Hashes::of(&path);
        Ok(hashes.and_then(|hashes| demand_growth(earlier, later, hashes.proof()?)))
    }

    /// The proof that a tree begins with a smaller one; `None` if the hub says that its log is not so large.
    async fn growth_path(&self, first: u64, second: u64) -> Result<Option<Vec<u8>>, ClientError> {
        let request = pb::GetConsistencyProofRequest { first_size: first, second_size: second };
        let answer = self.transparency_service().get_consistency_proof(request).await;
        match answer.map_err(ClientError::from) {
            Ok(answer) => Ok(Some(answer.into_inner().hashes.concat())),
            Err(error) if error.is_refusal(Reason::FieldInvalid) => Ok(None),
            Err(error) => Err(error),
        }
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

    /// Takes what the hub signed with a mark that holds.
    pub(super) fn remember_mark(&self, statement: &[u8], signature: &[u8]) {
        let mut trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
        trust.take_mark(Exhibit::mark(statement, signature));
    }

    /// What the hub signed with the first mark that had the largest log.
    pub(super) fn highest_mark(&self) -> Option<Exhibit> {
        self.trust().lock().unwrap_or_else(PoisonError::into_inner).highest.clone()
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
        self.remember(&checkpoint, note, known).await?;
        self.save_when_due().await?;
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
        self.remember(&checkpoint, note, None).await?;
        self.save_when_due().await?;
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
    pub(super) async fn last_entry_then(
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
    use crate::client::known::tests::profile;
    use crate::client::tests::World;

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

    fn at(size: u64, root: u8) -> Checkpoint {
        Checkpoint { epoch: 1, size, root: [root; 32], roster: [2; 32] }
    }

    fn note(world: &World, checkpoint: Checkpoint) -> String {
        world.pin().log_key().sign(&checkpoint, &world.log_secret)
    }

    fn load(profile: &Arc<Profile>, keys: &LogKeys, epoch: u32) -> Result<Trust, ProfileError> {
        let remembered = Remembered::read(profile)?;
        Trust::open(Arc::clone(profile), remembered, [keys, keys], epoch)
    }

    /// Two processes of one profile, which knew the same when they began.
    fn two(world: &World, profile: &Arc<Profile>) -> [Trust; 2] {
        let log_keys = LogKeys::new(world.pin().log_key().clone());
        let load = || load(profile, &log_keys, 1).unwrap();
        let mut first = load();
        let begun = at(5, 1);
        assert_eq!(first.weigh(&begun, &note(world, begun), None), Weighed::Held);
        assert_eq!(first.save().unwrap(), None);
        drop(first);
        [load(), load()]
    }

    fn take(world: &World, trust: &mut Trust, checkpoint: Checkpoint, shown: Checkpoint) {
        let weighed = trust.weigh(&checkpoint, &note(world, checkpoint), Some(shown));
        assert_eq!(weighed, Weighed::Held);
    }

    #[test]
    fn what_another_process_wrote_is_compared_before_it_is_written_over() {
        let (world, place) = (World::new(), tempfile::tempdir().unwrap());
        let profile = Arc::new(profile(&world, &place.path().join("acme")));
        let [mut one, mut other] = two(&world, &profile);
        take(&world, &mut one, at(8, 8), at(5, 1));
        assert_eq!(one.save().unwrap(), None);
        take(&world, &mut other, at(9, 9), at(5, 1));
        let foreign = other.save().unwrap().expect("it was not compared");
        assert_eq!(foreign, Foreign::Newest(note(&world, at(8, 8))));
        assert_eq!(profile.checkpoint().unwrap(), Some(note(&world, at(8, 8))));
        other.met(&foreign).unwrap();
        assert_eq!(other.save().unwrap(), None);
        assert_eq!(profile.checkpoint().unwrap(), Some(note(&world, at(9, 9))));
        // Nothing is new to the first one, and still it reads what the other one has.
        assert_eq!(one.save().unwrap(), Some(Foreign::Newest(note(&world, at(9, 9)))));
    }

    #[test]
    fn what_a_process_cannot_compare_when_it_ends_is_left_for_the_next() {
        let (world, place) = (World::new(), tempfile::tempdir().unwrap());
        let profile = Arc::new(profile(&world, &place.path().join("acme")));
        let [mut one, mut other] = two(&world, &profile);
        take(&world, &mut one, at(8, 8), at(5, 1));
        take(&world, &mut other, at(8, 7), at(5, 1));
        drop(one);
        drop(other);
        assert_eq!(profile.checkpoint().unwrap(), Some(note(&world, at(8, 8))));
        let log_keys = LogKeys::new(world.pin().log_key().clone());
        let mut next = load(&profile, &log_keys, 1).unwrap();
        let left = next.save().unwrap().expect("it was left");
        assert_eq!(left, Foreign::Left(note(&world, at(8, 7))));
        let weighed = next.weigh(&at(8, 7), left.note(), None);
        assert_eq!(weighed, Weighed::Against(at(8, 8), note(&world, at(8, 8))));
        next.met(&left).unwrap();
        assert_eq!(next.save().unwrap(), None);
        assert!(profile.left_checkpoints().unwrap().is_empty());
        for number in 0..40 {
            profile.leave_checkpoint(&number.to_string()).unwrap();
        }
        let left = profile.left_checkpoints().unwrap();
        assert_eq!((left.len(), left.last().map(String::as_str)), (16, Some("39")));
    }

    #[test]
    fn only_what_continues_the_newest_takes_its_place() {
        let (world, place) = (World::new(), tempfile::tempdir().unwrap());
        let profile = Arc::new(profile(&world, &place.path().join("acme")));
        let [mut trust, _other] = two(&world, &profile);
        take(&world, &mut trust, at(8, 8), at(5, 1));
        let mut weigh = |checkpoint: Checkpoint, shown| {
            trust.weigh(&checkpoint, &note(&world, checkpoint), shown)
        };
        let against = |known: Checkpoint| Weighed::Against(known, note(&world, known));
        assert_eq!(weigh(at(8, 8), None), Weighed::Held, "it is the same");
        assert_eq!(
            weigh(at(9, 9), Some(at(5, 1))),
            against(at(8, 8)),
            "what it continues is older"
        );
        assert_eq!(weigh(at(7, 7), Some(at(5, 1))), against(at(8, 8)));
        assert_eq!(weigh(at(8, 7), Some(at(5, 1))), against(at(8, 8)));
        assert_eq!(weigh(at(9, 9), Some(at(8, 8))), Weighed::Held);
        // What was the newest is known without a proof, and another of its size is not it.
        assert_eq!(weigh(at(8, 8), None), Weighed::Held);
        assert_eq!(weigh(at(8, 7), Some(at(9, 9))), against(at(8, 8)));
    }

    #[test]
    fn what_an_epoch_that_ended_had_may_be_signed_by_a_key_that_the_log_has_no_more() {
        let (world, place) = (World::new(), tempfile::tempdir().unwrap());
        let profile = Arc::new(profile(&world, &place.path().join("acme")));
        let stranger = World::new();
        let key = crate::signing::VerifyingKey::from_spki(&stranger.log_secret.spki()).unwrap();
        let key = crate::transparency::LogKey::new(&world.founding.exchange, key).unwrap();
        profile.save_checkpoint(&key.sign(&at(8, 8), &stranger.log_secret)).unwrap();
        let log_keys = LogKeys::new(world.pin().log_key().clone());
        let trust = load(&profile, &log_keys, 2).unwrap();
        assert_eq!(trust.largest_within(1, 9), Some(at(8, 8)));
        load(&profile, &log_keys, 1).unwrap_err();
    }
}
