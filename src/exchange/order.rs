//! What was sent in one order, and whether anything of it has to come again.

use std::sync::Arc;
use std::sync::OnceLock;

use crate::model::reason::Refusal;

/// Records that were sent in one order: those of a batch, or of all batches of a stream.
///
/// A record may depend on one before it: a revision on the one that it follows, a withdrawal on what it withdraws. Once one
/// was refused only for now, what its circumstances forbid behind it is refused for now too: with the first in its place it
/// may be right. Whoever sends again begins a new order.
#[derive(Clone, Debug, Default)]
pub struct Order(Arc<OnceLock<Refusal>>);

impl Order {
    /// One of its records has to come again; the first reason stays.
    pub(super) fn hold_up(&self, reason: &Refusal) {
        self.0.get_or_init(|| reason.clone());
    }

    /// Why the first of its records that has to come again was refused.
    pub(super) fn held_up(&self) -> Option<&Refusal> {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reason::Reason;

    #[test]
    fn all_who_share_an_order_see_its_first_reason() {
        let order = Order::default();
        let shared = order.clone();
        assert_eq!(shared.held_up(), None);
        order.hold_up(&Refusal::new(Reason::Quota, "too many"));
        shared.hold_up(&Refusal::new(Reason::Busy, "too busy"));
        assert_eq!(shared.held_up().map(|refusal| refusal.reason), Some(Reason::Quota));
        assert_eq!(Order::default().held_up(), None);
    }
}
