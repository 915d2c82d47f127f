//! Taking a backup: from the hub that serves, through its socket, or from the store of one that is stopped. The file is
//! whole or absent.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::CWD;
use rustix::fs::RenameFlags;
use rustix::fs::renameat_with;

use crate::model::time::Clock;
use crate::server::admin;
use crate::server::config::Config;
use crate::server::run::ServeError;
use crate::server::run::open_store;
use crate::store::BACKUP_MAGIC;
use crate::store::BackupError;
use crate::store::BackupSummary;
use crate::store::LogBlock;
use crate::store::export;
use crate::store::read_backup;

/// Bytes that are written at a time.
const BUFFER_BYTES: usize = 1024 * 1024;

/// Why no backup was taken. There is no file then.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The store of a stopped hub cannot be opened.
    #[error(transparent)]
    Open(#[from] ServeError),
    /// The backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The hub gives none.
    #[error("the hub gives no backup: {0}")]
    Refused(String),
    /// A file.
    #[error("{action}")]
    File {
        /// What failed.
        action: &'static str,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// Who read the log for a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenBy {
    /// The hub that serves it.
    Hub,
    /// The command, from a stopped hub's store.
    Command,
}

/// Takes a backup of a data directory into a new file; `progress` hears how many entries are in it so far.
pub fn take_backup(
    config: &Config,
    out: &Path,
    clock: &dyn Clock,
    mut progress: impl FnMut(u64),
) -> Result<(BackupSummary, TakenBy), TakeError> {
    if out.exists() {
        let cause = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(TakeError::File { action: "the backup's file is there already", cause });
    }
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", uuid::Uuid::new_v4().simple()));
    let beside = out.with_file_name(name);
    let taken = write(config, &beside, clock, &mut progress);
    let kept = taken.and_then(|summary| keep(&beside, out).map(|()| summary));
    if kept.is_err() {
        // The first error is the one to tell.
        drop(std::fs::remove_file(&beside));
    }
    kept
}

fn write(
    config: &Config,
    beside: &Path,
    clock: &dyn Clock,
    progress: &mut impl FnMut(u64),
) -> Result<(BackupSummary, TakenBy), TakeError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside);
    let file = file.map_err(failed("the backup's file cannot be made"))?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, &file);
    let summary = match UnixStream::connect(config.data.join(admin::SOCKET)) {
        Ok(hub) => (from_hub(hub, &mut out, progress)?, TakenBy::Hub),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            let store = open_store(config)?;
            let size = store.head().map_err(BackupError::Store)?.frontier.size();
            let summary = export(&store, &mut out, clock.now(), || Some(size), progress)?;
            (summary, TakenBy::Command)
        }
        Err(cause) => return Err(failed("the hub's socket cannot be reached")(cause)),
    };
    out.flush().map_err(BackupError::Write)?;
    drop(out);
    file.sync_all().map_err(BackupError::Write)?;
    Ok(summary)
}

/// Copies what the hub sends, and demands that it is whole.
fn from_hub(
    mut hub: UnixStream,
    out: &mut impl io::Write,
    progress: &mut impl FnMut(u64),
) -> Result<BackupSummary, TakeError> {
    hub.write_all(admin::BACKUP).map_err(failed("the hub cannot be asked"))?;
    let mut start = Vec::new();
    let lead = u64::try_from(BACKUP_MAGIC.len()).unwrap_or_default();
    (&hub).take(lead).read_to_end(&mut start).map_err(BackupError::Read)?;
    if start.starts_with(admin::ERROR.as_bytes()) {
        // An answer that is an error is short.
        (&hub).take(1024).read_to_end(&mut start).map_err(BackupError::Read)?;
        let text = String::from_utf8_lossy(&start);
        let why = text.trim_start_matches(admin::ERROR).trim_end();
        return Err(TakeError::Refused(crate::model::visible::visible(why)));
    }
    let tee = Tee { from: io::BufReader::with_capacity(BUFFER_BYTES, start.chain(&hub)), to: out };
    Ok(read_backup(tee, |block: &LogBlock| progress(block.end()))?)
}

/// What is read from one is written to the other.
struct Tee<'a, R, W> {
    from: R,
    to: &'a mut W,
}

impl<R: Read, W: io::Write> Read for Tee<'_, R, W> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(bytes)?;
        self.to.write_all(bytes.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}

/// Gives the file its name, durably, and never takes another one's.
fn keep(beside: &Path, out: &Path) -> Result<(), TakeError> {
    renameat_with(CWD, beside, CWD, out, RenameFlags::NOREPLACE)
        .map_err(|error| failed("the backup cannot be given its name")(error.into()))?;
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let synced = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
    synced.map_err(failed("the backup's folder cannot be synced"))
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> TakeError {
    move |cause| TakeError::File { action, cause }
}
