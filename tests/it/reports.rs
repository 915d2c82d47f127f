//! Reports of misbehaviour: who hands in what, who reads it, that it is kept, and what is refused.

use std::path::Path;
use std::path::PathBuf;

use serde_json::json;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt as _;
use watchfire::client::Client;
use watchfire::model::limits;
use watchfire::model::names::Digest;
use watchfire::model::names::sha256;
use watchfire::model::reason::Reason;
use watchfire::transparency::Checkpoint;
use watchfire::wire::head::Signed;
use watchfire::wire::pb;
use watchfire::wire::report::ReportStatement;

use crate::hostile::front::Keys;
use crate::hostile::judge;
use crate::world::CANARY;
use crate::world::World;
use crate::world::demand;
use crate::world::scratch;
use crate::world::watchfired;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("harbour-liaison", "observer"),
    ("jetty-audit", "auditor"),
];

/// A file of evidence about a client's exchange.
fn evidence(client: &Client, says: &str, exhibits: &serde_json::Value) -> Vec<u8> {
    let genesis = client.profile().genesis().expect("the founding record");
    let member = client.profile().settings().member.name();
    let evidence = json!({
        "watchfire_evidence": 1,
        "exchange": client.pin().exchange().name(),
        "genesis": base64(&genesis),
        "finder": member,
        "time": "2027-01-15T08:00:00Z",
        "deviation": says,
        "exhibits": exhibits,
    });
    serde_json::to_vec(&evidence).expect("JSON")
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Two checkpoints that the hub must never sign both: who has its key can.
fn two_histories(world: &World, client: &Client) -> serde_json::Value {
    let keys = Keys::of(world, client.pin().exchange());
    let note = |root: u8| {
        let checkpoint = Checkpoint { epoch: 1, size: 3, root: [root; 32], roster: [0; 32] };
        json!({"kind": "checkpoint", "note": keys.log.sign(&checkpoint, &keys.secret)})
    };
    json!([note(1), note(2), {"kind": "received", "what": "a frame", "bytes": base64(CANARY.as_bytes())}])
}

async fn report(client: &Client, evidence: &[u8]) -> Result<ReportStatement, Status> {
    let request = pb::ReportMisbehaviorRequest { evidence: evidence.to_vec() };
    let answer = client.transparency_service().report_misbehavior(request).await?.into_inner();
    let signed = Signed::from_wire(answer.statement.expect("a statement"));
    Ok(signed.report(client.pin().log_key().verifying()).expect("signed by the log's key"))
}

/// Hands in something small; its digest.
pub(crate) async fn hand_in(client: &Client, says: &str) -> Result<Digest, Status> {
    let bytes = evidence(client, says, &json!([]));
    let statement = report(client, &bytes).await?;
    assert_eq!(statement.evidence_digest, sha256(&bytes));
    Ok(statement.evidence_digest)
}

/// Everything that a member is shown, page by page.
async fn listed(client: &Client, page_size: u32) -> Vec<pb::MisbehaviorReport> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListMisbehaviorReportsRequest { page_size, page_token };
        let answer = client.transparency_service().list_misbehavior_reports(request).await;
        let page = answer.expect("a page").into_inner();
        let bytes: usize = page.reports.iter().map(|report| report.evidence.len()).sum();
        assert!(bytes <= limits::REPORTS_PAGE_BYTES_MAX, "{bytes}");
        all.extend(page.reports);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

async fn reporters(world: &World, member: &str) -> Vec<String> {
    let reports = listed(&world.client(member).await, 1).await;
    reports.into_iter().map(|report| report.reporter).collect()
}

#[track_caller]
fn demand_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: Reason) {
    let status = answer.expect_err("refused");
    let info = status.get_details_error_info().expect("a reason");
    assert_eq!((info.reason.as_str(), status.code()), (reason.as_str(), code), "{status}");
    let bad = status.get_details_bad_request().expect("a field").field_violations;
    let expected = if reason == Reason::PageTokenInvalid { "page_token" } else { "evidence" };
    assert!([expected, "page_size"].contains(&bad[0].field.as_str()), "{status}");
}

/// The path that a line of a command's output names.
fn path_of(said: &str, title: &str) -> PathBuf {
    let line = said.lines().find_map(|line| line.strip_prefix(title)).expect("a line");
    line.trim().into()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_read_by_its_reporter_the_operator_and_auditors_and_by_nobody_else() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let place = scratch();
    let file = place.path().join("evidence.json");
    let whole = evidence(&acme, CANARY, &two_histories(&world, &acme));
    std::fs::write(&file, &whole).expect("a file");
    let output = world.watchfire("acme-video", &["report", text(&file)]);
    let said = demand(&output);
    let noted = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(noted.contains("left out: 1 exhibits of what came"), "{noted}");
    let sent = std::fs::read(path_of(&said, "sent ")).expect("what was sent");
    assert!(said.contains(&hex::encode(sha256(&sent))), "{said}");
    assert!(!String::from_utf8_lossy(&sent).contains("\"received\""));

    // The receipt convinces a stranger.
    let receipt = path_of(&said, "receipt ");
    let told = demand(&judge(&receipt));
    assert!(told.contains("SIGNED: members/acme-video handed in evidence at"), "{told}");
    assert!(told.contains("that is ") && told.contains(&acme.pin().log_key_id().to_string()));
    for (from, to) in
        [("\"statement\": \"", "\"statement\": \"AA"), ("receipt\": 1", "receipt\": 2")]
    {
        let forged = std::fs::read_to_string(&receipt).expect("a receipt").replacen(from, to, 1);
        let path = place.path().join("forged.json");
        std::fs::write(&path, forged).expect("a file");
        let told = judge(&path);
        assert_eq!(told.status.code(), Some(5));
        assert!(String::from_utf8_lossy(&told.stdout).contains("INVALID"), "{told:?}");
    }

    let own = ["members/acme-video"];
    for member in ["acme-video", "jetty-audit", "operator"] {
        assert_eq!(reporters(&world, member).await, own, "{member}");
    }
    for member in ["birch-social", "harbour-liaison"] {
        assert!(reporters(&world, member).await.is_empty(), "{member}");
    }
    // An observer, the operator and an auditor may report, too; nobody sees whether there are others.
    for member in ["harbour-liaison", "operator", "jetty-audit"] {
        hand_in(&world.client(member).await, member).await.expect("it is taken in");
    }
    assert_eq!(reporters(&world, "harbour-liaison").await, ["members/harbour-liaison"]);
    assert_eq!(reporters(&world, "acme-video").await, own);
    for member in ["operator", "jetty-audit"] {
        assert_eq!(reporters(&world, member).await.len(), 4, "{member}");
    }

    // What the hub says about itself has no contents: see also the end of every scenario.
    let log = world.log_text();
    let digest = hex::encode(sha256(&sent));
    let line = log.lines().find(|line| line.contains(&digest)).expect("a line");
    assert!(line.contains("WARN") && line.contains("acme-video"), "{line}");

    read_by_the_command_line(&world, place.path(), &sent);
    world.finish();
}

/// As the operator, and as one who may read nothing of it.
fn read_by_the_command_line(world: &World, place: &Path, sent: &[u8]) {
    let digest = hex::encode(sha256(sent));
    let start = digest.get(..16).expect("digits");
    let folder = place.join("out");
    let said = demand(&world.watchfire("operator", &["reports", "--out", text(&folder)]));
    let line = said.lines().find(|line| line.contains(start)).expect("a line");
    assert!(line.contains("PROVEN") && line.contains("two different logs of 3 entries"), "{said}");
    let file = folder.join(format!("{digest}.json"));
    assert_eq!(std::fs::read(&file).expect("a file"), sent);
    assert!(demand(&judge(&file)).contains("PROVEN"));
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 4);
    // Again, and where somebody put another file.
    demand(&world.watchfire("operator", &["reports", "--out", text(&folder)]));
    std::fs::write(&file, b"another").expect("a file");
    let refused = world.watchfire("operator", &["reports", "--out", text(&folder)]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is another file"), "{refused:?}");
    let jsonl = ["reports", "--format", "jsonl"];
    let said = demand(&world.watchfire("jetty-audit", &jsonl));
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 4);
    let of = |reporter: &str| {
        lines.iter().find(|line| line["reporter"] == reporter).expect("a report").clone()
    };
    let proven = of("members/acme-video");
    assert_eq!((&proven["evidence"], &proven["verdict"]), (&json!(digest), &json!("proven")));
    assert_eq!(of("members/operator")["verdict"], "unproven");
    let said = demand(&world.watchfire("birch-social", &["reports"]));
    assert_eq!(said, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finders_say_reaches_no_terminal_as_it_is() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let hostile = "\u{1b}[2Jall is well at https://bad.example/ \u{202e}\nsecond line";
    report(&acme, &evidence(&acme, hostile, &json!([]))).await.expect("it is taken in");
    // The hub takes in what it cannot judge; its readers are told.
    let odd = json!([{"kind": "checkpoint", "note": "\u{1b}[31m forged"}]);
    report(&acme, &evidence(&acme, "odd", &odd)).await.expect("it is taken in");
    for format in ["table", "jsonl"] {
        let said = demand(&world.watchfire("operator", &["reports", "--format", format]));
        assert!(!said.contains('\u{1b}') && !said.contains('\u{202e}'), "{said}");
        assert_eq!(said.lines().count(), if format == "table" { 3 } else { 2 }, "{said}");
        let invalid = if format == "table" { "INVALID" } else { "\"invalid\"" };
        assert!(said.contains(invalid) && said.contains("all is well"), "{said}");
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handed_in_outlives_the_hub_its_compaction_and_its_restore() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let large = {
        let bare = evidence(&acme, "", &json!([])).len();
        evidence(&acme, &"x".repeat(limits::REPORT_BYTES_MAX - bare), &json!([]))
    };
    let small = evidence(&acme, "small", &json!([]));
    let first = report(&acme, &large).await.expect("it is taken in");
    report(&acme, &small).await.expect("it is taken in");
    let before = listed(&acme, 0).await;
    assert_eq!(before.len(), 2);
    assert!(before.iter().any(|report| report.evidence == large));
    let again = report(&acme, &large).await.expect("it is taken in");
    assert_eq!(again, first, "the same again has the time of the first");

    // Not even a kill takes what was answered.
    world.kill();
    world.start(&[]).await;
    assert_eq!(listed(&world.client("acme-video").await, 0).await, before);
    let place = scratch();
    let file = place.path().join("backup");
    let data = world.data();
    demand(&watchfired(&["backup", "--data", text(&data), "--out", text(&file)]));
    world.stop();
    demand(&watchfired(&["compact", "--data", text(&data)]));
    world.start(&[]).await;
    assert_eq!(listed(&world.client("operator").await, 0).await, before);
    world.stop();

    let mut restored = world.successor();
    let (to, operator) = (restored.data(), world.profile_folder("operator"));
    demand(&watchfired(&[
        "restore",
        "--from",
        text(&file),
        "--data",
        text(&to),
        "--keys",
        text(&data),
        "--operator",
        text(&operator),
        "--reason",
        "a disk was lost",
    ]));
    restored.start(&[]).await;
    // Who has not accepted the restore yet may report, and read what it reported.
    let said = demand(&world.watchfire("acme-video", &["reports", "--format", "jsonl"]));
    assert_eq!(said.lines().count(), 2, "{said}");
    demand(&world.watchfire("acme-video", &["epoch", "accept"]));
    let acme = world.client("acme-video").await;
    assert_eq!(listed(&acme, 1).await, before);
    assert_eq!(report(&acme, &large).await.expect("it is there"), first);
    restored.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_evidence_about_this_exchange_is_refused() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let good = evidence(&acme, "good", &json!([]));
    let refused = async |bytes: &[u8], code, reason| {
        demand_refused(report(&acme, bytes).await, code, reason);
    };
    let invalid = Code::InvalidArgument;
    let deep = "[".repeat(10_000);
    for garbage in [&b""[..], b"{}", b"garbage", &[0xff; 99], deep.as_bytes(), &good[1..]] {
        refused(garbage, invalid, Reason::FieldInvalid).await;
    }
    let changed = |from: &str, to: &str| {
        String::from_utf8(good.clone()).expect("a text").replacen(from, to, 1).into_bytes()
    };
    for (from, to) in [
        ("\"watchfire_evidence\":1", "\"watchfire_evidence\":2"),
        ("\"exhibits\":[]", "\"exhibits\":[1]"),
        ("\"exhibits\":[]", "\"exhibits\":[],\"body\":\"smuggled\""),
    ] {
        refused(&changed(from, to), invalid, Reason::FieldInvalid).await;
    }
    refused(&changed("exchanges/spring-", "exchanges/autumn-"), invalid, Reason::WrongExchange)
        .await;
    // At the limit, one beyond, and as much as a message may have.
    for (length, taken) in [(0, true), (1, false), (512 * 1024, false)] {
        let more = limits::REPORT_BYTES_MAX - good.len() + length;
        let long = evidence(&acme, &format!("good{}", "x".repeat(more)), &json!([]));
        if taken {
            report(&acme, &long).await.expect("at the limit");
        } else {
            refused(&long, Code::ResourceExhausted, Reason::BatchTooLarge).await;
        }
    }
    let beyond = report(&acme, &vec![b' '; 4 * 1024 * 1024]).await;
    beyond.expect_err("it is larger than a message");
    let mut log = acme.transparency_service();
    for (page_size, token, reason) in [
        (1001, "", Reason::FieldInvalid),
        (0, "zz", Reason::PageTokenInvalid),
        (0, "00.acme-video", Reason::PageTokenInvalid),
        (0, &format!("{}.ACME", "00".repeat(32)), Reason::PageTokenInvalid),
    ] {
        let page_token = token.to_owned();
        let request = pb::ListMisbehaviorReportsRequest { page_size, page_token };
        demand_refused(log.list_misbehavior_reports(request).await, invalid, reason);
    }
    assert_eq!(listed(&acme, 0).await.len(), 1);

    // The client does not even ask.
    let place = scratch();
    let file = place.path().join("evidence.json");
    let foreign = changed("exchanges/spring-", "exchanges/autumn-");
    for (bytes, said) in [(&b"{}"[..], "not a file of evidence"), (&foreign, "exchange")] {
        std::fs::write(&file, bytes).expect("a file");
        let output = world.watchfire("acme-video", &["report", text(&file)]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(said), "{told}");
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_reports_are_kept_of_a_member_and_they_take_nothing_from_others() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    // Together more than any answer may have.
    let large = |number: usize| {
        let bare = evidence(&acme, "", &json!([])).len();
        let says = format!("{number:02}{}", "x".repeat(limits::REPORT_BYTES_MAX - bare - 2));
        evidence(&acme, &says, &json!([]))
    };
    let all: Vec<Vec<u8>> = (0..limits::REPORTS_MAX).map(large).collect();
    // Three times the same at once: once is enough.
    let same = futures_util::future::join_all((0..3).map(|_| report(&acme, &all[0]))).await;
    let same: Vec<ReportStatement> = same.into_iter().map(|one| one.expect("taken")).collect();
    assert!(same.iter().all(|one| *one == same[0]), "{same:?}");
    for one in &all[1..] {
        report(&acme, one).await.expect("it is taken in");
    }
    let more = hand_in(&acme, "one more").await;
    demand_refused(more, Code::ResourceExhausted, Reason::TooManyReports);
    assert_eq!(report(&acme, &all[0]).await.expect("it is there"), same[0]);
    hand_in(&birch, "its first").await.expect("it is taken in");
    let operator = world.client("operator").await;
    let reports = listed(&operator, 1000).await;
    assert_eq!(reports.len(), limits::REPORTS_MAX + 1);
    assert!(all.iter().all(|one| reports.iter().any(|report| report.evidence == *one)));
    assert_eq!(listed(&birch, 0).await.len(), 1);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_in_on_a_full_disk_and_what_is_there_is_read() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    hand_in(&acme, "first").await.expect("it is taken in");
    world.stop();
    let config = world.data().join("watchfired.toml");
    let roomy = std::fs::read_to_string(&config).expect("a configuration");
    let guarded = format!("{roomy}\n[store]\nmin_free_bytes = {}\n", i64::MAX);
    std::fs::write(&config, guarded).expect("a configuration");
    world.start(&[]).await;
    let acme = world.client("acme-video").await;
    let refused = hand_in(&acme, "second").await.expect_err("a full disk");
    let info = refused.get_details_error_info().expect("a reason");
    assert_eq!(info.reason, Reason::StoreFull.as_str());
    hand_in(&acme, "first").await.expect("it is there");
    assert_eq!(listed(&acme, 0).await.len(), 1);
    world.stop();
    std::fs::write(&config, roomy).expect("a configuration");
    world.start(&[]).await;
    let acme = world.client("acme-video").await;
    hand_in(&acme, "second").await.expect("it is taken in");
    assert_eq!(listed(&acme, 0).await.len(), 2);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_under_a_later_key_of_the_log_convinces_a_stranger_too() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let place = scratch();
    let file = place.path().join("evidence.json");
    std::fs::write(&file, evidence(&acme, "found", &json!([]))).expect("a file");
    drop(acme);
    for _rotation in 0..2 {
        world.stop();
        demand(&watchfired(&["rotate-log-key", "--data", text(&world.data())]));
        world.start(&[]).await;
        let said = demand(&world.watchfire("acme-video", &["report", text(&file)]));
        let told = demand(&judge(&path_of(&said, "receipt ")));
        assert!(told.contains("SIGNED: members/acme-video"), "{told}");
    }
    // Without the entries that put the key in place it is no receipt.
    let said = demand(&world.watchfire("acme-video", &["report", text(&file)]));
    let receipt = std::fs::read_to_string(path_of(&said, "receipt ")).expect("a receipt");
    let mut bare: serde_json::Value = serde_json::from_str(&receipt).expect("JSON");
    bare["roster"] = json!([]);
    let path = place.path().join("bare.json");
    std::fs::write(&path, bare.to_string()).expect("a file");
    assert_eq!(judge(&path).status.code(), Some(5));
    world.finish();
}
