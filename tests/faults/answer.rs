//! No receipt leaves before the sync that it promises: a sync that takes long holds every answer back.

use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use watchfire::client::Client;
use watchfire::wire::pb;

use crate::trials::Trials;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::sign;
use crate::world::until;

const PUBLISHER: &str = "acme-video";

/// strace on every thread of a hub that runs: each call that syncs begins so much later.
struct SlowSyncs(Child);

impl SlowSyncs {
    async fn of(hub: u32, delay: Duration) -> Self {
        let late = format!("inject=fdatasync,fsync,syncfs:delay_enter={}", delay.as_micros());
        let strace = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &late, "-p", &hub.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .expect("strace runs: apt-get install strace");
        let id = strace.id();
        until("strace holds every thread", || async {
            threads(hub).iter().all(|thread| tracer(thread) == Some(id)).then_some(())
        })
        .await;
        Self(strace)
    }
}

impl Drop for SlowSyncs {
    fn drop(&mut self) {
        // SIGTERM lets the hub go on; SIGKILL would do so too, with its calls as they are.
        World::signal(&self.0, "-TERM");
        drop(self.0.wait());
    }
}

fn threads(process: u32) -> Vec<PathBuf> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("a process");
    threads.map(|thread| thread.expect("a thread").path()).collect()
}

/// Who traces a thread; `None` also if the thread has ended.
fn tracer(thread: &std::path::Path) -> Option<u32> {
    let status = std::fs::read_to_string(thread.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
    line.trim().parse().ok()
}

/// How long a publish of a few records took, all of which were taken in.
async fn publish(client: &Client, count: usize) -> Duration {
    let signer = client.signer().expect("a key");
    let envelopes = (0..count)
        .map(|number| {
            let content = domain(&format!("n{number}.example"));
            sign(client, draft(&signer, content, handling(&["companies"], &[])))
        })
        .collect();
    let request = pb::PublishRequest { envelopes, ..pb::PublishRequest::default() };
    let begun = Instant::now();
    let answer = client.exchange_service().publish(request).await.expect("an answer");
    let took = begun.elapsed();
    for result in answer.into_inner().results {
        let outcome = result.outcome.expect("an outcome");
        assert!(matches!(outcome, pb::publish_result::Outcome::Receipt(_)), "{outcome:?}");
    }
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_leaves_before_the_sync_that_it_promises() {
    let mut trials = Trials::of("answer", 3, 100);
    let world = World::with(&[(PUBLISHER, "company")]).await;
    let client = world.client(PUBLISHER).await;
    let delay = Duration::from_millis(700);
    let (mut soonest_before, mut rounds) = (Duration::MAX, 0);
    while let Some(mut round) = trials.next() {
        let count = 1 + usize::try_from(round.below(16)).expect("a few");
        soonest_before = soonest_before.min(publish(&client, count).await);
        let slow = SlowSyncs::of(world.process_id(), delay).await;
        let took = publish(&client, count).await;
        drop(slow);
        assert!(took >= delay, "an answer after {took:?}: a sync takes {delay:?}");
        round.note("answered_after_seconds", took.as_secs_f64());
        trials.keep(round);
        rounds += 1;
    }
    trials.finish();
    // The control: it is the sync that answers waited for, and not the machine.
    let is_idle = rounds == 0 || soonest_before < delay;
    assert!(is_idle, "without a slow sync an answer takes {soonest_before:?} at the least");
    world.finish();
}
