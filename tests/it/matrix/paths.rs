//! The paths of the matrix: one function a family of calls.

#![expect(clippy::excessive_nesting, reason = "tables of cases, page by page")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use futures_util::stream;
use watchfire::model::header::BodyKind;
use watchfire::model::names::RecordName;
use watchfire::model::roster::KeyUse;
use watchfire::wire::pb;
use watchfire::wire::pb::subscribe_request::Start;

use crate::matrix::asking::Asking;
use crate::matrix::asking::Shown;
use crate::matrix::cast::Act;
use crate::matrix::cast::CAST;
use crate::matrix::pieces::COMMON;
use crate::matrix::pieces::Piece;
use crate::matrix::pieces::REGION;
use crate::matrix::pieces::SHARED;
use crate::matrix::pieces::TECHNIQUE;
use crate::oracle::Reach;
use crate::oracle::ReadBy;
use crate::oracle::Role;
use crate::oracle::may_read;

/// Calls of one member that are under way at once.
const AT_ONCE: usize = 16;
/// Entries of a page that is not enough.
const SMALL_PAGE: u32 = 61;
/// A record of a member who publishes, that is not there.
const ABSENT: &str = "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057";

impl Asking<'_> {
    /// Every read path; of those that go record by record, each `every`th record.
    pub(super) async fn everything(&self, every: usize) {
        self.streams(every).await;
        self.records(every).await;
        self.lists(every).await;
        self.searches(every).await;
        self.values(every).await;
        self.operations(every).await;
        self.links(every).await;
        self.recalls().await;
        self.heads().await;
        self.reports().await;
        self.ledger().await;
        self.roster().await;
        self.subscriptions().await;
        self.exports().await;
    }

    async fn streams(&self, every: usize) {
        let from = |point: pb::StartPoint| Start::From(point.into());
        let replayed = self.stream(from(pb::StartPoint::Start), None, false).await;
        let replayed = replayed.unwrap_or_default();
        let all = self.visible(|_| true);
        self.compare("replay", &replayed.shown, &all);
        let pieces = u64::try_from(self.book.pieces.len()).expect("a number");
        self.same("replay: the exchange's own", &replayed.common, &(replayed.head - pieces));
        let decoded = self.stream(Start::Sequence(0), None, true).await;
        self.compare("replay, decoded", &decoded.unwrap_or_default().shown, &all);
        let snapshot = self.stream(from(pb::StartPoint::Snapshot), None, false).await;
        // "And every withdrawal and takedown that you may see, since you may hold copies from before."
        let takes_back = |index: usize| {
            [BodyKind::Withdrawal, BodyKind::Takedown].contains(&self.book.pieces[index].kind)
        };
        let current = self.visible(|index| self.said_now(index) || takes_back(index));
        self.compare("snapshot", &snapshot.unwrap_or_default().shown, &current);
        for filter in self.filters(every) {
            let streamed = self.stream(from(pb::StartPoint::Start), Some(filter.clone()), false);
            let expected = self.visible(|index| self.once_matched(&filter, index));
            let path = format!("replay with {filter:?}");
            self.compare(&path, &streamed.await.unwrap_or_default().shown, &expected);
        }
    }

    /// A record that members said, in its latest revision, and that was not taken back.
    pub(super) fn said_now(&self, index: usize) -> bool {
        self.current[index] && self.book.pieces[index].kind.is_chosen()
    }

    /// What a stream with a filter sends: what matches, and later revisions of what the member saw match.
    fn once_matched(&self, filter: &pb::Filter, index: usize) -> bool {
        let piece = &self.book.pieces[index];
        let earlier =
            self.book.of(&piece.name).filter(|(_, other)| other.revision < piece.revision);
        let mut seen = earlier.filter(|(other, _)| self.may(*other));
        matches(filter, piece) || seen.any(|(_, other)| matches(filter, other))
    }

    /// Heads, and the entries that they count: of every publisher and scope that there is.
    #[expect(clippy::too_many_lines, reason = "both calls of heads")]
    async fn heads(&self) {
        let verifier = self.client.roster().await.expect("the roster");
        let chosen = |piece: &Piece| matches!(piece.read_by, ReadBy::Chosen(_));
        let mut scopes: BTreeMap<(String, String), Reach> = BTreeMap::new();
        for piece in self.book.pieces.iter().filter(|piece| chosen(piece)) {
            let publisher = || piece.name.member.name();
            for audience in &piece.reach.audiences {
                let only = Reach { audiences: [audience.clone()].into(), ..Reach::default() };
                scopes.insert((publisher(), format!("audiences/{audience}")), only);
            }
            for recipient in &piece.reach.recipients {
                let only = Reach { recipients: [recipient.clone()].into(), ..Reach::default() };
                scopes.insert((publisher(), format!("members/{recipient}")), only);
            }
        }
        let may = |publisher: &str, only: &Reach| {
            let publisher = publisher.trim_start_matches("members/");
            may_read(self.reader, publisher, &ReadBy::Chosen(only.clone()))
        };
        let open = scopes.iter().filter(|((publisher, _), only)| may(publisher, only));
        let open: BTreeSet<(String, String)> = open.map(|(name, _)| name.clone()).collect();
        self.same("heads", &self.listed_heads().await, &open);
        for ((publisher, scope), only) in &scopes {
            let member = publisher.trim_start_matches("members/").parse().expect("a member");
            let keys = verifier.roster().keys_of(&member);
            let keys = keys.filter(|key| key.key_use == KeyUse::Signing).map(|key| key.id);
            let is_open = open.contains(&(publisher.clone(), scope.clone()));
            let expected = self.visible(|index| {
                let piece = &self.book.pieces[index];
                let names = |piece: &Piece| {
                    only.audiences.is_subset(&piece.reach.audiences)
                        && only.recipients.is_subset(&piece.reach.recipients)
                };
                // A withdrawal counts where the last revision of its record does.
                let of = piece.about.iter().filter(|_name| piece.kind == BodyKind::Withdrawal);
                let mut of = of.filter_map(|name| self.book.of(name).last());
                let counts = chosen(piece) && names(piece) || of.any(|(_, one)| names(one));
                is_open && piece.name.member == member && counts
            });
            let mut shown = Shown::new();
            for key in keys.collect::<Vec<_>>() {
                let request = pb::ListPublisherEntriesRequest {
                    publisher: publisher.clone(),
                    key: key.to_string(),
                    scope: scope.clone(),
                    page_size: 1000,
                    ..pb::ListPublisherEntriesRequest::default()
                };
                let mut log = self.client.transparency_service();
                let answer = log.list_publisher_entries(request).await;
                match self.hear("TransparencyService/ListPublisherEntries", answer) {
                    Ok(page) => {
                        self.same("a listing is whole", &page.listing.is_some(), &true);
                        shown.extend(page.entries.iter().filter_map(|entry| {
                            let digest: [u8; 32] = entry.header_digest.clone().try_into().ok()?;
                            self.book.by_digest.get(&digest).copied()
                        }));
                    }
                    Err(status) => {
                        let refused = status.code() == tonic::Code::PermissionDenied;
                        self.same("entries are refused", &(refused, is_open), &(true, false));
                    }
                }
            }
            self.compare(&format!("entries for {scope}"), &shown, &expected);
        }
    }

    /// What members handed in as evidence: at the beginning each member handed in something.
    async fn reports(&self) {
        let (mut shown, mut page_token) = (BTreeSet::new(), String::new());
        loop {
            let request = pb::ListMisbehaviorReportsRequest { page_size: 3, page_token };
            let mut log = self.client.transparency_service();
            let answer = log.list_misbehavior_reports(request).await;
            let heard = self.hear("TransparencyService/ListMisbehaviorReports", answer);
            let page = self.answered("reports", heard).unwrap_or_default();
            shown.extend(page.reports.into_iter().map(|report| report.reporter));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let sees_all = matches!(self.reader.role, Role::Operator | Role::Auditor);
        let reported = CAST.iter().filter(|part| part.is_there(Act::First));
        let expected = reported.filter(|part| sees_all || part.name == self.reader.name);
        let expected: BTreeSet<String> =
            expected.map(|part| format!("members/{}", part.name)).collect();
        self.same("reports", &shown, &expected);
    }

    async fn listed_heads(&self) -> BTreeSet<(String, String)> {
        let (mut found, mut page_token) = (BTreeSet::new(), String::new());
        loop {
            let request = pb::ListPublisherHeadsRequest {
                page_size: 3,
                page_token,
                ..pb::ListPublisherHeadsRequest::default()
            };
            let answer = self.client.transparency_service().list_publisher_heads(request).await;
            let heard = self.hear("TransparencyService/ListPublisherHeads", answer);
            let page = self.answered("heads", heard).unwrap_or_default();
            for signed in page.heads {
                let said = watchfire::wire::head::head(&signed.statement).expect("a head");
                found.insert((said.name.publisher.name(), said.name.scope.to_string()));
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return found;
            }
        }
    }

    async fn records(&self, every: usize) {
        let asked: Vec<usize> = (0..self.book.pieces.len()).step_by(every).collect();
        let calls = asked.iter().map(|index| async move {
            let piece = &self.book.pieces[*index];
            let latest = self.record(piece.name.to_string(), false).await;
            let revision = format!("{}@{}", piece.name, piece.revision);
            (*index, latest, self.record(revision, true).await)
        });
        let answers: Vec<_> = stream::iter(calls).buffer_unordered(AT_ONCE).collect().await;
        let (mut latest, mut revisions) = (Shown::new(), Shown::new());
        for (index, by_name, by_revision) in answers {
            latest.extend(by_name);
            revisions.extend(by_revision);
            let newest = self.book.latest[&self.book.pieces[index].name];
            let seen = by_name.is_some_and(|found| found == newest);
            self.same("the latest revision", &seen, &self.may(newest));
        }
        let was_asked = |index: usize| asked.contains(&index);
        self.compare("a revision", &revisions, &self.visible(was_asked));
        self.same("what is not there", &self.record(ABSENT.to_owned(), false).await, &None);
    }

    async fn record(&self, name: String, include_record: bool) -> Option<usize> {
        let request = pb::GetRecordRequest { name, include_record };
        let answer = self.client.exchange_service().get_record(request).await;
        let found = self.found("get", self.hear("ExchangeService/GetRecord", answer))?;
        self.book.piece_of(&found.entry?)
    }

    async fn lists(&self, every: usize) {
        let large = self.filters(every).into_iter().map(|filter| (filter, 1000));
        for (filter, page_size) in large.chain([(pb::Filter::default(), SMALL_PAGE)]) {
            let shown = self.list(&filter, page_size).await;
            let expected = self.visible(|index| {
                self.book.is_latest(index) && matches(&filter, &self.book.pieces[index])
            });
            self.compare(&format!("list with {filter:?}, {page_size}"), &shown, &expected);
        }
    }

    async fn list(&self, filter: &pb::Filter, page_size: u32) -> Shown {
        let mut shown = Shown::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListRecordsRequest {
                filter: Some(filter.clone()),
                page_size,
                page_token,
                include_record: page_size == SMALL_PAGE,
            };
            let answer = self.client.exchange_service().list_records(request).await;
            let heard = self.hear("ExchangeService/ListRecords", answer);
            let page = self.answered("list", heard).unwrap_or_default();
            shown.extend(self.entries(&page.entries));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return shown;
            }
        }
    }

    async fn searches(&self, every: usize) {
        let said = |index: usize| self.said_now(index);
        let of = |text: &str| pb::SearchRecordsRequest {
            text: text.to_owned(),
            page_size: 200,
            include_record: true,
            ..pb::SearchRecordsRequest::default()
        };
        self.search(of(COMMON), &self.visible(said)).await;
        let described = |index: usize| {
            let kind = self.book.pieces[index].kind;
            said(index) && [BodyKind::Indicator, BodyKind::Operation].contains(&kind)
        };
        let techniques = vec![format!("DISARM/{TECHNIQUE}")];
        let by_technique = pb::SearchRecordsRequest { techniques, ..of("") };
        self.search(by_technique, &self.visible(described)).await;
        let is_operation =
            |index: usize| said(index) && self.book.pieces[index].kind == BodyKind::Operation;
        let by_region = pb::SearchRecordsRequest { regions: vec![REGION.to_owned()], ..of("") };
        self.search(by_region, &self.visible(is_operation)).await;
        let by_language = pb::SearchRecordsRequest {
            languages: vec!["fr".to_owned()],
            active_only: true,
            ..of("")
        };
        self.search(by_language, &self.visible(is_operation)).await;
        for filter in self.filters(every) {
            let expected =
                self.visible(|index| said(index) && matches(&filter, &self.book.pieces[index]));
            let request = pb::SearchRecordsRequest {
                filter: Some(pb::Filter { ..filter }),
                page_size: 1000,
                ..of("")
            };
            self.search(request, &expected).await;
        }
        let calls = (0..self.book.pieces.len()).step_by(every).map(|index| async move {
            let marker = &self.book.pieces[index].marker;
            let expected = self.visible(|other| other == index && said(other));
            self.search(of(marker), &expected).await;
            let expected = self.visible(|other| other == index && described(other));
            let techniques = vec![marker.clone()];
            self.search(pb::SearchRecordsRequest { techniques, ..of("") }, &expected).await;
        });
        stream::iter(calls).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }

    async fn search(&self, mut request: pb::SearchRecordsRequest, expected: &Shown) {
        let mut shown = Shown::new();
        let path = format!(
            "search {:?}",
            pb::SearchRecordsRequest {
                text: if request.text == COMMON { COMMON } else { "a word" }.to_owned(),
                techniques: request.techniques.iter().map(|_| "one".to_owned()).collect(),
                ..request.clone()
            }
        );
        loop {
            let answer = self.client.query_service().search_records(request.clone()).await;
            let heard = self.hear("QueryService/SearchRecords", answer);
            let Some(page) = self.answered("search", heard) else { break };
            shown.extend(self.entries(&page.entries));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        self.compare(&path, &shown, expected);
    }

    async fn values(&self, every: usize) {
        let with_value = |piece: &&Piece| {
            piece.asset.as_ref().is_some_and(|(_, _, value)| !value.is_empty() && value != SHARED)
        };
        let pieces: Vec<&Piece> =
            self.book.pieces.iter().filter(with_value).skip(every % 3).step_by(every).collect();
        for chunk in pieces.chunks(200) {
            self.look_up_each(chunk, Some(0)).await;
        }
        // Near ones take the hub longest: some members ask for one.
        let is_media = |piece: &&&Piece| {
            piece.asset.as_ref().is_some_and(|(kind, _, _)| *kind == pb::ObservableKind::MediaHash)
        };
        let media: Vec<&Piece> = pieces
            .iter()
            .filter(is_media)
            .take(usize::from(self.turn.is_multiple_of(3)))
            .copied()
            .collect();
        self.look_up_each(&media, None).await;
        let shared = piece_with(self, SHARED);
        for matches_max in [3, 100] {
            let query = pb::ValueQuery { value: SHARED.to_owned(), ..pb::ValueQuery::default() };
            let request = pb::LookupValuesRequest {
                queries: vec![query],
                matches_max,
                include_record: true,
                active_only: true,
                ..pb::LookupValuesRequest::default()
            };
            let Some(results) = self.look_up(request).await else { continue };
            let most = usize::try_from(matches_max).expect("a number");
            self.matches_of(shared, &results[0], (most, 31));
        }
    }

    async fn look_up_each(&self, pieces: &[&Piece], distance_max: Option<u32>) {
        let request = pb::LookupValuesRequest {
            queries: pieces.iter().map(|piece| query(piece)).collect(),
            matches_max: 100,
            distance_max,
            ..pb::LookupValuesRequest::default()
        };
        let results = self.look_up(request).await.unwrap_or_default();
        for (piece, result) in pieces.iter().zip(results) {
            self.matches_of(piece, &result, (100, distance_max.unwrap_or(31)));
        }
    }

    async fn look_up(&self, request: pb::LookupValuesRequest) -> Option<Vec<pb::ValueMatches>> {
        let answer = self.client.exchange_service().lookup_values(request).await;
        let heard = self.hear_but("ExchangeService/LookupValues", answer, |said| {
            for result in &mut said.results {
                result.normal_form = None;
            }
        });
        Some(self.answered("look-up", heard)?.results)
    }

    fn matches_of(&self, piece: &Piece, result: &pb::ValueMatches, (most, bits): (usize, u32)) {
        let all = self.visible(|index| {
            let other = &self.book.pieces[index];
            self.said_now(index) && distance(piece, other).is_some_and(|own| own <= bits)
        });
        let mut in_order: Vec<usize> = all.iter().copied().collect();
        in_order.sort_by_key(|index| self.book.pieces[*index].sequence);
        in_order.truncate(most);
        let expected: Shown = in_order.into_iter().collect();
        self.compare("look-up", &self.entries(&result.entries), &expected);
        self.same("look-up: more", &result.more, &(all.len() > most));
        let named: BTreeSet<String> = expected
            .iter()
            .filter_map(|index| self.book.pieces[*index].operation.as_ref())
            .map(ToString::to_string)
            .collect();
        self.same("look-up: operations", &result.operations.iter().cloned().collect(), &named);
        let mut distances: Vec<u32> = self
            .in_order(&result.entries)
            .iter()
            .filter_map(|index| distance(piece, &self.book.pieces[*index]))
            .collect();
        if distances.iter().all(|distance| *distance == 0) {
            distances.clear();
        }
        self.same("look-up: distances", &result.distances, &distances);
    }

    async fn recalls(&self) {
        for to_answer in [false, true] {
            let said = self.list_recalls(to_answer).await;
            let said = said.into_iter().map(|recall| {
                let holders = recall.holders.into_iter().map(|holder| holder.member);
                (recall.record, holders.collect())
            });
            let which = if to_answer { "recalls to answer" } else { "own recalls" };
            self.same(which, &said.collect(), &self.recalls_of(to_answer));
        }
    }

    async fn list_recalls(&self, to_answer: bool) -> Vec<pb::Recall> {
        let mut recalls = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListRecallsRequest { to_answer, page_size: 2, page_token };
            let answer = self.client.query_service().list_recalls(request).await;
            let heard = self.hear("QueryService/ListRecalls", answer);
            let page = self.answered("recalls", heard).unwrap_or_default();
            recalls.extend(page.recalls);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return recalls;
            }
        }
    }

    /// The records that were taken back, with everyone who could see each, if it is one's own.
    fn recalls_of(&self, to_answer: bool) -> BTreeMap<String, BTreeSet<String>> {
        let answered = |name: &RecordName| {
            self.book.pieces.iter().any(|piece| {
                piece.kind == BodyKind::Acknowledgement
                    && piece.publisher() == self.reader.name
                    && piece.about.contains(name)
            })
        };
        let withdrawn = self.book.withdrawn.iter().filter(|(name, by)| {
            let is_own = name.member.as_str() == self.reader.name;
            let asks = self.may(**by) && self.book.pieces[**by].publisher() != self.reader.name;
            if to_answer { asks && !is_own && !answered(name) } else { is_own }
        });
        let holders = |name: &RecordName, by: usize| -> BTreeSet<String> {
            let others = self.everyone.iter().filter(|member| member.name != name.member.as_str());
            let could = others.filter(|member| {
                let member = crate::oracle::Reader { suspended: false, ..(*member).clone() };
                self.book.may(&member, by) && member.name != self.book.pieces[by].publisher()
            });
            could.map(|member| format!("members/{}", member.name)).collect()
        };
        withdrawn
            .map(|(name, by)| {
                let holders = if to_answer { BTreeSet::new() } else { holders(name, *by) };
                (name.to_string(), holders)
            })
            .collect()
    }

    async fn roster(&self) {
        let mut service = self.client.roster_service();
        let exchange = service.get_exchange(pb::GetExchangeRequest {}).await;
        self.answered("exchange", self.hear("RosterService/GetExchange", exchange));
        let members = service.list_members(pb::ListMembersRequest::default()).await;
        let members = self.answered("members", self.hear("RosterService/ListMembers", members));
        for member in members.unwrap_or_default().members {
            let request = pb::GetMemberRequest { name: member.name.clone() };
            let said = service.get_member(request).await;
            self.answered("member", self.hear("RosterService/GetMember", said));
            let request =
                pb::ListKeysRequest { parent: member.name, ..pb::ListKeysRequest::default() };
            let said = service.list_keys(request).await;
            self.answered("keys", self.hear("RosterService/ListKeys", said));
        }
        let quota = service.get_quota(pb::GetQuotaRequest {}).await;
        self.answered("quota", self.hear("RosterService/GetQuota", quota));
        let request = pb::ListAudiencesRequest::default();
        let audiences = self.client.audience_service().list_audiences(request).await;
        let heard = self.hear("AudienceService/ListAudiences", audiences);
        let listed = self.answered("audiences", heard).unwrap_or_default().audiences;
        let inside = self.reader.role == Role::Operator || !self.reader.circles.is_empty();
        let names: BTreeSet<String> = listed.iter().flat_map(|one| one.members.clone()).collect();
        let in_it = self.everyone.iter().filter(|member| inside && !member.circles.is_empty());
        let expected = in_it.map(|member| format!("members/{}", member.name)).collect();
        self.same("audiences", &names, &expected);
    }
    /// Filters of every field, by itself and with another.
    fn filters(&self, every: usize) -> Vec<pb::Filter> {
        let kinds = BodyKind::ALL
            .iter()
            .map(|kind| pb::Filter { body_kinds: vec![kind.number()], ..pb::Filter::default() });
        let fixed = [
            pb::Filter::default(),
            pb::Filter {
                kinds: vec![
                    pb::ObservableKind::Account.into(),
                    pb::ObservableKind::MediaHash.into(),
                ],
                ..pb::Filter::default()
            },
            pb::Filter { platforms: vec!["x".to_owned()], ..pb::Filter::default() },
            pb::Filter {
                publishers: vec!["members/birch-social".to_owned()],
                ..pb::Filter::default()
            },
            pb::Filter {
                body_kinds: vec![BodyKind::Indicator.number()],
                platforms: vec!["facebook".to_owned(), "youtube".to_owned()],
                publishers: vec!["members/acme-video".to_owned()],
                ..pb::Filter::default()
            },
        ];
        let operations = self.book.pieces.iter().filter(|piece| piece.kind == BodyKind::Operation);
        let of = operations.step_by(13).map(|piece| pb::Filter {
            operations: vec![piece.name.to_string()],
            ..pb::Filter::default()
        });
        // Members take turns; what is cheap or tells most is everyone's.
        let some = kinds.skip(self.turn % every).step_by(every);
        let of = of.skip(self.turn % every).step_by(every);
        some.chain(fixed).chain(of).collect()
    }
}

/// In how many bits two indicators differ; `None` if that is more than the look-up asks for, or if they are no hashes.
fn distance(piece: &Piece, other: &Piece) -> Option<u32> {
    let (kind, _, value) = piece.asset.as_ref()?;
    let (other_kind, _, others) = other.asset.as_ref()?;
    if piece.asset == other.asset {
        return Some(0);
    }
    if [*kind, *other_kind] != [pb::ObservableKind::MediaHash; 2] {
        return None;
    }
    let (own, others) = (hex::decode(value).ok()?, hex::decode(others).ok()?);
    let bits = own.iter().zip(others).map(|(one, two)| (one ^ two).count_ones()).sum();
    (bits < 32).then_some(bits)
}

/// The piece with a value that has the lowest place.
fn piece_with<'a>(asking: &Asking<'a>, value: &str) -> &'a Piece {
    let with = |piece: &&Piece| piece.asset.as_ref().is_some_and(|(_, _, own)| own == value);
    asking.book.pieces.iter().find(with).expect("one")
}

pub(super) fn query(piece: &Piece) -> pb::ValueQuery {
    let (kind, platform, value) = piece.asset.clone().expect("an indicator");
    pb::ValueQuery { value, kind: kind.into(), platform: platform.to_owned() }
}

/// "Fields are joined by AND, values of a field by OR, empty matches all. Withdrawals and takedowns match every filter,
/// but for one of `body_kinds` that are all about the exchange itself."
fn matches(filter: &pb::Filter, piece: &Piece) -> bool {
    let of_the_exchange = [
        BodyKind::RosterChange,
        BodyKind::KeyChange,
        BodyKind::Genesis,
        BodyKind::Erasure,
        BodyKind::Retention,
        BodyKind::Epoch,
        BodyKind::LogKeyChange,
    ]
    .map(BodyKind::number);
    let only_those = !filter.body_kinds.is_empty()
        && filter.body_kinds.iter().all(|kind| of_the_exchange.contains(kind));
    if [BodyKind::Withdrawal, BodyKind::Takedown].contains(&piece.kind) {
        return !only_those;
    }
    let asset = piece.asset.as_ref();
    let has_kind = |kind: &i32| asset.is_some_and(|(own, _, _)| i32::from(*own) == *kind);
    let lives_on = |platform: &String| asset.is_some_and(|(_, own, _)| own == platform);
    let operations = &filter.operations;
    let names = |operation: &String| {
        let own = piece.kind == BodyKind::Operation && piece.name.to_string() == *operation;
        own || piece.operation.as_ref().is_some_and(|name| name.to_string() == *operation)
    };
    let is_by = |name: &String| *name == piece.name.member.name();
    (filter.body_kinds.is_empty() || filter.body_kinds.contains(&piece.kind.number()))
        && (filter.kinds.is_empty() || filter.kinds.iter().any(has_kind))
        && (filter.platforms.is_empty() || filter.platforms.iter().any(lives_on))
        && (filter.publishers.is_empty() || filter.publishers.iter().any(is_by))
        && (operations.is_empty() || operations.iter().any(names))
}
