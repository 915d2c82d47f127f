//! A `ClientHello` as rustls makes it, changed at random a hundred thousand times: no panic, and no memory kept.

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use futures_util::future::join_all;

use crate::peers::ground::Ground;
use crate::peers::ground::MEMORY_MAX;
use crate::peers::raw::Dialer;
use crate::trials::Lane;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::PATIENCE;

/// Handshakes of one round, and on demand.
const EACH: (usize, usize) = (500, 5000);
/// How many at once: fewer than the places of an address.
const AT_ONCE: usize = 25;

/// The first flight of an honest member.
fn hello(dialer: &Dialer) -> Vec<u8> {
    let name = "hub.example".try_into().expect("a name");
    let mut client = rustls::ClientConnection::new(std::sync::Arc::clone(&dialer.config), name)
        .expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("a vector takes everything");
    bytes
}

/// Another that is like it: bytes changed, cut, doubled, moved, or lengths that lie.
fn mutated(round: &mut Round, hello: &[u8]) -> Vec<u8> {
    let mut bytes = hello.to_vec();
    let size = u64::try_from(bytes.len()).expect("a length");
    for _change in 0..=round.below(4) {
        let at = usize::try_from(round.below(size)).expect("a place").min(bytes.len() - 1);
        let byte = u8::try_from(round.below(256)).expect("a byte");
        let first = bytes.len().min(80);
        match round.below(6) {
            0 => bytes[at] = byte,
            1 => bytes[at] ^= 1 << (byte % 8),
            2 => bytes.truncate(at.max(1)),
            3 => bytes.insert(at, byte),
            4 => bytes.extend_from_within(at..),
            // The lengths of the record, the message and the first lists are all among the first bytes.
            _ => bytes[at % first] = byte,
        }
    }
    bytes
}

/// Sends it, and waits for what the hub makes of it: an alert, its own flight, or silence that we end.
async fn offer(dialer: &Dialer, bytes: Vec<u8>) -> bool {
    let Ok(mut socket) = dialer.socket().await else { return false };
    let talking = async {
        socket.write_all(&bytes).await.ok()?;
        socket.shutdown().await.ok()?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.ok()?;
        answer.first().copied()
    };
    // 0x16: it went on with the handshake.
    tokio::time::timeout(PATIENCE, talking).await.expect("an end in time") == Some(0x16)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_changed_client_hello_does_harm() {
    let mut trials = Trials::of("peers_hellos", 4, 20);
    let lane = Lane::of_this_run();
    let each = lane.choose(EACH.0, EACH.1, EACH.1);
    // On demand honest members publish for minutes beside it, and the newest records are kept. A hundred thousand hellos
    // that left a kilobyte each would be more.
    let kept_max = lane.choose(16 << 20, MEMORY_MAX, MEMORY_MAX);
    let ground = Ground::new("").await;
    let dialer = ground.attacker();
    let hello = hello(&dialer);
    assert!(offer(&dialer, hello.clone()).await, "unchanged it is taken");
    let (mut settled, mut taken) = (None, 0);
    while let Some(mut round) = trials.next() {
        let offers: Vec<Vec<u8>> = (0..each).map(|_offer| mutated(&mut round, &hello)).collect();
        let attack = async {
            let mut went_on = 0;
            for some in offers.chunks(AT_ONCE) {
                let all = join_all(some.iter().map(|bytes| offer(&dialer, bytes.clone()))).await;
                went_on += all.into_iter().filter(|went_on| *went_on).count();
            }
            went_on
        };
        let went_on = ground.under(&mut round, "changed hellos", MEMORY_MAX, attack).await;
        round.note("hellos", each);
        round.note("went on", went_on);
        taken += went_on;
        // What the first round warmed up is not kept from each.
        let held = ground.world.resident_bytes();
        let settled = *settled.get_or_insert(held);
        assert!(held <= settled + kept_max, "{} MiB after {} MiB", held >> 20, settled >> 20);
        trials.keep(round);
    }
    let rounds = usize::try_from(trials.finish()).expect("a number");
    assert!(taken < rounds * each, "most changes are seen");
    assert!(lane == Lane::Commit || rounds == 0 || taken > 0, "some change nothing that counts");
    ground.finish().await;
}
