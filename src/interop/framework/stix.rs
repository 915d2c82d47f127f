//! A STIX 2.1 bundle of attack patterns, as DISARM and ATT&CK publish them.
//!
//! Only what is used is kept while the file is read, so that a bundle of other things costs nothing. DISARM calls its
//! own codes `mitre-attack`: the source of the tactics says which framework it is.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::interop::framework::FrameworkError;
use crate::interop::framework::Tactic;
use crate::interop::framework::Technique;
use crate::interop::framework::build::Placed;
use crate::model::limits;

const PATTERN: &str = "attack-pattern";
const TACTIC: &str = "x-mitre-tactic";
const MATRIX: &str = "x-mitre-matrix";
const RELATIONSHIP: &str = "relationship";
const KIND_OF: &str = "subtechnique-of";

/// The objects of a bundle that say something about techniques, each with its place.
pub(super) struct Objects(Vec<(usize, Object)>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    name: String,
    description: String,
    external_references: Vec<Reference>,
    kill_chain_phases: Vec<Phase>,
    x_mitre_shortname: String,
    x_mitre_id: String,
    revoked: bool,
    x_mitre_deprecated: bool,
    relationship_type: String,
    source_ref: String,
    target_ref: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    source_name: String,
    external_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Phase {
    kill_chain_name: String,
    phase_name: String,
}

impl<'de> Deserialize<'de> for Objects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Keep)
    }
}

struct Keep;

impl<'de> Visitor<'de> for Keep {
    type Value = Objects;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of STIX objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Objects, A::Error> {
        let mut kept: Vec<(usize, Object)> = Vec::new();
        let mut place = 0_usize;
        while let Some(object) = list.next_element::<Object>()? {
            let is_kept = match object.kind.as_str() {
                PATTERN | TACTIC | MATRIX => true,
                RELATIONSHIP => object.relationship_type == KIND_OF,
                _ => false,
            };
            if is_kept {
                kept.push((place, object));
            }
            if kept.len() > limits::FRAMEWORK_OBJECTS_MAX {
                let most = limits::FRAMEWORK_OBJECTS_MAX;
                return Err(A::Error::custom(format!("more than {most} objects")));
            }
            place += 1;
        }
        Ok(Objects(kept))
    }
}

/// The framework's own name, and its techniques.
pub(super) fn techniques(objects: Objects) -> Result<(String, Vec<Placed>), FrameworkError> {
    let Objects(objects) = objects;
    let name = name(&objects);
    let tactics: HashMap<String, Tactic> = tactics(&objects);
    let mut codes: HashMap<&str, String> = HashMap::new();
    for (place, object) in of_kind(&objects, PATTERN) {
        let code = code(object);
        if code.is_empty() {
            return Err(FrameworkError::at(&at(place, object), "it has no code"));
        }
        if !object.id.is_empty() && codes.insert(&object.id, code).is_some() {
            return Err(FrameworkError::at(&at(place, object), "its id stands there twice"));
        }
    }
    let mut parents: HashMap<&str, &str> = HashMap::new();
    for (place, relation) in of_kind(&objects, RELATIONSHIP) {
        let Some(parent) = codes.get(relation.target_ref.as_str()) else { continue };
        let before = parents.insert(&relation.source_ref, parent);
        if before.is_some_and(|before| before != parent) {
            let why = format!("{} is a kind of two techniques", relation.source_ref);
            return Err(FrameworkError::at(&at(place, relation), why));
        }
    }
    let found = of_kind(&objects, PATTERN).map(|(place, object)| Placed {
        place: at(place, object),
        technique: Technique {
            external_id: code(object),
            name: object.name.clone(),
            description: object.description.clone(),
            tactics: object
                .kill_chain_phases
                .iter()
                .map(|phase| tactic(&tactics, &phase.phase_name))
                .collect(),
            parent: parents.get(object.id.as_str()).copied().unwrap_or_default().to_owned(),
            retired: object.revoked || object.x_mitre_deprecated,
        },
    });
    Ok((name, found.collect()))
}

fn of_kind<'a>(
    objects: &'a [(usize, Object)],
    kind: &'static str,
) -> impl Iterator<Item = (usize, &'a Object)> {
    let all = objects.iter().filter(move |(_, object)| object.kind == kind);
    all.map(|(place, object)| (*place, object))
}

fn at(place: usize, object: &Object) -> String {
    let id: String = object.id.chars().take(80).collect();
    format!("objects[{place}] ({})", crate::model::visible::visible_line(&id))
}

/// What the tactics say, else what the kill chains are called, if they agree.
fn name(objects: &[(usize, Object)]) -> String {
    let sources = of_kind(objects, TACTIC)
        .filter_map(|(_, tactic)| Some(tactic.external_references.first()?.source_name.as_str()));
    let chains = of_kind(objects, PATTERN).flat_map(|(_, pattern)| {
        pattern.kill_chain_phases.iter().map(|phase| phase.kill_chain_name.as_str())
    });
    let agreed = |names: BTreeSet<&str>| match names.iter().next() {
        Some(one) if names.len() == 1 => Some((*one).to_owned()),
        _ => None,
    };
    agreed(sources.collect()).or_else(|| agreed(chains.collect())).unwrap_or_default()
}

/// The tactics by the short name under which patterns name them.
fn tactics(objects: &[(usize, Object)]) -> HashMap<String, Tactic> {
    let found = of_kind(objects, TACTIC).map(|(_, object)| {
        let tactic = Tactic { external_id: code(object), name: object.name.clone() };
        (object.x_mitre_shortname.clone(), tactic)
    });
    found.collect()
}

fn tactic(known: &HashMap<String, Tactic>, short_name: &str) -> Tactic {
    let unknown = || Tactic { external_id: String::new(), name: short_name.replace('-', " ") };
    known.get(short_name).cloned().unwrap_or_else(unknown)
}

fn code(object: &Object) -> String {
    let mut codes = object.external_references.iter().map(|reference| &reference.external_id);
    codes.find(|code| !code.is_empty()).unwrap_or(&object.x_mitre_id).clone()
}
