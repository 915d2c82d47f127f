//! The hub's own door: a socket in the data directory that only its owner may open. It gives backups, and nothing else.
//!
//! A caller says `backup LF`, and is sent a backup file; or `error: ` and why there is none. A backup that is cut has no
//! end, by which its reader knows.

use std::io::BufReader;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::exchange::Hub;
use crate::server::audit::Outcome;
use crate::server::audit::Who;
use crate::server::observe::Told;
use crate::store::BackupError;

/// The socket in the data directory.
pub(super) const SOCKET: &str = "admin.sock";
/// What is asked for.
pub(super) const BACKUP: &[u8; 7] = b"backup\n";
/// What an answer begins with that is none.
pub(super) const ERROR: &str = "error: ";
/// How long a caller may take to say what it wants.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller may take nothing of what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);
/// Bytes that are written at a time.
const BUFFER_BYTES: usize = 1024 * 1024;

/// Opens the door. Without it the hub serves all the same, and is backed up when it is stopped.
pub(super) fn bind(data: &Path) -> std::io::Result<UnixListener> {
    let path = data.join(SOCKET);
    // What an earlier process left: the store's lock says that none runs.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers callers until `stop`, one backup at a time.
pub(super) async fn serve(
    listener: UnixListener,
    (hub, told): (Arc<Hub>, Arc<Told>),
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let path = listener.local_addr().ok();
    let path = path.and_then(|address| address.as_pathname().map(Path::to_owned));
    let turn = Arc::new(Semaphore::new(1));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let stream = accepted.and_then(|(stream, _address)| {
            // By the number of its account.
            let known = stream.peer_cred();
            let who = known.map_or(Who::Hub, |known| Who::Local(known.uid()));
            Ok((stream.into_std()?, who))
        });
        let (stream, who) = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a caller of the admin socket was lost");
                tokio::time::sleep(ASK_TIMEOUT).await;
                continue;
            }
        };
        let taken = Arc::clone(&turn).try_acquire_owned().ok();
        let (hub, told, stop) = (Arc::clone(&hub), Arc::clone(&told), stop.clone());
        tasks.spawn_blocking(move || {
            let answered = answer(&stream, &hub, taken.is_some(), &stop);
            let (target, outcome) = match &answered {
                Ok(Some(size)) => (format!("{size} entries"), Outcome::Done(None)),
                Ok(None) => (String::new(), Outcome::Refused("not given".to_owned())),
                Err(_fault) => (String::new(), Outcome::Failed("cut off".to_owned())),
            };
            told.note(who, "backup", &target, outcome);
            if let Err(error) = answered {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(error, "no backup was given");
            }
            drop(taken);
        });
    }
    // A socket that nobody answers says less than none.
    if let Some(error) = path.and_then(|path| std::fs::remove_file(path).err()) {
        tracing::warn!(%error, "the admin socket is left over");
    }
}

/// Gives a backup, if one is asked for and none is being given; how many entries are in it.
fn answer(
    stream: &UnixStream,
    hub: &Hub,
    is_alone: bool,
    stop: &CancellationToken,
) -> Result<Option<u64>, BackupError> {
    prepare(stream).map_err(BackupError::Read)?;
    let mut asked = [0; BACKUP.len()];
    BufReader::new(stream).read_exact(&mut asked).map_err(BackupError::Read)?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, stream);
    let refused = if asked != *BACKUP {
        Some("this version of the hub does not know what is asked")
    } else if is_alone {
        None
    } else {
        Some("another backup is being written")
    };
    if let Some(why) = refused {
        let told = out.write_all(format!("{ERROR}{why}\n").as_bytes()).and_then(|()| out.flush());
        return told.map(|()| None).map_err(BackupError::Write);
    }
    let summary = hub.back_up(&mut out, || stop.is_cancelled())?;
    tracing::info!(backup.entries = summary.size, "a backup was given");
    Ok(Some(summary.size))
}

fn prepare(stream: &UnixStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(ASK_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))
}
