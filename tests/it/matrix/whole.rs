//! The paths that add up: an operation whole, links, the ledger, durable subscriptions.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use watchfire::model::header::BodyKind;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;
use watchfire::wire::pb::subscribe_request::Start;

use crate::matrix::asking::Asking;
use crate::matrix::asking::Shown;
use crate::matrix::paths::query;
use crate::matrix::pieces::Piece;
use crate::matrix::pieces::TECHNIQUE;
use crate::oracle::Reader;

impl Asking<'_> {
    pub(super) async fn operations(&self, every: usize) {
        let every = every.div_ceil(2);
        let latest = self.book.latest.values();
        let operations = latest.filter(|index| self.piece(**index).kind == BodyKind::Operation);
        let operations = operations.enumerate().filter(|(place, _)| place % every == 0);
        for (_, index) in operations {
            let request = pb::GetOperationRequest { name: self.piece(*index).name.to_string() };
            let answer = self.client.query_service().get_operation(request).await;
            let said = self.found("operation", self.hear("QueryService/GetOperation", answer));
            self.same("whether an operation is there", &said.is_some(), &self.may(*index));
            if let Some(said) = said {
                self.operation(&self.piece(*index).name, &said);
            }
        }
    }

    fn piece(&self, index: usize) -> &Piece {
        &self.book.pieces[index]
    }

    fn operation(&self, name: &RecordName, said: &pb::GetOperationResponse) {
        let own = self.book.latest[name];
        let belongs = |index: &usize| {
            let piece = self.piece(*index);
            piece.operation.as_ref() == Some(name) || piece.about.contains(name)
        };
        let here = self.visible(|index| self.current[index] && self.piece(index).kind.is_chosen());
        let here: Shown = here.into_iter().filter(belongs).collect();
        let of = |kinds: &[BodyKind]| -> Shown {
            here.iter().filter(|index| kinds.contains(&self.piece(**index).kind)).copied().collect()
        };
        let lists = [
            (BodyKind::Attribution, &said.attributions),
            (BodyKind::ActionReport, &said.actions),
            (BodyKind::Opinion, &said.opinions),
            (BodyKind::Sighting, &said.sightings),
            (BodyKind::Inquiry, &said.inquiries),
            (BodyKind::Reply, &said.replies),
            (BodyKind::Note, &said.notes),
            (BodyKind::Link, &said.links),
        ];
        for (kind, entries) in lists {
            self.compare(&format!("operation: {kind:?}"), &self.entries(entries), &of(&[kind]));
        }
        self.same("operation: more", &said.more, &0);
        let withdrawn = self.book.withdrawn.get(name).map(|by| self.piece(*by).sequence);
        self.same("operation: withdrawn", &said.withdrawn_sequence, &withdrawn);
        self.counts(said, &of(&[BodyKind::Indicator]));
        let describes = of(&[BodyKind::Indicator]).into_iter().chain([own]);
        let describes: Shown = describes.filter(|index| self.is_whole(*index)).collect();
        self.techniques(said, &describes);
        let measures: Shown = describes.union(&of(&[BodyKind::ActionReport])).copied().collect();
        let metrics = said.metrics.iter().map(|claim| claim.record.clone()).collect();
        self.same("operation: metrics", &metrics, &self.names(&measures));
    }

    fn is_whole(&self, index: usize) -> bool {
        !self.book.erased.contains(&self.piece(index).name)
    }

    fn names(&self, pieces: &Shown) -> BTreeSet<String> {
        pieces.iter().map(|index| self.piece(*index).name.to_string()).collect()
    }

    fn counts(&self, said: &pb::GetOperationResponse, indicators: &Shown) {
        let mut counts: BTreeMap<(String, String, i32), u64> = BTreeMap::new();
        let mut totals = BTreeSet::new();
        for index in indicators {
            let piece = self.piece(*index);
            let (kind, platform, _) = piece.asset.clone().expect("an indicator");
            if kind == pb::ObservableKind::Aggregate {
                totals.insert(piece.name.to_string());
                continue;
            }
            let key = (piece.name.member.name(), platform.to_owned(), i32::from(kind));
            *counts.entry(key).or_default() += 1;
        }
        let assets = said.assets.iter().map(|asset| {
            let pb::AssetCount { publisher, platform, kind, count, expired: _ } = asset.clone();
            ((publisher, platform, kind), count)
        });
        self.same("operation: assets", &assets.collect(), &counts);
        let claimed = said.totals.iter().map(|claim| claim.record.clone()).collect();
        self.same("operation: totals", &claimed, &totals);
    }

    fn techniques(&self, said: &pb::GetOperationResponse, describes: &Shown) {
        let shared = said.techniques.iter().find(|technique| {
            technique.technique.as_ref().is_some_and(|own| own.external_id == TECHNIQUE)
        });
        let publishers: BTreeSet<String> =
            describes.iter().map(|index| self.piece(*index).name.member.name()).collect();
        let records = u64::try_from(describes.len()).expect("a number");
        let expected = (records > 0).then(|| (publishers.into_iter().collect(), records));
        let shared = shared.map(|technique| (technique.publishers.clone(), technique.records));
        self.same("operation: techniques", &shared, &expected);
    }

    pub(super) async fn links(&self, every: usize) {
        let some = (0..self.book.pieces.len()).step_by(every * 3);
        let is_operation = |index: &usize| self.piece(*index).kind == BodyKind::Operation;
        let operations = self.book.latest.values().copied().filter(is_operation);
        let starts = some.filter(|index| self.book.is_latest(*index));
        for index in starts.chain(operations.skip(1).step_by(every)) {
            let start = pb::list_links_request::Start::Record(self.piece(index).name.to_string());
            let is_there = self.may(index) && self.current[index];
            self.links_from(start, is_there.then_some(index)).await;
        }
        let with_value =
            |piece: &&Piece| piece.asset.as_ref().is_some_and(|(_, _, value)| !value.is_empty());
        for piece in self.book.pieces.iter().filter(with_value).step_by(every * 3) {
            let start = pb::list_links_request::Start::Value(query(piece));
            let Some(said) = self.walk(start, 1, 1000).await else { continue };
            let with_it =
                self.visible(|other| self.current[other] && self.piece(other).asset == piece.asset);
            let shown = said.nodes.iter().skip(1).map(|node| node.record.clone());
            self.same("links of a value", &shown.collect(), &self.names(&with_it));
        }
    }

    async fn links_from(&self, start: pb::list_links_request::Start, own: Option<usize>) {
        let said = self.walk(start.clone(), 1, 1000).await;
        self.same("whether links are there", &said.is_some(), &own.is_some());
        let (Some(said), Some(own)) = (said, own) else { return };
        let (neighbours, joins) = self.joined_with(own);
        let records = said.nodes.iter().skip(1).map(|node| node.record.clone());
        let records: BTreeSet<String> = records.filter(|name| !name.is_empty()).collect();
        self.same("links: records", &records, &self.names(&neighbours));
        let edges = said.edges.iter().map(|edge| edge.record.clone()).collect();
        self.same("links: edges", &edges, &self.names(&joins));
        self.same("links: more", &said.more, &false);
        let here = self.walk(start, 1, 1).await.unwrap_or_default();
        let beyond = here.nodes.first().map(|node| node.beyond);
        let edges = u64::try_from(said.edges.len()).expect("a number");
        self.same("links: beyond", &beyond, &Some(edges));
    }

    async fn walk(
        &self,
        start: pb::list_links_request::Start,
        steps_max: u32,
        nodes_max: u32,
    ) -> Option<pb::ListLinksResponse> {
        let request = pb::ListLinksRequest { start: Some(start), steps_max, nodes_max };
        let answer = self.client.query_service().list_links(request).await;
        let heard = self.hear_but("QueryService/ListLinks", answer, |said| {
            // The value that was asked for.
            if let Some(first) = said.nodes.first_mut().filter(|first| first.record.is_empty()) {
                first.value = None;
            }
        });
        self.found("links", heard)
    }

    /// The records next to a record, and the records that say so.
    fn joined_with(&self, own: usize) -> (Shown, Shown) {
        let is_here = |index: &usize| self.may(*index) && self.current[*index];
        let current = |name: &RecordName| self.book.latest.get(name).copied().filter(is_here);
        let piece = self.piece(own);
        let (mut neighbours, mut joins) = (Shown::new(), Shown::new());
        let operation = piece.operation.as_ref().filter(|_| piece.asset.is_some());
        if let Some(operation) = operation.and_then(current) {
            neighbours.insert(operation);
            joins.insert(own);
        }
        if piece.asset.as_ref().is_some_and(|(_, _, value)| !value.is_empty()) {
            joins.insert(own);
        }
        let naming = self.book.naming.get(&piece.name);
        for index in naming.into_iter().flatten().filter(|index| is_here(index)) {
            let other = self.piece(*index);
            if other.asset.is_some() && other.operation.as_ref() == Some(&piece.name) {
                neighbours.insert(*index);
                joins.insert(*index);
            }
            if other.kind == BodyKind::Link && other.about.contains(&piece.name) {
                let ends = other.about.iter().filter(|end| **end != piece.name);
                let ends: Vec<Option<usize>> = ends.map(current).collect();
                // The other end is a value, or a record that the member may see.
                joins.extend(ends.iter().all(Option::is_some).then_some(*index));
                neighbours.extend(ends.into_iter().flatten());
            }
        }
        (neighbours, joins)
    }

    pub(super) async fn ledger(&self) {
        let request = pb::GetLedgerRequest::default();
        let answer = self.client.query_service().get_ledger(request).await;
        let heard = self.hear("QueryService/GetLedger", answer);
        let Some(said) = self.answered("ledger", heard) else { return };
        for row in said.rows.iter().filter(|row| !row.member.is_empty()) {
            let member = row.member.trim_start_matches("members/");
            let given: BTreeMap<i32, u64> =
                row.given.iter().map(|count| (count.kind, count.count)).collect();
            self.same("ledger: given", &given, &self.given(member));
            self.same("ledger: received", &row.received, &self.received(member));
            let withdrawn = self.counted().into_iter().filter(|index| {
                let piece = self.piece(*index);
                piece.publisher() == member && self.book.withdrawn.contains_key(&piece.name)
            });
            self.same("ledger: withdrawn", &row.withdrawn, &count(withdrawn));
        }
    }

    /// First revisions that the member may see, of kinds that count.
    fn counted(&self) -> Shown {
        self.visible(|index| {
            let piece = self.piece(index);
            piece.revision == 1 && piece.kind.is_chosen()
        })
    }

    fn given(&self, member: &str) -> BTreeMap<i32, u64> {
        let mut given = BTreeMap::new();
        for index in self.counted() {
            let piece = self.piece(index);
            if piece.publisher() == member && !self.book.withdrawn.contains_key(&piece.name) {
                *given.entry(piece.kind.number()).or_default() += 1;
            }
        }
        given
    }

    /// What another received of that, by the audiences that this member knows of.
    fn received(&self, member: &str) -> u64 {
        let Some(other) = self.everyone.iter().find(|other| other.name == member) else {
            return 0;
        };
        let known = Reader {
            suspended: false,
            circles: other.circles.intersection(&self.reader.circles).cloned().collect(),
            ..other.clone()
        };
        count(self.counted().into_iter().filter(|index| {
            let piece = self.piece(*index);
            let newest = self.book.latest[&piece.name];
            piece.publisher() != member
                && !self.book.withdrawn.contains_key(&piece.name)
                && self.book.may(&known, newest)
        }))
    }

    pub(super) async fn subscriptions(&self) {
        let mut service = self.client.subscription_service();
        let name = format!("members/{}/subscriptions/whole", self.reader.name);
        let request = pb::CreateSubscriptionRequest {
            name: name.clone(),
            ..pb::CreateSubscriptionRequest::default()
        };
        let made = service.create_subscription(request).await;
        self.answered("create", self.hear("SubscriptionService/CreateSubscription", made));
        let request = pb::SeekSubscriptionRequest {
            name: name.clone(),
            to: Some(pb::seek_subscription_request::To::Sequence(0)),
        };
        let moved = service.seek_subscription(request).await;
        self.answered("seek", self.hear("SubscriptionService/SeekSubscription", moved));
        let streamed = self.stream(Start::Subscription(name.clone()), None, false).await;
        let streamed = streamed.unwrap_or_default();
        self.compare("durable", &streamed.shown, &self.visible(|_| true));
        let request =
            pb::AcknowledgeSubscriptionRequest { name: name.clone(), cursor: streamed.cursor };
        let kept = service.acknowledge_subscription(request).await;
        self.answered("keep", self.hear("SubscriptionService/AcknowledgeSubscription", kept));
        let listed = service.list_subscriptions(pb::ListSubscriptionsRequest::default()).await;
        let listed = self.hear("SubscriptionService/ListSubscriptions", listed);
        let names = self.answered("subscriptions", listed).unwrap_or_default().subscriptions;
        let names: Vec<String> = names.into_iter().map(|one| one.name).collect();
        self.same("subscriptions", &names, &vec![name.clone()]);
        let gone = service.delete_subscription(pb::DeleteSubscriptionRequest { name }).await;
        self.answered("delete", self.hear("SubscriptionService/DeleteSubscription", gone));
    }

    /// The bundle has an object of each record that members said, in its latest revision; those that were taken back are
    /// revoked.
    pub(super) async fn exports(&self) {
        let format = pb::ExportFormat::Stix.into();
        let request = pb::ExportRequest { filter: None, format };
        let answer = self.client.export_service().export(request).await;
        let mut file = Vec::new();
        let whole = async {
            let mut chunks = answer?.into_inner();
            while let Some(pb::ExportResponse { chunk }) = chunks.message().await? {
                file.extend(chunk);
            }
            Ok(tonic::Response::new(pb::ExportResponse { chunk: file }))
        };
        let heard = self.hear("ExportService/Export", whole.await);
        let Some(said) = self.answered("export", heard) else { return };
        let bundle: serde_json::Value = serde_json::from_slice(&said.chunk).expect("a bundle");
        let objects = bundle["objects"].as_array().expect("a list");
        let (mut shown, mut revoked) = (Shown::new(), Shown::new());
        for object in objects {
            let reference = &object["external_references"][0];
            if reference["source_name"] != "watchfire" {
                continue;
            }
            let name = reference["external_id"].as_str().and_then(|name| name.parse().ok());
            let index = name.and_then(|name: RecordName| self.book.latest.get(&name).copied());
            let part = if object["revoked"] == true { &mut revoked } else { &mut shown };
            part.extend(index);
        }
        self.compare("export", &shown, &self.visible(|index| self.said_now(index)));
        let taken_back = |index| {
            self.book.is_latest(index)
                && self.piece(index).kind.is_chosen()
                && !self.said_now(index)
        };
        self.compare("export, taken back", &revoked, &self.visible(taken_back));
    }
}

fn count(shown: impl Iterator<Item = usize>) -> u64 {
    u64::try_from(shown.count()).expect("a number")
}
