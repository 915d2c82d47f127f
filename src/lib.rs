//! Watchfire: the standing meeting at which companies share signed indicators of foreign influence
//! operations.
//!
//! The modules stand in floors and depend downwards only; `ARCHITECTURE.md` draws the plan and says
//! what each may use.

pub mod briefing;
pub mod client;
pub mod exchange;
pub mod interop;
pub mod ledger;
pub mod model;
pub mod pki;
pub mod profile;
pub mod rpc;
pub mod server;
pub mod signing;
pub mod store;
pub mod taxii;
pub mod tls;
pub mod transparency;
pub mod wire;

/// The version of both programs: that of the package, and the commit that they were built from, if it is known.
pub const VERSION: &str = env!("WATCHFIRE_VERSION");
