//! Opens the files: nothing is served of a log that is not what was known to be on the disk.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use arc_swap::ArcSwap;
use sled::Batch;
use sled::Db;

use crate::store::StoreError;
use crate::store::anchor::Anchor;
use crate::store::anchor::Known;
use crate::store::block;
use crate::store::closing::LastHandle;
use crate::store::index::Index;
use crate::store::index::Keys;
use crate::store::inspect;
use crate::store::keys;
use crate::store::log::Store;
use crate::store::log::release_pages;
use crate::store::log::system;
use crate::store::log::views::NAMES;
use crate::store::log::views::TERMS;
use crate::store::log::views::VALUES;
use crate::store::reserve;
use crate::store::reserve::Reserve;
use crate::store::space::Space;
use crate::transparency::proof;

/// The format of the data directory; another number is refused.
pub(in crate::store) const FORMAT: u32 = 4;

/// Bytes of sled's page cache; resident memory is two to three times that.
const CACHE_BYTES: u64 = 24 * 1024 * 1024;

/// How often a directory that another process is about to release is tried again.
const OPEN_ATTEMPTS: u32 = 50;

const OPEN_INTERVAL: Duration = Duration::from_millis(100);

/// Opens sled's files as they are.
pub(in crate::store) fn open_sled(path: &Path) -> Result<Db, StoreError> {
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
pub(in crate::store) fn prepare(db: &Db) -> Result<[u8; 32], StoreError> {
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
pub(super) fn writes(db: &Db) -> Result<u64, StoreError> {
    let row = db.get(keys::WRITES).map_err(StoreError::io("reading the count of writes"))?;
    let damaged = || StoreError::corrupt("the count of writes", "it is unreadable");
    row.map_or(Ok(0), |row| block::open(&row).and_then(keys::number).ok_or_else(damaged))
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
    /// sled cuts what it takes for torn, and writes a snapshot: open a copy.
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
        let last = LastHandle::new(db.clone());
        Ok(Self {
            reserve: reserve
                .inspect_err(|error| tracing::warn!(%error, "the log has no reserve"))
                .ok(),
            db,
            space: Space::new(&directory, min_free_bytes),
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
            _last: last,
        })
    }

    /// Demands as much as was known to be on the disk.
    pub(super) fn demand(&self) -> Result<(), StoreError> {
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
    pub(super) fn confirm(&self) -> Result<(), StoreError> {
        let Known { size, root, .. } = self.known;
        if size > 0 && proof::frontier(&self.tree(), size)?.root() != root {
            return Err(StoreError::corrupt("the log", "it is another than was on the disk"));
        }
        self.is_unsure.store(false, Ordering::Relaxed);
        Ok(())
    }
}
