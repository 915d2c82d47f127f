//! STIX 2.1 (OASIS Standard, 10 June 2021).
//!
//! Each record becomes objects of its own, whose ids tell the record, and names shared ones: observables, identities,
//! attack patterns, markings. A shared object is a function of its id, so that whoever writes it writes the same.

mod export;
pub mod ids;

pub use self::export::Object;
pub use self::export::Origin;
pub use self::export::objects;
