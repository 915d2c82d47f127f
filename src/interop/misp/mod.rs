//! A MISP feed: a folder with `manifest.json`, `hashes.csv` and a file for each event, as MISP fetches them and as
//! `PyMISP` writes them.
//!
//! What a member published on an operation is an event, and what it published besides is another; what belongs to it is
//! its attributes and objects. All UUIDs follow from names. What MISP has no field for stands in comments, with the place
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
