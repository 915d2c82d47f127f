//! Bundles, object by object: neither writing nor reading one holds it in memory as JSON.

mod writer;

pub use self::writer::BundleWriter;
