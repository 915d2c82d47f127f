//! Which event a record belongs to.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::interop::exported::ExportedRecord;
use crate::interop::misp::ids;
use crate::model::header::BodyKind;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::wire::body::Content;

/// How many records are followed from an answer to what it is about at last: an answer, a question, an opinion about a
/// sighting of an asset of an operation.
const HOPS_MAX: usize = 8;

/// What an event stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Home {
    /// An operation, which need not be visible itself.
    Operation(RecordName),
    /// What a member published that belongs to no operation.
    Publisher(MemberId),
}

impl Home {
    /// Where a record belongs among these; `None` if it says nothing that an event carries.
    pub(super) fn of(
        record: &ExportedRecord,
        all: &BTreeMap<RecordName, ExportedRecord>,
    ) -> Option<Self> {
        let mut at = record;
        for _hop in 0..HOPS_MAX {
            let about = match &at.record.content {
                Content::Operation => return Some(Self::Operation(at.name().clone())),
                Content::Indicator { operation: Some(operation), .. } => {
                    return Some(Self::Operation(operation.clone()));
                }
                Content::Indicator { operation: None, .. } => {
                    return Some(Self::Publisher(at.name().member.clone()));
                }
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
            let Some(about) = about else { break };
            if at.named.get(about).is_some_and(|named| named.kind == BodyKind::Operation) {
                return Some(Self::Operation(about.clone()));
            }
            match all.get(about) {
                Some(next) => at = next,
                None => break,
            }
        }
        Some(Self::Publisher(record.name().member.clone()))
    }

    /// The event.
    pub(super) fn event(&self) -> Uuid {
        match self {
            Self::Operation(operation) => ids::event_of_operation(operation),
            Self::Publisher(member) => ids::event_of_publisher(member),
        }
    }

    /// Whose event it is.
    pub(super) const fn member(&self) -> &MemberId {
        match self {
            Self::Operation(operation) => &operation.member,
            Self::Publisher(member) => member,
        }
    }
}
