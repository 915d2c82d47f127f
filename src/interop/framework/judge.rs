//! What frameworks say about a technique that somebody names. It is never a reason to refuse one.

use crate::interop::framework::Frameworks;
use crate::interop::framework::Technique;

/// What is said about a technique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement<'a> {
    /// It is known.
    Known(&'a Technique),
    /// The framework is not here: nothing can be said.
    FrameworkNotHere,
    /// The framework is here, and has no such code in any version that is.
    Unknown {
        /// The versions that were asked.
        titles: Vec<String>,
    },
    /// The code is not in the version that it was named with, or that version is not here; another one has it.
    OtherVersion {
        /// Those that have it.
        titles: Vec<String>,
        /// Whether the version that it was named with is here.
        is_here: bool,
    },
}

impl Frameworks {
    /// What the frameworks say about a technique by its framework, version and code. An empty version means any.
    pub fn judge(&self, framework: &str, version: &str, external_id: &str) -> Judgement<'_> {
        let own = |one: &&super::Framework| one.name.eq_ignore_ascii_case(framework);
        let mut here = self.all().iter().filter(own).peekable();
        if here.peek().is_none() {
            return Judgement::FrameworkNotHere;
        }
        if let Some((_, technique)) = self.technique(framework, version, external_id) {
            return Judgement::Known(technique);
        }
        let (mut having, mut others, mut is_here) = (Vec::new(), Vec::new(), false);
        for one in here {
            is_here |= one.version.eq_ignore_ascii_case(version);
            let has = one.technique(external_id).is_some();
            if has { having.push(one.title()) } else { others.push(one.title()) }
        }
        if having.is_empty() {
            return Judgement::Unknown { titles: others };
        }
        Judgement::OtherVersion { titles: having, is_here }
    }
}
