//! The pure policy against the oracle: random rosters, random audiences, every kind of body.

use std::collections::BTreeSet;

use proptest::prelude::*;
use watchfire::model::facts::Scope;
use watchfire::model::facts::Shape;
use watchfire::model::handling::Reach;
use watchfire::model::header::BodyKind;
use watchfire::model::names::Audience;
use watchfire::model::names::MemberId;
use watchfire::model::names::Sequence;
use watchfire::model::policy;
use watchfire::model::roster::Role;
use watchfire::model::roster::Roster;
use watchfire::model::roster::RosterMember;
use watchfire::model::roster::Standing;

use crate::oracle;
use crate::oracle::ReadBy;

const MEMBERS: [&str; 6] =
    ["acme-video", "birch-social", "cedar-chat", "dune-maps", "elm-books", "fjord-mail"];
const CIRCLES: [&str; 2] = ["q0circle7k3v9q0z8m1x7c5b2n", "q1circle7k3v9q0z8m1x7c5b2n"];
const AUDIENCES: [&str; 5] = ["companies", "observers", "all", CIRCLES[0], CIRCLES[1]];
const ROLES: [(Role, oracle::Role); 4] = [
    (Role::Company, oracle::Role::Company),
    (Role::Observer, oracle::Role::Observer),
    (Role::Auditor, oracle::Role::Auditor),
    (Role::Operator, oracle::Role::Operator),
];

/// One member, by chance: its role, whether it is suspended, and in which circles it would be.
type Chance = (usize, bool, [bool; 2]);

fn id(name: &str) -> MemberId {
    name.parse().expect("a member")
}

/// The same members for both sides. The first is a company and keeps the circles.
fn both(chances: &[Chance]) -> (Roster, Vec<oracle::Reader>) {
    let mut roster = Roster::default();
    let mut readers = Vec::new();
    for (name, (role, suspended, inside)) in MEMBERS.iter().zip(chances) {
        let (role, own) = ROLES[if readers.is_empty() { 0 } else { *role }];
        let member = RosterMember::admitted(id(name), role, Sequence(1));
        roster.admit(member, []).expect("it is new");
        // The operator cannot be.
        let suspended = *suspended && role != Role::Operator;
        if suspended {
            roster.set_standing(&id(name), Standing::Suspended, Sequence(2)).expect("a member");
        }
        let may_join = role == Role::Company || role == Role::Observer;
        let joins = |place: usize| readers.is_empty() || (may_join && inside[place]);
        let circles = (0..2).filter(|place| joins(*place)).map(|place| CIRCLES[place].to_owned());
        let circles: BTreeSet<String> = circles.collect();
        readers.push(oracle::Reader { name: (*name).to_owned(), role: own, suspended, circles });
    }
    for circle in CIRCLES {
        let inside = readers.iter().skip(1).filter(|reader| reader.circles.contains(circle));
        let others: Vec<MemberId> = inside.map(|reader| id(&reader.name)).collect();
        let audience: Audience = circle.parse().expect("an audience");
        let keeper = id(MEMBERS[0]);
        let made = roster.audiences.create(&audience, String::new(), &keeper, &others, Sequence(3));
        made.expect("it is new");
    }
    (roster, readers)
}

fn picked(names: &[&str], chosen: &[bool]) -> BTreeSet<String> {
    let picked = names.iter().zip(chosen).filter(|(_name, chosen)| **chosen);
    picked.map(|(name, _chosen)| (*name).to_owned()).collect()
}

fn reach_of(reach: &oracle::Reach) -> Reach {
    Reach {
        audiences: reach.audiences.iter().map(|name| name.parse().expect("an audience")).collect(),
        recipients: reach.recipients.iter().map(|name| id(name)).collect(),
    }
}

/// The column "read by", as a scope on the one side and as the table has it on the other.
fn read_by(kind: BodyKind, reach: &oracle::Reach) -> (Reach, ReadBy) {
    let named = reach.recipients.first().cloned().unwrap_or_else(|| MEMBERS[0].to_owned());
    match kind {
        BodyKind::Genesis
        | BodyKind::RosterChange
        | BodyKind::KeyChange
        | BodyKind::Erasure
        | BodyKind::Retention
        | BodyKind::Epoch
        | BodyKind::LogKeyChange => (Reach::default(), ReadBy::Everyone),
        BodyKind::AudienceChange => {
            let circle = oracle::Reach {
                audiences: [CIRCLES[0].to_owned()].into(),
                ..oracle::Reach::default()
            };
            (reach_of(&circle), ReadBy::Circle(CIRCLES[0].to_owned()))
        }
        BodyKind::Acknowledgement => {
            let publisher =
                oracle::Reach { recipients: [named.clone()].into(), ..oracle::Reach::default() };
            (reach_of(&publisher), ReadBy::PublisherOf(named))
        }
        BodyKind::Withdrawal | BodyKind::Takedown | BodyKind::Conflict => {
            (reach_of(reach), ReadBy::WhoCouldSee(reach.clone(), BTreeSet::new()))
        }
        BodyKind::Indicator
        | BodyKind::Operation
        | BodyKind::Attribution
        | BodyKind::Link
        | BodyKind::Sighting
        | BodyKind::Opinion
        | BodyKind::ActionReport
        | BodyKind::Inquiry
        | BodyKind::Reply
        | BodyKind::Note => (reach_of(reach), ReadBy::Chosen(reach.clone())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_policy_says_what_the_documents_say(
        chances in prop::collection::vec((0_usize..4, any::<bool>(), any::<[bool; 2]>()), 6),
        kind in prop::sample::select(BodyKind::ALL.to_vec()),
        publisher in 0_usize..6,
        audiences in prop::collection::vec(any::<bool>(), 5),
        recipients in prop::collection::vec(any::<bool>(), 6),
    ) {
        let (roster, readers) = both(&chances);
        let reach = oracle::Reach {
            audiences: picked(&AUDIENCES, &audiences),
            recipients: picked(&MEMBERS, &recipients),
        };
        let (scoped, read_by) = read_by(kind, &reach);
        let scope = Scope {
            publisher: id(MEMBERS[publisher]),
            body_kind: kind,
            reach: scoped,
            publisher_is_reached: false,
            shapes: vec![Shape::default()],
        };
        for reader in &readers {
            let own = policy::Reader::of(&roster, &id(&reader.name)).expect("a member");
            let expected = oracle::may_read(reader, MEMBERS[publisher], &read_by);
            let reads_none = [oracle::Role::Auditor, oracle::Role::Operator].contains(&reader.role);
            // Only who can publish records hears of them; the roster admits no other.
            if reads_none && kind == BodyKind::Acknowledgement {
                continue;
            }
            prop_assert_eq!(policy::may_see(&own, &scope), expected, "{:?} {:?}", reader, read_by);
        }
    }

    #[test]
    fn what_reaches_further_is_what_the_documents_say(
        before in prop::collection::vec(any::<bool>(), 11),
        after in prop::collection::vec(any::<bool>(), 11),
    ) {
        let reach = |chosen: &[bool]| oracle::Reach {
            audiences: picked(&AUDIENCES, &chosen[..5]),
            recipients: picked(&MEMBERS, &chosen[5..]),
        };
        let (before, after) = (reach(&before), reach(&after));
        let covers = reach_of(&after).covers(&reach_of(&before));
        prop_assert_eq!(covers, !oracle::narrows(&before, &after));
    }
}
