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
    /// Opens or makes the file; tells whether its last line was cut off, as by a crash: that is ended, and stays. So it is
    /// if it is no line, whoever gave it its end: a start that was killed in its turn.
    pub(super) fn open(config: &AuditConfig) -> io::Result<(Self, bool)> {
        let file = open(config)?;
        let bytes = file.metadata()?.len();
        let tail = tail(&file)?;
        let older = match tail.number {
            Some(_) => Tail::default(),
            None => newest_rotated(&config.file)?.map(end_of).transpose()?.unwrap_or_default(),
        };
        let chain = tail.behind(older.behind(Chain::default()));
        let is_cut = tail.is_cut() || older.is_cut();
        let mut own = Self { config: config.clone(), file, bytes, chain };
        if tail.is_open {
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

/// The files of a log whose own lies at a path, the oldest first: those that were rotated by size, and its own if it is
/// there. None if their folder is not there.
pub(super) fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut older = match all_rotated(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found?,
    };
    older.sort_unstable();
    let own = path.try_exists()?.then(|| path.to_owned());
    Ok(older.into_iter().map(|(_number, path)| path).chain(own).collect())
}

fn newest_rotated(path: &Path) -> io::Result<Option<PathBuf>> {
    Ok(all_rotated(path)?.into_iter().max().map(|(_number, path)| path))
}

fn end_of(path: PathBuf) -> io::Result<Tail> {
    tail(&File::open(path)?)
}

/// How a file ends.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tail {
    /// The number of the last line that is one.
    number: Option<u64>,
    /// Lines behind it that are none, as a crash leaves them: each has the number behind the one before.
    cut: u64,
    /// The digest of the last of all, without its end.
    digest: Digest,
    /// The last has no end.
    is_open: bool,
}

impl Tail {
    /// Of a file's last bytes, which are all of it, or begin anywhere. None if more of them must be looked at.
    fn of(end: &[u8], is_all: bool) -> Option<Self> {
        if end.is_empty() {
            return Some(Self::default());
        }
        let is_open = end.last() != Some(&b'\n');
        let text = end.strip_suffix(b"\n").unwrap_or(end);
        let mut lines = text.rsplit(|byte| *byte == b'\n');
        let digest = sha256(lines.clone().next().unwrap_or_default());
        let mut cut = 0_u64;
        let number = lines.find_map(|line| {
            let found = link(line);
            cut = cut.saturating_add(u64::from(found.is_none()));
            Some(found?.number)
        });
        (number.is_some() || is_all).then_some(Self { number, cut, digest, is_open })
    }

    const fn is_cut(&self) -> bool {
        self.is_open || self.cut > 0
    }

    /// Where the chain stands behind this file, if it stood so before it.
    const fn behind(&self, before: Chain) -> Chain {
        let number = match self.number {
            None if self.cut == 0 => return before,
            None => before.number,
            Some(number) => number,
        };
        Chain { number: number.saturating_add(self.cut), digest: self.digest }
    }
}

fn tail(file: &File) -> io::Result<Tail> {
    let mut file = file;
    let bytes = file.metadata()?.len();
    let mut window = 2 * LINE_BYTES_MAX;
    loop {
        file.seek(SeekFrom::Start(bytes.saturating_sub(window)))?;
        let mut end = Vec::new();
        file.take(window).read_to_end(&mut end)?;
        if let Some(tail) = Tail::of(&end, window >= bytes) {
            return Ok(tail);
        }
        // As after a power cut, which leaves zeroes, however many.
        window = window.saturating_mul(2);
    }
}

/// What a line says of its place. Ours are shorter: what is longer is none, wherever it is read.
pub(super) fn link(line: &[u8]) -> Option<Link> {
    let is_short = u64::try_from(line.len()).is_ok_and(|bytes| bytes < LINE_BYTES_MAX);
    is_short.then(|| serde_json::from_slice(line).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;
    use crate::server::audit::CUT;
    use crate::server::audit::Who;
    use crate::server::audit::verify_audit;

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

    fn event(what: &str) -> Event {
        Event::done(Timestamp::default(), Who::Hub, what, "")
    }

    /// Goes on behind what a crash left, as the hub does; what is verified of all then.
    #[track_caller]
    fn check(left: &[u8], older: &[PathBuf], config: &AuditConfig, cut: u64) {
        File::options().append(true).open(&config.file).unwrap().write_all(left).unwrap();
        let (mut file, is_cut) = AuditFile::open(config).unwrap();
        assert_eq!(is_cut, cut > 0);
        if is_cut {
            file.write(&event(CUT)).unwrap();
        }
        file.write(&event("serve")).unwrap();
        let chain = file.chain();
        drop(file);
        let files = [older, std::slice::from_ref(&config.file)].concat();
        let verified = verify_audit(&files).unwrap();
        assert_eq!((verified.first, verified.last, verified.cut), (1, chain.number, cut));
        assert_eq!((verified.lines, verified.digest), (chain.number, chain.digest));
    }

    #[test]
    fn whatever_a_crash_leaves_the_chain_goes_on_and_verifies() {
        let zeroes = vec![0; 300 * 1024];
        let zeroes_with_an_end = [&zeroes[..], b"\n"].concat();
        // With how many lines that are none: of a line, of its end alone, of the line that tells it, of a power cut.
        let crashes: [(&[u8], u64); 7] = [
            (b"", 0),
            (b"{\"number\":4,\"ti", 1),
            (b"{\"number\":4,\"ti\n", 1),
            (b"{\"number\":4,\"ti\n{\"number\":5,\"what\":\"audit-l", 2),
            (b"{\"number\":4,\"ti\n{\"number\":5,\"what\":\"audit-l\n\0\0\0", 3),
            (&zeroes, 1),
            (&zeroes_with_an_end, 1),
        ];
        for (left, cut) in crashes {
            let folder = tempfile::tempdir().unwrap();
            let config = config(folder.path());
            let (mut file, _is_cut) = AuditFile::open(&config).unwrap();
            for _line in 0..3 {
                file.write(&event("init")).unwrap();
            }
            drop(file);
            check(left, &[], &config, cut);
            // The same in a file of which no line is left, behind one that was put aside.
            let (file, _is_cut) = AuditFile::open(&config).unwrap();
            let aside = rotated(&config.file, file.chain().number);
            std::fs::rename(&config.file, &aside).unwrap();
            std::fs::write(&config.file, "").unwrap();
            drop(file);
            check(left, &[aside], &config, 2 * cut);
        }
    }
}
