//! The ledger and the times to share, from the hub's answer.

use std::time::Duration;

use crate::briefing::Counted;
use crate::briefing::LedgerRow;
use crate::briefing::Provenance;
use crate::briefing::Step;
use crate::briefing::StepTime;
use crate::briefing::Whose;
use crate::client::briefing::KnownLedger;
use crate::model::names::MemberId;
use crate::wire::pb;

/// One row a member, and one for those who are not told apart.
pub(super) fn rows(ledger: &KnownLedger) -> Vec<LedgerRow> {
    let counted = |count| Counted { count, provenance: ledger.known };
    let row = |row: &pb::LedgerRow| LedgerRow {
        whose: MemberId::from_name(&row.member).map_or(Whose::Several(row.members), Whose::Member),
        given: counted(row.given.iter().map(|given| given.count).sum()),
        received: counted(row.received),
    };
    ledger.answer.rows.iter().map(row).collect()
}

/// How long each stage took, of all members and of each; those of operations are left to the ledger itself.
pub(super) fn times(ledger: &KnownLedger) -> Vec<StepTime> {
    let times = ledger.answer.times.iter().filter(|time| time.operation.is_empty());
    times.filter_map(|time| measured(time, ledger.known)).collect()
}

fn measured(time: &pb::TimeToShare, known: Provenance) -> Option<StepTime> {
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
        member: MemberId::from_name(&time.member).ok(),
        p50: span(time.p50.as_ref())?,
        p90: span(time.p90.as_ref())?,
        samples: time.count,
        provenance,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            received: 4,
            ..pb::LedgerRow::default()
        };
        let answer = pb::GetLedgerResponse {
            rows: vec![row("members/acme-video", 1), row("", 2)],
            times: vec![
                time(pb::TimeBasis::Log, ""),
                time(pb::TimeBasis::Hub, ""),
                time(pb::TimeBasis::Claimed, ""),
                time(pb::TimeBasis::Log, "members/acme-video/records/x"),
            ],
            ..pb::GetLedgerResponse::default()
        };
        for known in [Provenance::HubClaims, Provenance::Proven] {
            let ledger = KnownLedger { answer: answer.clone(), known };
            let rows = rows(&ledger);
            assert_eq!(rows[0].given, Counted { count: 7, provenance: known });
            assert_eq!(rows[0].whose, Whose::Member("acme-video".parse().unwrap()));
            assert_eq!(rows[1].whose, Whose::Several(2));
            let times: Vec<Provenance> = times(&ledger).iter().map(|it| it.provenance).collect();
            assert_eq!(times, [known, Provenance::HubClaims, Provenance::MemberClaims]);
        }
    }
}
