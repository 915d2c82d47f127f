//! The operator's frameworks of techniques, as the hub tells of them. It is the hub's word, and names nothing that
//! anybody signed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::interop::framework::Tactic;
use crate::interop::framework::Technique;
use crate::model::limits;
use crate::wire::pb;

/// What to search frameworks for. Fields are joined by AND, codes by OR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TechniqueSearch {
    /// Words, all of which a technique must have; empty for any.
    pub text: String,
    /// The framework; empty for any.
    pub framework: String,
    /// Its version; empty for any.
    pub version: String,
    /// Codes, perhaps with their framework before them; none for any.
    pub external_ids: Vec<String>,
    /// Code or name of a tactic; empty for any.
    pub tactic: String,
}

/// A technique of a framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTechnique {
    /// The framework.
    pub framework: String,
    /// Its version; empty if nothing says it.
    pub version: String,
    /// The technique.
    pub technique: Technique,
}

/// A framework that the hub has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFramework {
    /// Its name.
    pub name: String,
    /// Its version; empty if nothing says it.
    pub version: String,
    /// How many techniques it has.
    pub techniques: u64,
}

/// A page of techniques.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TechniquesFound {
    /// The techniques, those that fit best first.
    pub techniques: Vec<ListedTechnique>,
    /// Every framework that the hub has.
    pub frameworks: Vec<ListedFramework>,
    /// The token of the next page; `None` after the last.
    pub next: Option<String>,
}

/// Names of techniques that records left out, by framework and code in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TechniqueNames(BTreeMap<(String, String), Technique>);

impl TechniqueNames {
    /// Of several versions the first that is listed counts.
    fn add(&mut self, techniques: Vec<ListedTechnique>) {
        for ListedTechnique { framework, technique, .. } in techniques {
            self.0.entry(key(&framework, &technique.external_id)).or_insert(technique);
        }
    }

    /// What the operator's framework says about a technique.
    pub fn get(&self, technique: &pb::Technique) -> Option<&Technique> {
        self.0.get(&key(&technique.framework, &technique.external_id))
    }
}

impl Client {
    /// One page of what the operator's frameworks have.
    pub async fn techniques(
        &self,
        search: &TechniqueSearch,
        page_size: usize,
        page_token: &str,
    ) -> Result<TechniquesFound, ClientError> {
        let TechniqueSearch { text, framework, version, external_ids, tactic } = search.clone();
        let request = pb::ListTechniquesRequest {
            text,
            framework,
            version,
            external_ids,
            tactic,
            page_size: u32::try_from(page_size).unwrap_or(u32::MAX),
            page_token: page_token.to_owned(),
        };
        let answer = self.query_service().list_techniques(request).await?.into_inner();
        let pb::ListTechniquesResponse { techniques, next_page_token, frameworks } = answer;
        let framework = |wire: pb::Framework| {
            let pb::Framework { name, version, techniques } = wire;
            ListedFramework { name, version, techniques }
        };
        Ok(TechniquesFound {
            techniques: techniques.into_iter().map(listed).collect(),
            frameworks: frameworks.into_iter().map(framework).collect(),
            next: Some(next_page_token).filter(|token| !token.is_empty()),
        })
    }

    /// What the operator's frameworks call techniques whose publishers gave them no name or phase.
    pub async fn technique_names(
        &self,
        techniques: impl Iterator<Item = &pb::Technique> + Send,
    ) -> Result<TechniqueNames, ClientError> {
        let is_bare =
            |technique: &&pb::Technique| technique.name.is_empty() || technique.phase.is_empty();
        let fits = |code: &String| code.len() <= limits::LABEL_BYTES_MAX;
        let codes: BTreeSet<String> = techniques
            .filter(is_bare)
            .filter(|technique| !technique.external_id.is_empty())
            .map(|technique| format!("{}/{}", technique.framework, technique.external_id))
            .filter(fits)
            .collect();
        let codes: Vec<String> = codes.into_iter().collect();
        let mut names = TechniqueNames::default();
        for some in codes.chunks(limits::FILTER_VALUES_MAX) {
            let search = TechniqueSearch { external_ids: some.to_vec(), ..Default::default() };
            let mut token = String::new();
            loop {
                let page = self.techniques(&search, limits::PAGE_ENTRIES_MAX, &token).await?;
                names.add(page.techniques);
                match page.next {
                    Some(next) => token = next,
                    None => break,
                }
            }
        }
        Ok(names)
    }
}

fn key(framework: &str, external_id: &str) -> (String, String) {
    (framework.to_ascii_lowercase(), external_id.to_ascii_lowercase())
}

fn listed(wire: pb::FrameworkTechnique) -> ListedTechnique {
    let pb::FrameworkTechnique {
        framework,
        version,
        external_id,
        name,
        description,
        tactics,
        parent,
        retired,
    } = wire;
    let tactic = |wire: pb::FrameworkTactic| {
        let pb::FrameworkTactic { external_id, name } = wire;
        Tactic { external_id, name }
    };
    let tactics = tactics.into_iter().map(tactic).collect();
    let technique = Technique { external_id, name, description, tactics, parent, retired };
    ListedTechnique { framework, version, technique }
}
