//! Non-interference: two worlds that differ only in records that a member may not see answer that member the same,
//! byte for byte, but for places, times, tokens and checkpoints.
//!
//! Both worlds are copies of one exchange, and are sent the same envelopes, so that the bytes can be equal.

use std::collections::BTreeMap;

use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_reflect::DynamicMessage;
use prost_reflect::ReflectMessage as _;
use prost_reflect::Value;
use tonic::Response;
use tonic::Status;
use watchfire::client::Client;
use watchfire::client::Signer;
use watchfire::model::handling::Tlp;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;
use watchfire::wire::pb::body::Content;
use watchfire::wire::pb::subscribe_request::Start;

use crate::oracle;
use crate::oracle::Reach;
use crate::oracle::ReadBy;
use crate::oracle::Reader;
use crate::oracle::Role;
use crate::trials::Trials;
use crate::world::World;
use crate::world::draft;
use crate::world::handling;
use crate::world::withdrawal;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("cedar-chat", "company"),
    ("dune-maps", "company"),
    ("harbour-liaison", "observer"),
    ("jetty-audit", "auditor"),
];
const AUTHORS: [&str; 3] = ["acme-video", "birch-social", "cedar-chat"];
/// Those who must not notice, by turns.
const LISTENERS: [(&str, Role); 3] = [
    ("dune-maps", Role::Company),
    ("harbour-liaison", Role::Observer),
    ("jetty-audit", Role::Auditor),
];
const STEPS: usize = 90;
/// Pairs of worlds in the commit lane, and on demand: a round is a seed.
const SEEDS: [u64; 2] = [6, 1000];
/// What differs for reasons of place and time: sequences, times, tokens, checkpoints.
const APART: &[&str] = &[
    "sequence",
    "accept_time",
    "cursor",
    "page_token",
    "next_page_token",
    "checkpoint",
    "inclusion_proof",
    "frontier",
    "head_proof",
    "growth_proof",
    "backfill_hidden",
    "statement",
    "statement_signature",
    "head",
    "position",
    "time",
    "lag_entries",
    "lag_time",
    "update_time",
    "withdrawn_sequence",
    "erased_sequence",
    "answer_sequence",
    "first_sequence",
    "end_sequence",
    "left_filter",
    "at_sequence",
    "p50",
    "p90",
];

/// The same in an export, where a new object has the time at which it was taken.
const EXPORTED_APART: &[&str] =
    &["sequence", "accept_time", "created", "modified", "first_accept_time", "valid_from"];

/// Numbers that look random and are the same for a seed (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(sides).expect("a number")).expect("a number")
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.roll(all.len())]
    }
}

/// A record that was published, as far as it matters to what is said next.
struct Said {
    name: RecordName,
    author: &'static str,
    reach: Reach,
    kind: usize,
    hidden: bool,
    withdrawn: bool,
}

/// Two worlds, and what they are sent.
struct Worlds {
    with: World,
    without: World,
    senders: BTreeMap<&'static str, (Client, Client, Signer)>,
    listener: Reader,
    said: Vec<Said>,
    hidden: usize,
}

impl Worlds {
    async fn open(base: &World, (name, role): (&str, Role)) -> Self {
        let (mut with, mut without) = (base.twin(), base.twin());
        with.start(&[]).await;
        without.start(&[]).await;
        let mut senders = BTreeMap::new();
        for author in AUTHORS {
            let (one, two) = (with.client(author).await, without.client(author).await);
            let signer = one.signer().expect("a key");
            senders.insert(author, (one, two, signer));
        }
        let listener = Reader { name: name.to_owned(), role, suspended: false, circles: [].into() };
        Self { with, without, senders, listener, said: Vec::new(), hidden: 0 }
    }

    /// Says something in both worlds, or in one if it is not for the listener.
    async fn step(&mut self, dice: &mut Dice) {
        let author = *dice.one_of(&AUTHORS);
        if dice.roll(12) == 0 {
            return self.withdraw(author, dice).await;
        }
        let about: Vec<usize> = (0..self.said.len())
            .filter(|place| self.sees(author, &self.said[*place]) && !self.said[*place].withdrawn)
            .collect();
        let target = if about.is_empty() { None } else { Some(*dice.one_of(&about)) };
        let kind = if target.is_none() { 1 } else { dice.roll(8) };
        // What is said about a record reaches as far as it does, or only who said it.
        let target = target.map(|place| &self.said[place]);
        let speaks_of = target.filter(|_| kind > 1);
        let reach = match speaks_of {
            None => any_reach(dice),
            Some(target) if dice.roll(2) == 0 && target.author != author => {
                Reach { recipients: [target.author.to_owned()].into(), ..Reach::default() }
            }
            Some(target) => target.reach.clone(),
        };
        let content = content(kind, self.said.len() % 5, target, dice);
        let hidden = !self.hears(author, &reach);
        let handling = handling_of(&reach);
        let name = self.send(author, (content, handling), hidden).await;
        self.said.push(Said { name, author, reach, kind, hidden, withdrawn: false });
    }

    async fn withdraw(&mut self, author: &'static str, dice: &mut Dice) {
        let own: Vec<usize> = (0..self.said.len())
            .filter(|place| self.said[*place].author == author && !self.said[*place].withdrawn)
            .collect();
        if own.is_empty() {
            return;
        }
        let place = *dice.one_of(&own);
        let (of, hidden) = (self.said[place].name.clone(), self.said[place].hidden);
        self.said[place].withdrawn = true;
        self.send(author, (withdrawal(&of), handling(&[], &[])), hidden).await;
        // Whoever could see it answers; its publisher alone hears that.
        for other in AUTHORS {
            if other != author && self.sees(other, &self.said[place]) {
                let answer = Content::Acknowledgement(pb::Acknowledgement {
                    of: of.to_string(),
                    answer: pb::AcknowledgementAnswer::NotHeld.into(),
                    text: String::new(),
                });
                self.send(other, (answer, handling(&[], &[])), true).await;
            }
        }
    }

    fn sees(&self, member: &str, said: &Said) -> bool {
        let reader =
            Reader { name: member.to_owned(), role: Role::Company, ..self.listener.clone() };
        oracle::may_read(&reader, said.author, &ReadBy::Chosen(said.reach.clone()))
    }

    fn hears(&self, author: &str, reach: &Reach) -> bool {
        oracle::may_read(&self.listener, author, &ReadBy::Chosen(reach.clone()))
    }

    async fn send(
        &mut self,
        author: &str,
        (content, handling): (Content, watchfire::model::handling::Handling),
        hidden: bool,
    ) -> RecordName {
        let (one, two, signer) = &self.senders[author];
        let said = draft(signer, content, handling);
        let name = said.name.clone();
        let envelope = signer.sign(said, one.now()).expect("a record");
        one.publish_one(envelope.clone()).await.expect("a receipt");
        if hidden {
            self.hidden += 1;
        } else {
            two.publish_one(envelope).await.expect("a receipt");
        }
        name
    }
}

fn any_reach(dice: &mut Dice) -> Reach {
    let all: [(&[&str], &[&str]); 9] = [
        (&["all"], &[]),
        (&["companies"], &[]),
        (&["observers"], &[]),
        (&["companies"], &["harbour-liaison"]),
        (&["observers"], &["birch-social", "dune-maps"]),
        (&[], &["birch-social"]),
        (&[], &["cedar-chat", "dune-maps"]),
        (&[], &["acme-video", "harbour-liaison"]),
        (&[], &[]),
    ];
    let (audiences, recipients) = dice.one_of(&all);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Reach { audiences: names(audiences), recipients: names(recipients) }
}

fn handling_of(reach: &Reach) -> watchfire::model::handling::Handling {
    let audiences: Vec<&str> = reach.audiences.iter().map(String::as_str).collect();
    let recipients: Vec<&str> = reach.recipients.iter().map(String::as_str).collect();
    watchfire::model::handling::Handling { tlp: Tlp::Amber, ..handling(&audiences, &recipients) }
}

/// Something to say; values, words and techniques are few, so that hidden records meet visible ones everywhere.
fn content(kind: usize, which: usize, target: Option<&Said>, dice: &mut Dice) -> Content {
    let of = target.map(|said| said.name.to_string()).unwrap_or_default();
    let text = format!("lanternfish number{}", dice.roll(4));
    let technique = pb::Technique {
        framework: "disarm".to_owned(),
        external_id: format!("T000{}", dice.roll(3)),
        ..pb::Technique::default()
    };
    let record = Some(pb::Reference { to: Some(pb::reference::To::Record(of.clone())) });
    let observable = pb::Observable {
        kind: pb::ObservableKind::Domain.into(),
        value: format!("host{which}.example"),
        ..pb::Observable::default()
    };
    let is_asset = target.is_some_and(|said| said.kind < 2);
    match kind {
        0 => Content::Indicator(pb::Indicator {
            observable: Some(observable),
            operation: of,
            techniques: vec![technique],
            description: text,
            ..pb::Indicator::default()
        }),
        2 if is_asset => Content::Sighting(pb::Sighting {
            of,
            count: 1,
            description: text,
            ..pb::Sighting::default()
        }),
        3 => Content::Opinion(pb::Opinion {
            of,
            stance: pb::Stance::Agree.into(),
            text,
            ..pb::Opinion::default()
        }),
        4 if is_asset => Content::ActionReport(pb::ActionReport {
            of,
            action: pb::Action::Removed.into(),
            text,
            ..pb::ActionReport::default()
        }),
        5 => Content::Inquiry(pb::Inquiry {
            about: record,
            question: text,
            ..pb::Inquiry::default()
        }),
        6 => Content::Link(pb::Link {
            source: record,
            target: Some(pb::Reference { to: Some(pb::reference::To::Value(observable)) }),
            r#type: pb::LinkType::Funds.into(),
            description: text,
            ..pb::Link::default()
        }),
        _ if target.is_some() && kind > 1 => Content::Note(pb::Note { about: of, text }),
        _ => Content::Operation(pb::Operation {
            title: text,
            techniques: vec![technique],
            target_regions: vec!["FR".to_owned()],
            ..pb::Operation::default()
        }),
    }
}

/// What one member is answered, as text, in the order in which it asked.
struct Heard {
    pool: DescriptorPool,
    answers: Vec<(String, String)>,
    /// Keys that it heard of, with whose they are.
    keys: Vec<(String, pb::Key)>,
}

impl Heard {
    fn new() -> Self {
        let pool = DescriptorPool::decode(watchfire::wire::DESCRIPTORS).expect("descriptors");
        Self { pool, answers: Vec::new(), keys: Vec::new() }
    }

    fn note<R: prost::Message>(
        &mut self,
        message: &str,
        asked: &str,
        answer: Result<Response<R>, Status>,
    ) -> Option<R> {
        let (text, said) = match answer {
            Ok(response) => {
                let said = response.into_inner();
                (self.text(message, &said), Some(said))
            }
            Err(status) => {
                let (code, details) = (status.code(), hex::encode(status.details()));
                (format!("{code:?} {} {details}", status.message()), None)
            }
        };
        self.answers.push((format!("{message} {asked}"), text));
        said
    }

    fn text<R: prost::Message>(&self, message: &str, said: &R) -> String {
        let descriptor = self.pool.get_message_by_name(&format!("watchfire.v1.{message}"));
        let bytes = said.encode_to_vec();
        let decoded = DynamicMessage::decode(descriptor.expect("a message"), bytes.as_slice());
        let mut decoded = decoded.expect("it decodes");
        strip(&mut decoded, APART);
        let bytes = decoded.encode_to_vec();
        format!("{decoded} {}", hex::encode(bytes))
    }
}

/// Leaves out what these fields say; that they are there still shows.
pub(crate) fn strip(message: &mut DynamicMessage, apart: &[&str]) {
    for field in message.descriptor().fields().collect::<Vec<_>>() {
        if !message.has_field(&field) {
            continue;
        }
        let is_apart = apart.contains(&field.name());
        match message.get_field_mut(&field) {
            Value::String(text) if is_apart => "left out".clone_into(text),
            Value::Bytes(bytes) if is_apart => *bytes = "left out".into(),
            Value::U64(number) if is_apart => *number = 1,
            Value::List(items) if is_apart => items.fill(Value::U64(1)),
            Value::Message(inner) if is_apart => inner.clear(),
            Value::Message(inner) => strip(inner, apart),
            Value::List(items) => {
                let messages = items.iter_mut().filter_map(Value::as_message_mut);
                messages.for_each(|inner| strip(inner, apart));
            }
            Value::Bool(_)
            | Value::I32(_)
            | Value::I64(_)
            | Value::U32(_)
            | Value::U64(_)
            | Value::F32(_)
            | Value::F64(_)
            | Value::String(_)
            | Value::Bytes(_)
            | Value::EnumNumber(_)
            | Value::Map(_) => {}
        }
    }
}

/// Asks everything that a member can ask, about names, values and words of both worlds.
async fn listen(client: &Client, listener: &str, said: &[Said]) -> Vec<(String, String)> {
    let mut heard = Heard::new();
    let mut queries = client.query_service();
    for name in said.iter().map(|said| said.name.to_string()) {
        let mut records = client.exchange_service();
        for name in [name.clone(), format!("{name}@1")] {
            let request = pb::GetRecordRequest { name: name.clone(), include_record: true };
            heard.note("GetRecordResponse", &name, records.get_record(request).await);
        }
        let request = pb::GetOperationRequest { name: name.clone() };
        heard.note("GetOperationResponse", &name, queries.get_operation(request).await);
        for (steps_max, nodes_max) in [(1, 1), (3, 1000)] {
            let start = Some(pb::list_links_request::Start::Record(name.clone()));
            let request = pb::ListLinksRequest { start, steps_max, nodes_max };
            heard.note("ListLinksResponse", &name, queries.list_links(request).await);
        }
        speak(client, &mut heard, &name).await;
    }
    pages(client, &mut heard, said).await;
    values(client, &mut heard).await;
    for to_answer in [false, true] {
        let mut request =
            pb::ListRecallsRequest { to_answer, page_size: 2, ..pb::ListRecallsRequest::default() };
        loop {
            let answer = queries.list_recalls(request.clone()).await;
            let page = heard.note("ListRecallsResponse", "", answer);
            request.page_token = page.map(|page| page.next_page_token).unwrap_or_default();
            if request.page_token.is_empty() {
                break;
            }
        }
    }
    let request = pb::GetLedgerRequest::default();
    heard.note("GetLedgerResponse", "", queries.get_ledger(request).await);
    let request = pb::ListAudiencesRequest::default();
    let audiences = client.audience_service().list_audiences(request).await;
    heard.note("ListAudiencesResponse", "", audiences);
    let mut roster = client.roster_service();
    let exchange = roster.get_exchange(pb::GetExchangeRequest {}).await;
    heard.note("GetExchangeResponse", "", exchange);
    let members = roster.list_members(pb::ListMembersRequest::default()).await;
    heard.note("ListMembersResponse", "", members);
    for (member, _role) in MEMBERS {
        about_member(client, &mut heard, member).await;
    }
    for scope in ["audiences/all", "audiences/companies", "audiences/observers"] {
        heads(client, &mut heard, scope).await;
    }
    let quota = roster.get_quota(pb::GetQuotaRequest {}).await;
    heard.note("GetQuotaResponse", "", quota);
    let techniques = queries.list_techniques(pb::ListTechniquesRequest::default()).await;
    heard.note("ListTechniquesResponse", "", techniques);
    let request = pb::ListMisbehaviorReportsRequest::default();
    let reports = client.transparency_service().list_misbehavior_reports(request).await;
    heard.note("ListMisbehaviorReportsResponse", "", reports);
    streams(client, &mut heard).await;
    subscription(client, listener, &mut heard).await;
    export(client, &mut heard).await;
    heard.answers
}

async fn about_member(client: &Client, heard: &mut Heard, member: &str) {
    let name = format!("members/{member}");
    let mut roster = client.roster_service();
    let request = pb::GetMemberRequest { name: name.clone() };
    heard.note("GetMemberResponse", &name, roster.get_member(request).await);
    let request = pb::ListKeysRequest { parent: name.clone(), ..pb::ListKeysRequest::default() };
    let keys = heard.note("ListKeysResponse", &name, roster.list_keys(request).await);
    let mut log = client.transparency_service();
    let request = pb::ListPublisherHeadsRequest {
        publisher: name.clone(),
        ..pb::ListPublisherHeadsRequest::default()
    };
    heard.note("ListPublisherHeadsResponse", &name, log.list_publisher_heads(request).await);
    heard.keys.extend(keys.into_iter().flat_map(|page| page.keys).map(|key| (name.clone(), key)));
}

/// What each publisher said in a scope, as those in it may count it.
async fn heads(client: &Client, heard: &mut Heard, scope: &str) {
    for (publisher, key) in heard.keys.clone() {
        let request = pb::ListPublisherEntriesRequest {
            publisher,
            key: key.name.rsplit_once('/').expect("a key has a name").1.to_owned(),
            scope: scope.to_owned(),
            page_size: 1000,
            ..pb::ListPublisherEntriesRequest::default()
        };
        let mut answer = client.transparency_service().list_publisher_entries(request).await;
        // Times, roots, and a digest over places as well.
        let listing = answer.as_mut().ok().and_then(|page| page.get_mut().listing.take());
        heard.note("ListPublisherEntriesResponse", scope, answer);
        let counted = listing.map(|signed| {
            pb::ListingStatement::decode(&*signed.statement).expect("a statement").count
        });
        heard.answers.push((format!("the count of {scope}"), format!("{counted:?}")));
    }
}

/// A durable subscription from its creation to its end.
async fn subscription(client: &Client, listener: &str, heard: &mut Heard) {
    let mut subscriptions = client.subscription_service();
    let name = format!("members/{listener}/subscriptions/hears-all");
    let from = pb::StartPoint::Start.into();
    let request = pb::CreateSubscriptionRequest {
        name: name.clone(),
        from,
        ..pb::CreateSubscriptionRequest::default()
    };
    let created = subscriptions.create_subscription(request).await;
    heard.note("CreateSubscriptionResponse", "", created);
    stream(client, heard, Start::Subscription(name), pb::Filter::default()).await;
    let listed = subscriptions.list_subscriptions(pb::ListSubscriptionsRequest::default()).await;
    heard.note("ListSubscriptionsResponse", "", listed);
}

/// All that it may see in a format of other tools.
async fn export(client: &Client, heard: &mut Heard) {
    let request =
        pb::ExportRequest { format: pb::ExportFormat::Stix.into(), ..pb::ExportRequest::default() };
    let answer = client.export_service().export(request).await;
    let mut parts = answer.expect("a stream").into_inner();
    let mut whole = Vec::new();
    while let Some(part) = parts.message().await.expect("a part") {
        whole.extend(part.chunk);
    }
    let mut bundle: serde_json::Value = serde_json::from_slice(&whole).expect("JSON");
    // Random; those of the objects are not.
    bundle["id"] = "left out".into();
    without_places(&mut bundle);
    heard.answers.push(("an export".to_owned(), bundle.to_string()));
}

/// Leaves out of JSON what depends on when and where an entry was taken; that it is there still shows.
fn without_places(json: &mut serde_json::Value) {
    match json {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                if EXPORTED_APART.contains(&name.as_str()) {
                    *value = "left out".into();
                }
                without_places(value);
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(without_places),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

/// What is said about a name that one may not see is refused alike; nothing is taken in, whatever the name is.
async fn speak(client: &Client, heard: &mut Heard, name: &str) {
    let signer = client.signer().expect("a key");
    // It reaches further than any record does, so that it is refused where the record may be seen, too.
    let wide = handling(&["q0nowher7k3v9q0z8m1x7c5b2n"], &[]);
    for handling in [wide, handling(&[], &["jetty-audit"])] {
        let note = Content::Note(pb::Note { about: name.to_owned(), text: "seen".to_owned() });
        let envelope = signer.sign(draft(&signer, note, handling), client.now()).expect("a record");
        let request =
            pb::PublishRequest { envelopes: vec![envelope], ..pb::PublishRequest::default() };
        let answer = client.exchange_service().publish(request).await;
        heard.note("PublishResponse", name, answer);
    }
}

async fn pages(client: &Client, heard: &mut Heard, said: &[Said]) {
    let operations = said.iter().filter(|said| said.kind == 1).map(|said| pb::Filter {
        operations: vec![said.name.to_string()],
        ..pb::Filter::default()
    });
    let kinds = (2..14).map(|kind| pb::Filter { body_kinds: vec![kind], ..pb::Filter::default() });
    for filter in operations.chain(kinds).chain([pb::Filter::default()]) {
        let mut page_token = String::new();
        loop {
            let request = pb::ListRecordsRequest {
                filter: Some(filter.clone()),
                page_size: 5,
                page_token,
                include_record: false,
            };
            let answer = client.exchange_service().list_records(request).await;
            let page = heard.note("ListRecordsResponse", &format!("{filter:?}"), answer);
            page_token = page.map(|page| page.next_page_token).unwrap_or_default();
            if page_token.is_empty() {
                break;
            }
        }
    }
    let words = (0..4).map(|number| format!("number{number}"));
    for text in words.chain(["lanternfish".to_owned()]) {
        let mut request = pb::SearchRecordsRequest {
            text: text.clone(),
            page_size: 4,
            ..pb::SearchRecordsRequest::default()
        };
        loop {
            let answer = client.query_service().search_records(request.clone()).await;
            let page = heard.note("SearchRecordsResponse", &text, answer);
            request.page_token = page.map(|page| page.next_page_token).unwrap_or_default();
            if request.page_token.is_empty() {
                break;
            }
        }
    }
    for number in 0..3 {
        let request = pb::SearchRecordsRequest {
            techniques: vec![format!("T000{number}")],
            ..pb::SearchRecordsRequest::default()
        };
        let answer = client.query_service().search_records(request).await;
        heard.note("SearchRecordsResponse", "a technique", answer);
    }
}

async fn values(client: &Client, heard: &mut Heard) {
    for which in 0..5 {
        let query =
            pb::ValueQuery { value: format!("host{which}.example"), ..pb::ValueQuery::default() };
        for matches_max in [1, 100] {
            let request = pb::LookupValuesRequest {
                queries: vec![query.clone()],
                matches_max,
                ..pb::LookupValuesRequest::default()
            };
            let answer = client.exchange_service().lookup_values(request).await;
            heard.note("LookupValuesResponse", &query.value, answer);
        }
        for nodes_max in [1, 1000] {
            let start = Some(pb::list_links_request::Start::Value(query.clone()));
            let request = pb::ListLinksRequest { start, steps_max: 4, nodes_max };
            let answer = client.query_service().list_links(request).await;
            heard.note("ListLinksResponse", &query.value, answer);
        }
    }
}

async fn streams(client: &Client, heard: &mut Heard) {
    for point in [pb::StartPoint::Start, pb::StartPoint::Snapshot] {
        for platforms in [vec![], vec!["x".to_owned()]] {
            let filter = pb::Filter { platforms, ..pb::Filter::default() };
            stream(client, heard, Start::From(point.into()), filter).await;
        }
    }
}

/// A stream in one piece: where frames are cut is a matter of place.
async fn stream(client: &Client, heard: &mut Heard, start: Start, filter: pb::Filter) {
    let asked = format!("{start:?}");
    // A durable subscription has its own filter.
    let filter = (!matches!(start, Start::Subscription(_))).then_some(filter);
    let request = pb::SubscribeRequest {
        start: Some(start),
        filter,
        include_record: true,
        until_head: true,
        ..pb::SubscribeRequest::default()
    };
    let answer = client.exchange_service().subscribe(request).await;
    let mut frames = answer.expect("a stream").into_inner();
    let mut whole = pb::SubscribeResponse::default();
    while let Some(frame) = frames.message().await.expect("a frame") {
        whole.entries.extend(frame.entries);
        whole.left_filter.extend(frame.left_filter);
        whole.mark = frame.mark.or(whole.mark);
    }
    heard.note("SubscribeResponse", &asked, Ok(Response::new(whole)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_may_not_see_changes_no_byte_of_what_it_is_answered() {
    let [commit, demand] = SEEDS;
    let mut trials = Trials::of("interference", commit, demand);
    let base = World::with_members_then_stopped(MEMBERS).await;
    while let Some(mut round) = trials.next() {
        let seed = round.number;
        let mut dice = Dice(seed);
        let listener = LISTENERS[usize::try_from(seed).expect("a number") % 3];
        let mut worlds = Worlds::open(&base, listener).await;
        let mut steps = 0;
        // Some seeds hide little at first: without enough there would be nothing to notice.
        while steps < STEPS || worlds.hidden <= STEPS / 4 {
            worlds.step(&mut dice).await;
            steps += 1;
        }
        let (one, two) =
            (worlds.with.client(listener.0).await, worlds.without.client(listener.0).await);
        let with = listen(&one, listener.0, &worlds.said).await;
        let without = listen(&two, listener.0, &worlds.said).await;
        for ((asked, said), (_, other)) in with.iter().zip(&without) {
            assert_eq!(said, other, "seed {seed}: {} is told by {asked}", listener.0);
        }
        assert_eq!(with.len(), without.len(), "seed {seed}: pages differ in number");
        worlds.with.finish();
        worlds.without.finish();
        round.note("answers", with.len());
        trials.keep(round);
    }
    trials.finish();
}
