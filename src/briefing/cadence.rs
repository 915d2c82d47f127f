//! The third part: what was shared, who gives and who receives, and how long sharing takes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::briefing::figure::Counted;
use crate::briefing::figure::Provenance;
use crate::briefing::said::Said;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::roster::Role;
use crate::model::time::Timestamp;

/// How the exchange lives. All lists may be in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cadence {
    /// Records shared in the period, one row for each member, kind and day that has any; a repeated row adds up.
    pub shared: Vec<Shared>,
    /// Given and received, one row a member.
    pub ledger: Vec<LedgerRow>,
    /// How long each step of sharing took.
    pub time_to_share: Vec<StepTime>,
    /// Operations of which the ledger gives no times.
    pub operations_left_out: u64,
}

impl Cadence {
    /// The label of everything that it names.
    pub(super) fn labels(&self) -> impl Iterator<Item = Tlp> {
        self.time_to_share.iter().filter_map(|time| match &time.of {
            TimeOf::Operation(operation) => operation.tlp,
            TimeOf::All | TimeOf::Member(_) => None,
        })
    }
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
    /// Its role; `None` for several members.
    pub role: Option<Role>,
    /// What was given, and what others made of it.
    pub given: Given,
    /// What of others' records could be read, and what became of it.
    pub received: Received,
    /// How the numbers are known, except those that are always the hub's claim.
    pub provenance: Provenance,
}

impl LedgerRow {
    /// All records that were given.
    pub(super) fn given(&self) -> Counted {
        let count = self.given.kinds.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        Counted { count, provenance: self.provenance }
    }

    /// All records that could be read.
    pub(super) const fn received(&self) -> Counted {
        Counted { count: self.received.records, provenance: self.provenance }
    }
}

/// What was given, and what others made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Standing records by kind.
    pub kinds: BTreeMap<BodyKind, u64>,
    /// Assets that others agreed with or saw.
    pub confirmed: Echo,
    /// Assets that others disagreed with.
    pub disputed: Echo,
    /// Assets that others acted on.
    pub acted_on: Echo,
    /// Records that were withdrawn.
    pub withdrawn: u64,
}

/// What others said of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    /// Of how many records.
    pub records: u64,
    /// How many different members.
    pub members: u64,
}

/// What of others' records could be read, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Records.
    pub records: u64,
    /// Of these, how many were sent. The hub's claim; `None` if it makes none.
    pub delivered: Option<u64>,
    /// Of these, how many were acknowledged. The hub's claim; `None` if it makes none.
    pub acknowledged: Option<u64>,
    /// Of these, how many were acted on.
    pub acted_on: u64,
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
    /// Of which records.
    pub of: TimeOf,
    /// Half took at most this long.
    pub p50: Duration,
    /// Nine of ten took at most this long.
    pub p90: Duration,
    /// How many were measured; with none there is no row.
    pub samples: u64,
    /// How the times at both ends are known: the weaker of the two.
    pub provenance: Provenance,
}

/// Of which records a time is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeOf {
    /// Of all.
    All,
    /// Of those of a member, or that it received.
    Member(MemberId),
    /// Of those of an operation.
    Operation(TimedOperation),
}

/// An operation of which a time is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedOperation {
    /// The record.
    pub record: RecordName,
    /// Its title; empty if it is not known.
    pub title: Said,
    /// Its label; `None` if it is not known, and so says nothing.
    pub tlp: Option<Tlp>,
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
