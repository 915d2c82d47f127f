//! A hostile operator: it has the hub's certificate and its log key, stands between a member and the real hub, and
//! changes what it answers.
//!
//! The hub behind it is the real one, and so is the transport before it. To the hub it speaks as the member: a hub that
//! lies needs nobody's leave to know what it would have said.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use bytes::Buf as _;
use bytes::BufMut as _;
use bytes::Bytes;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt as _;
use http_body_util::StreamBody;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::transport::Server;
use tower::Service as _;
use watchfire::model::time::SystemClock;
use watchfire::profile::Profile;
use watchfire::server::Config;
use watchfire::signing::SecretKey;
use watchfire::signing::VerifyingKey;
use watchfire::tls;
use watchfire::transparency::LogKey;
use watchfire::wire::MARK_PAYLOAD_TYPE;
use watchfire::wire::MarkStatement;
use watchfire::wire::pb;

use crate::world::World;

/// What a hostile hub makes of what the honest one answers.
pub(crate) trait Tamper: Send + 'static {
    /// A frame of any subscription of the member.
    fn frame(&mut self, frame: pb::SubscribeResponse) -> Vec<pb::SubscribeResponse> {
        vec![frame]
    }

    /// The entries of any answer to a question.
    fn entries(&mut self, _entries: &mut [pb::Entry]) {}

    /// A proof for entries.
    fn proven(&mut self, _proof: &mut pb::GetMultiproofResponse) {}

    /// What a publishing call, of one batch or of a stream, answers.
    fn published(&mut self, answer: pb::PublishStreamResponse) -> pb::PublishStreamResponse {
        answer
    }

    /// What is said to evidence that was handed in.
    fn reported(&mut self, answer: pb::ReportMisbehaviorResponse) -> pb::ReportMisbehaviorResponse {
        answer
    }

    /// A page of a publisher's entries.
    fn listed(
        &mut self,
        page: pb::ListPublisherEntriesResponse,
    ) -> pb::ListPublisherEntriesResponse {
        page
    }

    /// Whether a call, by its path, goes to the other hub, where there is one.
    fn is_elsewhere(&mut self, _path: &str) -> bool {
        false
    }
}

/// Nothing is changed.
pub(crate) struct Honest;

impl Tamper for Honest {}

/// The hub's own keys, in the hands of its operator.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) log: LogKey,
    pub(crate) secret: SecretKey,
}

impl Keys {
    pub(crate) fn of(world: &World, exchange: &watchfire::model::names::ExchangeName) -> Self {
        let pem = std::fs::read_to_string(world.data().join("log.key")).expect("the log key");
        let secret = SecretKey::from_pem(&pem).expect("a key");
        let key = VerifyingKey::from_spki(&secret.spki()).expect("a key");
        Self { log: LogKey::new(exchange, key).expect("a log key"), secret }
    }

    /// Signs a mark's statement anew, with what is changed in it.
    pub(crate) fn restate(&self, mark: &mut pb::Mark, change: impl FnOnce(&mut MarkStatement)) {
        if mark.statement.is_empty() {
            return;
        }
        let mut statement = MarkStatement::from_bytes(&mark.statement).expect("a statement");
        change(&mut statement);
        mark.statement = statement.to_bytes();
        mark.statement_signature = self.secret.sign(MARK_PAYLOAD_TYPE, &mark.statement).to_vec();
    }
}

/// A front that runs. It ends with this.
pub(crate) struct Front {
    address: SocketAddr,
    stop: CancellationToken,
}

impl Front {
    /// Stands before a world's hub for one member.
    pub(crate) async fn open(world: &World, member: &str, tamper: impl Tamper) -> Self {
        Self::before([world, world], member, tamper).await
    }

    /// Stands before two hubs of one exchange: what is elsewhere is at the second.
    pub(crate) async fn before(
        [world, other]: [&World; 2],
        member: &str,
        tamper: impl Tamper,
    ) -> Self {
        let config = Config::of_data(&world.data()).expect("a configuration");
        let profile = Profile::open(&world.profile_folder(member)).expect("a profile");
        let keys = profile.tls().expect("its keys");
        let hub = tls::connect(&world.address(), &keys).await.expect("a connection");
        let other = tls::connect(&other.address(), &keys).await.expect("a connection");
        let trust_domain = profile.settings().trust_domain.clone();
        let clock = Arc::new(SystemClock::default());
        let reloader = tls::Reloader::open(config.tls.clone(), &trust_domain, clock);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let incoming = tls::incoming(
            listener,
            reloader.expect("the hub's certificate"),
            config.connections.clone(),
            stop.clone(),
            &TaskTracker::new(),
        );
        let tamper: Arc<Mutex<dyn Tamper>> = Arc::new(Mutex::new(tamper));
        let answer = move |request: Request| {
            let path = request.uri().path();
            let is_elsewhere = tamper.lock().expect("nobody panics").is_elsewhere(path);
            let hub = if is_elsewhere { other.clone() } else { hub.clone() };
            pass(hub, Arc::clone(&tamper), request)
        };
        let routes = Routes::from(Router::new().fallback(answer));
        let server = tls::configure(Server::builder()).add_routes(routes);
        let stopped = stop.clone();
        TaskTracker::new().spawn(async move {
            let ended = stopped.cancelled_owned();
            drop(server.serve_with_incoming_shutdown(incoming, ended).await);
        });
        Self { address, stop }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Passes a call on, and what it answers back, changed.
async fn pass(
    mut hub: Channel,
    tamper: Arc<Mutex<dyn Tamper>>,
    request: Request,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let (mut parts, body) = request.into_parts();
    parts.uri = path.parse().expect("a path");
    let request = http::Request::from_parts(parts, tonic::body::Body::new(body));
    std::future::poll_fn(|context| hub.poll_ready(context)).await.expect("the hub is there");
    let answer = hub.call(request).await.expect("the hub answers");
    let change = move |message: Bytes| change(&tamper, &path, message);
    answer.map(|body| Body::new(changed(body, change)))
}

fn change(tamper: &Mutex<dyn Tamper>, path: &str, message: Bytes) -> Vec<Vec<u8>> {
    let mut tamper = tamper.lock().expect("nobody panics");
    if path.ends_with("/Subscribe") {
        let frame = pb::SubscribeResponse::decode(message).expect("a frame");
        tamper.frame(frame).iter().map(prost::Message::encode_to_vec).collect()
    } else if path.ends_with("/Publish") || path.ends_with("/PublishStream") {
        // Both answers have the same fields.
        let answer = pb::PublishStreamResponse::decode(message).expect("an answer");
        vec![tamper.published(answer).encode_to_vec()]
    } else if path.ends_with("/ReportMisbehavior") {
        let answer = pb::ReportMisbehaviorResponse::decode(message).expect("an answer");
        vec![tamper.reported(answer).encode_to_vec()]
    } else if path.ends_with("/ListPublisherEntries") {
        let page = pb::ListPublisherEntriesResponse::decode(message).expect("a page");
        vec![tamper.listed(page).encode_to_vec()]
    } else {
        vec![answered(&mut *tamper, path, message)]
    }
}

/// Changes the answer to a question.
fn answered(tamper: &mut dyn Tamper, path: &str, message: Bytes) -> Vec<u8> {
    let (_service, call) = path.rsplit_once('/').expect("a call");
    match call {
        "GetRecord" => {
            let mut answer = pb::GetRecordResponse::decode(message).expect("an answer");
            tamper.entries(answer.entry.as_mut_slice());
            answer.encode_to_vec()
        }
        "ListRecords" => {
            let mut answer = pb::ListRecordsResponse::decode(message).expect("an answer");
            tamper.entries(&mut answer.entries);
            answer.encode_to_vec()
        }
        "LookupValues" => {
            let mut answer = pb::LookupValuesResponse::decode(message).expect("an answer");
            answer.results.iter_mut().for_each(|result| tamper.entries(&mut result.entries));
            answer.encode_to_vec()
        }
        "SearchRecords" => {
            let mut answer = pb::SearchRecordsResponse::decode(message).expect("an answer");
            tamper.entries(&mut answer.entries);
            answer.encode_to_vec()
        }
        "GetMultiproof" => {
            let mut answer = pb::GetMultiproofResponse::decode(message).expect("an answer");
            tamper.proven(&mut answer);
            answer.encode_to_vec()
        }
        _other => message.to_vec(),
    }
}

/// A gRPC body whose messages are changed; what follows them is passed on.
fn changed(
    body: tonic::body::Body,
    change: impl FnMut(Bytes) -> Vec<Vec<u8>> + Send + 'static,
) -> impl http_body::Body<Data = Bytes, Error = tonic::Status> + Send + 'static {
    let start = (body, BytesMut::new(), change);
    let frames = stream::unfold(start, |(mut body, mut buffer, mut change)| async move {
        let frame = body.frame().await?;
        let out = frame.map(|frame| match frame.into_data() {
            Ok(data) => {
                buffer.extend_from_slice(&data);
                Frame::data(messages(&mut buffer, &mut change))
            }
            Err(rest) => rest,
        });
        Some((out, (body, buffer, change)))
    });
    StreamBody::new(frames.boxed())
}

/// Takes whole messages out of a buffer; each is led by a flag and its length.
fn messages(buffer: &mut BytesMut, change: &mut impl FnMut(Bytes) -> Vec<Vec<u8>>) -> Bytes {
    let mut out = BytesMut::new();
    while let Some(length) = buffer.get(1..5) {
        let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
        let length = usize::try_from(length).expect("it fits");
        if buffer.len() < 5 + length {
            break;
        }
        buffer.advance(5);
        for message in change(buffer.split_to(length).freeze()) {
            out.put_u8(0);
            out.put_u32(u32::try_from(message.len()).expect("it fits"));
            out.put_slice(&message);
        }
    }
    out.freeze()
}
