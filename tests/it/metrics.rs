//! The operator's figures, asked for as a scraper asks: true, bounded, and silent about what members say.
//!
//! The matrix of `matrix/` walks calls of the API, which this is none of: no member can reach it, and it is for whoever
//! runs the hub. So what must not be in it is looked for here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use watchfire::client::Client;
use watchfire::client::KeeperChange;
use watchfire::client::draw_audience;
use watchfire::model::filter::Filter;
use watchfire::model::limits;
use watchfire::model::names::SubscriptionName;
use watchfire::model::reason::Reason;
use watchfire::wire::pb;

use crate::durable::start;
use crate::world::CANARY;
use crate::world::PATIENCE;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::in_seconds;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::replay;
use crate::world::sign;
use crate::world::until;

const MEMBERS: &[(&str, &str)] =
    &[("acme-video", "company"), ("birch-social", "company"), ("cedar-microblog", "company")];
/// What every operator reads.
const OPERATIONS: &str = include_str!("../../docs/OPERATIONS.md");
/// By SHA-256 of `main-feed`, as `sha256sum` has it.
const MAIN: &str = concat!(
    r#"member="birch-social",subscription=""#,
    "18c5e1c0b189b89730a145c63e3b881c0db1c0e048c9b62c397e94970d1b4299\""
);

/// A world whose hub serves figures, on a port that the system chose; and where.
pub(crate) async fn watched() -> (World, SocketAddr) {
    let mut world = World::stopped();
    world.configure("\n[metrics]\nlisten = \"127.0.0.1:0\"\n");
    world.start(&[]).await;
    let address = address_of_figures(&world).await;
    for (member, role) in MEMBERS {
        world.admit(member, role);
    }
    (world, address)
}

/// Where the hub serves figures that was started last.
pub(crate) async fn address_of_figures(world: &World) -> SocketAddr {
    until("the log says where", || async {
        let log = world.log_text();
        // Of this start: the one before may have served them elsewhere.
        let own = log.rsplit(" stopped\n").next()?;
        let line = own.lines().find(|line| line.contains("figures are served"))?;
        line.split_once("listen=")?.1.trim().parse().ok()
    })
    .await
}

/// Sends bytes; everything that comes back until the other side closes.
async fn converse(address: SocketAddr, request: &[u8]) -> String {
    let talk = async {
        let mut socket = TcpStream::connect(address).await.expect("a connection");
        // It may be closed before everything is sent, which is an answer too.
        let _closed = socket.write_all(request).await;
        let mut answer = Vec::new();
        let _reset = socket.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("an answer in time")
}

pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str, host: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    converse(address, request.as_bytes()).await
}

/// The whole answer to a scrape.
pub(crate) async fn scrape(address: SocketAddr) -> String {
    let answer = ask(address, "GET", "/metrics", &address.to_string()).await;
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.contains(kind), "{head}");
    assert!(text.ends_with("# EOF\n"), "it is cut off: {text}");
    answer
}

/// Names with their labels, and values.
pub(crate) async fn figures(address: SocketAddr) -> BTreeMap<String, f64> {
    let answer = scrape(address).await;
    let (_head, text) = answer.split_once("\r\n\r\n").expect("a body");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs: Vec<(String, f64)> = lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect();
    let figures: BTreeMap<String, f64> = pairs.iter().cloned().collect();
    assert_eq!(figures.len(), pairs.len(), "something is said twice");
    figures
}

#[track_caller]
pub(crate) fn figure(figures: &BTreeMap<String, f64>, name: &str) -> f64 {
    *figures.get(&format!("watchfire_{name}")).unwrap_or_else(|| panic!("no {name}: {figures:#?}"))
}

/// The figures must be these.
#[track_caller]
pub(crate) fn check(figures: &BTreeMap<String, f64>, expected: &[(&str, f64)]) {
    for (name, value) in expected {
        let found = figure(figures, name);
        assert!((found - value).abs() < 1e-9, "{name} is {found}, not {value}");
    }
}

/// A count as a figure.
fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("a small number"))
}

async fn offer(client: &Client, envelopes: Vec<pb::Envelope>) -> bool {
    client
        .exchange_service()
        .publish(pb::PublishRequest { envelopes, ..pb::PublishRequest::default() })
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_work_and_standing_are_what_was_done() {
    let (world, address) = watched().await;
    let acme = world.client("acme-video").await;
    let signer = acme.signer().expect("a key");
    let good = sign(&acme, draft(&signer, domain("one.example"), handling(&["companies"], &[])));
    let mut forged = good.clone();
    forged.signatures[0].sig = Bytes::from_static(&[7; 64]);
    assert!(offer(&acme, vec![good.clone(), good.clone(), forged]).await);
    assert!(offer(&acme, vec![good.clone()]).await);
    let many = vec![good; limits::BATCH_RECORDS_MAX + 1];
    assert!(!offer(&acme, many.clone()).await, "a batch that is too large is refused whole");
    let reason = ["--reason", "Asked to pause."];
    let suspend = ["suspend", "cedar-microblog"];
    demand(&world.watchfire("operator", &[&suspend[..], &reason].concat()));

    let size = number(head(&acme).await);
    let found = figures(address).await;
    let refused = found.keys().filter(|name| name.starts_with("watchfire_records_refused_total{"));
    assert_eq!(refused.count(), Reason::ALL.len(), "each reason has its line, and nothing else");
    check(
        &found,
        &[
            ("log_entries", size),
            ("log_epoch", 1.0),
            ("log_retention_floor", 0.0),
            // All but the founding record.
            ("records_accepted_total", size - 1.0),
            ("records_repeated_total", 2.0),
            (r#"records_refused_total{reason="BAD_SIGNATURE"}"#, 1.0),
            (r#"records_refused_total{reason="BATCH_TOO_LARGE"}"#, number(257)),
            (r#"records_refused_total{reason="QUOTA"}"#, 0.0),
            (r#"members{role="company",standing="good"}"#, 2.0),
            (r#"members{role="company",standing="suspended"}"#, 1.0),
            (r#"members{role="operator",standing="good"}"#, 1.0),
            (r#"members{role="auditor",standing="good"}"#, 0.0),
            ("entries_delivered_total", 0.0),
            ("subscriptions", 0.0),
            ("data_volume_minimum_bytes", 268_435_456.0),
            (concat!(r#"build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#), 1.0),
        ],
    );
    let now = acme.now().as_micros() / 1_000_000;
    let in_days = |name: &str| (figure(&found, name) - number(now)) / 86_400.0;
    assert!((-0.01..0.01).contains(&in_days("log_last_commit_timestamp_seconds")), "{found:#?}");
    assert!((-0.01..0.01).contains(&in_days("start_timestamp_seconds")), "{found:#?}");
    assert!((363.0..366.0).contains(&in_days("tls_certificate_end_timestamp_seconds")));
    assert!((88.0..91.0).contains(&in_days("tls_revocation_lists_end_timestamp_seconds")));
    assert!(figure(&found, "log_bytes") > 100.0 * size, "{found:#?}");
    assert!(figure(&found, "data_volume_free_bytes") > 1e6, "{found:#?}");
    assert!(figure(&found, "tls_connections_open") >= 1.0, "ours is open");
    world.finish();
}

/// Counters begin at 0 with each process: that one ended and the next began is seen by this figure alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_started_again_says_since_when_it_serves() {
    let (mut world, address) = watched().await;
    let [first, again] = [figures(address).await, figures(address).await]
        .map(|found| figure(&found, "start_timestamp_seconds"));
    assert!((first - again).abs() < 1e-9, "it changes while the hub runs: {first}, {again}");
    world.stop();
    world.start(&[]).await;
    let found = figures(address_of_figures(&world).await).await;
    let next = figure(&found, "start_timestamp_seconds");
    assert!(next > first, "{next} is not behind {first}");
    check(&found, &[("records_accepted_total", 0.0)]);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_lies_behind_until_it_acknowledges() {
    let (world, address) = watched().await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let main = SubscriptionName::new("birch-social".parse().expect("a member"), "main-feed");
    let main = main.expect("a name");
    birch.create_subscription(&main, &Filter::default(), pb::StartPoint::Start).await.expect("it");
    publish(&acme, domain("one.example")).await;
    let behind = format!("subscription_lag_entries{{{MAIN}}}");
    let late = format!("subscription_lag_seconds{{{MAIN}}}");
    let open = format!("subscription_streams_open{{{MAIN}}}");
    let streams = r#"streams_open{member="birch-social"}"#;

    let before = figures(address).await;
    let size = number(head(&acme).await);
    check(&before, &[("subscriptions", 1.0), (&behind, size), (&open, 0.0), (streams, 0.0)]);
    assert!(figure(&before, &late) > 0.0, "{before:#?}");
    // Whoever reads without acknowledging has not moved.
    let delivered = async || figure(&figures(address).await, "entries_delivered_total");
    replay(&birch, Filter::default()).await;
    let once = delivered().await;
    let entries = replay(&birch, Filter::default()).await.len();
    let sent = delivered().await - once;
    assert!(
        (sent - number(u64::try_from(entries).expect("few"))).abs() < 1e-9,
        "{sent}, not {entries}"
    );
    check(&figures(address).await, &[(&behind, size)]);

    let arguments = ["subscribe", "--name", "main-feed", "--format", "jsonl"];
    let mut child = start(&world, "birch-social", &arguments);
    let caught_up = until("it has acknowledged", || async {
        let found = figures(address).await;
        (figure(&found, &behind) < 0.5 && figure(&found, &open) > 0.5).then_some(found)
    });
    let caught_up = caught_up.await;
    check(&caught_up, &[(&behind, 0.0), (&late, 0.0), (&open, 1.0), (streams, 1.0)]);
    World::signal(&child, "-TERM");
    assert!(child.wait().expect("it ends").success());
    until("its stream has ended", || async {
        let found = figures(address).await;
        (figure(&found, streams) < 0.5 && figure(&found, &open) < 0.5).then_some(())
    })
    .await;
    birch.delete_subscription(&main).await.expect("it is forgotten");
    let gone = figures(address).await;
    check(&gone, &[("subscriptions", 0.0)]);
    assert!(!gone.contains_key(&format!("watchfire_{behind}")), "{gone:#?}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn demands_are_open_until_they_are_due_and_met() {
    let (world, address) = watched().await;
    let acme = world.client("acme-video").await;
    for due in [None, Some(3600)] {
        let (record, _) = publish(&acme, domain("one.example")).await;
        let time =
            due.map(|seconds| watchfire::wire::time::timestamp_to_wire(in_seconds(&acme, seconds)));
        let withdrawal = pb::Withdrawal {
            of: record.to_string(),
            reason: pb::WithdrawalReason::Privacy.into(),
            demand_deletion: true,
            acknowledge_by_time: time,
            ..pb::Withdrawal::default()
        };
        let content = pb::body::Content::Withdrawal(withdrawal);
        publish_for(&acme, content, handling(&[], &[])).await;
    }
    until("one is met, and the other waits", || async {
        let found = figures(address).await;
        let counts = ["erasure_demands_open", "erasure_demands_due"];
        let [open, due] = counts.map(|name| figure(&found, name));
        ((0.5..1.5).contains(&open) && due < 0.5).then_some(())
    })
    .await;
    world.finish();
}

/// T-T6 and the rest of what goes wrong beside the log: each has its figure, and the figure says when it is over.
#[tokio::test(flavor = "multi_thread")]
async fn commits_refusals_and_reloads_are_counted() {
    let (world, address) = watched().await;
    let acme = world.client("acme-video").await;
    for _record in 0..5 {
        publish(&acme, domain("one.example")).await;
    }
    let found = figures(address).await;
    let count = figure(&found, "commit_seconds_count");
    assert!(count >= 5.0, "{found:#?}");
    for histogram in ["commit_write_seconds", "commit_sync_seconds", "commit_records"] {
        check(&found, &[(&format!("{histogram}_count"), count)]);
        check(&found, &[(&format!(r#"{histogram}_bucket{{le="+Inf"}}"#), count)]);
    }
    let [whole, write, sync] =
        ["commit_seconds_sum", "commit_write_seconds_sum", "commit_sync_seconds_sum"]
            .map(|name| figure(&found, name));
    assert!(whole >= write + sync && sync > 0.0, "{whole} {write} {sync}");
    check(
        &found,
        &[("ready", 1.0), (r#"unready{cause="disk-full"}"#, 0.0), ("reads_waiting", 0.0)],
    );
    check(&found, &[(r#"disk_failures_total{kind="read"}"#, 0.0), ("tls_reload_failing", 0.0)]);
    assert!(figure(&found, "audit_lines_total") >= 4.0, "{found:#?}");

    // A stranger that speaks no TLS, and a client without a certificate that the hub takes.
    let mut stranger = TcpStream::connect(world.address()).await.expect("a connection");
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("it is sent");
    let refused = r#"tls_refusals_total{reason="not-tls"}"#;
    until("it is counted", || async {
        (figure(&figures(address).await, refused) > 0.5).then_some(())
    })
    .await;

    let list = world.data().join("tls/crl.pem");
    let good = std::fs::read(&list).expect("a list");
    let failing = async || figure(&figures(address).await, "tls_reload_failing");
    std::fs::write(&list, "garbage").expect("it is written");
    until("the alarm is raised", || async { (failing().await > 0.5).then_some(()) }).await;
    publish(&acme, domain("two.example")).await;
    std::fs::write(&list, good).expect("it is written");
    until("the alarm is over", || async { (failing().await < 0.5).then_some(()) }).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_has_its_figures_by_member_and_kind() {
    let (world, address) = watched().await;
    let limit = ["quota", "set", "acme-video", "--records-per-second", "1", "--streams", "1"];
    demand(&world.watchfire("operator", &limit));
    let acme = world.client("acme-video").await;
    let signer = acme.signer().expect("a key");
    let record =
        |_| sign(&acme, draft(&signer, domain("one.example"), handling(&["companies"], &[])));
    assert!(offer(&acme, (0..20).map(record).collect()).await);
    let found = figures(address).await;
    let of = |name: &str, limit: &str| format!(r#"{name}{{member="acme-video",limit="{limit}"}}"#);
    let refused = figure(&found, &of("quota_refusals_total", "records_per_second"));
    assert!((5.0..=10.0).contains(&refused), "{refused} of 20 with a burst of 10");
    let used = figure(&found, &of("quota_used_ratios", "records_per_second"));
    assert!((0.5..=1.0).contains(&used), "{used}");
    check(&found, &[(&of("quota_used_ratios", "streams"), 0.0)]);
    let others = found.keys().filter(|name| name.contains("quota_") && name.contains("birch"));
    assert_eq!(others.count(), 0, "who has no quota has no line");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_member_says_or_asks_for_is_in_them() {
    let (world, address) = watched().await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let desk = draw_audience().expect("a handle");
    let members = vec!["birch-social".parse().expect("a member")];
    let create = KeeperChange::Create { title: "Desk of the Lantern".to_owned(), members };
    acme.change_audience(&desk, create).await.expect("a receipt");
    let (named, _) =
        publish_for(&acme, domain("hidden-host.example"), handling(&[desk.as_str()], &[])).await;
    let (titled, _) = publish(&acme, operation("Daily Lantern")).await;
    let main = SubscriptionName::new("birch-social".parse().expect("a member"), "main-feed");
    let filter = Filter { operations: vec![titled.clone()], ..Filter::default() };
    let main = main.expect("a name");
    birch.create_subscription(&main, &filter, pb::StartPoint::Start).await.expect("it");
    let asked = ["lookup", "asked-for.example", "hidden-host.example"];
    world.watchfire("birch-social", &asked);
    let narrow = ["subscribe", "--until-head", "--kind", "domain", "--format", "jsonl"];
    demand(&world.watchfire("birch-social", &narrow));

    let answer = scrape(address).await.to_lowercase();
    let secrets = [
        CANARY,
        "hidden-host",
        "asked-for",
        "lantern",
        "domain",
        desk.as_str().trim_start_matches("audiences/"),
        &named.record.to_string(),
        &titled.record.to_string(),
        "/records/",
        "audiences/",
    ];
    for secret in secrets {
        assert!(!answer.contains(&secret.to_lowercase()), "{secret} is told: {answer}");
    }
    assert!(answer.contains(MAIN), "members are named, and their subscriptions told apart");
    assert!(!answer.contains("main-feed"), "an id is its member's own words");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_has_its_line_in_the_manual_and_none_is_made_up() {
    let (world, address) = watched().await;
    let answer = scrape(address).await;
    let families = answer.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let shown: BTreeSet<String> = families
        .map(|line| {
            let (name, kind) = line.split_once(' ').expect("a name and a type");
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            format!("{name}{suffix}")
        })
        .collect();
    let table = OPERATIONS.lines().filter_map(|line| line.strip_prefix("| `watchfire_"));
    let described: BTreeSet<String> = table
        .map(|line| format!("watchfire_{}", line.split(['`', '{', ' ']).next().unwrap_or_default()))
        .collect();
    assert_eq!(shown, described);
    assert!(shown.len() > 15, "{shown:?}");
    world.finish();
}

/// The first line of an answer must have this status.
#[track_caller]
fn check_status(answer: &str, status: u16, what: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
    let figures = answer.contains("watchfire_");
    assert_eq!(figures, status == 200 && !what.starts_with("HEAD"), "{what}: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_small_get_of_the_one_path_by_our_own_address_is_answered() {
    let (world, address) = watched().await;
    let ours = address.to_string();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"] {
        check_status(&ask(address, method, "/metrics", &ours).await, 405, method);
    }
    for path in ["/", "/metrics/", "/metrics/x", "/Metrics", "//metrics", "/%6detrics/.."] {
        check_status(&ask(address, "GET", path, &ours).await, 404, path);
    }
    check_status(&ask(address, "HEAD", "/metrics", &ours).await, 200, "HEAD");
    check_status(&ask(address, "GET", "/metrics", "localhost:1").await, 200, "localhost");
    check_status(&ask(address, "GET", "/metrics", "rebind.example").await, 421, "a foreign host");

    let long = "x".repeat(64 * 1024);
    let head = format!("GET /metrics HTTP/1.1\r\nHost: {ours}\r\nLong: {long}\r\n\r\n");
    check_status(&converse(address, head.as_bytes()).await, 431, "a long head");
    let path = format!("GET /metrics?{long} HTTP/1.1\r\nHost: {ours}\r\n\r\n");
    let answer = converse(address, path.as_bytes()).await;
    assert!(!answer.contains(" 200 "), "a long path: {answer}");
    let fields = "A: b\r\n".repeat(100);
    let head = format!("GET /metrics HTTP/1.1\r\nHost: {ours}\r\n{fields}\r\n");
    check_status(&converse(address, head.as_bytes()).await, 431, "many fields");
    check_status(&converse(address, b"\x16\x03\x01\x02\x00\r\n\r\n").await, 400, "no HTTP");
    // One request a connection: the second is not read.
    let get = format!("GET /metrics HTTP/1.1\r\nHost: {ours}\r\n\r\n");
    let twice = converse(address, get.repeat(2).as_bytes()).await;
    assert_eq!(twice.matches("HTTP/1.1 200").count(), 1, "{twice}");
    figures(address).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_little_holds_neither_the_next_nor_the_end() {
    let (mut world, address) = watched().await;
    // More than are taken at once, all idle, and one that begins and does not end.
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(address).await.expect("a connection"));
    }
    let mut slow = TcpStream::connect(address).await.expect("a connection");
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHo").await.expect("it is sent");
    let begun = Instant::now();
    figures(address).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "scrapers give up after that");
    for socket in &mut idle {
        let ended = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut Vec::new())).await;
        ended.expect("an idle connection is closed").expect("in good order");
    }
    let last = TcpStream::connect(address).await.expect("a connection");
    let begun = Instant::now();
    world.stop();
    assert!(begun.elapsed() < Duration::from_secs(8), "it was waited for");
    assert!(TcpStream::connect(address).await.is_err(), "it ends with the hub");
    drop(last);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_off_unless_asked_for_and_never_for_other_machines() {
    let world = World::new().await;
    assert!(!world.log_text().contains("figures are served"));
    world.finish();
    for elsewhere in ["0.0.0.0:0", "[::]:0", "192.0.2.10:9464"] {
        let world = World::stopped();
        world.configure(&format!("\n[metrics]\nlisten = \"{elsewhere}\"\n"));
        for flags in [&[][..], &["--check-config"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_watchfired"));
            command.arg("serve").arg("--data").arg(world.data()).args(flags);
            let output = command.output().expect("watchfired runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(78), "{said}");
            assert!(said.contains("metrics.listen must be an address of loopback"), "{said}");
        }
    }
}
