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

    /// Whether a member reads what `acme-video` handed in.
    fn reads(role: Role, member: &str, suspended: bool) -> bool {
        let name = ReportName { reporter: "acme-video".parse().unwrap(), digest: [1; 32] };
        let member = member.parse().unwrap();
        name.is_open_to(&Reader { member, role, suspended, audiences: Vec::new() })
    }

    #[test]
    fn operator_and_auditors_read_every_report_and_others_their_own() {
        for role in [Role::Operator, Role::Auditor] {
            assert!(reads(role, "birch-social", false), "{role:?}");
        }
        for role in [Role::Company, Role::Observer] {
            assert!(reads(role, "acme-video", false), "{role:?}");
            assert!(!reads(role, "birch-social", false), "{role:?}");
        }
        for role in Role::ALL {
            assert!(!reads(*role, "acme-video", true), "{role:?}");
            assert!(!reads(*role, "birch-social", true), "{role:?}");
        }
    }
}
