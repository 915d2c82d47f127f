//! Bodies that say something about records, and those of audiences and of the hub itself: their limits, and what
//! decisions need of them.
//!
//! Every message is taken apart by name, so that a field that is added later does not compile until someone
//! decides about it.

use crate::model::limits;
use crate::model::names::Audience;
use crate::model::names::MemberId;
use crate::model::reason::Refusal;
use crate::wire::body::AudienceAction;
use crate::wire::body::Conflict;
use crate::wire::body::Content;
use crate::wire::body::Demand;
use crate::wire::body::End;
use crate::wire::body::EpochStart;
use crate::wire::body::member_id;
use crate::wire::body::record_name;
use crate::wire::check;
use crate::wire::check::chosen;
use crate::wire::check::known;
use crate::wire::check::moment;
use crate::wire::check::text;
use crate::wire::header;
use crate::wire::header::invalid;
use crate::wire::observable;
use crate::wire::pb;
use crate::wire::time;

pub(super) fn attribution(wire: &pb::Attribution) -> Result<Content, Refusal> {
    let pb::Attribution {
        operation,
        actor,
        actor_type,
        confidence,
        basis,
        rationale,
        claimant,
        references,
    } = wire;
    if actor.trim().is_empty() {
        return Err(invalid("body.attribution.actor", "must not be empty"));
    }
    text(actor, limits::LABEL_BYTES_MAX, "body.attribution.actor")?;
    known::<pb::ActorType>(*actor_type, "body.attribution.actor_type")?;
    check::confidence(*confidence, "body.attribution.confidence")?;
    known::<pb::AttributionBasis>(*basis, "body.attribution.basis")?;
    text(rationale, limits::TEXT_BYTES_MAX, "body.attribution.rationale")?;
    text(claimant, limits::LABEL_BYTES_MAX, "body.attribution.claimant")?;
    check::texts(
        references,
        limits::ITEMS_MAX,
        limits::VALUE_BYTES_MAX,
        "body.attribution.references",
    )?;
    Ok(Content::About { of: record_name(operation, "body.attribution.operation")? })
}

pub(super) fn link(wire: &pb::Link) -> Result<Content, Refusal> {
    let pb::Link { source, target, r#type, confidence, description } = wire;
    chosen::<pb::LinkType>(*r#type, "body.link.type")?;
    check::confidence(*confidence, "body.link.confidence")?;
    text(description, limits::TEXT_BYTES_MAX, "body.link.description")?;
    let source = end(source.as_ref(), "body.link.source")?;
    let target = end(target.as_ref(), "body.link.target")?;
    if source == target {
        return Err(invalid("body.link.target", "must be another than the source"));
    }
    Ok(Content::Link { source, target })
}

pub(super) fn sighting(wire: &pb::Sighting) -> Result<Content, Refusal> {
    let pb::Sighting { of, count: _any, first_seen_time, last_seen_time, platform, description } =
        wire;
    moment(first_seen_time.as_ref(), "body.sighting.first_seen_time")?;
    moment(last_seen_time.as_ref(), "body.sighting.last_seen_time")?;
    text(platform, limits::LABEL_BYTES_MAX, "body.sighting.platform")?;
    text(description, limits::TEXT_BYTES_MAX, "body.sighting.description")?;
    Ok(Content::About { of: record_name(of, "body.sighting.of")? })
}

pub(super) fn opinion(wire: &pb::Opinion) -> Result<Content, Refusal> {
    let pb::Opinion { of, stance, reason, text: words } = wire;
    chosen::<pb::Stance>(*stance, "body.opinion.stance")?;
    known::<pb::OpinionReason>(*reason, "body.opinion.reason")?;
    text(words, limits::TEXT_BYTES_MAX, "body.opinion.text")?;
    Ok(Content::About { of: record_name(of, "body.opinion.of")? })
}

pub(super) fn action_report(wire: &pb::ActionReport) -> Result<Content, Refusal> {
    let pb::ActionReport { of, action, counts, metrics, action_time, text: words } = wire;
    chosen::<pb::Action>(*action, "body.action_report.action")?;
    check::count(counts.len(), limits::ITEMS_MAX, "body.action_report.counts")?;
    for count in counts {
        check::part(count, "body.action_report.counts")?;
    }
    check::metrics(metrics, "body.action_report.metrics")?;
    moment(action_time.as_ref(), "body.action_report.action_time")?;
    text(words, limits::TEXT_BYTES_MAX, "body.action_report.text")?;
    Ok(Content::About { of: record_name(of, "body.action_report.of")? })
}

pub(super) fn inquiry(wire: &pb::Inquiry) -> Result<Content, Refusal> {
    let pb::Inquiry { about, question, addressees, due_time } = wire;
    if question.trim().is_empty() {
        return Err(invalid("body.inquiry.question", "must not be empty"));
    }
    text(question, limits::TEXT_BYTES_MAX, "body.inquiry.question")?;
    moment(due_time.as_ref(), "body.inquiry.due_time")?;
    Ok(Content::Inquiry {
        about: end(about.as_ref(), "body.inquiry.about")?,
        addressees: members(addressees, "body.inquiry.addressees")?,
    })
}

pub(super) fn reply(wire: &pb::Reply) -> Result<Content, Refusal> {
    let pb::Reply { to, result, text: words } = wire;
    chosen::<pb::ReplyResult>(*result, "body.reply.result")?;
    text(words, limits::TEXT_BYTES_MAX, "body.reply.text")?;
    Ok(Content::About { of: record_name(to, "body.reply.to")? })
}

pub(super) fn note(wire: &pb::Note) -> Result<Content, Refusal> {
    let pb::Note { about, text: words } = wire;
    if words.trim().is_empty() {
        return Err(invalid("body.note.text", "must not be empty"));
    }
    text(words, limits::TEXT_BYTES_MAX, "body.note.text")?;
    Ok(Content::About { of: record_name(about, "body.note.about")? })
}

pub(super) fn withdrawal(wire: &pb::Withdrawal) -> Result<Content, Refusal> {
    let pb::Withdrawal { of, reason, demand_deletion, acknowledge_by_time, explanation } = wire;
    chosen::<pb::WithdrawalReason>(*reason, "body.withdrawal.reason")?;
    text(explanation, limits::TEXT_BYTES_MAX, "body.withdrawal.explanation")?;
    let due = acknowledge_by_time
        .as_ref()
        .map(|due| time::timestamp(due, "body.withdrawal.acknowledge_by_time"))
        .transpose()?;
    Ok(Content::Withdrawal {
        of: record_name(of, "body.withdrawal.of")?,
        demand: demand_deletion.then_some(Demand { due }),
    })
}

pub(super) fn acknowledgement(wire: &pb::Acknowledgement) -> Result<Content, Refusal> {
    let pb::Acknowledgement { of, answer, text: words } = wire;
    chosen::<pb::AcknowledgementAnswer>(*answer, "body.acknowledgement.answer")?;
    text(words, limits::TEXT_BYTES_MAX, "body.acknowledgement.text")?;
    Ok(Content::Acknowledgement { of: record_name(of, "body.acknowledgement.of")? })
}

pub(super) fn takedown(wire: &pb::Takedown) -> Result<Content, Refusal> {
    let pb::Takedown { of, reason, explanation } = wire;
    chosen::<pb::TakedownReason>(*reason, "body.takedown.reason")?;
    text(explanation, limits::TEXT_BYTES_MAX, "body.takedown.explanation")?;
    Ok(Content::Takedown { of: record_name(of, "body.takedown.of")? })
}

pub(super) fn audience_change(wire: pb::AudienceChange) -> Result<Content, Refusal> {
    use pb::audience_change::Change;

    let pb::AudienceChange { audience, change } = wire;
    let field = "body.audience_change.audience";
    let audience =
        Audience::from_name(&audience).map_err(|error| invalid(field, &error.to_string()))?;
    if audience.is_built_in() || !audience.is_random() {
        return Err(invalid(field, "must be 20 to 40 of a-z, 0-9 and -, drawn at random"));
    }
    let change = match change {
        Some(Change::Create(pb::AudienceCreation { title, members })) => {
            text(&title, limits::LABEL_BYTES_MAX, "body.audience_change.create.title")?;
            let members = self::members(&members, "body.audience_change.create.members")?;
            AudienceAction::Create { title, members }
        }
        Some(Change::Add(pb::AudienceMembers { members })) => {
            AudienceAction::Add(some_members(&members, "body.audience_change.add.members")?)
        }
        Some(Change::Remove(pb::AudienceMembers { members })) => {
            AudienceAction::Remove(some_members(&members, "body.audience_change.remove.members")?)
        }
        None => return Err(invalid("body.audience_change.change", "must be set")),
    };
    Ok(Content::AudienceChange { audience, change })
}

pub(super) fn erasure(wire: pb::ErasureNotice) -> Result<Content, Refusal> {
    let pb::ErasureNotice { demand_sequence, sequences } = wire;
    if !sequences.is_sorted_by(|a, b| a < b) {
        return Err(invalid("body.erasure.sequences", "must rise"));
    }
    Ok(Content::Erasure { demand: demand_sequence, sequences })
}

pub(super) fn conflict(wire: &pb::ConflictNotice) -> Result<Content, Refusal> {
    let pb::ConflictNotice { first_sequence, payload, keyid, sig } = wire;
    let unsigned = || invalid("body.conflict.signature", "must be a key id and 64 bytes");
    if sig.len() != 64 {
        return Err(unsigned());
    }
    Ok(Content::Conflict(Box::new(Conflict {
        first: *first_sequence,
        header: header::header(payload)?,
        payload: payload.clone().into(),
        key_id: keyid.parse().map_err(|_not_a_key| unsigned())?,
        signature: sig.clone().into(),
    })))
}

pub(super) fn retention(wire: &pb::RetentionNotice) -> Result<Content, Refusal> {
    let pb::RetentionNotice { first_sequence, end_sequence, rule } = wire;
    text(rule, limits::TEXT_BYTES_MAX, "body.retention.rule")?;
    if first_sequence >= end_sequence {
        return Err(invalid("body.retention.end_sequence", "must lie behind the first"));
    }
    Ok(Content::Retention { first: *first_sequence, end: *end_sequence })
}

pub(super) fn epoch(wire: &pb::EpochStart) -> Result<Content, Refusal> {
    let pb::EpochStart { previous_epoch, epoch, checkpoint, reason } = wire;
    if *previous_epoch == 0 {
        return Err(invalid("body.epoch.previous_epoch", "must be at least 1"));
    }
    if epoch <= previous_epoch {
        return Err(invalid("body.epoch.epoch", "must be greater than the previous one"));
    }
    if checkpoint.is_empty() {
        return Err(invalid("body.epoch.checkpoint", "must be set"));
    }
    text(checkpoint, limits::TEXT_BYTES_MAX, "body.epoch.checkpoint")?;
    text(reason, limits::TEXT_BYTES_MAX, "body.epoch.reason")?;
    Ok(Content::Epoch(EpochStart {
        previous: *previous_epoch,
        epoch: *epoch,
        checkpoint: checkpoint.clone(),
        reason: reason.clone(),
    }))
}

fn end(wire: Option<&pb::Reference>, field: &'static str) -> Result<End, Refusal> {
    match wire.and_then(|reference| reference.to.as_ref()) {
        Some(pb::reference::To::Record(name)) => Ok(End::Record(record_name(name, field)?)),
        Some(pb::reference::To::Value(value)) => {
            check::observable(value)?;
            let digest = observable::normal_form(value)?.digest;
            digest.map(End::Value).ok_or_else(|| invalid(field, "must have a value"))
        }
        None => Err(invalid(field, "must be set")),
    }
}

fn some_members(wire: &[String], field: &'static str) -> Result<Vec<MemberId>, Refusal> {
    if wire.is_empty() {
        return Err(invalid(field, "must not be empty"));
    }
    members(wire, field)
}

fn members(wire: &[String], field: &'static str) -> Result<Vec<MemberId>, Refusal> {
    check::count(wire.len(), limits::AUDIENCE_MEMBERS_MAX, field)?;
    let mut members =
        wire.iter().map(|name| member_id(name, field)).collect::<Result<Vec<_>, _>>()?;
    members.sort_unstable();
    if !members.is_sorted_by(|a, b| a < b) {
        return Err(invalid(field, "must name nobody twice"));
    }
    Ok(members)
}
