//! The reserve: zeroes ahead of what sled has written of its file `db`.
//!
//! A write that makes a file longer is durable only with the file's new length and blocks, so that its sync waits for
//! the file system's journal too: on ext4 it takes two to four times as long. A thread therefore keeps some segments
//! of zeroes behind the last that sled began. sled finds them as its own recovery leaves a torn segment: without a
//! header, to be ignored.
//!
//! Zeroes are only ever appended (`O_APPEND`): the kernel puts them behind everything that was written, so that they
//! cannot land on what sled wrote at the same time. Nothing depends on them: without a reserve the file grows as sled
//! writes.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rustix::fs::FlockOperation;

use crate::store::StoreError;
use crate::store::log::free_bytes;
use crate::store::log::system;

/// sled's default, which a store keeps for life.
pub(super) const SEGMENT_BYTES: u64 = 512 * 1024;
/// Bytes of a segment's header, none of which is set in a segment that sled has not begun.
const HEADER_BYTES: usize = 20;
/// A quarter of a second of publishing as fast as it goes. A small log has as much ahead as it is long.
const AHEAD_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Appended and synced at once: a group's sync that comes between waits for no more than this.
const PIECE_BYTES: usize = 1024 * 1024;

/// Keeps zeroes ahead of the log until it is dropped.
#[derive(Debug)]
pub(super) struct Reserve {
    file: File,
    /// The end of the last segment that sled began, as of the last look.
    used: AtomicU64,
    wake: Option<mpsc::SyncSender<u64>>,
    thread: Option<JoinHandle<()>>,
}

impl Reserve {
    /// Begins behind the last segment of a file that sled has just opened. The reserve takes none of the last
    /// `min_free_bytes` of the volume.
    pub(super) fn new(db: &Path, min_free_bytes: u64) -> Result<Self, StoreError> {
        let file = OpenOptions::new().read(true).append(true).open(db);
        let file = file.map_err(|error| system("opening the log's file", &error))?;
        let filled = file.try_clone().map_err(|error| system("opening the log's file", &error))?;
        let used = used(&file).map_err(|error| system("reading the log's file", &error))?;
        // One word is enough: the thread looks for itself.
        let (wake, woken) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("reserve".to_owned())
            .spawn(move || work(&filled, &woken, min_free_bytes))
            .map_err(|error| system("starting a thread", &error))?;
        let used = AtomicU64::new(used);
        let reserve = Self { file, used, wake: Some(wake), thread: Some(thread) };
        reserve.keep_ahead()?;
        Ok(reserve)
    }

    /// Has more zeroes appended if fewer than half are left. To be called after each group.
    pub(super) fn keep_ahead(&self) -> Result<(), StoreError> {
        let look = || -> std::io::Result<(u64, u64)> {
            let end = self.file.metadata()?.len();
            // sled cuts its file when its last segments became free.
            let mut used =
                self.used.load(Ordering::Relaxed).min(end.next_multiple_of(SEGMENT_BYTES));
            while is_begun(&self.file, used)? {
                used += SEGMENT_BYTES;
            }
            Ok((used, end))
        };
        let (used, end) = look().map_err(|error| system("reading the log's file", &error))?;
        self.used.store(used, Ordering::Relaxed);
        let ahead = used.clamp(SEGMENT_BYTES, AHEAD_BYTES_MAX);
        if end < used + ahead / 2
            && let Some(wake) = &self.wake
        {
            // Either it was told already, or it has given up.
            let _told = wake.try_send(used + ahead);
        }
        Ok(())
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            // It does not panic; and a panic of its own would say so.
            let _ended = thread.join();
        }
    }
}

/// Cuts the reserve off a file that nobody has open, before sled does: it would write and sync segment by segment.
/// Whether another process or store holds the file.
pub(super) fn cut(db: &Path) -> std::io::Result<bool> {
    let file = match OpenOptions::new().read(true).write(true).open(db) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(true),
        Err(error) => return Err(error.into()),
    }
    let end = used(&file)?;
    if end < file.metadata()?.len() {
        file.set_len(end)?;
    }
    Ok(false)
}

/// The end of the last segment that sled began.
fn used(file: &File) -> std::io::Result<u64> {
    let mut end = file.metadata()?.len().next_multiple_of(SEGMENT_BYTES);
    while end > 0 && !is_begun(file, end - SEGMENT_BYTES)? {
        end -= SEGMENT_BYTES;
    }
    Ok(end)
}

/// Whether a segment has a header.
fn is_begun(file: &File, start: u64) -> std::io::Result<bool> {
    let mut header = [0; HEADER_BYTES];
    match file.read_exact_at(&mut header, start) {
        Ok(()) => Ok(header != [0; HEADER_BYTES]),
        // A file that ends within it has none that sled could read.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Has the file filled up to each length that is asked for.
fn work(file: &File, woken: &mpsc::Receiver<u64>, min_free_bytes: u64) {
    while let Ok(end) = woken.recv() {
        if let Err(error) = fill(file, end, min_free_bytes) {
            tracing::warn!(%error, "the log has no reserve: syncs take longer");
            return;
        }
    }
}

/// Appends zeroes until the file has this length, or until the volume has no more to give.
fn fill(mut file: &File, end: u64, min_free_bytes: u64) -> std::io::Result<()> {
    let zeroes = vec![0; PIECE_BYTES];
    while file.metadata()?.len() < end {
        if free_bytes(file)? < min_free_bytes.saturating_add(AHEAD_BYTES_MAX) {
            return Ok(());
        }
        file.write_all(&zeroes)?;
        rustix::fs::fdatasync(file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of so many segments that sled began, and zeroes behind.
    fn begun(path: &Path, segments: u64, zeroes: u64) -> File {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).unwrap();
        file.set_len(segments * SEGMENT_BYTES + zeroes).unwrap();
        let writer = OpenOptions::new().write(true).open(path).unwrap();
        for segment in 0..segments {
            writer.write_all_at(&[7; HEADER_BYTES], segment * SEGMENT_BYTES).unwrap();
        }
        file
    }

    #[test]
    fn what_sled_began_is_never_cut_and_zeroes_behind_it_always() {
        let folder = tempfile::tempdir().unwrap();
        for (number, (segments, zeroes)) in
            [(0, 0), (0, 3 * SEGMENT_BYTES), (3, 0), (3, 1), (3, 5 * SEGMENT_BYTES), (1, 100)]
                .into_iter()
                .enumerate()
        {
            let path = folder.path().join(number.to_string());
            let file = begun(&path, segments, zeroes);
            assert_eq!(used(&file).unwrap(), segments * SEGMENT_BYTES);
            assert!(!cut(&path).unwrap());
            assert_eq!(file.metadata().unwrap().len(), segments * SEGMENT_BYTES);
        }
        assert!(!cut(&folder.path().join("absent")).unwrap());
    }

    #[test]
    fn a_segment_that_ends_early_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let file = begun(&path, 2, 0);
        file.set_len(SEGMENT_BYTES + 4000).unwrap();
        assert!(!cut(&path).unwrap());
        assert_eq!(file.metadata().unwrap().len(), SEGMENT_BYTES + 4000);
    }

    #[test]
    fn a_file_that_is_locked_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let file = begun(&path, 1, 2 * SEGMENT_BYTES);
        rustix::fs::flock(&file, FlockOperation::LockExclusive).unwrap();
        assert!(cut(&path).unwrap());
        assert_eq!(file.metadata().unwrap().len(), 3 * SEGMENT_BYTES);
    }

    #[test]
    fn zeroes_never_land_on_what_is_written_at_the_same_time() {
        const PIECE: [u8; 3001] = [9; 3001];
        const BYTES: u64 = 3001 * 6000;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let file = begun(&path, 0, 0);
        let length = || file.metadata().unwrap().len();
        let writer = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let starts = || (0..BYTES).step_by(PIECE.len());
        // Always a little ahead of the end, as fast as it goes.
        let fill_on = || {
            while length() < BYTES {
                fill(&file, length() + 1, 0).unwrap();
            }
        };
        std::thread::scope(|scope| {
            let filling = scope.spawn(fill_on);
            for start in starts() {
                writer.write_all_at(&PIECE, start).unwrap();
            }
            filling.join().unwrap();
        });
        let mut read = [0; PIECE.len()];
        for start in starts() {
            writer.read_exact_at(&mut read, start).unwrap();
            assert!(read == PIECE, "at {start}");
        }
    }

    #[test]
    fn a_reserve_takes_no_space_that_is_guarded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let file = begun(&path, 1, 0);
        fill(&file, 8 * SEGMENT_BYTES, u64::MAX).unwrap();
        assert_eq!(file.metadata().unwrap().len(), SEGMENT_BYTES);
        fill(&file, 8 * SEGMENT_BYTES, 0).unwrap();
        assert!(file.metadata().unwrap().len() >= 8 * SEGMENT_BYTES);
        assert_eq!(used(&file).unwrap(), SEGMENT_BYTES);
    }
}
