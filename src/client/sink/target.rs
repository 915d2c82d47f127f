//! A sink as people name it.

use std::path::PathBuf;
use std::str::FromStr;

use crate::client::origin::Origin;
use crate::client::sink::FolderSink;
use crate::client::sink::JsonlSink;
use crate::client::sink::Sink;
use crate::client::sink::SinkError;
use crate::client::sink::SqliteSink;

/// `DIR`, `sqlite:FILE` or `jsonl:FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A folder with a file for each revision.
    Folder(PathBuf),
    /// A database.
    Sqlite(PathBuf),
    /// A file of JSON lines.
    Jsonl(PathBuf),
}

/// A text that names no sink.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be DIR, sqlite:FILE or jsonl:FILE; a folder with a colon in its name is ./NAME")]
pub struct InvalidTarget;

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let (kind, path) = match text.split_once(':') {
            Some((kind, path)) if !kind.contains(['/', '.']) => (kind, path),
            Some(_) | None => ("", text),
        };
        if path.is_empty() {
            return Err(InvalidTarget);
        }
        match kind {
            "" if !text.starts_with(':') => Ok(Self::Folder(path.into())),
            "sqlite" => Ok(Self::Sqlite(path.into())),
            "jsonl" => Ok(Self::Jsonl(path.into())),
            _ => Err(InvalidTarget),
        }
    }
}

impl Target {
    /// Opens it, or makes it if it is not there yet. Refuses one that was made for something else.
    pub fn open(&self, origin: &Origin) -> Result<Box<dyn Sink>, SinkError> {
        Ok(match self {
            Self::Folder(path) => Box::new(FolderSink::open(path, origin)?),
            Self::Sqlite(path) => Box::new(SqliteSink::open(path, origin)?),
            Self::Jsonl(path) => Box::new(JsonlSink::open(path, origin)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&Target>) {
        assert_eq!(text.parse().ok().as_ref(), expected, "{text}");
    }

    #[test]
    fn a_target_names_its_kind() {
        check("records", Some(&Target::Folder("records".into())));
        check("sqlite:records.db", Some(&Target::Sqlite("records.db".into())));
        check("sqlite::memory:", Some(&Target::Sqlite(":memory:".into())));
        check("jsonl:/srv/a:b", Some(&Target::Jsonl("/srv/a:b".into())));
        check("./sqlite:x", Some(&Target::Folder("./sqlite:x".into())));
        check("/srv/a:b", Some(&Target::Folder("/srv/a:b".into())));
        for text in ["", "sqlite:", "jsonl:", "sqllite:x", "https:x", ":x"] {
            check(text, None);
        }
    }
}
