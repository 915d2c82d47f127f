//! Serving: build everything, accept, and stop in the right order.
//!
//! A shutdown stops accepting, ends every subscription with its cursor, waits for what is under way up to a
//! deadline, cuts the rest, and lets the sequencer finish what it has. A failed write ends the process at once.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracerProvider;
use prost::Message as _;
use rustix::fs::Access;
use rustix::io::Errno;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;

use crate::exchange::Hub;
use crate::exchange::OpenError;
use crate::exchange::SequencerThread;
use crate::exchange::Settings;
use crate::interop::framework::FrameworkLoadError;
use crate::interop::framework::Frameworks;
use crate::interop::warning_list::LoadError;
use crate::interop::warning_list::WarningLists;
use crate::model::limits;
use crate::model::names::ExchangeName;
use crate::model::time::Clock;
use crate::rpc;
use crate::server::admin;
use crate::server::audit::Audit;
use crate::server::audit::AuditThread;
use crate::server::audit::Outcome;
use crate::server::audit::Who;
use crate::server::calls::WatchCalls;
use crate::server::compact;
use crate::server::config::Config;
use crate::server::lock;
use crate::server::metrics;
use crate::server::observe::Told;
use crate::server::reload::Reload;
use crate::server::restore;
use crate::server::telemetry::LogFilter;
use crate::server::traces;
use crate::server::traces::Traces;
use crate::signing::SecretKey;
use crate::store::Store;
use crate::store::StoreError;
use crate::taxii;
use crate::tls;
use crate::tls::Reloader;
use crate::tls::Speaks;
use crate::tls::TlsLoadError;
use crate::wire;
use crate::wire::pb;

/// The founding record's file in the data directory.
pub(super) const GENESIS: &str = "genesis.envelope";
/// How often the ends of life are looked at.
const EXPIRY_INTERVAL: Duration = Duration::from_hours(12);
/// How long before an end of life the log warns of it.
const EXPIRY_WARNING: Duration = Duration::from_hours(14 * 24);
/// How often the sequencer's thread is asked whether it still runs.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);
/// How long the sequencer may be at work before the disk is asked whether a write failed.
const STUCK_AFTER: Duration = Duration::from_millis(500);

/// Why the hub does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A file of the data directory cannot be used.
    #[error("{path} cannot be used: {what}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// A file of the data directory cannot be read, or written.
    #[error("{path} cannot be used")]
    Unread {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Another process has the data directory.
    #[error("another process has the data directory open: it writes to {0}")]
    InUse(PathBuf),
    /// A restored log waits for its epoch.
    #[error(
        "this log was restored and its next epoch has not begun: the operator signs it, then watchfired begin-epoch (docs/OPERATIONS.md)"
    )]
    Restored,
    /// The store did not open in time.
    #[error(
        "the store did not open within {0:?}: its files may be damaged; restore from a backup (docs/OPERATIONS.md)"
    )]
    OpenTimeout(Duration),
    /// Opening the store came to no end of its own.
    #[error(
        "the store's files cannot be opened, they are damaged; restore from a backup (docs/OPERATIONS.md)"
    )]
    OpenFailed,
    /// The log cannot be served.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Certificates or lists.
    #[error(transparent)]
    Tls(#[from] TlsLoadError),
    /// A list of common benign values.
    #[error(transparent)]
    WarningList(#[from] LoadError),
    /// A framework of techniques.
    #[error(transparent)]
    Framework(#[from] FrameworkLoadError),
    /// The address is not ours to listen on.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The services cannot be described.
    #[error("the descriptors of the services are unreadable")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// Traces cannot be made.
    #[error("traces cannot be made: {0}")]
    Traces(String),
    /// The transport failed.
    #[error("the transport failed")]
    Transport(#[from] tonic::transport::Error),
    /// A write failed: the process must end, and a new one finds what is durable.
    #[error("a write failed; the hub stops so that nothing is promised that is not kept")]
    Write(#[source] StoreError),
}

/// How serving ended, when it ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything under way was answered.
    Drained,
    /// Some connections had to be cut.
    Cut,
}

/// Serves until `stop`. Certificates and configuration are loaded again whenever `reload` changes.
pub async fn serve(
    config: Config,
    clock: Arc<dyn Clock>,
    clock_confirmed: bool,
    stop: CancellationToken,
    reload: watch::Receiver<u64>,
) -> Result<Exit, ServeError> {
    let reload = (reload, LogFilter::default());
    serve_with(config, clock, clock_confirmed, stop, reload).await
}

/// The same with log lines whose filter changes with the configuration.
pub async fn serve_with(
    config: Config,
    clock: Arc<dyn Clock>,
    clock_confirmed: bool,
    stop: CancellationToken,
    reload: (watch::Receiver<u64>, LogFilter),
) -> Result<Exit, ServeError> {
    let tasks = TaskTracker::new();
    let watching = Watching::start(&config, &clock, &tasks)?;
    let told = Arc::clone(&watching.told);
    told.note(Who::Hub, "serve", "", Outcome::Done(None));
    let served = serve_told(config, clock, clock_confirmed, stop, (reload, &watching, tasks)).await;
    let outcome = match &served {
        Ok(_exit) => Outcome::Done(None),
        Err(_fault) => Outcome::Failed("see the log".to_owned()),
    };
    told.note(Who::Hub, "stop", "", outcome);
    drop(told);
    watching.finish().await;
    served
}

/// Audit log and traces, while the hub serves.
struct Watching {
    told: Arc<Told>,
    audit: Option<(Audit, AuditThread)>,
    sources: metrics::Watched,
    traces: Option<SdkTracerProvider>,
}

impl Watching {
    fn start(
        config: &Config,
        clock: &Arc<dyn Clock>,
        tasks: &TaskTracker,
    ) -> Result<Self, ServeError> {
        // Before anything is made: a mistyped folder must not become a data directory.
        let exchange = exchange_of(config)?;
        let audit = config.audit.as_ref().map(|audit| {
            Audit::start(audit, Arc::clone(clock)).map_err(|error| unopened(&audit.file, error))
        });
        let audit = audit.transpose()?;
        let traces = config.traces.as_ref();
        let traces = traces.map(|traces| Traces::start(traces, &exchange, tasks));
        let traces = traces.transpose().map_err(ServeError::Traces)?;
        let sources = metrics::Watched {
            audit: audit.as_ref().map(|(audit, _thread)| audit.state()),
            traces: traces.as_ref().map(Traces::state),
            config_is_failing: Arc::default(),
        };
        let provider = traces.as_ref().map(Traces::provider);
        let told = audit.as_ref().map(|(audit, _thread)| audit.clone());
        let told = Told::new(Arc::clone(clock), told, traces);
        Ok(Self { told, audit, sources, traces: provider })
    }

    /// Writes and sends what is left.
    async fn finish(self) {
        let Self { told, audit, traces, .. } = self;
        drop(told);
        let work = move || {
            if let Some(traces) = traces {
                traces::finish(&traces);
            }
            if let Some((audit, thread)) = audit {
                audit.finish(thread);
            }
        };
        let _ended = tokio::task::spawn_blocking(work).await;
    }
}

#[expect(clippy::too_many_lines, reason = "the order of start and stop, in one place")]
async fn serve_told(
    config: Config,
    clock: Arc<dyn Clock>,
    clock_confirmed: bool,
    stop: CancellationToken,
    (reload, watching, tasks): ((watch::Receiver<u64>, LogFilter), &Watching, TaskTracker),
) -> Result<Exit, ServeError> {
    let told = Arc::clone(&watching.told);
    let opened = open_hub(&config, Arc::clone(&clock), clock_confirmed, Arc::clone(&told));
    let (hub, sequencer) = opened?;
    let reloader = Reloader::open(config.tls.clone(), hub.trust_domain(), clock)?;
    let (listener, listen) = bind(config.listen).await?;
    let figures = bind_if_asked(config.metrics).await?;
    let objects = bind_if_asked(config.taxii).await?;

    let cut = CancellationToken::new();
    let incoming = tls::incoming(
        listener,
        Arc::clone(&reloader),
        config.connections.clone(),
        stop.clone(),
        &tasks,
    );
    spawn_chores(&hub, &reloader, &cut, &tasks);
    let (signals, filter) = reload;
    let reload = Reload {
        config: config.clone(),
        hub: Arc::clone(&hub),
        tls: Arc::clone(&reloader),
        filter,
        told: Arc::clone(&told),
        is_failing: Arc::clone(&watching.sources.config_is_failing),
    };
    tasks.spawn(reload.on_signal(signals, cut.clone()));
    if let Some((listener, listen)) = figures {
        let sources = metrics::Sources {
            hub: Arc::clone(&hub),
            tls: Arc::clone(&reloader),
            min_free_bytes: config.min_free_bytes,
            watched: watching.sources.clone(),
        };
        // To the end, so that a drain can be watched.
        tasks.spawn(metrics::serve(listener, sources, cut.clone(), tasks.clone()));
        tracing::info!(listen = %listen, "figures are served");
    }
    give_backups(&config, (&hub, &told), &stop, &tasks);
    let objects = objects.map(|(listener, listen)| {
        tracing::info!(listen = %listen, "TAXII is served");
        let (reloader, limits) = (Arc::clone(&reloader), config.connections.clone());
        let stop = stop.clone();
        let incoming =
            tls::incoming_of(Speaks::Http, listener, reloader, limits, stop.clone(), &tasks);
        let told = Arc::clone(&told);
        let hear = Arc::new(move |asked: taxii::Asking| told.asked(&asked));
        taxii::serve(incoming, (Arc::clone(&hub), hear), stop, cut.clone())
    });
    tracing::info!(exchange = %hub.exchange(), listen = %listen, head = hub.head().size, "serving");

    let (routes, health) = rpc::routes(&hub)?;
    tasks.spawn(health.follow(hub.watch_readiness(), cut.clone()));
    let layers = Server::builder().layer(WatchCalls(told)).layer(rpc::HeldLayer::default());
    let server = tls::configure(layers).add_routes(routes);
    tasks.spawn(drain_at(stop.clone(), Arc::clone(&hub)));
    let transport = server.serve_with_incoming_shutdown(incoming, stop.cancelled());
    let transport = async { tokio::join!(transport, if_any(objects)).0 };
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(config.drain_deadline).await;
    };
    let failed = Box::pin(has_ended(&sequencer, &hub));
    // Each arm ends the hub; none is needed after another has.
    let mut is_stuck = false;
    let exit = tokio::select! {
        ended = transport => { ended?; Exit::Drained }
        () = overdue => Exit::Cut,
        stuck = failed => { is_stuck = stuck; Exit::Cut }
    };
    if exit == Exit::Cut {
        tracing::warn!(connections = reloader.live(), "cutting connections that did not end");
    }
    reloader.end_if(|_every_connection| true);
    cut.cancel();
    stop.cancel();
    tasks.close();
    drop(hub);
    if is_stuck {
        return Err(stuck());
    }
    finish(sequencer, config.drain_deadline).await?;
    tracing::info!("stopped");
    Ok(exit)
}

/// The sequencer's thread never comes back, and ends with the process.
fn stuck() -> ServeError {
    let cause = "its thread was not told, and waits".to_owned();
    ServeError::Write(StoreError::Io { action: "writing the log", cause })
}

/// Waits until the sequencer has ended, or a write failed of which it does not hear; whether it was that.
async fn has_ended(sequencer: &SequencerThread, hub: &Arc<Hub>) -> bool {
    let mut question = Question::default();
    while !sequencer.is_finished() {
        tokio::time::sleep(WATCH_INTERVAL).await;
        if hub.at_work() > STUCK_AFTER {
            let asked = Arc::clone(hub);
            // What failed is told to the sequencer, if it listens.
            if question.ask(move || asked.has_failed(), STUCK_AFTER).await {
                tokio::time::sleep(WATCH_INTERVAL).await;
                return !sequencer.is_finished();
            }
        }
    }
    false
}

/// What is asked of a disk, on a thread of its own. While it has no answer it is not asked again: each question takes a
/// thread for as long as the disk hangs, and all of them would be gone within minutes.
#[derive(Default)]
struct Question(Option<JoinHandle<bool>>);

impl Question {
    /// Whether it is so, as far as the disk says in time.
    async fn ask(
        &mut self,
        whether: impl FnOnce() -> bool + Send + 'static,
        patience: Duration,
    ) -> bool {
        let asked = self.0.get_or_insert_with(|| tokio::task::spawn_blocking(whether));
        match tokio::time::timeout(patience, asked).await {
            Ok(answer) => {
                self.0 = None;
                answer.unwrap_or(false)
            }
            // A disk that is slow answers later.
            Err(_elapsed) => false,
        }
    }
}

/// What goes on beside the connections, to the end.
fn spawn_chores(
    hub: &Arc<Hub>,
    reloader: &Arc<Reloader>,
    cut: &CancellationToken,
    tasks: &TaskTracker,
) {
    tasks.spawn(Arc::clone(reloader).watch(tls::limits::RELOAD_INTERVAL, cut.clone()));
    tasks.spawn(warn_of_expiry(Arc::clone(reloader), cut.clone()));
    tasks.spawn(tick(Arc::clone(hub), cut.clone()));
}

/// Drains the hub when it is to stop. On its own: the transport forgets its signal when the stream of connections ends
/// first.
async fn drain_at(stop: CancellationToken, hub: Arc<Hub>) {
    stop.cancelled().await;
    tracing::info!("draining");
    hub.drain();
}

/// Waits for what there may be.
async fn if_any(future: Option<impl Future<Output = ()>>) {
    if let Some(future) = future {
        future.await;
    }
}

/// Opens the admin socket. Without it the hub serves all the same.
fn give_backups(
    config: &Config,
    (hub, told): (&Arc<Hub>, &Arc<Told>),
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    match admin::bind(&config.data) {
        Ok(listener) => {
            let whose = (Arc::clone(hub), Arc::clone(told));
            tasks.spawn(admin::serve(listener, whose, stop.clone(), tasks.clone()));
        }
        Err(error) => tracing::warn!(%error, "no backups are given while the hub serves"),
    }
}

/// Opens the log and starts the sequencer.
fn open_hub(
    config: &Config,
    clock: Arc<dyn Clock>,
    clock_confirmed: bool,
    told: Arc<Told>,
) -> Result<(Arc<Hub>, SequencerThread), ServeError> {
    if restore::is_waiting(&config.data) {
        return Err(ServeError::Restored);
    }
    let genesis = genesis(config)?;
    let log_secret = secret(&config.data.join("log.key"))?;
    let store = open_store(config)?;
    let settings = Settings {
        clock_confirmed,
        workers: config.workers,
        retention: config.retention,
        warning_lists: warning_lists(config)?,
        frameworks: frameworks(config)?,
        observer: Some(told),
    };
    Ok(Hub::start(store, genesis, log_secret, clock, settings)?)
}

/// Why the audit log cannot be written.
fn unopened(file: &Path, cause: std::io::Error) -> ServeError {
    if cause.kind() == ErrorKind::ResourceBusy {
        return ServeError::InUse(file.to_owned());
    }
    ServeError::Unread { path: file.to_owned(), cause }
}

/// The founding record.
pub(super) fn genesis(config: &Config) -> Result<pb::Envelope, ServeError> {
    let path = config.data.join(GENESIS);
    pb::Envelope::decode(read(&path)?.as_slice())
        .map_err(|error| ServeError::File { path, what: error.to_string() })
}

/// The exchange of a data directory, as its founding record has it.
fn exchange_of(config: &Config) -> Result<ExchangeName, ServeError> {
    let record = wire::envelope::record(genesis(config)?).map_err(|refusal| ServeError::File {
        path: config.data.join(GENESIS),
        what: refusal.to_string(),
    })?;
    Ok(record.header.exchange)
}

/// The short list of our own, and those that the operator names.
pub(super) fn warning_lists(config: &Config) -> Result<WarningLists, ServeError> {
    let lists = WarningLists::built_in().with_files(&config.warning_lists)?;
    for list in lists.lists().iter().filter(|list| list.unusable > 0) {
        tracing::warn!(
            list.name,
            list.unusable,
            "entries of a warning list can match nothing here"
        );
    }
    Ok(lists)
}

/// The frameworks that the operator supplies.
pub(super) fn frameworks(config: &Config) -> Result<Frameworks, ServeError> {
    let frameworks = Frameworks::load(&config.frameworks)?;
    for framework in frameworks.all() {
        let techniques = framework.techniques.len();
        tracing::info!(framework = framework.title(), techniques, "a framework is loaded");
    }
    Ok(frameworks)
}

/// Opens the store of a data directory, under a watchdog: damaged files can make sled hang.
pub fn open_store(config: &Config) -> Result<Store, ServeError> {
    watched(config, Store::open)
}

/// The same without the indexes, to rebuild them.
pub fn open_log(config: &Config) -> Result<Store, ServeError> {
    watched(config, Store::open_log)
}

fn watched(
    config: &Config,
    open: fn(&Path, u64) -> Result<Store, StoreError>,
) -> Result<Store, ServeError> {
    // Before the store is made: a mistyped folder must not become one.
    read(&config.data.join(GENESIS))?;
    // Before anything is removed: another process may be at work on it.
    let fault = |error| not_opened(&config.data.join("store"), error);
    let lock = lock::take(&config.data).map_err(fault)?;
    let leftover = compact::remove_leftover(&config.data);
    let left = leftover
        .map_err(|cause| ServeError::Unread { path: config.data.join(compact::COPY), cause })?;
    if left {
        tracing::warn!("removed what a compaction left that did not come to its end");
    }
    let (sender, receiver) = mpsc::channel();
    let path = config.data.join("store");
    let min_free_bytes = config.min_free_bytes;
    let opening = std::thread::Builder::new().name("open store".to_owned());
    opening
        .spawn(move || {
            // Nobody waits any more when the watchdog was faster.
            let _late = sender.send(open(&path, min_free_bytes));
        })
        .map_err(|cause| ServeError::Unread { path: config.data.clone(), cause })?;
    match receiver.recv_timeout(config.open_deadline) {
        Ok(opened) => opened.map(|store| store.with_lock(lock)).map_err(fault),
        Err(RecvTimeoutError::Timeout) => Err(ServeError::OpenTimeout(config.open_deadline)),
        Err(RecvTimeoutError::Disconnected) => Err(ServeError::OpenFailed),
    }
}

/// Why the store was not opened. What this account may not use no disk withholds: starting again does not help.
fn not_opened(store: &Path, error: StoreError) -> ServeError {
    if matches!(error, StoreError::Io { .. })
        && let Some(path) = forbidden(store)
    {
        return ServeError::File { path, what: error.to_string() };
    }
    OpenError::Store(error).into()
}

/// What of a store this account may not read and write; the folder around it if it is not there yet.
fn forbidden(store: &Path) -> Option<PathBuf> {
    let folder = if store.exists() { store } else { store.parent()? };
    let files = std::fs::read_dir(store).into_iter().flatten().flatten().map(|file| file.path());
    std::iter::once(folder.to_owned()).chain(files).find(|path| {
        let may = rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK);
        matches!(may, Err(Errno::ACCESS | Errno::PERM))
    })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let fault = |error| ServeError::Listen(address, error);
    let listener = TcpListener::bind(address).await.map_err(fault)?;
    let bound = listener.local_addr().map_err(fault)?;
    Ok((listener, bound))
}

async fn bind_if_asked(
    address: Option<SocketAddr>,
) -> Result<Option<(TcpListener, SocketAddr)>, ServeError> {
    match address {
        Some(address) => Ok(Some(bind(address).await?)),
        None => Ok(None),
    }
}

/// Lets the hub do what time alone brings about.
async fn tick(hub: Arc<Hub>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(limits::TICK_INTERVAL)).await.is_some() {
        hub.tick();
    }
}

/// Warns, at the start and twice a day, of what will end soon.
async fn warn_of_expiry(reloader: Arc<Reloader>, stop: CancellationToken) {
    loop {
        let expiry = reloader.expiry();
        for (what, end) in [
            ("the server's certificate", expiry.certificate),
            ("a revocation list, and with it every member's access,", expiry.revocation_lists),
        ] {
            let left = end.duration_since(reloader.now()).unwrap_or_default();
            if left < EXPIRY_WARNING {
                let days = left.as_secs() / 86_400;
                tracing::warn!(tls.what = what, tls.days_left = days, "an end is near: renew it");
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(EXPIRY_INTERVAL)).await.is_none() {
            return;
        }
    }
}

/// Waits for the sequencer to write what it has.
async fn finish(sequencer: SequencerThread, deadline: Duration) -> Result<(), ServeError> {
    let joined = tokio::task::spawn_blocking(move || sequencer.join());
    match tokio::time::timeout(deadline, joined).await {
        Ok(Ok(Ok(outcome))) => outcome.map_err(ServeError::Write),
        Ok(Ok(Err(_)) | Err(_)) => Err(ServeError::Write(StoreError::Io {
            action: "the sequencer",
            cause: "its thread ended by itself".to_owned(),
        })),
        // A stream that would not end still holds the hub; what was acknowledged is durable.
        Err(_elapsed) => Ok(()),
    }
}

/// Reads a private key; one that others may read is refused.
pub fn secret(path: &Path) -> Result<SecretKey, ServeError> {
    use std::os::unix::fs::PermissionsExt as _;

    let fault = |what: String| ServeError::File { path: path.to_owned(), what };
    let mode = std::fs::metadata(path)
        .map_err(|cause| ServeError::Unread { path: path.to_owned(), cause })?
        .permissions();
    if mode.mode() & 0o077 != 0 {
        return Err(fault("others may read this private key: chmod 600".to_owned()));
    }
    let pem = zeroize::Zeroizing::new(
        String::from_utf8(read(path)?).map_err(|error| fault(error.to_string()))?,
    );
    SecretKey::from_pem(&pem).map_err(|error| fault(error.to_string()))
}

fn read(path: &Path) -> Result<Vec<u8>, ServeError> {
    std::fs::read(path).map_err(|cause| ServeError::Unread { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use super::*;

    /// What answers when the disk comes back; how often it was begun is counted.
    fn answer(
        begun: Arc<AtomicUsize>,
        hangs: Arc<Mutex<mpsc::Receiver<bool>>>,
    ) -> impl FnOnce() -> bool {
        move || {
            begun.fetch_add(1, Ordering::Relaxed);
            hangs.lock().unwrap().recv().unwrap()
        }
    }

    #[tokio::test]
    async fn a_disk_that_hangs_is_asked_once_and_its_answer_is_heard() {
        let (come_back, hangs) = mpsc::channel();
        let (begun, hangs) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(hangs)));
        let disk = || answer(Arc::clone(&begun), Arc::clone(&hangs));
        let (mut question, patience) = (Question::default(), Duration::from_millis(5));
        for _time in 0..20 {
            assert!(!question.ask(disk(), patience).await);
        }
        assert_eq!(begun.load(Ordering::Relaxed), 1, "each takes a thread");
        come_back.send(true).unwrap();
        assert!(question.ask(disk(), Duration::from_mins(1)).await);
        // The next question is a new one.
        come_back.send(true).unwrap();
        assert!(question.ask(disk(), Duration::from_mins(1)).await);
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    }
}
