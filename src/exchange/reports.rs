//! Reports of misbehaviour: evidence against the hub itself, or against a publisher, that a member hands in.
//!
//! The hub does not judge it: whoever reads it does, with the log's public key alone. The hub keeps it, says so under the
//! log's key, and shows it to those who look after the exchange.

use bytes::Bytes;

use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::testimony::NewReport;
use crate::exchange::testimony::Said;
use crate::exchange::token;
use crate::exchange::turns::Halt;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::sha256;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::report::ReportName;
use crate::model::time::Timestamp;
use crate::store::Store;
use crate::wire;
use crate::wire::head::Signed;
use crate::wire::report::ReportStatement;

/// A report, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedReport {
    /// Who handed in what.
    pub name: ReportName,
    /// When it was taken in.
    pub time: Timestamp,
    /// The evidence, as it came.
    pub evidence: Vec<u8>,
}

impl Hub {
    /// Takes evidence in, and signs when that was: what was handed in before has the time of then.
    pub async fn report_misbehavior(
        &self,
        member: &MemberId,
        evidence: Vec<u8>,
    ) -> Result<Signed, ExchangeError> {
        self.reader(member)?;
        self.take_lookups(member, 1)?;
        let (digest, evidence) = self.checked(member, evidence).await?;
        let name = ReportName { reporter: member.clone(), digest };
        if self.testimony.report(&name).is_none() {
            let time = self.clock().now();
            let report = NewReport { name: name.clone(), time, evidence };
            self.testify(Said::Report(Box::new(report))).await?;
            tracing::warn!(
                report.reporter = member.as_str(),
                report.digest = hex::encode(digest),
                "a member reported misbehaviour: watchfire reports"
            );
        }
        let unknown = || Refusal::new(Reason::OutcomeUnknown, "send the same evidence again");
        let kept = self.testimony.report(&name).ok_or_else(unknown)?;
        Ok(self.sign_report(&ReportStatement {
            exchange: self.exchange.clone(),
            member: member.clone(),
            evidence_digest: digest,
            time: kept.time,
        }))
    }

    /// Evidence that is about this exchange, and its digest. Off the runtime: it may be long.
    async fn checked(
        &self,
        member: &MemberId,
        evidence: Vec<u8>,
    ) -> Result<(Digest, Bytes), ExchangeError> {
        let exchange = self.exchange.clone();
        let check = move |_store: &Store, _short: &Halt| {
            let checked = wire::report::demand_evidence(&evidence, &exchange);
            Ok(checked.map(|()| (sha256(&evidence), Bytes::from(evidence))))
        };
        Ok(self.read(Some(member), check).await??)
    }

    /// The reports that a member may read, page by page: everything for the operator and auditors, for others their own.
    pub async fn misbehavior_reports(
        &self,
        member: &MemberId,
        (page_size, page_token): (usize, &str),
    ) -> Result<(Vec<ListedReport>, String), ExchangeError> {
        let reader = self.reader(member)?;
        self.take_lookups(member, 1)?;
        let after = token::named(page_token, name_of)?;
        let (found, more) = self.testimony.reports(
            |name| name.is_open_to(&reader),
            after.as_ref(),
            (page_size, limits::REPORTS_PAGE_BYTES_MAX),
        );
        let last = found.last().filter(|_last| more).map(|(name, _kept)| token_of(name));
        let read = move |store: &Store, halt: &Halt| {
            let listed = found.into_iter().map(|(name, kept)| {
                halt.check()?;
                let evidence = store.evidence(&name)?;
                Ok(ListedReport { name, time: kept.time, evidence })
            });
            listed.collect()
        };
        let reports: Vec<ListedReport> = self.read(Some(member), read).await?;
        Ok((reports, last.unwrap_or_default()))
    }
}

/// The last report of a page: its reader has seen it.
fn token_of(name: &ReportName) -> String {
    format!("{}.{}", hex::encode(name.digest), name.reporter)
}

fn name_of(token: &str) -> Option<ReportName> {
    let (digest, reporter) = token.split_once('.')?;
    let digest = hex::decode(digest).ok()?.try_into().ok()?;
    Some(ReportName { reporter: reporter.parse().ok()?, digest })
}
