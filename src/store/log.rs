//! The log on disk: open, append a group, read.

use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use bytes::Bytes;
use prost::Message as _;
use sha2::Digest as _;
use sha2::Sha256;
use sled::Batch;
use sled::Db;

use crate::model::facts::Facts;
use crate::model::facts::Scope;
use crate::model::head::HeadName;
use crate::model::header::BodyKind;
use crate::model::index_keys;
use crate::model::index_keys::Term;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::SubscriptionName;
use crate::model::names::sha256;
use crate::model::report::ReportName;
use crate::model::time::Timestamp;
use crate::signing::Verified;
use crate::store::StoreError;
use crate::store::anchor::Anchor;
use crate::store::anchor::Known;
use crate::store::block;
use crate::store::block::Builder;
use crate::store::block::Decoded;
use crate::store::block::LogBlock;
use crate::store::block::StoredEntry;
use crate::store::disk::Disk;
use crate::store::index::Index;
use crate::store::index::Keys;
use crate::store::index::Posting;
use crate::store::index::SPILLED;
use crate::store::inspect;
use crate::store::inspect::Follower;
use crate::store::inspect::Lsn;
use crate::store::keys;
use crate::store::reserve;
use crate::store::reserve::Reserve;
use crate::store::steps;
use crate::store::steps::Step;
use crate::store::tree;
use crate::transparency::Checkpoint;
use crate::transparency::Edge;
use crate::transparency::Frontier;
use crate::transparency::proof;
use crate::transparency::roster_digest;
use crate::wire::body::Content;
use crate::wire::disk;
use crate::wire::envelope::Record;

/// The format of the data directory; another number is refused.
pub(super) const FORMAT: u32 = 4;
/// Bytes of sled's page cache; resident memory is two to three times that.
const CACHE_BYTES: u64 = 24 * 1024 * 1024;
/// How often a page is asked for that is read out of order: half a microsecond each.
const NOTED_ACCESSES: u32 = 8;
/// The indexes, as their keys have them.
const NAMES: u8 = 1;
const VALUES: u8 = 2;
const TERMS: u8 = 3;
/// How often a directory that another process is about to release is tried again.
const OPEN_ATTEMPTS: u32 = 50;
const OPEN_INTERVAL: Duration = Duration::from_millis(100);
/// Far longer than any file system's clock takes to tick.
const BLOBS_SETTLED: Duration = Duration::from_secs(2);

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

/// Bodies that go with a group.
#[derive(Debug, Default)]
pub struct Erasing {
    /// Whose, each with the encoding that it has from now on. Rising.
    pub entries: Vec<(u64, Vec<u8>)>,
    /// The demand that is met by it: when it was due, and its sequence.
    pub met: Option<(Timestamp, u64)>,
    /// The first sequence whose body is still kept, if it is another from now on.
    pub floor: Option<u64>,
}

/// A demand to erase a record that is not met yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenDemand {
    /// From when on.
    pub due: Timestamp,
    /// The sequence of the withdrawal.
    pub sequence: u64,
    /// The record.
    pub of: RecordName,
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
    fn row(&self) -> Vec<u8> {
        match self {
            Self::Subscription(name) => keys::subscription(name),
            Self::Cosignature(member) => keys::cosignature(member),
            Self::Head(name) => keys::head(name),
            Self::Report(name) => keys::report(name),
            Self::Evidence(name, piece) => keys::evidence_piece(name, *piece),
        }
    }
}

/// What a rebuild of the views found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Entries that were folded.
    pub entries: u64,
    /// Whether the views were what the log says before.
    pub unchanged: bool,
}

/// The store. One thread writes, any may read.
#[derive(Debug)]
pub struct Store {
    /// Before the database, so that it ends first.
    reserve: Option<Reserve>,
    pub(super) db: Db,
    directory: File,
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
}

impl Store {
    /// Opens or makes the store in a directory. May hang on damaged files: call it under a watchdog.
    pub fn open(path: &Path, min_free_bytes: u64) -> Result<Self, StoreError> {
        let store = Self::open_log(path, min_free_bytes)?;
        store.catch_up()?;
        store.raise_tree()?;
        store.confirm()?;
        Ok(store)
    }

    /// The same of a store that is damaged, as far as sled makes anything of it: what is read of it must prove itself.
    pub fn open_damaged(path: &Path) -> Result<Self, StoreError> {
        Self::open_at(path, 0, open_sled(path)?, None)
    }

    /// The log without the views, which may be damaged: for [`Store::rebuild`]. It is as long as it was known to be.
    pub fn open_log(path: &Path, min_free_bytes: u64) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path)
            .map_err(|error| system("making the data directory", &error))?;
        let (db, known) = open_whole(path)?;
        let anchor = Anchor::begin(path, known.clone())?;
        let store = Self::open_at(path, min_free_bytes, db, Some((known, anchor)))?;
        store.demand()?;
        store.sync()?;
        // The names of new files, and what sled wrote beside the log while it opened.
        rustix::fs::syncfs(&store.directory)
            .map_err(|error| system("syncing the data volume", &error.into()))?;
        Ok(store)
    }

    fn open_at(
        path: &Path,
        min_free_bytes: u64,
        db: Db,
        noted: Option<(Known, Anchor)>,
    ) -> Result<Self, StoreError> {
        let (known, anchor) = noted.unzip();
        let directory =
            File::open(path).map_err(|error| system("opening the data directory", &error))?;
        let cursor_key = prepare(&db)?;
        let writes = writes(&db)?;
        let log_file = File::open(path.join("db"))
            .map_err(|error| system("opening the log's file", &error))?;
        let reserve = Reserve::new(&path.join("db"), min_free_bytes);
        Ok(Self {
            reserve: reserve
                .inspect_err(|error| tracing::warn!(%error, "the log has no reserve"))
                .ok(),
            db,
            directory,
            path: path.to_owned(),
            blobs_empty_since: ArcSwap::default(),
            names: Index::new(NAMES, Keys::Few),
            values: Index::new(VALUES, Keys::Few),
            terms: Index::new(TERMS, Keys::Many),
            min_free_bytes,
            cursor_key,
            known: known.unwrap_or_default(),
            anchor,
            end: Mutex::default(),
            synced_end: AtomicU64::new(0),
            log_file,
            writes: AtomicU64::new(writes),
            at_work_since: AtomicU64::new(0),
            opened: Instant::now(),
            is_unsure: AtomicBool::new(true),
            is_torn: AtomicBool::new(false),
            lock: None,
            edge: ArcSwap::default(),
            rewriting: RwLock::default(),
        })
    }

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

    /// Demands as much as was known to be on the disk.
    fn demand(&self) -> Result<(), StoreError> {
        if self.head()?.frontier.size() < self.known.size {
            return Err(StoreError::corrupt("the log", "its last entries are missing"));
        }
        if self.writes.load(Ordering::Relaxed) < self.known.writes {
            return Err(StoreError::corrupt("the state", "the last of it is missing"));
        }
        Ok(())
    }

    /// Demands that it is the log that was known to be on the disk, by the tree over it. Nothing is noted of what is
    /// there before.
    fn confirm(&self) -> Result<(), StoreError> {
        let Known { size, root, .. } = self.known;
        if size > 0 && proof::frontier(&self.tree(), size)?.root() != root {
            return Err(StoreError::corrupt("the log", "it is another than was on the disk"));
        }
        self.is_unsure.store(false, Ordering::Relaxed);
        Ok(())
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

    /// The first sequence of a log whose entries from there on have at most so many bytes together.
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
        self.raise_anchor(&group.head.frontier);
        self.edge.store(Arc::new(edge));
        if let Some(reserve) = &self.reserve {
            reserve.keep_ahead(bytes);
        }
        Ok(Appended { blocks, rewritten, writing, syncing })
    }

    /// Writes rows together with blocks whose entries lose their bodies, and forgets what those were found by.
    fn write_erasing(&self, rows: Rows, erasing: &Erasing) -> Result<Vec<LogBlock>, StoreError> {
        let mut batch = Batch::default();
        insert_rows(&mut batch, rows);
        let mut rewritten = Vec::new();
        let mut gone = Gone::default();
        let mut rest = erasing.entries.as_slice();
        while let Some((sequence, _framed)) = rest.first() {
            let old = self.decoded_at(*sequence)?;
            let here = rest.partition_point(|(sequence, _framed)| *sequence < old.block.end());
            let (own, later) = rest.split_at(here.max(1));
            rest = later;
            rewritten.push(rewrite(&old, own, &mut batch, &mut gone)?);
        }
        let _alone = self.rewriting.write().unwrap_or_else(PoisonError::into_inner);
        self.terms.forget(&gone.terms, &mut batch);
        self.values.forget(&gone.values, &mut batch);
        if let Some((due, sequence)) = erasing.met {
            batch.remove(keys::demand(due.as_micros(), sequence));
        }
        if let Some(floor) = erasing.floor {
            batch.insert(&keys::FLOOR, floor.to_be_bytes().to_vec());
        }
        self.written(self.db.apply_batch(batch).map_err(StoreError::io("writing the log")))?;
        Ok(rewritten)
    }

    /// Takes postings of bodies that are gone out of one short run, or one part of a long run, of each index; whether
    /// there were any. By the writing thread only. It is durable with the next group: what a crash takes back is swept
    /// again. Nothing is swept while the disk is full.
    pub fn sweep(&self) -> Result<bool, StoreError> {
        if !self.has_space()? {
            return Ok(false);
        }
        let mut any = false;
        // Names stay.
        for index in [&self.values, &self.terms] {
            let Some(swept) = index.sweep(&self.db)? else { continue };
            let bytes = {
                let _alone = self.rewriting.write().unwrap_or_else(PoisonError::into_inner);
                self.written(index.replace(&self.db, swept))?
            };
            self.wrote(bytes)?;
            any = true;
        }
        release_pages();
        Ok(any)
    }

    /// Held while what lies in several rows is read as one.
    pub(super) fn shared(&self) -> RwLockReadGuard<'_, ()> {
        self.rewriting.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row of the block that a sequence lies in, or of the last before it, and where that begins.
    pub(super) fn row_at(&self, sequence: u64) -> Result<(u64, sled::IVec), StoreError> {
        let missing = || StoreError::missing(sequence);
        let found = self.db.range(keys::block(0)..=keys::block(sequence)).next_back();
        let (key, row) = found.ok_or_else(missing)?.map_err(StoreError::io("reading the log"))?;
        Ok((keys::first_number(&key).ok_or_else(missing)?, row))
    }

    /// Rows that do not follow from the log: the cursor key, durable subscriptions, deliveries, reports of misbehaviour,
    /// each before its evidence.
    pub(super) fn kept_state(
        &self,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> {
        let prefixes = [
            keys::CURSOR_KEY.as_slice(),
            &[keys::SUBSCRIPTION],
            &[keys::DELIVERY],
            &[keys::REPORT],
            &[keys::EVIDENCE],
        ];
        let rows = prefixes.into_iter().flat_map(|prefix| self.db.scan_prefix(prefix));
        rows.map(|row| {
            let (key, value) = row.map_err(StoreError::io("reading the store"))?;
            Ok((key.to_vec(), value.to_vec()))
        })
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

    /// The end of as many entries at the beginning of a range as are found by so many postings of their bodies together;
    /// of one at least.
    pub fn end_within(&self, range: Range<u64>, postings: usize) -> Result<u64, StoreError> {
        let (mut next, mut left) = (range.start, postings);
        while next < range.end {
            let block = self.block_at(next)?.ok_or_else(|| StoreError::missing(next))?;
            if let Some(beyond) = first_beyond(&block, next, &mut left)? {
                return Ok(beyond.max(range.start + 1).min(range.end));
            }
            next = block.end();
        }
        Ok(range.end)
    }

    fn decoded_at(&self, sequence: u64) -> Result<Decoded, StoreError> {
        let missing = || StoreError::missing(sequence);
        let range = keys::block(0)..=keys::block(sequence);
        let found = self.db.range(range).next_back().ok_or_else(missing)?;
        let decoded = self.decode(&found.map_err(StoreError::io("reading the log"))?)?;
        if sequence < decoded.block.end() { Ok(decoded) } else { Err(missing()) }
    }

    /// Demands to erase that are not met yet.
    pub fn demands(&self) -> Result<Vec<OpenDemand>, StoreError> {
        let damaged = || StoreError::corrupt("the demands to erase", "one is unreadable");
        self.db
            .scan_prefix([keys::DEMAND])
            .map(|row| {
                let (key, name) = row.map_err(StoreError::io("reading demands"))?;
                let (due, sequence) = keys::demand_of(&key).ok_or_else(damaged)?;
                let name = std::str::from_utf8(&name).ok().and_then(|name| name.parse().ok());
                Ok(OpenDemand {
                    due: Timestamp::from_micros(due).ok_or_else(damaged)?,
                    sequence,
                    of: name.ok_or_else(damaged)?,
                })
            })
            .collect()
    }

    /// The first sequence whose body is kept, as far as retention goes.
    pub fn floor(&self) -> Result<u64, StoreError> {
        Ok(self.get_number(&keys::FLOOR)?.unwrap_or_default())
    }

    /// What was last known of deliveries: each an encoded `disk.v1.Delivery`.
    pub fn deliveries(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let damaged = || StoreError::corrupt("the deliveries", "one is unreadable");
        self.db
            .scan_prefix([keys::DELIVERY])
            .map(|row| {
                let (_key, value) = row.map_err(StoreError::io("reading deliveries"))?;
                Ok(block::open(&value).ok_or_else(damaged)?.to_vec())
            })
            .collect()
    }

    /// Writes what is known of deliveries. It is durable with the next group: to lose some of it is to say too little.
    pub fn keep_deliveries(&self, rows: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (key, value) in rows {
            batch.insert(keys::delivery(&key), block::seal(&value));
        }
        insert_rows(&mut batch, vec![self.count_write()]);
        self.written(self.db.apply_batch(batch).map_err(StoreError::io("writing deliveries")))
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

    /// Takes note of a write that failed: nothing that sled holds is written or noted any more.
    fn written<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if outcome.is_err() {
            self.is_unsure.store(true, Ordering::Relaxed);
            self.is_torn.store(true, Ordering::Relaxed);
        }
        outcome
    }

    /// Folds committed entries into the indexes, the first of which is at a sequence. In order, by the writing thread
    /// only.
    pub fn apply_views(&self, first: u64, entries: &[NewEntry]) -> Result<(), StoreError> {
        let mut scopes = ScopeKeys::default();
        for (sequence, entry) in (first..).zip(entries) {
            scopes.look_at(&entry.facts.scope);
            let posted = Posted { sequence, facts: &entry.facts, terms: &entry.terms };
            self.written(self.index(&posted, &scopes, [0; 3]))?;
        }
        Ok(())
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

    /// The place of one revision of a record.
    pub fn revision(&self, name: &RecordName, revision: u32) -> Result<Option<u64>, StoreError> {
        let digest = index_keys::revision_digest(&name.member, name.record, revision);
        for sequence in self.names.find(&self.db, index_keys::first_bits(&digest), 0, usize::MAX)? {
            // The index has only the beginning of the digest.
            let block = self.block_at(sequence)?;
            let facts =
                block.as_ref().and_then(|block| block.at(sequence)).map(|entry| &entry.facts);
            if facts.is_some_and(|facts| facts.revision == revision && facts.is_of(name)) {
                return Ok(Some(sequence));
            }
        }
        Ok(None)
    }

    /// The records whose first revision the index of names has under a key, with its place: more than one only if their
    /// digests begin alike.
    pub fn records_of_key(&self, key: u64) -> Result<Vec<(RecordName, u64)>, StoreError> {
        let mut records = Vec::new();
        for sequence in self.names.find(&self.db, key, 0, usize::MAX)? {
            let block = self.block_at(sequence)?;
            let Some(facts) =
                block.as_ref().and_then(|block| block.at(sequence)).map(|entry| &entry.facts)
            else {
                continue;
            };
            let digest =
                index_keys::revision_digest(&facts.scope.publisher, facts.record, facts.revision);
            if facts.revision == 1 && index_keys::first_bits(&digest) == key {
                records.push((facts.name(), sequence));
            }
        }
        Ok(records)
    }

    /// The latest revision of a record and its place. Revisions have no gaps, so that doubling finds one that is
    /// not there, and halving the last that is.
    pub fn latest(&self, name: &RecordName) -> Result<Option<(u32, u64)>, StoreError> {
        let Some(first) = self.revision(name, 1)? else {
            return Ok(None);
        };
        let (mut there, mut place) = (1_u32, first);
        let mut absent = 2;
        while let Some(sequence) = self.revision(name, absent)? {
            (there, place) = (absent, sequence);
            absent = absent.saturating_mul(2);
        }
        while absent - there > 1 {
            let middle = there + (absent - there) / 2;
            match self.revision(name, middle)? {
                Some(sequence) => (there, place) = (middle, sequence),
                None => absent = middle,
            }
        }
        Ok(Some((there, place)))
    }

    /// The place of the record's withdrawal.
    pub fn withdrawn(&self, name: &RecordName) -> Result<Option<u64>, StoreError> {
        self.get_number(&keys::withdrawn(name))
    }

    /// The place of the notice that a revision has a second header.
    pub fn conflict(&self, name: &RecordName, revision: u32) -> Result<Option<u64>, StoreError> {
        self.get_number(&keys::conflict(name, revision))
    }

    /// The places of all entries about the exchange itself, rising.
    pub fn roster_sequences(&self) -> Result<Vec<u64>, StoreError> {
        self.db
            .scan_prefix([keys::ROSTER])
            .keys()
            .map(|key| {
                let key = key.map_err(StoreError::io("reading the roster"))?;
                keys::first_number(&key)
                    .ok_or_else(|| StoreError::corrupt("the roster", "a key is unreadable"))
            })
            .collect()
    }

    /// Every durable subscription: its name and its encoded `disk.v1.Subscription`.
    pub fn subscriptions(&self) -> Result<Vec<(SubscriptionName, Vec<u8>)>, StoreError> {
        let damaged = || StoreError::corrupt("the durable subscriptions", "one is unreadable");
        self.db
            .scan_prefix([keys::SUBSCRIPTION])
            .map(|row| {
                let (key, value) = row.map_err(StoreError::io("reading subscriptions"))?;
                let name = keys::subscription_name(&key).ok_or_else(damaged)?;
                Ok((name, block::open(&value).ok_or_else(damaged)?.to_vec()))
            })
            .collect()
    }

    /// The newest checkpoint that each member cosigned: an encoded `disk.v1.Cosignature`.
    pub fn cosignatures(&self) -> Result<Vec<(MemberId, Vec<u8>)>, StoreError> {
        let damaged = || StoreError::corrupt("the cosignatures", "one is unreadable");
        self.db
            .scan_prefix([keys::COSIGNATURE])
            .map(|row| {
                let (key, value) = row.map_err(StoreError::io("reading cosignatures"))?;
                let member = keys::cosigner(&key).ok_or_else(damaged)?;
                Ok((member, block::open(&value).ok_or_else(damaged)?.to_vec()))
            })
            .collect()
    }

    /// The newest head of each publisher's key and scope: an encoded `disk.v1.PublisherHead`.
    pub fn heads(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let damaged = || StoreError::corrupt("the heads", "one is unreadable");
        self.db
            .scan_prefix([keys::HEAD])
            .map(|row| {
                let (_key, value) = row.map_err(StoreError::io("reading heads"))?;
                Ok(block::open(&value).ok_or_else(damaged)?.to_vec())
            })
            .collect()
    }

    /// Every report of misbehaviour: its name and its encoded `disk.v1.MisbehaviorReport`.
    pub fn reports(&self) -> Result<Vec<(ReportName, Vec<u8>)>, StoreError> {
        let damaged = || StoreError::corrupt("the reports of misbehaviour", "one is unreadable");
        self.db
            .scan_prefix([keys::REPORT])
            .map(|row| {
                let (key, value) = row.map_err(StoreError::io("reading reports"))?;
                let name = keys::report_name(&key).ok_or_else(damaged)?;
                Ok((name, block::open(&value).ok_or_else(damaged)?.to_vec()))
            })
            .collect()
    }

    /// The evidence of a report, byte for byte as it was handed in.
    pub fn evidence(&self, name: &ReportName) -> Result<Vec<u8>, StoreError> {
        let damaged = |what| {
            let digest = hex::encode(name.digest);
            StoreError::corrupt(format!("evidence {digest} of {}", name.reporter), what)
        };
        let mut evidence = Vec::new();
        for row in self.db.scan_prefix(keys::evidence(name)) {
            let (_key, value) = row.map_err(StoreError::io("reading evidence"))?;
            let piece = block::open(&value).ok_or_else(|| damaged("a piece is damaged"))?;
            evidence.extend_from_slice(piece);
        }
        release_pages();
        if sha256(&evidence) == name.digest {
            Ok(evidence)
        } else {
            Err(damaged("it is not what was handed in"))
        }
    }

    /// Places of indicators that may have this value and reach this group, rising; the digest must be compared still.
    pub fn find_value(
        &self,
        digest: &Digest,
        group: index_keys::Group,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        self.find(&self.values, (Term::value(digest).key(group), 0), limit)
    }

    /// Places from one on, rising, of entries that may have this term and reach this group. For a coarse term: of the
    /// first of every 64 among which an entry has it.
    pub fn find_term(
        &self,
        term: Term,
        group: index_keys::Group,
        from: u64,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        self.find(&self.terms, (term.key(group), from), limit)
    }

    fn find(
        &self,
        index: &Index,
        (key, from): Posting,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let _shared = self.rewriting.read().unwrap_or_else(PoisonError::into_inner);
        index.find(&self.db, key, from, limit)
    }

    /// The key that authenticates cursors and page tokens.
    pub fn cursor_key(&self) -> &[u8; 32] {
        &self.cursor_key
    }

    /// Drops every view and folds it again from the log.
    pub fn rebuild(&self) -> Result<Rebuilt, StoreError> {
        let before = match self.digest_of_swept() {
            Ok(digest) => Some(digest),
            // This is what a rebuild is for; should it be the log that is damaged, the fold below says so.
            Err(StoreError::Corrupt { .. }) => None,
            Err(error) => return Err(error),
        };
        self.clear_indexes()?;
        self.catch_up()?;
        self.clear_tree()?;
        self.raise_tree()?;
        self.sync()?;
        self.confirm()?;
        Ok(Rebuilt {
            entries: self.head()?.frontier.size(),
            unchanged: before == Some(self.views_digest()?),
        })
    }

    /// The digest of the views once nothing is left to be swept: the fold never has what is gone.
    fn digest_of_swept(&self) -> Result<Digest, StoreError> {
        self.catch_up()?;
        while self.sweep()? {}
        self.views_digest()
    }

    /// A digest of every row of the views, to compare a rebuild with what was there. What was written ahead of a run
    /// that is not full, and what is to be swept from it, comes and goes with restarts.
    pub fn views_digest(&self) -> Result<Digest, StoreError> {
        let mut hasher = Sha256::new();
        let indexes = [NAMES, VALUES, TERMS];
        let passing = indexes.map(|index| keys::level(index, SPILLED));
        let stale = indexes.map(keys::all_stale);
        let tiles = self.db.scan_prefix([keys::TILE]);
        for row in tiles.chain(self.db.scan_prefix([keys::INDEX])) {
            let (key, value) = row.map_err(StoreError::io("reading the views"))?;
            if passing.iter().any(|prefix| key.starts_with(prefix))
                || stale.iter().any(|prefix| key.starts_with(prefix))
            {
                continue;
            }
            hasher.update(&key);
            hasher.update(&value);
        }
        Ok(hasher.finalize().into())
    }

    /// Every posting of the runs that are not full, sorted: what a restart folds again.
    #[cfg(test)]
    pub(crate) fn views_in_memory(&self) -> Vec<Vec<(u64, u64)>> {
        [&self.names, &self.values, &self.terms].map(Index::open_postings).to_vec()
    }

    /// Whether nothing lies in sled's `blobs` folder, which no sync of the log's file would reach.
    pub fn blobs_are_empty(&self) -> bool {
        std::fs::read_dir(self.path.join("blobs")).map_or(true, |mut files| files.next().is_none())
    }

    /// The same, answered from the folder's time where that says that nothing came or went since it was empty.
    pub(super) fn blobs_are_still_empty(&self) -> bool {
        let folder = std::fs::metadata(self.path.join("blobs"));
        let changed = folder.and_then(|folder| folder.modified()).ok();
        if changed.is_some() && changed == *self.blobs_empty_since.load_full() {
            return true;
        }
        let is_empty = self.blobs_are_empty();
        // A file system's clock ticks: within one tick a file may come behind the look, and not change the time.
        let is_settled = |time: &SystemTime| time.elapsed().is_ok_and(|age| age > BLOBS_SETTLED);
        if is_empty && changed.as_ref().is_some_and(is_settled) {
            self.blobs_empty_since.store(Arc::new(changed));
        }
        is_empty
    }

    #[cfg(test)]
    pub(super) fn trusts_the_time_of_blobs(&self) -> bool {
        self.blobs_empty_since.load().is_some()
    }

    fn catch_up(&self) -> Result<(), StoreError> {
        let head = self.head()?.frontier.size();
        // All are written at the same sequences, but a crash may come between.
        let starts = [&self.names, &self.values, &self.terms].map(|index| index.start(self));
        let [names, values, terms] = starts;
        let starts = [names?, values?, terms?];
        let mut next = starts.iter().copied().min().unwrap_or_default();
        let mut scopes = ScopeKeys::default();
        while next < head {
            let blocks = self.blocks_from(next, 4 * 1024 * 1024)?;
            let Some(end) = blocks.last().map(LogBlock::end) else {
                return Err(StoreError::missing(next));
            };
            for block in &blocks {
                self.index_block(block, next, &mut scopes, starts)?;
            }
            next = end;
            // So that a power cut takes little of this again.
            self.sync()?;
        }
        Ok(())
    }

    /// Folds the entries of a block from a sequence on.
    fn index_block(
        &self,
        block: &LogBlock,
        from: u64,
        scopes: &mut ScopeKeys,
        starts: [u64; 3],
    ) -> Result<(), StoreError> {
        for (sequence, entry) in block.entries_from(from) {
            scopes.look_at(&entry.facts.scope);
            let terms = block.terms(entry)?;
            self.index(&Posted { sequence, facts: &entry.facts, terms: &terms }, scopes, starts)?;
        }
        Ok(())
    }

    fn clear_indexes(&self) -> Result<(), StoreError> {
        for index in [&self.names, &self.values, &self.terms] {
            while index.clear_some(&self.db)? {
                self.sync()?;
            }
        }
        Ok(())
    }

    /// Folds one entry into the indexes that do not have it yet: those that begin at or before its place.
    fn index(
        &self,
        entry: &Posted<'_>,
        scopes: &ScopeKeys,
        starts: [u64; 3],
    ) -> Result<(), StoreError> {
        let Posted { sequence, facts, terms } = entry;
        let [names, values, terms_start] = starts;
        let none = std::iter::empty;
        if *sequence >= names {
            let name =
                index_keys::revision_digest(&facts.scope.publisher, facts.record, facts.revision);
            self.names.apply(
                self,
                *sequence,
                [index_keys::first_bits(&name)].into_iter(),
                none(),
            )?;
        }
        if *sequence >= values {
            let value = facts.value_digest.as_ref().map(Term::value);
            self.values.apply(self, *sequence, scopes.keys(value.as_slice()), none())?;
        }
        if *sequence >= terms_start {
            let coarse = scopes.coarse.iter().copied();
            let operation = scopes.operation.as_slice();
            let keys = scopes.keys(terms).chain(scopes.keys(operation));
            self.terms.apply(self, *sequence, keys, coarse)?;
        }
        Ok(())
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

    fn get_number(&self, key: &[u8]) -> Result<Option<u64>, StoreError> {
        let Some(value) = self.get(key)? else {
            return Ok(None);
        };
        keys::number(&value)
            .map(Some)
            .ok_or_else(|| StoreError::corrupt("an index", "a place is unreadable"))
    }

    /// The row that counts a write of state beside the log: that it is missing is noticed by its number.
    fn count_write(&self) -> (Vec<u8>, Option<Bytes>) {
        let writes = self.writes.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        (keys::WRITES.to_vec(), Some(block::seal(&writes.to_be_bytes()).into()))
    }

    /// Says that the writing thread begins some work, or has done it.
    pub fn note_work(&self, begins: bool) {
        let since = if begins { self.milliseconds().max(1) } else { 0 };
        self.at_work_since.store(since, Ordering::Relaxed);
    }

    /// How long the writing thread has been at what it does now.
    pub fn at_work(&self) -> Duration {
        match self.at_work_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis(self.milliseconds().saturating_sub(since)),
        }
    }

    /// Whether a write failed of which the writing thread does not hear: sled may let it wait for ever. Blocks while a
    /// disk is slow.
    pub fn has_failed(&self) -> bool {
        self.db.flush().is_err()
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Notes where the log ends now that nothing more is to be written: the next start demands all of it.
    pub fn settle(&self) -> Result<(), StoreError> {
        if self.is_unsure.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.db.flush().map_err(StoreError::io("flushing"))?;
        // What is seen is synced then, and not the other way round.
        let end = inspect::tip(&self.log_file)?;
        self.sync()?;
        self.raise_anchor(&self.head()?.frontier);
        self.anchor.as_ref().map_or(Ok(()), |anchor| anchor.rest(end))
    }

    /// Notes what is durable.
    fn raise_anchor(&self, frontier: &Frontier) {
        if let Some(anchor) = &self.anchor {
            anchor.raise(&Known {
                lsn: self.synced_end.load(Ordering::Relaxed),
                size: frontier.size(),
                root: frontier.root(),
                writes: self.writes.load(Ordering::Relaxed),
            });
        }
    }

    /// Where the log ends that sled has given to the file system, as far as that can be seen.
    fn end(&self) -> Option<Lsn> {
        self.anchor.as_ref()?;
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let mut follow = || match &mut *end {
            Some(follower) => follower.follow(&self.log_file),
            none => none.insert(Follower::new(&self.log_file)?).follow(&self.log_file),
        };
        follow().inspect_err(|error| tracing::warn!(%error, "the end of the log is not seen")).ok()
    }

    /// Flushes sled's buffers to the file system and those to the disk: on Linux sled's own flush ends before the
    /// disk has anything. The log's file is all that there is to sync as long as `blobs` is empty, which the bound
    /// on values sees to; should anything lie there, the whole volume is synced.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let flushed = self.db.flush().map(drop).map_err(StoreError::io("flushing"));
        steps::reached(Step::Flushed);
        let synced = flushed.and_then(|()| {
            // What is seen now is synced then, and not the other way round.
            let end = self.end();
            let synced = if self.blobs_are_still_empty() {
                rustix::fs::fdatasync(&self.log_file)
            } else {
                rustix::fs::syncfs(&self.directory)
            };
            synced.map_err(|error| system("syncing the log", &error.into()))?;
            self.synced_end.fetch_max(end.unwrap_or_default(), Ordering::Relaxed);
            Ok(())
        });
        if synced.is_err() {
            self.is_unsure.store(true, Ordering::Relaxed);
        }
        synced
    }

    /// Bytes that are free on the data volume.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        free_bytes(&self.directory).map_err(|error| system("asking for free space", &error))
    }

    /// Whether anything may be written: publishing keeps so many bytes free.
    pub fn has_space(&self) -> Result<bool, StoreError> {
        Ok(self.free_bytes()? >= self.min_free_bytes)
    }

    fn demand_space(&self) -> Result<(), StoreError> {
        let free = self.free_bytes()?;
        if free < self.min_free_bytes {
            return Err(StoreError::Full { free, minimum: self.min_free_bytes });
        }
        Ok(())
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

/// Bytes that are free on the volume of a file.
pub(super) fn free_bytes(file: &File) -> std::io::Result<u64> {
    let volume = rustix::fs::fstatvfs(file)?;
    Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
}

/// Opens sled's files as they are.
pub(super) fn open_sled(path: &Path) -> Result<Db, StoreError> {
    open_files(path, || Ok(Some(()))).map(|(db, ())| db)
}

/// Opens them if they are whole as far as they were known to be on the disk: sled would cut them, and say nothing.
fn open_whole(path: &Path) -> Result<(Db, Known), StoreError> {
    open_files(path, || inspect::check(path))
}

/// Opens them once nobody has them; `look` looks at them before, and has nothing to say while somebody has.
fn open_files<T>(
    path: &Path,
    look: impl Fn() -> Result<Option<T>, StoreError>,
) -> Result<(Db, T), StoreError> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None)
        .mode(sled::Mode::HighThroughput);
    let db = path.join("db");
    let looked = || {
        let is_locked = reserve::cut(&db);
        let is_locked = is_locked.map_err(|error| system("opening the log's file", &error))?;
        if is_locked { Ok(None) } else { look() }
    };
    for _attempt in 0..OPEN_ATTEMPTS {
        // The lock of a process that was just killed goes with it, a little later; that of a store which this process
        // just dropped waits among sled's garbage. sled's own error does not say so in its kind.
        if let Some(seen) = looked()? {
            match config.open() {
                Err(sled::Error::Io(_)) if looked()?.is_none() => {}
                opened => {
                    let opened = opened.map_err(StoreError::io("opening the store"));
                    return opened.map(|db| (db, seen));
                }
            }
        }
        release_pages();
        std::thread::park_timeout(OPEN_INTERVAL);
    }
    Err(StoreError::InUse)
}

/// Checks the format, or writes it into an empty store; returns the cursor key.
pub(super) fn prepare(db: &Db) -> Result<[u8; 32], StoreError> {
    let format = db.get(keys::FORMAT).map_err(StoreError::io("reading the format"))?;
    let Some(format) = format else {
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|error| StoreError::Io { action: "making a key", cause: error.to_string() })?;
        let mut batch = Batch::default();
        batch.insert(&keys::FORMAT, FORMAT.to_be_bytes().to_vec());
        batch.insert(&keys::CURSOR_KEY, block::seal(&key));
        db.apply_batch(batch).map_err(StoreError::io("writing the format"))?;
        return Ok(key);
    };
    let found = format.as_ref().try_into().map_or(0, u32::from_be_bytes);
    if found != FORMAT {
        return Err(StoreError::Format { found, expected: FORMAT });
    }
    db.get(keys::CURSOR_KEY)
        .map_err(StoreError::io("reading the cursor key"))?
        .and_then(|value| block::open(&value)?.try_into().ok())
        .ok_or_else(|| StoreError::corrupt("the cursor key", "it is unreadable"))
}

/// How many writes of state were counted.
fn writes(db: &Db) -> Result<u64, StoreError> {
    let row = db.get(keys::WRITES).map_err(StoreError::io("reading the count of writes"))?;
    let damaged = || StoreError::corrupt("the count of writes", "it is unreadable");
    row.map_or(Ok(0), |row| block::open(&row).and_then(keys::number).ok_or_else(damaged))
}

/// Postings of bodies that go.
#[derive(Default)]
struct Gone {
    terms: HashSet<Posting>,
    values: HashSet<Posting>,
}

/// Builds a block anew in which some entries have another encoding, and notes what their bodies were found by. It is
/// never larger than it was.
fn rewrite(
    old: &Decoded,
    erased: &[(u64, Vec<u8>)],
    batch: &mut Batch,
    gone: &mut Gone,
) -> Result<LogBlock, StoreError> {
    let first = old.block.first;
    let mut builder = Builder::new(first);
    let mut scopes = ScopeKeys::default();
    for (sequence, entry) in old.block.entries_from(0) {
        let erased = erased.iter().find(|(other, _framed)| *other == sequence);
        let taken = match erased {
            None => builder.take(&entry.facts, &old.block.framed(entry))?,
            Some((_sequence, framed)) => {
                scopes.look_at(&entry.facts.scope);
                let terms = old.block.terms(entry)?;
                // What the scope says stays.
                let stays: Vec<u64> = scopes.keys(scopes.operation.as_slice()).collect();
                let keys = scopes.keys(&terms).filter(|key| !stays.contains(key));
                gone.terms.extend(keys.map(|key| (key, sequence)));
                let value = entry.facts.value_digest.as_ref().map(Term::value);
                gone.values.extend(scopes.keys(value.as_slice()).map(|key| (key, sequence)));
                builder.take(&Facts { value_digest: None, ..entry.facts.clone() }, framed)?
            }
        };
        if !taken {
            return Err(StoreError::corrupt(format!("block {first}"), "it grew"));
        }
    }
    let built = builder.build(old.head.as_deref())?;
    batch.insert(keys::block(first), built.row.as_ref());
    let pieces = u16::try_from(built.pieces.len()).unwrap_or(u16::MAX);
    for (number, piece) in (0_u16..).zip(built.pieces) {
        batch.insert(keys::piece(first, number), piece);
    }
    for number in pieces..old.pieces {
        batch.remove(keys::piece(first, number));
    }
    Ok(built.block)
}

/// The first entry of a block, from a sequence on, whose body is found by more postings than are left.
fn first_beyond(block: &LogBlock, from: u64, left: &mut usize) -> Result<Option<u64>, StoreError> {
    for (sequence, entry) in block.entries_from(from) {
        match left.checked_sub(body_postings(block, entry)?) {
            Some(rest) => *left = rest,
            None => return Ok(Some(sequence)),
        }
    }
    Ok(None)
}

/// How many postings an entry's body is found by, at most.
pub fn body_postings(block: &LogBlock, entry: &StoredEntry) -> Result<usize, StoreError> {
    let groups = index_keys::Group::of_scope(&entry.facts.scope).len();
    // One more for its value.
    Ok((block.terms(entry)?.len() + 1).saturating_mul(groups))
}

/// An entry as the indexes take it.
struct Posted<'a> {
    sequence: u64,
    facts: &'a Facts,
    terms: &'a [Term],
}

/// What a scope adds to the keys of its entries; neighbours share one, so that it is worked out once.
#[derive(Default)]
struct ScopeKeys {
    scope: Option<Arc<Scope>>,
    groups: Vec<index_keys::Group>,
    coarse: Vec<u64>,
    /// The operation that they belong to, or that they say something about.
    operation: Option<Term>,
}

impl ScopeKeys {
    fn look_at(&mut self, scope: &Arc<Scope>) {
        if self.scope.as_ref().is_some_and(|known| Arc::ptr_eq(known, scope) || known == scope) {
            return;
        }
        self.groups = index_keys::Group::of_scope(scope);
        let coarse = index_keys::coarse_terms(scope);
        self.coarse = self.keys(&coarse).collect();
        let shape = scope.shapes.first();
        self.operation = shape.and_then(|shape| shape.operation.as_ref()).map(Term::about);
        self.scope = Some(Arc::clone(scope));
    }

    /// The keys of terms, one for each group that the scope reaches.
    fn keys(&self, terms: &[Term]) -> impl Iterator<Item = u64> {
        terms.iter().flat_map(|term| self.groups.iter().map(|group| term.key(*group)))
    }
}

/// Keys and values that are written together; without a value the key goes.
pub(super) type Rows = Vec<(Vec<u8>, Option<Bytes>)>;

fn insert_rows(batch: &mut Batch, rows: Rows) {
    for (key, value) in rows {
        match value {
            Some(value) => batch.insert(key, value.as_ref()),
            None => batch.remove(key),
        }
    }
}

fn insert_blocks(rows: &mut Rows, first: u64, group: &Group) -> Result<Vec<LogBlock>, StoreError> {
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

fn insert_marks(rows: &mut Rows, sequence: u64, record: &Record) {
    rows.extend(marks(sequence, record));
    insert_demand(rows, sequence, record);
}

/// Rows that follow from an entry for good.
pub(super) fn marks(sequence: u64, record: &Record) -> Rows {
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

pub(super) fn head_from_disk(payload: &[u8]) -> Result<Head, StoreError> {
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

pub(super) fn head_to_disk(head: &Head) -> disk::Head {
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

/// Lets go of the pages that sled's cache dropped while this thread read. They wait for an epoch to pass in batches
/// of 64 a thread, which are megabytes when a page is 100 KiB.
pub(super) fn release_pages() {
    crossbeam_epoch::pin().flush();
}

fn system(action: &'static str, error: &std::io::Error) -> StoreError {
    StoreError::Io { action, cause: error.to_string() }
}
