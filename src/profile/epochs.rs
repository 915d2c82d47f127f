//! What a member remembers of the log's past: checkpoints, and restores that it accepted.

use std::fs::File;

use serde::Deserialize;
use serde::Serialize;

use crate::profile::Profile;
use crate::profile::ProfileError;
use crate::profile::files;

const EPOCHS: &str = "epochs.json";
const CHECKPOINTS: &str = "checkpoints.json";
const LEFT: &str = "checkpoints.left.json";
const LOCK: &str = "checkpoint.lock";
/// Checkpoints that are left to be compared, at most; the oldest goes.
const LEFT_MAX: usize = 16;

/// A restore that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptedEpoch {
    /// The epoch that began.
    pub epoch: u32,
    /// The one that ended.
    pub previous: u32,
    /// Where.
    pub size: u64,
}

impl Profile {
    /// Restores that were accepted, oldest first.
    pub fn accepted_epochs(&self) -> Result<Vec<AcceptedEpoch>, ProfileError> {
        self.list(EPOCHS)
    }

    /// Notes that restores were accepted.
    pub fn accept_epochs(&self, steps: &[AcceptedEpoch]) -> Result<(), ProfileError> {
        let mut accepted = self.accepted_epochs()?;
        accepted.retain(|kept| steps.iter().all(|step| step.epoch != kept.epoch));
        accepted.extend(steps);
        accepted.sort_unstable_by_key(|step| step.epoch);
        self.save_list(EPOCHS, &accepted)
    }

    /// Some checkpoints of the log's past, signed notes, oldest first.
    pub fn past_checkpoints(&self) -> Result<Vec<String>, ProfileError> {
        self.list(CHECKPOINTS)
    }

    /// Saves some checkpoints of the log's past.
    pub fn save_past_checkpoints(&self, notes: &[String]) -> Result<(), ProfileError> {
        self.save_list(CHECKPOINTS, notes)
    }

    /// Held while what is remembered of the log is read and written: no other process of the profile changes it meanwhile.
    pub fn lock_checkpoints(&self) -> Result<File, ProfileError> {
        let path = self.folder.join(LOCK);
        let file = File::options().create(true).append(true).open(&path);
        let locked = file.and_then(|file| file.lock().map(|()| file));
        locked.map_err(files::writing(&path))
    }

    /// Checkpoints, signed notes, that processes saw and could not compare with what others of this profile saw.
    pub fn left_checkpoints(&self) -> Result<Vec<String>, ProfileError> {
        self.list(LEFT)
    }

    /// Leaves a checkpoint for whoever connects next to compare; 16 at most. Must not be called under the lock.
    pub fn leave_checkpoint(&self, note: &str) -> Result<(), ProfileError> {
        let _lock = self.lock_checkpoints()?;
        let mut left = self.left_checkpoints()?;
        left.retain(|other| other != note);
        left.push(note.to_owned());
        left.drain(..left.len().saturating_sub(LEFT_MAX));
        self.save_list(LEFT, &left)
    }

    /// Takes away a checkpoint that was left and has been compared. Must not be called under the lock.
    pub fn settle_checkpoint(&self, note: &str) -> Result<(), ProfileError> {
        let _lock = self.lock_checkpoints()?;
        let mut left = self.left_checkpoints()?;
        left.retain(|other| other != note);
        self.save_list(LEFT, &left)
    }

    fn list<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<Vec<T>, ProfileError> {
        let path = self.folder.join(name);
        if !path.exists() {
            return Ok(Vec::new());
        }
        serde_json::from_slice(&files::read(&path)?)
            .map_err(|error| ProfileError::Malformed { path, why: error.to_string() })
    }

    fn save_list<T: Serialize>(&self, name: &str, list: &[T]) -> Result<(), ProfileError> {
        let path = self.folder.join(name);
        let text = serde_json::to_string_pretty(list).map_err(|error| ProfileError::Malformed {
            path: path.clone(),
            why: error.to_string(),
        })?;
        files::write_public(&path, text.as_bytes())
    }
}
