//! Compaction, with the hub stopped: the store is written anew, the copy is verified, and takes the store's place in
//! one step. Erased bodies lie on the disk until then.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::CWD;
use rustix::fs::RenameFlags;
use rustix::fs::renameat_with;

use crate::exchange::LogFault;
use crate::exchange::LogReport;
use crate::exchange::verify_log;
use crate::server::config::Config;
use crate::server::run::ServeError;
use crate::server::run::open_store;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::copy;

/// The copy while it is made; afterwards, for a moment, what was there before.
pub(super) const COPY: &str = "store.compact";

/// Why a store was not compacted. It is as it was, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] ServeError),
    /// The log does not hold: compacting it would hide that.
    #[error("the log does not hold; nothing was changed: {0}")]
    Log(LogFault),
    /// The copy does not hold.
    #[error("the copy does not hold, and was thrown away; nothing was changed: {0}")]
    Copy(String),
    /// The disk, while the copy was made.
    #[error("the copy cannot be made; nothing was changed: {0}")]
    Store(StoreError),
    /// A file.
    #[error("{action}: {cause}")]
    File {
        /// What failed.
        action: &'static str,
        /// Why.
        cause: std::io::Error,
    },
}

/// What a compaction came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The log, before and after.
    pub report: LogReport,
    /// Bytes of the store's folder before.
    pub bytes_before: u64,
    /// Bytes of it after.
    pub bytes_after: u64,
}

/// Writes the store of a data directory anew; `progress` hears what is done now, and how far it is.
pub fn compact(
    config: &Config,
    mut progress: impl FnMut(&'static str, u64),
) -> Result<Compacted, CompactError> {
    let (place, copy_place) = (config.data.join("store"), config.data.join(COPY));
    let store = open_store(config)?;
    let report = verify_log(&store, |entries| progress("checking the log", entries))
        .map_err(CompactError::Log)?;
    let bytes_before = size(&place).map_err(file("measuring the store"))?;
    copy(&store, &copy_place, |rows| progress("copying", rows)).map_err(CompactError::Store)?;
    let fresh = Store::open(&copy_place, 0).map_err(CompactError::Store)?;
    check(&fresh, &report, &mut progress).inspect_err(|_fault| throw_away(&copy_place))?;
    // A copy whose anchor knows nothing could lose its end unnoticed.
    fresh.settle().map_err(CompactError::Store)?;
    // Nobody may open either between here and the end.
    let _lock = store.lock();
    drop((fresh, store));
    // In one step: whatever happens, `store` is one of the two, whole.
    renameat_with(CWD, &place, CWD, &copy_place, RenameFlags::EXCHANGE)
        .map_err(|error| file("putting the copy in the store's place")(error.into()))?;
    sync(&config.data)?;
    std::fs::remove_dir_all(&copy_place).map_err(file("removing the old store"))?;
    sync(&config.data)?;
    let bytes_after = size(&place).map_err(file("measuring the store"))?;
    Ok(Compacted { report, bytes_before, bytes_after })
}

/// Removes what a compaction left that did not come to its end: it may hold what was erased.
pub(super) fn remove_leftover(data: &Path) -> std::io::Result<bool> {
    let leftover = data.join(COPY);
    if !leftover.exists() {
        return Ok(false);
    }
    std::fs::remove_dir_all(leftover).map(|()| true)
}

fn check(
    fresh: &Store,
    report: &LogReport,
    progress: &mut impl FnMut(&'static str, u64),
) -> Result<(), CompactError> {
    let copied = verify_log(fresh, |entries| progress("checking the copy", entries))
        .map_err(|fault| CompactError::Copy(fault.to_string()))?;
    if copied == *report {
        return Ok(());
    }
    Err(CompactError::Copy("it is another log".to_owned()))
}

/// The fault that made it necessary is what is told.
fn throw_away(copy: &Path) {
    if let Err(error) = std::fs::remove_dir_all(copy) {
        tracing::warn!(%error, "the copy could not be removed");
    }
}

fn sync(folder: &Path) -> Result<(), CompactError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(file("syncing the data directory"))
}

fn file(action: &'static str) -> impl FnOnce(std::io::Error) -> CompactError {
    move |cause| CompactError::File { action, cause }
}

fn size(folder: &Path) -> std::io::Result<u64> {
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                bytes += metadata.len();
            }
        }
    }
    Ok(bytes)
}
