//! What threads of the exchange hold one another off by, and wake one another with.
//!
//! The files that decide what a reader sees when, and who is next, take it from here and from nowhere else:
//! tests/interleavings compiles the same files with a module of this name that is made of loom's, and runs them in every
//! order that there is.

pub(super) use std::sync::Mutex;
pub(super) use std::sync::RwLock;
pub(super) use std::sync::atomic::AtomicU64;

pub(super) use tokio::sync::oneshot;
pub(super) use tokio::sync::watch;
