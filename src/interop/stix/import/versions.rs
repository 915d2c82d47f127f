//! Which version of an object was imported, so that an older one does not take its place.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use crate::model::names::sha256;

/// Objects that are remembered; beyond them those that are the longest unchanged are forgotten.
const OBJECTS_MAX: usize = 300_000;
/// Bytes of a digest that are kept.
const DIGEST_BYTES: usize = 16;

/// The version of an object, or of a signed record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Microseconds since 1970 of `modified`; of a signed record its revision.
    at: u64,
    /// Digest of what it says, hex.
    digest: String,
}

impl Version {
    pub(super) fn new(at: u64, said: &str) -> Self {
        Self { at, digest: short(said) }
    }

    /// The version that a revision of a signed record is.
    pub fn of_revision(revision: u32) -> Self {
        Self { at: revision.into(), digest: String::new() }
    }
}

/// The versions that were imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    by_key: BTreeMap<String, Version>,
}

impl Versions {
    /// Reads what [`Versions::to_json`] wrote; `None` if it is something else.
    pub fn from_json(text: &str) -> Option<Self> {
        let rows: BTreeMap<String, (u64, String)> = serde_json::from_str(text).ok()?;
        let versions = rows.into_iter().map(|(key, (at, digest))| (key, Version { at, digest }));
        Some(Self { by_key: versions.collect() })
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        let rows = self.by_key.iter();
        let rows = rows.map(|(key, version)| (key.clone(), json!([version.at, version.digest])));
        Value::Object(rows.collect()).to_string()
    }

    /// Whether a version is older than the one that was imported, or says something else under the same time.
    pub fn is_stale(&self, key: &str, version: &Version) -> bool {
        self.by_key.get(key).is_some_and(|known| {
            version.at < known.at || (version.at == known.at && version.digest != known.digest)
        })
    }

    /// Remembers versions that were imported.
    pub fn remember(&mut self, versions: impl IntoIterator<Item = (String, Version)>) {
        for (key, version) in versions {
            if !self.is_stale(&key, &version) {
                self.by_key.insert(key, version);
            }
        }
        if let Some(surplus @ 1..) = self.by_key.len().checked_sub(OBJECTS_MAX) {
            let mut times: Vec<u64> = self.by_key.values().map(|version| version.at).collect();
            let (_older, limit, _newer) = times.select_nth_unstable(surplus.saturating_sub(1));
            let limit = *limit;
            self.by_key.retain(|_key, version| version.at > limit);
        }
    }
}

/// Under which an object of a maker is remembered.
pub(super) fn key(id: &str, maker: Option<&str>) -> String {
    short(&json!([id, maker]).to_string())
}

fn short(text: &str) -> String {
    let mut digest = hex::encode(sha256(text.as_bytes()));
    digest.truncate(2 * DIGEST_BYTES);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_is_stale_and_so_is_another_one_of_the_same_time() {
        let key = key("campaign--x", None);
        let mut versions = Versions::default();
        versions.remember([(key.clone(), Version::new(5, "a"))]);
        versions.remember([(key.clone(), Version::new(4, "b"))]);
        let stale = |at, said| versions.is_stale(&key, &Version::new(at, said));
        assert!(stale(4, "a") && stale(5, "b"));
        assert!(!stale(5, "a") && !stale(6, "b"));
        assert_eq!(Versions::from_json(&versions.to_json()), Some(versions.clone()));
        assert_eq!(Versions::from_json("[]"), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut versions = Versions::default();
        let many = 0..=u64::try_from(OBJECTS_MAX).unwrap();
        versions.remember(many.map(|at| (format!("{at:032x}"), Version::new(at, "a"))));
        assert_eq!(versions.by_key.len(), OBJECTS_MAX);
        assert!(versions.to_json().len() < 32 * 1024 * 1024);
    }
}
