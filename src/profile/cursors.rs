//! Where a subscriber stood: the hub's cursor and the last sequence that took effect, saved as one.

use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

use crate::profile::ProfileError;
use crate::profile::files;

/// A place in the log at which a subscriber goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SavedCursor {
    /// `exchanges/{exchange}`: a cursor means nothing elsewhere.
    pub exchange: String,
    /// Whose it is.
    pub member: String,
    /// Hex digest of the filter that it was made for.
    pub filter: String,
    /// The hub's cursor, hex, `@`, and the position of its mark; absent before the first mark.
    pub cursor: Option<String>,
    /// The epoch of the last sequence.
    pub epoch: u32,
    /// The last sequence that took effect; absent if none has.
    pub sequence: Option<u64>,
    /// The last entry of a batch that was offered to a command and not acknowledged; it is offered again, cut at
    /// the same place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<Offered>,
}

/// Where a batch ended that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Offered {
    /// The epoch of its last entry.
    pub epoch: u32,
    /// Its last entry.
    pub sequence: u64,
}

impl SavedCursor {
    /// Reads one; `None` if there is no such file yet.
    pub fn load(path: &Path) -> Result<Option<Self>, ProfileError> {
        if !path.exists() {
            return Ok(None);
        }
        let malformed = |why| ProfileError::Malformed { path: path.to_owned(), why };
        serde_json::from_slice(&files::read(path)?)
            .map(Some)
            .map_err(|error| malformed(error.to_string()))
    }

    /// Writes it, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<(), ProfileError> {
        let text = serde_json::to_string_pretty(self).map_err(|error| ProfileError::Malformed {
            path: path.to_owned(),
            why: error.to_string(),
        })?;
        files::write_private(path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor.json");
        assert_eq!(SavedCursor::load(&path).unwrap(), None);
        let saved =
            SavedCursor { cursor: Some("00ff".to_owned()), epoch: 1, ..SavedCursor::default() };
        saved.save(&path).unwrap();
        assert_eq!(SavedCursor::load(&path).unwrap(), Some(saved));
    }

    #[test]
    fn a_damaged_cursor_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor.json");
        std::fs::write(&path, "{}").unwrap();
        assert!(matches!(SavedCursor::load(&path), Err(ProfileError::Malformed { .. })));
    }
}
