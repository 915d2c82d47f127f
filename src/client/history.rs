//! One history: whatever this client, its streams and the other processes of its profile are shown must be of one log.
//!
//! Every checkpoint is shown to be a continuation of an earlier one by whoever takes it. That does not say that two of
//! them, each of which continues the same one, go together: before one takes the other's place as the newest, it is
//! held against it.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use crate::client::account::Deviation;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::evidence::Exhibit;
use crate::client::trust::Foreign;
use crate::client::trust::Weighed;
use crate::client::verifier::VerificationError;
use crate::transparency::Checkpoint;

/// How often a stream that runs beside others is held against them, with one proof each time.
const COMPARED_EVERY: Duration = Duration::from_secs(3);
/// How long the hub may leave out the proof before that counts as an answer.
const UNANSWERED_FOR: Duration = Duration::from_mins(10);
/// What other processes left, at most, that is compared at once.
const FOREIGN_MAX: usize = 32;

/// A stream's newest checkpoint, as far as it was not held against what is known elsewhere.
#[derive(Debug, Default)]
pub(super) struct Alongside {
    /// Each is a continuation of the one before it, so that the last one stands for all.
    open: Option<(Checkpoint, String)>,
    compared: Option<Instant>,
    unanswered_since: Option<Instant>,
}

impl Alongside {
    /// Takes the checkpoint of a mark, which was shown to continue `before`. The hub may be slow to prove more.
    pub(super) async fn take(
        &mut self,
        client: &Client,
        (checkpoint, note): (&Checkpoint, &str),
        before: Option<Checkpoint>,
    ) -> Result<(), ClientError> {
        match client.weigh(checkpoint, note, before) {
            Weighed::Held => self.open = None,
            Weighed::Against(..) => self.open = Some((*checkpoint, note.to_owned())),
        }
        let is_due = self.compared.is_none_or(|at| at.elapsed() >= COMPARED_EVERY);
        if self.open.is_none() || !is_due {
            return client.save_when_due().await;
        }
        match self.settle(client).await {
            Ok(()) => self.unanswered_since = None,
            Err(error) if error.is_transient() && !self.is_unanswered() => {}
            Err(error) => return Err(error),
        }
        client.save_when_due().await
    }

    /// Whether a proof was not given for too long: a hub that streams but never proves this keeps something back.
    fn is_unanswered(&mut self) -> bool {
        self.unanswered_since.get_or_insert_with(Instant::now).elapsed() >= UNANSWERED_FOR
    }

    /// Holds what is open against what is known elsewhere now.
    pub(super) async fn settle(&mut self, client: &Client) -> Result<(), ClientError> {
        let Some((checkpoint, note)) = &self.open else { return Ok(()) };
        self.compared = Some(Instant::now());
        client.remember(checkpoint, note, None).await?;
        self.open = None;
        Ok(())
    }
}

impl Client {
    /// Takes a checkpoint, if it is of the log of the newest one that is known, as far as that can be told here.
    fn weigh(&self, checkpoint: &Checkpoint, note: &str, shown: Option<Checkpoint>) -> Weighed {
        let mut trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
        trust.weigh(checkpoint, note, shown)
    }

    /// Takes a checkpoint that was shown to be a continuation of `shown`, if it was of any. What is known beyond that,
    /// because another call, stream or process has learnt it meanwhile, must be of the same log: the hub is asked for the proof.
    pub(super) async fn remember(
        &self,
        checkpoint: &Checkpoint,
        note: &str,
        mut shown: Option<Checkpoint>,
    ) -> Result<(), ClientError> {
        while let Weighed::Against(known, known_note) = self.weigh(checkpoint, note, shown) {
            // Apart: it is seldom needed, and would make every future that may need it large.
            let both = ((&known, &*known_note), (checkpoint, note));
            Box::pin(self.demand_one_history(both.0, both.1)).await?;
            if (known.epoch, known.size) >= (checkpoint.epoch, checkpoint.size) {
                let mut trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
                trust.keep_recent(checkpoint, note);
                return Ok(());
            }
            shown = Some(known);
        }
        Ok(())
    }

    /// Demands that two checkpoints are of one log; if not, both are kept, and what tells what the larger one was when
    /// it was as large as the other.
    async fn demand_one_history(
        &self,
        (known, known_note): (&Checkpoint, &str),
        (other, note): (&Checkpoint, &str),
    ) -> Result<(), ClientError> {
        let is_earlier = known.epoch == other.epoch && other.size < known.size;
        let (earlier, later) = if is_earlier { (other, known) } else { (known, other) };
        let Err(deviation) = self.demand_growth(earlier, later).await? else { return Ok(()) };
        let error = VerificationError::deviation(deviation);
        if matches!(deviation, Deviation::Epoch) {
            // A log that was restored deviates from nothing yet.
            return Err(error.into());
        }
        // Nor does one that is being told of only now.
        let explained = Box::pin(self.explain(error.into())).await;
        let ClientError::Unverified(error) = explained else { return Err(explained) };
        let mut exhibits = vec![Exhibit::checkpoint(known_note), Exhibit::checkpoint(note)];
        let later_note = if is_earlier { known_note } else { note };
        exhibits.extend(self.last_entry_then(earlier, later, later_note).await);
        Err(self.keep_evidence(error, exhibits, None).await.into())
    }

    /// Writes the newest checkpoint, if it is not written yet. What other processes of this profile wrote meanwhile must be
    /// of the same log.
    pub async fn save_checkpoint(&self) -> Result<(), ClientError> {
        for _round in 0..FOREIGN_MAX {
            let foreign = {
                let mut trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
                trust.save()?
            };
            let Some(foreign) = foreign else { return Ok(()) };
            if !self.meet(&foreign).await? {
                break;
            }
        }
        Ok(())
    }

    /// The same, if it is time. A hub that cannot prove anything now is asked again later; nothing is written over
    /// meanwhile.
    pub(super) async fn save_when_due(&self) -> Result<(), ClientError> {
        let is_due = self.trust().lock().unwrap_or_else(PoisonError::into_inner).is_due();
        if !is_due {
            return Ok(());
        }
        match Box::pin(self.save_checkpoint()).await {
            Err(error) if error.is_transient() => Ok(()),
            done => done,
        }
    }

    /// Holds what another process wrote against what is known here; whether that is done with.
    async fn meet(&self, foreign: &Foreign) -> Result<bool, ClientError> {
        let note = foreign.note();
        let opened = self.open_checkpoint(note);
        let accepted = self.accepted_epoch();
        // One that a later key has signed is compared when that is known here; one of a later epoch, by whoever has
        // accepted that.
        let Some(checkpoint) = opened.ok().filter(|opened| opened.epoch <= accepted) else {
            let mut trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(trust.pass_over(foreign));
        };
        // What an epoch that ended had is void.
        if checkpoint.epoch == accepted {
            self.remember(&checkpoint, note, None).await?;
        }
        let mut trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
        trust.met(foreign)?;
        Ok(true)
    }
}
