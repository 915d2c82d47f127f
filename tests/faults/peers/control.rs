//! No attack at all: threads that compute and never come near the hub. What the honest wait beside those is the machine's, which
//! attackers, hub and honest share here.

use std::hint::black_box;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::peers::ground::Ground;
use crate::peers::ground::MEMORY_MAX;
use crate::trials::Trials;

fn compute(span: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < span {
        black_box((0..10_000_u64).fold(0, |sum, number| black_box(sum ^ number)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_machine_that_computes_costs_the_honest() {
    let mut trials = Trials::of("peers_control", 1, 3);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let computing = async {
            let threads = thread::available_parallelism().expect("processors").get();
            let threads = (0..threads).map(|_thread| thread::spawn(|| compute(Ground::span())));
            let threads: Vec<_> = threads.collect();
            tokio::time::sleep(Ground::span()).await;
            for thread in threads {
                thread.join().expect("it computes");
            }
        };
        ground.under(&mut round, "others compute", MEMORY_MAX, computing).await;
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}
