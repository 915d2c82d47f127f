//! Who has a row, and which rows the caller may tell apart.
//!
//! What can be counted from signed records is no secret from a member that has those records. What the hub alone knows
//! of how a member reads is one: about members of a small role it is told to themselves alone, and enters no sum.

use crate::ledger::names::Named;
use crate::ledger::names::Turned;
use crate::model::facts::Scope;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::roster::Role;
use crate::model::roster::Roster;

/// A member that gives or receives.
#[derive(Debug)]
pub(super) struct Person {
    /// As a reader: never suspended, and in no custom audience that the caller is not in.
    reader: Reader,
    /// How the caller sees it.
    pub(super) shown: Shown,
}

/// How the caller sees a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// By name, with the hub's claims about it.
    ByName,
    /// In one row with others, without the hub's claims.
    Among,
}

/// The place of a person among those that have rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place(usize);

/// Everyone who gives or receives, by name.
#[derive(Debug)]
pub(super) struct People {
    people: Vec<Person>,
    by_number: Vec<Option<Place>>,
}

impl People {
    /// Everyone whose role reads bodies: the others neither give nor receive.
    pub(super) fn new(roster: &Roster, caller: &MemberId, names: &Turned) -> Self {
        let own = Reader::of(roster, caller).map(|reader| reader.audiences).unwrap_or_default();
        let members = roster.members().filter(|member| member.role.reads_bodies());
        let people: Vec<Person> = members
            .filter_map(|member| {
                let mut reader = Reader::of(roster, &member.id)?;
                // Whoever computes this again knows of no other audiences, and it may not tell of them.
                reader
                    .audiences
                    .retain(|audience| audience.is_built_in() || own.contains(audience));
                reader.suspended = false;
                let by_name = member.id == *caller || is_large(roster, member.role);
                let shown = if by_name { Shown::ByName } else { Shown::Among };
                Some(Person { reader, shown })
            })
            .collect();
        let place = |id: &MemberId| {
            people.binary_search_by(|person| person.reader.member.cmp(id)).ok().map(Place)
        };
        let by_number = names.members().map(place).collect();
        Self { people, by_number }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.people.len()
    }

    /// Everyone, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = (Place, &Person)> {
        self.people.iter().enumerate().map(|(place, person)| (Place(place), person))
    }

    /// The person at a place.
    pub(super) fn get(&self, place: Place) -> Option<&Person> {
        self.people.get(place.0)
    }

    /// The person with this number.
    pub(super) fn of(&self, number: Named) -> Option<Place> {
        self.by_number.get(number.place()).copied().flatten()
    }

    /// The person with this number, and its place.
    pub(super) fn place(&self, number: Named) -> Option<(Place, &Person)> {
        let place = self.of(number)?;
        Some((place, self.get(place)?))
    }

    /// Those others who may read what a publisher addressed so.
    pub(super) fn readers(&self, scope: &Scope) -> Vec<Place> {
        let others = self.all().filter(|(_place, person)| *person.id() != scope.publisher);
        others
            .filter(|(_, person)| may_see(&person.reader, scope))
            .map(|(place, _)| place)
            .collect()
    }
}

impl Person {
    /// Who it is.
    pub(super) const fn id(&self) -> &MemberId {
        &self.reader.member
    }

    /// Whether the caller is told what the hub claims about it.
    pub(super) fn is_shown(&self) -> bool {
        self.shown == Shown::ByName
    }

    /// Its role.
    pub(super) const fn role(&self) -> Role {
        self.reader.role
    }
}

impl Place {
    /// As an index of what is kept for each person.
    pub(super) const fn index(self) -> usize {
        self.0
    }
}

/// Whether a role has as many members as it takes for them to be told apart.
fn is_large(roster: &Roster, role: Role) -> bool {
    let active = roster.members().filter(|member| member.role == role && !member.suspended);
    active.count() >= limits::LEDGER_THRESHOLD
}
