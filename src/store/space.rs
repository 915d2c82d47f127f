//! Space: what is free on the data volume, and whether a quota leaves any of it.
//!
//! What may not be written must be refused before it is: after a write that fails the process has to end. The figure
//! of free bytes says it of a full volume, and of a project quota of ext4 or XFS. It does not say it of a user's quota
//! or of a limit of btrfs, at which a write simply fails (EDQUOT). So each time that the log has grown by a little, a
//! nameless file beside it asks for more than that, and gives it back at once.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::FallocateFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Bytes that are asked for, where as many are to be kept free: more than is written until it is asked again, several
/// groups with their postings included.
const ASKED_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes by which the log grows until it is asked again.
const GROWTH_BYTES: u64 = 16 * 1024 * 1024;
/// When it is asked again after a refusal.
const AGAIN: Duration = Duration::from_secs(1);

/// Bytes that are free on the volume of a file.
pub(super) fn free_bytes(file: &File) -> std::io::Result<u64> {
    let volume = rustix::fs::fstatvfs(file)?;
    Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
}

/// Asks for space on a volume.
#[derive(Debug)]
pub(super) struct Space {
    /// It has no name, so that a crash leaves nothing of it. None where the file system knows no such files.
    file: Option<OwnedFd>,
    bytes: u64,
    last: Mutex<Option<Answer>>,
}

/// What the volume said, and how long the log was then.
#[derive(Clone, Copy, Debug)]
struct Answer {
    length: u64,
    at: Instant,
    is_given: bool,
}

impl Space {
    /// On the volume of a folder of which so many bytes are to be kept free.
    pub(super) fn new(directory: &File, min_free_bytes: u64) -> Self {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, c".", flags, Mode::RUSR | Mode::WUSR);
        let file = file.inspect_err(
            |error| tracing::warn!(%error, "a quota of the data volume will not be noticed before it is used up"),
        );
        Self { file: file.ok(), bytes: min_free_bytes.min(ASKED_BYTES), last: Mutex::default() }
    }

    /// Whether the volume gives what a log of this length may take soon.
    pub(super) fn is_given(&self, length: u64) -> std::io::Result<bool> {
        let Some(file) = self.file.as_ref().filter(|_file| self.bytes > 0) else { return Ok(true) };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last.filter(|known| known.holds(length)) {
            return Ok(known.is_given);
        }
        let asked = rustix::fs::fallocate(file, FallocateFlags::empty(), 0, self.bytes);
        rustix::fs::ftruncate(file, 0)?;
        let is_given = match asked {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => true,
            Err(Errno::DQUOT | Errno::NOSPC) => false,
            Err(error) => return Err(error.into()),
        };
        *last = Some(Answer { length, at: Instant::now(), is_given });
        Ok(is_given)
    }
}

impl Answer {
    fn holds(&self, length: u64) -> bool {
        if self.is_given {
            (self.length..self.length.saturating_add(GROWTH_BYTES)).contains(&length)
        } else {
            self.at.elapsed() < AGAIN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_a_while_of_its_own() {
        let given = Answer { length: 100, at: Instant::now(), is_given: true };
        assert!(given.holds(100) && given.holds(99 + GROWTH_BYTES));
        assert!(!given.holds(100 + GROWTH_BYTES) && !given.holds(99), "it grew, or is another");
        assert!(Answer { is_given: false, ..given }.holds(100 + GROWTH_BYTES));
        let before = Instant::now().checked_sub(AGAIN).unwrap();
        assert!(!Answer { is_given: false, at: before, ..given }.holds(100));
        const { assert!(GROWTH_BYTES < ASKED_BYTES / 2, "what comes until then fits twice") };
    }

    #[test]
    fn what_is_asked_for_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let directory = File::open(folder.path()).unwrap();
        let space = Space::new(&directory, u64::MAX);
        assert!(space.is_given(0).unwrap());
        assert_eq!(space.last.lock().unwrap().unwrap().length, 0);
        let file = space.file.as_ref().unwrap();
        assert_eq!(rustix::fs::fstat(file).unwrap().st_blocks, 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it has no name");
        assert!(space.is_given(1).unwrap());
        assert_eq!(space.last.lock().unwrap().unwrap().length, 0, "it is not asked again");
    }
}
