//! Small numbers for long names, so that a million entries fit in memory: members, audiences, records, and who may
//! read what.
//!
//! Numbers are given in the order in which names come, so nothing that is answered may rest on their order.

use std::collections::HashMap;
use std::num::NonZeroU32;

use uuid::Uuid;

use crate::model::facts::Scope;
use crate::model::handling::Reach;
use crate::model::header::BodyKind;
use crate::model::names::Audience;
use crate::model::names::MemberId;
use crate::model::names::RecordName;

/// A member that was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Named(u32);

/// A record that was seen or named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NameId(NonZeroU32);

/// A publisher with a reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ScopeId(u32);

/// What was named so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    members: HashMap<MemberId, u32>,
    audiences: HashMap<Audience, u32>,
    records: HashMap<(Named, Uuid), NameId>,
    scopes: HashMap<Box<[u32]>, u32>,
    /// The last scope of each publisher, which is most often that of its next entry.
    last: HashMap<Named, (Reach, ScopeId)>,
}

impl Names {
    /// The number of a member.
    pub(super) fn member(&mut self, id: &MemberId) -> Named {
        if let Some(number) = self.members.get(id) {
            return Named(*number);
        }
        let number = number(self.members.len());
        self.members.insert(id.clone(), number);
        Named(number)
    }

    /// The number of a record.
    pub(super) fn record(&mut self, member: Named, record: Uuid) -> NameId {
        let next = NonZeroU32::MIN.saturating_add(number(self.records.len()));
        *self.records.entry((member, record)).or_insert(NameId(next))
    }

    /// The number of a record by its full name; `None` if it is no name.
    pub(super) fn named(&mut self, name: &str) -> Option<NameId> {
        let RecordName { member, record } = name.parse().ok()?;
        let member = self.member(&member);
        Some(self.record(member, record))
    }

    /// The number of a publisher with a reach.
    pub(super) fn scope(&mut self, publisher: Named, reach: &Reach) -> ScopeId {
        if let Some((_reach, scope)) = self.last.get(&publisher).filter(|(last, _)| last == reach) {
            return *scope;
        }
        let mut parts = vec![publisher.0, number(reach.audiences.len())];
        parts.extend(reach.audiences.iter().map(|audience| self.audience(audience)));
        parts.extend(reach.recipients.iter().map(|recipient| self.member(recipient).0));
        let next = number(self.scopes.len());
        let scope = ScopeId(*self.scopes.entry(parts.into()).or_insert(next));
        self.last.insert(publisher, (reach.clone(), scope));
        scope
    }

    fn audience(&mut self, audience: &Audience) -> u32 {
        if let Some(number) = self.audiences.get(audience) {
            return *number;
        }
        let number = number(self.audiences.len());
        self.audiences.insert(audience.clone(), number);
        number
    }

    /// Turns the numbers around, when nothing more is to be named.
    pub(super) fn turned(self) -> Turned {
        Turned {
            members: turned(self.members),
            audiences: turned(self.audiences),
            records: self.records,
            scopes: turned(self.scopes),
        }
    }
}

/// From numbers back to names.
#[derive(Debug)]
pub(super) struct Turned {
    members: Vec<MemberId>,
    audiences: Vec<Audience>,
    records: HashMap<(Named, Uuid), NameId>,
    scopes: Vec<Box<[u32]>>,
}

impl Turned {
    /// Every member that was named, in the order of their numbers.
    pub(super) fn members(&self) -> impl Iterator<Item = &MemberId> {
        self.members.iter()
    }

    /// The names of some records.
    pub(super) fn records(
        &self,
        wanted: impl Fn(NameId) -> bool,
    ) -> impl Iterator<Item = (NameId, RecordName)> {
        let wanted = self.records.iter().filter(move |(_name, id)| wanted(**id));
        wanted.filter_map(|((member, record), id)| {
            let member = self.member(member.0)?.clone();
            Some((*id, RecordName { member, record: *record }))
        })
    }

    /// Every scope in the order of its number, as the policy judges it.
    pub(super) fn scopes(&self) -> impl Iterator<Item = Option<Scope>> {
        self.scopes.iter().map(|parts| self.judged(parts))
    }

    /// A scope, as the policy judges it.
    pub(super) fn scope(&self, id: ScopeId) -> Option<Scope> {
        self.judged(self.scopes.get(place(id.0))?)
    }

    fn judged(&self, parts: &[u32]) -> Option<Scope> {
        let [publisher, audiences, rest @ ..] = parts else {
            return None;
        };
        let (audiences, recipients) = rest.split_at_checked(place(*audiences))?;
        let audience = |number: &u32| self.audiences.get(place(*number)).cloned();
        let member = |number: &u32| self.member(*number).cloned();
        Some(Scope {
            publisher: self.member(*publisher)?.clone(),
            // All kinds that the ledger counts are judged alike: their publisher chose who may read them.
            body_kind: BodyKind::Indicator,
            reach: Reach {
                audiences: audiences.iter().map(audience).collect::<Option<_>>()?,
                recipients: recipients.iter().map(member).collect::<Option<_>>()?,
            },
            publisher_is_reached: false,
            shapes: Vec::new(),
        })
    }

    fn member(&self, number: u32) -> Option<&MemberId> {
        self.members.get(place(number))
    }
}

impl ScopeId {
    /// Its place in the order of scopes.
    pub(super) fn place(self) -> usize {
        place(self.0)
    }
}

impl Named {
    /// Its place in the order of members.
    pub(super) fn place(self) -> usize {
        place(self.0)
    }
}

fn turned<T>(numbers: HashMap<T, u32>) -> Vec<T> {
    let mut pairs: Vec<(T, u32)> = numbers.into_iter().collect();
    pairs.sort_unstable_by_key(|(_name, number)| *number);
    pairs.into_iter().map(|(name, _number)| name).collect()
}

/// An entry names fewer than a hundred things, and the entries are bounded, so that no number is too large.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(audiences: &[&str], recipients: &[&str]) -> Reach {
        Reach {
            audiences: audiences.iter().map(|text| text.parse().unwrap()).collect(),
            recipients: recipients.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_scope_comes_back_as_it_was() {
        let mut names = Names::default();
        let reaches = [
            reach(&[], &[]),
            reach(&["companies"], &[]),
            reach(&["all", "companies"], &["acme-video", "bravo"]),
            reach(&[], &["bravo"]),
        ];
        let acme = names.member(&"acme-video".parse().unwrap());
        let bravo = names.member(&"bravo".parse().unwrap());
        let first: Vec<_> = reaches.iter().map(|reach| names.scope(acme, reach)).collect();
        let again: Vec<_> = reaches.iter().map(|reach| names.scope(acme, reach)).collect();
        assert_eq!(first, again);
        assert_ne!(names.scope(bravo, &reaches[0]), first[0]);
        let turned = names.turned();
        assert_eq!(turned.scopes().count(), 5);
        for (id, reach) in first.into_iter().zip(reaches) {
            let scope = turned.scope(id).unwrap();
            assert_eq!((scope.publisher.as_str(), scope.reach), ("acme-video", reach));
        }
    }

    #[test]
    fn what_is_no_name_has_no_number() {
        let mut names = Names::default();
        let name = "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057";
        let id = names.named(name).unwrap();
        assert_eq!(names.named(name), Some(id));
        assert_eq!(names.named("members/acme-video"), None);
        assert_eq!(names.named(""), None);
        let turned = names.turned();
        let found: Vec<_> = turned.records(|other| other == id).collect();
        assert_eq!(found, [(id, name.parse().unwrap())]);
    }
}
