//! Traces, received by a collector of the test: what is in them, and that a collector that fails hurts nobody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::transport::Server;
use watchfire::model::filter::Filter;
use watchfire::wire::pb;
use watchfire::wire::pb::roster_change::Change;

use super::refusal;
use super::roster_change;
use crate::world::World;
use crate::world::domain;
use crate::world::publish;
use crate::world::replay;
use crate::world::until;

/// A collector that keeps what it receives.
#[derive(Clone, Default)]
pub(super) struct Collector {
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    stop: CancellationToken,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.received.lock().expect("nobody panics").push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub(super) async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let collector = Self::default();
        let (service, stop) = (TraceServiceServer::new(collector.clone()), collector.stop.clone());
        TaskTracker::new().spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            let server = Server::builder().add_service(service);
            drop(server.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await);
        });
        (collector, address)
    }

    /// Everything that came, as text: to look for what must not be there.
    pub(super) fn text(&self) -> String {
        format!("{:?}", self.received.lock().expect("nobody panics"))
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().expect("nobody panics");
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // The service has a copy of its own.
        if Arc::strong_count(&self.received) <= 2 {
            self.stop.cancel();
        }
    }
}

fn text(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|attribute| attribute.value.as_ref()?.value.clone());
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key} of {span:?} is {other:?}"),
    }
}

pub(super) async fn traced(endpoint: SocketAddr, ratio: &str) -> World {
    let mut world = World::stopped();
    world.configure(&format!("\n[traces]\nendpoint = \"http://{endpoint}\"\nratio = {ratio}\n"));
    world.start(&[]).await;
    for member in ["acme-video", "birch-social"] {
        world.admit(member, "company");
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_commits_have_spans_that_say_who_what_and_how_long() {
    let (collector, endpoint) = Collector::start().await;
    let world = traced(endpoint, "1.0").await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("one.example")).await;
    let suspend = Change::Suspend(pb::Suspension { reason: "Because.".to_owned() });
    assert!(refusal(&acme, roster_change("operator", suspend)).await.is_some());
    let no_record = pb::GetRecordRequest::default();
    assert!(acme.exchange_service().get_record(no_record).await.is_err());
    let mut request = Request::new(pb::GetExchangeRequest {});
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    request.metadata_mut().insert("traceparent", parent.parse().expect("text"));
    acme.roster_service().get_exchange(request).await.expect("an answer");
    let linked = until("they are received", || async {
        let spans = collector.spans();
        let linked = spans.iter().find(|span| !span.links.is_empty()).cloned();
        let publish = spans.iter().any(|span| span.name == "ExchangeService/Publish");
        let refused = spans.iter().any(|span| {
            span.name == "ExchangeService/GetRecord"
                && text(span, "watchfire.outcome") == "FIELD_INVALID"
                && text(span, "watchfire.member") == "acme-video"
        });
        let commit = spans
            .iter()
            .any(|span| span.name == "commit" && text(span, "watchfire.entries") == "1");
        linked.filter(|_| publish && refused && commit)
    })
    .await;
    // A caller's trace is a link, and never decides what is sampled: its flag says that it is not.
    assert_eq!(hex::encode(&linked.links[0].trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_ne!(linked.trace_id, linked.links[0].trace_id);
    assert!(linked.parent_span_id.is_empty(), "{linked:?}");
    let spans = collector.spans();
    let commit = spans.iter().find(|span| span.name == "commit").expect("a commit");
    let bytes: u64 = text(commit, "watchfire.bytes").parse().unwrap();
    assert!((100..100_000).contains(&bytes), "an entry of {bytes} bytes");
    let parts: Vec<&Span> =
        spans.iter().filter(|span| span.parent_span_id == commit.span_id).collect();
    let names: Vec<&str> = parts.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["judge", "write", "sync"]);
    for part in parts {
        assert_eq!(part.trace_id, commit.trace_id);
        assert!(part.start_time_unix_nano >= commit.start_time_unix_nano);
        assert!(part.end_time_unix_nano >= part.start_time_unix_nano);
    }
    let known = [
        "rpc.system",
        "rpc.method",
        "rpc.grpc.status_code",
        "watchfire.outcome",
        "watchfire.member",
        "watchfire.entries",
        "watchfire.bytes",
        "watchfire.head",
    ];
    for attribute in spans.iter().flat_map(|span| &span.attributes) {
        assert!(known.contains(&attribute.key.as_str()), "{attribute:?}");
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ratio_of_zero_sends_nothing() {
    let (collector, endpoint) = Collector::start().await;
    let mut world = traced(endpoint, "0.0").await;
    publish(&world.client("acme-video").await, domain("one.example")).await;
    // What is left is sent at the end.
    world.stop();
    assert!(collector.spans().is_empty());
    world.finish();
}

/// A collector that is not there, and one that takes a connection and never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_fails_hurts_nobody() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addresses = [silent.local_addr(), gone.local_addr()].map(|it| it.expect("an address"));
    drop(gone);
    for endpoint in addresses {
        let mut world = traced(endpoint, "1.0").await;
        let acme = world.client("acme-video").await;
        for _record in 0..50 {
            publish(&acme, domain("one.example")).await;
        }
        let seen = replay(&acme, Filter::default()).await;
        assert!(seen.len() >= 50, "{}", seen.len());
        drop(acme);
        world.stop();
        world.finish();
    }
}
