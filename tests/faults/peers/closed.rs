//! A hub that knows thousands of addresses and calls none of them.
//!
//! The whole exchange runs in a network namespace that has loopback and nothing else. Whatever tries to leave finds no
//! route, and the kernel counts it; who asks a resolver on loopback finds nobody, and is counted too. What records name on
//! loopback itself listens, and counts who comes.

use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Command;

use futures_util::future::join_all;
use watchfire::model::filter::Filter;
use watchfire::wire::pb;

use crate::peers::ground::ATTACKER;
use crate::peers::ground::Ground;
use crate::peers::ground::TAXII_PORT;
use crate::peers::honest::READER;
use crate::peers::raw::Dialer;
use crate::trials::Trials;
use crate::world::draft;
use crate::world::handling;
use crate::world::replay;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

/// Set in the process that runs within.
const WITHIN: &str = "WATCHFIRE_WITHIN_A_NAMESPACE";
const ITSELF: &str = "peers::closed::the_hub_calls_nobody";

/// What a record may tempt a reader to fetch.
const TEMPTING: &[&str] = &[
    "http://203.0.113.9/",
    "https://203.0.113.9:8443/a?b=c",
    "https://news.example/article",
    "http://user:secret@news.example/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[2001:db8::9]/",
    "http://0xcb007109/",
    "http://xn--bcher-kva.example/",
    "https://127.0.0.1:9/",
    "ftp://203.0.113.9/file",
    "file:///etc/passwd",
    "gopher://203.0.113.9:70/_x",
    "dict://203.0.113.9:11111/",
    "ldap://203.0.113.9/",
    "jar:http://203.0.113.9!/",
    "\\\\203.0.113.9\\share",
    "s3://bucket/key",
    "data:text/html,x",
    "203.0.113.9",
    "2001:db8::9",
    "news.example",
    "_ldap._tcp.news.example",
    "somebody@news.example",
    "<img src=http://203.0.113.9/x>",
    "${jndi:ldap://203.0.113.9/x}",
];

/// What they name on loopback.
const BAIT: &str = "127.0.0.1:9";

/// Who came to the bait since it was looked at.
fn came(bait: &TcpListener) -> usize {
    std::iter::from_fn(|| bait.accept().ok()).count()
}

/// Attempts to leave, by the kernel's own counters of this namespace.
fn attempts() -> u64 {
    let text = std::fs::read_to_string("/proc/net/snmp").expect("counters");
    let text6 = std::fs::read_to_string("/proc/net/snmp6").unwrap_or_default();
    let of = |protocol: &str, name: &str| {
        let mut lines = text.lines().filter(|line| line.starts_with(protocol));
        let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
        let at = names.split_whitespace().position(|found| found == name).expect(name);
        let value = values.split_whitespace().nth(at).expect("a value");
        value.parse::<u64>().expect("a number")
    };
    let six = text6.lines().filter(|line| line.starts_with("Ip6OutNoRoutes"));
    let six = six.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    of("Ip:", "OutNoRoutes") + of("Udp:", "NoPorts") + six.sum::<u64>()
}

/// Indicators of every kind with every value that fits it.
async fn publish_everything(client: &watchfire::client::Client) -> usize {
    let signer = client.signer().expect("a key");
    let kinds = 1..=22;
    let all: Vec<pb::Envelope> = kinds
        .flat_map(|kind| TEMPTING.iter().map(move |value| (kind, *value)))
        .filter_map(|(kind, value)| {
            let content = pb::body::Content::Indicator(pb::Indicator {
                observable: Some(pb::Observable {
                    kind,
                    value: value.to_owned(),
                    platform: "facebook".to_owned(),
                    ..pb::Observable::default()
                }),
                description: format!("see {value}"),
                ..pb::Indicator::default()
            });
            // Our own client does not sign what makes no sense.
            let record = draft(&signer, content, handling(&["companies"], &[]));
            signer.sign(record, client.now()).ok()
        })
        .collect();
    let mut taken = 0;
    for some in all.chunks(200) {
        let request =
            pb::PublishRequest { envelopes: some.to_vec(), ..pb::PublishRequest::default() };
        let answer = client.exchange_service().publish(request).await.expect("an answer");
        taken += answer
            .into_inner()
            .results
            .iter()
            .filter(|result| {
                matches!(result.outcome, Some(pb::publish_result::Outcome::Receipt(_)))
            })
            .count();
    }
    taken
}

/// Every value is looked up, searched for, and asked for through TAXII.
async fn ask_everything(world: &crate::world::World) {
    let reader = world.client(READER).await;
    let queries = TEMPTING
        .iter()
        .map(|value| pb::ValueQuery { value: (*value).to_owned(), ..pb::ValueQuery::default() });
    let request = pb::LookupValuesRequest {
        queries: queries.collect(),
        ..pb::LookupValuesRequest::default()
    };
    reader.exchange_service().lookup_values(request).await.expect("an answer");
    let searches = TEMPTING.iter().map(|value| {
        let mut service = reader.query_service();
        let text = (*value).to_owned();
        async move {
            let request = pb::SearchRecordsRequest { text, ..pb::SearchRecordsRequest::default() };
            service.search_records(request).await.is_ok()
        }
    });
    let found = join_all(searches).await;
    assert!(found.contains(&true), "searches are answered");
    let taxii = Dialer::of(world, READER).at(TAXII_PORT).speaking(&[b"http/1.1"]);
    let mut stream = taxii.dial().await.expect("a connection");
    let request =
        "GET http://203.0.113.9/ HTTP/1.1\r\nHost: 203.0.113.9\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("it is taken");
    let mut answer = Vec::new();
    let _end = stream.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 4"), "it is no proxy");
    assert!(replay(&reader, Filter::default()).await.len() > TEMPTING.len());
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status();
    assert!(status.expect(program).success(), "{program} {arguments:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_calls_nobody() {
    if std::env::var_os(WITHIN).is_none() {
        let itself = std::env::current_exe().expect("this program");
        let mut within = Command::new("unshare");
        within.args(["--net", "--"]).arg(itself).args([ITSELF, "--exact", "--nocapture"]);
        let status = within.env(WITHIN, "1").status().expect("unshare runs: it needs root");
        assert!(status.success(), "within the namespace: {status}");
        return;
    }
    run("ip", &["link", "set", "lo", "up"]);
    let bait = TcpListener::bind(BAIT).expect("a port below 1,024: it needs root");
    bait.set_nonblocking(true).expect("a listener");
    let mut trials = Trials::of("peers_closed", 1, 3);
    while let Some(mut round) = trials.next() {
        // The control: one packet to somebody is one that is counted.
        let before = attempts();
        let socket = tokio::net::UdpSocket::bind("0.0.0.0:0").await.expect("a socket");
        socket.send_to(b"x", "203.0.113.9:9").await.expect_err("there is no way out");
        assert_eq!(attempts(), before + 1, "it was not counted");
        drop(TcpStream::connect(BAIT).expect("somebody listens"));
        assert_eq!(came(&bait), 1, "it was not counted");
        let before = attempts();
        let world = Ground::world("").await;
        let taken = publish_everything(&world.client(ATTACKER).await).await;
        assert!(taken > TEMPTING.len(), "{taken} were taken");
        ask_everything(&world).await;
        world.finish();
        round.note("records that tempt", taken);
        round.note("attempts to leave", attempts() - before);
        assert_eq!(attempts(), before, "something tried to leave");
        assert_eq!(came(&bait), 0, "something called loopback");
        trials.keep(round);
    }
    trials.finish();
}
