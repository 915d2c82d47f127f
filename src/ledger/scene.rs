//! A log to tell stories with: members, what they say in turn, and the ledger that one of them gets.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::ledger::Fold;
use crate::ledger::HubClaims;
use crate::ledger::Ledger;
use crate::ledger::LedgerEntry;
use crate::ledger::Row;
use crate::ledger::Stage;
use crate::ledger::StageTime;
use crate::ledger::Window;
use crate::model::handling::Reach;
use crate::model::header::BodyKind;
use crate::model::names::Audience;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::Sequence;
use crate::model::roster::Role;
use crate::model::roster::Roster;
use crate::model::roster::RosterMember;
use crate::model::roster::Standing;
use crate::model::time::Timestamp;
use crate::wire::pb;
use crate::wire::time::timestamp_to_wire;

/// Microseconds of a second.
pub(super) const SECOND: u64 = 1_000_000;
/// When the first entry is taken in.
pub(super) const BEGIN: u64 = 1_800_000_000 * SECOND;

/// An entry that owns what it says.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) sequence: u64,
    pub(super) accept_time: Timestamp,
    pub(super) name: RecordName,
    pub(super) revision: u32,
    pub(super) body_kind: BodyKind,
    pub(super) reach: Reach,
    pub(super) body: Option<pb::Body>,
}

impl Said {
    pub(super) fn entry(&self) -> LedgerEntry<'_> {
        LedgerEntry {
            sequence: self.sequence,
            accept_time: self.accept_time,
            publisher: &self.name.member,
            record: self.name.record,
            revision: self.revision,
            body_kind: self.body_kind,
            reach: &self.reach,
            body: self.body.as_ref(),
        }
    }
}

/// What a hub claims in a story.
#[derive(Clone, Debug, Default)]
pub(super) struct Claimed {
    pub(super) delivered: BTreeMap<(MemberId, u64), Timestamp>,
    pub(super) acknowledged: BTreeMap<(MemberId, u64), Timestamp>,
}

impl HubClaims for Claimed {
    fn delivered(&self, member: &MemberId, sequence: u64) -> Option<Timestamp> {
        self.delivered.get(&(member.clone(), sequence)).copied()
    }

    fn acknowledged(&self, member: &MemberId, sequence: u64) -> Option<Timestamp> {
        self.acknowledged.get(&(member.clone(), sequence)).copied()
    }
}

/// The story so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    pub(super) roster: Roster,
    pub(super) log: Vec<Said>,
    pub(super) claimed: Claimed,
    micros: u64,
}

impl Scene {
    /// Companies `acme-video`, `birch-social`, `cedar-chat`, the observer `harbour-liaison`, and the operator.
    pub(super) fn new() -> Self {
        let mut scene = Self { micros: BEGIN, ..Self::default() };
        for company in ["acme-video", "birch-social", "cedar-chat"] {
            scene.admit(company, Role::Company);
        }
        scene.admit("harbour-liaison", Role::Observer);
        scene.admit("operator", Role::Operator);
        scene
    }

    /// Nobody yet.
    pub(super) fn empty() -> Self {
        Self { micros: BEGIN, ..Self::default() }
    }

    pub(super) fn admit(&mut self, id: &str, role: Role) {
        let member = RosterMember::admitted(member(id), role, Sequence(0));
        self.roster.admit(member, []).unwrap();
    }

    pub(super) fn suspend(&mut self, id: &str) {
        self.roster.set_standing(&member(id), Standing::Suspended, Sequence(0)).unwrap();
    }

    /// Time goes by before the next entry.
    pub(super) const fn wait(&mut self, seconds: u64) {
        self.micros += seconds * SECOND;
    }

    /// When the next entry is taken in.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros).unwrap()
    }

    /// A record for companies.
    pub(super) fn say(&mut self, publisher: &str, content: pb::body::Content) -> RecordName {
        self.say_to(publisher, &["companies"], content)
    }

    /// A record for audiences, and for members after an `@`.
    pub(super) fn say_to(
        &mut self,
        publisher: &str,
        to: &[&str],
        content: pb::body::Content,
    ) -> RecordName {
        let record = Uuid::from_u128(0xabc0_0000 + u128::try_from(self.log.len()).unwrap());
        let name = RecordName { member: member(publisher), record };
        self.append(name.clone(), 1, reach(to), Some(content));
        name
    }

    /// The next revision of a record.
    pub(super) fn revise(&mut self, name: &RecordName, to: &[&str], content: pb::body::Content) {
        let revisions = self.log.iter().filter(|said| said.name == *name).count();
        let revision = u32::try_from(revisions).unwrap() + 1;
        self.append(name.clone(), revision, reach(to), Some(content));
    }

    pub(super) fn withdraw(&mut self, name: &RecordName) {
        self.say_to(name.member.as_str(), &[], withdrawal(name));
    }

    pub(super) fn append(
        &mut self,
        name: RecordName,
        revision: u32,
        reach: Reach,
        content: Option<pb::body::Content>,
    ) {
        let body_kind = content.as_ref().map_or(BodyKind::Indicator, kind);
        self.log.push(Said {
            sequence: u64::try_from(self.log.len()).unwrap(),
            accept_time: self.now(),
            name,
            revision,
            body_kind,
            reach,
            body: content.map(|content| pb::Body { salt: Vec::new(), content: Some(content) }),
        });
    }

    /// The ledger that a member gets for all time, with the hub's claims.
    pub(super) fn ledger(&self, caller: &str) -> Ledger {
        self.ledger_in(caller, Window::new(None, None, u64::MAX))
    }

    pub(super) fn ledger_in(&self, caller: &str, window: Window) -> Ledger {
        let entries: Vec<&Said> = self.log.iter().collect();
        fold(&self.roster, &entries, caller, window, Some(&self.claimed))
    }

    /// A member's row in what another member gets.
    #[track_caller]
    pub(super) fn row(&self, caller: &str, of: &str) -> Row {
        let rows = self.ledger(caller).rows;
        let found = rows.into_iter().find(|row| row.member == Some(member(of)));
        found.unwrap_or_else(|| panic!("{caller} gets no row of {of}"))
    }

    /// A stage in what a member gets: of all, or of one member.
    pub(super) fn time(&self, caller: &str, of: Option<&str>, stage: Stage) -> Option<StageTime> {
        let times = self.ledger(caller).times;
        let whose = of.map(member);
        times
            .into_iter()
            .find(|time| time.stage == stage && time.member == whose && time.operation.is_none())
    }
}

pub(super) fn fold(
    roster: &Roster,
    entries: &[&Said],
    caller: &str,
    window: Window,
    claims: Option<&dyn HubClaims>,
) -> Ledger {
    let mut fold = Fold::new(&member(caller), window);
    for said in entries {
        fold.take(&said.entry()).unwrap();
    }
    fold.finish(roster, claims)
}

pub(super) fn member(id: &str) -> MemberId {
    id.parse().unwrap()
}

/// Audiences, and members after an `@`.
pub(super) fn reach(to: &[&str]) -> Reach {
    let mut reach = Reach::default();
    let recipients = to.iter().filter_map(|text| text.strip_prefix('@')).map(member).collect();
    let audiences = to.iter().filter(|text| !text.starts_with('@'));
    let audiences: Vec<Audience> = audiences.map(|text| text.parse().unwrap()).collect();
    reach.widen(&Reach { audiences, recipients });
    reach
}

#[expect(clippy::wildcard_enum_match_arm, reason = "stories are told with these kinds alone")]
pub(super) fn kind(content: &pb::body::Content) -> BodyKind {
    use pb::body::Content;

    match content {
        Content::Indicator(_) => BodyKind::Indicator,
        Content::Operation(_) => BodyKind::Operation,
        Content::Sighting(_) => BodyKind::Sighting,
        Content::Opinion(_) => BodyKind::Opinion,
        Content::ActionReport(_) => BodyKind::ActionReport,
        Content::Note(_) => BodyKind::Note,
        Content::Withdrawal(_) => BodyKind::Withdrawal,
        Content::Acknowledgement(_) => BodyKind::Acknowledgement,
        Content::Takedown(_) => BodyKind::Takedown,
        other => panic!("no story has {other:?}"),
    }
}

pub(super) fn indicator() -> pb::body::Content {
    pb::body::Content::Indicator(pb::Indicator::default())
}

/// An indicator of an operation.
pub(super) fn part_of(operation: &RecordName) -> pb::body::Content {
    pb::body::Content::Indicator(pb::Indicator {
        operation: operation.to_string(),
        ..pb::Indicator::default()
    })
}

/// An indicator that was first and last seen at these times.
pub(super) fn seen(first: Option<Timestamp>, last: Option<Timestamp>) -> pb::body::Content {
    pb::body::Content::Indicator(pb::Indicator {
        first_seen_time: first.map(timestamp_to_wire),
        last_seen_time: last.map(timestamp_to_wire),
        ..pb::Indicator::default()
    })
}

pub(super) fn operation() -> pb::body::Content {
    pb::body::Content::Operation(pb::Operation::default())
}

pub(super) fn note(about: &RecordName) -> pb::body::Content {
    pb::body::Content::Note(pb::Note { about: about.to_string(), text: "so".to_owned() })
}

pub(super) fn opinion(of: &RecordName, stance: pb::Stance) -> pb::body::Content {
    pb::body::Content::Opinion(pb::Opinion {
        of: of.to_string(),
        stance: stance.into(),
        ..pb::Opinion::default()
    })
}

pub(super) fn sighting(of: &RecordName, count: u64) -> pb::body::Content {
    pb::body::Content::Sighting(pb::Sighting {
        of: of.to_string(),
        count,
        ..pb::Sighting::default()
    })
}

pub(super) fn action(
    of: &RecordName,
    action: pb::Action,
    done: Option<Timestamp>,
) -> pb::body::Content {
    pb::body::Content::ActionReport(pb::ActionReport {
        of: of.to_string(),
        action: action.into(),
        action_time: done.map(timestamp_to_wire),
        ..pb::ActionReport::default()
    })
}

pub(super) fn withdrawal(of: &RecordName) -> pb::body::Content {
    pb::body::Content::Withdrawal(pb::Withdrawal {
        of: of.to_string(),
        ..pb::Withdrawal::default()
    })
}

pub(super) fn takedown(of: &RecordName) -> pb::body::Content {
    pb::body::Content::Takedown(pb::Takedown { of: of.to_string(), ..pb::Takedown::default() })
}

pub(super) fn acknowledgement(of: &RecordName) -> pb::body::Content {
    pb::body::Content::Acknowledgement(pb::Acknowledgement {
        of: of.to_string(),
        ..pb::Acknowledgement::default()
    })
}
