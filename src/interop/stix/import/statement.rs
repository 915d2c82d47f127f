//! Attributions, links, sightings, opinions and notes.

use std::collections::HashMap;
use std::collections::VecDeque;

use serde_json::Map;
use serde_json::Value;

use crate::interop::stix::import::node::What;
use crate::interop::stix::import::plan::Outcome;
use crate::interop::stix::import::plan::Planner;
use crate::interop::stix::import::text;
use crate::interop::stix::import::waiting::Waiting;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::wire::pb;
use crate::wire::pb::body::Content;

impl Planner<'_> {
    pub(super) fn plan_attributions(&mut self) {
        for id in self.relations.attributions.clone() {
            let planned = self.attribution(&id).and_then(|(attribution, claimant)| {
                let content = Content::Attribution(attribution);
                self.state(&id, claimant, BodyKind::Attribution, content)
            });
            self.ended(&id, planned);
        }
    }

    /// The attribution, and the label of the claimant's name.
    fn attribution(&self, id: &str) -> Result<(pb::Attribution, Option<Tlp>), String> {
        let gone = || "one of its ends is not taken".to_owned();
        let relation = self.nodes.get(id).ok_or_else(gone)?;
        let What::Relation { source, target, .. } = &relation.what else { return Err(gone()) };
        let actor = self.nodes.get(target).ok_or_else(gone)?;
        let claimant = [relation, actor].into_iter().find_map(|node| self.creator(node));
        let (relation_json, actor_json) = (relation.json(), actor.json());
        let types = text::texts(&actor_json, "threat_actor_types");
        let actor_type = match types.first().map(String::as_str) {
            Some("nation-state") => pb::ActorType::State,
            Some("activist") => pb::ActorType::Political,
            Some(_) | None => pb::ActorType::Unspecified,
        };
        let said = [&relation_json, &actor_json];
        let why: Vec<&str> =
            said.iter().filter_map(|json| text::text(json, "description")).collect();
        let mut references = text::addresses(&relation_json);
        references.extend(text::addresses(&actor_json));
        references.truncate(crate::model::limits::ITEMS_MAX);
        let attribution = pb::Attribution {
            operation: self.record_of(source)?.to_string(),
            actor: text::label(text::text(&actor_json, "name").ok_or("its actor has no name")?),
            actor_type: actor_type.into(),
            confidence: text::confidence(&relation_json),
            rationale: text::long(Some(&why.join("\n"))),
            claimant: claimant.map_or_else(String::new, |claimant| text::label(&claimant.name)),
            references,
            ..pb::Attribution::default()
        };
        Ok((attribution, claimant.and_then(|claimant| claimant.tlp)))
    }

    pub(super) fn plan_links(&mut self) {
        for (id, kind) in self.relations.links.clone() {
            let planned = self
                .link(&id, kind)
                .and_then(|link| self.state(&id, None, BodyKind::Link, Content::Link(link)));
            self.ended(&id, planned);
        }
    }

    fn link(&self, id: &str, kind: pb::LinkType) -> Result<pb::Link, String> {
        let relation = self.nodes.get(id).ok_or("it is not there")?;
        let What::Relation { source, target, .. } = &relation.what else {
            return Err("it is no relationship".to_owned());
        };
        let end = |id: &str| {
            let to = pb::reference::To::Record(self.record_of(id)?.to_string());
            Ok::<_, String>(Some(pb::Reference { to: Some(to) }))
        };
        let json = relation.json();
        Ok(pb::Link {
            source: end(source)?,
            target: end(target)?,
            r#type: kind.into(),
            confidence: text::confidence(&json),
            description: text::long(text::text(&json, "description")),
        })
    }

    /// Sightings, opinions and notes, each behind what it is about.
    pub(super) fn plan_statements(&mut self) {
        let is_statement = |what: &What| matches!(what, What::Statement);
        let ids: Vec<String> = self
            .nodes
            .iter()
            .filter(|(_id, node)| is_statement(&node.what))
            .map(|(id, _node)| id.clone())
            .collect();
        // One may be about another: whoever waits for nobody is planned first.
        let places: HashMap<&str, usize> =
            ids.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
        let mut waiting = Waiting::of(ids.len());
        for (place, id) in ids.iter().enumerate() {
            let about = self.nodes.get(id).map(|node| about(&node.json())).unwrap_or_default();
            for target in about.iter().filter_map(|id| places.get(id.as_str())) {
                waiting.wait(place, *target);
            }
        }
        let mut ready = VecDeque::from(waiting.free());
        while let Some(place) = ready.pop_front() {
            self.plan_or_skip(ids.get(place));
            ready.extend(waiting.done(place));
        }
        // Those that are about each other in a circle are about nothing else, or about that.
        let circle = ids.iter().enumerate().filter(|(place, _id)| waiting.is_waiting(*place));
        for (_place, id) in circle {
            self.plan_or_skip(Some(id));
        }
    }

    fn plan_or_skip(&mut self, id: Option<&String>) {
        if let Some(id) = id
            && let Err(why) = self.plan_statement(id)
        {
            self.skip(id, why);
        }
    }

    fn plan_statement(&mut self, id: &str) -> Result<(), String> {
        let node = self.nodes.get(id).ok_or("it is not there")?;
        let (kind, content) = self.statement(&node.json())?;
        self.state(id, None, kind, content)?;
        self.end(id, Outcome::Carried);
        Ok(())
    }

    fn statement(&self, json: &Map<String, Value>) -> Result<(BodyKind, Content), String> {
        match text::text(json, "type") {
            Some("sighting") => {
                let of = text::text(json, "sighting_of_ref").ok_or("it is of nothing")?;
                let (first_seen_time, last_seen_time) = text::span(json, "first_seen", "last_seen");
                let sighting = pb::Sighting {
                    of: self.record_of(of)?.to_string(),
                    // Who does not count has seen it.
                    count: json.get("count").and_then(Value::as_u64).unwrap_or(1),
                    first_seen_time,
                    last_seen_time,
                    platform: String::new(),
                    description: text::long(text::text(json, "description")),
                };
                Ok((BodyKind::Sighting, Content::Sighting(sighting)))
            }
            Some("opinion") => {
                let stance = match text::text(json, "opinion") {
                    Some("strongly-disagree") => pb::Stance::StronglyDisagree,
                    Some("disagree") => pb::Stance::Disagree,
                    Some("neutral") => pb::Stance::Neutral,
                    Some("agree") => pb::Stance::Agree,
                    Some("strongly-agree") => pb::Stance::StronglyAgree,
                    Some(_) | None => return Err("it has no opinion".to_owned()),
                };
                let opinion = pb::Opinion {
                    of: self.subject(json)?,
                    stance: stance.into(),
                    reason: pb::OpinionReason::Unspecified.into(),
                    text: text::long(text::text(json, "explanation")),
                };
                Ok((BodyKind::Opinion, Content::Opinion(opinion)))
            }
            _ => {
                let title = text::text(json, "abstract");
                let words = text::text(json, "content").ok_or("it has no text")?;
                let parts: Vec<&str> = title.into_iter().chain([words]).collect();
                let note = pb::Note {
                    about: self.subject(json)?,
                    text: text::long(Some(&parts.join("\n"))),
                };
                Ok((BodyKind::Note, Content::Note(note)))
            }
        }
    }

    /// The one record that an object is about: the others among its references are not taken.
    fn subject(&self, json: &Map<String, Value>) -> Result<String, String> {
        let refs = text::texts(json, "object_refs");
        let found: Vec<String> = refs
            .iter()
            .filter_map(|id| self.record_of(id).ok())
            .map(|record| record.to_string())
            .collect();
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err("nothing that it is about is taken".to_owned()),
            _ => Err("it is about several records".to_owned()),
        }
    }

    /// `beside`: the label of what goes into it beside what the relations tell.
    fn state(
        &mut self,
        id: &str,
        beside: Option<Tlp>,
        kind: BodyKind,
        content: Content,
    ) -> Result<(), String> {
        let name = self.name(kind.as_str(), id, None);
        self.record(id, name, self.label(id).max(beside), kind, content)
    }

    fn ended(&mut self, id: &str, planned: Result<(), String>) {
        match planned {
            Ok(()) => self.end(id, Outcome::Carried),
            Err(why) => self.skip(id, why),
        }
    }
}

/// The ids of what a statement is about.
fn about(json: &Map<String, Value>) -> Vec<String> {
    let of = text::text(json, "sighting_of_ref").map(ToOwned::to_owned);
    of.into_iter().chain(text::texts(json, "object_refs")).collect()
}
