//! Which event a record belongs to.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::interop::exported::ExportedRecord;
use crate::interop::misp::ids;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::wire::body::Content;

/// How many records are followed from an answer to what it is about at last: an answer, a question, an opinion about a
/// sighting of an asset of an operation.
const HOPS_MAX: usize = 8;

/// What an event stands for: what one member published on one operation, or on none. MISP goes by an event's
/// organisation, so nobody's records stand in an event of another member's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Home {
    /// Whose records these are.
    pub(super) member: MemberId,
    /// The operation, which is in the feed itself.
    pub(super) operation: Option<RecordName>,
}

impl Home {
    /// Where a record belongs among these; `None` if it says nothing that an event carries.
    pub(super) fn of(
        record: &ExportedRecord,
        all: &BTreeMap<RecordName, ExportedRecord>,
    ) -> Option<Self> {
        let mut at = record;
        let mut operation = None;
        for _hop in 0..HOPS_MAX {
            let about = match &at.record.content {
                Content::Operation => {
                    operation = Some(at.name());
                    break;
                }
                Content::Indicator { operation, .. } => operation.as_ref(),
                Content::About { of } => Some(of),
                Content::Link { source, target } => source.record().or_else(|| target.record()),
                Content::Inquiry { about, .. } => about.record(),
                Content::Withdrawal { .. }
                | Content::Acknowledgement { .. }
                | Content::Takedown { .. }
                | Content::AudienceChange { .. }
                | Content::Erasure { .. }
                | Content::Retention { .. }
                | Content::Epoch(_)
                | Content::Conflict(_)
                | Content::LogKeyChange(_)
                | Content::RosterChange { .. }
                | Content::KeyChange(_)
                | Content::Genesis(_)
                | Content::Gone => return None,
            };
            match about.and_then(|about| all.get(about)) {
                Some(next) => at = next,
                None => break,
            }
        }
        Some(Self { member: record.name().member.clone(), operation: operation.cloned() })
    }

    /// The event.
    pub(super) fn event(&self) -> Uuid {
        match &self.operation {
            Some(operation) if operation.member == self.member => {
                ids::event_of_operation(operation)
            }
            Some(operation) => ids::event_of_operation_by(operation, &self.member),
            None => ids::event_of_publisher(&self.member),
        }
    }

    /// The operation's own event, which this one adds to.
    pub(super) fn extends(&self) -> Option<Uuid> {
        let others = self.operation.as_ref().filter(|operation| operation.member != self.member);
        others.map(ids::event_of_operation)
    }
}
