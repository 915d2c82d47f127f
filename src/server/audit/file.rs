//! The audit log's file: opened to append only, each line with the digest of the line before, across its rotations.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::fchown;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;

use crate::model::names::Digest;
use crate::model::names::sha256;
use crate::server::audit::AuditConfig;
use crate::server::audit::event::Event;

/// Bytes of a line at most, when it is read; ours are far shorter.
pub(super) const LINE_BYTES_MAX: u64 = 64 * 1024;
/// Files that are kept beside the current one; older ones go.
const FILES_MAX: usize = 16;

/// Where the next line goes, and what it must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// The number of the last line; 0 before the first.
    pub(super) number: u64,
    /// The digest of the last line, without its end.
    pub(super) digest: Digest,
}

/// What every line has.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) what: String,
    pub(super) previous: String,
}

/// The file while it is open. Nobody else writes to it: it is locked.
#[derive(Debug)]
pub(super) struct AuditFile {
    config: AuditConfig,
    file: File,
    bytes: u64,
    chain: Chain,
}

impl AuditFile {
    /// Opens or makes the file; tells whether its last line was cut off, as by a crash: that is ended, and stays.
    pub(super) fn open(config: &AuditConfig) -> io::Result<(Self, bool)> {
        let file = open(config)?;
        let bytes = file.metadata()?.len();
        let (chain, is_cut) = if bytes == 0 {
            (newest_rotated(&config.file)?.map(|older| end_of(&older)).transpose()?, false)
        } else {
            let (chain, is_cut) = tail(&file)?;
            (Some((chain, is_cut)), is_cut)
        };
        let chain = chain.map(|(chain, _is_cut)| chain).unwrap_or_default();
        let mut own = Self { config: config.clone(), file, bytes, chain };
        if is_cut {
            own.append(b"\n")?;
        }
        Ok((own, is_cut))
    }

    /// Where the chain stands.
    pub(super) const fn chain(&self) -> Chain {
        self.chain
    }

    /// Writes one line. After an error the file must be opened again: a part of the line may be there.
    pub(super) fn write(&mut self, event: &Event) -> io::Result<()> {
        if self.bytes >= self.config.bytes {
            self.rotate()?;
        }
        let number = self.chain.number.saturating_add(1);
        let mut line = event.line(number, &self.chain.digest);
        let digest = sha256(line.as_bytes());
        line.push('\n');
        self.append(line.as_bytes())?;
        self.chain = Chain { number, digest };
        Ok(())
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Opens the path again if another file, or none, lies there; whether that was so. The chain goes on.
    pub(super) fn follow(&mut self) -> io::Result<bool> {
        let own = self.file.metadata()?;
        let there = std::fs::metadata(&self.config.file).ok();
        if there.is_some_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
            return Ok(false);
        }
        self.file.sync_data()?;
        let file = open(&self.config)?;
        self.bytes = file.metadata()?.len();
        self.file = file;
        Ok(true)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Gives the file the name of its last line, begins a new one, and lets the oldest go.
    fn rotate(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        let path = &self.config.file;
        std::fs::rename(path, rotated(path, self.chain.number))?;
        self.follow()?;
        let mut older = all_rotated(&self.config.file)?;
        older.sort_unstable();
        let surplus = older.len().saturating_sub(FILES_MAX);
        for (_number, path) in older.into_iter().take(surplus) {
            std::fs::remove_file(path)?;
        }
        Ok(())
    }
}

fn open(config: &AuditConfig) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o600);
    let file = match options.clone().create_new(true).open(&config.file) {
        Ok(new) => {
            give(&new, &config.data);
            new
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            options.create(true).open(&config.file)?
        }
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let in_use = || io::Error::new(io::ErrorKind::ResourceBusy, "another process writes to it");
    file.try_lock().map_err(|_locked| in_use())?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Gives a file that root just made to whom the data directory is: the hub, which is not root, writes to it next. Where
/// that may not be, it stays as it is. Nothing that was there before is given away: a link could name any file.
fn give(new: &File, data: &Path) {
    let owner = std::fs::metadata(data).map(|data| (data.uid(), data.gid()));
    let own = new.metadata().map(|own| (own.uid(), own.gid()));
    if let (Ok(owner), Ok(own)) = (owner, own)
        && rustix::process::geteuid().is_root()
        && owner != own
    {
        drop(fchown(new, Some(owner.0), Some(owner.1)));
    }
}

/// The name of a file that ended with a line.
fn rotated(path: &Path, number: u64) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{number:012}"));
    path.with_file_name(name)
}

/// The files that were rotated by size, with the number of their last line.
fn all_rotated(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder.unwrap_or(Path::new(".")))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix(&own).and_then(|rest| rest.strip_prefix('.'));
        let number = number.filter(|number| number.len() == 12);
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            found.push((number, entry.path()));
        }
    }
    Ok(found)
}

fn newest_rotated(path: &Path) -> io::Result<Option<PathBuf>> {
    Ok(all_rotated(path)?.into_iter().max().map(|(_number, path)| path))
}

fn end_of(path: &Path) -> io::Result<(Chain, bool)> {
    tail(&File::open(path)?)
}

/// Where a file's chain stands, and whether its last line has no end.
fn tail(file: &File) -> io::Result<(Chain, bool)> {
    let mut file = file;
    let bytes = file.metadata()?.len();
    file.seek(SeekFrom::Start(bytes.saturating_sub(2 * LINE_BYTES_MAX)))?;
    let mut end = Vec::new();
    file.take(2 * LINE_BYTES_MAX).read_to_end(&mut end)?;
    let is_cut = end.last() != Some(&b'\n');
    let text = end.strip_suffix(b"\n").unwrap_or(&end);
    let mut lines = text.rsplit(|byte| *byte == b'\n');
    let last = lines.next().unwrap_or_default();
    // A line that was cut off has no number of its own: it has the one behind the line before.
    let number = match link(last) {
        Some(link) => link.number,
        None => lines.find_map(link).map_or(1, |link| link.number.saturating_add(1)),
    };
    Ok((Chain { number, digest: sha256(last) }, is_cut))
}

pub(super) fn link(line: &[u8]) -> Option<Link> {
    serde_json::from_slice(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who is not root, and owns nothing else here.
    const HUB: u32 = 65_534;

    fn config(folder: &Path) -> AuditConfig {
        let file = folder.join("audit.jsonl");
        AuditConfig { file, bytes: 1 << 20, data: folder.to_owned() }
    }

    fn owner(path: &Path) -> (u32, u32) {
        let metadata = std::fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid())
    }

    #[test]
    fn what_root_makes_is_the_data_directorys_owners_and_what_was_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(folder.path(), Some(HUB), Some(HUB)).unwrap();
        }
        drop(AuditFile::open(&config).unwrap());
        assert_eq!(owner(&config.file), owner(folder.path()));
        // What the owner of the folder puts there is no way to become the owner of something else.
        let (others, link) = (folder.path().join("others"), folder.path().join("link"));
        std::fs::write(&others, "").unwrap();
        let before = owner(&others);
        std::os::unix::fs::symlink(&others, &link).unwrap();
        drop(AuditFile::open(&AuditConfig { file: link, ..config }).unwrap());
        assert_eq!(owner(&others), before);
        assert!(!is_root || before != owner(folder.path()), "the check bites");
    }
}
