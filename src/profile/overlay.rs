//! A reader's own view of others' records: a confidence of its own beside the publisher's. It stays in the profile;
//! nothing that was signed is changed, and nobody else learns of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::model::limits;
use crate::model::names::RecordName;
use crate::profile::ProfileError;
use crate::profile::files;

/// Records that one profile has a view of, at most.
pub const OVERLAYS_MAX: usize = 100_000;
/// The highest confidence.
pub const CONFIDENCE_MAX: u8 = 100;

/// What the reader holds of one record.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// How sure the reader is, 0 to 100.
    pub confidence: u8,
    /// Why; empty if it is not said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// When it was set, RFC 3339.
    pub set_time: String,
}

/// Every view of one profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlays {
    path: PathBuf,
    of: BTreeMap<RecordName, Overlay>,
}

impl Overlays {
    /// Reads them; none if there is no such file yet.
    pub(super) fn load(path: PathBuf) -> Result<Self, ProfileError> {
        if !path.exists() {
            return Ok(Self { path, of: BTreeMap::new() });
        }
        let malformed = |why| ProfileError::Malformed { path: path.clone(), why };
        let text = files::read_private(&path)?;
        let saved: BTreeMap<String, Overlay> =
            serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        let mut of = BTreeMap::new();
        for (name, overlay) in saved {
            let parsed = name.parse().map_err(|error| malformed(format!("{name}: {error}")))?;
            judge(&overlay).map_err(|why| malformed(format!("{name}: {why}")))?;
            of.insert(parsed, overlay);
        }
        Ok(Self { path, of })
    }

    /// What is held of a record.
    pub fn get(&self, record: &RecordName) -> Option<&Overlay> {
        self.of.get(record)
    }

    /// All of them, by record.
    pub fn iter(&self) -> impl Iterator<Item = (&RecordName, &Overlay)> {
        self.of.iter()
    }

    /// Sets one, in place of what was held before; refuses what is too much.
    pub fn set(&mut self, record: RecordName, overlay: Overlay) -> Result<(), ProfileError> {
        let malformed = |why| ProfileError::Malformed { path: self.path.clone(), why };
        judge(&overlay).map_err(malformed)?;
        if self.of.len() >= OVERLAYS_MAX && !self.of.contains_key(&record) {
            return Err(malformed(format!(
                "a profile has a view of at most {OVERLAYS_MAX} records"
            )));
        }
        self.of.insert(record, overlay);
        self.save()
    }

    /// Clears one; whether there was one.
    pub fn clear(&mut self, record: &RecordName) -> Result<bool, ProfileError> {
        let was_there = self.of.remove(record).is_some();
        self.save()?;
        Ok(was_there)
    }

    fn save(&self) -> Result<(), ProfileError> {
        let named: BTreeMap<String, &Overlay> =
            self.of.iter().map(|(name, overlay)| (name.to_string(), overlay)).collect();
        let text = serde_json::to_string_pretty(&named).map_err(|error| {
            ProfileError::Malformed { path: self.path.clone(), why: error.to_string() }
        })?;
        files::write_private(&self.path, text.as_bytes())
    }
}

fn judge(overlay: &Overlay) -> Result<(), String> {
    if overlay.confidence > CONFIDENCE_MAX {
        return Err(format!("the confidence must be 0 to {CONFIDENCE_MAX}"));
    }
    if overlay.text.len() > limits::TEXT_BYTES_MAX {
        return Err(format!("the text must have at most {} bytes", limits::TEXT_BYTES_MAX));
    }
    Ok(())
}

/// Where a profile's views lie.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("overlay.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> RecordName {
        "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
    }

    fn overlay(confidence: u8) -> Overlay {
        let set_time = "2026-03-01T00:00:00.000000Z".to_owned();
        Overlay { confidence, text: "seen before".to_owned(), set_time }
    }

    #[test]
    fn what_is_set_stays_until_it_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let load = || Overlays::load(path(folder.path())).unwrap();
        assert_eq!(load().get(&record()), None);
        load().set(record(), overlay(70)).unwrap();
        load().set(record(), overlay(30)).unwrap();
        assert_eq!(load().get(&record()), Some(&overlay(30)));
        assert_eq!(load().iter().count(), 1);
        assert!(load().clear(&record()).unwrap());
        assert!(!load().clear(&record()).unwrap());
        assert_eq!(load().iter().count(), 0);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let load = || Overlays::load(path(folder.path()));
        load().unwrap().set(record(), overlay(30)).unwrap();
        load().unwrap().set(record(), overlay(101)).unwrap_err();
        let long = "x".repeat(limits::TEXT_BYTES_MAX + 1);
        load().unwrap().set(record(), Overlay { text: long, ..overlay(1) }).unwrap_err();
        assert_eq!(load().unwrap().get(&record()), Some(&overlay(30)));
        for text in [
            "",
            "[]",
            "{\"x\":{}}",
            "{\"members/acme-video\":{\"confidence\":1,\"set_time\":\"\"}}",
        ] {
            files::write_private(&path(folder.path()), text.as_bytes()).unwrap();
            assert!(matches!(load(), Err(ProfileError::Malformed { .. })), "{text}");
        }
    }
}
