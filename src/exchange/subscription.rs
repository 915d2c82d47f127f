//! A subscription is a cursor: read from the position to the head, filter, send, wait for the head to move.
//!
//! Back-fill and live are this one loop, so there is no gap between them, no queue for each subscriber, and
//! nobody is dropped for being slow: the loop only turns when the transport asks for the next frame.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::exchange::entries;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::hub::ReadAhead;
use crate::exchange::reads::add_record;
use crate::exchange::streams::StreamSlot;
use crate::exchange::tail::DurableHead;
use crate::exchange::token::Place;
use crate::exchange::token::Purpose;
use crate::model::facts::Facts;
use crate::model::facts::Scope;
use crate::model::filter::Filter;
use crate::model::filter::Match;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::Role;
use crate::model::time::Timestamp;
use crate::store::LogBlock;
use crate::store::StoreError;
use crate::store::StoredEntry;
use crate::wire::pb;

/// Where a subscription starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first entry.
    First,
    /// At the head.
    Now,
    /// At this sequence, itself included.
    Sequence(u64),
    /// Where an earlier one stood.
    Cursor(Vec<u8>),
}

/// What a subscriber is sent.
#[derive(Debug)]
pub enum Event {
    /// Entries, in rising sequence.
    Entries {
        /// Encoded entries, as fields of a frame; consecutive ones in one piece.
        framed: Vec<Bytes>,
        /// Sequences that no longer match the filter, though an earlier revision did.
        left_filter: Vec<u64>,
        /// A mark behind them, if they reach the head.
        mark: Option<Mark>,
    },
    /// A progress mark alone.
    Mark(Mark),
}

/// "Everything below was sent."
#[derive(Debug)]
pub struct Mark {
    /// To go on from here.
    pub cursor: Vec<u8>,
    /// The sequence below which everything was sent.
    pub position: u64,
    /// The head when it was made.
    pub head: DurableHead,
}

impl Event {
    /// The mark that it brings.
    pub const fn mark(&self) -> Option<&Mark> {
        match self {
            Self::Entries { mark, .. } => mark.as_ref(),
            Self::Mark(mark) => Some(mark),
        }
    }
}

/// One subscriber's loop. Whoever holds it turns it.
pub struct Subscription {
    hub: Arc<Hub>,
    member: MemberId,
    filter: Filter,
    filter_digest: Digest,
    position: u64,
    head: watch::Receiver<DurableHead>,
    marked: Option<u64>,
    mark_due: Instant,
    decoded: bool,
    /// What a replay needs next; one at most, so that a slow reader holds one frame more.
    ahead: Option<ReadAhead>,
    _slot: StreamSlot,
}

impl Hub {
    /// Starts a subscription of a member. With `decoded`, entries also carry their record for reading.
    pub fn subscribe(
        self: &Arc<Self>,
        member: &MemberId,
        filter: Filter,
        start: &Start,
        decoded: bool,
    ) -> Result<Subscription, Refusal> {
        let slot = self.open_stream(member)?;
        let filter_digest = filter.digest();
        let head = self.head();
        let position = match start {
            Start::First => 0,
            Start::Now => head.size,
            Start::Sequence(sequence) => *sequence,
            Start::Cursor(cursor) => {
                let place = self.tokens.open(Purpose::Cursor, member, &filter_digest, cursor)?;
                demand_epoch(place, head.epoch)?;
                place.position
            }
        };
        if position > head.size {
            return Err(Refusal::field(
                Reason::CursorAhead,
                "start",
                format!("the log ends before sequence {position}"),
            )
            .with("head", head.size));
        }
        Ok(Subscription {
            head: self.tail.watch(),
            hub: Arc::clone(self),
            member: member.clone(),
            filter,
            filter_digest,
            position,
            marked: None,
            mark_due: Instant::now() + limits::MARK_INTERVAL,
            decoded,
            ahead: None,
            _slot: slot,
        })
    }
}

impl Subscription {
    /// The next thing to send; waits if there is none. An error ends the subscription.
    pub async fn next(&mut self) -> Result<Event, ExchangeError> {
        loop {
            let reader = self.hub.reader(&self.member)?;
            let head = self.head.borrow_and_update().clone();
            if self.hub.draining.is_cancelled() {
                return Err(self.draining(&reader).into());
            }
            let due = Instant::now() >= self.mark_due;
            let caught_up = self.position >= head.size;
            if due || (caught_up && self.marked != Some(self.position)) {
                return Ok(Event::Mark(self.mark(&reader, head)));
            }
            if caught_up {
                self.wait().await;
                continue;
            }
            if let Some(event) = self.advance(&reader, head).await? {
                return Ok(event);
            }
        }
    }

    /// Whether a mark at this position has nothing behind it.
    pub fn is_at_head(&self) -> bool {
        self.position >= self.head.borrow().size
    }

    /// Waits for the head to move, for the drain, or for the next mark to be due.
    async fn wait(&mut self) {
        let hub = Arc::clone(&self.hub);
        // Every arm only waits; none loses anything when it is dropped.
        tokio::select! {
            _moved = self.head.changed() => {}
            () = hub.draining.cancelled() => {}
            () = tokio::time::sleep_until(self.mark_due) => {}
        }
    }

    /// Reads on from the position up to the head that was announced, though more may be there already: a mark must
    /// never run ahead of its checkpoint. `None` if nothing that was read is for this reader.
    async fn advance(
        &mut self,
        reader: &Reader,
        head: DurableHead,
    ) -> Result<Option<Event>, ExchangeError> {
        let ahead = match self.ahead.take() {
            Some(ahead) => ahead.from(self.position).await.transpose()?,
            None => None,
        };
        let blocks = match ahead {
            Some(blocks) => blocks,
            None => self.hub.blocks_from(self.position, limits::FRAME_BYTES_TARGET).await?,
        };
        let Some(end) = blocks.last().map(|block| block.end()) else {
            let place = format!("sequence {}", self.position);
            return Err(StoreError::Corrupt { place, what: "it is missing" }.into());
        };
        if end < head.size {
            self.ahead = self.hub.read_ahead(end, limits::FRAME_BYTES_TARGET);
        }
        let mut framed = Vec::new();
        let mut left_filter = Vec::new();
        for block in blocks.iter().filter(|block| block.first < head.size) {
            self.take(reader, block, &mut framed, &mut left_filter)?;
        }
        if framed.is_empty() {
            return Ok(None);
        }
        // In one frame: it costs a live subscriber half as many, and half of what sending takes.
        let mark = (self.position >= head.size).then(|| self.mark(reader, head));
        Ok(Some(Event::Entries { framed, left_filter, mark }))
    }

    /// Takes from a block what is for this reader; neighbours stay in one piece.
    fn take(
        &mut self,
        reader: &Reader,
        block: &LogBlock,
        framed: &mut Vec<Bytes>,
        left_filter: &mut Vec<u64>,
    ) -> Result<(), ExchangeError> {
        let mut piece: Option<std::ops::Range<usize>> = None;
        // Neighbours with one scope have one verdict.
        let by_scope = !self.filter.looks_at_records();
        let mut judged: Option<(&Arc<Scope>, Match)> = None;
        for (sequence, entry) in block.entries_from(self.position) {
            let verdict = match judged {
                Some((scope, verdict)) if Arc::ptr_eq(scope, &entry.facts.scope) => verdict,
                _ => self.judge(reader, &entry.facts),
            };
            judged = by_scope.then_some((&entry.facts.scope, verdict));
            match (verdict, &mut piece) {
                (Match::No, _) => {
                    framed.extend(piece.take().map(|range| block.bytes.slice(range)));
                    continue;
                }
                (Match::Left, _) => left_filter.push(sequence),
                (Match::Yes, _) => {}
            }
            if self.decoded {
                framed.push(with_record(block, entry, self.hub.clock().now())?);
                continue;
            }
            match &mut piece {
                Some(range) => range.end = entry.range.end,
                None => piece = Some(entry.range.clone()),
            }
        }
        framed.extend(piece.map(|range| block.bytes.slice(range)));
        self.position = self.position.max(block.end());
        Ok(())
    }

    fn judge(&self, reader: &Reader, facts: &Facts) -> Match {
        if may_see(reader, &facts.scope) { self.filter.matches(facts) } else { Match::No }
    }

    fn mark(&mut self, reader: &Reader, head: DurableHead) -> Mark {
        let caught_up = self.position >= head.size;
        let interval = if caught_up { limits::MARK_IDLE_INTERVAL } else { limits::MARK_INTERVAL };
        self.mark_due = Instant::now() + interval;
        self.marked = Some(self.position);
        Mark { cursor: self.cursor(reader, head.epoch), position: self.position, head }
    }

    fn cursor(&self, reader: &Reader, epoch: u32) -> Vec<u8> {
        let place = Place { epoch, position: self.position, access: access(reader) };
        self.hub.tokens.seal(Purpose::Cursor, &self.member, &self.filter_digest, place)
    }

    fn draining(&self, reader: &Reader) -> Refusal {
        let cursor = self.cursor(reader, self.head.borrow().epoch);
        Refusal::new(Reason::Draining, "the hub is shutting down; go on from the cursor")
            .with("cursor", hex::encode(cursor))
            .with("position", self.position)
    }
}

fn with_record(
    block: &LogBlock,
    stored: &StoredEntry,
    now: Timestamp,
) -> Result<Bytes, ExchangeError> {
    let mut entry: pb::Entry = entries::decode(block, stored)?;
    add_record(&mut entry, now);
    Ok(entries::frame(&entry).into())
}

fn demand_epoch(place: Place, epoch: u32) -> Result<(), Refusal> {
    if place.epoch == epoch {
        return Ok(());
    }
    let message = "the log was restored since; read the entries again from where you must";
    Err(Refusal::field(Reason::CursorOtherEpoch, "cursor", message).with("epoch", epoch))
}

/// The built-in audiences that a reader is in, as bits.
fn access(reader: &Reader) -> u8 {
    match reader.role {
        Role::Company => 1,
        Role::Observer => 2,
        Role::Auditor | Role::Operator => 0,
    }
}
