//! Slips of whoever publishes, asks or filters: what cannot be meant is refused and named, what may be meant is told.

use std::io::Write as _;
use std::process::Output;
use std::process::Stdio;

use watchfire::client::Client;
use watchfire::client::Outcome;
use watchfire::wire::pb;

use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::sign;

const MEMBERS: &[(&str, &str)] =
    &[("acme-video", "company"), ("birch-social", "company"), ("harbour-liaison", "observer")];
/// A record that nobody published.
const ABSENT: &str = "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057";
const FOR_COMPANIES: [&str; 4] = ["--tlp", "green", "--audience", "companies"];

/// Runs a command that must fail with this code and these words.
#[track_caller]
fn fails(world: &World, member: &str, arguments: &[&str], code: i32, words: &str) {
    let output = world.watchfire(member, arguments);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(words), "{arguments:?}: {said}");
}

/// Runs a command that must succeed; what it says on both ways out.
#[track_caller]
fn does(world: &World, member: &str, arguments: &[&str]) -> String {
    let output = world.watchfire(member, arguments);
    let said = demand(&output);
    format!("{said}{}", told(&output))
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs `publish --jsonl -` with this on its standard input.
fn pipe(world: &World, member: &str, bytes: &[u8], flags: &[&str]) -> Output {
    let mut command = world.command(member, &["publish", "--jsonl", "-"]);
    command.args(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("watchfire runs");
    child.stdin.take().expect("a pipe").write_all(bytes).expect("it reads");
    child.wait_with_output().expect("it ends")
}

/// The reasons of the warnings that an indicator of this operation gets.
async fn warned(client: &Client, operation: &str) -> Vec<(String, String, String)> {
    let pb::body::Content::Indicator(mut said) = domain("named.example") else {
        panic!("an indicator");
    };
    operation.clone_into(&mut said.operation);
    let signer = client.signer().expect("a key");
    let content = pb::body::Content::Indicator(said);
    let envelope = sign(client, draft(&signer, content, handling(&["companies"], &[])));
    let outcome = client.publish(vec![envelope]).await.expect("answers").pop();
    let Some(Outcome::Taken(receipt)) = outcome else { panic!("it is taken: {outcome:?}") };
    let warnings = receipt.warnings.into_iter();
    warnings.map(|warning| (warning.reason, warning.message, warning.field)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_operation_is_not_asked_for() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (storm, _) = publish(&acme, operation("August storm")).await;
    let (site, _) = publish(&acme, domain("news.example")).await;
    let (secret, _) = publish_for(&acme, operation("Secret"), handling(&[], &[])).await;
    let [storm, site, secret] = [storm, site, secret].map(|name| name.to_string());
    let sink = world.data().join("sink");
    let sink = sink.to_str().expect("a path in UTF-8");

    let commands: &[&[&str]] = &[
        &["search"],
        &["list"],
        &["subscribe", "--until-head"],
        &["subscribe", "--until-head", "--name", "dead"],
        &["subscribe", "--until-head", "--into", sink],
        &["subscriptions", "create", "dead"],
    ];
    for command in commands {
        let asked = |operation| [*command, &["--operation", operation]].concat();
        fails(&world, "birch-social", &asked("August storm"), 2, "no operation of yours");
        fails(&world, "birch-social", &asked("members/nobody"), 2, "is no record");
        fails(&world, "birch-social", &asked(&site), 2, "is no operation");
        // What one may not see is answered like what is not there.
        fails(&world, "birch-social", &asked(&secret), 3, "RECORD_NOT_FOUND");
        fails(&world, "birch-social", &asked(ABSENT), 3, "RECORD_NOT_FOUND");
    }
    assert!(!std::path::Path::new(sink).exists(), "nothing was made for it");
    assert!(!does(&world, "birch-social", &["subscriptions"]).contains("dead"));
    for command in commands {
        does(&world, "birch-social", &[*command, &["--operation", &storm]].concat());
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_asked_for_by_those_who_see_only_its_assets_and_by_those_who_did() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (storm, _) = publish(&acme, operation("August storm")).await;
    let pb::body::Content::Indicator(mut said) = domain("wide.example") else {
        panic!("an indicator");
    };
    said.operation = storm.to_string();
    let content = pb::body::Content::Indicator(said);
    publish_for(&acme, content, handling(&["all"], &[])).await;
    let asked = ["search", "--operation", &storm.to_string()];
    assert!(does(&world, "harbour-liaison", &asked).contains("wide"));

    // Under way, it goes on and says so: withdrawals still come.
    let create = ["audience", "create", "--title", "Desk", "birch-social"];
    let desk = does(&world, "acme-video", &create);
    let desk = desk.split(' ').next().expect("a handle").to_owned();
    let handle = desk.trim_start_matches("audiences/");
    let (inner, _) = publish_for(&acme, operation("Inner"), handling(&[handle], &[])).await;
    let inner = inner.to_string();
    let follow = ["subscribe", "--until-head", "--name", "inner", "--operation", inner.as_str()];
    does(&world, "birch-social", &follow);
    does(&world, "acme-video", &["audience", "remove", &desk, "birch-social"]);
    let said = does(&world, "birch-social", &follow);
    assert!(said.contains("warning: --operation"), "{said}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_indicator_of_what_is_no_operation_is_taken_with_a_warning() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let birch = world.client("birch-social").await;
    let (storm, _) = publish(&acme, operation("August storm")).await;
    let (site, _) = publish(&acme, domain("news.example")).await;
    let (secret, _) = publish_for(&acme, operation("Secret"), handling(&[], &[])).await;

    assert_eq!(warned(&birch, &storm.to_string()).await, []);
    let absent = warned(&birch, ABSENT).await;
    assert_eq!(absent[0].0, "OPERATION_NOT_FOUND");
    assert_eq!(absent[0].2, "body.indicator.operation");
    assert_eq!(warned(&birch, &secret.to_string()).await, absent, "hidden is like absent");
    assert_eq!(warned(&acme, &secret.to_string()).await, []);
    let other = warned(&birch, &site.to_string()).await;
    assert_eq!(other[0].0, "NOT_AN_OPERATION");

    // In one batch what comes first is there for what comes after.
    let signer = acme.signer().expect("a key");
    let first = draft(&signer, operation("New"), handling(&["companies"], &[]));
    let pb::body::Content::Indicator(mut said) = domain("new.example") else {
        panic!("an indicator");
    };
    said.operation = first.name.to_string();
    let next = pb::body::Content::Indicator(said);
    let next = draft(&signer, next, handling(&["companies"], &[]));
    let batch = vec![sign(&acme, first), sign(&acme, next)];
    for outcome in acme.publish(batch).await.expect("answers") {
        assert!(outcome.receipt().expect("a receipt").warnings.is_empty());
    }

    let flags = ["publish", "--value", "cli.example", "--operation", ABSENT];
    let said = does(&world, "birch-social", &[&flags[..], &FOR_COMPANIES].concat());
    assert!(said.contains("warning: OPERATION_NOT_FOUND"), "{said}");
    let flags = ["publish", "--value", "cli.example", "--operation", "Mine"];
    let said = does(&world, "birch-social", &[&flags[..], &FOR_COMPANIES].concat());
    assert!(said.contains("Mine is a new operation"), "{said}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_true_is_refused_by_the_client_and_names_its_field() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (site, _) = publish(&acme, domain("news.example")).await;
    let site = site.to_string();
    let hash = "f162eb9daab170c0567fe3632d9a5548c5612982dd5e374a7424ebbc8a835c95";
    let ad = ["publish", "--kind", "ad", "--platform", "facebook", "--value", "1"];
    let cases: &[(&[&str], &[&str], &str)] = &[
        (&ad, &["--run-start", "2017-01-01", "--run-end", "2016-01-01"], "run_end_time"),
        (
            &["publish", "--value", "a.example"],
            &["--first-seen", "2017-01-01", "--last-seen", "2016-01-01"],
            "last_seen_time",
        ),
        (
            &["publish", "operation", "--title", "A"],
            &["--first-activity", "2017-01-01", "--last-activity", "2016-01-01"],
            "last_activity_time",
        ),
        (&["publish", "operation", "--title", "A"], &["--target", "Britain"], "target_regions"),
        (&["publish", "operation", "--title", "A"], &["--language", "english"], "languages"),
        (&["publish", "--kind", "media-hash", "--value", hash], &[], "algorithm"),
        (&["publish", "--kind", "account", "--value", "foo"], &[], "--platform"),
        (&["publish", "--kind", "bogus", "--value", "foo"], &[], "payment-handle"),
        (&["publish", "--count", "39 things on x"], &[], "payment-handle"),
    ];
    for (command, flags, words) in cases {
        let whole = [*command, *flags, &FOR_COMPANIES].concat();
        fails(&world, "acme-video", &whole, 2, words);
    }
    let past = ["withdraw", &site, "--reason", "privacy", "--demand-deletion"];
    let past = [&past[..], &["--acknowledge-by", "2020-01-01"]].concat();
    fails(&world, "acme-video", &past, 2, "lies in the past");
    fails(&world, "birch-social", &["sight", &site, "--count", "many"], 2, "whole number");
    fails(&world, "birch-social", &["subscribe", "--cursor", "x"], 2, "name of a cursor");
    fails(&world, "birch-social", &["ask", "Who?", "--tlp", "amber"], 2, "--value");
    let unread = ["ask", "--value", "foo.example", "Who?", "--tlp", "amber"];
    fails(&world, "birch-social", &unread, 2, "nobody could read");
    let bare = site.rsplit('/').next().expect("an id");
    let set = ["overlay", "set", bare, "--confidence", "3"];
    fails(&world, "birch-social", &set, 2, "in full");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_meant_is_told() {
    let world = World::with(MEMBERS).await;
    let over = ["publish", "--value", "a.example", "--valid-until", "2020-01-01"];
    let said = does(&world, "acme-video", &[&over[..], &FOR_COMPANIES].concat());
    assert!(said.contains("--valid-until lies in the past"), "{said}");
    let alone = ["publish", "--value", "b.example", "--tlp", "green"];
    let said = does(&world, "acme-video", &alone);
    assert!(said.contains("nobody else may read it"), "{said}");
    let late = ["ask", "--value", "foo.example", "Who?", "--due", "2020-01-01"];
    let said = does(&world, "acme-video", &[&late[..], &FOR_COMPANIES].concat());
    assert!(said.contains("--due lies in the past"), "{said}");
    let hash = "f162eb9daab170c0567fe3632d9a5548c5612982dd5e374a7424ebbc8a835c95";
    let said = does(&world, "acme-video", &["lookup", hash]);
    assert!(said.contains("--kind media-hash"), "{said}");
    let set = ["overlay", "set", ABSENT, "--confidence", "3"];
    does(&world, "birch-social", &set);
    assert!(does(&world, "birch-social", &["overlay", "clear", ABSENT]).contains("any more"));
    assert!(
        does(&world, "birch-social", &["overlay", "clear", ABSENT]).contains("nothing changes")
    );
    does(&world, "birch-social", &["subscriptions", "create", "main"]);
    let said = does(&world, "birch-social", &["subscriptions", "seek", "main", "--since", "7d"]);
    assert!(said.contains("at sequence 0"), "{said}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_its_platform_is_taken_from_lines_with_a_warning() {
    let world = World::with(MEMBERS).await;
    let line = |platform: &str| {
        format!(
            "{{\"body\":{{\"indicator\":{{\"observable\":{{\"kind\":\"OBSERVABLE_KIND_ACCOUNT\",\
             \"platform\":\"{platform}\",\"value\":\"@example_two\"}}}}}}}}\n"
        )
    };
    let output = pipe(&world, "acme-video", line("").as_bytes(), &FOR_COMPANIES);
    demand(&output);
    assert!(told(&output).contains("PLATFORM_MISSING"), "{}", told(&output));
    let output = pipe(&world, "acme-video", line("x").as_bytes(), &FOR_COMPANIES);
    demand(&output);
    assert!(!told(&output).contains("warning"), "{}", told(&output));
    let output = pipe(&world, "acme-video", line("x").as_bytes(), &["--tlp", "green"]);
    demand(&output);
    assert!(told(&output).contains("nobody else may read 1 of them"), "{}", told(&output));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn input_that_cannot_be_read_is_named_by_its_line() {
    let world = World::with(MEMBERS).await;
    let output = pipe(&world, "acme-video", b"", &FOR_COMPANIES);
    demand(&output);
    assert!(told(&output).contains("not one line"), "{}", told(&output));
    for (bytes, words) in [
        (b"\n\"\xff\"\n".to_vec(), "line 2 is not UTF-8"),
        (vec![b'x'; 1024 * 1024 + 1], "line 1 is longer"),
        (b"{}\n".to_vec(), "line 1"),
    ] {
        let output = pipe(&world, "acme-video", &bytes, &FOR_COMPANIES);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains(words), "{}", told(&output));
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_an_audience_that_does_not_fit_says_who_and_why() {
    let world = World::with(MEMBERS).await;
    let create = ["audience", "create", "--title", "Desk", "birch-social"];
    let desk = does(&world, "acme-video", &create);
    let desk = desk.split(' ').next().expect("a handle").to_owned();
    let add = ["audience", "add", &desk, "birch-social"];
    fails(&world, "acme-video", &add, 3, "birch-social is in it already");
    let remove = ["audience", "remove", &desk, "harbour-liaison"];
    fails(&world, "acme-video", &remove, 3, "harbour-liaison is not in it");
    let keeper = ["audience", "remove", &desk, "acme-video"];
    fails(&world, "acme-video", &keeper, 3, "acme-video keeps it");
    world.finish();
}

#[test]
fn a_hub_that_was_never_served_is_not_called_damaged() {
    let world = World::stopped();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_watchfired"))
        .args(["verify", "--data"])
        .arg(world.data())
        .output()
        .expect("watchfired runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("never served"), "{}", told(&output));
}
