//! Frameworks of techniques, as the operator or a reader supplies them: DISARM as STIX 2.1 or as a MISP galaxy, and
//! Meta's Online Operations Kill Chain as CSV.
//!
//! A technique is known by framework, version and code, and by nothing else: names and ids of STIX change between
//! releases, labels drift within one file. Codes that are not here are kept by whoever has them, and told about
//! (docs/adr/0029). Files are believed in nothing: what is too much, too deep or said twice is refused with its place.
//!
//! | file | told by | code | version |
//! |---|---|---|---|
//! | STIX bundle | `objects` | `external_id` of the first reference of its source, else `x_mitre_id` | in the file's name |
//! | MISP galaxy | `values` | `meta.external_id` | `misp-galaxy-N`, its own |
//! | kill chain | its header | the leading number of Procedure, and that of Technique | in the file's name |

mod build;
mod galaxy;
mod judge;
mod kill_chain;
mod load;
mod read;
mod search;
mod stix;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use self::judge::Judgement;
pub use self::load::FrameworkFile;
pub use self::load::FrameworkLoadError;
pub use self::read::FrameworkError;
pub use self::search::TechniqueQuery;

use crate::interop::framework::search::Index;
use crate::model::limits;

/// What a framework is called on the wire, of those that files call otherwise.
const NAMES: [(&str, &str); 2] = [("mitre-attack", "attack"), ("disarm framework", "disarm")];

/// Some frameworks, ready to be asked.
#[derive(Debug, Default)]
pub struct Frameworks {
    frameworks: Vec<Framework>,
    index: Index,
}

/// One framework in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framework {
    /// Its name on the wire, lower case: `disarm`, `online-operations-kill-chain`.
    pub name: String,
    /// Its version; empty if nothing says it.
    pub version: String,
    /// Its techniques, by code.
    pub techniques: Vec<Technique>,
    /// Where a technique stands, by its code in lower case.
    places: HashMap<String, usize>,
}

/// One technique of a framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Technique {
    /// Its code, `T0013` or `0.9.4`.
    pub external_id: String,
    /// Its name.
    pub name: String,
    /// What it means, up to [`limits::TEXT_BYTES_MAX`].
    pub description: String,
    /// The tactics or phases that it belongs to.
    pub tactics: Vec<Tactic>,
    /// The code of the technique that it is a kind of; empty if of none.
    pub parent: String,
    /// Whether the framework itself has given it up.
    pub retired: bool,
}

/// A tactic or phase of a framework.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tactic {
    /// Its code, `TA15` or `0`; empty where a file has none.
    pub external_id: String,
    /// Its name.
    pub name: String,
}

impl Frameworks {
    /// The frameworks, in the order in which they were added.
    pub fn all(&self) -> &[Framework] {
        &self.frameworks
    }

    /// Adds a framework. What would be ambiguous or too much is refused, and nothing is changed then.
    pub fn add(&mut self, framework: Framework) -> Result<(), FrameworkError> {
        let is_there = |other: &Framework| {
            other.name == framework.name && other.version.eq_ignore_ascii_case(&framework.version)
        };
        if self.frameworks.iter().any(is_there) {
            let why = format!("{} is there already; say which version it is", framework.title());
            return Err(FrameworkError::whole(why));
        }
        let techniques: usize = self.frameworks.iter().map(|one| one.techniques.len()).sum();
        if self.frameworks.len() >= limits::FRAMEWORKS_MAX
            || techniques.saturating_add(framework.techniques.len())
                > limits::FRAMEWORK_TECHNIQUES_MAX
        {
            let most = (limits::FRAMEWORKS_MAX, limits::FRAMEWORK_TECHNIQUES_MAX);
            let why = format!(
                "at most {} frameworks with {} techniques in all are taken",
                most.0, most.1
            );
            return Err(FrameworkError::whole(why));
        }
        self.index.add(self.frameworks.len(), &framework);
        self.frameworks.push(framework);
        Ok(())
    }

    /// The technique with a code; any case. An empty version means any: the first that has it.
    pub fn technique(
        &self,
        framework: &str,
        version: &str,
        external_id: &str,
    ) -> Option<(&Framework, &Technique)> {
        let of = |one: &&Framework| {
            one.name.eq_ignore_ascii_case(framework)
                && (version.is_empty() || one.version.eq_ignore_ascii_case(version))
        };
        let mut found = self.frameworks.iter().filter(of);
        found.find_map(|one| Some((one, one.technique(external_id)?)))
    }
}

impl Framework {
    /// Name and version, for people.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.version).trim_end().to_owned()
    }

    /// The technique with a code; any case, and `0.9.11.0` is `0.9.11`.
    pub fn technique(&self, external_id: &str) -> Option<&Technique> {
        let place = self.places.get(&build::key(external_id))?;
        self.techniques.get(*place)
    }
}
