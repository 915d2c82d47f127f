//! The ledger as it is answered, and its form on the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::header::BodyKind;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::roster::Role;
use crate::wire::pb;

/// Who gave and received what, and how long sharing took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The first and last sequence that was counted.
    pub bounds: Option<(u64, u64)>,
    /// The log's size as of which it was computed.
    pub head: u64,
    /// By name; a row of several comes last.
    pub rows: Vec<Row>,
    /// Of all, then by member, then by operation; within those by stage.
    pub times: Vec<StageTime>,
    /// Operations without times of their own.
    pub operations_left_out: u64,
}

/// What one member, or several together, gave and received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Who; `None` for several.
    pub member: Option<MemberId>,
    /// Its role; `None` for several.
    pub role: Option<Role>,
    /// How many members it is of.
    pub members: u32,
    /// Standing records given, by kind.
    pub given: BTreeMap<BodyKind, u64>,
    /// Standing assets given that others agreed with or saw.
    pub confirmed: u64,
    /// Those that others disagreed with.
    pub disputed: u64,
    /// Those that others acted on.
    pub acted_on: u64,
    /// How many different members agreed with or saw any.
    pub confirmed_by: u64,
    /// How many different members disagreed with any.
    pub disputed_by: u64,
    /// How many different members acted on any.
    pub acted_on_by: u64,
    /// Records given that were withdrawn.
    pub withdrawn: u64,
    /// Standing records of others that it may read.
    pub received: u64,
    /// Of these, how many it acted on.
    pub received_acted_on: u64,
    /// Of these, how many were sent to it. The hub's claim.
    pub delivered: Option<u64>,
    /// Of these, how many it acknowledged. The hub's claim.
    pub acknowledged: Option<u64>,
}

/// How long one stage of sharing took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageTime {
    /// Whose stage it is; `None` for all.
    pub member: Option<MemberId>,
    /// Of which operation; `None` for all records.
    pub operation: Option<RecordName>,
    /// Which stage, and who vouches for its times.
    pub stage: Stage,
    /// How many were measured.
    pub count: u64,
    /// How many would end before they began, as a claim has it.
    pub left_out: u64,
    /// Half took at most this long, nine in ten at most that; `None` if none was measured.
    pub percentiles: Option<(Duration, Duration)>,
}

/// A stage of sharing, with who vouches for its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// From last seen, as the publisher claims, to taken in.
    Published,
    /// From taken in to sent, as the hub claims.
    Delivered,
    /// From taken in to acknowledged, as the hub claims.
    Acknowledged,
    /// From taken in to the first report of an act taken in.
    Acted,
    /// From taken in to when the act was done, as the actor claims.
    ActedAsClaimed,
}

impl Stage {
    /// Whether the hub vouches for it, and nobody can compute it again.
    pub const fn is_hubs(self) -> bool {
        matches!(self, Self::Delivered | Self::Acknowledged)
    }

    const fn to_wire(self) -> (pb::ShareStage, pb::TimeBasis) {
        match self {
            Self::Published => (pb::ShareStage::ObservedToPublished, pb::TimeBasis::Claimed),
            Self::Delivered => (pb::ShareStage::PublishedToDelivered, pb::TimeBasis::Hub),
            Self::Acknowledged => (pb::ShareStage::PublishedToAcknowledged, pb::TimeBasis::Hub),
            Self::Acted => (pb::ShareStage::PublishedToActed, pb::TimeBasis::Log),
            Self::ActedAsClaimed => (pb::ShareStage::PublishedToActed, pb::TimeBasis::Claimed),
        }
    }
}

impl From<&Ledger> for pb::GetLedgerResponse {
    fn from(ledger: &Ledger) -> Self {
        let Ledger { bounds, head, rows, times, operations_left_out } = ledger;
        Self {
            first_sequence: bounds.map_or(0, |(first, _last)| first),
            end_sequence: bounds.map_or(0, |(_first, last)| last.saturating_add(1)),
            rows: rows.iter().map(row_to_wire).collect(),
            threshold: u32::try_from(limits::LEDGER_THRESHOLD).unwrap_or(u32::MAX),
            times: times.iter().map(time_to_wire).collect(),
            head: *head,
            operations_left_out: *operations_left_out,
        }
    }
}

fn row_to_wire(row: &Row) -> pb::LedgerRow {
    let Row {
        member,
        role,
        members,
        given,
        confirmed,
        disputed,
        acted_on,
        confirmed_by,
        disputed_by,
        acted_on_by,
        withdrawn,
        received,
        received_acted_on,
        delivered,
        acknowledged,
    } = row;
    pb::LedgerRow {
        member: member.as_ref().map(MemberId::name).unwrap_or_default(),
        role: role.map_or(pb::Role::Unspecified, role_to_wire).into(),
        members: *members,
        given: given
            .iter()
            .map(|(kind, count)| pb::KindCount { kind: kind.number(), count: *count })
            .collect(),
        confirmed: *confirmed,
        disputed: *disputed,
        acted_on: *acted_on,
        withdrawn: *withdrawn,
        received: *received,
        delivered: *delivered,
        acknowledged: *acknowledged,
        received_acted_on: *received_acted_on,
        confirmed_by: *confirmed_by,
        disputed_by: *disputed_by,
        acted_on_by: *acted_on_by,
    }
}

const fn role_to_wire(role: Role) -> pb::Role {
    match role {
        Role::Company => pb::Role::Company,
        Role::Observer => pb::Role::Observer,
        Role::Auditor => pb::Role::Auditor,
        Role::Operator => pb::Role::Operator,
    }
}

fn time_to_wire(time: &StageTime) -> pb::TimeToShare {
    let StageTime { member, operation, stage, count, left_out, percentiles } = time;
    let (stage, basis) = stage.to_wire();
    pb::TimeToShare {
        member: member.as_ref().map(MemberId::name).unwrap_or_default(),
        operation: operation.as_ref().map(ToString::to_string).unwrap_or_default(),
        stage: stage.into(),
        basis: basis.into(),
        count: *count,
        p50: percentiles.and_then(|(p50, _p90)| duration(p50)),
        p90: percentiles.and_then(|(_p50, p90)| duration(p90)),
        left_out: *left_out,
    }
}

/// Between two times of the log's, which end with the year 9999: it fits.
fn duration(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}
