//! Questions to the log: an operation whole, what is linked, and searches. Every entry of an answer is verified before
//! anything of it is shown; what only the hub says is marked as its word.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::reads::Found;
use crate::client::reads::demand_name;
use crate::client::reads::operation_named;
use crate::client::verifier::VerificationError;
use crate::client::verifier::VerifiedEntry;
use crate::model::filter::Filter;
use crate::model::header::BodyKind;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::RevisionName;
use crate::model::observable::ObservableKind;
use crate::model::reason::Reason;
use crate::model::time::Timestamp;
use crate::wire;
use crate::wire::body::Content;
use crate::wire::body::End;
use crate::wire::pb;

/// Records behind the claims of one answer that are read to check them; the rest stays the hub's word.
const CHECKED_MAX: usize = 2000;
/// How many of them are read at once.
const READ_AT_ONCE: usize = 16;

/// Who vouches for something in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// Its publisher: the record that says so was verified, and says so.
    Publisher,
    /// The hub alone.
    Hub,
}

/// An operation whole. Nothing is merged: claims of different members stand side by side.
#[derive(Clone, Debug)]
pub struct OperationView {
    /// The operation, latest revision; without a body if the hub erased that.
    pub operation: VerifiedEntry,
    /// Where it was withdrawn, as the hub says.
    pub withdrawn_sequence: Option<u64>,
    /// Who is behind it, by each claimant.
    pub attributions: Vec<VerifiedEntry>,
    /// What members did about it or its indicators.
    pub actions: Vec<VerifiedEntry>,
    /// Opinions on it or its indicators.
    pub opinions: Vec<VerifiedEntry>,
    /// Sightings of it or its indicators.
    pub sightings: Vec<VerifiedEntry>,
    /// Questions about it or its indicators.
    pub inquiries: Vec<VerifiedEntry>,
    /// Answers to those questions.
    pub replies: Vec<VerifiedEntry>,
    /// Notes on it or its indicators.
    pub notes: Vec<VerifiedEntry>,
    /// Links of it or its indicators.
    pub links: Vec<VerifiedEntry>,
    /// Totals that members claim without naming each asset.
    pub totals: Vec<TotalClaim>,
    /// Reach, spend and other figures, each with who says so.
    pub metrics: Vec<MetricClaim>,
    /// Indicators that name it, counted by publisher, platform and kind: the hub's word.
    pub assets: Vec<AssetCount>,
    /// Techniques, with who observed them: the hub's word.
    pub techniques: Vec<TechniqueUse>,
    /// Entries that were left out, because there are more than an answer holds: the hub's word.
    pub more: u64,
}

/// So many indicators of one publisher, says the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetCount {
    /// Who published them.
    pub publisher: MemberId,
    /// The platform; empty where there is none.
    pub platform: String,
    /// The kind, by normal form.
    pub kind: ObservableKind,
    /// How many.
    pub count: u64,
    /// Of these, how many should no longer be acted on.
    pub expired: u64,
}

/// A total that a member claims.
#[derive(Clone, Debug)]
pub struct TotalClaim {
    /// Who published the claim.
    pub publisher: MemberId,
    /// The record that says so.
    pub record: RecordName,
    /// The platform; empty where none is named.
    pub platform: String,
    /// What is counted, how many, in which parts.
    pub aggregate: pb::Aggregate,
    /// The record, verified, if it was read and says so; for what else it says.
    pub entry: Option<VerifiedEntry>,
}

impl TotalClaim {
    /// Who vouches for it.
    pub const fn voucher(&self) -> Voucher {
        if self.entry.is_some() { Voucher::Publisher } else { Voucher::Hub }
    }
}

/// A figure that a member claims.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricClaim {
    /// Who published the claim; the metric may name another as its claimant.
    pub publisher: MemberId,
    /// The record that says so.
    pub record: RecordName,
    /// The figure.
    pub metric: pb::Metric,
    /// Who vouches for it.
    pub voucher: Voucher,
}

/// A technique and who observed it, says the hub.
#[derive(Clone, Debug, PartialEq)]
pub struct TechniqueUse {
    /// The technique, as first published.
    pub technique: pb::Technique,
    /// Who observed it.
    pub publishers: BTreeSet<MemberId>,
    /// In how many records.
    pub records: u64,
}

/// From where to walk.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkFrom {
    /// A record.
    Record(RecordName),
    /// A value.
    Value(pb::ValueQuery),
}

/// What is linked, nearest first. Node 0 is the start.
#[derive(Clone, Debug)]
pub struct LinksView {
    /// Records and values.
    pub nodes: Vec<LinkNode>,
    /// What joins them.
    pub edges: Vec<LinkEdge>,
    /// Whether the hub met its bound on entries examined, so that there may be more than the counts say.
    pub more: bool,
}

/// A record or a value.
#[derive(Clone, Debug)]
pub struct LinkNode {
    /// The record; `None` for a value.
    pub record: Option<RecordName>,
    /// The record, verified. `None` for a value, and for a record that was not read.
    pub entry: Option<VerifiedEntry>,
    /// The value, or that of an indicator. That of a record is the hub's word if the record was not read.
    pub value: Option<pb::NormalForm>,
    /// How many steps from the start.
    pub step: u32,
    /// Neighbours that are not shown: the hub's word.
    pub beyond: u64,
}

/// What joins two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkEdge {
    /// Index of the node that it leads from.
    pub source: usize,
    /// Index of the node that it leads to.
    pub target: usize,
    /// How they are joined.
    pub kind: pb::LinkEdgeKind,
    /// For a Link: its type.
    pub link_type: pb::LinkType,
    /// The record that says so.
    pub record: RecordName,
    /// For a Link: how sure its publisher is, 0 to 100.
    pub confidence: Option<u32>,
    /// Who vouches for it.
    pub voucher: Voucher,
}

/// What to search for. Fields are joined by AND, the values of a field by OR; words of the text by AND.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchQuery {
    /// Words of titles, descriptions, narratives and handles; at most 16.
    pub text: String,
    /// Kinds, platforms, publishers, operations.
    pub filter: Filter,
    /// External ids of techniques, `T0013`, or with their framework, `disarm/T0013`.
    pub techniques: Vec<String>,
    /// ISO 3166 codes of regions that an operation came from or aimed at.
    pub regions: Vec<String>,
    /// BCP 47 tags; `fr` also finds `fr-CA`.
    pub languages: Vec<String>,
    /// Taken in at or after this.
    pub since: Option<Timestamp>,
    /// Taken in before this.
    pub until: Option<Timestamp>,
    /// Only records that state at least this confidence, 0 to 100.
    pub confidence_min: Option<u32>,
    /// Leave out what should no longer be acted on.
    pub active_only: bool,
}

impl SearchQuery {
    fn request(&self, page_size: usize, page_token: &str) -> pb::SearchRecordsRequest {
        pb::SearchRecordsRequest {
            text: self.text.clone(),
            filter: Some(wire::filter::filter_to_wire(&self.filter)),
            techniques: self.techniques.clone(),
            regions: self.regions.clone(),
            languages: self.languages.clone(),
            accepted_since_time: self.since.map(wire::time::timestamp_to_wire),
            accepted_until_time: self.until.map(wire::time::timestamp_to_wire),
            confidence_min: self.confidence_min,
            active_only: self.active_only,
            page_size: u32::try_from(page_size).unwrap_or(u32::MAX),
            page_token: page_token.to_owned(),
            include_record: false,
        }
    }
}

impl Client {
    /// An operation whole. Claims of records that the answer does not hold are checked against those records.
    pub async fn operation(&self, name: &RecordName) -> Result<OperationView, ClientError> {
        let request = pb::GetOperationRequest { name: name.to_string() };
        let answer = self.query_service().get_operation(request).await?.into_inner();
        let mut view = self.view(name, answer).await?;
        let known = view.records();
        let behind = view.totals.iter().map(|claim| &claim.record);
        let behind = behind.chain(view.metrics.iter().map(|claim| &claim.record));
        let unread: BTreeSet<RecordName> =
            behind.filter(|record| !known.contains_key(record)).cloned().collect();
        let mut records = self.read_all(unread).await?;
        records.extend(known);
        for claim in &mut view.totals {
            let record = records.get(&claim.record);
            claim.entry = record.filter(|entry| says_total(entry, name, claim)).cloned();
        }
        for claim in &mut view.metrics {
            let record = records.get(&claim.record);
            let says = record.is_some_and(|entry| says_metric(entry, name, &claim.metric));
            claim.voucher = if says { Voucher::Publisher } else { Voucher::Hub };
        }
        Ok(view)
    }

    async fn view(
        &self,
        name: &RecordName,
        answer: pb::GetOperationResponse,
    ) -> Result<OperationView, ClientError> {
        // Its body may have been let go: what is said about it is there still.
        let lists = vec![
            answer.operation.into_iter().collect(),
            answer.attributions,
            answer.actions,
            answer.opinions,
            answer.sightings,
            answer.inquiries,
            answer.replies,
            answer.notes,
            answer.links,
        ];
        let mut lists = self.believe_lists(lists).await?.into_iter();
        let mut next = || lists.next().unwrap_or_default();
        let operation = next().pop();
        let is_it = |entry: &VerifiedEntry| {
            entry.name() == name && entry.header().body_kind == BodyKind::Operation
        };
        let operation = operation.filter(is_it).ok_or_else(|| {
            VerificationError::answer("it is another operation than the one asked for")
        })?;
        Ok(OperationView {
            operation,
            withdrawn_sequence: answer.withdrawn_sequence,
            attributions: demand_kind(next(), BodyKind::Attribution)?,
            actions: demand_kind(next(), BodyKind::ActionReport)?,
            opinions: demand_kind(next(), BodyKind::Opinion)?,
            sightings: demand_kind(next(), BodyKind::Sighting)?,
            inquiries: demand_kind(next(), BodyKind::Inquiry)?,
            replies: demand_kind(next(), BodyKind::Reply)?,
            notes: demand_kind(next(), BodyKind::Note)?,
            links: demand_kind(next(), BodyKind::Link)?,
            totals: convert(answer.totals, total_claim)?,
            metrics: convert(answer.metrics, metric_claim)?,
            assets: convert(answer.assets, asset_count)?,
            techniques: convert(answer.techniques, technique_use)?,
            more: answer.more,
        })
    }

    /// Walks from a record or a value to what is linked with it, at most so many steps and nodes; 0 stands for the
    /// hub's default. The records are read to check what is said of them.
    pub async fn links(
        &self,
        from: LinkFrom,
        steps_max: u32,
        nodes_max: u32,
    ) -> Result<LinksView, ClientError> {
        let start = match &from {
            LinkFrom::Record(name) => pb::list_links_request::Start::Record(name.to_string()),
            LinkFrom::Value(value) => pb::list_links_request::Start::Value(value.clone()),
        };
        let request = pb::ListLinksRequest { start: Some(start), steps_max, nodes_max };
        let answer = self.query_service().list_links(request).await?.into_inner();
        let pb::ListLinksResponse { nodes, edges, more } = answer;
        let nodes = convert(nodes, link_node)?;
        let edges = convert(edges, |edge| link_edge(&edge, nodes.len()))?;
        let mut view = LinksView { nodes, edges, more };
        view.check_form(&from, bound(steps_max, limits::LINK_STEPS_MAX))?;
        if view.nodes.len() > bound(nodes_max, limits::LINK_NODES_MAX) {
            return Err(VerificationError::answer("it shows more than was asked for").into());
        }
        let named = view.nodes.iter().filter_map(|node| node.record.as_ref());
        let named = named.chain(view.edges.iter().map(|edge| &edge.record));
        let records = self.read_all(named.cloned().collect()).await?;
        view.take(&records);
        Ok(view)
    }

    /// A page of what a query finds, in rising sequence, and the token of the next page. A page may be empty and still
    /// have a next one.
    pub async fn search(
        &self,
        query: &SearchQuery,
        page_size: usize,
        page_token: &str,
    ) -> Result<(Vec<VerifiedEntry>, Option<String>), ClientError> {
        let request = query.request(page_size, page_token);
        let answer = self.query_service().search_records(request).await?.into_inner();
        let pb::SearchRecordsResponse { entries, next_page_token } = answer;
        if !entries.is_sorted_by(|one, next| one.sequence < next.sequence) {
            return Err(VerificationError::answer("its entries do not rise").into());
        }
        let entries = self.believe(entries).await?;
        Ok((entries, (!next_page_token.is_empty()).then_some(next_page_token)))
    }

    async fn read_all(
        &self,
        names: BTreeSet<RecordName>,
    ) -> Result<BTreeMap<RecordName, VerifiedEntry>, ClientError> {
        let found = self.get_all(names).await?;
        Ok(found.into_iter().map(|(name, found)| (name, found.entry)).collect())
    }

    /// The latest revisions of records, each verified, and where they were withdrawn. Those that do not exist or may not
    /// be read are left out, and so is what is beyond the first 2,000.
    pub async fn get_all(
        &self,
        names: BTreeSet<RecordName>,
    ) -> Result<BTreeMap<RecordName, Found>, ClientError> {
        let one = |record: RecordName| async move {
            let name = RevisionName { record, revision: None };
            match self.fetch(&name).await {
                Ok(fetched) => Ok(Some((name, fetched))),
                Err(ClientError::Refused(refused)) if refused.is(Reason::RecordNotFound) => {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        };
        let fetched: Vec<Result<Option<Fetched>, ClientError>> =
            stream::iter(names.into_iter().take(CHECKED_MAX).map(one))
                .buffer_unordered(READ_AT_ONCE)
                .collect()
                .await;
        let (mut asked, mut entries) = (Vec::new(), Vec::new());
        for one in fetched {
            let Some((name, (entry, withdrawn_sequence))) = one? else { continue };
            asked.push((name, withdrawn_sequence));
            entries.push(entry);
        }
        let verified = self.believe(entries).await?;
        let both = verified.into_iter().zip(asked);
        let found = both.map(|(entry, (name, withdrawn_sequence))| {
            let entry = demand_name(entry, &name)?;
            Ok((name.record, Found { entry, withdrawn_sequence }))
        });
        found.collect()
    }
}

/// What was asked for, its entry, and where it was withdrawn.
type Fetched = (RevisionName, (pb::Entry, Option<u64>));

/// Entries of a list that holds one kind of body.
fn demand_kind(
    entries: Vec<VerifiedEntry>,
    kind: BodyKind,
) -> Result<Vec<VerifiedEntry>, VerificationError> {
    let fits =
        |entry: &VerifiedEntry| entry.header().body_kind == kind && entry.erased_by().is_none();
    if entries.iter().all(fits) {
        return Ok(entries);
    }
    Err(VerificationError::answer(format!("a record is no {}", kind.as_str())))
}

impl OperationView {
    /// The records that its statements are about, but for the operation itself.
    pub fn subjects(&self) -> BTreeSet<RecordName> {
        let statements = [
            &self.actions,
            &self.opinions,
            &self.sightings,
            &self.inquiries,
            &self.notes,
            &self.links,
        ];
        let entries = statements.into_iter().flatten();
        let named = entries.flat_map(|entry| entry.record().content.targets());
        let named = named.map(|(_field, name)| name.clone());
        named.filter(|name| name != self.operation.name()).collect()
    }

    /// Every record that the answer holds.
    fn records(&self) -> BTreeMap<RecordName, VerifiedEntry> {
        let statements = [
            &self.attributions,
            &self.actions,
            &self.opinions,
            &self.sightings,
            &self.inquiries,
            &self.replies,
            &self.notes,
            &self.links,
        ];
        let entries = statements.into_iter().flatten().chain([&self.operation]);
        entries.map(|entry| (entry.name().clone(), entry.clone())).collect()
    }
}

/// What was asked for, or the most that can be.
fn bound(asked: u32, most: usize) -> usize {
    if asked == 0 { most } else { usize::try_from(asked).unwrap_or(usize::MAX) }
}

impl LinksView {
    /// Whether it begins where it was asked to, and every node hangs on one that is nearer by a step.
    fn check_form(&self, from: &LinkFrom, steps_max: usize) -> Result<(), VerificationError> {
        let start = self.nodes.first().filter(|start| start.step == 0);
        let is_start = start.is_some_and(|start| match from {
            LinkFrom::Record(name) => start.record.as_ref() == Some(name),
            LinkFrom::Value(_) => start.record.is_none(),
        });
        if !is_start {
            return Err(VerificationError::answer("its walk begins elsewhere"));
        }
        let step_of = |at: usize| self.nodes.get(at).map(|node| node.step);
        let mut hangs = BTreeSet::new();
        for edge in &self.edges {
            let (source, target) = (step_of(edge.source), step_of(edge.target));
            if source.and_then(|step| step.checked_add(1)) == target {
                hangs.insert(edge.target);
            } else if target.and_then(|step| step.checked_add(1)) == source {
                hangs.insert(edge.source);
            }
        }
        let within = |node: &LinkNode| usize::try_from(node.step).is_ok_and(|at| at <= steps_max);
        let fits = (1..self.nodes.len()).all(|at| hangs.contains(&at));
        if fits && self.nodes.iter().all(within) {
            return Ok(());
        }
        Err(VerificationError::answer("its walk has a node that no step leads to"))
    }

    /// Takes in the records that nodes and edges name, and finds out which edges they vouch for.
    fn take(&mut self, records: &BTreeMap<RecordName, VerifiedEntry>) {
        for node in &mut self.nodes {
            node.entry = node.record.as_ref().and_then(|name| records.get(name)).cloned();
            if let Some(entry) = &node.entry {
                node.value = wire::normal_form(entry.body());
            }
        }
        for edge in &mut self.edges {
            let ends = self.nodes.get(edge.source).zip(self.nodes.get(edge.target));
            let entry = records.get(&edge.record);
            let says = entry.zip(ends).is_some_and(|(entry, ends)| says_edge(entry, edge, ends));
            edge.voucher = if says { Voucher::Publisher } else { Voucher::Hub };
        }
    }
}

fn convert<W, T>(
    wire: Vec<W>,
    one: impl FnMut(W) -> Option<T>,
) -> Result<Vec<T>, VerificationError> {
    let converted: Option<Vec<T>> = wire.into_iter().map(one).collect();
    converted.ok_or_else(|| VerificationError::answer("one of its parts has not the right form"))
}

/// A record, if it is one of that publisher's.
fn own_record(publisher: &str, record: &str) -> Option<RecordName> {
    let record: RecordName = record.parse().ok()?;
    (record.member.name() == publisher).then_some(record)
}

fn total_claim(wire: pb::TotalClaim) -> Option<TotalClaim> {
    let record = own_record(&wire.publisher, &wire.record)?;
    Some(TotalClaim {
        publisher: record.member.clone(),
        record,
        platform: wire.platform,
        aggregate: wire.aggregate?,
        entry: None,
    })
}

fn metric_claim(wire: pb::MetricClaim) -> Option<MetricClaim> {
    let record = own_record(&wire.publisher, &wire.record)?;
    Some(MetricClaim {
        publisher: record.member.clone(),
        record,
        metric: wire.metric?,
        voucher: Voucher::Hub,
    })
}

fn asset_count(wire: pb::AssetCount) -> Option<AssetCount> {
    let pb::AssetCount { publisher, platform, kind, count, expired } = wire;
    let publisher = MemberId::from_name(&publisher).ok()?;
    let kind = ObservableKind::from_number(kind)?;
    (expired <= count).then_some(AssetCount { publisher, platform, kind, count, expired })
}

fn technique_use(wire: pb::TechniqueUse) -> Option<TechniqueUse> {
    let pb::TechniqueUse { technique, publishers, records } = wire;
    let publishers = publishers.iter().map(|name| MemberId::from_name(name).ok());
    Some(TechniqueUse {
        technique: technique?,
        publishers: publishers.collect::<Option<_>>()?,
        records,
    })
}

fn link_node(wire: pb::LinkNode) -> Option<LinkNode> {
    let pb::LinkNode { record, body_kind: _of_the_record, value, step, beyond } = wire;
    let record = if record.is_empty() { None } else { Some(record.parse().ok()?) };
    let is_something = record.is_some() || value.is_some();
    is_something.then_some(LinkNode { record, entry: None, value, step, beyond })
}

fn link_edge(wire: &pb::LinkEdge, nodes: usize) -> Option<LinkEdge> {
    let index = |at: u32| usize::try_from(at).ok().filter(|at| *at < nodes);
    Some(LinkEdge {
        source: index(wire.source)?,
        target: index(wire.target)?,
        kind: wire.kind(),
        link_type: wire.r#type(),
        record: wire.record.parse().ok()?,
        confidence: wire.confidence,
        voucher: Voucher::Hub,
    })
}

/// Whether a record claims this total of an operation.
fn says_total(entry: &VerifiedEntry, operation: &RecordName, claim: &TotalClaim) -> bool {
    let Content::Indicator { operation: named, platform, .. } = &entry.record().content else {
        return false;
    };
    let Some(pb::body::Content::Indicator(said)) = &entry.body().content else { return false };
    let aggregate = said.observable.as_ref().and_then(|observable| observable.aggregate.as_ref());
    let said_platform = said.observable.as_ref().map(|observable| &observable.platform);
    named.as_ref() == Some(operation)
        && aggregate == Some(&claim.aggregate)
        && (*platform == claim.platform || said_platform == Some(&claim.platform))
}

/// Whether a record of an operation states this figure.
fn says_metric(entry: &VerifiedEntry, operation: &RecordName, metric: &pb::Metric) -> bool {
    let Some(content) = &entry.body().content else { return false };
    if let pb::body::Content::Operation(said) = content {
        entry.name() == operation && said.metrics.contains(metric)
    } else if let pb::body::Content::Indicator(said) = content {
        operation_named(entry).as_ref() == Some(operation) && said.metrics.contains(metric)
    } else if let pb::body::Content::ActionReport(said) = content {
        // About the operation, or an indicator that the hub counts to it.
        said.metrics.contains(metric)
    } else {
        false
    }
}

/// Whether a record joins two nodes as an edge has it.
fn says_edge(
    entry: &VerifiedEntry,
    edge: &LinkEdge,
    (source, target): (&LinkNode, &LinkNode),
) -> bool {
    let is_source = source.record.as_ref() == Some(entry.name());
    match edge.kind {
        pb::LinkEdgeKind::Link => says_link(entry, edge, (source, target)),
        pb::LinkEdgeKind::Value => {
            let value = wire::normal_form(entry.body());
            is_source && target.record.is_none() && value.is_some() && value == target.value
        }
        pb::LinkEdgeKind::Operation => {
            let Content::Indicator { operation, .. } = &entry.record().content else {
                return false;
            };
            is_source && operation.is_some() && *operation == target.record
        }
        pb::LinkEdgeKind::Unspecified => false,
    }
}

fn says_link(
    entry: &VerifiedEntry,
    edge: &LinkEdge,
    (source, target): (&LinkNode, &LinkNode),
) -> bool {
    let Content::Link { source: from, target: to } = &entry.record().content else {
        return false;
    };
    let Some(pb::body::Content::Link(said)) = &entry.body().content else { return false };
    let is_end = |end: &End, reference: Option<&pb::Reference>, node: &LinkNode| match end {
        End::Record(name) => node.record.as_ref() == Some(name),
        End::Value(_digest) => {
            let value = reference.and_then(wire::normal_form_of_reference);
            node.record.is_none() && value.is_some() && value == node.value
        }
    };
    said.r#type() == edge.link_type
        && said.confidence == edge.confidence
        && is_end(from, said.source.as_ref(), source)
        && is_end(to, said.target.as_ref(), target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::World;
    use crate::client::tests::domain;

    fn entry(world: &World, content: pb::body::Content) -> VerifiedEntry {
        let envelope = world.publish(&world.acme, content);
        world.verifier().verify(World::entry(3, envelope)).unwrap()
    }

    fn exact(number: u64) -> pb::Figure {
        pb::Figure { value: Some(pb::figure::Value::Exact(number)) }
    }

    fn operation() -> RecordName {
        "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
    }

    fn views(number: u64) -> pb::Metric {
        pb::Metric {
            kind: pb::MetricKind::Views.into(),
            figure: Some(exact(number)),
            ..pb::Metric::default()
        }
    }

    fn claim(world: &World) -> VerifiedEntry {
        entry(
            world,
            pb::body::Content::Indicator(pb::Indicator {
                observable: Some(pb::Observable {
                    kind: pb::ObservableKind::Aggregate.into(),
                    platform: "facebook".to_owned(),
                    aggregate: Some(pb::Aggregate {
                        of: pb::ObservableKind::Page.into(),
                        count: Some(exact(652)),
                        parts: Vec::new(),
                    }),
                    ..pb::Observable::default()
                }),
                operation: operation().to_string(),
                metrics: vec![views(7)],
                ..pb::Indicator::default()
            }),
        )
    }

    #[test]
    fn a_claim_is_its_publishers_only_if_its_record_says_so() {
        let world = World::new();
        let claim = claim(&world);
        let total = |count, platform: &str| TotalClaim {
            publisher: claim.name().member.clone(),
            record: claim.name().clone(),
            platform: platform.to_owned(),
            aggregate: pb::Aggregate {
                of: pb::ObservableKind::Page.into(),
                count: Some(exact(count)),
                parts: Vec::new(),
            },
            entry: None,
        };
        assert!(says_total(&claim, &operation(), &total(652, "facebook")));
        assert!(!says_total(&claim, &operation(), &total(653, "facebook")), "another number");
        assert!(!says_total(&claim, &operation(), &total(652, "x")), "another platform");
        assert!(!says_total(&claim, claim.name(), &total(652, "facebook")), "another operation");
        assert!(says_metric(&claim, &operation(), &views(7)));
        assert!(!says_metric(&claim, &operation(), &views(8)));
        assert!(!says_metric(&claim, claim.name(), &views(7)));
    }

    #[test]
    fn an_answer_in_another_members_name_has_no_form() {
        let total = |publisher: &str| pb::TotalClaim {
            publisher: publisher.to_owned(),
            record: operation().to_string(),
            aggregate: Some(pb::Aggregate::default()),
            ..pb::TotalClaim::default()
        };
        assert!(convert(vec![total("members/acme-video")], total_claim).is_ok());
        for publisher in ["members/bravo-net", "acme-video", "members/acme-video\u{1b}[31m", ""] {
            assert!(convert(vec![total(publisher)], total_claim).is_err(), "{publisher:?}");
        }
        let count = |count, expired, kind| pb::AssetCount {
            publisher: "members/acme-video".to_owned(),
            kind,
            count,
            expired,
            ..pb::AssetCount::default()
        };
        assert!(convert(vec![count(2, 1, 12)], asset_count).is_ok());
        assert!(
            convert(vec![count(2, 3, 12)], asset_count).is_err(),
            "more expired than there are"
        );
        assert!(convert(vec![count(2, 1, 99)], asset_count).is_err());
    }

    fn node(record: Option<&RecordName>, value: Option<&str>, step: u32) -> LinkNode {
        let value = value.map(|value| pb::NormalForm {
            kind: pb::ObservableKind::Domain.into(),
            value: value.to_owned(),
            version: crate::model::normal_form::NORMAL_FORM_VERSION,
            ..pb::NormalForm::default()
        });
        LinkNode { record: record.cloned(), entry: None, value, step, beyond: 0 }
    }

    fn edge(source: usize, target: usize, record: &RecordName) -> LinkEdge {
        LinkEdge {
            source,
            target,
            kind: pb::LinkEdgeKind::Value,
            link_type: pb::LinkType::Unspecified,
            record: record.clone(),
            confidence: None,
            voucher: Voucher::Hub,
        }
    }

    #[test]
    fn an_edge_is_its_publishers_only_if_its_record_joins_these_two() {
        let world = World::new();
        let said = entry(&world, domain("one.example"));
        let name = said.name().clone();
        let records = BTreeMap::from([(name.clone(), said)]);
        let voucher = |value: &str, edge: LinkEdge| {
            let nodes = vec![node(None, Some(value), 0), node(Some(&name), None, 1)];
            let mut view = LinksView { nodes, edges: vec![edge], more: false };
            view.take(&records);
            view.edges[0].voucher
        };
        assert_eq!(voucher("one.example", edge(1, 0, &name)), Voucher::Publisher);
        assert_eq!(voucher("two.example", edge(1, 0, &name)), Voucher::Hub, "another value");
        assert_eq!(voucher("one.example", edge(0, 1, &name)), Voucher::Hub, "the other way round");
        assert_eq!(voucher("one.example", edge(1, 0, &operation())), Voucher::Hub, "not read");
        let link = LinkEdge { kind: pb::LinkEdgeKind::Link, ..edge(1, 0, &name) };
        assert_eq!(voucher("one.example", link), Voucher::Hub, "it is no link");
    }

    #[test]
    fn a_walk_begins_where_it_was_asked_to_and_holds_together() {
        let name = operation();
        let from = LinkFrom::Record(name.clone());
        let check = |nodes: Vec<LinkNode>, edges: Vec<LinkEdge>| {
            LinksView { nodes, edges, more: false }.check_form(&from, 2).is_ok()
        };
        let start = || node(Some(&name), None, 0);
        let value = |step| node(None, Some("one.example"), step);
        assert!(check(vec![start()], vec![]));
        assert!(check(vec![start(), value(1)], vec![edge(0, 1, &name)]));
        assert!(check(vec![start(), value(1)], vec![edge(1, 0, &name)]));
        assert!(!check(vec![], vec![]));
        assert!(!check(vec![value(0)], vec![]), "it begins elsewhere");
        assert!(!check(vec![start(), value(1)], vec![]), "nothing leads there");
        assert!(!check(vec![start(), value(3)], vec![edge(0, 1, &name)]), "too far");
        let far = vec![start(), value(1), value(2), value(3)];
        let edges = vec![edge(0, 1, &name), edge(1, 2, &name), edge(2, 3, &name)];
        assert!(!check(far, edges), "further than was asked");
    }
}
