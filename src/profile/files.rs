//! Files that are whole or absent, and private where they must be.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use zeroize::Zeroizing;

/// Bytes of a profile's file at most; none of them is long.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Others may read what only the member may.
    #[error("{} is a private file that others may read (mode {mode:03o}): run chmod 600 {}", path.display(), path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file does not hold what it should.
    #[error("{} cannot be used: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Something is there already.
    #[error("{} is not empty: name a new folder", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// Enrolled, but the operator's grant was not accepted yet.
    #[error(
        "this profile waits for its grant: watchfire --profile {} accept GRANT",
        folder.display()
    )]
    NotAccepted {
        /// The folder.
        folder: PathBuf,
    },
    /// Only the operator's profile has an authority.
    #[error("only the operator's profile can do this")]
    NotOperator,
    /// The authority's work failed.
    #[error(transparent)]
    Pki(#[from] crate::pki::PkiError),
    /// The disk.
    #[error("{} cannot be {verb}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Read or written.
        verb: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn reading(path: &Path) -> impl FnOnce(io::Error) -> ProfileError {
    let path = path.to_owned();
    move |source| ProfileError::Io { path, verb: "read", source }
}

pub(super) fn writing(path: &Path) -> impl FnOnce(io::Error) -> ProfileError {
    let path = path.to_owned();
    move |source| ProfileError::Io { path, verb: "written", source }
}

/// Tells one version of a file that is replaced as a whole from the next: its node, and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileVersion {
    node: u64,
    modified: SystemTime,
}

/// The version of a file that is there.
pub(super) fn version(path: &Path) -> Option<FileVersion> {
    let found = fs::metadata(path).ok()?;
    Some(FileVersion { node: found.ino(), modified: found.modified().ok()? })
}

/// Reads a file of bounded length.
pub fn read(path: &Path) -> Result<Vec<u8>, ProfileError> {
    let length = fs::metadata(path).map_err(reading(path))?.len();
    if length > FILE_BYTES_MAX {
        return Err(ProfileError::Malformed {
            path: path.to_owned(),
            why: format!("it has {length} bytes, more than {FILE_BYTES_MAX}"),
        });
    }
    fs::read(path).map_err(reading(path))
}

pub(super) fn read_text(path: &Path) -> Result<String, ProfileError> {
    String::from_utf8(read(path)?).map_err(|_not_text| ProfileError::Malformed {
        path: path.to_owned(),
        why: "it is not UTF-8".to_owned(),
    })
}

/// Reads a private file; refuses one that others may read.
pub fn read_private(path: &Path) -> Result<Zeroizing<String>, ProfileError> {
    demand_private(path)?;
    read_text(path).map(Zeroizing::new)
}

pub(super) fn demand_private(path: &Path) -> Result<(), ProfileError> {
    let mode = fs::metadata(path).map_err(reading(path))?.permissions().mode() & 0o777;
    let others = mode & 0o077;
    if others == 0 { Ok(()) } else { Err(ProfileError::TooOpen { path: path.to_owned(), mode }) }
}

pub(super) fn demand_empty(folder: &Path) -> Result<(), ProfileError> {
    match fs::read_dir(folder).map(|entries| entries.take(1).count()) {
        Ok(1..) => Err(ProfileError::Occupied { path: folder.to_owned() }),
        Ok(_empty) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(reading(folder)(error)),
    }
}

/// Makes a folder, and those above it, that only its owner may enter.
pub fn create_folder(folder: &Path) -> Result<(), ProfileError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(writing(folder))
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), ProfileError> {
    replace(path, bytes, 0o600)
}

/// Writes a file that anyone may read.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), ProfileError> {
    replace(path, bytes, 0o644)
}

/// Writes a file that only its owner may read, whole or not at all as far as other processes see; a power cut may take it.
pub(super) fn write_unsynced(path: &Path, bytes: &[u8]) -> Result<(), ProfileError> {
    put_in_place(path, bytes, 0o600, |_file| Ok(()))
}

/// Moves a file into another's place, durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), ProfileError> {
    fs::rename(from, to).map_err(writing(to))?;
    sync_folder_of(to)
}

/// Removes a file, durably. It is no fault if it is gone: another process of the same member may have answered.
pub(super) fn remove(path: &Path) -> Result<(), ProfileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(writing(path)(error)),
        Ok(()) | Err(_) => sync_folder_of(path),
    }
}

/// A new file beside the old one, synced, then moved into its place, then the folder synced: after a crash there
/// is the old content or the new, never a part.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), ProfileError> {
    put_in_place(path, bytes, mode, File::sync_all)?;
    sync_folder_of(path)
}

fn put_in_place(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    sync: impl FnOnce(&File) -> io::Result<()>,
) -> Result<(), ProfileError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", uuid::Uuid::new_v4().simple()));
    let beside = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            sync(&file)
        })
        .and_then(|()| fs::rename(&beside, path));
    if let Err(error) = written {
        // The first error is the one to tell; what is left beside harms nobody.
        drop(fs::remove_file(&beside));
        return Err(writing(path)(error));
    }
    Ok(())
}

fn sync_folder_of(path: &Path) -> Result<(), ProfileError> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(writing(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_private(&path, b"first").unwrap();
        write_private(&path, b"second").unwrap();
        assert_eq!(read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_was_replaced_has_the_mode_of_its_kind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_public(&path, b"first").unwrap();
        assert!(matches!(read_private(&path), Err(ProfileError::TooOpen { mode: 0o644, .. })));
        write_private(&path, b"second").unwrap();
        assert_eq!(read_private(&path).unwrap().as_str(), "second");
    }
}
