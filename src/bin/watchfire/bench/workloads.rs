//! The workloads. Each returns what it did only after it has checked what came back.

use std::time::Duration;
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream;
use hdrhistogram::Histogram;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use watchfire::client::Client;
use watchfire::client::Delivery;
use watchfire::client::From;
use watchfire::client::LookUpOptions;
use watchfire::client::Patience;
use watchfire::client::SubscribeOptions;
use watchfire::client::Subscription;
use watchfire::model::filter::Filter;
use watchfire::model::names::sha256;
use watchfire::transparency::proof;
use watchfire::wire::pb;

use super::Args;
use super::Workload;
use super::counted;
use super::counted::Counted;
use super::figures::Done;
use super::figures::Figure;
use super::load::PLATFORMS;
use super::load::Setting;
use super::meeting;
use super::scene;

const UNARY_RECORDS: usize = 10_000;
const LATENCY_SAMPLES: usize = 500;
const FANOUT_BATCH: usize = 64;
const FANOUT_CALLERS: usize = 16;
const STREAMS_PER_CONNECTION: usize = 8;
/// Rounds of a sustained load are so many times longer.
const SUSTAINED: usize = 10;
const FILTERS: u64 = 32;
/// Streams of a member that waits, fewer than a member may have.
const IDLE_STREAMS_PER_MEMBER: usize = 200;
const IDLE_STREAMS_PER_CONNECTION: usize = 10;
/// So long a live stream may bring marks alone before the load gives up.
const SILENCE_MAX: Duration = Duration::from_mins(1);
const LOOKUPS: u64 = 200;
const PROOFS: u64 = 2000;
const LOOKUP_VALUES: u64 = 100;
/// How far apart in the log the values lie that are looked up one after the other: a prime, so that all come.
const LOOKUP_STRIDE: u64 = 7919;
/// Records signed at a time while the log is filled.
const FILL_RECORDS: usize = 100_000;
const HISTOGRAM_MAX_MICROS: u64 = 60_000_000;

/// Runs one round.
pub(crate) async fn run(
    workload: Workload,
    setting: &mut Setting,
    args: &Args,
) -> anyhow::Result<Figure> {
    if matches!(
        workload,
        Workload::Replay
            | Workload::Verify
            | Workload::Lookup
            | Workload::LookupThousand
            | Workload::LookupVerified
            | Workload::LookupAbsent
            | Workload::Proof
    ) {
        fill(setting, args.records).await?;
    }
    let batch = usize::try_from(args.batch)?;
    let signed = sign(workload, setting, args)?;
    let subscribers = usize::try_from(args.subscribers)?;
    let mut open = Vec::new();
    let before = setting.usage()?;
    let done = match workload {
        Workload::Publish => publish(setting, signed, batch).await?,
        Workload::Unary => unary(setting, signed, usize::try_from(args.at_once)?).await?,
        Workload::Latency => latency(setting, signed).await?,
        Workload::Replay => replay(setting).await?,
        Workload::Verify => verify(setting).await?,
        Workload::Fanout => fanout(setting, signed, subscribers, Senders::Pipeline).await?,
        Workload::FanoutSingle => fanout(setting, signed, subscribers, Senders::Single).await?,
        Workload::Sustained => sustained(setting, signed).await?,
        Workload::Unfiltered => filtered(setting, signed, &[None]).await?,
        Workload::Filtered => filtered(setting, signed, &one_platform_each()).await?,
        Workload::Idle => idle(setting, usize::try_from(args.idle)?, &mut open).await?,
        Workload::Lookup => lookup(setting, LOOKUPS, LOOKUP_VALUES, true).await?,
        Workload::LookupThousand => lookup(setting, LOOKUPS / 4, LOOKUP_VALUES * 10, true).await?,
        Workload::LookupVerified => lookup_verified(setting).await?,
        Workload::LookupAbsent => lookup(setting, LOOKUPS / 4, LOOKUP_VALUES * 10, false).await?,
        Workload::Search => scene::search(setting).await?,
        Workload::Operation => scene::operation(setting).await?,
        Workload::Links => scene::links(setting).await?,
        Workload::Proof => proofs(setting).await?,
        Workload::Start => start(setting).await?,
        Workload::Meeting => meeting::run(setting, args.minutes).await?,
    };
    let (after, stored) = (setting.usage()?, setting.stored()?);
    drop(open);
    Ok(Figure::new(name(workload, args), &done, before, after, stored))
}

/// What the load publishes, signed before its clock starts.
fn sign(
    workload: Workload,
    setting: &mut Setting,
    args: &Args,
) -> anyhow::Result<Vec<pb::Envelope>> {
    Ok(match workload {
        Workload::Publish => setting.sign(args.records)?,
        Workload::Fanout => setting.sign(args.records / 2)?,
        Workload::Unary | Workload::FanoutSingle => {
            setting.sign(args.records.min(UNARY_RECORDS))?
        }
        Workload::Latency => setting.sign(LATENCY_SAMPLES)?,
        Workload::Sustained => setting.sign(args.records * SUSTAINED)?,
        Workload::Unfiltered | Workload::Filtered => setting.sign_spread(args.records)?,
        Workload::Replay
        | Workload::Verify
        | Workload::Idle
        | Workload::Lookup
        | Workload::LookupThousand
        | Workload::LookupVerified
        | Workload::LookupAbsent
        | Workload::Search
        | Workload::Operation
        | Workload::Links
        | Workload::Proof
        | Workload::Start
        | Workload::Meeting => Vec::new(),
    })
}

fn name(workload: Workload, args: &Args) -> String {
    match workload {
        Workload::Publish => format!("publish, batches of {}", args.batch),
        Workload::Unary => format!("publish, one a call, {} at once", args.at_once),
        Workload::Latency => "publish to verified delivery, idle".to_owned(),
        Workload::Replay => "replay, sequence checked".to_owned(),
        Workload::Verify => "replay, all verified".to_owned(),
        Workload::Fanout => format!("fan-out to {} subscribers", args.subscribers),
        Workload::FanoutSingle => {
            format!("fan-out to {} subscribers, one a call", args.subscribers)
        }
        Workload::Sustained => {
            format!("publish, {}, until look-ups see all", args.records * SUSTAINED)
        }
        Workload::Unfiltered => "publish to 1 subscriber of everything".to_owned(),
        Workload::Filtered => format!("publish to {FILTERS} filters of 1% each"),
        Workload::Idle => "subscribers that wait".to_owned(),
        Workload::Lookup => format!("look-up, {LOOKUP_VALUES} a call"),
        Workload::LookupThousand => format!("look-up, {} a call", LOOKUP_VALUES * 10),
        Workload::LookupVerified => {
            format!("look-up, {} a call, all verified", LOOKUP_VALUES * 10)
        }
        Workload::Proof => "proof of inclusion, one a call".to_owned(),
        Workload::LookupAbsent => format!("look-up, {} unknown a call", LOOKUP_VALUES * 10),
        Workload::Search => "search, pages of 100".to_owned(),
        Workload::Operation => "operation of 10,000 indicators".to_owned(),
        Workload::Links => "links within 2 steps, 51 nodes".to_owned(),
        Workload::Start => "start after SIGKILL, to the first answer".to_owned(),
        Workload::Meeting => format!("a meeting of {} minutes", args.minutes),
    }
}

/// Fills the log up to so many entries.
pub(crate) async fn fill(setting: &mut Setting, records: usize) -> anyhow::Result<()> {
    let mut left = records.saturating_sub(usize::try_from(setting.head().await?)?);
    while left > 0 {
        let signed = setting.sign(left.min(FILL_RECORDS))?;
        left -= signed.len();
        publish(setting, signed, 256).await?;
    }
    Ok(())
}

/// Publishes, and then looks the last value up: the indexes have caught up when the answer has it.
async fn sustained(setting: &Setting, signed: Vec<pb::Envelope>) -> anyhow::Result<Done> {
    let count = signed.len();
    let begun = Instant::now();
    let latencies = send_pipelined(&setting.publisher, signed, 256).await?;
    let last = Setting::value(setting.made() - 1);
    let queries = vec![pb::ValueQuery { value: last, ..pb::ValueQuery::default() }];
    let request = pb::LookupValuesRequest { queries, ..pb::LookupValuesRequest::default() };
    let found = setting.subscriber.exchange_service().lookup_values(request).await?.into_inner();
    let seconds = begun.elapsed().as_secs_f64();
    let seen = found.results.iter().any(|result| !result.entries.is_empty());
    anyhow::ensure!(seen, "the last value was not found");
    let head = setting.head().await?;
    Ok(Done::new(count, seconds, "durable records", head).with_latencies(latencies))
}

pub(super) async fn publish(
    setting: &Setting,
    signed: Vec<pb::Envelope>,
    batch: usize,
) -> anyhow::Result<Done> {
    let count = signed.len();
    let begun = Instant::now();
    let latencies = send_pipelined(&setting.publisher, signed, batch).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let head = setting.head().await?;
    Ok(Done::new(count, seconds, "durable records", head).with_latencies(latencies))
}

/// Publishes on one stream; checks that every record has the receipt of its own header.
async fn send_pipelined(
    client: &Client,
    signed: Vec<pb::Envelope>,
    batch: usize,
) -> anyhow::Result<Histogram<u64>> {
    let mut latencies = histogram()?;
    let (requests, receiver) = tokio::sync::mpsc::channel::<pb::PublishStreamRequest>(4);
    let mut service = client.exchange_service();
    let (starts, mut started) = tokio::sync::mpsc::channel(1024);
    let digests: Vec<Vec<[u8; 32]>> = signed
        .chunks(batch)
        .map(|chunk| chunk.iter().map(|envelope| sha256(&envelope.payload)).collect())
        .collect();
    let sending = async {
        let mut signed = signed.into_iter();
        loop {
            let envelopes: Vec<pb::Envelope> = signed.by_ref().take(batch).collect();
            if envelopes.is_empty() {
                break;
            }
            starts.send(Instant::now()).await?;
            requests
                .send(pb::PublishStreamRequest { envelopes, ..pb::PublishStreamRequest::default() })
                .await?;
        }
        drop(requests);
        Ok::<_, anyhow::Error>(())
    };
    let receiving = async {
        let mut answers = service.publish_stream(ReceiverStream::new(receiver)).await?.into_inner();
        for expected in &digests {
            let answer = answers.message().await?;
            let answer = answer.ok_or_else(|| anyhow::anyhow!("an answer is missing"))?;
            check_receipts(&answer.results, expected)?;
            if let Some(start) = started.recv().await {
                let start: Instant = start;
                record(&mut latencies, start)?;
            }
        }
        Ok::<_, anyhow::Error>(())
    };
    tokio::try_join!(sending, receiving)?;
    Ok(latencies)
}

/// Checks that each record has its own receipt; the place of the last.
pub(super) fn check_receipts(
    results: &[pb::PublishResult],
    expected: &[[u8; 32]],
) -> anyhow::Result<u64> {
    anyhow::ensure!(results.len() == expected.len(), "a result is missing");
    let mut place = 0;
    for (result, digest) in results.iter().zip(expected) {
        match &result.outcome {
            Some(pb::publish_result::Outcome::Receipt(receipt)) => {
                anyhow::ensure!(receipt.header_digest == digest, "a receipt is another record's");
                place = receipt.sequence;
            }
            other => anyhow::bail!("a record was not taken: {other:?}"),
        }
    }
    Ok(place)
}

async fn unary(
    setting: &Setting,
    signed: Vec<pb::Envelope>,
    at_once: usize,
) -> anyhow::Result<Done> {
    let count = signed.len();
    let service = setting.publisher.exchange_service();
    let begun = Instant::now();
    let mut calls = stream::iter(signed)
        .map(|envelope| {
            let mut service = service.clone();
            async move {
                let start = Instant::now();
                let digest = sha256(&envelope.payload);
                let request = pb::PublishRequest {
                    envelopes: vec![envelope],
                    ..pb::PublishRequest::default()
                };
                let answer = service.publish(request).await?.into_inner();
                check_receipts(&answer.results, &[digest])?;
                Ok::<_, anyhow::Error>(start)
            }
        })
        .buffer_unordered(at_once);
    let mut latencies = histogram()?;
    while let Some(start) = calls.next().await {
        record(&mut latencies, start?)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let head = setting.head().await?;
    Ok(Done::new(count, seconds, "durable records", head).with_latencies(latencies))
}

async fn latency(setting: &Setting, signed: Vec<pb::Envelope>) -> anyhow::Result<Done> {
    let options = SubscribeOptions {
        from: From::Now,
        filter: Filter::default(),
        until_head: false,
        patience: Patience::Unlimited,
    };
    let mut subscription = setting.subscriber.subscribe(options).await?;
    let mut service = setting.publisher.exchange_service();
    let mut latencies = histogram()?;
    let count = signed.len();
    let begun = Instant::now();
    for envelope in signed {
        let digest = sha256(&envelope.payload);
        let start = Instant::now();
        let request =
            pb::PublishRequest { envelopes: vec![envelope], ..pb::PublishRequest::default() };
        let delivered = delivery_of(&mut subscription, digest);
        let published = async { Ok(service.publish(request).await?) };
        let (end, _answer) = tokio::try_join!(delivered, published)?;
        latencies.record(micros(start, end))?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let head = setting.head().await?;
    Ok(Done::new(count, seconds, "deliveries", head).with_latencies(latencies))
}

/// When a record was delivered, verified.
async fn delivery_of(subscription: &mut Subscription, digest: [u8; 32]) -> anyhow::Result<Instant> {
    while let Some(delivery) = subscription.next().await? {
        if let Delivery::Entries { entries, .. } = delivery {
            anyhow::ensure!(entries.iter().any(|entry| entry.header_digest() == digest));
            return Ok(Instant::now());
        }
    }
    anyhow::bail!("the subscription ended")
}

async fn replay(setting: &Setting) -> anyhow::Result<Done> {
    let head = setting.head().await?;
    let channel = setting.channel().await?;
    let begun = Instant::now();
    let mut stream = counted::subscribe(channel, pb::StartPoint::Start, None).await?;
    let mut next = 0;
    let mut count = 0;
    while next < head {
        let Some(frame) = stream.message().await? else { break };
        let Some(first) = frame.first else { continue };
        anyhow::ensure!(first >= next && frame.rising, "the sequence does not rise");
        next = frame.last + 1;
        count += frame.entries;
    }
    let seconds = begun.elapsed().as_secs_f64();
    anyhow::ensure!(u64::try_from(count)? == head, "{count} of {head} entries came");
    Ok(Done::new(count, seconds, "entries", head))
}

async fn verify(setting: &Setting) -> anyhow::Result<Done> {
    let options = SubscribeOptions {
        from: From::Start,
        filter: Filter::default(),
        until_head: true,
        patience: Patience::Unlimited,
    };
    let begun = Instant::now();
    let mut subscription = setting.subscriber.subscribe(options).await?;
    let mut count = 0;
    while let Some(delivery) = subscription.next().await? {
        if let Delivery::Entries { entries, .. } = delivery {
            count += entries.len();
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let head = setting.head().await?;
    anyhow::ensure!(u64::try_from(count)? == head, "{count} of {head} entries came");
    Ok(Done::new(count, seconds, "entries", head))
}

/// Who publishes while a fan-out is measured.
#[derive(Clone, Copy)]
enum Senders {
    /// One stream of batches.
    Pipeline,
    /// Several callers with one record a call.
    Single,
}

async fn fanout(
    setting: &Setting,
    signed: Vec<pb::Envelope>,
    subscribers: usize,
    senders: Senders,
) -> anyhow::Result<Done> {
    let expected = signed.len();
    let streams = live_streams(setting, &vec![None; subscribers]).await?;
    let tasks = tokio_util::task::TaskTracker::new();
    let begun = Instant::now();
    let readers: Vec<_> =
        streams.into_iter().map(|stream| tasks.spawn(count_live(stream, expected))).collect();
    match senders {
        Senders::Pipeline => {
            send_pipelined(&setting.publisher, signed, FANOUT_BATCH).await?;
        }
        Senders::Single => {
            unary(setting, signed, FANOUT_CALLERS).await?;
        }
    }
    let mut count = 0;
    for reader in readers {
        count += reader.await??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    anyhow::ensure!(
        count == expected * subscribers,
        "{count} of {} deliveries",
        expected * subscribers
    );
    let head = setting.head().await?;
    Ok(Done::new(count, seconds, "deliveries", head))
}

/// A stream at the head for each filter, some on each connection.
async fn live_streams(
    setting: &Setting,
    filters: &[Option<pb::Filter>],
) -> anyhow::Result<Vec<Streaming<Counted>>> {
    let mut streams = Vec::with_capacity(filters.len());
    for together in filters.chunks(STREAMS_PER_CONNECTION) {
        let channel = setting.channel().await?;
        for filter in together {
            streams.push(counted::subscribe_live(channel.clone(), filter.clone()).await?);
        }
    }
    Ok(streams)
}

/// One filter for each of the first platforms.
fn one_platform_each() -> Vec<Option<pb::Filter>> {
    let filter =
        |number| pb::Filter { platforms: vec![Setting::platform(number)], ..pb::Filter::default() };
    (0..FILTERS).map(|number| Some(filter(number))).collect()
}

/// Publishes a spread load to live subscribers, each with its filter; what is counted is what was published.
async fn filtered(
    setting: &Setting,
    signed: Vec<pb::Envelope>,
    filters: &[Option<pb::Filter>],
) -> anyhow::Result<Done> {
    let count = signed.len();
    let platforms = usize::try_from(PLATFORMS)?;
    anyhow::ensure!(count.is_multiple_of(platforms), "records must be a multiple of {platforms}");
    let streams = live_streams(setting, filters).await?;
    let tasks = tokio_util::task::TaskTracker::new();
    let mut readers = Vec::with_capacity(filters.len());
    for (filter, stream) in filters.iter().zip(streams) {
        let expected = if filter.is_some() { count / platforms } else { count };
        readers.push((expected, tasks.spawn(count_live(stream, expected))));
    }
    let begun = Instant::now();
    send_pipelined(&setting.publisher, signed, FANOUT_BATCH).await?;
    for (expected, reader) in readers {
        let came = reader.await??;
        anyhow::ensure!(came == expected, "{came} of {expected} entries came");
    }
    let seconds = begun.elapsed().as_secs_f64();
    let head = setting.head().await?;
    Ok(Done::new(count, seconds, "durable records", head))
}

/// Opens streams that stand at the head, and holds them.
async fn idle(
    setting: &mut Setting,
    streams: usize,
    open: &mut Vec<Streaming<Counted>>,
) -> anyhow::Result<Done> {
    let begun = Instant::now();
    while open.len() < streams {
        let more = IDLE_STREAMS_PER_MEMBER.min(streams - open.len());
        let connections = more.div_ceil(IDLE_STREAMS_PER_CONNECTION);
        for channel in setting.further_connections(connections).await? {
            for _stream in 0..IDLE_STREAMS_PER_CONNECTION.min(streams - open.len()) {
                open.push(counted::subscribe_live(channel.clone(), None).await?);
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let head = setting.head().await?;
    Ok(Done::new(streams, seconds, "streams", head).waiting())
}

/// Reads a live stream until so many entries have come; checks that their places rise.
async fn count_live(mut stream: Streaming<Counted>, expected: usize) -> anyhow::Result<usize> {
    let (mut seen, mut last, mut came) = (0, None, Instant::now());
    while seen < expected {
        let frame = stream.message().await?.ok_or_else(|| anyhow::anyhow!("a stream ended"))?;
        if frame.entries == 0 {
            anyhow::ensure!(came.elapsed() < SILENCE_MAX, "{seen} of {expected} entries came");
            continue;
        }
        came = Instant::now();
        anyhow::ensure!(frame.rising && last < frame.first, "the sequence does not rise");
        last = Some(frame.last);
        seen += frame.entries;
    }
    Ok(seen)
}

/// Looks values up that are all there, or none of them.
async fn lookup(
    setting: &Setting,
    calls: u64,
    values: u64,
    are_there: bool,
) -> anyhow::Result<Done> {
    let mut service = setting.subscriber.exchange_service();
    let mut latencies = histogram()?;
    let begun = Instant::now();
    for call in 0..calls {
        let asked = (call * values..(call + 1) * values).map(|number| {
            let made = setting.made().max(1);
            Setting::value(if are_there { number * LOOKUP_STRIDE % made } else { made + number })
        });
        let queries = asked.map(|value| pb::ValueQuery { value, ..pb::ValueQuery::default() });
        let queries = queries.collect();
        let request = pb::LookupValuesRequest { queries, ..pb::LookupValuesRequest::default() };
        let start = Instant::now();
        let answer = service.lookup_values(request).await?.into_inner();
        record(&mut latencies, start)?;
        let right = answer.results.iter().all(|result| result.entries.is_empty() != are_there);
        anyhow::ensure!(right, "a value that was published was not found, or one that was not was");
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (count, head) = (usize::try_from(calls * values)?, setting.head().await?);
    Ok(Done::new(count, seconds, "values", head).with_latencies(latencies))
}

/// Looks values up that are all there as an integrator does, who believes nothing.
async fn lookup_verified(setting: &Setting) -> anyhow::Result<Done> {
    let (calls, values) = (LOOKUPS / 4, LOOKUP_VALUES * 10);
    let mut latencies = histogram()?;
    let begun = Instant::now();
    for call in 0..calls {
        let made = setting.made().max(1);
        let asked = (call * values..(call + 1) * values)
            .map(|number| Setting::value(number * LOOKUP_STRIDE % made));
        let asked: Vec<String> = asked.collect();
        let start = Instant::now();
        let found = setting.subscriber.look_up(&asked, &LookUpOptions::default()).await?;
        record(&mut latencies, start)?;
        let all = found.iter().all(|found| !found.entries.is_empty());
        anyhow::ensure!(all, "a value that was published was not found");
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (count, head) = (usize::try_from(calls * values)?, setting.head().await?);
    Ok(Done::new(count, seconds, "values", head).with_latencies(latencies))
}

/// Entries all over the log, one after the other: each is proven to be in the tree of the same size.
async fn proofs(setting: &Setting) -> anyhow::Result<Done> {
    let mut service = setting.subscriber.transparency_service();
    let note = service.get_checkpoint(pb::GetCheckpointRequest {}).await?.into_inner().checkpoint;
    let checkpoint = setting.subscriber.pin().log_key().open(&note)?;
    let mut latencies = histogram()?;
    let begun = Instant::now();
    for number in 0..PROOFS {
        let sequence = number * LOOKUP_STRIDE % checkpoint.size;
        let request = pb::GetInclusionProofRequest { sequence, tree_size: checkpoint.size };
        let start = Instant::now();
        let answer = service.get_inclusion_proof(request).await?.into_inner();
        record(&mut latencies, start)?;
        let leaf = answer.leaf_hash.as_slice().try_into()?;
        let hashes = answer.hashes.concat();
        let path = hashes.as_chunks().0;
        proof::check_inclusion(leaf, sequence, (checkpoint.size, &checkpoint.root), path)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Done::new(usize::try_from(PROOFS)?, seconds, "proofs", checkpoint.size)
        .with_latencies(latencies))
}

async fn start(setting: &mut Setting) -> anyhow::Result<Done> {
    let mut latencies = histogram()?;
    let before = setting.head().await?;
    let begun = Instant::now();
    setting.restart().await?;
    let mut service = pb::roster_service_client::RosterServiceClient::new(setting.channel().await?);
    let head = service.get_exchange(pb::GetExchangeRequest {}).await?.into_inner().head;
    record(&mut latencies, begun)?;
    anyhow::ensure!(head == before, "{head} of {before} entries are there");
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Done::new(1, seconds, "starts", head).with_latencies(latencies))
}

pub(super) fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, HISTOGRAM_MAX_MICROS, 3)?)
}

pub(super) fn record(histogram: &mut Histogram<u64>, start: Instant) -> anyhow::Result<()> {
    Ok(histogram.record(micros(start, Instant::now()))?)
}

fn micros(start: Instant, end: Instant) -> u64 {
    let micros = end.saturating_duration_since(start).as_micros();
    u64::try_from(micros).unwrap_or(u64::MAX).clamp(1, HISTOGRAM_MAX_MICROS)
}
