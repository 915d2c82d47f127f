//! The end of sled.
//!
//! sled 0.34 syncs its file once more when its last handle goes, and panics if that fails. Whoever closes a store has
//! synced it before ([`Store`](crate::store::Store)), so that nothing is lost by it, and nobody need see a panic.

use std::cell::Cell;
use std::panic;
use std::panic::AssertUnwindSafe;

use sled::Db;

thread_local! {
    static IS_CLOSING: Cell<bool> = const { Cell::new(false) };
}

/// The last handle of a store.
#[derive(Debug)]
pub(super) struct LastHandle(Option<Db>);

impl LastHandle {
    pub(super) const fn new(db: Db) -> Self {
        Self(Some(db))
    }
}

impl Drop for LastHandle {
    fn drop(&mut self) {
        let db = self.0.take();
        IS_CLOSING.set(true);
        let closed = panic::catch_unwind(AssertUnwindSafe(|| drop(db)));
        IS_CLOSING.set(false);
        if closed.is_err() {
            tracing::error!("the store's file was not synced once more when it was closed");
        }
    }
}

/// Has panics told as they were, but for those of a store that is being closed.
pub fn hide_panics_of_closing() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !IS_CLOSING.get() {
            before(panic);
        }
    }));
}
