//!
//! Values only: no I/O, no async, no wire, no disk.

pub mod audiences;
pub mod facts;
pub mod filter;
pub mod fingerprint;
pub mod handling;
pub mod hash_algorithm;
pub mod head;
pub mod header;
pub mod index_keys;
pub mod limits;
pub mod names;
pub mod normal_form;
pub mod observable;
pub mod perceptual;
pub mod platform;
pub mod policy;
pub mod reason;
pub mod refang;
pub mod report;
pub mod roster;
pub mod text;
pub mod time;
pub mod visible;
pub mod witnesses;
