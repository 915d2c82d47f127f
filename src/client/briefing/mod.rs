//! The pack for the meeting, gathered: what this member may see of a period, and what is still open from before.
//!
//! Whatever is counted or quoted comes from entries that were verified here. What only the hub can know (who could see
//! a record, what it sent to whom, the ledger unless it was computed again) is marked as its word.

mod cadence;
mod ends;
mod operations;
mod problems;
mod survey;
mod talk;
mod words;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::briefing::Briefing;
use crate::briefing::Cadence;
use crate::briefing::Operation;
use crate::briefing::Presentation;
use crate::briefing::Problems;
use crate::briefing::Provenance;
use crate::briefing::Said;
use crate::client::briefing::cadence::Titles;
use crate::client::briefing::ends::Ends;
use crate::client::briefing::survey::Survey;
use crate::client::briefing::talk::Talk;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::queries::SearchQuery;
use crate::client::verifier::VerifiedEntry;
use crate::model::filter::Filter;
use crate::model::header::BodyKind;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;
use crate::wire::body::Content;
use crate::wire::pb;

/// The time that a briefing is about: from its first moment up to, not including, its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    since: Timestamp,
    until: Timestamp,
}

impl Period {
    /// `None` if it would end before it begins.
    pub fn new(since: Timestamp, until: Timestamp) -> Option<Self> {
        (since < until).then_some(Self { since, until })
    }

    /// The first moment.
    pub const fn since(self) -> Timestamp {
        self.since
    }

    /// The end, which no longer belongs to it.
    pub const fn until(self) -> Timestamp {
        self.until
    }

    fn holds(self, time: Timestamp) -> bool {
        (self.since..self.until).contains(&time)
    }
}

/// The ledger of the period, and how its numbers are known.
#[derive(Clone, Debug)]
pub struct KnownLedger {
    /// As the hub says it.
    pub answer: pb::GetLedgerResponse,
    /// Proven if it was computed again from the log and is the same, but for what only the hub knows.
    pub known: Provenance,
}

/// How far the gathering is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathering {
    /// So many records were read.
    Records(usize),
    /// So many of the operations to be presented were read.
    Operations {
        /// Read.
        done: usize,
        /// To be presented.
        of: usize,
    },
    /// Disputes, inquiries and recalls are read.
    Problems,
}

/// Told how far the gathering is.
type Watch<'a> = &'a (dyn Fn(Gathering) + Sync);

impl Client {
    /// Gathers the briefing of a period.
    ///
    /// What happened in the period is in it, and what is still open at its end: disputes about records that stand,
    /// questions without an answer, recalls that somebody has still to answer. Records are shown as they stand now;
    /// what was taken in after the period is left out.
    pub async fn briefing(
        &self,
        period: Period,
        ledger: &KnownLedger,
        watch: Watch<'_>,
    ) -> Result<Briefing, ClientError> {
        let titles = self.titles().await?;
        let survey = self.survey(period, titles.keys().cloned().collect(), watch).await?;
        let ends = self.ends(period).await?;
        let operations = self.operations(&survey, period, watch).await?;
        watch(Gathering::Problems);
        let talk = self.talk(period).await?;
        let problems = Problems {
            disputes: self.disputes(&talk, &ends, period).await?,
            inquiries: self.inquiries(&talk, &ends, period).await?,
            recalls: self.recalls_of(&ends, period).await?,
        };
        let cadence = Cadence {
            shared: survey.shared().into_iter().chain(ends.shared(period)).collect(),
            ledger: cadence::rows(ledger),
            time_to_share: cadence::times(ledger, &titles),
            operations_left_out: ledger.answer.operations_left_out,
        };
        let sizes = [self.welcome().checkpoint.size, survey.end(), ends.end(), ledger.answer.head];
        Ok(Briefing {
            exchange: Said::from(self.pin().exchange().to_string()),
            reader: self.profile().settings().member.clone(),
            prepared_at: self.now(),
            since: period.since,
            until: period.until,
            log_size: sizes.into_iter().max().unwrap_or_default(),
            tlp_at_least: survey.tlp(),
            presentations: self.presentations(survey, operations).await?,
            problems,
            cadence,
        })
    }

    /// Every operation that this member may see.
    async fn titles(&self) -> Result<Titles, ClientError> {
        let filter = Filter { body_kinds: vec![BodyKind::Operation], ..Filter::default() };
        let mut titles = Titles::new();
        self.each_found(&SearchQuery { filter, ..SearchQuery::default() }, |entry| {
            let told = (words::title(&entry), entry.header().handling.tlp);
            titles.insert(entry.name().clone(), told);
        })
        .await?;
        Ok(titles)
    }

    async fn survey(
        &self,
        period: Period,
        known: BTreeSet<RecordName>,
        watch: Watch<'_>,
    ) -> Result<Survey, ClientError> {
        let mut survey = Survey::new(period, known);
        let within = SearchQuery {
            since: Some(period.since),
            until: Some(period.until),
            ..SearchQuery::default()
        };
        self.each_found(&within, |entry| {
            survey.take(&entry);
            watch(Gathering::Records(survey.records()));
        })
        .await?;
        Ok(survey)
    }

    async fn ends(&self, period: Period) -> Result<Ends, ClientError> {
        let body_kinds = vec![
            BodyKind::Withdrawal,
            BodyKind::Takedown,
            BodyKind::Acknowledgement,
            BodyKind::Erasure,
        ];
        let mut ends = Ends::new(period.until);
        let filter = Filter { body_kinds, ..Filter::default() };
        let mut token = String::new();
        loop {
            let (entries, next) = self.list(&filter, &token).await?;
            for entry in &entries {
                ends.take(entry);
            }
            match next {
                Some(next) => token = next,
                None => return Ok(ends),
            }
        }
    }

    async fn talk(&self, period: Period) -> Result<Talk, ClientError> {
        let body_kinds = vec![BodyKind::Opinion, BodyKind::Inquiry, BodyKind::Reply];
        let query = SearchQuery {
            filter: Filter { body_kinds, ..Filter::default() },
            until: Some(period.until),
            ..SearchQuery::default()
        };
        let mut talk = Talk::default();
        self.each_found(&query, |entry| talk.take(entry)).await?;
        Ok(talk)
    }

    async fn operations(
        &self,
        survey: &Survey,
        period: Period,
        watch: Watch<'_>,
    ) -> Result<BTreeMap<MemberId, Vec<Operation>>, ClientError> {
        let touched = survey.touched();
        let of = touched.len();
        let mut presented: BTreeMap<MemberId, Vec<Operation>> = BTreeMap::new();
        for (done, name) in touched.iter().enumerate() {
            watch(Gathering::Operations { done, of });
            if let Some(operation) = self.presented(name, period).await? {
                presented.entry(name.member.clone()).or_default().push(operation);
            }
        }
        Ok(presented)
    }

    /// Each member that presents something, by name; its operations in the order in which they were shared.
    async fn presentations(
        &self,
        survey: Survey,
        mut operations: BTreeMap<MemberId, Vec<Operation>>,
    ) -> Result<Vec<Presentation>, ClientError> {
        let verifier = self.roster().await?;
        let mut others = survey.into_others();
        let members: BTreeSet<MemberId> = operations.keys().chain(others.keys()).cloned().collect();
        let present = |member: MemberId| {
            let mut operations = operations.remove(&member).unwrap_or_default();
            operations.sort_by_key(|operation| operation.shared_at);
            let known = verifier.roster().member(&member);
            let name = known.map_or("", |known| known.display_name.as_str());
            Presentation {
                display_name: Said::from(name),
                operations,
                other_assets: others.remove(&member),
                member,
            }
        };
        Ok(members.into_iter().map(present).collect())
    }

    /// Hands over everything that a query finds, page by page.
    async fn each_found(
        &self,
        query: &SearchQuery,
        mut take: impl FnMut(VerifiedEntry),
    ) -> Result<(), ClientError> {
        let mut token = String::new();
        loop {
            let (entries, next) = self.search(query, limits::PAGE_ENTRIES_MAX, &token).await?;
            for entry in entries {
                take(entry);
            }
            match next {
                Some(next) => token = next,
                None => return Ok(()),
            }
        }
    }
}

/// The record that a statement about one record is about.
fn about(entry: &VerifiedEntry) -> Option<&RecordName> {
    if let Content::About { of } = &entry.record().content { Some(of) } else { None }
}
