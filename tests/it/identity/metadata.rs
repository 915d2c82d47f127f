//! What a caller says about itself beside its certificate has no effect (T-I8): every call of every service, asked by one
//! member with the headers of proxies, tokens and other hosts that name another, is answered with the same bytes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_reflect::DynamicMessage;
use prost_reflect::MessageDescriptor;
use watchfire::client::Client;
use watchfire::client::KeeperChange;
use watchfire::client::draw_audience;
use watchfire::wire::pb;
use watchfire::wire::pb::subscribe_request::Start;

use crate::identity::raw::Caller;
use crate::identity::raw::Guise;
use crate::identity::raw::Said;
use crate::interference::strip;
use crate::trials::Lane;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::operation;
use crate::world::publish_for;
use crate::world::sign;
use crate::world::withdrawal;

const MEMBERS: &[(&str, &str)] =
    &[("acme-video", "company"), ("birch-social", "company"), ("cedar-chat", "company")];
/// What differs from call to call whoever asks: times, and what is signed over them.
const TIMED: &[&str] = &["time", "statement", "statement_signature", "cursor", "lag_time"];
const PACKAGE: &str = "watchfire.v1";

/// A call, the message that it is asked with, and what it answers with.
struct Asked {
    path: String,
    message: Vec<u8>,
    answer: MessageDescriptor,
    /// Whether the member that is named in the guises is answered something else.
    tells: bool,
}

/// Who the caller would be, by everything that is believed elsewhere.
fn guises() -> Vec<Guise> {
    let mut all = Vec::new();
    for (member, serial) in [("acme-video", "01"), ("operator", "02"), ("hub", "03")] {
        let uri = format!("spiffe://spring.watchfire/members/{member}");
        let texts = [
            (
                "x-forwarded-client-cert",
                format!("By={uri};Hash=00;Subject=\"CN={member}\";URI={uri}"),
            ),
            ("x-client-cert", format!("-----BEGIN CERTIFICATE-----{serial}")),
            ("x-ssl-client-s-dn", format!("CN={member}")),
            ("x-ssl-client-verify", "SUCCESS".to_owned()),
            ("ssl-client-cert", serial.to_owned()),
            ("client-cert", format!(":{serial}:")),
            ("x-spiffe-id", uri.clone()),
            ("authorization", format!("Bearer {member}")),
            ("proxy-authorization", "Basic b3BlcmF0b3I6".to_owned()),
            ("cookie", format!("member={member}")),
            ("x-member", format!("members/{member}")),
            ("x-member-bin", "YWNtZS12aWRlbw".to_owned()),
            ("x-user", member.to_owned()),
            ("x-remote-user", member.to_owned()),
            ("x-forwarded-user", member.to_owned()),
            ("from", format!("{member}@spring.example")),
            ("forwarded", format!("for=127.0.0.1;host={member};by=_hidden")),
            ("x-forwarded-for", "127.0.0.1".to_owned()),
            ("x-forwarded-host", member.to_owned()),
            ("x-real-ip", "127.0.0.1".to_owned()),
            ("x-original-url", "/watchfire.v1.RosterService/ListMembers".to_owned()),
            ("x-http-method-override", "GET".to_owned()),
            ("user-agent", format!("watchfired/0.1 ({member}; internal)")),
            ("grpc-previous-rpc-attempts", "0".to_owned()),
            ("traceparent", "00-00000000000000000000000000000001-0000000000000001-01".to_owned()),
        ];
        all.extend(texts.iter().map(|field| Guise { fields: vec![field.clone()], ..plain() }));
        all.push(Guise { fields: texts.to_vec(), ..plain() });
        // Once from whom it is, and once from another: neither the first nor the last is taken.
        let twice = ["members/birch-social".to_owned(), format!("members/{member}")];
        let both = twice.map(|name| ("x-member", name));
        all.push(Guise { fields: both.to_vec(), ..plain() });
    }
    for authority in [
        "acme-video",
        "operator@hub",
        "localhost:1",
        "127.0.0.1",
        "[::1]:7443",
        "acme-video.spring",
    ] {
        all.push(Guise { authority, ..plain() });
        all.push(Guise { authority, fields: vec![("user-agent", String::new())] });
    }
    all
}

/// The same caller without a word about itself.
const fn plain() -> Guise {
    Guise { authority: "hub", fields: Vec::new() }
}

/// What each member has that the other has not.
async fn furnish(client: &Client, own: &str) -> (String, pb::Envelope) {
    let only = || handling(&[], &["cedar-chat"]);
    let (storm, _) = publish_for(client, operation(&format!("storm of {own}")), only()).await;
    publish_for(client, domain(&format!("hidden-{own}.example")), only()).await;
    let (gone, _) = publish_for(client, domain(&format!("gone-{own}.example")), only()).await;
    publish_for(client, withdrawal(&gone), handling(&[], &[])).await;
    let create = KeeperChange::Create {
        title: format!("Desk of {own}"),
        members: vec!["cedar-chat".parse().expect("a member")],
    };
    client.change_audience(&draw_audience().expect("a handle"), create).await.expect("a receipt");
    let request = pb::CreateSubscriptionRequest {
        name: format!("members/{own}/subscriptions/there"),
        ..pb::CreateSubscriptionRequest::default()
    };
    client.subscription_service().create_subscription(request).await.expect("a subscription");
    crate::reports::hand_in(client, own).await.expect("it is taken in");
    let signer = client.signer().expect("a key");
    let said = domain(&format!("said-{own}.example"));
    let envelope = sign(client, draft(&signer, said, handling(&["companies"], &[])));
    client.publish_one(envelope.clone()).await.expect("a receipt");
    (storm.to_string(), envelope)
}

/// Questions that its asker decides the answer of, by call. What acme has stands in them: birch is told nothing of it.
fn telling(storm: &str, envelope: pb::Envelope) -> BTreeMap<&'static str, Vec<u8>> {
    let name = || storm.to_owned();
    let start = Some(pb::list_links_request::Start::Record(name()));
    let value = "hidden-acme-video.example".to_owned();
    let query = pb::ValueQuery { value, ..pb::ValueQuery::default() };
    let there = || "members/acme-video/subscriptions/there".to_owned();
    let replay = pb::SubscribeRequest {
        start: Some(Start::From(pb::StartPoint::Start.into())),
        until_head: true,
        ..pb::SubscribeRequest::default()
    };
    let stix = pb::ExportRequest { filter: None, format: pb::ExportFormat::Stix.into() };
    let envelopes = vec![envelope];
    let streamed = pb::PublishStreamRequest {
        envelopes: envelopes.clone(),
        ..pb::PublishStreamRequest::default()
    };
    let published = pb::PublishRequest { envelopes, ..pb::PublishRequest::default() };
    let create =
        pb::CreateSubscriptionRequest { name: there(), ..pb::CreateSubscriptionRequest::default() };
    [
        ("Publish", published.encode_to_vec()),
        ("PublishStream", streamed.encode_to_vec()),
        ("Subscribe", replay.encode_to_vec()),
        ("GetRecord", pb::GetRecordRequest { name: name(), include_record: true }.encode_to_vec()),
        ("ListRecords", pb::ListRecordsRequest::default().encode_to_vec()),
        (
            "LookupValues",
            pb::LookupValuesRequest { queries: vec![query], ..pb::LookupValuesRequest::default() }
                .encode_to_vec(),
        ),
        ("GetOperation", pb::GetOperationRequest { name: name() }.encode_to_vec()),
        (
            "ListLinks",
            pb::ListLinksRequest { start, ..pb::ListLinksRequest::default() }.encode_to_vec(),
        ),
        (
            "SearchRecords",
            pb::SearchRecordsRequest {
                text: "storm".to_owned(),
                ..pb::SearchRecordsRequest::default()
            }
            .encode_to_vec(),
        ),
        ("ListRecalls", pb::ListRecallsRequest::default().encode_to_vec()),
        ("ListAudiences", pb::ListAudiencesRequest::default().encode_to_vec()),
        ("ListSubscriptions", pb::ListSubscriptionsRequest::default().encode_to_vec()),
        ("CreateSubscription", create.encode_to_vec()),
        ("ListMisbehaviorReports", pb::ListMisbehaviorReportsRequest::default().encode_to_vec()),
        ("Export", stix.encode_to_vec()),
    ]
    .into()
}

/// Every call of every service, found in the descriptors.
fn every_call(telling: &BTreeMap<&'static str, Vec<u8>>) -> Vec<Asked> {
    let pool = DescriptorPool::decode(watchfire::wire::DESCRIPTORS).expect("descriptors");
    let mut all = Vec::new();
    for service in pool.services().filter(|service| service.package_name() == PACKAGE) {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            let answer = method.output();
            let tells = telling.get(method.name());
            let message = tells.cloned().unwrap_or_default();
            all.push(Asked { path, message, answer, tells: tells.is_some() });
        }
    }
    all
}

/// An answer with every message taken apart, and without what is of the moment.
fn without_times(said: Said, of: &MessageDescriptor) -> Said {
    let mut rest = said.body.as_slice();
    // A bundle is given an id of its own each time that it is made.
    let bundle = b"\"bundle--";
    let mut body = Vec::new();
    while let [_flag, a, b, c, d, more @ ..] = rest {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).expect("a length");
        let (message, behind) = more.split_at(length);
        let mut message = DynamicMessage::decode(of.clone(), message).expect("a message");
        strip(&mut message, TIMED);
        let mut message = message.encode_to_vec();
        if let Some(at) = message.windows(bundle.len()).position(|window| window == bundle) {
            message.drain(at + bundle.len()..at + bundle.len() + 36);
        }
        body.extend(message);
        rest = behind;
    }
    Said { body, ..said }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_says_about_itself_changes_no_byte_of_any_answer() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let (storm, envelope) = furnish(&acme, "acme-video").await;
    furnish(&birch, "birch-social").await;
    let calls = every_call(&telling(&storm, envelope));
    assert_eq!(calls.iter().filter(|asked| asked.tells).count(), 15, "each of them is a call");
    let (caller, named) =
        (Caller::of(&world, "birch-social").await, Caller::of(&world, "acme-video").await);
    let all = guises();
    // With every change each call meets a part of them, and each of them some calls; on demand all meet all.
    let every = Lane::of_this_run().choose(8, 1, 1);
    let (mut alike, mut met) = (0_usize, BTreeSet::new());
    for (number, asked) in calls.iter().enumerate() {
        let ask = async |caller: &Caller, guise: &Guise| {
            let said = caller.call(guise, &asked.path, &asked.message).await;
            without_times(said, &asked.answer)
        };
        let own = ask(&caller, &plain()).await;
        assert_eq!(own.status, 200, "{}: {own:?}", asked.path);
        for (place, guise) in all.iter().enumerate().skip(number % every).step_by(every) {
            assert_eq!(ask(&caller, guise).await, own, "{} as {guise:?}", asked.path);
            alike += 1;
            met.insert(place);
        }
        // The control: by the certificate of the member that was named, the answer is another.
        let another = ask(&named, &plain()).await;
        assert!(another != own || !asked.tells, "{}: {own:?} for both", asked.path);
    }
    assert_eq!(met.len(), all.len(), "every guise was tried");
    println!("{} calls, {} guises, {alike} answers alike", calls.len(), all.len());
    world.finish();
}
