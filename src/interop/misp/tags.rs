//! Tags: labels, techniques, confidence and regions, in the taxonomies and galaxies that MISP ships.

use serde_json::Value;
use serde_json::json;

use crate::interop::techniques::KILL_CHAIN;
use crate::model::handling::OnwardUse;
use crate::model::handling::Tlp;
use crate::model::visible::visible_line;
use crate::wire::pb;

/// Characters of a tag's name: MISP keeps no more.
const TAG_CHARACTERS_MAX: usize = 255;
/// Techniques of one operation that become tags.
const TECHNIQUES_MAX: usize = 256;
/// Tags of techniques of one asset: an event may have many thousands of assets.
const ASSET_TAGS_MAX: usize = 16;
/// The labels, and nothing else that begins like them.
const LABELS: [&str; 5] = ["tlp:clear", "tlp:green", "tlp:amber", "tlp:amber+strict", "tlp:red"];
/// Frameworks that have a namespace of their own. Members name frameworks as they like: another name could be that of a
/// taxonomy or a galaxy, in which a tag means something.
const FRAMEWORKS: [&str; 4] = ["disarm", "attack", "mitre-attack", KILL_CHAIN];

/// The tag of a label (taxonomy `tlp`, which has the labels of TLP 2.0).
pub(super) fn tlp(label: Tlp) -> &'static str {
    match label {
        Tlp::Clear => "tlp:clear",
        Tlp::Green => "tlp:green",
        Tlp::Amber => "tlp:amber",
        Tlp::AmberStrict => "tlp:amber+strict",
        Tlp::Red => "tlp:red",
    }
}

/// Whether a tag is that of a label.
pub(super) fn is_label(tag: &str) -> bool {
    LABELS.contains(&tag)
}

/// The tag of an onward use: no taxonomy has these.
pub(super) fn onward_use(onward: OnwardUse) -> String {
    format!("watchfire:may=\"{}\"", onward.as_str())
}

/// The tag of a stated confidence (taxonomy `estimative-language`), cut as STIX 2.1 cuts its scale in three.
pub(super) fn confidence(percent: u32) -> &'static str {
    match percent {
        0..30 => "estimative-language:confidence-in-analytic-judgment=\"low\"",
        30..70 => "estimative-language:confidence-in-analytic-judgment=\"moderate\"",
        70.. => "estimative-language:confidence-in-analytic-judgment=\"high\"",
    }
}

/// Tags of techniques. Each has a plain one with the framework's code, which is what counts; those of DISARM and ATT&CK
/// also have the one of MISP's galaxy, which MISP resolves if its release of the framework calls the technique the same.
pub(super) fn techniques(techniques: &[pb::Technique]) -> Vec<String> {
    techniques.iter().take(TECHNIQUES_MAX).flat_map(technique).collect()
}

/// The same of an asset, of so many techniques as have room, and how many have none.
pub(super) fn of_asset(techniques: &[pb::Technique]) -> (Vec<String>, usize) {
    let mut tags = Vec::new();
    for (number, one) in techniques.iter().enumerate() {
        let more = technique(one);
        if tags.len() + more.len() > ASSET_TAGS_MAX {
            return (tags, techniques.len() - number);
        }
        tags.extend(more);
    }
    (tags, 0)
}

fn technique(technique: &pb::Technique) -> Vec<String> {
    let pb::Technique { framework, external_id, name, .. } = technique;
    let (code, name) = (value(external_id), value(name));
    let framework = namespace(framework);
    let mut tags = Vec::new();
    if framework.is_empty() || code.is_empty() {
        return tags;
    }
    match framework.as_str() {
        "disarm" if !name.is_empty() => {
            tags.push(format!("misp-galaxy:disarm-techniques=\"{name}\""));
        }
        "attack" | "mitre-attack" if !name.is_empty() => {
            tags.push(format!("misp-galaxy:mitre-attack-pattern=\"{name} - {code}\""));
        }
        _ => {}
    }
    tags.push(if FRAMEWORKS.contains(&framework.as_str()) {
        format!("{framework}:technique=\"{code}\"")
    } else {
        format!("watchfire:technique=\"{framework} {code}\"")
    });
    tags.retain(|tag| tag.chars().count() <= TAG_CHARACTERS_MAX);
    tags
}

/// Tags of the regions that an operation came from and aimed at (taxonomy `DFRLab-dichotomies-of-disinformation`).
pub(super) fn regions(operation: &pb::Operation) -> Vec<String> {
    let tag = |predicate: &str, region: &String| {
        let is_code = region.len() == 2 && region.bytes().all(|byte| byte.is_ascii_uppercase());
        is_code.then(|| format!("DFRLab-dichotomies-of-disinformation:{predicate}=\"{region}\""))
    };
    let aimed = operation.target_regions.iter().filter_map(|region| tag("primary-target", region));
    let came =
        operation.origin_regions.iter().filter_map(|region| tag("primary-disinformant", region));
    aimed.chain(came).collect()
}

/// Tags as a feed has them, each once, in order.
pub(super) fn to_json(mut tags: Vec<String>) -> Value {
    tags.sort_unstable();
    tags.dedup();
    tags.into_iter()
        .map(|name| json!({ "colour": colour(&name), "local": false, "name": name, "relationship_type": "" }))
        .collect()
}

/// Colours as the taxonomy `tlp` has them; one for all others.
fn colour(tag: &str) -> &'static str {
    match tag {
        "tlp:clear" => "#ffffff",
        "tlp:green" => "#33ff00",
        "tlp:amber" | "tlp:amber+strict" => "#ffc000",
        "tlp:red" => "#ff2b2b",
        _ => "#3f51b5",
    }
}

/// A text that stands between quotation marks.
fn value(text: &str) -> String {
    visible_line(text).replace(['"', '\\'], "'")
}

/// A framework's name as the first part of a tag.
fn namespace(framework: &str) -> String {
    let lower = framework.to_ascii_lowercase();
    lower.chars().filter(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '.')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(framework: &str, code: &str, name: &str) -> Vec<String> {
        technique(&pb::Technique {
            framework: framework.to_owned(),
            external_id: code.to_owned(),
            name: name.to_owned(),
            ..pb::Technique::default()
        })
    }

    #[test]
    fn a_technique_has_its_code_and_where_there_is_one_its_galaxy() {
        assert_eq!(
            one("disarm", "T0002", "Facilitate State Propaganda"),
            [
                "misp-galaxy:disarm-techniques=\"Facilitate State Propaganda\"",
                "disarm:technique=\"T0002\""
            ]
        );
        assert_eq!(one("disarm", "T0002", ""), ["disarm:technique=\"T0002\""]);
        assert_eq!(
            one("attack", "T1566", "Phishing").first().map(String::as_str),
            Some("misp-galaxy:mitre-attack-pattern=\"Phishing - T1566\"")
        );
        assert_eq!(
            one("online-operations-kill-chain", "0.9.4", "Buying"),
            ["online-operations-kill-chain:technique=\"0.9.4\""]
        );
    }

    #[test]
    fn nobody_writes_a_tag_of_his_choice() {
        let tags = one("tlp", "x\"\ny", "n");
        assert_eq!(tags, ["watchfire:technique=\"tlp x' y\""]);
        for taken in ["misp-galaxy", "estimative-language", "Watchfire", "admiralty-scale", "PAP"] {
            let tags = one(taken, "x", "n");
            assert!(tags.iter().all(|tag| tag.starts_with("watchfire:technique=")), "{tags:?}");
        }
        assert!(is_label("tlp:amber+strict") && !is_label("tlp:technique=\"x\""));
        assert!(one("", "T1", "n").is_empty() && one("disarm", "\u{202e}", "n").is_empty());
        assert!(one("disarm", &"T".repeat(300), "n").len() <= 1);
    }

    #[test]
    fn an_asset_has_few_tags_however_many_techniques_it_has() {
        let technique = |number: usize| pb::Technique {
            framework: "disarm".to_owned(),
            external_id: format!("T{number:04}"),
            name: format!("Name {number}"),
            ..pb::Technique::default()
        };
        let many: Vec<pb::Technique> = (0..256).map(technique).collect();
        let (tags, further) = of_asset(&many);
        assert_eq!((tags.len(), further), (16, 248));
        assert_eq!(of_asset(&many[..8]).1, 0);
    }

    #[test]
    fn confidence_has_three_words() {
        for (percent, word) in
            [(0, "low"), (29, "low"), (30, "moderate"), (69, "moderate"), (100, "high")]
        {
            assert!(confidence(percent).ends_with(&format!("=\"{word}\"")), "{percent}");
        }
    }
}
