//! The whole system through the front door: the real hub as a process, real mutual TLS, the real client.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

mod access;
mod audit;
mod august_2018;
mod backup;
mod bounds;
mod briefing;
mod clock;
mod compact;
mod cross_talk;
mod documents;
mod durable;
mod existence;
mod exports;
mod following;
mod frameworks;
mod heads;
mod hearsay;
mod hostile;
mod identity;
mod interference;
mod keys;
mod ledger;
mod lists;
mod matrix;
mod meeting;
mod metrics;
mod odd_texts;
mod operations;
mod oracle;
mod path;
mod policy;
mod queries;
mod quotas;
mod recalls;
mod refusals;
mod reports;
mod retention;
mod shown;
mod sinks;
mod slips;
mod suspension;
mod taxii;
#[path = "../faults/trials.rs"]
#[expect(dead_code, reason = "the faults use the rest")]
#[expect(clippy::print_stdout, reason = "a failure is run again by what was told before it")]
mod trials;
mod turned;
mod warnings;
mod witnesses;
mod world;
