//! To the disk: flush and sync, what is noted of them, space, and what failed.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use bytes::Bytes;

use crate::store::StoreError;
use crate::store::anchor::Known;
use crate::store::block;
use crate::store::inspect;
use crate::store::inspect::Follower;
use crate::store::inspect::Lsn;
use crate::store::keys;
use crate::store::log::Store;
use crate::store::log::system;
use crate::store::space;
use crate::store::steps;
use crate::store::steps::Step;
use crate::transparency::Frontier;

/// Far longer than any file system's clock takes to tick.
const BLOBS_SETTLED: Duration = Duration::from_secs(2);

impl Store {
    /// Takes note of a write that failed: nothing that sled holds is written or noted any more.
    pub(super) fn written<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if outcome.is_err() {
            self.is_unsure.store(true, Ordering::Relaxed);
            self.is_torn.store(true, Ordering::Relaxed);
        }
        outcome
    }

    /// The row that counts a write of state beside the log: that it is missing is noticed by its number.
    pub(super) fn count_write(&self) -> (Vec<u8>, Option<Bytes>) {
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

    pub(super) fn milliseconds(&self) -> u64 {
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
        self.raise_anchor(&self.head()?.frontier)?;
        self.anchor.as_ref().map_or(Ok(()), |anchor| anchor.rest(end))
    }

    /// Notes what is durable.
    pub(crate) fn raise_anchor(&self, frontier: &Frontier) -> Result<(), StoreError> {
        let Some(anchor) = &self.anchor else { return Ok(()) };
        anchor.raise(&Known {
            lsn: self.synced_end.load(Ordering::Relaxed),
            size: frontier.size(),
            root: frontier.root(),
            writes: self.writes.load(Ordering::Relaxed),
        })
    }

    /// Where the log ends that sled has given to the file system, as far as that can be seen.
    pub(super) fn end(&self) -> Option<Lsn> {
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
    pub(in crate::store) fn sync(&self) -> Result<(), StoreError> {
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
        space::free_bytes(&self.directory).map_err(|error| system("asking for free space", &error))
    }

    /// Whether anything may be written: publishing keeps so many bytes free, and asks whether a quota leaves some.
    pub fn has_space(&self) -> Result<bool, StoreError> {
        self.has_space_with(self.free_bytes()?)
    }

    pub(in crate::store) fn has_space_with(&self, free: u64) -> Result<bool, StoreError> {
        if free < self.min_free_bytes {
            return Ok(false);
        }
        let asked = self.log_file.metadata().and_then(|file| self.space.is_given(file.len()));
        asked.map_err(|error| system("asking for space", &error))
    }

    pub(super) fn demand_space(&self) -> Result<(), StoreError> {
        let free = self.free_bytes()?;
        if self.has_space_with(free)? {
            return Ok(());
        }
        Err(StoreError::Full { free, minimum: self.min_free_bytes })
    }

    /// Whether nothing lies in sled's `blobs` folder, which no sync of the log's file would reach.
    pub fn blobs_are_empty(&self) -> bool {
        std::fs::read_dir(self.path.join("blobs")).map_or(true, |mut files| files.next().is_none())
    }

    /// The same, answered from the folder's time where that says that nothing came or went since it was empty.
    pub(in crate::store) fn blobs_are_still_empty(&self) -> bool {
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

    /// The same store, of which no write is ever known to be on the disk: this file cannot be synced.
    #[cfg(test)]
    pub(crate) fn without_a_disk(mut self) -> Self {
        self.log_file = std::fs::File::open("/dev/null").expect("it is everywhere");
        self
    }

    #[cfg(test)]
    pub(in crate::store) fn trusts_the_time_of_blobs(&self) -> bool {
        self.blobs_empty_since.load().is_some()
    }
}
