//! A meeting: many publishers and many subscribers at once, at a steady pace, for a long while.
//!
//! Nothing waits for what came before: a call is timed from when it was due. Every subscriber checks that each place
//! comes once, in order, without a gap; some verify what is there.

use std::collections::HashMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tonic::Streaming;
use watchfire::client::Client;
use watchfire::client::Delivery;
use watchfire::client::From;
use watchfire::client::Patience;
use watchfire::client::SubscribeOptions;
use watchfire::client::Subscription;
use watchfire::model::filter::Filter;
use watchfire::model::names::sha256;
use watchfire::wire::pb;

use super::counted;
use super::counted::Counted;
use super::figures::Done;
use super::load::Setting;
use super::workloads::check_receipts;
use super::workloads::histogram;
use crate::output;

const PUBLISHERS: u32 = 20;
/// Subscribers that check places alone, and those that verify everything.
const COUNTING: usize = 45;
const VERIFYING: usize = 5;
/// Records a second, of all publishers.
const PACE: u32 = 1200;
const STREAMS_PER_CONNECTION: usize = 9;

/// Where a record came to lie, and when that was asked for or seen.
type Moments = HashMap<u64, Instant>;

pub(super) async fn run(setting: &mut Setting, minutes: u32) -> anyhow::Result<Done> {
    let mut publishers = Vec::new();
    for _publisher in 0..PUBLISHERS {
        publishers.push(setting.further_client().await?);
    }
    let (end, until) = watch::channel(u64::MAX);
    let tasks = TaskTracker::new();
    let first = setting.head().await?;
    let (mut counting, mut verifying) = (Vec::new(), Vec::new());
    for _connection in 0..COUNTING / STREAMS_PER_CONNECTION {
        let channel = setting.channel().await?;
        for _stream in 0..STREAMS_PER_CONNECTION {
            let stream = counted::subscribe_live(channel.clone(), None).await?;
            counting.push(tasks.spawn(count(stream, first, until.clone())));
        }
    }
    for _subscriber in 0..VERIFYING {
        let client = setting.further_client().await?;
        let options = SubscribeOptions {
            from: From::Sequence(first),
            filter: Filter::default(),
            until_head: false,
            patience: Patience::Limited(Duration::from_secs(10)),
        };
        let stream = client.subscribe(options).await?;
        verifying.push(tasks.spawn(verify(stream, until.clone())));
    }
    let (begun, span) = (Instant::now(), Duration::from_secs(u64::from(minutes) * 60));
    let publishing: Vec<_> = (0..PUBLISHERS)
        .zip(publishers)
        .map(|(number, client)| {
            let due = begun + Duration::from_secs(1) * number / PACE;
            tasks.spawn(publish(client, due, begun + span, setting.padding().to_owned()))
        })
        .collect();
    let (mut due, mut published) = (Moments::new(), histogram()?);
    for one in publishing {
        let (moments, latencies) = one.await??;
        due.extend(moments);
        published.add(latencies)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let head = setting.head().await?;
    end.send(head)?;
    for one in counting {
        one.await??;
    }
    let mut delivered = histogram()?;
    for one in verifying {
        let seen = one.await??;
        for (place, due) in &due {
            let seen = seen.get(place).ok_or_else(|| anyhow::anyhow!("{place} never came"))?;
            delivered.record(micros(seen.duration_since(*due)))?;
        }
    }
    tell(&published, due.len(), seconds);
    Ok(Done::new(due.len(), seconds, "durable records", head).with_latencies(delivered))
}

fn tell(published: &Histogram<u64>, count: usize, seconds: f64) {
    let millis = |quantile: f64| Duration::from_micros(published.value_at_quantile(quantile));
    let deliveries = f64::from(u32::try_from(count * (COUNTING + VERIFYING)).unwrap_or(u32::MAX));
    output::note(&format!(
        "published: p50 {:?}, p99 {:?}; {:.0} deliveries/s to {} subscribers, {VERIFYING} of which verified all; below: delivery",
        millis(0.5),
        millis(0.99),
        deliveries / seconds,
        COUNTING + VERIFYING
    ));
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// One publisher: a record a call, each when it is due.
async fn publish(
    client: Client,
    first: Instant,
    until: Instant,
    padding: String,
) -> anyhow::Result<(Moments, Histogram<u64>)> {
    let (signer, mut service) = (client.signer()?, client.exchange_service());
    let mut pace = tokio::time::interval_at(first, Duration::from_secs(1) * PUBLISHERS / PACE);
    let (mut moments, mut latencies) = (Moments::new(), histogram()?);
    for number in 0.. {
        let due = pace.tick().await;
        if due >= until {
            break;
        }
        let draft = Setting::draft_by(&signer, Setting::domain(number), &padding);
        let envelope = signer.sign(draft, client.now())?;
        let digest = sha256(&envelope.payload);
        let request =
            pb::PublishRequest { envelopes: vec![envelope], ..pb::PublishRequest::default() };
        let results = service.publish(request).await?.into_inner().results;
        latencies.record(micros(due.elapsed()))?;
        moments.insert(check_receipts(&results, &[digest])?, due);
    }
    Ok((moments, latencies))
}

/// Reads until a place that is known only later; every place comes once, in order, without a gap.
async fn count(
    mut stream: Streaming<Counted>,
    first: u64,
    mut until: watch::Receiver<u64>,
) -> anyhow::Result<()> {
    let mut next = first;
    while next < *until.borrow_and_update() {
        let frame = tokio::select! {
            frame = stream.message() => frame?.ok_or_else(|| anyhow::anyhow!("a stream ended"))?,
            changed = until.changed() => {
                changed?;
                continue;
            }
        };
        let Some(first) = frame.first else { continue };
        let entries = u64::try_from(frame.entries)?;
        let is_dense = first == next && frame.rising && frame.last + 1 - first == entries;
        anyhow::ensure!(is_dense, "{first} to {} came instead of {next}", frame.last);
        next = frame.last + 1;
    }
    Ok(())
}

/// The same, verified; when each came.
async fn verify(
    mut stream: Subscription,
    mut until: watch::Receiver<u64>,
) -> anyhow::Result<Moments> {
    let (mut seen, mut next) = (Moments::new(), None);
    while next.is_none_or(|next| next < *until.borrow_and_update()) {
        let delivery = tokio::select! {
            delivery = stream.next() => delivery?,
            changed = until.changed() => {
                changed?;
                continue;
            }
        };
        let Some(Delivery::Entries { entries, .. }) = delivery else { continue };
        let now = Instant::now();
        for entry in entries {
            let place = entry.sequence();
            anyhow::ensure!(next.is_none_or(|next| next == place), "{place}, not {next:?}");
            next = Some(place + 1);
            seen.insert(place, now);
        }
    }
    Ok(seen)
}
