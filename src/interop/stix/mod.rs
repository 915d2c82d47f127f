//! STIX 2.1 (OASIS Standard, 10 June 2021).
//!
//! Each record becomes objects of its own, whose ids tell the record, and names shared ones: observables, identities,
//! attack patterns, markings. A shared object is a function of its id, so that whoever writes it writes the same.

mod bundle;
mod export;
mod extension;
mod founding;
pub mod ids;
pub mod import;
pub mod marking;
mod object;
pub mod observable;
pub mod origin;
pub mod pattern;
mod words;

pub use self::bundle::BUNDLE_BYTES_MAX;
pub use self::bundle::Bundle;
pub use self::bundle::BundleError;
pub use self::bundle::BundleWriter;
pub use self::bundle::Given;
pub use self::bundle::OBJECT_BYTES_MAX;
pub use self::bundle::OBJECTS_MAX;
pub use self::bundle::read as read_bundle;
pub use self::export::main_type;
pub use self::export::named;
pub use self::export::objects;
pub use self::export::shared_ids;
pub use self::extension::EXTENSION_VERSION;
pub use self::extension::extension_id;
pub use self::founding::fixed_objects;
pub use self::founding::modified;
pub use self::object::Object;
pub use self::object::Origin;
pub use self::object::SHARED_TIME;
pub use self::object::SOURCE_NAME;
pub use self::object::member;
pub use self::object::member_id;
pub use self::object::technique;
