//! Several views for one member: an old one that looks idle, and two histories side by side.

use std::process::Child;
use std::process::Output;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::select_all;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::From;
use watchfire::client::HEAD_DUE_AFTER;
use watchfire::client::Subscription;
use watchfire::model::filter::Filter;
use watchfire::profile::Profile;

use crate::hostile::Victim;
use crate::hostile::demand_caught;
use crate::hostile::demand_proven;
use crate::hostile::front::Front;
use crate::hostile::front::Tamper;
use crate::hostile::histories::forked;
use crate::hostile::judge;
use crate::world::Ends;
use crate::world::PATIENCE;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::publish;
use crate::world::sign;
use crate::world::subscribe;

const SUBSCRIBE: &[&str] = &["subscribe", "--format", "jsonl"];
const PUBLISH: &[&str] = &[
    "publish",
    "--kind",
    "domain",
    "--value",
    "mine.example",
    "--audience",
    "companies",
    "--tlp",
    "green",
];
/// An old view is told after half a minute of waiting, with the mark after that.
const MINUTES: Duration = Duration::from_mins(2);

/// Calls for which something holds go to the second hub.
struct Elsewhere<F>(F);

impl<F: FnMut(&str) -> bool + Send + 'static> Tamper for Elsewhere<F> {
    fn is_elsewhere(&mut self, path: &str) -> bool {
        self.0(path)
    }
}

/// A client of a victim's profile that speaks to an address.
async fn connect(victim: &Victim, address: &str) -> Client {
    let profile = Profile::open(&victim.profile()).expect("a profile");
    let client = Client::connect(profile.at_address(Some(address.to_owned()))).await;
    client.expect("a connection")
}

/// What a command ends with, which ends by itself.
async fn ended(child: Child, within: Duration) -> Output {
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let ended = tokio::time::timeout(within, ended).await;
    ended.expect("it ends").expect("no panic").expect("its output")
}

/// Whether a command still runs; it is ended.
fn still_runs(mut child: Child) -> bool {
    let runs = child.try_wait().expect("it can be asked").is_none();
    drop(child.kill());
    child.wait().expect("it ends");
    runs
}

async fn error_of(stream: &mut Subscription) -> ClientError {
    loop {
        if let Err(error) = stream.next().await {
            return error;
        }
    }
}

/// Reads streams, all at once, until one of them ends with an error; `None` if none did in a time.
async fn first_error(streams: &mut [&mut Subscription], within: Duration) -> Option<ClientError> {
    // Each is read without a break: a read that is given up begins its check of heads again, and on a busy machine
    // never ends one.
    let reading = streams.iter_mut().map(|stream| Box::pin(error_of(stream)));
    let first = tokio::time::timeout(within, select_all(reading)).await;
    first.ok().map(|(error, _at, _rest)| error)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_view_for_one_stream_is_told_by_what_others_of_the_profile_see() {
    // The second hub has what the first one had, and signs marks of now over it: to its streams nothing comes.
    let (world, old) = forked(0, 0, 1).await;
    let streams = |path: &str| path.ends_with("/Subscribe");
    let front = Front::before([&world, &old], "birch-social", Elsewhere(streams)).await;
    let [receipt, mark, honest] = [(); 3].map(|()| Victim::of(&world, "birch-social"));
    let [by_receipt, by_mark] =
        [&receipt, &mark].map(|victim| victim.running(&front.address(), SUBSCRIBE));
    let not_fooled = honest.running(&world.address(), SUBSCRIBE);
    for victim in [&receipt, &mark, &honest] {
        let connected = async || victim.profile().join("checkpoint").exists().then_some(());
        crate::world::until("it is connected", connected).await;
    }
    publish(&world.client("acme-video").await, domain("new.example")).await;
    // One process of the profile publishes, another one reads; a third one does both where nothing is hidden.
    demand(&receipt.watchfire(&world.address(), PUBLISH));
    demand(&mark.watchfire(&world.address(), &[SUBSCRIBE, &["--until-head"]].concat()));
    demand(&honest.watchfire(&world.address(), PUBLISH));
    demand(&honest.watchfire(&world.address(), &[SUBSCRIBE, &["--until-head"]].concat()));

    let said = "it holds back what it should send";
    let output = ended(by_receipt, MINUTES).await;
    let evidence = demand_caught(&receipt, &output, said);
    let judged = demand_unproven(&evidence);
    assert!(judged.contains("not proven by this file alone"), "{judged}");
    let output = ended(by_mark, MINUTES).await;
    let evidence = demand_caught(&mark, &output, said);
    demand_proven(&evidence, "the hub signed at");
    assert!(still_runs(not_fooled) && honest.evidence().is_empty());
    world.finish();
    old.finish();
}

#[track_caller]
fn demand_unproven(evidence: &std::path::Path) -> String {
    let judged = judge(evidence);
    String::from_utf8_lossy(&judged.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_view_of_everything_but_heads_is_told_by_a_publishers_head() {
    let (world, old) = forked(0, 0, 1).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("new.example")).await;
    let put = acme.put_heads(true, HEAD_DUE_AFTER).await.expect("answers").put;
    assert_eq!(put.len(), 1);
    let all_but_heads = |path: &str| !path.ends_with("/ListPublisherHeads");
    let front = Front::before([&world, &old], "birch-social", Elsewhere(all_but_heads)).await;
    let [victim, honest] = [(); 2].map(|()| Victim::of(&world, "birch-social"));
    let clients =
        [connect(&victim, &front.address()).await, connect(&honest, &world.address()).await];
    let [fooled, knowing] = &clients;
    let mut fooled = subscribe(fooled, From::Now, Filter::default(), Ends::Never).await;
    let mut knowing = subscribe(knowing, From::Now, Filter::default(), Ends::Never).await;
    for stream in [&mut fooled, &mut knowing] {
        stream.check_heads_every(Duration::ZERO);
    }
    let error =
        first_error(&mut [&mut fooled, &mut knowing], MINUTES).await.expect("it is noticed");
    assert!(error.to_string().contains("it holds back what it should send"), "{error}");
    assert_eq!((error.exit_code(), victim.evidence().len()), (5, 1));
    assert!(demand_unproven(&victim.evidence()[0]).contains("not proven by this file alone"));
    assert!(honest.evidence().is_empty());
    drop((fooled, knowing, clients, acme));
    world.finish();
    old.finish();
}

/// So many records in one batch.
async fn publish_together(client: &Client, count: usize) {
    let signer = client.signer().expect("a key");
    let companies = || handling(&["companies"], &[]);
    let drafts =
        (0..count).map(|number| draft(&signer, domain(&format!("n{number}.example")), companies()));
    let envelopes = drafts.map(|draft| sign(client, draft)).collect();
    client.publish(envelopes).await.expect("receipts");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_histories_on_two_streams_of_one_client_are_proven() {
    // If the streams meet at one size, the two logs are told by that; if not, by the proof that there is none.
    for (here, there, said) in
        [(1, 1, "of one size"), (3, 1, "not a continuation of what it was"), (1, 3, "rolled back")]
    {
        let (world, twin) = forked(0, 0, 1).await;
        let elsewhere = Arc::new(AtomicBool::new(true));
        let at = Arc::clone(&elsewhere);
        let streams = move |path: &str| path.ends_with("/Subscribe") && at.load(Ordering::Relaxed);
        let front = Front::before([&world, &twin], "birch-social", Elsewhere(streams)).await;
        let victim = Victim::of(&world, "birch-social");
        let birch = connect(&victim, &front.address()).await;
        let mut one = subscribe(&birch, From::Start, Filter::default(), Ends::Never).await;
        elsewhere.store(false, Ordering::Relaxed);
        let mut other = subscribe(&birch, From::Start, Filter::default(), Ends::Never).await;
        let common = first_error(&mut [&mut one, &mut other], Duration::from_secs(4)).await;
        assert!(common.is_none(), "{common:?}");
        for (world, count) in [(&world, here), (&twin, there)] {
            publish_together(&world.client("acme-video").await, count).await;
        }
        let error = first_error(&mut [&mut one, &mut other], PATIENCE).await;
        let error = error.expect("it is noticed");
        let told = error.to_string();
        assert!(told.contains(said) || told.contains("of one size"), "{told}");
        assert_eq!((error.exit_code(), victim.evidence().len()), (5, 1));
        if there == 1 {
            demand_proven(&victim.evidence()[0], "two different logs");
        }
        drop((one, other, birch));
        world.finish();
        twin.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_histories_for_two_processes_of_one_profile_are_proven() {
    let (world, twin) = forked(0, 0, 1).await;
    let victim = Victim::of(&world, "birch-social");
    let processes = [&world, &twin].map(|world| {
        let running = victim.running(&world.address(), SUBSCRIBE);
        Mutex::new(Some(running))
    });
    let connected = async || victim.profile().join("known_keys.json").exists().then_some(());
    crate::world::until("one is connected", connected).await;
    for world in [&world, &twin] {
        publish(&world.client("acme-video").await, domain("other.example")).await;
    }
    let take_ended = |process: &Mutex<Option<Child>>| {
        let mut process = process.lock().expect("nobody panics");
        let has_ended = |child: &mut Child| child.try_wait().expect("asked").is_some();
        if process.as_mut().is_some_and(has_ended) { process.take() } else { None }
    };
    let first = async || processes.iter().find_map(take_ended);
    let first = crate::world::until("one of them ends", first).await;
    let output = first.wait_with_output().expect("its output");
    let evidence = demand_caught(&victim, &output, "two different logs of one size");
    demand_proven(&evidence, "two different logs");
    // And whoever connects next sees it, too: what was seen is not written over.
    let again = Victim::again(&victim);
    for process in processes {
        process.into_inner().expect("nobody panics").map(still_runs);
    }
    let outputs = [&world, &twin].map(|world| {
        let output = again.watchfire(&world.address(), &["status"]);
        output.status.code()
    });
    assert!(outputs.contains(&Some(5)), "{outputs:?}");
    world.finish();
    twin.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_and_processes_of_an_honest_hub_raise_no_alarm() {
    let (world, twin) = forked(2, 0, 1).await;
    twin.finish();
    let victim = Victim::of(&world, "birch-social");
    let [here, there] =
        [connect(&victim, &world.address()).await, connect(&victim, &world.address()).await];
    let running = victim.running(&world.address(), SUBSCRIBE);
    let mut streams = Vec::new();
    for client in [&here, &here, &there, &there] {
        let mut stream = subscribe(client, From::Start, Filter::default(), Ends::Never).await;
        stream.check_heads_every(Duration::ZERO);
        streams.push(stream);
    }
    let acme = world.client("acme-video").await;
    for number in 0..12 {
        publish(&acme, domain(&format!("m{number}.example"))).await;
        if number % 4 == 0 {
            publish(&here, domain(&format!("own{number}.example"))).await;
            publish(&there, domain(&format!("other{number}.example"))).await;
            demand(&victim.watchfire(&world.address(), PUBLISH));
        }
        let mut turned: Vec<_> = streams.iter_mut().collect();
        let error = first_error(&mut turned, Duration::from_millis(900)).await;
        assert!(error.is_none(), "{error:?}");
    }
    here.save_checkpoint().await.expect("it is of the same log");
    there.save_checkpoint().await.expect("it is of the same log");
    assert!(still_runs(running) && victim.evidence().is_empty());
    drop((streams, here, there, acme));
    world.finish();
}
