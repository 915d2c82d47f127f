//! The ledger once more, written from its definition alone: slow, and without any of the fold's means. It looks at
//! everything again for every question.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::ledger::HubClaims as _;
use crate::ledger::Ledger;
use crate::ledger::Row;
use crate::ledger::Stage;
use crate::ledger::StageTime;
use crate::ledger::scene::Said;
use crate::ledger::scene::Scene;
use crate::model::facts::Scope;
use crate::model::header::BodyKind;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::roster::Role;
use crate::model::time::Timestamp;
use crate::wire::pb;
use crate::wire::time::timestamp;

/// Looks at everything again for every question.
pub(super) struct Oracle<'a> {
    pub(super) scene: &'a Scene,
    pub(super) caller: MemberId,
    pub(super) since: Option<u64>,
    pub(super) until: Option<u64>,
    pub(super) head: u64,
}

impl Oracle<'_> {
    fn in_window(&self, said: &Said) -> bool {
        let at = said.accept_time.as_micros();
        said.sequence < self.head
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
    }

    pub(super) fn may(&self, who: &MemberId, said: &Said, as_the_caller_knows: bool) -> bool {
        let Some(mut reader) = Reader::of(&self.scene.roster, who) else { return false };
        if as_the_caller_knows {
            let audiences = &self.scene.roster.audiences;
            reader.suspended = false;
            reader.audiences.retain(|audience| {
                audience.is_built_in() || audiences.contains(audience, &self.caller)
            });
        }
        let scope = Scope {
            publisher: said.name.member.clone(),
            body_kind: said.body_kind,
            reach: said.reach.clone(),
            publisher_is_reached: false,
            shapes: Vec::new(),
        };
        may_see(&reader, &scope)
    }

    fn visible(&self) -> Vec<&Said> {
        let counts = |said: &&Said| {
            said.body_kind.is_chosen()
                && self.in_window(said)
                && self.may(&self.caller, said, false)
        };
        self.scene.log.iter().filter(counts).collect()
    }

    fn revisions(&self, name: &RecordName) -> Vec<&Said> {
        let mut all = self.visible();
        all.retain(|said| said.name == *name);
        all.sort_by_key(|said| said.revision);
        all
    }

    pub(super) fn names(&self) -> BTreeSet<RecordName> {
        self.visible().into_iter().map(|said| said.name.clone()).collect()
    }

    fn latest(&self, name: &RecordName) -> Option<&Said> {
        self.revisions(name).last().copied()
    }

    fn first(&self, name: &RecordName) -> Option<&Said> {
        self.revisions(name).into_iter().find(|said| said.revision == 1)
    }

    fn is_withdrawn(&self, name: &RecordName) -> bool {
        self.scene.log.iter().filter(|said| self.in_window(said)).any(|said| match content(said) {
            Some(pb::body::Content::Withdrawal(said_so)) => {
                said_so.of == name.to_string() && said.name.member == name.member
            }
            Some(pb::body::Content::Takedown(said_so)) => said_so.of == name.to_string(),
            _ => false,
        })
    }

    /// Records that were given and stand.
    fn standing(&self) -> Vec<RecordName> {
        let names = self.names().into_iter();
        names.filter(|name| self.first(name).is_some() && !self.is_withdrawn(name)).collect()
    }

    fn is_asset(&self, name: &RecordName) -> bool {
        let kind = self.first(name).map(|said| said.body_kind);
        matches!(kind, Some(BodyKind::Indicator | BodyKind::Operation))
    }

    /// Standing records of one kind about a record, by somebody else: their latest revisions.
    fn about(&self, of: &RecordName, kind: BodyKind) -> Vec<&Said> {
        let names = self.names();
        let standing = names.iter().filter(|name| !self.is_withdrawn(name));
        let latest = standing.filter_map(|name| self.latest(name));
        let fits = |said: &&Said| {
            said.body_kind == kind
                && said.name.member != of.member
                && target(said) == Some(of.to_string())
        };
        latest.filter(fits).collect()
    }

    fn opinion_of(&self, of: &RecordName, by: &MemberId) -> Option<i32> {
        let mut said = self.about(of, BodyKind::Opinion);
        said.retain(|said| said.name.member == *by);
        let last = said.into_iter().max_by_key(|said| said.sequence)?;
        match content(last) {
            Some(pb::body::Content::Opinion(opinion)) => Some(opinion.stance),
            _ => None,
        }
    }

    fn confirms(&self, of: &RecordName, by: &MemberId) -> bool {
        let agrees = self.opinion_of(of, by).is_some_and(|stance| stance == 4 || stance == 5);
        let saw = |said: &&Said| matches!(content(said), Some(pb::body::Content::Sighting(said)) if said.count > 0);
        agrees
            || self
                .about(of, BodyKind::Sighting)
                .iter()
                .filter(|said| said.name.member == *by)
                .any(saw)
    }

    fn disputes(&self, of: &RecordName, by: &MemberId) -> bool {
        self.opinion_of(of, by).is_some_and(|stance| stance == 1 || stance == 2)
    }

    /// When a member first reported an act on a record, and when it claims to have acted.
    fn acted(&self, of: &RecordName, by: &MemberId) -> Option<(u64, Option<u64>)> {
        let mut reports = self.about(of, BodyKind::ActionReport);
        reports.retain(|said| said.name.member == *by && act(said).is_some());
        let claimed = reports.iter().filter_map(|said| act(said).flatten()).min();
        let first = reports.iter().flat_map(|said| self.revisions(&said.name));
        let first =
            first.filter(|said| act(said).is_some() && target(said) == Some(of.to_string()));
        Some((first.map(|said| said.accept_time.as_micros()).min()?, claimed))
    }

    pub(super) fn members(&self) -> Vec<(MemberId, Role)> {
        let members = self.scene.roster.members();
        let reading = members.filter(|one| matches!(one.role, Role::Company | Role::Observer));
        reading.map(|one| (one.id.clone(), one.role)).collect()
    }

    pub(super) fn by_name(&self, id: &MemberId, role: Role) -> bool {
        let active = self.scene.roster.members().filter(|one| one.role == role && !one.suspended);
        *id == self.caller || active.count() >= 3
    }

    fn receives(&self, who: &MemberId, name: &RecordName) -> bool {
        let latest = self.latest(name).expect("it stands");
        name.member != *who && self.may(who, latest, true)
    }

    fn claim(&self, who: &MemberId, name: &RecordName, stage: Stage) -> Option<u64> {
        let sequence = self.first(name)?.sequence;
        let claimed = &self.scene.claimed;
        let time = match stage {
            Stage::Delivered => claimed.delivered(who, sequence),
            Stage::Acknowledged => claimed.acknowledged(who, sequence),
            Stage::Published | Stage::Acted | Stage::ActedAsClaimed => None,
        };
        time.map(Timestamp::as_micros).filter(|at| self.until.is_none_or(|until| *at < until))
    }

    /// One row of these members.
    fn row(&self, whose: &[(MemberId, Role)]) -> Row {
        let is_ours = |name: &&RecordName| whose.iter().any(|(id, _)| name.member == *id);
        let standing = self.standing();
        let mut row = Row { members: u32::try_from(whose.len()).unwrap(), ..Row::default() };
        let gone = self.names().into_iter().filter(|name| is_ours(&name));
        row.withdrawn =
            size(gone.filter(|name| self.first(name).is_some() && self.is_withdrawn(name)));
        for name in standing.iter().filter(is_ours) {
            *row.given.entry(self.first(name).unwrap().body_kind).or_default() += 1;
        }
        let all: Vec<MemberId> = self.scene.roster.members().map(|one| one.id.clone()).collect();
        let assets: Vec<&RecordName> =
            standing.iter().filter(is_ours).filter(|name| self.is_asset(name)).collect();
        let voices = |said: &dyn Fn(&RecordName, &MemberId) -> bool| {
            let heard = assets.iter().filter(|name| all.iter().any(|by| said(name, by)));
            let by = all.iter().filter(|by| assets.iter().any(|name| said(name, by)));
            (size(heard), size(by))
        };
        (row.confirmed, row.confirmed_by) = voices(&|name, by| self.confirms(name, by));
        (row.disputed, row.disputed_by) = voices(&|name, by| self.disputes(name, by));
        (row.acted_on, row.acted_on_by) = voices(&|name, by| self.acted(name, by).is_some());
        for (id, _role) in whose {
            let received: Vec<_> = standing.iter().filter(|name| self.receives(id, name)).collect();
            row.received += size(received.iter());
            let acted = received.iter().filter(|name| self.is_asset(name));
            row.received_acted_on += size(acted.filter(|name| self.acted(name, id).is_some()));
        }
        row
    }

    fn rows(&self) -> Vec<Row> {
        let (named, others): (Vec<_>, Vec<_>) =
            self.members().into_iter().partition(|(id, role)| self.by_name(id, *role));
        let mut rows: Vec<Row> = named
            .into_iter()
            .map(|(id, role)| {
                let claimed = |stage| {
                    let standing = self.standing();
                    let received = standing.iter().filter(|name| self.receives(&id, name));
                    Some(size(received.filter(|name| self.claim(&id, name, stage).is_some())))
                };
                Row {
                    role: Some(role),
                    delivered: claimed(Stage::Delivered),
                    acknowledged: claimed(Stage::Acknowledged),
                    member: Some(id.clone()),
                    ..self.row(&[(id.clone(), role)])
                }
            })
            .collect();
        if !others.is_empty() {
            let roles: Vec<Role> = others.iter().map(|(_, role)| *role).collect();
            let role = roles.iter().all(|role| *role == roles[0]).then_some(roles[0]);
            rows.push(Row { role, ..self.row(&others) });
        }
        rows
    }

    /// Every measurement: whose, of which operation, which stage, from when, to when.
    fn measured(&self) -> Vec<(MemberId, Option<String>, Stage, u64, u64)> {
        let mut all = Vec::new();
        for name in self.standing().into_iter().filter(|name| self.is_asset(name)) {
            let first = self.first(&name).unwrap();
            let published = first.accept_time.as_micros();
            let operation = operation_of(self.latest(&name).unwrap());
            let mut add = |who: &MemberId, stage, from, to| {
                all.push((who.clone(), operation.clone(), stage, from, to));
            };
            if let Some(observed) = observed(first) {
                add(&name.member, Stage::Published, observed, published);
            }
            for (id, role) in self.members() {
                let acted = self.acted(&name, &id);
                let is_told = self.by_name(&id, role) && self.receives(&id, &name);
                let claim = |stage| self.claim(&id, &name, stage).filter(|_at| is_told);
                let ends = [
                    (Stage::Acted, acted.map(|(reported, _claimed)| reported)),
                    (Stage::ActedAsClaimed, acted.and_then(|(_reported, claimed)| claimed)),
                    (Stage::Delivered, claim(Stage::Delivered)),
                    (Stage::Acknowledged, claim(Stage::Acknowledged)),
                ];
                let ended = ends.into_iter().filter_map(|(stage, end)| Some((stage, end?)));
                ended.for_each(|(stage, end)| add(&id, stage, published, end));
            }
        }
        all
    }

    fn times(&self) -> Vec<StageTime> {
        type Key = (u8, Option<MemberId>, Option<RecordName>, Stage);
        let mut groups: BTreeMap<Key, (Vec<u64>, u64)> = BTreeMap::new();
        for (who, operation, stage, from, to) in self.measured() {
            let role = self.scene.roster.member(&who).unwrap().role;
            let mut keys: Vec<Key> = vec![(0, None, None, stage)];
            if self.by_name(&who, role) {
                keys.push((1, Some(who), None, stage));
            }
            if let Some(operation) = operation {
                keys.push((2, None, Some(operation.parse().unwrap()), stage));
            }
            for key in keys {
                let (values, left_out) = groups.entry(key).or_default();
                values.extend(to.checked_sub(from));
                *left_out += u64::from(to < from);
            }
        }
        groups
            .into_iter()
            .map(|((_, member, operation, stage), (mut values, left_out))| {
                if stage.is_hubs() {
                    values = values.into_iter().map(ten_bits).collect();
                }
                values.sort_unstable();
                let percentiles =
                    (!values.is_empty()).then(|| (at_rank(&values, 0.5), at_rank(&values, 0.9)));
                StageTime { member, operation, stage, count: size(&values), left_out, percentiles }
            })
            .collect()
    }

    pub(super) fn ledger(&self) -> Ledger {
        let sequences: Vec<u64> = self.visible().into_iter().map(|said| said.sequence).collect();
        let bounds = sequences.iter().min().copied().zip(sequences.iter().max().copied());
        let (rows, times) = (self.rows(), self.times());
        Ledger { bounds, head: self.head, rows, times, operations_left_out: 0 }
    }
}

fn size(all: impl IntoIterator) -> u64 {
    u64::try_from(all.into_iter().count()).unwrap()
}

/// The smallest value that at least so large a part does not exceed.
fn at_rank(sorted: &[u64], part: f64) -> Duration {
    let all = u32::try_from(sorted.len()).unwrap();
    let wanted = sorted.iter().find(|value| {
        let not_above = sorted.iter().filter(|other| other <= value).count();
        f64::from(u32::try_from(not_above).unwrap()) + 1e-9 >= part * f64::from(all)
    });
    Duration::from_micros(*wanted.unwrap())
}

/// Rounded up until ten bits and zeroes are left.
fn ten_bits(value: u64) -> u64 {
    let mut unit = 1;
    while value / unit >= 1024 {
        unit *= 2;
    }
    value.div_ceil(unit) * unit
}

pub(super) fn content(said: &Said) -> Option<&pb::body::Content> {
    said.body.as_ref()?.content.as_ref()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only these are about one record, here")]
fn target(said: &Said) -> Option<String> {
    match content(said)? {
        pb::body::Content::Opinion(said) => Some(said.of.clone()),
        pb::body::Content::Sighting(said) => Some(said.of.clone()),
        pb::body::Content::ActionReport(said) => Some(said.of.clone()),
        _ => None,
    }
}

/// Whether it reports an act, and the time that it claims.
#[expect(clippy::option_option, reason = "an act may claim no time")]
fn act(said: &Said) -> Option<Option<u64>> {
    let pb::body::Content::ActionReport(report) = content(said)? else { return None };
    let micros = |time| timestamp(&time, "time").ok().map(Timestamp::as_micros);
    (1..=5).contains(&report.action).then(|| report.action_time.and_then(micros))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is observed")]
fn observed(first: &Said) -> Option<u64> {
    let time = match content(first)? {
        pb::body::Content::Indicator(said) => said.last_seen_time.or(said.first_seen_time),
        pb::body::Content::Operation(said) => said.last_activity_time.or(said.first_activity_time),
        _ => None,
    };
    timestamp(&time?, "time").ok().map(Timestamp::as_micros)
}

fn operation_of(latest: &Said) -> Option<String> {
    match content(latest) {
        Some(pb::body::Content::Indicator(said)) => {
            Some(said.operation.clone()).filter(|name| !name.is_empty())
        }
        _ => (latest.body_kind == BodyKind::Operation).then(|| latest.name.to_string()),
    }
}
