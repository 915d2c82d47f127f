//! What a batch does to what is held: a pure description, the same for every sink.

use crate::client::batch::Batch;
use crate::client::batch::DeletedBy;
use crate::client::batch::Item;
use crate::client::sink::Holding;
use crate::client::subscribe::Place;
use crate::model::header::BodyKind;
use crate::model::names::RecordName;

/// One change of what is held. Effects are carried out in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// This entry is there. If it has no body, a payload that is held of this revision goes, and if its record was
    /// withdrawn with a demand for deletion, only the fact is kept.
    Store(Box<Item>),
    /// This record is taken back, with all its revisions, those that come later included.
    Withdraw(Withdrawal),
}

/// A withdrawal that is to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// The withdrawal's own name.
    pub name: RecordName,
    /// Its epoch.
    pub epoch: u32,
    /// Its place.
    pub sequence: u64,
    /// The record that it takes back.
    pub of: RecordName,
    /// Whether what is held of it is deleted.
    pub demand_deletion: bool,
    /// Whether holders are asked to answer.
    pub wants_answer: bool,
}

/// Effects, and where the subscription stands when all of them are there.
#[derive(Clone, Debug)]
pub struct Step {
    /// The effects, in order.
    pub effects: Vec<Effect>,
    /// The place that is kept with them.
    pub place: Place,
}

impl Step {
    /// What a batch does.
    pub fn of(batch: Batch) -> Self {
        let Batch { items, run: _either, place } = batch;
        let effects = items.into_iter().flat_map(effects_of).collect();
        Self { effects, place }
    }
}

fn effects_of(item: Item) -> impl Iterator<Item = Effect> {
    let withdrawal = item.withdraws.as_ref().map(|withdraws| Withdrawal {
        name: item.header.name.clone(),
        epoch: item.epoch,
        sequence: item.sequence,
        of: withdraws.of.clone(),
        demand_deletion: withdraws.demand_deletion,
        wants_answer: withdraws.wants_answer,
    });
    std::iter::once(Effect::Store(Box::new(item))).chain(withdrawal.map(Effect::Withdraw))
}

impl Withdrawal {
    /// What was held of its record when it came: whether a payload was there then that it might delete, which nothing
    /// before it had. What was deleted for an earlier recall of the record is not held any more.
    pub(super) const fn holding(&self, is_held: bool) -> Holding {
        match (is_held, self.demand_deletion) {
            (true, true) => Holding::Deleted,
            (true, false) => Holding::Held,
            (false, _) => Holding::NotHeld,
        }
    }

    /// What is noted with what was deleted for it.
    pub(super) fn deleted_by(&self) -> DeletedBy {
        DeletedBy { withdrawal: self.name.to_string(), epoch: self.epoch, sequence: self.sequence }
    }
}

/// Whether records of this kind can be taken back: nothing else is ever deleted, whatever a withdrawal names.
pub(super) fn is_recallable(kind: &str) -> bool {
    BodyKind::ALL.iter().any(|one| one.as_str() == kind && one.is_chosen())
}
