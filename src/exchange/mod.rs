//! The decisions: admission, policy, sequencer, tail, subscriptions, roster.
