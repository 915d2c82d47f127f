//! Two members who do nothing wrong, all the time: one publishes, one reads. What an attack costs them is its measure.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use tokio::runtime;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use watchfire::client::Client;
use watchfire::wire::pb;

use crate::world::PATIENCE;
use crate::world::World;
use crate::world::domain;
use crate::world::publish;

pub(super) const PUBLISHER: &str = "birch-social";
pub(super) const READER: &str = "cedar-chat";
/// How soon after an attack somebody honest is served.
const RECOVERS_WITHIN: Duration = Duration::from_secs(5);
/// Between two rounds: attention, and not load.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    publish: Duration,
    read: Duration,
}

/// Both, at work.
pub(super) struct Honest {
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: CancellationToken,
    work: thread::JoinHandle<()>,
}

/// What they met in a span of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    pub(super) rounds: usize,
    /// Rounds a second.
    pub(super) rate: f64,
    /// Of a publish and of a read, whichever is worse.
    pub(super) p99: Duration,
    pub(super) worst: Duration,
}

impl Honest {
    /// On a thread of their own, as they are machines of their own: behind the attackers' tasks in one runtime they would
    /// wait for the attackers, and not for the hub.
    pub(super) async fn start(world: &World) -> Self {
        let (publisher, reader) = (world.profile(PUBLISHER), world.profile(READER));
        let samples: Arc<Mutex<Vec<Sample>>> = Arc::default();
        let stop = CancellationToken::new();
        let (kept, ended) = (Arc::clone(&samples), stop.clone());
        let (connected, is_connected) = oneshot::channel();
        let work = async move {
            let publisher = Client::connect(publisher).await.expect("a connection");
            let reader = Client::connect(reader).await.expect("a connection");
            connected.send(()).expect("somebody waits for it");
            while !ended.is_cancelled() {
                let sample = round(&publisher, &reader).await;
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                tokio::time::sleep(PAUSE).await;
            }
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let work = thread::spawn(move || runtime.block_on(work));
        is_connected.await.expect("both are connected");
        Self { samples, stop, work }
    }

    /// What they met since a moment.
    pub(super) fn since(&self, begun: Instant) -> Met {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let of = samples.iter().filter(|sample| sample.at >= begun);
        let (mut publish, mut read): (Vec<_>, Vec<_>) =
            of.map(|sample| (sample.publish, sample.read)).unzip();
        publish.sort_unstable();
        read.sort_unstable();
        let p99 = |all: &[Duration]| all.get(all.len() * 99 / 100).copied().unwrap_or_default();
        let last = |all: &[Duration]| all.last().copied().unwrap_or_default();
        let rounds = u32::try_from(read.len()).expect("fewer than a billion");
        Met {
            rounds: read.len(),
            rate: f64::from(rounds) / begun.elapsed().as_secs_f64(),
            p99: p99(&publish).max(p99(&read)),
            worst: last(&publish).max(last(&read)),
        }
    }

    /// Waits for a round that began after this moment; how long that took.
    pub(super) async fn recovered(&self) -> Duration {
        let begun = Instant::now();
        while self.since(begun).rounds == 0 {
            assert!(begun.elapsed() < RECOVERS_WITHIN, "honest members are not served any more");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        begun.elapsed()
    }

    /// Their work to its end: it panics if anything of it failed.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::task::spawn_blocking(|| self.work.join()).await.expect("a thread ends");
        ended.expect("honest members were served at all times");
    }
}

/// A record published and read.
async fn round(publisher: &Client, reader: &Client) -> Sample {
    let at = Instant::now();
    let name = tokio::time::timeout(PATIENCE, publish(publisher, domain("news.example")));
    let (name, _place) = name.await.expect("a receipt in time");
    let at_receipt = Instant::now();
    let request =
        pb::GetRecordRequest { name: name.to_string(), ..pb::GetRecordRequest::default() };
    let mut service = reader.exchange_service();
    let answer = tokio::time::timeout(PATIENCE, service.get_record(request)).await;
    let answer = answer.expect("an answer in time").expect("an answer");
    assert!(answer.into_inner().entry.is_some(), "the record is there");
    Sample { at, publish: at_receipt.duration_since(at), read: at_receipt.elapsed() }
}
