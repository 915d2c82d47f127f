//! Files that people bring: CSV, STIX, lists, frameworks, JSON lines, evidence, the configuration.

use prost::Message as _;
use uuid::Uuid;
use watchfire::client::Evidence;
use watchfire::client::Grant;
use watchfire::client::JoinRequest;
use watchfire::client::Pin;
use watchfire::client::ReportReceipt;
use watchfire::client::SuccessionCosignature;
use watchfire::client::SuccessionRequest;
use watchfire::client::body_from_json;
use watchfire::client::handling_from_json;
use watchfire::interop::framework::Framework;
use watchfire::interop::framework::Frameworks;
use watchfire::interop::framework::TechniqueQuery;
use watchfire::interop::meta_csv;
use watchfire::interop::stix;
use watchfire::interop::stix::import::BundleFile;
use watchfire::interop::stix::import::ImportTarget;
use watchfire::interop::stix::import::Versions;
use watchfire::interop::warning_list;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Reach;
use watchfire::model::handling::Tlp;
use watchfire::model::header::BodyKind;
use watchfire::model::limits;
use watchfire::model::names::Audience;
use watchfire::model::normal_form::NormalForm;
use watchfire::model::normal_form::normal_form;
use watchfire::model::observable::ObservableKind as Kind;
use watchfire::server;
use watchfire::wire;
use watchfire::wire::pb;

use super::text;
use super::world::World;
use super::world::world;

/// A published list of assets.
pub(super) fn csv(data: &[u8]) {
    let Ok(file) = meta_csv::import("Q2_2023_Iran_sample.csv", data) else { return };
    let summary = file.summary();
    assert!(summary.rows + summary.blank <= lines(data), "a row has a line of its own");
    assert!(file.rows.is_sorted_by_key(|row| row.line), "in the order of the file");
    for draft in file.drafts() {
        can_be_said(BodyKind::Indicator, pb::body::Content::Indicator(draft.indicator.clone()));
        let _id = meta_csv::record_id(&Uuid::nil(), "operation", draft);
    }
    let count = u64::try_from(file.drafts().count()).expect("a number");
    assert_eq!(count, summary.records);
}

/// Lines, however they end.
fn lines(data: &[u8]) -> u64 {
    let ends = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    u64::try_from(ends).expect("a number") + 1
}

/// What an importer makes of a file is what the hub takes.
fn can_be_said(kind: BodyKind, content: pb::body::Content) {
    let body = pb::Body { salt: vec![7; 32], content: Some(content) };
    let read = wire::body::content(&body.encode_to_vec(), kind);
    assert!(read.is_ok(), "what was planned would be refused: {:?}", read.err());
}

/// A STIX bundle, and the plan of its import.
pub(super) fn bundle(data: &[u8]) {
    let Ok(bundle) = stix::read_bundle(data) else { return };
    assert!(bundle.count() <= u64::try_from(data.len()).expect("a number"));
    let target = ImportTarget {
        member: World::member(1),
        namespace: Uuid::from_bytes([9; 16]),
        handling: Handling {
            tlp: Tlp::Green,
            reach: Reach { audiences: vec![Audience::companies()], recipients: Vec::new() },
            onward_uses: Vec::new(),
            use_until: None,
        },
        operation: None,
        now: world().now,
        said: std::collections::HashMap::new(),
        not_taken: std::collections::HashMap::new(),
        versions: Versions::default(),
    };
    let files = [BundleFile { file: "bundle.json".to_owned(), bundle }];
    let plan = stix::import::plan(&files, &target);
    assert!(plan.account.adds_up(), "{:?}", plan.account);
    for planned in plan.records {
        can_be_said(planned.kind, planned.content);
    }
}

/// A STIX pattern.
pub(super) fn pattern(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Ok(found) = stix::pattern::read(text) else { return };
    assert!(!found.is_empty() && found.iter().all(|conjunction| !conjunction.is_empty()));
    let written = stix::pattern::write(&found);
    // A list of values is short for all of its conjunctions.
    if written.len() <= stix::pattern::PATTERN_BYTES_MAX {
        assert_eq!(stix::pattern::read(&written), Ok(found), "it survives {written:?}");
    }
}

/// A warning list, and a framework of techniques.
pub(super) fn lists(data: &[u8]) {
    if let Ok(lists) = warning_list::fuzzing::list(data) {
        for form in forms() {
            let hits = lists.find(&form);
            assert!(hits.len() <= limits::WARNINGS_MAX && hits.len() <= lists.lists().len());
        }
    }
    for name in ["enterprise-attack-15.1.json", "techniques"] {
        let Ok(framework) = Framework::parse(name, data, "", "") else { continue };
        assert!(framework.techniques.len() <= limits::FRAMEWORK_TECHNIQUES_MAX);
        let mut all = Frameworks::default();
        all.add(framework).expect("the first fits");
        let query =
            TechniqueQuery { words: vec!["account".to_owned()], ..TechniqueQuery::default() };
        let _found = all.search(&query);
    }
}

fn forms() -> Vec<NormalForm> {
    let of = |kind, value| normal_form(kind, None, value).expect("a value");
    vec![
        of(Kind::Domain, "www.example.com"),
        of(Kind::Url, "https://example.com/a?b=c"),
        of(Kind::IpAddress, "192.0.2.1"),
        of(Kind::IpAddress, "2001:db8::1"),
        of(Kind::EmailAddress, "someone@example.com"),
    ]
}

/// A line to be published, and the papers and files that one member hands to another.
pub(super) fn json(data: &[u8]) {
    let _pin = Pin::open(data);
    let _taken = wire::report::demand_evidence(data, &world().exchange);
    let Some(text) = text(data) else { return };
    if let Some(Ok(evidence)) = Evidence::parse(text) {
        let _size = evidence.roster_size();
        let _verdict = evidence.judge();
    }
    if let Some(Ok(receipt)) = ReportReceipt::parse(text) {
        let _statement = receipt.check();
    }
    let _request = JoinRequest::parse(text);
    let _grant = Grant::parse(text);
    let _succession = SuccessionRequest::parse(text);
    let _cosignature = SuccessionCosignature::parse(text, &world().exchange);
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return };
    line(value.get("body").unwrap_or(&value), value.get("handling").unwrap_or(&value));
}

fn line(body: &serde_json::Value, handling: &serde_json::Value) {
    if let Ok(content) = body_from_json(body.clone()) {
        let bytes = pb::Body { salt: Vec::new(), content: Some(content.clone()) }.encode_to_vec();
        let json = wire::json::message_to_json("watchfire.v1.Body", &bytes);
        assert_eq!(body_from_json(json), Ok(content), "what is shown can be published");
    }
    if let Ok(handling) = handling_from_json(handling.clone()) {
        let wire = wire::header::handling_to_wire(&handling).encode_to_vec();
        let json = wire::json::message_to_json("watchfire.v1.Handling", &wire);
        assert_eq!(handling_from_json(json), Ok(handling), "what is shown can be published");
    }
}

/// The hub's configuration.
pub(super) fn config(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Ok(config) = server::fuzzing::config(text) else { return };
    assert!((1..=256).contains(&config.workers), "{} workers", config.workers);
    assert!(config.metrics.is_none_or(|address| address.ip().is_loopback()), "figures stay here");
    assert!(config.data.is_absolute(), "{}", config.data.display());
}
