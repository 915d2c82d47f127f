//! The accept loop: limits before work, a deadline on every handshake, an alert that arrives.

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::Hash;
use std::io;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;
use std::time::SystemTime;

use socket2::SockRef;
use socket2::TcpKeepalive;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
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
use tokio_util::sync::PollSemaphore;
use tokio_util::task::TaskTracker;

use crate::model::names::MemberId;
use crate::tls::connection::Connection;
use crate::tls::identity::CertificateId;
use crate::tls::identity::Peer;
use crate::tls::identity::identity;
use crate::tls::limits::ACCEPT_PAUSE;
use crate::tls::limits::ACCEPTED_QUEUE;
use crate::tls::limits::CONNECTION_AGE_MAX;
use crate::tls::limits::ConnectionLimits;
use crate::tls::limits::DRAIN_MAX;
use crate::tls::limits::HANDSHAKE_MAX;
use crate::tls::limits::PREFACE_MAX;
use crate::tls::limits::REFUSAL_LOG_INTERVAL;
use crate::tls::limits::TCP_KEEPALIVE;
use crate::tls::live::Lease;
use crate::tls::load::Loaded;
use crate::tls::reload::Reloader;
use crate::tls::tally::Refused;

/// Places that a connection takes, given back when it is dropped.
pub(super) struct Places {
    _total: Place<()>,
    _address: Place<IpAddr>,
    _member: Place<MemberId>,
    /// Its entry among those that can be ended.
    pub(super) lease: Lease,
}

/// A client whose certificate was read.
type Known = (Arc<Peer>, CertificateId);

/// The places that are taken before anything is known of the client.
struct Entrance {
    total: Place<()>,
    address: Place<IpAddr>,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// gRPC: HTTP/2 and nothing else, which the client must say.
    Grpc,
    /// HTTP/2 or HTTP/1.1, as the client likes; one that does not say gets HTTP/1.1.
    Http,
}

impl Speaks {
    /// Whether a connection is HTTP/2, by the protocol that was agreed on; `None` if the listener does not speak it.
    fn is_h2(self, agreed: Option<&[u8]>) -> Option<bool> {
        match (self, agreed) {
            (Self::Grpc | Self::Http, Some(b"h2")) => Some(true),
            (Self::Http, None | Some(b"http/1.1")) => Some(false),
            (Self::Grpc, _) | (Self::Http, Some(_)) => None,
        }
    }
}

struct Acceptor {
    speaks: Speaks,
    reloader: Arc<Reloader>,
    limits: ConnectionLimits,
    stop: CancellationToken,
    total: Arc<Counts<()>>,
    handshakes: Semaphore,
    /// Turns at the threads.
    turns: Arc<Semaphore>,
    addresses: Arc<Counts<IpAddr>>,
    members: Arc<Counts<MemberId>>,
    logged: Mutex<Option<Instant>>,
}

/// Accepts gRPC connections until `stop`; yields verified ones. Its tasks belong to `tasks`.
pub fn incoming(
    listener: TcpListener,
    reloader: Arc<Reloader>,
    limits: ConnectionLimits,
    stop: CancellationToken,
    tasks: &TaskTracker,
) -> ReceiverStream<io::Result<Connection>> {
    incoming_of(Speaks::Grpc, listener, reloader, limits, stop, tasks)
}

/// The same for a listener that may speak something else. Its limits are its own; turns at the threads are those of all.
pub fn incoming_of(
    speaks: Speaks,
    listener: TcpListener,
    reloader: Arc<Reloader>,
    limits: ConnectionLimits,
    stop: CancellationToken,
    tasks: &TaskTracker,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(ACCEPTED_QUEUE);
    let acceptor = Arc::new(Acceptor {
        speaks,
        total: Arc::default(),
        handshakes: Semaphore::new(limits.handshakes),
        turns: reloader.turns(),
        reloader,
        limits,
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
    let stop = acceptor.stop.clone();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((socket, address)) = accepted else {
            // Trying again at once would only burn the processor.
            let _stopped = stop.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
            continue;
        };
        let Some(entrance) = acceptor.enter(address) else {
            continue;
        };
        let acceptor = Arc::clone(&acceptor);
        let sender = sender.clone();
        tasks.spawn(async move {
            let stop = acceptor.stop.clone();
            let work = acceptor.admit(socket, address, entrance);
            if let Some(Some(connection)) = stop.run_until_cancelled(work).await {
                let _server_gone = sender.send(Ok(connection)).await;
            }
        });
    }
}

impl Acceptor {
    fn enter(&self, address: SocketAddr) -> Option<Entrance> {
        let Some(total) = Place::take(&self.total, (), self.limit(|limits| limits.total)) else {
            self.refuse(address, Refused::Total, "too many connections");
            return None;
        };
        let (network, limit) = (network(address.ip()), self.limit(|limits| limits.per_address));
        let Some(address) = Place::take(&self.addresses, network, limit) else {
            self.refuse(address, Refused::Address, "too many connections from one address");
            return None;
        };
        Some(Entrance { total, address })
    }

    async fn admit(
        &self,
        socket: TcpStream,
        address: SocketAddr,
        entrance: Entrance,
    ) -> Option<Connection> {
        let handshake = tokio::time::timeout(HANDSHAKE_MAX, self.handshake(socket));
        let (stream, loaded) = match handshake.await {
            Ok(Ok(done)) => done,
            Ok(Err((error, socket))) => {
                self.refuse(address, Refused::of(&error), &error.to_string());
                close_gently(socket).await;
                return None;
            }
            Err(_elapsed) => {
                self.refuse(address, Refused::Slow, "the handshake took too long");
                return None;
            }
        };
        let admitted = self.peer(&stream, address).and_then(|((peer, certificate), is_h2)| {
            let limit = self.limit(|limits| limits.per_member);
            let member = Place::take(&self.members, peer.member.clone(), limit)
                .ok_or((Refused::Member, "too many connections of one member"))?;
            Ok((peer, certificate, member, is_h2))
        });
        let (peer, certificate, member, is_h2) = match admitted {
            Ok(admitted) => admitted,
            Err((reason, why)) => {
                self.refuse(address, reason, why);
                close_gently(stream).await;
                return None;
            }
        };
        let lease = self.reloader.enter(&certificate, &peer);
        let Entrance { total, address } = entrance;
        let places = Places { _total: total, _address: address, _member: member, lease };
        let now = Instant::now();
        let end_of_life = now + self.age_max(&peer, &loaded);
        Some(Connection::new(stream, (peer, is_h2), now + PREFACE_MAX, end_of_life, places))
    }

    async fn handshake(
        &self,
        socket: TcpStream,
    ) -> Result<(TlsStream<TcpStream>, Arc<Loaded>), (io::Error, TcpStream)> {
        // A client that says nothing takes no turn from those that do.
        if let Err(error) = tune(&socket) {
            return Err((error, socket));
        }
        if let Err(error) = socket.peek(&mut [0]).await {
            return Err((error, socket));
        }
        let Ok(_turn) = self.handshakes.acquire().await else {
            return Err((io::ErrorKind::ConnectionAborted.into(), socket));
        };
        let loaded = self.reloader.loaded();
        let config = match self.speaks {
            Speaks::Grpc => &loaded.config,
            Speaks::Http => &loaded.http,
        };
        let acceptor = TlsAcceptor::from(Arc::clone(config));
        let mut handshake = pin!(acceptor.accept(socket).into_fallible());
        let mut turn = Turn::of(&self.turns);
        let stream = poll_fn(|context| {
            ready!(turn.poll(context));
            let polled = handshake.as_mut().poll(context);
            turn.held = None;
            polled
        });
        Ok((stream.await?, loaded))
    }

    fn peer(
        &self,
        stream: &TlsStream<TcpStream>,
        address: SocketAddr,
    ) -> Result<(Known, bool), (Refused, &'static str)> {
        let (_socket, connection) = stream.get_ref();
        let is_h2 = self.speaks.is_h2(connection.alpn_protocol());
        let is_h2 = is_h2.ok_or((Refused::Incompatible, "the client does not speak h2"))?;
        let leaf = connection.peer_certificates().and_then(<[_]>::first);
        let leaf = leaf.ok_or((Refused::NoCertificate, "the client showed no certificate"))?;
        let identity = identity(leaf, self.reloader.trust_domain());
        Ok((identity.map_err(|why| (Refused::NoMember, why))?.at(address), is_h2))
    }

    /// Until its certificate or the list that was looked at ends, and no longer than others.
    fn age_max(&self, peer: &Peer, loaded: &Loaded) -> Duration {
        let now: SystemTime = self.reloader.now();
        let certified = peer.not_after.min(loaded.revocation.next_update).duration_since(now);
        certified.unwrap_or_default().min(jittered_age())
    }

    /// A limit as it is now.
    fn limit(&self, of: impl Fn(&ConnectionLimits) -> usize) -> usize {
        self.reloader.limits().as_deref().map_or_else(|| of(&self.limits), &of)
    }

    /// Counted each time, and at most one line a second: strangers do not get to fill the disk.
    fn refuse(&self, address: SocketAddr, counted: Refused, reason: &str) {
        self.reloader.refusals.take(counted);
        let now = Instant::now();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|last| now.duration_since(last) >= REFUSAL_LOG_INTERVAL) {
            *logged = Some(now);
            tracing::info!(peer.ip = %address.ip(), tls.refused = reason, "connection refused");
        }
    }
}

/// A turn at the threads. A flight of a handshake takes one for a while, and hundreds may be ready at once: in a thread's
/// queue everybody else would wait behind them. It is over with the flight; who waits for its client has none.
struct Turn {
    turns: PollSemaphore,
    held: Option<OwnedSemaphorePermit>,
    has_waited: bool,
}

impl Turn {
    fn of(turns: &Arc<Semaphore>) -> Self {
        Self { turns: PollSemaphore::new(Arc::clone(turns)), held: None, has_waited: false }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.held.is_some() {
            return Poll::Ready(());
        }
        match self.turns.poll_acquire(context) {
            Poll::Ready(given) => self.held = given,
            Poll::Pending => {
                self.has_waited = true;
                return Poll::Pending;
            }
        }
        if std::mem::take(&mut self.has_waited) {
            // It would be next in its thread's queue: so it comes behind all who are ready by now.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(TCP_KEEPALIVE).with_interval(TCP_KEEPALIVE / 3);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// Lets the alert arrive: our side is shut, then the client's unread bytes are read away for a moment.
async fn close_gently(mut socket: impl AsyncRead + AsyncWrite + Unpin) {
    let mut sink = [0; 1024];
    let close = async {
        let _closed = socket.shutdown().await;
        while matches!(socket.read(&mut sink).await, Ok(read) if read > 0) {}
    };
    let _elapsed = tokio::time::timeout(DRAIN_MAX, close).await;
}

/// Whom an address counts for: who has one IPv6 address has all of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

/// A tenth more or less, so that not all clients return at once.
fn jittered_age() -> Duration {
    let mut random = [0; 1];
    let _no_jitter = getrandom::fill(&mut random);
    let [random] = random;
    CONNECTION_AGE_MAX.mul_f64(0.9 + 0.2 * f64::from(random) / 255.0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_network(address: &str, expected: &str) {
        let network = network(address.parse().unwrap());
        assert_eq!(network, expected.parse::<IpAddr>().unwrap(), "{address}");
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        check_network("192.0.2.7", "192.0.2.7");
        check_network("::ffff:192.0.2.7", "192.0.2.7");
        check_network("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
    }

    #[test]
    fn hard_ends_lie_after_the_soft_one() {
        for _ in 0..100 {
            let age = jittered_age();
            assert!(age > crate::tls::limits::CONNECTION_AGE_SOFT, "{age:?}");
            assert!(age <= CONNECTION_AGE_MAX.mul_f64(1.1), "{age:?}");
        }
    }

    #[test]
    fn places_are_given_back() {
        let counts: Arc<Counts<u8>> = Arc::default();
        let first = Place::take(&counts, 1, 1);
        assert!(first.is_some());
        assert!(Place::take(&counts, 1, 1).is_none());
        assert!(Place::take(&counts, 2, 1).is_some());
        drop(first);
        assert!(Place::take(&counts, 1, 1).is_some());
        assert_eq!(counts.0.lock().unwrap().len(), 0);
    }
}
