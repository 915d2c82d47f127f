//! The accept loop: limits before work, a deadline on every handshake, an alert that arrives.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use socket2::SockRef;
use socket2::TcpKeepalive;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::model::names::MemberId;
use crate::model::time::Clock;
use crate::tls::connection::Connection;
use crate::tls::identity::Peer;
use crate::tls::identity::identity;
use crate::tls::reload::Reloader;

const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
const PREFACE_MAX: Duration = Duration::from_secs(2);
/// How long a refused client's bytes are read, so that they do not turn our alert into a reset.
const DRAIN_MAX: Duration = Duration::from_millis(250);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
const AGE_MAX: Duration = Duration::from_secs(3600);
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// How many connections are taken.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// In all.
    pub total: usize,
    /// From one address.
    pub per_address: usize,
    /// Of one member.
    pub per_member: usize,
    /// Handshakes at once.
    pub handshakes: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 2000, per_address: 512, per_member: 512, handshakes: 64 }
    }
}

/// Places that a connection takes, given back when it is dropped.
pub(super) struct Places {
    _total: OwnedSemaphorePermit,
    _address: Place<IpAddr>,
    _member: Place<MemberId>,
}

struct Acceptor {
    reloader: Arc<Reloader>,
    limits: ConnectionLimits,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    handshakes: Semaphore,
    addresses: Arc<Counts<IpAddr>>,
    members: Arc<Counts<MemberId>>,
    logged: Mutex<Option<Instant>>,
}

/// Accepts until `stop`; yields verified connections. Its tasks belong to `tasks`.
pub fn incoming(
    listener: TcpListener,
    reloader: Arc<Reloader>,
    limits: ConnectionLimits,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    tasks: &TaskTracker,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(64);
    let acceptor = Arc::new(Acceptor {
        handshakes: Semaphore::new(limits.handshakes),
        reloader,
        limits,
        clock,
        stop,
        addresses: Arc::default(),
        members: Arc::default(),
        logged: Mutex::default(),
    });
    tasks.spawn(run(acceptor, listener, sender, tasks.clone()));
    ReceiverStream::new(receiver)
}

async fn run(
    acceptor: Arc<Acceptor>,
    listener: TcpListener,
    sender: mpsc::Sender<io::Result<Connection>>,
    tasks: TaskTracker,
) {
    let total = Arc::new(Semaphore::new(acceptor.limits.total));
    let stop = acceptor.stop.clone();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((socket, address)) = accepted else {
            // Out of file descriptors, as a rule: trying again at once would only burn the processor.
            let _stopped = stop.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&total).try_acquire_owned() else {
            acceptor.log_refusal(address, "too many connections");
            continue;
        };
        let Some(place) = Place::take(&acceptor.addresses, address.ip(), acceptor.limits.per_address)
        else {
            acceptor.log_refusal(address, "too many connections from one address");
            continue;
        };
        let acceptor = Arc::clone(&acceptor);
        let sender = sender.clone();
        tasks.spawn(async move {
            let stop = acceptor.stop.clone();
            let work = acceptor.handshake(socket, address, permit, place);
            if let Some(Ok(connection)) = stop.run_until_cancelled(work).await {
                let _server_gone = sender.send(Ok(connection)).await;
            }
        });
    }
}

impl Acceptor {
    async fn handshake(
        &self,
        socket: TcpStream,
        address: SocketAddr,
        total: OwnedSemaphorePermit,
        place: Place<IpAddr>,
    ) -> Result<Connection, ()> {
        let _turn = self.handshakes.acquire().await.map_err(|_closed| ())?;
        tune(&socket).map_err(|_closed| ())?;
        let loaded = self.reloader.loaded();
        let acceptor = TlsAcceptor::from(Arc::clone(&loaded.config));
        let accepting = acceptor.accept(socket).into_fallible();
        let stream = match tokio::time::timeout(HANDSHAKE_MAX, accepting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err((error, socket))) => {
                self.log_refusal(address, &error.to_string());
                close_gently(socket).await;
                return Err(());
            }
            Err(_elapsed) => {
                self.log_refusal(address, "the handshake took too long");
                return Err(());
            }
        };
        let Some(peer) = self.peer(&stream, address) else {
            return Err(());
        };
        let Some(member) = Place::take(&self.members, peer.member.clone(), self.limits.per_member)
        else {
            self.log_refusal(address, "too many connections of one member");
            return Err(());
        };
        let places = Places { _total: total, _address: place, _member: member };
        let now = Instant::now();
        let wall: std::time::SystemTime = self.clock.now().into();
        let certified = peer.not_after.min(loaded.next_update).duration_since(wall);
        let age = certified.unwrap_or_default().min(jittered_age());
        let kill = self.reloader.kill_token(&peer.serial).cancelled_owned();
        Ok(Connection::new(stream, peer, now + PREFACE_MAX, now + age, kill, places))
    }

    fn peer(&self, stream: &TlsStream<TcpStream>, address: SocketAddr) -> Option<Arc<Peer>> {
        let (_socket, connection) = stream.get_ref();
        if connection.alpn_protocol() != Some(b"h2") {
            self.log_refusal(address, "the client does not speak h2");
            return None;
        }
        let leaf = connection.peer_certificates().and_then(|chain: &[CertificateDer<'_>]| chain.first())?;
        match identity(leaf, self.reloader.trust_domain()) {
            Ok(identity) => Some(Arc::new(identity.at(address))),
            Err(why) => {
                self.log_refusal(address, why);
                None
            }
        }
    }

    /// At most one line a second: strangers do not get to fill the disk.
    fn log_refusal(&self, address: SocketAddr, reason: &str) {
        let now = Instant::now();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|last| now.duration_since(last) >= REFUSAL_LOG_INTERVAL) {
            *logged = Some(now);
            tracing::info!(peer.ip = %address.ip(), tls.refused = reason, "connection refused");
        }
    }
}

fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(TCP_KEEPALIVE).with_interval(TCP_KEEPALIVE / 3);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// Lets the alert arrive: our side is shut, then the client's unread bytes are read away for a moment.
async fn close_gently(mut socket: TcpStream) {
    let _closed = socket.shutdown().await;
    let mut sink = [0; 1024];
    let drain = async { while matches!(socket.read(&mut sink).await, Ok(read) if read > 0) {} };
    let _elapsed = tokio::time::timeout(DRAIN_MAX, drain).await;
}

/// An hour, a tenth more or less, so that not all clients return at once.
fn jittered_age() -> Duration {
    let mut random = [0; 1];
    let _no_jitter = getrandom::fill(&mut random);
    let [random] = random;
    AGE_MAX.mul_f64(0.9 + 0.2 * f64::from(random) / 255.0)
}

#[derive(Debug)]
struct Counts<K>(Mutex<HashMap<K, usize>>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

/// One place among those of a key.
struct Place<K: Clone + Eq + Hash> {
    counts: Arc<Counts<K>>,
    key: K,
}

impl<K: Clone + Eq + Hash> Place<K> {
    fn take(counts: &Arc<Counts<K>>, key: K, maximum: usize) -> Option<Self> {
        let mut map = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = map.entry(key.clone()).or_default();
        if *taken >= maximum {
            return None;
        }
        *taken += 1;
        drop(map);
        Some(Self { counts: Arc::clone(counts), key })
    }
}

impl<K: Clone + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut map = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = map.get_mut(&self.key) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                map.remove(&self.key);
            }
        }
    }
}
