//! Faults, made on purpose around the real programs: what is lost, what is served, how long recovery takes.
//!
//! `cargo test` runs the commit lane of each; `tests/faults/run` runs the demand lane and the soak, in parts, and prints
//! what all rounds found. docs/RELIABILITY.md has the table.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

mod answer;
mod answers;
mod calls;
#[path = "../../src/bin/watchfire/bench/counted.rs"]
#[expect(dead_code, reason = "the load uses the rest")]
mod counted;
mod disk;
mod hub;
mod kept;
mod kill;
mod large;
mod network;
mod peers;
mod restored;
mod rot;
mod soak;
mod tail;
mod torn;
#[expect(clippy::print_stdout, reason = "a failure is run again by what was told before it")]
mod trials;
mod volume;
#[path = "../it/world.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod world;
