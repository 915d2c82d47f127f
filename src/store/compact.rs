//! Copying a store into a fresh one: what was erased or replaced lies on in sled's files until then.

use std::path::Path;

use sled::Batch;

use crate::store::StoreError;
use crate::store::closing::LastHandle;
use crate::store::keys;
use crate::store::log::Store;
use crate::store::log::open_sled;

/// Bytes that are copied before they are flushed.
const COPIED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Copies everything but the indexes, which are folded anew when the copy is opened; tells how many rows were copied
/// so far. When this returns, the copy is on the disk.
pub fn copy(from: &Store, to: &Path, mut progress: impl FnMut(u64)) -> Result<u64, StoreError> {
    std::fs::create_dir_all(to).map_err(|error| StoreError::Io {
        action: "making the copy's directory",
        cause: error.to_string(),
    })?;
    let copy = open_sled(to)?;
    // Lets go after the copy.
    let (_last, copy) = (LastHandle::new(copy.clone()), copy);
    let (mut batch, mut bytes, mut rows) = (Batch::default(), 0, 0_u64);
    for row in from.db.iter() {
        let (key, value) = row.map_err(StoreError::io("reading the store"))?;
        if key.first() == Some(&keys::INDEX) {
            continue;
        }
        bytes += key.len() + value.len();
        rows += 1;
        batch.insert(key, value);
        if bytes >= COPIED_BYTES_MAX {
            write(&copy, std::mem::take(&mut batch))?;
            bytes = 0;
            progress(rows);
        }
    }
    write(&copy, batch)?;
    progress(rows);
    Ok(rows)
}

fn write(copy: &sled::Db, batch: Batch) -> Result<(), StoreError> {
    copy.apply_batch(batch).map_err(StoreError::io("writing the copy"))?;
    copy.flush().map(drop).map_err(StoreError::io("flushing the copy"))
}
