//! Batches: what a destination is given at once, and where the subscription stands once that took effect.
//!
//! Pure. A frame of the stream may be cut into several batches, never joined with another one, except to offer
//! again exactly what was offered before.

use std::borrow::Cow;
use std::collections::BTreeSet;

use prost::Message as _;
use serde::Deserialize;
use serde::Serialize;

use crate::client::json::entry_to_json;
use crate::client::subscribe::Delivery;
use crate::client::subscribe::From;
use crate::client::subscribe::Mark;
use crate::client::subscribe::Place;
use crate::client::verifier::Doubts;
use crate::client::verifier::VerifiedEntry;
use crate::model::header::BodyKind;
use crate::model::header::Header;
use crate::model::names::Digest;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;
use crate::profile::Offered;
use crate::wire::pb;

/// Entries of one batch: enough that a command or a sync for each costs little, few enough to do again.
pub const BATCH_ENTRIES_MAX: usize = 256;
/// Bytes of the JSON lines of one batch. One entry alone may be more: an envelope has a limit of its own.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// One entry, as destinations take it.
#[derive(Clone, Debug)]
pub struct Item {
    /// The log's epoch.
    pub epoch: u32,
    /// The place.
    pub sequence: u64,
    /// When the hub took it in.
    pub accept_time: Timestamp,
    /// The signed header.
    pub header: Header,
    /// The identity of this revision.
    pub header_digest: Digest,
    /// What the reader should know about its key.
    pub doubts: Doubts,
    /// Whether it no longer matches the filter, though an earlier revision did.
    pub has_left_filter: bool,
    /// What it takes back, if it is a withdrawal.
    pub withdraws: Option<Withdraws>,
    /// What it says.
    pub payload: Payload,
}

/// What a withdrawal takes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdraws {
    /// The record, one of the publisher's own.
    pub of: RecordName,
    /// Whether holders are asked to delete their copies.
    pub demand_deletion: bool,
    /// Whether holders are asked to answer: to say that they deleted, or by a time.
    pub wants_answer: bool,
}

/// What an entry says, if it still says anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// It has its body.
    Whole {
        /// As `--format jsonl` prints it, without the line break.
        line: String,
        /// The signed envelope, encoded: to verify it again.
        envelope: Vec<u8>,
    },
    /// The hub erased its body.
    Erased {
        /// The entry that caused it.
        cause_sequence: u64,
    },
}

/// That there was an entry: all that is kept of one whose payload is gone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Fact {
    /// The log's epoch.
    pub epoch: u32,
    /// The place.
    pub sequence: u64,
    /// When the hub took it in, RFC 3339.
    pub accept_time: String,
    /// The record.
    pub name: String,
    /// Its revision.
    pub revision: u32,
    /// `members/{member}`.
    pub publisher: String,
    /// The kind of body.
    pub kind: String,
    /// Hex SHA-256 of the header.
    pub header_digest: String,
    /// The withdrawal that asked for its deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<DeletedBy>,
    /// The hub's erasure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<ErasedBy>,
}

/// The withdrawal that a payload was deleted for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DeletedBy {
    /// The withdrawal's own name.
    pub withdrawal: String,
    /// Its epoch.
    pub epoch: u32,
    /// Its place.
    pub sequence: u64,
}

/// The entry that a body was erased for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ErasedBy {
    /// Its place.
    pub cause_sequence: u64,
}

impl Item {
    /// A verified entry.
    pub fn new(entry: &VerifiedEntry) -> Self {
        Self {
            epoch: entry.epoch(),
            sequence: entry.sequence(),
            accept_time: entry.accept_time(),
            header: entry.header().clone(),
            header_digest: entry.header_digest(),
            doubts: entry.doubts(),
            has_left_filter: false,
            withdraws: withdraws(entry),
            payload: match entry.erased_by() {
                Some(cause_sequence) => Payload::Erased { cause_sequence },
                None => Payload::Whole {
                    line: entry_to_json(entry),
                    envelope: entry.envelope().encode_to_vec(),
                },
            },
        }
    }

    /// What stays of it without its payload.
    pub fn fact(&self) -> Fact {
        let erased = match self.payload {
            Payload::Whole { .. } => None,
            Payload::Erased { cause_sequence } => Some(ErasedBy { cause_sequence }),
        };
        Fact {
            epoch: self.epoch,
            sequence: self.sequence,
            accept_time: self.accept_time.to_string(),
            name: self.header.name.to_string(),
            revision: self.header.revision,
            publisher: self.header.name.member.name(),
            kind: self.header.body_kind.as_str().to_owned(),
            header_digest: hex::encode(self.header_digest),
            deleted: None,
            erased,
        }
    }

    /// One line of JSON, without the line break.
    pub fn line(&self) -> Cow<'_, str> {
        match &self.payload {
            Payload::Whole { line, .. } => Cow::Borrowed(line),
            Payload::Erased { .. } => Cow::Owned(self.fact().line()),
        }
    }

    fn line_bytes(&self) -> usize {
        self.line().len() + 1
    }
}

impl Fact {
    /// Reads back a line that is such a fact and nothing else.
    pub fn from_line(line: &str) -> Option<Self> {
        let fact: Self = serde_json::from_str(line).ok()?;
        let is_fact = fact.deleted.is_some() || fact.erased.is_some();
        (is_fact && fact.line() == line.trim_end()).then_some(fact)
    }

    /// One line of JSON, without the line break.
    pub fn line(&self) -> String {
        // Texts and numbers: there is nothing in it that JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A withdrawal takes back its publisher's own records and no others, whatever the hub let through; the operator, whose
/// key signs no other records of members, takes down any.
fn withdraws(entry: &VerifiedEntry) -> Option<Withdraws> {
    let of = entry.record().content.withdraws()?;
    let demand_deletion = entry.record().content.demand().is_some();
    let own = of.member == entry.header().name.member;
    let may = own || entry.header().body_kind == BodyKind::Takedown;
    let has_due = matches!(
        &entry.body().content,
        Some(pb::body::Content::Withdrawal(said)) if said.acknowledge_by_time.is_some()
    );
    let wants_answer = demand_deletion || has_due;
    may.then(|| Withdraws { of: of.clone(), demand_deletion, wants_answer })
}

/// Where the entries of a batch lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Behind everything that was delivered before.
    Forward,
    /// Before the position, and sent because access was gained, or as part of the current state.
    Backfill,
}

/// What a destination is given at once. Without items, only the place has moved.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Entries of one epoch, in rising sequence.
    pub items: Vec<Item>,
    /// Where they lie.
    pub run: Run,
    /// Where the subscription stands when they took effect: to be kept in one step with them.
    pub place: Place,
}

impl Batch {
    /// Epoch, first and last sequence of its entries; `None` without any.
    pub fn span(&self) -> Option<(u32, u64, u64)> {
        let (first, last) = (self.items.first()?, self.items.last()?);
        Some((last.epoch, first.sequence, last.sequence))
    }

    /// The entries as JSON lines.
    pub fn lines(&self) -> String {
        self.items.iter().flat_map(|item| [item.line(), Cow::Borrowed("\n")]).collect()
    }
}

/// Cuts deliveries into batches.
#[derive(Debug)]
pub struct Batcher {
    /// Where the subscription stands when every batch made so far took effect.
    settled: Place,
    /// Whether a start without a place is to be kept before anything else: "now" is later the next time.
    anchors: bool,
    /// Where the batch ends that was offered before.
    offered: Option<Offered>,
    /// Entries that wait for the rest of that batch.
    held: Vec<Item>,
    /// Whether what comes up to the next mark is the current state.
    in_snapshot: bool,
}

impl Batcher {
    /// For a subscription that starts here.
    pub fn new(from: &From) -> Self {
        Self {
            settled: from.place(),
            anchors: *from == From::Now,
            offered: None,
            held: Vec::new(),
            in_snapshot: false,
        }
    }

    /// The same, with the end of a batch that was offered and not acknowledged: the first batch ends there again.
    #[must_use]
    pub fn offering_again(mut self, offered: Option<Offered>) -> Self {
        self.offered = offered;
        self
    }

    /// What a delivery makes ready, in order.
    pub fn take(&mut self, delivery: &Delivery) -> Vec<Batch> {
        match delivery {
            Delivery::Entries { entries, left_filter, backfill } => {
                let left: BTreeSet<u64> = left_filter.iter().copied().collect();
                let items = entries.iter().map(|entry| {
                    let has_left_filter = left.contains(&entry.sequence());
                    Item { has_left_filter, ..Item::new(entry) }
                });
                if *backfill || self.in_snapshot {
                    self.take_backfill(items.collect())
                } else {
                    self.take_forward(items)
                }
            }
            Delivery::Mark(mark) => self.take_mark(mark),
            Delivery::Snapshot => {
                self.in_snapshot = true;
                self.flush()
            }
            Delivery::AccessChanged(change) => {
                let batches = self.flush();
                self.settled.access_changed(change);
                batches
            }
            Delivery::Interrupted(_) => Vec::new(),
        }
    }

    /// What still waits, when nothing more comes.
    pub fn flush(&mut self) -> Vec<Batch> {
        self.offered = None;
        let held = std::mem::take(&mut self.held);
        self.forward(held)
    }

    fn take_forward(&mut self, items: impl Iterator<Item = Item>) -> Vec<Batch> {
        self.held.extend(items);
        let anchor = self.anchor();
        let mut batches: Vec<Batch> = anchor.into_iter().collect();
        let Some(offered) = self.offered else {
            batches.extend(self.flush());
            return batches;
        };
        let behind = |item: &Item| (item.epoch, item.sequence) >= (offered.epoch, offered.sequence);
        if let Some(index) = self.held.iter().position(behind) {
            let exact = self.held.get(index).is_some_and(|item| item.sequence == offered.sequence);
            let rest = self.held.split_off(index + usize::from(exact));
            batches.extend(self.flush());
            batches.extend(self.forward(rest));
        } else if self.held.len() > BATCH_ENTRIES_MAX {
            // No batch was ever so long: what the file says was not offered.
            batches.extend(self.flush());
        }
        batches
    }

    fn take_backfill(&mut self, items: Vec<Item>) -> Vec<Batch> {
        let mut batches = self.flush();
        let place = self.settled.clone();
        let cut = cut(items).into_iter();
        batches.extend(cut.map(|items| Batch { items, run: Run::Backfill, place: place.clone() }));
        batches
    }

    fn take_mark(&mut self, mark: &Mark) -> Vec<Batch> {
        // A mark that comes before the batch that was offered says nothing about where that one ends.
        let is_ahead =
            |offered: &Offered| (offered.epoch, offered.sequence) >= (mark.epoch, mark.position);
        let offered = self.offered.filter(|offered| self.held.is_empty() && is_ahead(offered));
        let mut batches = self.flush();
        self.offered = offered;
        self.anchors = false;
        self.in_snapshot = false;
        self.settled.cursor = Some(mark.cursor.clone());
        if self.settled.sequence.is_none() {
            self.settled.epoch = mark.epoch;
        }
        batches.push(self.moved());
        batches
    }

    fn anchor(&mut self) -> Option<Batch> {
        let first = self.held.first().filter(|_| self.anchors)?;
        let before = first.sequence.checked_sub(1)?;
        self.settled = Place { cursor: None, epoch: first.epoch, sequence: Some(before) };
        self.anchors = false;
        Some(self.moved())
    }

    fn moved(&self) -> Batch {
        Batch { items: Vec::new(), run: Run::Forward, place: self.settled.clone() }
    }

    fn forward(&mut self, items: Vec<Item>) -> Vec<Batch> {
        let mut batches = Vec::new();
        for items in cut(items) {
            if let Some(last) = items.last() {
                self.settled.advance(last.epoch, last.sequence);
            }
            batches.push(Batch { items, run: Run::Forward, place: self.settled.clone() });
        }
        batches
    }
}

/// Runs of one epoch that keep the limits.
fn cut(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut runs: Vec<Vec<Item>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let more = item.line_bytes();
        let goes_on = runs.last().is_some_and(|run| {
            run.len() < BATCH_ENTRIES_MAX
                && bytes + more <= BATCH_BYTES_MAX
                && run.last().is_some_and(|last| last.epoch == item.epoch)
        });
        bytes = if goes_on { bytes + more } else { more };
        match runs.last_mut().filter(|_| goes_on) {
            Some(run) => run.push(item),
            None => runs.push(vec![item]),
        }
    }
    runs
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::client::cursor::cursor;
    use crate::client::sink::tests::Maker;

    /// A batch with one entry at each of these places.
    pub(in crate::client) fn forward(sequences: &[u64]) -> Batch {
        let maker = Maker::new();
        let items = sequences.iter().map(|at| maker.revision(*at, &maker.record(), 1)).collect();
        Batch { items, run: Run::Forward, place: Place::default() }
    }

    fn entries(sequences: &[u64], backfill: bool) -> Delivery {
        let maker = Maker::new();
        let entries = sequences.iter().map(|at| maker.indicator(*at, &maker.record(), 1)).collect();
        Delivery::Entries { entries, left_filter: vec![4], backfill }
    }

    fn mark(byte: u8) -> Delivery {
        Delivery::Mark(Mark { cursor: cursor(&[byte], 9), epoch: 1, position: 9, head: 9 })
    }

    /// Places of each batch, and where it leaves the subscription.
    fn shape(batches: &[Batch]) -> Vec<(Vec<u64>, Option<u64>)> {
        let places = |batch: &Batch| batch.items.iter().map(|item| item.sequence).collect();
        batches.iter().map(|batch| (places(batch), batch.place.sequence)).collect()
    }

    fn place(sequence: u64) -> Place {
        Place { cursor: Some(cursor(&[1], 9)), epoch: 1, sequence: Some(sequence) }
    }

    #[test]
    fn a_batch_moves_the_sequence_and_a_mark_the_cursor() {
        let mut cutter = Batcher::new(&From::Start);
        let batches = cutter.take(&entries(&[3, 4], false));
        assert_eq!(shape(&batches), [(vec![3, 4], Some(4))]);
        assert_eq!(batches[0].place.cursor, None);
        let left: Vec<bool> = batches[0].items.iter().map(|item| item.has_left_filter).collect();
        assert_eq!(left, [false, true]);
        let batches = cutter.take(&mark(7));
        assert_eq!(shape(&batches), [(vec![], Some(4))]);
        assert_eq!(
            batches[0].place,
            Place { cursor: Some(cursor(&[7], 9)), epoch: 1, sequence: Some(4) }
        );
    }

    #[test]
    fn only_a_fact_is_a_fact() {
        let item = forward(&[3]).items.remove(0);
        let erased = Item { payload: Payload::Erased { cause_sequence: 9 }, ..item.clone() };
        assert_eq!(Fact::from_line(&format!("{}  ", erased.line())), Some(erased.fact()));
        let more =
            item.line().replace("\"verified\"", "\"erased\":{\"cause_sequence\":9},\"verified\"");
        assert_ne!(more, item.line());
        for line in [&item.line(), item.fact().line().as_str(), &more, "", "{}"] {
            assert_eq!(Fact::from_line(line), None, "{line}");
        }
    }

    #[test]
    fn a_backfill_does_not_move_the_place() {
        let mut cutter = Batcher::new(&From::Place(place(9)));
        let batches = cutter.take(&entries(&[3, 4], true));
        assert_eq!(shape(&batches), [(vec![3, 4], Some(9))]);
        assert_eq!(batches[0].run, Run::Backfill);
    }

    #[test]
    fn batches_keep_their_limits() {
        let many: Vec<u64> = (3..).take(BATCH_ENTRIES_MAX + 1).collect();
        let batches = Batcher::new(&From::Start).take(&entries(&many, false));
        let lengths: Vec<usize> = batches.iter().map(|batch| batch.items.len()).collect();
        assert_eq!(lengths, [BATCH_ENTRIES_MAX, 1]);

        let mut items = forward(&[3, 4, 5, 6]).items;
        let half = "x".repeat(BATCH_BYTES_MAX / 2 - 1);
        let whole = "x".repeat(BATCH_BYTES_MAX * 2);
        for (item, line) in items.iter_mut().zip([&half, &half, &whole, &half]) {
            item.payload = Payload::Whole { line: line.clone(), envelope: Vec::new() };
        }
        let lengths: Vec<usize> = cut(items.clone()).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1, 1]);
        if let Payload::Whole { line, .. } = &mut items[0].payload {
            line.push('x');
        }
        items[3].epoch = 2;
        let lengths: Vec<usize> = cut(items).iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 1, 1, 1]);
    }

    #[test]
    fn a_batch_that_was_offered_is_offered_again_as_it_was() {
        let offered = |sequence| Some(Offered { epoch: 1, sequence });
        let start = From::Place(place(2));
        let again = |sequence| Batcher::new(&start).offering_again(offered(sequence));
        // More has come since, or less comes at once.
        let mut more = again(4);
        let batches = more.take(&entries(&[3, 4, 5, 6], false));
        assert_eq!(shape(&batches), [(vec![3, 4], Some(4)), (vec![5, 6], Some(6))]);
        assert_eq!(shape(&more.take(&entries(&[7], false))), [(vec![7], Some(7))]);
        let mut less = again(6);
        assert_eq!(shape(&less.take(&entries(&[3, 4], false))), []);
        let batches = less.take(&entries(&[5, 6, 7], false));
        assert_eq!(shape(&batches), [(vec![3, 4, 5, 6], Some(6)), (vec![7], Some(7))]);
        // Its last entry may no longer be seen.
        let batches = again(5).take(&entries(&[3, 4, 6], false));
        assert_eq!(shape(&batches), [(vec![3, 4], Some(4)), (vec![6], Some(6))]);
        let mut marked = again(9);
        assert_eq!(shape(&marked.take(&entries(&[3, 4], false))), []);
        assert_eq!(shape(&marked.take(&mark(7))), [(vec![3, 4], Some(4)), (vec![], Some(4))]);
        let mut early = again(12);
        assert_eq!(shape(&early.take(&mark(7))), [(vec![], Some(2))]);
        assert_eq!(shape(&early.take(&entries(&[10, 11], false))), []);
        let batches = early.take(&entries(&[12, 13], false));
        assert_eq!(shape(&batches), [(vec![10, 11, 12], Some(12)), (vec![13], Some(13))]);
        let mut ended = again(9);
        ended.take(&entries(&[3], false));
        assert_eq!(shape(&ended.flush()), [(vec![3], Some(3))]);
    }

    #[test]
    fn a_place_that_was_never_offered_holds_nothing_up() {
        let many: Vec<u64> = (3..).take(BATCH_ENTRIES_MAX + 1).collect();
        let offered = Some(Offered { epoch: u32::MAX, sequence: u64::MAX });
        let mut cutter = Batcher::new(&From::Place(place(2))).offering_again(offered);
        assert_eq!(cutter.take(&entries(&many, false)).len(), 2);
    }

    #[test]
    fn with_a_gain_of_access_only_the_cursor_says_what_was_delivered() {
        let mut cutter = Batcher::new(&From::Place(place(2)));
        cutter.take(&entries(&[3, 4], false));
        let change = |gained: &[&str]| {
            let gained = gained.iter().map(|name| (*name).to_owned()).collect();
            Delivery::AccessChanged(pb::AccessChanged { gained, ..pb::AccessChanged::default() })
        };
        cutter.take(&change(&[]));
        assert_eq!(shape(&cutter.take(&entries(&[1], true))), [(vec![1], Some(4))]);
        cutter.take(&change(&["desk"]));
        assert_eq!(shape(&cutter.take(&entries(&[1, 2], true))), [(vec![1, 2], None)]);
        assert_eq!(shape(&cutter.take(&mark(5))), [(vec![], None)]);
        // What lay between the mark and the place comes again, with what is seen now.
        assert_eq!(shape(&cutter.take(&entries(&[4], false))), [(vec![4], Some(4))]);
    }

    #[test]
    fn the_current_state_moves_the_place_with_its_mark_only() {
        for from in [From::Snapshot, From::Place(place(2))] {
            let before = from.place().sequence;
            let mut cutter = Batcher::new(&from);
            assert_eq!(shape(&cutter.take(&Delivery::Snapshot)), []);
            let batches = cutter.take(&entries(&[3, 9], false));
            assert_eq!(shape(&batches), [(vec![3, 9], before)]);
            assert_eq!((batches[0].run, &batches[0].place), (Run::Backfill, &from.place()));
            // It was cut off, and begins again.
            assert_eq!(shape(&cutter.take(&Delivery::Snapshot)), []);
            assert_eq!(shape(&cutter.take(&entries(&[4], false))), [(vec![4], before)]);
            let batches = cutter.take(&mark(7));
            assert_eq!(shape(&batches), [(vec![], before)]);
            assert_eq!(batches[0].place.cursor, Some(cursor(&[7], 9)));
            assert_eq!(shape(&cutter.take(&entries(&[12], false))), [(vec![12], Some(12))]);
        }
    }

    #[test]
    fn now_is_kept_before_what_comes() {
        let mut cutter = Batcher::new(&From::Now);
        let batches = cutter.take(&entries(&[30, 31], false));
        assert_eq!(shape(&batches), [(vec![], Some(29)), (vec![30, 31], Some(31))]);
        assert_eq!(shape(&cutter.take(&entries(&[32], false))), [(vec![32], Some(32))]);
        let mut marked = Batcher::new(&From::Now);
        marked.take(&mark(7));
        assert_eq!(shape(&marked.take(&entries(&[30], false))), [(vec![30], Some(30))]);
    }
}
