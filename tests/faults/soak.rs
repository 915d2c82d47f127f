//! A hub at ordinary work for a long time: what it holds does not grow (T-L8).

use std::time::Duration;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use watchfire::client::Client;
use watchfire::client::From;
use watchfire::client::LookUpOptions;
use watchfire::model::filter::Filter;
use watchfire::model::names::RecordName;

use crate::trials::Lane;
use crate::trials::Trials;
use crate::world::Ends;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::next_entries;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::recall;
use crate::world::replay;
use crate::world::sign;
use crate::world::subscribe;
use crate::world::watchfired;
use crate::world::withdrawal;

const MEMBERS: [(&str, &str); 3] =
    [("acme-video", "company"), ("birch-social", "company"), ("cedar-chat", "company")];
/// Between two records: 900 an hour, more than a busy exchange takes in. Each entry, of records and of the notices that
/// bodies were erased, costs memory for good, up to the bounds of the indexes: some 360 bytes in a log of this length.
const PACE: Duration = Duration::from_secs(4);
/// How long who comes and goes waits for something new.
const STAY: Duration = Duration::from_millis(400);
/// Records of a batch before the soak begins.
const FILLED_AT_ONCE: u64 = 100;
/// Between two looks at what the hub holds.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks in each of which the whole log is replayed, and a backup taken.
const WHOLE_EVERY: u64 = 300;
/// Of all looks, so many at the beginning are a hub that is still warming up.
const WARM_AFTER: usize = 4;
/// Memory that the hub may hold more after an hour: the sets of names and values in memory grow with the log.
const GROWTH_MAX: f64 = 1024.0 * 1024.0;
/// Open files that may come and go.
const FILES_MORE_MAX: usize = 16;

/// What the hub held at a moment.
#[derive(Clone, Copy, Debug)]
struct Look {
    hours: f64,
    bytes: f64,
    files: usize,
}

/// What is held more after an hour, by least squares.
fn growth(looks: &[Look]) -> f64 {
    let count = f64::from(u32::try_from(looks.len()).expect("few"));
    let mean = |of: fn(&Look) -> f64| looks.iter().map(of).sum::<f64>() / count;
    let (hours, bytes) = (mean(|look| look.hours), mean(|look| look.bytes));
    let moment = |look: &Look| (look.hours - hours) * (look.bytes - bytes);
    let spread = |look: &Look| (look.hours - hours).powi(2);
    looks.iter().map(moment).sum::<f64>() / looks.iter().map(spread).sum::<f64>()
}

fn files(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).expect("its files").count()
}

/// A log that is longer than what of it is kept in memory: what fills up at the beginning of a hub's life is full.
async fn fill(client: &Client, records: u64) {
    let signer = client.signer().expect("a key");
    let one = |number: u64| {
        let value = format!("n{}.example", number % 20_000);
        sign(client, draft(&signer, domain(&value), handling(&[], &[])))
    };
    for at in (0..records).step_by(usize::try_from(FILLED_AT_ONCE).expect("few")) {
        let batch = (at..at + FILLED_AT_ONCE).map(one).collect();
        for outcome in client.publish(batch).await.expect("answers") {
            outcome.receipt().expect("it was taken");
        }
    }
}

/// What is read stays in memory, too, up to its bounds: all of it is read, so many times.
async fn warm(client: &Client, times: u64) {
    let all: Vec<String> = (0..20_000).map(|number| format!("n{number}.example")).collect();
    for _time in 0..times {
        for values in all.chunks(1_000) {
            client.look_up(values, &LookUpOptions::default()).await.expect("answers");
        }
    }
    assert!(!replay(client, Filter::default()).await.is_empty(), "a log has its founding");
}

/// Publishes, revises nothing, takes back some, and demands that some are erased.
async fn write(client: Client, stop: CancellationToken) {
    let mut pace = tokio::time::interval(PACE);
    let mut old: Vec<RecordName> = Vec::new();
    let mut number = 0_u64;
    while stop.run_until_cancelled(pace.tick()).await.is_some() {
        number += 1;
        let (name, _place) =
            publish(&client, domain(&format!("n{}.example", number % 20_000))).await;
        old.push(name);
        if number.is_multiple_of(10) {
            let name = old.swap_remove(old.len() / 2);
            let content = if number.is_multiple_of(50) { recall(&name) } else { withdrawal(&name) };
            publish_for(&client, content, handling(&[], &[])).await;
        }
        old.truncate(1000);
    }
}

/// Connects anew all the time, asks what members ask, follows for a while, and goes.
async fn come_and_go(world: &World, stop: CancellationToken) {
    let mut number = 0_u64;
    while !stop.is_cancelled() {
        number += 1;
        let client = world.client("birch-social").await;
        client.quota().await.expect("an answer");
        let values = vec![format!("n{}.example", number % 20_000)];
        let found = client.look_up(&values, &LookUpOptions::default()).await.expect("an answer");
        assert_eq!(found.len(), 1, "one answer for one value");
        client.list(&Filter::default(), "").await.expect("a page");
        let mut stream = subscribe(&client, From::Now, Filter::default(), Ends::Never).await;
        if let Ok(entries) = tokio::time::timeout(STAY, next_entries(&mut stream)).await {
            assert!(!entries.is_empty(), "a delivery without entries");
        }
    }
}

/// The whole log read, and a backup taken: what a look now and then costs must be given back.
async fn whole(world: &World, number: u64) {
    let client = world.client("cedar-chat").await;
    assert!(!replay(&client, Filter::default()).await.is_empty(), "a log has its founding");
    let out = world.data().with_file_name(format!("soak-{number}.backup"));
    let (data, path) = (world.data(), out.to_str().expect("a path in UTF-8"));
    let data = data.to_str().expect("a path in UTF-8");
    demand(&watchfired(&["backup", "--data", data, "--out", path]));
    std::fs::remove_file(out).expect("it is there");
}

async fn watch(world: &World, span: Duration) -> Vec<Look> {
    let (begun, process) = (Instant::now(), world.process_id());
    let mut looks = Vec::new();
    let mut every = tokio::time::interval(LOOK_EVERY);
    for number in 1_u64.. {
        every.tick().await;
        if begun.elapsed() >= span {
            break;
        }
        if number % WHOLE_EVERY == 2 {
            whole(world, number).await;
        }
        let bytes = u32::try_from(world.resident_bytes() / 1024).expect("less than 4 TiB");
        looks.push(Look {
            hours: begun.elapsed().as_secs_f64() / 3600.0,
            bytes: f64::from(bytes) * 1024.0,
            files: files(process),
        });
    }
    looks
}

/// What was seen, and a leak of twice what is allowed in it: it must be noticed.
fn demand_that_a_leak_is_noticed(looks: &[Look]) {
    let leaking = |look: &Look| Look { bytes: look.bytes + look.hours * GROWTH_MAX * 2.0, ..*look };
    let leaking: Vec<Look> = looks.iter().map(leaking).collect();
    assert!(growth(&leaking) > GROWTH_MAX, "a leak was not noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hub_holds_does_not_grow() {
    let mut trials = Trials::of("soak", 1, 1);
    let lane = Lane::of_this_run();
    let minute = Duration::from_mins(1);
    let span = lane.choose(minute / 12, minute * 10, minute * 60);
    while let Some(mut round) = trials.next() {
        let mut world = World::with(&MEMBERS).await;
        world.stop();
        crate::kill::keep_little(&world);
        world.start(&[]).await;
        fill(&world.client("acme-video").await, lane.choose(0, 2_000, 100_000)).await;
        warm(&world.client("birch-social").await, lane.choose(0, 1, 20)).await;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let writing = tasks.spawn(write(world.client("acme-video").await, stop.clone()));
        let (looks, ()) = tokio::join!(
            async {
                let looks = watch(&world, span).await;
                stop.cancel();
                looks
            },
            come_and_go(&world, stop.clone())
        );
        writing.await.expect("everything was taken");
        let warm = &looks[looks.len() / WARM_AFTER..];
        let (grown, most) = (growth(warm), warm.iter().map(|look| look.files).max());
        let (first, most) = (warm[0].files, most.expect("a look"));
        round.note("MiB at the beginning", looks[0].bytes / GROWTH_MAX);
        round.note("MiB more an hour", grown / GROWTH_MAX);
        round.note("MiB at the end", looks[looks.len() - 1].bytes / GROWTH_MAX);
        round.note("files, first and most", format!("{first} and {most}"));
        assert!(most <= first + FILES_MORE_MAX, "{first} files were open, then {most}");
        // In seconds a hub's memory goes up and down by more than a leak is in an hour.
        if lane == Lane::Soak {
            assert!(grown < GROWTH_MAX, "{} MiB an hour", grown / GROWTH_MAX);
            demand_that_a_leak_is_noticed(warm);
        }
        world.finish();
        trials.keep(round);
    }
    trials.finish();
}
