//! The outbox: what was signed and not yet answered.
//!
//! An envelope is synced here before it is sent and leaves when its receipt was checked or it was refused for
//! good. What waits is sent again byte for byte; nothing is ever signed twice.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use uuid::Uuid;

use crate::profile::ProfileError;
use crate::profile::files;

/// Batches that may wait at once: enough for a long outage, few enough to look at.
const BATCHES_MAX: usize = 100_000;

/// The folder of what waits.
#[derive(Clone, Debug)]
pub struct Outbox {
    folder: PathBuf,
}

/// A batch that waits.
#[derive(Debug, PartialEq, Eq)]
pub struct Waiting {
    path: PathBuf,
    /// The batch's bytes, as they were put.
    pub bytes: Vec<u8>,
}

impl Waiting {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Outbox {
    /// The outbox in a folder, which is made if it is absent.
    pub fn at(folder: &Path) -> Result<Self, ProfileError> {
        files::create_folder(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Puts a batch; when this returns it is on the disk. One sync a batch, whatever its size.
    pub fn put(&self, bytes: Vec<u8>) -> Result<Waiting, ProfileError> {
        // Names rise with time, so that what waits is sent in the order in which it was signed.
        let path = self.folder.join(format!("{}.batch", Uuid::now_v7()));
        files::write_private(&path, &bytes)?;
        Ok(Waiting { path, bytes })
    }

    /// Puts what is left of a batch in its place.
    pub fn shrink(&self, waiting: &Waiting, bytes: &[u8]) -> Result<(), ProfileError> {
        files::write_private(&waiting.path, bytes)
    }

    /// Removes a batch that was answered in full.
    pub fn remove(&self, waiting: &Waiting) -> Result<(), ProfileError> {
        files::remove(&waiting.path)
    }

    /// Every batch that waits, oldest first.
    pub fn waiting(&self) -> Result<Vec<Waiting>, ProfileError> {
        let failed = |source| ProfileError::Io { path: self.folder.clone(), verb: "read", source };
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "batch") {
                paths.push(path);
            }
            if paths.len() > BATCHES_MAX {
                return Err(ProfileError::Malformed {
                    path: self.folder.clone(),
                    why: format!("more than {BATCHES_MAX} batches wait"),
                });
            }
        }
        paths.sort_unstable();
        let read = paths.into_iter().filter_map(|path| match files::read(&path) {
            // Another process of this profile had its answer in the meantime.
            Err(ProfileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                None
            }
            read => Some(read.map(|bytes| Waiting { path, bytes })),
        });
        read.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_comes_back_in_order_and_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::at(&folder.path().join("outbox")).unwrap();
        let first = outbox.put(b"first".to_vec()).unwrap();
        let second = outbox.put(b"second".to_vec()).unwrap();
        let again = Outbox::at(&folder.path().join("outbox")).unwrap();
        assert_eq!(again.waiting().unwrap(), [first, second]);
    }

    #[test]
    fn an_answered_batch_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::at(&folder.path().join("outbox")).unwrap();
        let first = outbox.put(b"first".to_vec()).unwrap();
        let second = outbox.put(b"second".to_vec()).unwrap();
        outbox.remove(&first).unwrap();
        outbox.shrink(&second, b"sec").unwrap();
        let waiting = outbox.waiting().unwrap();
        assert_eq!(
            waiting.iter().map(|batch| batch.bytes.as_slice()).collect::<Vec<_>>(),
            [b"sec"]
        );
    }
}
