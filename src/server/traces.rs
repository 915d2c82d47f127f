//! Traces for a collector of the operator's, when it names one: a span for each call and for each group that became
//! durable. Each attribute is listed here, so that nothing else can get out: no value, no body, no text of a member.
//!
//! The hub alone decides what is sampled. What a caller says of its own trace becomes a link, never a parent.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::Link;
use opentelemetry::trace::Span as _;
use opentelemetry::trace::SpanContext;
use opentelemetry::trace::SpanId;
use opentelemetry::trace::SpanKind;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::trace::TraceFlags;
use opentelemetry::trace::TraceId;
use opentelemetry::trace::TraceState;
use opentelemetry::trace::Tracer as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_otlp::WithTonicConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::BatchConfigBuilder;
use opentelemetry_sdk::trace::BatchSpanProcessor;
use opentelemetry_sdk::trace::Sampler;
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::Span;
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sdk::trace::SpanExporter;
use opentelemetry_sdk::trace::SpanProcessor;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tonic::transport::Endpoint;

use crate::exchange::CommittedGroup;
use crate::model::names::ExchangeName;
use crate::model::time::Timestamp;
use crate::server::observe::Called;
use crate::server::observe::End;

/// Spans that wait to be sent, those that are being sent included; beyond them they are dropped, and counted as lost.
const QUEUE: usize = 2048;
/// Spans of one export.
const BATCH: usize = 512;
/// How often spans are sent.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long an export may take.
const EXPORT_MAX: Duration = Duration::from_secs(5);
/// How long the end of the hub waits for the last one.
const END_MAX: Duration = Duration::from_secs(2);

/// Where traces go, and how many.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesConfig {
    /// A collector on this machine that takes OTLP over gRPC.
    pub endpoint: SocketAddr,
    /// The share of calls and groups that have a span, from 0 to 1.
    pub ratio: f64,
}

/// What the operator's figures say of them.
#[derive(Debug, Default)]
pub(super) struct TracesState {
    sent: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicUsize,
}

impl TracesState {
    /// Spans that the collector took.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Spans that it did not take, and those that found no place to wait.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Takes a place for a span, if one is left.
    fn take_place(&self) -> bool {
        let more = |waiting: usize| (waiting < QUEUE).then(|| waiting.saturating_add(1));
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// The trace that a caller says its call belongs to: a `traceparent` of the W3C, version 00, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    trace: TraceId,
    span: SpanId,
}

impl Origin {
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get("traceparent")?.to_str().ok()?;
        let is_small = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
        if text.len() != 55 || !text.bytes().all(is_small) {
            return None;
        }
        let mut parts = text.split('-');
        let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        let (flags, end) = (parts.next()?, parts.next());
        if version != "00" || trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
            return None;
        }
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        let is_whole = end.is_none() && trace != TraceId::INVALID && span != SpanId::INVALID;
        is_whole.then_some(Self { trace, span })
    }

    fn link(self) -> Link {
        let (flags, state) = (TraceFlags::default(), TraceState::default());
        Link::with_context(SpanContext::new(self.trace, self.span, flags, true, state))
    }
}

/// Makes spans and sends them.
pub(super) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    state: Arc<TracesState>,
}

impl Traces {
    /// Begins; whether there is a collector is seen later. Within a runtime, whose tasks send.
    pub(super) fn start(
        config: &TracesConfig,
        exchange: &ExchangeName,
        tasks: &TaskTracker,
    ) -> Result<Self, String> {
        let endpoint = Endpoint::from_shared(format!("http://{}", config.endpoint))
            .map_err(|error| error.to_string())?;
        let channel = endpoint.connect_timeout(EXPORT_MAX).connect_lazy();
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_channel(channel)
            .with_timeout(EXPORT_MAX)
            .build()
            .map_err(|error| error.to_string())?;
        let state = Arc::<TracesState>::default();
        let exporter = Counting {
            inner: Arc::new(exporter),
            state: Arc::clone(&state),
            runtime: Handle::current(),
            tasks: tasks.clone(),
        };
        // All of it is set here: nothing of the environment decides.
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(INTERVAL)
            .build();
        let inner = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let processor = Bounded { inner, state: Arc::clone(&state) };
        let resource = Resource::builder_empty()
            .with_service_name("watchfired")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("watchfire.exchange", exchange.name()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::TraceIdRatioBased(config.ratio))
            .with_resource(resource)
            .with_span_processor(processor)
            .build();
        let tracer = provider.tracer("watchfired");
        Ok(Self { provider, tracer, state })
    }

    /// What the figures say of them.
    pub(super) fn state(&self) -> Arc<TracesState> {
        Arc::clone(&self.state)
    }

    /// The way to send what is left when the hub ends.
    pub(super) fn provider(&self) -> SdkTracerProvider {
        self.provider.clone()
    }

    pub(super) fn call(&self, call: &Called) {
        let (status, reason) = match &call.end {
            End::Answered => (0, "OK"),
            End::Refused(reason) => (i64::from(reason.code().number()), reason.as_str()),
            End::Failed(code) => (i64::from(*code), "FAILED"),
            End::Dropped => (1, "DROPPED"),
        };
        let mut attributes = vec![
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.method", call.method.clone()),
            KeyValue::new("rpc.grpc.status_code", status),
            KeyValue::new("watchfire.outcome", reason),
        ];
        if let Some(peer) = &call.peer {
            attributes.push(KeyValue::new("watchfire.member", peer.member.to_string()));
        }
        let mut builder = self
            .tracer
            .span_builder(call.method.clone())
            .with_kind(SpanKind::Server)
            .with_start_time(SystemTime::from(call.begun))
            .with_attributes(attributes);
        if let Some(origin) = call.origin {
            builder = builder.with_links(vec![origin.link()]);
        }
        // No parent, whatever the thread is about.
        let root = Context::new();
        let mut span = self.tracer.build_with_context(builder, &root);
        span.end_with_timestamp(call.begun.saturating_add(call.took).into());
    }

    pub(super) fn group(&self, group: &CommittedGroup) {
        let wide = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let builder = self
            .tracer
            .span_builder("commit")
            .with_kind(SpanKind::Internal)
            .with_start_time(SystemTime::from(group.begun))
            .with_attributes(vec![
                KeyValue::new("watchfire.entries", wide(group.entries)),
                KeyValue::new("watchfire.bytes", wide(group.bytes)),
                KeyValue::new("watchfire.head", wide(group.head)),
            ]);
        let span = self.tracer.build_with_context(builder, &Context::new());
        if !span.span_context().is_sampled() {
            return;
        }
        let within = Context::new().with_span(span);
        let mut at = group.begun;
        let parts = [("judge", group.judging), ("write", group.writing), ("sync", group.syncing)];
        for (name, took) in parts {
            let part = self.tracer.span_builder(name).with_start_time(SystemTime::from(at));
            at = at.saturating_add(took);
            let mut part = self.tracer.build_with_context(part, &within);
            part.end_with_timestamp(SystemTime::from(at));
        }
        let end: Timestamp = group.begun.saturating_add(group.whole);
        within.span().end_with_timestamp(end.into());
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Traces").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Sends what is left. Waits: not for the runtime's threads.
pub(super) fn finish(provider: &SdkTracerProvider) {
    if provider.shutdown_with_timeout(END_MAX).is_err() {
        tracing::warn!("the last spans were not sent");
    }
}

/// Keeps spans from a queue that is full: what that drops by itself nobody can count.
#[derive(Debug)]
struct Bounded<P> {
    inner: P,
    state: Arc<TracesState>,
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.state.take_place() {
            self.inner.on_end(span);
        } else {
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// The exporter, counted, with a deadline, on the runtime: its own thread only waits.
#[derive(Debug)]
struct Counting {
    inner: Arc<opentelemetry_otlp::SpanExporter>,
    state: Arc<TracesState>,
    runtime: Handle,
    tasks: TaskTracker,
}

impl SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let places = batch.len();
        let spans = u64::try_from(places).unwrap_or(u64::MAX);
        let inner = Arc::clone(&self.inner);
        let export = async move { tokio::time::timeout(EXPORT_MAX, inner.export(batch)).await };
        let sent = self.tasks.spawn_on(export, &self.runtime).await;
        let outcome = match sent {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_elapsed)) => Err(OTelSdkError::Timeout(EXPORT_MAX)),
            Err(_stopping) => Err(OTelSdkError::AlreadyShutdown),
        };
        let counted = if outcome.is_ok() { &self.state.sent } else { &self.state.lost };
        counted.fetch_add(spans, Ordering::Relaxed);
        self.state.waiting.fetch_sub(places, Ordering::Relaxed);
        if let Err(error) = &outcome {
            // Once an interval at most; the figures count them.
            tracing::debug!(%error, "spans were not sent");
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// A collector that takes nothing: whatever comes waits.
    #[derive(Debug, Default)]
    struct Waits(Arc<AtomicUsize>);

    impl SpanProcessor for Waits {
        fn on_start(&self, _span: &mut Span, _context: &Context) {}

        fn on_end(&self, _span: SpanData) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    #[test]
    fn spans_that_find_no_place_are_counted() {
        let (state, inner) = (Arc::<TracesState>::default(), Waits::default());
        let taken = Arc::clone(&inner.0);
        let processor = Bounded { inner, state: Arc::clone(&state) };
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("watchfired");
        for _span in 0..QUEUE + 7 {
            tracer.start("call").end();
        }
        assert_eq!((taken.load(Ordering::Relaxed), state.lost()), (QUEUE, 7));
        // Whatever was sent makes room.
        state.waiting.fetch_sub(3, Ordering::Relaxed);
        for _span in 0..5 {
            tracer.start("call").end();
        }
        assert_eq!((taken.load(Ordering::Relaxed), state.lost()), (QUEUE + 3, 9));
    }

    fn origin(text: &str) -> Option<Origin> {
        let value = HeaderValue::from_bytes(text.as_bytes()).unwrap();
        Origin::of(&HeaderMap::from_iter([(http::HeaderName::from_static("traceparent"), value)]))
    }

    #[test]
    fn only_a_whole_traceparent_of_the_version_that_we_know_is_taken() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let good = origin(&format!("00-{trace}-{span}-01")).unwrap();
        assert_eq!((good.trace.to_string(), good.span.to_string()), (trace.into(), span.into()));
        let zeros = "0".repeat(32);
        for bad in [
            "",
            "00",
            &format!("01-{trace}-{span}-01"),
            &format!("00-{trace}-{span}-01-x"),
            &format!("00-{trace}-{span}-1 "),
            &format!("00-{}-{span}-01", trace.to_uppercase()),
            &format!("00-{zeros}-{span}-01"),
            &format!("00-{trace}-0000000000000000-01"),
            &format!("00-{trace}{span}----01"),
            &"0".repeat(55),
            &"00-".repeat(10_000),
        ] {
            assert_eq!(origin(bad), None, "{bad}");
        }
    }
}
