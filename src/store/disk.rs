//! Where an index reads and writes many rows, and how: one by one, and in steps.
//!
//! sled writes a batch under a lock of its own, and who reads waits meanwhile: a run may have hundreds of megabytes.
//! And what no sync has reached may be torn by a power cut, so that there must not be much of it: see `inspect`. Of what
//! a range reads sled's cache takes no note, and hundreds of megabytes of pages would stay.

use std::ops::Bound;

use sled::Batch;
use sled::IVec;
use sled::Tree;

use crate::store::StoreError;
use crate::store::log::release_pages;

/// Bytes of one step, give or take a row.
const STEP_BYTES: usize = 1024 * 1024;
/// What removing a row costs, as bytes of a step: a thousand are removed in one.
const REMOVED_BYTES: usize = 1024;
/// Rows that are read before the pages that sled's cache dropped meanwhile are let go.
const ROWS_BETWEEN_RELEASES: usize = 256;

/// What an index writes to.
pub(super) trait Disk {
    /// The tree that has the rows.
    fn tree(&self) -> &Tree;
    /// Syncs what was written.
    fn wrote(&self, bytes: usize) -> Result<(), StoreError>;
    /// Returns when nobody reads any more whose look at what is in memory was before this.
    fn wait_for_readers(&self);
}

/// Writes and removes rows, in their order, a step at a time.
pub(super) struct Writer<'a> {
    pub(super) disk: &'a dyn Disk,
    batch: Batch,
    bytes: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(disk: &'a dyn Disk) -> Self {
        Self { disk, batch: Batch::default(), bytes: 0 }
    }

    pub(super) fn tree(&self) -> &'a Tree {
        self.disk.tree()
    }

    pub(super) fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        let bytes = key.len() + value.len();
        self.batch.insert(key, value);
        self.took(bytes)
    }

    pub(super) fn remove(&mut self, key: IVec) -> Result<(), StoreError> {
        self.batch.remove(key);
        self.took(REMOVED_BYTES)
    }

    /// Removes all rows whose keys begin alike.
    pub(super) fn remove_all(&mut self, prefix: Vec<u8>) -> Result<(), StoreError> {
        for row in rows_with(self.tree(), prefix) {
            self.remove(row?.0)?;
        }
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        self.write()
    }

    fn took(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.bytes += bytes;
        if self.bytes < STEP_BYTES { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let (batch, bytes) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.bytes));
        if bytes == 0 {
            return Ok(());
        }
        self.tree().apply_batch(batch).map_err(StoreError::io("writing an index"))?;
        release_pages();
        self.disk.wrote(bytes)
    }
}

/// Rows whose keys begin alike, read one by one.
pub(super) fn rows_with(
    tree: &Tree,
    prefix: Vec<u8>,
) -> impl Iterator<Item = Result<(IVec, IVec), StoreError>> {
    // More than any key of an index has behind it.
    let end = [&prefix[..], &[u8::MAX; 32]].concat();
    rows_between(tree, Bound::Included(prefix.into()), end.into())
}

/// Rows from a key to another, read one by one.
pub(super) fn rows_between(
    tree: &Tree,
    start: Bound<IVec>,
    end: IVec,
) -> impl Iterator<Item = Result<(IVec, IVec), StoreError>> {
    let (mut start, mut read) = (start, 0_usize);
    std::iter::from_fn(move || {
        let row = tree.range((start.clone(), Bound::Included(end.clone()))).next()?;
        if let Ok((key, _value)) = &row {
            start = Bound::Excluded(key.clone());
        }
        read += 1;
        if read.is_multiple_of(ROWS_BETWEEN_RELEASES) {
            release_pages();
        }
        Some(row.map_err(StoreError::io("reading an index")))
    })
}

/// A disk that is synced by nobody and read by nobody else.
#[cfg(test)]
impl Disk for sled::Db {
    fn tree(&self) -> &Tree {
        self
    }

    fn wrote(&self, _bytes: usize) -> Result<(), StoreError> {
        Ok(())
    }

    fn wait_for_readers(&self) {}
}
