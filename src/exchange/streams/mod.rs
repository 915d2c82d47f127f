//! How many streams each member has open: one member's streams must not take the room of the others.
//!
//! Streams of the roster alone are counted apart, and not against the member's quota: whoever reads with its last stream
//! must be able to learn whose signatures it reads.

mod count;
#[cfg(test)]
mod tests;

pub use self::count::Carries;
pub use self::count::StreamSlot;
pub(super) use self::count::Streams;
