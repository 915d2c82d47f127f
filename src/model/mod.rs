//!
//! Values only: no I/O, no async, no wire, no disk.

pub mod facts;
pub mod filter;
pub mod handling;
pub mod header;
pub mod limits;
pub mod names;
pub mod reason;
pub mod roster;
pub mod time;
