//! What bad input gets: each case through a real connection, answered with the documented code and reason, with the
//! log unchanged.

use bytes::Bytes;
use prost::Message as _;
use tonic::Code;
use tonic::Status;
use watchfire::client::Client;
use watchfire::client::Draft;
use watchfire::client::Signer;
use watchfire::model::filter::Filter;
use watchfire::model::header::HEADER_PAYLOAD_TYPE;
use watchfire::model::limits;
use watchfire::model::names::ExchangeName;
use watchfire::model::names::MemberId;
use watchfire::model::reason::Reason;
use watchfire::profile::OwnKey;
use watchfire::profile::Profile;
use watchfire::signing::SecretKey;
use watchfire::wire::pb;

use crate::backup::begin_in;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::in_seconds;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::replay;
use crate::world::sign;
use crate::world::withdrawal;

const MEMBERS: &[(&str, &str)] =
    &[("acme-video", "company"), ("birch-social", "company"), ("harbour-liaison", "observer")];

/// Publishes one envelope as it is; the reason for which it was refused, or the receipt.
async fn offer(client: &Client, envelope: pb::Envelope) -> Result<pb::Receipt, pb::Refusal> {
    let request = pb::PublishRequest { envelopes: vec![envelope], ..pb::PublishRequest::default() };
    let answer = client.exchange_service().publish(request).await.expect("an answer").into_inner();
    let [result] = answer.results.as_slice() else {
        panic!("one result for one record");
    };
    match result.outcome.clone().expect("an outcome") {
        pb::publish_result::Outcome::Receipt(receipt) => Ok(receipt),
        pb::publish_result::Outcome::Refusal(refusal) => Err(refusal),
    }
}

/// The record is refused for this reason, with its code, and the log stays as it was.
#[track_caller]
fn check(client: &Client, envelope: pb::Envelope, expected: Reason) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    let client = client.clone();
    async move {
        let before = head(&client).await;
        let refusal = match offer(&client, envelope).await {
            Ok(receipt) => panic!("{place}: taken at {}", receipt.sequence),
            Err(refusal) => refusal,
        };
        assert_eq!(refusal.reason, expected.as_str(), "{place}: {}", refusal.message);
        assert_eq!(refusal.code, expected.code().number(), "{place}");
        assert!(!refusal.message.is_empty(), "{place}");
        assert_eq!(head(&client).await, before, "{place}: the log has grown");
    }
}

#[track_caller]
fn demand_status(status: &Status, code: Code, reason: Reason) {
    let info = tonic_types::StatusExt::get_details_error_info(status).expect("a reason");
    assert_eq!((status.code(), info.reason.as_str()), (code, reason.as_str()), "{status}");
    assert_eq!(info.domain, "watchfire");
}

fn good(client: &Client) -> Draft {
    draft(&client.signer().expect("a key"), domain("one.example"), handling(&["companies"], &[]))
}

/// Signs header bytes whatever they are.
fn sign_bytes(client: &Client, payload: Vec<u8>, body: Bytes) -> pb::Envelope {
    let key = client.profile().key(OwnKey::Signing).expect("a key");
    let sig = key.sign(HEADER_PAYLOAD_TYPE, &payload);
    pb::Envelope {
        payload_type: HEADER_PAYLOAD_TYPE.to_owned(),
        payload: payload.into(),
        signatures: vec![pb::Signature {
            keyid: key.id().to_string(),
            sig: Bytes::copy_from_slice(&sig),
        }],
        body,
    }
}

/// A good record whose header was changed before it was signed.
pub(crate) fn with_header(client: &Client, change: impl FnOnce(&mut pb::Header)) -> pb::Envelope {
    let envelope = sign(client, good(client));
    let mut header = pb::Header::decode(envelope.payload.clone()).expect("a header");
    change(&mut header);
    sign_bytes(client, header.encode_to_vec(), envelope.body)
}

/// A good record whose body was changed before it was signed.
fn with_body(client: &Client, change: impl FnOnce(&mut Vec<u8>)) -> pb::Envelope {
    let envelope = sign(client, good(client));
    let mut body = envelope.body.to_vec();
    change(&mut body);
    let mut header = pb::Header::decode(envelope.payload).expect("a header");
    header.body_digest = watchfire::model::names::sha256(&body).to_vec();
    sign_bytes(client, header.encode_to_vec(), body.into())
}

/// A good record of a domain whose observable was changed before it was signed.
fn with_observable(client: &Client, change: fn(&mut pb::Observable)) -> pb::Envelope {
    let mut observable = pb::Observable {
        kind: pb::ObservableKind::Domain.into(),
        value: "one.example".to_owned(),
        ..pb::Observable::default()
    };
    change(&mut observable);
    let indicator = pb::Indicator { observable: Some(observable), ..pb::Indicator::default() };
    let mut body = vec![0x0a, 0x20];
    body.extend([7; 32]);
    let content = pb::body::Content::Indicator(indicator);
    body.extend(pb::Body { salt: Vec::new(), content: Some(content) }.encode_to_vec());
    with_body(client, |bytes| *bytes = body)
}

fn flipped(bytes: &Bytes, at: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    *bytes.get_mut(at).expect("a byte") ^= 1;
    bytes.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_bit_anywhere_is_refused() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let envelope = sign(&acme, good(&acme));
    let nonce_at = envelope.payload.len() - 40;
    let payload = flipped(&envelope.payload, nonce_at);
    let tampered = pb::Envelope { payload, ..envelope.clone() };
    let refusal = offer(&acme, tampered).await.expect_err("a refusal");
    let either = [Reason::BadSignature.as_str(), Reason::BodyDigestMismatch.as_str()];
    assert!(either.contains(&refusal.reason.as_str()), "{refusal:?}");
    let mut nonce = pb::Header::decode(envelope.payload.clone()).expect("a header");
    nonce.nonce[3] ^= 1;
    let payload = nonce.encode_to_vec().into();
    check(&acme, pb::Envelope { payload, ..envelope.clone() }, Reason::BadSignature).await;
    let mut signed = envelope.clone();
    signed.signatures[0].sig = flipped(&signed.signatures[0].sig, 40);
    check(&acme, signed, Reason::BadSignature).await;
    let body = flipped(&envelope.body, envelope.body.len() - 1);
    check(&acme, pb::Envelope { body, ..envelope.clone() }, Reason::BodyDigestMismatch).await;
    let payload_type = "application/vnd.watchfire.header.v2+protobuf".to_owned();
    check(&acme, pb::Envelope { payload_type, ..envelope.clone() }, Reason::UnsupportedField).await;
    let signatures = Vec::new();
    check(&acme, pb::Envelope { signatures, ..envelope.clone() }, Reason::MalformedEnvelope).await;
    let signatures = vec![envelope.signatures[0].clone(); 100];
    check(&acme, pb::Envelope { signatures, ..envelope }, Reason::MalformedEnvelope).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_publishes_as_another() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let stolen = sign(&acme, good(&acme));
    check(&birch, stolen, Reason::SignerIsNotCaller).await;
    // Birch's name, acme's key; and acme's name, birch's key.
    let birch_id: MemberId = "birch-social".parse().expect("a name");
    let acme_id: MemberId = "acme-video".parse().expect("a name");
    let exchange = birch.pin().exchange().clone();
    let acme_key = acme.profile().key(OwnKey::Signing).expect("a key");
    let birch_key = birch.profile().key(OwnKey::Signing).expect("a key");
    for (member, key) in [(birch_id, acme_key), (acme_id, birch_key)] {
        let signer = Signer::new(exchange.clone(), member, key);
        let draft = draft(&signer, domain("one.example"), handling(&[], &[]));
        let envelope = signer.sign(draft, birch.now()).expect("a record");
        check(&birch, envelope, Reason::SignerIsNotCaller).await;
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_do_not_sign_here_are_refused() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let member: MemberId = "acme-video".parse().expect("a name");
    let exchange = acme.pin().exchange().clone();
    let signed_by = |key: SecretKey| {
        let signer = Signer::new(exchange.clone(), member.clone(), key);
        let draft = draft(&signer, domain("one.example"), handling(&[], &[]));
        signer.sign(draft, acme.now()).expect("a record")
    };
    let unknown = SecretKey::generate().expect("a key");
    check(&acme, signed_by(unknown), Reason::KeyNotValid).await;
    let recovery = acme.profile().key(OwnKey::Recovery).expect("a key");
    check(&acme, signed_by(recovery), Reason::KeyNotValid).await;
    let short_lived = SecretKey::generate().expect("a key");
    let signer = acme.signer().expect("a key");
    acme.add_key(&signer, &short_lived).await.expect("a receipt");
    acme.retire_key(&signer, short_lived.id(), None).await.expect("a receipt");
    check(&acme, signed_by(short_lived), Reason::KeyNotValid).await;

    // A key of small order: anyone could sign for it.
    let small =
        "302a300506032b6570032100c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
    let key =
        pb::PublicKey { spki: hex::decode(small).expect("hex"), possession_proof: vec![0; 64] };
    let change = pb::KeyChange { change: Some(pb::key_change::Change::Add(key)) };
    let content = pb::body::Content::KeyChange(change);
    let weak = sign(&acme, draft(&signer, content, handling(&[], &[])));
    check(&acme, weak, Reason::FieldInvalid).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_header_must_not_say_is_refused() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let handle = |change: fn(&mut pb::Handling)| {
        with_header(&acme, |header| change(header.handling.as_mut().expect("a handling")))
    };
    let other = ExchangeName::from_name("exchanges/autumn-0123456789abcdef").expect("a name");
    check(
        &acme,
        with_header(&acme, |header| header.exchange = other.name()),
        Reason::WrongExchange,
    )
    .await;
    check(&acme, handle(|handling| handling.tlp = 0), Reason::TlpMissing).await;
    check(&acme, handle(|handling| handling.tlp = 99), Reason::UnsupportedField).await;
    check(&acme, handle(|handling| handling.tlp = pb::Tlp::Red.into()), Reason::FieldInvalid).await;
    check(
        &acme,
        handle(|handling| handling.audiences = vec!["audiences/nobody-knows".to_owned()]),
        Reason::AudienceForbidden,
    )
    .await;
    check(
        &acme,
        handle(|handling| handling.recipients = vec!["members/nobody-here".to_owned()]),
        Reason::FieldInvalid,
    )
    .await;
    check(
        &acme,
        handle(|handling| handling.recipients = vec!["members/operator".to_owned()]),
        Reason::FieldInvalid,
    )
    .await;
    let ahead = in_seconds(&acme, 660);
    let ahead = watchfire::wire::time::timestamp_to_wire(ahead);
    check(&acme, with_header(&acme, |header| header.create_time = Some(ahead)), Reason::ClockSkew)
        .await;
    check(&acme, with_header(&acme, |header| header.body_kind = 24), Reason::UnsupportedField)
        .await;
    check(&acme, with_header(&acme, |header| header.body_kind = 3), Reason::FieldInvalid).await;
    check(&acme, with_header(&acme, |header| header.nonce.clear()), Reason::FieldInvalid).await;
    let envelope = sign(&acme, good(&acme));
    let unknown = [envelope.payload.as_ref(), &[0xf8, 0x01, 0x01]].concat();
    check(&acme, sign_bytes(&acme, unknown, envelope.body), Reason::UnsupportedField).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_true_is_refused_by_the_hub_too() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let observable = |change| with_observable(&acme, change);
    let backwards = observable(|observable| {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        observable.kind = pb::ObservableKind::Ad.into();
        observable.advertisement = Some(pb::Advertisement {
            run_start_time: at(1_500_000_000),
            run_end_time: at(1_400_000_000),
            ..pb::Advertisement::default()
        });
    });
    check(&acme, backwards, Reason::FieldInvalid).await;
    let unnamed = observable(|observable| {
        observable.kind = pb::ObservableKind::MediaHash.into();
        observable.value = "ab".repeat(32);
    });
    check(&acme, unnamed, Reason::FieldInvalid).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_body_must_not_say_is_refused_and_what_nobody_knows_is_kept() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    check(&acme, with_body(&acme, |body| body[1] = 0x1f), Reason::FieldInvalid).await;
    let invalid_utf8 = with_body(&acme, |body| {
        let at = body.windows(3).position(|window| window == b"one").expect("the value");
        body[at] = 0xff;
    });
    check(&acme, invalid_utf8, Reason::MalformedEnvelope).await;
    let signer = acme.signer().expect("a key");
    let observable = |change| with_observable(&acme, change);
    check(&acme, observable(|observable| observable.kind = 99), Reason::UnsupportedField).await;
    check(&acme, observable(|observable| observable.value = "t.".to_owned()), Reason::FieldInvalid)
        .await;
    check(
        &acme,
        observable(|observable| observable.value = "v".repeat(3000)),
        Reason::FieldInvalid,
    )
    .await;
    let uneven = observable(|observable| {
        let exact = |number| Some(pb::Figure { value: Some(pb::figure::Value::Exact(number)) });
        let of = pb::ObservableKind::Account.into();
        let part = pb::AggregatePart { of, platform: String::new(), count: exact(57) };
        observable.kind = pb::ObservableKind::Aggregate.into();
        observable.value = String::new();
        observable.aggregate = Some(pb::Aggregate { of, count: exact(58), parts: vec![part] });
    });
    check(&acme, uneven, Reason::CountsDoNotAdd).await;
    let unpaid = observable(|observable| {
        let spend = Some(pb::Figure { value: Some(pb::figure::Value::Exact(120_050)) });
        observable.kind = pb::ObservableKind::Ad.into();
        observable.advertisement =
            Some(pb::Advertisement { spend, ..pb::Advertisement::default() });
    });
    check(&acme, unpaid, Reason::FieldInvalid).await;

    let unknown = with_body(&acme, |body| body.extend([0xf8, 0x3f, 0x01]));
    let receipt = offer(&acme, unknown.clone()).await.expect("a receipt");
    let seen = replay(&acme, Filter::default()).await;
    let kept = seen.iter().find(|entry| entry.sequence() == receipt.sequence).expect("the record");
    assert_eq!(kept.envelope(), &unknown, "unknown fields of a body are kept");

    // A withdrawal and a change of keys have one revision and no audience of their own.
    let (name, _) = publish(&acme, domain("two.example")).await;
    let widened = sign(&acme, draft(&signer, withdrawal(&name), handling(&["all"], &[])));
    check(&acme, widened, Reason::FieldInvalid).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_follow_their_rules() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let first = good(&acme);
    let envelope = sign(&acme, first.clone());
    let receipt = acme.publish_one(envelope.clone()).await.expect("a receipt");
    let other = sign(&acme, Draft { content: domain("other.example"), ..first.clone() });
    // The hub keeps the second header, once; after that nothing more.
    let refusal = offer(&acme, other.clone()).await.expect_err("a refusal");
    assert_eq!(refusal.reason, Reason::RevisionConflict.as_str());
    assert_eq!(head(&acme).await, receipt.sequence + 2);
    check(&acme, other, Reason::RevisionConflict).await;
    let again = offer(&acme, envelope).await.expect("a receipt");
    assert!(again.repeated, "the first stands");
    assert_eq!(again.sequence, receipt.sequence);

    let second = |previous| Draft { previous: Some(previous), ..first.clone() };
    check(&acme, sign(&acme, second((1, [9; 32]))), Reason::PredecessorMismatch).await;
    check(&acme, sign(&acme, second((2, receipt.header_digest))), Reason::PredecessorMismatch)
        .await;
    let narrow =
        Draft { handling: handling(&[], &["birch-social"]), ..second((1, receipt.header_digest)) };
    check(&acme, sign(&acme, narrow), Reason::ReachNarrowed).await;
    let kind = Draft { content: operation("Lantern"), ..second((1, receipt.header_digest)) };
    check(&acme, sign(&acme, kind), Reason::PredecessorMismatch).await;

    let theirs =
        draft(&birch.signer().expect("a key"), withdrawal(&receipt.name), handling(&[], &[]));
    check(&birch, sign(&birch, theirs), Reason::NotOwner).await;
    publish_for(&acme, withdrawal(&receipt.name), handling(&[], &[])).await;
    check(&acme, sign(&acme, second((1, receipt.header_digest))), Reason::RecordWithdrawn).await;
    let twice =
        draft(&acme.signer().expect("a key"), withdrawal(&receipt.name), handling(&[], &[]));
    check(&acme, sign(&acme, twice), Reason::RecordWithdrawn).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_bind() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let liaison = world.client("harbour-liaison").await;
    let operator = world.client("operator").await;
    check(&liaison, sign(&liaison, good(&liaison)), Reason::RoleForbids).await;
    check(&operator, sign(&operator, good(&operator)), Reason::RoleForbids).await;
    let suspend = pb::RosterChange {
        member: "members/birch-social".to_owned(),
        change: Some(pb::roster_change::Change::Suspend(pb::Suspension::default())),
    };
    let content = pb::body::Content::RosterChange(suspend);
    let coup = draft(&acme.signer().expect("a key"), content, handling(&[], &[]));
    check(&acme, sign(&acme, coup), Reason::RoleForbids).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_before_the_transport_does() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let before = head(&acme).await;
    let envelope = sign(&acme, good(&acme));
    let mut huge = envelope.clone();
    huge.body = vec![7; limits::ENVELOPE_BYTES_MAX].into();
    check(&acme, huge.clone(), Reason::RecordTooLarge).await;

    let mut service = acme.exchange_service();
    let many = vec![envelope.clone(); limits::BATCH_RECORDS_MAX + 1];
    let status = service
        .publish(pb::PublishRequest { envelopes: many, ..pb::PublishRequest::default() })
        .await
        .expect_err("a refusal");
    demand_status(&status, Code::ResourceExhausted, Reason::BatchTooLarge);
    let heavy = vec![huge; 20];
    let status = service
        .publish(pb::PublishRequest { envelopes: heavy, ..pb::PublishRequest::default() })
        .await
        .expect_err("a refusal");
    demand_status(&status, Code::ResourceExhausted, Reason::BatchTooLarge);
    let mut message = envelope;
    message.body = vec![7; 8 * 1024 * 1024].into();
    let status = service
        .publish(pb::PublishRequest { envelopes: vec![message], ..pb::PublishRequest::default() })
        .await
        .expect_err("a refusal");
    assert_eq!(
        status.code(),
        Code::OutOfRange,
        "past our own checks the transport's limit holds: {status}"
    );

    let queries = vec![pb::ValueQuery::default(); 10_000];
    let request = pb::LookupValuesRequest { queries, ..pb::LookupValuesRequest::default() };
    let status = service.lookup_values(request).await.expect_err("a refusal");
    demand_status(&status, Code::ResourceExhausted, Reason::BatchTooLarge);
    let request = pb::ListRecordsRequest { page_size: 1001, ..pb::ListRecordsRequest::default() };
    let status = service.list_records(request).await.expect_err("a refusal");
    demand_status(&status, Code::InvalidArgument, Reason::FieldInvalid);
    assert_eq!(head(&acme).await, before);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_and_tokens_serve_only_where_they_were_made() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    for number in 0..3 {
        publish(&acme, domain(&format!("n{number}.example"))).await;
    }
    let subscribe = |client: &Client, start, filter| {
        let mut service = client.exchange_service();
        async move {
            let request = pb::SubscribeRequest {
                start: Some(start),
                filter,
                until_head: true,
                ..pb::SubscribeRequest::default()
            };
            match service.subscribe(request).await {
                Ok(answer) => answer.into_inner().message().await,
                Err(status) => Err(status),
            }
        }
    };
    let from_start = pb::subscribe_request::Start::From(pb::StartPoint::Now.into());
    let frame = subscribe(&acme, from_start, None).await.expect("a frame").expect("a frame");
    let cursor = frame.mark.expect("a mark").cursor;
    let start = |cursor: &[u8]| pb::subscribe_request::Start::Cursor(cursor.to_vec());
    assert!(subscribe(&acme, start(&cursor), None).await.is_ok());

    let status = subscribe(&birch, start(&cursor), None).await.expect_err("a refusal");
    demand_status(&status, Code::InvalidArgument, Reason::CursorInvalid);
    let filter = Some(pb::Filter { platforms: vec!["x".to_owned()], ..pb::Filter::default() });
    let status = subscribe(&acme, start(&cursor), filter).await.expect_err("a refusal");
    demand_status(&status, Code::InvalidArgument, Reason::CursorFilterMismatch);
    let mut forged = cursor.clone();
    forged[8] ^= 1;
    let status = subscribe(&acme, start(&forged), None).await.expect_err("a refusal");
    demand_status(&status, Code::InvalidArgument, Reason::CursorInvalid);
    let ahead = pb::subscribe_request::Start::Sequence(1_000_000);
    let status = subscribe(&acme, ahead, None).await.expect_err("a refusal");
    demand_status(&status, Code::OutOfRange, Reason::CursorAhead);

    let elsewhere = World::with(MEMBERS).await;
    let stranger = elsewhere.client("acme-video").await;
    let status = subscribe(&stranger, start(&cursor), None).await.expect_err("a refusal");
    demand_status(&status, Code::InvalidArgument, Reason::CursorInvalid);

    let list = |client: &Client, page_token: String| {
        let mut service = client.exchange_service();
        async move {
            let request = pb::ListRecordsRequest {
                page_size: 1,
                page_token,
                ..pb::ListRecordsRequest::default()
            };
            service.list_records(request).await
        }
    };
    let token = list(&acme, String::new()).await.expect("a page").into_inner().next_page_token;
    assert!(list(&acme, token.clone()).await.is_ok());
    let status = list(&birch, token).await.expect_err("a refusal");
    demand_status(&status, Code::InvalidArgument, Reason::PageTokenInvalid);
    elsewhere.finish();
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_a_member_on_the_roster_gets_nothing() {
    // Two exchanges with one title have one trust domain; the second's operator certifies a member that the
    // first never admitted, with the first's authority.
    let world = World::with(MEMBERS).await;
    let stranger: MemberId = "sly-stranger".parse().expect("a name");
    let operator = Profile::open(&world.profile_folder("operator")).expect("a profile");
    let request = watchfire::pki::CertificateRequest::generate("sly-stranger").expect("a request");
    let authority = operator.authority().expect("an authority");
    let now = watchfire::model::time::Clock::now(&watchfire::model::time::SystemClock::default());
    let ca_key =
        std::fs::read_to_string(world.profile_folder("operator").join("ca.key")).expect("a key");
    let authority =
        watchfire::pki::CertificateAuthority::from_pem(authority.certificate_pem(), &ca_key);
    let issued = authority
        .expect("an authority")
        .issue_member(
            &operator.settings().trust_domain,
            &stranger,
            &request.request_pem,
            watchfire::profile::validity(now, 1),
        )
        .expect("a certificate");
    let tls = watchfire::tls::ClientTls {
        ca_pem: operator.ca_pem().expect("a CA"),
        certificate_pem: issued.certificate_pem,
        key_pem: request.key_pem.to_string(),
        server_name: "localhost".to_owned(),
    };
    let channel = watchfire::tls::connect(&world.address(), &tls).await.expect("a connection");
    let mut roster = pb::roster_service_client::RosterServiceClient::new(channel.clone());
    let status = roster.get_exchange(pb::GetExchangeRequest {}).await.expect_err("a refusal");
    demand_status(&status, Code::PermissionDenied, Reason::NotAMember);
    let mut exchange = pb::exchange_service_client::ExchangeServiceClient::new(channel);
    let status = exchange.subscribe(pb::SubscribeRequest::default()).await.expect_err("a refusal");
    demand_status(&status, Code::PermissionDenied, Reason::NotAMember);
    let status = exchange.publish(pb::PublishRequest::default()).await.expect_err("a refusal");
    demand_status(&status, Code::PermissionDenied, Reason::NotAMember);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_epoch_is_refused() {
    let mut world = World::with(MEMBERS).await;
    let request = |start| pb::SubscribeRequest {
        start: Some(start),
        until_head: true,
        ..pb::SubscribeRequest::default()
    };
    let subscribe = |client: &Client, start| {
        let mut service = client.exchange_service();
        async move { service.subscribe(request(start)).await?.into_inner().message().await }
    };
    let now = pb::subscribe_request::Start::From(pb::StartPoint::Now.into());
    let acme = world.client("acme-video").await;
    let frame = subscribe(&acme, now.clone()).await.expect("a frame").expect("a frame");
    let cursor = pb::subscribe_request::Start::Cursor(frame.mark.expect("a mark").cursor);
    world.stop();
    let operator = Profile::open(&world.profile_folder("operator")).expect("a profile");
    begin_in(&world, &operator, 2);
    world.start(&[]).await;
    demand(&world.watchfire("acme-video", &["epoch", "accept"]));
    let acme = world.client("acme-video").await;
    let status = subscribe(&acme, cursor.clone()).await.expect_err("a refusal");
    demand_status(&status, Code::OutOfRange, Reason::CursorOtherEpoch);
    let frame = subscribe(&acme, now).await.expect("a frame").expect("a frame");
    assert_eq!(frame.mark.expect("a mark").epoch, 2);
    // Who says that it has accepted the epoch goes on where it stood, and who names another does not.
    for (epoch, is_taken) in [(2, true), (1, false), (3, false)] {
        let own = pb::SubscribeRequest { epoch, ..request(cursor.clone()) };
        let answer = acme.exchange_service().subscribe(own).await;
        assert_eq!(answer.is_ok(), is_taken, "{epoch}");
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_publishes_serves_reads_and_recovers_by_space_alone() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (name, before) = publish(&acme, domain("kept.example")).await;
    let record = good(&acme);
    world.stop();
    let config = world.data().join("watchfired.toml");
    let roomy = std::fs::read_to_string(&config).expect("a configuration");
    let guarded = format!("{roomy}\n[store]\nmin_free_bytes = {}\n", i64::MAX);
    std::fs::write(&config, guarded).expect("a configuration");
    world.start(&[]).await;
    let acme = world.client("acme-video").await;
    let envelope = sign(&acme, record);
    for _again in 0..3 {
        check(&acme, envelope.clone(), Reason::StoreFull).await;
    }
    let told = world.log_text().matches("the disk is full").count();
    assert_eq!(told, 1, "an alarm is told once");
    let seen = replay(&world.client("birch-social").await, Filter::default()).await;
    assert!(seen.iter().any(|entry| entry.sequence() == before && entry.header().name == name));
    world.stop();
    std::fs::write(&config, roomy).expect("a configuration");
    world.start(&[]).await;
    let acme = world.client("acme-video").await;
    assert_eq!(offer(&acme, envelope).await.expect("a receipt").sequence, before + 1);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_opens_so_many_streams_and_no_more() {
    let world = World::with(MEMBERS).await;
    let mut streams = Vec::new();
    // Several connections: each has a limit of its own, and the member's is over all of them.
    let mut birch = world.client("birch-social").await;
    for number in 1..=limits::STREAMS_PER_MEMBER_MAX {
        if number % 50 == 0 {
            birch = world.client("birch-social").await;
        }
        let stream = birch.exchange_service().subscribe(pb::SubscribeRequest::default()).await;
        streams.push(stream.expect("a stream"));
    }
    let one_more = || async {
        let request = pb::SubscribeRequest::default();
        birch.exchange_service().subscribe(request).await.map(drop)
    };
    let status = one_more().await.expect_err("a refusal");
    demand_status(&status, Code::ResourceExhausted, Reason::TooManyStreams);
    let acme = world.client("acme-video").await;
    publish(&acme, domain("others.example")).await;
    streams.truncate(limits::STREAMS_PER_MEMBER_MAX - 1);
    crate::world::until("a place is free again", || async { one_more().await.ok() }).await;
    drop(streams);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_never_reads_costs_bounded_memory() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let signer = acme.signer().expect("a key");
    let content = pb::body::Content::Operation(pb::Operation {
        title: "Lantern".to_owned(),
        narratives: vec!["n".repeat(4000); 2],
        ..pb::Operation::default()
    });
    let batch = |count: usize| -> Vec<pb::Envelope> {
        let record =
            |_number| sign(&acme, draft(&signer, content.clone(), handling(&["companies"], &[])));
        (0..count).map(record).collect()
    };
    acme.publish(batch(64)).await.expect("answers");
    let mut mute = Vec::new();
    for _stream in 0..20 {
        let stream = birch.exchange_service().subscribe(pb::SubscribeRequest::default()).await;
        mute.push(stream.expect("a stream"));
    }
    let before = world.resident_bytes();
    for _round in 0..40 {
        acme.publish(batch(64)).await.expect("answers");
    }
    let grown = world.resident_bytes().saturating_sub(before);
    // 20 MiB passed to each of 20 streams: held for each it would be 400 MiB. The tail and sled's cache are bounded.
    assert!(grown < 200 * 1024 * 1024, "{} MiB", grown / 1024 / 1024);
    // On a connection of its own: the mute streams hold the whole window of theirs.
    let other = world.client("birch-social").await;
    let seen = u64::try_from(replay(&other, Filter::default()).await.len()).expect("a number");
    assert_eq!(seen, head(&acme).await);
    drop(mute);
    world.finish();
}
