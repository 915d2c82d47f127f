//! The plan: which records the objects become, and the account of every one.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

use prost::Message as _;
use serde_json::Map;
use serde_json::Value;

use crate::interop::stix::bundle::Given;
use crate::interop::stix::import::BundleFile;
use crate::interop::stix::import::ImportTarget;
use crate::interop::stix::import::Plan;
use crate::interop::stix::import::Planned;
use crate::interop::stix::import::Skipped;
use crate::interop::stix::import::asset::Asset;
use crate::interop::stix::import::node::Creator;
use crate::interop::stix::import::node::Node;
use crate::interop::stix::import::node::What;
use crate::interop::stix::import::node::node;
use crate::interop::stix::import::relations::Relations;
use crate::interop::stix::import::text;
use crate::interop::stix::import::versions;
use crate::interop::stix::marking;
use crate::interop::stix::marking::Marked;
use crate::model::handling::Handling;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::RecordName;
use crate::wire;
use crate::wire::pb;
use crate::wire::pb::body::Content;

/// Bytes of a planned body: it stays below what an envelope takes, with room for header and signature.
const BODY_BYTES_MAX: usize = 48 * 1024;
/// Bytes of all planned bodies: one pattern may become 256 records with the same long description.
const PLAN_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Assets of all objects, which take more memory than the patterns that name them.
const ASSETS_MAX: usize = 500_000;

/// Plans the import of bundles.
pub fn plan(files: &[BundleFile], target: &ImportTarget) -> Plan {
    let mut planner = Planner::new(files, target);
    planner.read_marks();
    planner.read_creators();
    planner.read_nodes();
    planner.relations = Relations::of(&planner.nodes);
    planner.plan_operations();
    planner.plan_assets();
    planner.plan_attributions();
    planner.plan_links();
    planner.plan_statements();
    planner.finish()
}

/// The records of assets that were planned.
#[derive(Default)]
struct Known {
    of_operation: HashMap<(String, Digest), RecordName>,
    of_any: HashMap<Digest, RecordName>,
}

/// How an object ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Carried,
    Joined,
    Said,
    Duplicate,
    Skipped(String),
}

pub(super) struct Planner<'a> {
    pub(super) target: &'a ImportTarget,
    /// Every object with its file, in the order of the files.
    objects: Vec<(&'a str, &'a Given)>,
    /// The place of each id that counts.
    places: HashMap<&'a str, usize>,
    outcomes: Vec<Option<Outcome>>,
    marks: HashMap<String, Marked>,
    creators: HashMap<String, Creator>,
    /// By id, in their order.
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) relations: Relations,
    /// The records that objects became, by id.
    pub(super) records: HashMap<String, Vec<RecordName>>,
    /// The bytes of the planned bodies.
    bytes: usize,
    plan: Plan,
}

impl<'a> Planner<'a> {
    fn new(files: &'a [BundleFile], target: &'a ImportTarget) -> Self {
        let mut plan = Plan::default();
        let mut objects = Vec::new();
        for BundleFile { file, bundle } in files {
            plan.account.objects += bundle.count();
            plan.account.duplicates += bundle.duplicates;
            let older = bundle
                .older
                .iter()
                .map(|id| (id.clone(), "there is a newer version of it".to_owned()));
            for (object, reason) in bundle.unreadable.iter().cloned().chain(older) {
                plan.account.skipped.push(Skipped { file: file.clone(), object, reason });
            }
            objects.extend(bundle.objects.iter().map(|given| (file.as_str(), given)));
        }
        let outcomes = vec![None; objects.len()];
        let mut planner = Self {
            target,
            objects,
            places: HashMap::new(),
            outcomes,
            marks: HashMap::new(),
            creators: HashMap::new(),
            nodes: BTreeMap::new(),
            relations: Relations::default(),
            records: HashMap::new(),
            bytes: 0,
            plan,
        };
        planner.find_places();
        planner
    }

    /// One place an id: the same object may stand in several files.
    fn find_places(&mut self) {
        for place in 0..self.objects.len() {
            let Some((_file, given)) = self.objects.get(place).copied() else { continue };
            let Some(known) = self.places.get(given.id.as_str()).copied() else {
                self.places.insert(&given.id, place);
                continue;
            };
            let same = self
                .objects
                .get(known)
                .is_some_and(|(_file, known)| known.json().ok() == given.json().ok());
            let outcome = if same {
                Outcome::Duplicate
            } else {
                Outcome::Skipped("another file says something else under this id".to_owned())
            };
            self.end_at(place, outcome);
        }
    }

    fn end_at(&mut self, place: usize, outcome: Outcome) {
        if let Some(slot) = self.outcomes.get_mut(place)
            && slot.is_none()
        {
            *slot = Some(outcome);
        }
    }

    /// Says how an object ended, unless that was said before.
    pub(super) fn end(&mut self, id: &str, outcome: Outcome) {
        if let Some(place) = self.places.get(id).copied() {
            self.end_at(place, outcome);
        }
    }

    pub(super) fn skip(&mut self, id: &str, reason: impl Into<String>) {
        self.end(id, Outcome::Skipped(reason.into()));
    }

    /// What others are understood by: markings.
    fn read_marks(&mut self) {
        for place in 0..self.objects.len() {
            let Some((_file, given)) = self.objects.get(place).copied() else { continue };
            if given.kind != "marking-definition" {
                continue;
            }
            let Ok(json) = given.json() else { continue };
            let marked = marking::defined(&given.id, &json);
            let known = self.marks.entry(given.id.clone()).or_insert(marked);
            if *known != marked {
                // Two files disagree about what it asks for.
                *known = Marked::Unknown;
            }
            if !self.target.said.contains_key(&given.id) {
                self.end_at(place, Outcome::Joined);
            }
        }
    }

    /// The names of those who made something, as far as their own markings allow to tell them.
    fn read_creators(&mut self) {
        let nobody = HashMap::new();
        for place in 0..self.objects.len() {
            let Some((_file, given)) = self.objects.get(place).copied() else { continue };
            let is_taken = self.outcomes.get(place).is_some_and(Option::is_none)
                && !self.target.not_taken.contains_key(&given.id);
            if given.kind != "identity" || !is_taken {
                continue;
            }
            let found = given.json().and_then(|json| node(&json, &self.marks, &nobody));
            if let Ok(node) = found
                && !self.is_too_red(&node)
                && let Some(name) = text::text(&node.json(), "name")
            {
                let creator = Creator { name: name.to_owned(), tlp: node.tlp };
                self.creators.insert(given.id.clone(), creator);
            }
        }
    }

    fn read_nodes(&mut self) {
        let mut assets = 0;
        for place in 0..self.objects.len() {
            let Some((_file, given)) = self.objects.get(place).copied() else { continue };
            if self.outcomes.get(place).is_none_or(Option::is_some) {
                continue;
            }
            if let Some(why) = self.target.not_taken.get(&given.id) {
                self.end_at(place, Outcome::Skipped(why.clone()));
                continue;
            }
            if let Some(record) = self.target.said.get(&given.id) {
                self.records.insert(given.id.clone(), vec![record.clone()]);
                self.end_at(place, Outcome::Said);
                continue;
            }
            match self.taken(given, &mut assets) {
                Ok(node) => drop(self.nodes.insert(given.id.clone(), node)),
                Err(why) => self.end_at(place, Outcome::Skipped(why)),
            }
        }
    }

    /// The node of an object, or why it is not taken; `assets` counts those of all objects.
    fn taken(&self, given: &Given, assets: &mut usize) -> Result<Node, String> {
        let mut node = node(&given.json()?, &self.marks, &self.creators)?;
        if self.is_too_red(&node) {
            return Err(RED.to_owned());
        }
        *assets = assets.saturating_add(node.asset_count());
        if *assets > ASSETS_MAX {
            return Err(format!("the bundles name more than {ASSETS_MAX} assets"));
        }
        let key = versions::key(&given.id, node.maker.as_deref());
        let version = node.version.as_ref();
        node.is_stale = version.is_some_and(|version| self.target.versions.is_stale(&key, version));
        Ok(node)
    }

    /// Whether a node is for named recipients, who were not named.
    fn is_too_red(&self, node: &Node) -> bool {
        node.tlp == Some(Tlp::Red) && self.target.handling.tlp != Tlp::Red
    }

    /// The strictest label of all that goes into the record of an object.
    pub(super) fn label(&self, id: &str) -> Option<Tlp> {
        self.nodes.get(id).and_then(|node| node.tlp).max(self.relations.label(id))
    }

    /// The record of an object and who made it: what somebody else says under the same id is another one.
    pub(super) fn name(&self, kind: &str, id: &str, part: Option<&str>) -> RecordName {
        let maker = self.nodes.get(id).and_then(|node| node.maker.as_deref());
        let parts: Vec<&str> = [kind, id].into_iter().chain(maker).chain(part).collect();
        self.target.record(&parts)
    }

    /// The handling of what an object says: never wider than what goes into it is marked.
    fn handling(&self, tlp: Option<Tlp>) -> Handling {
        let handling = self.target.handling.clone();
        let strictest = tlp.map_or(handling.tlp, |tlp| handling.tlp.max(tlp));
        Handling { tlp: strictest, ..handling }
    }

    /// Plans a record; the reason if the hub would not take it.
    pub(super) fn record(
        &mut self,
        id: &str,
        name: RecordName,
        tlp: Option<Tlp>,
        kind: BodyKind,
        content: Content,
    ) -> Result<(), String> {
        let body = pb::Body { salt: vec![0; 32], content: Some(content) };
        let bytes = body.encode_to_vec();
        if bytes.len() > BODY_BYTES_MAX {
            return Err(format!("what it says has more than {BODY_BYTES_MAX} bytes"));
        }
        wire::body::content(&bytes, kind).map_err(|refusal| refusal.to_string())?;
        wire::sense(&body, self.target.now).map_err(|refusal| refusal.to_string())?;
        let handling = self.handling(tlp);
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > PLAN_BYTES_MAX {
            return Err(format!("the bundles become more than {PLAN_BYTES_MAX} bytes of records"));
        }
        self.records.entry(id.to_owned()).or_default().push(name.clone());
        if self.nodes.get(id).is_some_and(|node| node.is_stale) {
            return Err(STALE.to_owned());
        }
        if self.relations.is_stale(id) {
            return Err(format!("of something that goes into it: {STALE}"));
        }
        if let Some(content) = body.content {
            self.plan.records.push(Planned { name, handling, kind, content });
        }
        Ok(())
    }

    fn plan_operations(&mut self) {
        let ids: Vec<String> = self
            .nodes
            .iter()
            .filter(|(id, node)| self.relations.is_operation(id, node))
            .map(|(id, _node)| id.clone())
            .collect();
        for id in ids {
            let Some(node) = self.nodes.get(&id) else { continue };
            let (tlp, operation) = (self.label(&id), self.operation(&id, &node.json()));
            let name = self.name("operation", &id, None);
            let content = Content::Operation(operation);
            match self.record(&id, name, tlp, BodyKind::Operation, content) {
                Ok(()) => self.end(&id, Outcome::Carried),
                Err(why) => self.skip(&id, why),
            }
        }
    }

    fn operation(&self, id: &str, json: &Map<String, Value>) -> pb::Operation {
        let (first_activity_time, last_activity_time) = text::span(json, "first_seen", "last_seen");
        let goals = text::text(json, "objective").map(|goal| text::long(Some(goal)));
        let told = self
            .of(&self.relations.narratives_of, id)
            .filter_map(|node| text::text(&node.json(), "name").map(|name| text::long(Some(name))));
        let told = goals.into_iter().chain(told).take(limits::NARRATIVES_MAX);
        let narratives: Vec<String> = told.collect();
        let reports = self.of(&self.relations.reports_of, id);
        let reported = reports.flat_map(|report| text::addresses(&report.json()));
        let mut seen = HashSet::new();
        let references = text::addresses(json).into_iter().chain(reported);
        let references = references.filter(|url| seen.insert(url.clone()));
        let references: Vec<String> = references.take(limits::ITEMS_MAX).collect();
        pb::Operation {
            title: text::label(text::text(json, "name").unwrap_or("unnamed")),
            aliases: text::labels(json, "aliases"),
            target_regions: self.regions(&self.relations.targets_of, id),
            origin_regions: self.regions(&self.relations.origins_of, id),
            narratives,
            first_activity_time,
            last_activity_time,
            references,
            description: text::long(text::text(json, "description")),
            techniques: self.techniques(id),
            labels: text::labels(json, "labels"),
            ..pb::Operation::default()
        }
    }

    /// The nodes that a relation joins to one.
    fn of<'b>(
        &'b self,
        relation: &'b HashMap<String, Vec<String>>,
        id: &str,
    ) -> impl Iterator<Item = &'b Node> {
        let ids = relation.get(id).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.nodes.get(id))
    }

    fn regions(&self, relation: &HashMap<String, Vec<String>>, id: &str) -> Vec<String> {
        let codes = self.of(relation, id).filter_map(|node| {
            if let What::Country(code) = &node.what { Some(code.clone()) } else { None }
        });
        let mut codes: Vec<String> = codes.collect();
        codes.sort_unstable();
        codes.dedup();
        codes.truncate(limits::ITEMS_MAX);
        codes
    }

    fn techniques(&self, id: &str) -> Vec<pb::Technique> {
        let mut found: Vec<pb::Technique> = Vec::new();
        for node in self.of(&self.relations.techniques_of, id) {
            if let What::Technique(technique) = &node.what
                && !found.contains(technique)
                && found.len() < limits::TECHNIQUES_MAX
            {
                found.push(technique.clone());
            }
        }
        found
    }

    /// Indicators first, since they say more than the values that they are made of.
    fn plan_assets(&mut self) {
        let mut known = Known::default();
        for of_indicators in [true, false] {
            let ids: Vec<String> = self
                .nodes
                .iter()
                .filter(|(_id, node)| {
                    node.is_asset() && matches!(node.what, What::Indicator(_)) == of_indicators
                })
                .map(|(id, _node)| id.clone())
                .collect();
            for id in ids {
                match self.plan_asset(&id, &mut known) {
                    Ok(0) => self.end(&id, Outcome::Joined),
                    Ok(_new) => self.end(&id, Outcome::Carried),
                    Err(why) => self.skip(&id, why),
                }
            }
        }
    }

    /// Plans the records of an asset; how many are new.
    fn plan_asset(&mut self, id: &str, known: &mut Known) -> Result<usize, String> {
        let Some(node) = self.nodes.get(id) else { return Err("it is not there".to_owned()) };
        let is_value = matches!(node.what, What::Value(_));
        let assets = node.assets();
        let operation = self.relations.operation_of.get(id);
        let operation = operation.and_then(|id| self.records.get(id)?.first());
        let operation = operation.or(self.target.operation.as_ref());
        let operation = operation.map_or_else(String::new, ToString::to_string);
        let (tlp, json) = (self.label(id), node.json());
        let made = |asset: &Asset| (asset.digest, indicator(&json, asset, &operation));
        let techniques = self.techniques(id);
        let made: Vec<(Digest, pb::Indicator)> = assets.iter().map(made).collect();
        if is_value && operation.is_empty() {
            // The indicator that it is a part of may say it already.
            let same = |(digest, _indicator): &(Digest, _)| known.of_any.get(digest);
            if let Some(name) = made.iter().find_map(same) {
                self.records.insert(id.to_owned(), vec![name.clone()]);
                return Ok(0);
            }
            return Err("nothing says to which operation it belongs".to_owned());
        }
        let mut new = 0;
        for (digest, indicator) in made {
            let key = (operation.clone(), digest);
            if let Some(name) = known.of_operation.get(&key) {
                self.records.entry(id.to_owned()).or_default().push(name.clone());
                continue;
            }
            let name = self.name("asset", id, Some(&hex::encode(digest)));
            let content =
                Content::Indicator(pb::Indicator { techniques: techniques.clone(), ..indicator });
            self.record(id, name.clone(), tlp, BodyKind::Indicator, content)?;
            known.of_any.entry(digest).or_insert_with(|| name.clone());
            known.of_operation.insert(key, name);
            new += 1;
        }
        Ok(new)
    }

    /// The one record that an object became; the reason if there is none, or several.
    pub(super) fn record_of(&self, id: &str) -> Result<RecordName, String> {
        match self.records.get(id).map(Vec::as_slice) {
            Some([record]) => Ok(record.clone()),
            Some([_, _, ..]) => Err(format!("{id:.120} became several records")),
            Some([]) | None => Err(format!("{id:.120} is not taken, or not there")),
        }
    }

    /// Who made an object.
    pub(super) fn creator(&self, node: &Node) -> Option<&Creator> {
        self.creators.get(node.maker.as_ref()?)
    }

    fn finish(mut self) -> Plan {
        for id in std::mem::take(&mut self.relations.joined) {
            self.end(&id, Outcome::Joined);
        }
        for (id, why) in std::mem::take(&mut self.relations.skipped) {
            self.skip(&id, why);
        }
        let Self { objects, outcomes, nodes, mut plan, .. } = self;
        let makers: HashSet<&str> =
            nodes.values().filter_map(|node| node.maker.as_deref()).collect();
        for ((file, given), outcome) in objects.into_iter().zip(outcomes) {
            let is_maker = makers.contains(given.id.as_str());
            let is_taken = matches!(outcome, Some(Outcome::Carried | Outcome::Joined));
            if let Some(node) = nodes.get(&given.id).filter(|node| is_taken && !node.is_stale)
                && let Some(version) = node.version.clone()
            {
                let key = versions::key(&given.id, node.maker.as_deref());
                plan.versions.push((key, version));
            }
            match outcome {
                Some(Outcome::Carried) => plan.account.carried += 1,
                Some(Outcome::Joined) => plan.account.joined += 1,
                Some(Outcome::Said) => plan.account.said += 1,
                Some(Outcome::Duplicate) => plan.account.duplicates += 1,
                None if given.kind == "identity" && is_maker => plan.account.joined += 1,
                Some(Outcome::Skipped(_)) | None => {
                    let reason = match outcome {
                        Some(Outcome::Skipped(reason)) => reason,
                        _ => "nothing that is taken has to do with it".to_owned(),
                    };
                    let (file, object) = (file.to_owned(), given.label());
                    plan.account.skipped.push(Skipped { file, object, reason });
                }
            }
        }
        plan
    }
}

const STALE: &str = "a newer version of it was imported before, or this one with other words";
const RED: &str = "it is TLP:RED, which takes named recipients: import it by itself with --tlp red --recipient MEMBER";

fn indicator(json: &Map<String, Value>, asset: &Asset, operation: &str) -> pb::Indicator {
    let (valid_from_time, valid_until_time) = text::span(json, "valid_from", "valid_until");
    let described = text::text(json, "description");
    let described = described.or_else(|| text::text(json, "x_opencti_description"));
    let named = text::text(json, "name").filter(|name| *name != asset.observable.value);
    let description = match (named, described) {
        (Some(name), Some(text)) if name != text => format!("{name}\n{text}"),
        (name, text) => text.or(name).unwrap_or_default().to_owned(),
    };
    pb::Indicator {
        observable: Some(asset.observable.clone()),
        operation: operation.to_owned(),
        valid_from_time,
        valid_until_time,
        confidence: text::confidence(json),
        description: text::long(Some(&description)),
        labels: text::labels(json, "labels"),
        ..pb::Indicator::default()
    }
}
