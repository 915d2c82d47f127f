//! Who may see what. One pure function, and every read path goes through it.

use crate::model::facts::Scope;
use crate::model::header::BodyKind;
use crate::model::names::Audience;
use crate::model::names::MemberId;
use crate::model::roster::Role;
use crate::model::roster::Roster;

/// A member as a reader: what the roster at the head says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Who reads.
    pub member: MemberId,
    /// Its role.
    pub role: Role,
    /// Whether it may see nothing for now.
    pub suspended: bool,
    /// The audiences that it is in, sorted.
    pub audiences: Vec<Audience>,
}

impl Reader {
    /// The reader that this member is; `None` if it is not on the roster.
    pub fn of(roster: &Roster, member: &MemberId) -> Option<Self> {
        let member = roster.member(member)?;
        let mut audiences = roster.audiences.of(&member.id);
        audiences.extend(member.role.audiences());
        audiences.sort_unstable();
        Some(Self {
            member: member.id.clone(),
            role: member.role,
            suspended: member.suspended,
            audiences,
        })
    }

    /// The same as far as another member knows: who is in a custom audience is told to those who are in it, so that
    /// nobody else may learn it from what is refused.
    pub fn as_known_to(roster: &Roster, member: &MemberId, other: &MemberId) -> Option<Self> {
        let mut reader = Self::of(roster, member)?;
        let known = |audience: &Audience| {
            audience.is_built_in() || roster.audiences.contains(audience, other)
        };
        reader.audiences.retain(known);
        Some(reader)
    }
}

/// Whether a reader may see an entry. Audiences and recipients alone decide; the publisher always may; the
/// operator and auditors see no bodies but those about the exchange itself, which every member sees.
pub fn may_see(reader: &Reader, scope: &Scope) -> bool {
    if reader.suspended {
        return false;
    }
    let runs_it = reader.role == Role::Operator && scope.body_kind == BodyKind::AudienceChange;
    if scope.body_kind.is_common() || scope.publisher == reader.member || runs_it {
        return true;
    }
    reader.role.reads_bodies()
        && (scope.reach.recipients.contains(&reader.member)
            || scope.reach.audiences.iter().any(|audience| reader.audiences.contains(audience)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::Shape;
    use crate::model::handling::Reach;
    use crate::model::names::KeyId;
    use crate::model::names::Sequence;
    use crate::model::roster::KeyUse;
    use crate::model::roster::RegisteredKey;
    use crate::model::roster::RosterMember;

    const DESK: &str = "0123456789abcdef0123";

    fn reader(member: &str, role: Role, suspended: bool) -> Reader {
        let mut audiences = role.audiences();
        audiences.sort_unstable();
        Reader { member: member.parse().unwrap(), role, suspended, audiences }
    }

    fn scope(kind: BodyKind, audiences: &[&str], recipients: &[&str]) -> Scope {
        Scope {
            publisher: "author".parse().unwrap(),
            body_kind: kind,
            reach: Reach {
                audiences: audiences.iter().map(|text| text.parse().unwrap()).collect(),
                recipients: recipients.iter().map(|text| text.parse().unwrap()).collect(),
            },
            publisher_is_reached: false,
            shapes: vec![Shape::default()],
        }
    }

    #[test]
    fn the_policy_holds_for_every_role_and_reach() {
        use BodyKind::Indicator;
        use BodyKind::KeyChange;
        type Row = (BodyKind, &'static [&'static str], &'static [&'static str], [bool; 6]);
        // kind, audiences, recipients; then author, company, observer, auditor, operator, suspended company
        let table: &[Row] = &[
            (Indicator, &[], &[], [true, false, false, false, false, false]),
            (Indicator, &["companies"], &[], [true, true, false, false, false, false]),
            (Indicator, &["observers"], &[], [true, false, true, false, false, false]),
            (Indicator, &["all"], &[], [true, true, true, false, false, false]),
            (Indicator, &[], &["company"], [true, true, false, false, false, false]),
            (Indicator, &[], &["observer"], [true, false, true, false, false, false]),
            (Indicator, &[], &["auditor", "operator"], [true, false, false, false, false, false]),
            (Indicator, &["elsewhere"], &[], [true, false, false, false, false, false]),
            (KeyChange, &[], &[], [true, true, true, true, true, false]),
        ];
        let readers = [
            reader("author", Role::Company, false),
            reader("company", Role::Company, false),
            reader("observer", Role::Observer, false),
            reader("auditor", Role::Auditor, false),
            reader("operator", Role::Operator, false),
            reader("company", Role::Company, true),
        ];
        for (kind, audiences, recipients, expected) in table {
            let scope = scope(*kind, audiences, recipients);
            let seen: Vec<bool> = readers.iter().map(|reader| may_see(reader, &scope)).collect();
            assert_eq!(seen, expected, "{kind:?} {audiences:?} {recipients:?}");
        }
    }

    fn key(member: &str, key_use: KeyUse) -> RegisteredKey {
        let spki = format!("{member} {key_use:?}").into_bytes();
        RegisteredKey {
            id: KeyId::of_spki(&spki),
            member: member.parse().unwrap(),
            spki,
            key_use,
            valid_from: Sequence(1),
            retired_at: None,
            compromised_since: None,
            reset: None,
        }
    }

    /// Three companies, of which two share a custom audience, an observer who is suspended, and the operator.
    fn roster() -> Roster {
        let mut roster = Roster::default();
        for (member, role) in [
            ("keeper", Role::Company),
            ("colleague", Role::Company),
            ("stranger", Role::Company),
            ("guest", Role::Observer),
            ("operator", Role::Operator),
        ] {
            let entry = RosterMember {
                suspended: member == "guest",
                ..RosterMember::admitted(member.parse().unwrap(), role, Sequence(1))
            };
            roster
                .admit(entry, [KeyUse::Signing, KeyUse::Recovery].map(|it| key(member, it)))
                .unwrap();
        }
        let (desk, keeper) = (DESK.parse().unwrap(), "keeper".parse().unwrap());
        let colleague = ["colleague".parse().unwrap()];
        roster.audiences.create(&desk, "desk".into(), &keeper, &colleague, Sequence(2)).unwrap();
        roster
    }

    fn audiences(texts: &[&str]) -> Vec<Audience> {
        let mut audiences: Vec<Audience> = texts.iter().map(|text| text.parse().unwrap()).collect();
        audiences.sort_unstable();
        audiences
    }

    #[test]
    fn a_reader_is_what_the_roster_says_of_the_member() {
        let roster = roster();
        let of = |member: &str| Reader::of(&roster, &member.parse().unwrap());
        let companies = audiences(&["all", "companies"]);
        let cases = [
            ("colleague", Role::Company, false, audiences(&["all", "companies", DESK])),
            ("stranger", Role::Company, false, companies),
            ("guest", Role::Observer, true, audiences(&["all", "observers"])),
            ("operator", Role::Operator, false, Vec::new()),
        ];
        for (member, role, suspended, audiences) in cases {
            let member_id = member.parse().unwrap();
            let expected = Reader { member: member_id, role, suspended, audiences };
            assert_eq!(of(member), Some(expected));
        }
        assert_eq!(of("nobody"), None);
    }

    #[test]
    fn who_is_in_a_custom_audience_is_known_to_those_who_are_in_it_alone() {
        let roster = roster();
        let known = |member: &str, other: &str| {
            let (member, other) = (member.parse().unwrap(), other.parse().unwrap());
            Reader::as_known_to(&roster, &member, &other).map(|reader| reader.audiences)
        };
        let all = audiences(&["all", "companies", DESK]);
        assert_eq!(known("keeper", "colleague"), Some(all.clone()));
        assert_eq!(known("keeper", "keeper"), Some(all));
        let without = audiences(&["all", "companies"]);
        assert_eq!(known("keeper", "stranger"), Some(without.clone()));
        assert_eq!(known("keeper", "operator"), Some(without));
        assert_eq!(known("nobody", "keeper"), None);
    }

    #[test]
    fn the_operator_sees_changes_of_audiences_and_auditors_do_not() {
        let scope = scope(BodyKind::AudienceChange, &[DESK], &[]);
        assert!(may_see(&reader("operator", Role::Operator, false), &scope));
        assert!(!may_see(&reader("operator", Role::Operator, true), &scope));
        assert!(!may_see(&reader("auditor", Role::Auditor, false), &scope));
        assert!(!may_see(&reader("company", Role::Company, false), &scope));
    }
}
