//! Quotas as members meet them, through the real command line: what still works with little, and what is said of records
//! of which only some were taken.

use std::io::BufRead as _;
use std::io::BufReader;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;

use futures_util::stream;
use prost::Message as _;
use tonic::Code;
use tonic_types::StatusExt as _;
use watchfire::client::Client;
use watchfire::model::filter::Filter;
use watchfire::model::header::BodyKind;
use watchfire::model::limits;
use watchfire::model::reason::Reason;
use watchfire::wire::pb;

use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::publish;
use crate::world::replay;
use crate::world::sign;
use crate::world::until;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
const PUBLISH: [&str; 7] =
    ["publish", "--value", "news.example", "--tlp", "green", "--audience", "companies"];

/// A subscriber that runs.
struct Live {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Live {
    fn start(mut command: Command) -> Self {
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe"));
        Self { process, lines }
    }

    /// The next line; what it said instead if it has ended.
    fn next(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        if line.is_empty() {
            let mut said = String::new();
            let stderr = self.process.stderr.take().expect("a pipe");
            std::io::Read::read_to_string(&mut BufReader::new(stderr), &mut said).expect("a text");
            panic!("it ended: {said}");
        }
        line
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn set(world: &World, member: &str, limit: &[&str]) {
    let line = [&["quota", "set", member], limit].concat();
    demand(&world.watchfire("operator", &line));
}

/// Waits until the hub counts so many streams of a member against its quota.
async fn open(world: &World, member: &str, count: u32) {
    let client = world.client(member).await;
    until(&format!("{count} streams are open"), || async {
        (client.quota().await.expect("an answer").streams_open == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_is_enough_for_whoever_has_no_more() {
    let world = World::with(MEMBERS).await;
    set(&world, "birch-social", &["--streams", "1"]);
    let filtered = ["--body", "indicator"];
    for (number, flags) in [&[][..], &filtered, &["--name", "desk"]].into_iter().enumerate() {
        let newcomer = format!("newcomer-{number}");
        let flags = [&["subscribe", "--from", "now", "--format", "jsonl"], flags].concat();
        let mut reader = Live::start(world.command("birch-social", &flags));
        open(&world, "birch-social", 1).await;
        // Whoever signs this was admitted after the stream was opened: only the roster says so.
        world.admit(&newcomer, "company");
        publish(&world.client(&newcomer).await, domain("late.example")).await;
        while !reader.next().contains("late.example") {}
        // It can still publish, read and show who takes part, with the one stream in use.
        demand(&world.watchfire("birch-social", &PUBLISH));
        demand(&world.watchfire("birch-social", &["lookup", "late.example"]));
        let second = world.watchfire("birch-social", &["subscribe", "--until-head"]);
        let said = String::from_utf8_lossy(&second.stderr);
        assert_eq!(second.status.code(), Some(3), "{said}");
        assert!(said.contains(Reason::TooManyStreams.as_str()), "{said}");
        drop(reader);
        open(&world, "birch-social", 0).await;
    }
    demand(&world.watchfire("birch-social", &["ledger", "--recompute"]));
    let folder = world.data().join("briefing.html");
    let out = ["briefing", "--recompute", "--out", folder.to_str().expect("a path")];
    demand(&world.watchfire("birch-social", &out));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_the_roster_brings_no_record_past_the_quota() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("news.example")).await;
    set(&world, "birch-social", &["--streams", "1"]);
    let birch = world.client("birch-social").await;
    let request = |kinds: &[BodyKind]| pb::SubscribeRequest {
        filter: Some(pb::Filter {
            body_kinds: kinds.iter().map(|kind| kind.number()).collect(),
            ..pb::Filter::default()
        }),
        until_head: true,
        ..pb::SubscribeRequest::default()
    };
    let mut service = birch.exchange_service();
    let _live = service.subscribe(pb::SubscribeRequest::default()).await.expect("a stream");
    for kinds in [
        &[BodyKind::RosterChange, BodyKind::Indicator][..],
        &[BodyKind::AudienceChange],
        &[BodyKind::Erasure, BodyKind::Withdrawal],
    ] {
        let refused = service.subscribe(request(kinds)).await.map(drop);
        let status = refused.expect_err("a refusal");
        assert_eq!(status.code(), Code::ResourceExhausted, "{kinds:?}: {status}");
    }
    let roster = [BodyKind::Genesis, BodyKind::RosterChange, BodyKind::KeyChange];
    let stream = service.subscribe(request(&roster)).await;
    let mut stream = stream.expect("the roster").into_inner();
    let mut shown = 0;
    while let Some(frame) = stream.message().await.expect("a frame") {
        for entry in frame.entries {
            let payload = entry.envelope.expect("an envelope").payload;
            let header = watchfire::wire::header::header(&payload).expect("a header");
            assert!(roster.contains(&header.body_kind), "{:?}", header.body_kind);
            shown += 1;
        }
    }
    assert!(shown > MEMBERS.len(), "{shown}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_that_was_partly_taken_it_says_how_much_and_how_to_go_on() {
    const LINES: usize = 60;
    let world = World::with(MEMBERS).await;
    let limit = ["--records-per-second", "3", "--bytes-per-day", "20000"];
    set(&world, "acme-video", &limit);
    let path = world.data().join("records.jsonl");
    let line = |number: usize| {
        let observable =
            format!(r#"{{"kind":"OBSERVABLE_KIND_DOMAIN","value":"n{number}.example"}}"#);
        format!("{{\"body\":{{\"indicator\":{{\"observable\":{observable}}}}}}}\n")
    };
    std::fs::write(&path, (0..LINES).map(line).collect::<String>()).expect("a file");
    let file = path.to_str().expect("a path");
    let flags = ["--tlp", "green", "--audience", "companies", "--receipts"];
    let output =
        world.watchfire("acme-video", &[&["publish", "--jsonl", file], &flags[..]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    let receipts = String::from_utf8_lossy(&output.stdout).lines().count();
    assert!((20..LINES).contains(&receipts), "{receipts}: {said}");
    let waiting = LINES - receipts;
    let told = format!("{receipts} records are durable, {waiting} wait in the outbox. Go on in ");
    assert!(said.contains(&told), "{said}");
    let folder = world.profile_folder("acme-video");
    let command = format!("watchfire --profile {} publish --outbox.", folder.display());
    assert!(said.contains(&command) && said.contains("No line after 60 was sent."), "{said}");
    let pause = said.lines().find(|line| line.contains("records wait, again in"));
    assert!(pause.expect("a word while it waits").contains("records_per_second"), "{said}");
    assert!(said.contains("this record was not taken") && !said.contains("nothing was"), "{said}");
    let birch = world.client("birch-social").await;
    let indicators = Filter { body_kinds: vec![BodyKind::Indicator], ..Filter::default() };
    assert_eq!(replay(&birch, indicators.clone()).await.len(), receipts, "as it said");

    // What comes next waits behind it, and says that it was not sent.
    let output = world.watchfire("acme-video", &PUBLISH);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    let told = format!("0 records are durable, {waiting} wait in the outbox.");
    assert!(said.contains(&told) && said.contains("nothing newer was sent"), "{said}");

    set(&world, "acme-video", &["--records-per-second", "0", "--bytes-per-day", "0"]);
    let sent = demand(&world.watchfire("acme-video", &["publish", "--outbox"]));
    assert!(sent.contains(&format!("{waiting} records from the outbox are durable")), "{sent}");
    assert_eq!(replay(&birch, indicators).await.len(), LINES, "nothing twice, nothing lost");
    world.finish();
}

async fn bytes_left(client: &Client) -> u64 {
    client.quota().await.expect("an answer").bytes_left.expect("there is a limit")
}

/// Sends a batch as it is: where each record lies; nothing of one that the quota holds up.
async fn send_all(client: &Client, batch: &[pb::Envelope]) -> Vec<Option<u64>> {
    let request = pb::PublishRequest { envelopes: batch.to_vec(), ..pb::PublishRequest::default() };
    let answer = client.exchange_service().publish(request).await.expect("an answer").into_inner();
    let place = |outcome: Result<u64, String>| {
        outcome.map_err(|reason| assert_eq!(reason, Reason::Quota.as_str())).ok()
    };
    outcomes(answer.results).into_iter().map(place).collect()
}

/// Where each record lies, or why it was refused.
fn outcomes(results: Vec<pb::PublishResult>) -> Vec<Result<u64, String>> {
    let outcome = |result: pb::PublishResult| match result.outcome.expect("an outcome") {
        pb::publish_result::Outcome::Receipt(receipt) => Ok(receipt.sequence),
        pb::publish_result::Outcome::Refusal(refusal) => Err(refusal.reason),
    };
    results.into_iter().map(outcome).collect()
}

/// Sends batches on one stream, none of which waits for an answer.
async fn send_on_a_stream(
    client: &Client,
    batches: &[&[pb::Envelope]],
) -> Vec<Vec<Result<u64, String>>> {
    let message = |batch: &&[pb::Envelope]| pb::PublishStreamRequest {
        envelopes: batch.to_vec(),
        ..pb::PublishStreamRequest::default()
    };
    let messages: Vec<_> = batches.iter().map(message).collect();
    let answers = client.exchange_service().publish_stream(stream::iter(messages)).await;
    let mut answers = answers.expect("a stream").into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await.expect("an answer") {
        all.push(outcomes(answer.results));
    }
    all
}

fn envelopes(client: &Client, contents: &[pb::body::Content]) -> Vec<pb::Envelope> {
    let signer = client.signer().expect("a key");
    let one = |content: &pb::body::Content| {
        sign(client, draft(&signer, content.clone(), handling(&["companies"], &[])))
    };
    contents.iter().map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_costs_no_record_and_a_batch_beyond_the_quota_comes_to_its_end() {
    const RECORDS: usize = 50;
    let world = World::with(MEMBERS).await;
    set(&world, "acme-video", &["--records-per-second", "4", "--bytes-per-day", "100000"]);
    let acme = world.client("acme-video").await;
    let contents: Vec<_> =
        (0..RECORDS).map(|number| domain(&format!("n{number}.example"))).collect();
    let batch = envelopes(&acme, &contents);
    // The whole of it each time, as who keeps no account of answers sends it.
    let (mut taken, mut rounds) = (0, 0);
    while taken < RECORDS {
        let outcomes = send_all(&acme, &batch).await;
        let before = std::mem::replace(&mut taken, outcomes.iter().flatten().count());
        assert!(taken >= before, "what was there is there: {taken} of {before}");
        assert!(outcomes[..taken].iter().all(Option::is_some), "in its order: {outcomes:?}");
        rounds += 1;
        assert!(rounds < 600, "{taken} of {RECORDS}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(rounds > 1, "ten seconds' worth is taken at once, and no more");
    let left = bytes_left(&acme).await;
    assert_eq!(send_all(&acme, &batch).await.iter().flatten().count(), RECORDS);
    assert!(bytes_left(&acme).await >= left, "it costs no bytes");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_costs_a_look_and_holds_up_nothing_new() {
    const RECORDS: usize = 40;
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let contents: Vec<_> =
        (0..RECORDS).map(|number| domain(&format!("n{number}.example"))).collect();
    let batch = envelopes(&acme, &contents);
    assert!(send_all(&acme, &batch).await.iter().all(Option::is_some));
    // Ten at once.
    set(&world, "acme-video", &["--lookups-per-second", "1"]);
    let new = envelopes(&acme, &[domain("new.example")]);
    let answers = send_on_a_stream(&acme, &[&[batch.clone(), new].concat()]).await;
    let (again, new) = answers[0].split_at(RECORDS);
    let over = Err(Reason::Quota.as_str().to_owned());
    let told = again.iter().filter(|outcome| outcome.is_ok()).count();
    assert!((10..RECORDS).contains(&told), "{told} of {RECORDS}");
    assert!(again.iter().all(|outcome| outcome.is_ok() || *outcome == over), "{again:?}");
    assert!(new[0].is_ok(), "nothing that it may depend on is missing: {new:?}");
    // What has no receipt yet is asked for again, and so all of it is known in the end.
    set(&world, "acme-video", &["--lookups-per-second", "0"]);
    let pairs = batch.iter().zip(again).filter(|(_envelope, outcome)| outcome.is_err());
    let rest: Vec<_> = pairs.map(|(envelope, _outcome)| envelope.clone()).collect();
    assert!(send_all(&acme, &rest).await.iter().all(Option::is_some));
    world.finish();
}

/// Some four kilobytes.
fn long_operation() -> pb::body::Content {
    pb::body::Content::Operation(pb::Operation {
        title: "heron".to_owned(),
        description: "much to say. ".repeat(300),
        ..pb::Operation::default()
    })
}

fn note_about(envelope: &pb::Envelope) -> pb::body::Content {
    let name = watchfire::wire::header::header(&envelope.payload).expect("a header").name;
    pb::body::Content::Note(pb::Note { about: name.to_string(), text: "see this".to_owned() })
}

/// Nobody makes the hub check without end what it refuses anyway, whatever the quota.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_too_often_is_looked_at_again_when_it_waited() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let request = || pb::PublishRequest {
        envelopes: vec![pb::Envelope::default(); limits::BATCH_RECORDS_MAX],
        ..pb::PublishRequest::default()
    };
    let mut refused = 0;
    let status = loop {
        match acme.exchange_service().publish(request()).await {
            Ok(answer) => refused += answer.into_inner().results.len(),
            Err(status) => break status,
        }
        assert!(refused < 1_000_000, "it goes on without end");
    };
    assert!(refused > usize::try_from(limits::REFUSALS_BURST).expect("a number"), "{refused}");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let info = status.get_details_error_info().expect("its reason");
    assert_eq!(info.reason, Reason::Quota.as_str());
    assert_eq!(info.metadata.get("limit").map(String::as_str), Some("refusals"), "{info:?}");
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let delay = delay.expect("when to come again");
    // Nobody else is kept waiting, and what is good comes in behind what was not: the client waits as it is told.
    publish(&birch, domain("others.example")).await;
    demand(&world.watchfire("acme-video", &PUBLISH));
    let answer = acme.exchange_service().publish(request()).await;
    assert!(answer.is_ok(), "after {delay:?} it is looked at again: {answer:?}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_depends_on_a_record_beyond_the_quota_is_not_refused_for_good() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let operation = envelopes(&acme, &[long_operation()]);
    let note = envelopes(&acme, &[note_about(&operation[0])]);
    let batch = [operation, note].concat();
    // Enough for the note, and less than the operation needs, once something was published.
    set(&world, "acme-video", &["--bytes-per-day", "2500"]);
    demand(&world.watchfire("acme-video", &PUBLISH));
    let outcomes = send_all(&acme, &batch).await;
    assert_eq!(outcomes, [None, None]);
    set(&world, "acme-video", &["--bytes-per-day", "0"]);
    assert!(send_all(&acme, &batch).await.iter().all(Option::is_some));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_depends_on_an_earlier_batch_of_its_stream_is_held_up_with_it() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let operation = envelopes(&acme, &[long_operation()]);
    let note = envelopes(&acme, &[note_about(&operation[0])]);
    let alone = envelopes(&acme, &[domain("alone.example")]);
    // Enough for all but the operation, once something was published.
    set(&world, "acme-video", &["--bytes-per-day", "3500"]);
    demand(&world.watchfire("acme-video", &PUBLISH));
    let left = bytes_left(&acme).await;
    let answers = send_on_a_stream(&acme, &[&operation, &note, &note]).await;
    let quota = || Err(Reason::Quota.as_str().to_owned());
    assert_eq!(answers, [vec![quota()], vec![quota()], vec![quota()]]);
    assert!(bytes_left(&acme).await >= left, "what waits for another uses nothing up");
    let answers = send_on_a_stream(&acme, &[&operation, &note, &alone]).await;
    assert!(answers[2][0].is_ok(), "it depends on nothing: {answers:?}");
    // Nobody learns so that something is held up for good: without what it is about, it is wrong.
    let answers = send_on_a_stream(&acme, &[&note]).await;
    assert_eq!(answers, [vec![Err(Reason::RecordNotFound.as_str().to_owned())]]);
    set(&world, "acme-video", &["--bytes-per-day", "0"]);
    let answers = send_on_a_stream(&acme, &[&operation, &note, &alone]).await;
    assert!(answers.iter().flatten().all(Result::is_ok), "{answers:?}");
    world.finish();
}

const TECHNIQUES: u64 = 300;

/// It is found by all of its techniques and the word of its title, for two audiences, a recipient and its publisher.
fn found_by_much(client: &Client) -> pb::Envelope {
    let technique = |number| pb::Technique {
        framework: "x".to_owned(),
        external_id: format!("T{number}"),
        ..pb::Technique::default()
    };
    let content = pb::body::Content::Operation(pb::Operation {
        title: "heron".to_owned(),
        techniques: (0..TECHNIQUES).map(technique).collect(),
        ..pb::Operation::default()
    });
    let reach = handling(&["companies", "observers"], &["birch-social"]);
    sign(client, draft(&client.signer().expect("a key"), content, reach))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_has_too_many_postings_of_comes_with_the_next() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let postings = usize::try_from((TECHNIQUES + 1) * 4).expect("a number");
    let most = limits::BATCH_POSTINGS_MAX / postings;
    let batch: Vec<_> = (0..most + 10).map(|_record| found_by_much(&acme)).collect();
    let taken = |outcomes: &[Option<u64>]| outcomes.iter().take_while(|it| it.is_some()).count();
    let outcomes = send_all(&acme, &batch).await;
    assert_eq!(taken(&outcomes), most, "as many as fit");
    assert!(outcomes[most..].iter().all(Option::is_none), "{outcomes:?}");
    assert_eq!(taken(&send_all(&acme, &batch).await), batch.len(), "the same bytes again");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_by_much_counts_what_it_takes_in_the_indexes() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let envelope = found_by_much(&acme);
    // For two audiences, a recipient and its publisher.
    let postings = (TECHNIQUES + 1) * 4;
    assert!(postings * 8 > u64::try_from(envelope.encoded_len()).expect("a length"));
    set(&world, "acme-video", &["--bytes-per-day", "1000000"]);
    let before = bytes_left(&acme).await;
    assert!(send_all(&acme, &[envelope]).await[0].is_some());
    let after = bytes_left(&acme).await;
    assert_eq!(before, 1_000_000);
    // A million bytes a day work off twelve a second.
    let used = before - after;
    assert!(used <= postings * 8 && used > postings * 8 - 600, "{used} of {}", postings * 8);
    world.finish();
}
