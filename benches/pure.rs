//! The pure parts, each alone: what a record costs before the disk and the network are asked.
//!
//! `cargo bench` prints them; `watchfire bench` measures the whole hub.

#![expect(clippy::expect_used, reason = "a bench may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::hint::black_box;

use criterion::BatchSize;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use watchfire::client::Draft;
use watchfire::client::Signer;
use watchfire::interop::warning_list::WarningLists;
use watchfire::ledger::Fold;
use watchfire::ledger::LedgerEntry;
use watchfire::ledger::Window;
use watchfire::model::facts::Scope;
use watchfire::model::facts::Shape;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Reach;
use watchfire::model::handling::Tlp;
use watchfire::model::header::BodyKind;
use watchfire::model::header::HEADER_PAYLOAD_TYPE;
use watchfire::model::names::Audience;
use watchfire::model::names::ExchangeName;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::names::Sequence;
use watchfire::model::names::sha256;
use watchfire::model::normal_form::normal_form;
use watchfire::model::observable::ObservableKind;
use watchfire::model::perceptual::Pdq;
use watchfire::model::perceptual::probe_keys;
use watchfire::model::roster::Role;
use watchfire::model::roster::Roster;
use watchfire::model::roster::RosterMember;
use watchfire::model::text::each_word;
use watchfire::model::text::words;
use watchfire::model::time::Timestamp;
use watchfire::signing::Claim;
use watchfire::signing::SecretKey;
use watchfire::signing::VerifyingKey;
use watchfire::signing::verify;
use watchfire::signing::verify_all;
use watchfire::transparency::Frontier;
use watchfire::wire;
use watchfire::wire::pb;

const BATCH: u64 = 256;

struct Sample {
    key: VerifyingKey,
    envelopes: Vec<pb::Envelope>,
}

/// A batch of indicators, signed.
fn sample() -> Sample {
    let secret = SecretKey::generate().expect("a key");
    let key = VerifyingKey::from_spki(&secret.spki()).expect("a key");
    let member: MemberId = "acme-video".parse().expect("a name");
    let exchange = ExchangeName::derive("spring", &secret.spki(), b"log").expect("a name");
    let signer = Signer::new(exchange, member.clone(), secret);
    let now = Timestamp::from_micros(1_800_000_000_000_000).expect("a time");
    let envelope = |number: u64| {
        let draft = Draft {
            name: RecordName { member: member.clone(), record: uuid::Uuid::now_v7() },
            previous: None,
            handling: Handling {
                tlp: Tlp::Green,
                reach: Reach { audiences: vec![Audience::companies()], recipients: Vec::new() },
                onward_uses: Vec::new(),
                use_until: None,
            },
            content: pb::body::Content::Indicator(pb::Indicator {
                observable: Some(pb::Observable {
                    kind: pb::ObservableKind::Domain.into(),
                    value: format!("site-{number}.example"),
                    ..pb::Observable::default()
                }),
                ..pb::Indicator::default()
            }),
        };
        signer.sign(draft, now).expect("a record")
    };
    Sample { key, envelopes: (0..BATCH).map(envelope).collect() }
}

fn claim<'a>(sample: &'a Sample, envelope: &'a pb::Envelope) -> Claim<'a, ()> {
    Claim {
        payload_type: HEADER_PAYLOAD_TYPE,
        payload: &envelope.payload,
        signature: envelope.signatures.first().map_or(&[], |first| &first.sig),
        key: &sample.key,
        value: (),
    }
}

fn signatures(criterion: &mut Criterion) {
    let sample = sample();
    let mut group = criterion.benchmark_group("signatures");
    group.throughput(Throughput::Elements(BATCH));
    let claims = || sample.envelopes.iter().map(|envelope| claim(&sample, envelope));
    group.bench_function("a batch of 256", |bencher| {
        bencher.iter_batched(
            || claims().collect::<Vec<_>>(),
            |claims| verify_all(black_box(claims)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("256 one by one", |bencher| {
        bencher.iter_batched(
            || claims().collect::<Vec<_>>(),
            |claims| claims.into_iter().map(verify).collect::<Vec<_>>(),
            BatchSize::SmallInput,
        );
    });
}

fn parsing(criterion: &mut Criterion) {
    let sample = sample();
    let envelope = sample.envelopes.first().expect("a record");
    let mut group = criterion.benchmark_group("parsing");
    group.throughput(Throughput::Elements(1));
    group.bench_function("a header", |bencher| {
        bencher.iter(|| wire::header::header(black_box(&envelope.payload)));
    });
    group.bench_function("an envelope with its body", |bencher| {
        bencher.iter(|| wire::envelope::record(black_box(envelope.clone())));
    });
    let scope = Scope {
        publisher: "acme-video".parse().expect("a name"),
        body_kind: BodyKind::Indicator,
        reach: Reach { audiences: vec![Audience::companies()], recipients: Vec::new() },
        publisher_is_reached: true,
        shapes: vec![Shape { kind: 12, ..Shape::default() }],
    };
    let bytes = wire::scope::encode(&scope);
    group.bench_function("a stored scope", |bencher| {
        bencher.iter(|| wire::scope::decode(black_box(&bytes)));
    });
}

fn normal_forms(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("normal form");
    group.throughput(Throughput::Elements(1));
    for (name, kind, value) in [
        ("a domain", ObservableKind::Domain, "WWW.News[.]Example."),
        ("a URL", ObservableKind::Url, "hxxps://news[.]example:443/a/b?utm_source=x&id=7#top"),
        ("a profile", ObservableKind::Url, "https://mobile.twitter[.]com/Example_Lantern/"),
        ("a name in another script", ObservableKind::Domain, "bücher[.]example"),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| normal_form(kind, None, black_box(value)));
        });
    }
}

fn tree(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("Merkle frontier");
    group.throughput(Throughput::Elements(1));
    let mut frontier = Frontier::default();
    let leaf = sha256(b"a leaf");
    group.bench_function("a leaf", |bencher| bencher.iter(|| frontier.push(black_box(leaf))));
    group.bench_function("a root", |bencher| bencher.iter(|| black_box(&frontier).root()));
}

/// A list of a million hosts, as a file.
fn million() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts: Vec<String> = (0..1_000_000).map(|host| format!("site{host}.example")).collect();
    let list = serde_json::json!({"name": "a million", "type": "string",
        "matching_attributes": ["domain", "hostname", "url"], "list": hosts});
    fs::write(folder.path().join("list.json"), list.to_string()).expect("a file");
    folder
}

fn warning_lists(criterion: &mut Criterion) {
    let folder = million();
    let paths = [folder.path().to_owned()];
    let mut group = criterion.benchmark_group("warning lists, a million strings");
    group.sample_size(10);
    group.bench_function("load", |bencher| {
        bencher.iter_with_large_drop(|| WarningLists::load(&paths).expect("lists"));
    });
    let lists = WarningLists::built_in().with_files(&paths).expect("lists");
    group.sample_size(100);
    for (name, kind, value) in [
        ("listed host", ObservableKind::Domain, "site500000.example"),
        ("host that is not listed", ObservableKind::Domain, "a.b.c.d.example.org"),
        ("url below a listed host", ObservableKind::Url, "https://a.b.site999999.example/path?a=1"),
    ] {
        let form = normal_form(kind, None, value).expect("a normal form");
        group.bench_function(name, |bencher| bencher.iter(|| lists.find(black_box(&form)).len()));
    }
    group.finish();
}

fn search_keys(criterion: &mut Criterion) {
    let description = "Accounts of @some_user.name posted links to hxxps[://]www[.]example[.]com about the \
        Élysée, 関係する日本語の記事 and Новости; the same pictures were seen on three platforms.";
    criterion.bench_function("words of a description", |bencher| {
        bencher.iter(|| {
            let mut found = BTreeSet::new();
            words(black_box(description), &mut found);
            found
        });
    });
    criterion.bench_function("words of an ASCII description", |bencher| {
        let description = "Shop accounts that posted in turns about the same ballot";
        bencher.iter(|| {
            let mut bytes = 0;
            each_word(black_box("n000000012345"), |word| bytes += word.len());
            each_word(black_box(description), |word| bytes += word.len());
            bytes
        });
    });
    let hash = Pdq::from_bytes([0xa5; 32]);
    criterion.bench_function("probe keys of a PDQ hash", |bencher| {
        bencher.iter(|| probe_keys(black_box(&hash)).map(|key| u64::from(key.value)).sum::<u64>());
    });
}

/// Members of the exchange whose ledger is counted.
const MEMBERS: u128 = 20;
/// Entries of that ledger.
const LEDGER_ENTRIES: u128 = 1_000_000;

fn company(number: u128) -> MemberId {
    format!("company-{number}").parse().expect("a name")
}

fn companies() -> Roster {
    let mut roster = Roster::default();
    for number in 0..MEMBERS {
        let member = RosterMember::admitted(company(number), Role::Company, Sequence(0));
        roster.admit(member, []).expect("a new member");
    }
    roster
}

/// Every tenth entry says something of the nine before it, which name one of a hundred operations.
fn said(number: u128, seen: prost_types::Timestamp) -> (BodyKind, pb::Body) {
    let name = |number: u128| RecordName {
        member: company(number % MEMBERS),
        record: uuid::Uuid::from_u128(number + 1),
    };
    let (kind, content) = if number % 10 == 9 {
        let opinion = pb::Opinion {
            of: name(number - 5).to_string(),
            stance: pb::Stance::Agree.into(),
            ..pb::Opinion::default()
        };
        (BodyKind::Opinion, pb::body::Content::Opinion(opinion))
    } else {
        let indicator = pb::Indicator {
            operation: name(number % 100).to_string(),
            last_seen_time: Some(seen),
            ..pb::Indicator::default()
        };
        (BodyKind::Indicator, pb::body::Content::Indicator(indicator))
    };
    (kind, pb::Body { salt: Vec::new(), content: Some(content) })
}

fn ledger(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(1_000_000)).sample_size(10);
    let roster = companies();
    let members: Vec<MemberId> = (0..MEMBERS).map(company).collect();
    let reach = Reach { audiences: vec![Audience::companies()], recipients: Vec::new() };
    let now = Timestamp::from_micros(1_800_000_000_000_000).expect("a time");
    let seen = prost_types::Timestamp { seconds: 1_799_990_000, nanos: 0 };
    let caller = members.first().expect("a member");
    let bodies: Vec<(BodyKind, pb::Body)> = (0..1000).map(|number| said(number, seen)).collect();
    group.bench_function("a million entries", |bencher| {
        bencher.iter(|| {
            let mut fold = Fold::new(caller, Window::new(None, None, u64::MAX));
            let rounds = (0..LEDGER_ENTRIES).zip(members.iter().cycle()).zip(bodies.iter().cycle());
            for ((number, publisher), (body_kind, body)) in rounds {
                let entry = LedgerEntry {
                    sequence: u64::try_from(number).expect("small"),
                    accept_time: now,
                    publisher,
                    record: uuid::Uuid::from_u128(number + 1),
                    revision: 1,
                    body_kind: *body_kind,
                    reach: &reach,
                    body: Some(body),
                };
                fold.take(&entry).expect("room");
            }
            black_box(fold.finish(&roster, None))
        });
    });
}

criterion_group!(
    benches,
    signatures,
    parsing,
    normal_forms,
    tree,
    warning_lists,
    search_keys,
    ledger
);
criterion_main!(benches);
