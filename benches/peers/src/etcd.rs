//! The work against etcd, over mutual TLS. A record is the value of a key of its own; keys sort as numbers do.

use std::time::Instant;

use anyhow::Context as _;
use anyhow::ensure;
use etcd_client::Certificate;
use etcd_client::Client;
use etcd_client::ConnectOptions;
use etcd_client::GetOptions;
use etcd_client::Identity;
use etcd_client::SortOrder;
use etcd_client::SortTarget;
use etcd_client::TlsOptions;
use etcd_client::Txn;
use etcd_client::TxnOp;
use etcd_client::WatchOptions;
use etcd_client::WatchStream;
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
/// Keys of one page of a replay.
const PAGE: i64 = 2000;

pub async fn run(target: &Target, work: Work, count: usize) -> anyhow::Result<Done> {
    let client = connect(target).await?;
    let prefix = format!("work/{}/", std::process::id());
    match work {
        Work::Unary(at_once) => unary(&client, &prefix, count, at_once).await,
        Work::Batches(size, writers) => batches(&client, &prefix, count, size, writers).await,
        Work::Latency => latency(target, &client, &prefix).await,
        Work::Replay => {
            let before = client.kv_client().get(prefix.as_str(), None).await?;
            let revision = before.header().context("no revision")?.revision();
            batches(&client, &prefix, count, 100, 8).await?;
            replay(target, &prefix, count, revision + 1).await
        }
        Work::ReplayPages => {
            batches(&client, &prefix, count, 100, 8).await?;
            replay_pages(target, &prefix, count).await
        }
        Work::FanoutBatches(_) | Work::FanoutUnary(_) => {
            fanout(target, &client, &prefix, count, work).await
        }
        Work::Pipelined(_) => anyhow::bail!("etcd has no pipelined publishes"),
    }
}

async fn connect(target: &Target) -> anyhow::Result<Client> {
    let read = |name: &str| std::fs::read(target.pki.join(name));
    let tls = TlsOptions::new()
        .ca_certificate(Certificate::from_pem(read("ca.pem")?))
        .identity(Identity::from_pem(read("client.pem")?, read("client.key")?))
        .domain_name("localhost");
    let options = ConnectOptions::new().with_tls(tls);
    Ok(Client::connect([format!("https://{}", target.address)], Some(options)).await?)
}

fn key(prefix: &str, number: usize) -> String {
    format!("{prefix}{number:012}")
}

async fn unary(
    client: &Client,
    prefix: &str,
    count: usize,
    at_once: usize,
) -> anyhow::Result<Done> {
    let mut timer = Timer::start()?;
    let mut calls = stream::iter(0..count)
        .map(|number| {
            let mut kv = client.kv_client();
            async move {
                let start = Instant::now();
                kv.put(key(prefix, number), record(u64::try_from(number)?).to_vec(), None).await?;
                Ok::<_, anyhow::Error>(start)
            }
        })
        .buffer_unordered(at_once);
    while let Some(start) = calls.next().await {
        timer.record(start?)?;
    }
    drop(calls);
    Ok(timer.stop(count))
}

async fn batches(
    client: &Client,
    prefix: &str,
    count: usize,
    size: usize,
    writers: usize,
) -> anyhow::Result<Done> {
    let mut timer = Timer::start()?;
    let mut calls = stream::iter((0..count).step_by(size))
        .map(|first| {
            let mut kv = client.kv_client();
            async move {
                let start = Instant::now();
                let puts = (first..count.min(first + size))
                    .map(|number| {
                        let bytes = record(u64::try_from(number)?).to_vec();
                        Ok(TxnOp::put(key(prefix, number), bytes, None))
                    })
                    .collect::<anyhow::Result<Vec<_>>>()?;
                ensure!(kv.txn(Txn::new().and_then(puts)).await?.succeeded());
                Ok::<_, anyhow::Error>(start)
            }
        })
        .buffer_unordered(writers);
    while let Some(start) = calls.next().await {
        timer.record(start?)?;
    }
    drop(calls);
    Ok(timer.stop(count))
}

async fn watch(client: &Client, prefix: &str) -> anyhow::Result<WatchStream> {
    // The client returns once the server has said that the watch stands.
    let mut watch = client.watch_client();
    Ok(watch.watch(prefix, Some(WatchOptions::new().with_prefix())).await?)
}

async fn take(
    events: &mut WatchStream,
    expected: &mut Expected,
    rising: &mut Rising,
) -> anyhow::Result<()> {
    let answer = events.message().await?.context("the watch ended")?;
    for event in answer.events() {
        let pair = event.kv().context("an event without a key")?;
        // Keys of one transaction have one revision: their order within it is the key's.
        let version = u64::try_from(pair.mod_revision())?;
        if rising.last() != Some(version) {
            rising.take(version)?;
        }
        expected.take(pair.value())?;
    }
    Ok(())
}

async fn latency(target: &Target, client: &Client, prefix: &str) -> anyhow::Result<Done> {
    let reader = connect(target).await?;
    let mut events = watch(&reader, prefix).await?;
    let (mut expected, mut rising) = (Expected::new(LATENCY_SAMPLES), Rising::default());
    let mut timer = Timer::start()?;
    let mut kv = client.kv_client();
    for number in 0..LATENCY_SAMPLES {
        let start = Instant::now();
        let bytes = record(u64::try_from(number)?).to_vec();
        let published =
            async { Ok::<_, anyhow::Error>(kv.put(key(prefix, number), bytes, None).await?) };
        let delivered = async {
            while expected.taken() <= number {
                take(&mut events, &mut expected, &mut rising).await?;
            }
            timer.record(start)
        };
        tokio::try_join!(delivered, published)?;
    }
    ensure!(expected.is_complete());
    Ok(timer.stop(LATENCY_SAMPLES))
}

/// A watch from a revision on: what a subscriber that was away does.
async fn replay(
    target: &Target,
    prefix: &str,
    count: usize,
    revision: i64,
) -> anyhow::Result<Done> {
    let reader = connect(target).await?;
    let (mut expected, mut rising) = (Expected::new(count), Rising::default());
    let timer = Timer::start()?;
    // In fragments: a thousand revisions in one message are more than a client takes.
    let options = WatchOptions::new().with_prefix().with_start_revision(revision).with_fragment();
    let mut events = reader.watch_client().watch(prefix, Some(options)).await?;
    while !expected.is_complete() {
        take(&mut events, &mut expected, &mut rising).await?;
    }
    Ok(timer.stop(count))
}

async fn replay_pages(target: &Target, prefix: &str, count: usize) -> anyhow::Result<Done> {
    let reader = connect(target).await?;
    let mut kv = reader.kv_client();
    let (mut expected, mut rising) = (Expected::new(count), Rising::default());
    let end = format!("{}0", prefix.trim_end_matches('/'));
    let timer = Timer::start()?;
    let mut next = prefix.to_owned();
    while !expected.is_complete() {
        let options = GetOptions::new()
            .with_range(end.clone())
            .with_limit(PAGE)
            .with_sort(SortTarget::Key, SortOrder::Ascend);
        let page = kv.get(next, Some(options)).await?;
        let last = page.kvs().last().context("an empty page")?;
        next = format!("{}\0", last.key_str()?);
        for pair in page.kvs() {
            let number = pair.key_str()?.rsplit('/').next().context("a key")?.parse()?;
            rising.take(number)?;
            expected.take(pair.value())?;
        }
    }
    Ok(timer.stop(count))
}

async fn fanout(
    target: &Target,
    client: &Client,
    prefix: &str,
    count: usize,
    work: Work,
) -> anyhow::Result<Done> {
    let readers: Vec<Client> =
        stream::iter(0..CONNECTIONS).then(|_reader| connect(target)).try_collect().await?;
    let mut subscribers = Vec::new();
    for reader in readers.iter().cycle().take(SUBSCRIBERS) {
        subscribers.push(watch(reader, prefix).await?);
    }
    let timer = Timer::start()?;
    let mut tasks = tokio::task::JoinSet::new();
    for mut events in subscribers {
        tasks.spawn(async move {
            let (mut expected, mut rising) = (Expected::new(count), Rising::default());
            while !expected.is_complete() {
                take(&mut events, &mut expected, &mut rising).await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    match work {
        Work::FanoutUnary(at_once) => drop(unary(client, prefix, count, at_once).await?),
        Work::FanoutBatches(size) => drop(batches(client, prefix, count, size, CONNECTIONS).await?),
        _ => anyhow::bail!("not a fan-out"),
    }
    while let Some(subscriber) = tasks.join_next().await {
        subscriber??;
    }
    Ok(timer.stop(count * SUBSCRIBERS))
}
