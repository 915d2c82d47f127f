//! Bundles, object by object: neither writing nor reading one makes a tree of the whole.

mod reader;
mod writer;

pub use self::reader::BUNDLE_BYTES_MAX;
pub use self::reader::Bundle;
pub use self::reader::BundleError;
pub use self::reader::Given;
pub use self::reader::OBJECT_BYTES_MAX;
pub use self::reader::OBJECTS_MAX;
pub use self::reader::read;
pub use self::writer::BundleWriter;
