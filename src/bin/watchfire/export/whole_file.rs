//! A file that is written as a whole or not at all, as a stream.

use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use tempfile::NamedTempFile;

/// A new file beside the one that it will replace; only its owner may read it, since not everything is for everyone. If
/// it is dropped before its end, nothing of it stays.
pub(super) struct WholeFile {
    path: PathBuf,
    beside: BufWriter<NamedTempFile>,
}

impl WholeFile {
    /// Begins a file.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let beside = NamedTempFile::new_in(folder_of(path)).with_context(|| unwritable(path))?;
        Ok(Self { path: path.to_owned(), beside: BufWriter::new(beside) })
    }

    /// Puts the file in its place, durably.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let Self { path, beside } = self;
        let unwritable = || unwritable(&path);
        let beside = beside.into_inner().map_err(io::IntoInnerError::into_error);
        let beside = beside.with_context(unwritable)?;
        beside.as_file().sync_all().with_context(unwritable)?;
        beside.persist(&path).map_err(|error| error.error).with_context(unwritable)?;
        let folder = File::open(folder_of(&path)).and_then(|folder| folder.sync_all());
        folder.with_context(unwritable)
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.beside.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.beside.flush()
    }
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn unwritable(path: &Path) -> String {
    format!("{} cannot be written", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_and_not_ended_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.json");
        std::fs::write(&path, "old").unwrap();
        let mut begun = WholeFile::create(&path).unwrap();
        begun.write_all(b"new").unwrap();
        drop(begun);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        let mut whole = WholeFile::create(&path).unwrap();
        whole.write_all(b"new").unwrap();
        whole.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        WholeFile::create(&folder.path().join("absent").join("x")).err().unwrap();
    }
}
