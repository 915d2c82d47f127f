//! Serving: build everything, accept, and stop in the right order.
//!
//! A shutdown stops accepting, ends every subscription with its cursor, waits for what is under way up to a
//! deadline, cuts the rest, and lets the sequencer finish what it has. A failed write ends the process at once.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
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
use crate::model::time::Clock;
use crate::rpc;
use crate::server::admin;
use crate::server::compact;
use crate::server::config::Config;
use crate::server::metrics;
use crate::server::restore;
use crate::signing::SecretKey;
use crate::store::Store;
use crate::store::StoreError;
use crate::taxii;
use crate::tls;
use crate::tls::Reloader;
use crate::tls::Speaks;
use crate::tls::TlsLoadError;
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

/// Serves until `stop`. The certificates are loaded again whenever `reload` changes.
pub async fn serve(
    config: Config,
    clock: Arc<dyn Clock>,
    clock_confirmed: bool,
    stop: CancellationToken,
    reload: watch::Receiver<u64>,
) -> Result<Exit, ServeError> {
    let (hub, sequencer) = open_hub(&config, Arc::clone(&clock), clock_confirmed)?;
    let reloader = Reloader::open(config.tls.clone(), hub.trust_domain(), clock)?;
    let (listener, listen) = bind(config.listen).await?;
    let figures = bind_if_asked(config.metrics).await?;
    let objects = bind_if_asked(config.taxii).await?;

    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    let incoming = tls::incoming(
        listener,
        Arc::clone(&reloader),
        config.connections.clone(),
        stop.clone(),
        &tasks,
    );
    spawn_chores(&hub, &reloader, reload, &cut, &tasks);
    if let Some((listener, listen)) = figures {
        let sources = metrics::Sources::new(&hub, &reloader, config.min_free_bytes);
        // To the end, so that a drain can be watched.
        tasks.spawn(metrics::serve(listener, sources, cut.clone(), tasks.clone()));
        tracing::info!(listen = %listen, "figures are served");
    }
    give_backups(&config, &hub, &stop, &tasks);
    let objects = objects.map(|(listener, listen)| {
        tracing::info!(listen = %listen, "TAXII is served");
        let (reloader, limits) = (Arc::clone(&reloader), config.connections.clone());
        let stop = stop.clone();
        let incoming =
            tls::incoming_of(Speaks::Http, listener, reloader, limits, stop.clone(), &tasks);
        taxii::serve(incoming, Arc::clone(&hub), stop, cut.clone())
    });
    tracing::info!(exchange = %hub.exchange(), listen = %listen, head = hub.head().size, "serving");

    let server = tls::configure(Server::builder()).layer(rpc::HeldLayer::default());
    let mut server = server;
    let server = server.add_routes(rpc::routes(&hub)?);
    tasks.spawn(drain_at(stop.clone(), Arc::clone(&hub)));
    let transport = server.serve_with_incoming_shutdown(incoming, stop.cancelled());
    let transport = async { tokio::join!(transport, if_any(objects)).0 };
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(config.drain_deadline).await;
    };
    let failed = has_ended(&sequencer, &hub);
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
    while !sequencer.is_finished() {
        tokio::time::sleep(WATCH_INTERVAL).await;
        if hub.at_work() > STUCK_AFTER {
            let asked = Arc::clone(hub);
            let asked = tokio::task::spawn_blocking(move || asked.has_failed());
            // A disk that is slow answers later, and is asked again.
            let failed = tokio::time::timeout(STUCK_AFTER, asked).await;
            // What failed is told to the sequencer, if it listens.
            if matches!(failed, Ok(Ok(true))) {
                tokio::time::sleep(WATCH_INTERVAL).await;
                return !sequencer.is_finished();
            }
        }
    }
    false
}

/// What goes on beside the connections, to the end.
fn spawn_chores(
    hub: &Arc<Hub>,
    reloader: &Arc<Reloader>,
    reload: watch::Receiver<u64>,
    cut: &CancellationToken,
    tasks: &TaskTracker,
) {
    tasks.spawn(Arc::clone(reloader).watch(tls::limits::RELOAD_INTERVAL, cut.clone()));
    tasks.spawn(warn_of_expiry(Arc::clone(reloader), cut.clone()));
    tasks.spawn(tick(Arc::clone(hub), cut.clone()));
    tasks.spawn(reload_on_signal(Arc::clone(reloader), reload, cut.clone()));
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
fn give_backups(config: &Config, hub: &Arc<Hub>, stop: &CancellationToken, tasks: &TaskTracker) {
    match admin::bind(&config.data) {
        Ok(listener) => {
            tasks.spawn(admin::serve(listener, Arc::clone(hub), stop.clone(), tasks.clone()));
        }
        Err(error) => tracing::warn!(%error, "no backups are given while the hub serves"),
    }
}

/// Opens the log and starts the sequencer.
fn open_hub(
    config: &Config,
    clock: Arc<dyn Clock>,
    clock_confirmed: bool,
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
    };
    Ok(Hub::start(store, genesis, log_secret, clock, settings)?)
}

/// The founding record.
pub(super) fn genesis(config: &Config) -> Result<pb::Envelope, ServeError> {
    let path = config.data.join(GENESIS);
    pb::Envelope::decode(read(&path)?.as_slice())
        .map_err(|error| ServeError::File { path, what: error.to_string() })
}

/// The short list of our own, and those that the operator names.
fn warning_lists(config: &Config) -> Result<WarningLists, ServeError> {
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
fn frameworks(config: &Config) -> Result<Frameworks, ServeError> {
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
    let leftover = compact::remove_leftover(&config.data);
    let left = leftover.map_err(|error| ServeError::File {
        path: config.data.join(compact::COPY),
        what: error.to_string(),
    })?;
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
        .map_err(|error| ServeError::File { path: config.data.clone(), what: error.to_string() })?;
    match receiver.recv_timeout(config.open_deadline) {
        Ok(opened) => Ok(opened.map_err(OpenError::Store)?),
        Err(RecvTimeoutError::Timeout) => Err(ServeError::OpenTimeout(config.open_deadline)),
        Err(RecvTimeoutError::Disconnected) => Err(ServeError::OpenFailed),
    }
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

async fn reload_on_signal(
    reloader: Arc<Reloader>,
    mut signals: watch::Receiver<u64>,
    stop: CancellationToken,
) {
    while let Some(Ok(())) = stop.run_until_cancelled(signals.changed()).await {
        let reloader = Arc::clone(&reloader);
        let work = tokio::task::spawn_blocking(move || reloader.reload());
        match work.await {
            Ok(Ok(_reloaded)) => tracing::info!("TLS files reloaded"),
            Ok(Err(fault)) => {
                let error: &(dyn std::error::Error + 'static) = &fault;
                tracing::error!(error, "TLS files not reloaded: the old ones stay in use");
            }
            Err(_stopping) => return,
        }
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
    let mode = std::fs::metadata(path).map_err(|error| fault(error.to_string()))?.permissions();
    if mode.mode() & 0o077 != 0 {
        return Err(fault("others may read this private key: chmod 600".to_owned()));
    }
    let pem = zeroize::Zeroizing::new(
        String::from_utf8(read(path)?).map_err(|error| fault(error.to_string()))?,
    );
    SecretKey::from_pem(&pem).map_err(|error| fault(error.to_string()))
}

fn read(path: &Path) -> Result<Vec<u8>, ServeError> {
    std::fs::read(path)
        .map_err(|error| ServeError::File { path: path.to_owned(), what: error.to_string() })
}
