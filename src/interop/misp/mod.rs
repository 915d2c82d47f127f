//! A MISP feed: a folder with `manifest.json`, `hashes.csv` and a file for each event, as MISP fetches them and as
//! `PyMISP` writes them.
//!
//! An operation is an event, what belongs to it its attributes and objects; what a member published besides is in an
//! event of that member. All UUIDs follow from names. What MISP has no field for stands in comments, with the place
//! where the signed record is found; docs/INTEROP.md lists what is lost.

mod asset;
mod event;
mod feed;
mod home;
mod ids;
mod merge;
mod piece;
mod report;
mod tags;
mod template;
#[cfg(test)]
mod tests;
mod text;

pub use self::event::Event;
pub use self::event::listed;
pub use self::feed::Feed;
pub use self::feed::TooMany;
pub use self::feed::hashes_csv;
pub use self::feed::manifest;
pub use self::merge::InvalidEvent;
pub use self::merge::merge;
