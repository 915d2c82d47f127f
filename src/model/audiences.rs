//! Custom audiences: named groups of members, each kept by the member who made it.
//!
//! Like the roster it is a fold over entries of the log. Who was in an audience at which place is kept for good: a
//! recall reaches everyone who could ever see, and a cursor remembers what its holder could.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::limits;
use crate::model::names::Audience;
use crate::model::names::MemberId;
use crate::model::names::Sequence;

/// One custom audience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomAudience {
    /// A name for people.
    pub title: String,
    /// Who keeps it. A keeper is in it, and stays.
    pub keeper: MemberId,
    /// Who is in it, its keeper included.
    pub members: BTreeSet<MemberId>,
    /// The place at which it was made.
    pub created_at: Sequence,
    /// The place of its last change.
    pub changed_at: Sequence,
    changes: Vec<Change>,
}

/// Somebody joined or left.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    at: Sequence,
    member: MemberId,
    joined: bool,
}

/// Why a change of an audience is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudienceConflict {
    /// It is not the member's to change, or is not there, or is there already: alike, since a handle must tell
    /// strangers nothing.
    Forbidden,
    /// The member keeps as many as it may.
    TooMany,
    /// So many members are not taken.
    TooLarge,
    /// This member is in it already.
    IsIn(MemberId),
    /// This member is not in it.
    IsNotIn(MemberId),
    /// This member keeps it, and stays.
    Keeps(MemberId),
}

/// All custom audiences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audiences {
    by_name: BTreeMap<Audience, CustomAudience>,
}

impl Audiences {
    /// Makes an audience.
    pub fn create(
        &mut self,
        name: &Audience,
        title: String,
        keeper: &MemberId,
        others: &[MemberId],
        at: Sequence,
    ) -> Result<(), AudienceConflict> {
        if self.by_name.contains_key(name) {
            return Err(AudienceConflict::Forbidden);
        }
        let kept = self.by_name.values().filter(|audience| audience.keeper == *keeper).count();
        if kept >= limits::AUDIENCES_KEPT_MAX {
            return Err(AudienceConflict::TooMany);
        }
        let mut audience = CustomAudience {
            title,
            keeper: keeper.clone(),
            members: BTreeSet::new(),
            created_at: at,
            changed_at: at,
            changes: Vec::new(),
        };
        audience.join(keeper, at)?;
        for member in others.iter().filter(|member| *member != keeper) {
            audience.join(member, at)?;
        }
        self.by_name.insert(name.clone(), audience);
        Ok(())
    }

    /// Adds members, all or none.
    pub fn add(
        &mut self,
        name: &Audience,
        keeper: &MemberId,
        members: &[MemberId],
        at: Sequence,
    ) -> Result<(), AudienceConflict> {
        let mut changed = self.kept(name, keeper)?.clone();
        members.iter().try_for_each(|member| changed.join(member, at))?;
        self.by_name.insert(name.clone(), changed);
        Ok(())
    }

    /// Removes members, all or none.
    pub fn remove(
        &mut self,
        name: &Audience,
        keeper: &MemberId,
        members: &[MemberId],
        at: Sequence,
    ) -> Result<(), AudienceConflict> {
        let mut changed = self.kept(name, keeper)?.clone();
        members.iter().try_for_each(|member| changed.leave(member, at))?;
        self.by_name.insert(name.clone(), changed);
        Ok(())
    }

    /// The audience with this name.
    pub fn get(&self, name: &Audience) -> Option<&CustomAudience> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Audience, &CustomAudience)> {
        self.by_name.iter()
    }

    /// Whether a member is in an audience.
    pub fn contains(&self, name: &Audience, member: &MemberId) -> bool {
        self.by_name.get(name).is_some_and(|audience| audience.members.contains(member))
    }

    /// The audiences that a member is in, sorted.
    pub fn of(&self, member: &MemberId) -> Vec<Audience> {
        let own = self.by_name.iter().filter(|(_name, audience)| audience.members.contains(member));
        own.map(|(name, _audience)| name.clone()).collect()
    }

    /// The audiences that a member was in when the log had so many entries, sorted.
    pub fn of_at(&self, member: &MemberId, size: u64) -> Vec<Audience> {
        let was_in = |audience: &CustomAudience| {
            let before = |change: &&Change| change.member == *member && change.at.0 < size;
            audience.changes.iter().rfind(before).is_some_and(|change| change.joined)
        };
        let own = self.by_name.iter().filter(|(_name, audience)| was_in(audience));
        own.map(|(name, _audience)| name.clone()).collect()
    }

    /// The last place at which what a member is in changed; `None` if it never did.
    pub fn changed_at(&self, member: &MemberId) -> Option<Sequence> {
        let changes = self.by_name.values().flat_map(|audience| &audience.changes);
        changes.filter(|change| change.member == *member).map(|change| change.at).max()
    }

    /// Everyone who was in an audience at a place or later.
    pub fn ever_in(&self, name: &Audience, since: Sequence) -> BTreeSet<MemberId> {
        let Some(audience) = self.by_name.get(name) else {
            return BTreeSet::new();
        };
        let left_later = |change: &&Change| !change.joined && change.at >= since;
        let left = audience.changes.iter().filter(left_later).map(|change| change.member.clone());
        audience.members.iter().cloned().chain(left).collect()
    }

    fn kept(
        &self,
        name: &Audience,
        keeper: &MemberId,
    ) -> Result<&CustomAudience, AudienceConflict> {
        self.by_name
            .get(name)
            .filter(|audience| audience.keeper == *keeper)
            .ok_or(AudienceConflict::Forbidden)
    }
}

impl CustomAudience {
    fn join(&mut self, member: &MemberId, at: Sequence) -> Result<(), AudienceConflict> {
        if self.members.len() >= limits::AUDIENCE_MEMBERS_MAX {
            return Err(AudienceConflict::TooLarge);
        }
        if !self.members.insert(member.clone()) {
            return Err(AudienceConflict::IsIn(member.clone()));
        }
        self.note(member, true, at);
        Ok(())
    }

    fn leave(&mut self, member: &MemberId, at: Sequence) -> Result<(), AudienceConflict> {
        if *member == self.keeper {
            return Err(AudienceConflict::Keeps(member.clone()));
        }
        if !self.members.remove(member) {
            return Err(AudienceConflict::IsNotIn(member.clone()));
        }
        self.note(member, false, at);
        Ok(())
    }

    fn note(&mut self, member: &MemberId, joined: bool, at: Sequence) {
        self.changed_at = at;
        self.changes.push(Change { at, member: member.clone(), joined });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Audience {
        "0123456789abcdef0123".parse().unwrap()
    }

    fn members(ids: &[&str]) -> Vec<MemberId> {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    #[test]
    fn who_was_in_an_audience_is_known_for_every_place() {
        let [keeper, bravo, cedar] = &members(&["acme-video", "bravo", "cedar"])[..] else {
            unreachable!()
        };
        let mut audiences = Audiences::default();
        let at = |place| Sequence(place);
        audiences.create(&name(), "t".into(), keeper, std::slice::from_ref(bravo), at(5)).unwrap();
        audiences.add(&name(), keeper, std::slice::from_ref(cedar), at(7)).unwrap();
        audiences.remove(&name(), keeper, std::slice::from_ref(bravo), at(9)).unwrap();

        assert!(audiences.of(bravo).is_empty());
        assert_eq!(audiences.of(cedar), [name()]);
        assert!(audiences.of_at(bravo, 5).is_empty(), "its change is the entry at 5");
        assert_eq!(audiences.of_at(bravo, 6), [name()]);
        assert_eq!(audiences.of_at(bravo, 9), [name()]);
        assert!(audiences.of_at(bravo, 10).is_empty());
        assert_eq!(audiences.changed_at(bravo), Some(at(9)));
        assert!(audiences.ever_in(&name(), at(9)).contains(bravo), "left at 9, was in until then");
        assert!(!audiences.ever_in(&name(), at(10)).contains(bravo));
    }

    #[test]
    fn only_the_keeper_changes_an_audience_and_a_stranger_learns_nothing() {
        let ids = members(&["acme-video", "bravo"]);
        let mut audiences = Audiences::default();
        audiences.create(&name(), "t".into(), &ids[0], &[], Sequence(1)).unwrap();
        let forbidden = Err(AudienceConflict::Forbidden);
        let unknown: Audience = "ffffffffffffffffffff".parse().unwrap();
        assert_eq!(audiences.add(&name(), &ids[1], &ids[1..], Sequence(2)), forbidden);
        assert_eq!(audiences.add(&unknown, &ids[1], &ids[1..], Sequence(2)), forbidden);
        assert_eq!(audiences.create(&name(), "t".into(), &ids[1], &[], Sequence(2)), forbidden);
        let keeps = Err(AudienceConflict::Keeps(ids[0].clone()));
        assert_eq!(audiences.remove(&name(), &ids[0], &ids[..1], Sequence(2)), keeps);
        let not_in = Err(AudienceConflict::IsNotIn(ids[1].clone()));
        assert_eq!(audiences.remove(&name(), &ids[0], &ids[1..], Sequence(2)), not_in);
        let is_in = Err(AudienceConflict::IsIn(ids[0].clone()));
        assert_eq!(audiences.add(&name(), &ids[0], &ids[..1], Sequence(2)), is_in);
        assert_eq!(audiences.changed_at(&ids[1]), None, "a refused change leaves no trace");
    }
}
