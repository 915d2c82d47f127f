//! Every parser of foreign bytes, given whatever comes: nothing panics, hangs or grows without bound, and what is
//! understood is written again as it was read.
//!
//! `cargo test --test fuzz` replays the kept corpus and changes it at random for half a minute a parser, without a guide.
//! `tests/fuzz/run` lets coverage guide it, millions of times on demand, and merges what it finds into the corpus.
//!
//! | variable | what it says |
//! |---|---|
//! | `WATCHFIRE_FUZZ_SECONDS` | how long each parser is tried (30) |
//! | `WATCHFIRE_FUZZ_SEED` | the seed of the changes, which each run draws and tells |
//! | `WATCHFIRE_FUZZ_INPUT` | one file alone: a failure again |
//! | `WATCHFIRE_LANE` | `demand`: all flipped bits and all proofs, not a sample |

#![expect(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod bits;
mod change;
mod engine;
mod hostile;
mod lane;
mod seeds;
mod targets;
mod trees;

macro_rules! parsers {
    ($($test:ident = $name:literal,)*) => {
        mod whatever_comes_is_refused_or_understood {
            $(#[test]
            fn $test() {
                crate::engine::run($name);
            })*
        }

        #[test]
        fn every_target_is_tried() {
            let tried = [$($name),*];
            assert!(targets::ALL.iter().map(|target| target.name).eq(tried));
        }
    };
}

parsers! {
    envelope = "envelope",
    header = "header",
    body = "body",
    roster = "roster",
    query = "query",
    normal_form = "normal-form",
    text = "text",
    csv = "csv",
    bundle = "bundle",
    pattern = "pattern",
    lists = "lists",
    json = "json",
    config = "config",
    checkpoint = "checkpoint",
    proof = "proof",
    certificate = "certificate",
    token = "token",
    store = "store",
    backup = "backup",
}

#[test]
#[ignore = "writes into the kept corpus; tests/fuzz/run calls it"]
fn the_seeds_are_written() {
    seeds::write();
}
