//! A cluster of a MISP galaxy: `disarm-techniques.json`.

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

/// The values of a cluster.
pub(super) struct Values(Vec<RawValue>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawValue {
    value: String,
    description: String,
    revoked: bool,
    meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    external_id: String,
    kill_chain: Vec<String>,
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Keep)
    }
}

struct Keep;

impl<'de> Visitor<'de> for Keep {
    type Value = Values;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the values of a galaxy cluster")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
        let mut kept = Vec::new();
        while let Some(value) = list.next_element()? {
            if kept.len() >= limits::FRAMEWORK_TECHNIQUES_MAX {
                let most = limits::FRAMEWORK_TECHNIQUES_MAX;
                return Err(A::Error::custom(format!("more than {most} values")));
            }
            kept.push(value);
        }
        Ok(Values(kept))
    }
}

/// `disarm` of `disarm-techniques`.
pub(super) fn name(kind: &str) -> String {
    kind.strip_suffix("-techniques").unwrap_or(kind).to_owned()
}

/// The techniques of a cluster. What a sub-technique is a kind of, its code says.
pub(super) fn techniques(values: Values) -> Result<Vec<Placed>, FrameworkError> {
    let Values(values) = values;
    let placed = |(place, raw): (usize, RawValue)| {
        let RawValue { value, description, revoked, meta } = raw;
        let place = format!("values[{place}]");
        if meta.external_id.is_empty() {
            return Err(FrameworkError::at(&place, "it has no meta.external_id"));
        }
        let parent = meta.external_id.rsplit_once('.').map_or("", |(above, _)| above);
        let technique = Technique {
            parent: parent.to_owned(),
            name: value,
            description,
            tactics: meta.kill_chain.iter().map(|chain| tactic(chain)).collect(),
            external_id: meta.external_id,
            retired: revoked,
        };
        Ok(Placed { place, technique })
    };
    values.into_iter().enumerate().map(placed).collect()
}

/// `tactics:Plan Objectives`, without a code.
fn tactic(chain: &str) -> Tactic {
    let name = chain.split_once(':').map_or(chain, |(_, name)| name);
    Tactic { external_id: String::new(), name: name.to_owned() }
}
