//! Reports of misbehaviour: evidence that a member hands to the exchange.

use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::policy::Reader;
use crate::model::roster::Role;

/// Which report: who handed in what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportName {
    /// Who handed it in.
    pub reporter: MemberId,
    /// SHA-256 of the evidence.
    pub digest: Digest,
}

impl ReportName {
    /// Whether a reader in good standing may read it: the operator and auditors read every report, everybody else its own.
    pub fn is_open_to(&self, reader: &Reader) -> bool {
        let reads_all = match reader.role {
            Role::Operator | Role::Auditor => true,
            Role::Company | Role::Observer => false,
        };
        !reader.suspended && (reads_all || reader.member == self.reporter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(role: Role, member: &str, suspended: bool, expected: bool) {
        let name = ReportName { reporter: "acme-video".parse().unwrap(), digest: [1; 32] };
        let member = member.parse().unwrap();
        let reader = Reader { member, role, suspended, audiences: Vec::new() };
        assert_eq!(name.is_open_to(&reader), expected, "{reader:?}");
    }

    #[test]
    fn operator_and_auditors_read_every_report_and_others_their_own() {
        for role in [Role::Operator, Role::Auditor] {
            check(role, "birch-social", false, true);
        }
        for role in [Role::Company, Role::Observer] {
            check(role, "acme-video", false, true);
            check(role, "birch-social", false, false);
        }
        for role in Role::ALL {
            check(*role, "acme-video", true, false);
            check(*role, "birch-social", true, false);
        }
    }
}
