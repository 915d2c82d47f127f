//! The roster: who takes part, with which keys, from which place of the log on.
//!
//! It is a fold over the roster entries of the log: the same entries give the same roster, in hub and client.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::audiences::Audiences;
use crate::model::names::Audience;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::names::Sequence;

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Publishes and reads.
    Company,
    /// Reads what names it, observers or all.
    Observer,
    /// Reads leaf data, checkpoints and the roster; no bodies.
    Auditor,
    /// Signs roster changes; reads no bodies.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Self] =
        &[Self::Company, Self::Observer, Self::Auditor, Self::Operator];

    /// The word that people use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Company => "company",
            Self::Observer => "observer",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }

    /// The built-in audiences that a member with this role is in.
    pub fn audiences(self) -> Vec<Audience> {
        match self {
            Self::Company => vec![Audience::companies(), Audience::all()],
            Self::Observer => vec![Audience::observers(), Audience::all()],
            Self::Auditor | Self::Operator => Vec::new(),
        }
    }

    /// Whether it may be named as a recipient: auditors and the operator read no bodies.
    pub const fn reads_bodies(self) -> bool {
        matches!(self, Self::Company | Self::Observer)
    }
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyUse {
    /// Signs records.
    Signing,
    /// Signs key changes only.
    Recovery,
}

/// A registered key and the places of the log at which it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredKey {
    /// Its id.
    pub id: KeyId,
    /// Its owner.
    pub member: MemberId,
    /// `SubjectPublicKeyInfo`, DER.
    pub spki: Vec<u8>,
    /// What it is for.
    pub key_use: KeyUse,
    /// The first place at which its signatures are valid.
    pub valid_from: Sequence,
    /// The first place at which they no longer are.
    pub retired_at: Option<Sequence>,
    /// The first place from which they are in doubt; it flags, it never deletes.
    pub compromised_since: Option<Sequence>,
}

impl RegisteredKey {
    /// Whether a record at this place may be signed by this key.
    pub fn is_valid_at(&self, place: Sequence) -> bool {
        place >= self.valid_from && self.retired_at.is_none_or(|end| place < end)
    }
}

/// How much a member may ask of the hub. 0 stands for the hub's own limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Records published a second, on the average over ten seconds.
    pub records_per_second: u32,
    /// Bytes of envelopes published in 24 hours.
    pub bytes_per_day: u64,
    /// Streams open at once.
    pub streams: u32,
    /// Values looked up, and pages read, a second, on the average over ten seconds.
    pub lookups_per_second: u32,
}

/// A member as the roster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterMember {
    /// Its id.
    pub id: MemberId,
    /// What it may do.
    pub role: Role,
    /// Whether it may neither read nor write for now.
    pub suspended: bool,
    /// Whether an observer may publish indicators.
    pub may_publish_indicators: bool,
    /// A name for people.
    pub display_name: String,
    /// The place of its admission.
    pub admitted_at: Sequence,
    /// The place of the last change of its standing, quota or keys.
    pub changed_at: Sequence,
    /// How much it may ask of the hub.
    pub quota: Quota,
}

/// Everyone who takes part, with every key that was ever registered; and the custom audiences, as far as whoever
/// folds may see them. A copy shares what it has with it until one of them changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    members: Arc<BTreeMap<MemberId, RosterMember>>,
    keys: Arc<BTreeMap<KeyId, RegisteredKey>>,
    /// The custom audiences.
    pub audiences: Audiences,
}

/// Why a change does not fit the roster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RosterConflict(pub &'static str);

impl Roster {
    /// Adds a member with its keys.
    pub fn admit(
        &mut self,
        member: RosterMember,
        keys: impl IntoIterator<Item = RegisteredKey>,
    ) -> Result<(), RosterConflict> {
        if member.id == MemberId::hub() {
            return Err(RosterConflict("that id stands for the hub itself"));
        }
        if self.members.contains_key(&member.id) {
            return Err(RosterConflict("the member was admitted before"));
        }
        let keys: Vec<_> = keys.into_iter().collect();
        let distinct: std::collections::BTreeSet<_> = keys.iter().map(|key| key.id).collect();
        if distinct.len() != keys.len() || keys.iter().any(|key| self.keys.contains_key(&key.id)) {
            return Err(RosterConflict("the key is registered already"));
        }
        Arc::make_mut(&mut self.members).insert(member.id.clone(), member);
        Arc::make_mut(&mut self.keys).extend(keys.into_iter().map(|key| (key.id, key)));
        Ok(())
    }

    /// Suspends or reinstates a member.
    pub fn set_standing(
        &mut self,
        id: &MemberId,
        standing: Standing,
        at: Sequence,
    ) -> Result<(), RosterConflict> {
        let member = Arc::make_mut(&mut self.members)
            .get_mut(id)
            .ok_or(RosterConflict("there is no such member"))?;
        if member.role == Role::Operator {
            return Err(RosterConflict("the operator cannot be suspended"));
        }
        let suspended = standing == Standing::Suspended;
        if member.suspended == suspended {
            return Err(RosterConflict("the member has that standing already"));
        }
        member.suspended = suspended;
        member.changed_at = at;
        Ok(())
    }

    /// Sets how much a member may ask of the hub.
    pub fn set_quota(
        &mut self,
        id: &MemberId,
        quota: Quota,
        at: Sequence,
    ) -> Result<(), RosterConflict> {
        let member = Arc::make_mut(&mut self.members)
            .get_mut(id)
            .ok_or(RosterConflict("there is no such member"))?;
        member.quota = quota;
        member.changed_at = at;
        Ok(())
    }

    /// Registers a further key of a member.
    pub fn add_key(&mut self, key: RegisteredKey) -> Result<(), RosterConflict> {
        if self.keys.contains_key(&key.id) {
            return Err(RosterConflict("the key is registered already"));
        }
        let count = self.keys_of(&key.member).count();
        let member = Arc::make_mut(&mut self.members)
            .get_mut(&key.member)
            .ok_or(RosterConflict("there is no such member"))?;
        if count >= crate::model::limits::MEMBER_KEYS_MAX {
            return Err(RosterConflict("the member has too many keys"));
        }
        member.changed_at = key.valid_from;
        Arc::make_mut(&mut self.keys).insert(key.id, key);
        Ok(())
    }

    /// Retires a member's key from this place on.
    pub fn retire_key(
        &mut self,
        owner: &MemberId,
        id: &KeyId,
        at: Sequence,
        compromised_since: Option<Sequence>,
    ) -> Result<(), RosterConflict> {
        let key = Arc::make_mut(&mut self.keys)
            .get_mut(id)
            .filter(|key| key.member == *owner)
            .ok_or(RosterConflict("the member has no such key"))?;
        if key.retired_at.is_some() {
            return Err(RosterConflict("the key is retired already"));
        }
        key.retired_at = Some(at);
        key.compromised_since = compromised_since;
        if let Some(member) = Arc::make_mut(&mut self.members).get_mut(owner) {
            member.changed_at = at;
        }
        Ok(())
    }

    /// The member with this id.
    pub fn member(&self, id: &MemberId) -> Option<&RosterMember> {
        self.members.get(id)
    }

    /// All members, by id.
    pub fn members(&self) -> impl Iterator<Item = &RosterMember> {
        self.members.values()
    }

    /// The key with this id, retired or not.
    pub fn key(&self, id: &KeyId) -> Option<&RegisteredKey> {
        self.keys.get(id)
    }

    /// Every key of a member, by id.
    pub fn keys_of<'a>(&'a self, member: &'a MemberId) -> impl Iterator<Item = &'a RegisteredKey> {
        self.keys.values().filter(move |key| key.member == *member)
    }
}

/// Whether a member takes part for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Active,
    /// It may neither read nor write.
    Suspended,
}
