//! The log on disk: append a group, read.

mod erasing;
mod group;
mod open;
mod state;
mod sync;
mod views;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use sled::Batch;
use sled::Db;

use crate::store::StoreError;
use crate::store::anchor::Anchor;
use crate::store::anchor::Known;
use crate::store::block;
use crate::store::block::Decoded;
use crate::store::block::LogBlock;
use crate::store::closing::LastHandle;
use crate::store::disk::Disk;
use crate::store::index::Index;
use crate::store::inspect::Follower;
use crate::store::keys;
use crate::store::log::group::insert_blocks;
use crate::store::log::group::insert_marks;
use crate::store::log::group::insert_rows;
use crate::store::reserve::Reserve;
use crate::store::space::Space;
use crate::store::steps;
use crate::store::steps::Step;
use crate::store::tree;
use crate::transparency::Edge;

pub use self::erasing::Erasing;
pub use self::erasing::OpenDemand;
pub use self::group::Appended;
pub use self::group::Group;
pub use self::group::Head;
pub use self::group::NewEntry;
pub(super) use self::group::Rows;
pub use self::group::STATE_BYTES_MAX;
pub use self::group::StateChange;
pub use self::group::StateKey;
pub(super) use self::group::head_from_disk;
pub(super) use self::group::head_to_disk;
pub(super) use self::group::marks;
pub(super) use self::open::FORMAT;
pub(super) use self::open::open_sled;
#[cfg(test)]
pub(super) use self::open::prepare;
pub use self::views::Rebuilt;
pub use self::views::body_postings;

/// How often a page is asked for that is read out of order: half a microsecond each.
const NOTED_ACCESSES: u32 = 8;

/// The store. One thread writes, any may read.
#[derive(Debug)]
pub struct Store {
    /// Before the database, so that it ends first.
    reserve: Option<Reserve>,
    pub(super) db: Db,
    directory: File,
    space: Space,
    log_file: File,
    path: PathBuf,
    /// When `blobs` had changed last when it was found empty.
    blobs_empty_since: ArcSwap<Option<SystemTime>>,
    names: Index,
    values: Index,
    terms: Index,
    min_free_bytes: u64,
    cursor_key: [u8; 32],
    /// What was known to be on the disk before it was opened.
    known: Known,
    /// What the next start demands of the log; none of a store that is damaged.
    anchor: Option<Anchor>,
    /// Where sled's log ends in its file, and how far it was there at the last sync.
    end: Mutex<Option<Follower>>,
    synced_end: AtomicU64,
    /// Writes of state that no entry counts.
    writes: AtomicU64,
    /// Since when the writing thread is at work, in milliseconds behind the opening; 0: it is not.
    at_work_since: AtomicU64,
    opened: Instant,
    /// Whether nobody knows what is on the disk: nothing was demanded yet, or a flush or a sync failed.
    is_unsure: AtomicBool,
    /// Whether a write failed in the middle: sled may hold a part of it, which must not reach the disk.
    is_torn: AtomicBool,
    /// Nobody else opens the data directory while this is held.
    lock: Option<Arc<File>>,
    /// The Merkle tree's tiles that are not whole, as of the durable head.
    pub(super) edge: ArcSwap<Edge>,
    /// Held alone while bodies go, and shared by who reads what lies in several rows, a long block or postings: sled
    /// gives each row as it is at that moment.
    rewriting: RwLock<()>,
    /// Behind all others, so that it is the last.
    _last: LastHandle,
}

impl Store {
    /// Keeps a lock as long as the store is open.
    #[must_use]
    pub fn with_lock(mut self, lock: Arc<File>) -> Self {
        self.lock = Some(lock);
        self
    }

    /// The lock that is kept, for whoever needs it longer.
    pub fn lock(&self) -> Option<Arc<File>> {
        self.lock.clone()
    }

    /// Where the log stands; the default head if it is empty.
    pub fn head(&self) -> Result<Head, StoreError> {
        let Some(last) = self.db.range(keys::block(0)..=keys::block(u64::MAX)).next_back() else {
            return Ok(Head::default());
        };
        let damaged = || StoreError::corrupt("the head", "it is unreadable");
        let last = self.decode(&last.map_err(StoreError::io("reading the head"))?)?;
        head_from_disk(&last.head.ok_or_else(damaged)?)
    }

    /// The first sequence of a log behind whose group at most so many bytes of entries lie: no group is cut.
    pub fn first_within(&self, head: &Head, bytes: u64) -> Result<u64, StoreError> {
        let (mut low, mut high) = (0, head.frontier.size());
        // Heads lie behind the last entry of each group, and their bytes rise.
        while low < high {
            let middle = low + (high - low) / 2;
            let behind = self.head_behind(middle)?;
            let rest = head.bytes.saturating_sub(behind.bytes);
            if rest > bytes {
                low = behind.frontier.size();
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The head of the group that a sequence is in.
    fn head_behind(&self, sequence: u64) -> Result<Head, StoreError> {
        let mut decoded = self.decoded_at(sequence)?;
        loop {
            match decoded.head {
                Some(head) => return head_from_disk(&head),
                None => decoded = self.decoded_at(decoded.block.end())?,
            }
        }
    }

    /// Makes a group durable: one atomic write, one flush, one sync. When this returns `Ok` it survives a power cut.
    /// After any other error than [`StoreError::Full`] the process must end: what reached the disk is unknown.
    pub fn append(&self, group: &Group) -> Result<Appended, StoreError> {
        let appended = self.append_unnoted(group)?;
        self.raise_anchor(&group.head.frontier)?;
        Ok(appended)
    }

    /// The same for whoever notes the group by itself, with [`Store::raise_anchor`], as soon as those are told who wait for it.
    pub(crate) fn append_unnoted(&self, group: &Group) -> Result<Appended, StoreError> {
        self.demand_space()?;
        let count = u64::try_from(group.entries.len()).unwrap_or(u64::MAX);
        let first = group.head.frontier.size().saturating_sub(count);
        let mut rows = Vec::new();
        let blocks = if group.entries.is_empty() && !group.state.is_empty() {
            rows.push(self.count_write());
            Vec::new()
        } else {
            insert_blocks(&mut rows, first, group)?
        };
        for (sequence, entry) in (first..).zip(&group.entries) {
            insert_marks(&mut rows, sequence, entry.record.get());
        }
        let mut edge = Edge::clone(&self.edge.load());
        for entry in &group.entries {
            edge.push(entry.leaf_hash, |id, tile| rows.push(tree::row(id, tile)));
        }
        for change in &group.state {
            let value = change.bytes.as_ref().map(|bytes| block::seal(bytes).into());
            rows.push((change.key.row(), value));
        }
        let bytes = rows.iter().filter_map(|(_key, value)| Some(value.as_ref()?.len())).sum();
        let begun = Instant::now();
        steps::reached(Step::Judged);
        let rewritten = match &group.erasing {
            None => {
                self.write(rows)?;
                Vec::new()
            }
            Some(erasing) => self.write_erasing(rows, erasing)?,
        };
        let writing = begun.elapsed();
        steps::reached(Step::Written);
        // The commit point is the return of this sync: before it a power cut may take the group back.
        self.sync()?;
        let syncing = begun.elapsed().saturating_sub(writing);
        steps::reached(Step::Synced);
        self.edge.store(Arc::new(edge));
        if let Some(reserve) = &self.reserve {
            reserve.keep_ahead(bytes);
        }
        Ok(Appended { blocks, rewritten, writing, syncing })
    }

    /// Held while what lies in several rows is read as one.
    pub(super) fn shared(&self) -> RwLockReadGuard<'_, ()> {
        self.rewriting.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every block that can be read, of a store that may be damaged; how many could not.
    pub fn readable_blocks(&self, mut each: impl FnMut(&LogBlock)) -> u64 {
        let mut unreadable = 0;
        for row in self.db.range(keys::block(0)..=keys::block(u64::MAX)) {
            let is_lost = row.is_err();
            match row.map_err(StoreError::io("reading the log")).and_then(|row| self.decode(&row)) {
                Ok(decoded) => each(&decoded.block),
                Err(_damaged) => unreadable += 1,
            }
            // sled stays before a page that it cannot read, and says so for ever.
            if is_lost {
                break;
            }
        }
        release_pages();
        unreadable
    }

    fn decoded_at(&self, sequence: u64) -> Result<Decoded, StoreError> {
        let missing = || StoreError::missing(sequence);
        let range = keys::block(0)..=keys::block(sequence);
        let found = self.db.range(range).next_back().ok_or_else(missing)?;
        let decoded = self.decode(&found.map_err(StoreError::io("reading the log"))?)?;
        if sequence < decoded.block.end() { Ok(decoded) } else { Err(missing()) }
    }

    /// Writes rows, all or none. One row is atomic alone: sled writes twice for a batch.
    pub(super) fn write(&self, rows: Rows) -> Result<(), StoreError> {
        let written = if let [(key, Some(value))] = rows.as_slice() {
            self.db.insert(key, value.as_ref()).map(drop)
        } else {
            let mut batch = Batch::default();
            insert_rows(&mut batch, rows);
            self.db.apply_batch(batch)
        };
        self.written(written.map_err(StoreError::io("writing the log")))
    }

    /// The block that holds a sequence; `None` behind the head.
    pub fn block_at(&self, sequence: u64) -> Result<Option<LogBlock>, StoreError> {
        let range = keys::block(0)..=keys::block(sequence);
        let Some(found) = self.db.range(range).next_back() else {
            return Ok(None);
        };
        let (key, value) = found.map_err(StoreError::io("reading the log"))?;
        self.note(&key)?;
        let block = self.decode(&(key, value))?.block;
        Ok((sequence < block.end()).then_some(block))
    }

    /// Consecutive blocks from the one that holds a sequence, up to about so many bytes.
    pub fn blocks_from(
        &self,
        sequence: u64,
        bytes_max: usize,
    ) -> Result<Vec<LogBlock>, StoreError> {
        let Some(first) = self.block_at(sequence)? else {
            return Ok(Vec::new());
        };
        let mut bytes = first.bytes.len();
        let mut expected = first.end();
        let mut blocks = vec![first];
        // Row by row, not by a range: sled's cache takes note of pages only when it was asked 64 times, and a range
        // asks once for a whole page, so that hundreds of megabytes of pages would lie unnoticed.
        while bytes < bytes_max {
            let Some(block) = self.block_first(expected)? else { break };
            expected = block.end();
            bytes = bytes.saturating_add(block.bytes.len());
            blocks.push(block);
        }
        release_pages();
        Ok(blocks)
    }

    /// The block that begins at a sequence where one must begin; `None` at the head.
    fn block_first(&self, sequence: u64) -> Result<Option<LogBlock>, StoreError> {
        let key = keys::block(sequence);
        let mut found = self.get(&key)?;
        if found.is_none() {
            if sequence >= self.head()?.frontier.size() {
                return Ok(None);
            }
            // It may have been written since it was looked for; it cannot have been since the head was.
            found = self.get(&key)?;
        }
        let missing = || StoreError::corrupt(format!("block {sequence}"), "it is missing");
        let block = self.decode_row(sequence, &found.ok_or_else(missing)?)?.block;
        Ok((!block.entries.is_empty()).then_some(block))
    }

    fn decode(&self, (key, value): &(sled::IVec, sled::IVec)) -> Result<Decoded, StoreError> {
        let first = keys::first_number(key)
            .ok_or_else(|| StoreError::corrupt("the log", "a key is unreadable"))?;
        self.decode_row(first, value)
    }

    fn decode_row(&self, first: u64, value: &[u8]) -> Result<Decoded, StoreError> {
        let missing = |what| move || StoreError::corrupt(format!("block {first}"), what);
        let (_shared, read_again);
        let value = if block::is_one_value(value) {
            value
        } else {
            _shared = self.rewriting.read().unwrap_or_else(PoisonError::into_inner);
            read_again = self.get(&keys::block(first))?.ok_or_else(missing("it is missing"))?;
            read_again.as_ref()
        };
        block::decode(first, value, |number| {
            self.get(&keys::piece(first, number))?
                .map(|piece| piece.to_vec())
                .ok_or_else(missing("a piece is missing"))
        })
    }

    /// Has sled's cache take note of a page, and lets go of those that it drops for it. It takes note when a page and
    /// its neighbours in the cache were asked for 64 times; until then every page that was read once stays, which is
    /// hundreds of megabytes after some thousand look-ups.
    fn note(&self, key: &[u8]) -> Result<(), StoreError> {
        for _access in 0..NOTED_ACCESSES {
            self.get(key)?;
        }
        release_pages();
        Ok(())
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        self.db.get(key).map_err(StoreError::io("reading"))
    }
}

impl Disk for Store {
    fn tree(&self) -> &sled::Tree {
        &self.db
    }

    /// sled uses a segment again once what it held is written elsewhere, which need not be on the disk yet.
    fn wrote(&self, bytes: usize) -> Result<(), StoreError> {
        if bytes > 0 { self.sync() } else { Ok(()) }
    }

    fn wait_for_readers(&self) {
        drop(self.rewriting.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.settle() {
            tracing::warn!(%error, "the end of the log is not noted");
        }
        if self.is_torn.load(Ordering::Relaxed) {
            // sled writes what it holds when it ends. This ends with the process.
            std::mem::forget(self.db.clone());
        }
    }
}

/// Lets go of the pages that sled's cache dropped while this thread read. They wait for an epoch to pass in batches
/// of 64 a thread, which are megabytes when a page is 100 KiB.
pub(super) fn release_pages() {
    crossbeam_epoch::pin().flush();
}

fn system(action: &'static str, error: &std::io::Error) -> StoreError {
    StoreError::Io { action, cause: error.to_string() }
}
