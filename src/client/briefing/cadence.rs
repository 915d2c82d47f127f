//! The ledger and the times to share, from the hub's answer.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::briefing::Echo;
use crate::briefing::Given;
use crate::briefing::LedgerRow;
use crate::briefing::Provenance;
use crate::briefing::Received;
use crate::briefing::Said;
use crate::briefing::Step;
use crate::briefing::StepTime;
use crate::briefing::TimeOf;
use crate::briefing::TimedOperation;
use crate::briefing::Whose;
use crate::client::briefing::KnownLedger;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::roster::Role;
use crate::wire::pb;

/// One row a member, and one for those who are not told apart.
pub(super) fn rows(ledger: &KnownLedger) -> Vec<LedgerRow> {
    ledger.answer.rows.iter().map(|row| ledger_row(row, ledger.known)).collect()
}

fn ledger_row(row: &pb::LedgerRow, provenance: Provenance) -> LedgerRow {
    let whose = MemberId::from_name(&row.member).map_or(Whose::Several(row.members), Whose::Member);
    let kind = |given: &pb::KindCount| Some((BodyKind::from_number(given.kind)?, given.count));
    let echo = |records, members| Echo { records, members };
    LedgerRow {
        whose,
        role: role(row.role()),
        given: Given {
            kinds: row.given.iter().filter_map(kind).collect(),
            confirmed: echo(row.confirmed, row.confirmed_by),
            disputed: echo(row.disputed, row.disputed_by),
            acted_on: echo(row.acted_on, row.acted_on_by),
            withdrawn: row.withdrawn,
        },
        received: Received {
            records: row.received,
            delivered: row.delivered,
            acknowledged: row.acknowledged,
            acted_on: row.received_acted_on,
        },
        provenance,
    }
}

const fn role(role: pb::Role) -> Option<Role> {
    match role {
        pb::Role::Unspecified => None,
        pb::Role::Company => Some(Role::Company),
        pb::Role::Observer => Some(Role::Observer),
        pb::Role::Auditor => Some(Role::Auditor),
        pb::Role::Operator => Some(Role::Operator),
    }
}

/// The title and the label of an operation that the reader may see.
pub(super) type Titles = BTreeMap<RecordName, (Said, Tlp)>;

/// How long each stage took, of all, of each member and of each operation.
pub(super) fn times(ledger: &KnownLedger, titles: &Titles) -> Vec<StepTime> {
    let times = ledger.answer.times.iter();
    times.filter_map(|time| measured(time, ledger.known, titles)).collect()
}

/// `None` for what is of no member and no operation, though it names one.
fn of(time: &pb::TimeToShare, titles: &Titles) -> Option<TimeOf> {
    if !time.operation.is_empty() {
        let record: RecordName = time.operation.parse().ok()?;
        let (title, tlp) = titles.get(&record).cloned().unzip();
        let title = title.unwrap_or_default();
        return Some(TimeOf::Operation(TimedOperation { record, title, tlp }));
    }
    if time.member.is_empty() {
        return Some(TimeOf::All);
    }
    MemberId::from_name(&time.member).ok().map(TimeOf::Member)
}

fn measured(time: &pb::TimeToShare, known: Provenance, titles: &Titles) -> Option<StepTime> {
    let step = match time.stage() {
        pb::ShareStage::Unspecified => return None,
        pb::ShareStage::ObservedToPublished => Step::ObservedToPublished,
        pb::ShareStage::PublishedToDelivered => Step::PublishedToDelivered,
        pb::ShareStage::PublishedToAcknowledged => Step::PublishedToAcknowledged,
        pb::ShareStage::PublishedToActed => Step::PublishedToActed,
    };
    let provenance = match time.basis() {
        pb::TimeBasis::Unspecified => return None,
        pb::TimeBasis::Claimed => Provenance::MemberClaims,
        pb::TimeBasis::Log => known,
        pb::TimeBasis::Hub => Provenance::HubClaims,
    };
    let span = |wire: Option<&prost_types::Duration>| Duration::try_from(*wire?).ok();
    Some(StepTime {
        step,
        of: of(time, titles)?,
        p50: span(time.p50.as_ref())?,
        p90: span(time.p90.as_ref())?,
        samples: time.count,
        provenance,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATION: &str = "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057";

    fn time(basis: pb::TimeBasis, operation: &str) -> pb::TimeToShare {
        let span = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        pb::TimeToShare {
            operation: operation.to_owned(),
            stage: pb::ShareStage::PublishedToActed.into(),
            basis: basis.into(),
            count: 3,
            p50: span(5),
            p90: span(9),
            ..pb::TimeToShare::default()
        }
    }

    #[test]
    fn what_the_hub_computed_is_its_word_until_it_was_computed_again() {
        let row = |member: &str, members| pb::LedgerRow {
            member: member.to_owned(),
            members,
            given: vec![pb::KindCount { kind: 2, count: 5 }, pb::KindCount { kind: 3, count: 2 }],
            confirmed: 4,
            confirmed_by: 2,
            disputed: 3,
            disputed_by: 1,
            acted_on: 6,
            acted_on_by: 5,
            withdrawn: 8,
            received: 9,
            delivered: Some(7),
            acknowledged: None,
            received_acted_on: 2,
            role: pb::Role::Observer.into(),
        };
        let answer = pb::GetLedgerResponse {
            rows: vec![row("members/acme-video", 1), row("", 2)],
            times: vec![
                time(pb::TimeBasis::Log, ""),
                time(pb::TimeBasis::Hub, ""),
                time(pb::TimeBasis::Claimed, ""),
                time(pb::TimeBasis::Log, OPERATION),
                time(pb::TimeBasis::Log, "members/acme-video/records/x"),
            ],
            ..pb::GetLedgerResponse::default()
        };
        for known in [Provenance::HubClaims, Provenance::Proven] {
            let ledger = KnownLedger { answer: answer.clone(), known };
            let rows = rows(&ledger);
            let echo = |records, members| Echo { records, members };
            let given = Given {
                kinds: [(BodyKind::Indicator, 5), (BodyKind::Operation, 2)].into(),
                confirmed: echo(4, 2),
                disputed: echo(3, 1),
                acted_on: echo(6, 5),
                withdrawn: 8,
            };
            let received =
                Received { records: 9, delivered: Some(7), acknowledged: None, acted_on: 2 };
            assert_eq!((&rows[0].given, rows[0].received), (&given, received));
            assert_eq!((rows[0].role, rows[0].provenance), (Some(Role::Observer), known));
            assert_eq!(rows[0].whose, Whose::Member("acme-video".parse().unwrap()));
            assert_eq!(rows[1].whose, Whose::Several(2));
            let record: RecordName = OPERATION.parse().unwrap();
            let titles = [(record.clone(), (Said::from("Spring storm"), Tlp::Red))].into();
            let times = times(&ledger, &titles);
            let known_as: Vec<Provenance> = times.iter().map(|time| time.provenance).collect();
            let marks = [known, Provenance::HubClaims, Provenance::MemberClaims, known];
            assert_eq!(known_as, marks, "what names no record is left out");
            let (title, tlp) = (Said::from("Spring storm"), Some(Tlp::Red));
            let operation = TimedOperation { record, title, tlp };
            assert_eq!(times[3].of, TimeOf::Operation(operation));
        }
    }
}
