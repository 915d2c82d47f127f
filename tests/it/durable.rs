//! Durable subscriptions, access that changes, and the current state, through the real hub and the real command line.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Child;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::Code;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::Compacted;
use watchfire::client::Cursor;
use watchfire::client::Delivery;
use watchfire::client::Fact;
use watchfire::client::From;
use watchfire::client::KeeperChange;
use watchfire::client::Place;
use watchfire::client::Refused;
use watchfire::client::SeekPoint;
use watchfire::client::Subscription;
use watchfire::client::draw_audience;
use watchfire::model::filter::Filter;
use watchfire::model::names::Audience;
use watchfire::model::names::SubscriptionName;
use watchfire::model::reason::Reason;
use watchfire::wire::pb;

use crate::world::Ends;
use crate::world::PATIENCE;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::random_moment;
use crate::world::replay;
use crate::world::scratch;
use crate::world::sign;
use crate::world::subscribe;
use crate::world::until;

const MEMBERS: &[(&str, &str)] =
    &[("acme-video", "company"), ("birch-social", "company"), ("cedar-microblog", "company")];
/// Kills of each side in one run; more by the environment.
const ROUNDS: u32 = 8;

pub(crate) fn json_lines(output: &Output) -> Vec<serde_json::Value> {
    let text = demand(output);
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What the hub lists of one subscription.
fn listed(world: &World, member: &str, id: &str) -> serde_json::Value {
    let all = json_lines(&world.watchfire(member, &["subscriptions", "--format", "jsonl"]));
    let name = format!("members/{member}/subscriptions/{id}");
    let found = all.into_iter().find(|line| line["name"] == *name);
    found.unwrap_or_else(|| panic!("no subscription {id} of {member}"))
}

fn position(world: &World, member: &str, id: &str) -> u64 {
    let kept = listed(world, member, id);
    kept.get("position").and_then(serde_json::Value::as_u64).expect("a number")
}

pub(crate) fn name(member: &str, id: &str) -> SubscriptionName {
    SubscriptionName::new(member.parse().expect("a member"), id).expect("a name")
}

#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> Refused {
    match outcome {
        Err(ClientError::Refused(refused)) => *refused,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn said(output: &Output, code: i32, words: &str) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(words), "{text}");
    text
}

/// The next delivery of a live subscription.
async fn next(subscription: &mut Subscription) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, subscription.next()).await;
    next.expect("a delivery in time").expect("a delivery").expect("no end")
}

/// Everything up to the next mark, as sequences; and the mark.
pub(crate) async fn to_mark(
    subscription: &mut Subscription,
) -> (Vec<u64>, watchfire::client::Mark) {
    let mut sequences = Vec::new();
    loop {
        match next(subscription).await {
            Delivery::Entries { entries, .. } => {
                sequences.extend(entries.iter().map(watchfire::client::VerifiedEntry::sequence));
            }
            Delivery::Mark(mark) => return (sequences, mark),
            Delivery::Snapshot | Delivery::AccessChanged(_) | Delivery::Interrupted(_) => {}
        }
    }
}

pub(crate) fn start(world: &World, member: &str, arguments: &[&str]) -> Child {
    let mut command = world.command(member, arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("watchfire runs")
}

pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep_until(tokio::time::Instant::now() + duration).await;
}

/// Publishes until it is told to stop, whatever becomes of the hub; what has no answer waits in the outbox.
async fn publish_on(client: Client, stop: CancellationToken) {
    let signer = client.signer().expect("a key");
    let mut number = 0;
    while !stop.is_cancelled() {
        let batch: Vec<pb::Envelope> = (0..10)
            .map(|_| {
                number += 1;
                let content = domain(&format!("n{number}.example"));
                sign(&client, draft(&signer, content, handling(&["companies"], &[])))
            })
            .collect();
        let request = pb::PublishRequest { envelopes: batch, ..pb::PublishRequest::default() };
        if client.exchange_service().publish(request).await.is_err() {
            pause(Duration::from_millis(20)).await;
        }
    }
}

/// What a sink of JSON lines holds: each sequence with its identity, and nothing twice.
pub(crate) fn held(path: &Path) -> BTreeMap<u64, String> {
    let mut held = BTreeMap::new();
    for line in std::fs::read_to_string(path).expect("a file").lines() {
        let fact: Fact = serde_json::from_str(line).expect("an entry");
        let before = held.insert(fact.sequence, fact.header_digest);
        assert_eq!(before, None, "sequence {} is there twice", fact.sequence);
    }
    held
}

fn sequences(path: &Path) -> BTreeSet<u64> {
    held(path).into_keys().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_holds_everything_once_however_often_either_side_is_killed() {
    let rounds = std::env::var("WATCHFIRE_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok());
    let mut world = World::with(MEMBERS).await;
    let place = scratch();
    let file = place.path().join("records.jsonl");
    let target = format!("jsonl:{}", file.display());
    let arguments = ["subscribe", "--name", "main", "--into", &target];
    let mut places = vec![0];
    for _round in 0..rounds.unwrap_or(ROUNDS) {
        let stop = CancellationToken::new();
        let publisher = publish_on(world.client("acme-video").await, stop.clone());
        let mut child = start(&world, "birch-social", &arguments);
        let kills = async {
            pause(random_moment() * 20).await;
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
            let mut again = start(&world, "birch-social", &arguments);
            pause(random_moment() * 10).await;
            world.kill();
            world.start(&[]).await;
            pause(random_moment() * 10).await;
            again.kill().expect("it can be killed");
            again.wait().expect("it ends");
            stop.cancel();
        };
        tokio::join!(publisher, kills);
        let listed = world.watchfire("birch-social", &["subscriptions", "--format", "jsonl"]);
        places.extend(json_lines(&listed).iter().filter_map(|kept| kept["position"].as_u64()));
    }
    assert!(places.is_sorted(), "an acknowledged place never goes back: {places:?}");
    let whole = [&arguments[..], &["--until-head"]].concat();
    demand(&world.watchfire("birch-social", &whole));
    let birch = world.client("birch-social").await;
    let entries = replay(&birch, Filter::default()).await;
    let expected: BTreeMap<u64, String> = entries
        .iter()
        .map(|entry| (entry.sequence(), hex::encode(entry.header_digest())))
        .collect();
    assert_eq!(held(&file), expected);
    assert!(expected.len() > 100, "the load was too small: {}", expected.len());
    let kept = listed(&world, "birch-social", "main");
    assert_eq!(kept["position"].as_u64(), Some(head(&birch).await), "the end is acknowledged");
    assert_eq!((&kept["lag_entries"], &kept["streams"]), (&0.into(), &0.into()));
    println!("{} entries, places {places:?}", expected.len());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_what_was_not_acknowledged_and_nothing_else() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let place = scratch();
    let out = place.path().join("out.jsonl");
    let take = format!("cat >> {}", out.display());
    let arguments =
        ["subscribe", "--name", "main", "--body", "indicator", "--until-head", "--exec"];
    let run =
        |command: &str| world.watchfire("birch-social", &[&arguments[..], &[command]].concat());
    let (_, first) = publish(&acme, domain("one.example")).await;
    demand(&run(&take));
    assert_eq!(sequences(&out), BTreeSet::from([first]));
    let (_, second) = publish(&acme, domain("two.example")).await;
    said(&run("cat > /dev/null; exit 7"), 1, "exit code 7");
    demand(&run(&take));
    assert_eq!(sequences(&out), BTreeSet::from([first, second]));
    // The filter that the hub keeps holds if none is given, and another one is refused with its reason.
    let (_, third) = publish(&acme, domain("three.example")).await;
    let bare = ["subscribe", "--name", "main", "--until-head", "--exec", &take];
    demand(&world.watchfire("birch-social", &bare));
    assert_eq!(sequences(&out), BTreeSet::from([first, second, third]));
    let other = ["subscribe", "--name", "main", "--kind", "domain", "--until-head"];
    said(&world.watchfire("birch-social", &other), 3, "another filter");
    // The end that is shown is acknowledged too.
    publish(&acme, domain("four.example")).await;
    let shown = ["subscribe", "--name", "main", "--until-head", "--format", "jsonl"];
    assert_eq!(json_lines(&world.watchfire("birch-social", &shown)).len(), 1);
    assert_eq!(json_lines(&world.watchfire("birch-social", &shown)).len(), 0);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_acknowledges_at_most_once_a_second_and_when_it_is_asked_to_end() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let (place, arguments) = (scratch(), ["subscribe", "--name", "main", "--format", "jsonl"]);
    let shown = place.path().join("shown.jsonl");
    let mut command = world.command("birch-social", &arguments);
    command.stdout(std::fs::File::create(&shown).expect("a file")).stderr(Stdio::null());
    let mut child = command.spawn().expect("watchfire runs");
    until("the stream is open", || async {
        let all = birch.subscriptions().await.expect("an answer");
        all.first().filter(|kept| kept.streams == 1 && kept.lag_entries == 0).map(|_| ())
    })
    .await;
    let (begun, mut seen) = (std::time::Instant::now(), BTreeSet::new());
    while begun.elapsed() < Duration::from_secs(3) {
        publish(&acme, domain("news.example")).await;
        let kept = birch.subscriptions().await.expect("an answer");
        seen.insert(kept[0].position);
    }
    assert!((2..=5).contains(&seen.len()), "{seen:?}");
    // Once the one behind it is shown, the mark behind the last has come; its own may still be on its way.
    let mut places = Vec::new();
    for value in ["last.example", "behind.example"] {
        places.push(publish(&acme, domain(value)).await.1);
        until("it is shown", || async {
            let text = std::fs::read_to_string(&shown).expect("a file");
            text.contains(value).then_some(())
        })
        .await;
    }
    World::signal(&child, "-TERM");
    assert!(child.wait().expect("it ends").success());
    let position = position(&world, "birch-social", "main");
    assert!((places[0] + 1..=places[1] + 1).contains(&position), "{position} behind {places:?}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_seeks_back_and_ahead_and_is_told_how_far_it_lies_behind() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let create = ["subscriptions", "create", "main", "--kind", "domain", "--from", "now"];
    let told = demand(&world.watchfire("birch-social", &create));
    let begin = head(&birch).await;
    assert!(told.contains(&format!("stands at sequence {begin}, 0 entries behind")), "{told}");
    let (_, first) = publish(&acme, domain("one.example")).await;
    pause(Duration::from_millis(1100)).await;
    let (_, second) = publish(&acme, domain("two.example")).await;
    let kept = listed(&world, "birch-social", "main");
    assert_eq!((&kept["lag_entries"], kept["position"].as_u64()), (&2.into(), Some(begin)));
    assert!(kept["lag_seconds"].as_f64().expect("a number") >= 1.0, "{kept}");
    assert_eq!(kept["filter"], "--kind domain");
    let table = demand(&world.watchfire("birch-social", &["subscriptions", "list"]));
    assert!(table.contains("main") && table.contains("BEHIND"), "{table}");

    let shown = || {
        let lines = ["subscribe", "--name", "main", "--until-head", "--format", "jsonl"];
        let lines = json_lines(&world.watchfire("birch-social", &lines));
        lines.iter().map(|line| line["sequence"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    let seek = |to: &[&str]| {
        let words = [&["subscriptions", "seek", "main"][..], to].concat();
        world.watchfire("birch-social", &words)
    };
    assert_eq!(shown(), [first, second]);
    assert_eq!(shown(), [0; 0]);
    demand(&seek(&["--to", "start"]));
    assert_eq!(shown(), [first, second]);
    demand(&seek(&["--to", &second.to_string()]));
    assert_eq!(shown(), [second]);
    let at = replay(&birch, Filter::default()).await;
    let at = at.iter().find(|entry| entry.sequence() == second).expect("it").accept_time();
    demand(&seek(&["--since", &at.to_string()]));
    assert_eq!(shown(), [second]);
    demand(&seek(&["--to", "start"]));
    demand(&seek(&["--to", "now"]));
    assert_eq!(shown(), [0; 0]);
    said(&seek(&["--to", "100000"]), 3, Reason::CursorAhead.as_str());
    said(&seek(&[]), 2, "required");
    assert_eq!(position(&world, "birch-social", "main"), head(&birch).await);
    demand(&world.watchfire("birch-social", &["subscriptions", "delete", "main"]));
    said(
        &world.watchfire("birch-social", &["subscriptions", "delete", "main"]),
        3,
        Reason::RecordNotFound.as_str(),
    );
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_never_goes_back_and_is_bound_to_member_and_filter() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    publish(&acme, domain("one.example")).await;
    let main = name("birch-social", "main");
    let domains = || Filter { kinds: vec![pb::ObservableKind::Domain.into()], ..Filter::default() };
    birch.create_subscription(&main, &Filter::default(), pb::StartPoint::Start).await.expect("it");
    let cursor = async |client: &Client, filter| {
        let mut stream = subscribe(client, From::Now, filter, Ends::Never).await;
        to_mark(&mut stream).await.1
    };
    let early = cursor(&birch, Filter::default()).await;
    publish(&acme, domain("two.example")).await;
    let late = cursor(&birch, Filter::default()).await;
    assert!(early.position < late.position);
    let acknowledge = async |cursor: &Cursor| birch.acknowledge_subscription(&main, cursor).await;
    assert_eq!(acknowledge(&late.cursor).await.expect("an answer").position, late.position);
    assert_eq!(acknowledge(&early.cursor).await.expect("an answer").position, late.position);
    // Back on purpose, and then ahead again.
    let moved = birch.seek_subscription(&main, SeekPoint::Start).await.expect("an answer");
    assert_eq!(moved.position, 0);
    assert_eq!(acknowledge(&early.cursor).await.expect("an answer").position, early.position);

    let filtered = cursor(&birch, domains()).await;
    let refused = refusal(acknowledge(&filtered.cursor).await);
    assert!(refused.is(Reason::CursorFilterMismatch), "{refused}");
    let foreign = cursor(&acme, Filter::default()).await;
    for bad in [foreign.cursor.bytes.as_slice(), b"", b"garbage"] {
        let bad = Cursor { bytes: bad.to_vec(), position: 0 };
        let refused = refusal(acknowledge(&bad).await);
        assert!(refused.is(Reason::CursorInvalid), "{refused}");
    }
    let request = pb::SubscribeRequest {
        start: Some(pb::subscribe_request::Start::Subscription(main.to_string())),
        filter: Some(pb::Filter {
            kinds: vec![pb::ObservableKind::Domain.into()],
            ..pb::Filter::default()
        }),
        ..pb::SubscribeRequest::default()
    };
    let refused = birch.exchange_service().subscribe(request).await.expect_err("another filter");
    let refused = refusal::<()>(Err(refused.into()));
    assert_eq!(
        (refused.field.as_str(), refused.code),
        ("filter", i32::from(Code::InvalidArgument))
    );
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_subscription_is_answered_like_one_that_is_not_there() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let main = name("birch-social", "main");
    let kept = birch
        .create_subscription(&main, &Filter::default(), pb::StartPoint::Start)
        .await
        .expect("an answer");
    let absent = name("birch-social", "absent");
    let stream = async |name: &SubscriptionName| {
        let start = Some(pb::subscribe_request::Start::Subscription(name.to_string()));
        let request = pb::SubscribeRequest { start, ..pb::SubscribeRequest::default() };
        acme.exchange_service().subscribe(request).await.map(drop).map_err(ClientError::from)
    };
    let mut answers = Vec::new();
    for name in [&main, &absent] {
        let answer =
            |outcome: Refused| (outcome.code, outcome.reason, outcome.message, outcome.field);
        answers.push([
            answer(refusal(acme.acknowledge_subscription(name, &kept.cursor).await)),
            answer(refusal(acme.seek_subscription(name, SeekPoint::Now).await)),
            answer(refusal(acme.delete_subscription(name).await)),
            answer(refusal(stream(name).await)),
            answer(refusal(
                acme.create_subscription(name, &Filter::default(), pb::StartPoint::Start).await,
            )),
        ]);
    }
    assert_eq!(answers[0], answers[1], "one cannot tell whether it is there");
    assert!(answers[0].iter().all(|answer| answer.1 == Reason::RecordNotFound.as_str()));
    assert!(acme.subscriptions().await.expect("an answer").is_empty());
    let after = birch.subscriptions().await.expect("an answer");
    assert_eq!((after.len(), after[0].position, &after[0].cursor), (1, 0, &kept.cursor));
    // The same id is everyone's own.
    let own = name("acme-video", "main");
    acme.create_subscription(&own, &Filter::default(), pb::StartPoint::Now).await.expect("it");
    assert_eq!(position(&world, "birch-social", "main"), 0);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_has_so_many_subscriptions_and_pages_of_them() {
    let world = World::with(MEMBERS).await;
    let birch = world.client("birch-social").await;
    let create = async |number: usize| {
        let name = name("birch-social", &format!("n-{number:03}"));
        birch.create_subscription(&name, &Filter::default(), pb::StartPoint::Start).await
    };
    for number in 0..256 {
        create(number).await.expect("an answer");
    }
    let refused = refusal(create(256).await);
    assert!(refused.is(Reason::Quota), "{refused}");
    create(7).await.expect("one that is there is answered");
    let all = birch.subscriptions().await.expect("an answer");
    assert_eq!(all.len(), 256);
    for bad in ["x", "Main", "a/b", "a b", &"x".repeat(41)] {
        let request = pb::CreateSubscriptionRequest {
            name: format!("members/birch-social/subscriptions/{bad}"),
            ..pb::CreateSubscriptionRequest::default()
        };
        let refused = birch.subscription_service().create_subscription(request).await;
        let refused = refusal::<()>(Err(refused.expect_err("no name").into()));
        assert_eq!((refused.reason.as_str(), refused.field.as_str()), ("FIELD_INVALID", "name"));
    }
    world.finish();
}

/// How often access changed up to the end, and the sequences that came.
async fn to_end(subscription: &mut Subscription) -> (usize, Vec<u64>) {
    let (mut changes, mut sequences) = (0, Vec::new());
    while let Some(delivery) = subscription.next().await.expect("a delivery") {
        changes += usize::from(matches!(delivery, Delivery::AccessChanged(_)));
        if let Delivery::Entries { entries, .. } = delivery {
            sequences.extend(entries.iter().map(watchfire::client::VerifiedEntry::sequence));
        }
    }
    (changes, sequences)
}

/// An audience that acme keeps, alone.
async fn desk(acme: &Client) -> Audience {
    let audience = draw_audience().expect("a handle");
    let create = KeeperChange::Create { title: "Desk".to_owned(), members: Vec::new() };
    acme.change_audience(&audience, create).await.expect("a receipt");
    audience
}

async fn for_desk(acme: &Client, desk: &Audience, value: &str) -> u64 {
    publish_for(acme, domain(value), handling(&[desk.as_str()], &[])).await.1
}

fn birch() -> Vec<watchfire::model::names::MemberId> {
    vec!["birch-social".parse().expect("a member")]
}

#[tokio::test(flavor = "multi_thread")]
async fn access_that_is_gained_on_an_open_stream_is_told_filled_in_and_marked() {
    let world = World::with(MEMBERS).await;
    let (acme, client) = (world.client("acme-video").await, world.client("birch-social").await);
    let desk = desk(&acme).await;
    let hidden = for_desk(&acme, &desk, "one.example").await;
    let open = publish(&acme, domain("two.example")).await.1;
    let mut stream = subscribe(&client, From::Start, Filter::default(), Ends::Never).await;
    let (mut seen, mut mark) = to_mark(&mut stream).await;
    while mark.position < mark.head {
        let more = to_mark(&mut stream).await;
        seen.extend(more.0);
        mark = more.1;
    }
    assert!(seen.contains(&open) && !seen.contains(&hidden), "{seen:?}");
    let before = stream.place().clone();

    acme.change_audience(&desk, KeeperChange::Add(birch())).await.expect("a receipt");
    let change = loop {
        let delivery = next(&mut stream).await;
        assert!(matches!(delivery, Delivery::AccessChanged(_) | Delivery::Mark(_)), "{delivery:?}");
        if let Delivery::AccessChanged(change) = delivery {
            break change;
        }
    };
    assert_eq!((change.gained, change.lost), (vec![desk.name()], vec![]));
    // What lay behind comes marked as such, and before any mark.
    let mut filled = Vec::new();
    let mark = loop {
        let delivery = next(&mut stream).await;
        if let Delivery::Mark(mark) = delivery {
            break mark;
        }
        let Delivery::Entries { entries, backfill: true, .. } = delivery else {
            panic!("{delivery:?}");
        };
        filled.extend(entries.iter().map(watchfire::client::VerifiedEntry::sequence));
        assert_eq!(stream.place().cursor, before.cursor, "the cursor moves with marks only");
    };
    assert!(filled.contains(&hidden) && !filled.contains(&open), "{filled:?}");
    let live = for_desk(&acme, &desk, "three.example").await;
    let mut came = Vec::new();
    while !came.contains(&live) {
        came.extend(to_mark(&mut stream).await.0);
    }
    assert!(!came.contains(&hidden), "{came:?}");
    drop(stream);

    // The old cursor, as of before, is told the same again; the mark behind the back-fill is not.
    for (cursor, gains) in [(before.cursor.clone().expect("a cursor"), true), (mark.cursor, false)]
    {
        let place = Place { cursor: Some(cursor), epoch: 1, sequence: None };
        let mut again =
            subscribe(&client, From::Place(place), Filter::default(), Ends::AtHead).await;
        let (changes, sequences) = to_end(&mut again).await;
        assert_eq!((changes == 1, sequences.contains(&hidden)), (gains, gains), "{sequences:?}");
        assert!(sequences.contains(&live));
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_fill_that_is_cut_off_begins_again_and_leaves_nothing_out() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let desk = desk(&acme).await;
    let signer = acme.signer().expect("a key");
    let place = scratch();
    let file = place.path().join("records.jsonl");
    let target = format!("jsonl:{}", file.display());
    let arguments = ["subscribe", "--name", "main", "--into", &target];
    let whole = [&arguments[..], &["--until-head"]].concat();
    // Hidden and open ones in turn, many frames of them.
    for _batch in 0..24 {
        let reaches = [desk.as_str(), "companies"].into_iter().cycle().take(100);
        let batch = reaches.map(|reach| {
            sign(&acme, draft(&signer, domain("news.example"), handling(&[reach], &[])))
        });
        acme.publish(batch.collect()).await.expect("answers");
    }
    demand(&world.watchfire("birch-social", &whole));
    let before = held(&file).len();
    assert!((1_200..1_300).contains(&before), "{before}");
    acme.change_audience(&desk, KeeperChange::Add(birch())).await.expect("a receipt");
    let mut between = BTreeSet::new();
    for round in 0..12_u32 {
        let mut child = start(&world, "birch-social", &arguments);
        pause(random_moment() * 4).await;
        if round % 4 == 3 {
            world.kill();
            world.start(&[]).await;
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        between.insert(std::fs::metadata(&file).expect("a file").len());
    }
    demand(&world.watchfire("birch-social", &whole));
    let entries = replay(&world.client("birch-social").await, Filter::default()).await;
    let expected: BTreeMap<u64, String> = entries
        .iter()
        .map(|entry| (entry.sequence(), hex::encode(entry.header_digest())))
        .collect();
    assert_eq!(held(&file), expected);
    assert!(expected.len() > 2_400);
    println!("{} different lengths in between", between.len());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gain_reveals_is_found_wherever_it_lies() {
    let world = World::with(MEMBERS).await;
    let (acme, client) = (world.client("acme-video").await, world.client("birch-social").await);
    let (desk, other) = (desk(&acme).await, desk(&acme).await);
    let mut hidden = BTreeSet::new();
    // Beyond what the index writes at once, so that some are found on the disk and some in memory; far apart, and one
    // next to the other.
    for round in 0..90 {
        hidden.insert(for_desk(&acme, &desk, "one.example").await);
        for_desk(&acme, &other, "another.example").await;
        if round % 9 == 0 {
            flood(&acme, 10).await;
        }
    }
    let end = for_desk(&acme, &desk, "last.example").await;
    hidden.insert(end);
    assert!(end > 4_096 + 64);
    let mut stream = subscribe(&client, From::Now, Filter::default(), Ends::Never).await;
    to_mark(&mut stream).await;
    acme.change_audience(&desk, KeeperChange::Add(birch())).await.expect("a receipt");
    let mut filled = Vec::new();
    loop {
        match next(&mut stream).await {
            Delivery::Entries { entries, backfill: true, .. } => {
                filled.extend(entries.iter().map(watchfire::client::VerifiedEntry::sequence));
            }
            Delivery::Mark(_) if !filled.is_empty() => break,
            Delivery::Entries { .. }
            | Delivery::Mark(_)
            | Delivery::AccessChanged(_)
            | Delivery::Snapshot
            | Delivery::Interrupted(_) => {}
        }
    }
    assert!(filled.is_sorted());
    // The first is how the audience was made.
    assert_eq!(filled.split_off(1).into_iter().collect::<BTreeSet<u64>>(), hidden);
    let (after, _mark) = to_mark(&mut stream).await;
    assert!(hidden.is_disjoint(&after.into_iter().collect()), "nothing comes twice");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_fill_says_what_left_the_filter() {
    let world = World::with(MEMBERS).await;
    let (acme, client) = (world.client("acme-video").await, world.client("birch-social").await);
    let desk = desk(&acme).await;
    let filter = Filter { platforms: vec!["x".to_owned()], ..Filter::default() };
    let mut stream = subscribe(&client, From::Now, filter, Ends::Never).await;
    to_mark(&mut stream).await;
    let voice = |platform: &str| {
        pb::body::Content::Indicator(pb::Indicator {
            observable: Some(pb::Observable {
                kind: pb::ObservableKind::Account.into(),
                platform: platform.to_owned(),
                value: "example_voice".to_owned(),
                ..pb::Observable::default()
            }),
            ..pb::Indicator::default()
        })
    };
    let (name, first) = publish_for(&acme, voice("x"), handling(&[desk.as_str()], &[])).await;
    let current = acme.current(&name).await.expect("an answer").expect("the record");
    let signer = acme.signer().expect("a key");
    let mut moved = draft(&signer, voice("facebook"), handling(&[desk.as_str()], &[]));
    moved.name = name;
    moved.previous = Some((current.revision, current.header_digest));
    let second = acme.publish_one(sign(&acme, moved)).await.expect("a receipt").sequence;
    acme.change_audience(&desk, KeeperChange::Add(birch())).await.expect("a receipt");
    let (mut filled, mut left) = (Vec::new(), Vec::new());
    while !filled.contains(&second) {
        if let Delivery::Entries { entries, left_filter, backfill: true } = next(&mut stream).await
        {
            filled.extend(entries.iter().map(watchfire::client::VerifiedEntry::sequence));
            left.extend(left_filter);
        }
    }
    assert!(filled.contains(&first), "{filled:?}");
    assert_eq!(left, [second]);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_whose_body_was_let_go_is_still_shown_with_what_is_said_of_it() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (storm, _) = publish(&acme, operation("Storm")).await;
    keep_little(&mut world).await;
    let acme = world.client("acme-video").await;
    flood(&acme, 10).await;
    settled(&acme).await;
    let pb::body::Content::Indicator(said) = domain("fresh.example") else {
        panic!("a domain is an indicator");
    };
    let fresh = pb::Indicator { operation: storm.to_string(), ..said };
    publish(&acme, pb::body::Content::Indicator(fresh)).await;
    let client = world.client("birch-social").await;
    let view = client.operation(&storm).await.expect("it is there");
    assert!(view.operation.erased_by().is_some());
    assert_eq!(view.assets.len(), 1);
    let links = demand(&world.watchfire("birch-social", &["links", &storm.to_string()]));
    assert!(links.contains("fresh[.]example"), "{links}");
    let shown = demand(&world.watchfire("birch-social", &["show", &storm.to_string()]));
    assert!(shown.contains("what it said is gone"), "{shown}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_into_sight_between_the_last_mark_and_the_place_is_not_left_out() {
    let world = World::with(MEMBERS).await;
    let (acme, client) = (world.client("acme-video").await, world.client("birch-social").await);
    let desk = desk(&acme).await;
    let mut stream = subscribe(&client, From::Now, Filter::default(), Ends::Never).await;
    let (_, mark) = to_mark(&mut stream).await;
    let hidden = for_desk(&acme, &desk, "one.example").await;
    let open = publish(&acme, domain("two.example")).await.1;
    drop(stream);
    acme.change_audience(&desk, KeeperChange::Add(birch())).await.expect("a receipt");
    // As a process leaves it that was killed after the entry and before its mark.
    let place = Place { cursor: Some(mark.cursor), epoch: mark.epoch, sequence: Some(open) };
    let mut again = subscribe(&client, From::Place(place), Filter::default(), Ends::AtHead).await;
    let (_, sequences) = to_end(&mut again).await;
    assert!(sequences.contains(&hidden), "{sequences:?}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_after_access_is_lost() {
    let world = World::with(MEMBERS).await;
    let (acme, client) = (world.client("acme-video").await, world.client("birch-social").await);
    let desk = desk(&acme).await;
    acme.change_audience(&desk, KeeperChange::Add(birch())).await.expect("a receipt");
    let first = for_desk(&acme, &desk, "one.example").await;
    let mut stream = subscribe(&client, From::Start, Filter::default(), Ends::Never).await;
    let mut seen = Vec::new();
    while !seen.contains(&first) {
        seen.extend(to_mark(&mut stream).await.0);
    }
    let before = stream.place().clone();
    acme.change_audience(&desk, KeeperChange::Remove(birch())).await.expect("a receipt");
    let after = for_desk(&acme, &desk, "two.example").await;
    let open = publish(&acme, domain("three.example")).await.1;
    let (mut lost, mut seen) = (Vec::new(), Vec::new());
    while !seen.contains(&open) {
        let delivery = next(&mut stream).await;
        if let Delivery::Entries { entries, .. } = &delivery {
            seen.extend(entries.iter().map(watchfire::client::VerifiedEntry::sequence));
        }
        if let Delivery::AccessChanged(change) = delivery {
            lost.extend(change.lost);
        }
    }
    assert_eq!(lost, [desk.name()]);
    assert!(!seen.contains(&after), "{seen:?}");
    for from in [From::Place(before), From::Start, From::Snapshot] {
        let mut again = subscribe(&client, from, Filter::default(), Ends::AtHead).await;
        let (_, sequences) = to_end(&mut again).await;
        assert!(!sequences.contains(&first) && !sequences.contains(&after), "{sequences:?}");
    }
    world.finish();
}

/// The sequences of a replay from the current state.
async fn snapshot(client: &Client, filter: Filter) -> Vec<u64> {
    let mut stream = subscribe(client, From::Snapshot, filter, Ends::AtHead).await;
    let (mut sequences, mut begun) = (Vec::new(), false);
    while let Some(delivery) = stream.next().await.expect("a delivery") {
        match delivery {
            Delivery::Snapshot => begun = true,
            Delivery::Entries { entries, .. } => {
                assert_eq!(stream.place(), &Place::default(), "no place before its mark");
                sequences.extend(entries.iter().map(watchfire::client::VerifiedEntry::sequence));
            }
            Delivery::Mark(_) | Delivery::AccessChanged(_) | Delivery::Interrupted(_) => {}
        }
    }
    assert!(begun);
    sequences
}

#[tokio::test(flavor = "multi_thread")]
async fn the_current_state_comes_first_and_then_what_comes() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (amended, _) = publish(&acme, domain("one.example")).await;
    let (taken_back, _) = publish(&acme, domain("two.example")).await;
    let (_, kept) = publish(&acme, domain("three.example")).await;
    let change = ["publish", "--value", "1.example", "--amend", &amended.to_string()];
    demand(&world.watchfire("acme-video", &change));
    let back = ["withdraw", &taken_back.to_string(), "--reason", "error"];
    demand(&world.watchfire("acme-video", &back));
    let client = world.client("birch-social").await;
    let size = head(&client).await;
    let expected = [kept, size - 2, size - 1];
    assert_eq!(snapshot(&client, Filter::default()).await, expected, "and the withdrawal");
    let urls = Filter { kinds: vec![pb::ObservableKind::Url.into()], ..Filter::default() };
    assert_eq!(snapshot(&client, urls).await, [size - 1], "a withdrawal matches every filter");

    // Into a sink, by name: made with the mark behind the current state, and on from there.
    let place = scratch();
    let file = place.path().join("records.jsonl");
    let target = format!("jsonl:{}", file.display());
    let into =
        ["subscribe", "--name", "main", "--from", "snapshot", "--until-head", "--into", &target];
    demand(&world.watchfire("birch-social", &into));
    assert_eq!(sequences(&file), expected.into());
    assert_eq!(position(&world, "birch-social", "main"), head(&client).await);
    let (_, live) = publish(&acme, domain("four.example")).await;
    demand(&world.watchfire("birch-social", &into));
    assert_eq!(sequences(&file), [kept, size - 2, size - 1, live].into());
    let refused = pb::CreateSubscriptionRequest {
        name: name("birch-social", "other").to_string(),
        from: pb::StartPoint::Snapshot.into(),
        ..pb::CreateSubscriptionRequest::default()
    };
    let refused = client.subscription_service().create_subscription(refused).await;
    let refused = refusal::<()>(Err(refused.expect_err("no place").into()));
    assert_eq!(refused.field, "from");
    world.finish();
}

/// A hub that keeps 64 KiB of bodies.
pub(crate) async fn keep_little(world: &mut World) {
    world.stop();
    let config = world.data().join("watchfired.toml");
    let before = std::fs::read_to_string(&config).unwrap_or_default();
    std::fs::write(&config, before + "\n[retention]\nbytes = 65536\n").expect("a configuration");
    world.start(&[]).await;
}

pub(crate) async fn flood(client: &Client, batches: u32) {
    let signer = client.signer().expect("a key");
    for _batch in 0..batches {
        let one = || draft(&signer, domain("flood.example"), handling(&["companies"], &[]));
        let batch = (0..50).map(|_number| sign(client, one())).collect();
        client.publish(batch).await.expect("answers");
    }
}

/// What the hub said that retention let go.
pub(crate) async fn let_go(client: &Client) -> Vec<pb::RetentionNotice> {
    let kind = watchfire::model::header::BodyKind::Retention;
    let filter = Filter { body_kinds: vec![kind], ..Filter::default() };
    let all = replay(client, filter).await.into_iter();
    let said = all.filter_map(|entry| match &entry.body().content {
        Some(pb::body::Content::Retention(said)) => Some(said.clone()),
        Some(_) | None => None,
    });
    said.collect()
}

/// Waits until retention has let go what it will; where the floor is then.
pub(crate) async fn settled(client: &Client) -> u64 {
    until("retention let bodies go", || async { (!let_go(client).await.is_empty()).then_some(()) })
        .await;
    pause(Duration::from_millis(3500)).await;
    let_go(client).await.last().expect("a notice").end_sequence
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_lets_go_leaves_facts_and_makes_no_more_go() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (first, at_first) = publish(&acme, domain("first.example")).await;
    keep_little(&mut world).await;
    flood(&world.client("acme-video").await, 6).await;
    let client = world.client("birch-social").await;
    let floor = settled(&client).await;
    let all = let_go(&client).await;
    assert!(all.len() <= 3, "{all:?}");
    assert_eq!(all[0].first_sequence, at_first, "what stays for good is not let go of");
    assert!(all.windows(2).all(|pair| pair[0].end_sequence <= pair[1].first_sequence), "{all:?}");
    for entry in replay(&client, Filter::default()).await {
        let goes = entry.header().body_kind.is_chosen() && entry.sequence() < floor;
        assert_eq!(entry.erased_by().is_some(), goes, "{}", entry.sequence());
    }
    // A newcomer gets facts from the start, and the roster whole.
    let place = scratch();
    let fresh = place.path().join("fresh.jsonl");
    let target = format!("jsonl:{}", fresh.display());
    demand(&world.watchfire("cedar-microblog", &["subscribe", "--until-head", "--into", &target]));
    let text = std::fs::read_to_string(&fresh).expect("a file");
    let line = text.lines().find(|line| line.contains(&first.to_string())).expect("the fact");
    assert!(Fact::from_line(line).is_some_and(|fact| fact.erased.is_some()), "{line}");
    assert_eq!(sequences(&fresh).len(), replay(&client, Filter::default()).await.len());
    // What is gone already can be taken back all the same.
    let back = ["withdraw", &first.to_string(), "--reason", "error", "--demand-deletion"];
    demand(&world.watchfire("acme-video", &back));
    pause(Duration::from_millis(1500)).await;
    let state = snapshot(&client, Filter::default()).await;
    assert!(state.iter().any(|at| *at >= floor) && state.len() > 100, "{state:?}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_place_is_told_how_to_catch_up_and_a_sink_does_so_without_loss() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (_, at_first) = publish(&acme, domain("first.example")).await;
    let (taken_back, at_taken) = publish(&acme, domain("held.example")).await;
    let place = scratch();
    let file = place.path().join("records.jsonl");
    let target = format!("jsonl:{}", file.display());
    let into = ["subscribe", "--name", "main", "--until-head", "--into", &target];
    demand(&world.watchfire("birch-social", &into));
    let back = ["withdraw", &taken_back.to_string(), "--reason", "privacy", "--demand-deletion"];
    demand(&world.watchfire("acme-video", &back));
    keep_little(&mut world).await;
    flood(&world.client("acme-video").await, 6).await;
    let client = world.client("birch-social").await;
    let floor = settled(&client).await;
    let words = Reason::CursorCompacted.as_str();
    let text = said(&world.watchfire("birch-social", &into), 3, words);
    assert!(text.contains("--catch-up"), "{text}");
    let saved = std::fs::read_to_string(place.path().join("records.jsonl.place")).expect("a file");
    let saved: serde_json::Value = serde_json::from_str(&saved).expect("JSON");
    let cursor: Cursor =
        saved["place"]["cursor"].as_str().expect("text").parse().expect("a cursor");
    let cursor = cursor.bytes;
    let request = pb::SubscribeRequest {
        start: Some(pb::subscribe_request::Start::Cursor(cursor)),
        ..pb::SubscribeRequest::default()
    };
    let refused = client.exchange_service().subscribe(request).await.expect_err("it is gone");
    assert_eq!(refusal::<()>(Err(refused.into())).metadata["floor"], floor.to_string());

    // What is current comes, and the recall of what the sink held; nothing that it held is lost or doubled.
    let catch_up = [&into[..], &["--catch-up"]].concat();
    demand(&world.watchfire("birch-social", &catch_up));
    let kept = sequences(&file);
    for entry in replay(&client, Filter::default()).await {
        let is_chosen = entry.header().body_kind.is_chosen();
        assert!(!is_chosen || kept.contains(&entry.sequence()), "{}", entry.sequence());
    }
    assert!(kept.contains(&at_first) && kept.contains(&at_taken));
    let text = std::fs::read_to_string(&file).expect("a file");
    assert!(text.contains("first.example"), "what the hub let go the sink may keep");
    assert!(!text.contains("held.example"), "what was taken back while it was away is deleted");
    demand(&world.watchfire("birch-social", &into));
    assert_eq!(position(&world, "birch-social", "main"), head(&client).await);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hubs_place_is_brought_up_to_the_sinks_and_the_sinks_counts() {
    let world = World::with(MEMBERS).await;
    let (acme, client) = (world.client("acme-video").await, world.client("birch-social").await);
    let (_, first) = publish(&acme, domain("one.example")).await;
    let place = scratch();
    let file = place.path().join("records.jsonl");
    let target = format!("jsonl:{}", file.display());
    let into = ["subscribe", "--name", "main", "--until-head", "--into", &target];
    demand(&world.watchfire("birch-social", &into));
    let main = name("birch-social", "main");
    // As a crash between the sink's step and the acknowledgement leaves it.
    client.seek_subscription(&main, SeekPoint::Sequence(first)).await.expect("an answer");
    let output = world.watchfire("birch-social", &into);
    demand(&output);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("0 records were stored, 0 were there already"), "{told}");
    assert_eq!(position(&world, "birch-social", "main"), head(&client).await);
    // Moved ahead of the sink: it still gets what it has not.
    let (_, second) = publish(&acme, domain("two.example")).await;
    client.seek_subscription(&main, SeekPoint::Now).await.expect("an answer");
    let output = world.watchfire("birch-social", &into);
    demand(&output);
    said(&output, 0, "the sink goes on from its own");
    assert!(sequences(&file).contains(&second));
    // Deleted under an open stream: the client is told, and ends.
    let mut child = world
        .command("birch-social", &["subscribe", "--name", "main"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("watchfire runs");
    until("the stream is open", || async {
        let all = client.subscriptions().await.expect("an answer");
        all.first().filter(|kept| kept.streams == 1).map(|_| ())
    })
    .await;
    client.delete_subscription(&main).await.expect("an answer");
    publish(&acme, domain("three.example")).await;
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(3));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_may_not_catch_up_is_refused_and_one_that_may_takes_the_current_state() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("first.example")).await;
    let client = world.client("birch-social").await;
    let mut stream = subscribe(&client, From::Start, Filter::default(), Ends::Never).await;
    let (_, mark) = to_mark(&mut stream).await;
    drop(stream);
    keep_little(&mut world).await;
    flood(&world.client("acme-video").await, 6).await;
    let client = world.client("birch-social").await;
    let options = || watchfire::client::SubscribeOptions {
        from: From::Place(Place { cursor: Some(mark.cursor.clone()), epoch: 1, sequence: None }),
        filter: Filter::default(),
        until_head: true,
        patience: watchfire::client::Patience::Limited(PATIENCE),
    };
    until("the cursor lies below the floor", || async {
        let refused = refusal::<()>(Err(client.subscribe(options()).await.err()?));
        assert!(refused.is(Reason::CursorCompacted), "{refused}");
        Some(())
    })
    .await;
    let mut stream = client.subscribe_or(options(), Compacted::CaughtUp).await.expect("a stream");
    assert!(matches!(next(&mut stream).await, Delivery::Snapshot));
    while stream.next().await.expect("a delivery").is_some() {}
    assert_ne!(stream.place().cursor, Some(mark.cursor));
    world.finish();
}

/// Opens a stream by a durable subscription's name, and waits until it delivers.
async fn by_name(client: &Client, name: &SubscriptionName) -> Subscription {
    let from = From::Durable { name: name.clone(), place: Place::default() };
    let mut stream = subscribe(client, from, Filter::default(), Ends::Never).await;
    to_mark(&mut stream).await;
    stream
}

/// Waits until the hub counts so many streams on a subscription of birch's, and so many of birch's in all.
async fn counted(client: &Client, id: &str, on_it: u32, in_all: u32) {
    let name = name("birch-social", id);
    until(&format!("{on_it} streams are on {id}, and {in_all} open"), || async {
        let all = client.subscriptions().await.expect("an answer");
        let kept = all.iter().find(|kept| kept.name == name).expect("the subscription");
        let open = client.quota().await.expect("an answer").streams_open;
        (kept.streams == on_it && open == in_all).then_some(())
    })
    .await;
}

/// Openings by a name that the hub refuses: with another filter, and of another member's.
async fn refused_openings(client: &Client, name: &SubscriptionName) {
    let start = |name: String| Some(pb::subscribe_request::Start::Subscription(name));
    let publishers = vec!["members/acme-video".to_owned()];
    let filter = Some(pb::Filter { publishers, ..pb::Filter::default() });
    let anothers = SubscriptionName::new("acme-video".parse().expect("a member"), name.id());
    let anothers = anothers.expect("a name").to_string();
    for (start, filter) in [(start(name.to_string()), filter), (start(anothers), None)] {
        let request = pb::SubscribeRequest { start, filter, ..pb::SubscribeRequest::default() };
        client.exchange_service().subscribe(request).await.expect_err("it is refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_counted_on_its_name_while_it_is_open_and_not_after() {
    let world = World::with(MEMBERS).await;
    let (acme, client) = (world.client("acme-video").await, world.client("birch-social").await);
    for member in ["acme-video", "birch-social"] {
        demand(&world.watchfire(member, &["subscriptions", "create", "main"]));
    }
    demand(&world.watchfire("birch-social", &["subscriptions", "create", "spare"]));
    let main = name("birch-social", "main");
    counted(&client, "main", 0, 0).await;
    let one = by_name(&client, &main).await;
    let two = by_name(&client, &main).await;
    counted(&client, "main", 2, 2).await;
    // The same place without the name, and the same name of another member, are others.
    let kept = client.subscriptions().await.expect("an answer");
    let cursor = kept.iter().find(|kept| kept.name == main).expect("it").cursor.clone();
    let place = Place { cursor: Some(cursor), epoch: 1, sequence: None };
    let mut unnamed = subscribe(&client, From::Place(place), Filter::default(), Ends::Never).await;
    to_mark(&mut unnamed).await;
    let others = by_name(&acme, &name("acme-video", "main")).await;
    counted(&client, "main", 2, 3).await;
    counted(&client, "spare", 0, 3).await;
    assert_eq!(listed(&world, "birch-social", "main")["streams"], 2);
    assert_eq!(listed(&world, "acme-video", "main")["streams"], 1);
    let table = demand(&world.watchfire("birch-social", &["subscriptions"]));
    let row = table.lines().find(|line| line.contains("main")).expect("its row");
    let before_time = row.split_whitespace().rev().nth(1);
    assert_eq!(before_time, Some("2"), "{table}");

    // One that is refused, and one that came to its end, are not open.
    refused_openings(&client, &main).await;
    demand(&world.watchfire("birch-social", &["subscribe", "--name", "main", "--until-head"]));
    counted(&client, "main", 2, 3).await;
    drop(one);
    counted(&client, "main", 1, 2).await;
    drop((two, unnamed));
    counted(&client, "main", 0, 0).await;
    drop((others, acme));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_not_counted_on_however_it_ends() {
    let mut world = World::with(MEMBERS).await;
    let (acme, client) = (world.client("acme-video").await, world.client("birch-social").await);
    for (member, id) in
        [("acme-video", "main"), ("birch-social", "main"), ("birch-social", "spare")]
    {
        demand(&world.watchfire(member, &["subscriptions", "create", id]));
    }
    let main = name("birch-social", "main");
    let _others = by_name(&acme, &name("acme-video", "main")).await;
    // However a stream ends: its process is killed, its subscription is deleted, the hub is.
    let mut child = start(&world, "birch-social", &["subscribe", "--name", "main"]);
    counted(&client, "main", 1, 1).await;
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    counted(&client, "main", 0, 0).await;
    let spare = name("birch-social", "spare");
    let orphan = by_name(&client, &spare).await;
    client.delete_subscription(&spare).await.expect("an answer");
    demand(&world.watchfire("birch-social", &["subscriptions", "create", "spare"]));
    counted(&client, "spare", 1, 1).await;
    drop(orphan);
    counted(&client, "spare", 0, 0).await;
    let _left_open = by_name(&client, &main).await;
    counted(&client, "main", 1, 1).await;
    world.kill();
    world.start(&[]).await;
    assert_eq!(listed(&world, "acme-video", "main")["streams"], 0, "they ended with the hub");
    world.finish();
}
