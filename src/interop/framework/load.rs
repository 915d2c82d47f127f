//! Frameworks from files, which may be large and not what they are said to be.

use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use crate::interop::framework::Framework;
use crate::interop::framework::FrameworkError;
use crate::interop::framework::Frameworks;
use crate::model::limits::FRAMEWORK_FILE_BYTES_MAX;

/// A file with a framework, and what is said about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameworkFile {
    /// Where it is.
    pub path: PathBuf,
    /// What the framework is called, where the file does not say it or says it wrong; empty: as the file says.
    pub name: String,
    /// Which version it is; empty: as the file or its name says.
    pub version: String,
}

/// Why frameworks could not be loaded. None of them is then.
#[derive(Debug, thiserror::Error)]
pub enum FrameworkLoadError {
    /// Not to be read.
    #[error("cannot read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// No framework, or one that cannot be used.
    #[error("{path} is no framework that can be used", path = .path.display())]
    Framework {
        /// The file.
        path: PathBuf,
        /// Why, and where.
        #[source]
        cause: FrameworkError,
    },
}

impl Frameworks {
    /// The frameworks of these files, in their order. Blocks.
    pub fn load(files: &[FrameworkFile]) -> Result<Self, FrameworkLoadError> {
        let mut frameworks = Self::default();
        for FrameworkFile { path, name, version } in files {
            let bytes = read(path)
                .map_err(|cause| FrameworkLoadError::Read { path: path.clone(), cause })?;
            let file_name = path.file_name().unwrap_or_default().to_string_lossy();
            Framework::parse(&file_name, &bytes, name, version)
                .and_then(|framework| frameworks.add(framework))
                .map_err(|cause| FrameworkLoadError::Framework { path: path.clone(), cause })?;
        }
        Ok(frameworks)
    }
}

/// One byte more than is taken, so that it is told.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(FRAMEWORK_FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
