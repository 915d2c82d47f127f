//! Bodies: what the hub needs of them to decide, index and filter.
//!
//! Bodies are parsed leniently, since unknown fields are kept with the bytes; what is known is checked in full.
//! The descriptive part (titles, metrics, narratives) stays in the message, for readers; decisions get
//! [`Content`].

use prost::Message as _;

use crate::model::header::BodyKind;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::Sequence;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::Role;
use crate::wire::check;
use crate::wire::header::invalid;
use crate::wire::observable;
use crate::wire::pb;

/// What a body says, as far as decisions go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An asset.
    Indicator {
        /// Its kind in normal form (the proto's number).
        kind: i32,
        /// Its platform in normal form; empty where there is none.
        platform: String,
        /// Digest of its normal form; aggregates have none.
        value_digest: Option<Digest>,
        /// The operation that it names.
        operation: Option<RecordName>,
    },
    /// An operation.
    Operation,
    /// A withdrawal.
    Withdrawal {
        /// Of which record.
        of: RecordName,
    },
    /// A change of the roster.
    RosterChange {
        /// About whom.
        member: MemberId,
        /// What changes.
        change: RosterAction,
    },
    /// A change of the publisher's own keys.
    KeyChange(KeyAction),
    /// The founding facts.
    Genesis(Box<Genesis>),
}

/// What the operator changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosterAction {
    /// Admits the member.
    Admit {
        /// What it may do.
        role: Role,
        /// Its first signing key.
        signing_key: NewKey,
        /// Its recovery key.
        recovery_key: NewKey,
        /// Whether an observer may publish indicators.
        may_publish_indicators: bool,
        /// A name for people.
        display_name: String,
    },
    /// Suspends it.
    Suspend,
    /// Reinstates it.
    Reinstate,
    /// Retires one of its keys.
    RetireKey(Retirement),
}

/// What a member changes about its own keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// Adds a signing key.
    Add(NewKey),
    /// Retires a key.
    Retire(Retirement),
}

/// A key to be registered, with its proof of possession, which the admission checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// `SubjectPublicKeyInfo`, DER.
    pub spki: Vec<u8>,
    /// The proof.
    pub possession_proof: Vec<u8>,
}

/// A key to be retired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// Its owner.
    pub member: MemberId,
    /// Its id.
    pub key: KeyId,
    /// From where its signatures are in doubt, if it was compromised.
    pub compromised_since: Option<Sequence>,
}

/// The founding facts of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The title in the exchange's name.
    pub title: String,
    /// The SPIFFE trust domain.
    pub trust_domain: String,
    /// The operator.
    pub operator: MemberId,
    /// Its signing key.
    pub operator_key: NewKey,
    /// Its recovery key.
    pub operator_recovery_key: NewKey,
    /// The log's key: `SubjectPublicKeyInfo`, DER.
    pub log_key: Vec<u8>,
    /// SHA-256 of the first CA certificate, DER.
    pub ca_digest: Digest,
}

/// Parses body bytes whose digest was checked.
pub fn content(bytes: &[u8], kind: BodyKind) -> Result<Content, Refusal> {
    let salted = bytes.starts_with(&[0x0a, 0x20]) && bytes.len() >= 34;
    if !salted {
        return Err(invalid(
            "body.salt",
            "the body must begin with 0x0a 0x20 and a salt of 32 bytes",
        ));
    }
    let pb::Body { salt, content } = body(bytes)?;
    if salt.len() != 32 {
        return Err(invalid("body.salt", "must be 32 bytes, once"));
    }
    let content = content.ok_or_else(|| invalid("body.content", "must be set"))?;
    let (found, content) = match content {
        pb::body::Content::Indicator(wire) => (BodyKind::Indicator, indicator(&wire)?),
        pb::body::Content::Operation(wire) => {
            check::operation(&wire)?;
            (BodyKind::Operation, Content::Operation)
        }
        pb::body::Content::Withdrawal(wire) => (BodyKind::Withdrawal, withdrawal(&wire)?),
        pb::body::Content::RosterChange(wire) => (BodyKind::RosterChange, roster_change(wire)?),
        pb::body::Content::KeyChange(wire) => (BodyKind::KeyChange, key_change(wire)?),
        pb::body::Content::Genesis(wire) => (BodyKind::Genesis, genesis(wire)?),
    };
    if found != kind {
        return Err(invalid("header.body_kind", "does not name the body's content"));
    }
    Ok(content)
}

/// Decodes body bytes for reading.
pub fn body(bytes: &[u8]) -> Result<pb::Body, Refusal> {
    pb::Body::decode(bytes)
        .map_err(|error| Refusal::field(Reason::MalformedEnvelope, "body", error.to_string()))
}

fn indicator(wire: &pb::Indicator) -> Result<Content, Refusal> {
    check::indicator(wire)?;
    let observable = wire
        .observable
        .as_ref()
        .ok_or_else(|| invalid("body.indicator.observable", "must be set"))?;
    let form = observable::normal_form(observable)?;
    let operation = match wire.operation.as_str() {
        "" => None,
        name => Some(record_name(name, "body.indicator.operation")?),
    };
    Ok(Content::Indicator {
        kind: form.kind,
        platform: form.platform,
        value_digest: form.digest,
        operation,
    })
}

fn withdrawal(wire: &pb::Withdrawal) -> Result<Content, Refusal> {
    check::withdrawal(wire)?;
    Ok(Content::Withdrawal { of: record_name(&wire.of, "body.withdrawal.of")? })
}

fn roster_change(wire: pb::RosterChange) -> Result<Content, Refusal> {
    let pb::RosterChange { member, change } = wire;
    let member = member_id(&member, "body.roster_change.member")?;
    let change = match change {
        Some(pb::roster_change::Change::Admit(wire)) => admission(wire)?,
        Some(pb::roster_change::Change::Suspend(pb::Suspension { reason })) => {
            check::text(&reason, limits::TEXT_BYTES_MAX, "body.roster_change.suspend.reason")?;
            RosterAction::Suspend
        }
        Some(pb::roster_change::Change::Reinstate(pb::Reinstatement { reason })) => {
            check::text(&reason, limits::TEXT_BYTES_MAX, "body.roster_change.reinstate.reason")?;
            RosterAction::Reinstate
        }
        Some(pb::roster_change::Change::RetireKey(wire)) => {
            RosterAction::RetireKey(retirement(&wire, "body.roster_change.retire_key.key")?)
        }
        None => return Err(invalid("body.roster_change.change", "must be set")),
    };
    Ok(Content::RosterChange { member, change })
}

fn admission(wire: pb::Admission) -> Result<RosterAction, Refusal> {
    let pb::Admission { role, signing_key, recovery_key, may_publish_indicators, display_name } =
        wire;
    check::text(&display_name, limits::LABEL_BYTES_MAX, "body.roster_change.admit.display_name")?;
    Ok(RosterAction::Admit {
        role: admissible_role(role)?,
        signing_key: new_key(signing_key, "body.roster_change.admit.signing_key")?,
        recovery_key: new_key(recovery_key, "body.roster_change.admit.recovery_key")?,
        may_publish_indicators,
        display_name,
    })
}

fn admissible_role(number: i32) -> Result<Role, Refusal> {
    match pb::Role::try_from(number) {
        Ok(pb::Role::Company) => Ok(Role::Company),
        Ok(pb::Role::Observer) => Ok(Role::Observer),
        Ok(pb::Role::Auditor) => Ok(Role::Auditor),
        Ok(pb::Role::Operator | pb::Role::Unspecified) | Err(_) => {
            Err(invalid("body.roster_change.admit.role", "must be company, observer or auditor"))
        }
    }
}

fn key_change(wire: pb::KeyChange) -> Result<Content, Refusal> {
    let action = match wire.change {
        Some(pb::key_change::Change::Add(key)) => {
            KeyAction::Add(new_key(Some(key), "body.key_change.add")?)
        }
        Some(pb::key_change::Change::Retire(wire)) => {
            KeyAction::Retire(retirement(&wire, "body.key_change.retire.key")?)
        }
        None => return Err(invalid("body.key_change.change", "must be set")),
    };
    Ok(Content::KeyChange(action))
}

fn genesis(wire: pb::Genesis) -> Result<Content, Refusal> {
    let pb::Genesis {
        title,
        trust_domain,
        operator,
        operator_key,
        operator_recovery_key,
        log_key,
        ca_digest,
    } = wire;
    check::text(&trust_domain, limits::LABEL_BYTES_MAX, "body.genesis.trust_domain")?;
    check::text(&title, limits::LABEL_BYTES_MAX, "body.genesis.title")?;
    Ok(Content::Genesis(Box::new(Genesis {
        title,
        trust_domain,
        operator: member_id(&operator, "body.genesis.operator")?,
        operator_key: new_key(operator_key, "body.genesis.operator_key")?,
        operator_recovery_key: new_key(
            operator_recovery_key,
            "body.genesis.operator_recovery_key",
        )?,
        log_key,
        ca_digest: ca_digest
            .as_slice()
            .try_into()
            .map_err(|_length| invalid("body.genesis.ca_digest", "must be 32 bytes"))?,
    })))
}

fn new_key(wire: Option<pb::PublicKey>, field: &'static str) -> Result<NewKey, Refusal> {
    let pb::PublicKey { spki, possession_proof } =
        wire.ok_or_else(|| invalid(field, "must be set"))?;
    if spki.len() > 256 || possession_proof.len() != 64 {
        return Err(invalid(field, "spki is at most 256 bytes, the proof 64"));
    }
    Ok(NewKey { spki, possession_proof })
}

fn retirement(wire: &pb::KeyRetirement, field: &'static str) -> Result<Retirement, Refusal> {
    let pb::KeyRetirement { key, compromised, compromised_since } = wire;
    let rule = || invalid(field, "must be members/{member}/keys/{64 lower-case hex digits}");
    let (owner, id) = key.split_once("/keys/").ok_or_else(rule)?;
    Ok(Retirement {
        member: MemberId::from_name(owner).map_err(|_not_a_member| rule())?,
        key: id.parse().map_err(|_not_a_key| rule())?,
        compromised_since: compromised.then_some(Sequence(*compromised_since)),
    })
}

fn record_name(text: &str, field: &'static str) -> Result<RecordName, Refusal> {
    text.parse()
        .map_err(|error: crate::model::names::InvalidName| invalid(field, &error.to_string()))
}

fn member_id(text: &str, field: &'static str) -> Result<MemberId, Refusal> {
    MemberId::from_name(text).map_err(|error| invalid(field, &error.to_string()))
}
