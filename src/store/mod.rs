//! The disk: keys, values, batches, schema version.
//!
//! One sled tree holds the log as blocks, the indexes and a little state; `keys` is the whole key space. A group of
//! entries becomes durable in one atomic write, one flush and one sync of the log's file: sled's flush alone never reaches the disk on Linux. Nothing but this module names `sled`.

mod anchor;
mod backup;
mod block;
mod closing;
mod compact;
mod disk;
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod inspect;
mod keys;
mod log;
mod merge;
mod reserve;
mod sieve;
mod space;
mod spill;
pub(crate) mod steps;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;
mod tree;

pub use self::backup::BACKUP_MAGIC;
pub use self::backup::BackupError;
pub use self::backup::BackupSummary;
pub use self::backup::export;
pub use self::backup::import;
pub use self::backup::read_backup;
pub use self::block::LogBlock;
pub use self::block::StoredEntry;
pub use self::closing::hide_panics_of_closing;
pub use self::compact::copy;
pub use self::index::COARSE_SEQUENCES;
pub use self::index::RUN_SEQUENCES;
pub use self::log::Appended;
pub use self::log::Erasing;
pub use self::log::Group;
pub use self::log::Head;
pub use self::log::NewEntry;
pub use self::log::OpenDemand;
pub use self::log::Rebuilt;
pub use self::log::STATE_BYTES_MAX;
pub use self::log::StateChange;
pub use self::log::StateKey;
pub use self::log::Store;
pub use self::log::body_postings;
pub use self::reserve::is_open;
pub use self::tree::Tree;
pub use self::tree::leaf;

/// What went wrong with the disk.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Fewer bytes are free than the guard demands, or a quota leaves too little of them; nothing was written.
    #[error("the data volume has {free} bytes free; {minimum} must be, and no quota used up")]
    Full {
        /// Bytes free.
        free: u64,
        /// Bytes that must be.
        minimum: u64,
    },
    /// Bytes on the disk are not what was written.
    #[error("damage at {place}: {what}; restore from a backup, or see docs/OPERATIONS.md")]
    Corrupt {
        /// Where.
        place: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The data directory was written by another version.
    #[error("the data directory has format {found}, this program reads format {expected}")]
    Format {
        /// The format found.
        found: u32,
        /// The format that this program reads.
        expected: u32,
    },
    /// Another process has the data directory open.
    #[error("another process has the data directory open")]
    InUse,
    /// A read, write, flush or sync failed.
    #[error("{action} failed: {cause}")]
    Io {
        /// What failed.
        action: &'static str,
        /// Why.
        cause: String,
    },
}

impl StoreError {
    fn io(action: &'static str) -> impl FnOnce(sled::Error) -> Self {
        move |cause| {
            if let sled::Error::Corruption { at, .. } = cause {
                let place = at.map_or_else(
                    || format!("sled's files ({action})"),
                    |at| format!("byte {} of the log's file ({action})", at.lid()),
                );
                return Self::Corrupt { place, what: "a checksum of sled's does not match" };
            }
            if is_damage(&cause) {
                return Self::corrupt("the store's files", "sled cannot read them");
            }
            Self::Io { action, cause: cause.to_string() }
        }
    }

    /// The damage of an entry that must be there and is not.
    pub fn missing(sequence: u64) -> Self {
        Self::corrupt(format!("sequence {sequence}"), "it is missing")
    }

    pub(crate) fn corrupt(place: impl std::fmt::Display, what: &'static str) -> Self {
        Self::Corrupt { place: place.to_string(), what }
    }
}

/// Whether sled failed for what lies on the disk, and not for what the disk did: starting again does not help then.
fn is_damage(error: &sled::Error) -> bool {
    use std::io::ErrorKind;

    match error {
        sled::Error::Corruption { .. } => true,
        sled::Error::Io(error) => {
            matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData)
        }
        sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_) => false,
    }
}
