//! The reference client: connect, publish, subscribe, read, and believe nothing that does not verify.
//!
//! The exchange is pinned by its founding record; who may sign is folded from the log's own roster entries. The
//! hub's word about keys is never taken.

mod backoff;
mod connection;
mod enrol;
mod error;
mod founding;
mod import;
mod json;
mod known;
mod ledger;
mod pin;
mod publish;
mod reads;
mod receipt;
mod reconcile;
mod roster;
mod signer;
mod subscribe;
mod verifier;

pub use self::connection::Client;
pub use self::connection::Welcome;
pub use self::enrol::Grant;
pub use self::enrol::Granted;
pub use self::enrol::InvalidPaper;
pub use self::enrol::JoinRequest;
pub use self::enrol::RenewalRequest;
pub use self::error::ClientError;
pub use self::error::Refused;
pub use self::founding::Founding;
pub use self::founding::found;
pub use self::founding::proven_key;
pub use self::import::ImportAccount;
pub use self::import::ImportPlan;
pub use self::import::ImportProblem;
pub use self::import::ImportTarget;
pub use self::import::SkippedRow;
pub use self::import::plan_import;
pub use self::json::SavedEntryError;
pub use self::json::body_from_json;
pub use self::json::entry_from_json;
pub use self::json::entry_to_json;
pub use self::json::handling_from_json;
pub use self::json::ledger_to_json;
pub use self::known::KnownRoster;
pub use self::pin::Pin;
pub use self::publish::Outcome;
pub use self::publish::Pipeline;
pub use self::reads::Found;
pub use self::reads::LookedUp;
pub use self::receipt::Receipt;
pub use self::reconcile::Current;
pub use self::reconcile::Reconciled;
pub use self::reconcile::reconcile;
pub use self::roster::OperatorChange;
pub use self::signer::Draft;
pub use self::signer::Signer;
pub use self::subscribe::Delivery;
pub use self::subscribe::From;
pub use self::subscribe::Mark;
pub use self::subscribe::Patience;
pub use self::subscribe::Place;
pub use self::subscribe::SubscribeOptions;
pub use self::subscribe::Subscription;
pub use self::verifier::VerificationError;
pub use self::verifier::VerifiedEntry;
pub use self::verifier::Verifier;

#[cfg(test)]
mod tests;
