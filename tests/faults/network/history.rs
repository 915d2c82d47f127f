//! Histories of concurrent clients, and whether one log explains them (T-S9).
//!
//! The log is a list to which entries are added. An operation that a client called at one moment and saw answered at a
//! later one took effect at some moment between the two. Each fixes how long the log was then: a publish that was given
//! place `s` found `s` entries there and left `s + 1`; an answer that the log has `n` entries found `n`; a record at
//! place `s` that was found says at least `s + 1`; one that was not found says at most `s`. Lengths never fall. So a
//! history is explained, that is linearizable (Herlihy and Wing, "Linearizability: a correctness condition for
//! concurrent objects", 1990), exactly if no operation that ended before another began left more than that one found.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

/// What one operation says about the log's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    /// Nanoseconds from the beginning of the history to the call.
    called: u128,
    /// The same to the answer.
    answered: u128,
    /// Entries that were there at most when it took effect.
    found_most: u64,
    /// Entries that were there at least afterwards.
    left_least: u64,
}

/// Two operations that no log explains: the first ended before the second began.
pub(super) type Contradiction = (Operation, Operation);

/// A history that is being recorded; copies record into the same one.
#[derive(Clone)]
pub(super) struct History {
    begun: Instant,
    operations: Arc<Mutex<Vec<Operation>>>,
}

impl History {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), operations: Arc::default() }
    }

    /// The time of a call.
    pub(super) fn now(&self) -> u128 {
        self.begun.elapsed().as_nanos()
    }

    /// A record was published and has this place.
    pub(super) fn published(&self, called: u128, place: u64) {
        self.add(called, place, place + 1);
    }

    /// The log was said to have so many entries.
    pub(super) fn counted(&self, called: u128, entries: u64) {
        self.add(called, entries, entries);
    }

    /// What is at this place was shown.
    pub(super) fn found(&self, called: u128, place: u64) {
        self.add(called, u64::MAX, place + 1);
    }

    /// A record that has this place was said to be absent, at these times.
    pub(super) fn missed(&self, called: u128, answered: u128, place: u64) {
        self.push(Operation { called, answered, found_most: place, left_least: 0 });
    }

    fn add(&self, called: u128, found_most: u64, left_least: u64) {
        self.push(Operation { called, answered: self.now(), found_most, left_least });
    }

    fn push(&self, operation: Operation) {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }

    /// Everything that was recorded.
    pub(super) fn operations(&self) -> Vec<Operation> {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether one log explains a history; else two operations that it does not.
pub(super) fn explain(operations: &[Operation]) -> Result<(), Contradiction> {
    let mut by_call: Vec<&Operation> = operations.iter().collect();
    by_call.sort_by_key(|operation| operation.called);
    let mut by_answer: Vec<&Operation> = operations.iter().collect();
    by_answer.sort_by_key(|operation| operation.answered);
    let mut ended = by_answer.into_iter().peekable();
    // Of those that ended, the one that left the most.
    let mut longest: Option<&Operation> = None;
    for operation in by_call {
        while let Some(before) = ended.next_if(|before| before.answered < operation.called) {
            if longest.is_none_or(|longest| longest.left_least < before.left_least) {
                longest = Some(before);
            }
        }
        if let Some(longest) = longest.filter(|it| it.left_least > operation.found_most) {
            return Err((*longest, *operation));
        }
    }
    Ok(())
}

/// Histories with a planted contradiction, each of another kind, made from a real one: each must be noticed.
pub(super) fn demand_that_contradictions_are_noticed(operations: &[Operation]) {
    let end = operations.iter().map(|operation| operation.answered).max().expect("a history");
    let longest = operations.iter().map(|operation| operation.left_least).max().expect("a history");
    let later = |found_most: u64, left_least: u64| Operation {
        called: end + 1,
        answered: end + 2,
        found_most,
        left_least,
    };
    let planted = [
        ("a stale count", later(longest - 1, longest - 1)),
        ("a place below one that was given before", later(longest - 1, longest)),
        ("a record that was there is absent", later(longest - 1, 0)),
    ];
    for (what, operation) in planted {
        let spoilt: Vec<Operation> = operations.iter().copied().chain([operation]).collect();
        assert!(explain(&spoilt).is_err(), "{what} was not noticed");
    }
    let early = Operation { called: 0, answered: 0, found_most: u64::MAX, left_least: longest };
    let spoilt: Vec<Operation> = operations.iter().copied().chain([early]).collect();
    assert!(explain(&spoilt).is_err(), "a record seen before it was published was not noticed");
    let agrees: Vec<Operation> =
        operations.iter().copied().chain([later(longest, longest + 1)]).collect();
    assert_eq!(explain(&agrees), Ok(()), "what agrees was refused");
}
