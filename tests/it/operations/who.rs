//! Who did what: changes, takedowns, bulk reads, refusals, backups, commands.

use std::collections::BTreeMap;

use serde_json::Value;
use tonic::Code;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::HealthCheckResponse;
use watchfire::client::Client;
use watchfire::client::KeeperChange;
use watchfire::client::draw_audience;
use watchfire::model::filter::Filter;
use watchfire::profile::Profile;
use watchfire::signing::SecretKey;
use watchfire::tls;
use watchfire::wire::pb;
use watchfire::wire::pb::roster_change::Change;

use super::audit_file;
use super::audit_lines;
use super::line_of;
use super::line_with;
use super::refusal;
use super::roster_change;
use super::told;
use super::verified;
use crate::metrics::figure;
use crate::metrics::figures;
use crate::metrics::watched;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::publish;
use crate::world::replay;
use crate::world::sign;
use crate::world::until;
use crate::world::watchfired;
use crate::world::withdrawal;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("harbour-liaison", "observer"),
    ("juniper-audit", "auditor"),
];

#[track_caller]
fn check(line: &Value, expected: &[(&str, &str)]) {
    for (field, value) in expected {
        assert_eq!(line[*field], *value, "{field} of {line}");
    }
}

#[expect(clippy::too_many_lines, reason = "one story, told in order")]
#[tokio::test(flavor = "multi_thread")]
async fn changes_and_bulk_reads_have_a_line_with_who_and_about_whom() {
    let mut world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let admitted = line_with(&world, "an admission", |line| {
        line["what"] == "roster.admit" && line["target"] == "members/birch-social"
    });
    let admitted = admitted.await;
    check(&admitted, &[("member", "operator"), ("outcome", "done")]);
    assert!(admitted["sequence"].as_u64() > Some(0), "{admitted}");
    let key = admitted["key"].as_str().expect("the operator's key");
    assert_eq!(key.len(), 64, "{admitted}");

    let desk = draw_audience().expect("a handle");
    let members = vec!["birch-social".parse().expect("a member")];
    let create = KeeperChange::Create { title: "Desk of the Lantern".to_owned(), members };
    acme.change_audience(&desk, create).await.expect("a receipt");
    let created = line_of(&world, "audience.create", "done").await;
    check(&created, &[("member", "acme-video"), ("target", &desk.name())]);

    let (record, _) = publish(&acme, domain("one.example")).await;
    let (other, _) = publish(&acme, domain("two.example")).await;
    assert_eq!(refusal(&acme, withdrawal(&record)).await, None);
    let withdrawn = line_of(&world, "withdraw", "done").await;
    check(&withdrawn, &[("member", "acme-video"), ("target", &record.to_string())]);
    let takedown = ["takedown", &other.to_string(), "--reason", "legal"];
    demand(&world.watchfire("operator", &takedown));
    let down = line_of(&world, "takedown", "done").await;
    check(&down, &[("member", "operator"), ("target", &other.to_string())]);

    replay(&birch, Filter::default()).await;
    let read = line_with(&world, "a replay of birch's", |line| {
        line["what"] == "read.replay" && line["member"] == "birch-social"
    });
    let read = read.await;
    check(&read, &[("outcome", "done"), ("target", "sequence 0")]);
    assert!(!read["serial"].as_str().expect("a certificate").is_empty(), "{read}");
    let request = pb::ExportRequest { filter: None, format: pb::ExportFormat::Stix.into() };
    let stream = birch.export_service().export(request).await.expect("a stream");
    check(&line_of(&world, "read.export", "done").await, &[("member", "birch-social")]);
    drop(stream);

    let data = world.data().to_str().expect("text").to_owned();
    let out = world.data().join("one.backup");
    let out = out.to_str().expect("text");
    demand(&watchfired(&["backup", "--data", &data, "--out", out]));
    let backup = line_of(&world, "backup", "done").await;
    assert!(backup["user"].is_u64() && backup["target"].as_str().is_some(), "{backup}");
    drop((acme, birch));
    world.stop();
    for command in ["rotate-log-key", "rebuild", "compact"] {
        demand(&watchfired(&[command, "--data", &data]));
        let line = line_of(&world, command, "done").await;
        assert!(line["user"].is_u64(), "{line}");
    }
    let words: Vec<String> = audit_lines(&world)
        .iter()
        .map(|line| line["what"].as_str().expect("a word").to_owned())
        .collect();
    for word in ["init", "serve", "stop"] {
        assert!(words.iter().any(|what| what == word), "{word}: {words:?}");
    }
    let text = std::fs::read_to_string(audit_file(&world)).expect("a text");
    for secret in ["one.example", "two.example", "Lantern", crate::world::CANARY] {
        assert!(!text.contains(secret), "{secret} is told");
    }
    let (holds, said) = verified(&[audit_file(&world)]);
    assert!(holds, "{said}");
    world.start(&[]).await;
    world.finish();
}

/// Reads everything there is, page by page; how many entries that were, and in how many pages.
async fn read_in_pages(client: &Client, page_size: u32) -> (usize, usize) {
    let (mut page_token, mut entries, mut pages) = (String::new(), 0, 0);
    loop {
        let request =
            pb::ListRecordsRequest { page_size, page_token, ..pb::ListRecordsRequest::default() };
        let page = client.exchange_service().list_records(request).await.expect("a page");
        let page = page.into_inner();
        entries += page.entries.len();
        pages += 1;
        if page.next_page_token.is_empty() {
            return (entries, pages);
        }
        page_token = page.next_page_token;
    }
}

/// What lines of a member say of what was read in one way, oldest first.
fn reads(world: &World, member: &str, what: &str) -> Vec<String> {
    let lines = audit_lines(world);
    let own = lines.iter().filter(|line| line["member"] == member && line["what"] == what);
    own.map(|line| line["target"].as_str().expect("how many").to_owned()).collect()
}

/// Pages and look-ups just under what is told for itself: whoever reads everything by them is told all the same, and has no
/// line for each.
#[tokio::test(flavor = "multi_thread")]
async fn who_reads_everything_bit_by_bit_is_told_with_how_much() {
    const RECORDS: usize = 700;
    const PAGE: u32 = 499;
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let signer = acme.signer().expect("a key");
    let record = |number: usize| {
        let content = domain(&format!("n{number}.example"));
        sign(&acme, draft(&signer, content, handling(&["companies"], &[])))
    };
    for outcome in acme.publish((0..RECORDS).map(record).collect()).await.expect("outcomes") {
        outcome.receipt().expect("a receipt");
    }
    let birch = world.client("birch-social").await;
    let (entries, pages) = read_in_pages(&birch, PAGE).await;
    assert!(entries >= RECORDS && pages == 2, "{entries} entries in {pages} pages");
    let line = line_of(&world, "read.list", "done").await;
    let told = format!("{entries} entries in {pages} reads");
    check(&line, &[("member", "birch-social"), ("target", &told)]);
    assert!(line["serial"].as_str().is_some_and(|serial| !serial.is_empty()), "{line}");

    let query = |number: usize| pb::ValueQuery {
        value: format!("n{number}.example"),
        ..pb::ValueQuery::default()
    };
    for part in [0..499, 499..500] {
        let queries = part.map(query).collect();
        let request = pb::LookupValuesRequest { queries, ..pb::LookupValuesRequest::default() };
        birch.exchange_service().lookup_values(request).await.expect("an answer");
    }
    line_of(&world, "read.look-up", "done").await;
    assert_eq!(reads(&world, "birch-social", "read.look-up"), ["500 entries in 2 reads"]);

    // It goes on: that is counted, and is told when the hour is over, or the hub stops.
    for _time in 0..5 {
        assert_eq!(read_in_pages(&birch, PAGE).await, (entries, pages));
    }
    assert_eq!(reads(&world, "birch-social", "read.list"), [told.as_str()]);
    drop((acme, birch));
    world.stop();
    let rest = format!("{} entries in {} reads", 5 * entries, 5 * pages);
    assert_eq!(reads(&world, "birch-social", "read.list"), [told, rest]);
    world.finish();
}

fn attempts(own: &str) -> Vec<(&'static str, pb::body::Content)> {
    let key = SecretKey::generate().expect("a key");
    let public = || Some(pb::PublicKey { spki: key.spki(), possession_proof: vec![1; 64] });
    let admission = pb::Admission {
        role: pb::Role::Auditor.into(),
        signing_key: public(),
        recovery_key: public(),
        ..pb::Admission::default()
    };
    let reset =
        pb::KeyReset { signing_key: public(), recovery_key: public(), ..pb::KeyReset::default() };
    let retire = pb::KeyRetirement {
        key: format!("members/operator/keys/{}", key.id()),
        ..pb::KeyRetirement::default()
    };
    let suspend = pb::Suspension { reason: "Because.".to_owned() };
    vec![
        ("roster.admit", roster_change("mallory", Change::Admit(admission.clone()))),
        ("roster.admit", roster_change(own, Change::Admit(admission))),
        ("roster.suspend", roster_change("operator", Change::Suspend(suspend))),
        ("roster.reinstate", roster_change(own, Change::Reinstate(pb::Reinstatement::default()))),
        ("roster.quota", roster_change(own, Change::Quota(pb::Quota::default()))),
        ("roster.reset-keys", roster_change("operator", Change::ResetKeys(reset))),
        ("roster.retire-key", roster_change("operator", Change::RetireKey(retire))),
        (
            "takedown",
            pb::body::Content::Takedown(pb::Takedown {
                of: format!("members/operator/records/{}", uuid::Uuid::now_v7()),
                reason: pb::TakedownReason::Legal.into(),
                ..pb::Takedown::default()
            }),
        ),
    ]
}

/// T-A5: each attempt to do what the operator does is refused, and is in the audit log.
#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_to_do_what_only_the_operator_does_is_told() {
    let world = World::with(MEMBERS).await;
    for (member, _role) in MEMBERS {
        let client = world.client(member).await;
        let mut expected = BTreeMap::<String, u64>::new();
        for (what, content) in attempts(member) {
            let reason = refusal(&client, content).await.expect("a refusal");
            *expected.entry(format!("{what} {reason}")).or_default() += 1;
        }
        assert!(expected.keys().any(|word| word.ends_with("ROLE_FORBIDS")), "{expected:?}");
        until("every attempt is told", || async {
            let told = told(&audit_lines(&world), member);
            let all = expected.iter().all(|(word, count)| told.get(word) == Some(count));
            all.then_some(())
        })
        .await;
    }
    let operator = world.client("operator").await;
    let before = operator.roster_service().list_members(pb::ListMembersRequest::default()).await;
    assert_eq!(before.expect("an answer").into_inner().members.len(), MEMBERS.len() + 1);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_calls_are_told_with_the_certificate_that_made_them() {
    let world = World::with(MEMBERS).await;
    // Before: nobody connects who is suspended.
    let acme = world.client("acme-video").await;
    demand(&world.watchfire("operator", &["suspend", "acme-video", "--reason", "Asked to pause."]));
    let refused = acme.exchange_service().list_records(pb::ListRecordsRequest::default()).await;
    assert!(refused.is_err());
    let line = line_with(&world, "the refused call", |line| {
        line["what"] == "call ExchangeService/ListRecords" && line["reason"] == "MEMBER_SUSPENDED"
    });
    let line = line.await;
    check(&line, &[("member", "acme-video"), ("outcome", "refused")]);
    assert!(line["serial"].as_str().is_some_and(|serial| !serial.is_empty()), "{line}");
    world.finish();
}

/// A flood is a few lines and a count: no member can fill the disk, and none of its attempts is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_is_counted_and_not_written_out() {
    const ATTEMPTS: u64 = 400;
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let before = audit_lines(&world).len();
    for _attempt in 0..ATTEMPTS {
        let quota = Change::Quota(pb::Quota::default());
        let reason = refusal(&acme, roster_change("acme-video", quota)).await;
        assert_eq!(reason.as_deref(), Some("ROLE_FORBIDS"));
    }
    let lines = until("all are told", || async {
        let lines = audit_lines(&world);
        let told = told(&lines, "acme-video");
        (told.get("roster.quota ROLE_FORBIDS") == Some(&ATTEMPTS)).then_some(lines)
    })
    .await;
    let added = lines.len() - before;
    assert!(added < 100, "{added} lines for {ATTEMPTS} attempts");
    assert!(lines.iter().any(|line| line["what"] == "further"), "the check bites: none is counted");
    world.finish();
}

/// A connection of a member over which any path can be called.
async fn channel(world: &World, member: &str) -> Channel {
    let profile = Profile::open(&world.profile_folder(member)).expect("a profile");
    let keys = profile.tls().expect("its keys");
    tls::connect(&world.address(), &keys).await.expect("a connection")
}

/// Calls a path with a small message; with which code it was refused.
async fn refused(channel: &Channel, path: &str) -> Code {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("it is ready");
    let path = PathAndQuery::try_from(path.to_owned()).expect("a path");
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let request = tonic::Request::new(HealthCheckRequest::default());
    client.unary(request, path, codec).await.expect_err("a refusal").code()
}

/// Whoever is refused before anybody knows which method it calls chooses no word of the log: not one that grows with each
/// attempt, and none that tells of a call which it never made.
#[tokio::test(flavor = "multi_thread")]
async fn methods_that_a_suspended_member_makes_up_are_not_told_by_their_names() {
    // More words than are counted apart. A refusal that overtakes its request resets the stream, and a connection with more than
    // 64 of those is ended: so none has as many calls.
    const ATTEMPTS: usize = 60;
    let mut world = World::with(MEMBERS).await;
    // Before: nobody connects who is suspended.
    let mut channels = Vec::new();
    for _connection in 0..4 {
        channels.push(channel(&world, "acme-video").await);
    }
    demand(&world.watchfire("operator", &["suspend", "acme-video", "--reason", "Asked to pause."]));
    let health = "/grpc.health.v1.Health";
    let reflection = "/grpc.reflection.v1.ServerReflection";
    for (attempt, acme) in (0..ATTEMPTS).zip(channels.iter().cycle()) {
        let made_up = format!("MadeUp{attempt}{}", "x".repeat(20));
        for path in [
            format!("{health}/{made_up}"),
            format!("{health}/{made_up}.ExchangeService/Publish"),
            format!("{reflection}/{made_up}"),
        ] {
            assert_eq!(refused(acme, &path).await, Code::PermissionDenied, "{path}");
        }
    }
    assert_eq!(refused(&channels[0], &format!("{health}/Check")).await, Code::PermissionDenied);
    let expected = BTreeMap::from([
        ("call unknown MEMBER_SUSPENDED".to_owned(), 3 * u64::try_from(ATTEMPTS).expect("few")),
        ("call Health/Check MEMBER_SUSPENDED".to_owned(), 1),
    ]);
    until("all are told, under two words", || async {
        let mut told = told(&audit_lines(&world), "acme-video");
        told.retain(|word, _count| word.starts_with("call "));
        (told == expected).then_some(())
    })
    .await;
    world.stop();
    let text = std::fs::read_to_string(audit_file(&world)).expect("a text");
    for made_up in ["MadeUp", "ExchangeService/Publish"] {
        assert!(!text.contains(made_up), "{made_up} is told");
    }
    let (holds, said) = verified(&[audit_file(&world)]);
    assert!(holds, "{said}");
    world.finish();
}

/// What a command did is done and answered, whatever becomes of its line: nobody must do it again to hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn commands_answer_where_what_they_did_cannot_be_noted() {
    let world = World::with_members_then_stopped(MEMBERS).await;
    let place = crate::world::scratch();
    let text = |path: std::path::PathBuf| path.to_str().expect("text").to_owned();
    let inside = |name: &str| text(place.path().join(name));
    let data = text(world.data());
    world.configure("\n[audit]\nfile = \"missing/audit.jsonl\"\n");
    let warned = |line: &[&str], answer: &str| {
        let output = watchfired(line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(demand(&output).contains(answer), "{line:?}");
        assert!(said.contains("warning: it is done, but"), "{line:?}: {said}");
    };
    let backup = inside("backup");
    warned(&["backup", "--data", &data, "--out", &backup], "up to this checkpoint");
    let (alone, operator) = (inside("alone"), text(world.profile_folder("operator")));
    let line = ["restore", "--from", &backup, "--keys", &data, "--data"];
    warned(&[&line[..], &[&alone]].concat(), "Nothing is served before the operator has signed");
    let begun = inside("begun");
    let more = [&begun, "--operator", &operator, "--reason", "a disk was lost"];
    warned(&[&line[..], &more].concat(), "epoch 2 begins");
    warned(&["rotate-log-key", "--data", &begun], "in words");
    warned(&["rebuild", "--data", &begun], "as they were");
    warned(&["compact", "--data", &begun], "entries hold");
    // A folder in the place of the file: nothing can be written there.
    let made = place.path().join("made");
    std::fs::create_dir_all(made.join("audit.jsonl")).expect("a folder");
    std::fs::write(made.join("init.unfinished"), "").expect("it is written");
    warned(&["init", "--exchange", "summer", "--data", &text(made)], "is founded");
    world.check_log();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_an_alarm_and_stops_nobody() {
    let (mut world, _) = watched().await;
    world.stop();
    let folder = world.data().join("papers");
    std::fs::create_dir(&folder).expect("a folder");
    world.configure("\n[audit]\nfile = \"papers/audit.jsonl\"\n");
    world.start(&[]).await;
    let address = crate::metrics::address_of_figures(&world).await;
    let failing = async || figure(&figures(address).await, "audit_failing");
    assert!(failing().await < 0.5);
    let elsewhere = world.data().join("elsewhere");
    std::fs::rename(&folder, &elsewhere).expect("it is moved");
    world.signal_hub("-HUP");
    until("the alarm is raised", || async { (failing().await > 0.5).then_some(()) }).await;
    assert!(world.log_text().contains("the audit log cannot be written; the hub goes on"));
    // Whoever must be suspended is suspended all the same.
    demand(&world.watchfire("operator", &["suspend", "acme-video", "--reason", "Asked to pause."]));
    std::fs::rename(&elsewhere, &folder).expect("it is moved back");
    until("the alarm is over", || async { (failing().await < 0.5).then_some(()) }).await;
    let file = folder.join("audit.jsonl");
    until("what was held back is there", || async {
        let text = std::fs::read_to_string(&file).ok()?;
        text.contains("\"roster.suspend\"").then_some(())
    })
    .await;
    world.stop();
    let (holds, said) = verified(&[file]);
    assert!(holds, "{said}");
    world.finish();
}
