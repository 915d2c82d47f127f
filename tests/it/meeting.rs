//! What members say about each other's records, through the real command line: each kind of statement in use, and
//! each way to misuse it.

use std::process::Output;

use watchfire::client::Client;
use watchfire::client::VerifiedEntry;
use watchfire::client::Wish;
use watchfire::client::entry_to_json;
use watchfire::model::filter::Filter;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Tlp;
use watchfire::model::header::BodyKind;
use watchfire::model::names::Audience;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::names::RevisionName;
use watchfire::model::reason::Reason;
use watchfire::wire::pb;

use crate::world::CANARY;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::replay;
use crate::world::sign;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("cedar-microblog", "company"),
    ("harbour-liaison", "observer"),
];
/// A record that nobody published.
const ABSENT: &str = "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057";

/// Runs a command that must be refused by the hub for this reason; what it says.
#[track_caller]
fn refused(output: &Output, reason: Reason) -> String {
    failed(output, 3, reason.as_str())
}

/// Runs a command that must fail with this code and these words; what it says.
#[track_caller]
fn failed(output: &Output, code: i32, words: &str) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{said}");
    said
}

/// The record that a command says it published.
#[track_caller]
fn published(output: &Output) -> RecordName {
    let said = demand(output);
    let name = said.split(['@', ' ']).next().expect("a name");
    name.parse().unwrap_or_else(|_| panic!("no record in {said:?}"))
}

async fn latest(client: &Client, name: &RecordName) -> VerifiedEntry {
    let name = RevisionName { record: name.clone(), revision: None };
    client.get(&name).await.expect("the record").entry
}

fn content(entry: &VerifiedEntry) -> pb::body::Content {
    entry.body().content.clone().expect("a body")
}

/// `TLP: audiences and recipients`, as a record has it.
fn reach(entry: &VerifiedEntry) -> String {
    let Handling { tlp, reach, .. } = &entry.header().handling;
    let audiences = reach.audiences.iter().map(Audience::as_str);
    let names: Vec<&str> = audiences.chain(reach.recipients.iter().map(MemberId::as_str)).collect();
    format!("{tlp} {}", names.join(" "))
}

fn with_tlp(tlp: Tlp, audiences: &[&str], recipients: &[&str]) -> Handling {
    Handling { tlp, ..handling(audiences, recipients) }
}

/// What every kind of statement about a record is on the command line.
fn statements(record: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["sight", record, "--count", "3"],
        vec!["opine", record, "--stance", "agree"],
        vec!["act", record, "--action", "removed"],
        vec!["ask", record, "Who registered it?"],
        vec!["reply", record, "--result", "no"],
        vec!["note", record, "The registrar was told."],
        vec!["attribute", record, "--actor", "a firm for hire"],
        vec!["link", record, "news[.]example", "--type", "amplifies"],
        vec!["acknowledge", record, "--answer", "not-held"],
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_an_asset_is_what_the_flags_say() {
    let world = World::with(MEMBERS).await;
    let (acme, cedar) = (world.client("acme-video").await, world.client("cedar-microblog").await);
    let asset = publish(&acme, domain("news.example")).await.0.to_string();
    let birch = |arguments: &[&str]| published(&world.watchfire("birch-social", arguments));

    let sighting = birch(&[
        "sight",
        &asset,
        "--count",
        "3",
        "--platform",
        "Twitter",
        "--last-seen",
        "2026-03-01",
        "--text",
        "In replies.",
    ]);
    let seen = latest(&cedar, &sighting).await;
    let pb::body::Content::Sighting(said) = content(&seen) else { panic!("{seen:?}") };
    assert_eq!((said.of.as_str(), said.count, said.platform.as_str()), (&*asset, 3, "x"));
    assert_eq!(said.last_seen_time.expect("a time").seconds, 1_772_323_200);
    assert_eq!(reach(&seen), "TLP:GREEN companies", "as what it is about");

    let opinion =
        birch(&["opine", &asset, "--stance", "strongly-disagree", "--reason", "false-positive"]);
    let pb::body::Content::Opinion(said) = content(&latest(&cedar, &opinion).await) else {
        panic!("an opinion");
    };
    assert_eq!(said.stance(), pb::Stance::StronglyDisagree);
    assert_eq!(said.reason(), pb::OpinionReason::FalsePositive);

    let link = birch(&[
        "link",
        &asset,
        "@example_voice",
        "--target-kind",
        "account",
        "--target-platform",
        "x",
        "--type",
        "controls",
        "--confidence",
        "70",
    ]);
    let pb::body::Content::Link(said) = content(&latest(&cedar, &link).await) else {
        panic!("a link");
    };
    assert_eq!((said.r#type(), said.confidence), (pb::LinkType::Controls, Some(70)));
    let Some(pb::reference::To::Value(value)) = said.target.and_then(|end| end.to) else {
        panic!("a value");
    };
    assert_eq!((value.kind(), value.platform.as_str()), (pb::ObservableKind::Account, "x"));

    let note = birch(&["note", &asset, "The registrar was told."]);
    assert!(matches!(content(&latest(&cedar, &note).await), pb::body::Content::Note(_)));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_an_operation_is_what_the_flags_say() {
    let world = World::with(MEMBERS).await;
    let (acme, cedar) = (world.client("acme-video").await, world.client("cedar-microblog").await);
    let storm = publish(&acme, operation("Spring storm")).await.0.to_string();
    let birch = |arguments: &[&str]| published(&world.watchfire("birch-social", arguments));

    let report = birch(&[
        "act",
        &storm,
        "--action",
        "removed",
        "--count",
        "39 channel on youtube",
        "--count",
        "google-plus:account:13",
        "--count",
        "at-least 6 blog",
        "--metric",
        "views 13466 in US on youtube",
        "--time",
        "2018-08-22",
        "--text",
        "All of them.",
    ]);
    let pb::body::Content::ActionReport(said) = content(&latest(&cedar, &report).await) else {
        panic!("an action report");
    };
    assert_eq!((said.action(), said.counts.len(), said.metrics.len()), (pb::Action::Removed, 3, 1));
    assert_eq!(said.counts[1].platform, "google-plus");
    let least = pb::Figure { value: Some(pb::figure::Value::AtLeast(6)) };
    assert_eq!(said.counts[2].count, Some(least));

    let attribution = birch(&[
        "attribute",
        &storm,
        "--actor",
        "a state broadcaster",
        "--actor-type",
        "state-media",
        "--confidence",
        "80",
        "--basis",
        "technical",
        "--claimant",
        "a newspaper",
        "--reference",
        "https://news.example/2018",
    ]);
    let pb::body::Content::Attribution(said) = content(&latest(&cedar, &attribution).await) else {
        panic!("an attribution");
    };
    assert_eq!((said.actor_type(), said.confidence), (pb::ActorType::StateMedia, Some(80)));
    assert_eq!((said.basis(), said.references.len()), (pb::AttributionBasis::Technical, 1));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_asked_and_answered_and_a_recall_acknowledged() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let (asset, _) = publish(&acme, domain("news.example")).await;
    let asset = asset.to_string();

    let question = published(&world.watchfire(
        "birch-social",
        &["ask", &asset, "Who registered it?", "--to", "acme-video", "--due", "3d"],
    ));
    let asked = latest(&acme, &question).await;
    let pb::body::Content::Inquiry(said) = content(&asked) else { panic!("an inquiry") };
    assert_eq!(said.addressees, ["members/acme-video"]);
    let ahead = said.due_time.expect("a time").seconds - 3 * 86_400;
    let now = i64::try_from(acme.now().as_micros() / 1_000_000).expect("a time");
    assert!((now - ahead).abs() < 60, "three days from now");
    assert_eq!(reach(&asked), "TLP:GREEN companies", "whom it reaches anyway is not named again");

    let answer = ["reply", &question.to_string(), "--result", "yes", "--text", "Since May."];
    let reply = published(&world.watchfire("acme-video", &answer));
    let pb::body::Content::Reply(said) = content(&latest(&birch, &reply).await) else {
        panic!("a reply");
    };
    assert_eq!((&said.to, said.result()), (&question.to_string(), pb::ReplyResult::Yes));

    // About a value there is nothing that says who may read: whoever is asked, and a label that must be said.
    let about = ["ask", "--value", "https://x.com/example_voice", "Have you seen it?"];
    let unlabelled = world.watchfire("birch-social", &about);
    failed(&unlabelled, 2, Reason::TlpMissing.as_str());
    let flags = ["--to", "harbour-liaison", "--tlp", "red"];
    let private = published(&world.watchfire("birch-social", &[&about[..], &flags[..]].concat()));
    let liaison = world.client("harbour-liaison").await;
    assert_eq!(reach(&latest(&liaison, &private).await), "TLP:RED harbour-liaison");
    acme.get(&RevisionName { record: private, revision: None }).await.expect_err("not for it");

    let early = ["acknowledge", &asset, "--answer", "deleted"];
    let said = refused(&world.watchfire("birch-social", &early), Reason::FieldInvalid);
    assert!(said.contains("not withdrawn"), "{said}");
    let recall =
        ["withdraw", &asset, "--reason", "error", "--demand-deletion", "--acknowledge-by", "7d"];
    demand(&world.watchfire("acme-video", &recall));
    let told = demand(&world.watchfire("birch-social", &early));
    assert!(told.contains("is acknowledged at sequence"), "{told}");
    let answers = Filter { body_kinds: vec![BodyKind::Acknowledgement], ..Filter::default() };
    let seen = async |member: &str| replay(&world.client(member).await, answers.clone()).await;
    let of = |entries: &[VerifiedEntry]| {
        entries.iter().filter(|entry| entry.header().body_kind == BodyKind::Acknowledgement).count()
    };
    assert_eq!(of(&seen("acme-video").await), 1, "the publisher reads it");
    assert_eq!(of(&seen("cedar-microblog").await), 0, "and nobody else");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_flags_a_statement_reaches_as_far_as_its_record() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let create = ["audience", "create", "--title", "Desk", "birch-social"];
    let said = demand(&world.watchfire("acme-video", &create));
    let desk = said.split(['/', ' ']).nth(1).expect("a handle").to_owned();
    // Publisher's handling, who speaks, and who reads what it says.
    let table: &[(Handling, &str, String)] = &[
        (with_tlp(Tlp::Clear, &["all"], &[]), "harbour-liaison", "TLP:CLEAR all".to_owned()),
        (
            with_tlp(Tlp::Green, &["observers"], &[]),
            "harbour-liaison",
            "TLP:GREEN observers acme-video".to_owned(),
        ),
        (
            with_tlp(Tlp::Amber, &["companies"], &["harbour-liaison"]),
            "harbour-liaison",
            "TLP:AMBER companies".to_owned(),
        ),
        (
            with_tlp(Tlp::Amber, &["companies"], &["harbour-liaison"]),
            "birch-social",
            "TLP:AMBER companies harbour-liaison".to_owned(),
        ),
        (
            with_tlp(Tlp::Red, &[], &["birch-social", "cedar-microblog"]),
            "birch-social",
            "TLP:RED acme-video cedar-microblog".to_owned(),
        ),
        (
            with_tlp(Tlp::AmberStrict, &[&desk], &["cedar-microblog"]),
            "birch-social",
            format!("TLP:AMBER+STRICT {desk} cedar-microblog"),
        ),
        (
            with_tlp(Tlp::AmberStrict, &[&desk], &["cedar-microblog"]),
            "cedar-microblog",
            "TLP:AMBER+STRICT acme-video".to_owned(),
        ),
        (with_tlp(Tlp::Green, &[], &[]), "acme-video", "TLP:GREEN ".to_owned()),
    ];
    for (handling, speaker, expected) in table {
        let (target, _) = publish_for(&acme, domain("news.example"), handling.clone()).await;
        let said = world.watchfire(speaker, &["note", &target.to_string(), "Seen."]);
        let note = published(&said);
        let client = world.client(speaker).await;
        assert_eq!(reach(&latest(&client, &note).await), *expected, "{speaker} on {handling:?}");
        latest(&acme, &note).await;
    }

    // A link is as strict as its stricter end, and reaches those who see both.
    let green =
        publish_for(&acme, domain("one.example"), with_tlp(Tlp::Green, &["all"], &[])).await;
    let amber = with_tlp(Tlp::Amber, &["companies"], &["harbour-liaison"]);
    let amber = publish_for(&acme, domain("two.example"), amber).await;
    let ends = [green.0.to_string(), amber.0.to_string()];
    let link = ["link", &ends[0], &ends[1], "--type", "same-operator"];
    let link = published(&world.watchfire("birch-social", &link));
    let linked = latest(&world.client("birch-social").await, &link).await;
    assert_eq!(reach(&linked), "TLP:AMBER companies harbour-liaison");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_may_not_see_is_answered_like_what_is_not_there() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let hidden = publish_for(&acme, domain("news.example"), handling(&[], &["cedar-microblog"]));
    let hidden = hidden.await.0.to_string();
    let say = |line: &[&str], handling: &[&str]| {
        let flags = if line.first() == Some(&"acknowledge") { &[] } else { handling };
        refused(&world.watchfire("birch-social", &[line, flags].concat()), Reason::RecordNotFound)
    };
    for handling in [&[][..], &["--tlp", "green", "--recipient", "cedar-microblog"][..]] {
        for (about_hidden, about_nothing) in statements(&hidden).iter().zip(statements(ABSENT)) {
            let (hidden_said, absent_said) =
                (say(about_hidden, handling), say(&about_nothing, handling));
            assert_eq!(
                hidden_said.replace(&hidden, "RECORD"),
                absent_said.replace(ABSENT, "RECORD")
            );
        }
    }
    // Nor as the other end of a link.
    let (seen, _) = publish(&acme, domain("two.example")).await;
    let seen = seen.to_string();
    let link = [
        "link",
        &seen,
        &hidden,
        "--type",
        "part-of",
        "--tlp",
        "green",
        "--recipient",
        "acme-video",
    ];
    refused(&world.watchfire("birch-social", &link), Reason::RecordNotFound);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_wider_than_what_it_is_about() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let reach = with_tlp(Tlp::Amber, &[], &["birch-social", "cedar-microblog"]);
    let (target, _) = publish_for(&acme, domain("news.example"), reach).await;
    let target = target.to_string();
    for wider in
        [["--audience", "companies"], ["--audience", "all"], ["--recipient", "harbour-liaison"]]
    {
        // What cannot be said of an indicator is told first.
        let cannot = |line: &Vec<&str>| ["reply", "attribute", "acknowledge"].contains(&line[0]);
        for line in statements(&target).into_iter().filter(|line| !cannot(line)) {
            let line = [&line[..], &["--tlp", "amber"][..], &wider[..]].concat();
            refused(&world.watchfire("birch-social", &line), Reason::ReachExceeded);
        }
    }
    let asked = ["ask", &target, "Do you know?", "--to", "harbour-liaison"];
    refused(&world.watchfire("birch-social", &asked), Reason::ReachExceeded);
    let link = ["link", &target, "two.example", "--type", "copy-of"];
    let looser = [&link[..], &["--tlp", "green"][..]].concat();
    let said = refused(&world.watchfire("birch-social", &looser), Reason::ReachExceeded);
    assert!(said.contains("TLP:AMBER"), "{said}");
    let stricter = [&link[..], &["--tlp", "amber+strict"][..]].concat();
    published(&world.watchfire("birch-social", &stricter));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_publisher_amends_or_withdraws() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (asset, _) = publish(&acme, domain("news.example")).await;
    let asset = asset.to_string();
    let opine = ["opine", &asset, "--stance", "agree"];
    let opinion = published(&world.watchfire("birch-social", &opine)).to_string();

    let again = ["opine", &asset, "--stance", "disagree", "--amend", &opinion];
    failed(&world.watchfire("cedar-microblog", &again), 2, Reason::NotOwner.as_str());
    let taken = ["withdraw", &opinion, "--reason", "error"];
    refused(&world.watchfire("cedar-microblog", &taken), Reason::NotOwner);

    let said = demand(&world.watchfire("birch-social", &again));
    assert!(said.starts_with(&format!("{opinion}@2 ")), "{said}");
    let amended = latest(&acme, &opinion.parse().expect("a name")).await;
    let pb::body::Content::Opinion(now) = content(&amended) else { panic!("an opinion") };
    assert_eq!(now.stance(), pb::Stance::Disagree);
    assert_eq!(reach(&amended), "TLP:GREEN companies", "its handling stays");
    let narrower = [&again[..], &["--recipient", "acme-video"][..]].concat();
    refused(&world.watchfire("birch-social", &narrower), Reason::ReachNarrowed);
    let other = ["note", &asset, "Another kind.", "--amend", &opinion];
    refused(&world.watchfire("birch-social", &other), Reason::PredecessorMismatch);

    demand(&world.watchfire("birch-social", &taken));
    refused(&world.watchfire("birch-social", &again), Reason::RecordWithdrawn);
    refused(&world.watchfire("birch-social", &taken), Reason::RecordWithdrawn);
    let missing = ABSENT.replace("acme-video", "birch-social");
    let nothing = ["opine", &asset, "--stance", "agree", "--amend", &missing];
    refused(&world.watchfire("birch-social", &nothing), Reason::RecordNotFound);
    // Names are never shortened.
    let (_, id) = asset.rsplit_once('/').expect("a name");
    failed(&world.watchfire("acme-video", &["note", id, "Whose?"]), 2, "members/{member}/records");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_about_what_it_can_be_about_by_those_who_may() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let everyone = with_tlp(Tlp::Green, &["all"], &[]);
    let (asset, _) = publish_for(&acme, domain("news.example"), everyone.clone()).await;
    let (storm, _) = publish_for(&acme, operation("Spring storm"), everyone).await;
    let (asset, storm) = (asset.to_string(), storm.to_string());
    let note = published(&world.watchfire("birch-social", &["note", &asset, "Seen."])).to_string();

    let misfits: [&[&str]; 5] = [
        &["reply", &note, "--result", "yes"],
        &["reply", &asset, "--result", "yes"],
        &["attribute", &asset, "--actor", "somebody"],
        &["sight", &note, "--count", "1"],
        &["act", &note, "--action", "removed"],
    ];
    for line in misfits {
        let said = refused(&world.watchfire("birch-social", line), Reason::FieldInvalid);
        assert!(said.contains("is not about one of the kind"), "{said}");
    }
    let forbidden: [&[&str]; 5] = [
        &["attribute", &storm, "--actor", "somebody"],
        &["act", &asset, "--action", "removed"],
        &["link", &asset, &storm, "--type", "part-of"],
        &["audience", "create", "acme-video"],
        &["publish", "operation", "--title", "Storm", "--tlp", "green"],
    ];
    for line in forbidden {
        refused(&world.watchfire("harbour-liaison", line), Reason::RoleForbids);
    }
    let allowed: [&[&str]; 4] = [
        &["sight", &asset, "--count", "0"],
        &["opine", &storm, "--stance", "neutral"],
        &["ask", &asset, "Do you know more?"],
        &["note", &note, "And a note on the note."],
    ];
    for line in allowed {
        published(&world.watchfire("harbour-liaison", line));
    }

    let takedown =
        ["takedown", &asset, "--reason", "legal", "--explanation", "A court ordered it."];
    refused(&world.watchfire("acme-video", &takedown), Reason::RoleForbids);
    let said = demand(&world.watchfire("operator", &takedown));
    assert!(said.contains("is taken down at sequence"), "{said}");
    refused(&world.watchfire("operator", &takedown), Reason::RecordWithdrawn);
    let absent = ["takedown", ABSENT, "--reason", "privacy"];
    refused(&world.watchfire("operator", &absent), Reason::RecordNotFound);
    let recalls = Filter { body_kinds: vec![BodyKind::Takedown], ..Filter::default() };
    let seen = replay(&world.client("harbour-liaison").await, recalls).await;
    assert!(seen.iter().any(|entry| entry.header().body_kind == BodyKind::Takedown));
    demand(&world.watchfire("harbour-liaison", &["acknowledge", &asset, "--answer", "not-held"]));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_audience_is_its_keepers() {
    let world = World::with(MEMBERS).await;
    let title = "Desk \u{1b}[31m\u{202e}";
    let create = ["audience", "create", "--title", title, "birch-social"];
    let said = demand(&world.watchfire("acme-video", &create));
    let desk = said.split(' ').next().expect("a handle").to_owned();
    let handle: Audience = Audience::from_name(&desk).expect("an audience");
    assert_eq!(handle.as_str().len(), 26);

    let asset = [
        "publish",
        "--kind",
        "domain",
        "--value",
        "news[.]example",
        "--tlp",
        "amber",
        "--audience",
        &desk,
    ];
    let asset = published(&world.watchfire("acme-video", &asset));
    let sees = async |member: &str| {
        let name = RevisionName { record: asset.clone(), revision: None };
        world.client(member).await.get(&name).await.is_ok()
    };
    assert!(sees("birch-social").await && !sees("cedar-microblog").await);
    demand(&world.watchfire("acme-video", &["audience", "add", &desk, "cedar-microblog"]));
    assert!(sees("cedar-microblog").await, "what was addressed to it before, too");
    demand(&world.watchfire("acme-video", &["audience", "remove", &desk, "cedar-microblog"]));
    assert!(!sees("cedar-microblog").await);

    let listed = demand(&world.watchfire("birch-social", &["audience", "list"]));
    assert!(
        listed.contains(handle.as_str()) && listed.contains("acme-video birch-social"),
        "{listed}"
    );
    assert!(!listed.contains(['\u{1b}', '\u{202e}']), "{listed:?}");
    let listed = demand(&world.watchfire("cedar-microblog", &["audience", "list"]));
    assert!(!listed.contains(handle.as_str()), "{listed}");

    // Whoever does not keep it learns no more than about one that is not there.
    let unknown = format!("audiences/{}", "0".repeat(26));
    for line in [
        &["audience", "add", "AUDIENCE", "harbour-liaison"][..],
        &["audience", "remove", "AUDIENCE", "birch-social"],
        &["publish", "--value", "news.example", "--tlp", "green", "--audience", "AUDIENCE"],
    ] {
        let say = |audience: &str| {
            let named = line.iter().map(|word| word.replace("AUDIENCE", audience));
            let line: Vec<String> = named.collect();
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            let output = world.watchfire("cedar-microblog", &line);
            refused(&output, Reason::AudienceForbidden).replace(audience, "AUDIENCE")
        };
        assert_eq!(say(&desk), say(&unknown));
    }
    let members = ["audience", "add", &desk, "harbour-liaison"];
    refused(&world.watchfire("birch-social", &members), Reason::AudienceForbidden);
    failed(
        &world.watchfire("acme-video", &["audience", "add", "companies", "birch-social"]),
        2,
        "random",
    );
    world.finish();
}

const DIGEST_16: &str = "abababababababababababababababab";
const DIGEST_32: &str = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

/// One of each kind of asset, as flags say it.
const ASSETS: [&[&str]; 22] = [
    &["--kind", "account", "--platform", "x", "--value", "@example_two", "--platform-id", "77"],
    &[
        "--kind",
        "page",
        "--platform",
        "facebook",
        "--value",
        "ExamplePage",
        "--display-name",
        "A Page",
    ],
    &["--kind", "group", "--platform", "facebook", "--value", "123456"],
    &["--kind", "channel", "--platform", "youtube", "--value", "@example"],
    &["--kind", "blog", "--platform", "blogger", "--value", "example.blogspot.com"],
    &["--kind", "post", "--value", "https://x.com/example_two/status/1"],
    &[
        "--kind",
        "ad",
        "--platform",
        "facebook",
        "--value",
        "123",
        "--payer",
        "Example Events",
        "--spend",
        "1200.50 USD",
        "--impressions",
        "10000-50000",
        "--run-start",
        "2015-06-01",
        "--run-end",
        "2017-05-31",
    ],
    &["--kind", "ad-account", "--platform", "facebook", "--value", "456"],
    &["--kind", "event", "--platform", "facebook", "--value", "789"],
    &["--kind", "petition", "--value", "https://petitions.example/1"],
    &["--value", "#HarbourClosed"],
    &["--value", "news[.]example"],
    &["--value", "hxxps://news[.]example/a"],
    &["--value", "press[at]example.org"],
    &["--kind", "phone-number", "--value", "+44 20 7946 0000"],
    &["--value", "192.0.2[.]7"],
    &["--kind", "app", "--platform", "google-play", "--value", "com.example.app"],
    &["--kind", "payment-handle", "--platform", "paypal", "--value", "example"],
    &["--kind", "file-hash", "--value", DIGEST_32, "--algorithm", "sha256"],
    &["--kind", "media-hash", "--value", DIGEST_16, "--algorithm", "md5"],
    &["--kind", "text-hash", "--value", DIGEST_32],
    &[
        "--count",
        "58 account on google",
        "--part",
        "39 channel on youtube",
        "--part",
        "13 account on google-plus",
        "--part",
        "6 blog on blogger",
        "--metric",
        "views 13466 in US",
    ],
];

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_asset_is_published_from_flags() {
    let world = World::with(&MEMBERS[..2]).await;
    let birch = world.client("birch-social").await;
    let mut kinds = Vec::new();
    for asset in ASSETS {
        let flags = [
            "--tlp",
            "green",
            "--audience",
            "companies",
            "--confidence",
            "90",
            "--review",
            "analyst",
        ];
        let line = [&["publish", "indicator"][..], asset, &flags[..]].concat();
        let name = published(&world.watchfire("acme-video", &line));
        let pb::body::Content::Indicator(said) = content(&latest(&birch, &name).await) else {
            panic!("an indicator");
        };
        assert_eq!((said.confidence, said.review()), (Some(90), pb::Review::Analyst));
        kinds.push(said.observable.expect("an asset").kind);
    }
    assert_eq!(kinds, (1..=22).collect::<Vec<i32>>());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_cannot_be_are_refused_before_they_are_sent() {
    let world = World::with(&MEMBERS[..2]).await;
    let uneven = [
        "publish",
        "--count",
        "58 account",
        "--part",
        "39 channel",
        "--part",
        "20+ account",
        "--tlp",
        "green",
    ];
    failed(&world.watchfire("acme-video", &uneven), 2, Reason::CountsDoNotAdd.as_str());
    let ad = ["publish", "--kind", "ad", "--value", "123", "--spend", "1200", "--tlp", "green"];
    let said = failed(&world.watchfire("acme-video", &ad), 2, Reason::FieldInvalid.as_str());
    assert!(said.contains("currency"), "{said}");
    let metric =
        ["publish", "--value", "news.example", "--metric", "ad-spend 100", "--tlp", "green"];
    let said = failed(&world.watchfire("acme-video", &metric), 2, Reason::FieldInvalid.as_str());
    assert!(said.contains("currency"), "{said}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_published_once_and_then_amended() {
    let world = World::with(&MEMBERS[..2]).await;
    let birch = world.client("birch-social").await;
    let flags = ["--tlp", "green", "--audience", "companies"];
    let first = ["publish", "--value", "news.example", "--operation", "Spring storm", "--force"];
    let asset = published(&world.watchfire("acme-video", &[&first[..], &flags[..]].concat()));
    let pb::body::Content::Indicator(said) = content(&latest(&birch, &asset).await) else {
        panic!("an indicator");
    };
    assert!(said.warning_seen, "--force stands by the value");
    let operation = said.operation;

    let whole = [
        "publish",
        "operation",
        "--title",
        "Spring storm",
        "--alias",
        "Harbour closed",
        "--status",
        "active",
        "--origin",
        "XX",
        "--target",
        "GB",
        "--target",
        "US",
        "--language",
        "en",
        "--narrative",
        "The harbour is closed.",
        "--first-activity",
        "2015-06-01",
        "--technique",
        "disarm/T0013",
        "--metric",
        "accounts-reached at-least 126000000 on facebook by the press",
        "--label",
        "trial",
    ];
    let again = world.watchfire("acme-video", &[&whole[..], &flags[..]].concat());
    failed(&again, 2, &format!("--amend {operation}"));
    let amend = [&whole[..], &["--amend", &operation][..]].concat();
    let said = demand(&world.watchfire("acme-video", &amend));
    assert!(said.starts_with(&format!("{operation}@2 ")), "{said}");
    let entry = latest(&birch, &operation.parse().expect("a name")).await;
    let pb::body::Content::Operation(said) = content(&entry) else { panic!("an operation") };
    assert_eq!(said.target_regions, ["GB", "US"]);
    assert_eq!((said.techniques.len(), said.metrics.len()), (1, 1));
    assert_eq!(said.status(), pb::OperationStatus::Active);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_the_operators_to_set_and_is_kept() {
    let world = World::with(&MEMBERS[..2]).await;
    let limit = ["quota", "set", "acme-video", "--records-per-second", "1"];
    refused(&world.watchfire("birch-social", &limit), Reason::RoleForbids);
    failed(&world.watchfire("operator", &["quota", "set", "acme-video"]), 2, "required");
    failed(
        &world.watchfire("operator", &["quota", "set", "nobody", "--streams", "1"]),
        2,
        "not a member",
    );
    demand(&world.watchfire("operator", &["quota", "set", "acme-video", "--streams", "7"]));
    let said = demand(&world.watchfire("operator", &limit));
    assert!(said.contains("from sequence"), "{said}");
    let shown = demand(&world.watchfire("acme-video", &["quota"]));
    assert!(
        shown.contains("1 a second") && shown.contains("7 at once"),
        "what was set first stays: {shown}"
    );
    assert!(shown.contains("no limit"), "{shown}");
    let shown = demand(&world.watchfire("birch-social", &["quota", "show"]));
    assert!(!shown.contains("7 at once"), "{shown}");

    let acme = world.client("acme-video").await;
    let mine = draft(&acme.signer().expect("a key"), domain("news.example"), handling(&[], &[]));
    let many = (0..30).map(|_| {
        let name = RecordName { record: uuid::Uuid::now_v7(), ..mine.name.clone() };
        sign(&acme, watchfire::client::Draft { name, ..mine.clone() })
    });
    let request = pb::PublishRequest { envelopes: many.collect(), ..pb::PublishRequest::default() };
    let answer = acme.exchange_service().publish(request).await.expect("an answer").into_inner();
    let refusals: Vec<pb::Refusal> = answer
        .results
        .into_iter()
        .filter_map(|result| match result.outcome {
            Some(pb::publish_result::Outcome::Refusal(refusal)) => Some(refusal),
            _ => None,
        })
        .collect();
    assert!((15..=20).contains(&refusals.len()), "ten seconds' worth is taken: {}", refusals.len());
    for refusal in refusals {
        assert_eq!(refusal.reason, Reason::Quota.as_str());
        let delay = refusal.retry_delay.expect("when to try again");
        assert!(delay.seconds <= 10 && (delay.seconds > 0 || delay.nanos > 0), "{delay:?}");
    }
    // The client waits as long as it is told, and then it is taken.
    published(
        &world.watchfire("acme-video", &["publish", "--value", "news.example", "--tlp", "green"]),
    );

    // A day is more than it waits: it says when, and keeps what it signed.
    demand(
        &world.watchfire("operator", &["quota", "set", "birch-social", "--bytes-per-day", "10"]),
    );
    let line = ["publish", "--value", "news.example", "--tlp", "green"];
    published(&world.watchfire("birch-social", &line));
    let said = failed(&world.watchfire("birch-social", &line), 4, Reason::Quota.as_str());
    assert!(said.contains("again in"), "{said}");
    demand(&world.watchfire("operator", &["quota", "set", "birch-social", "--bytes-per-day", "0"]));
    let sent = demand(&world.watchfire("birch-social", &["publish", "--outbox"]));
    assert!(sent.contains("1 records from the outbox are durable"), "{sent}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_admitted_as_the_hub() {
    let world = World::new().await;
    let folder = world.profile_folder("hub");
    let folder = folder.to_str().expect("a path in UTF-8");
    let admit =
        world.watchfire("operator", &["admit", "hub", "--role", "company", "--out", folder]);
    refused(&admit, Reason::RosterConflict);
    world.finish();
}

/// One of each kind that a company publishes and everyone may read.
async fn one_of_each(world: &World) -> RecordName {
    let acme = world.client("acme-video").await;
    let everyone = with_tlp(Tlp::Green, &["companies"], &[]);
    let (storm, _) = publish_for(&acme, operation("Spring storm"), everyone.clone()).await;
    let (asset, _) = publish_for(&acme, domain("news.example"), everyone).await;
    let question = published(&world.watchfire("acme-video", &["ask", &asset.to_string(), "Who?"]));
    for line in statements("RECORD") {
        let target = match line.first() {
            Some(&"reply") => question.to_string(),
            Some(&"attribute") => storm.to_string(),
            Some(&"acknowledge") => continue,
            _ => asset.to_string(),
        };
        let line: Vec<&str> =
            line.iter().map(|word| if *word == "RECORD" { &*target } else { word }).collect();
        published(&world.watchfire("acme-video", &line));
    }
    demand(&world.watchfire("acme-video", &["audience", "create", "birch-social"]));
    demand(&world.watchfire("acme-video", &["withdraw", &asset.to_string(), "--reason", "error"]));
    demand(
        &world.watchfire("acme-video", &["acknowledge", &asset.to_string(), "--answer", "deleted"]),
    );
    asset
}

#[tokio::test(flavor = "multi_thread")]
async fn what_subscribe_prints_goes_in_again_unharmed() {
    let world = World::with(&MEMBERS[..2]).await;
    let asset = one_of_each(&world).await;
    let acme = world.client("acme-video").await;
    let entries: Vec<VerifiedEntry> = replay(&acme, Filter::default())
        .await
        .into_iter()
        .filter(|entry| entry.header().name.member.as_str() == "acme-video")
        .collect();
    let kinds: std::collections::BTreeSet<BodyKind> =
        entries.iter().map(|entry| entry.header().body_kind).collect();
    let own = |kind: &&BodyKind| {
        kind.is_chosen()
            || [BodyKind::Withdrawal, BodyKind::Acknowledgement, BodyKind::AudienceChange]
                .contains(kind)
    };
    assert!(BodyKind::ALL.iter().filter(own).all(|kind| kinds.contains(kind)), "{kinds:?}");

    let file = world.data().join("saved.jsonl");
    let path = file.to_str().expect("a path in UTF-8");
    let flags = ["subscribe", "--until-head", "--format", "jsonl", "--publisher", "acme-video"];
    let printed = demand(&world.watchfire("acme-video", &flags));
    assert_eq!(printed.lines().count(), entries.len());
    std::fs::write(&file, &printed).expect("a file");
    let said = demand(&world.watchfire("acme-video", &["publish", "--jsonl", path]));
    assert_eq!(
        said.trim(),
        format!("0 records are durable, {} were there already.", entries.len())
    );

    // Without names they are new records, which say the same in the same hands.
    let chosen: Vec<&VerifiedEntry> = entries
        .iter()
        .filter(|entry| entry.header().body_kind.is_chosen() && entry.header().name != asset)
        .collect();
    let nameless: Vec<String> = chosen
        .iter()
        .map(|entry| {
            let line = entry_to_json(entry);
            let mut line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            line.as_object_mut().expect("an object").remove("name");
            line.to_string()
        })
        .collect();
    std::fs::write(&file, nameless.join("\n")).expect("a file");
    demand(&world.watchfire("acme-video", &["publish", "--jsonl", path]));
    let all = replay(&acme, Filter::default()).await;
    let copies = all.iter().rev().take(chosen.len()).rev();
    for (first, copy) in chosen.iter().zip(copies) {
        assert_eq!(content(first), content(copy));
        assert_eq!(first.header().handling, copy.header().handling);
        assert_ne!(first.header().name, copy.header().name);
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_without_a_handling_has_that_of_its_record() {
    let world = World::with(&MEMBERS[..2]).await;
    let acme = world.client("acme-video").await;
    let file = world.data().join("saved.jsonl");
    let path = file.to_str().expect("a path in UTF-8");
    // One that is not there does not sink the others.
    let (target, _) =
        publish_for(&acme, domain("two.example"), with_tlp(Tlp::Amber, &["all"], &[])).await;
    let note =
        |about: &str| format!(r#"{{"body":{{"note":{{"about":"{about}","text":"Seen."}}}}}}"#);
    let lines = [note(ABSENT), note(&target.to_string())].join("\n");
    std::fs::write(&file, lines).expect("a file");
    let output = world.watchfire("birch-social", &["publish", "--jsonl", path, "--receipts"]);
    refused(&output, Reason::RecordNotFound);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let outcomes: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(outcomes[0]["refused"]["reason"], "RECORD_NOT_FOUND");
    let name = outcomes[1]["name"].as_str().expect("a name").parse().expect("a name");
    assert_eq!(reach(&latest(&acme, &name).await), "TLP:AMBER all");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_may_speak_about_one_before_it() {
    let world = World::with(&MEMBERS[..1]).await;
    let acme = world.client("acme-video").await;
    let name = ABSENT;
    let lines = [
        format!(
            r#"{{"name":"{name}","body":{{"operation":{{"title":"Storm"}}}},"handling":{{"tlp":"TLP_AMBER","audiences":["audiences/companies"]}}}}"#
        ),
        format!(r#"{{"body":{{"note":{{"about":"{name}","text":"Seen."}}}}}}"#),
    ];
    let file = world.data().join("lines.jsonl");
    std::fs::write(&file, lines.join("\n")).expect("a file");
    let path = file.to_str().expect("a path in UTF-8");
    let said = demand(&world.watchfire("acme-video", &["publish", "--jsonl", path]));
    assert!(said.contains("2 records are durable"), "{said}");
    let notes = Filter { body_kinds: vec![BodyKind::Note], ..Filter::default() };
    let notes = replay(&acme, notes).await;
    let note = notes.iter().find(|entry| entry.header().body_kind == BodyKind::Note);
    assert_eq!(reach(note.expect("a note")), "TLP:AMBER companies");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_reaches_no_terminal() {
    let world = World::with(&MEMBERS[..2]).await;
    let acme = world.client("acme-video").await;
    let evil = format!("{CANARY}\u{1b}[2J\u{7}\u{202e}\u{200b}\r\nx");
    let (asset, _) = publish(&acme, domain("news.example")).await;
    let (storm, _) = publish(&acme, operation(&evil)).await;
    let about = asset.to_string();
    let hostile = || pb::Observable {
        kind: pb::ObservableKind::Page.into(),
        platform: "facebook".to_owned(),
        value: format!("page{}", '\u{202e}'),
        display_name: evil.clone(),
        ..pb::Observable::default()
    };
    let to = |to| Some(pb::Reference { to: Some(to) });
    let contents = vec![
        pb::body::Content::Attribution(pb::Attribution {
            operation: storm.to_string(),
            actor: evil.clone(),
            ..pb::Attribution::default()
        }),
        pb::body::Content::Note(pb::Note { about: about.clone(), text: evil.clone() }),
        pb::body::Content::Inquiry(pb::Inquiry {
            about: to(pb::reference::To::Record(about.clone())),
            question: evil.clone(),
            ..pb::Inquiry::default()
        }),
        pb::body::Content::Link(pb::Link {
            source: to(pb::reference::To::Record(about.clone())),
            target: to(pb::reference::To::Value(hostile())),
            r#type: pb::LinkType::Amplifies.into(),
            description: evil.clone(),
            ..pb::Link::default()
        }),
        pb::body::Content::Sighting(pb::Sighting {
            of: about.clone(),
            platform: evil.clone(),
            description: evil.clone(),
            ..pb::Sighting::default()
        }),
        pb::body::Content::Indicator(pb::Indicator {
            observable: Some(pb::Observable { value: String::new(), ..hostile() }),
            ..pb::Indicator::default()
        }),
    ];
    let mut drafter = acme.drafter();
    for said in contents {
        let reach = Some(handling(&["companies"], &[]).reach);
        let wish = Wish { tlp: Some(Tlp::Green), reach, ..Wish::default() };
        let draft = drafter.draft(said, &wish).await.expect("a draft");
        acme.publish_one(sign(&acme, draft)).await.expect("a receipt");
    }
    let shown = demand(&world.watchfire("birch-social", &["list"]));
    assert!(shown.matches(CANARY).count() >= 5, "{shown}");
    let unseen = |character: char| {
        (character.is_control() && character != '\n') || "\u{202e}\u{200b}".contains(character)
    };
    assert!(!shown.contains(unseen), "{shown:?}");
    world.finish();
}
