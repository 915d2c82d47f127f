//! Admission: whether a record with a good signature is taken, and what follows from it.
//!
//! Pure: the sequencer gathers the facts, this judges, the sequencer acts. The order of the checks is part of
//! the protocol: a record that was taken once is answered with its receipt whatever has changed since.

use std::sync::Arc;

use uuid::Uuid;

use crate::model::facts::Facts;
use crate::model::facts::Scope;
use crate::model::facts::Shape;
use crate::model::header::BodyKind;
use crate::model::header::Header;
use crate::model::limits;
use crate::model::names::Audience;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::names::Sequence;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::KeyUse;
use crate::model::roster::Role;
use crate::model::roster::Roster;
use crate::model::time::Timestamp;
use crate::wire::body::Content;
use crate::wire::envelope::Record;

/// The revision before the one that is judged.
#[derive(Clone, Debug)]
pub(super) struct Previous {
    /// Its header digest.
    pub(super) header_digest: Digest,
    /// Its facts.
    pub(super) facts: Facts,
}

/// What the sequencer knows at the place that a record would get.
#[derive(Debug)]
pub(super) struct Circumstances<'a> {
    /// The exchange.
    pub(super) exchange: &'a ExchangeName,
    /// Everyone who takes part, at this place.
    pub(super) roster: &'a Roster,
    /// The place.
    pub(super) place: Sequence,
    /// The hub's clock.
    pub(super) now: Timestamp,
    /// The revision before, if there is one.
    pub(super) previous: Option<&'a Previous>,
    /// Whether the record itself was withdrawn.
    pub(super) withdrawn: bool,
    /// For a withdrawal: the latest revision of its target, and whether that was withdrawn already.
    pub(super) target: Option<(&'a Facts, bool)>,
}

/// Judges the caller, before anything else: it speaks for itself, and is not suspended.
pub(super) fn judge_caller(
    caller: &MemberId,
    record: &Record,
    roster: &Roster,
) -> Result<(), Refusal> {
    let member = roster.member(caller).ok_or_else(|| {
        Refusal::new(Reason::NotAMember, format!("{caller} is not a member of this exchange"))
    })?;
    if member.suspended {
        return Err(Refusal::new(Reason::MemberSuspended, format!("{caller} is suspended")));
    }
    let signer = roster.key(&record.key_id).map(|key| &key.member);
    if record.header.name.member != *caller || signer != Some(caller) {
        return Err(Refusal::field(
            Reason::SignerIsNotCaller,
            "header.name",
            format!("the record and its key must be those of the caller, {caller}"),
        ));
    }
    Ok(())
}

/// Judges a record that is not there yet and derives its facts.
pub(super) fn judge(record: &Record, circumstances: &Circumstances<'_>) -> Result<Facts, Refusal> {
    let header = &record.header;
    if header.exchange != *circumstances.exchange {
        return Err(Refusal::field(
            Reason::WrongExchange,
            "header.exchange",
            format!("this exchange is {}", circumstances.exchange.name()),
        ));
    }
    judge_clock(header, circumstances.now)?;
    judge_key(record, circumstances)?;
    judge_role(record, circumstances)?;
    judge_handling(header, circumstances.roster)?;
    judge_predecessor(header, circumstances)?;
    let (shape, _value, _withdraws) = shape(&record.content);
    judge_shapes(&shape, circumstances.previous.map(|previous| &previous.facts))?;
    match &record.content {
        Content::Withdrawal { of } => judge_target(&header.name.member, of, circumstances),
        Content::Indicator { .. }
        | Content::Operation
        | Content::RosterChange { .. }
        | Content::KeyChange(_)
        | Content::Genesis(_) => Ok(()),
    }?;
    Ok(facts(record, circumstances))
}

fn judge_clock(header: &Header, now: Timestamp) -> Result<(), Refusal> {
    if header.create_time > now.saturating_add(limits::CREATE_TIME_AHEAD_MAX) {
        return Err(Refusal::field(
            Reason::ClockSkew,
            "header.create_time",
            format!("lies more than ten minutes ahead of the hub's time, {now}"),
        )
        .with("hub_time", now));
    }
    Ok(())
}

fn judge_key(record: &Record, circumstances: &Circumstances<'_>) -> Result<(), Refusal> {
    let refusal = |message: &str| {
        Err(Refusal::field(Reason::KeyNotValid, "envelope.signatures.keyid", message))
    };
    let Some(key) = circumstances.roster.key(&record.key_id) else {
        return refusal("the key is not registered");
    };
    if !key.is_valid_at(circumstances.place) {
        return refusal("the key is retired");
    }
    if key.key_use == KeyUse::Recovery && record.header.body_kind != BodyKind::KeyChange {
        return refusal("a recovery key signs key changes only");
    }
    Ok(())
}

fn judge_role(record: &Record, circumstances: &Circumstances<'_>) -> Result<(), Refusal> {
    let caller = &record.header.name.member;
    let Some(member) = circumstances.roster.member(caller) else {
        return Err(Refusal::new(Reason::NotAMember, format!("{caller} is not a member")));
    };
    let kind = record.header.body_kind;
    let allowed = match (member.role, kind) {
        (_, BodyKind::KeyChange)
        | (Role::Operator, BodyKind::RosterChange)
        | (Role::Company, BodyKind::Indicator | BodyKind::Operation | BodyKind::Withdrawal)
        | (Role::Observer, BodyKind::Withdrawal) => true,
        (Role::Observer, BodyKind::Indicator) => member.may_publish_indicators,
        (Role::Company | Role::Observer, BodyKind::RosterChange | BodyKind::Genesis)
        | (Role::Observer, BodyKind::Operation)
        | (
            Role::Auditor,
            BodyKind::Indicator
            | BodyKind::Operation
            | BodyKind::Withdrawal
            | BodyKind::RosterChange
            | BodyKind::Genesis,
        )
        | (
            Role::Operator,
            BodyKind::Indicator | BodyKind::Operation | BodyKind::Withdrawal | BodyKind::Genesis,
        ) => false,
    };
    if allowed {
        return Ok(());
    }
    let (role, kind) = (member.role.as_str(), kind.as_str());
    Err(Refusal::field(
        Reason::RoleForbids,
        "header.body_kind",
        format!("a member with the role {role} does not publish records of the kind {kind}"),
    ))
}

fn judge_handling(header: &Header, roster: &Roster) -> Result<(), Refusal> {
    let reach = &header.handling.reach;
    let named = !reach.audiences.is_empty() || !reach.recipients.is_empty();
    let chosen = matches!(header.body_kind, BodyKind::Indicator | BodyKind::Operation);
    if !chosen {
        if named || header.revision != 1 {
            return Err(Refusal::field(
                Reason::FieldInvalid,
                "header.handling",
                "records of this kind name no audience and no recipient, and have one revision",
            ));
        }
        return Ok(());
    }
    let built_in = [Audience::companies(), Audience::observers(), Audience::all()];
    if let Some(audience) = reach.audiences.iter().find(|audience| !built_in.contains(audience)) {
        return Err(Refusal::field(
            Reason::AudienceForbidden,
            "header.handling.audiences",
            format!("{} is not an audience that you may address", audience.name()),
        ));
    }
    let reads =
        |member: &&MemberId| roster.member(member).is_none_or(|member| !member.role.reads_bodies());
    if let Some(recipient) = reach.recipients.iter().find(reads) {
        return Err(Refusal::field(
            Reason::FieldInvalid,
            "header.handling.recipients",
            format!("{} cannot be a recipient", recipient.name()),
        ));
    }
    Ok(())
}

fn judge_predecessor(header: &Header, circumstances: &Circumstances<'_>) -> Result<(), Refusal> {
    if circumstances.withdrawn {
        return Err(Refusal::field(
            Reason::RecordWithdrawn,
            "header.name",
            "the record was withdrawn and is not brought back",
        ));
    }
    let mismatch = |message: &str| {
        Err(Refusal::field(Reason::PredecessorMismatch, "header.previous_digest", message))
    };
    match (header.previous_digest, circumstances.previous) {
        (Some(_), None) => mismatch("there is no revision before this one"),
        (Some(digest), Some(previous)) if digest != previous.header_digest => {
            mismatch("the revision before this one has another digest")
        }
        (Some(_), Some(previous)) if previous.facts.scope.body_kind != header.body_kind => {
            mismatch("the revision before this one has another kind of body")
        }
        (Some(_), Some(previous)) if !header.handling.reach.covers(&previous.facts.scope.reach) => {
            Err(Refusal::field(
                Reason::ReachNarrowed,
                "header.handling",
                "a revision reaches everyone whom the one before reached; withdraw the record to narrow it",
            ))
        }
        (None | Some(_), _) => Ok(()),
    }
}

/// What filters look at grows with each revision that looks different to them; without a bound a record would
/// outgrow the row in which its facts lie.
fn judge_shapes(shape: &Shape, previous: Option<&Facts>) -> Result<(), Refusal> {
    let earlier = previous.map_or(0, |previous| different(previous, shape).count());
    if earlier < limits::SHAPES_MAX {
        return Ok(());
    }
    Err(Refusal::field(
        Reason::FieldInvalid,
        "body",
        format!(
            "the revisions of a record have at most {} different kinds, platforms and operations; publish another record",
            limits::SHAPES_MAX
        ),
    ))
}

fn judge_target(
    publisher: &MemberId,
    of: &crate::model::names::RecordName,
    circumstances: &Circumstances<'_>,
) -> Result<(), Refusal> {
    if of.member != *publisher {
        return Err(Refusal::field(
            Reason::NotOwner,
            "body.withdrawal.of",
            "only its publisher withdraws a record",
        ));
    }
    match circumstances.target {
        Some((_facts, true)) => Err(Refusal::field(
            Reason::RecordWithdrawn,
            "body.withdrawal.of",
            "the record was withdrawn before",
        )),
        Some((facts, false))
            if matches!(facts.scope.body_kind, BodyKind::Indicator | BodyKind::Operation) =>
        {
            Ok(())
        }
        Some((_facts, false)) => Err(Refusal::field(
            Reason::FieldInvalid,
            "body.withdrawal.of",
            "a record of this kind is not withdrawn",
        )),
        None => Err(Refusal::field(
            Reason::RecordNotFound,
            "body.withdrawal.of",
            "there is no such record",
        )),
    }
}

fn facts(record: &Record, circumstances: &Circumstances<'_>) -> Facts {
    let header = &record.header;
    let (shape, value_digest, withdraws) = shape(&record.content);
    let mut shapes = vec![shape.clone()];
    if let Some(previous) = circumstances.previous {
        shapes.extend(different(&previous.facts, &shape).cloned());
    }
    let reach = match (&record.content, circumstances.target) {
        // A recall reaches everyone who could see any revision; reach only ever widens, so the last has all.
        (Content::Withdrawal { .. }, Some((target, _withdrawn))) => target.scope.reach.clone(),
        _ => header.handling.reach.clone(),
    };
    Facts {
        scope: Arc::new(Scope {
            publisher: header.name.member.clone(),
            body_kind: header.body_kind,
            reach,
            shapes,
        }),
        record: header.name.record,
        revision: header.revision,
        value_digest,
        withdraws,
    }
}

/// The shapes of a revision, and of those before it, that are not this one.
fn different<'a>(previous: &'a Facts, shape: &'a Shape) -> impl Iterator<Item = &'a Shape> {
    previous.scope.shapes.iter().filter(move |earlier| *earlier != shape)
}

fn shape(content: &Content) -> (Shape, Option<Digest>, Option<Uuid>) {
    match content {
        Content::Indicator { kind, platform, value_digest, operation } => {
            let shape =
                Shape { kind: *kind, platform: platform.clone(), operation: operation.clone() };
            (shape, *value_digest, None)
        }
        Content::Withdrawal { of } => (Shape::default(), None, Some(of.record)),
        Content::Operation
        | Content::RosterChange { .. }
        | Content::KeyChange(_)
        | Content::Genesis(_) => (Shape::default(), None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::handling::Reach;

    fn looks_like(platform: usize) -> Shape {
        Shape { platform: format!("platform {platform}"), ..Shape::default() }
    }

    #[test]
    fn the_revisions_of_a_record_have_a_bounded_number_of_shapes() {
        let previous = |shapes: usize| Facts {
            scope: Arc::new(Scope {
                publisher: "acme-video".parse().unwrap(),
                body_kind: BodyKind::Indicator,
                reach: Reach::default(),
                shapes: (0..shapes).map(looks_like).collect(),
            }),
            record: Uuid::from_bytes([1; 16]),
            revision: 1,
            value_digest: None,
            withdraws: None,
        };
        let new = looks_like(usize::MAX);
        assert!(judge_shapes(&new, None).is_ok());
        assert!(judge_shapes(&new, Some(&previous(limits::SHAPES_MAX - 1))).is_ok());
        let refusal = judge_shapes(&new, Some(&previous(limits::SHAPES_MAX))).unwrap_err();
        assert_eq!(refusal.reason, Reason::FieldInvalid);
        let known = looks_like(3);
        assert!(
            judge_shapes(&known, Some(&previous(limits::SHAPES_MAX))).is_ok(),
            "one it had before"
        );
    }
}
