//! Turns at what there is little of: who reads the disk next, and until when a read goes on; whose signatures are checked
//! next.
//!
//! So many have a turn at once. One member has never all of those places, however much it asks, and where several wait the
//! one with the fewest is next; so nobody waits for more than what each of the others has under way.

mod halt;
mod places;
#[cfg(test)]
mod tests;

pub(super) use self::halt::Halt;
pub(super) use self::places::Turn;
pub(super) use self::places::Turns;
