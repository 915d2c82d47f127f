//! What was sent in one order, and what of it has to come again.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::model::limits::HELD_UP_MAX;
use crate::model::names::Digest;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;

/// Records that were sent in one order: those of a batch, or of all batches of a stream.
///
/// A record may depend on one before it: a revision on the one that it follows, a note on what it is about. Once one was
/// refused for now, what is refused behind it for what is not there is refused for now too: with the first in its place it
/// may be right. That ends when all that was held up came again, or with the stream.
#[derive(Clone, Debug, Default)]
pub struct Order(Arc<Mutex<HeldUp>>);

#[derive(Debug, Default)]
struct HeldUp {
    /// Why the first was refused for now; something is held up as long as it is there.
    reason: Option<Refusal>,
    /// The headers of those that have to come again.
    headers: HashSet<Digest>,
    /// There are others, of which it is not known whether they came.
    others: bool,
}

impl Order {
    /// This record is judged now, whether it was held up or not.
    pub(super) fn came(&self, header: &Digest) {
        let mut held = self.held();
        // Asked of each record, and nothing is held up as a rule: then nothing is hashed.
        if held.headers.is_empty() {
            return;
        }
        if held.headers.remove(header) && held.headers.is_empty() && !held.others {
            held.reason = None;
        }
    }

    /// This record has to come again; the first reason stays.
    pub(super) fn hold_up(&self, header: Digest, reason: &Refusal) {
        let mut held = self.held();
        held.reason.get_or_insert_with(|| reason.clone());
        if held.headers.len() < HELD_UP_MAX {
            held.headers.insert(header);
        } else {
            held.others = true;
        }
    }

    /// What a record hears instead of a refusal for good, if one before it may be what it lacks.
    pub(super) fn instead_of(&self, refusal: &Refusal) -> Option<Refusal> {
        if !may_lack_another(refusal.reason) {
            return None;
        }
        let first = self.held().reason.clone()?;
        let message = format!(
            "what came before it on this stream has to come again, and then this, which is {} without it",
            refusal.reason.as_str()
        );
        Some(Refusal { message, field: refusal.field, ..first })
    }

    fn held(&self) -> MutexGuard<'_, HeldUp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a record that is refused so, for what the log holds, may be taken once another one is there.
const fn may_lack_another(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::RecordNotFound
            | Reason::PredecessorMismatch
            | Reason::ReachExceeded
            | Reason::AudienceForbidden
            | Reason::RoleForbids
            | Reason::RosterConflict
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota() -> Refusal {
        Refusal::new(Reason::Quota, "too many").with("limit", "bytes_per_day")
    }

    fn missing() -> Refusal {
        Refusal::field(Reason::RecordNotFound, "note.about", "there is no such record")
    }

    fn header(number: usize) -> Digest {
        let mut digest = Digest::default();
        digest[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        digest
    }

    fn reason(order: &Order, refusal: &Refusal) -> Option<Reason> {
        order.instead_of(refusal).map(|instead| instead.reason)
    }

    #[test]
    fn what_may_lack_one_that_is_held_up_hears_the_first_reason() {
        let order = Order::default();
        let shared = order.clone();
        assert_eq!(reason(&shared, &missing()), None);
        order.hold_up(header(1), &quota());
        shared.hold_up(header(2), &Refusal::new(Reason::Busy, "too busy"));
        let instead = shared.instead_of(&missing()).unwrap();
        assert_eq!((instead.reason, instead.field), (Reason::Quota, "note.about"));
        assert_eq!(instead.metadata, quota().metadata);
        assert!(instead.message.contains("RECORD_NOT_FOUND"), "{}", instead.message);
        // No record before it makes these good.
        for own in [Reason::NotOwner, Reason::WrongExchange, Reason::RecordWithdrawn] {
            assert_eq!(reason(&shared, &Refusal::new(own, "no")), None);
        }
        assert_eq!(reason(&Order::default(), &missing()), None);
    }

    #[test]
    fn it_ends_when_all_came_again() {
        let order = Order::default();
        order.hold_up(header(1), &quota());
        order.hold_up(header(2), &quota());
        order.came(&header(1));
        order.came(&header(3));
        assert_eq!(reason(&order, &missing()), Some(Reason::Quota));
        order.came(&header(2));
        assert_eq!(reason(&order, &missing()), None);
        order.hold_up(header(2), &Refusal::new(Reason::Busy, "too busy"));
        assert_eq!(reason(&order, &missing()), Some(Reason::Busy));
    }

    #[test]
    fn what_cannot_be_remembered_holds_up_until_the_stream_ends() {
        let many = Order::default();
        (0..=HELD_UP_MAX).for_each(|number| many.hold_up(header(number), &quota()));
        (0..=HELD_UP_MAX).for_each(|number| many.came(&header(number)));
        assert_eq!(reason(&many, &missing()), Some(Reason::Quota));
    }
}
