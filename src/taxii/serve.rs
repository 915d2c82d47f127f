//! Connections: HTTP/1.1 or HTTP/2, as the client likes, within limits of size, number and time.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse as _;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use tokio_stream::Stream;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::exchange::Hub;
use crate::taxii::answer::Code;
use crate::taxii::answer::Fault;
use crate::taxii::answer::Named;
use crate::taxii::answer::Objects;
use crate::taxii::routes;
use crate::taxii::stall::Unstalled;
use crate::tls::Connection;
use crate::tls::Peer;
use crate::tls::limits;

/// How long a client may take to send the head of a request, or to send none on a connection that it keeps.
const HEAD_MAX: Duration = Duration::from_secs(20);
/// Bytes of a request's head: a few hundred ids fit its query.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The same for HTTP/2.
const HEADER_LIST_BYTES_MAX: u32 = 32 * 1024;
/// Header fields of a request.
const FIELDS_MAX: usize = 64;
/// Requests of one connection that are worked on at once: each may hold a page for as long as its client gives it no
/// window, and tools ask one by one.
const STREAMS_MAX: u32 = 2;

/// A request that was answered, for whoever is told.
#[derive(Clone, Debug)]
pub struct Asking {
    /// By whom.
    pub peer: Arc<Peer>,
    /// The collection whose objects were read; empty if the request was refused, or was for one object.
    pub of: String,
    /// How many objects were read that were asked for by their id.
    pub named: usize,
    /// Why it was refused, in a stable word.
    pub fault: Option<&'static str>,
}

/// Who is told of requests that read objects, or that were refused.
pub type Hear = Arc<dyn Fn(Asking) + Send + Sync>;

/// Serves connections until there are no more and all have ended. At `stop` each ends when it has answered what was
/// asked, at `cut` at once.
pub async fn serve(
    connections: impl Stream<Item = io::Result<Connection>> + Unpin,
    (hub, hear): (Arc<Hub>, Hear),
    stop: CancellationToken,
    cut: CancellationToken,
) {
    let mut connections = connections;
    let (router, tasks) = (routes::router(hub), TaskTracker::new());
    while let Some(Some(accepted)) = cut.run_until_cancelled(connections.next()).await {
        let Ok(connection) = accepted else { continue };
        let (router, hear, stop) = (router.clone(), Arc::clone(&hear), stop.clone());
        let talk = Talk { router, hear, stop, tasks: Tracked::new(&cut, &tasks) };
        let cut = cut.clone();
        tasks.spawn(
            async move { cut.run_until_cancelled_owned(Box::pin(talk.hold(connection))).await },
        );
    }
    drop(router);
    tasks.close();
    tasks.wait().await;
}

/// One conversation.
struct Talk {
    router: Router,
    hear: Hear,
    stop: CancellationToken,
    tasks: Tracked,
}

impl Talk {
    /// Until the client goes away, or is too slow, or `stop`. Whatever ends it, the client asks again.
    async fn hold(self, connection: Connection) {
        let (peer, is_h2) = (Arc::clone(connection.peer()), connection.is_h2());
        let (router, hear) = (self.router, self.hear);
        let answer =
            tower::service_fn(move |request| answer(router.clone(), (&peer, &hear), request));
        let (stream, service) =
            (TokioIo::new(Unstalled::new(connection)), TowerToHyperService::new(answer));
        if is_h2 {
            let mut talk = pin!(http2(self.tasks).serve_connection(stream, service));
            tokio::select! {
                _ended = talk.as_mut() => return,
                () = self.stop.cancelled() => talk.as_mut().graceful_shutdown(),
            }
            let _ended = talk.await;
        } else {
            let mut talk = pin!(http1().serve_connection(stream, service));
            tokio::select! {
                _ended = talk.as_mut() => return,
                () = self.stop.cancelled() => talk.as_mut().graceful_shutdown(),
            }
            let _ended = talk.await;
        }
    }
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(FIELDS_MAX);
    builder
}

fn http2(tasks: Tracked) -> http2::Builder<Tracked> {
    let mut builder = http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(limits::PENDING_RESETS_MAX)
        .max_local_error_reset_streams(limits::ERROR_RESETS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_frame_size(limits::FRAME_BYTES_MAX)
        .initial_stream_window_size(limits::FRAME_BYTES_MAX)
        .initial_connection_window_size(limits::STREAM_WINDOW_BYTES)
        .keep_alive_interval(limits::KEEPALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT);
    builder
}

/// The answer to one request, in time. A body is never read.
fn answer(
    router: Router,
    (peer, hear): (&Arc<Peer>, &Hear),
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response, std::convert::Infallible>> + use<> {
    let mut router = router;
    request.extensions_mut().insert(Arc::clone(peer));
    let (peer, hear) = (Arc::clone(peer), Arc::clone(hear));
    async move {
        match tokio::time::timeout(limits::CALL_MAX, router.call(request)).await {
            Ok(Ok(answered)) => {
                let fault = answered.extensions().get::<Code>().map(|code| code.0);
                let of = answered.extensions().get::<Objects>().map(|of| of.0.to_string());
                let named = answered.extensions().get::<Named>().map_or(0, |named| named.0);
                if fault.is_some() || of.is_some() || named > 0 {
                    hear(Asking { peer, of: of.unwrap_or_default(), named, fault });
                }
                Ok(answered)
            }
            Ok(Err(never)) => match never {},
            Err(_elapsed) => Ok(Fault::late().into_response()),
        }
    }
}

/// Runs what HTTP/2 does beside a connection, so that it ends with the rest.
#[derive(Clone, Debug)]
struct Tracked {
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Tracked {
    fn new(cut: &CancellationToken, tasks: &TaskTracker) -> Self {
        Self { cut: cut.clone(), tasks: tasks.clone() }
    }
}

impl<F> Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            let _cut = cut.run_until_cancelled_owned(future).await;
        });
    }
}
