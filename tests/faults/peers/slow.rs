//! Peers that take their time: none keeps a place longer than the step that it is at may take.

use std::time::Duration;
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::future::join_all;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;
use watchfire::tls::limits;

use crate::peers::frames;
use crate::peers::ground::ATTACKER;
use crate::peers::ground::Ground;
use crate::peers::ground::MEMORY_MAX;
use crate::peers::raw::Dialer;
use crate::trials::Lane;
use crate::trials::Round;
use crate::trials::Trials;

/// The first record of a handshake without its end.
const HALF_HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 7, 7, 7, 7, 7, 7, 7, 7];
/// Connections of one address, as the hub has it by default.
const PER_ADDRESS: u32 = 64;

/// What may come to a deadline: a second, and on a machine that is busy with other things some more.
fn late() -> Duration {
    let second = Duration::from_secs(1);
    Lane::of_this_run().choose(8 * second, second, second)
}

/// Until the other side closes; none if it does not by then.
async fn gone(mut stream: impl tokio::io::AsyncRead + Unpin, within: Duration) -> Option<Duration> {
    let begun = Instant::now();
    let mut sink = vec![0; 1024];
    let reading = async { while matches!(stream.read(&mut sink).await, Ok(read) if read > 0) {} };
    tokio::time::timeout(within, reading).await.ok().map(|()| begun.elapsed())
}

/// A socket that says this much and no more.
async fn says(dialer: Dialer, words: &[u8]) -> Option<Duration> {
    let mut socket = dialer.socket().await.expect("it is let in");
    socket.write_all(words).await.ok()?;
    gone(socket, limits::HANDSHAKE_MAX + late()).await
}

/// The same after the handshake.
async fn says_in_tls(dialer: Dialer, words: &[u8], limit: Duration) -> Option<Duration> {
    let mut stream = dialer.dial().await.expect("it is let in");
    stream.write_all(words).await.ok()?;
    stream.flush().await.ok()?;
    gone(stream, limit + late()).await
}

/// A call whose body comes a byte a second; until it has its answer.
async fn drips(dialer: Dialer) -> Option<Duration> {
    let mut raw = dialer.greet(&[]).await.expect("it is let in");
    let begun = Instant::now();
    let head = frames::call("/watchfire.v1.ExchangeService/Publish");
    raw.send(&frames::frame(frames::HEADERS, frames::END_HEADERS, 1, &head)).await;
    let mut bytes = frames::prefixed(0, 1000, &[0; 30]).into_iter();
    while raw.heard().heads == 0 && begun.elapsed() < limits::CALL_MAX + late() {
        let byte = bytes.next()?;
        raw.send(&frames::frame(frames::DATA, 0, 1, &[byte])).await;
        raw.until(Duration::from_secs(1), |heard| heard.heads > 0).await;
    }
    let took = begun.elapsed();
    (raw.heard().heads > 0 && took < limits::CALL_MAX + late()).then_some(took)
}

/// The longest of them; a panic if one was never let go.
fn longest(what: &str, all: Vec<Option<Duration>>) -> Duration {
    let count = all.len();
    let gone: Vec<Duration> = all.into_iter().flatten().collect();
    assert_eq!(gone.len(), count, "{what}: some keep their places");
    gone.into_iter().max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_its_time_is_let_go() {
    let mut trials = Trials::of("peers_slow", 1, 3);
    let each = Lane::of_this_run().choose(20, 500, 500);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("[connections]\ntotal = 5000\nper_member = 5000\n").await;
        let attacker = ground.attacker();
        // Each attacker has an address of its own: the limit of one would let go of them at once.
        let from = |number: u32| attacker.clone().with_address(number / 60);
        let open = frames::frame(
            frames::HEADERS,
            0,
            1,
            &frames::call("/watchfire.v1.ExchangeService/Publish"),
        );
        let partial = [frames::PREFACE, &frames::settings(&[]), &open].concat();
        let keepalive = limits::KEEPALIVE_INTERVAL + limits::KEEPALIVE_TIMEOUT;
        let slow = async |round: &mut Round, what: &str, all: Vec<Slow<'_>>| {
            let gone = ground.under(round, what, MEMORY_MAX * 2, join_all(all)).await;
            round.note(&format!("{what}: seconds"), longest(what, gone).as_secs_f64());
        };
        let each = 0..each;
        let all = each.clone().map(|at| says(from(at), b"").boxed());
        slow(&mut round, "no byte", all.collect()).await;
        let all = each.clone().map(|at| says(from(at), HALF_HELLO).boxed());
        slow(&mut round, "half a ClientHello", all.collect()).await;
        let all = each.clone().map(|at| says_in_tls(from(at), b"", limits::PREFACE_MAX).boxed());
        slow(&mut round, "no preface", all.collect()).await;
        let all = each.clone().map(|at| says_in_tls(from(at), &partial, keepalive).boxed());
        slow(&mut round, "half a head", all.collect()).await;
        let all = each.clone().map(|at| drips(from(at)).boxed());
        slow(&mut round, "a body of a byte a second", all.collect()).await;
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}

/// One that takes its time, until it is let go.
type Slow<'a> = BoxFuture<'a, Option<Duration>>;

/// Half hellos from an address, as many as it may, each begun again when it is let go.
async fn half_hellos(dialer: Dialer, stop: &CancellationToken) -> u64 {
    let one = async |mut said: u64| {
        while !stop.is_cancelled() {
            let Ok(mut socket) = dialer.socket().await else { continue };
            if socket.write_all(HALF_HELLO).await.is_ok() {
                said += 1;
                stop.run_until_cancelled(gone(socket, limits::HANDSHAKE_MAX + late())).await;
            }
        }
        said
    };
    join_all((0..PER_ADDRESS).map(|_socket| one(0))).await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn half_hellos_keep_nobody_out() {
    let mut trials = Trials::of("peers_half_hellos", 1, 3);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let attacker = ground.attacker();
        let stop = CancellationToken::new();
        let attack =
            join_all((1..=10).map(|at| half_hellos(attacker.clone().with_address(at), &stop)));
        let coming = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut longest = Duration::ZERO;
            for _time in 0..10 {
                let begun = Instant::now();
                ground.world.client(ATTACKER).await.quota().await.expect("an answer");
                longest = longest.max(begun.elapsed());
            }
            stop.cancel();
            longest
        };
        let (said, longest) = tokio::join!(attack, coming);
        round.note("half hellos", said.iter().sum::<u64>());
        round.note("a new connection and a call: seconds", longest.as_secs_f64());
        assert!(said.iter().sum::<u64>() >= 10 * u64::from(PER_ADDRESS), "{said:?}");
        // Who had to wait for a turn would wait until half a hello is let go.
        assert!(longest < limits::HANDSHAKE_MAX / 2, "{longest:?}");
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}
