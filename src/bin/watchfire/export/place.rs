//! Where an export is kept: a folder, or a file, that one process writes at a time and others read at any time. Each file
//! in it is the old one or the new one, never a part.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use watchfire::profile;

use crate::export::whole_file::folder_of;
use crate::failure::Failure;

/// Bytes of a file that is read back at most; no event of a feed has more, with what is said to be deleted in it.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// What of ours lies beside the files that others read.
const STATE: &str = ".watchfire";
/// What the state has that says what it is for.
const MARKER: &str = "for";
/// What files end with that are not whole yet.
const UNFINISHED: &str = ".watchfire-tmp";

/// A folder, or the folder of one file, while this process may write there.
pub(super) struct Place {
    /// Where the files are.
    folder: PathBuf,
    /// Where the state is.
    state: PathBuf,
    /// Held while this lives: the lock goes with the process.
    _lock: File,
    /// Whether a file was moved since the folder was synced.
    is_unsettled: bool,
}

impl Place {
    /// A folder of files, made if it is not there. `what` says what it is for: one that was made for something else, and
    /// one with files of others, are refused.
    pub(super) fn folder(path: &Path, what: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| cannot("made", path))?;
        let state = path.join(STATE);
        // Only the marker says that what is there is ours: a folder of that name may be anybody's.
        if !state.join(MARKER).is_file() && has_others(path)? {
            let why = format!("{} has files of something else: name a new folder", path.display());
            return Err(Failure::Usage(why).into());
        }
        let place = Self::open(path.to_owned(), state, what)?;
        place.clear(|_name| true)?;
        Ok(place)
    }

    /// The place of one file: its state is in a folder beside it.
    pub(super) fn file(path: &Path, what: &str) -> anyhow::Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let unnamed = || Failure::Usage(format!("{} is no name of a file", path.display()));
        let name = name.ok_or_else(unnamed)?.to_owned();
        let folder = folder_of(path).to_owned();
        let state = folder.join(format!("{name}{STATE}"));
        let place = Self::open(folder, state, what)?;
        place.clear(|unfinished| unfinished.strip_suffix(UNFINISHED) == Some(name.as_str()))?;
        Ok(place)
    }

    /// Where the state of a file is, if it is followed anywhere.
    pub(super) fn is_followed(path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        folder_of(path).join(format!("{name}{STATE}")).is_dir()
    }

    fn open(folder: PathBuf, state: PathBuf, what: &str) -> anyhow::Result<Self> {
        profile::create_folder(&state)?;
        let path = state.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(&path).with_context(|| cannot("opened", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                anyhow::bail!("another process writes to {}", folder.display());
            }
            Err(fs::TryLockError::Error(error)) => {
                return Err(error).context(cannot("locked", &path));
            }
        }
        let marker = state.join(MARKER);
        match fs::read_to_string(&marker) {
            Ok(was) if was == what => {}
            Ok(was) => {
                let was = crate::output::clean(was.trim());
                let why = format!("{} was made for {was}: name another", folder.display());
                return Err(Failure::Usage(why).into());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                profile::write_private(&marker, what.as_bytes())?;
            }
            Err(error) => return Err(error).context(cannot("read", &marker)),
        }
        Ok(Self { folder, state, _lock: lock, is_unsettled: false })
    }

    /// A file of the state.
    pub(super) fn state(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    /// The names of the files.
    pub(super) fn names(&self) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).with_context(|| cannot("read", &self.folder))? {
            let entry = entry.with_context(|| cannot("read", &self.folder))?;
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            names.extend(entry.file_name().into_string().ok().filter(|_name| is_file));
        }
        Ok(names)
    }

    /// A file's content; `None` if it is not there, or is longer than any of ours.
    pub(super) fn read(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let path = self.folder.join(name);
        let bytes = open(&path)?.map(|file| read_at_most(file, FILE_BYTES_MAX)).transpose();
        Ok(bytes.with_context(|| cannot("read", &path))?.flatten())
    }

    /// Whether a file says this. One of another length is not read, however long it is.
    fn says(&self, name: &str, bytes: &[u8]) -> anyhow::Result<bool> {
        let path = self.folder.join(name);
        let Some(file) = open(&path)? else { return Ok(false) };
        let length = file.metadata().with_context(|| cannot("read", &path))?.len();
        if usize::try_from(length) != Ok(bytes.len()) {
            return Ok(false);
        }
        let there = read_at_most(file, length).with_context(|| cannot("read", &path))?;
        Ok(there.as_deref() == Some(bytes))
    }

    /// Puts a file in the place of the one that is there, unless it says the same. Whether it did. It is durable when
    /// [`Self::settle`] has returned.
    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<bool> {
        if self.says(name, bytes)? {
            return Ok(false);
        }
        let path = self.folder.join(name);
        let beside = self.folder.join(format!("{name}{UNFINISHED}"));
        // One of an earlier try that failed. A new one each time: nobody's link is followed.
        drop(fs::remove_file(&beside));
        // Who may read it is for the process's mask to say, as with any other file that is written.
        let mut options = OpenOptions::new();
        let written = options.write(true).create_new(true).open(&beside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.with_context(|| cannot("written", &beside))?;
        fs::rename(&beside, &path).with_context(|| cannot("written", &path))?;
        self.is_unsettled = true;
        Ok(true)
    }

    /// Removes a file. Whether it was there.
    pub(super) fn remove(&mut self, name: &str) -> anyhow::Result<bool> {
        let path = self.folder.join(name);
        match fs::remove_file(&path) {
            Ok(()) => {
                self.is_unsettled = true;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).context(cannot("removed", &path)),
        }
    }

    /// Sees to it that a power cut takes back nothing of what was put and removed.
    pub(super) fn settle(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.is_unsettled) {
            let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
            synced.with_context(|| cannot("written", &self.folder))?;
        }
        Ok(())
    }

    /// Removes what a process that ended in the midst left half-written.
    fn clear(&self, is_ours: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        for name in self.names()? {
            if name.ends_with(UNFINISHED) && is_ours(&name) {
                let path = self.folder.join(&name);
                fs::remove_file(&path).with_context(|| cannot("removed", &path))?;
            }
        }
        Ok(())
    }
}

/// Whether a folder has anything but state.
fn has_others(path: &Path) -> anyhow::Result<bool> {
    for entry in fs::read_dir(path).with_context(|| cannot("read", path))? {
        if entry.with_context(|| cannot("read", path))?.file_name() != STATE {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Opens a file; `None` if it is not there.
fn open(path: &Path) -> anyhow::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(cannot("read", path)),
    }
}

/// All of a file; `None` if it is longer.
fn read_at_most(file: File, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    let is_long = u64::try_from(bytes.len()).is_ok_and(|length| length > max);
    Ok((!is_long).then_some(bytes))
}

fn cannot(verb: &str, path: &Path) -> String {
    format!("{} cannot be {verb}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_process_s_and_what_was_half_written_goes() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("feed");
        let mut place = Place::folder(&path, "tests").unwrap();
        assert!(place.put("a.json", b"one").unwrap());
        assert!(!place.put("a.json", b"one").unwrap());
        place.settle().unwrap();
        let second = Place::folder(&path, "tests").err().unwrap().to_string();
        assert!(second.contains("another process"), "{second}");
        drop(place);
        fs::write(path.join(format!("b.json{UNFINISHED}")), "half").unwrap();
        let mut place = Place::folder(&path, "tests").unwrap();
        assert_eq!(place.names().unwrap(), ["a.json"]);
        assert!(place.remove("a.json").unwrap() && !place.remove("a.json").unwrap());
        drop(place);
        let other = Place::folder(&path, "others").err().unwrap().to_string();
        assert!(other.contains("made for tests"), "{other}");
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("thesis.doc"), "mine").unwrap();
        assert!(Place::folder(scratch.path(), "tests").is_err());
        assert!(!scratch.path().join(STATE).exists());
        let file = scratch.path().join("list.txt");
        let unfinished = scratch.path().join(format!("other.txt{UNFINISHED}"));
        fs::write(&unfinished, "another's").unwrap();
        let mut place = Place::file(&file, "tests").unwrap();
        place.put("list.txt", b"x").unwrap();
        assert!(Place::is_followed(&file) && unfinished.exists());
    }

    #[test]
    fn a_folder_of_the_state_s_name_makes_nothing_ours() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path();
        fs::create_dir(path.join(STATE)).unwrap();
        fs::write(path.join("thesis.doc"), "mine").unwrap();
        for _try in 0..2 {
            assert!(Place::folder(path, "tests").is_err());
            assert!(path.join("thesis.doc").exists());
        }
        // One that a first start made before it was cut off has nothing else in it.
        fs::remove_file(path.join("thesis.doc")).unwrap();
        assert!(Place::folder(path, "tests").is_ok());
    }

    #[test]
    fn a_file_that_is_too_long_to_be_read_is_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("feed");
        let mut place = Place::folder(&path, "tests").unwrap();
        let long = File::create(path.join("a.json")).unwrap();
        // It takes no room: nothing is written to it.
        long.set_len(FILE_BYTES_MAX + 1).unwrap();
        assert_eq!(place.read("a.json").unwrap(), None);
        assert!(place.put("a.json", b"one").unwrap());
        assert_eq!(place.read("a.json").unwrap().as_deref(), Some(&b"one"[..]));
    }
}
