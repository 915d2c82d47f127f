//! Resets of members' keys by the operator that this profile's user has confirmed: compared with the member, by another
//! way, and found to be its own. What such keys sign is no longer held as unconfirmed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::model::fingerprint::Fingerprint;
use crate::model::names::MemberId;
use crate::model::time::Timestamp;
use crate::profile::ProfileError;
use crate::profile::files;

/// Resets that one profile has confirmed, at most.
const CONFIRMED_MAX: usize = 100_000;

/// The resets that were confirmed, each by its member and the fingerprint of its new keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmedKeys {
    path: PathBuf,
    /// When each was, RFC 3339.
    times: BTreeMap<(MemberId, Fingerprint), String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    member: String,
    fingerprint: String,
    confirmed_time: String,
}

impl ConfirmedKeys {
    /// Reads them; none if there is no such file yet.
    pub(super) fn load(path: PathBuf) -> Result<Self, ProfileError> {
        let mut times = BTreeMap::new();
        if !path.exists() {
            return Ok(Self { path, times });
        }
        let malformed = |why: String| ProfileError::Malformed { path: path.clone(), why };
        let text = files::read_private(&path)?;
        let saved: Vec<Saved> =
            serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        for Saved { member, fingerprint, confirmed_time } in saved {
            let member = member.parse().map_err(|error| malformed(format!("{member}: {error}")))?;
            let fingerprint = fingerprint
                .parse()
                .map_err(|error| malformed(format!("{fingerprint}: {error}")))?;
            times.insert((member, fingerprint), confirmed_time);
        }
        Ok(Self { path, times })
    }

    /// The resets.
    pub fn resets(&self) -> BTreeSet<(MemberId, Fingerprint)> {
        self.times.keys().cloned().collect()
    }

    /// Confirms one; whether it was not confirmed before.
    pub fn confirm(
        &mut self,
        member: &MemberId,
        fingerprint: Fingerprint,
        now: Timestamp,
    ) -> Result<bool, ProfileError> {
        let reset = (member.clone(), fingerprint);
        if self.times.contains_key(&reset) {
            return Ok(false);
        }
        if self.times.len() >= CONFIRMED_MAX {
            return Err(ProfileError::Malformed {
                path: self.path.clone(),
                why: format!("a profile confirms at most {CONFIRMED_MAX} resets of keys"),
            });
        }
        self.times.insert(reset, now.to_string());
        self.save()?;
        Ok(true)
    }

    fn save(&self) -> Result<(), ProfileError> {
        let saved: Vec<Saved> = self
            .times
            .iter()
            .map(|((member, fingerprint), time)| Saved {
                member: member.to_string(),
                fingerprint: fingerprint.to_string(),
                confirmed_time: time.clone(),
            })
            .collect();
        let text = serde_json::to_string_pretty(&saved).map_err(|error| {
            ProfileError::Malformed { path: self.path.clone(), why: error.to_string() }
        })?;
        files::write_private(&self.path, text.as_bytes())
    }
}

/// Where a profile's confirmed resets lie.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("confirmed_keys.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(text: &str) -> MemberId {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000).unwrap()
    }

    #[test]
    fn what_was_confirmed_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut confirmed = ConfirmedKeys::load(path(folder.path())).unwrap();
        assert!(confirmed.resets().is_empty());
        let keys = Fingerprint::of_keys(&[b"signing", b"recovery"]);
        assert!(confirmed.confirm(&member("acme-video"), keys, now()).unwrap());
        assert!(!confirmed.confirm(&member("acme-video"), keys, now()).unwrap());
        assert!(confirmed.confirm(&member("bravo-net"), keys, now()).unwrap());
        let again = ConfirmedKeys::load(path(folder.path())).unwrap();
        assert_eq!(again, confirmed);
        assert_eq!(again.resets().len(), 2);
    }

    #[test]
    fn a_file_that_says_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path());
        let digits = "ab".repeat(32);
        for (text, is_good) in [
            (
                format!(
                    r#"[{{"member":"acme-video","fingerprint":"{digits}","confirmed_time":""}}]"#
                ),
                true,
            ),
            (
                format!(r#"[{{"member":"ACME","fingerprint":"{digits}","confirmed_time":""}}]"#),
                false,
            ),
            (
                r#"[{"member":"acme-video","fingerprint":"ab","confirmed_time":""}]"#.to_owned(),
                false,
            ),
            (format!(r#"[{{"member":"acme-video","fingerprint":"{digits}"}}]"#), false),
            ("{}".to_owned(), false),
        ] {
            files::write_private(&path, text.as_bytes()).unwrap();
            assert_eq!(ConfirmedKeys::load(path.clone()).is_ok(), is_good, "{text}");
        }
    }
}
