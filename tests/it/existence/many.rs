//! The same by the thousand (T-A6): names, values and digests that are there and not for who asks, beside as many that are
//! nowhere. And how long it takes to hear so.

use std::time::Duration;
use std::time::Instant;

use tonic::Code;
use watchfire::client::Client;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use super::MEMBERS;
use super::Pair;
use super::get;
use crate::trials::Lane;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::operation;

/// Names of a round: as many that are hidden as that are absent.
const NAMES: usize = 100;

/// So many records of acme's for cedar alone; half of them are operations.
async fn hidden(acme: &Client, count: usize) -> Vec<RecordName> {
    let signer = acme.signer().expect("a key");
    let (mut names, mut envelopes) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for place in 0..count {
        let content = match place % 2 {
            0 => domain(&value_of(place)),
            _ => operation(&format!("storm {place}")),
        };
        let one = draft(&signer, content, handling(&[], &["cedar-chat"]));
        names.push(one.name.clone());
        envelopes.push(signer.sign(one, acme.now()).expect("a record"));
    }
    let outcomes = acme.publish(envelopes).await.expect("receipts");
    assert!(outcomes.iter().all(|one| matches!(one, watchfire::client::Outcome::Taken(_))));
    names
}

fn value_of(place: usize) -> String {
    format!("host{place:06}.example")
}

/// Each hidden name beside one that is nowhere: by the call that is the name's, and by others in turn.
async fn compare(round: &mut Round, birch: &Client, names: &[RecordName]) {
    for step in 0..NAMES {
        let count = u64::try_from(names.len()).expect("a number");
        let place = usize::try_from(round.below(count)).expect("a place");
        let pair = Pair::of(&names[place]);
        let revision = ["", "@1", "@2"][step % 3];
        pair.check("GetRecord", |name| get(birch, format!("{name}{revision}"))).await;
        match step % 4 {
            0 => by_operation(birch, &pair).await,
            1 => by_links(birch, &pair).await,
            2 => by_filter(birch, &pair).await,
            _ => by_value(birch, place / 2 * 2).await,
        }
    }
}

async fn by_operation(birch: &Client, pair: &Pair) {
    pair.check("GetOperation", |name| async move {
        birch.query_service().get_operation(pb::GetOperationRequest { name }).await
    })
    .await;
}

async fn by_links(birch: &Client, pair: &Pair) {
    pair.check("ListLinks", |name| async move {
        let start = Some(pb::list_links_request::Start::Record(name));
        let request = pb::ListLinksRequest { start, ..pb::ListLinksRequest::default() };
        birch.query_service().list_links(request).await
    })
    .await;
}

async fn by_filter(birch: &Client, pair: &Pair) {
    pair.check("ListRecords", |name| async move {
        let filter = Some(pb::Filter { operations: vec![name], ..pb::Filter::default() });
        let request = pb::ListRecordsRequest { filter, ..pb::ListRecordsRequest::default() };
        birch.exchange_service().list_records(request).await
    })
    .await;
}

async fn by_value(birch: &Client, place: usize) {
    let absent = value_of(place).replace("host", "none");
    Pair::text(&value_of(place), &absent)
        .check("LookupValues", |value| async move {
            let queries = vec![pb::ValueQuery { value, ..pb::ValueQuery::default() }];
            let request = pb::LookupValuesRequest { queries, ..pb::LookupValuesRequest::default() };
            birch.exchange_service().lookup_values(request).await
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_is_answered_like_what_is_nowhere_by_the_thousand() {
    let mut trials = Trials::of("existence", 3, 100);
    let count = Lane::of_this_run().choose(1000, 10_000, 10_000);
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let names = hidden(&acme, count).await;
    while let Some(mut round) = trials.next() {
        compare(&mut round, &birch, &names).await;
        trials.keep(round);
    }
    trials.finish();
    // The control: for whom it is, each of them is there.
    let cedar = world.client("cedar-chat").await;
    for name in names.iter().step_by(97) {
        get(&cedar, name.to_string()).await.expect("it is there");
        let status = get(&birch, name.to_string()).await.expect_err("nothing");
        assert_eq!(status.code(), Code::NotFound);
    }
    world.finish();
}

/// Not a test of the suite, since a time is no fact on a machine that does something else:
/// `cargo test --release --test it how_long -- --ignored --nocapture` on a quiet one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures time; for a quiet machine"]
async fn how_long_it_takes_to_hear_that_nothing_is_there() {
    const TIMES: usize = 10_000;
    const RECORDS: usize = 20_000;
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let hidden = hidden(&acme, RECORDS).await;
    let mut service = birch.exchange_service();
    let mut took: [Vec<Duration>; 2] = Default::default();
    for turn in 0..TIMES * 2 {
        let name = &hidden[turn * 7919 % RECORDS];
        let absent = RecordName { record: uuid::Uuid::now_v7(), ..name.clone() };
        let name = if turn % 2 == 0 { name } else { &absent };
        let request = pb::GetRecordRequest { name: name.to_string(), include_record: false };
        let begun = Instant::now();
        let answer = service.get_record(request).await;
        took[turn % 2].push(begun.elapsed());
        answer.expect_err("nothing");
    }
    for times in &mut took {
        times.sort_unstable();
    }
    let at = |which: usize, rank: usize| took[which][TIMES * rank / 100];
    for rank in [10, 50, 90] {
        let (forbidden, absent) = (at(0, rank), at(1, rank));
        let ratio = forbidden.as_secs_f64() / absent.as_secs_f64();
        println!("{rank}th of 100: forbidden {forbidden:?}, absent {absent:?}, ratio {ratio:.3}");
        if rank == 50 {
            assert!((0.95..1.05).contains(&ratio), "the medians differ by 5 % or more: {ratio}");
        }
    }
    world.finish();
}
