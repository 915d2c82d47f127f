//! The other doors: TAXII over HTTP/1.1, and the figures on loopback. Whoever is slow, large or many waits or goes.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::peers::ground::Ground;
use crate::peers::ground::MEMORY_MAX;
use crate::peers::ground::METRICS_PORT;
use crate::peers::ground::TAXII_PORT;
use crate::peers::raw::Dialer;
use crate::trials::Lane;
use crate::trials::Trials;
use crate::world::PATIENCE;

/// A head may take 20 s at TAXII and two at the figures; what a busy machine adds.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// Sends this, then a piece again and again, until the other side closes; how long that took, and what it said.
async fn until_closed(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    first: &[u8],
    piece: &[u8],
    pause: Duration,
) -> (Duration, String) {
    let begun = Instant::now();
    let mut said = Vec::new();
    let talking = async {
        let mut open = stream.write_all(first).await.is_ok();
        let mut tick = tokio::time::interval(pause.max(Duration::from_micros(100)));
        let mut buffer = vec![0; 4096];
        loop {
            tokio::select! {
                _ = tick.tick(), if open && !piece.is_empty() => open = stream.write_all(piece).await.is_ok(),
                read = stream.read(&mut buffer) => match read {
                    Ok(read) if read > 0 => said.extend(buffer.iter().take(read)),
                    _ => return,
                },
            }
        }
    };
    tokio::time::timeout(HEAD_MAX, talking).await.expect("it is let go");
    (begun.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

/// Requests that nobody honest makes: the first bytes, what follows for ever, and how fast.
fn bad_requests(path: &str) -> Vec<(&'static str, Vec<u8>, Vec<u8>, Duration)> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n").into_bytes();
    let none = Duration::ZERO;
    vec![
        ("nothing", Vec::new(), Vec::new(), none),
        (
            "a head without end",
            head.clone(),
            b"X-More: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".to_vec(),
            none,
        ),
        ("one field without end", [&head[..], b"X-More: "].concat(), vec![b'a'; 1000], none),
        ("a head of a byte a second", head.clone(), b"X".to_vec(), Duration::from_secs(1)),
        ("a path without end", b"GET /".to_vec(), vec![b'a'; 1000], none),
        ("garbage", vec![0x16; 4096], vec![0xff; 100], none),
        (
            "two lengths",
            [&head[..], b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n"].concat(),
            vec![b'x'],
            none,
        ),
        (
            "a length and pieces",
            [
                &head[..],
                b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            ]
            .concat(),
            vec![b'x'],
            none,
        ),
        (
            "pieces without end",
            [&head[..], b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"].concat(),
            b"5\r\nxxxxx\r\n".to_vec(),
            none,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_over_http_1_are_refused_or_cut_off() {
    let mut trials = Trials::of("peers_http1", 1, 3);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let taxii = ground.attacker().at(TAXII_PORT).speaking(&[b"http/1.1"]);
        let attack =
            join_all(bad_requests("/taxii2/").into_iter().map(|(name, first, piece, pause)| {
                let taxii = taxii.clone();
                async move {
                    let stream = taxii.dial().await.expect("a connection");
                    (name, until_closed(stream, &first, &piece, pause).await)
                }
            }));
        for (name, (took, said)) in
            ground.under(&mut round, "TAXII, bad requests", MEMORY_MAX, attack).await
        {
            round.note(&format!("TAXII, {name}: gone after s"), took.as_secs_f64());
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 "), "{name}: {said}");
        }
        let figures: SocketAddr = metrics_of(&ground.attacker());
        let attack = join_all(bad_requests("/metrics").into_iter().map(
            |(name, first, piece, pause)| async move {
                let stream = TcpStream::connect(figures).await.expect("a connection");
                (name, until_closed(stream, &first, &piece, pause).await)
            },
        ));
        for (name, (took, said)) in
            ground.under(&mut round, "figures, bad requests", MEMORY_MAX, attack).await
        {
            round.note(&format!("figures, {name}: gone after s"), took.as_secs_f64());
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 "), "{name}: {said}");
        }
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}

fn metrics_of(dialer: &Dialer) -> SocketAddr {
    dialer.clone().at(METRICS_PORT).address()
}

/// A scrape; how long it took.
async fn scrape(address: SocketAddr) -> Duration {
    let begun = Instant::now();
    let asking = async {
        let mut socket = TcpStream::connect(address).await.expect("a connection");
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.expect("it is taken");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.ends_with("# EOF\n"), "{answer}");
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("a scrape in time");
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_at_the_figures_leaves_a_scraper_its_turn() {
    let mut trials = Trials::of("peers_figures", 1, 3);
    let crowd = Lane::of_this_run().choose(64, 1000, 1000);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let address = metrics_of(&ground.attacker());
        let attack = async {
            let busy = join_all((0..crowd).map(|_scraper| scrape(address))).await;
            // Sixteen places, two seconds each: whoever waits behind the silent still has its turn.
            let silent = join_all((0..32).map(|_silent| TcpStream::connect(address))).await;
            let behind = scrape(address).await;
            drop(silent);
            (busy.into_iter().max().unwrap_or_default(), behind)
        };
        let (busy, behind) =
            ground.under(&mut round, "a crowd at the figures", MEMORY_MAX, attack).await;
        round.note("slowest of the crowd ms", busy.as_secs_f64() * 1000.0);
        round.note("behind 32 silent ms", behind.as_secs_f64() * 1000.0);
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_taxii_that_nobody_reads_end() {
    let mut trials = Trials::of("peers_unread_pages", 1, 2);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let taxii = ground.attacker().at(TAXII_PORT).speaking(&[b"http/1.1"]);
        let attack = async {
            let mut open = Vec::new();
            for _connection in 0..16 {
                let mut stream = taxii.dial().await.expect("a connection");
                let request = b"GET /exchange/collections/ HTTP/1.1\r\nHost: hub\r\nAccept: application/taxii+json;version=2.1\r\n\r\n";
                let asking = async {
                    for _request in 0..20_000 {
                        stream.write_all(request).await?;
                    }
                    std::io::Result::Ok(())
                };
                // The hub answers one after another, and reads no more once its answers are not read.
                let _full = tokio::time::timeout(Ground::span() / 4, asking).await;
                open.push(stream);
            }
            open.len()
        };
        let open =
            ground.under(&mut round, "TAXII, answers that nobody reads", MEMORY_MAX, attack).await;
        assert_eq!(open, 16);
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}
