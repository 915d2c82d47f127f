//! Other people's formats, pure: text in, a plan out; or records in, text out.

pub mod blocklist;
pub mod exported;
pub mod framework;
pub mod meta_csv;
pub mod misp;
#[cfg(test)]
mod sample;
pub mod stix;
pub mod techniques;
pub mod warning_list;
