//! Everybody comes back at once, when a hub was gone (T-L6).

use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;

use crate::peers::frames;
use crate::peers::ground::Ground;
use crate::peers::many::SUBSCRIBE;
use crate::peers::raw::Dialer;
use crate::peers::raw::Raw;
use crate::trials::Lane;
use crate::trials::Trials;
use crate::world::World;

/// Members whose clients those are.
const MEMBERS: u32 = 20;
/// Between two attempts of a client: twice as long each time, up to a limit, as ours has it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);
/// How long all of them may take.
const SERVED_WITHIN: Duration = Duration::from_secs(10);

/// Connects and subscribes, as often as it takes, until the first word on the stream has come; how often it took.
async fn served(dialer: &Dialer, number: u32) -> (Raw, u64) {
    let (mut pause, mut attempts) = (FIRST_PAUSE, 0);
    loop {
        attempts += 1;
        if let Ok(mut raw) = dialer.greet(&[]).await {
            let head = frames::frame(frames::HEADERS, 4, 1, &frames::call(SUBSCRIBE));
            let body = frames::frame(frames::DATA, 1, 1, &frames::message(&[]));
            raw.send(&[head, body].concat()).await;
            let is_served = raw.until(SERVED_WITHIN, |heard| {
                heard.data_bytes > 0 || heard.ended.is_some() || !heard.resets.is_empty()
            });
            if is_served.await && raw.heard().data_bytes > 0 {
                return (raw, attempts);
            }
        }
        // Not in step with the others.
        tokio::time::sleep(pause / 2 + pause * (number * 7919 % 1000) / 2000).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

async fn all_served(dialers: &[Dialer]) -> (Vec<Raw>, u64) {
    let each = (0..).zip(dialers).map(|(number, dialer)| served(dialer, number));
    let (open, attempts): (Vec<Raw>, Vec<u64>) = join_all(each).await.into_iter().unzip();
    (open, attempts.iter().sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_served_again_soon_after_a_kill() {
    let mut trials = Trials::of("storm", 1, 10);
    let count: u32 = Lane::of_this_run().choose(200, 1000, 1000);
    while let Some(mut round) = trials.next() {
        let mut world: World = Ground::world("[connections]\nper_member = 80\n").await;
        let names: Vec<String> = (0..MEMBERS).map(|number| format!("storm-{number}")).collect();
        for name in &names {
            world.admit(name, "company");
        }
        let dialer = |number: u32| {
            let name = &names[usize::try_from(number % MEMBERS).expect("few")];
            Dialer::of(&world, name).with_address(number / 40)
        };
        let dialers: Vec<Dialer> = (0..count).map(dialer).collect();
        let (open, _attempts) = all_served(&dialers).await;
        world.kill();
        drop(open);
        world.start(&[]).await;
        let begun = Instant::now();
        let (open, attempts) = all_served(&dialers).await;
        let took = begun.elapsed();
        round.note("clients", open.len());
        round.note("attempts", attempts);
        round.note("all served after seconds", took.as_secs_f64());
        assert!(Lane::of_this_run() == Lane::Commit || took <= SERVED_WITHIN, "{took:?}");
        drop(open);
        world.finish();
        trials.keep(round);
    }
    trials.finish();
}
