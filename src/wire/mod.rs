//! Protobuf to model and back; the only place that takes generated messages apart.

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    single_use_lifetimes,
    let_underscore_drop,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated code"
)]
pub mod pb {
    tonic::include_proto!("watchfire.v1");
}

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated code"
)]
pub mod disk {
    tonic::include_proto!("watchfire.disk.v1");
}

/// The compiled descriptors of `proto/`, for reflection and for JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/watchfire.descriptors"));

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    single_use_lifetimes,
    let_underscore_drop,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated code"
)]
pub(crate) mod face {
    include!(concat!(env!("OUT_DIR"), "/face/watchfire.v1.rs"));
}

pub mod body;
mod check;
pub mod density;
pub mod entry;
pub mod envelope;
mod expiry;
pub mod filter;
mod frame;
pub mod head;
pub mod header;
pub mod json;
mod mark;
mod observable;
pub mod report;
pub mod roster;
pub mod scope;
mod sense;
mod statement;
mod strict;
mod succession;
mod terms;
pub mod time;

pub use self::expiry::expiry;
pub use self::frame::SubscribeFrame;
pub use self::mark::MARK_PAYLOAD_TYPE;
pub use self::mark::MarkStatement;
pub use self::mark::StreamId;
pub use self::observable::normal_form_of_body as normal_form;
pub use self::observable::normal_form_of_reference;
pub use self::observable::pdq;
pub use self::observable::query_form;
pub use self::roster::proven_key;
pub use self::sense::sense;
pub use self::succession::succession_payload;
pub use self::succession::succession_threshold;
pub use self::terms::terms;
pub use self::terms::text_of;
