//! Messages that are not what they say, or far more than they look like: refused with the right status, and no dearer
//! than an honest one.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::SendRequest;
use http::HeaderMap;
use http::Request;
use tokio_util::task::TaskTracker;

use crate::peers::frames;
use crate::peers::ground::Ground;
use crate::peers::raw::Dialer;
use crate::trials::Trials;
use crate::world::PATIENCE;

/// Memory that messages which are refused may cost.
const REFUSED_MAX: u64 = 32 << 20;
/// What all calls of one member may cost at once: docs/OPERATIONS.md, "Capacity".
const MEMBER_MAX: u64 = 256 << 20;
const PUBLISH: &str = "/watchfire.v1.ExchangeService/Publish";
const PUBLISH_STREAM: &str = "/watchfire.v1.ExchangeService/PublishStream";
const SUBSCRIBE: &str = "/watchfire.v1.ExchangeService/Subscribe";
const LOOK_UP: &str = "/watchfire.v1.ExchangeService/LookupValues";

/// What a call came to: its HTTP status, and the status of gRPC if there was one. A stream that was reset has neither.
type Came = (Option<u16>, Option<u16>);

async fn connect(dialer: &Dialer) -> SendRequest<Bytes> {
    let stream = dialer.dial().await.expect("a connection");
    let (sender, connection) = h2::client::Builder::new()
        .max_header_list_size(1 << 20)
        .handshake(stream)
        .await
        .expect("a handshake");
    TaskTracker::new().spawn(async move { connection.await.map_err(drop) });
    sender.ready().await.expect("it is ready")
}

/// One call with these bytes as its body, whatever they are.
async fn call(
    sender: &SendRequest<Bytes>,
    path: &str,
    fields: &[(&str, &str)],
    body: Bytes,
) -> Came {
    let mut request = Request::post(format!("https://hub{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(()).expect("a request");
    let mut sender = sender.clone();
    let calling = async {
        let (answer, mut upload) = sender.send_request(request, false).ok()?;
        // It may be refused before it was sent, which is an answer too.
        let _refused = send(&mut upload, body).await;
        let answer = answer.await.ok()?;
        let status = answer.status().as_u16();
        let head = grpc_status(answer.headers());
        let mut body = answer.into_body();
        while let Some(data) = body.data().await {
            let data = data.ok()?;
            let _closed = body.flow_control().release_capacity(data.len());
        }
        let trailers = body.trailers().await.ok().flatten();
        Some((status, head.or_else(|| trailers.as_ref().and_then(grpc_status))))
    };
    let came = tokio::time::timeout(PATIENCE, calling).await.expect("an answer in time");
    (came.map(|(status, _grpc)| status), came.and_then(|(_status, grpc)| grpc))
}

fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// Sends a body within the window.
async fn send(upload: &mut h2::SendStream<Bytes>, mut body: Bytes) -> Result<(), h2::Error> {
    while !body.is_empty() {
        upload.reserve_capacity(body.len().min(1 << 16));
        let Some(capacity) = std::future::poll_fn(|context| upload.poll_capacity(context)).await
        else {
            return Ok(());
        };
        let piece = body.split_to(capacity?.min(body.len()));
        upload.send_data(piece, false)?;
    }
    upload.send_data(Bytes::new(), true)
}

/// Bytes of a field of a message: its number, and what it holds.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut all = vec![number << 3 | 2];
    while length >= 128 {
        all.push(u8::try_from(length % 128 + 128).expect("a byte"));
        length /= 128;
    }
    all.push(u8::try_from(length).expect("a byte"));
    all.extend(bytes);
    all
}

/// Groups within groups, which nothing here has.
fn groups(deep: usize) -> Vec<u8> {
    [[0x7b].repeat(deep), [0x7c].repeat(deep)].concat()
}

/// Messages within messages: a filter that has itself for a field.
fn nested(deep: usize) -> Vec<u8> {
    (0..deep).fold(Vec::new(), |inner, _level| field(1, &inner))
}

fn gzip_bomb() -> Vec<u8> {
    // A stored gzip of nothing would not do: this is what 64 MiB of zeros become.
    let mut child = std::process::Command::new("gzip")
        .arg("-9c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gzip runs");
    let mut input = child.stdin.take().expect("a pipe");
    let feeding = std::thread::spawn(move || {
        for _mebibyte in 0..64 {
            input.write_all(&vec![0; 1 << 20]).expect("gzip takes it");
        }
    });
    let output = child.wait_with_output().expect("gzip ends");
    feeding.join().expect("all was taken");
    output.stdout
}

/// The code of a status of gRPC.
const fn code(code: tonic::Code) -> Option<u16> {
    match code {
        tonic::Code::InvalidArgument => Some(3),
        tonic::Code::ResourceExhausted => Some(8),
        tonic::Code::OutOfRange => Some(11),
        tonic::Code::Unimplemented => Some(12),
        tonic::Code::Internal => Some(13),
        tonic::Code::Ok
        | tonic::Code::Cancelled
        | tonic::Code::Unknown
        | tonic::Code::DeadlineExceeded
        | tonic::Code::NotFound
        | tonic::Code::AlreadyExists
        | tonic::Code::PermissionDenied
        | tonic::Code::FailedPrecondition
        | tonic::Code::Aborted
        | tonic::Code::Unavailable
        | tonic::Code::DataLoss
        | tonic::Code::Unauthenticated => None,
    }
}

/// A message that is none: its name, fields, body, and the status with which it must be refused.
type Wrong = (&'static str, Vec<(&'static str, &'static str)>, Vec<u8>, Option<u16>);

/// Of each kind one.
fn wrong_messages() -> Vec<Wrong> {
    use tonic::Code;

    let bomb = gzip_bomb();
    let is = code;
    vec![
        (
            "a prefix of 4 GiB",
            vec![],
            frames::prefixed(0, 0xffff_ffff, &[0; 100]),
            is(Code::OutOfRange),
        ),
        ("a message of 5 MiB", vec![], frames::message(&vec![0; 5 << 20]), is(Code::OutOfRange)),
        ("half a message", vec![], frames::prefixed(0, 1000, &[0; 500]), is(Code::Internal)),
        ("half a prefix", vec![], vec![0, 0, 0], is(Code::Internal)),
        ("no message", vec![], vec![], is(Code::Internal)),
        (
            "a length that is too short",
            vec![],
            frames::prefixed(0, 3, &field(1, &[0; 100])),
            is(Code::Internal),
        ),
        (
            "compressed, and not said how",
            vec![],
            frames::prefixed(1, 10, &[0; 10]),
            is(Code::Internal),
        ),
        ("a flag that is none", vec![], frames::prefixed(7, 10, &[0; 10]), is(Code::Internal)),
        (
            "a gzip bomb",
            vec![("grpc-encoding", "gzip")],
            frames::prefixed(1, bomb.len(), &bomb),
            is(Code::Unimplemented),
        ),
        (
            "a zstd bomb",
            vec![("grpc-encoding", "zstd")],
            frames::prefixed(1, 4, &[0x28, 0xb5, 0x2f, 0xfd]),
            is(Code::Unimplemented),
        ),
        ("groups 150 deep", vec![], frames::message(&groups(150)), is(Code::Internal)),
        ("messages 150 deep", vec![], frames::message(&nested(150)), is(Code::Internal)),
        ("text that is none", vec![], frames::message(&field(1, &field(1, &[0xff, 0xfe]))), None),
        ("131,072 empty messages", vec![], frames::message(&[0x0a, 0].repeat(131_072)), None),
        ("2,000,000 empty messages", vec![], frames::message(&[0x0a, 0].repeat(2_000_000)), None),
        ("noise", vec![], frames::message(&[0xc3; 10_000]), is(Code::Internal)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_not_what_they_say_are_refused() {
    let mut trials = Trials::of("peers_messages", 1, 3);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let dialer = ground.attacker();
        let sender = connect(&dialer).await;
        for (name, fields, body, expected) in wrong_messages() {
            let came = ground
                .under(&mut round, name, REFUSED_MAX, call(&sender, PUBLISH, &fields, body.into()))
                .await;
            let (_http, grpc) = came;
            let is_refused =
                expected.map_or(grpc != Some(0) && grpc.is_some(), |_code| grpc == expected);
            assert!(is_refused, "{name}: {came:?} instead of {expected:?}");
        }
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_too_large_and_paths_that_are_none_are_refused() {
    let mut trials = Trials::of("peers_heads", 1, 3);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let attacker = ground.attacker();
        let body = || Bytes::from(frames::message(&[]));
        let huge = "x".repeat(40 * 1024);
        let names: Vec<String> = (0..1000).map(|number| format!("x-{number}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "y")).collect();
        let one = [("x-huge", huge.as_str())];
        for (name, fields) in [("40 KiB of metadata", &one[..]), ("1,000 keys of metadata", &many)]
        {
            // The hub may end the connection of whoever sends them: each has its own.
            let sender = connect(&attacker).await;
            let (http, grpc) = ground
                .under(&mut round, name, REFUSED_MAX, call(&sender, PUBLISH, fields, body()))
                .await;
            assert!(http == Some(431) || (http, grpc) == (None, None), "{name}: {http:?} {grpc:?}");
        }
        let paths = [
            "/",
            "//",
            "/watchfire.v1.ExchangeService",
            "/watchfire.v1.ExchangeService/",
            "/watchfire.v1.ExchangeService/publish",
            "/watchfire.v1.ExchangeService//Publish",
            "/watchfire.v1.ExchangeService/Publish/",
            "/watchfire.v1.ExchangeService/../../etc/passwd",
            "/watchfire.v1.ExchangeService/%50ublish",
            "/watchfire.v1.AdminService/Everything",
            "/metrics",
            "/taxii2/",
            "/grpc.health.v1.Health/Kill",
        ];
        let sender = connect(&attacker).await;
        let attack = async {
            for path in paths {
                let (http, grpc) = call(&sender, path, &[], body()).await;
                assert_eq!(grpc, code(tonic::Code::Unimplemented), "{path}: {http:?}");
            }
        };
        ground.under(&mut round, "paths", REFUSED_MAX, attack).await;
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}

/// All calls that one member can have at once, each with the same body.
async fn all_at_once(dialer: &Dialer, path: &str, body: &Bytes) -> Vec<Came> {
    let mut senders = Vec::new();
    for _connection in 0..16 {
        senders.push(connect(dialer).await);
    }
    let calls = senders
        .iter()
        .flat_map(|sender| (0..60).map(move |_call| call(sender, path, &[], body.clone())));
    join_all(calls).await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_calls_of_one_member_at_once_stay_within_its_memory() {
    let mut trials = Trials::of("peers_at_once", 1, 2);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let dialer = ground.attacker();
        let empty = |count: usize| Bytes::from(frames::message(&[0x0a, 0].repeat(count)));
        let large = Bytes::from(frames::message(&field(15, &vec![0; 4_000_000])));
        for (name, path, body) in [
            ("960 calls of 1,000 empty messages", PUBLISH, empty(1000)),
            ("960 calls of 131,072 empty messages", PUBLISH, empty(131_072)),
            ("960 look-ups of 131,072 empty messages", LOOK_UP, empty(131_072)),
            ("960 calls of 4 MB", PUBLISH, large),
        ] {
            let came =
                ground.under(&mut round, name, MEMBER_MAX, all_at_once(&dialer, path, &body)).await;
            let answered = came.iter().filter(|(_http, grpc)| *grpc == Some(0)).count();
            round.note(&format!("{name}: answered"), answered);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}

/// Streams of messages, each as large as may be, as fast as they go for a while; none of the answers is read.
async fn streams_at_once(
    dialer: &Dialer,
    path: &str,
    batch: &[u8],
    most: usize,
    span: Duration,
) -> usize {
    let mut sending = Vec::new();
    for _connection in 0..16 {
        let stream = dialer.dial().await.expect("a connection");
        let (sender, connection) = h2::client::handshake(stream).await.expect("a handshake");
        TaskTracker::new().spawn(async move { connection.await.map_err(drop) });
        let sender = sender.ready().await.expect("it is ready");
        for _stream in 0..16 {
            let (mut sender, batch) = (sender.clone(), Bytes::copy_from_slice(batch));
            sending.push(async move {
                let request = Request::post(format!("https://hub{path}"))
                    .header("content-type", "application/grpc")
                    .header("te", "trailers");
                let request = request.body(()).expect("a request");
                let (_answer, mut upload) = sender.send_request(request, false).ok()?;
                let mut batches = 0;
                while batches < most && send_open(&mut upload, batch.clone()).await.is_some() {
                    batches += 1;
                }
                // It stays open, whatever it holds.
                tokio::time::sleep(span).await;
                Some(batches)
            });
        }
    }
    let all = tokio::time::timeout(span, join_all(sending)).await;
    all.map_or(256, |ended| ended.len())
}

/// Sends within the window, and leaves the stream open.
async fn send_open(upload: &mut h2::SendStream<Bytes>, mut body: Bytes) -> Option<()> {
    while !body.is_empty() {
        upload.reserve_capacity(body.len().min(1 << 16));
        let capacity = std::future::poll_fn(|context| upload.poll_capacity(context)).await?;
        let piece = body.split_to(capacity.ok()?.min(body.len()));
        upload.send_data(piece, false).ok()?;
    }
    Some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_large_batches_stay_within_a_members_memory() {
    let mut trials = Trials::of("peers_batches", 1, 2);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let envelope = [field(2, &[7; 1000]), field(4, &vec![9; 59_000])].concat();
        let batch = frames::message(&field(1, &envelope).repeat(17));
        let dialer = ground.attacker();
        let part = frames::prefixed(0, 2_000_000, &vec![0; 1_900_000]);
        let padded = [field(1, &envelope), field(15, &vec![0; 4_000_000])].concat();
        let padded = frames::message(&padded);
        for (name, path, batch, most) in [
            ("256 streams of large batches", PUBLISH_STREAM, &batch, usize::MAX),
            ("256 streams of a batch that never ends", PUBLISH_STREAM, &part, 1),
            ("256 streams that are idle after 4 MB", PUBLISH_STREAM, &padded, 1),
            ("256 subscriptions that ask with 4 MB", SUBSCRIBE, &padded, 1),
        ] {
            let attack = streams_at_once(&dialer, path, batch, most, Ground::span() * 4);
            let streams = ground.under(&mut round, name, MEMBER_MAX, attack).await;
            round.note(&format!("{name}: streams"), streams);
        }
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}
