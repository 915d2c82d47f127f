//! Subscribing: verified entries and marks, resumed by itself, nothing twice and nothing out of order.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Streaming;

use crate::client::backoff::Backoff;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::verifier::Prepared;
use crate::client::verifier::VerificationError;
use crate::client::verifier::VerifiedEntry;
use crate::client::verifier::Verifier;
use crate::client::verifier::prepare;
use crate::model::filter::Filter;
use crate::wire::filter::filter_to_wire;
use crate::wire::pb;

/// From this many entries on, signatures are checked off the runtime's threads.
const BLOCKING_ENTRIES_MIN: usize = 16;

/// Where to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// At the first entry.
    Start,
    /// With what comes after the call.
    Now,
    /// At this sequence, itself included.
    Sequence(u64),
    /// Where an earlier subscription stood.
    Place(Place),
}

/// Where a subscription stands: what to save with the effects of what it delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The cursor of the last mark.
    pub cursor: Option<Vec<u8>>,
    /// The epoch of the last entry.
    pub epoch: u32,
    /// The last entry that was delivered.
    pub sequence: Option<u64>,
}

/// How long to try to reach a hub that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until it is back.
    Unlimited,
    /// For so long without a word from it.
    Limited(Duration),
}

/// What to subscribe to.
#[derive(Clone, Debug)]
pub struct SubscribeOptions {
    /// Where to start.
    pub from: From,
    /// Which entries.
    pub filter: Filter,
    /// Whether to end at the head.
    pub until_head: bool,
    /// How long to try to reach a hub that was lost.
    pub patience: Patience,
}

/// What a subscriber is given.
#[derive(Debug)]
pub enum Delivery {
    /// Verified entries, rising.
    Entries {
        /// The entries.
        entries: Vec<VerifiedEntry>,
        /// Sequences that no longer match the filter, though an earlier revision did.
        left_filter: Vec<u64>,
        /// Whether they lie behind the position, and are sent because access was gained.
        backfill: bool,
    },
    /// Everything below a position was delivered.
    Mark(Mark),
    /// What may be seen has changed.
    AccessChanged(pb::AccessChanged),
    /// The connection was lost; it goes on where it stood.
    Interrupted(ClientError),
}

/// Everything below a position was delivered, says the hub; its checkpoint was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// To go on from here.
    pub cursor: Vec<u8>,
    /// The epoch.
    pub epoch: u32,
    /// Everything below was delivered.
    pub position: u64,
    /// The log's size.
    pub head: u64,
}

/// How far a subscription has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Unopened,
    Behind,
    AtHead,
}

/// A running subscription. Whoever holds it turns it.
pub struct Subscription {
    client: Client,
    options: SubscribeOptions,
    place: Place,
    stream: Option<Streaming<pb::SubscribeResponse>>,
    ready: VecDeque<Delivery>,
    /// A mark that came with entries: it is checked when they were handed out, so that they do not wait for it.
    unchecked: Option<pb::Mark>,
    /// The last entry of the stream that runs now.
    last: Option<u64>,
    /// The last entry of the back-fill that runs now.
    last_backfilled: Option<u64>,
    progress: Progress,
    backoff: Backoff,
    heard: Instant,
    /// Whether every roster entry from the known position on comes on this stream.
    shows_roster: bool,
}

impl Client {
    /// Subscribes.
    pub async fn subscribe(&self, options: SubscribeOptions) -> Result<Subscription, ClientError> {
        let place = match &options.from {
            From::Place(place) => place.clone(),
            From::Start | From::Now | From::Sequence(_) => Place::default(),
        };
        let mut subscription = Subscription {
            client: self.clone(),
            shows_roster: options.filter.is_open(),
            options,
            place,
            stream: None,
            ready: VecDeque::new(),
            unchecked: None,
            last: None,
            last_backfilled: None,
            progress: Progress::Unopened,
            backoff: Backoff::default(),
            heard: Instant::now(),
        };
        subscription.open().await?;
        Ok(subscription)
    }
}

impl Subscription {
    /// The next delivery; waits if there is none. `None` after the head, if that was asked.
    pub async fn next(&mut self) -> Result<Option<Delivery>, ClientError> {
        loop {
            if let Some(delivery) = self.ready.pop_front() {
                self.note(&delivery);
                return Ok(Some(delivery));
            }
            if let Some(mark) = self.unchecked.take() {
                self.take_mark(mark)?;
                continue;
            }
            let Some(stream) = self.stream.as_mut() else {
                self.open().await?;
                continue;
            };
            match stream.message().await.map_err(ClientError::from) {
                Ok(Some(frame)) => self.take(frame).await?,
                Ok(None) if self.options.until_head && self.progress == Progress::AtHead => {
                    return Ok(None);
                }
                Ok(None) => {
                    self.lost(ClientError::Unreachable("it ended the stream".to_owned()))?;
                }
                Err(error) => self.lost(error)?,
            }
        }
    }

    /// Where it stands: what was delivered so far has taken effect if the caller says so by saving this.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// A delivery counts when it is handed out.
    fn note(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Entries { entries, backfill: false, .. } => {
                if let Some(last) = entries.last() {
                    self.place.epoch = last.epoch();
                    self.place.sequence = Some(last.sequence());
                }
            }
            Delivery::Mark(mark) => self.place.cursor = Some(mark.cursor.clone()),
            Delivery::Entries { .. } | Delivery::AccessChanged(_) | Delivery::Interrupted(_) => {}
        }
    }

    /// Remembers the loss and tells of it, or gives up.
    fn lost(&mut self, error: ClientError) -> Result<(), ClientError> {
        if self.gives_up(&error) {
            return Err(error);
        }
        self.stream = None;
        self.ready.push_back(Delivery::Interrupted(error));
        Ok(())
    }

    /// Opens the stream where it stands; waits between attempts, but a hub that was never reached is an error.
    async fn open(&mut self) -> Result<(), ClientError> {
        loop {
            match self.attempt().await {
                Ok(stream) => {
                    self.stream = Some(stream);
                    self.last = None;
                    self.last_backfilled = None;
                    self.progress = Progress::Behind;
                    return Ok(());
                }
                Err(error) if self.progress == Progress::Unopened || self.gives_up(&error) => {
                    return Err(error);
                }
                Err(_transient) => tokio::time::sleep(self.backoff.next()).await,
            }
        }
    }

    async fn attempt(&self) -> Result<Streaming<pb::SubscribeResponse>, ClientError> {
        let stream = self.client.exchange_service().subscribe(self.request()).await?.into_inner();
        if self.shows_roster {
            // Whatever the stream will not show again must be known before entries are judged by it.
            self.client.roster().await?;
        }
        Ok(stream)
    }

    fn gives_up(&self, error: &ClientError) -> bool {
        let over = match self.options.patience {
            Patience::Unlimited => false,
            Patience::Limited(limit) => self.heard.elapsed() >= limit,
        };
        over || !error.is_transient()
    }

    fn request(&self) -> pb::SubscribeRequest {
        use pb::subscribe_request::Start;

        let after = |sequence: u64| Start::Sequence(sequence.saturating_add(1));
        let start = match (&self.place.cursor, self.place.sequence, &self.options.from) {
            (Some(cursor), _, _) => Start::Cursor(cursor.clone()),
            (None, Some(sequence), _) => after(sequence),
            (None, None, From::Start | From::Place(_)) => Start::From(pb::StartPoint::Start.into()),
            (None, None, From::Now) => Start::From(pb::StartPoint::Now.into()),
            (None, None, From::Sequence(sequence)) => Start::Sequence(*sequence),
        };
        pb::SubscribeRequest {
            start: Some(start),
            filter: Some(filter_to_wire(&self.options.filter)),
            include_record: false,
            until_head: self.options.until_head,
        }
    }

    /// Checks a frame and makes what it holds ready.
    async fn take(&mut self, frame: pb::SubscribeResponse) -> Result<(), ClientError> {
        self.heard = Instant::now();
        self.backoff.reset();
        let pb::SubscribeResponse { entries, mark, access_changed, backfill, left_filter } = frame;
        self.ready.extend(access_changed.map(Delivery::AccessChanged));
        self.demand_rising(&entries, backfill)?;
        let fresh: Vec<pb::Entry> =
            entries.into_iter().filter(|entry| backfill || self.is_fresh(entry)).collect();
        if !fresh.is_empty() {
            let entries = self.believe(fresh).await?;
            self.ready.push_back(Delivery::Entries { entries, left_filter, backfill });
        }
        self.unchecked = mark;
        Ok(())
    }

    fn take_mark(&mut self, mark: pb::Mark) -> Result<(), ClientError> {
        let pb::Mark { cursor, epoch, position, head, checkpoint, time: _not_needed } = mark;
        let opened = self
            .client
            .pin()
            .log_key()
            .open(&checkpoint)
            .map_err(|error| VerificationError::answer(error.to_string()))?;
        let behind = self.last.is_some_and(|last| position <= last);
        if opened.size != head || position > head || behind {
            return Err(VerificationError::answer(
                "a mark does not fit its checkpoint or its stream",
            )
            .into());
        }
        self.progress = if position == head { Progress::AtHead } else { Progress::Behind };
        self.ready.push_back(Delivery::Mark(Mark { cursor, epoch, position, head }));
        Ok(())
    }

    /// Sequences strictly rise on a stream, and in a back-fill's own run.
    fn demand_rising(
        &mut self,
        entries: &[pb::Entry],
        backfill: bool,
    ) -> Result<(), VerificationError> {
        let last = if backfill { &mut self.last_backfilled } else { &mut self.last };
        for entry in entries {
            if last.is_some_and(|last| entry.sequence <= last) {
                let why = format!("sequence {} comes after a later one", entry.sequence);
                return Err(VerificationError::answer(why));
            }
            *last = Some(entry.sequence);
        }
        if !backfill {
            self.last_backfilled = None;
        }
        Ok(())
    }

    /// Whether it was not delivered before the connection was lost.
    fn is_fresh(&self, entry: &pb::Entry) -> bool {
        let seen = self.place.sequence.is_some_and(|last| entry.sequence <= last);
        !(seen && entry.epoch == self.place.epoch)
    }

    async fn believe(
        &mut self,
        entries: Vec<pb::Entry>,
    ) -> Result<Vec<VerifiedEntry>, ClientError> {
        let last = entries.last().map_or(0, |entry| entry.sequence);
        let prepared = entries.into_iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
        if self.shows_roster {
            let mut known = self.client.known().lock().await;
            let before = known.position();
            for one in prepared.iter().filter(|one| one.record.header.body_kind.is_roster()) {
                known.fold_prepared(one)?;
            }
            known.reach(last.saturating_add(1));
            if known.position() > before {
                known.save(self.client.profile())?;
            }
        }
        let verifier = self.client.verifier_past(last).await?;
        if prepared.len() < BLOCKING_ENTRIES_MIN {
            return Ok(verifier.verify_prepared(prepared)?);
        }
        verify_apart(verifier, prepared).await
    }
}

async fn verify_apart(
    verifier: std::sync::Arc<Verifier>,
    prepared: Vec<Prepared>,
) -> Result<Vec<VerifiedEntry>, ClientError> {
    let checked = tokio::task::spawn_blocking(move || verifier.verify_prepared(prepared)).await;
    let checked = checked.map_err(|_ended| VerificationError::answer("the check did not end"))?;
    Ok(checked?)
}
