//! Admission: whether a record with a good signature is taken, and what follows from it.
//!
//! Pure: the sequencer gathers the facts, this judges, the sequencer acts. The order of the checks is part of
//! the protocol: a record that was taken once is answered with its receipt whatever has changed since, as long as its
//! publisher has look-ups left.

use std::sync::Arc;

use crate::exchange::prepare::Warning;
use crate::model::facts::Facts;
use crate::model::facts::Scope;
use crate::model::facts::Shape;
use crate::model::handling::Reach;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::header::Header;
use crate::model::limits;
use crate::model::names::Audience;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::names::Sequence;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::KeyUse;
use crate::model::roster::Role;
use crate::model::roster::Roster;
use crate::model::time::Timestamp;
use crate::wire;
use crate::wire::body::AudienceAction;
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

/// A record that another one is about, as it stands at that place.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The facts of its latest revision, whose reach is the widest.
    pub(super) facts: Facts,
    /// The strictest label of its latest revision.
    pub(super) tlp: Tlp,
    /// The place of its first revision.
    pub(super) first: Sequence,
    /// Whether it was withdrawn.
    pub(super) withdrawn: bool,
    /// Whether that was a takedown.
    pub(super) taken_down: bool,
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
    /// What the record is about, in the order of [`Content::targets`]; `None` for what is not there.
    pub(super) targets: &'a [Option<Target>],
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
    wire::sense(&record.body, header.create_time)?;
    judge_gathering(record, circumstances.roster)?;
    judge_predecessor(header, circumstances)?;
    judge_targets(record, circumstances)?;
    let shape = shape(&record.content, circumstances);
    judge_shapes(&shape, circumstances.previous.map(|previous| &previous.facts))?;
    let facts = facts(record, shape, circumstances);
    judge_addressees(record, &facts, circumstances.roster)?;
    Ok(facts)
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
    let allowed = match member.role {
        _ if kind == BodyKind::KeyChange => true,
        Role::Company => {
            kind.is_chosen()
                || matches!(
                    kind,
                    BodyKind::Withdrawal | BodyKind::Acknowledgement | BodyKind::AudienceChange
                )
        }
        Role::Observer => {
            is_an_observers(kind) || (kind == BodyKind::Indicator && member.may_publish_indicators)
        }
        Role::Operator => matches!(kind, BodyKind::RosterChange | BodyKind::Takedown),
        Role::Auditor => false,
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

const fn is_an_observers(kind: BodyKind) -> bool {
    matches!(
        kind,
        BodyKind::Sighting
            | BodyKind::Opinion
            | BodyKind::Inquiry
            | BodyKind::Reply
            | BodyKind::Note
            | BodyKind::Withdrawal
            | BodyKind::Acknowledgement
    )
}

fn judge_handling(header: &Header, roster: &Roster) -> Result<(), Refusal> {
    let reach = &header.handling.reach;
    let named = !reach.audiences.is_empty() || !reach.recipients.is_empty();
    if !header.body_kind.is_chosen() {
        if named || header.revision != 1 {
            return Err(Refusal::field(
                Reason::FieldInvalid,
                "header.handling",
                "records of this kind name no audience and no recipient, and have one revision",
            ));
        }
        return Ok(());
    }
    let may_address = |audience: &&Audience| {
        audience.is_built_in() || roster.audiences.contains(audience, &header.name.member)
    };
    if let Some(audience) = reach.audiences.iter().find(|audience| !may_address(audience)) {
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

/// Nobody is asked before it is put into an audience, and each makes what it looks for dearer: so others put it into a
/// bounded number of them, and one other into fewer.
fn judge_gathering(record: &Record, roster: &Roster) -> Result<(), Refusal> {
    let Content::AudienceChange { change, .. } = &record.content else { return Ok(()) };
    let (AudienceAction::Create { members, .. } | AudienceAction::Add(members)) = change else {
        return Ok(());
    };
    let keeper = &record.header.name.member;
    let is_crowded = |member: &&MemberId| {
        let own = roster.audiences.of(member);
        let keepers = own.iter().filter_map(|name| roster.audiences.get(name));
        let others: Vec<&MemberId> =
            keepers.map(|audience| &audience.keeper).filter(|other| *other != *member).collect();
        *member != keeper
            && (others.len() >= limits::AUDIENCES_JOINED_MAX
                || others.iter().filter(|other| **other == keeper).count()
                    >= limits::AUDIENCES_JOINED_OF_ONE_MAX)
    };
    let Some(crowded) = members.iter().find(is_crowded) else { return Ok(()) };
    Err(Refusal::field(
        Reason::RosterConflict,
        "body.audience_change.members",
        format!(
            "{} is in as many audiences of others as a member may be: {}, and {} of one keeper",
            crowded.name(),
            limits::AUDIENCES_JOINED_MAX,
            limits::AUDIENCES_JOINED_OF_ONE_MAX
        ),
    ))
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

/// Judges what a record is about: it is there, its publisher may see it, it is of a kind that this can be said of,
/// and what is said about it reaches nobody whom it does not.
fn judge_targets(record: &Record, circumstances: &Circumstances<'_>) -> Result<(), Refusal> {
    let content = &record.content;
    for ((field, name), target) in content.targets().into_iter().zip(circumstances.targets) {
        if matches!(content, Content::Withdrawal { .. }) && name.member != record.header.name.member
        {
            let message = "only its publisher withdraws a record";
            return Err(Refusal::field(Reason::NotOwner, field, message));
        }
        let target = target
            .as_ref()
            .filter(|target| is_visible(record, target, circumstances.roster))
            .ok_or_else(|| {
                let message = "there is no such record, or you may not see it";
                Refusal::field(Reason::RecordNotFound, field, message)
            })?;
        judge_fit(record.header.body_kind, field, target)?;
        if record.header.body_kind.is_chosen() {
            judge_reach(&record.header, target, circumstances.roster)?;
        }
    }
    Ok(())
}

/// What is odd about the record that an indicator names as its operation.
pub(super) fn operation_warning(
    record: &Record,
    named: Option<&Target>,
    roster: &Roster,
) -> Option<Warning> {
    let Some(target) = named.filter(|target| is_visible(record, target, roster)) else {
        return Some(Warning::OperationNotFound);
    };
    let kind = target.facts.scope.body_kind;
    (kind != BodyKind::Operation).then_some(Warning::NotAnOperation(kind))
}

/// The operator takes down what it cannot read; and whoever a recall reaches may answer it.
fn is_visible(record: &Record, target: &Target, roster: &Roster) -> bool {
    let caller = &record.header.name.member;
    let sees =
        |scope: &Scope| Reader::of(roster, caller).is_some_and(|reader| may_see(&reader, scope));
    let kind = record.header.body_kind;
    if kind == BodyKind::Acknowledgement && target.withdrawn {
        let reach = recall_reach(target, roster);
        return sees(&Scope { reach, ..target.facts.scope.as_ref().clone() });
    }
    kind == BodyKind::Takedown || sees(&target.facts.scope)
}

fn judge_fit(kind: BodyKind, field: &'static str, target: &Target) -> Result<(), Refusal> {
    let of = target.facts.scope.body_kind;
    let is_asset = matches!(of, BodyKind::Indicator | BodyKind::Operation);
    let fits = if kind == BodyKind::Attribution {
        of == BodyKind::Operation
    } else if kind == BodyKind::Reply {
        of == BodyKind::Inquiry
    } else if matches!(kind, BodyKind::Sighting | BodyKind::ActionReport) {
        is_asset
    } else {
        of.is_chosen()
    };
    if !fits {
        let (kind, of) = (kind.as_str(), of.as_str());
        let message = format!("a record of the kind {kind} is not about one of the kind {of}");
        return Err(Refusal::field(Reason::FieldInvalid, field, message));
    }
    // The operator may have to take down what was withdrawn without being erased, once.
    let again = kind == BodyKind::Withdrawal || (kind == BodyKind::Takedown && target.taken_down);
    match (again, kind == BodyKind::Acknowledgement, target.withdrawn) {
        (true, _, true) => {
            Err(Refusal::field(Reason::RecordWithdrawn, field, "the record was withdrawn before"))
        }
        (_, true, false) => Err(Refusal::field(
            Reason::FieldInvalid,
            field,
            "the record was not withdrawn, so there is nothing to acknowledge",
        )),
        _ => Ok(()),
    }
}

/// What is said about a record reaches nobody whom the record does not; a link is as strict as its stricter end.
fn judge_reach(header: &Header, target: &Target, roster: &Roster) -> Result<(), Refusal> {
    let scope = &target.facts.scope;
    let exceeded = |field, who: String| {
        let message = format!("the record that it is about does not reach {who}");
        Err(Refusal::field(Reason::ReachExceeded, field, message))
    };
    let reach = &header.handling.reach;
    let audiences = Reach { audiences: reach.audiences.clone(), recipients: Vec::new() };
    if !scope.reach.covers(&audiences) {
        let names: Vec<String> = reach.audiences.iter().map(Audience::name).collect();
        return exceeded("header.handling.audiences", names.join(" and "));
    }
    let speaker = &header.name.member;
    let is_reached = |member: &&MemberId| {
        **member == scope.publisher
            || Reader::as_known_to(roster, member, speaker)
                .is_some_and(|reader| may_see(&Reader { suspended: false, ..reader }, scope))
    };
    if let Some(stranger) = reach.recipients.iter().find(|member| !is_reached(member)) {
        return exceeded("header.handling.recipients", stranger.name());
    }
    if header.body_kind == BodyKind::Link && header.handling.tlp < target.tlp {
        let message = format!("a link is at least as strict as its ends, here {}", target.tlp);
        return Err(Refusal::field(Reason::ReachExceeded, "header.handling.tlp", message));
    }
    Ok(())
}

/// Whoever is asked can read the question.
fn judge_addressees(record: &Record, facts: &Facts, roster: &Roster) -> Result<(), Refusal> {
    let Content::Inquiry { addressees, .. } = &record.content else {
        return Ok(());
    };
    let reads = |member: &&MemberId| {
        Reader::of(roster, member)
            .is_some_and(|reader| may_see(&Reader { suspended: false, ..reader }, &facts.scope))
    };
    match addressees.iter().find(|member| !reads(member)) {
        None => Ok(()),
        Some(member) => Err(Refusal::field(
            Reason::FieldInvalid,
            "body.inquiry.addressees",
            format!("{} cannot read it", member.name()),
        )),
    }
}

fn facts(record: &Record, shape: Shape, circumstances: &Circumstances<'_>) -> Facts {
    let header = &record.header;
    let mut earlier: Vec<Shape> = Vec::new();
    if let Some(previous) = circumstances.previous {
        earlier.extend(different(&previous.facts, &shape).map(|earlier| Shape {
            revision: if earlier.revision == 0 {
                previous.facts.revision
            } else {
                earlier.revision
            },
            ..earlier.clone()
        }));
    }
    let mut shapes = vec![shape];
    shapes.append(&mut earlier);
    let reach = reach(record, circumstances);
    let role = circumstances.roster.member(&header.name.member).map(|member| member.role);
    let audiences = role.map(Role::audiences).unwrap_or_default();
    Facts {
        scope: Arc::new(Scope {
            publisher: header.name.member.clone(),
            body_kind: header.body_kind,
            publisher_is_reached: reach.audiences.iter().any(|named| audiences.contains(named)),
            reach,
            shapes,
        }),
        record: header.name.record,
        revision: header.revision,
        value_digest: record.content.value_digest(),
        withdraws: record.content.withdraws().map(|of| of.record),
    }
}

/// The facts of an entry that the hub itself writes.
pub(super) fn own_facts(record: &Record) -> Facts {
    let header = &record.header;
    Facts {
        scope: Arc::new(Scope {
            publisher: header.name.member.clone(),
            body_kind: header.body_kind,
            publisher_is_reached: false,
            reach: Reach::default(),
            shapes: vec![Shape::default()],
        }),
        record: header.name.record,
        revision: header.revision,
        value_digest: None,
        withdraws: None,
    }
}

/// The facts of the hub's notice of a conflict, which reaches those who may read the first record.
pub(super) fn conflict_facts(record: &Record, mut reach: Reach) -> Facts {
    reach.recipients.sort_unstable();
    reach.recipients.dedup();
    let facts = own_facts(record);
    let scope = Scope { reach, ..Scope::clone(&facts.scope) };
    Facts { scope: Arc::new(scope), ..facts }
}

/// Who may read: as the handling says, or as the kind of body says where that is not its publisher's to choose.
fn reach(record: &Record, circumstances: &Circumstances<'_>) -> Reach {
    let target = circumstances.targets.first().and_then(Option::as_ref);
    match (&record.content, target) {
        (Content::Withdrawal { .. } | Content::Takedown { .. }, Some(target)) => {
            recall_reach(target, circumstances.roster)
        }
        (Content::Acknowledgement { of }, _) => {
            Reach { audiences: Vec::new(), recipients: vec![of.member.clone()] }
        }
        (Content::AudienceChange { audience, .. }, _) => {
            Reach { audiences: vec![audience.clone()], recipients: Vec::new() }
        }
        _ => record.header.handling.reach.clone(),
    }
}

/// A recall reaches everyone who could see any revision of its target, whoever has left an audience since. Reach only
/// ever widens, so that the last revision has all of it.
fn recall_reach(target: &Target, roster: &Roster) -> Reach {
    let mut reach = target.facts.scope.reach.clone();
    let custom = reach.audiences.iter().filter(|audience| !audience.is_built_in());
    let ever = custom.flat_map(|audience| roster.audiences.ever_in(audience, target.first));
    let recipients = ever.chain([target.facts.scope.publisher.clone()]).collect();
    reach.widen(&Reach { audiences: Vec::new(), recipients });
    reach
}

/// The shapes of a revision, and of those before it, that are not this one.
fn different<'a>(previous: &'a Facts, shape: &'a Shape) -> impl Iterator<Item = &'a Shape> {
    previous.scope.shapes.iter().filter(move |earlier| !earlier.looks_like(shape))
}

/// What filters look at: for what is said about an operation or one of its indicators, that operation.
fn shape(content: &Content, circumstances: &Circumstances<'_>) -> Shape {
    if let Content::Indicator { kind, platform, operation, .. } = content {
        return Shape {
            kind: *kind,
            platform: platform.clone(),
            operation: operation.clone(),
            revision: 0,
        };
    }
    let operation = |target: &Target| {
        let is_one = target.facts.scope.body_kind == BodyKind::Operation;
        let named = || target.facts.scope.shapes.first()?.operation.clone();
        if is_one { Some(target.facts.name()) } else { named() }
    };
    let is_said_about = !content.targets().is_empty() && content.withdraws().is_none();
    let found = circumstances.targets.iter().flatten().find_map(operation);
    Shape { operation: found.filter(|_operation| is_said_about), ..Shape::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::World;
    use crate::client::tests::domain;
    use crate::model::roster::RosterMember;
    use crate::wire::body::End;
    use crate::wire::pb;
    use uuid::Uuid;

    fn looks_like(platform: usize) -> Shape {
        Shape { platform: format!("platform {platform}"), ..Shape::default() }
    }

    fn facts(body_kind: BodyKind, shapes: Vec<Shape>) -> Facts {
        Facts {
            scope: Arc::new(Scope {
                publisher: "acme-video".parse().unwrap(),
                body_kind,
                reach: Reach::default(),
                publisher_is_reached: false,
                shapes,
            }),
            record: Uuid::from_bytes([1; 16]),
            revision: 1,
            value_digest: None,
            withdraws: None,
        }
    }

    /// Nothing was there before.
    fn circumstances<'a>(exchange: &'a ExchangeName, roster: &'a Roster) -> Circumstances<'a> {
        Circumstances {
            exchange,
            roster,
            place: Sequence(1),
            now: Timestamp::from_micros(1_800_000_000_000_000).unwrap(),
            previous: None,
            withdrawn: false,
            targets: &[],
        }
    }

    /// A record that stands.
    fn target(facts: Facts) -> Target {
        let (tlp, first) = (Tlp::Green, Sequence(0));
        Target { facts, tlp, first, withdrawn: false, taken_down: false }
    }

    fn company(id: &MemberId) -> RosterMember {
        RosterMember::admitted(id.clone(), Role::Company, Sequence(0))
    }

    #[test]
    fn what_is_said_about_an_operation_or_an_indicator_of_it_is_of_that_operation() {
        let operation = facts(BodyKind::Operation, Vec::new());
        let name = operation.name();
        let of_it = Shape { operation: Some(name.clone()), ..looks_like(1) };
        let indicator = facts(BodyKind::Indicator, vec![of_it]);
        let other = facts(BodyKind::Indicator, vec![looks_like(2)]);
        let of = |content: &Content, facts: &Facts| {
            let exchange = ExchangeName::derive("spring", b"key", b"log").unwrap();
            let (roster, targets) = (Roster::default(), [Some(target(facts.clone()))]);
            let plain = circumstances(&exchange, &roster);
            shape(content, &Circumstances { targets: &targets, ..plain }).operation
        };
        let about = Content::About { of: name.clone() };
        assert_eq!(of(&about, &operation), Some(name.clone()));
        assert_eq!(of(&about, &indicator), Some(name.clone()));
        assert_eq!(of(&about, &other), None);
        let withdrawal = Content::Withdrawal { of: name, demand: None };
        assert_eq!(of(&withdrawal, &operation), None, "taken back, and not said about it");
    }

    #[test]
    fn what_a_record_looked_like_before_is_said_with_the_revision_that_did() {
        let world = World::new();
        let envelope = world.publish(&world.acme, domain("example.com"));
        let record = wire::envelope::record(envelope).unwrap();
        let second = Shape { revision: 2, ..looks_like(2) };
        let facts =
            Facts { revision: 4, ..facts(BodyKind::Indicator, vec![looks_like(4), second]) };
        let previous = Previous { header_digest: record.header_digest, facts };
        let roster = Roster::default();
        let circumstances = Circumstances {
            previous: Some(&previous),
            ..circumstances(&record.header.exchange, &roster)
        };
        let found = super::facts(&record, looks_like(5), &circumstances);
        let revisions: Vec<(&str, u32)> = found
            .scope
            .shapes
            .iter()
            .map(|shape| (shape.platform.as_str(), shape.revision))
            .collect();
        assert_eq!(revisions, [("platform 5", 0), ("platform 4", 4), ("platform 2", 2)]);
    }

    #[test]
    fn what_reaches_whom_it_must_names_nobody_and_has_one_revision() {
        let world = World::new();
        let content = world.admission(&world.bravo);
        let record = wire::envelope::record(world.change(&world.operator, &content)).unwrap();
        let judge = |header: &Header| judge_handling(header, &Roster::default());
        assert!(judge(&record.header).is_ok());
        let mut named = record.header.clone();
        named.handling.reach.recipients.push("acme-video".parse().unwrap());
        assert_eq!(judge(&named).unwrap_err().field, "header.handling");
        let revised = Header { revision: 2, ..record.header };
        assert_eq!(judge(&revised).unwrap_err().field, "header.handling");
    }

    #[test]
    fn an_observer_says_what_it_thinks_and_publishes_indicators_if_it_may() {
        let world = World::new();
        let operation = pb::body::Content::Operation(pb::Operation {
            title: "Winter garden".to_owned(),
            ..pb::Operation::default()
        });
        let opinion = pb::body::Content::Opinion(pb::Opinion {
            of: facts(BodyKind::Indicator, Vec::new()).name().to_string(),
            stance: pb::Stance::Disagree.into(),
            ..pb::Opinion::default()
        });
        for (content, may, taken) in [
            (opinion, false, true),
            (domain("example.com"), true, true),
            (domain("example.com"), false, false),
            (operation, true, false),
        ] {
            let envelope = world.publish(&world.acme, content);
            let record = wire::envelope::record(envelope).unwrap();
            let observer = RosterMember {
                role: Role::Observer,
                may_publish_indicators: may,
                ..company(world.acme.member())
            };
            let mut roster = Roster::default();
            roster.admit(observer, []).unwrap();
            let judged = judge_role(&record, &circumstances(&record.header.exchange, &roster));
            let reason = judged.map_err(|refusal| refusal.reason);
            let expected = if taken { Ok(()) } else { Err(Reason::RoleForbids) };
            assert_eq!(reason, expected, "{}", record.header.body_kind.as_str());
        }
    }

    #[test]
    fn what_is_named_as_an_operation_is_one_that_is_there() {
        let world = World::new();
        let envelope = world.publish(&world.acme, domain("example.com"));
        let record = wire::envelope::record(envelope).unwrap();
        let mut roster = Roster::default();
        roster.admit(company(world.acme.member()), []).unwrap();
        let warning = |of: Option<BodyKind>| {
            let target = of.map(|kind| target(facts(kind, Vec::new())));
            operation_warning(&record, target.as_ref(), &roster)
        };
        assert!(warning(Some(BodyKind::Operation)).is_none());
        let of_another = warning(Some(BodyKind::Indicator));
        assert!(matches!(of_another, Some(Warning::NotAnOperation(BodyKind::Indicator))));
        assert!(matches!(warning(None), Some(Warning::OperationNotFound)));
    }

    #[test]
    fn who_is_suspended_is_named_and_asked_as_before() {
        let world = World::new();
        let (mut roster, quiet): (_, MemberId) =
            (Roster::default(), "quiet-pages".parse().unwrap());
        roster.admit(RosterMember { suspended: true, ..company(&quiet) }, []).unwrap();
        let reach = Reach { recipients: vec![quiet], ..Reach::default() };
        let mut said = facts(BodyKind::Inquiry, Vec::new());
        let scope = Scope { reach: reach.clone(), ..said.scope.as_ref().clone() };
        said.scope = Arc::new(scope);
        let about = target(said.clone());
        let envelope = world.publish(&world.acme, domain("example.com"));
        let mut record = wire::envelope::record(envelope).unwrap();
        record.header.handling.reach = reach;
        assert!(judge_reach(&record.header, &about, &roster).is_ok());
        let asked = |addressee: &str| {
            let (about, addressees) = (End::Record(said.name()), vec![addressee.parse().unwrap()]);
            Content::Inquiry { about, addressees }
        };
        record.content = asked("quiet-pages");
        assert!(judge_addressees(&record, &said, &roster).is_ok());
        record.content = asked("other-pages");
        assert!(judge_addressees(&record, &said, &roster).is_err());
    }

    #[test]
    fn a_record_is_ten_minutes_ahead_at_most() {
        let world = World::new();
        let header = |now| {
            let draft = world.draft(&world.acme, domain("example.com"));
            wire::envelope::record(world.acme.sign(draft, now).unwrap()).unwrap().header
        };
        let most = world.now.saturating_add(limits::CREATE_TIME_AHEAD_MAX);
        assert!(judge_clock(&header(most), world.now).is_ok());
        let beyond = Timestamp::from_micros(most.as_micros() + 1).unwrap();
        let refusal = judge_clock(&header(beyond), world.now).unwrap_err();
        assert_eq!(refusal.reason, Reason::ClockSkew);
    }

    #[test]
    fn the_revisions_of_a_record_have_a_bounded_number_of_shapes() {
        let previous =
            |shapes: usize| facts(BodyKind::Indicator, (0..shapes).map(looks_like).collect());
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
