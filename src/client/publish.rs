//! Publishing through the outbox: synced before it is sent, sent again byte for byte, gone once answered.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::client::backoff::Backoff;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::error::Refused;
use crate::client::receipt;
use crate::client::receipt::Receipt;
use crate::client::receipt::Warning;
use crate::client::verifier::VerificationError;
use crate::model::limits;
use crate::model::reason::Reason;
use crate::profile::ProfileError;
use crate::profile::Span;
use crate::profile::Waiting;
use crate::transparency::Checkpoint;
use crate::wire::pb;

/// Envelopes of one outbox file: one sync each.
const OUTBOX_RECORDS_MAX: usize = 8192;
/// Bytes of one outbox file.
const OUTBOX_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a batch is offered to a hub that cannot take it at the moment.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two words about a batch that waits.
const TOLD_AFTER: Duration = Duration::from_secs(10);
/// Batches after which what was sent is pruned.
const PRUNE_BATCHES: u32 = 1024;
/// Requests that wait in a pipeline for the transport.
const PIPELINE_REQUESTS: usize = 4;

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable, and the receipt holds; what looks like a mistake all the same stands in its warnings.
    Taken(Box<Receipt>),
    /// It was refused for good; nothing was appended.
    Refused(Box<Refused>),
}

impl Outcome {
    /// The receipt, or the refusal as an error.
    pub fn receipt(self) -> Result<Receipt, ClientError> {
        match self {
            Self::Taken(receipt) => Ok(*receipt),
            Self::Refused(refused) => Err(ClientError::Refused(refused)),
        }
    }
}

/// Records of which not all were answered; those without an answer stay in the outbox, and go out with
/// [`Client::resend`].
#[derive(Debug, thiserror::Error)]
#[error("{} of {} records have no answer and wait in the outbox", self.waiting(), self.outcomes.len())]
pub struct Unfinished {
    /// What became of each, in order; `None` for those that wait.
    pub outcomes: Vec<Option<Outcome>>,
    /// Why it was given up.
    #[source]
    pub error: ClientError,
}

impl Unfinished {
    /// How many wait in the outbox.
    pub fn waiting(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.is_none()).count()
    }
}

impl From<Unfinished> for ClientError {
    fn from(unfinished: Unfinished) -> Self {
        unfinished.error
    }
}

/// The hub cannot take some records at the moment: they are offered again a little later.
#[derive(Debug)]
pub struct Pause<'a> {
    /// How many have no answer yet.
    pub waiting: usize,
    /// How long until they are offered again.
    pub pause: Duration,
    /// What the hub said, or that it says nothing.
    pub error: &'a ClientError,
}

/// Told of pauses: of the first one, and then every ten seconds.
pub type WatchPauses<'a> = &'a (dyn Fn(&Pause<'_>) + Sync);

impl Client {
    /// Publishes records; each is answered for itself, in order. On an error what has no answer stays in the
    /// outbox and goes out with [`Client::resend`].
    pub async fn publish(&self, envelopes: Vec<pb::Envelope>) -> Result<Vec<Outcome>, ClientError> {
        Ok(self.publish_watched(envelopes, &|_pause| ()).await?)
    }

    /// The same, told of pauses; an error says what became of those that were answered.
    pub async fn publish_watched(
        &self,
        envelopes: Vec<pb::Envelope>,
        watch: WatchPauses<'_>,
    ) -> Result<Vec<Outcome>, Unfinished> {
        let kept: Result<Vec<Kept>, ClientError> =
            split(envelopes, OUTBOX_RECORDS_MAX, OUTBOX_BYTES_MAX)
                .into_iter()
                .map(|batch| Ok((self.keep(&batch)?, batch)))
                .collect();
        let kept = kept.map_err(|error| Unfinished { outcomes: Vec::new(), error })?;
        self.deliver_all(kept, watch).await
    }

    /// Publishes one record.
    pub async fn publish_one(&self, envelope: pb::Envelope) -> Result<Receipt, ClientError> {
        let outcome = self.publish(vec![envelope]).await?.into_iter().next();
        outcome.ok_or_else(|| VerificationError::answer("there is no outcome"))?.receipt()
    }

    /// Sends what waits in the outbox.
    pub async fn resend(&self) -> Result<Vec<Outcome>, ClientError> {
        Ok(self.resend_watched(&|_pause| ()).await?)
    }

    /// The same, told of pauses; an error says what became of those that were answered.
    pub async fn resend_watched(&self, watch: WatchPauses<'_>) -> Result<Vec<Outcome>, Unfinished> {
        let kept = || -> Result<Vec<Kept>, ClientError> {
            let waiting = self.profile().outbox()?.waiting()?.into_iter();
            waiting.map(|waiting| decode(&waiting).map(|batch| (waiting, batch))).collect()
        };
        let kept = kept().map_err(|error| Unfinished { outcomes: Vec::new(), error })?;
        self.deliver_all(kept, watch).await
    }

    /// A stream of batches whose answers come in order; several are under way at once.
    pub async fn publish_stream(&self) -> Result<Pipeline, ClientError> {
        let (requests, receiver) = mpsc::channel(PIPELINE_REQUESTS);
        let responses =
            self.exchange_service().publish_stream(ReceiverStream::new(receiver)).await?;
        Ok(Pipeline {
            client: self.clone(),
            requests: Some(requests),
            responses: responses.into_inner(),
            under_way: VecDeque::new(),
        })
    }

    /// Syncs a batch to the outbox.
    pub(super) fn keep(&self, batch: &[pb::Envelope]) -> Result<Waiting, ClientError> {
        Ok(self.profile().outbox()?.put(encode(batch.iter()))?)
    }

    /// Lets a batch go that was refused in full.
    pub(super) fn let_go(&self, waiting: &Waiting) -> Result<(), ClientError> {
        Ok(self.profile().outbox()?.remove(waiting)?)
    }

    /// Lets a batch go that was answered in full. What was taken in is kept for a while: it is sent again should the
    /// hub's log be restored to before it.
    pub(super) fn let_go_sent<'a>(
        &self,
        waiting: &Waiting,
        answered: impl Iterator<Item = (&'a pb::Envelope, &'a Outcome)> + Clone,
    ) -> Result<(), ClientError> {
        let Some(span) = span(answered.clone()) else { return self.let_go(waiting) };
        let is_whole = answered.clone().all(|(_, outcome)| matches!(outcome, Outcome::Taken(_)));
        if is_whole {
            self.profile().sent()?.take(waiting, &span)?;
        } else {
            self.keep_sent(answered)?;
            self.let_go(waiting)?;
        }
        if self.batches_let_go().fetch_add(1, Ordering::Relaxed).is_multiple_of(PRUNE_BATCHES) {
            self.profile().sent()?.prune(self.now())?;
        }
        Ok(())
    }

    /// Keeps what was taken in of a batch that does not leave the outbox as it is.
    fn keep_sent<'a>(
        &self,
        answered: impl Iterator<Item = (&'a pb::Envelope, &'a Outcome)> + Clone,
    ) -> Result<(), ClientError> {
        let Some(span) = span(answered.clone()) else { return Ok(()) };
        let taken = answered.filter(|(_, outcome)| matches!(outcome, Outcome::Taken(_)));
        let bytes = encode(taken.map(|(envelope, _)| envelope));
        Ok(self.profile().sent()?.put(&bytes, &span)?)
    }

    /// Offers batches that are kept in the outbox, one after the other. What follows one that is given up waits, too.
    async fn deliver_all(
        &self,
        kept: Vec<Kept>,
        watch: WatchPauses<'_>,
    ) -> Result<Vec<Outcome>, Unfinished> {
        let mut outcomes = Vec::new();
        let mut kept = kept.into_iter();
        while let Some((waiting, batch)) = kept.next() {
            let mut answered: Vec<Option<Outcome>> = vec![None; batch.len()];
            let delivered = self.deliver(&waiting, &batch, &mut answered, watch).await;
            outcomes.extend(answered);
            if let Err(error) = delivered {
                let rest: usize = kept.map(|(_waiting, batch)| batch.len()).sum();
                outcomes.extend(std::iter::repeat_n(None, rest));
                return Err(Unfinished { outcomes, error });
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Offers a batch until every record has its answer.
    async fn deliver(
        &self,
        waiting: &Waiting,
        batch: &[pb::Envelope],
        outcomes: &mut [Option<Outcome>],
        watch: WatchPauses<'_>,
    ) -> Result<(), ClientError> {
        let mut backoff = Backoff::default();
        let mut deadline = Instant::now() + PATIENCE;
        let mut told_until = Instant::now();
        let mut waiting_before = batch.len();
        loop {
            let failed = self.attempt(batch, outcomes).await.err();
            let open = outcomes.iter().filter(|outcome| outcome.is_none()).count();
            if open < waiting_before {
                // Some of it went: what a quota lets through in parts comes to its end.
                (deadline, waiting_before) = (Instant::now() + PATIENCE, open);
                backoff = Backoff::default();
            }
            if open == 0 {
                self.journalise(batch, outcomes).await?;
                return self.let_go_sent(waiting, with_answers(batch, outcomes));
            }
            let error = failed
                .unwrap_or_else(|| ClientError::Unreachable("it stopped answering".to_owned()));
            // A quota says when there is more of it: to ask before is in vain.
            let pause = backoff.next().max(error.retry_after().unwrap_or_default());
            if !error.is_transient() || Instant::now() + pause > deadline {
                self.journalise(batch, outcomes).await?;
                self.keep_rest(waiting, batch, outcomes)?;
                return Err(self.explain(error).await);
            }
            if Instant::now() >= told_until {
                watch(&Pause { waiting: open, pause, error: &error });
                told_until = Instant::now() + TOLD_AFTER;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends what has no answer yet, pipelined, and takes the answers; one by one if there is no stream left.
    async fn attempt(
        &self,
        batch: &[pb::Envelope],
        outcomes: &mut [Option<Outcome>],
    ) -> Result<(), ClientError> {
        let open: Vec<usize> = outcomes
            .iter()
            .enumerate()
            .filter(|(_, outcome)| outcome.is_none())
            .map(|(at, _)| at)
            .collect();
        let known = self.newest_checkpoint();
        let (sent, messages): (Vec<_>, Vec<_>) =
            requests(batch, &open, known_size(known)).into_iter().unzip();
        let mut service = self.exchange_service();
        let answers = service.publish_stream(stream::iter(messages)).await;
        let mut answers = match answers.map_err(ClientError::from) {
            Ok(answers) => answers.into_inner(),
            Err(error) if error.is_refusal(Reason::TooManyStreams) => {
                return self.attempt_apart(batch, &open, outcomes).await;
            }
            Err(error) => return Err(error),
        };
        let mut later = None;
        for places in sent {
            let Some(answer) = answers.message().await? else {
                return Err(ClientError::Unreachable("it ended the stream".to_owned()));
            };
            let pb::PublishStreamResponse { results, growth_proof } = answer;
            let checkpoint = self.receipts_checkpoint(&results, known, &growth_proof).await?;
            let more = Self::settle_all(batch, places, results, checkpoint, outcomes)?;
            later = sooner(later, more);
        }
        later.map_or(Ok(()), |refused| Err(refused.into()))
    }

    /// The same without a stream: a member that reads with its last one can still publish.
    async fn attempt_apart(
        &self,
        batch: &[pb::Envelope],
        open: &[usize],
        outcomes: &mut [Option<Outcome>],
    ) -> Result<(), ClientError> {
        let known = self.newest_checkpoint();
        for (places, request) in requests(batch, open, known_size(known)) {
            let pb::PublishStreamRequest { envelopes, known_size } = request;
            let request = pb::PublishRequest { envelopes, known_size };
            let answer = self.exchange_service().publish(request).await?.into_inner();
            let pb::PublishResponse { results, growth_proof } = answer;
            let checkpoint = self.receipts_checkpoint(&results, known, &growth_proof).await?;
            // What comes next may depend on what has to come again.
            if let Some(refused) = Self::settle_all(batch, places, results, checkpoint, outcomes)? {
                return Err(refused.into());
            }
        }
        Ok(())
    }

    /// Puts the outcomes of a request in their places; or says why some have none yet.
    fn settle_all(
        batch: &[pb::Envelope],
        places: Vec<usize>,
        results: Vec<pb::PublishResult>,
        checkpoint: Option<Checkpoint>,
        outcomes: &mut [Option<Outcome>],
    ) -> Result<Option<Refused>, ClientError> {
        if results.len() != places.len() {
            return Err(VerificationError::answer("there is not one result for each record").into());
        }
        let mut later = None;
        for (place, result) in places.into_iter().zip(results) {
            later = sooner(later, settle(batch, place, (result, checkpoint), outcomes)?);
        }
        Ok(later)
    }

    fn keep_rest(
        &self,
        waiting: &Waiting,
        batch: &[pb::Envelope],
        outcomes: &[Option<Outcome>],
    ) -> Result<(), ClientError> {
        // First: what is in neither place for a moment is sent again by nobody.
        self.keep_sent(with_answers(batch, outcomes))?;
        let rest = batch.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_none());
        let bytes = encode(rest.map(|(envelope, _)| envelope));
        Ok(self.profile().outbox()?.shrink(waiting, &bytes)?)
    }
}

/// Those records of a batch that have their answers.
fn with_answers<'a>(
    batch: &'a [pb::Envelope],
    outcomes: &'a [Option<Outcome>],
) -> impl Iterator<Item = (&'a pb::Envelope, &'a Outcome)> + Clone {
    batch.iter().zip(outcomes).filter_map(|(one, outcome)| Some((one, outcome.as_ref()?)))
}

/// Where the records stand that were taken in; `None` if none was.
fn span<'a>(answered: impl Iterator<Item = (&'a pb::Envelope, &'a Outcome)>) -> Option<Span> {
    answered.fold(None, |span, (_envelope, outcome)| match outcome {
        Outcome::Taken(receipt) => Some(Span::with(span, receipt.epoch, receipt.sequence)),
        Outcome::Refused(_) => span,
    })
}

/// A batch with its place in the outbox.
type Kept = (Waiting, Vec<pb::Envelope>);

/// Of two refusals the one after which something is taken first.
fn sooner(one: Option<Refused>, other: Option<Refused>) -> Option<Refused> {
    match (one, other) {
        (Some(one), Some(other)) if one.retry_after <= other.retry_after => Some(one),
        (one, other) => other.or(one),
    }
}

/// Whether a record has its answer.
pub(super) enum Answered {
    /// It has.
    For(Outcome),
    /// The hub cannot take it at the moment.
    Later(Refused),
}

/// Puts a record's outcome in its place; or says why it has none yet.
fn settle(
    batch: &[pb::Envelope],
    place: usize,
    (result, checkpoint): (pb::PublishResult, Option<Checkpoint>),
    outcomes: &mut [Option<Outcome>],
) -> Result<Option<Refused>, ClientError> {
    // Invariant: the places were taken from the batch, and there is an outcome for each of it.
    let (Some(envelope), Some(slot)) = (batch.get(place), outcomes.get_mut(place)) else {
        return Ok(None);
    };
    match outcome(envelope, result, checkpoint.as_ref())? {
        Answered::For(outcome) => {
            *slot = Some(outcome);
            Ok(None)
        }
        Answered::Later(refused) => Ok(Some(refused)),
    }
}

/// What became of a record; its receipt has a checkpoint that holds, if it is one.
pub(super) fn outcome(
    envelope: &pb::Envelope,
    result: pb::PublishResult,
    checkpoint: Option<&Checkpoint>,
) -> Result<Answered, ClientError> {
    let pb::PublishResult { outcome, warnings } = result;
    match outcome {
        Some(pb::publish_result::Outcome::Receipt(receipt)) => {
            let checkpoint =
                checkpoint.ok_or(VerificationError::receipt("it has no checkpoint"))?;
            let mut receipt = receipt::check(envelope, receipt, checkpoint)?;
            receipt.warnings = warnings.into_iter().map(Warning::from).collect();
            Ok(Answered::For(Outcome::Taken(Box::new(receipt))))
        }
        Some(pb::publish_result::Outcome::Refusal(refusal)) => {
            let refused = Refused::from(refusal);
            if refused.is_about_the_caller() {
                return Err(refused.into());
            }
            Ok(if refused.is_transient() {
                Answered::Later(refused)
            } else {
                Answered::For(Outcome::Refused(Box::new(refused)))
            })
        }
        None => Err(VerificationError::answer("a result has no outcome").into()),
    }
}

fn known_size(known: Option<Checkpoint>) -> u64 {
    known.map_or(0, |checkpoint| checkpoint.size)
}

/// Batches that are under way on one stream. What has no answer when it ends stays in the outbox.
pub struct Pipeline {
    client: Client,
    requests: Option<mpsc::Sender<pb::PublishStreamRequest>>,
    responses: Streaming<pb::PublishStreamResponse>,
    under_way: VecDeque<(Waiting, Vec<pb::Envelope>, Option<Checkpoint>)>,
}

impl Pipeline {
    /// Syncs a batch to the outbox and sends it; waits while the transport is full.
    pub async fn send(&mut self, batch: Vec<pb::Envelope>) -> Result<(), ClientError> {
        let ended = || ClientError::Unreachable("it ended the stream".to_owned());
        let requests = self.requests.as_ref().ok_or_else(ended)?;
        let waiting = self.client.keep(&batch)?;
        let known = self.client.newest_checkpoint();
        let request =
            pb::PublishStreamRequest { envelopes: batch.clone(), known_size: known_size(known) };
        self.under_way.push_back((waiting, batch, known));
        requests.send(request).await.map_err(|_closed| ended())
    }

    /// How many batches have no answer yet.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// The answer to the oldest batch; `None` if none is under way. Records that the hub could not take at the
    /// moment stay in the outbox and are missing here.
    pub async fn answer(&mut self) -> Result<Option<Vec<Outcome>>, ClientError> {
        let Some((waiting, batch, known)) = self.under_way.pop_front() else {
            return Ok(None);
        };
        let Some(answer) = self.responses.message().await? else {
            return Err(ClientError::Unreachable("it ended the stream".to_owned()));
        };
        let pb::PublishStreamResponse { results, growth_proof } = answer;
        if results.len() != batch.len() {
            return Err(VerificationError::answer("there is not one result for each record").into());
        }
        let checkpoint = self.client.receipts_checkpoint(&results, known, &growth_proof).await?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for (envelope, result) in batch.iter().zip(results) {
            outcomes.push(match outcome(envelope, result, checkpoint.as_ref())? {
                Answered::For(outcome) => Some(outcome),
                Answered::Later(_refused) => None,
            });
        }
        // Before the outbox lets go of them.
        self.client.journalise(&batch, &outcomes).await?;
        if outcomes.iter().all(Option::is_some) {
            self.client.let_go_sent(&waiting, with_answers(&batch, &outcomes))?;
        } else {
            self.client.keep_rest(&waiting, &batch, &outcomes)?;
        }
        Ok(Some(outcomes.into_iter().flatten().collect()))
    }

    /// Says that no more batches come; the answers to those under way still do.
    pub fn finish(&mut self) {
        self.requests = None;
    }
}

/// The requests for the open places: as many records as fit each, and which they are.
fn requests(
    batch: &[pb::Envelope],
    open: &[usize],
    known_size: u64,
) -> Vec<(Vec<usize>, pb::PublishStreamRequest)> {
    let mut requests: Vec<(Vec<usize>, pb::PublishStreamRequest)> = Vec::new();
    let mut bytes = 0;
    for place in open {
        let Some(envelope) = batch.get(*place) else { continue };
        let length = envelope.encoded_len();
        let fits = requests.last().is_some_and(|(places, _request)| {
            places.len() < limits::BATCH_RECORDS_MAX && bytes + length <= limits::BATCH_BYTES_MAX
        });
        if !fits {
            let request = pb::PublishStreamRequest { envelopes: Vec::new(), known_size };
            requests.push((Vec::new(), request));
            bytes = 0;
        }
        if let Some((places, request)) = requests.last_mut() {
            places.push(*place);
            request.envelopes.push(envelope.clone());
            bytes += length;
        }
    }
    requests
}

fn split(envelopes: Vec<pb::Envelope>, records: usize, bytes_max: usize) -> Vec<Vec<pb::Envelope>> {
    let mut batches: Vec<Vec<pb::Envelope>> = Vec::new();
    let mut bytes = 0;
    for envelope in envelopes {
        let length = envelope.encoded_len();
        let fits = batches
            .last()
            .is_some_and(|batch| batch.len() < records && bytes + length <= bytes_max);
        if !fits {
            batches.push(Vec::new());
            bytes = 0;
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(envelope);
            bytes += length;
        }
    }
    batches
}

/// Envelopes one after the other, each led by its length.
fn encode<'a, I: Iterator<Item = &'a pb::Envelope>>(envelopes: I) -> Vec<u8> {
    envelopes.flat_map(pb::Envelope::encode_length_delimited_to_vec).collect()
}

fn decode(waiting: &Waiting) -> Result<Vec<pb::Envelope>, ClientError> {
    let mut bytes = waiting.bytes.as_slice();
    let mut envelopes = Vec::new();
    while !bytes.is_empty() {
        let envelope = pb::Envelope::decode_length_delimited(&mut bytes).map_err(|error| {
            ProfileError::Malformed { path: waiting.path().to_owned(), why: error.to_string() }
        })?;
        envelopes.push(envelope);
    }
    Ok(envelopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(retry_after: Option<u64>) -> Refused {
        let retry_after = retry_after.map(Duration::from_secs);
        Refused { retry_after, ..Refused::from(pb::Refusal::default()) }
    }

    #[test]
    fn the_next_offer_comes_as_soon_as_something_may_be_taken() {
        let (soon, late, unsaid) = (refused(Some(1)), refused(Some(1751)), refused(None));
        for (one, other, first) in [
            (Some(&soon), Some(&late), Some(&soon)),
            (Some(&late), Some(&soon), Some(&soon)),
            (Some(&late), Some(&unsaid), Some(&unsaid)),
            (Some(&late), None, Some(&late)),
            (None, Some(&late), Some(&late)),
            (None, None, None),
        ] {
            assert_eq!(sooner(one.cloned(), other.cloned()).as_ref(), first);
        }
    }

    fn envelopes(sizes: &[usize]) -> Vec<pb::Envelope> {
        sizes
            .iter()
            .map(|size| pb::Envelope { body: vec![7; *size].into(), ..pb::Envelope::default() })
            .collect()
    }

    #[test]
    fn requests_stand_at_their_limits() {
        let batch = envelopes(&[100; 600]);
        let open: Vec<usize> = (0..600).filter(|place| place % 2 == 0).collect();
        let made = requests(&batch, &open, 0);
        assert_eq!(made.iter().map(|(places, _)| places.len()).collect::<Vec<_>>(), [256, 44]);
        assert_eq!(made.into_iter().flat_map(|(places, _)| places).collect::<Vec<_>>(), open);

        let batch = envelopes(&[400_000; 5]);
        let made = requests(&batch, &[0, 1, 2, 3, 4], 0);
        assert_eq!(made.iter().map(|(places, _)| places.len()).collect::<Vec<_>>(), [2, 2, 1]);
    }

    #[test]
    fn what_waits_is_read_back_byte_for_byte() {
        let batch = envelopes(&[0, 1, 500]);
        let bytes = encode(batch.iter());
        let folder = tempfile::tempdir().unwrap();
        let outbox = crate::profile::Outbox::at(folder.path()).unwrap();
        let waiting = outbox.put(bytes).unwrap();
        assert_eq!(decode(&waiting).unwrap(), batch);
        let cut = outbox.put(waiting.bytes[..waiting.bytes.len() - 1].to_vec()).unwrap();
        decode(&cut).unwrap_err();
    }
}
