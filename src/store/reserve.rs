//! The reserve: zeroes ahead of what sled has written of its file `db`.
//!
//! A write that makes a file longer is durable only with the file's new length and blocks, so that its sync waits for
//! the file system's journal too: on ext4 it takes two to four times as long. A thread therefore keeps some segments
//! of zeroes behind the last that sled began. sled finds them as its own recovery leaves a torn segment: without a
//! header, to be ignored.
//!
//! Zeroes are only ever appended (`O_APPEND`): the kernel puts them behind everything that was written, so that they
//! cannot land on what sled wrote at the same time. Nothing depends on them: without a reserve the file grows as sled
//! writes. A disk that fails while it writes zeroes fails the log's own sync all the same, since both are one file.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rustix::fs::FlockOperation;

use crate::store::space::free_bytes;

/// sled's default, which a store keeps for life.
pub(super) const SEGMENT_BYTES: u64 = 512 * 1024;
/// Bytes of a segment's header, none of which is set in a segment that sled has not begun.
pub(super) const HEADER_BYTES: usize = 20;
/// Half a second of single records, as fast as they come. A small log has as much ahead as it is long.
const AHEAD_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of a group whose data takes longer to sync than the file's metadata.
const GROUP_BYTES_LARGE: usize = 128 * 1024;
/// Appended and synced at once: a group's sync that comes between waits for no more than this.
const PIECE_BYTES: usize = 1024 * 1024;

/// Keeps zeroes ahead of the log until it is dropped.
#[derive(Debug)]
pub(super) struct Reserve {
    file: File,
    /// The end of the last segment that sled began, as of the last look.
    used: AtomicU64,
    /// Whether a look failed: that is told once.
    is_blind: AtomicBool,
    filler: Option<Filler>,
}

/// The thread that appends.
#[derive(Debug)]
struct Filler {
    /// The length that the file should have. One word is enough: the thread looks for itself.
    wake: mpsc::SyncSender<u64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Reserve {
    /// Begins behind the last segment of a file that sled has just opened. The reserve takes none of the last
    /// `min_free_bytes` of the volume.
    pub(super) fn new(db: &Path, min_free_bytes: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).open(db)?;
        let filler = Filler::start(file.try_clone()?, min_free_bytes)?;
        let used = AtomicU64::new(used(&file)?);
        let reserve = Self { file, used, is_blind: AtomicBool::new(false), filler: Some(filler) };
        reserve.keep_ahead(0);
        Ok(reserve)
    }

    /// Has more zeroes appended if fewer than half are left. To be called after each group, which has nothing to fear
    /// from a failure here, with the bytes of its rows: after a large one nothing is done, since writing zeroes for the
    /// next costs more than its sync saves.
    pub(super) fn keep_ahead(&self, group_bytes: usize) {
        if group_bytes > GROUP_BYTES_LARGE {
            return;
        }
        match self.look() {
            Ok((used, end)) => {
                let ahead = used.clamp(SEGMENT_BYTES, AHEAD_BYTES_MAX);
                if end < used + ahead / 2
                    && let Some(filler) = &self.filler
                {
                    // It was told already, or has ended with a panic of its own.
                    let _told = filler.wake.try_send(used + ahead);
                }
            }
            Err(error) => {
                if !self.is_blind.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the log's reserve cannot be looked at: syncs may take longer");
                }
            }
        }
    }

    /// Where sled's last segment ends, and the file.
    fn look(&self) -> std::io::Result<(u64, u64)> {
        let end = self.file.metadata()?.len();
        // sled cuts its file when its last segments became free.
        let mut used = self.used.load(Ordering::Relaxed).min(end.next_multiple_of(SEGMENT_BYTES));
        while is_begun(&self.file, used)? {
            used += SEGMENT_BYTES;
        }
        self.used.store(used, Ordering::Relaxed);
        Ok((used, end))
    }
}

impl Drop for Reserve {
    /// Nothing is appended when this has returned: whoever opens the store next finds it at rest.
    fn drop(&mut self) {
        if let Some(Filler { wake, stop, thread }) = self.filler.take() {
            stop.store(true, Ordering::Relaxed);
            drop(wake);
            // A panic of its own would have said so.
            let _ended = thread.join();
        }
    }
}

impl Filler {
    fn start(file: File, min_free_bytes: u64) -> std::io::Result<Self> {
        let (wake, woken) = mpsc::sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut is_told = false;
        let mut fill_up = move |end| match fill(&file, end, min_free_bytes, &stopped) {
            Err(error) if !std::mem::replace(&mut is_told, true) => {
                tracing::warn!(%error, "the log's reserve cannot grow: syncs take longer");
            }
            Ok(()) | Err(_) => {}
        };
        let work = move || {
            while let Ok(end) = woken.recv() {
                fill_up(end);
            }
        };
        let thread = std::thread::Builder::new().name("reserve".to_owned()).spawn(work)?;
        Ok(Self { wake, stop, thread })
    }
}

/// Cuts the reserve off a file that nobody has open, before sled does: it would write and sync segment by segment.
/// Only what is zero throughout is cut. Whether another process or store holds the file.
pub(super) fn cut(db: &Path) -> std::io::Result<bool> {
    let file = match OpenOptions::new().read(true).write(true).open(db) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if is_locked(&file)? {
        return Ok(true);
    }
    let whole = file.metadata()?.len();
    let mut end = whole.next_multiple_of(SEGMENT_BYTES);
    while end > 0 && is_zero(&file, end - SEGMENT_BYTES, whole)? {
        end -= SEGMENT_BYTES;
    }
    if end < whole {
        file.set_len(end)?;
    }
    Ok(false)
}

/// Whether another process, or another store of this one, has the store in a directory open.
pub fn is_open(directory: &Path) -> std::io::Result<bool> {
    match File::open(directory.join("db")) {
        Ok(file) => is_locked(&file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Tries to lock a file; the lock goes with it.
fn is_locked(file: &File) -> std::io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
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

/// Whether a segment is nothing but zeroes, up to the end of the file.
fn is_zero(file: &File, start: u64, end: u64) -> std::io::Result<bool> {
    let length = SEGMENT_BYTES.min(end.saturating_sub(start));
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

/// Appends zeroes until the file has this length, or until it was told to stop, the volume has no more to give, or
/// sled has cut the file: then the length that was asked for is an old one.
fn fill(mut file: &File, end: u64, min_free_bytes: u64, stop: &AtomicBool) -> std::io::Result<()> {
    let zeroes = vec![0; PIECE_BYTES];
    let mut length = file.metadata()?.len();
    let end = end.min(length.saturating_add(AHEAD_BYTES_MAX));
    while length < end && !stop.load(Ordering::Relaxed) {
        if free_bytes(file)? < min_free_bytes.saturating_add(AHEAD_BYTES_MAX) {
            return Ok(());
        }
        file.write_all(&zeroes)?;
        rustix::fs::fdatasync(file)?;
        let before = std::mem::replace(&mut length, file.metadata()?.len());
        if length < before {
            return Ok(());
        }
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
                fill(&file, length() + 1, 0, &AtomicBool::new(false)).unwrap();
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
        let on = AtomicBool::new(false);
        fill(&file, 8 * SEGMENT_BYTES, u64::MAX, &on).unwrap();
        assert_eq!(file.metadata().unwrap().len(), SEGMENT_BYTES);
        fill(&file, 8 * SEGMENT_BYTES, 0, &on).unwrap();
        assert!(file.metadata().unwrap().len() >= 8 * SEGMENT_BYTES);
        assert_eq!(used(&file).unwrap(), SEGMENT_BYTES);
    }

    #[test]
    fn what_has_no_header_but_is_not_empty_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let file = begun(&path, 1, 3 * SEGMENT_BYTES);
        let writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all_at(&[1], 3 * SEGMENT_BYTES - 1).unwrap();
        assert!(!cut(&path).unwrap());
        assert_eq!(file.metadata().unwrap().len(), 3 * SEGMENT_BYTES);
    }

    #[test]
    fn an_old_wish_does_not_fill_the_volume() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let file = begun(&path, 1, 0);
        let length = || file.metadata().unwrap().len();
        // As after sled has cut a long file.
        fill(&file, u64::MAX, 0, &AtomicBool::new(false)).unwrap();
        assert_eq!(length(), SEGMENT_BYTES + AHEAD_BYTES_MAX);
        fill(&file, u64::MAX, 0, &AtomicBool::new(true)).unwrap();
        assert_eq!(length(), SEGMENT_BYTES + AHEAD_BYTES_MAX);
    }
}
