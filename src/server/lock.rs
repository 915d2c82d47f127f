//! One process at a time has a data directory: it opens the store there, or puts another in its place.
//!
//! The directory itself is locked: a file could be missing, another account's, or find no space.

use std::fs::File;
use std::fs::TryLockError;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::store::StoreError;

/// The lock of a process that was just killed goes with it, a little later.
const WITHIN: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(20);

/// Takes the lock of a data directory, which goes with what is returned.
pub(super) fn take(data: &Path) -> Result<Arc<File>, StoreError> {
    let failed = |error: std::io::Error| StoreError::Io {
        action: "locking the data directory",
        cause: error.to_string(),
    };
    let folder = File::open(data).map_err(failed)?;
    let begun = Instant::now();
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(Arc::new(folder)),
            Err(TryLockError::WouldBlock) if begun.elapsed() < WITHIN => {
                std::thread::park_timeout(TICK);
            }
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn one_has_it_until_it_lets_it_go() {
        let folder = tempfile::tempdir().unwrap();
        let lock = take(folder.path()).unwrap();
        let second = std::thread::scope(|scope| {
            let second = scope.spawn(|| take(folder.path()));
            std::thread::park_timeout(TICK * 4);
            assert!(!second.is_finished(), "two have it");
            drop(lock);
            second.join().unwrap()
        });
        let _held = second.unwrap();
        let third = take(folder.path());
        assert!(matches!(third, Err(StoreError::InUse)));
    }

    #[test]
    fn who_puts_a_store_in_anothers_place_has_it_beyond_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), 0).unwrap();
        let store = store.with_lock(take(folder.path()).unwrap());
        let kept = store.lock();
        drop(store);
        let other = File::open(folder.path()).unwrap();
        assert!(
            matches!(other.try_lock(), Err(TryLockError::WouldBlock)),
            "it went with the store"
        );
        drop(kept);
        other.try_lock().unwrap();
    }
}
