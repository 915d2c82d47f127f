//! Backing up a hub that serves.

use std::io::Write;

use crate::exchange::hub::Hub;
use crate::store;
use crate::store::BackupError;
use crate::store::BackupSummary;

impl Hub {
    /// Writes a backup while the hub serves: the log at one durable head. It blocks, so that it wants a thread of its
    /// own; it ends early once it is stopped.
    pub fn back_up(
        &self,
        out: &mut impl Write,
        is_stopped: impl Fn() -> bool,
    ) -> Result<BackupSummary, BackupError> {
        let durable = || (!is_stopped()).then(|| self.head().size);
        store::export(&self.store, out, self.clock().now(), durable, |_entries| {})
    }
}
