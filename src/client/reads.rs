//! Reads: one record, pages of records, look-ups. What is returned was verified.

use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::error::Refused;
use crate::client::verifier::VerificationError;
use crate::client::verifier::VerifiedEntry;
use crate::model::filter::Filter;
use crate::model::limits;
use crate::model::names::RevisionName;
use crate::wire;
use crate::wire::pb;

/// A record that was asked for.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its entry.
    pub entry: VerifiedEntry,
    /// Where it was withdrawn, as the hub says.
    pub withdrawn_sequence: Option<u64>,
}

/// What is known about one value.
#[derive(Clone, Debug)]
pub struct LookedUp {
    /// The normal form that was looked up.
    pub normal_form: Option<pb::NormalForm>,
    /// Indicators with it.
    pub entries: Vec<VerifiedEntry>,
    /// Whether there are more.
    pub more: bool,
    /// Why the value could not be looked up.
    pub refused: Option<Refused>,
}

impl Client {
    /// One record; the latest revision unless one is named.
    pub async fn get(&self, name: &RevisionName) -> Result<Found, ClientError> {
        let text = match name.revision {
            Some(revision) => format!("{}@{revision}", name.record),
            None => name.record.to_string(),
        };
        let request = pb::GetRecordRequest { name: text, include_record: false };
        let response = self.exchange_service().get_record(request).await?.into_inner();
        let pb::GetRecordResponse { entry, withdrawn_sequence } = response;
        let entry = entry.ok_or_else(|| VerificationError::answer("there is no entry"))?;
        let entry = self.verifier_past(entry.sequence).await?.verify(entry)?;
        let header = entry.header();
        let asked = header.name == name.record
            && name.revision.is_none_or(|revision| revision == header.revision);
        if !asked {
            return Err(
                VerificationError::answer("it is another record than the one asked for").into()
            );
        }
        Ok(Found { entry, withdrawn_sequence })
    }

    /// A page of the latest visible revisions that match, and the token of the next page.
    pub async fn list(
        &self,
        filter: &Filter,
        page_token: &str,
    ) -> Result<(Vec<VerifiedEntry>, Option<String>), ClientError> {
        let request = pb::ListRecordsRequest {
            filter: Some(wire::filter::filter_to_wire(filter)),
            page_size: u32::try_from(limits::PAGE_ENTRIES_MAX).unwrap_or(u32::MAX),
            page_token: page_token.to_owned(),
            include_record: false,
        };
        let response = self.exchange_service().list_records(request).await?.into_inner();
        let pb::ListRecordsResponse { entries, next_page_token } = response;
        let entries = self.believe(entries).await?;
        Ok((entries, (!next_page_token.is_empty()).then_some(next_page_token)))
    }

    /// Every latest visible revision that matches.
    pub async fn list_all(&self, filter: &Filter) -> Result<Vec<VerifiedEntry>, ClientError> {
        let mut all = Vec::new();
        let mut token = String::new();
        loop {
            let (entries, next) = self.list(filter, &token).await?;
            all.extend(entries);
            match next {
                Some(next) => token = next,
                None => return Ok(all),
            }
        }
    }

    /// What is known about values, in their order.
    pub async fn look_up(&self, values: &[String]) -> Result<Vec<LookedUp>, ClientError> {
        let mut looked_up = Vec::with_capacity(values.len());
        for values in values.chunks(limits::LOOKUP_VALUES_MAX) {
            let query = |value: &String| pb::ValueQuery {
                value: value.clone(),
                ..pb::ValueQuery::default()
            };
            let request = pb::LookupValuesRequest {
                queries: values.iter().map(query).collect(),
                matches_max: u32::try_from(limits::LOOKUP_MATCHES_MAX).unwrap_or(u32::MAX),
                include_record: false,
                active_only: false,
                distance_max: None,
            };
            let response = self.exchange_service().lookup_values(request).await?.into_inner();
            if response.results.len() != values.len() {
                return Err(
                    VerificationError::answer("there is not one result for each value").into()
                );
            }
            for result in response.results {
                looked_up.push(self.looked_up(result).await?);
            }
        }
        Ok(looked_up)
    }

    async fn looked_up(&self, result: pb::ValueMatches) -> Result<LookedUp, ClientError> {
        let pb::ValueMatches { normal_form, entries, more, refusal, .. } = result;
        let entries = self.believe(entries).await?;
        let fits = |entry: &VerifiedEntry| wire::normal_form(entry.body()) == normal_form;
        if !entries.iter().all(fits) {
            return Err(VerificationError::answer(
                "a match has another value than the one looked up",
            )
            .into());
        }
        Ok(LookedUp { normal_form, entries, more, refused: refusal.map(Refused::from) })
    }

    async fn believe(&self, entries: Vec<pb::Entry>) -> Result<Vec<VerifiedEntry>, ClientError> {
        let Some(last) = entries.iter().map(|entry| entry.sequence).max() else {
            return Ok(Vec::new());
        };
        Ok(self.verifier_past(last).await?.verify_all(entries)?)
    }
}
