//! Statements about other records: attributions, links, sightings, opinions and notes.

use serde_json::json;

use crate::interop::stix::export::Making;
use crate::interop::stix::export::span;
use crate::interop::stix::export::with_references;
use crate::interop::stix::object::Object;
use crate::interop::stix::observable;
use crate::interop::stix::words;
use crate::model::header::BodyKind;
use crate::wire::pb;

/// The most that the standard takes as the count of a sighting; the extension has the whole.
const SIGHTING_COUNT_MAX: u64 = 999_999_999;

/// What a statement is about, as an object of STIX.
struct Subject {
    /// Its id.
    id: String,
    /// The object, if it is not one of another record.
    object: Option<Object>,
}

impl Subject {
    /// Whether it may be an end of a relationship: relationships and sightings may not.
    fn may_be_related(&self) -> bool {
        !self.id.starts_with("relationship--") && !self.id.starts_with("sighting--")
    }
}

impl Making<'_> {
    /// The claim is the relationship: it is what opinions agree with. Whom it names is an object of its own, since claims
    /// are never merged.
    pub(super) fn attribution(&self, wire: &pb::Attribution) -> Vec<Object> {
        let Some(operation) = self.named(&wire.operation, BodyKind::Operation) else {
            return Vec::new();
        };
        let actor = self.actor(wire);
        let claimant = match wire.claimant.as_str() {
            "" => String::new(),
            claimant => format!("So says {claimant}."),
        };
        let relationship = self
            .main("relationship")
            .with("relationship_type", "attributed-to")
            .with("description", words::lines(&[wire.rationale.clone(), claimant]))
            .with("confidence", wire.confidence)
            .with("source_ref", operation)
            .with("target_ref", actor.id());
        vec![actor, with_references(relationship, &[], &wire.references)]
    }

    /// An actor, if the claim says what sort; a set of what was done, if nobody knows by whom.
    fn actor(&self, wire: &pb::Attribution) -> Object {
        let types: &[&str] = match pb::ActorType::try_from(wire.actor_type) {
            Ok(pb::ActorType::State | pb::ActorType::StateMedia) => &["nation-state"],
            Ok(pb::ActorType::Political) => &["activist"],
            Ok(pb::ActorType::Commercial | pb::ActorType::Individuals) => &[],
            Ok(pb::ActorType::Unspecified | pb::ActorType::Unknown) | Err(_) => {
                return self
                    .frame
                    .object("intrusion-set", "actor")
                    .with("name", named(&wire.actor));
            }
        };
        let kind = pb::ActorType::try_from(wire.actor_type).map(|kind| kind.as_str_name());
        self.frame
            .object("threat-actor", "actor")
            .with("name", named(&wire.actor))
            .with("threat_actor_types", types.to_vec())
            .with("labels", vec![words::of_enum(kind.ok(), "ACTOR_TYPE_")])
    }

    pub(super) fn link(&self, wire: &pb::Link) -> Vec<Object> {
        let kind = pb::LinkType::try_from(wire.r#type).map(|kind| kind.as_str_name());
        let kind = words::of_enum(kind.ok(), "LINK_TYPE_");
        let ends = [wire.source.as_ref(), wire.target.as_ref()];
        let [source, target] = ends.map(|end| end.and_then(|end| self.end(end)));
        let text = words::lines(&[kind.clone(), wire.description.clone()]);
        let (Some(source), Some(target)) = (source, target) else {
            return self.unrelatable(wire, &text);
        };
        if !(source.may_be_related() && target.may_be_related()) {
            return self.unrelatable(wire, &text);
        }
        let relationship = self
            .main("relationship")
            .with("relationship_type", "related-to")
            .with("description", text)
            .with("labels", vec![kind.replace(' ', "-")])
            .with("confidence", wire.confidence)
            .with("source_ref", source.id)
            .with("target_ref", target.id);
        source.object.into_iter().chain(target.object).chain([relationship]).collect()
    }

    /// A link of which STIX cannot name an end, or relate it, as a note.
    fn unrelatable(&self, wire: &pb::Link, text: &str) -> Vec<Object> {
        let ends: Vec<&pb::Reference> =
            wire.source.as_ref().into_iter().chain(wire.target.as_ref()).collect();
        let named = ends.iter().map(|end| match &end.to {
            Some(pb::reference::To::Record(name)) => name.clone(),
            Some(pb::reference::To::Value(value)) => words::asset(value),
            None => String::new(),
        });
        let named = named.collect::<Vec<_>>().join(" - ");
        let found: Vec<Subject> = ends.into_iter().filter_map(|end| self.end(end)).collect();
        self.remark(&named, &words::lines(&[named.clone(), text.to_owned()]), found)
    }

    /// An end of a link: a record, or a value that STIX can name.
    fn end(&self, end: &pb::Reference) -> Option<Subject> {
        match end.to.as_ref()? {
            pb::reference::To::Record(name) => {
                let id = self.named(name, BodyKind::Indicator)?;
                Some(Subject { id, object: None })
            }
            pb::reference::To::Value(value) => {
                let (object, _form) = observable::of_value(value)?;
                Some(Subject { id: object.id().to_owned(), object: Some(object) })
            }
        }
    }

    /// A record as the subject of a statement.
    fn subject(&self, name: &str) -> Option<Subject> {
        let id = self.named(name, BodyKind::Indicator)?;
        Some(Subject { id, object: None })
    }

    pub(super) fn sighting(&self, wire: &pb::Sighting) -> Vec<Object> {
        let Some(of) = self.subject(&wire.of) else { return Vec::new() };
        let (first, last) = span(wire.first_seen_time.as_ref(), wire.last_seen_time.as_ref());
        if !of.may_be_related() {
            let seen = format!("seen {} times{}", wire.count, words::on(&wire.platform));
            let text = words::lines(&[seen, wire.description.clone()]);
            return self.remark("sighting", &text, vec![of]);
        }
        let sighting = self
            .main("sighting")
            .with("description", wire.description.as_str())
            .with("first_seen", first.map(|time| time.to_string()))
            .with("last_seen", last.map(|time| time.to_string()))
            .with("count", wire.count.min(SIGHTING_COUNT_MAX))
            .with("sighting_of_ref", of.id)
            .with("where_sighted_refs", vec![self.publisher()])
            .with("summary", false);
        vec![sighting]
    }

    pub(super) fn opinion(&self, wire: &pb::Opinion) -> Vec<Object> {
        let Some(of) = self.subject(&wire.of) else { return Vec::new() };
        let opinion = match pb::Stance::try_from(wire.stance) {
            Ok(pb::Stance::StronglyDisagree) => "strongly-disagree",
            Ok(pb::Stance::Disagree) => "disagree",
            Ok(pb::Stance::Agree) => "agree",
            Ok(pb::Stance::StronglyAgree) => "strongly-agree",
            Ok(pb::Stance::Neutral | pb::Stance::Unspecified) | Err(_) => "neutral",
        };
        let reason = pb::OpinionReason::try_from(wire.reason).map(|reason| reason.as_str_name());
        let reason = words::of_enum(reason.ok(), "OPINION_REASON_");
        let opinion = self
            .main("opinion")
            .with("opinion", opinion)
            .with("explanation", words::lines(&[reason, wire.text.clone()]))
            .with("object_refs", vec![of.id]);
        vec![opinion]
    }

    pub(super) fn action_report(&self, wire: &pb::ActionReport) -> Vec<Object> {
        let Some(of) = self.subject(&wire.of) else { return Vec::new() };
        let action = pb::Action::try_from(wire.action).map(|action| action.as_str_name());
        let action = words::of_enum(action.ok(), "ACTION_");
        let counts: Vec<String> = wire.counts.iter().map(words::part).collect();
        let line = if counts.is_empty() {
            format!("Action: {action}")
        } else {
            format!("Action: {action} ({})", counts.join(", "))
        };
        let text = words::lines(&[line, wire.text.clone()]);
        self.remark(&format!("action: {action}"), &text, vec![of])
    }

    pub(super) fn inquiry(&self, wire: &pb::Inquiry) -> Vec<Object> {
        let about = wire.about.as_ref().and_then(|about| self.end(about));
        let addressees = match wire.addressees.as_slice() {
            [] => String::new(),
            some => format!("Asked: {}", some.join(", ")),
        };
        let text = words::lines(&[format!("Question: {}", wire.question), addressees]);
        self.remark("inquiry", &text, about.into_iter().collect())
    }

    pub(super) fn reply(&self, wire: &pb::Reply) -> Vec<Object> {
        let Some(of) = self.named(&wire.to, BodyKind::Inquiry) else { return Vec::new() };
        let result = pb::ReplyResult::try_from(wire.result).map(|result| result.as_str_name());
        let result = words::of_enum(result.ok(), "REPLY_RESULT_");
        let text = words::lines(&[format!("Answer: {result}"), wire.text.clone()]);
        self.remark("reply", &text, vec![Subject { id: of, object: None }])
    }

    pub(super) fn note(&self, wire: &pb::Note) -> Vec<Object> {
        let Some(of) = self.subject(&wire.about) else { return Vec::new() };
        self.remark("", &wire.text, vec![of])
    }

    /// A note; about the publisher, if about nothing else.
    fn remark(&self, title: &str, text: &str, about: Vec<Subject>) -> Vec<Object> {
        let mut ids: Vec<String> = about.iter().map(|subject| subject.id.clone()).collect();
        if ids.is_empty() {
            ids.push(self.publisher());
        }
        let note = self
            .main("note")
            .with("abstract", title)
            .with("content", if text.is_empty() { title } else { text })
            .with("object_refs", json!(ids));
        about.into_iter().filter_map(|subject| subject.object).chain([note]).collect()
    }
}

/// The name of an actor, which an object must have.
fn named(actor: &str) -> &str {
    if actor.is_empty() { "unknown" } else { actor }
}
