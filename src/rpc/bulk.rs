//! What reads much at once, for the operator's audit log: it travels with the answer, beside it, and not on the wire.

use tonic::Response;

use crate::model::limits;

/// A read of much at once. Names and places only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bulk {
    /// What is read, in a word.
    pub what: &'static str,
    /// Of what, or from where on.
    pub of: String,
}

/// An answer that reads so many entries, marked if they are many.
pub(super) fn marked<T>(answer: T, what: &'static str, entries: usize) -> Response<T> {
    let mut response = Response::new(answer);
    if entries >= limits::BULK_ENTRIES {
        mark(&mut response, what, format!("{entries} entries"));
    }
    response
}

/// Marks an answer.
pub(super) fn mark<T>(response: &mut Response<T>, what: &'static str, of: String) {
    response.extensions_mut().insert(Bulk { what, of });
}
