//! The decisions: admission, policy, sequencer, tail, subscriptions, roster.

mod admission;
mod clock_guard;
mod durable;
mod entries;
mod hub;
mod prepare;
mod quota;
mod reads;
mod sequencer;
mod streams;
mod subscription;
mod tail;
mod token;
mod whole_log;

pub use self::durable::DurableSubscription;
pub use self::durable::SeekTo;
pub use self::hub::ExchangeError;
pub use self::hub::Hub;
pub use self::hub::OpenError;
pub use self::hub::QuotaState;
pub use self::hub::SequencerThread;
pub use self::hub::Settings;
pub use self::quota::QuotaLeft;
pub use self::reads::Listed;
pub use self::reads::Looked;
pub use self::sequencer::Outcome;
pub use self::sequencer::Receipt;
pub use self::streams::StreamSlot;
pub use self::subscription::Event;
pub use self::subscription::Mark;
pub use self::subscription::Start;
pub use self::subscription::Subscription;
pub use self::tail::DurableHead;
pub use self::whole_log::LogFault;
pub use self::whole_log::LogReport;
pub use self::whole_log::verify_log;
