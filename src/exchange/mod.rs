//! The decisions: admission, policy, sequencer, tail, subscriptions, roster.

mod admission;
mod policy;
