//! What is not there and what is not for one are the same: in code, words, details, metadata and size, whoever asks
//! and however.

mod many;

use std::collections::HashSet;

use tonic::Response;
use tonic::Status;
use watchfire::client::Client;
use watchfire::client::KeeperChange;
use watchfire::model::handling::Handling;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;
use watchfire::wire::pb::body::Content;
use watchfire::wire::pb::subscribe_request::Start;

use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::sign;
use crate::world::withdrawal;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("cedar-chat", "company"),
    ("harbour-liaison", "observer"),
];
const CIRCLE: &str = "q0circle7k3v9q0z8m1x7c5b2n";
const NOWHERE: &str = "q0nowher7k3v9q0z8m1x7c5b2n";
const HIDDEN_VALUE: &str = "hidden-harbour.example";
const ABSENT_VALUE: &str = "absent-harbour.example";

/// Two things that must be answered alike, of the same length: one is there and is not for who asks, one is not there.
struct Pair {
    hidden: String,
    absent: String,
}

impl Pair {
    fn of(hidden: &RecordName) -> Self {
        let absent = RecordName { record: uuid::Uuid::now_v7(), ..hidden.clone() };
        Self { hidden: hidden.to_string(), absent: absent.to_string() }
    }

    fn text(hidden: &str, absent: &str) -> Self {
        Self { hidden: hidden.to_owned(), absent: absent.to_owned() }
    }

    /// Asks for both; the answers are the same but for what was asked.
    async fn check<R: prost::Message, F>(&self, path: &str, ask: impl Fn(String) -> F)
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let (hidden, absent) = (ask(self.hidden.clone()).await, ask(self.absent.clone()).await);
        let (hidden, absent) = (bytes_of(hidden), bytes_of(absent));
        assert_eq!(hidden.len(), absent.len(), "{path}: {}", String::from_utf8_lossy(&hidden));
        let named = replaced(&hidden, &self.hidden, &self.absent);
        assert_eq!(
            String::from_utf8_lossy(&named),
            String::from_utf8_lossy(&absent),
            "{path}: the answers differ"
        );
        assert_eq!(named, absent, "{path}");
    }
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let length = from.len();
    for start in 0..bytes.len().saturating_sub(length - 1) {
        if bytes[start..start + length] == *from.as_bytes() {
            bytes[start..start + length].copy_from_slice(to.as_bytes());
        }
    }
    bytes
}

/// Everything of an answer: its metadata but for the time, and the message or the error with its details.
fn bytes_of<R: prost::Message>(answer: Result<Response<R>, Status>) -> Vec<u8> {
    let metadata = |map: &tonic::metadata::MetadataMap| {
        let mut map = map.clone();
        map.remove("date");
        format!("{map:?}").into_bytes()
    };
    match answer {
        Ok(response) => {
            let mut bytes = metadata(response.metadata());
            bytes.extend(response.into_inner().encode_to_vec());
            bytes
        }
        Err(status) => {
            let mut bytes = metadata(status.metadata());
            bytes.extend(format!("{:?} {}", status.code(), status.message()).into_bytes());
            bytes.extend(status.details());
            bytes
        }
    }
}

/// A world with records of acme's for cedar alone.
struct Hiding {
    world: World,
    birch: Client,
    operation: Pair,
    indicator: Pair,
    withdrawn: Pair,
    inquiry: Pair,
}

impl Hiding {
    async fn open() -> Self {
        let world = World::with(MEMBERS).await;
        let acme = world.client("acme-video").await;
        let cedars = || handling(&[], &["cedar-chat"]);
        let (storm, _) = publish_for(&acme, operation("storm"), cedars()).await;
        let asset = indicator_of(HIDDEN_VALUE, &storm.to_string());
        let (asset, _) = publish_for(&acme, asset, cedars()).await;
        let (wrong, _) = publish_for(&acme, domain(HIDDEN_VALUE), cedars()).await;
        publish_for(&acme, withdrawal(&wrong), handling(&[], &[])).await;
        let question = Content::Inquiry(pb::Inquiry {
            about: Some(record(&asset.to_string())),
            question: "who?".to_owned(),
            ..pb::Inquiry::default()
        });
        let (question, _) = publish_for(&acme, question, cedars()).await;
        let change =
            KeeperChange::Create { title: "Desk".to_owned(), members: vec![member("cedar-chat")] };
        acme.change_audience(&CIRCLE.parse().expect("a handle"), change).await.expect("a circle");
        subscription_of(&acme).await;
        Self {
            birch: world.client("birch-social").await,
            operation: Pair::of(&storm),
            indicator: Pair::of(&asset),
            withdrawn: Pair::of(&wrong),
            inquiry: Pair::of(&question),
            world,
        }
    }

    fn records(&self) -> [&Pair; 4] {
        [&self.operation, &self.indicator, &self.withdrawn, &self.inquiry]
    }

    /// Publishes as birch; the answer is looked at whole.
    async fn say(
        &self,
        content: Content,
        (audiences, recipients): (&[&str], &[&str]),
    ) -> Result<Response<pb::PublishResponse>, Status> {
        let signer = self.birch.signer().expect("a key");
        let said = draft(&signer, content, handling(audiences, recipients));
        let request = pb::PublishRequest {
            envelopes: vec![sign(&self.birch, said)],
            ..pb::PublishRequest::default()
        };
        self.birch.exchange_service().publish(request).await
    }
}

fn member(id: &str) -> watchfire::model::names::MemberId {
    id.parse().expect("a member")
}

async fn subscription_of(client: &Client) {
    let request = pb::CreateSubscriptionRequest {
        name: "members/acme-video/subscriptions/there".to_owned(),
        ..pb::CreateSubscriptionRequest::default()
    };
    client.subscription_service().create_subscription(request).await.expect("a subscription");
}

fn indicator_of(value: &str, operation: &str) -> Content {
    let Content::Indicator(said) = domain(value) else { unreachable!("an indicator") };
    Content::Indicator(pb::Indicator { operation: operation.to_owned(), ..said })
}

fn record(name: &str) -> pb::Reference {
    pb::Reference { to: Some(pb::reference::To::Record(name.to_owned())) }
}

fn value() -> pb::Reference {
    let value = pb::Observable {
        kind: pb::ObservableKind::Domain.into(),
        value: "news.example".to_owned(),
        ..pb::Observable::default()
    };
    pb::Reference { to: Some(pb::reference::To::Value(value)) }
}

fn link(source: pb::Reference, target: pb::Reference) -> Content {
    Content::Link(pb::Link {
        source: Some(source),
        target: Some(target),
        r#type: pb::LinkType::Amplifies.into(),
        ..pb::Link::default()
    })
}

/// Everything that can be said about a record.
fn statements(of: &str) -> Vec<Content> {
    let of = of.to_owned();
    vec![
        Content::Sighting(pb::Sighting { of: of.clone(), count: 1, ..pb::Sighting::default() }),
        Content::Opinion(pb::Opinion {
            of: of.clone(),
            stance: pb::Stance::Agree.into(),
            ..pb::Opinion::default()
        }),
        Content::ActionReport(pb::ActionReport {
            of: of.clone(),
            action: pb::Action::Removed.into(),
            ..pb::ActionReport::default()
        }),
        Content::Inquiry(pb::Inquiry {
            about: Some(record(&of)),
            question: "who?".to_owned(),
            ..pb::Inquiry::default()
        }),
        Content::Reply(pb::Reply {
            to: of.clone(),
            result: pb::ReplyResult::Yes.into(),
            ..pb::Reply::default()
        }),
        Content::Note(pb::Note { about: of.clone(), text: "seen".to_owned() }),
        Content::Attribution(pb::Attribution {
            operation: of.clone(),
            actor: "somebody".to_owned(),
            ..pb::Attribution::default()
        }),
        Content::Acknowledgement(pb::Acknowledgement {
            of: of.clone(),
            answer: pb::AcknowledgementAnswer::Deleted.into(),
            ..pb::Acknowledgement::default()
        }),
        Content::Withdrawal(pb::Withdrawal {
            of: of.clone(),
            reason: pb::WithdrawalReason::Error.into(),
            ..pb::Withdrawal::default()
        }),
        Content::Takedown(pb::Takedown {
            of: of.clone(),
            reason: pb::TakedownReason::Legal.into(),
            ..pb::Takedown::default()
        }),
        link(record(&of), value()),
        link(value(), record(&of)),
    ]
}

async fn get(client: &Client, name: String) -> Result<Response<pb::GetRecordResponse>, Status> {
    let request = pb::GetRecordRequest { name, include_record: true };
    client.exchange_service().get_record(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_tell_nothing_of_what_is_there() {
    let hiding = Hiding::open().await;
    let birch = &hiding.birch;
    let of = |name: String| pb::Filter { operations: vec![name], ..pb::Filter::default() };
    for pair in hiding.records() {
        for revision in ["", "@1", "@2"] {
            pair.check("GetRecord", |name| get(birch, format!("{name}{revision}"))).await;
        }
        pair.check("GetOperation", |name| async move {
            birch.query_service().get_operation(pb::GetOperationRequest { name }).await
        })
        .await;
        pair.check("ListLinks", |name| async move {
            let start = Some(pb::list_links_request::Start::Record(name));
            let request = pb::ListLinksRequest { start, ..pb::ListLinksRequest::default() };
            birch.query_service().list_links(request).await
        })
        .await;
        pair.check("ListRecords", |name| async move {
            let filter = Some(of(name));
            let request = pb::ListRecordsRequest { filter, ..pb::ListRecordsRequest::default() };
            birch.exchange_service().list_records(request).await
        })
        .await;
        pair.check("SearchRecords", |name| async move {
            let filter = Some(of(name));
            let request =
                pb::SearchRecordsRequest { filter, ..pb::SearchRecordsRequest::default() };
            birch.query_service().search_records(request).await
        })
        .await;
    }
    values(&hiding).await;
    hiding.world.finish();
}

/// Look-ups and walks from a value.
async fn values(hiding: &Hiding) {
    let birch = &hiding.birch;
    let value = Pair::text(HIDDEN_VALUE, ABSENT_VALUE);
    let query = |value| pb::ValueQuery { value, ..pb::ValueQuery::default() };
    value
        .check("LookupValues", |value| async move {
            let request = pb::LookupValuesRequest {
                queries: vec![query(value)],
                ..pb::LookupValuesRequest::default()
            };
            birch.exchange_service().lookup_values(request).await
        })
        .await;
    value
        .check("ListLinks of a value", |value| async move {
            let start = Some(pb::list_links_request::Start::Value(query(value)));
            let request = pb::ListLinksRequest { start, ..pb::ListLinksRequest::default() };
            birch.query_service().list_links(request).await
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_tells_nothing_of_what_is_there() {
    let hiding = Hiding::open().await;
    let birch = &hiding.birch;
    for pair in hiding.records() {
        for place in 0..statements("").len() {
            statement(&hiding, pair, place).await;
        }
    }
    // Naming what is not for one is no error, and nothing follows from it.
    let mut walks = Vec::new();
    for name in [&hiding.operation.hidden, &hiding.operation.absent] {
        let asset = indicator_of(&format!("news{}.example", walks.len()), name);
        let (asset, _) = publish(birch, asset).await;
        for nodes_max in [1, 100] {
            let start = Some(pb::list_links_request::Start::Record(asset.to_string()));
            let request = pb::ListLinksRequest { start, steps_max: 1, nodes_max };
            let answer = birch.query_service().list_links(request).await.expect("links");
            let answer = answer.into_inner();
            let beyond: Vec<u64> = answer.nodes.iter().map(|node| node.beyond).collect();
            walks.push((answer.nodes.len(), answer.edges.len(), beyond, answer.more));
        }
    }
    assert_eq!(walks[..2], walks[2..], "a walk tells whether an operation is there");
    audiences(&hiding).await;
    hiding.world.finish();
}

/// One thing that is said about a record, further than it reaches or not.
async fn statement(hiding: &Hiding, pair: &Pair, place: usize) {
    let kind = &statements(&pair.hidden)[place];
    let names_nobody =
        matches!(kind, Content::Acknowledgement(_) | Content::Withdrawal(_) | Content::Takedown(_));
    let reaches: [(&[&str], &[&str]); 2] = if names_nobody {
        [(&[], &[]); 2]
    } else {
        [(&["companies"], &[]), (&[], &["acme-video"])]
    };
    for reach in reaches {
        let say = |name: String| hiding.say(statements(&name).swap_remove(place), reach);
        pair.check(&format!("Publish {kind:?}"), say).await;
    }
}

/// Audiences that one is not in.
async fn audiences(hiding: &Hiding) {
    let birch = &hiding.birch;
    let handle = Pair::text(CIRCLE, NOWHERE);
    handle
        .check("Publish for an audience", |handle| async move {
            hiding.say(domain("news.example"), (&[&handle], &[])).await
        })
        .await;
    for other in ["birch-social", "cedar-chat", "nobody-here"] {
        let change = |handle: String, change| async move {
            let content = Content::AudienceChange(pb::AudienceChange {
                audience: format!("audiences/{handle}"),
                change: Some(change),
            });
            let signer = birch.signer().expect("a key");
            let envelope = sign(birch, draft(&signer, content, handling(&[], &[])));
            let request = pb::ChangeAudienceRequest { envelope: Some(envelope) };
            birch.audience_service().change_audience(request).await
        };
        let members = || pb::AudienceMembers { members: vec![format!("members/{other}")] };
        let add = |handle| change(handle, pb::audience_change::Change::Add(members()));
        handle.check("ChangeAudience: add", add).await;
        let remove = |handle| change(handle, pb::audience_change::Change::Remove(members()));
        handle.check("ChangeAudience: remove", remove).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_listings_tell_nothing_of_scopes_that_one_is_not_in() {
    let hiding = Hiding::open().await;
    let acme = hiding.world.client("acme-video").await;
    acme.put_heads(true, watchfire::client::HEAD_DUE_AFTER).await.expect("heads");
    let birch = &hiding.birch;
    let key = acme.signer().expect("a key").key().id().to_string();
    let entries = |scope: String| {
        let key = key.clone();
        async move {
            let request = pb::ListPublisherEntriesRequest {
                publisher: "members/acme-video".to_owned(),
                key,
                scope,
                ..pb::ListPublisherEntriesRequest::default()
            };
            birch.transparency_service().list_publisher_entries(request).await
        }
    };
    let circle = Pair::text(&format!("audiences/{CIRCLE}"), &format!("audiences/{NOWHERE}"));
    circle.check("ListPublisherEntries of an audience", entries).await;
    let recipient = Pair::text("members/cedar-chat", "members/cedar-none");
    recipient.check("ListPublisherEntries of a recipient", entries).await;
    // Who has put heads for others alone, and who has put none.
    let publisher = Pair::text("members/acme-video", "members/acme-audio");
    publisher
        .check("ListPublisherHeads", |publisher| async move {
            let request = pb::ListPublisherHeadsRequest {
                publisher,
                ..pb::ListPublisherHeadsRequest::default()
            };
            birch.transparency_service().list_publisher_heads(request).await
        })
        .await;
    // An audience that one may not address is one that is not there.
    let signer = birch.signer().expect("a key");
    circle
        .check("PutPublisherHead", |scope| {
            let request = put_request(&signer, &scope);
            async move { birch.transparency_service().put_publisher_head(request).await }
        })
        .await;
    hiding.world.finish();
}

/// A head that counts nothing.
fn put_request(signer: &watchfire::client::Signer, scope: &str) -> pb::PutPublisherHeadRequest {
    let head = watchfire::model::head::PublisherHead {
        exchange: signer.exchange().clone(),
        name: watchfire::model::head::HeadName {
            publisher: signer.member().clone(),
            key: signer.key().id(),
            scope: scope.parse().expect("a scope"),
        },
        epoch: 1,
        size: 0,
        counted: watchfire::model::head::Counted::default(),
        time: watchfire::model::time::Timestamp::default(),
        next_due: watchfire::model::time::Timestamp::default(),
        seen: Vec::new(),
    };
    let statement = watchfire::wire::head::head_bytes(&head);
    let signature =
        signer.key().sign(watchfire::wire::head::HEAD_PAYLOAD_TYPE, &statement).to_vec();
    pb::PutPublisherHeadRequest { head: Some(pb::SignedStatement { statement, signature }) }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_others_are_not_there() {
    let hiding = Hiding::open().await;
    let (acme, birch) = (hiding.world.client("acme-video").await, &hiding.birch);
    let digest = crate::reports::hand_in(&acme, "hidden").await.expect("it is taken in");
    crate::reports::hand_in(birch, "own").await.expect("it is taken in");
    // A page behind what another handed in, and behind what nobody did.
    let hidden = format!("{}.acme-video", hex::encode(digest));
    let absent = format!("{}.acme-video", hex::encode([7; 32]));
    Pair::text(&hidden, &absent)
        .check("ListMisbehaviorReports", |page_token| async move {
            let request = pb::ListMisbehaviorReportsRequest { page_size: 1, page_token };
            let answer = birch.transparency_service().list_misbehavior_reports(request).await;
            answer.inspect(|page| assert_eq!(page.get_ref().reports.len(), 1))
        })
        .await;
    hiding.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_of_others_are_not_there() {
    let hiding = Hiding::open().await;
    let birch = &hiding.birch;
    let name = Pair::text(
        "members/acme-video/subscriptions/there",
        "members/acme-video/subscriptions/empty",
    );
    name.check("Subscribe", |name| async move {
        let start = Some(Start::Subscription(name));
        let request = pb::SubscribeRequest { start, ..pb::SubscribeRequest::default() };
        let answer = birch.exchange_service().subscribe(request).await;
        answer.map(|_stream| Response::new(pb::Filter::default()))
    })
    .await;
    name.check("Acknowledge", |name| async move {
        let request = pb::AcknowledgeSubscriptionRequest { name, cursor: vec![1] };
        birch.subscription_service().acknowledge_subscription(request).await
    })
    .await;
    name.check("Seek", |name| async move {
        let to = Some(pb::seek_subscription_request::To::Sequence(0));
        birch
            .subscription_service()
            .seek_subscription(pb::SeekSubscriptionRequest { name, to })
            .await
    })
    .await;
    name.check("Delete", |name| async move {
        birch
            .subscription_service()
            .delete_subscription(pb::DeleteSubscriptionRequest { name })
            .await
    })
    .await;
    name.check("Create", |name| async move {
        let request =
            pb::CreateSubscriptionRequest { name, ..pb::CreateSubscriptionRequest::default() };
        birch.subscription_service().create_subscription(request).await
    })
    .await;
    hiding.world.finish();
}

/// Whether pages of so many records, found records and recalls say that there is more. What was withdrawn is among the
/// records of every kind.
async fn is_there_more(client: &Client, sizes: [u32; 3]) -> [(&'static str, bool); 3] {
    let [listed, found, asked] = sizes;
    let list = pb::ListRecordsRequest {
        filter: Some(pb::Filter {
            body_kinds: vec![pb::BodyKind::Indicator.into()],
            ..pb::Filter::default()
        }),
        page_size: listed,
        ..pb::ListRecordsRequest::default()
    };
    let records = client.exchange_service().list_records(list).await.expect("a page").into_inner();
    let search = pb::SearchRecordsRequest {
        text: "pelican".to_owned(),
        page_size: found,
        ..pb::SearchRecordsRequest::default()
    };
    let search = client.query_service().search_records(search).await.expect("a page").into_inner();
    let recalls = pb::ListRecallsRequest {
        to_answer: true,
        page_size: asked,
        ..pb::ListRecallsRequest::default()
    };
    let recalls = client.query_service().list_recalls(recalls).await.expect("a page").into_inner();
    let counts = [records.entries.len(), search.entries.len(), recalls.recalls.len()];
    assert_eq!(counts.map(|count| u32::try_from(count).expect("a page")), sizes);
    [
        ("records", !records.next_page_token.is_empty()),
        ("a search", !search.next_page_token.is_empty()),
        ("recalls", !recalls.next_page_token.is_empty()),
    ]
}

#[tokio::test]
async fn behind_a_full_page_lies_something_that_is_shown_or_nothing_is_said_of_it() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let birch = world.client("birch-social").await;
    let for_companies = || handling(&["companies"], &[]);
    let withdrawn = |to: Handling| {
        let acme = &acme;
        async move {
            let (name, _) = publish_for(acme, operation("withdrawn"), to).await;
            publish_for(acme, withdrawal(&name), handling(&[], &[])).await;
        }
    };
    for value in ["pelican-one.example", "pelican-two.example"] {
        publish_for(&acme, described(value, "pelican"), for_companies()).await;
    }
    withdrawn(for_companies()).await;
    withdrawn(for_companies()).await;
    for hidden in [false, true] {
        if hidden {
            let cedars = || handling(&[], &["cedar-chat"]);
            publish_for(&acme, described("pelican-three.example", "pelican"), cedars()).await;
            withdrawn(cedars()).await;
        }
        for (what, more) in is_there_more(&birch, [4, 2, 2]).await {
            assert!(!more, "{what}: something is hidden: {hidden}");
        }
        for (what, more) in is_there_more(&birch, [3, 1, 1]).await {
            assert!(more, "{what}: one is left");
        }
    }
    // Behind what is hidden something is shown: each once, the last page without a token.
    publish_for(&acme, described("pelican-four.example", "pelican"), for_companies()).await;
    withdrawn(for_companies()).await;
    assert_eq!(pages_of_two(&birch).await, ([2, 1].into(), [2, 1].into()));
    world.finish();
}

/// How many are on each page of two: of what a search finds, and of recalls. Each comes once.
async fn pages_of_two(client: &Client) -> (Vec<usize>, Vec<usize>) {
    let (mut found, mut asked) = (Vec::new(), Vec::new());
    let (mut names, mut page_token) = (HashSet::new(), String::new());
    loop {
        let text = "pelican".to_owned();
        let request =
            pb::SearchRecordsRequest { text, page_size: 2, page_token, ..Default::default() };
        let page = client.query_service().search_records(request).await.expect("a page");
        let page = page.into_inner();
        found.push(page.entries.len());
        let fresh = page.entries.iter().filter(|entry| names.insert(entry.sequence)).count();
        assert_eq!(fresh, page.entries.len());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    names.clear();
    loop {
        let request = pb::ListRecallsRequest { to_answer: true, page_size: 2, page_token };
        let page = client.query_service().list_recalls(request).await.expect("a page").into_inner();
        asked.push(page.recalls.len());
        let places = page.recalls.iter().filter_map(|recall| recall.withdrawal.as_ref());
        let fresh = places.filter(|entry| names.insert(entry.sequence)).count();
        assert_eq!(fresh, page.recalls.len());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return (found, asked);
        }
    }
}

fn described(value: &str, text: &str) -> Content {
    let mut content = domain(value);
    let Content::Indicator(said) = &mut content else { panic!("an indicator") };
    text.clone_into(&mut said.description);
    content
}
