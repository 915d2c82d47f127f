//! A subscription is a cursor: read from the position to the head, filter, send, wait for the head to move.
//!
//! Back-fill and live are this one loop, so there is no gap between them, no queue for each subscriber, and
//! nobody is dropped for being slow: the loop only turns when the transport asks for the next frame.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::exchange::account::Account;
use crate::exchange::account::MarkProofs;
use crate::exchange::deliveries::How;
use crate::exchange::deliveries::Passage;
use crate::exchange::entries;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::hub::ReadAhead;
#[cfg(test)]
use crate::exchange::planted;
#[cfg(test)]
use crate::exchange::planted::Defect;
use crate::exchange::reads::add_record;
use crate::exchange::reads::is_current;
use crate::exchange::streams::Carries;
use crate::exchange::streams::StreamSlot;
use crate::exchange::tail::DurableHead;
use crate::exchange::token::Place;
use crate::exchange::token::Purpose;
use crate::exchange::turns::Halt;
use crate::model::facts::Facts;
use crate::model::facts::Scope;
use crate::model::filter::Filter;
use crate::model::filter::Match;
use crate::model::index_keys::Group;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::names::Audience;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::Sequence;
use crate::model::names::SubscriptionName;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::store::COARSE_SEQUENCES;
use crate::store::LogBlock;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::StoredEntry;
use crate::wire;
use crate::wire::MarkStatement;
use crate::wire::StreamId;
use crate::wire::pb;

/// Entries so far apart are accounted for where they are sent: a few tiles of the tree.
const ACCOUNTED_AT_ONCE: u64 = 4096;

/// Where a subscription starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first entry.
    First,
    /// At the head.
    Now,
    /// With the current state, then at the head.
    Snapshot,
    /// At this sequence, itself included.
    Sequence(u64),
    /// Where an earlier one stood.
    Cursor(Vec<u8>),
    /// Where a durable one was acknowledged, with its filter.
    Durable(SubscriptionName),
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
        /// Whether they lie behind the position, and are sent because access was gained.
        backfill: bool,
        /// What stands for entries between them that are not sent.
        hidden: Vec<u8>,
    },
    /// A progress mark alone.
    Mark(Mark),
    /// What the subscriber may see has changed.
    AccessChanged {
        /// Audiences gained.
        gained: Vec<Audience>,
        /// Audiences lost.
        lost: Vec<Audience>,
        /// The place of the last change.
        at: Sequence,
        /// Whether a back-fill begins behind it, or begins again.
        backfill: bool,
    },
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
    /// What lets the reader follow the log's tree.
    pub proofs: MarkProofs,
    /// The hub's signed statement, if this mark has one: its bytes and the signature.
    pub signed: Option<(Vec<u8>, [u8; 64])>,
}

/// What to stream, and from where.
#[derive(Clone, Debug)]
pub struct SubscriptionOptions {
    /// Where to start.
    pub start: Start,
    /// Which entries.
    pub filter: Filter,
    /// Whether entries also carry their record for reading.
    pub decoded: bool,
    /// Whether the stream ends at the head: every mark may be the last, and is signed.
    pub until_head: bool,
    /// The size of the checkpoint that the subscriber knows; 0 if it knows none.
    pub known_size: u64,
    /// The epoch that the subscriber has accepted: a place of an earlier one holds as far as that log does. 0: it says
    /// none, and such a place is refused.
    pub epoch: u32,
}

impl Event {
    /// The mark that it brings.
    pub const fn mark(&self) -> Option<&Mark> {
        match self {
            Self::Entries { mark, .. } => mark.as_ref(),
            Self::Mark(mark) => Some(mark),
            Self::AccessChanged { .. } => None,
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
    /// When the head was last read, for marks to say.
    head_read: Timestamp,
    marked: Option<u64>,
    mark_due: Instant,
    decoded: bool,
    until_head: bool,
    /// What was sent, for the reader to check and for the hub to be held to.
    account: Account,
    /// Everything from here up to the position was sent since it was last noted.
    noted: u64,
    /// As of when access was judged then.
    noted_access: u64,
    /// The audiences that the subscriber was last told it is in.
    audiences: Vec<Audience>,
    /// The size of the log as of which it was in them.
    access: u64,
    /// What is sent before anything else, because access was gained.
    backfill: Option<Backfill>,
    /// Where the current state goes on, while it is being sent.
    snapshot: Option<u64>,
    /// What a replay needs next; one at most, so that a slow reader holds one frame more.
    ahead: Option<ReadAhead>,
    _slot: StreamSlot,
}

/// Entries below the position that only a gain of access reveals.
struct Backfill {
    /// The audiences that the subscriber was in when it came this far.
    before: Vec<Audience>,
    /// Everything below was looked at.
    next: u64,
}

impl Hub {
    /// Starts a subscription of a member.
    pub fn subscribe(
        self: &Arc<Self>,
        member: &MemberId,
        options: SubscriptionOptions,
    ) -> Result<Subscription, Refusal> {
        let SubscriptionOptions { start, filter, decoded, until_head, known_size, epoch } = options;
        let start = &start;
        // A durable subscription's own filter is not known yet: it counts as one of records.
        let carries = if filter.is_common() { Carries::Roster } else { Carries::Records };
        let mut slot = self.open_stream(member, carries)?;
        let (reader, access) = self.reader_as_of(member)?;
        let head = self.head();
        let (filter, place) = match start {
            Start::Durable(name) => {
                if name.member != *member {
                    return Err(not_yours());
                }
                let kept = self.durable_start(name)?;
                if !filter.is_open() && filter.digest() != kept.filter.digest() {
                    let message = "is not that of the durable subscription; leave it out";
                    return Err(Refusal::field(Reason::FieldInvalid, "filter", message));
                }
                slot = slot.on(name.clone());
                (kept.filter, Some(kept.place))
            }
            Start::Cursor(cursor) => {
                let digest = filter.digest();
                let place = self.tokens.open(Purpose::Cursor, member, &digest, cursor)?;
                (filter, Some(place))
            }
            Start::First | Start::Now | Start::Snapshot | Start::Sequence(_) => (filter, None),
        };
        let place = place.map(|place| self.carried_over(place, epoch, &head));
        let position = self.start_position(&head, &filter, start, place)?;
        let as_of = place.map_or(access, |place| place.as_of);
        Ok(Subscription {
            filter_digest: filter.digest(),
            head: self.tail.watch(),
            head_read: Timestamp::default(),
            hub: Arc::clone(self),
            member: member.clone(),
            filter,
            position,
            noted: if *start == Start::Snapshot { 0 } else { position },
            marked: None,
            mark_due: Instant::now() + limits::MARK_INTERVAL,
            decoded,
            until_head,
            account: Account::new(stream_id()?, position, *start == Start::Snapshot, known_size),
            audiences: place.map_or(reader.audiences, |place| self.audiences_at(member, place)),
            access: as_of,
            noted_access: as_of,
            backfill: None,
            snapshot: (*start == Start::Snapshot).then_some(0),
            ahead: None,
            _slot: slot,
        })
    }

    /// A place of an earlier epoch, for a subscriber that has accepted the one that the log is in: what lies behind the
    /// place at which that epoch ended is void, and what lies before it is what it was.
    fn carried_over(&self, place: Place, accepted: u32, head: &DurableHead) -> Place {
        if place.epoch >= head.epoch || accepted != head.epoch {
            return place;
        }
        match self.end_of_epoch(place.epoch) {
            Some(end) => Place {
                epoch: head.epoch,
                position: place.position.min(end),
                as_of: place.as_of.min(end),
            },
            None => place,
        }
    }

    /// Where a stream starts that goes on from a place, if there is one.
    fn start_position(
        &self,
        head: &DurableHead,
        filter: &Filter,
        start: &Start,
        place: Option<Place>,
    ) -> Result<u64, Refusal> {
        let position = match (start, place) {
            (_, Some(place)) => {
                demand_epoch(place, head.epoch)?;
                self.demand_kept(place.position, filter)?;
                place.position
            }
            (Start::Now | Start::Snapshot, None) => head.size,
            (Start::Sequence(sequence), None) => *sequence,
            (Start::First | Start::Cursor(_) | Start::Durable(_), None) => 0,
        };
        if position > head.size {
            let message = format!("the log ends before sequence {position}");
            return Err(
                Refusal::field(Reason::CursorAhead, "start", message).with("head", head.size)
            );
        }
        Ok(position)
    }

    /// Demands that no body which a filter may match was let go since a place was left. What the exchange is made of
    /// is kept for good.
    fn demand_kept(&self, position: u64, filter: &Filter) -> Result<(), Refusal> {
        let floor = self.floor.load(Ordering::SeqCst);
        if position >= floor || filter.is_common() {
            return Ok(());
        }
        let message = format!(
            "bodies behind the cursor were let go; catch up by a snapshot, or read from the floor on, sequence {floor}"
        );
        Err(Refusal::field(Reason::CursorCompacted, "cursor", message).with("floor", floor))
    }

    /// The audiences that a member was in when it left a place.
    fn audiences_at(&self, member: &MemberId, place: Place) -> Vec<Audience> {
        let roster = self.roster();
        let role = roster.member(member).map(|member| member.role.audiences());
        let mut audiences = roster.audiences.of_at(member, place.as_of);
        audiences.extend(role.unwrap_or_default());
        audiences.sort_unstable();
        audiences
    }
}

impl Subscription {
    /// From where it reads much at once, if it does: the current state, what lies far behind the head, or what was gained
    /// since its cursor was given out, wherever that lies.
    pub fn replay(&self) -> Option<String> {
        if self.snapshot.is_some() {
            return Some("the current state".to_owned());
        }
        let is_gained = |audience: &Audience| !self.audiences.contains(audience);
        let now = self.hub.reader(&self.member);
        if now.is_ok_and(|reader| reader.audiences.iter().any(is_gained)) {
            return Some("what access that was gained shows".to_owned());
        }
        let (from, behind) = (self.position, self.distance());
        let is_much = behind >= limits::BULK_ENTRIES;
        (is_much || (from == 0 && behind > 1)).then(|| format!("sequence {from}"))
    }

    /// How many entries lie between it and the head, whoever they are for; none if it carries nothing but the roster,
    /// which everybody reads again and again.
    pub fn behind(&self) -> usize {
        if self.filter.is_common() { 0 } else { self.distance() }
    }

    fn distance(&self) -> usize {
        let distance = self.head.borrow().size.saturating_sub(self.position);
        usize::try_from(distance).unwrap_or(usize::MAX)
    }

    /// The next thing to send; waits if there is none. An error ends the subscription.
    pub async fn next(&mut self) -> Result<Event, ExchangeError> {
        loop {
            // The head first: who loses access behind it must not be judged by what it could see before.
            let (head, head_read) = self.hub.read_head(&mut self.head);
            self.head_read = head_read;
            let (reader, access) = self.hub.reader_as_of(&self.member)?;
            if self.hub.draining.is_cancelled() {
                return Err(self.draining().into());
            }
            self.access = access;
            if reader.audiences != self.audiences {
                return Ok(self.change_access(&reader));
            }
            let behind = self.backfill.is_some() || self.snapshot.is_some();
            if behind && let Some(event) = self.catch_up(&reader).await? {
                return Ok(event);
            }
            if behind {
                continue;
            }
            // The first one before any entry: whoever is cut off behind it goes on with what it could see then.
            let due = self.marked.is_none() || Instant::now() >= self.mark_due;
            let caught_up = self.position >= head.size;
            if due || (caught_up && self.marked != Some(self.position)) {
                return Ok(Event::Mark(self.mark(head)?));
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

    /// Takes note of what the reader may see from now on. What only the gain reveals, below the position, is sent
    /// before the next mark; until then the cursor stays the one of before.
    fn change_access(&mut self, reader: &Reader) -> Event {
        let only_in = |these: &[Audience], those: &[Audience]| -> Vec<Audience> {
            these.iter().filter(|audience| !those.contains(audience)).cloned().collect()
        };
        let gained = only_in(&reader.audiences, &self.audiences);
        let lost = only_in(&self.audiences, &reader.audiences);
        let told = std::mem::replace(&mut self.audiences, reader.audiences.clone());
        let before = self.backfill.take().map_or(told, |running| running.before);
        let backfill = reader.audiences.iter().any(|audience| !before.contains(audience));
        if backfill {
            self.backfill = Some(Backfill { before, next: 0 });
            self.account.begin_backfill();
        }
        // The next mark says so in its cursor.
        self.marked = None;
        let at = Sequence(self.access.saturating_sub(1));
        Event::AccessChanged { gained, lost, at, backfill }
    }

    /// The next entries of the current state, or of what a gain of access reveals. `None` when one has come to an end.
    async fn catch_up(&mut self, reader: &Reader) -> Result<Option<Event>, ExchangeError> {
        let missed = Missed {
            reader: reader.clone(),
            before: self
                .backfill
                .as_ref()
                .map(|backfill| Reader { audiences: backfill.before.clone(), ..reader.clone() }),
            filter: self.filter.clone(),
            end: self.position,
            decoded: self.decoded.then(|| self.hub.clock().now()),
        };
        let next = self.backfill.as_ref().map(|backfill| backfill.next).or(self.snapshot);
        let start = next.unwrap_or_default();
        let missed_frame = move |store: &Store, halt: &Halt| missed.frame(store, halt, start);
        let MissedFrame { framed, sequences, left_filter, next } =
            self.hub.read(Some(&self.member), missed_frame).await?;
        self.hub.tally.take_sent(framed.len());
        let backfill = self.backfill.is_some();
        let hidden = self.send(sequences, backfill).await?;
        if let Some(mut running) = self.backfill.take() {
            self.backfill = next.map(|next| {
                running.next = next;
                running
            });
        } else {
            self.snapshot = next;
        }
        Ok((!framed.is_empty()).then_some(Event::Entries {
            framed,
            left_filter,
            mark: None,
            backfill,
            hidden,
        }))
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
            Some(ahead) => ahead.from(self.position, &self.hub.tail).await.transpose()?,
            None => None,
        };
        let bytes = limits::FRAME_BYTES_TARGET;
        let blocks = match ahead {
            Some(blocks) => blocks,
            None => self.hub.blocks_from(&self.member, self.position, bytes).await?,
        };
        let Some(end) = blocks.last().map(|block| block.end()) else {
            return Err(StoreError::missing(self.position).into());
        };
        if end < head.size {
            self.ahead = self.hub.read_ahead(&self.member, end, bytes);
        }
        let mut taken = Taken::default();
        let mut left_filter = self.left(reader, &blocks).await?;
        for block in blocks.iter().filter(|block| block.first < head.size) {
            self.take(reader, block, &mut taken, &left_filter)?;
        }
        left_filter.retain(|sequence| *sequence < self.position);
        let Taken { framed, sequences } = taken;
        if framed.is_empty() {
            return Ok(None);
        }
        self.hub.tally.take_sent(sequences.len());
        let hidden = self.send(sequences, false).await?;
        // In one frame: it costs a live subscriber half as many, and half of what sending takes.
        let mark = (self.position >= head.size).then(|| self.mark(head)).transpose()?;
        Ok(Some(Event::Entries { framed, left_filter, mark, backfill: false, hidden }))
    }

    /// Takes note of what is sent next; what stands for entries in between that are not. Where they lie far apart, the
    /// tree is read off the runtime's threads.
    async fn send(
        &mut self,
        sequences: Vec<u64>,
        backfill: bool,
    ) -> Result<Vec<u8>, ExchangeError> {
        let span = sequences.first().zip(sequences.last()).map_or(0, |(first, last)| last - first);
        if span <= ACCOUNTED_AT_ONCE {
            let tree = self.hub.store.tree();
            return Ok(self.account.send(&tree, &sequences, backfill)?);
        }
        let mut account = self.account;
        let send = move |store: &Store, _short: &Halt| {
            let hidden = account.send(&store.tree(), &sequences, backfill)?;
            Ok((account, hidden))
        };
        let (account, hidden) = self.hub.read(Some(&self.member), send).await?;
        self.account = account;
        Ok(hidden)
    }

    /// Places of entries that no longer match, of which the reader may see an earlier revision that did. Without the
    /// latter nothing is told: what a record looked like before it reached the reader is not for it.
    async fn left(
        &self,
        reader: &Reader,
        blocks: &[Arc<LogBlock>],
    ) -> Result<Vec<u64>, ExchangeError> {
        if self.filter.is_open() {
            return Ok(Vec::new());
        }
        let entries = blocks.iter().flat_map(|block| block.entries_from(self.position));
        let changed = entries.filter(|(_sequence, entry)| entry.facts.scope.shapes.len() > 1);
        let left: Vec<(u64, Facts)> = changed
            .filter(|(_sequence, entry)| self.judge(reader, &entry.facts) == Match::Left)
            .map(|(sequence, entry)| (sequence, entry.facts.clone()))
            .collect();
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let (reader, filter) = (reader.clone(), self.filter.clone());
        let known = move |store: &Store, _short: &Halt| {
            let saw = |(sequence, facts): (u64, Facts)| {
                Ok(saw_match(store, &reader, &filter, &facts)?.then_some(sequence))
            };
            left.into_iter().map(saw).filter_map(Result::transpose).collect()
        };
        Ok(self.hub.read(Some(&self.member), known).await?)
    }

    /// Takes from a block what is for this reader; neighbours stay in one piece.
    fn take(
        &mut self,
        reader: &Reader,
        block: &LogBlock,
        taken: &mut Taken,
        left_filter: &[u64],
    ) -> Result<(), ExchangeError> {
        let Taken { framed, sequences } = taken;
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
            let is_sent = match verdict {
                Match::Yes => true,
                Match::Left => left_filter.contains(&sequence),
                Match::No => false,
            };
            if !is_sent {
                framed.extend(piece.take().map(|range| block.bytes.slice(range)));
                continue;
            }
            sequences.push(sequence);
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
        #[cfg(test)]
        if planted::is_planted(Defect::PolicySkipped) {
            return self.filter.matches(facts);
        }
        if may_see(reader, &facts.scope) { self.filter.matches(facts) } else { Match::No }
    }

    fn mark(&mut self, head: DurableHead) -> Result<Mark, StoreError> {
        let proofs = self.account.mark(&self.hub.store.tree(), self.position, head.size)?;
        let signed = self.account.take_signature(self.until_head);
        let caught_up = self.position >= head.size;
        // What was sent is soon covered by a signed mark, whether more comes or not.
        let idle = caught_up && signed;
        let interval = if idle { limits::MARK_IDLE_INTERVAL } else { limits::MARK_INTERVAL };
        self.mark_due = Instant::now() + interval;
        self.marked = Some(self.position);
        self.hub.deliveries.note(
            (&self.member, How::Sent),
            (&self.filter, &self.filter_digest),
            Passage {
                places: self.noted..self.position,
                access: self.access,
                before: std::mem::replace(&mut self.noted_access, self.access),
            },
            self.hub.clock().now(),
        );
        self.noted = self.position;
        let signed = signed.then(|| self.hub.sign_mark(&self.statement(&head)));
        Ok(Mark { cursor: self.cursor(head.epoch), position: self.position, head, proofs, signed })
    }

    fn statement(&self, head: &DurableHead) -> MarkStatement {
        MarkStatement {
            exchange: self.hub.exchange().clone(),
            member: self.member.clone(),
            stream: self.account.stream,
            filter_digest: self.filter_digest,
            epoch: head.epoch,
            access: self.access,
            start: self.account.start,
            position: self.position,
            head: head.size,
            root: head.summary.root,
            count: self.account.count,
            digest: self.account.digest,
            time: self.head_read,
            roster_digest: head.summary.roster,
        }
    }

    fn cursor(&self, epoch: u32) -> Vec<u8> {
        let place = Place { epoch, position: self.position, as_of: self.access };
        #[cfg(test)]
        let place = if planted::is_planted(Defect::CursorOffByOne) {
            Place { position: place.position + 1, ..place }
        } else {
            place
        };
        self.hub.tokens.seal(Purpose::Cursor, &self.member, &self.filter_digest, place)
    }

    fn draining(&self) -> Refusal {
        let message = "the hub is shutting down; go on from the cursor";
        let refusal = Refusal::new(Reason::Draining, message);
        if self.backfill.is_some() || self.snapshot.is_some() {
            // There is no cursor for the midst of it: the last mark stands.
            return refusal;
        }
        let cursor = self.cursor(self.head.borrow().epoch);
        refusal.with("cursor", hex::encode(cursor)).with("position", self.position)
    }
}

/// Whether a reader may see an earlier revision that matched a filter.
fn saw_match(
    store: &Store,
    reader: &Reader,
    filter: &Filter,
    facts: &Facts,
) -> Result<bool, StoreError> {
    for revision in filter.matched_before(facts) {
        let Some(sequence) = store.revision(&facts.name(), revision)? else { continue };
        let block = store.block_at(sequence)?;
        let earlier = block.as_ref().and_then(|block| block.at(sequence));
        if earlier.is_some_and(|earlier| may_see(reader, &earlier.facts.scope)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn with_record(
    block: &LogBlock,
    stored: &StoredEntry,
    now: Timestamp,
) -> Result<Bytes, StoreError> {
    let mut entry: pb::Entry = entries::decode(block, stored)?;
    add_record(&mut entry, now);
    Ok(wire::entry::frame(&entry).into())
}

fn stream_id() -> Result<StreamId, Refusal> {
    let mut id = StreamId::default();
    let drawn = getrandom::fill(&mut id);
    drawn.map_err(|_failed| Refusal::new(Reason::Busy, "the hub has no random numbers now"))?;
    Ok(id)
}

pub(super) fn demand_epoch(place: Place, epoch: u32) -> Result<(), Refusal> {
    if place.epoch == epoch {
        return Ok(());
    }
    let message = "the log was restored since; read the entries again from where you must";
    Err(Refusal::field(Reason::CursorOtherEpoch, "cursor", message).with("epoch", epoch))
}

fn not_yours() -> Refusal {
    Refusal::field(Reason::RecordNotFound, "subscription", "you have no such subscription")
}

/// What is sent from below the position: with `before`, what a reader could not see then and can now; without, the
/// current state.
struct Missed {
    reader: Reader,
    before: Option<Reader>,
    filter: Filter,
    end: u64,
    decoded: Option<Timestamp>,
}

impl Missed {
    /// A frame from a place on. It may be empty: where there is little to send, others get their turn to read in
    /// between.
    fn frame(&self, store: &Store, halt: &Halt, start: u64) -> Result<MissedFrame, StoreError> {
        let (mut bytes, mut read) = (0, 0);
        let mut frame = MissedFrame { next: self.next_place(store, start)?, ..Default::default() };
        while let Some(from) = frame.next
            && bytes < limits::FRAME_BYTES_TARGET
            && read < limits::CATCH_UP_BLOCKS
        {
            halt.check()?;
            let blocks = store.blocks_from(from, self.bytes_at_once())?;
            let Some(end) = blocks.last().map(LogBlock::end) else {
                return Err(StoreError::missing(from));
            };
            let entries = entries_of(&blocks, from, self.end);
            for (block, (sequence, stored)) in entries {
                let piece = self.piece(store, block, stored)?;
                bytes += piece.map_or(0, |piece| frame.push(sequence, piece));
            }
            read += blocks.len();
            frame.next = self.next_place(store, end)?;
        }
        Ok(frame)
    }

    /// Where to look from a place on: after a gain, where something reaches an audience gained.
    fn next_place(&self, store: &Store, from: u64) -> Result<Option<u64>, StoreError> {
        let Some(before) = &self.before else { return Ok((from < self.end).then_some(from)) };
        // A posting stands for all that share it.
        let shared = from - from % COARSE_SEQUENCES;
        let mut next = None;
        for audience in &self.reader.audiences {
            if before.audiences.contains(audience) {
                continue;
            }
            let group = Group::of_audience(audience);
            let posted = store.find_term(Term::any(), group, shared, 1)?.first().copied();
            next = posted.into_iter().chain(next).min();
        }
        Ok(next.map(|posted| posted.max(from)).filter(|place| *place < self.end))
    }

    /// The current state is everywhere; what a gain reveals may be far apart, and is read block by block.
    const fn bytes_at_once(&self) -> usize {
        if self.before.is_some() { 1 } else { limits::FRAME_BYTES_TARGET }
    }

    /// An entry as it is sent, if it is, and whether it no longer matches the filter.
    fn piece(
        &self,
        store: &Store,
        block: &LogBlock,
        stored: &StoredEntry,
    ) -> Result<Option<(Bytes, bool)>, StoreError> {
        let verdict = self.judge(store, &stored.facts)?;
        if verdict == Match::No {
            return Ok(None);
        }
        let decoded = self.decoded.map(|now| with_record(block, stored, now)).transpose()?;
        let left = verdict == Match::Left;
        Ok(Some((decoded.unwrap_or_else(|| block.framed(stored)), left)))
    }

    /// How an entry that was missed meets the filter.
    fn judge(&self, store: &Store, facts: &Facts) -> Result<Match, StoreError> {
        if !may_see(&self.reader, &facts.scope) {
            return Ok(Match::No);
        }
        let matches = self.filter.matches(facts);
        match &self.before {
            Some(before) if may_see(before, &facts.scope) => Ok(Match::No),
            Some(_before) if matches == Match::Left => {
                let saw = saw_match(store, &self.reader, &self.filter, facts)?;
                Ok(if saw { Match::Left } else { Match::No })
            }
            Some(_before) => Ok(matches),
            // The reader may hold copies from before.
            None if facts.scope.body_kind.is_recall() => Ok(Match::Yes),
            None if matches != Match::Yes || !facts.scope.body_kind.is_chosen() => Ok(Match::No),
            None if is_current(store, facts, self.end)? => Ok(Match::Yes),
            None => Ok(Match::No),
        }
    }
}

/// What is taken out of blocks to be sent.
#[derive(Default)]
struct Taken {
    framed: Vec<Bytes>,
    sequences: Vec<u64>,
}

/// What is sent at once of what was missed.
#[derive(Default)]
struct MissedFrame {
    framed: Vec<Bytes>,
    sequences: Vec<u64>,
    /// Sequences of entries that no longer match the filter.
    left_filter: Vec<u64>,
    /// Where the next begins; `None`: there is none.
    next: Option<u64>,
}

impl MissedFrame {
    /// Takes an entry, and whether it no longer matches the filter; its bytes.
    fn push(&mut self, sequence: u64, (piece, left): (Bytes, bool)) -> usize {
        let bytes = piece.len();
        self.framed.push(piece);
        self.sequences.push(sequence);
        self.left_filter.extend(left.then_some(sequence));
        bytes
    }
}

fn entries_of(
    blocks: &[LogBlock],
    start: u64,
    end: u64,
) -> impl Iterator<Item = (&LogBlock, (u64, &StoredEntry))> {
    blocks.iter().flat_map(move |block| {
        let entries = block.entries_from(start);
        entries
            .take_while(move |(sequence, _stored)| *sequence < end)
            .map(move |entry| (block, entry))
    })
}
