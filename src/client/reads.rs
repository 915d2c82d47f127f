//! Reads: one record, pages of records, look-ups. What is returned was verified.

use std::collections::BTreeSet;

use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::error::Refused;
use crate::client::verifier::VerificationError;
use crate::client::verifier::VerifiedEntry;
use crate::model::filter::Filter;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::RevisionName;
use crate::model::observable::ObservableKind;
use crate::model::perceptual::NEAR_BITS_MAX;
use crate::model::perceptual::Pdq;
use crate::model::platform::Platform;
use crate::wire;
use crate::wire::body::Content;
use crate::wire::pb;

/// A record that was asked for.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its entry.
    pub entry: VerifiedEntry,
    /// Where it was withdrawn, as the hub says.
    pub withdrawn_sequence: Option<u64>,
}

/// How values are looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookUpOptions {
    /// The kind of every value; `None`: each is recognised from the value.
    pub kind: Option<ObservableKind>,
    /// The platform of every value, where it does not tell.
    pub platform: Option<Platform>,
    /// Leave out what should no longer be acted on.
    pub active_only: bool,
    /// For PDQ hashes: also those that differ in at most this many of 256 bits, 0 to 31. `None`: 31.
    pub distance_max: Option<u32>,
}

/// What is known about one value.
#[derive(Clone, Debug)]
pub struct LookedUp {
    /// The normal form that was looked up.
    pub normal_form: Option<pb::NormalForm>,
    /// Indicators with it, or near it.
    pub entries: Vec<VerifiedEntry>,
    /// For each entry: in how many bits it differs, computed from what was signed; 0 is exact.
    pub distances: Vec<u32>,
    /// Whether there are more.
    pub more: bool,
    /// Why the value could not be looked up.
    pub refused: Option<Refused>,
}

impl LookedUp {
    /// The operations that its indicators name, as they were signed; sorted.
    pub fn operations(&self) -> BTreeSet<RecordName> {
        self.entries.iter().filter_map(operation_named).collect()
    }

    /// Who published its indicators; sorted.
    pub fn publishers(&self) -> BTreeSet<MemberId> {
        self.entries.iter().map(|entry| entry.name().member.clone()).collect()
    }
}

impl Client {
    /// One record; the latest revision unless one is named.
    pub async fn get(&self, name: &RevisionName) -> Result<Found, ClientError> {
        let (entry, withdrawn_sequence) = self.fetch(name).await?;
        let entry = self.believe(vec![entry]).await?.pop();
        let entry = entry.ok_or_else(|| VerificationError::answer("there is no entry"))?;
        Ok(Found { entry: demand_name(entry, name)?, withdrawn_sequence })
    }

    /// The same, not checked yet.
    pub(super) async fn fetch(
        &self,
        name: &RevisionName,
    ) -> Result<(pb::Entry, Option<u64>), ClientError> {
        let text = match name.revision {
            Some(revision) => format!("{}@{revision}", name.record),
            None => name.record.to_string(),
        };
        let request = pb::GetRecordRequest { name: text, include_record: false };
        let response = self.exchange_service().get_record(request).await?.into_inner();
        let pb::GetRecordResponse { entry, withdrawn_sequence } = response;
        let entry = entry.ok_or_else(|| VerificationError::answer("there is no entry"))?;
        Ok((entry, withdrawn_sequence))
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
    pub async fn look_up(
        &self,
        values: &[String],
        options: &LookUpOptions,
    ) -> Result<Vec<LookedUp>, ClientError> {
        let mut looked_up = Vec::with_capacity(values.len());
        for values in values.chunks(limits::LOOKUP_VALUES_MAX) {
            looked_up.extend(self.look_up_at_once(values, options).await?);
        }
        // All values of a call share the room of an answer: what did not fit may fit alone.
        let is_cut =
            |found: &LookedUp| found.more && found.entries.len() < limits::LOOKUP_MATCHES_MAX;
        let cut = values.iter().zip(&mut looked_up).filter(|(_value, found)| is_cut(found));
        for (value, found) in cut {
            let mut alone = self.look_up_at_once(std::slice::from_ref(value), options).await?;
            *found = alone.pop().unwrap_or_else(|| found.clone());
        }
        Ok(looked_up)
    }

    async fn look_up_at_once(
        &self,
        values: &[String],
        options: &LookUpOptions,
    ) -> Result<Vec<LookedUp>, ClientError> {
        let distance_max = options.distance_max.unwrap_or(NEAR_BITS_MAX);
        let query = |value: &String| pb::ValueQuery {
            value: value.clone(),
            kind: options.kind.map(ObservableKind::number).unwrap_or_default(),
            platform: options.platform.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        let request = pb::LookupValuesRequest {
            queries: values.iter().map(query).collect(),
            matches_max: u32::try_from(limits::LOOKUP_MATCHES_MAX).unwrap_or(u32::MAX),
            include_record: false,
            active_only: options.active_only,
            distance_max: options.distance_max,
        };
        let response = self.exchange_service().lookup_values(request).await?.into_inner();
        if response.results.len() != values.len() {
            return Err(VerificationError::answer("there is not one result for each value").into());
        }
        let mut results = response.results;
        let entries = results.iter_mut().map(|result| std::mem::take(&mut result.entries));
        let entries = self.believe_lists(entries.collect()).await?;
        let both = results.into_iter().zip(entries);
        Ok(both
            .map(|(result, entries)| looked_up(result, entries, distance_max))
            .collect::<Result<_, _>>()?)
    }
}

/// What is known about a value, if its matches are what was looked up.
fn looked_up(
    result: pb::ValueMatches,
    entries: Vec<VerifiedEntry>,
    distance_max: u32,
) -> Result<LookedUp, VerificationError> {
    let pb::ValueMatches { normal_form, more, refusal, distances, .. } = result;
    let own = distances_of(&entries, normal_form.as_ref(), distance_max)
        .ok_or("a match has another value than the one looked up")
        .and_then(|own| agreed(own, &distances))
        .map_err(VerificationError::answer)?;
    let refused = refusal.map(Refused::from);
    Ok(LookedUp { normal_form, entries, distances: own, more, refused })
}

/// Demands the record, and the revision, that was asked for.
pub(super) fn demand_name(
    entry: VerifiedEntry,
    name: &RevisionName,
) -> Result<VerifiedEntry, VerificationError> {
    let header = entry.header();
    let is_asked = header.name == name.record
        && name.revision.is_none_or(|revision| revision == header.revision);
    let why = "it is another record than the one asked for";
    if is_asked { Ok(entry) } else { Err(VerificationError::answer(why)) }
}

/// The operation that an indicator names.
pub(super) fn operation_named(entry: &VerifiedEntry) -> Option<RecordName> {
    let Content::Indicator { operation, .. } = &entry.record().content else { return None };
    operation.clone()
}

/// In how many bits each match differs from what was looked up. `None` if one is no match.
fn distances_of(
    entries: &[VerifiedEntry],
    sought: Option<&pb::NormalForm>,
    distance_max: u32,
) -> Option<Vec<u32>> {
    let distance = |entry: &VerifiedEntry| {
        let sought = sought?;
        if wire::normal_form(entry.body()).as_ref() == Some(sought) {
            return Some(0);
        }
        let is_media = sought.kind == ObservableKind::MediaHash.number();
        let hash: Pdq = sought.value.parse().ok().filter(|_hash| is_media)?;
        let Some(pb::body::Content::Indicator(said)) = &entry.body().content else { return None };
        let own = wire::pdq(said.observable.as_ref()?)?;
        Some(hash.distance(&own)).filter(|distance| *distance <= distance_max)
    };
    entries.iter().map(distance).collect()
}

/// The computed distances, if the hub says the same; none said means that all are exact.
fn agreed(own: Vec<u32>, said: &[u32]) -> Result<Vec<u32>, &'static str> {
    let agree = if said.is_empty() { own.iter().all(|own| *own == 0) } else { own == said };
    if agree { Ok(own) } else { Err("a match differs in other bits than the hub says") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::World;

    fn image(world: &World, value: &str, algorithm: &str) -> VerifiedEntry {
        let content = pb::body::Content::Indicator(pb::Indicator {
            observable: Some(pb::Observable {
                kind: pb::ObservableKind::MediaHash.into(),
                value: value.to_owned(),
                algorithm: algorithm.to_owned(),
                ..pb::Observable::default()
            }),
            ..pb::Indicator::default()
        });
        let envelope = world.publish(&world.acme, content);
        world.verifier().verify(World::entry(3, envelope)).unwrap()
    }

    #[test]
    fn a_match_is_as_near_as_was_asked_and_as_the_hub_says() {
        let world = World::new();
        let zeroes = "00".repeat(32);
        let off = |bits: &str| format!("{bits}{}", "00".repeat(28));
        let (same, three) = (image(&world, &zeroes, "pdq"), image(&world, &off("00000007"), "pdq"));
        let sought = wire::normal_form(same.body()).unwrap();
        let distances = |entry: &VerifiedEntry, most| {
            distances_of(std::slice::from_ref(entry), Some(&sought), most)
        };
        assert_eq!(distances(&same, 0), Some(vec![0]));
        assert_eq!(distances(&three, 3), Some(vec![3]));
        assert_eq!(distances(&three, 2), None, "further than was asked");
        let far = image(&world, &off("ffffffff"), "pdq");
        assert_eq!(distances(&far, 31), None);
        let other = image(&world, &off("00000007"), "sha256");
        assert_eq!(distances(&other, 31), None, "it is no pdq hash");
        assert_eq!(distances_of(&[same], None, 31), None, "nothing was looked up");

        assert_eq!(agreed(vec![0, 3], &[0, 3]), Ok(vec![0, 3]));
        assert_eq!(agreed(vec![0, 0], &[]), Ok(vec![0, 0]));
        assert!(agreed(vec![0, 3], &[]).is_err(), "said to be exact");
        assert!(agreed(vec![0, 3], &[0, 2]).is_err());
        assert!(agreed(vec![0, 3], &[0]).is_err());
    }
}
