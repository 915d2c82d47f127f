//! The operator's frameworks, searched by whoever takes part. Nothing of it is of any record.

use std::sync::Arc;

use prost::Message as _;

use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::token::Place;
use crate::interop::framework::Framework;
use crate::interop::framework::Frameworks;
use crate::interop::framework::Tactic;
use crate::interop::framework::Technique;
use crate::interop::framework::TechniqueQuery;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::names::sha256;
use crate::wire::pb;

/// A page of techniques.
#[derive(Debug)]
pub struct TechniquePage {
    /// The techniques.
    pub techniques: Vec<pb::FrameworkTechnique>,
    /// Every framework that is here.
    pub frameworks: Vec<pb::Framework>,
    /// Empty after the last page.
    pub next_page_token: String,
}

impl Hub {
    /// One page of what a query finds in the frameworks. It counts as one look-up.
    pub async fn techniques(
        &self,
        member: &MemberId,
        query: TechniqueQuery,
        page_size: usize,
        page_token: &str,
    ) -> Result<TechniquePage, ExchangeError> {
        let _in_good_standing = self.reader(member)?;
        self.take_lookups(member, 1)?;
        let request = sha256(format!("techniques {query:?}").as_bytes());
        let start = self.page_start(member, &request, page_token)?;
        let advice = self.advice();
        let asked = Arc::clone(&advice);
        // On a thread for reading: many words with many matches each take milliseconds.
        let found =
            move |_: &_, _: &_| Ok(page(&asked.frameworks, &query, start.position, page_size));
        let (techniques, next) = self.read(Some(member), found).await?;
        let next = next.map(|position| Place { position, ..start });
        Ok(TechniquePage {
            techniques,
            frameworks: advice.frameworks.all().iter().map(summary).collect(),
            next_page_token: self.page_token(member, &request, next),
        })
    }
}

/// So many techniques as a page holds, and where the next one begins.
fn page(
    frameworks: &Frameworks,
    query: &TechniqueQuery,
    position: u64,
    page_size: usize,
) -> (Vec<pb::FrameworkTechnique>, Option<u64>) {
    let start = usize::try_from(position).unwrap_or(usize::MAX);
    let found = frameworks.search(query);
    let (mut techniques, mut bytes) = (Vec::new(), 0_usize);
    for (framework, technique) in found.iter().skip(start).take(page_size) {
        let wire = to_wire(framework, technique);
        bytes = bytes.saturating_add(wire.encoded_len());
        if bytes > limits::FRAME_BYTES_MAX && !techniques.is_empty() {
            break;
        }
        techniques.push(wire);
    }
    let end = start.saturating_add(techniques.len());
    let next = (end < found.len()).then(|| u64::try_from(end).unwrap_or(u64::MAX));
    (techniques, next)
}

fn to_wire(framework: &Framework, technique: &Technique) -> pb::FrameworkTechnique {
    let Technique { external_id, name, description, tactics, parent, retired } = technique.clone();
    let tactic = |Tactic { external_id, name }| pb::FrameworkTactic { external_id, name };
    pb::FrameworkTechnique {
        framework: framework.name.clone(),
        version: framework.version.clone(),
        external_id,
        name,
        description,
        tactics: tactics.into_iter().map(tactic).collect(),
        parent,
        retired,
    }
}

fn summary(framework: &Framework) -> pb::Framework {
    pb::Framework {
        name: framework.name.clone(),
        version: framework.version.clone(),
        techniques: u64::try_from(framework.techniques.len()).unwrap_or(u64::MAX),
    }
}
