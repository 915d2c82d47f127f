//! How the objects of a bundle belong together.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;

use crate::interop::stix::import::node::Node;
use crate::interop::stix::import::node::What;
use crate::model::handling::Tlp;
use crate::wire::pb;

/// What relationships, reports and groupings say of the objects that were taken.
#[derive(Debug, Default)]
pub(super) struct Relations {
    /// By asset: its operation.
    pub(super) operation_of: HashMap<String, String>,
    /// By asset or operation: its techniques.
    pub(super) techniques_of: HashMap<String, Vec<String>>,
    /// By operation: what it tells.
    pub(super) narratives_of: HashMap<String, Vec<String>>,
    /// By operation: the countries that it aims at, and those that it comes from.
    pub(super) targets_of: HashMap<String, Vec<String>>,
    pub(super) origins_of: HashMap<String, Vec<String>>,
    /// By operation: reports that are about it alone.
    pub(super) reports_of: HashMap<String, Vec<String>>,
    /// Relationships that become attributions: their ids.
    pub(super) attributions: Vec<String>,
    /// Relationships that become links: their ids, and what they say.
    pub(super) links: Vec<(String, pb::LinkType)>,
    /// Objects that went into others.
    pub(super) joined: BTreeSet<String>,
    /// Objects that did not, and why.
    pub(super) skipped: BTreeMap<String, String>,
    /// By object that becomes a record: the strictest label of what goes into that record beside it.
    labels: HashMap<String, Tlp>,
    /// Objects into whose records an older version of something would go than was imported before.
    stale: HashSet<String>,
    /// Intrusion sets that are actors behind campaigns, and not operations.
    actors: BTreeSet<String>,
}

impl Relations {
    /// Reads them off the nodes, in the order of their ids, so that the same bundle means the same.
    pub(super) fn of(nodes: &BTreeMap<String, Node>) -> Self {
        let mut found = Self::default();
        for (source, kind, target) in nodes.values().filter_map(relation) {
            let is_campaign = matches!(
                nodes.get(source).map(|node| &node.what),
                Some(What::Group { is_campaign: true })
            );
            if is_campaign && kind == "attributed-to" {
                found.actors.insert(target.to_owned());
            }
        }
        for (id, node) in nodes {
            let Some((source, kind, target)) = relation(node) else { continue };
            if let Err(why) = found.take(nodes, id, source, kind, target) {
                found.skipped.insert(id.clone(), why);
            }
        }
        for (id, node) in nodes {
            if let What::Holder(refs) = &node.what {
                found.take_holder(nodes, id, refs);
            }
        }
        found.drop_repeated();
        found
    }

    /// The strictest label of what goes into an object's record beside it.
    pub(super) fn label(&self, id: &str) -> Option<Tlp> {
        self.labels.get(id).copied()
    }

    /// Whether something goes into an object's record of which a newer version was imported before.
    pub(super) fn is_stale(&self, id: &str) -> bool {
        self.stale.contains(id)
    }

    /// What is said again counts once.
    fn drop_repeated(&mut self) {
        let of = [
            &mut self.techniques_of,
            &mut self.narratives_of,
            &mut self.targets_of,
            &mut self.origins_of,
            &mut self.reports_of,
        ];
        for list in of.into_iter().flat_map(HashMap::values_mut) {
            let mut seen = HashSet::new();
            list.retain(|id| seen.insert(id.clone()));
        }
    }

    /// Into the record of an object goes what other nodes say: it is marked as strictly as they are.
    fn mark(&mut self, id: &str, by: &[&Node]) {
        if let Some(tlp) = by.iter().filter_map(|node| node.tlp).max() {
            let label = self.labels.entry(id.to_owned()).or_insert(tlp);
            *label = tlp.max(*label);
        }
        if by.iter().any(|node| node.is_stale) {
            self.stale.insert(id.to_owned());
        }
    }

    /// Whether a node is an operation.
    pub(super) fn is_operation(&self, id: &str, node: &Node) -> bool {
        matches!(node.what, What::Group { .. }) && !self.actors.contains(id)
    }

    fn take(
        &mut self,
        nodes: &BTreeMap<String, Node>,
        id: &str,
        source: &str,
        kind: &str,
        target: &str,
    ) -> Result<(), String> {
        let node = |end: &str| {
            nodes.get(end).ok_or_else(|| format!("its end {end:.120} is not taken, or not there"))
        };
        let (by, from, to) = (node(id)?, node(source)?, node(target)?);
        let ends = (self.is_operation(source, from), self.is_operation(target, to));
        // The end that is an operation first, if one is; most people write it either way round.
        let (first, other, other_id, first_id) =
            if ends.1 { (to, from, source, target) } else { (from, to, target, source) };
        let of_operation = ends.0 || ends.1;
        match (&first.what, &other.what) {
            (_, _) if kind == "attributed-to" && ends.0 && is_actor(to) && !ends.1 => {
                self.attributions.push(id.to_owned());
                self.mark(id, &[to]);
                self.joined.insert(target.to_owned());
                return Ok(());
            }
            (_, What::Indicator(_) | What::Value(_)) if of_operation => {
                let known = self.operation_of.entry(other_id.to_owned());
                let known = known.or_insert_with(|| first_id.to_owned());
                if known != first_id {
                    return Err(format!("{other_id:.120} belongs to {known} already"));
                }
                self.mark(other_id, &[by]);
            }
            (_, What::Technique(_)) if of_operation || first.is_asset() => {
                push(&mut self.techniques_of, first_id, other_id);
                self.mark(first_id, &[by, other]);
                self.joined.insert(other_id.to_owned());
            }
            (What::Technique(_), _) if other.is_asset() => {
                push(&mut self.techniques_of, other_id, first_id);
                self.mark(other_id, &[by, first]);
                self.joined.insert(first_id.to_owned());
            }
            (_, What::Narrative) if of_operation => {
                push(&mut self.narratives_of, first_id, other_id);
                self.mark(first_id, &[by, other]);
                self.joined.insert(other_id.to_owned());
            }
            (_, What::Country(_)) if ends.0 => {
                let list = match kind {
                    "targets" => &mut self.targets_of,
                    "originates-from" => &mut self.origins_of,
                    other => return Err(format!("an operation has no field for {other:.60}")),
                };
                push(list, source, target);
                self.mark(source, &[by, to]);
                self.joined.insert(target.to_owned());
            }
            _ if from.is_asset() && to.is_asset() => return self.take_link(id, from, kind, to),
            _ => {
                let name = |id: &str| id.split("--").next().unwrap_or_default().to_owned();
                return Err(format!(
                    "no record says that a {:.60} is {kind:.60} a {:.60}",
                    name(source),
                    name(target)
                ));
            }
        }
        self.joined.insert(id.to_owned());
        Ok(())
    }

    /// A relationship between assets: an indicator and its own value are one asset, others are linked if a link says so.
    fn take_link(&mut self, id: &str, from: &Node, kind: &str, to: &Node) -> Result<(), String> {
        if let (What::Indicator(assets), What::Value(value)) = (&from.what, &to.what)
            && assets.iter().any(|asset| asset.digest == value.digest)
        {
            self.joined.insert(id.to_owned());
            return Ok(());
        }
        let kind = match kind {
            "controls" => pb::LinkType::Controls,
            "amplifies" => pb::LinkType::Amplifies,
            "redirects-to" => pb::LinkType::RedirectsTo,
            "same-operator" => pb::LinkType::SameOperator,
            "part-of" | "belongs-to" => pb::LinkType::PartOf,
            "copy-of" => pb::LinkType::CopyOf,
            "funds" => pb::LinkType::Funds,
            other => return Err(format!("no link says {other:.60}")),
        };
        self.links.push((id.to_owned(), kind));
        Ok(())
    }

    /// A report or grouping about one operation says that its assets belong to it.
    fn take_holder(&mut self, nodes: &BTreeMap<String, Node>, id: &str, refs: &[String]) {
        let found = refs.iter().filter_map(|id| Some((id, nodes.get(id)?)));
        let found: Vec<(&String, &Node)> = found.collect();
        let operations: BTreeSet<&String> = found
            .iter()
            .filter(|(id, node)| self.is_operation(id, node))
            .map(|(id, _node)| *id)
            .collect();
        let operations: Vec<&String> = operations.into_iter().collect();
        let [operation] = operations.as_slice() else {
            let count = operations.len();
            let why =
                format!("it holds {count} operations that are taken, and says of none what it is");
            self.skipped.insert(id.to_owned(), why);
            return;
        };
        let Some(by) = nodes.get(id) else { return };
        for (asset, _node) in found.iter().filter(|(_id, node)| node.is_asset()) {
            let entry = self.operation_of.entry((*asset).clone());
            if entry.or_insert_with(|| (*operation).clone()) == *operation {
                self.mark(asset, &[by]);
            }
        }
        self.mark(operation, &[by]);
        push(&mut self.reports_of, operation, id);
        self.joined.insert(id.to_owned());
    }
}

fn relation(node: &Node) -> Option<(&str, &str, &str)> {
    if let What::Relation { source, kind, target } = &node.what {
        return Some((source, kind, target));
    }
    None
}

const fn is_actor(node: &Node) -> bool {
    matches!(node.what, What::Actor | What::Group { is_campaign: false })
}

fn push(into: &mut HashMap<String, Vec<String>>, key: &str, value: &str) {
    into.entry(key.to_owned()).or_default().push(value.to_owned());
}
