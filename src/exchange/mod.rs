//! The decisions: admission, policy, sequencer, tail, subscriptions, roster.

mod admission;
mod clock_guard;
mod entries;
mod policy;
mod token;
mod prepare;
mod sequencer;
mod tail;
