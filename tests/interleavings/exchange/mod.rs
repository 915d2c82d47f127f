//! The files under test, where they expect one another to be, and the tests.

mod counting;
mod following;
mod reading;
mod sync;
mod taking_turns;

#[path = "../../../src/exchange/streams/count.rs"]
#[expect(dead_code, unreachable_pub, reason = "the hub uses the rest, and its callers")]
mod count;
#[path = "../../../src/exchange/turns/places.rs"]
mod places;
#[path = "../../../src/exchange/tail.rs"]
#[expect(dead_code, unreachable_pub, reason = "the hub uses the rest, and its callers")]
mod tail;

/// With three threads: how often one of them is stopped where it could go on, in one run. All runs of two threads, and those
/// of three with so many stops, are tried; all of three would take hours.
const PREEMPTIONS_MAX: usize = 3;
