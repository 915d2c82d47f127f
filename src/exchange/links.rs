//! Links: what is joined with a record or a value, step by step, nearest first.
//!
//! Nodes are records and values. A Link joins its ends, an indicator is joined with its value and with the operation
//! that it names. What does not fit the bound is counted.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;

use crate::exchange::about::Found;
use crate::exchange::about::Reading;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::turns::Halt;
use crate::model::header::BodyKind;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::store::Store;
use crate::store::StoreError;
use crate::wire;
use crate::wire::body::Content;
use crate::wire::body::End;
use crate::wire::pb;

/// From where to walk.
#[derive(Clone, Debug)]
pub enum LinkStart {
    /// A record.
    Record(RecordName),
    /// A value: its normal form, and that one's digest.
    Value(pb::NormalForm, Digest),
}

impl Hub {
    /// Walks from a record or a value to what is linked with it, at most so many steps and nodes.
    pub async fn links(
        &self,
        member: &MemberId,
        start: LinkStart,
        steps_max: usize,
        nodes_max: usize,
    ) -> Result<pb::ListLinksResponse, ExchangeError> {
        let reader = self.reader(member)?;
        self.take_lookups(member, 1)?;
        let size = self.head().size;
        let walked = move |store: &Store, halt: &Halt| {
            let reading = Reading::new(store, &reader, size, limits::OPERATION_EXAMINED_MAX);
            let reading = reading.until(halt);
            Walk::new(reading, steps_max, nodes_max).walk(start)
        };
        let walked = self.read(Some(member), walked).await?;
        let missing = "there is no such record, or you may not see it";
        Ok(walked.ok_or_else(|| Refusal::field(Reason::RecordNotFound, "record", missing))?)
    }
}

/// A record or a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Node {
    Record(RecordName),
    Value(Digest),
}

/// How one node is joined with another, as somebody says.
struct Joined {
    other: Node,
    /// What the other is shown as, if it is a value.
    form: Option<pb::NormalForm>,
    kind: pb::LinkEdgeKind,
    /// For a Link.
    r#type: i32,
    confidence: Option<u32>,
    record: RecordName,
    /// Whether it leads from the other to this one.
    reversed: bool,
}

struct Walk<'a> {
    reading: Reading<'a>,
    steps_max: usize,
    nodes_max: usize,
    places: HashMap<Node, usize>,
    /// Whether the reader may see a node that is not shown.
    unshown: HashMap<Node, bool>,
    joined: HashSet<(RecordName, i32)>,
    queue: VecDeque<(Node, usize, usize)>,
    response: pb::ListLinksResponse,
}

impl<'a> Walk<'a> {
    fn new(reading: Reading<'a>, steps_max: usize, nodes_max: usize) -> Self {
        Self {
            reading,
            steps_max,
            nodes_max,
            places: HashMap::new(),
            unshown: HashMap::new(),
            joined: HashSet::new(),
            queue: VecDeque::new(),
            response: pb::ListLinksResponse::default(),
        }
    }

    fn walk(mut self, start: LinkStart) -> Result<Option<pb::ListLinksResponse>, StoreError> {
        match start {
            LinkStart::Record(name) => {
                let Some(found) = self.reading.latest(&name)? else { return Ok(None) };
                let kind = found.facts.scope.body_kind;
                let form = wire::normal_form(&found.record.body);
                self.add(Node::Record(name), kind.number(), form, 0);
            }
            LinkStart::Value(form, digest) => {
                self.add(Node::Value(digest), 0, Some(form), 0);
            }
        }
        while let Some((node, at, step)) = self.queue.pop_front() {
            let joined = self.joined(&node)?;
            self.take(at, step, joined)?;
        }
        self.response.more |= self.reading.is_tired();
        Ok(Some(self.response))
    }

    /// Shows what a node is joined with, as far as the bounds let it; counts the rest.
    fn take(&mut self, at: usize, step: usize, joined: Vec<Joined>) -> Result<(), StoreError> {
        let mut beyond = HashSet::new();
        for one in joined {
            let is_full = step >= self.steps_max || self.response.nodes.len() >= self.nodes_max;
            let other = match self.places.get(&one.other).copied() {
                Some(known) => Some(known),
                None if is_full => None,
                None => self.show(&one, step + 1)?,
            };
            if let Some(other) = other {
                self.join(at, other, &one);
            } else if is_full && self.is_there(&one.other)? {
                beyond.insert(one.other);
            }
        }
        if let Some(node) = self.response.nodes.get_mut(at) {
            node.beyond = u64::try_from(beyond.len()).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    /// Whether the reader may see a node: what may not be seen is not counted either.
    fn is_there(&mut self, node: &Node) -> Result<bool, StoreError> {
        let Node::Record(name) = node else { return Ok(true) };
        if let Some(known) = self.unshown.get(node) {
            return Ok(*known);
        }
        let there = self.reading.latest_facts(name)?.is_some();
        self.unshown.insert(node.clone(), there);
        Ok(there)
    }

    /// Adds the node at the other end; `None` if the reader may not see it.
    fn show(&mut self, one: &Joined, step: usize) -> Result<Option<usize>, StoreError> {
        let (kind, form) = match &one.other {
            Node::Value(_) => (0, one.form.clone()),
            Node::Record(name) => {
                let Some(found) = self.reading.latest(name)? else { return Ok(None) };
                let form = wire::normal_form(&found.record.body);
                (found.facts.scope.body_kind.number(), form)
            }
        };
        Ok(Some(self.add(one.other.clone(), kind, form, step)))
    }

    fn add(
        &mut self,
        node: Node,
        body_kind: i32,
        value: Option<pb::NormalForm>,
        step: usize,
    ) -> usize {
        let at = self.response.nodes.len();
        self.response.nodes.push(pb::LinkNode {
            record: match &node {
                Node::Record(name) => name.to_string(),
                Node::Value(_) => String::new(),
            },
            body_kind,
            value,
            step: u32::try_from(step).unwrap_or(u32::MAX),
            beyond: 0,
        });
        self.places.insert(node.clone(), at);
        self.queue.push_back((node, at, step));
        at
    }

    fn join(&mut self, at: usize, other: usize, one: &Joined) {
        let index = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let (source, target) = if one.reversed { (other, at) } else { (at, other) };
        let edge = pb::LinkEdge {
            source: index(source),
            target: index(target),
            kind: one.kind.into(),
            r#type: one.r#type,
            record: one.record.to_string(),
            confidence: one.confidence,
        };
        // From its other end it was met before.
        if !self.joined.insert((one.record.clone(), edge.kind)) {
            return;
        }
        if self.response.edges.len() >= limits::LINK_EDGES_MAX {
            self.response.more = true;
            return;
        }
        self.response.edges.push(edge);
    }

    fn joined(&mut self, node: &Node) -> Result<Vec<Joined>, StoreError> {
        let mut joined = Vec::new();
        match node {
            Node::Value(digest) => {
                self.indicators_of(digest, &mut joined)?;
                self.links_at(Term::end(digest), node, &mut joined)?;
            }
            Node::Record(name) => {
                if let Some(found) = self.reading.latest(name)? {
                    joined.extend(joined_by_itself(&found));
                }
                self.links_at(Term::about(name), node, &mut joined)?;
            }
        }
        Ok(joined)
    }

    fn indicators_of(
        &mut self,
        digest: &Digest,
        joined: &mut Vec<Joined>,
    ) -> Result<(), StoreError> {
        for place in self.reading.places_of_value(digest)? {
            let found = self.reading.found(place)?;
            let own_value = |found: &Found| found.facts.value_digest.as_ref() == Some(digest);
            if let Some(found) = found.filter(own_value) {
                let indicator = Node::Record(found.facts.name());
                joined.push(own(indicator, &found, pb::LinkEdgeKind::Value, true));
            }
        }
        Ok(())
    }

    /// Links with an end at a node, and the indicators of an operation.
    fn links_at(
        &mut self,
        term: Term,
        node: &Node,
        joined: &mut Vec<Joined>,
    ) -> Result<(), StoreError> {
        for place in self.reading.places(term)? {
            let Some(found) = self.reading.found(place)? else { continue };
            if found.facts.scope.body_kind == BodyKind::Link {
                joined.extend(other_end(&found, node));
            } else if let Node::Record(name) = node
                && is_indicator_of(&found, name)
            {
                let indicator = Node::Record(found.facts.name());
                joined.push(own(indicator, &found, pb::LinkEdgeKind::Operation, true));
            }
        }
        Ok(())
    }
}

/// What an indicator is joined with by what it says itself.
fn joined_by_itself(found: &Found) -> Vec<Joined> {
    let Content::Indicator { value_digest, operation, .. } = &found.record.content else {
        return Vec::new();
    };
    let value = value_digest.map(|digest| Joined {
        form: wire::normal_form(&found.record.body),
        ..own(Node::Value(digest), found, pb::LinkEdgeKind::Value, false)
    });
    let operation = operation
        .clone()
        .map(|name| own(Node::Record(name), found, pb::LinkEdgeKind::Operation, false));
    value.into_iter().chain(operation).collect()
}

fn own(other: Node, found: &Found, kind: pb::LinkEdgeKind, reversed: bool) -> Joined {
    Joined {
        other,
        form: None,
        kind,
        r#type: 0,
        confidence: None,
        record: found.facts.name(),
        reversed,
    }
}

/// The end of a Link that is not this node.
fn other_end(found: &Found, node: &Node) -> Option<Joined> {
    let Content::Link { source, target } = &found.record.content else { return None };
    let Some(pb::body::Content::Link(said)) = &found.record.body.content else { return None };
    let is_here = |end: &End| match (end, node) {
        (End::Record(name), Node::Record(own)) => name == own,
        (End::Value(digest), Node::Value(own)) => digest == own,
        _ => false,
    };
    let (other, reference, reversed) = if is_here(source) {
        (target, &said.target, false)
    } else if is_here(target) {
        (source, &said.source, true)
    } else {
        return None;
    };
    let node = match other {
        End::Record(name) => Node::Record(name.clone()),
        End::Value(digest) => Node::Value(*digest),
    };
    Some(Joined {
        form: reference.as_ref().and_then(wire::normal_form_of_reference),
        r#type: said.r#type,
        confidence: said.confidence,
        ..own(node, found, pb::LinkEdgeKind::Link, reversed)
    })
}

fn is_indicator_of(found: &Found, name: &RecordName) -> bool {
    matches!(&found.record.content, Content::Indicator { operation: Some(own), .. } if own == name)
}
