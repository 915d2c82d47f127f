//! Restoring: a backup becomes a store, is verified in full, and waits for the operator's word, with which its next
//! epoch begins. Until then it is not served.

use std::collections::BTreeSet;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufReader;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use prost::Message as _;
use serde::Deserialize;
use serde::Serialize;

use crate::exchange::BegunEpoch;
use crate::exchange::EpochError;
use crate::exchange::LogFault;
use crate::exchange::LogReport;
use crate::exchange::Newer;
use crate::exchange::NewerCopy;
use crate::exchange::begin_epoch;
use crate::exchange::founding_of;
use crate::exchange::verify_log;
use crate::model::time::Clock;
use crate::profile;
use crate::profile::ProfileError;
use crate::server::config::Config;
use crate::server::run;
use crate::server::run::ServeError;
use crate::signing::SecretKey;
use crate::store::BackupError;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::import;
use crate::store::is_open;
use crate::store::read_backup;
use crate::transparency::LogKeys;
use crate::wire::pb;

/// The store while it is made.
const RESTORING: &str = "store.restoring";
/// What is read of a damaged newer copy, while it is read.
const COPY: &str = "newer.restoring";
/// Says that a log waits for its next epoch, and how that begins.
const WAITING: &str = "restored.json";
/// The checkpoint that the operator signs.
const CHECKPOINT: &str = "restored.checkpoint";
/// Files that a hub needs besides its store, and that no backup has: they are private, or of one machine.
const KEYS: &[(&str, bool)] = &[
    ("log.key", true),
    ("tls/server.key", true),
    ("tls/server.pem", false),
    ("tls/ca.pem", false),
    ("tls/crl.pem", false),
    ("watchfired.toml", false),
];

/// Why nothing was restored, or no epoch began.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Something is there already.
    #[error("{} is not empty: name a new folder", .0.display())]
    Occupied(PathBuf),
    /// Another one is at work.
    #[error("another restore into {} is at work", .0.display())]
    Busy(PathBuf),
    /// The backup.
    #[error("{}: {cause}", path.display())]
    Backup {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        cause: BackupError,
    },
    /// The log in the backup does not hold.
    #[error("the log in the backup does not hold: {0}")]
    Log(LogFault),
    /// It holds another log than it says.
    #[error("the log in the backup is not the one that its checkpoint signs")]
    OtherLog,
    /// A newer copy cannot be read at all.
    #[error("the newer copy {} cannot be read: {why}", path.display())]
    Newer {
        /// Where.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The log key is another exchange's.
    #[error("{} is not the log key of this exchange", .0.display())]
    LogKey(PathBuf),
    /// Nothing waits for an epoch.
    #[error("no restored log waits in {}: its epoch has begun, or nothing was restored", .0.display())]
    NotWaiting(PathBuf),
    /// The epoch.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data directory.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A file.
    #[error(transparent)]
    File(#[from] ProfileError),
    /// The disk.
    #[error("{action}")]
    Disk {
        /// What failed.
        action: &'static str,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// What is restored from what, and to where.
#[derive(Clone, Copy, Debug)]
pub struct Restore<'a> {
    /// The backup.
    pub from: &'a Path,
    /// The new data directory.
    pub data: &'a Path,
    /// Newer copies: backups, or data directories.
    pub newer: &'a [PathBuf],
    /// A folder that has the files which no backup has: the old data directory, or a copy of those.
    pub keys: Option<&'a Path>,
}

/// A log that was restored, and waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The log.
    pub report: LogReport,
    /// The epoch that it ended in.
    pub epoch: u32,
    /// The lowest number that the next epoch may have, as far as the copies tell.
    pub next_epoch: u32,
    /// The checkpoint to be signed.
    pub checkpoint: PathBuf,
    /// How many bodies are erased with the epoch, as newer copies know.
    pub erased: usize,
    /// How many entries newer copies have behind the end: they are void.
    pub void: u64,
    /// Files that the hub needs and that are missing still.
    pub missing: Vec<&'static str>,
}

/// What is kept until the epoch has begun.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    /// The lowest number that the next epoch may have.
    next_epoch: u32,
    /// Places whose bodies go.
    erased: BTreeSet<u64>,
}

/// Restores a backup; `progress` hears what is done now, and how far it is.
pub fn restore(
    what: &Restore<'_>,
    mut progress: impl FnMut(&'static str, u64),
) -> Result<Restored, RestoreError> {
    demand_empty(what.data)?;
    let backup = open(what.from)?;
    clear(what.data)?;
    profile::create_folder(what.data)?;
    let place = what.data.join(RESTORING);
    let restored = make(what, backup, &place, &mut progress);
    if restored.is_err() {
        // The first error is the one to tell; nothing is left that could be taken for a log.
        drop(clear(what.data));
    }
    restored
}

fn make(
    what: &Restore<'_>,
    backup: File,
    place: &Path,
    progress: &mut impl FnMut(&'static str, u64),
) -> Result<Restored, RestoreError> {
    let damaged = |cause| RestoreError::Backup { path: what.from.to_owned(), cause };
    let summary = import(BufReader::new(backup), place, |entries| progress("restoring", entries))
        .map_err(damaged)?;
    let store = Store::open(place, 0)?;
    let report = verify_log(&store, |entries| progress("checking the log", entries))
        .map_err(RestoreError::Log)?;
    let head = store.head()?;
    if (report.entries, &head.checkpoint) != (summary.size, &summary.checkpoint) {
        return Err(RestoreError::OtherLog);
    }
    let (genesis, exchange, log_keys) = founding_of(&store)?;
    let mut newer = Newer::default();
    for path in what.newer {
        progress("reading a newer copy", 0);
        let mut copy = NewerCopy::new(&exchange, &log_keys, report.entries);
        read_copy(path, &what.data.join(COPY), &mut copy)?;
        copy.finish(&store, &mut newer)?;
    }
    // Without its anchor the store could lose its end unnoticed.
    store.settle()?;
    drop(store);
    let next_epoch = head.epoch.max(newer.epoch).saturating_add(1);
    let waiting = Waiting { next_epoch, erased: newer.erased };
    let data = what.data;
    profile::write_public(&data.join(run::GENESIS), &genesis.encode_to_vec())?;
    profile::write_public(&data.join(CHECKPOINT), head.checkpoint.as_bytes())?;
    let text = serde_json::to_vec(&waiting).map_err(|error| RestoreError::Disk {
        action: "writing what waits",
        cause: error.into(),
    })?;
    // Before the store has its name: from then on it could be served.
    profile::write_private(&data.join(WAITING), &text)?;
    if let Some(keys) = what.keys {
        copy_keys(keys, data, &log_keys)?;
    }
    std::fs::rename(place, data.join("store")).map_err(disk("giving the store its name"))?;
    sync(data)?;
    let missing = KEYS.iter().map(|(name, _private)| *name);
    Ok(Restored {
        epoch: head.epoch,
        next_epoch,
        checkpoint: data.join(CHECKPOINT),
        erased: waiting.erased.len(),
        void: newer.size.saturating_sub(report.entries),
        missing: missing.filter(|name| !data.join(name).exists()).collect(),
        report,
    })
}

/// Begins the epoch for which a restored log waits, with the operator's signed entry; then the hub may serve.
pub fn begin(
    config: &Config,
    signed: pb::Envelope,
    clock: &dyn Clock,
) -> Result<BegunEpoch, RestoreError> {
    let path = config.data.join(WAITING);
    if !path.exists() {
        return Err(RestoreError::NotWaiting(config.data.clone()));
    }
    let waiting: Waiting = serde_json::from_slice(&profile::read(&path)?).map_err(|error| {
        RestoreError::File(ProfileError::Malformed { path: path.clone(), why: error.to_string() })
    })?;
    let secret = run::secret(&config.data.join("log.key"))?;
    let genesis = run::genesis(config)?;
    let store = run::open_store(config)?;
    let demanded = EpochError::Entry(format!(
        "an epoch below {} was known already; sign with --epoch {}",
        waiting.next_epoch, waiting.next_epoch
    ));
    if epoch_of(&signed).is_some_and(|epoch| epoch < waiting.next_epoch) {
        return Err(demanded.into());
    }
    let erased: Vec<u64> = waiting.erased.into_iter().collect();
    let begun = begin_epoch(&store, genesis, &secret, signed, &erased, clock)?;
    drop(store);
    for name in [WAITING, CHECKPOINT] {
        match std::fs::remove_file(config.data.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(disk("removing what waited")(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    sync(&config.data)?;
    Ok(begun)
}

/// Whether a restored log waits for its epoch.
pub(super) fn is_waiting(data: &Path) -> bool {
    data.join(WAITING).exists()
}

fn epoch_of(signed: &pb::Envelope) -> Option<u32> {
    let body = pb::Body::decode(signed.body.clone()).ok()?;
    match body.content {
        Some(pb::body::Content::Epoch(start)) => Some(start.epoch),
        Some(_) | None => None,
    }
}

/// A folder may hold what an earlier restore left that was cut off, and the files that no backup has, and nothing else.
fn demand_empty(data: &Path) -> Result<(), RestoreError> {
    let reading = disk("reading the new folder");
    let paths = listed(data).map_err(reading)?;
    // It is there until the store has its name.
    let was_cut_off = paths.iter().any(|path| path.ends_with(RESTORING));
    if was_cut_off && is_open(&data.join(RESTORING)).map_err(reading)? {
        return Err(RestoreError::Busy(data.to_owned()));
    }
    if paths.iter().all(|path| is_key(path) || (was_cut_off && is_made(path))) {
        Ok(())
    } else {
        Err(RestoreError::Occupied(data.to_owned()))
    }
}

/// What is in a folder, if there is one.
fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether a restore makes something of this name before the store has its own.
fn is_made(path: &Path) -> bool {
    let names = [RESTORING, COPY, WAITING, CHECKPOINT, run::GENESIS];
    is_beside(path) || names.into_iter().any(|name| path.ends_with(name))
}

/// Whether it is a file that is written before it takes another's place.
fn is_beside(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "tmp")
}

/// Whether it is a file that no backup has, or the folder of such files. The operator may have put it there.
fn is_key(path: &Path) -> bool {
    KEYS.iter()
        .any(|(key, _private)| key.split('/').next().is_some_and(|name| path.ends_with(name)))
}

/// Removes what a restore made that did not come to its end: the store first, so that it is never there without what
/// says that it waits; last of all what says that the restore was cut off. Keys stay: there may be no others.
fn clear(data: &Path) -> Result<(), RestoreError> {
    let removing = disk("removing what an earlier restore left");
    let mut paths = listed(data).map_err(removing)?;
    paths.retain(|path| !is_key(path));
    let beside_keys = listed(&data.join("tls")).map_err(removing)?;
    paths.extend(beside_keys.into_iter().filter(|path| is_beside(path)));
    paths.sort_by_key(|path| (path.ends_with(RESTORING), !path.ends_with("store")));
    paths.iter().try_for_each(|path| remove(path)).map_err(removing)
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}

fn open(path: &Path) -> Result<File, RestoreError> {
    File::open(path).map_err(|cause| RestoreError::Backup {
        path: path.to_owned(),
        cause: BackupError::Read(cause),
    })
}

/// Takes in what a newer copy says; what has to be copied for that is in a folder of its own, and gone afterwards.
fn read_copy(path: &Path, scratch: &Path, copy: &mut NewerCopy<'_>) -> Result<(), RestoreError> {
    let failed = |why: String| RestoreError::Newer { path: path.to_owned(), why };
    if path.is_dir() {
        let own = path.join("store");
        let store = if own.is_dir() { own } else { path.to_owned() };
        if !store.join("db").exists() {
            return Err(failed("there is no store in it".to_owned()));
        }
        if is_open(&store).map_err(|error| failed(error.to_string()))? {
            return Err(failed(StoreError::InUse.to_string()));
        }
        let read = copy_store(&store, scratch)
            .map_err(|error| failed(format!("it cannot be copied to be read: {error}")))
            .and_then(|()| read_store(scratch, copy).map_err(|error| failed(error.to_string())));
        let removed = remove(scratch).map_err(disk("removing what was copied to be read"));
        return read.and(removed);
    }
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    match read_backup(BufReader::new(file), |block| copy.take(block)) {
        Ok(_summary) => Ok(()),
        Err(BackupError::Foreign) => Err(failed(BackupError::Foreign.to_string())),
        Err(error) => {
            // What it says up to there counts all the same: every notice is signed.
            tracing::warn!(%error, "the newer copy is not whole");
            Ok(())
        }
    }
}

/// Reads a store that may be damaged, and is changed by that: sled cuts what it takes for torn.
fn read_store(store: &Path, copy: &mut NewerCopy<'_>) -> Result<(), StoreError> {
    let store = Store::open_damaged(store)?;
    let unreadable = store.readable_blocks(|block| copy.take(block));
    if unreadable > 0 {
        tracing::warn!(unreadable, "blocks of the newer copy cannot be read");
    }
    Ok(())
}

/// Copies a store. Nothing is written to the original: what is lost elsewhere may be found in it yet, and it must not look
/// whole afterwards.
fn copy_store(from: &Path, to: &Path) -> io::Result<()> {
    copy_files(from, to)?;
    let blobs = from.join("blobs");
    if blobs.is_dir() { copy_files(&blobs, &to.join("blobs")) } else { Ok(()) }
}

/// Copies the files of a folder into a new one.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(to)?;
    for path in listed(from)? {
        let Some(name) = path.file_name().filter(|_name| path.is_file()) else { continue };
        let target =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(to.join(name));
        io::copy(&mut File::open(&path)?, &mut target?)?;
    }
    Ok(())
}

fn copy_keys(from: &Path, data: &Path, log_keys: &LogKeys) -> Result<(), RestoreError> {
    // The one that will be there, before anything is in its place.
    let key =
        [from, data].map(|folder| folder.join("log.key")).into_iter().find(|key| key.exists());
    if let Some(key) = key {
        let pem = zeroize::Zeroizing::new(profile::read(&key)?);
        let secret = std::str::from_utf8(&pem).ok().and_then(|pem| SecretKey::from_pem(pem).ok());
        if secret.is_none_or(|secret| log_keys.current().verifying().id() != secret.id()) {
            return Err(RestoreError::LogKey(key));
        }
    }
    profile::create_folder(&data.join("tls"))?;
    for (name, is_private) in KEYS {
        let (source, target) = (from.join(name), data.join(name));
        if !source.exists() {
            continue;
        }
        let bytes = profile::read(&source)?;
        if *is_private {
            let bytes = zeroize::Zeroizing::new(bytes);
            profile::write_private(&target, &bytes)?;
        } else {
            profile::write_public(&target, &bytes)?;
        }
    }
    Ok(())
}

fn sync(folder: &Path) -> Result<(), RestoreError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(disk("syncing the data directory"))
}

fn disk(action: &'static str) -> impl Fn(io::Error) -> RestoreError + Copy {
    move |cause| RestoreError::Disk { action, cause }
}
