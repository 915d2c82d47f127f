//! An operation whole: what is said about it and its indicators, by whom. Nothing is merged.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use prost::Message;

use crate::exchange::about::Found;
use crate::exchange::about::Reading;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::reads::add_record;
use crate::exchange::search::has_expired;
use crate::exchange::turns::Halt;
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
        let (head, now) = (self.head(), self.clock().now());
        let size = head.size;
        let publishers = head.roster.members().map(|member| member.id.clone()).collect();
        let gathered = move |store: &Store, halt: &Halt| {
            let reading = Reading::new(store, &reader, size, limits::OPERATION_EXAMINED_MAX);
            let reading = reading.until(halt);
            Gathering { reading, publishers, now, view: View::default() }.gather(&name)
        };
        let missing = "there is no such operation, or you may not see it";
        let gathered = self.read(Some(member), gathered).await?;
        let found =
            gathered.ok_or_else(|| Refusal::field(Reason::RecordNotFound, "name", missing))?;
        Ok(found)
    }
}

/// Kinds of statements that an answer holds.
const STATEMENTS: [BodyKind; 8] = [
    BodyKind::Attribution,
    BodyKind::ActionReport,
    BodyKind::Opinion,
    BodyKind::Sighting,
    BodyKind::Inquiry,
    BodyKind::Reply,
    BodyKind::Note,
    BodyKind::Link,
];

/// What was gathered so far.
#[derive(Default)]
struct View {
    assets: BTreeMap<(String, String, i32), (u64, u64)>,
    techniques: BTreeMap<(String, String), (pb::Technique, BTreeSet<String>, u64)>,
    techniques_bytes: usize,
    /// By publisher and kind, so that a member who says much hides neither others nor itself.
    statements: Turns<(MemberId, i32), u64>,
    totals: Turns<MemberId, pb::TotalClaim>,
    metrics: Turns<MemberId, pb::MetricClaim>,
    /// What was left out.
    left: u64,
}

struct Gathering<'a> {
    reading: Reading<'a>,
    /// Who may have said something.
    publishers: Vec<MemberId>,
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
        for place in self.places(name)? {
            let Some(facts) = self.reading.facts(place)? else { continue };
            let kind = facts.scope.body_kind;
            if kind == BodyKind::Indicator {
                self.take_indicator(place, name)?;
            } else if kind == BodyKind::ActionReport {
                self.take_report(place, name)?;
            } else if STATEMENTS.contains(&kind) {
                self.view.add_statement(place, &facts);
            }
        }
        let mut response = pb::GetOperationResponse::default();
        self.fill(name, &mut response)?;
        let tired = u64::from(self.reading.is_tired());
        self.view.finish(&mut response);
        response.more = response.more.saturating_add(tired);
        let mut entry = operation.entry;
        add_record(&mut entry, self.now);
        response.operation = Some(entry);
        response.withdrawn_sequence = withdrawn;
        Ok(Some(response))
    }

    /// Places of what is said about an operation and its indicators. If there is more than may be read, every publisher
    /// has an equal share of that, so that none who says much hides others.
    fn places(&mut self, name: &RecordName) -> Result<Vec<u64>, StoreError> {
        let term = Term::about(name);
        let all = self.reading.places(term)?;
        if all.len() <= limits::OPERATION_EXAMINED_MAX {
            return Ok(all);
        }
        let share = limits::OPERATION_EXAMINED_MAX / self.publishers.len().max(1);
        let mut places = Vec::new();
        for publisher in &self.publishers {
            let (own, more) = self.reading.places_by(term, publisher, share)?;
            places.extend(own);
            self.view.left = self.view.left.saturating_add(u64::from(more));
        }
        places.sort_unstable();
        Ok(places)
    }

    /// The operation itself, even if it was withdrawn or its body erased.
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
            let publisher = found.facts.scope.publisher.clone();
            let claim = pb::TotalClaim {
                publisher: publisher.name(),
                record: found.facts.name().to_string(),
                platform: observable.platform,
                aggregate: Some(aggregate),
            };
            self.view.totals.offer(publisher, claim);
        } else if let Some(shape) = found.facts.scope.shapes.first() {
            let expired = has_expired(&found.record.envelope, &found.record.body, self.now);
            let key = (found.facts.scope.publisher.name(), shape.platform.clone(), shape.kind);
            self.view.count_asset(key, expired);
        }
        let (metrics, techniques) = (said.metrics.clone(), said.techniques.clone());
        self.view.add_metrics(&found, &metrics);
        self.view.add_techniques(&found, &techniques);
        Ok(())
    }

    fn take_report(&mut self, place: u64, name: &RecordName) -> Result<(), StoreError> {
        let Some(found) = self.reading.again(place)?.filter(|found| concerns(found, name)) else {
            return Ok(());
        };
        if let Some(pb::body::Content::ActionReport(said)) = &found.record.body.content {
            self.view.add_metrics(&found, &said.metrics.clone());
        }
        self.view.add_statement(place, &found.facts);
        Ok(())
    }

    /// Fills in the statements, by turns, as many as fit.
    fn fill(
        &mut self,
        name: &RecordName,
        response: &mut pb::GetOperationResponse,
    ) -> Result<(), StoreError> {
        let statements = std::mem::take(&mut self.view.statements);
        self.view.left = self.view.left.saturating_add(statements.left);
        let (mut taken, mut bytes) = (BTreeMap::new(), limits::OPERATION_BYTES_MAX);
        for (_at, place) in statements.in_turn() {
            let Some(found) = self.reading.again(place)?.filter(|found| concerns(found, name))
            else {
                continue;
            };
            let mut entry = found.entry;
            add_record(&mut entry, self.now);
            let fits = bytes.checked_sub(entry.encoded_len());
            match fits.filter(|_fits| taken.len() < limits::OPERATION_ENTRIES_MAX) {
                Some(left) => {
                    bytes = left;
                    taken.insert(place, (found.facts.scope.body_kind, entry));
                }
                None => self.view.left = self.view.left.saturating_add(1),
            }
        }
        for (kind, entry) in taken.into_values() {
            if let Some(list) = list_of(kind, response) {
                list.push(entry);
            }
        }
        Ok(())
    }
}

fn list_of(kind: BodyKind, response: &mut pb::GetOperationResponse) -> Option<&mut Vec<pb::Entry>> {
    let lists = [
        &mut response.attributions,
        &mut response.actions,
        &mut response.opinions,
        &mut response.sightings,
        &mut response.inquiries,
        &mut response.replies,
        &mut response.notes,
        &mut response.links,
    ];
    let mut lists = STATEMENTS.into_iter().zip(lists);
    lists.find(|(own, _list)| *own == kind).map(|(_kind, list)| list)
}

impl View {
    fn add_statement(&mut self, place: u64, facts: &Facts) {
        let whose = (facts.scope.publisher.clone(), facts.scope.body_kind.number());
        self.statements.offer(whose, place);
    }

    fn count_asset(&mut self, key: (String, String, i32), expired: bool) {
        let is_known = self.assets.contains_key(&key);
        if !is_known && self.assets.len() >= limits::OPERATION_ASSETS_MAX {
            self.left = self.left.saturating_add(1);
            return;
        }
        let counted = self.assets.entry(key).or_default();
        counted.0 += 1;
        counted.1 += u64::from(expired);
    }

    fn add_metrics(&mut self, found: &Found, metrics: &[pb::Metric]) {
        let publisher = &found.facts.scope.publisher;
        for metric in metrics {
            let claim = pb::MetricClaim {
                publisher: publisher.name(),
                record: found.facts.name().to_string(),
                metric: Some(metric.clone()),
            };
            self.metrics.offer(publisher.clone(), claim);
        }
    }

    fn add_techniques(&mut self, found: &Found, techniques: &[pb::Technique]) {
        for technique in techniques {
            let key = (technique.framework.clone(), technique.external_id.clone());
            let bytes = self.techniques_bytes.saturating_add(technique.encoded_len());
            let is_known = self.techniques.contains_key(&key);
            let is_full = self.techniques.len() >= limits::TECHNIQUES_MAX
                || bytes > limits::OPERATION_BYTES_MAX / 3;
            if !is_known && is_full {
                self.left = self.left.saturating_add(1);
                continue;
            }
            if !is_known {
                self.techniques_bytes = bytes;
            }
            let first = || (technique.clone(), BTreeSet::new(), 0);
            let (_first, publishers, records) = self.techniques.entry(key).or_insert_with(first);
            publishers.insert(found.facts.scope.publisher.name());
            *records += 1;
        }
    }

    fn finish(self, response: &mut pb::GetOperationResponse) {
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
        response.assets = assets.collect();
        response.techniques = uses.collect();
        let (totals, totals_left) = self.totals.fitting();
        let (metrics, metrics_left) = self.metrics.fitting();
        (response.totals, response.metrics) = (totals, metrics);
        let left = self.left.saturating_add(totals_left).saturating_add(metrics_left);
        response.more = response.more.saturating_add(left);
    }
}

/// What several parties offer, more of it than an answer holds: each has its turn, one thing a turn.
struct Turns<K, T> {
    /// How many each offered.
    offered: BTreeMap<K, usize>,
    /// In the order of the log, each with its turn.
    things: Vec<(usize, T)>,
    /// What is more than one party can ever have.
    left: u64,
}

impl<K, T> Default for Turns<K, T> {
    fn default() -> Self {
        Self { offered: BTreeMap::new(), things: Vec::new(), left: 0 }
    }
}

impl<K: Ord, T> Turns<K, T> {
    fn offer(&mut self, whose: K, thing: T) {
        let turn = self.offered.entry(whose).or_default();
        if *turn >= limits::OPERATION_ENTRIES_MAX {
            self.left = self.left.saturating_add(1);
            return;
        }
        self.things.push((*turn, thing));
        *turn += 1;
    }

    /// Turn by turn, each with its place in the order of the log.
    fn in_turn(self) -> Vec<(usize, T)> {
        let mut things: Vec<(usize, usize, T)> = self
            .things
            .into_iter()
            .enumerate()
            .map(|(at, (turn, thing))| (turn, at, thing))
            .collect();
        things.sort_by_key(|(turn, at, _thing)| (*turn, *at));
        things.into_iter().map(|(_turn, at, thing)| (at, thing)).collect()
    }
}

impl<K: Ord, T: Message> Turns<K, T> {
    /// What fits an answer, in the order of the log, and how many do not.
    fn fitting(self) -> (Vec<T>, u64) {
        let (mut taken, mut left) = (BTreeMap::new(), self.left);
        let mut bytes = limits::OPERATION_BYTES_MAX / 3;
        for (at, thing) in self.in_turn() {
            let fits = bytes.checked_sub(thing.encoded_len());
            match fits.filter(|_fits| taken.len() < limits::OPERATION_ENTRIES_MAX) {
                Some(rest) => {
                    bytes = rest;
                    taken.insert(at, thing);
                }
                None => left = left.saturating_add(1),
            }
        }
        (taken.into_values().collect(), left)
    }
}

/// Whether a statement is about an operation, or one of its indicators.
fn concerns(found: &Found, name: &RecordName) -> bool {
    names_operation(&found.facts, name)
        || found.record.content.targets().iter().any(|(_field, of)| *of == name)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(offers: &[(&'static str, u64)]) -> Turns<&'static str, u64> {
        let mut turns = Turns::default();
        for (whose, thing) in offers {
            turns.offer(*whose, *thing);
        }
        turns
    }

    #[test]
    fn each_has_its_turn() {
        let turns = turns(&[("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5), ("b", 6)]);
        let order: Vec<u64> = turns.in_turn().into_iter().map(|(_at, thing)| thing).collect();
        assert_eq!(order, [1, 4, 5, 2, 6, 3]);
    }

    #[test]
    fn who_offers_much_hides_nobody() {
        let mut turns = Turns::default();
        let note = |note: &str| pb::Note { text: note.repeat(1000), ..pb::Note::default() };
        for _ in 0..2000 {
            turns.offer("loud", note("x"));
        }
        turns.offer("quiet", note("q"));
        let (taken, left) = turns.fitting();
        assert_eq!(taken.last(), Some(&note("q")), "in the order of the log");
        assert_eq!(u64::try_from(taken.len()).unwrap() + left, 2001);
        let bytes: usize = taken.iter().map(Message::encoded_len).sum();
        assert!(bytes <= limits::OPERATION_BYTES_MAX / 3, "{bytes}");
    }
}
