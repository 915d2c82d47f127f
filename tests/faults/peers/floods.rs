//! Frames that no library sends, as fast as they go: the hub ends the connection, or reads no faster than it answers.
//!
//! The same against gRPC and against TAXII over HTTP/2: both stand on one library with limits of their own.

use std::time::Duration;
use std::time::Instant;

use crate::peers::frames;
use crate::peers::frames::ENHANCE_YOUR_CALM;
use crate::peers::ground::Ground;
use crate::peers::ground::MEMORY_MAX;
use crate::peers::raw::Dialer;
use crate::peers::raw::Raw;
use crate::trials::Lane;
use crate::trials::Round;
use crate::trials::Trials;

/// How soon a connection that floods is told to go away. Written in PROMISES as 100 ms; machines are noisy.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// And on demand, where nothing else needs the machine.
const TOLD_SOON: Duration = Duration::from_millis(100);
/// Frames of one write.
const BURST: u32 = 400;

/// A listener, and what is asked of it.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) dialer: Dialer,
    /// The fields of a request that it takes.
    pub(super) head: Vec<u8>,
}

/// What a flood must come to.
#[derive(Clone, Copy)]
enum Ends {
    /// GOAWAY with this code.
    Told(u32),
    /// GOAWAY with any code, or the end without a word.
    Gone,
    /// The connection may go on: the hub answers, or ignores, and reads no faster than that.
    Borne,
}

type Write = fn(&Door, u32) -> Vec<u8>;

/// Each flood: its name, what one burst of it is, and its end.
const FLOODS: &[(&str, Write, Ends)] = &[
    ("rapid reset", rapid_reset, Ends::Told(ENHANCE_YOUR_CALM)),
    ("broken requests", broken_requests, Ends::Told(ENHANCE_YOUR_CALM)),
    ("CONTINUATION without end", continuations, Ends::Gone),
    ("empty CONTINUATION", empty_continuations, Ends::Gone),
    ("fields from one byte each", hpack_bomb, Ends::Borne),
    ("more streams than may be", many_streams, Ends::Borne),
    ("SETTINGS", |_door, _at| frames::settings(&[(1, 4096)]).repeat(400), Ends::Borne),
    ("PING", |_door, _at| frames::frame(frames::PING, 0, 0, &[7; 8]).repeat(400), Ends::Borne),
    ("PRIORITY", priorities, Ends::Borne),
    ("unknown frames", |_door, at| frames::frame(0xb0, 0, at, &[0; 64]).repeat(400), Ends::Borne),
    ("empty DATA", empty_data, Ends::Borne),
    ("WINDOW_UPDATE by one", |_door, _at| frames::window_update(0, 1).repeat(400), Ends::Borne),
    ("a window beyond its most", overflow, Ends::Told(3)),
    ("a window by nothing", |_door, _at| frames::window_update(0, 0), Ends::Told(1)),
    ("a frame beyond its most", |_door, _at| too_long(), Ends::Told(6)),
    ("PUSH_PROMISE of a client", push, Ends::Told(1)),
    ("DATA on no stream", |_door, at| frames::frame(frames::DATA, 0, at, &[0; 9]), Ends::Told(1)),
    ("HEADERS on stream 0", |door, _at| frames::frame(1, 5, 0, &door.head), Ends::Told(1)),
    (
        "HEADERS on an even stream",
        |door, at| frames::frame(1, 5, at + 1, &door.head),
        Ends::Told(1),
    ),
    ("SETTINGS of five bytes", |_door, _at| frames::frame(4, 0, 0, &[0; 5]), Ends::Told(1)),
    ("a name in capitals", capitals, Ends::Told(1)),
    ("garbage", |_door, _at| vec![0xa5; 4096], Ends::Gone),
];

/// Streams of a burst, from this one on.
fn streams(from: u32) -> impl Iterator<Item = u32> {
    (0..BURST).map(move |number| from + 2 * number)
}

fn rapid_reset(door: &Door, from: u32) -> Vec<u8> {
    let opened = |stream| [frames::frame(1, 4, stream, &door.head), frames::reset(stream)].concat();
    streams(from).flat_map(opened).collect()
}

fn broken_requests(door: &Door, from: u32) -> Vec<u8> {
    let head = [&door.head[..], &frames::field(b"connection", b"close")].concat();
    streams(from).flat_map(|stream| frames::frame(1, 5, stream, &head)).collect()
}

fn capitals(door: &Door, from: u32) -> Vec<u8> {
    frames::frame(1, 5, from, &[&door.head[..], &frames::field(b"Upper-Case", b"x")].concat())
}

fn continuations(door: &Door, from: u32) -> Vec<u8> {
    let piece = frames::field(b"x-more", &[b'x'; 16_000]);
    let open = frames::frame(frames::HEADERS, 0, from, &door.head);
    [open, frames::frame(frames::CONTINUATION, 0, from, &piece).repeat(40)].concat()
}

fn empty_continuations(door: &Door, from: u32) -> Vec<u8> {
    let open = frames::frame(frames::HEADERS, 0, from, &door.head);
    [open, frames::frame(frames::CONTINUATION, 0, from, &[]).repeat(4000)].concat()
}

/// An indexed field: the one that was remembered last (RFC 7541, 6.1).
const INDEXED_NEWEST: u8 = 0xbe;

/// Each stream names a field of 4,000 bytes again and again, a byte each time.
fn hpack_bomb(door: &Door, from: u32) -> Vec<u8> {
    let first = [&door.head[..], &frames::remembered(b"x", &[b'x'; 4000])].concat();
    let again = [&door.head[..], &[INDEXED_NEWEST; 8000]].concat();
    let bombs = streams(from + 2).take(50).flat_map(|stream| frames::frame(1, 5, stream, &again));
    [frames::frame(1, 5, from, &first), bombs.collect()].concat()
}

fn many_streams(door: &Door, from: u32) -> Vec<u8> {
    streams(from).flat_map(|stream| frames::frame(1, 4, stream, &door.head)).collect()
}

fn priorities(_door: &Door, from: u32) -> Vec<u8> {
    let on = |stream| frames::frame(frames::PRIORITY, 0, stream, &[0, 0, 0, 1, 9]);
    streams(from + 2).flat_map(on).collect()
}

fn empty_data(door: &Door, from: u32) -> Vec<u8> {
    let open = frames::frame(frames::HEADERS, frames::END_HEADERS, from, &door.head);
    [open, frames::frame(frames::DATA, 0, from, &[]).repeat(4000)].concat()
}

fn overflow(_door: &Door, _from: u32) -> Vec<u8> {
    frames::window_update(0, 0x7fff_ffff).repeat(2)
}

fn too_long() -> Vec<u8> {
    frames::framed(0x00ff_ffff, frames::DATA, 0, 1, &[0; 1000])
}

fn push(_door: &Door, from: u32) -> Vec<u8> {
    frames::frame(frames::PUSH_PROMISE, frames::END_HEADERS, from, &[0, 0, 0, 2])
}

/// One flood on connection after connection; how many there were, and the longest until one was told.
async fn flood(door: &Door, write: Write, ends: Ends, span: Duration) -> (u64, Duration) {
    let (begun, mut connections, mut longest) = (Instant::now(), 0, Duration::ZERO);
    while begun.elapsed() < span {
        let mut raw = door.dialer.greet(&[]).await.expect("a connection");
        connections += 1;
        let mut at = 1;
        let sent = Instant::now();
        let is_borne = matches!(ends, Ends::Borne);
        while begun.elapsed() < span || !is_borne {
            if !raw.send(&write(door, at)).await || raw.heard().goaway.is_some() {
                break;
            }
            at += 2 * BURST + 2;
            let is_late = sent.elapsed() >= TOLD_WITHIN;
            assert!(is_borne || !is_late, "it floods and is not told to go away");
        }
        longest = longest.max(judge(&raw, ends, sent).await);
    }
    (connections, longest)
}

/// Whether a connection ended as it should; how long that took.
async fn judge(raw: &Raw, ends: Ends, sent: Instant) -> Duration {
    match ends {
        Ends::Borne => Duration::ZERO,
        Ends::Gone => {
            let gone =
                raw.until(TOLD_WITHIN, |heard| heard.goaway.is_some() || heard.ended.is_some());
            assert!(gone.await, "it goes on: {:?}", raw.heard());
            sent.elapsed()
        }
        Ends::Told(code) => {
            let told =
                raw.until(TOLD_WITHIN, |heard| heard.goaway.is_some() || heard.ended.is_some());
            assert!(told.await, "it goes on: {:?}", raw.heard());
            let heard = raw.heard();
            let (said, when) = heard.goaway.unwrap_or_else(|| panic!("no word: {heard:?}"));
            assert_eq!(said, code, "{heard:?}");
            when.duration_since(sent)
        }
    }
}

async fn all_floods(ground: &Ground, round: &mut Round, door: &Door, name: &str) {
    for &(flood_name, write, ends) in FLOODS {
        let title = format!("{name}, {flood_name}");
        let flooding = flood(door, write, ends, Ground::span());
        let (connections, longest) = ground.under(round, &title, MEMORY_MAX, flooding).await;
        round.note(&format!("{title}: connections"), connections);
        round.note(&format!("{title}: told after ms"), longest.as_secs_f64() * 1000.0);
        let is_on_demand = Lane::of_this_run() != Lane::Commit;
        assert!(!is_on_demand || longest <= TOLD_SOON, "{title}: told after {longest:?}");
    }
    let title = format!("{name}, resets just under the limit");
    let resets = ground.under(round, &title, MEMORY_MAX, just_under(door)).await;
    round.note(&format!("{title}: resets"), resets);
}

/// As many resets as the hub bears, acknowledged, and again. It may still be told to go: what was reset counts until the
/// hub has looked at it, which may be after the next burst came.
async fn just_under(door: &Door) -> u64 {
    let begun = Instant::now();
    let mut resets = 0;
    while begun.elapsed() < Ground::span() {
        let mut raw = door.dialer.greet(&[]).await.expect("a connection");
        let mut at = 1;
        while begun.elapsed() < Ground::span() && raw.heard().ended.is_none() {
            let burst: Vec<u8> = streams(at)
                .take(19)
                .flat_map(|stream| {
                    [frames::frame(1, 4, stream, &door.head), frames::reset(stream)].concat()
                })
                .chain(frames::frame(frames::PING, 0, 0, &[1; 8]))
                .collect();
            let acks = raw.heard().acks;
            raw.send(&burst).await;
            let heard = raw.until(TOLD_WITHIN, |heard| heard.acks > acks || heard.ended.is_some());
            assert!(heard.await, "no sign of life");
            resets += 19;
            at += 2 * BURST;
        }
        let goaway = raw.heard().goaway.map(|(code, _when)| code);
        assert!(goaway.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{:?}", raw.heard());
    }
    resets
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_end_at_their_limits() {
    let mut trials = Trials::of("peers_floods", 1, 3);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let head = frames::call("/watchfire.v1.ExchangeService/PublishStream");
        let grpc = Door { dialer: ground.attacker(), head };
        all_floods(&ground, &mut round, &grpc, "gRPC").await;
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_end_at_the_limits_of_taxii_too() {
    let mut trials = Trials::of("peers_floods_taxii", 1, 3);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let dialer = ground.attacker().at(crate::peers::ground::TAXII_PORT);
        let taxii = Door { dialer, head: frames::get("/taxii2/") };
        all_floods(&ground, &mut round, &taxii, "TAXII").await;
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}
