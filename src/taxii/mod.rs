//! TAXII 2.1 (OASIS Standard, 10 June 2021), read only: what members may read, as STIX objects, for tools that are not
//! ours. Beside the gRPC face: it decodes, calls and encodes, and decides nothing about who may see what.

mod answer;
mod asked;
#[doc(hidden)]
pub mod fuzzing;
mod media;
mod query;
mod routes;
mod serve;
mod stall;

pub use self::serve::Asking;
pub use self::serve::Hear;
pub use self::serve::serve;
