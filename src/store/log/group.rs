//! What is written together: entries, the head behind them, state beside the log; and the rows that it becomes.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sled::Batch;

use crate::model::facts::Facts;
use crate::model::head::HeadName;
use crate::model::header::BodyKind;
use crate::model::index_keys::Term;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::SubscriptionName;
use crate::model::report::ReportName;
use crate::model::time::Timestamp;
use crate::signing::Verified;
use crate::store::StoreError;
use crate::store::block;
use crate::store::block::Builder;
use crate::store::block::LogBlock;
use crate::store::keys;
use crate::store::log::erasing::Erasing;
use crate::transparency::Checkpoint;
use crate::transparency::Frontier;
use crate::transparency::roster_digest;
use crate::wire::body::Content;
use crate::wire::disk;
use crate::wire::envelope::Record;

/// Bytes of one value beside the log; what is longer is kept in pieces.
pub const STATE_BYTES_MAX: usize = block::VALUE_PAYLOAD_MAX;

/// Where the log stands after a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The Merkle tree's frontier, whose size is the number of entries.
    pub frontier: Frontier,
    /// The accept time of the last entry.
    pub accept_time: Timestamp,
    /// The epoch.
    pub epoch: u32,
    /// Running digest over the entries about the roster.
    pub roster: Digest,
    /// The signed checkpoint of this size.
    pub checkpoint: String,
    /// Bytes of all entries up to here, as they were when they were taken in.
    pub bytes: u64,
}

impl Head {
    /// Goes on behind an entry.
    pub fn push(&mut self, kind: BodyKind, leaf_hash: Digest) {
        self.frontier.push(leaf_hash);
        if kind.is_roster() {
            self.roster = roster_digest(&self.roster, &leaf_hash);
        }
    }

    /// What its checkpoint signs.
    pub fn summary(&self) -> Checkpoint {
        let (size, root) = (self.frontier.size(), self.frontier.root());
        Checkpoint { epoch: self.epoch, size, root, roster: self.roster }
    }
}

/// An entry about to be written. It cannot be made of a record whose signature was not checked.
#[derive(Debug)]
pub struct NewEntry {
    /// The record.
    pub record: Verified<Box<Record>>,
    /// The facts that admission derived.
    pub facts: Facts,
    /// Its encoding as a field of a stream frame.
    pub framed: Vec<u8>,
    /// What it is found by in the indexes, besides what its facts say.
    pub terms: Vec<Term>,
    /// Its leaf in the Merkle tree.
    pub leaf_hash: Digest,
}

/// A group of entries that becomes durable at once.
#[derive(Debug, Default)]
pub struct Group {
    /// The entries, consecutive from the head on.
    pub entries: Vec<NewEntry>,
    /// The head behind them.
    pub head: Head,
    /// State beside the log that changes with them.
    pub state: Vec<StateChange>,
    /// What else changes with them; for the hub's own entries.
    pub erasing: Option<Erasing>,
}

/// Blocks that a group wrote.
#[derive(Debug, Default)]
pub struct Appended {
    /// New ones.
    pub blocks: Vec<LogBlock>,
    /// Ones that lost bodies.
    pub rewritten: Vec<LogBlock>,
    /// How long handing the group to the database took.
    pub writing: Duration,
    /// How long its flush and sync took.
    pub syncing: Duration,
}

/// Something beside the log as it is from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// What.
    pub key: StateKey,
    /// The encoded message of `disk.v1`; `None`: it is gone.
    pub bytes: Option<Vec<u8>>,
}

/// What is kept beside the log and written with a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateKey {
    /// A durable subscription.
    Subscription(SubscriptionName),
    /// The newest checkpoint that a member cosigned.
    Cosignature(MemberId),
    /// The newest head of a publisher's key and scope.
    Head(HeadName),
    /// That evidence was handed in.
    Report(ReportName),
    /// A piece of that evidence, of at most [`STATE_BYTES_MAX`] bytes; all but the last are full.
    Evidence(ReportName, u16),
}

impl StateKey {
    pub(super) fn row(&self) -> Vec<u8> {
        match self {
            Self::Subscription(name) => keys::subscription(name),
            Self::Cosignature(member) => keys::cosignature(member),
            Self::Head(name) => keys::head(name),
            Self::Report(name) => keys::report(name),
            Self::Evidence(name, piece) => keys::evidence_piece(name, *piece),
        }
    }
}

/// Keys and values that are written together; without a value the key goes.
pub(in crate::store) type Rows = Vec<(Vec<u8>, Option<Bytes>)>;

pub(super) fn insert_rows(batch: &mut Batch, rows: Rows) {
    for (key, value) in rows {
        match value {
            Some(value) => batch.insert(key, value.as_ref()),
            None => batch.remove(key),
        }
    }
}

pub(super) fn insert_blocks(
    rows: &mut Rows,
    first: u64,
    group: &Group,
) -> Result<Vec<LogBlock>, StoreError> {
    let mut blocks = Vec::new();
    let mut finish = |builder: Builder, head: Option<&[u8]>| -> Result<u64, StoreError> {
        let built = builder.build(head)?;
        let (first, end) = (built.block.first, built.block.end());
        rows.push((keys::block(first), Some(built.row)));
        for (number, piece) in (0_u16..).zip(built.pieces) {
            rows.push((keys::piece(first, number), Some(piece.into())));
        }
        blocks.push(built.block);
        Ok(end)
    };
    let mut builder = Builder::new(first);
    for entry in &group.entries {
        if !builder.take(&entry.facts, &entry.framed)? {
            let next = finish(builder, None)?;
            builder = Builder::new(next);
            // A block takes its first entry whatever its size.
            builder.take(&entry.facts, &entry.framed)?;
        }
    }
    finish(builder, Some(&head_to_disk(&group.head).encode_to_vec()))?;
    Ok(blocks)
}

fn insert_demand(rows: &mut Rows, sequence: u64, record: &Record) {
    if let Some((due, of)) = record.content.demand() {
        let key = keys::demand(due.map_or(0, Timestamp::as_micros), sequence);
        rows.push((key, Some(of.to_string().into())));
    }
}

pub(super) fn insert_marks(rows: &mut Rows, sequence: u64, record: &Record) {
    rows.extend(marks(sequence, record));
    insert_demand(rows, sequence, record);
}

/// Rows that follow from an entry for good.
pub(in crate::store) fn marks(sequence: u64, record: &Record) -> Rows {
    let mut rows = Rows::new();
    if let Some(target) = record.content.withdraws() {
        rows.push((keys::withdrawn(target), Some(sequence.to_be_bytes().to_vec().into())));
    }
    if let Content::Conflict(conflict) = &record.content {
        let header = &conflict.header;
        let key = keys::conflict(&header.name, header.revision);
        rows.push((key, Some(sequence.to_be_bytes().to_vec().into())));
    }
    let kind = record.header.body_kind;
    if kind.is_roster() || matches!(kind, BodyKind::AudienceChange | BodyKind::Epoch) {
        rows.push((keys::roster(sequence), Some(Bytes::new())));
    }
    rows
}

pub(in crate::store) fn head_from_disk(payload: &[u8]) -> Result<Head, StoreError> {
    let damaged = || StoreError::corrupt("the head", "it is unreadable");
    let disk::Head { size, accept_time_us, epoch, frontier, checkpoint, bytes, roster } =
        disk::Head::decode(payload).map_err(|_undecodable| damaged())?;
    let peaks = frontier
        .iter()
        .map(|peak| peak.as_slice().try_into().ok())
        .collect::<Option<Vec<Digest>>>()
        .ok_or_else(damaged)?;
    Ok(Head {
        frontier: Frontier::from_peaks(size, peaks).ok_or_else(damaged)?,
        accept_time: Timestamp::from_micros(accept_time_us).ok_or_else(damaged)?,
        epoch,
        roster: roster.try_into().map_err(|_other_length| damaged())?,
        checkpoint,
        bytes,
    })
}

pub(in crate::store) fn head_to_disk(head: &Head) -> disk::Head {
    disk::Head {
        size: head.frontier.size(),
        accept_time_us: head.accept_time.as_micros(),
        epoch: head.epoch,
        frontier: head.frontier.peaks().iter().map(|peak| peak.to_vec()).collect(),
        roster: head.roster.to_vec(),
        checkpoint: head.checkpoint.clone(),
        bytes: head.bytes,
    }
}
