//! Where verified records are kept: in a sink, whose records and whose place change in one step.
//!
//! What a batch does is decided purely ([`Step`]); a sink only carries it out. Whatever comes twice, or in another
//! order because access was gained later, ends in the same state.

mod effects;
mod folder;
mod jsonl;
mod lines;
mod sqlite;
mod stored;
mod target;

use std::io;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::client::origin::InvalidPlace;
use crate::client::subscribe::Place;
use crate::model::names::RecordName;
use crate::profile::ProfileError;

pub use self::effects::Effect;
pub use self::effects::Step;
pub use self::effects::Withdrawal;
pub use self::folder::FolderSink;
pub use self::jsonl::JsonlSink;
pub use self::sqlite::SqliteSink;
pub use self::stored::StoredRecord;
pub use self::stored::StoredRecords;
pub use self::target::InvalidTarget;
pub use self::target::Target;

/// Keeps records, and where the subscription stands.
pub trait Sink: Send {
    /// Where to go on; `None` if nothing took effect yet.
    fn place(&self) -> Option<&Place>;

    /// Carries a step out: its effects and its place, both or neither. When this returns `Ok` they are on the disk.
    /// Blocks. After an error the sink must be opened again.
    fn apply(&mut self, step: &Step) -> Result<Applied, SinkError>;
}

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Entries that were not there before.
    pub stored: u64,
    /// Entries that were there already.
    pub repeated: u64,
    /// For each withdrawal, whether its record was held: what a member answers to a recall.
    pub recalls: Vec<Recall>,
}

/// A withdrawal, and what the sink held of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recall {
    /// The withdrawal, as it was carried out.
    pub withdrawal: Withdrawal,
    /// What was held. The sink keeps this too: a step that is repeated says the same again.
    pub holding: Holding,
}

/// What a sink held of a record when its withdrawal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holding {
    /// It was held, and its payload is deleted, as the withdrawal demanded.
    Deleted,
    /// It is held, and marked as withdrawn.
    Held,
    /// No payload of it was held.
    NotHeld,
}

impl Holding {
    /// The word for it, as sinks write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Held => "held",
            Self::NotHeld => "not-held",
        }
    }
}

/// Why a sink cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It was made for something else: name another.
    #[error("{} cannot be used: {why}; name another", path.display())]
    Foreign {
        /// The sink.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Another process has it open.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The sink.
        path: PathBuf,
    },
    /// What it holds is not what it wrote.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A step failed before.
    #[error("{} must be opened again: a step of it failed", path.display())]
    Failed {
        /// The sink.
        path: PathBuf,
    },
    /// A small file of it.
    #[error(transparent)]
    File(#[from] ProfileError),
    /// The disk.
    #[error("{} cannot be {verb}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Read or written.
        verb: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database.
    #[error("the database {} fails", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

impl SinkError {
    fn foreign(path: &Path, why: impl Into<String>) -> Self {
        Self::Foreign { path: path.to_owned(), why: why.into() }
    }

    fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), why: why.into() }
    }

    fn place(path: &Path) -> impl FnOnce(InvalidPlace) -> Self {
        |error| match error {
            InvalidPlace::Foreign(_) => Self::foreign(path, error.to_string()),
            InvalidPlace::Cursor => Self::damaged(path, error.to_string()),
        }
    }

    fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.to_owned(), verb: "read", source }
    }

    fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.to_owned(), verb: "written", source }
    }
}

/// Carries a step out off the runtime's threads, and gives the sink back.
pub async fn apply_apart(
    mut sink: Box<dyn Sink>,
    step: Step,
) -> Result<(Box<dyn Sink>, Applied), SinkError> {
    let work = move || sink.apply(&step).map(|applied| (sink, applied));
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_ended| SinkError::Failed { path: PathBuf::from("the sink") })?
}

/// A place that says nothing yet is none.
fn known(place: &Place) -> Option<&Place> {
    (place.cursor.is_some() || place.sequence.is_some()).then_some(place)
}

/// Takes the lock of a sink that is its file's; it goes with the process.
fn lock(file: &std::fs::File, path: &Path) -> Result<(), SinkError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => Err(SinkError::InUse { path: path.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(SinkError::writing(path)(source)),
    }
}

/// Parses a name that a sink wrote itself.
fn own_name(text: &str, path: &Path) -> Result<RecordName, SinkError> {
    text.parse().map_err(|_no_name| SinkError::damaged(path, "it has a name that is none"))
}

#[cfg(test)]
pub(super) mod tests;
