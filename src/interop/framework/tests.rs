use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use super::*;
use crate::model::text::query_words;

fn pattern(id: &str, code: &str, name: &str) -> Value {
    json!({
        "type": "attack-pattern", "id": format!("attack-pattern--{id}"), "name": name,
        "description": format!("What {name} means"),
        "kill_chain_phases": [{"kill_chain_name": "mitre-attack", "phase_name": "plan-strategy"}],
        "external_references": [{"source_name": "mitre-attack", "external_id": code}],
    })
}

fn kind_of(source: &str, target: &str) -> Value {
    json!({
        "type": "relationship", "id": format!("relationship--{source}{target}"),
        "relationship_type": "subtechnique-of",
        "source_ref": format!("attack-pattern--{source}"),
        "target_ref": format!("attack-pattern--{target}"),
    })
}

fn bundle(objects: &[Value]) -> Vec<u8> {
    let tactic = json!({
        "type": "x-mitre-tactic", "name": "Plan Strategy", "x_mitre_shortname": "plan-strategy",
        "external_references": [{"source_name": "DISARM", "external_id": "TA01"}],
    });
    let objects: Vec<&Value> = std::iter::once(&tactic).chain(objects).collect();
    json!({"type": "bundle", "objects": objects}).to_string().into_bytes()
}

fn parse(objects: &[Value]) -> Result<Framework, FrameworkError> {
    Framework::parse("DISARM-1.6.json", &bundle(objects), "", "")
}

#[track_caller]
fn check_refused(file: &str, text: &[u8], expected: &str) {
    let error = Framework::parse(file, text, "", "").unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[track_caller]
fn check_objects_refused(objects: &[Value], expected: &str) {
    check_refused("DISARM-1.6.json", &bundle(objects), expected);
}

fn two_versions() -> Frameworks {
    let mut frameworks = Frameworks::default();
    let old =
        bundle(&[pattern("1", "T0013", "Create fake websites"), pattern("2", "T0009", "Old")]);
    frameworks.add(Framework::parse("DISARM-1.5.json", &old, "", "").unwrap()).unwrap();
    let new = bundle(&[
        pattern("1", "T0013", "Create Inauthentic Websites"),
        pattern("3", "T0013.001", "Copied Websites"),
        kind_of("3", "1"),
    ]);
    frameworks.add(Framework::parse("DISARM-1.6.json", &new, "", "").unwrap()).unwrap();
    frameworks
}

#[test]
fn a_bundle_is_a_framework_with_its_version_from_the_name() {
    let frameworks = two_versions();
    let framework = frameworks.all().last().unwrap();
    assert_eq!((framework.name.as_str(), framework.version.as_str()), ("disarm", "1.6"));
    let technique = framework.technique("t0013.001").unwrap();
    assert_eq!((technique.name.as_str(), technique.parent.as_str()), ("Copied Websites", "T0013"));
    let tactic = Tactic { external_id: "TA01".to_owned(), name: "Plan Strategy".to_owned() };
    assert_eq!(technique.tactics, [tactic]);
}

#[test]
fn what_the_operator_says_of_a_file_counts_before_the_file() {
    let text = bundle(&[pattern("1", "T0013", "Create")]);
    let framework = Framework::parse("x.json", &text, "own-words", "7").unwrap();
    assert_eq!(framework.title(), "own-words 7");
    assert_eq!(Framework::parse("x.json", &text, "", "").unwrap().title(), "disarm");
}

#[test]
fn a_technique_is_judged_by_framework_version_and_code() {
    let frameworks = two_versions();
    let judge = |version: &str, code: &str| frameworks.judge("DISARM", version, code);
    assert!(matches!(judge("1.6", "T0013"), Judgement::Known(_)));
    assert!(matches!(judge("", "t0009"), Judgement::Known(_)));
    assert_eq!(frameworks.judge("attack", "", "T1059"), Judgement::FrameworkNotHere);
    let titles = vec!["disarm 1.5".to_owned()];
    assert_eq!(judge("1.6", "T0009"), Judgement::OtherVersion { titles, is_here: true });
    let titles = vec!["disarm 1.6".to_owned()];
    assert_eq!(judge("1.7", "T0013.001"), Judgement::OtherVersion { titles, is_here: false });
    let titles = vec!["disarm 1.5".to_owned(), "disarm 1.6".to_owned()];
    assert_eq!(judge("1.6", "T9999"), Judgement::Unknown { titles });
}

fn found(frameworks: &Frameworks, query: &TechniqueQuery) -> Vec<String> {
    let found = frameworks.search(query).into_iter();
    found.map(|(one, technique)| format!("{} {}", one.version, technique.external_id)).collect()
}

#[test]
fn techniques_are_found_by_words_codes_and_tactics() {
    let frameworks = two_versions();
    let words = |text: &str| TechniqueQuery {
        words: query_words(text).unwrap(),
        ..TechniqueQuery::default()
    };
    assert_eq!(found(&frameworks, &words("INAUTHENTIC")), ["1.6 T0013"]);
    assert_eq!(found(&frameworks, &words("websit")).len(), 3, "words that begin with it");
    assert_eq!(found(&frameworks, &words("we")).len(), 0, "too short for that");
    assert_eq!(found(&frameworks, &words("T0013.001")), ["1.6 T0013.001"]);
    assert_eq!(found(&frameworks, &words("ta01")).len(), 4);
    let codes = |codes: &[&str]| TechniqueQuery {
        external_ids: codes.iter().map(|code| (*code).to_owned()).collect(),
        ..TechniqueQuery::default()
    };
    assert_eq!(found(&frameworks, &codes(&["t0013"])), ["1.5 T0013", "1.6 T0013"]);
    assert_eq!(found(&frameworks, &codes(&["disarm/T0009", "attack/T0013"])), ["1.5 T0009"]);
    let tactic = TechniqueQuery {
        tactic: "plan strategy".to_owned(),
        version: "1.6".to_owned(),
        ..TechniqueQuery::default()
    };
    assert_eq!(found(&frameworks, &tactic), ["1.6 T0013", "1.6 T0013.001"]);
}

#[test]
fn the_kill_chain_is_keyed_by_number() {
    let text = "Tactic ,Technique,Procedure\r\n\
                0. Acqiuring Assets,0.6 Acquiring domains,\"0.6.1 Acquiring domains,\nmalware\"\r\n\
                ,,\r\n\
                0. Acquiring assets,0.6. Domains,0.6.2.0  Operating\u{200b} domains \r\n";
    let framework = Framework::parse("ttps.csv", text.as_bytes(), "", "").unwrap();
    assert_eq!(framework.title(), "online-operations-kill-chain");
    let codes: Vec<&str> =
        framework.techniques.iter().map(|one| one.external_id.as_str()).collect();
    assert_eq!(codes, ["0.6", "0.6.1", "0.6.2"]);
    let technique = framework.technique("0.6.2.0").unwrap();
    assert_eq!((technique.name.as_str(), technique.parent.as_str()), ("Operating domains", "0.6"));
    assert_eq!(technique.tactics.first().unwrap().name, "Acquiring assets");
    assert_eq!(framework.technique("0.6").unwrap().name, "Acquiring domains");
}

#[test]
fn files_that_are_none_are_refused_with_their_place() {
    check_refused("a.json", b"{", "line 1");
    check_refused("a.json", b"{\"a\": 1}", "neither a STIX bundle");
    check_refused("a.json", b"{\"objects\": [{\"type\": 7}]}", "line 1 column");
    check_refused("a.json", b"{\"objects\": []}", "no technique");
    check_refused("a.json", b"{\"values\": [{\"value\": \"x\"}]}", "values[0]: it has no meta");
    check_refused("a.csv", b"a,b\n", "neither JSON nor a list");
    check_refused("a.csv", b"Tactic,Technique,Procedure\na,b,\"c\n", "never closed");
    check_refused(
        "a.csv",
        b"Tactic,Technique,Procedure\na,0.1 b,c\n",
        "line 2: there is no number",
    );
    check_refused("a.csv", b"Tactic,Technique,Procedure\n\xff,0.1 b,0.1.1 c\n", "line 2");
    check_refused("a.csv", b"", "there is no technique");
}

#[test]
fn what_is_ambiguous_or_circular_is_refused() {
    let (one, two) = (pattern("1", "T0001", "One"), pattern("2", "T0002", "Two"));
    check_objects_refused(
        &[one.clone(), pattern("2", "t0001", "Two")],
        "objects[2] (attack-pattern--2): t0001 stands at objects[1] (attack-pattern--1) already",
    );
    check_objects_refused(
        &[one.clone(), pattern("1", "T0002", "Two")],
        "its id stands there twice",
    );
    check_objects_refused(&[one.clone(), kind_of("1", "1")], "T0001 is a technique below itself");
    check_objects_refused(
        &[one.clone(), two.clone(), kind_of("1", "2"), kind_of("2", "1")],
        "is a technique below itself",
    );
    let three = pattern("3", "T0003", "Three");
    check_objects_refused(
        &[one, two, three, kind_of("1", "2"), kind_of("1", "3")],
        "is a kind of two techniques",
    );
    check_objects_refused(&[pattern("1", "", "One")], "it has no code");
    check_objects_refused(&[pattern("1", "T 1\u{202e}", "One")], "is no code of a technique");
}

#[test]
fn a_code_that_was_given_up_gives_way() {
    let mut old = pattern("1", "T0001", "Old");
    old["revoked"] = json!(true);
    let new = pattern("2", "T0001", "New");
    for objects in [[old.clone(), new.clone()], [new, old.clone()]] {
        assert_eq!(parse(&objects).unwrap().technique("T0001").unwrap().name, "New");
    }
    assert!(parse(&[old]).unwrap().technique("T0001").unwrap().retired);
}

#[test]
fn texts_are_made_fit_to_be_shown() {
    let framework = parse(&[pattern("1", "T0001", "a\u{1b}[31m\r\nb\u{202e}")]).unwrap();
    assert_eq!(framework.technique("T0001").unwrap().name, "a[31m b");
    let long = "x".repeat(limits::LABEL_BYTES_MAX + 1);
    check_objects_refused(&[pattern("1", "T0001", &long)], "the name is longer than");
    let mut told = pattern("1", "T0001", "One");
    told["description"] = json!("é".repeat(limits::TEXT_BYTES_MAX));
    let description = parse(&[told]).unwrap().technique("T0001").unwrap().description.clone();
    assert!(description.len() <= limits::TEXT_BYTES_MAX, "{}", description.len());
}

#[test]
fn what_is_too_much_is_refused_and_changes_nothing() {
    let nested = format!("{{\"objects\": [{{\"x\": {}", "[".repeat(10_000));
    check_refused("a.json", nested.as_bytes(), "EOF while parsing");
    let many = (0..=limits::FRAMEWORK_OBJECTS_MAX).map(|_| "{\"type\":\"x-mitre-tactic\"}");
    let many = format!("{{\"objects\": [{}]}}", many.collect::<Vec<_>>().join(","));
    check_refused("a.json", many.as_bytes(), "more than 100000 objects");
    let huge = vec![b' '; limits::FRAMEWORK_FILE_BYTES_MAX + 1];
    check_refused("a.json", &huge, "larger than");
    let mut frameworks = two_versions();
    let again = parse(&[pattern("1", "T0001", "One")]).unwrap();
    assert!(frameworks.add(again).unwrap_err().to_string().contains("is there already"));
    assert_eq!(frameworks.all().len(), 2);
}

#[test]
fn objects_of_other_kinds_cost_nothing() {
    let other = "{\"type\":\"identity\",\"name\":\"x\"},".repeat(200_000);
    let text = String::from_utf8(bundle(&[pattern("1", "T0001", "One")])).unwrap();
    let text = text.replacen("\"objects\":[", &format!("\"objects\":[{other}"), 1);
    assert_eq!(Framework::parse("a.json", text.as_bytes(), "", "").unwrap().techniques.len(), 1);
}

/// Published frameworks, where they lie beside the project.
fn published(path: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(path);
    found.exists().then_some(found)
}

#[test]
fn published_frameworks_are_read_whole() {
    let cases = [
        ("disarm/DISARM-1.6.json", "disarm 1.6", 391),
        ("misp-galaxy/clusters/disarm-techniques.json", "disarm misp-galaxy-2", 298),
        (
            "meta-threat-research/Online_Operations_Killchain-TTPs.csv",
            "online-operations-kill-chain",
            161 + 54,
        ),
    ];
    let files: Vec<FrameworkFile> = cases
        .iter()
        .filter_map(|(path, ..)| published(path))
        .map(|path| FrameworkFile { path, ..FrameworkFile::default() })
        .collect();
    if files.is_empty() {
        return;
    }
    let frameworks = Frameworks::load(&files).unwrap();
    let read: Vec<(String, usize)> =
        frameworks.all().iter().map(|one| (one.title(), one.techniques.len())).collect();
    let expected: Vec<(String, usize)> =
        cases.iter().map(|(_, title, count)| ((*title).to_owned(), *count)).collect();
    assert_eq!(read, expected);
    let (_, technique) = frameworks.technique("disarm", "1.6", "T0014.001").unwrap();
    assert_eq!(technique.parent, "T0014");
    let (_, galaxy) = frameworks.technique("disarm", "misp-galaxy-2", "T0002").unwrap();
    assert_eq!(galaxy.tactics.first().unwrap().name, "Plan Objectives");
}
