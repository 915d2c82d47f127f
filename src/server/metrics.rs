//! The operator's figures, as text for collectors under `GET /metrics`: read from the hub when somebody asks, and kept
//! nowhere. What is shown and what never is stands in SECURITY.md, what each figure means in docs/OPERATIONS.md.
//!
//! It is plain HTTP on an address of loopback. Whoever can reach that still gets no more than bounded work: so many
//! connections, so long, with a small request each, and one reading of the hub at a time.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::response::Response;
use axum::routing::get;
use http::HeaderMap;
use http::StatusCode;
use http::header;
use http::uri::Authority;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeGaugeValue;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::exchange::Cause;
use crate::exchange::Distribution;
use crate::exchange::Hub;
use crate::exchange::HubState;
use crate::exchange::QuotaUse;
use crate::exchange::Readiness;
use crate::model::names::MemberId;
use crate::model::names::sha256;
use crate::model::time::Timestamp;
use crate::server::audit::AuditState;
use crate::server::traces::TracesState;
use crate::store::StoreError;
use crate::tls::Expiry;
use crate::tls::Refused;
use crate::tls::Reloader;

/// Connections that are open at once; further ones wait until one of these ends.
const CONNECTIONS_MAX: usize = 16;
/// How long a client may take to say what it wants: well below the ten seconds after which scrapers give up, so that
/// one that waits behind idle clients still has its answer.
const REQUEST_MAX: Duration = Duration::from_secs(2);
/// How long a connection may last, answer included.
const CONNECTION_MAX: Duration = Duration::from_secs(10);
/// Bytes of a request's head; the least that the HTTP library takes. A body is never read.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Header fields of a request.
const REQUEST_FIELDS_MAX: usize = 32;
/// How long to wait when a connection cannot be accepted: trying again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the figures are read from.
pub(super) struct Sources {
    pub(super) hub: Arc<Hub>,
    /// Its certificate and connections.
    pub(super) tls: Arc<Reloader>,
    /// Free bytes below which publishing stops.
    pub(super) min_free_bytes: u64,
    pub(super) watched: Watched,
}

/// The same, and since when.
struct Served {
    sources: Sources,
    /// When this process began to serve.
    start: Timestamp,
}

/// What goes on beside the hub.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    /// The audit log, if there is one.
    pub(super) audit: Option<Arc<AuditState>>,
    /// Traces, if they are on.
    pub(super) traces: Option<Arc<TracesState>>,
    /// Whether the newest configuration was refused.
    pub(super) config_is_failing: Arc<AtomicBool>,
}

/// Serves until `stop`. Its tasks belong to `tasks`, and none of them outlives `stop`: they hold the hub.
pub(super) async fn serve(
    listener: TcpListener,
    sources: Sources,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let router = router(sources);
    while let Some(Ok(place)) = stop.run_until_cancelled(Arc::clone(&places).acquire_owned()).await
    {
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { return };
        let Ok((socket, _address)) = accepted else {
            let _stopped = stop.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
            continue;
        };
        let (router, stop) = (router.clone(), stop.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(converse(socket, router)).await;
            drop(place);
        });
    }
}

fn router(sources: Sources) -> Router {
    let probes = Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(sources.hub.watch_readiness());
    let start = Timestamp::from(sources.tls.now());
    let served = Arc::new(Mutex::new(Served { sources, start }));
    Router::new().route("/metrics", get(answer)).with_state(served).merge(probes)
}

/// Whoever answers lives.
async fn live(headers: HeaderMap) -> Response {
    if names_this_machine(&headers) {
        return "live\n".into_response();
    }
    StatusCode::MISDIRECTED_REQUEST.into_response()
}

/// Whether records are taken, and what keeps them out. Waits for no reading of the hub.
async fn ready(
    State(readiness): State<watch::Receiver<Readiness>>,
    headers: HeaderMap,
) -> Response {
    if !names_this_machine(&headers) {
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    }
    let readiness = *readiness.borrow();
    if readiness.is_ready() {
        return "ready\n".into_response();
    }
    let causes = Cause::ALL.into_iter().filter(|cause| readiness.has(*cause));
    let causes: Vec<&str> = causes.map(Cause::as_str).collect();
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", causes.join(" "))).into_response()
}

/// One request and its answer.
async fn converse(socket: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_MAX)
        .keep_alive(false)
        .max_buf_size(REQUEST_BYTES_MAX)
        .max_headers(REQUEST_FIELDS_MAX)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    // A client that is too slow or goes away asks again.
    let _ended = tokio::time::timeout(CONNECTION_MAX, connection).await;
}

/// One reading at a time: who asks often waits for itself.
async fn answer(State(served): State<Arc<Mutex<Served>>>, headers: HeaderMap) -> Response {
    if !names_this_machine(&headers) {
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    }
    match figures(&*served.lock().await).await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(fault) => {
            let error: &(dyn std::error::Error + 'static) = &fault;
            tracing::error!(error, "no figures: the hub cannot read its disk");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// Whether a request is for us by an address: a web page can have a browser on this machine ask us under a host name of
/// its own, and would then be shown the answer.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_ours = |address: IpAddr| address.to_canonical().is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_ours)
}

async fn figures(Served { sources, start }: &Served) -> Result<String, StoreError> {
    let figures = Figures {
        start: *start,
        hub: sources.hub.state().await?,
        connections: sources.tls.live(),
        expiry: sources.tls.expiry(),
        refusals: sources.tls.refusals(),
        tls_is_failing: sources.tls.is_failing(),
        min_free_bytes: sources.min_free_bytes,
        watched: sources.watched.clone(),
    };
    Ok(figures.text())
}

/// What is shown, at one moment.
#[derive(Debug)]
struct Figures {
    start: Timestamp,
    hub: HubState,
    connections: usize,
    expiry: Expiry,
    refusals: Vec<(Refused, u64)>,
    tls_is_failing: bool,
    min_free_bytes: u64,
    watched: Watched,
}

impl Figures {
    fn text(self) -> String {
        let mut registry = Registry::with_prefix("watchfire");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // A string takes everything.
        let _written = text::encode(&mut text, &registry);
        text
    }

    fn log(&self, page: &mut Page<'_>) -> fmt::Result {
        let head = &self.hub.head;
        page.gauge("log_entries", "Entries of the log, durable", None, &head.size)?;
        let bytes = "Bytes of all entries, as they were when they were taken in";
        page.gauge("log", bytes, Some(&Unit::Bytes), &head.bytes)?;
        page.gauge("log_epoch", "Epoch of the log", None, &head.epoch)?;
        let newest = "Accept time of the newest entry";
        page.time("log_last_commit", newest, head.accept_time)?;
        let floor = "First sequence whose body is kept, as far as retention goes";
        page.gauge("log_retention_floor", floor, None, &self.hub.floor)?;
        let open = "Demands to erase that are not met, those that are due later included";
        page.gauge("erasure_demands_open", open, None, &self.hub.demands.open)?;
        let due = "Demands to erase that should be met by now";
        page.gauge("erasure_demands_due", due, None, &self.hub.demands.due)
    }

    fn members(&self, page: &mut Page<'_>) -> fmt::Result {
        let standing = |suspended| if suspended { "suspended" } else { "good" };
        let members = self.hub.members.iter().map(|(role, suspended, count)| {
            ([("role", role.as_str()), ("standing", standing(*suspended))], *count)
        });
        page.gauges("members", "Members by role and standing", None, members)?;
        let streams = self.hub.streams.iter();
        let streams = streams.map(|(member, count)| ([("member", member.as_str())], *count));
        page.gauges("streams_open", "Streams that a member has open", None, streams)?;
        let kept = "Reports of misbehaviour that members handed in";
        page.gauge("misbehavior_reports", kept, None, &self.hub.reports)
    }

    fn subscriptions(&self, page: &mut Page<'_>) -> fmt::Result {
        let all = "Durable subscriptions, those included whose lag is not shown";
        page.gauge("subscriptions", all, None, &self.hub.subscriptions)?;
        // A subscription's id is its member's own words: whoever knows it finds its label, and a label tells nobody the id.
        let labels: Vec<String> = self
            .hub
            .behind
            .iter()
            .map(|behind| hex::encode(sha256(behind.name.id().as_bytes())))
            .collect();
        let named = || {
            self.hub.behind.iter().zip(&labels).map(|(behind, label)| {
                let member = behind.name.member.as_str();
                ([("member", member), ("subscription", label.as_str())], behind)
            })
        };
        let entries = "Entries of the log from the acknowledged place on, whoever they are for";
        let rows = named().map(|(labels, behind)| (labels, behind.entries));
        page.gauges("subscription_lag_entries", entries, None, rows)?;
        let time = "How long the entry at the acknowledged place has waited";
        // Of an entry that cannot be read nobody knows how long it has waited: 0 would be said to be none.
        let rows =
            named().filter_map(|(labels, behind)| Some((labels, behind.time?.as_secs_f64())));
        page.gauges("subscription_lag", time, Some(&Unit::Seconds), rows)?;
        let rows = named().map(|(labels, behind)| (labels, behind.streams));
        page.gauges("subscription_streams_open", "Streams open on a subscription", None, rows)
    }

    fn work(&self, page: &mut Page<'_>) -> fmt::Result {
        let counted = &self.hub.counted;
        page.counter("records_accepted", "Records that were appended", counted.accepted)?;
        let repeated = "Records that were there already and were answered with their receipt";
        page.counter("records_repeated", repeated, counted.repeated)?;
        let refused = "Records that were refused, by reason";
        let rows = counted.refused.iter();
        let rows = rows.map(|(reason, count)| ([("reason", reason.as_str())], *count));
        page.counters("records_refused", refused, rows)?;
        let sent = "Entries handed to the transport for subscribers, each subscriber counted";
        page.counter("entries_delivered", sent, counted.sent)
    }

    fn commits(&self, page: &mut Page<'_>) -> fmt::Result {
        let counted = &self.hub.counted;
        let whole = "From the beginning of a group until its receipts were given";
        page.times("commit", whole, &counted.commits)?;
        let write = "Handing a group to the database";
        page.times("commit_write", write, &counted.writes)?;
        page.times("commit_sync", "Flush and sync of a group", &counted.syncs)?;
        page.sizes("commit_records", "Entries of a group", &counted.sizes)
    }

    fn quotas(&self, page: &mut Page<'_>) -> fmt::Result {
        let labelled = |member: &'_ MemberId, limit: &QuotaUse| {
            [("member", member.to_string()), ("limit", limit.limit.as_str().to_owned())]
        };
        let members = || self.hub.quotas.iter();
        let pairs = || members().flat_map(|(id, all)| all.iter().map(move |limit| (id, limit)));
        let each = || pairs().map(|(member, limit)| (labelled(member, limit), limit));
        let refused = "Records, look-ups and streams that a quota refused";
        let rows = each().filter(|(_labels, limit)| limit.used.is_some() || limit.refused > 0);
        page.counters("quota_refusals", refused, rows.map(|(labels, of)| (labels, of.refused)))?;
        let used = "How much of a quota is used, where there is one";
        let rows = each().filter_map(|(labels, limit)| Some((labels, limit.used?)));
        page.gauges("quota_used", used, Some(&Unit::Ratios), rows)
    }

    fn health(&self, page: &mut Page<'_>) -> fmt::Result {
        let readiness = self.hub.readiness;
        let ready = "Whether records are taken";
        page.gauge("ready", ready, None, &u64::from(readiness.is_ready()))?;
        let rows = Cause::ALL
            .into_iter()
            .map(|cause| ([("cause", cause.as_str())], u64::from(readiness.has(cause))));
        page.gauges("unready", "What keeps records out", None, rows)?;
        let (running, waiting) = (self.hub.reads_running, self.hub.reads_waiting);
        page.gauge("reads_running", "Reads of the disk that run", None, &running)?;
        page.gauge("reads_waiting", "Reads that wait for their turn", None, &waiting)?;
        let failed =
            [("read", self.hub.counted.failed_reads), ("write", self.hub.counted.failed_writes)];
        let count = "Reads and writes of the disk that failed";
        let rows = failed.iter().map(|(kind, failed)| ([("kind", *kind)], failed.count));
        page.counters("disk_failures", count, rows)?;
        let last = "When a read or a write of the disk failed last; 0 if none did";
        let rows = failed.iter().map(|(kind, failed)| ([("kind", *kind)], seconds(failed.last)));
        page.gauges("disk_last_failure_timestamp", last, Some(&Unit::Seconds), rows)
    }

    fn beside(&self, page: &mut Page<'_>) -> fmt::Result {
        let Watched { audit, traces, config_is_failing } = &self.watched;
        let audit = audit.as_deref();
        let written = audit.map_or(0, AuditState::written);
        page.counter("audit_lines", "Lines written to the audit log", written)?;
        let lost = "What the audit log should tell and does not";
        page.counter("audit_lost", lost, audit.map_or(0, AuditState::lost))?;
        let failing = audit.is_some_and(AuditState::is_failing);
        let fails = "Whether the audit log cannot be written";
        page.gauge("audit_failing", fails, None, &u64::from(failing))?;
        let traces = traces.as_deref();
        let sent = traces.map_or(0, TracesState::sent);
        page.counter("trace_spans_sent", "Spans that the collector took", sent)?;
        let lost = traces.map_or(0, TracesState::lost);
        page.counter("trace_spans_lost", "Spans that it did not take", lost)?;
        let refused = "Whether the newest configuration could not be loaded";
        let failing = u64::from(config_is_failing.load(Ordering::Relaxed));
        page.gauge("config_reload_failing", refused, None, &failing)
    }

    fn machine(&self, page: &mut Page<'_>) -> fmt::Result {
        let free = "Bytes that are free on the data volume";
        page.gauge("data_volume_free", free, Some(&Unit::Bytes), &self.hub.free_bytes)?;
        let minimum = "Free bytes below which publishing stops";
        page.gauge("data_volume_minimum", minimum, Some(&Unit::Bytes), &self.min_free_bytes)?;
        let open = "Connections of members that are open";
        page.gauge("tls_connections_open", open, None, &self.connections)?;
        let refused = "Connections that were refused, by reason";
        let rows = self.refusals.iter();
        let rows = rows.map(|(reason, count)| ([("reason", reason.as_str())], *count));
        page.counters("tls_refusals", refused, rows)?;
        let failing = "Whether the newest TLS files could not be loaded";
        page.gauge("tls_reload_failing", failing, None, &u64::from(self.tls_is_failing))?;
        let Expiry { certificate, revocation_lists } = self.expiry;
        let end = |time: SystemTime| Timestamp::from(time);
        page.time("tls_certificate_end", "When the hub's certificate ends", end(certificate))?;
        let lists = "When the first of the revocation lists ends, and with it all access";
        page.time("tls_revocation_lists_end", lists, end(revocation_lists))?;
        page.time("start", "When this process began to serve", self.start)?;
        page.build()
    }
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.log(&mut page)?;
        self.members(&mut page)?;
        self.subscriptions(&mut page)?;
        self.work(&mut page)?;
        self.commits(&mut page)?;
        self.quotas(&mut page)?;
        self.health(&mut page)?;
        self.beside(&mut page)?;
        self.machine(&mut page)
    }
}

/// A moment, as seconds since 1970.
fn seconds(time: Timestamp) -> f64 {
    Duration::from_micros(time.as_micros()).as_secs_f64()
}

/// The text while it is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: &impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(value)
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        rows: impl Iterator<Item = (impl EncodeLabelSet, impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in rows {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// A moment, as seconds since 1970.
    fn time(&mut self, name: &str, help: &str, time: Timestamp) -> fmt::Result {
        let seconds = seconds(time);
        self.gauge(&format!("{name}_timestamp"), help, Some(&Unit::Seconds), &seconds)
    }

    /// Times that were counted in microseconds.
    fn times(&mut self, name: &str, help: &str, found: &Distribution) -> fmt::Result {
        let of = |micros: u64| Duration::from_micros(micros).as_secs_f64();
        self.histogram((name, help, Some(&Unit::Seconds)), found, of)
    }

    /// Sizes.
    fn sizes(&mut self, name: &str, help: &str, found: &Distribution) -> fmt::Result {
        let of = |size: u64| f64::from(u32::try_from(size).unwrap_or(u32::MAX));
        self.histogram((name, help, None), found, of)
    }

    fn histogram(
        &mut self,
        (name, help, unit): (&str, &str, Option<&Unit>),
        found: &Distribution,
        of: impl Fn(u64) -> f64,
    ) -> fmt::Result {
        let mut buckets: Vec<(f64, u64)> =
            found.within.iter().map(|(bound, count)| (of(*bound), *count)).collect();
        buckets.push((f64::INFINITY, found.above));
        let count = buckets.iter().map(|(_bound, count)| count).sum();
        let mut encoder = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        encoder.encode_histogram::<NoLabelSet>(of(found.sum), count, &buckets, None)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut counter = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        counter.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (impl EncodeLabelSet, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            let mut counter = family.encode_family(&labels)?;
            counter.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn build(&mut self) -> fmt::Result {
        let help = "The program that runs";
        let mut info = self.0.encode_descriptor("build", help, None, MetricType::Info)?;
        info.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check_host(host: &'static str, expected: bool) {
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        assert_eq!(names_this_machine(&headers), expected, "{host}");
    }

    #[test]
    fn a_host_name_of_somebody_else_is_not_answered() {
        assert!(names_this_machine(&HeaderMap::new()), "no browser leaves it out");
        for ours in ["127.0.0.1:9464", "127.0.0.1", "LOCALHOST:1", "[::1]:9464", "127.3.2.1"] {
            check_host(ours, true);
        }
        let theirs =
            ["rebind.example:9464", "localhost.example", "127.0.0.1.example", "192.0.2.1", "", "["];
        for host in theirs {
            check_host(host, false);
        }
    }
}
