//! Attributions, links, sightings, opinions and notes.

use serde_json::Map;
use serde_json::Value;

use crate::interop::stix::import::node::What;
use crate::interop::stix::import::plan::Outcome;
use crate::interop::stix::import::plan::Planner;
use crate::interop::stix::import::text;
use crate::model::header::BodyKind;
use crate::wire::pb;
use crate::wire::pb::body::Content;

impl Planner<'_> {
    pub(super) fn plan_attributions(&mut self) {
        for id in self.relations.attributions.clone() {
            let planned = self.attribution(&id).and_then(|attribution| {
                self.state(&id, BodyKind::Attribution, Content::Attribution(attribution))
            });
            self.ended(&id, planned);
        }
    }

    fn attribution(&self, id: &str) -> Result<pb::Attribution, String> {
        let gone = || "one of its ends is not taken".to_owned();
        let relation = self.nodes.get(id).ok_or_else(gone)?;
        let What::Relation { source, target, .. } = &relation.what else { return Err(gone()) };
        let actor = self.nodes.get(target).ok_or_else(gone)?;
        let types = text::texts(&actor.json, "threat_actor_types");
        let actor_type = match types.first().map(String::as_str) {
            Some("nation-state") => pb::ActorType::State,
            Some("activist") => pb::ActorType::Political,
            Some(_) | None => pb::ActorType::Unspecified,
        };
        let said = [&relation.json, &actor.json];
        let why: Vec<&str> =
            said.iter().filter_map(|json| text::text(json, "description")).collect();
        let claimant = said.iter().find_map(|json| self.creator(json));
        let mut references = text::addresses(&relation.json);
        references.extend(text::addresses(&actor.json));
        references.truncate(crate::model::limits::ITEMS_MAX);
        Ok(pb::Attribution {
            operation: self.record_of(source)?.to_string(),
            actor: text::label(text::text(&actor.json, "name").ok_or("its actor has no name")?),
            actor_type: actor_type.into(),
            confidence: text::confidence(&relation.json),
            rationale: text::long(Some(&why.join("\n"))),
            claimant: text::label(claimant.unwrap_or_default()),
            references,
            ..pb::Attribution::default()
        })
    }

    pub(super) fn plan_links(&mut self) {
        for (id, kind) in self.relations.links.clone() {
            let planned = self
                .link(&id, kind)
                .and_then(|link| self.state(&id, BodyKind::Link, Content::Link(link)));
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
        Ok(pb::Link {
            source: end(source)?,
            target: end(target)?,
            r#type: kind.into(),
            confidence: text::confidence(&relation.json),
            description: text::long(text::text(&relation.json, "description")),
        })
    }

    /// Sightings, opinions and notes, each behind what it is about.
    pub(super) fn plan_statements(&mut self) {
        let is_statement = |what: &What| matches!(what, What::Statement);
        let mut left: Vec<String> = self
            .nodes
            .iter()
            .filter(|(_id, node)| is_statement(&node.what))
            .map(|(id, _node)| id.clone())
            .collect();
        // One may be about another: whoever is about nothing that is left can be planned. Those that are about each other
        // in a circle are about nothing.
        loop {
            let before = left.len();
            let planned = left.into_iter().filter_map(|id| {
                let why = self.plan_statement(&id).err()?;
                Some((id, why))
            });
            let waiting: Vec<(String, String)> = planned.collect();
            if waiting.len() == before || waiting.is_empty() {
                return self.skip_all(waiting);
            }
            left = waiting.into_iter().map(|(id, _why)| id).collect();
        }
    }

    fn skip_all(&mut self, objects: Vec<(String, String)>) {
        for (id, why) in objects {
            self.skip(&id, why);
        }
    }

    fn plan_statement(&mut self, id: &str) -> Result<(), String> {
        let node = self.nodes.get(id).ok_or("it is not there")?;
        let (kind, content) = self.statement(&node.json)?;
        self.state(id, kind, content)?;
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

    fn state(&mut self, id: &str, kind: BodyKind, content: Content) -> Result<(), String> {
        let tlp = self.nodes.get(id).and_then(|node| node.tlp);
        let name = self.target.record(&[kind.as_str(), id]);
        self.record(id, name, tlp, kind, content)
    }

    fn ended(&mut self, id: &str, planned: Result<(), String>) {
        match planned {
            Ok(()) => self.end(id, Outcome::Carried),
            Err(why) => self.skip(id, why),
        }
    }
}
