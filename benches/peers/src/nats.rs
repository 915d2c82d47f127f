//! The work against NATS JetStream, over mutual TLS, on a file stream of its own.

use std::time::Instant;

use anyhow::Context as _;
use anyhow::ensure;
use async_nats::Client;
use async_nats::ConnectOptions;
use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::OrderedConfig;
use futures_util::StreamExt as _;
use futures_util::TryStreamExt as _;
use futures_util::stream;

use crate::Target;
use crate::work::CONNECTIONS;
use crate::work::Done;
use crate::work::Expected;
use crate::work::Rising;
use crate::work::SUBSCRIBERS;
use crate::work::Timer;
use crate::work::Work;
use crate::work::record;

const LATENCY_SAMPLES: usize = 500;

pub async fn run(target: &Target, work: Work, count: usize) -> anyhow::Result<Done> {
    let client = connect(target).await?;
    let stream = create_stream(&client).await?;
    let done = match work {
        Work::Unary(at_once) => unary(&client, &stream, count, at_once).await?,
        Work::Pipelined(window) => pipelined(&client, &stream, count, window).await?,
        Work::Batches(size, writers) => batches(target, &stream, count, size, writers).await?,
        Work::Latency => latency(target, &client, &stream).await?,
        Work::Replay => {
            pipelined(&client, &stream, count, 256).await?;
            replay(target, &stream, count).await?
        }
        Work::ReplayPages => anyhow::bail!("JetStream has no pages of keys"),
        Work::FanoutBatches(_) | Work::FanoutUnary(_) => {
            fanout(target, &client, &stream, count, work).await?
        }
    };
    let context = jetstream::new(client);
    context.delete_stream(&stream).await?;
    Ok(done)
}

async fn connect(target: &Target) -> anyhow::Result<Client> {
    let client = ConnectOptions::new()
        .require_tls(true)
        .add_root_certificates(target.pki.join("ca.pem"))
        .add_client_certificate(target.pki.join("client.pem"), target.pki.join("client.key"))
        .subscription_capacity(1 << 20)
        .connect(format!("tls://{}", target.address))
        .await?;
    Ok(client)
}

/// By the API's own JSON, which knows of atomic batches.
async fn create_stream(client: &Client) -> anyhow::Result<String> {
    let stream = format!("work-{}", std::process::id());
    let config = serde_json::json!({
        "name": stream, "subjects": [stream], "storage": "file", "retention": "limits",
        "num_replicas": 1, "allow_atomic": true,
    });
    let subject = format!("$JS.API.STREAM.CREATE.{stream}");
    let answer = client.request(subject, config.to_string().into()).await?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload)?;
    ensure!(answer.get("error").is_none(), "{answer}");
    Ok(stream)
}

async fn unary(
    client: &Client,
    stream: &str,
    count: usize,
    at_once: usize,
) -> anyhow::Result<Done> {
    let mut timer = Timer::start()?;
    let mut calls = stream::iter(0..u64::try_from(count)?)
        .map(|number| async move {
            let start = Instant::now();
            let answer = client.request(stream.to_owned(), record(number)).await?;
            acknowledged(&answer.payload)?;
            Ok::<_, anyhow::Error>(start)
        })
        .buffer_unordered(at_once);
    while let Some(start) = calls.next().await {
        timer.record(start?)?;
    }
    drop(calls);
    Ok(timer.stop(count))
}

async fn pipelined(
    client: &Client,
    stream: &str,
    count: usize,
    window: usize,
) -> anyhow::Result<Done> {
    let mut timer = Timer::start()?;
    let mut rising = Rising::default();
    let context = jetstream::new(client.clone());
    let context = &context;
    // The message is sent by the first await, in order; the acknowledgement is the second.
    let mut sent = std::collections::VecDeque::with_capacity(window);
    for number in 0..u64::try_from(count)? {
        if sent.len() >= window {
            let (start, acknowledgement): (Instant, jetstream::context::PublishAckFuture) =
                sent.pop_front().context("a full window")?;
            rising.take(acknowledgement.await?.sequence)?;
            timer.record(start)?;
        }
        let start = Instant::now();
        sent.push_back((start, context.publish(stream.to_owned(), record(number)).await?));
    }
    for (start, acknowledgement) in sent {
        rising.take(acknowledgement.await?.sequence)?;
        timer.record(start)?;
    }
    Ok(timer.stop(count))
}

async fn batches(
    target: &Target,
    stream: &str,
    count: usize,
    size: usize,
    writers: usize,
) -> anyhow::Result<Done> {
    let clients: Vec<Client> =
        stream::iter(0..writers).then(|_writer| connect(target)).try_collect().await?;
    let mut timer = Timer::start()?;
    let share = count / writers;
    let work = clients.iter().enumerate().map(|(writer, client)| async move {
        let mut starts = Vec::new();
        for first in (0..share).step_by(size) {
            let start = Instant::now();
            let numbers = writer * share + first..writer * share + share.min(first + size);
            publish_batch(client, stream, numbers).await?;
            starts.push((start, start.elapsed()));
        }
        Ok::<_, anyhow::Error>(starts)
    });
    for starts in futures_util::future::try_join_all(work).await? {
        for (_start, took) in starts {
            timer.record(Instant::now() - took)?;
        }
    }
    Ok(timer.stop(share * writers))
}

/// An atomic batch: the last message carries the commit and is answered for all.
async fn publish_batch(
    client: &Client,
    stream: &str,
    numbers: std::ops::Range<usize>,
) -> anyhow::Result<()> {
    let batch = format!("{}-{}", std::process::id(), numbers.start);
    let count = numbers.len();
    for (place, number) in numbers.enumerate() {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Batch-Id", batch.as_str());
        headers.insert("Nats-Batch-Sequence", (place + 1).to_string().as_str());
        let bytes = record(u64::try_from(number)?);
        if place + 1 < count {
            client.publish_with_headers(stream.to_owned(), headers, bytes).await?;
            continue;
        }
        headers.insert("Nats-Batch-Commit", "1");
        let answer = client.request_with_headers(stream.to_owned(), headers, bytes).await?;
        let answer = acknowledged(&answer.payload)?;
        let taken = answer.get("count").and_then(serde_json::Value::as_u64);
        ensure!(taken == Some(u64::try_from(count)?), "a batch of {count}: {answer}");
    }
    Ok(())
}

fn acknowledged(payload: &[u8]) -> anyhow::Result<serde_json::Value> {
    let answer: serde_json::Value = serde_json::from_slice(payload)?;
    ensure!(answer.get("seq").is_some() && answer.get("error").is_none(), "{answer}");
    Ok(answer)
}

async fn consume(
    client: &Client,
    stream: &str,
    deliver_policy: DeliverPolicy,
) -> anyhow::Result<jetstream::consumer::push::Ordered> {
    let config = OrderedConfig {
        deliver_subject: client.new_inbox(),
        deliver_policy,
        ..OrderedConfig::default()
    };
    let stream = jetstream::new(client.clone()).get_stream(stream).await?;
    Ok(stream.create_consumer(config).await?.messages().await?)
}

async fn take(
    messages: &mut jetstream::consumer::push::Ordered,
    expected: &mut Expected,
    rising: &mut Rising,
) -> anyhow::Result<()> {
    let message = messages.next().await.context("the stream ended")??;
    let info = message.info().map_err(|error| anyhow::anyhow!("{error}"))?;
    rising.take(info.stream_sequence)?;
    expected.take(&message.payload)
}

async fn latency(target: &Target, client: &Client, stream: &str) -> anyhow::Result<Done> {
    let reader = connect(target).await?;
    let mut messages = consume(&reader, stream, DeliverPolicy::New).await?;
    let (mut expected, mut rising) = (Expected::new(LATENCY_SAMPLES), Rising::default());
    let mut timer = Timer::start()?;
    for number in 0..u64::try_from(LATENCY_SAMPLES)? {
        let start = Instant::now();
        let published = async {
            acknowledged(&client.request(stream.to_owned(), record(number)).await?.payload)?;
            Ok::<_, anyhow::Error>(())
        };
        let delivered = async {
            take(&mut messages, &mut expected, &mut rising).await?;
            timer.record(start)
        };
        tokio::try_join!(delivered, published)?;
    }
    ensure!(expected.is_complete());
    Ok(timer.stop(LATENCY_SAMPLES))
}

async fn replay(target: &Target, stream: &str, count: usize) -> anyhow::Result<Done> {
    let reader = connect(target).await?;
    let (mut expected, mut rising) = (Expected::new(count), Rising::default());
    let timer = Timer::start()?;
    let mut messages = consume(&reader, stream, DeliverPolicy::All).await?;
    while !expected.is_complete() {
        take(&mut messages, &mut expected, &mut rising).await?;
    }
    Ok(timer.stop(count))
}

async fn fanout(
    target: &Target,
    client: &Client,
    stream: &str,
    count: usize,
    work: Work,
) -> anyhow::Result<Done> {
    let readers: Vec<Client> =
        stream::iter(0..CONNECTIONS).then(|_reader| connect(target)).try_collect().await?;
    let mut subscribers = Vec::new();
    for reader in readers.iter().cycle().take(SUBSCRIBERS) {
        subscribers.push(consume(reader, stream, DeliverPolicy::New).await?);
    }
    let timer = Timer::start()?;
    let mut tasks = tokio::task::JoinSet::new();
    for mut messages in subscribers {
        tasks.spawn(async move {
            let (mut expected, mut rising) = (Expected::new(count), Rising::default());
            while !expected.is_complete() {
                take(&mut messages, &mut expected, &mut rising).await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    match work {
        Work::FanoutUnary(at_once) => drop(unary(client, stream, count, at_once).await?),
        Work::FanoutBatches(size) => drop(batches(target, stream, count, size, CONNECTIONS).await?),
        _ => drop(pipelined(client, stream, count, 256).await?),
    }
    while let Some(subscriber) = tasks.join_next().await {
        subscriber??;
    }
    Ok(timer.stop(count * SUBSCRIBERS))
}
