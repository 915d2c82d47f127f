//! A network that misbehaves: every connection through it has a fate of its own, drawn from the round's randomness.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::Rng as _;
use proptest::test_runner::TestRng;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::trials::Round;
use crate::world::World;

/// Where the proxy listens, at the hub's address.
const PORT: u16 = 7449;
/// Bytes that are moved at once.
const CHUNK: usize = 16 * 1024;
/// Bytes that a connection carries at most before its end; a handshake has about 5,000.
const LIFE_BYTES: u64 = 300_000;
/// How long a connection waits for another one to overtake it.
const OVERTAKEN_WITHIN: Duration = Duration::from_millis(60);
/// How long a connection may say nothing before the network itself ends it, unless it stays so.
const SILENCE: Duration = Duration::from_millis(700);

/// How a connection ends, long before either side would have it end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By RST on both sides.
    Reset,
    /// In the midst of a frame, by FIN on both sides.
    Cut,
    /// It carries nothing any more, and is reset after a while.
    Silent,
    /// It carries nothing any more, and nobody says so: half-open until the network is calm.
    HalfOpen,
}

/// What happens to one connection.
#[derive(Clone, Copy, Debug)]
struct Fate {
    /// It is begun after one that came later.
    overtaken: bool,
    /// Each chunk is kept back so long, and up to as long again.
    delay: Duration,
    /// Bytes that are passed on at once.
    piece: usize,
    /// After how many bytes it ends, and how.
    end: Option<(u64, End)>,
}

impl Fate {
    const CLEAN: Self = Self { overtaken: false, delay: Duration::ZERO, piece: CHUNK, end: None };
}

/// How often each thing was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) connections: AtomicU64,
    pub(super) overtaken: AtomicU64,
    pub(super) slow: AtomicU64,
    pub(super) dripping: AtomicU64,
    pub(super) reset: AtomicU64,
    pub(super) cut: AtomicU64,
    pub(super) silent: AtomicU64,
    pub(super) half_open: AtomicU64,
}

impl Done {
    /// Connections that were ended against the will of both sides: each is a reconnect, or a record that never comes.
    pub(super) fn forced(&self) -> u64 {
        [&self.reset, &self.cut, &self.silent, &self.half_open]
            .map(|count| count.load(Ordering::Relaxed))
            .iter()
            .sum()
    }

    /// Notes all of it with a round.
    pub(super) fn note(&self, round: &mut Round) {
        let all = [
            ("connections", &self.connections),
            ("overtaken", &self.overtaken),
            ("slow", &self.slow),
            ("dripping", &self.dripping),
            ("reset", &self.reset),
            ("cut", &self.cut),
            ("silent", &self.silent),
            ("half-open", &self.half_open),
        ];
        for (what, count) in all {
            round.note(what, count.load(Ordering::Relaxed));
        }
        round.note("forced", self.forced());
    }

    fn count(counter: &AtomicU64) -> u64 {
        counter.fetch_add(1, Ordering::Relaxed)
    }
}

/// The network between clients and the hub.
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

struct Shared {
    hub: SocketAddr,
    random: Mutex<TestRng>,
    done: Done,
    arrived: Notify,
    calm: CancellationToken,
    /// How many connections may stay half-open: each keeps one of its member's places at the hub.
    half_open_max: u64,
}

impl Proxy {
    /// Begins to misbehave in front of a world's hub; so many connections stay half-open until the network is calm.
    pub(super) async fn before(world: &World, round: &Round, half_open_max: u64) -> Self {
        let hub: SocketAddr = world.address().parse().expect("an address");
        let address = SocketAddr::new(hub.ip(), PORT);
        let listener = TcpListener::bind(address).await.expect("a listener");
        let shared = Arc::new(Shared {
            hub,
            random: Mutex::new(round.random.clone()),
            done: Done::default(),
            arrived: Notify::new(),
            calm: CancellationToken::new(),
            half_open_max,
        });
        let stop = CancellationToken::new();
        let (own, ended) = (Arc::clone(&shared), stop.clone());
        TaskTracker::new().spawn(async move {
            ended.run_until_cancelled(accept(listener, own)).await;
        });
        Self { address, shared, stop }
    }

    /// Where clients connect.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn done(&self) -> &Done {
        &self.shared.done
    }

    /// From now on it does what a network should; what was under way and was to end badly ends now.
    pub(super) fn calm(&self) {
        self.shared.calm.cancel();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.calm.cancel();
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let links = TaskTracker::new();
    while let Ok((client, _from)) = listener.accept().await {
        let number = Done::count(&shared.done.connections);
        let fate = if shared.calm.is_cancelled() { Fate::CLEAN } else { shared.draw() };
        shared.arrived.notify_waiters();
        links.spawn(link(client, number, fate, Arc::clone(&shared)));
    }
}

impl Shared {
    fn draw(&self) -> Fate {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let mut below = |end: u64| random.next_u64() % end;
        let delay = match below(4) {
            0 => Duration::from_millis(1 + below(8)),
            _ => Duration::ZERO,
        };
        let piece = match below(8) {
            // Too few for a frame's head, a record's head, a message's prefix.
            0 => 1 + usize::try_from(below(40)).expect("few"),
            _ => CHUNK,
        };
        let end = match below(100) {
            0..45 => End::Reset,
            45..85 => End::Cut,
            85..97 => End::Silent,
            _ => End::HalfOpen,
        };
        // Evenly by magnitude: as many end in their handshakes as much later.
        let life = LIFE_BYTES >> below(7);
        let fate =
            Fate { overtaken: below(3) == 0, delay, piece, end: Some((1 + below(life), end)) };
        drop(random);
        self.note(fate)
    }

    fn note(&self, mut fate: Fate) -> Fate {
        let done = &self.done;
        if fate.overtaken {
            Done::count(&done.overtaken);
        }
        if !fate.delay.is_zero() {
            Done::count(&done.slow);
        }
        if fate.piece < CHUNK {
            Done::count(&done.dripping);
        }
        if let Some((_after, end)) = &mut fate.end
            && *end == End::HalfOpen
            && done.half_open.load(Ordering::Relaxed) >= self.half_open_max
        {
            *end = End::Silent;
        }
        fate
    }

    /// How long this chunk is kept back.
    fn jitter(&self, delay: Duration) -> Duration {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let share = random.next_u32() % 1000;
        delay + delay * share / 1000
    }
}

/// One connection, from its beginning to its end.
async fn link(client: TcpStream, number: u64, fate: Fate, shared: Arc<Shared>) {
    if fate.overtaken {
        drop(tokio::time::timeout(OVERTAKEN_WITHIN, shared.arrived.notified()).await);
    }
    let Ok(hub) = dial(&shared, number).await else { return };
    if fate.end.is_some_and(|(_after, end)| end == End::Reset) {
        for side in [&client, &hub] {
            // Closing it then sends RST.
            side.set_zero_linger().expect("an option of a socket");
        }
    }
    let carried = carry(client, hub, fate, &shared);
    match fate.end {
        None => carried.await,
        Some(_) => drop(shared.calm.run_until_cancelled(carried).await),
    }
}

/// To the hub, from one of many addresses: it lets so many connect from one.
async fn dial(shared: &Shared, number: u64) -> io::Result<TcpStream> {
    let [_, _, _, _, _, _, a, b] = number.to_be_bytes();
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 200, a, b), 0).into())?;
    socket.connect(shared.hub).await
}

/// Moves bytes both ways until either side ends, or the fate has it end.
async fn carry(mut client: TcpStream, mut hub: TcpStream, fate: Fate, shared: &Shared) {
    let left = fate.end.map(|(after, _end)| AtomicU64::new(after));
    let is_over = {
        let (client_reads, client_writes) = client.split();
        let (hub_reads, hub_writes) = hub.split();
        let up = pump(client_reads, hub_writes, fate, left.as_ref(), shared);
        let down = pump(hub_reads, client_writes, fate, left.as_ref(), shared);
        tokio::select! {
            over = up => over,
            over = down => over,
        }
    };
    let (true, Some((_after, end))) = (is_over, fate.end) else { return };
    let done = &shared.done;
    match end {
        End::Reset => drop(Done::count(&done.reset)),
        End::Cut => drop(Done::count(&done.cut)),
        End::Silent => {
            Done::count(&done.silent);
            tokio::time::sleep(SILENCE).await;
        }
        End::HalfOpen => {
            Done::count(&done.half_open);
            std::future::pending::<()>().await;
        }
    }
}

/// Moves bytes one way. True if the fate ended it, false if either side did.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    fate: Fate,
    left: Option<&AtomicU64>,
    shared: &Shared,
) -> bool {
    let mut buffer = vec![0; fate.piece];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return false };
        if !fate.delay.is_zero() {
            tokio::time::sleep(shared.jitter(fate.delay)).await;
        }
        let carried = left.map_or(count, |left| take(left, count));
        if to.write_all(&buffer[..carried]).await.is_err() {
            return false;
        }
        if carried < count {
            return true;
        }
    }
}

/// How many of so many bytes may still pass.
fn take(left: &AtomicU64, count: usize) -> usize {
    let wanted = u64::try_from(count).expect("a chunk");
    let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        Some(left.saturating_sub(wanted))
    });
    let before = before.expect("always some");
    usize::try_from(before.min(wanted)).expect("a chunk")
}
