//! Backup files: the log as it is stored at one head, and the state that is not derived from it, in one stream.
//!
//! ```text
//! file    := "watchfire-backup 1" LF || frame*       the first is a begin, the last is an end, nothing follows
//! frame   := kind u8 || length u32 || payload || crc32 u32               crc32 of kind, length and payload
//! begin   := 1: disk.v1.BackupBegin
//! block   := 2: first sequence u64 || pieces u16 || (length u32 || sealed value) of the row, then of each piece
//! state   := 3: length of the key u16 || key || value         cursor key, subscriptions, deliveries, reports
//! end     := 4: disk.v1.BackupEnd                              with a digest of all before, and the signed checkpoint
//! ```
//!
//! Blocks come in order. One that comes again, behind the last, takes the place of the first: its bodies were erased
//! while the backup was written. What follows from the entries is derived anew when the file is read.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::io::Read;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sha2::Digest as _;
use sha2::Sha256;

use crate::model::header::BodyKind;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;
use crate::store::LogBlock;
use crate::store::StoreError;
use crate::store::block;
use crate::store::block::Decoded;
use crate::store::keys;
use crate::store::log;
use crate::store::log::FORMAT;
use crate::store::log::Head;
use crate::store::log::Rows;
use crate::store::log::Store;
use crate::store::log::release_pages;
use crate::wire;
use crate::wire::body::Content;
use crate::wire::disk;
use crate::wire::envelope::Record;

/// What the file begins with: name and version.
pub const BACKUP_MAGIC: &[u8; 19] = b"watchfire-backup 1\n";
/// Bytes of a frame at most: a block with one envelope of the largest size is a sixteenth of it.
const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Rows that are written at a time.
const STEP_ROWS: usize = 256;
/// How long to wait for a group that was seen to become durable: one sync.
const DURABLE_INTERVAL: Duration = Duration::from_millis(1);

const BEGIN: u8 = 1;
const BLOCK: u8 = 2;
const STATE: u8 = 3;
const END: u8 = 4;

/// Why there is no backup, or it is not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to back up.
    #[error("the log is empty: there is nothing to back up")]
    Empty,
    /// Whoever takes the backup is gone.
    #[error("the backup cannot be written")]
    Write(#[source] io::Error),
    /// The file cannot be read.
    #[error("the backup cannot be read")]
    Read(#[source] io::Error),
    /// The file ends before its end.
    #[error("the backup is cut: it ends at byte {0}, before its end")]
    Cut(u64),
    /// The file is another one.
    #[error("it is not a backup of watchfired that this version reads")]
    Foreign,
    /// Bytes are not what was written.
    #[error("the backup is damaged in the frame at byte {offset}: {what}")]
    Damaged {
        /// Where the frame begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// It was asked to stop.
    #[error("the backup was stopped")]
    Stopped,
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSummary {
    /// The number of entries.
    pub size: u64,
    /// The signed checkpoint of that size.
    pub checkpoint: String,
}

/// A block as it lies in the store.
pub(super) struct RawBlock {
    pub(super) decoded: Decoded,
    row: Vec<u8>,
    pieces: Vec<Vec<u8>>,
}

impl RawBlock {
    /// The block that begins at a sequence, read as one; `None` if none does.
    fn read(store: &Store, first: u64) -> Result<Option<Self>, StoreError> {
        let _shared = store.shared();
        let Some(row) = store.get(&keys::block(first))? else { return Ok(None) };
        let mut pieces = Vec::new();
        let missing = || StoreError::corrupt(format!("block {first}"), "a piece is missing");
        let decoded = block::decode(first, &row, |number| {
            let piece = store.get(&keys::piece(first, number))?.ok_or_else(missing)?.to_vec();
            pieces.push(piece.clone());
            Ok(piece)
        })?;
        Ok(Some(Self { decoded, row: row.to_vec(), pieces }))
    }

    fn encode(&self) -> Vec<u8> {
        let count = u16::try_from(self.pieces.len()).unwrap_or(u16::MAX);
        let mut payload = self.decoded.block.first.to_be_bytes().to_vec();
        payload.extend_from_slice(&count.to_be_bytes());
        for value in std::iter::once(&self.row).chain(&self.pieces) {
            let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
            payload.extend_from_slice(&length.to_be_bytes());
            payload.extend_from_slice(value);
        }
        payload
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let (first, rest) = payload.split_first_chunk()?;
        let (count, mut rest) = rest.split_first_chunk()?;
        let mut value = || {
            let (length, behind) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (value, behind) = behind.split_at_checked(length)?;
            rest = behind;
            Some(value.to_vec())
        };
        let row = value()?;
        let mut pieces = Vec::new();
        for _piece in 0..u16::from_be_bytes(*count) {
            pieces.push(value()?);
        }
        let first = u64::from_be_bytes(*first);
        let missing = || StoreError::corrupt(format!("block {first}"), "a piece is missing");
        let decoded = block::decode(first, &row, |number| {
            pieces.get(usize::from(number)).cloned().ok_or_else(missing)
        });
        let decoded = decoded.ok().filter(|found| usize::from(found.pieces) == pieces.len())?;
        (rest.is_empty() && !decoded.block.entries.is_empty()).then_some(Self {
            decoded,
            row,
            pieces,
        })
    }

    fn rows(self, rows: &mut Rows) {
        let first = self.decoded.block.first;
        rows.push((keys::block(first), Some(self.row.into())));
        for (number, piece) in (0_u16..).zip(self.pieces) {
            rows.push((keys::piece(first, number), Some(piece.into())));
        }
    }
}

/// Writes a backup of a store while it is in use. `durable` says how many entries are durable by now, or nothing if
/// the backup is to stop; `progress` hears how many entries were written. What is in the file at its end is the log at
/// one head, with every body gone that was erased up to there. Memory does not grow with the log.
pub fn export(
    store: &Store,
    out: &mut impl Write,
    now: Timestamp,
    durable: impl Fn() -> Option<u64>,
    mut progress: impl FnMut(u64),
) -> Result<BackupSummary, BackupError> {
    let durable = || durable().ok_or(BackupError::Stopped);
    let begun = durable()?;
    let mut writer = Writer::begin(out, begun, now)?;
    let mut walk = Walk { begun, ..Walk::default() };
    let read = |first| RawBlock::read(store, first)?.ok_or_else(|| StoreError::missing(first));
    loop {
        let target = durable()?;
        while walk.next < target {
            let raw = read(walk.next)?;
            walk.take(&raw)?;
            writer.frame(BLOCK, &raw.encode())?;
            release_pages();
            progress(walk.next);
            durable()?;
        }
        for first in walk.touched_blocks(store)? {
            let raw = read(first)?;
            walk.note_causes(&raw)?;
            writer.frame(BLOCK, &raw.encode())?;
        }
        // A body that is gone by a notice which is not durable yet: that one belongs to the backup, too.
        if walk.needed <= walk.next && !walk.is_touched() {
            break;
        }
        std::thread::park_timeout(DURABLE_INTERVAL);
    }
    let head = walk.head.filter(|head| head.frontier.size() == walk.next);
    let head = head.ok_or(if walk.next == 0 {
        BackupError::Empty
    } else {
        StoreError::corrupt("the head", "it is not behind the last block").into()
    })?;
    for row in store.kept_state() {
        let (key, value) = row?;
        writer.state(&key, &value)?;
    }
    writer.end(&BackupSummary { size: walk.next, checkpoint: head.checkpoint })
}

/// How far a backup has come.
#[derive(Default)]
struct Walk {
    /// Entries that were durable when it was begun: later notices erase what may have been written already.
    begun: u64,
    next: u64,
    head: Option<Head>,
    /// The size that the log must have for every notice to be in it whose work was seen.
    needed: u64,
    touched: Vec<Range<u64>>,
}

impl Walk {
    fn take(&mut self, raw: &RawBlock) -> Result<(), StoreError> {
        let block = &raw.decoded.block;
        if block.entries.is_empty() {
            return Err(StoreError::missing(self.next));
        }
        self.note_causes(raw)?;
        self.next = block.end();
        if let Some(head) = &raw.decoded.head {
            self.head = Some(log::head_from_disk(head)?);
        }
        for (sequence, stored) in block.entries_from(self.begun) {
            if !stored.facts.scope.body_kind.is_hub() {
                continue;
            }
            let content = record_at(block, sequence)?.content;
            if let Content::Erasure { sequences, .. } = &content {
                self.touched.extend(sequences.iter().map(|at| *at..at.saturating_add(1)));
            }
            if let Content::Retention { first, end } = content {
                self.touched.push(first..end);
            }
        }
        Ok(())
    }

    fn note_causes(&mut self, raw: &RawBlock) -> Result<(), StoreError> {
        let block = &raw.decoded.block;
        for (sequence, stored) in block.entries_from(0) {
            let damaged = || unreadable(sequence);
            let entry = wire::entry::decode(block.framed(stored)).ok_or_else(damaged)?;
            let cause = entry.erased.map_or(0, |erased| erased.cause_sequence.saturating_add(1));
            self.needed = self.needed.max(cause);
        }
        Ok(())
    }

    fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// The first sequences of blocks that lost bodies since the backup was begun.
    fn touched_blocks(&mut self, store: &Store) -> Result<BTreeSet<u64>, StoreError> {
        let mut firsts = BTreeSet::new();
        for range in std::mem::take(&mut self.touched) {
            let mut next = range.start;
            while next < range.end.min(self.next) {
                let block = store.block_at(next)?.ok_or_else(|| StoreError::missing(next))?;
                firsts.insert(block.first);
                next = block.end();
            }
        }
        Ok(firsts)
    }
}

/// Writes frames, and digests what it writes.
struct Writer<'a, W> {
    out: &'a mut W,
    hasher: Sha256,
    frames: u64,
}

impl<'a, W: Write> Writer<'a, W> {
    fn begin(out: &'a mut W, size: u64, now: Timestamp) -> Result<Self, BackupError> {
        let mut writer = Self { out, hasher: Sha256::new(), frames: 0 };
        writer.put(BACKUP_MAGIC)?;
        let begin =
            disk::BackupBegin { store_format: FORMAT, size, begin_time_us: now.as_micros() };
        writer.frame(BEGIN, &begin.encode_to_vec())?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.hasher.update(bytes);
        self.out.write_all(bytes).map_err(BackupError::Write)
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) -> Result<(), BackupError> {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut crc = crc32fast::Hasher::new();
        for part in [&[kind], length.as_slice(), payload] {
            crc.update(part);
            self.put(part)?;
        }
        self.put(&crc.finalize().to_be_bytes())?;
        self.frames += 1;
        Ok(())
    }

    fn state(&mut self, key: &[u8], value: &[u8]) -> Result<(), BackupError> {
        let length = u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes();
        self.frame(STATE, &[&length, key, value].concat())
    }

    fn end(mut self, summary: &BackupSummary) -> Result<BackupSummary, BackupError> {
        let end = disk::BackupEnd {
            size: summary.size,
            frames: self.frames,
            digest: self.hasher.clone().finalize().to_vec(),
            checkpoint: summary.checkpoint.clone(),
        };
        self.frame(END, &end.encode_to_vec())?;
        self.out.flush().map_err(BackupError::Write)?;
        Ok(summary.clone())
    }
}

/// What a frame holds.
enum Frame {
    Block(Box<RawBlock>),
    State(Vec<u8>, Vec<u8>),
    End(BackupSummary),
}

/// Reads frames, and demands that every byte is what was written.
struct Frames<R> {
    from: R,
    hasher: Sha256,
    offset: u64,
    count: u64,
}

impl<R: Read> Frames<R> {
    fn begin(from: R) -> Result<Self, BackupError> {
        let mut frames = Self { from, hasher: Sha256::new(), offset: 0, count: 0 };
        let mut magic = [0; BACKUP_MAGIC.len()];
        frames.fill(&mut magic)?;
        frames.hasher.update(magic);
        if magic != *BACKUP_MAGIC {
            return Err(BackupError::Foreign);
        }
        let begin = frames.offset;
        let (kind, payload) = frames.frame()?;
        let damaged = |what| BackupError::Damaged { offset: begin, what };
        if kind != BEGIN {
            return Err(damaged("it is not a begin"));
        }
        let begin = disk::BackupBegin::decode(payload.as_slice())
            .map_err(|_undecodable| damaged("it is unreadable"))?;
        if begin.store_format != FORMAT {
            return Err(BackupError::Foreign);
        }
        Ok(frames)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.from.read(rest) {
                Ok(0) => return Err(BackupError::Cut(self.offset)),
                Ok(count) => {
                    filled += count;
                    self.offset = self.offset.saturating_add(u64::try_from(count).unwrap_or(0));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(BackupError::Read(error)),
            }
        }
        Ok(())
    }

    fn frame(&mut self) -> Result<(u8, Vec<u8>), BackupError> {
        let offset = self.offset;
        let mut lead = [0; 5];
        self.fill(&mut lead)?;
        let [kind, length @ ..] = lead;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let damaged = |what| BackupError::Damaged { offset, what };
        if length > FRAME_BYTES_MAX {
            return Err(damaged("it says that it is longer than one can be"));
        }
        let mut payload = vec![0; length];
        self.fill(&mut payload)?;
        let mut crc = [0; 4];
        self.fill(&mut crc)?;
        let mut found = crc32fast::Hasher::new();
        found.update(&lead);
        found.update(&payload);
        if found.finalize() != u32::from_be_bytes(crc) {
            return Err(damaged("the checksum does not match"));
        }
        if kind != END {
            for part in [lead.as_slice(), &payload, &crc] {
                self.hasher.update(part);
            }
            self.count += 1;
        }
        Ok((kind, payload))
    }

    fn next(&mut self) -> Result<Frame, BackupError> {
        let offset = self.offset;
        let damaged = |what| move || BackupError::Damaged { offset, what };
        let (kind, payload) = self.frame()?;
        match kind {
            BLOCK => {
                let raw = RawBlock::decode(&payload).ok_or_else(damaged("its block is unreadable"));
                raw.map(|raw| Frame::Block(Box::new(raw)))
            }
            STATE => {
                let split = || {
                    let (length, rest) = payload.split_first_chunk()?;
                    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
                };
                let (key, value) = split().ok_or_else(damaged("its row is unreadable"))?;
                if !is_state(key) {
                    return Err(damaged("its row is of no kind that a backup has")());
                }
                Ok(Frame::State(key.to_vec(), value.to_vec()))
            }
            END => self.end(&payload, offset).map(Frame::End),
            _ => Err(damaged("its kind is unknown")()),
        }
    }

    fn end(&mut self, payload: &[u8], offset: u64) -> Result<BackupSummary, BackupError> {
        let damaged = |what| BackupError::Damaged { offset, what };
        let end = disk::BackupEnd::decode(payload)
            .map_err(|_undecodable| damaged("the end is unreadable"))?;
        let disk::BackupEnd { size, frames, digest, checkpoint } = end;
        let found: [u8; 32] = self.hasher.clone().finalize().into();
        if frames != self.count || digest != found {
            return Err(damaged("frames are missing, or not those that were written"));
        }
        let mut more = [0];
        match self.from.read(&mut more) {
            Ok(0) => Ok(BackupSummary { size, checkpoint }),
            Ok(_more) => Err(damaged("something follows the end")),
            Err(error) => Err(BackupError::Read(error)),
        }
    }
}

/// Reads a backup and hands out its blocks; one that comes again has lost bodies. `Ok` says that the file is whole.
pub fn read_backup(
    from: impl Read,
    mut each: impl FnMut(&LogBlock),
) -> Result<BackupSummary, BackupError> {
    let mut frames = Frames::begin(from)?;
    loop {
        match frames.next()? {
            Frame::Block(raw) => each(&raw.decoded.block),
            Frame::State(..) => {}
            Frame::End(summary) => return Ok(summary),
        }
    }
}

/// Makes a store of a backup, in a folder without one. What it holds is not verified yet: whoever opens it does that.
/// `progress` hears how many entries there are.
pub fn import(
    from: impl Read,
    to: &Path,
    mut progress: impl FnMut(u64),
) -> Result<BackupSummary, BackupError> {
    let mut frames = Frames::begin(from)?;
    let store = Store::open_log(to, 0)?;
    if store.head()?.frontier.size() > 0 {
        return Err(StoreError::corrupt("the new store", "it has entries already").into());
    }
    let mut derived = Derived::default();
    let (mut rows, mut next, mut head) = (Rows::new(), 0, None);
    let summary = loop {
        let offset = frames.offset;
        let damaged = |what| BackupError::Damaged { offset, what };
        match frames.next()? {
            Frame::Block(raw) if raw.decoded.block.first == next => {
                derived.take(&raw.decoded.block, &mut rows)?;
                next = raw.decoded.block.end();
                head.clone_from(&raw.decoded.head);
                raw.rows(&mut rows);
            }
            Frame::Block(raw) if raw.decoded.block.first < next => {
                store.write(std::mem::take(&mut rows))?;
                replace(&store, &raw.decoded, &mut rows).ok_or_else(|| {
                    damaged("a block that comes again is another one than before")
                })??;
                raw.rows(&mut rows);
            }
            Frame::Block(_ahead) => return Err(damaged("a block before it is missing")),
            Frame::State(key, value) => {
                let value =
                    bounded(&key, value, next).ok_or_else(|| damaged("its row is unreadable"))?;
                rows.push((key, Some(value.into())));
            }
            Frame::End(summary) => break summary,
        }
        if rows.len() >= STEP_ROWS {
            store.write(std::mem::take(&mut rows))?;
            store.sync()?;
            release_pages();
            progress(next);
        }
    };
    derived.finish(&store, rows)?;
    progress(next);
    let head = head.map(|head| log::head_from_disk(&head)).transpose()?.unwrap_or_default();
    let fits = summary.size == next
        && head.frontier.size() == next
        && head.checkpoint == summary.checkpoint;
    if !fits || next == 0 {
        let what = "its entries are not those of its checkpoint";
        return Err(BackupError::Damaged { offset: frames.offset, what });
    }
    Ok(summary)
}

/// Makes place for a block that comes again; `None` if it is not the same block.
fn replace(store: &Store, new: &Decoded, rows: &mut Rows) -> Option<Result<(), StoreError>> {
    let first = new.block.first;
    let old = match RawBlock::read(store, first) {
        Ok(old) => old?.decoded,
        Err(error) => return Some(Err(error)),
    };
    if (old.block.end(), &old.head) != (new.block.end(), &new.head) {
        return None;
    }
    rows.extend((new.pieces..old.pieces).map(|number| (keys::piece(first, number), None)));
    Some(Ok(()))
}

/// What lies beside the log and follows from it.
#[derive(Default)]
struct Derived {
    /// Demands to erase of which no notice says that anything was done, by the place of the withdrawal.
    demands: BTreeMap<u64, (Timestamp, RecordName)>,
    /// Places of those of which one does. It does not say whether that was all.
    noticed: BTreeSet<u64>,
    floor: u64,
}

impl Derived {
    fn take(&mut self, block: &LogBlock, rows: &mut Rows) -> Result<(), StoreError> {
        for (sequence, stored) in block.entries_from(0) {
            let kind = stored.facts.scope.body_kind;
            let is_kept = kind.is_common() || kind.is_hub() || kind.is_recall();
            if is_kept || kind == BodyKind::AudienceChange {
                self.take_record(sequence, &record_at(block, sequence)?, rows);
            }
        }
        Ok(())
    }

    fn take_record(&mut self, sequence: u64, record: &Record, rows: &mut Rows) {
        rows.extend(log::marks(sequence, record));
        if let Some((due, of)) = record.content.demand() {
            self.demands.insert(sequence, (due.unwrap_or_default(), of.clone()));
        }
        if let Content::Erasure { demand, .. } = &record.content
            && self.demands.remove(demand).is_some()
        {
            self.noticed.insert(*demand);
        }
        if let Content::Retention { end, .. } = &record.content {
            self.floor = self.floor.max(*end);
        }
    }

    /// Writes the last rows, and those that take the whole log to tell.
    fn finish(self, store: &Store, mut rows: Rows) -> Result<(), StoreError> {
        for (sequence, (due, of)) in self.demands {
            rows.push(demand_row(sequence, due, &of));
        }
        if self.floor > 0 {
            rows.push((keys::FLOOR.to_vec(), Some(self.floor.to_be_bytes().to_vec().into())));
        }
        store.write(rows)?;
        store.sync()?;
        if self.noticed.is_empty() {
            return Ok(());
        }
        // A record's revisions are found by its name.
        store.catch_up()?;
        let mut rows = Rows::new();
        for sequence in self.noticed {
            let block = store.block_at(sequence)?.ok_or_else(|| StoreError::missing(sequence))?;
            let content = record_at(&block, sequence)?.content;
            let Some((due, of)) = content.demand() else { continue };
            if has_body(store, of)? {
                rows.push(demand_row(sequence, due.unwrap_or_default(), of));
            }
        }
        store.write(rows)?;
        store.sync()
    }
}

fn demand_row(sequence: u64, due: Timestamp, of: &RecordName) -> (Vec<u8>, Option<Bytes>) {
    (keys::demand(due.as_micros(), sequence), Some(of.to_string().into()))
}

/// Whether a record has a revision with a body that can go.
fn has_body(store: &Store, of: &RecordName) -> Result<bool, StoreError> {
    let mut revision = 1;
    while let Some(place) = store.revision(of, revision)? {
        let block = store.block_at(place)?;
        let stored = block.as_ref().and_then(|block| Some((block, block.at(place)?)));
        let (block, stored) = stored.ok_or_else(|| StoreError::missing(place))?;
        let entry = wire::entry::decode(block.framed(stored)).ok_or_else(|| unreadable(place))?;
        if entry.erased.is_none() && stored.facts.scope.body_kind.is_chosen() {
            return Ok(true);
        }
        revision += 1;
    }
    Ok(false)
}

fn is_state(key: &[u8]) -> bool {
    key == keys::CURSOR_KEY
        || matches!(
            key.first(),
            Some(&keys::SUBSCRIPTION | &keys::DELIVERY | &keys::REPORT | &keys::EVIDENCE)
                if key.len() > 1
        )
}

/// A row of the state, with nothing in it that lies behind the end of the log: the state may have been read a moment
/// later, and what was behind the end is void.
fn bounded(key: &[u8], value: Vec<u8>, size: u64) -> Option<Vec<u8>> {
    let payload = block::open(&value)?;
    match key.first() {
        Some(&keys::SUBSCRIPTION) => {
            let mut kept = disk::Subscription::decode(payload).ok()?;
            kept.position = kept.position.min(size);
            kept.access = kept.access.min(size);
            Some(block::seal(&kept.encode_to_vec()))
        }
        Some(&keys::DELIVERY) => {
            let mut kept = disk::Delivery::decode(payload).ok()?;
            bound_delivery(&mut kept, size);
            Some(block::seal(&kept.encode_to_vec()))
        }
        Some(_) | None => Some(value),
    }
}

fn bound_delivery(kept: &mut disk::Delivery, size: u64) {
    let runs = kept.starts.iter().copied().zip(kept.ends.iter().copied());
    let runs = runs.filter(|(start, _end)| *start < size);
    (kept.starts, kept.ends) = runs.map(|(start, end)| (start, end.min(size))).unzip();
    let points = kept.positions.iter().copied().zip(kept.times_us.iter().copied());
    (kept.positions, kept.times_us) = points.filter(|(position, _)| *position <= size).unzip();
    kept.passed.retain(|run| run.start < size);
    for run in &mut kept.passed {
        run.end = run.end.min(size);
        run.access = run.access.min(size);
    }
    for gain in &mut kept.gained {
        gain.end = gain.end.min(size);
        gain.access = gain.access.min(size);
        gain.before = gain.before.min(size);
    }
}

fn record_at(block: &LogBlock, sequence: u64) -> Result<Record, StoreError> {
    let entry = block.at(sequence).and_then(|stored| wire::entry::decode(block.framed(stored)));
    let entry = entry.ok_or_else(|| unreadable(sequence))?;
    wire::envelope::of_entry(entry).map_err(|_refused| unreadable(sequence))
}

fn unreadable(sequence: u64) -> StoreError {
    StoreError::corrupt(format!("sequence {sequence}"), "it is unreadable")
}
