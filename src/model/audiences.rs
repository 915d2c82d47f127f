//! Custom audiences: named groups of members, each kept by the member who made it.
//!
//! Like the roster it is a fold over entries of the log. Who was in an audience at which place is kept for good: a
//! recall reaches everyone who could ever see, and a cursor remembers what its holder could.
//!
//! Whoever is answering a question holds the audiences of its moment, so that each change makes others. They share what
//! did not change: a change costs the logarithm of the history, and so does a question about one member.

use std::collections::BTreeSet;

use rpds::RedBlackTreeMapSync as SharedMap;

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
    /// Who ever left, and when last.
    left: SharedMap<MemberId, Sequence>,
}

/// What a member is in and was in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Memberships {
    /// The place of the last change.
    changed_at: Sequence,
    /// Whether it was in each from a place on.
    of: SharedMap<Audience, SharedMap<Sequence, bool>>,
}

/// What a keeper did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Keeping {
    audiences: usize,
    joined: usize,
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
    /// The keeper has added members as often as it may.
    TooOften,
    /// This member is in it already.
    IsIn(MemberId),
    /// This member is not in it.
    IsNotIn(MemberId),
    /// This member keeps it, and stays.
    Keeps(MemberId),
}

/// All custom audiences. A copy shares what it has with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audiences {
    all: SharedMap<Audience, CustomAudience>,
    memberships: SharedMap<MemberId, Memberships>,
    keepers: SharedMap<MemberId, Keeping>,
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
        if self.all.contains_key(name) {
            return Err(AudienceConflict::Forbidden);
        }
        if self.keeping(keeper).audiences >= limits::AUDIENCES_KEPT_MAX {
            return Err(AudienceConflict::TooMany);
        }
        let audience = CustomAudience {
            title,
            keeper: keeper.clone(),
            members: BTreeSet::new(),
            created_at: at,
            changed_at: at,
            left: SharedMap::default(),
        };
        let others = others.iter().filter(|member| *member != keeper);
        self.change(name, &audience, |audience| {
            std::iter::once(keeper).chain(others).try_for_each(|member| audience.join(member, at))
        })
    }

    /// Adds members, all or none.
    pub fn add(
        &mut self,
        name: &Audience,
        keeper: &MemberId,
        members: &[MemberId],
        at: Sequence,
    ) -> Result<(), AudienceConflict> {
        let audience = self.kept(name, keeper)?.clone();
        self.change(name, &audience, |audience| {
            members.iter().try_for_each(|member| audience.join(member, at))
        })
    }

    /// Removes members, all or none. This is never refused for how often it was done: nobody is removed who was not
    /// added.
    pub fn remove(
        &mut self,
        name: &Audience,
        keeper: &MemberId,
        members: &[MemberId],
        at: Sequence,
    ) -> Result<(), AudienceConflict> {
        let audience = self.kept(name, keeper)?.clone();
        self.change(name, &audience, |audience| {
            members.iter().try_for_each(|member| audience.leave(member, at))
        })
    }

    /// Takes an audience in as it is after a change, unless that is refused.
    fn change(
        &mut self,
        name: &Audience,
        before: &CustomAudience,
        change: impl FnOnce(&mut CustomAudience) -> Result<(), AudienceConflict>,
    ) -> Result<(), AudienceConflict> {
        let mut after = before.clone();
        change(&mut after)?;
        let joined = || after.members.difference(&before.members);
        let mut keeping = self.keeping(&after.keeper);
        keeping.audiences += usize::from(before.members.is_empty());
        keeping.joined = keeping.joined.saturating_add(joined().count());
        if joined().next().is_some() && keeping.joined > limits::AUDIENCE_JOINS_MAX {
            return Err(AudienceConflict::TooOften);
        }
        for member in after.members.symmetric_difference(&before.members) {
            let mut memberships = self.memberships.get(member).cloned().unwrap_or_default();
            let mut history = memberships.of.get(name).cloned().unwrap_or_default();
            history.insert_mut(after.changed_at, after.members.contains(member));
            memberships.changed_at = after.changed_at;
            memberships.of.insert_mut(name.clone(), history);
            self.memberships.insert_mut(member.clone(), memberships);
        }
        self.keepers.insert_mut(after.keeper.clone(), keeping);
        self.all.insert_mut(name.clone(), after);
        Ok(())
    }

    fn keeping(&self, keeper: &MemberId) -> Keeping {
        self.keepers.get(keeper).copied().unwrap_or_default()
    }

    /// The audience with this name.
    pub fn get(&self, name: &Audience) -> Option<&CustomAudience> {
        self.all.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Audience, &CustomAudience)> {
        self.all.iter()
    }

    /// Whether a member is in an audience.
    pub fn contains(&self, name: &Audience, member: &MemberId) -> bool {
        self.all.get(name).is_some_and(|audience| audience.members.contains(member))
    }

    /// The audiences that a member is in, sorted.
    pub fn of(&self, member: &MemberId) -> Vec<Audience> {
        self.of_at(member, u64::MAX)
    }

    /// The audiences that a member was in when the log had so many entries, sorted.
    pub fn of_at(&self, member: &MemberId, size: u64) -> Vec<Audience> {
        let own = self.memberships.get(member).into_iter().flat_map(|own| &own.of);
        let was_in = |history: &SharedMap<Sequence, bool>| {
            history.range(..Sequence(size)).next_back().is_some_and(|(_at, joined)| *joined)
        };
        own.filter(|(_name, history)| was_in(history))
            .map(|(name, _history)| name.clone())
            .collect()
    }

    /// The last place at which what a member is in changed; `None` if it never did.
    pub fn changed_at(&self, member: &MemberId) -> Option<Sequence> {
        self.memberships.get(member).map(|own| own.changed_at)
    }

    /// Everyone who was in an audience at a place or later.
    pub fn ever_in(&self, name: &Audience, since: Sequence) -> BTreeSet<MemberId> {
        let Some(audience) = self.all.get(name) else {
            return BTreeSet::new();
        };
        let left = audience.left.iter().filter(|(_member, at)| **at >= since);
        audience.members.iter().chain(left.map(|(member, _at)| member)).cloned().collect()
    }

    fn kept(
        &self,
        name: &Audience,
        keeper: &MemberId,
    ) -> Result<&CustomAudience, AudienceConflict> {
        self.all
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
        self.changed_at = at;
        Ok(())
    }

    fn leave(&mut self, member: &MemberId, at: Sequence) -> Result<(), AudienceConflict> {
        if *member == self.keeper {
            return Err(AudienceConflict::Keeps(member.clone()));
        }
        if !self.members.remove(member) {
            return Err(AudienceConflict::IsNotIn(member.clone()));
        }
        self.left.insert_mut(member.clone(), at);
        self.changed_at = at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// One try to change an audience.
    #[derive(Clone, Debug)]
    struct Try {
        how: u8,
        audience: u8,
        keeper: u8,
        others: Vec<u8>,
    }

    fn attempt() -> impl Strategy<Value = Try> {
        let others = prop::collection::vec(0..6_u8, 0..4);
        (0..6_u8, 0..4_u8, 0..2_u8, others).prop_map(|(how, audience, keeper, others)| Try {
            how,
            audience,
            keeper,
            others,
        })
    }

    fn member(number: u8) -> MemberId {
        format!("member-{number}").parse().unwrap()
    }

    fn audience(number: u8) -> Audience {
        format!("0123456789abcdef012{number}").parse().unwrap()
    }

    /// The plain fold: for each audience its keeper, and everything that ever happened.
    #[derive(Default)]
    struct Plain {
        of: Vec<(u8, u8, Vec<Happened>)>,
    }

    /// Where, who, and whether it joined.
    type Happened = (u64, u8, bool);

    impl Plain {
        fn is_in(changes: &[Happened], member: u8, size: u64) -> bool {
            let mut own = changes.iter().filter(|(at, other, _)| *other == member && *at < size);
            own.next_back().is_some_and(|(_, _, joined)| *joined)
        }

        fn take(&mut self, step: &Try, at: u64) -> bool {
            let found = self.of.iter_mut().find(|known| known.0 == step.audience);
            let mut changes = match &found {
                None if step.how == 0 => vec![(at, step.keeper, true)],
                Some(known) if step.how > 0 && known.1 == step.keeper => known.2.clone(),
                _ => return false,
            };
            let joins = step.how < 4;
            let is_said = |other: &&u8| step.how > 0 || **other != step.keeper;
            let all_fit = step.others.iter().filter(is_said).all(|other| {
                let fits = Self::is_in(&changes, *other, u64::MAX) != joins
                    && (joins || *other != step.keeper);
                changes.push((at, *other, joins));
                fits
            });
            if !all_fit {
                return false;
            }
            match found {
                Some(known) => known.2 = changes,
                None => self.of.push((step.audience, step.keeper, changes)),
            }
            true
        }
    }

    fn real(audiences: &mut Audiences, step: &Try, at: Sequence) -> bool {
        let (name, keeper) = (audience(step.audience), member(step.keeper));
        let others: Vec<MemberId> = step.others.iter().copied().map(member).collect();
        let done = match step.how {
            0 => audiences.create(&name, "t".into(), &keeper, &others, at),
            1..4 => audiences.add(&name, &keeper, &others, at),
            _ => audiences.remove(&name, &keeper, &others, at),
        };
        done.is_ok()
    }

    proptest! {
        #[test]
        fn every_question_is_answered_as_the_plain_fold_would(
            steps in prop::collection::vec(attempt(), 0..60),
        ) {
            let (mut plain, mut audiences) = (Plain::default(), Audiences::default());
            for (at, step) in (10_u64..).zip(&steps) {
                let before = audiences.clone();
                let taken = real(&mut audiences, step, Sequence(at));
                prop_assert_eq!(taken, plain.take(step, at), "{:?}", step);
                prop_assert!(taken || audiences == before, "a refused change leaves no trace");
            }
            plain.of.sort_unstable();
            let end = 10 + u64::try_from(steps.len()).unwrap();
            for number in 0..6 {
                let was_in = |size: u64| -> Vec<Audience> {
                    let own = plain.of.iter().filter(|(_, _, all)| Plain::is_in(all, number, size));
                    own.map(|(name, ..)| audience(*name)).collect()
                };
                for size in 0..=end {
                    prop_assert_eq!(audiences.of_at(&member(number), size), was_in(size));
                }
                prop_assert_eq!(audiences.of(&member(number)), was_in(u64::MAX));
                let all = plain.of.iter().flat_map(|(_, _, changes)| changes);
                let last = all.filter(|(_, other, _)| *other == number).map(|(at, ..)| *at).max();
                prop_assert_eq!(audiences.changed_at(&member(number)), last.map(Sequence));
            }
            for (name, _keeper, changes) in &plain.of {
                for since in 0..=end {
                    let ever = (0..6).filter(|number| {
                        let left = |change: &(u64, u8, bool)| change.0 >= since && !change.2;
                        Plain::is_in(changes, *number, u64::MAX)
                            || changes.iter().any(|change| change.1 == *number && left(change))
                    });
                    let expected: BTreeSet<MemberId> = ever.map(member).collect();
                    prop_assert_eq!(audiences.ever_in(&audience(*name), Sequence(since)), expected);
                }
            }
        }
    }

    #[test]
    fn a_keeper_adds_members_so_often_and_no_more_but_may_always_remove_them() {
        let (keeper, other) = (member(0), [member(1)]);
        let mut audiences = Audiences::default();
        audiences.create(&name(), "t".into(), &keeper, &[], Sequence(0)).unwrap();
        let mut place = 1;
        // Its own is the first; and everybody who looked on holds what it saw.
        let mut held = Vec::new();
        for _again in 1..limits::AUDIENCE_JOINS_MAX {
            audiences.add(&name(), &keeper, &other, Sequence(place)).unwrap();
            if place.is_multiple_of(1000) {
                held.push((place, audiences.clone()));
            }
            audiences.remove(&name(), &keeper, &other, Sequence(place + 1)).unwrap();
            place += 2;
        }
        let refused = audiences.add(&name(), &keeper, &other, Sequence(place));
        assert_eq!(refused, Err(AudienceConflict::TooOften));
        let second = audience(1);
        let refused = audiences.create(&second, "t".into(), &keeper, &[], Sequence(place));
        assert_eq!(refused, Err(AudienceConflict::TooOften));
        audiences.create(&second, "t".into(), &other[0], &[], Sequence(place)).unwrap();
        for (place, audiences) in held {
            assert_eq!(audiences.changed_at(&other[0]), Some(Sequence(place)));
        }
    }
}
