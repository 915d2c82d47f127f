//! An operation whole: what is said about it and its indicators, by whom. Nothing is merged.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::exchange::about::Found;
use crate::exchange::about::Reading;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::reads::add_record;
use crate::exchange::search::has_expired;
use crate::model::facts::Facts;
use crate::model::header::BodyKind;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::store::Store;
use crate::store::StoreError;
use crate::wire::pb;

impl Hub {
    /// An operation with everything that the caller may see of what is said about it.
    pub async fn operation(
        &self,
        member: &MemberId,
        name: RecordName,
    ) -> Result<pb::GetOperationResponse, ExchangeError> {
        let reader = self.reader(member)?;
        self.take_lookups(member, 1)?;
        let (size, now) = (self.head().size, self.clock().now());
        let gathered = move |store: &Store| {
            let reading = Reading::new(store, &reader, size, limits::OPERATION_EXAMINED_MAX);
            Gathering { reading, now, view: View::default() }.gather(&name)
        };
        let missing = "there is no such operation, or you may not see it";
        let gathered = self.read(gathered).await?;
        let found =
            gathered.ok_or_else(|| Refusal::field(Reason::RecordNotFound, "name", missing))?;
        Ok(found)
    }
}

/// What was gathered so far.
#[derive(Default)]
struct View {
    assets: BTreeMap<(String, String, i32), (u64, u64)>,
    techniques: BTreeMap<(String, String), (pb::Technique, BTreeSet<String>, u64)>,
    response: pb::GetOperationResponse,
    entries: usize,
}

struct Gathering<'a> {
    reading: Reading<'a>,
    now: Timestamp,
    view: View,
}

impl Gathering<'_> {
    fn gather(mut self, name: &RecordName) -> Result<Option<pb::GetOperationResponse>, StoreError> {
        let Some((operation, withdrawn)) = self.operation(name)? else { return Ok(None) };
        if let Some(said) = operation_of(&operation) {
            self.view.add_metrics(&operation, &said.metrics);
            self.view.add_techniques(&operation, &said.techniques);
        }
        // What is said about its indicators is found under its name too.
        for place in self.reading.places(Term::about(name))? {
            let Some(facts) = self.reading.facts(place)? else { continue };
            if facts.scope.body_kind == BodyKind::Indicator {
                self.take_indicator(place, name)?;
            } else if let Some(found) = self.reading.again(place)? {
                self.take_statement(found, name);
            }
        }
        let tired = u64::from(self.reading.is_tired());
        let mut response = self.view.finish();
        let mut entry = operation.entry;
        add_record(&mut entry, self.now);
        response.operation = Some(entry);
        response.withdrawn_sequence = withdrawn;
        response.more = response.more.saturating_add(tired);
        Ok(Some(response))
    }

    /// The operation itself, even if it was withdrawn.
    fn operation(&mut self, name: &RecordName) -> Result<Option<(Found, Option<u64>)>, StoreError> {
        let found = self.reading.latest_of(name)?;
        let found = found.filter(|found| found.facts.scope.body_kind == BodyKind::Operation);
        let withdrawn = self.reading.store.withdrawn(name)?;
        Ok(found.map(|found| (found, withdrawn)))
    }

    fn take_indicator(&mut self, place: u64, name: &RecordName) -> Result<(), StoreError> {
        let Some(found) = self.reading.again(place)? else { return Ok(()) };
        if !names_operation(&found.facts, name) {
            return Ok(());
        }
        let Some(pb::body::Content::Indicator(said)) = &found.record.body.content else {
            return Ok(());
        };
        let observable = said.observable.clone().unwrap_or_default();
        if let Some(aggregate) = observable.aggregate {
            self.view.response.totals.push(pb::TotalClaim {
                publisher: found.facts.scope.publisher.name(),
                record: found.facts.name().to_string(),
                platform: observable.platform,
                aggregate: Some(aggregate),
            });
        } else if let Some(shape) = found.facts.scope.shapes.first() {
            let key = (found.facts.scope.publisher.name(), shape.platform.clone(), shape.kind);
            let counted = self.view.assets.entry(key).or_default();
            counted.0 += 1;
            counted.1 +=
                u64::from(has_expired(&found.record.envelope, &found.record.body, self.now));
        }
        let (metrics, techniques) = (said.metrics.clone(), said.techniques.clone());
        self.view.add_metrics(&found, &metrics);
        self.view.add_techniques(&found, &techniques);
        Ok(())
    }

    fn take_statement(&mut self, found: Found, name: &RecordName) {
        let names_it = found.record.content.targets().iter().any(|(_field, of)| *of == name);
        if !names_it && !names_operation(&found.facts, name) {
            return;
        }
        if let Some(pb::body::Content::ActionReport(said)) = &found.record.body.content {
            let metrics = said.metrics.clone();
            self.view.add_metrics(&found, &metrics);
        }
        self.view.push(found, self.now);
    }
}

impl View {
    fn push(&mut self, found: Found, now: Timestamp) {
        if self.entries >= limits::OPERATION_ENTRIES_MAX {
            self.response.more = self.response.more.saturating_add(1);
            return;
        }
        let kind = found.facts.scope.body_kind;
        let Some(list) = self.list_of(kind) else { return };
        let mut entry = found.entry;
        add_record(&mut entry, now);
        list.push(entry);
        self.entries += 1;
    }

    fn list_of(&mut self, kind: BodyKind) -> Option<&mut Vec<pb::Entry>> {
        let response = &mut self.response;
        let lists = [
            (BodyKind::Attribution, &mut response.attributions),
            (BodyKind::ActionReport, &mut response.actions),
            (BodyKind::Opinion, &mut response.opinions),
            (BodyKind::Sighting, &mut response.sightings),
            (BodyKind::Inquiry, &mut response.inquiries),
            (BodyKind::Reply, &mut response.replies),
            (BodyKind::Note, &mut response.notes),
            (BodyKind::Link, &mut response.links),
        ];
        lists.into_iter().find(|(own, _list)| *own == kind).map(|(_kind, list)| list)
    }

    fn add_metrics(&mut self, found: &Found, metrics: &[pb::Metric]) {
        for metric in metrics {
            if self.response.metrics.len() >= limits::OPERATION_ENTRIES_MAX {
                self.response.more = self.response.more.saturating_add(1);
                continue;
            }
            self.response.metrics.push(pb::MetricClaim {
                publisher: found.facts.scope.publisher.name(),
                record: found.facts.name().to_string(),
                metric: Some(metric.clone()),
            });
        }
    }

    fn add_techniques(&mut self, found: &Found, techniques: &[pb::Technique]) {
        for technique in techniques {
            let key = (technique.framework.clone(), technique.external_id.clone());
            let is_known = self.techniques.contains_key(&key);
            if !is_known && self.techniques.len() >= limits::TECHNIQUES_MAX {
                self.response.more = self.response.more.saturating_add(1);
                continue;
            }
            let first = || (technique.clone(), BTreeSet::new(), 0);
            let (_first, publishers, records) = self.techniques.entry(key).or_insert_with(first);
            publishers.insert(found.facts.scope.publisher.name());
            *records += 1;
        }
    }

    fn finish(self) -> pb::GetOperationResponse {
        let assets = self.assets.into_iter().map(|((publisher, platform, kind), counted)| {
            pb::AssetCount { publisher, platform, kind, count: counted.0, expired: counted.1 }
        });
        let uses = self.techniques.into_values().map(|(technique, publishers, records)| {
            pb::TechniqueUse {
                technique: Some(technique),
                publishers: publishers.into_iter().collect(),
                records,
            }
        });
        pb::GetOperationResponse {
            assets: assets.collect(),
            techniques: uses.collect(),
            ..self.response
        }
    }
}

fn names_operation(facts: &Facts, name: &RecordName) -> bool {
    facts.scope.shapes.first().is_some_and(|shape| shape.operation.as_ref() == Some(name))
}

fn operation_of(found: &Found) -> Option<pb::Operation> {
    match &found.record.body.content {
        Some(pb::body::Content::Operation(said)) => Some(said.clone()),
        _ => None,
    }
}
