//! Subscribing: verified entries and marks, resumed by itself, nothing twice and nothing out of order.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Streaming;

use crate::client::account::Account;
use crate::client::account::Beginning;
use crate::client::account::Deviation;
use crate::client::account::Hashes;
use crate::client::account::Marked;
use crate::client::backoff::Backoff;
use crate::client::connection::Client;
use crate::client::cursor::Cursor;
use crate::client::error::ClientError;
use crate::client::evidence::Exhibit;
use crate::client::history::Alongside;
use crate::client::horizon::Horizon;
use crate::client::received::Received;
use crate::client::verifier::Prepared;
use crate::client::verifier::VerificationError;
use crate::client::verifier::VerifiedEntry;
use crate::client::verifier::Verifier;
use crate::client::verifier::prepare;
use crate::model::filter::Filter;
use crate::model::names::Digest;
use crate::model::names::SubscriptionName;
use crate::model::reason::Reason;
use crate::model::time::Timestamp;
use crate::transparency::Checkpoint;
use crate::wire::MarkStatement;
use crate::wire::filter::filter_to_wire;
use crate::wire::pb;

/// A mark that says more than so long after its time that all was sent, says nothing: the hub signs one every second
/// under traffic, and every 15 seconds without.
const FRESH_WITHIN: Duration = Duration::from_secs(30);
/// What did not come for so long, though it should have, was left out: access that is gained shows within a second.
const MISSED_FOR: Duration = Duration::from_secs(10);
/// A stream ends if the hub does not answer for publishers' heads for so long.
const UNANSWERED_FOR: Duration = Duration::from_mins(10);
/// How often publishers' heads are checked while a stream is followed.
const HEADS_EVERY: Duration = Duration::from_mins(1);
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
    /// With the current state, then with what comes after it.
    Snapshot,
    /// Where an earlier subscription stood.
    Place(Place),
    /// Where a durable subscription was acknowledged; the filter must be its own.
    Durable {
        /// Its name.
        name: SubscriptionName,
        /// The same place as its holder keeps it; blank if it keeps none.
        place: Place,
    },
}

/// What to do when the hub has let go of what lies behind a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compacted {
    /// It is an error.
    Refused,
    /// The current state is taken instead of what is gone, and the subscription goes on from there.
    CaughtUp,
}

/// Where a subscription stands: what to save with the effects of what it delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The cursor of the last mark.
    pub cursor: Option<Cursor>,
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
    /// The current state begins, or begins again: entries up to the next mark are not in the order in which they were
    /// taken in, and the place moves with that mark only.
    Snapshot,
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
    pub cursor: Cursor,
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

/// What the end of a stream that ends at the head comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Everything came.
    Reached,
    /// Something did not: it is opened again where it stands, since access that was gained just now may bring it.
    Again,
}

/// A stream that was opened, and the newest checkpoint that was known before.
type Attempt = (Streaming<pb::SubscribeResponse>, Option<Checkpoint>);

/// A running subscription. Whoever holds it turns it.
pub struct Subscription {
    client: Client,
    options: SubscribeOptions,
    compacted: Compacted,
    place: Place,
    /// Whether the current state is asked for, or being sent.
    in_snapshot: bool,
    seen: Seen,
    stream: Option<Streaming<pb::SubscribeResponse>>,
    ready: VecDeque<Delivery>,
    /// A mark that came with entries: it is checked when they were handed out, so that they do not wait for it.
    unchecked: Option<(pb::Mark, Vec<u8>)>,
    /// What came on the stream that runs now, against what the hub signs.
    account: Option<Account>,
    /// What came last: it shows what was wrong with it.
    frame: Option<pb::SubscribeResponse>,
    /// How long the stream that runs now was waited for since it was last seen to be fresh.
    waited: Duration,
    /// The same since anything came.
    silence: Duration,
    /// The last entry of the stream that runs now.
    last: Option<u64>,
    /// The last entry of the back-fill that runs now.
    last_backfilled: Option<u64>,
    progress: Progress,
    backoff: Backoff,
    heard: Instant,
    /// Whether every roster entry from the known position on comes on this stream.
    shows_roster: bool,
    /// How often publishers' heads are checked meanwhile; `None`: not at all.
    heads_every: Option<Duration>,
    heads_checked: Instant,
    /// Since when a check has found that something did not come which should have.
    missed_since: Option<Instant>,
    /// Since when the hub does not answer for publishers' heads.
    unanswered_since: Option<Instant>,
    /// What came, if there is no filter.
    received: Option<Received>,
    /// What the stream's marks say of the log, against what is known of it elsewhere.
    alongside: Alongside,
    /// How large the log is known to have been.
    horizon: Horizon<Vec<Exhibit>>,
}

impl From {
    /// Where it stands before anything was delivered.
    pub(super) fn place(&self) -> Place {
        match self {
            Self::Place(place) | Self::Durable { place, .. } => place.clone(),
            Self::Start | Self::Now | Self::Sequence(_) | Self::Snapshot => Place::default(),
        }
    }
}

impl Client {
    /// Subscribes.
    pub async fn subscribe(&self, options: SubscribeOptions) -> Result<Subscription, ClientError> {
        self.subscribe_or(options, Compacted::Refused).await
    }

    /// Subscribes, and says what to do when the hub has let go of what lies behind the place.
    pub async fn subscribe_or(
        &self,
        options: SubscribeOptions,
        compacted: Compacted,
    ) -> Result<Subscription, ClientError> {
        let place = options.from.place();
        let mut subscription = Subscription {
            client: self.clone(),
            shows_roster: options.filter.is_open(),
            in_snapshot: options.from == From::Snapshot,
            seen: Seen::of(&place),
            options,
            compacted,
            place,
            stream: None,
            ready: VecDeque::new(),
            unchecked: None,
            account: None,
            frame: None,
            waited: Duration::ZERO,
            silence: Duration::ZERO,
            last: None,
            last_backfilled: None,
            progress: Progress::Unopened,
            backoff: Backoff::default(),
            heard: Instant::now(),
            heads_every: None,
            heads_checked: Instant::now(),
            missed_since: None,
            unanswered_since: None,
            received: None,
            alongside: Alongside::default(),
            horizon: Horizon::default(),
        };
        if !subscription.options.until_head {
            subscription.heads_every = Some(HEADS_EVERY);
        }
        subscription.received = subscription.shows_roster.then(Received::default);
        match subscription.open().await {
            Ok(()) => Ok(subscription),
            Err(error) => Err(self.explain(error).await),
        }
    }
}

impl Place {
    /// Moves to an entry, never back in one epoch: what access was gained to may lie before.
    pub(super) fn advance(&mut self, epoch: u32, sequence: u64) {
        let before = self.sequence.filter(|_| self.epoch == epoch);
        self.epoch = epoch;
        self.sequence = before.max(Some(sequence));
    }

    /// With a gain, entries that lie between the last mark and here may come into sight: the last entry no longer says
    /// that everything before it was delivered.
    pub(super) fn access_changed(&mut self, change: &pb::AccessChanged) {
        if !change.gained.is_empty() {
            self.sequence = None;
        }
    }
}

/// What was delivered at or above the last mark's position: it comes again when the stream is opened again.
#[derive(Clone, Debug, Default)]
struct Seen {
    epoch: u32,
    /// Disjoint and rising.
    ranges: Vec<Range<u64>>,
    /// Everything up to here had taken effect when an earlier process saved its place, as far as it could see it then.
    saved: Option<u64>,
}

impl Seen {
    fn of(place: &Place) -> Self {
        Self { epoch: place.epoch, ranges: Vec::new(), saved: place.sequence }
    }

    /// Whether an entry was not delivered before; it is from now on.
    fn take(&mut self, epoch: u32, sequence: u64) -> bool {
        if epoch != self.epoch {
            *self = Self { epoch, ..Self::default() };
        }
        if self.saved.is_some_and(|saved| sequence <= saved) {
            return false;
        }
        let next = self.ranges.partition_point(|range| range.end < sequence);
        match self.ranges.get_mut(next) {
            Some(range) if range.contains(&sequence) => return false,
            Some(range) if range.end == sequence => range.end += 1,
            Some(_) | None => self.ranges.insert(next, sequence..sequence + 1),
        }
        self.join(next);
        true
    }

    /// Joins a range with the one behind it, if they touch.
    fn join(&mut self, at: usize) {
        let touches = |pair: &[Range<u64>]| matches!(pair, [a, b] if a.end >= b.start);
        if self.ranges.get(at..at + 2).is_some_and(touches) {
            let behind = self.ranges.remove(at + 1);
            if let Some(range) = self.ranges.get_mut(at) {
                range.end = range.end.max(behind.end);
            }
        }
    }

    /// Nothing below a mark's position comes again.
    fn marked(&mut self, position: u64) {
        self.ranges.retain(|range| range.end > position);
        self.saved = self.saved.filter(|saved| *saved >= position);
    }

    /// With a gain, entries come that an earlier process could not see and that lie before its place. Which ones it had
    /// is not known: all of them come, and some twice.
    fn access_changed(&mut self, change: &pb::AccessChanged) {
        if !change.gained.is_empty() {
            self.saved = None;
        }
    }
}

/// Counts what a stream is waited for, also where its reader gives up in the midst and comes again.
struct Waiting<'a> {
    began: Instant,
    counters: (&'a mut Duration, &'a mut Duration, &'a mut Horizon<Vec<Exhibit>>),
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let (waited, silence, horizon) = &mut self.counters;
        let time = self.began.elapsed();
        **waited += time;
        **silence += time;
        horizon.waited(time);
    }
}

impl Subscription {
    /// The next delivery; waits if there is none. `None` after the head, if that was asked. What shows that the hub
    /// deviates is kept in the profile.
    ///
    /// Is not to be given up before it answers: what a dropped call was checking, a mark or publishers' heads, is not
    /// checked. A reader that must attend to something else keeps the future, or reads in a task of its own.
    pub async fn next(&mut self) -> Result<Option<Delivery>, ClientError> {
        match self.advance().await {
            Ok(delivery) => Ok(delivery),
            Err(error) => {
                // Apart: it is seldom needed, and would make every future that may need it large.
                let error = Box::pin(self.client.explain(error)).await;
                let ClientError::Unverified(error) = error else { return Err(error) };
                Err(Box::pin(self.client.keep_frame(error, self.frame.as_ref())).await.into())
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<Delivery>, ClientError> {
        loop {
            if let Some(delivery) = self.ready.pop_front() {
                self.note(&delivery);
                return Ok(Some(delivery));
            }
            if let Some((mark, hidden)) = self.unchecked.take() {
                self.take_mark(mark, &hidden).await?;
                Box::pin(self.check_heads()).await?;
                continue;
            }
            if self.stream.is_none() {
                Box::pin(self.open()).await?;
                continue;
            }
            match self.receive().await {
                Ok(Some(frame)) => self.take(frame).await?,
                Ok(None) if self.options.until_head && self.progress == Progress::AtHead => {
                    match Box::pin(self.finish()).await? {
                        End::Reached => return Ok(None),
                        End::Again => self.stream = None,
                    }
                }
                Ok(None) => {
                    self.lost(ClientError::Unreachable("it ended the stream".to_owned()))?;
                }
                Err(error) => self.lost(error)?,
            }
        }
    }

    /// Checks publishers' heads so often while the stream runs, instead of once a minute. What is wrong ends it.
    pub const fn check_heads_every(&mut self, interval: Duration) {
        self.heads_every = Some(interval);
    }

    /// Checks publishers' heads, if it is time. A hub that cannot answer now is asked with the next mark again.
    async fn check_heads(&mut self) -> Result<(), ClientError> {
        let is_due = |every: Duration| self.heads_checked.elapsed() >= every;
        if self.progress != Progress::AtHead || !self.heads_every.is_some_and(is_due) {
            return Ok(());
        }
        match self.demand_heads().await {
            Ok(()) if self.missed_since.is_none() => {
                self.unanswered_since = None;
                self.heads_checked = Instant::now();
            }
            // With the next marks again.
            Ok(()) => self.unanswered_since = None,
            // A hub that streams but never answers this keeps something back.
            Err(error) if error.is_transient() => {
                let since = *self.unanswered_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= UNANSWERED_FOR {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Holds publishers' heads against what came. What they count beyond the stream must come, too.
    async fn demand_heads(&mut self) -> Result<(), ClientError> {
        let is_surely_missed = self.missed_since.is_some_and(|since| since.elapsed() >= MISSED_FOR);
        let demanded = self.client.demand_heads(self.received.as_mut(), is_surely_missed).await?;
        if demanded.is_missed {
            // Access may have been gained just now.
            self.missed_since.get_or_insert_with(Instant::now);
        } else {
            self.missed_since = None;
        }
        if let Some((head, signed)) = demanded.ahead {
            let mut shown = self.client.roster_exhibits().await;
            shown.push(Exhibit::publisher_head(&signed));
            self.horizon.learn((head.epoch, head.size), shown, self.client.now());
        }
        Ok(())
    }

    /// Holds what came against what is known elsewhere, at the end of a stream that ends.
    async fn finish(&mut self) -> Result<End, ClientError> {
        loop {
            match self.settle().await {
                Err(error) if !self.gives_up(&error) => {
                    tokio::time::sleep(self.backoff.next()).await;
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        let Some(since) = self.missed_since else { return Ok(End::Reached) };
        // Whether it is surely missed, is seen at the end of what comes after this.
        tokio::time::sleep_until(since + MISSED_FOR).await;
        Ok(End::Again)
    }

    async fn settle(&mut self) -> Result<(), ClientError> {
        self.alongside.settle(&self.client).await?;
        self.client.save_checkpoint().await?;
        if self.received.is_some() { self.demand_heads().await } else { Ok(()) }
    }

    /// The next frame. Only what is waited for counts as silence: a caller that takes its time is not the hub's fault.
    async fn receive(&mut self) -> Result<Option<pb::SubscribeResponse>, ClientError> {
        let silent = || ClientError::Unreachable("it is silent on an open stream".to_owned());
        let Some(stream) = self.stream.as_mut() else { return Err(silent()) };
        let patience = FRESH_WITHIN.saturating_sub(self.silence);
        let counters = (&mut self.waited, &mut self.silence, &mut self.horizon);
        let waiting = Waiting { began: Instant::now(), counters };
        let received = tokio::time::timeout(patience, stream.message()).await;
        drop(waiting);
        self.silence = Duration::ZERO;
        received.map_err(|_silence| silent())?.map_err(ClientError::from)
    }

    /// Where it stands: what was delivered so far has taken effect if the caller says so by saving this.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// A delivery counts when it is handed out.
    fn note(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Entries { entries, backfill: false, .. } if !self.in_snapshot => {
                if let Some(last) = entries.last() {
                    self.place.advance(last.epoch(), last.sequence());
                }
            }
            Delivery::Mark(mark) => {
                self.place.cursor = Some(mark.cursor.clone());
                self.in_snapshot = false;
                self.seen.marked(mark.position);
            }
            Delivery::AccessChanged(change) => self.place.access_changed(change),
            Delivery::Entries { .. } | Delivery::Snapshot | Delivery::Interrupted(_) => {}
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
                Ok((stream, known)) => {
                    self.opened(stream, known);
                    return Ok(());
                }
                Err(error) if self.catches_up(&error) => {
                    self.in_snapshot = true;
                    // Not all that a head counts comes in a snapshot.
                    self.received = self.received.take().map(|_before| Received::default());
                }
                Err(error) if self.progress == Progress::Unopened || self.gives_up(&error) => {
                    return Err(error);
                }
                Err(_transient) => tokio::time::sleep(self.backoff.next()).await,
            }
        }
    }

    fn opened(&mut self, stream: Streaming<pb::SubscribeResponse>, known: Option<Checkpoint>) {
        let start = Beginning {
            is_first: self.in_snapshot,
            latest: if self.in_snapshot { None } else { self.latest_start() },
        };
        let digest = self.options.filter.digest();
        self.account = Some(Account::new(self.client.follower(), digest, start, known));
        (self.waited, self.silence) = (Duration::ZERO, Duration::ZERO);
        self.horizon.begin();
        self.unanswered_since = None;
        self.stream = Some(stream);
        self.last = None;
        self.last_backfilled = None;
        self.progress = Progress::Behind;
        self.ready.extend(self.in_snapshot.then_some(Delivery::Snapshot));
    }

    /// Whether the current state is taken instead of what this says is gone.
    fn catches_up(&self, error: &ClientError) -> bool {
        let is_gone =
            matches!(error, ClientError::Refused(refused) if refused.is(Reason::CursorCompacted));
        is_gone && self.compacted == Compacted::CaughtUp && !self.in_snapshot
    }

    async fn attempt(&mut self) -> Result<Attempt, ClientError> {
        // What this stream was shown before must be in what is continued now, whatever else is known.
        self.alongside.settle(&self.client).await?;
        let known = self.client.newest_checkpoint();
        let request = self.request(known.map_or(0, |checkpoint| checkpoint.size));
        let stream = self.client.exchange_service().subscribe(request).await?.into_inner();
        if self.shows_roster {
            // Whatever the stream will not show again must be known before entries are judged by it.
            self.client.roster().await?;
        }
        Ok((stream, known))
    }

    /// The last place at which the stream may begin, where that is known.
    fn latest_start(&self) -> Option<u64> {
        if let Some(cursor) = &self.place.cursor {
            return Some(cursor.position);
        }
        match &self.options.from {
            From::Start => Some(0),
            From::Sequence(sequence) => Some(*sequence),
            From::Now | From::Snapshot | From::Place(_) | From::Durable { .. } => None,
        }
    }

    fn gives_up(&self, error: &ClientError) -> bool {
        let over = match self.options.patience {
            Patience::Unlimited => false,
            Patience::Limited(limit) => self.heard.elapsed() >= limit,
        };
        over || !error.is_transient()
    }

    fn request(&self, known_size: u64) -> pb::SubscribeRequest {
        use pb::subscribe_request::Start;

        let start = match (&self.place.cursor, self.place.sequence, &self.options.from) {
            _ if self.in_snapshot => Start::From(pb::StartPoint::Snapshot.into()),
            (cursor, _, From::Durable { name, .. })
                if cursor.is_none() || self.progress == Progress::Unopened =>
            {
                Start::Subscription(name.to_string())
            }
            (Some(cursor), _, _) => Start::Cursor(cursor.bytes.clone()),
            // Without a cursor it is not known what could be seen then: from the beginning again, and nothing twice.
            (None, _, From::Start) => Start::From(pb::StartPoint::Start.into()),
            (None, _, From::Sequence(sequence)) => Start::Sequence(*sequence),
            (None, Some(sequence), _) => Start::Sequence(self.behind(sequence)),
            (None, None, From::Now) => Start::From(pb::StartPoint::Now.into()),
            (None, None, From::Place(_) | From::Snapshot | From::Durable { .. }) => {
                Start::From(pb::StartPoint::Start.into())
            }
        };
        pb::SubscribeRequest {
            start: Some(start),
            filter: Some(filter_to_wire(&self.options.filter)),
            include_record: false,
            until_head: self.options.until_head,
            known_size,
            epoch: self.client.accepted_epoch(),
        }
    }

    /// The place behind an entry that was delivered; the end of its epoch at the latest, where the log was restored.
    fn behind(&self, sequence: u64) -> u64 {
        let end = self.client.end_of_epoch(self.place.epoch).unwrap_or(u64::MAX);
        sequence.saturating_add(1).min(end)
    }

    /// Checks a frame and makes what it holds ready.
    async fn take(&mut self, frame: pb::SubscribeResponse) -> Result<(), ClientError> {
        self.heard = Instant::now();
        self.backoff.reset();
        self.frame = Some(frame.clone());
        let pb::SubscribeResponse { entries, mark, access_changed, backfill, left_filter, hidden } =
            frame;
        let account =
            self.account.as_mut().ok_or_else(|| VerificationError::answer("no stream"))?;
        if let Some(change) = access_changed {
            if change.backfill {
                account.begin_backfill();
                self.last_backfilled = None;
            }
            self.seen.access_changed(&change);
            self.ready.push_back(Delivery::AccessChanged(change));
        }
        // Whatever else: entries of an epoch that was not accepted are never delivered among others.
        let accepted = self.client.accepted_epoch();
        if entries.iter().any(|entry| entry.epoch > accepted) {
            return Err(VerificationError::deviation(Deviation::Epoch).into());
        }
        self.demand_rising(&entries, backfill)?;
        let prepared = entries.into_iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
        let rest = self.account_for(&prepared, backfill, &hidden)?;
        if let Some(received) = &mut self.received {
            for one in &prepared {
                received.take(one.sequence, one.record.header_digest);
            }
        }
        match mark {
            Some(mark) => self.unchecked = Some((mark, rest)),
            None if rest.is_empty() => {}
            None => return Err(VerificationError::deviation(Deviation::Hidden).into()),
        }
        let fresh: Vec<Prepared> = prepared
            .into_iter()
            .filter(|entry| self.seen.take(entry.epoch, entry.sequence))
            .collect();
        if !fresh.is_empty() {
            let entries = self.believe(fresh).await?;
            self.ready.push_back(Delivery::Entries { entries, left_filter, backfill });
            if backfill || self.in_snapshot {
                // Until it has come to its end there is no mark.
                self.waited = Duration::ZERO;
            }
        }
        Ok(())
    }

    /// Follows the tree over what came; the hashes that were left.
    fn account_for(
        &mut self,
        prepared: &[Prepared],
        backfill: bool,
        hidden: &[u8],
    ) -> Result<Vec<u8>, ClientError> {
        let leaves: Vec<(u64, Digest)> =
            prepared.iter().map(|one| (one.sequence, one.leaf_hash())).collect();
        let account = self.account.as_mut();
        let account = account.ok_or_else(|| VerificationError::answer("no stream"))?;
        let taken = Hashes::of(hidden).and_then(|mut hashes| {
            if !leaves.is_empty() {
                account.take(&leaves, backfill, &mut hashes)?;
            }
            Ok(hashes.rest())
        });
        taken.map_err(|deviation| VerificationError::deviation(deviation).into())
    }

    /// Follows the tree to a mark. If it is not signed by a key that is known, nothing has changed.
    fn follow_to(
        &mut self,
        mark: &pb::Mark,
        hidden: &[u8],
    ) -> Result<Result<Marked, Deviation>, ClientError> {
        let account = self.account.as_mut();
        let account = account.ok_or_else(|| VerificationError::answer("no stream"))?;
        Ok(Hashes::of(hidden).and_then(|hashes| account.mark(mark, hashes)))
    }

    async fn take_mark(&mut self, mark: pb::Mark, hidden: &[u8]) -> Result<(), ClientError> {
        let mut marked = self.follow_to(&mark, hidden)?;
        if matches!(marked, Err(Deviation::Checkpoint)) {
            // It may be signed by a key that was put in place since; the mark stays until that is known.
            self.unchecked = Some((mark.clone(), hidden.to_vec()));
            let learnt = self.client.learn_log_keys().await;
            self.unchecked = None;
            match learnt {
                Ok(()) => marked = self.follow_to(&mark, hidden)?,
                Err(ClientError::Unverified(error)) => return Err(error.into()),
                Err(error) => return self.lost(error),
            }
        }
        let marked = marked.map_err(VerificationError::deviation)?;
        self.demand_fresh(marked.statement.as_ref())?;
        let taken = (&marked.checkpoint, mark.checkpoint.as_str());
        self.alongside.take(&self.client, taken, marked.before).await?;
        if let Some(statement) = &marked.statement {
            Box::pin(self.demand_known(&mark, statement.time)).await?;
            self.client.remember_mark(&mark.statement, &mark.statement_signature);
        }
        if self.shows_roster {
            let mut known = self.client.known().lock().await;
            known.reach(mark.position);
            if !known.fits(&marked.checkpoint) {
                return Err(VerificationError::deviation(Deviation::Roster).into());
            }
        }
        let pb::Mark { cursor, epoch, position, head, .. } = mark;
        if let Some(received) = &mut self.received {
            let start = marked.statement.as_ref().map(|statement| statement.start);
            received.marked(epoch, position, start);
        }
        let cursor = Cursor { bytes: cursor, position };
        self.progress = if position == head { Progress::AtHead } else { Progress::Behind };
        self.ready.push_back(Delivery::Mark(Mark { cursor, epoch, position, head }));
        Ok(())
    }

    /// Demands that a signed mark of now came within the time in which one must.
    fn demand_fresh(&mut self, statement: Option<&MarkStatement>) -> Result<(), ClientError> {
        let now = self.client.now();
        let is_fresh =
            |statement: &MarkStatement| now.saturating_since(statement.time) <= FRESH_WITHIN;
        if statement.is_some_and(is_fresh) {
            self.waited = Duration::ZERO;
        }
        if self.waited > FRESH_WITHIN {
            let frozen = Deviation::Frozen(self.waited.as_secs());
            return Err(VerificationError::deviation(frozen).into());
        }
        Ok(())
    }

    /// Demands of a signed mark that the log has what it is known to have had for a while.
    async fn demand_known(
        &mut self,
        mark: &pb::Mark,
        signed: Timestamp,
    ) -> Result<(), ClientError> {
        if let Some(newest) = self.client.newest_checkpoint()
            && newest.epoch == mark.epoch
            && newest.size > mark.head
        {
            // Its note is kept with any evidence.
            self.horizon.learn((newest.epoch, newest.size), Vec::new(), self.client.now());
        }
        let judged = self.horizon.judge((mark.epoch, mark.head), signed);
        let Err((deviation, mut exhibits)) = judged else { return Ok(()) };
        exhibits.push(Exhibit::mark(&mark.statement, &mark.statement_signature));
        exhibits.extend(self.client.highest_mark());
        let error = VerificationError::deviation(deviation);
        Err(self.client.keep_evidence(error, exhibits, None).await.into())
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

    async fn believe(
        &mut self,
        prepared: Vec<Prepared>,
    ) -> Result<Vec<VerifiedEntry>, ClientError> {
        let last = prepared.last().map_or(0, |entry| entry.sequence);
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
        let believed = if prepared.len() < BLOCKING_ENTRIES_MIN {
            verifier.verify_prepared(prepared)?
        } else {
            verify_apart(verifier, prepared).await?
        };
        self.client.demand_notices(&believed, self.options.patience).await?;
        Ok(believed)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn taken(seen: &mut Seen, sequences: impl IntoIterator<Item = u64>) -> Vec<u64> {
        sequences.into_iter().filter(|sequence| seen.take(1, *sequence)).collect()
    }

    #[test]
    fn what_comes_again_is_not_delivered_again() {
        let mut seen = Seen::of(&Place { cursor: None, epoch: 1, sequence: Some(4) });
        assert_eq!(taken(&mut seen, [3, 4, 6, 7]), [6, 7]);
        seen.marked(3);
        assert_eq!(
            taken(&mut seen, [4, 5, 6, 8]),
            [5, 8],
            "a mark below the place lets nothing go"
        );
        seen.marked(9);
        assert_eq!(
            (seen.saved, seen.ranges.len()),
            (None, 0),
            "what cannot come again is forgotten"
        );
    }

    #[test]
    fn what_a_gain_of_access_reveals_before_the_place_is_delivered() {
        let mut seen = Seen::of(&Place { cursor: None, epoch: 1, sequence: Some(8) });
        let gain = |gained: &[&str]| pb::AccessChanged {
            gained: gained.iter().map(|name| (*name).to_owned()).collect(),
            lost: vec!["desk".to_owned()],
            at_sequence: 5,
            backfill: true,
        };
        seen.access_changed(&gain(&[]));
        assert!(taken(&mut seen, [7]).is_empty());
        seen.access_changed(&gain(&["desk"]));
        assert_eq!(taken(&mut seen, [7, 8, 9]), [7, 8, 9]);
        seen.access_changed(&gain(&["desk"]));
        assert_eq!(taken(&mut seen, [6, 7, 10]), [6, 10], "what this process delivered it knows");
    }

    #[test]
    fn another_epoch_is_another_log() {
        let mut seen = Seen::of(&Place { cursor: None, epoch: 1, sequence: Some(8) });
        assert!(seen.take(2, 3));
        assert!(!seen.take(2, 3));
    }

    #[test]
    fn a_place_never_goes_back_in_one_epoch() {
        let mut place = Place::default();
        place.advance(1, 9);
        place.advance(1, 4);
        assert_eq!(place.sequence, Some(9));
        place.advance(2, 4);
        assert_eq!((place.epoch, place.sequence), (2, Some(4)));
    }

    proptest! {
        #[test]
        fn ranges_are_a_set(sequences in prop::collection::vec(0_u64..200, 0..400), mark in 0_u64..200) {
            let (mut seen, mut set) = (Seen { epoch: 1, ..Seen::default() }, BTreeSet::new());
            for sequence in sequences {
                prop_assert_eq!(seen.take(1, sequence), set.insert(sequence));
            }
            prop_assert!(seen.ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
            seen.marked(mark);
            for sequence in mark..200 {
                prop_assert_eq!(seen.take(1, sequence), set.insert(sequence));
            }
        }
    }
}
