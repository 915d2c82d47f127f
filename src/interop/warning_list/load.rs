//! Lists from files and folders, which may be large and not what they are said to be.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use thiserror::Error;

use crate::interop::warning_list::ListError;
use crate::interop::warning_list::WarningLists;
use crate::model::limits::WARNING_FILE_BYTES_MAX;
use crate::model::limits::WARNING_LISTS_MAX;

/// How deep below a named folder lists are looked for: a checkout of the MISP lists has them two down.
const DEPTH_MAX: usize = 4;
/// Describes the format and is no list; it lies beside the lists in a checkout.
const SCHEMA: &str = "schema.json";

/// Why lists could not be loaded. None of them is then.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Not to be read.
    #[error("cannot read {path}", path = .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Neither a file nor a folder.
    #[error("{path} is neither a file nor a folder", path = .0.display())]
    NotAFile(PathBuf),
    /// Larger than a list may be.
    #[error("{path} is larger than {WARNING_FILE_BYTES_MAX} bytes", path = .0.display())]
    TooLarge(PathBuf),
    /// A folder without a list, or with folders in folders without end.
    #[error("{path} holds no list within {DEPTH_MAX} folders", path = .0.display())]
    NoLists(PathBuf),
    /// Not JSON, or not that of a list.
    #[error("{path} is not a warning list", path = .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// A list that cannot be used.
    #[error("the warning list {path} cannot be used", path = .path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: ListError,
    },
}

impl WarningLists {
    /// The lists of these files, and of every `.json` file in these folders and their folders, in the order of
    /// their names. Names that begin with a dot and `schema.json` are passed over. Blocks, and may take seconds.
    pub fn load(paths: &[PathBuf]) -> Result<Self, LoadError> {
        Self::default().with_files(paths)
    }

    /// The same, added to the lists that are here already.
    pub fn with_files(mut self, paths: &[PathBuf]) -> Result<Self, LoadError> {
        for path in paths {
            for file in files(path)? {
                self.add_file(file)?;
            }
        }
        Ok(self)
    }

    fn add_file(&mut self, path: PathBuf) -> Result<(), LoadError> {
        let bytes = read(&path)?;
        self.add_text(path, &bytes)
    }

    pub(super) fn add_text(&mut self, path: PathBuf, text: &[u8]) -> Result<(), LoadError> {
        match serde_json::from_slice(text) {
            Ok(raw) => self.add(raw).map_err(|cause| LoadError::List { path, cause }),
            Err(cause) => Err(LoadError::Json { path, cause }),
        }
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let about = fs::metadata(path).map_err(|cause| unreadable(path, cause))?;
    if about.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if !about.is_dir() {
        return Err(LoadError::NotAFile(path.to_owned()));
    }
    let mut found = Vec::new();
    walk(path, DEPTH_MAX, &mut found)?;
    if found.is_empty() { Err(LoadError::NoLists(path.to_owned())) } else { Ok(found) }
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), LoadError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(|cause| unreadable(folder, cause))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        if name.as_encoded_bytes().starts_with(b".") || name == SCHEMA {
            continue;
        }
        let about = fs::metadata(&path).map_err(|cause| unreadable(&path, cause))?;
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        if about.is_dir() && depth > 0 {
            walk(&path, depth - 1, found)?;
        } else if about.is_file() && is_json {
            found.push(path);
        }
        // One more than are taken, so that it is told.
        if found.len() > WARNING_LISTS_MAX {
            break;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let limit = u64::try_from(WARNING_FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|cause| unreadable(path, cause))?;
    if bytes.len() > WARNING_FILE_BYTES_MAX {
        return Err(LoadError::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, cause: io::Error) -> LoadError {
    LoadError::Read { path: path.to_owned(), cause }
}
