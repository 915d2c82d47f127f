//! What is linked, as a tree for people: each record and value where it was met first, and below it what it led to.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use watchfire::client::LinkEdge;
use watchfire::client::LinkNode;
use watchfire::client::LinksView;
use watchfire::client::Voucher;
use watchfire::wire::pb;

use crate::table;
use crate::table::word;

/// The tree, what else joins what is in it, and how much is beyond it.
pub(crate) fn links(view: &LinksView) -> String {
    let mut tree = Tree::of(view);
    tree.grow(0, "");
    let mut out = tree.out;
    let others: Vec<&LinkEdge> = (0..)
        .zip(&view.edges)
        .filter(|(at, _edge)| !tree.drawn.contains(at))
        .map(|(_at, edge)| edge)
        .collect();
    if !others.is_empty() {
        out.push_str("\nAlso:\n");
    }
    for edge in others {
        let label = |at: usize| view.nodes.get(at).map(short).unwrap_or_default();
        let (source, target) = (label(edge.source), label(edge.target));
        let line = format!("  {source} {} {target} {}\n", joins(edge), by(edge));
        out.push_str(&line);
    }
    if view.more {
        out.push_str("\nThe hub stopped counting: there may be more than the numbers say.*\n");
    }
    if out.contains('*') {
        out.push_str("\n* The hub's word.\n");
    }
    out
}

struct Tree<'a> {
    view: &'a LinksView,
    /// By node: its children, each with the edges that join them.
    children: BTreeMap<usize, Vec<(usize, Vec<&'a LinkEdge>)>>,
    drawn: BTreeSet<usize>,
    out: String,
}

impl<'a> Tree<'a> {
    fn of(view: &'a LinksView) -> Self {
        let mut tree =
            Self { view, children: BTreeMap::new(), drawn: BTreeSet::new(), out: String::new() };
        for (at, node) in view.nodes.iter().enumerate().skip(1) {
            tree.hang(at, node);
        }
        tree
    }

    /// Hangs a node below the nearer one that it was met from first.
    fn hang(&mut self, at: usize, node: &LinkNode) {
        let step_of = |at: usize| self.view.nodes.get(at).map(|node| node.step);
        let parent = self.view.edges.iter().find_map(|edge| {
            let other = other_end(edge, at)?;
            (step_of(other)?.checked_add(1)? == node.step).then_some(other)
        });
        let Some(parent) = parent else { return };
        let mut edges = Vec::new();
        for (place, edge) in self.view.edges.iter().enumerate() {
            if other_end(edge, at) == Some(parent) {
                self.drawn.insert(place);
                edges.push(edge);
            }
        }
        self.children.entry(parent).or_default().push((at, edges));
    }

    fn grow(&mut self, at: usize, indent: &str) {
        let Some(node) = self.view.nodes.get(at) else { return };
        if at == 0 {
            self.out = label(node) + "\n";
        }
        let children = self.children.remove(&at).unwrap_or_default();
        let count = children.len() + usize::from(node.beyond > 0);
        let beyond = node.beyond;
        for (index, (child, edges)) in children.into_iter().enumerate() {
            let is_last = index + 1 == count;
            let (branch, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let Some(shown) = self.view.nodes.get(child) else { continue };
            let ways: Vec<String> = edges.iter().map(|edge| way(edge, at)).collect();
            let line = format!("{indent}{branch}{} {}\n", ways.join(", "), label(shown));
            self.out.push_str(&line);
            self.grow(child, &format!("{indent}{below}"));
        }
        if beyond > 0 {
            let line = format!("{indent}└─ {beyond} more, not shown*\n");
            self.out.push_str(&line);
        }
    }
}

fn other_end(edge: &LinkEdge, at: usize) -> Option<usize> {
    if edge.target == at {
        Some(edge.source)
    } else if edge.source == at {
        Some(edge.target)
    } else {
        None
    }
}

/// How a node is joined with one below it, read from the one above.
fn way(edge: &LinkEdge, above: usize) -> String {
    let joined = joins(edge);
    let by = by(edge);
    if edge.source == above { format!("{joined} → {by}") } else { format!("← {joined} {by}") }
}

/// What the source is to the target.
fn joins(edge: &LinkEdge) -> String {
    match edge.kind {
        pb::LinkEdgeKind::Link => word(edge.link_type.as_str_name(), "LINK_TYPE_"),
        pb::LinkEdgeKind::Value => "has value".to_owned(),
        pb::LinkEdgeKind::Operation => "belongs to".to_owned(),
        pb::LinkEdgeKind::Unspecified => "is joined with".to_owned(),
    }
}

/// Who says so.
fn by(edge: &LinkEdge) -> String {
    let confidence =
        edge.confidence.map(|number| format!(", confidence {number}")).unwrap_or_default();
    let mark = if edge.voucher == Voucher::Publisher { "" } else { "*" };
    format!("[{}{confidence}{mark}]", edge.record.member)
}

/// A node in full.
fn label(node: &LinkNode) -> String {
    let name = node.record.as_ref().map(|record| format!("  {record}")).unwrap_or_default();
    let doubts = node.entry.as_ref().map_or("", table::doubts);
    format!("{}{name}{doubts}", short(node))
}

fn short(node: &LinkNode) -> String {
    if let Some(entry) = &node.entry {
        return table::short(entry, table::SAYS_MAX);
    }
    if let Some(value) = &node.value {
        return table::short_value(value.kind, &value.platform, &value.value);
    }
    // Its name stands behind it.
    "a record*".to_owned()
}
