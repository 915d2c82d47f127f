//! Bodies: what the hub needs of them to decide, index and filter.
//!
//! Bodies are parsed leniently, since unknown fields are kept with the bytes; what is known is checked in full.
//! The descriptive part (titles, metrics, narratives) stays in the message, for readers; decisions get
//! [`Content`].

use prost::Message as _;

use crate::model::header::BodyKind;
use crate::model::header::Header;
use crate::model::limits;
use crate::model::names::Audience;
use crate::model::names::Digest;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::Sequence;
use crate::model::normal_form::NormalForm;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::Quota;
use crate::model::roster::Role;
use crate::model::time::Timestamp;
use crate::wire::check;
use crate::wire::header::invalid;
use crate::wire::observable;
use crate::wire::pb;
use crate::wire::statement;

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
        /// The normal form; aggregates have none.
        form: Option<NormalForm>,
        /// Whether its publisher was warned of a common benign value, and stands by it.
        warning_seen: bool,
        /// The operation that it names.
        operation: Option<RecordName>,
    },
    /// An operation.
    Operation,
    /// An attribution, sighting, opinion, action report, reply or note: it says something about one record.
    About {
        /// About which.
        of: RecordName,
    },
    /// Two things are related.
    Link {
        /// From where.
        source: End,
        /// To where.
        target: End,
    },
    /// A question.
    Inquiry {
        /// About what.
        about: End,
        /// Who is asked; nobody: everyone who may read it.
        addressees: Vec<MemberId>,
    },
    /// A withdrawal.
    Withdrawal {
        /// Of which record.
        of: RecordName,
        /// Whether copies must go, the hub's own too.
        demand: Option<Demand>,
    },
    /// An answer to a withdrawal.
    Acknowledgement {
        /// Of which record.
        of: RecordName,
    },
    /// A withdrawal by the operator. The hub's copy goes with it.
    Takedown {
        /// Of which record.
        of: RecordName,
    },
    /// A change of a custom audience.
    AudienceChange {
        /// Which.
        audience: Audience,
        /// What changes.
        change: AudienceAction,
    },
    /// The hub's notice that it erased bodies.
    Erasure {
        /// The sequence of what demanded it.
        demand: u64,
        /// Whose bodies, rising.
        sequences: Vec<u64>,
    },
    /// The hub's notice that it let old bodies go.
    Retention {
        /// The first sequence.
        first: u64,
        /// The sequence behind the last.
        end: u64,
    },
    /// The log was restored, and goes on in a new epoch.
    Epoch(EpochStart),
    /// The hub's notice that a publisher signed two headers for one name and revision.
    Conflict(Box<Conflict>),
    /// The log's next key.
    LogKeyChange(Box<LogKeyChange>),
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
    /// Nothing any more: the body was erased.
    Gone,
}

/// How a log goes on that was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch that ended.
    pub previous: u32,
    /// The one that begins, a greater one.
    pub epoch: u32,
    /// The note of the checkpoint that the restored log ended with. Its signature is not checked yet.
    pub checkpoint: String,
    /// Why, for people.
    pub reason: String,
}

/// A second header for one name and revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The sequence of the first.
    pub first: u64,
    /// The bytes of the second.
    pub payload: bytes::Bytes,
    /// What they say.
    pub header: Header,
    /// The key that is said to have signed them.
    pub key_id: KeyId,
    /// The signature.
    pub signature: bytes::Bytes,
}

/// A record or a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A record.
    Record(RecordName),
    /// A value, by the digest of its normal form.
    Value(Digest),
}

impl End {
    /// The record, if it is one.
    pub const fn record(&self) -> Option<&RecordName> {
        match self {
            Self::Record(name) => Some(name),
            Self::Value(_) => None,
        }
    }
}

/// A demand to delete every copy of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// When the hub erases its own; at once if no time is set.
    pub due: Option<Timestamp>,
}

/// What a keeper changes about an audience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudienceAction {
    /// Makes it.
    Create {
        /// A name for people.
        title: String,
        /// Who is in it besides the keeper.
        members: Vec<MemberId>,
    },
    /// Adds members.
    Add(Vec<MemberId>),
    /// Removes members.
    Remove(Vec<MemberId>),
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
    /// Sets how much it may ask of the hub.
    Quota(Quota),
    /// Puts new keys in the place of all of its keys.
    ResetKeys {
        /// Its new signing key.
        signing_key: NewKey,
        /// Its new recovery key.
        recovery_key: NewKey,
    },
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

/// The log's next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKeyChange {
    /// The key, with its proof of possession.
    pub new_key: NewKey,
    /// Members who vouch for it; none if the old key signs.
    pub cosignatures: Vec<Cosignature>,
}

/// A member vouches for the log's next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// Who.
    pub member: MemberId,
    /// With which of its keys.
    pub key: KeyId,
    /// The signature.
    pub signature: Vec<u8>,
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

impl Content {
    /// Digest of the normal form of an indicator's value.
    pub const fn value_digest(&self) -> Option<Digest> {
        if let Self::Indicator { value_digest, .. } = self { *value_digest } else { None }
    }

    /// The record that it takes back.
    pub const fn withdraws(&self) -> Option<&RecordName> {
        if let Self::Withdrawal { of, .. } | Self::Takedown { of } = self { Some(of) } else { None }
    }

    /// The record that the hub must erase, and from when on; at once if no time is set.
    pub const fn demand(&self) -> Option<(Option<Timestamp>, &RecordName)> {
        if let Self::Withdrawal { of, demand: Some(Demand { due }) } = self {
            return Some((*due, of));
        }
        if let Self::Takedown { of } = self { Some((None, of)) } else { None }
    }

    /// Whether it is a notice of the hub that the body at a place is gone.
    pub fn erases(&self, sequence: u64) -> bool {
        if let Self::Erasure { sequences, .. } = self {
            return sequences.contains(&sequence);
        }
        if let Self::Retention { first, end } = self {
            return (*first..*end).contains(&sequence);
        }
        false
    }

    /// The records that must be there and visible to its publisher, each with the field that names it.
    pub fn targets(&self) -> Vec<(&'static str, &RecordName)> {
        match self {
            Self::About { of } => vec![("body.of", of)],
            Self::Withdrawal { of, .. } => vec![("body.withdrawal.of", of)],
            Self::Acknowledgement { of } => vec![("body.acknowledgement.of", of)],
            Self::Takedown { of } => vec![("body.takedown.of", of)],
            Self::Link { source, target } => {
                let ends = [("body.link.source", source), ("body.link.target", target)];
                ends.into_iter().filter_map(|(field, end)| Some((field, end.record()?))).collect()
            }
            Self::Inquiry { about, .. } => {
                about.record().map(|name| ("body.inquiry.about", name)).into_iter().collect()
            }
            Self::Indicator { .. }
            | Self::Operation
            | Self::AudienceChange { .. }
            | Self::RosterChange { .. }
            | Self::KeyChange(_)
            | Self::Erasure { .. }
            | Self::Retention { .. }
            | Self::Epoch(_)
            | Self::Conflict(_)
            | Self::LogKeyChange(_)
            | Self::Genesis(_)
            | Self::Gone => Vec::new(),
        }
    }
}

/// Parses body bytes whose digest was checked: what decisions need, and the whole for reading.
pub fn content(bytes: &[u8], kind: BodyKind) -> Result<(Content, pb::Body), Refusal> {
    let salted = bytes.starts_with(&[0x0a, 0x20]) && bytes.len() >= 34;
    if !salted {
        return Err(invalid(
            "body.salt",
            "the body must begin with 0x0a 0x20 and a salt of 32 bytes",
        ));
    }
    let body = body(bytes)?;
    if body.salt.len() != 32 {
        return Err(invalid("body.salt", "must be 32 bytes, once"));
    }
    let said = body.content.as_ref().ok_or_else(|| invalid("body.content", "must be set"))?;
    let (found, content) = decided(said)?;
    if found != kind {
        return Err(invalid("header.body_kind", "does not name the body's content"));
    }
    Ok((content, body))
}

/// What decisions need of a content, and its kind.
fn decided(content: &pb::body::Content) -> Result<(BodyKind, Content), Refusal> {
    Ok(match content {
        pb::body::Content::Indicator(wire) => (BodyKind::Indicator, indicator(wire)?),
        pb::body::Content::Operation(wire) => {
            check::operation(wire)?;
            (BodyKind::Operation, Content::Operation)
        }
        pb::body::Content::Attribution(wire) => {
            (BodyKind::Attribution, statement::attribution(wire)?)
        }
        pb::body::Content::Link(wire) => (BodyKind::Link, statement::link(wire)?),
        pb::body::Content::Sighting(wire) => (BodyKind::Sighting, statement::sighting(wire)?),
        pb::body::Content::Opinion(wire) => (BodyKind::Opinion, statement::opinion(wire)?),
        pb::body::Content::ActionReport(wire) => {
            (BodyKind::ActionReport, statement::action_report(wire)?)
        }
        pb::body::Content::Inquiry(wire) => (BodyKind::Inquiry, statement::inquiry(wire)?),
        pb::body::Content::Reply(wire) => (BodyKind::Reply, statement::reply(wire)?),
        pb::body::Content::Note(wire) => (BodyKind::Note, statement::note(wire)?),
        pb::body::Content::Withdrawal(wire) => (BodyKind::Withdrawal, statement::withdrawal(wire)?),
        pb::body::Content::Acknowledgement(wire) => {
            (BodyKind::Acknowledgement, statement::acknowledgement(wire)?)
        }
        pb::body::Content::Takedown(wire) => (BodyKind::Takedown, statement::takedown(wire)?),
        pb::body::Content::AudienceChange(wire) => {
            (BodyKind::AudienceChange, statement::audience_change(wire.clone())?)
        }
        pb::body::Content::Erasure(wire) => (BodyKind::Erasure, statement::erasure(wire.clone())?),
        pb::body::Content::Retention(wire) => (BodyKind::Retention, statement::retention(wire)?),
        pb::body::Content::Epoch(wire) => (BodyKind::Epoch, statement::epoch(wire)?),
        pb::body::Content::Conflict(wire) => (BodyKind::Conflict, statement::conflict(wire)?),
        pb::body::Content::LogKeyChange(wire) => {
            (BodyKind::LogKeyChange, log_key_change(wire.clone())?)
        }
        pb::body::Content::RosterChange(wire) => {
            (BodyKind::RosterChange, roster_change(wire.clone())?)
        }
        pb::body::Content::KeyChange(wire) => (BodyKind::KeyChange, key_change(wire.clone())?),
        pb::body::Content::Genesis(wire) => (BodyKind::Genesis, genesis(wire.clone())?),
    })
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
        form: form.whole,
        warning_seen: wire.warning_seen,
        operation,
    })
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
        Some(pb::roster_change::Change::Quota(wire)) => RosterAction::Quota(quota(wire)),
        Some(pb::roster_change::Change::ResetKeys(wire)) => key_reset(wire)?,
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

fn key_reset(wire: pb::KeyReset) -> Result<RosterAction, Refusal> {
    let pb::KeyReset { signing_key, recovery_key, reason } = wire;
    check::text(&reason, limits::TEXT_BYTES_MAX, "body.roster_change.reset_keys.reason")?;
    Ok(RosterAction::ResetKeys {
        signing_key: new_key(signing_key, "body.roster_change.reset_keys.signing_key")?,
        recovery_key: new_key(recovery_key, "body.roster_change.reset_keys.recovery_key")?,
    })
}

fn quota(wire: pb::Quota) -> Quota {
    let pb::Quota { records_per_second, bytes_per_day, streams, lookups_per_second } = wire;
    Quota { records_per_second, bytes_per_day, streams, lookups_per_second }
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

fn log_key_change(wire: pb::LogKeyChange) -> Result<Content, Refusal> {
    let pb::LogKeyChange { new_key: key, cosignatures } = wire;
    let field = "body.log_key_change.cosignatures";
    let cosignature = |wire: pb::LogKeyCosignature| {
        let pb::LogKeyCosignature { key, signature } = wire;
        let (member, key) = key_name(&key, field)?;
        if signature.len() != 64 {
            return Err(invalid(field, "a signature is 64 bytes"));
        }
        Ok(Cosignature { member, key, signature })
    };
    Ok(Content::LogKeyChange(Box::new(LogKeyChange {
        new_key: new_key(key, "body.log_key_change.new_key")?,
        cosignatures: cosignatures.into_iter().map(cosignature).collect::<Result<_, _>>()?,
    })))
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
    let (member, key) = key_name(key, field)?;
    let compromised_since = compromised.then_some(Sequence(*compromised_since));
    Ok(Retirement { member, key, compromised_since })
}

/// A key by its full name.
fn key_name(name: &str, field: &'static str) -> Result<(MemberId, KeyId), Refusal> {
    let rule = || invalid(field, "must be members/{member}/keys/{64 lower-case hex digits}");
    let (owner, id) = name.split_once("/keys/").ok_or_else(rule)?;
    let member = MemberId::from_name(owner).map_err(|_not_a_member| rule())?;
    Ok((member, id.parse().map_err(|_not_a_key| rule())?))
}

pub(super) fn record_name(text: &str, field: &'static str) -> Result<RecordName, Refusal> {
    text.parse()
        .map_err(|error: crate::model::names::InvalidName| invalid(field, &error.to_string()))
}

pub(super) fn member_id(text: &str, field: &'static str) -> Result<MemberId, Refusal> {
    MemberId::from_name(text).map_err(|error| invalid(field, &error.to_string()))
}
