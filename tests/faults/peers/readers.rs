//! Peers that ask and do not read, and one that asks a hundred times what it may: others do not notice.

use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use tonic_types::StatusExt as _;
use watchfire::client::Client;
use watchfire::client::From;
use watchfire::model::filter::Filter;
use watchfire::model::reason::Reason;
use watchfire::wire::pb;

use crate::peers::frames;
use crate::peers::frames::INITIAL_WINDOW;
use crate::peers::ground::ATTACKER;
use crate::peers::ground::Ground;
use crate::peers::ground::MEMORY_MAX;
use crate::peers::honest::PUBLISHER;
use crate::peers::honest::READER;
use crate::peers::raw::Raw;
use crate::trials::Lane;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::Ends;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::next_entries;
use crate::world::sign;
use crate::world::subscribe;

/// What all answers that one member leaves unread may cost: docs/OPERATIONS.md, "Capacity".
const UNREAD_MAX: u64 = 448 << 20;
const LIST: &str = "/watchfire.v1.ExchangeService/ListRecords";
const SUBSCRIBE: &str = "/watchfire.v1.ExchangeService/Subscribe";

/// Records of 4 KiB, in batches.
async fn fill(client: &Client, records: usize) {
    let signer = client.signer().expect("a key");
    let record = |number: usize| {
        let pb::body::Content::Indicator(indicator) = domain(&format!("large-{number}.example"))
        else {
            panic!("an indicator");
        };
        let description = "much to say. ".repeat(300);
        let content = pb::body::Content::Indicator(pb::Indicator { description, ..indicator });
        sign(client, draft(&signer, content, handling(&["companies"], &[])))
    };
    for from in (0..records).step_by(100) {
        let envelopes = (from..records.min(from + 100)).map(record).collect();
        let request = pb::PublishRequest { envelopes, ..pb::PublishRequest::default() };
        let answer = client.exchange_service().publish(request).await.expect("an answer");
        let all = answer.into_inner().results;
        assert!(
            all.iter().all(|result| matches!(
                result.outcome,
                Some(pb::publish_result::Outcome::Receipt(_))
            ))
        );
    }
}

/// Opens so many calls on a connection, each with this request.
async fn open(raw: &mut Raw, path: &str, count: u32, request: &[u8]) {
    let call = |number: u32| {
        let (stream, head) = (1 + 2 * number, frames::call(path));
        [
            frames::frame(frames::HEADERS, frames::END_HEADERS, stream, &head),
            frames::frame(frames::DATA, frames::END_STREAM, stream, &frames::message(request)),
        ]
        .concat()
    };
    raw.send(&(0..count).flat_map(call).collect::<Vec<u8>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_are_bounded_for_each_member() {
    let mut trials = Trials::of("peers_unread", 1, 3);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        fill(&ground.world.client(PUBLISHER).await, 180).await;
        let attacker = ground.attacker();
        // page_size: 180
        let request = [0x10, 0xb4, 1];
        for (window, name) in [(0, "no window"), (1, "a window of a byte")] {
            let attack = async {
                let mut all = Vec::new();
                for _connection in 0..16 {
                    let mut raw =
                        attacker.greet(&[(INITIAL_WINDOW, window)]).await.expect("a connection");
                    open(&mut raw, LIST, 64, &request).await;
                    all.push(raw);
                }
                tokio::time::sleep(Ground::span() + Duration::from_secs(2)).await;
                all.iter().map(|raw| raw.heard().heads).sum::<u64>()
            };
            let heads = ground.under(&mut round, name, UNREAD_MAX, attack).await;
            round.note(&format!("{name}: answers begun"), heads);
        }
        let deaf = ground.under(&mut round, "nothing is read from the socket", UNREAD_MAX, async {
            let mut all = Vec::new();
            for _connection in 0..14 {
                let mut deaf =
                    attacker.greet_deaf(&[(INITIAL_WINDOW, 1 << 20)]).await.expect("a connection");
                let pings = frames::frame(frames::PING, 0, 0, &[3; 8]).repeat(100_000);
                deaf.send(&frames::window_update(0, 1 << 30), Ground::span()).await;
                let taken = deaf.send(&pings, Ground::span() / 10).await;
                all.push((deaf, taken));
            }
            all.iter().filter(|(_deaf, taken)| *taken).count()
        });
        let taken = deaf.await;
        round.note("nothing is read: all PINGs taken", taken);
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_that_do_not_read_hold_up_nobody() {
    let mut trials = Trials::of("peers_stalled", 1, 2);
    let stalled_for = Lane::of_this_run().choose(2, 600, 600);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let (publisher, reader) =
            (ground.world.client(PUBLISHER).await, ground.world.client(READER).await);
        let mut raw = ground.attacker().greet(&[(INITIAL_WINDOW, 0)]).await.expect("a connection");
        let mut readers = Vec::new();
        for _reader in 0..30 {
            readers.push(subscribe(&reader, From::Now, Filter::default(), Ends::Never).await);
        }
        let attack = async {
            open(&mut raw, SUBSCRIBE, 20, &[]).await;
            fill(&publisher, 600).await;
            let reading = readers.iter_mut().map(async |subscription| {
                let (mut large, begun) = (0, Instant::now());
                while large < 600 {
                    let entries = next_entries(subscription).await;
                    large +=
                        entries.iter().filter(|entry| entry.envelope().body.len() > 3000).count();
                    assert!(begun.elapsed() < Duration::from_mins(1), "{large} of 600");
                }
                begun.elapsed()
            });
            let slowest = join_all(reading).await.into_iter().max();
            raw.live(Duration::from_secs(stalled_for)).await;
            slowest.unwrap_or_default()
        };
        // What is published costs too: the ring of the newest entries, and the store's cache.
        let slowest =
            ground.under(&mut round, "20 of 50 do not read", MEMORY_MAX * 2, attack).await;
        round.note("30 readers had all after ms", slowest.as_secs_f64() * 1000.0);
        let heard = raw.heard();
        assert_eq!((heard.data_bytes, heard.ended), (0, None), "it had no window, and lives");
        // It goes on where it was, and misses nothing.
        let more: Vec<u8> =
            (0..20).flat_map(|number| frames::window_update(1 + 2 * number, 1 << 30)).collect();
        raw.send(&[frames::window_update(0, 1 << 30), more].concat()).await;
        let all = 20 * 600 * 3900;
        assert!(
            raw.until(Duration::from_mins(1), |heard| heard.data_bytes > all).await,
            "{:?}",
            raw.heard()
        );
        drop(readers);
        drop(raw);
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}

/// Publishes as fast as answers come until a moment; how many records had a receipt, and how many were over the quota.
async fn publish_without_pause(client: &Client, until: Instant) -> (u64, u64) {
    let signer = client.signer().expect("a key");
    let (mut taken, mut over) = (0, 0);
    let mut service = client.exchange_service();
    while Instant::now() < until {
        let record = |number: usize| {
            let content = domain(&format!("often-{number}.example"));
            sign(client, draft(&signer, content, handling(&["companies"], &[])))
        };
        let request = pb::PublishRequest {
            envelopes: (0..20).map(record).collect(),
            ..pb::PublishRequest::default()
        };
        match service.publish(request).await {
            Ok(answer) => {
                for result in answer.into_inner().results {
                    match result.outcome {
                        Some(pb::publish_result::Outcome::Receipt(_)) => taken += 1,
                        Some(pb::publish_result::Outcome::Refusal(refusal)) => {
                            assert_eq!(refusal.reason, Reason::Quota.as_str(), "{refusal:?}");
                            over += 1;
                        }
                        None => panic!("an outcome that says nothing"),
                    }
                }
            }
            Err(status) => {
                assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
                assert!(status.get_details_retry_info().is_some(), "no word of when to come again");
                over += 20;
            }
        }
    }
    (taken, over)
}

/// Looks up as fast as answers come until a moment; how many values were answered, and how many were over the quota.
async fn look_up_without_pause(client: &Client, until: Instant) -> (u64, u64) {
    let (mut answered, mut over) = (0, 0);
    let mut service = client.exchange_service();
    while Instant::now() < until {
        let queries = (0..20).map(|number| pb::ValueQuery {
            value: format!("often-{number}.example"),
            ..pb::ValueQuery::default()
        });
        let request = pb::LookupValuesRequest {
            queries: queries.collect(),
            ..pb::LookupValuesRequest::default()
        };
        match service.lookup_values(request).await {
            Ok(_answer) => answered += 20,
            Err(status) => {
                assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
                assert!(status.get_details_retry_info().is_some(), "no word of when to come again");
                over += 20;
            }
        }
    }
    (answered, over)
}

/// Of what was asked of a quota of five a second, no more was given, and a hundred times as much was asked; on a commit
/// ten times, on a machine that does much beside it.
pub(super) fn demand_the_quota(round: &mut Round, what: &str, seconds: u64, all: &[(u64, u64)]) {
    let given: u64 = all.iter().map(|(given, _over)| given).sum();
    let over: u64 = all.iter().map(|(_given, over)| over).sum();
    round.note(&format!("{what} within the quota"), given);
    round.note(&format!("{what} over the quota"), over);
    // Ten seconds' worth may come at once.
    assert!(given <= 5 * (seconds + 12), "{given} {what} in {seconds} seconds");
    let times = Lane::of_this_run().choose(10, 100, 100);
    let least = times * 5 * (Ground::span() * 2).as_secs().max(1);
    assert!(given + over >= least, "{what}: {} asked for, not {least}", given + over);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_at_a_hundred_times_its_quota_takes_nothing_from_others() {
    let mut trials = Trials::of("peers_quota", 1, 3);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let limit = ["--records-per-second", "5", "--lookups-per-second", "5"];
        let limit = [&["quota", "set", ATTACKER], &limit[..]].concat();
        demand(&ground.world.watchfire("operator", &limit));
        let client = ground.world.client(ATTACKER).await;
        let begun = Instant::now();
        let until = begun + Ground::span() * 2;
        let publishing = join_all((0..8).map(|_task| publish_without_pause(&client, until)));
        let looking = join_all((0..8).map(|_task| look_up_without_pause(&client, until)));
        let attack = async { tokio::join!(publishing, looking) };
        let (published, looked) =
            ground.under(&mut round, "a hundred times its quota", MEMORY_MAX, attack).await;
        let seconds = begun.elapsed().as_secs();
        demand_the_quota(&mut round, "records", seconds, &published);
        demand_the_quota(&mut round, "values", seconds, &looked);
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}
