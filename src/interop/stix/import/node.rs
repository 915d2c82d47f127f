//! What an object of a bundle may be good for.

use std::collections::HashMap;

use serde_json::Map;
use serde_json::Value;

use crate::interop::stix::import::asset;
use crate::interop::stix::import::asset::Asset;
use crate::interop::stix::import::kept;
use crate::interop::stix::import::technique::technique;
use crate::interop::stix::import::text;
use crate::interop::stix::import::text::text;
use crate::interop::stix::import::text::texts;
use crate::interop::stix::import::versions::Version;
use crate::interop::stix::marking;
use crate::interop::stix::marking::Marked;
use crate::interop::stix::observable;
use crate::interop::stix::pattern;
use crate::model::handling::Tlp;
use crate::wire::pb;

/// An object that may be taken.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) what: What,
    /// The properties that records have room for, as text: see [`kept`].
    kept: Box<str>,
    /// The id of who made it.
    pub(super) maker: Option<String>,
    /// What its markings ask for.
    pub(super) tlp: Option<Tlp>,
    /// Its version, if it has one.
    pub(super) version: Option<Version>,
    /// Whether a newer version was imported before.
    pub(super) is_stale: bool,
}

/// Who makes objects.
#[derive(Clone, Debug)]
pub(super) struct Creator {
    pub(super) name: String,
    /// What the markings of the name ask for.
    pub(super) tlp: Option<Tlp>,
}

/// What it may be good for.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A campaign or an intrusion set: an operation, or the actor behind one.
    Group { is_campaign: bool },
    /// A threat actor.
    Actor,
    /// A technique.
    Technique(pb::Technique),
    /// An indicator, which may name several assets.
    Indicator(Vec<Asset>),
    /// A value that says of itself nothing but what it is.
    Value(Box<Asset>),
    /// What an operation tells.
    Narrative,
    /// A country, by its code.
    Country(String),
    /// A relationship.
    Relation { source: String, kind: String, target: String },
    /// A report or a grouping.
    Holder(Vec<String>),
    /// A sighting, an opinion or a note.
    Statement,
    /// Somebody, for whose sake something else is understood.
    Identity,
}

impl Node {
    /// The properties that records have room for.
    pub(super) fn json(&self) -> Map<String, Value> {
        // It was written by us; there is nothing in it that cannot be read.
        serde_json::from_str(&self.kept).unwrap_or_default()
    }

    /// The assets that it names.
    pub(super) fn assets(&self) -> Vec<Asset> {
        if let What::Indicator(assets) = &self.what {
            return assets.clone();
        }
        if let What::Value(asset) = &self.what { vec![asset.as_ref().clone()] } else { Vec::new() }
    }

    /// How many assets it names.
    pub(super) const fn asset_count(&self) -> usize {
        match &self.what {
            What::Indicator(assets) => assets.len(),
            What::Value(_) => 1,
            What::Group { .. }
            | What::Actor
            | What::Technique(_)
            | What::Narrative
            | What::Country(_)
            | What::Relation { .. }
            | What::Holder(_)
            | What::Statement
            | What::Identity => 0,
        }
    }

    /// Whether it is an asset, or several.
    pub(super) const fn is_asset(&self) -> bool {
        matches!(self.what, What::Indicator(_) | What::Value(_))
    }
}

/// The node of an object; the reason if there is none.
pub(super) fn node(
    json: &Map<String, Value>,
    marks: &HashMap<String, Marked>,
    creators: &HashMap<String, Creator>,
) -> Result<Node, String> {
    if json.get("revoked").and_then(Value::as_bool) == Some(true) {
        return Err("it was taken back by whoever made it".to_owned());
    }
    let mut tlp = label(json, marks)?;
    let maker = text(json, "created_by_ref").map(ToOwned::to_owned);
    let creator = maker.as_ref().and_then(|id| creators.get(id));
    let what = what(json, creator.map(|creator| creator.name.as_str()))?;
    if let (What::Technique(_), Some(creator)) = (&what, creator) {
        // Its framework is known by the name of its maker.
        tlp = tlp.max(creator.tlp);
    }
    let modified = text::moment(json, "modified");
    let version = modified.and_then(|time| {
        let micros =
            time.seconds.checked_mul(1_000_000)?.checked_add((time.nanos / 1_000).into())?;
        let said = serde_json::to_string(json).ok()?;
        Some(Version::new(u64::try_from(micros).ok()?, &said))
    });
    Ok(Node { what, kept: kept::properties(json), maker, tlp, version, is_stale: false })
}

/// The strictest label of an object's markings, those of parts of it included.
fn label(
    json: &Map<String, Value>,
    marks: &HashMap<String, Marked>,
) -> Result<Option<Tlp>, String> {
    let granular = json.get("granular_markings").and_then(Value::as_array);
    let granular =
        granular.into_iter().flatten().filter_map(|one| one.get("marking_ref")?.as_str());
    let whole = texts(json, "object_marking_refs");
    let mut strictest = None;
    for id in whole.iter().map(String::as_str).chain(granular) {
        let marked = marks.get(id).copied();
        let marked = marked.or_else(|| marking::known(id).map(Marked::Label));
        match marked {
            Some(Marked::Label(tlp)) => strictest = strictest.max(Some(tlp)),
            Some(Marked::Statement) => {}
            Some(Marked::Unknown) | None => {
                return Err(format!("its marking {id} may forbid it, and nobody knows"));
            }
        }
    }
    Ok(strictest)
}

fn what(json: &Map<String, Value>, creator: Option<&str>) -> Result<What, String> {
    let kind = text(json, "type").unwrap_or_default();
    Ok(match kind {
        "campaign" | "intrusion-set" => What::Group { is_campaign: kind == "campaign" },
        "threat-actor" => What::Actor,
        "attack-pattern" => What::Technique(technique(json, creator)?),
        "indicator" => What::Indicator(indicator(json)?),
        "domain-name" | "url" | "email-addr" | "ipv4-addr" | "ipv6-addr" | "user-account"
        | "file" => {
            let comparisons = observable::read(json).ok_or("it names no value that is taken")?;
            let asset = match comparisons.as_slice() {
                [one] if one.path == "url:value" => asset::address(&one.value)?,
                several => asset::of_comparisons(several, &texts(json, "labels"))?,
            };
            What::Value(Box::new(asset))
        }
        "channel" => {
            let name = text(json, "name").ok_or("it has no name")?;
            let types = texts(json, "channel_types");
            What::Value(Box::new(asset::channel(name, &types)?))
        }
        "media-content" => {
            let address = text(json, "url").ok_or("it has no address")?;
            let is_address = address.starts_with('#') || address.contains("://");
            if !is_address {
                return Err("its url is no address".to_owned());
            }
            What::Value(Box::new(asset::address(address)?))
        }
        "narrative" => What::Narrative,
        "location" => What::Country(country(json)?),
        "relationship" => {
            let end = |property| text(json, property).map(ToOwned::to_owned);
            let source = end("source_ref").ok_or("it has no source")?;
            let target = end("target_ref").ok_or("it has no target")?;
            let kind = end("relationship_type").ok_or("it has no type")?;
            What::Relation { source, kind, target }
        }
        "report" | "grouping" => What::Holder(kept::ids(json, "object_refs")),
        "sighting" | "opinion" | "note" => What::Statement,
        "identity" => What::Identity,
        other => {
            let other: String = other.chars().take(60).collect();
            return Err(format!("there is no record for a {other}"));
        }
    })
}

fn indicator(json: &Map<String, Value>) -> Result<Vec<Asset>, String> {
    let kind = text(json, "pattern_type").unwrap_or("stix");
    if kind != "stix" {
        return Err(format!("its pattern is one of {kind}"));
    }
    if texts(json, "indicator_types").iter().any(|kind| kind == "benign") {
        return Err("it says that something is benign".to_owned());
    }
    let pattern = text(json, "pattern").ok_or("it has no pattern")?;
    let alternatives = pattern::read(pattern).map_err(|error| error.to_string())?;
    let labels = texts(json, "labels");
    let mut assets: Vec<Asset> = Vec::new();
    for comparisons in &alternatives {
        let asset = asset::of_comparisons(comparisons, &labels)?;
        if !assets.iter().any(|known| known.digest == asset.digest) {
            assets.push(asset);
        }
    }
    Ok(assets)
}

fn country(json: &Map<String, Value>) -> Result<String, String> {
    let code = text(json, "country").ok_or("a place that is no country is not taken")?;
    let is_code = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_code {
        Ok(code.to_ascii_uppercase())
    } else {
        Err(format!("its country {code:?} is no code of ISO 3166"))
    }
}
