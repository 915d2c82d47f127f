//!
//! Values only: no I/O, no async, no wire, no disk.

pub mod facts;
pub mod filter;
pub mod handling;
pub mod header;
pub mod limits;
pub mod names;
pub mod normal_form;
pub mod observable;
pub mod platform;
pub mod reason;
pub mod refang;
pub mod roster;
pub mod time;
pub mod visible;
