//! Composition root of the hub: config, build, run, drain.

mod admin;
mod audit;
mod backup;
mod calls;
mod compact;
mod config;
#[doc(hidden)]
pub mod fuzzing;
mod lock;
mod metrics;
mod observe;
mod reload;
mod restore;
mod run;
pub mod telemetry;
mod traces;

pub use self::audit::AuditConfig;
pub use self::audit::AuditFault;
pub use self::audit::VerifiedAudit;
pub use self::audit::note_command;
pub use self::audit::verify_audit;
pub use self::audit::verify_audit_log;
pub use self::backup::TakeError;
pub use self::backup::TakenBy;
pub use self::backup::take_backup;
pub use self::compact::CompactError;
pub use self::compact::Compacted;
pub use self::compact::compact;
pub use self::config::Config;
pub use self::config::ConfigError;
pub use self::config::LogFormat;
pub use self::config::address;
pub use self::restore::Restore;
pub use self::restore::RestoreError;
pub use self::restore::Restored;
pub use self::restore::begin as begin_epoch;
pub use self::restore::restore;
pub use self::run::Exit;
pub use self::run::ServeError;
pub use self::run::open_log;
pub use self::run::open_store;
pub use self::run::secret;
pub use self::run::serve;
pub use self::run::serve_with;
pub use self::traces::TracesConfig;
