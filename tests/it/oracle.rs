//! Who may see what, and who may say what to whom: written from `docs/PROTOCOL.md`, `docs/MEMBERS.md` and
//! `SECURITY.md`, and from nothing else. It shares no line and no type with the code that it judges.

use std::collections::BTreeSet;

/// A member as the roster and the audiences have it at the head.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) suspended: bool,
    /// The custom audiences that it is in.
    pub(crate) circles: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Company,
    Observer,
    Auditor,
    Operator,
}

/// Audiences and recipients of one revision, without `audiences/` and `members/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) audiences: BTreeSet<String>,
    pub(crate) recipients: BTreeSet<String>,
}

/// The column "read by" of the table of bodies.
#[derive(Clone, Debug)]
pub(crate) enum ReadBy {
    /// "chosen": the handling says.
    Chosen(Reach),
    /// "everyone who could see any revision of it", now or once: who reaches its last revision, whose reach is the
    /// widest, and those who once could see it.
    WhoCouldSee(Reach, BTreeSet<String>),
    /// "the publisher of that record".
    PublisherOf(String),
    /// "the members of that audience, the operator".
    Circle(String),
    /// "every member".
    Everyone,
}

/// Built-in audiences and the roles that are in them.
const BUILT_IN: [(&str, &[Role]); 3] = [
    ("companies", &[Role::Company]),
    ("observers", &[Role::Observer]),
    ("all", &[Role::Company, Role::Observer]),
];
/// Labels, from the least strict.
const LABELS: [&str; 5] = ["CLEAR", "GREEN", "AMBER", "AMBER_STRICT", "RED"];

/// "A suspended member reads nothing"; "the publisher always may"; else the table.
pub(crate) fn may_read(reader: &Reader, publisher: &str, read_by: &ReadBy) -> bool {
    !reader.suspended && (reader.name == publisher || in_reach(reader, read_by))
}

fn in_reach(reader: &Reader, read_by: &ReadBy) -> bool {
    match read_by {
        ReadBy::Everyone => true,
        ReadBy::Circle(circle) => reader.role == Role::Operator || reader.circles.contains(circle),
        ReadBy::PublisherOf(member) => reader.name == *member,
        ReadBy::WhoCouldSee(reach, once) => once.contains(&reader.name) || reaches(reach, reader),
        ReadBy::Chosen(reach) => reaches(reach, reader),
    }
}

/// "Audiences and recipients alone decide who may read"; "the operator and auditors read no bodies".
fn reaches(reach: &Reach, reader: &Reader) -> bool {
    let holds = |audience: &String| match BUILT_IN.iter().find(|(name, _)| name == audience) {
        Some((_, roles)) => roles.contains(&reader.role),
        None => reader.circles.contains(audience),
    };
    [Role::Company, Role::Observer].contains(&reader.role)
        && (reach.recipients.contains(&reader.name) || reach.audiences.iter().any(holds))
}

/// "Every member of it may address it"; to all others it is like one that is not there. Built-in ones are everyone's.
pub(crate) fn may_address(speaker: &Reader, reach: &Reach) -> bool {
    let built_in = |audience: &String| BUILT_IN.iter().any(|(name, _)| name == audience);
    reach.audiences.iter().all(|audience| built_in(audience) || speaker.circles.contains(audience))
}

/// "RED takes recipients and no audience."
pub(crate) fn label_fits(tlp: &str, reach: &Reach) -> bool {
    tlp != "RED" || (reach.audiences.is_empty() && !reach.recipients.is_empty())
}

/// "A revision may widen its reach and never narrow it."
pub(crate) fn narrows(before: &Reach, after: &Reach) -> bool {
    !covered(&before.audiences, &after.audiences) || !before.recipients.is_subset(&after.recipients)
}

/// "It reaches nobody whom that record does not: each of its audiences is covered by that record's (`all` covers
/// `companies` and `observers`), and each of its recipients is that record's publisher or may see it", suspended or
/// not: it may be reinstated. "Only its members and the operator see who is in" a custom audience, so that a speaker
/// outside learns nothing by naming one of them.
pub(crate) fn exceeds(
    said: &Reach,
    (speaker, roster): (&Reader, &[Reader]),
    (publisher, about): (&str, &Reach),
) -> bool {
    let may = |name: &String| {
        let known = |member: &Reader| Reader {
            circles: member.circles.intersection(&speaker.circles).cloned().collect(),
            ..member.clone()
        };
        let named = roster.iter().find(|member| member.name == *name);
        name == publisher || named.is_some_and(|member| reaches(about, &known(member)))
    };
    !covered(&said.audiences, &about.audiences) || !said.recipients.iter().all(may)
}

/// "A link is also at least as strict as either end."
pub(crate) fn looser(link: &str, end: &str) -> bool {
    let place = |label: &str| LABELS.iter().position(|known| *known == label);
    place(link) < place(end)
}

/// Whether these audiences hold nobody whom those do not: a built-in one holds whoever has its roles.
fn covered(these: &BTreeSet<String>, those: &BTreeSet<String>) -> bool {
    let roles = |audience: &String| BUILT_IN.iter().find(|(name, _)| name == audience);
    let all: Vec<&Role> =
        those.iter().filter_map(roles).flat_map(|(_, roles)| roles.iter()).collect();
    these.iter().all(|audience| match roles(audience) {
        Some((_, roles)) => roles.iter().all(|role| all.contains(&role)),
        None => those.contains(audience),
    })
}
