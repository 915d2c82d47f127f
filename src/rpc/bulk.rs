//! What an answer reads, for the operator's audit log: it travels with the answer, beside it, and not on the wire.
//!
//! Of few entries it is said as well: what a caller reads bit by bit may be everything.

use tonic::Response;

/// What an answer reads. Names, places and numbers only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bulk {
    /// What is read, in a word.
    pub what: &'static str,
    /// How much of it.
    pub amount: Amount,
}

/// How much is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Much at once: of what, or from where on.
    Much(String),
    /// So many entries, which come to much together with others that are read in the same way.
    Entries(usize),
}

/// An answer that reads so many entries.
pub(super) fn marked<T>(answer: T, what: &'static str, entries: usize) -> Response<T> {
    let mut response = Response::new(answer);
    mark(&mut response, what, Amount::Entries(entries));
    response
}

/// Marks an answer, unless it reads nothing.
pub(super) fn mark<T>(response: &mut Response<T>, what: &'static str, amount: Amount) {
    if amount != Amount::Entries(0) {
        response.extensions_mut().insert(Bulk { what, amount });
    }
}
