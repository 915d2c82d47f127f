//! The third part: what was shared, who gives and who receives, and how long sharing takes.

use std::time::Duration;

use crate::briefing::figure::Counted;
use crate::briefing::figure::Provenance;
use crate::model::header::BodyKind;
use crate::model::names::MemberId;
use crate::model::time::Timestamp;

/// How the exchange lives. All three lists may be in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cadence {
    /// Records shared in the period, one row for each member, kind and day that has any; a repeated row adds up.
    pub shared: Vec<Shared>,
    /// Given and received, one row a member.
    pub ledger: Vec<LedgerRow>,
    /// How long each step of sharing took.
    pub time_to_share: Vec<StepTime>,
}

/// Records that a member shared on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// The member.
    pub member: MemberId,
    /// What sort of record.
    pub kind: BodyKind,
    /// Any moment of the day, which is a day of UTC.
    pub day: Timestamp,
    /// How many.
    pub counted: Counted,
}

/// What a member gave and received in the period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Whose.
    pub whose: Whose,
    /// Records that were given.
    pub given: Counted,
    /// Records of others that could be read.
    pub received: Counted,
}

/// Whose row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// A member's.
    Member(MemberId),
    /// That of so many members whom the ledger does not tell apart.
    Several(u32),
}

/// How long a step took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTime {
    /// The step.
    pub step: Step,
    /// Of which member; `None` for all of them together.
    pub member: Option<MemberId>,
    /// Half took at most this long.
    pub p50: Duration,
    /// Nine of ten took at most this long.
    pub p90: Duration,
    /// How many were measured; with none there is no row.
    pub samples: u64,
    /// How the times at both ends are known: the weaker of the two.
    pub provenance: Provenance,
}

/// A step from seeing an asset to what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// From the moment at which the publisher says it saw the asset to the log's.
    ObservedToPublished,
    /// From the log's moment to the hub sending it to a reader.
    PublishedToDelivered,
    /// From the log's moment to the reader's word that it has it.
    PublishedToAcknowledged,
    /// From the log's moment to another member acting on it.
    PublishedToActed,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 4] = [
        Self::ObservedToPublished,
        Self::PublishedToDelivered,
        Self::PublishedToAcknowledged,
        Self::PublishedToActed,
    ];
}
