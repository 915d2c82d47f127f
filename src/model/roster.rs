//! The roster: who takes part, with which keys, from which place of the log on.
//!
//! It is a fold over the roster entries of the log: the same entries give the same roster, in hub and client.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::audiences::Audiences;
use crate::model::fingerprint::Fingerprint;
use crate::model::limits;
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
    /// The operator's reset that it descends from: registered by it, or by a key that was. `None` for a key that goes
    /// back to the member's admission through keys of its own alone.
    pub reset: Option<KeyReset>,
}

/// The operator put keys of its choice in the place of a member's. Nobody but the member can say whether they are its
/// own, so that readers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyReset {
    /// Its place in the log.
    pub at: Sequence,
    /// The new signing key and the new recovery key, in this order: what readers compare with the member.
    pub fingerprint: Fingerprint,
}

impl RegisteredKey {
    /// Whether a record at this place may be signed by this key.
    pub fn is_valid_at(&self, place: Sequence) -> bool {
        place >= self.valid_from && self.retired_at.is_none_or(|end| place < end)
    }
}

/// A key that signs, or signed, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKeyTerm {
    /// Its id.
    pub id: KeyId,
    /// `SubjectPublicKeyInfo`, DER.
    pub spki: Vec<u8>,
    /// The place of the entry that put it in place; it signs behind it.
    pub since: Sequence,
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
    /// Values looked up, pages read, and records sent again, a second, on the average over ten seconds.
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

impl RosterMember {
    /// A member as it is admitted at a place, without a name for people and without limits of its own.
    pub fn admitted(id: MemberId, role: Role, place: Sequence) -> Self {
        Self {
            id,
            role,
            suspended: false,
            may_publish_indicators: false,
            display_name: String::new(),
            admitted_at: place,
            changed_at: place,
            quota: Quota::default(),
        }
    }
}

/// Everyone who takes part, with every key that was ever registered; and the custom audiences, as far as whoever
/// folds may see them. A copy shares what it has with it until one of them changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    members: Arc<BTreeMap<MemberId, RosterMember>>,
    keys: Arc<BTreeMap<KeyId, RegisteredKey>>,
    log_keys: Arc<Vec<LogKeyTerm>>,
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
        if distinct.len() != keys.len() || keys.iter().any(|key| self.has_key(&key.id)) {
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
        if self.has_key(&key.id) {
            return Err(RosterConflict("the key is registered already"));
        }
        // Each reset leaves room for as many again: whoever used up a member's keys must not keep it out for good.
        let count = self.keys_of(&key.member).filter(|other| other.reset == key.reset).count();
        let member = Arc::make_mut(&mut self.members)
            .get_mut(&key.member)
            .ok_or(RosterConflict("there is no such member"))?;
        if count >= limits::MEMBER_KEYS_MAX {
            return Err(RosterConflict("the member has too many keys"));
        }
        member.changed_at = key.valid_from;
        Arc::make_mut(&mut self.keys).insert(key.id, key);
        Ok(())
    }

    /// Puts two new keys in the place of all that a member has, which sign nothing from this place on.
    pub fn reset_keys(
        &mut self,
        member: &MemberId,
        keys: [RegisteredKey; 2],
        at: Sequence,
    ) -> Result<(), RosterConflict> {
        let [signing, recovery] = &keys;
        if signing.id == recovery.id || keys.iter().any(|key| self.has_key(&key.id)) {
            return Err(RosterConflict("the key is registered already"));
        }
        let resets = self.resets_of(member);
        let found = Arc::make_mut(&mut self.members)
            .get_mut(member)
            .ok_or(RosterConflict("there is no such member"))?;
        if found.role == Role::Operator {
            return Err(RosterConflict("the operator's keys are its own to change"));
        }
        if resets.len() >= limits::KEY_RESETS_MAX {
            return Err(RosterConflict("the member's keys were reset too often"));
        }
        found.changed_at = at;
        let all = Arc::make_mut(&mut self.keys);
        for old in all.values_mut().filter(|key| key.member == *member) {
            // A key that retires behind this place anyway does so no later for it.
            old.retired_at = Some(old.retired_at.map_or(at, |end| end.min(at)));
        }
        all.extend(keys.into_iter().map(|key| (key.id, key)));
        Ok(())
    }

    /// Retires a member's key from this place on. One that is retired may still be said to have been compromised, once
    /// or from an earlier place on; it stays retired where it was.
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
            let is_news = compromised_since
                .is_some_and(|since| key.compromised_since.is_none_or(|known| since < known));
            if !is_news {
                return Err(RosterConflict("the key is retired already"));
            }
        }
        key.retired_at.get_or_insert(at);
        key.compromised_since = compromised_since;
        if let Some(member) = Arc::make_mut(&mut self.members).get_mut(owner) {
            member.changed_at = at;
        }
        Ok(())
    }

    /// Puts the log's next key in place, or its first.
    pub fn succeed_log_key(&mut self, term: LogKeyTerm) -> Result<(), RosterConflict> {
        if self.has_key(&term.id) {
            return Err(RosterConflict("the key is registered already"));
        }
        if self.log_keys.len() >= limits::LOG_KEYS_MAX {
            return Err(RosterConflict("the log has had too many keys"));
        }
        Arc::make_mut(&mut self.log_keys).push(term);
        Ok(())
    }

    /// The keys that the log had, in their order; the last one signs now.
    pub fn log_keys(&self) -> &[LogKeyTerm] {
        &self.log_keys
    }

    /// The log key with this id, if it may sign an entry of the hub's own at this place: the one in force there, or the
    /// one that this very entry puts in place.
    pub fn log_key_at(&self, place: Sequence, id: &KeyId) -> Option<&LogKeyTerm> {
        let in_force = self.log_keys.iter().rev().find(|term| term.since < place);
        let begins = self.log_keys.iter().find(|term| term.since == place);
        [in_force, begins].into_iter().flatten().find(|term| term.id == *id)
    }

    /// Whether a key is anybody's, the log's included.
    fn has_key(&self, id: &KeyId) -> bool {
        self.keys.contains_key(id) || self.log_keys.iter().any(|term| term.id == *id)
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

    /// The operator's resets of a member's keys, by place.
    pub fn resets_of(&self, member: &MemberId) -> Vec<KeyReset> {
        let resets = self.keys_of(member).filter_map(|key| key.reset);
        let by_place: BTreeMap<Sequence, KeyReset> =
            resets.map(|reset| (reset.at, reset)).collect();
        by_place.into_values().collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: &str = "acme-video";

    fn id(text: &str) -> MemberId {
        text.parse().unwrap()
    }

    fn key(name: &str, member: &str, key_use: KeyUse, reset: Option<KeyReset>) -> RegisteredKey {
        RegisteredKey {
            id: KeyId::of_spki(name.as_bytes()),
            member: id(member),
            spki: name.as_bytes().to_vec(),
            key_use,
            valid_from: Sequence(reset.map_or(1, |reset| reset.at.0 + 1)),
            retired_at: None,
            compromised_since: None,
            reset,
        }
    }

    fn pair(name: &str, at: u64) -> [RegisteredKey; 2] {
        let spkis = [format!("{name} signing"), format!("{name} recovery")];
        let fingerprint = Fingerprint::of_keys(&[spkis[0].as_bytes(), spkis[1].as_bytes()]);
        let reset = Some(KeyReset { at: Sequence(at), fingerprint });
        [
            key(&spkis[0], ACME, KeyUse::Signing, reset),
            key(&spkis[1], ACME, KeyUse::Recovery, reset),
        ]
    }

    fn roster() -> Roster {
        let mut roster = Roster::default();
        for (member, role) in
            [("operator", Role::Operator), (ACME, Role::Company), ("bravo-net", Role::Company)]
        {
            let entry = RosterMember::admitted(id(member), role, Sequence(1));
            let [signing, recovery] = [
                key(&format!("{member} first"), member, KeyUse::Signing, None),
                key(&format!("{member} recovery"), member, KeyUse::Recovery, None),
            ];
            roster.admit(entry, [signing, recovery]).unwrap();
        }
        roster
    }

    #[test]
    fn a_reset_retires_every_key_of_the_member_and_no_other() {
        let mut roster = roster();
        roster
            .retire_key(&id(ACME), &KeyId::of_spki(b"acme-video first"), Sequence(5), None)
            .unwrap();
        roster.add_key(key("second", ACME, KeyUse::Signing, None)).unwrap();
        roster.reset_keys(&id(ACME), pair("new", 9), Sequence(10)).unwrap();
        let end = |name: &str| roster.key(&KeyId::of_spki(name.as_bytes())).unwrap().retired_at;
        assert_eq!(end("acme-video first"), Some(Sequence(5)), "it was retired before");
        assert_eq!(end("acme-video recovery"), Some(Sequence(10)));
        assert_eq!(end("second"), Some(Sequence(10)));
        assert_eq!((end("new signing"), end("new recovery")), (None, None));
        assert_eq!(end("bravo-net first"), None);
        assert_eq!(roster.member(&id(ACME)).unwrap().changed_at, Sequence(10));
    }

    #[test]
    fn a_reset_that_does_not_fit_changes_nothing() {
        let before = roster();
        let [signing, recovery] = pair("new", 9);
        let owned = key("bravo-net first", ACME, KeyUse::Signing, signing.reset);
        let cases: [(&str, [RegisteredKey; 2]); 5] = [
            (ACME, [owned.clone(), recovery.clone()]),
            (ACME, [signing.clone(), owned]),
            (ACME, [signing.clone(), signing.clone()]),
            ("operator", [signing.clone(), recovery.clone()]),
            ("stranger", [signing, recovery]),
        ];
        for (member, keys) in cases {
            let mut roster = before.clone();
            roster.reset_keys(&id(member), keys, Sequence(10)).unwrap_err();
            assert_eq!(roster, before, "{member}");
        }
    }

    #[test]
    fn the_resets_of_a_member_are_bounded() {
        let mut roster = roster();
        let most = u64::try_from(limits::KEY_RESETS_MAX).unwrap();
        for at in 0..most {
            let keys = pair(&at.to_string(), 10 + at);
            roster.reset_keys(&id(ACME), keys, Sequence(11 + at)).unwrap();
        }
        roster.reset_keys(&id(ACME), pair("more", 500), Sequence(501)).unwrap_err();
    }

    #[test]
    fn keys_that_were_used_up_are_no_bar_to_those_behind_a_reset() {
        let mut roster = roster();
        for number in 2..limits::MEMBER_KEYS_MAX {
            roster.add_key(key(&number.to_string(), ACME, KeyUse::Signing, None)).unwrap();
        }
        roster.add_key(key("one too many", ACME, KeyUse::Signing, None)).unwrap_err();
        let keys = pair("new", 9);
        let reset = keys[0].reset;
        roster.reset_keys(&id(ACME), keys, Sequence(10)).unwrap();
        roster.add_key(key("behind it", ACME, KeyUse::Signing, reset)).unwrap();
    }

    #[test]
    fn a_retired_key_may_still_be_said_to_have_been_compromised() {
        let mut roster = roster();
        let first = KeyId::of_spki(b"acme-video first");
        roster.retire_key(&id(ACME), &first, Sequence(5), None).unwrap();
        roster.retire_key(&id(ACME), &first, Sequence(7), None).unwrap_err();
        roster.retire_key(&id(ACME), &first, Sequence(7), Some(Sequence(4))).unwrap();
        roster.retire_key(&id(ACME), &first, Sequence(8), Some(Sequence(4))).unwrap_err();
        roster.retire_key(&id(ACME), &first, Sequence(8), Some(Sequence(6))).unwrap_err();
        roster.retire_key(&id(ACME), &first, Sequence(8), Some(Sequence(2))).unwrap();
        let key = roster.key(&first).unwrap();
        assert_eq!(key.retired_at, Some(Sequence(5)), "it signs for no longer than it did");
        assert_eq!(key.compromised_since, Some(Sequence(2)));
    }
}
