//! Records that cost the hub more than who sends them: those that are there already, and those that the indexes must
//! hold many times.

use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use tonic_types::StatusExt as _;
use watchfire::client::Client;
use watchfire::model::limits::BATCH_POSTINGS_MAX;
use watchfire::model::limits::RECORD_POSTINGS_EASY;
use watchfire::model::reason::Reason;
use watchfire::store::RUN_SEQUENCES;
use watchfire::wire::pb;

use crate::peers::ground::ATTACKER;
use crate::peers::ground::Ground;
use crate::peers::ground::MEMORY_MAX;
use crate::peers::readers::demand_the_quota;
use crate::trials::Lane;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::sign;

/// Records of a call.
const BATCH: usize = 256;
/// Records of a call that brings what is there already: as many as a member at a hundred times its quota sends, and as many as
/// a call may have, of which what takes most is the check of signatures.
const AGAIN: [usize; 2] = [20, BATCH];
/// Words of every record here.
const WORDS: usize = 8;
/// Who reads long records, besides their publisher.
const READERS: usize = 30;

/// Records that the indexes hold many times.
#[derive(Clone, Copy)]
struct Long {
    name: &'static str,
    techniques: usize,
    /// Records of a call: a mebibyte, or as many as it may have.
    batch: usize,
    batches: usize,
}

impl Long {
    /// As many postings as a record may have.
    const HEAVY: Self = Self { name: "heavy records", techniques: 512, batch: 128, batches: 33 };
    /// As many as cost nothing but its bytes.
    const EASY: Self = Self { name: "easy records", techniques: 25, batch: 256, batches: 17 };

    /// Of one record.
    const fn postings(self) -> usize {
        (self.techniques + WORDS) * (READERS + 1)
    }
}

/// How long anybody waits at most while a run of the indexes is written: less than a publisher waits for the sequencer.
const WORST_MAX: Duration = Duration::from_secs(2);

/// What became of records.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcomes {
    first: usize,
    again: usize,
    later: usize,
}

/// Publishes a batch; what is refused must be so for now.
async fn publish(client: &Client, envelopes: Vec<pb::Envelope>) -> Outcomes {
    let (count, mut outcomes) = (envelopes.len(), Outcomes::default());
    let request = pb::PublishRequest { envelopes, ..pb::PublishRequest::default() };
    let answer = match client.exchange_service().publish(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => {
            // Too much of it was refused for anything more to be looked at.
            assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
            assert!(status.get_details_retry_info().is_some(), "no word of when to come again");
            outcomes.later += count;
            return outcomes;
        }
    };
    for result in answer.results {
        match result.outcome {
            Some(pb::publish_result::Outcome::Receipt(receipt)) if receipt.repeated => {
                outcomes.again += 1;
            }
            Some(pb::publish_result::Outcome::Receipt(_)) => outcomes.first += 1,
            Some(pb::publish_result::Outcome::Refusal(refusal))
                if [Reason::Quota, Reason::Busy].iter().any(|it| it.as_str() == refusal.reason) =>
            {
                outcomes.later += 1;
            }
            refused => panic!("refused: {refused:?}"),
        }
    }
    outcomes
}

fn ordinary(client: &Client, number: usize) -> pb::Envelope {
    let signer = client.signer().expect("a key");
    let content = domain(&format!("ordinary-{number}.example"));
    sign(client, draft(&signer, content, handling(&["companies"], &[])))
}

/// Sends records again, in calls of so many, until a moment; how many were known and how many too many, by each of eight
/// senders.
async fn send_again(
    client: &Client,
    sent: &[pb::Envelope],
    size: usize,
    until: Instant,
) -> Vec<(u64, u64)> {
    let task = async |task: usize| {
        let (mut again, mut over) = (0, 0);
        // Far apart, so that what was read for one is not what the next one needs.
        let calls = sent.chunks(size);
        let skipped = task * calls.len() / 8;
        for envelopes in calls.cycle().skip(skipped) {
            let outcomes = publish(client, envelopes.to_vec()).await;
            assert_eq!(outcomes.first, 0, "it was there");
            again += u64::try_from(outcomes.again).expect("fewer than a billion");
            over += u64::try_from(outcomes.later).expect("fewer than a billion");
            if Instant::now() >= until {
                break;
            }
        }
        (again, over)
    };
    join_all((0..8).map(task)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_sent_again_take_nothing_from_others() {
    let mut trials = Trials::of("peers_repeats", 1, 3);
    while let Some(mut round) = trials.next() {
        let ground = Ground::new("").await;
        let client = ground.world.client(ATTACKER).await;
        let batches = Lane::of_this_run().choose(4, 400, 400);
        let mut sent = Vec::new();
        for batch in 0..batches {
            let one = |number| ordinary(&client, batch * BATCH + number);
            let envelopes: Vec<_> = (0..BATCH).map(one).collect();
            let taken = publish(&client, envelopes.clone()).await;
            assert_eq!(taken.first, BATCH);
            sent.extend(envelopes);
        }
        let limit = ["quota", "set", ATTACKER, "--lookups-per-second", "5"];
        demand(&ground.world.watchfire("operator", &limit));
        for size in AGAIN {
            let name = format!("records sent again, {size} a call");
            let begun = Instant::now();
            let attack = send_again(&client, &sent, size, begun + Ground::span() * 2);
            let counts = ground.under(&mut round, &name, MEMORY_MAX, attack).await;
            demand_the_quota(&mut round, &name, begun.elapsed().as_secs(), &counts);
        }
        ground.finish().await;
        trials.keep(round);
    }
    trials.finish();
}

/// A record of many techniques for many.
fn long(client: &Client, long: Long, number: usize, readers: &[&str]) -> pb::Envelope {
    let pb::body::Content::Indicator(indicator) = domain(&format!("long-{number}.example")) else {
        panic!("an indicator");
    };
    let technique = |code: usize| pb::Technique {
        framework: "x".to_owned(),
        // Others for each record: none is a posting that is there already.
        external_id: format!("{:x}", number * long.techniques + code),
        ..pb::Technique::default()
    };
    let techniques = (0..long.techniques).map(technique).collect();
    let content = pb::body::Content::Indicator(pb::Indicator { techniques, ..indicator });
    let signer = client.signer().expect("a key");
    sign(client, draft(&signer, content, handling(&[], readers)))
}

/// Publishes long records; how many were taken.
async fn press(client: &Client, kind: Long, readers: &[&str]) -> usize {
    let (mut taken, most) = (0, BATCH_POSTINGS_MAX / kind.postings());
    for batch in 0..kind.batches {
        let one = |number| long(client, kind, batch * kind.batch + number, readers);
        let outcomes = publish(client, (0..kind.batch).map(one).collect()).await;
        assert!(outcomes.first <= most, "{outcomes:?}: no batch brings more than {most}");
        taken += outcomes.first;
    }
    taken
}

/// Ordinary records up to the end of the first run, with which everything that it has is written.
async fn fill_the_first_run(client: &Client) {
    let mut number = 1_000_000;
    while head(client).await < RUN_SEQUENCES {
        let envelopes = (0..BATCH).map(|at| ordinary(client, number + at)).collect();
        assert_eq!(publish(client, envelopes).await.first, BATCH, "ordinary records are taken");
        number += BATCH;
    }
}

/// What is taken of so many in a time.
fn demand_taken(kind: Long, taken: usize, seconds: usize) {
    if kind.postings() <= RECORD_POSTINGS_EASY {
        assert_eq!(taken, kind.batch * kind.batches, "what is easy is taken");
    } else {
        // 34 at once of those that have as many postings as they may, and one in fifteen seconds.
        let most = 35 + seconds / 14;
        assert!((34..=most).contains(&taken), "{taken} in {seconds} s");
    }
}

async fn hold_up(round: &mut Round, kind: Long) {
    let ground = Ground::new("").await;
    let readers: Vec<String> = (0..READERS).map(|number| format!("reader-{number}")).collect();
    for reader in &readers {
        ground.world.admit(reader, "company");
    }
    let client = ground.world.client(ATTACKER).await;
    let names: Vec<&str> = readers.iter().map(String::as_str).collect();
    let is_short = Lane::of_this_run() == Lane::Commit;
    let begun = Instant::now();
    let attack = async {
        let taken = press(&client, kind, &names).await;
        demand_taken(kind, taken, usize::try_from(begun.elapsed().as_secs()).expect("soon"));
        if !is_short {
            fill_the_first_run(&client).await;
        }
        taken
    };
    // Whoever keeps within its limits may use what there is: nobody waits for it for long, and that is all.
    let taken = if kind.postings() > RECORD_POSTINGS_EASY {
        ground.under(round, kind.name, MEMORY_MAX * 4, attack).await
    } else {
        attack.await
    };
    let worst = ground.honest.since(begun).worst;
    round.note(&format!("{} taken", kind.name), taken);
    round.note(&format!("{}: worst of all ms", kind.name), worst.as_secs_f64() * 1000.0);
    assert!(is_short || worst < WORST_MAX, "others waited {worst:?}");
    ground.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_the_indexes_hold_many_times_hold_nobody_up_for_long() {
    let mut trials = Trials::of("peers_heavy", 1, 3);
    while let Some(mut round) = trials.next() {
        if Lane::of_this_run() == Lane::Commit {
            hold_up(&mut round, Long { batches: 12, ..Long::HEAVY }).await;
        } else {
            hold_up(&mut round, Long::HEAVY).await;
            hold_up(&mut round, Long::EASY).await;
        }
        trials.keep(round);
    }
    trials.finish();
}
