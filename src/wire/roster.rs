//! The fold of the roster: what each roster entry does to who takes part.
//!
//! Hub and client fold the same entries with this same function, so that a client needs no word of the hub's
//! about whose key is whose.

use crate::model::audiences::AudienceConflict;
use crate::model::fingerprint::Fingerprint;
use crate::model::header::BodyKind;
use crate::model::header::POSSESSION_PAYLOAD_TYPE;
use crate::model::limits;
use crate::model::names::Audience;
use crate::model::names::ExchangeName;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::names::Sequence;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::KeyReset;
use crate::model::roster::KeyUse;
use crate::model::roster::LogKeyTerm;
use crate::model::roster::RegisteredKey;
use crate::model::roster::Role;
use crate::model::roster::Roster;
use crate::model::roster::RosterConflict;
use crate::model::roster::RosterMember;
use crate::model::roster::Standing;
use crate::signing;
use crate::signing::Claim;
use crate::signing::InvalidKey;
use crate::signing::SecretKey;
use crate::signing::VerifyingKey;
use crate::wire::body::AudienceAction;
use crate::wire::body::Content;
use crate::wire::body::Genesis;
use crate::wire::body::KeyAction;
use crate::wire::body::NewKey;
use crate::wire::body::RosterAction;
use crate::wire::envelope::Record;
use crate::wire::pb;
use crate::wire::succession;

/// What a record does to the roster; `None` if it does nothing.
pub fn apply(
    roster: &Roster,
    exchange: &ExchangeName,
    record: &Record,
    place: Sequence,
) -> Result<Option<Roster>, Refusal> {
    // Before the copy, which is wanted by few; it shares with the roster what does not change.
    let kind = record.header.body_kind;
    if !kind.is_roster() && kind != BodyKind::AudienceChange {
        return Ok(None);
    }
    let mut changed = roster.clone();
    let member = &record.header.name.member;
    match &record.content {
        Content::AudienceChange { audience, change } => {
            change_audience(&mut changed, member, audience, change, place)?;
        }
        Content::Indicator { .. }
        | Content::Operation
        | Content::About { .. }
        | Content::Link { .. }
        | Content::Inquiry { .. }
        | Content::Withdrawal { .. }
        | Content::Acknowledgement { .. }
        | Content::Takedown { .. }
        | Content::Erasure { .. }
        | Content::Retention { .. }
        | Content::Epoch(_)
        | Content::Conflict(_)
        | Content::Gone => return Ok(None),
        Content::LogKeyChange(change) => {
            let term = succession::succeed(roster, exchange, change, &record.key_id, place)?;
            changed.succeed_log_key(term).map_err(conflict("body.log_key_change.new_key"))?;
        }
        Content::Genesis(genesis) => found(&mut changed, exchange, genesis)?,
        Content::RosterChange { member, change } => {
            change_roster(&mut changed, exchange, member, change, place)?;
        }
        Content::KeyChange(KeyAction::Add(key)) => {
            let field = "body.key_change.add";
            let mut key = registered(exchange, member, key, KeyUse::Signing, next(place), field)?;
            // What a key vouches for is as sure as it is itself.
            key.reset = vouching(roster, member, &record.key_id)?.reset;
            changed.add_key(key).map_err(conflict(field))?;
        }
        Content::KeyChange(KeyAction::Retire(retirement)) => {
            if retirement.member != *member {
                return Err(Refusal::field(
                    Reason::NotOwner,
                    "body.key_change.retire.key",
                    "the key is another member's",
                ));
            }
            changed
                .retire_key(member, &retirement.key, next(place), retirement.compromised_since)
                .map_err(conflict("body.key_change.retire.key"))?;
        }
    }
    Ok(Some(changed))
}

fn change_roster(
    roster: &mut Roster,
    exchange: &ExchangeName,
    member: &MemberId,
    change: &RosterAction,
    place: Sequence,
) -> Result<(), Refusal> {
    match change {
        RosterAction::Admit {
            role,
            signing_key,
            recovery_key,
            may_publish_indicators,
            display_name,
        } => {
            let entry = RosterMember {
                may_publish_indicators: *may_publish_indicators,
                display_name: display_name.clone(),
                ..RosterMember::admitted(member.clone(), *role, place)
            };
            let keys = [
                (signing_key, KeyUse::Signing, "body.roster_change.admit.signing_key"),
                (recovery_key, KeyUse::Recovery, "body.roster_change.admit.recovery_key"),
            ];
            admit(roster, exchange, entry, keys)
        }
        RosterAction::Suspend => roster
            .set_standing(member, Standing::Suspended, place)
            .map_err(conflict("body.roster_change.suspend")),
        RosterAction::Reinstate => roster
            .set_standing(member, Standing::Active, place)
            .map_err(conflict("body.roster_change.reinstate")),
        RosterAction::Quota(quota) => {
            roster.set_quota(member, *quota, place).map_err(conflict("body.roster_change.quota"))
        }
        RosterAction::RetireKey(retirement) => {
            let field = "body.roster_change.retire_key.key";
            if retirement.member != *member {
                return Err(Refusal::field(Reason::FieldInvalid, field, "is another member's key"));
            }
            roster
                .retire_key(member, &retirement.key, next(place), retirement.compromised_since)
                .map_err(conflict(field))
        }
        RosterAction::ResetKeys { signing_key, recovery_key } => {
            reset_keys(roster, exchange, member, [signing_key, recovery_key], place)
        }
    }
}

/// The key of the member itself that signed a change of its keys.
fn vouching<'a>(
    roster: &'a Roster,
    member: &MemberId,
    id: &KeyId,
) -> Result<&'a RegisteredKey, Refusal> {
    roster.key(id).filter(|key| key.member == *member).ok_or_else(|| {
        let field = "envelope.signatures.keyid";
        Refusal::field(Reason::KeyNotValid, field, "the key is not one of the member's")
    })
}

/// The keys that the operator put in the place of a member's.
fn reset_keys(
    roster: &mut Roster,
    exchange: &ExchangeName,
    member: &MemberId,
    keys: [&NewKey; 2],
    place: Sequence,
) -> Result<(), Refusal> {
    let [signing, recovery] = keys;
    let fingerprint = Fingerprint::of_keys(&[&signing.spki, &recovery.spki]);
    let reset = Some(KeyReset { at: place, fingerprint });
    let fields = [
        (signing, KeyUse::Signing, "body.roster_change.reset_keys.signing_key"),
        (recovery, KeyUse::Recovery, "body.roster_change.reset_keys.recovery_key"),
    ];
    let [signing, recovery] = fields.map(|(key, key_use, field)| {
        let key = registered(exchange, member, key, key_use, next(place), field)?;
        Ok::<_, Refusal>(RegisteredKey { reset, ..key })
    });
    roster
        .reset_keys(member, [signing?, recovery?], next(place))
        .map_err(conflict("body.roster_change.reset_keys"))
}

fn change_audience(
    roster: &mut Roster,
    keeper: &MemberId,
    audience: &Audience,
    change: &AudienceAction,
    place: Sequence,
) -> Result<(), Refusal> {
    let (AudienceAction::Create { members, .. }
    | AudienceAction::Add(members)
    | AudienceAction::Remove(members)) = change;
    let reads =
        |member: &MemberId| roster.member(member).is_some_and(|member| member.role.reads_bodies());
    if let Some(stranger) = members.iter().find(|member| !reads(member)) {
        return Err(Refusal::field(
            Reason::FieldInvalid,
            "body.audience_change.members",
            format!("{} cannot be in an audience", stranger.name()),
        ));
    }
    let audiences = &mut roster.audiences;
    let changed = match change {
        AudienceAction::Create { title, members } => {
            audiences.create(audience, title.clone(), keeper, members, place)
        }
        AudienceAction::Add(members) => audiences.add(audience, keeper, members, place),
        AudienceAction::Remove(members) => audiences.remove(audience, keeper, members, place),
    };
    changed.map_err(|conflict| audience_refusal(conflict, audience))
}

fn audience_refusal(conflict: AudienceConflict, audience: &Audience) -> Refusal {
    let field = "body.audience_change.audience";
    let about = |member: &MemberId, what: &str| {
        let message = format!("{member} {what}");
        Refusal::field(Reason::RosterConflict, "body.audience_change.members", message)
    };
    match conflict {
        AudienceConflict::Forbidden => Refusal::field(
            Reason::AudienceForbidden,
            field,
            format!("{} is not an audience that you may change", audience.name()),
        ),
        AudienceConflict::TooMany => Refusal::field(
            Reason::RosterConflict,
            field,
            format!("a member keeps at most {} audiences", limits::AUDIENCES_KEPT_MAX),
        ),
        AudienceConflict::TooLarge => Refusal::field(
            Reason::RosterConflict,
            "body.audience_change.members",
            format!("an audience has at most {} members", limits::AUDIENCE_MEMBERS_MAX),
        ),
        AudienceConflict::TooOften => Refusal::field(
            Reason::RosterConflict,
            "body.audience_change.members",
            format!(
                "a member adds members to its audiences at most {} times in all",
                limits::AUDIENCE_JOINS_MAX
            ),
        ),
        AudienceConflict::IsIn(member) => about(&member, "is in it already"),
        AudienceConflict::IsNotIn(member) => about(&member, "is not in it"),
        AudienceConflict::Keeps(member) => about(&member, "keeps it, and stays in it"),
    }
}

fn found(roster: &mut Roster, exchange: &ExchangeName, genesis: &Genesis) -> Result<(), Refusal> {
    let operator = RosterMember::admitted(genesis.operator.clone(), Role::Operator, Sequence(0));
    let keys = [
        (&genesis.operator_key, KeyUse::Signing, "body.genesis.operator_key"),
        (&genesis.operator_recovery_key, KeyUse::Recovery, "body.genesis.operator_recovery_key"),
    ];
    admit(roster, exchange, operator, keys)?;
    let first = LogKeyTerm {
        id: KeyId::of_spki(&genesis.log_key),
        spki: genesis.log_key.clone(),
        since: Sequence(0),
    };
    roster.succeed_log_key(first).map_err(conflict("body.genesis.log_key"))
}

/// A public key with the proof that its holder wants it registered for this member of this exchange.
pub fn proven_key(exchange: &ExchangeName, member: &MemberId, key: &SecretKey) -> pb::PublicKey {
    let payload = signing::possession_payload(exchange, member, &key.id());
    pb::PublicKey {
        spki: key.spki(),
        possession_proof: key.sign(POSSESSION_PAYLOAD_TYPE, &payload).to_vec(),
    }
}

fn admit(
    roster: &mut Roster,
    exchange: &ExchangeName,
    member: RosterMember,
    keys: [(&NewKey, KeyUse, &'static str); 2],
) -> Result<(), Refusal> {
    let [signing, recovery] = keys.map(|(key, key_use, field)| {
        registered(exchange, &member.id, key, key_use, member.admitted_at, field)
    });
    roster.admit(member, [signing?, recovery?]).map_err(conflict("body.roster_change.admit"))
}

/// A key that may be registered: well formed, not weak, and its holder wants it here.
fn registered(
    exchange: &ExchangeName,
    member: &MemberId,
    key: &NewKey,
    key_use: KeyUse,
    valid_from: Sequence,
    field: &'static str,
) -> Result<RegisteredKey, Refusal> {
    let refusal =
        |error: InvalidKey| Refusal::field(Reason::FieldInvalid, field, error.to_string());
    let parsed = VerifyingKey::from_spki(&key.spki).map_err(refusal)?;
    let payload = signing::possession_payload(exchange, member, &parsed.id());
    let claim = Claim {
        payload_type: POSSESSION_PAYLOAD_TYPE,
        payload: &payload,
        signature: &key.possession_proof,
        key: &parsed,
        value: (),
    };
    signing::verify(claim).map_err(|_bad| refusal(InvalidKey::Possession))?;
    Ok(RegisteredKey {
        id: parsed.id(),
        member: member.clone(),
        spki: key.spki.clone(),
        key_use,
        valid_from,
        retired_at: None,
        compromised_since: None,
        reset: None,
    })
}

fn conflict(field: &'static str) -> impl FnOnce(RosterConflict) -> Refusal {
    move |error| Refusal::field(Reason::RosterConflict, field, error.to_string())
}

/// Key changes act behind their own place, which the changed key may itself have signed.
fn next(place: Sequence) -> Sequence {
    Sequence(place.0.saturating_add(1))
}
