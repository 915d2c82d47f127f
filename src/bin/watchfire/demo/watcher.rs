//! A subscriber of the demonstration: verifies every record, notes it once, and stores its cursor.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use hdrhistogram::Histogram;
use watchfire::client::Client;
use watchfire::client::Delivery;
use watchfire::client::From;
use watchfire::client::Origin;
use watchfire::client::Patience;
use watchfire::client::SubscribeOptions;
use watchfire::model::filter::Filter;
use watchfire::model::names::Digest;
use watchfire::profile::Profile;

use crate::keeper::Keeper;

/// When each record left its publisher, for those that are timed.
pub(crate) type Sent = Arc<Mutex<HashMap<Digest, Instant>>>;

/// What a subscriber saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// By place in the log: the identity and the publisher of each record.
    pub(crate) records: BTreeMap<u64, (Digest, String)>,
    /// Places that came more than once.
    pub(crate) repeats: usize,
    /// How often the hub was lost.
    pub(crate) interruptions: usize,
    /// Microseconds from publish to delivery.
    pub(crate) latencies: Vec<u64>,
}

/// A running subscriber.
pub(crate) struct Watcher {
    pub(crate) member: &'static str,
    pub(crate) seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Watcher {
    /// Starts one where its stored cursor says, or at the first entry.
    pub(crate) async fn start(
        member: &'static str,
        folder: &Path,
        address: &str,
        sent: &Sent,
        seen: Arc<Mutex<Seen>>,
        tasks: &tokio_util::task::TaskTracker,
    ) -> anyhow::Result<Self> {
        let profile = Profile::open(folder)?.at_address(Some(address.to_owned()));
        let client = Client::connect(profile).await?;
        let origin = Origin::new(client.profile().settings(), &Filter::default());
        let (keeper, place) = Keeper::open(client.profile().cursor_path("demo"), origin)?;
        let options = SubscribeOptions {
            from: place.map_or(From::Start, From::Place),
            filter: Filter::default(),
            until_head: false,
            patience: Patience::Unlimited,
        };
        let task = tasks.spawn(watch(client, options, keeper, Arc::clone(sent), Arc::clone(&seen)));
        Ok(Self { member, seen, task })
    }

    /// Stops it as a crash would: in the middle.
    pub(crate) async fn stop(self) -> anyhow::Result<Arc<Mutex<Seen>>> {
        self.task.abort();
        match self.task.await {
            Ok(ended) => ended.map(|()| self.seen),
            Err(aborted) if aborted.is_cancelled() => Ok(self.seen),
            Err(failed) => Err(failed.into()),
        }
    }

    /// An error if it has ended: it should go on until it is stopped.
    pub(crate) async fn demand_running(&mut self) -> anyhow::Result<()> {
        if !self.task.is_finished() {
            return Ok(());
        }
        (&mut self.task).await??;
        anyhow::bail!("its stream ended")
    }

    /// The identity of the record that it saw at a place.
    pub(crate) fn digest_at(&self, sequence: u64) -> Option<Digest> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.records.get(&sequence).map(|(digest, _publisher)| *digest)
    }

    /// How many records it has seen.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).records.len()
    }
}

async fn watch(
    client: Client,
    options: SubscribeOptions,
    mut keeper: Keeper,
    sent: Sent,
    seen: Arc<Mutex<Seen>>,
) -> anyhow::Result<()> {
    let mut subscription = client.subscribe(options).await?;
    while let Some(delivery) = subscription.next().await? {
        let now = Instant::now();
        note(&delivery, now, &sent, &seen);
        // With the effects, so that nothing is missed and nothing counts twice.
        keeper.save(subscription.place())?;
    }
    Ok(())
}

fn note(delivery: &Delivery, now: Instant, sent: &Sent, seen: &Mutex<Seen>) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let entries = match delivery {
        Delivery::Entries { entries, .. } => entries,
        Delivery::Interrupted(_) => {
            seen.interruptions += 1;
            return;
        }
        Delivery::Mark(_) | Delivery::Snapshot | Delivery::AccessChanged(_) => return,
    };
    let sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
    for entry in entries {
        let digest = entry.header_digest();
        let publisher = entry.header().name.member.to_string();
        if seen.records.insert(entry.sequence(), (digest, publisher)).is_some() {
            seen.repeats += 1;
        }
        if let Some(instant) = sent.get(&digest) {
            let micros = now.saturating_duration_since(*instant).as_micros();
            seen.latencies.push(u64::try_from(micros).unwrap_or(u64::MAX));
        }
    }
}

/// Latencies as a histogram in microseconds, up to a minute.
pub(crate) fn histogram(latencies: impl Iterator<Item = u64>) -> anyhow::Result<Histogram<u64>> {
    let mut histogram = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    for micros in latencies {
        histogram.record(micros.clamp(1, 60_000_000))?;
    }
    Ok(histogram)
}
