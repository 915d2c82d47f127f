//! Who takes part in the matrix, and what becomes of each: the roster at every act, for the oracle.

use std::collections::BTreeSet;

use crate::oracle::Reader;
use crate::oracle::Role;

/// The custom audience whose membership changes.
pub(super) const CIRCLE: &str = "q0circle7k3v9q0z8m1x7c5b2n";

/// What happens between the two halves of what is published, and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    /// Before anything changed.
    #[default]
    First,
    /// Some joined or left the circle, some were suspended, one of them reinstated, some were admitted.
    Second,
    /// Everyone is reinstated.
    Third,
}

/// A member, and from when to when it is in the circle and out of the exchange.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) role: Role,
    admitted: Act,
    circle: &'static [Act],
    suspended: &'static [Act],
}

const ALWAYS: &[Act] = &[Act::First, Act::Second, Act::Third];
const LATER: &[Act] = &[Act::Second, Act::Third];

const fn part(
    name: &'static str,
    role: Role,
    admitted: Act,
    circle: &'static [Act],
    suspended: &'static [Act],
) -> Part {
    Part { name, role, admitted, circle, suspended }
}

pub(super) const CAST: [Part; 17] = [
    // Authors.
    part("acme-video", Role::Company, Act::First, ALWAYS, &[]),
    part("birch-social", Role::Company, Act::First, ALWAYS, &[]),
    part("moor-liaison", Role::Observer, Act::First, ALWAYS, &[]),
    // Named as recipients.
    part("cedar-chat", Role::Company, Act::First, &[], &[]),
    part("lake-liaison", Role::Observer, Act::First, &[], &[]),
    part("island-liaison", Role::Observer, Act::First, &[], &[Act::Second]),
    part("grove-ads", Role::Company, Act::First, ALWAYS, &[Act::Second]),
    // Named by nobody.
    part("dune-maps", Role::Company, Act::First, &[], &[]),
    part("harbour-liaison", Role::Observer, Act::First, &[], &[]),
    part("elm-books", Role::Company, Act::First, LATER, &[]),
    part("fjord-mail", Role::Company, Act::First, &[Act::First], &[]),
    part("heath-news", Role::Company, Act::First, ALWAYS, &[]),
    part("jetty-audit", Role::Auditor, Act::First, &[], &[]),
    part("operator", Role::Operator, Act::First, &[], &[]),
    // Not there from the beginning.
    part("kelp-forum", Role::Company, Act::Second, LATER, &[]),
    part("loch-liaison", Role::Observer, Act::Second, &[], &[]),
    part("marsh-radio", Role::Company, Act::Second, &[], &[]),
];

impl Part {
    pub(super) fn is_there(&self, act: Act) -> bool {
        self.admitted <= act
    }

    pub(super) fn is_suspended(&self, act: Act) -> bool {
        self.suspended.contains(&act)
    }

    pub(super) fn is_in_circle(&self, act: Act) -> bool {
        self.circle.contains(&act) && self.is_there(act)
    }

    /// What the roster and the audiences say of it.
    pub(super) fn reader(&self, act: Act) -> Reader {
        let circles: BTreeSet<String> =
            self.is_in_circle(act).then(|| CIRCLE.to_owned()).into_iter().collect();
        Reader {
            name: self.name.to_owned(),
            role: self.role,
            suspended: self.is_suspended(act),
            circles,
        }
    }

    pub(super) const fn role_name(&self) -> &'static str {
        match self.role {
            Role::Company => "company",
            Role::Observer => "observer",
            Role::Auditor => "auditor",
            Role::Operator => "operator",
        }
    }
}

pub(super) fn roster(act: Act) -> Vec<Reader> {
    CAST.iter().filter(|part| part.is_there(act)).map(|part| part.reader(act)).collect()
}
