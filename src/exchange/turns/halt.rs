//! Until when a read goes on.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::store::StoreError;

/// Says to a read whether somebody still waits for it. A read asks in every loop that a member can make long.
#[derive(Clone, Debug, Default)]
pub(in crate::exchange) struct Halt {
    halted: Arc<AtomicBool>,
}

/// Halts a read when it is dropped: its caller went away, or has its answer.
#[derive(Debug)]
pub(in crate::exchange) struct HaltOnDrop(Halt);

impl Halt {
    /// Whether nobody waits any more.
    pub(in crate::exchange) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Relaxed)
    }

    /// An error once nobody waits any more, which ends the read.
    pub(in crate::exchange) fn check(&self) -> Result<(), StoreError> {
        if self.is_halted() {
            let cause = "nobody waits for it any more".to_owned();
            return Err(StoreError::Io { action: "reading", cause });
        }
        Ok(())
    }

    pub(in crate::exchange) fn on_drop(&self) -> HaltOnDrop {
        HaltOnDrop(self.clone())
    }
}

impl Drop for HaltOnDrop {
    fn drop(&mut self) {
        self.0.halted.store(true, Ordering::Relaxed);
    }
}
