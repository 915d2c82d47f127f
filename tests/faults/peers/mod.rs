//! Hostile peers: whoever gets as far as a socket, a handshake or a member's certificate, and then does what it likes.
//!
//! Each attack goes against the real hub in its own process, over real mutual TLS, while two honest members publish and
//! read without pause. What it did to the hub's memory and to them is measured, and held against what
//! docs/OPERATIONS.md promises under "Capacity".

#![expect(clippy::excessive_nesting, reason = "an attack is a block of a round of a test")]

mod closed;
mod control;
mod doors;
mod floods;
mod frames;
mod ground;
mod hellos;
mod honest;
mod lists;
mod many;
mod messages;
mod raw;
mod readers;
mod slow;
mod storm;
mod weight;
