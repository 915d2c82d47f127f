//! Many of everything: connections, handshakes, streams. What is over a limit is refused; what is within is borne.

use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use watchfire::client::Client;
use watchfire::tls::ConnectionLimits;
use watchfire::tls::limits;

use crate::peers::frames;
use crate::peers::ground::ATTACKER;
use crate::peers::ground::Ground;
use crate::peers::ground::MEMORY_MAX;
use crate::peers::raw::Dialer;
use crate::peers::raw::Heard;
use crate::peers::raw::Raw;
use crate::trials::Lane;
use crate::trials::Trials;

/// Memory of a hub that bears ten thousand connections, in all.
const TEN_THOUSAND_MAX: u64 = 400 << 20;
/// Where streams are opened.
pub(super) const SUBSCRIBE: &str = "/watchfire.v1.ExchangeService/Subscribe";

/// How many of these the hub keeps.
async fn kept(sockets: &mut [TcpStream]) -> usize {
    // What is refused is closed at once: a moment tells them apart, and the limit on handshakes is far.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let closed = join_all(sockets.iter_mut().map(|socket| async {
        tokio::time::timeout(Duration::from_millis(50), socket.read(&mut [0])).await.is_ok()
    }));
    closed.await.into_iter().filter(|closed| !closed).count()
}

async fn sockets(dialer: &Dialer, count: u32, of_an_address: u32) -> Vec<TcpStream> {
    let mut sockets = Vec::new();
    for number in 0..count {
        let from = dialer.clone().with_address(number / of_an_address);
        sockets.push(from.socket().await.expect("the kernel takes it"));
    }
    sockets
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limits_are_refused_and_others_go_on() {
    let mut trials = Trials::of("peers_connections", 1, 5);
    let caps = ConnectionLimits::default();
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let attacker = ground.attacker();
        let of_one = ground.under(&mut round, "one address, 200 connections", MEMORY_MAX, async {
            kept(&mut sockets(&attacker, 200, 200).await).await
        });
        assert_eq!(of_one.await, caps.per_address, "of one address");
        let silent = ground.under(&mut round, "2,500 silent connections", MEMORY_MAX * 2, async {
            let mut sockets = sockets(&attacker, 2500, 60).await;
            let kept = kept(&mut sockets).await;
            assert!(
                TcpStream::connect(ground.world.address()).await.is_ok(),
                "the kernel queues it"
            );
            kept
        });
        let silent = silent.await;
        // Honest members and their profiles' connections are among them.
        assert!((caps.total - 10..=caps.total).contains(&silent), "{silent} of 2,500 were kept");
        // Silence is no handshake: those places are free again soon, and a new member gets in.
        let begun = Instant::now();
        while ground.world.client("operator").await.now().as_micros() == 0 {}
        round.note("a new connection after ms", begun.elapsed().as_secs_f64() * 1000.0);
        let of_member = ground.under(&mut round, "one member, 60 connections", MEMORY_MAX, async {
            let dials = (0..60).map(|number| {
                let from = attacker.clone().with_address(number);
                async move {
                    let raw = from.greet(&[]).await.ok()?;
                    raw.until(Duration::from_secs(5), |heard| {
                        heard.acks > 0 || heard.ended.is_some()
                    })
                    .await;
                    raw.heard().ended.is_none().then_some(raw)
                }
            });
            join_all(dials).await.into_iter().flatten().count()
        });
        assert_eq!(of_member.await, caps.per_member, "of one member");
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}

/// Handshakes one after another, each to its end or just begun.
async fn handshakes(attacker: &Dialer, span: Duration) -> (u64, u64) {
    let (begun, mut done, mut begun_only) = (Instant::now(), 0, 0);
    while begun.elapsed() < span {
        let dials = (0..16).map(|number| attacker.clone().with_address(number));
        let streams = join_all(dials.map(|dialer| async move { dialer.dial().await })).await;
        done += u64::try_from(streams.iter().flatten().count()).expect("a number");
        let sockets = sockets(attacker, 16, 1).await;
        begun_only += u64::try_from(sockets.len()).expect("a number");
    }
    (done, begun_only)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_handshakes_leaves_others_their_turn() {
    let mut trials = Trials::of("peers_handshakes", 1, 3);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let attacker = ground.attacker();
        let flood = handshakes(&attacker, Ground::span());
        let (done, begun) = ground.under(&mut round, "handshakes", MEMORY_MAX, flood).await;
        assert!(done > 0, "no handshake came to its end");
        round.note("handshakes done", done);
        round.note("handshakes begun", begun);
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_fit_when_they_may() {
    let mut trials = Trials::of("peers_idle", 1, 2);
    let count: u32 = Lane::of_this_run().choose(300, 10_000, 10_000);
    while let Some(mut round) = trials.next() {
        let caps = "[connections]\ntotal = 12000\nper_member = 12000\nhandshakes = 64\n";
        let ground = Ground::new(caps).await;
        let attacker = ground.attacker();
        let before = ground.world.resident_bytes();
        let come = ground.under(&mut round, "connections come", TEN_THOUSAND_MAX, async {
            let mut open: Vec<Raw> = Vec::new();
            for at in (0..count).step_by(50) {
                let dials = (at..count.min(at + 50)).map(|number| {
                    let from = attacker.clone().with_address(number / 50);
                    async move { from.greet(&[]).await }
                });
                open.extend(join_all(dials).await.into_iter().map(|raw| raw.expect("a place")));
            }
            for raw in &open {
                let alive = raw.until(Duration::from_secs(10), |heard| heard.acks > 0).await;
                assert!(
                    alive && raw.heard().ended.is_none(),
                    "{:?} after {:?}",
                    raw.heard(),
                    raw.age()
                );
            }
            open
        });
        let open = come.await;
        let held = ground.world.resident_bytes();
        assert!(held <= TEN_THOUSAND_MAX, "{} MiB", held >> 20);
        let idle = tokio::time::sleep(Ground::span());
        ground.under(&mut round, "idle connections", MEMORY_MAX, idle).await;
        assert!(open.iter().all(|raw| raw.heard().ended.is_none()), "they are held until now");
        let each = held.saturating_sub(before) / u64::from(count);
        round.note("bytes of an idle connection", each);
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}

/// Opens subscriptions that are never read beyond their first bytes; how many the hub took.
async fn subscribe(raw: &mut Raw, count: u32) -> u64 {
    let open = |number: u32| {
        let (stream, head) = (1 + 2 * number, frames::call(SUBSCRIBE));
        let body = frames::message(&[]);
        [
            frames::frame(frames::HEADERS, 4, stream, &head),
            frames::frame(frames::DATA, 1, stream, &body),
        ]
        .concat()
    };
    raw.send(&(0..count).flat_map(open).collect::<Vec<u8>>()).await;
    let all = u64::from(count);
    // What came for a refused stream is answered with STREAM_CLOSED besides.
    let refused = |heard: &Heard| heard.resets.get(&frames::REFUSED_STREAM).copied();
    let answered = raw.until(Duration::from_secs(10), |heard| {
        heard.heads + refused(heard).unwrap_or_default() >= all
    });
    assert!(answered.await, "{:?}", raw.heard());
    raw.heard().heads
}

async fn streams_open(client: &Client) -> u32 {
    client.quota().await.expect("an answer").streams_open
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_streams_end_at_their_limits() {
    let mut trials = Trials::of("peers_streams", 1, 3);
    let members = Lane::of_this_run().choose(1, 20, 20);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("[connections]\nper_member = 80\nper_address = 80\n").await;
        let mut raw = ground.attacker().greet(&[]).await.expect("a connection");
        let taken = ground.under(
            &mut round,
            "80 streams of a connection",
            MEMORY_MAX,
            subscribe(&mut raw, 80),
        );
        let (taken, resets) = (taken.await, raw.heard().resets);
        assert!(taken <= u64::from(limits::STREAMS_MAX), "{taken} of a connection");
        let refused = resets.get(&frames::REFUSED_STREAM).copied().unwrap_or_default();
        assert_eq!(refused + taken, 80, "the rest never reached a service: {resets:?}");
        drop(raw);
        let names: Vec<String> = (0..members).map(|number| format!("idle-{number}")).collect();
        for name in &names {
            ground.world.admit(name, "company");
        }
        let (mut open, mut held) = (Vec::new(), 0);
        let bound = MEMORY_MAX * (1 + members);
        let idle = ground.under(&mut round, "idle streams", bound, async {
            for name in &names {
                for number in 0..5 {
                    let dialer = Dialer::of(&ground.world, name).with_address(number);
                    let mut raw = dialer.greet(&[]).await.expect("a connection");
                    subscribe(&mut raw, limits::STREAMS_MAX).await;
                    open.push(raw);
                }
                held += streams_open(&ground.world.client(name).await).await;
            }
        });
        idle.await;
        round.note("idle streams", held);
        assert_eq!(u64::from(held), 256 * members, "each member has so many and no more");
        drop(open);
        let client = ground.world.client(ATTACKER).await;
        crate::world::until("streams are given back", || async {
            (streams_open(&client).await == 0).then_some(())
        })
        .await;
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}
