//! What the documents promise in a form that can be checked.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

const CRATES: &str = include_str!("../../docs/adr/0008-crates.md");
const JSONL: &str = include_str!("../../docs/JSONL.md");
const MEMBERS: &str = include_str!("../../docs/MEMBERS.md");
const OPERATIONS: &str = include_str!("../../docs/OPERATIONS.md");
const PROTOCOL: &str = include_str!("../../docs/PROTOCOL.md");
const SERVICES: [&str; 7] = [
    include_str!("../../proto/watchfire/v1/audience_service.proto"),
    include_str!("../../proto/watchfire/v1/exchange_service.proto"),
    include_str!("../../proto/watchfire/v1/export_service.proto"),
    include_str!("../../proto/watchfire/v1/query_service.proto"),
    include_str!("../../proto/watchfire/v1/roster_service.proto"),
    include_str!("../../proto/watchfire/v1/subscription_service.proto"),
    include_str!("../../proto/watchfire/v1/transparency_service.proto"),
];

/// The lines of a document that are text, and those that are code.
fn parted(document: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut text, mut code, mut is_code) = (Vec::new(), Vec::new(), false);
    for line in document.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
            text.push("");
        } else if is_code {
            code.push(line);
        } else {
            text.push(line);
        }
    }
    (text, code)
}

#[test]
fn every_call_has_its_example() {
    let (_text, code) = parted(PROTOCOL);
    let code = code.join("\n");
    let mut calls = 0;
    for service in SERVICES {
        let name = service.lines().find_map(|line| line.strip_prefix("service "));
        let name = name.expect("a service").trim_end_matches(" {");
        for call in service.lines().filter_map(|line| line.trim().strip_prefix("rpc ")) {
            let call = call.split('(').next().expect("a name");
            let path = format!("{name}/{call}");
            let is_whole = |(at, _): (usize, &str)| {
                let behind = code.get(at + path.len()..).expect("a place");
                !behind.starts_with(|letter: char| letter.is_ascii_alphanumeric())
            };
            assert!(code.match_indices(&path).any(is_whole), "{path} has no example");
            calls += 1;
        }
    }
    assert!(calls >= 37, "{calls}");
}

#[test]
fn a_heading_stands_free_and_a_table_names_each_field_once() {
    for (name, document) in
        [("JSONL", JSONL), ("MEMBERS", MEMBERS), ("OPERATIONS", OPERATIONS), ("PROTOCOL", PROTOCOL)]
    {
        let (text, _code) = parted(document);
        for pair in text.windows(2) {
            let is_free = !pair[1].starts_with('#') || pair[0].is_empty();
            assert!(is_free, "{name}: {:?} has no empty line above it", pair[1]);
        }
    }
    let mut fields = BTreeSet::new();
    let mut rows = 0;
    for line in parted(JSONL).0 {
        if !line.starts_with('|') {
            fields.clear();
        }
        let Some((first, _rest)) = line.strip_prefix("| ").and_then(|row| row.split_once(" |"))
        else {
            continue;
        };
        for field in first.split(", ").filter(|field| field.starts_with('`')) {
            assert!(fields.insert(field), "{field} stands twice in one table");
            rows += 1;
        }
    }
    assert!(rows > 40, "{rows}");
}

#[test]
fn fields_are_spelt_as_they_are_printed() {
    let mut paths = 0;
    for (name, document) in [("JSONL", JSONL), ("MEMBERS", MEMBERS)] {
        let (text, code) = parted(document);
        let is_camel = |word: &str| {
            word.starts_with(|letter: char| letter.is_ascii_lowercase())
                && word.contains(|letter: char| letter.is_ascii_uppercase())
                && word.chars().all(|letter| letter.is_ascii_alphanumeric())
        };
        let text = text.join("\n");
        for word in text.split('`').skip(1).step_by(2) {
            assert!(!is_camel(word), "{name}: {word} is printed with underscores");
        }
        for line in code.iter().filter(|line| line.contains("jq ")) {
            let words = line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            paths += 1;
            for word in words {
                assert!(!is_camel(word), "{name}: {line}");
            }
        }
    }
    assert!(paths >= 5, "{paths}");
}

/// The manifests of the project and what their dependencies are for; the last is not beside every version.
const MANIFESTS: [(&str, &[(&str, &str)]); 3] = [
    (
        "Cargo.toml",
        &[
            ("dependencies", "programs"),
            ("build-dependencies", "build"),
            ("dev-dependencies", "tests"),
        ],
    ),
    ("benches/peers/Cargo.toml", &[("dependencies", "peers")]),
    ("tests/fuzz/guided/Cargo.toml", &[("dependencies", "fuzzing")]),
];

/// Each crate that a manifest names, but those of the project itself, with where it is used.
fn dependencies() -> BTreeMap<String, Vec<&'static str>> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (path, sections) in MANIFESTS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let manifest: toml::Table = text.parse().expect("a manifest");
        for (section, place) in sections {
            let Some(entries) = manifest.get(*section).and_then(toml::Value::as_table) else {
                continue;
            };
            for (name, _of) in entries.iter().filter(|(_name, of)| of.get("path").is_none()) {
                found.entry(name.clone()).or_default().push(place);
            }
        }
    }
    found
}

#[test]
fn every_direct_dependency_is_justified_and_none_that_is_gone() {
    let rows = CRATES.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut justified = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        let [name, places, why] = cells.as_slice() else { panic!("{row} has not three cells") };
        let name = name.trim_end_matches('`').to_owned();
        assert!(why.len() > 7, "{name} has no reason");
        let places: Vec<&str> = places.split(", ").collect();
        assert!(justified.insert(name, places).is_none(), "{row} stands there twice");
    }
    let used = dependencies();
    assert!(used.len() >= 80, "{} dependencies", used.len());
    for (name, places) in &used {
        assert_eq!(justified.get(name), Some(places), "docs/adr/0008: the row of {name}");
    }
    let gone: Vec<&String> = justified.keys().filter(|name| !used.contains_key(*name)).collect();
    assert!(gone.is_empty(), "docs/adr/0008 justifies what is no dependency: {gone:?}");
}
