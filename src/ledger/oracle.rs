//! The ledger once more, written from its definition alone: slow, and without any of the fold's means. Random logs
//! must give the same numbers by both, in any order, from the hub's side and from a member's.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use crate::ledger::HubClaims as _;
use crate::ledger::Ledger;
use crate::ledger::Row;
use crate::ledger::Stage;
use crate::ledger::StageTime;
use crate::ledger::Window;
use crate::ledger::differences;
use crate::ledger::scene::BEGIN;
use crate::ledger::scene::Claimed;
use crate::ledger::scene::SECOND;
use crate::ledger::scene::Said;
use crate::ledger::scene::Scene;
use crate::ledger::scene::action;
use crate::ledger::scene::fold;
use crate::ledger::scene::note;
use crate::ledger::scene::opinion;
use crate::ledger::scene::part_of;
use crate::ledger::scene::reach;
use crate::ledger::scene::sighting;
use crate::ledger::scene::takedown;
use crate::ledger::scene::withdrawal;
use crate::model::facts::Scope;
use crate::model::header::BodyKind;
use crate::model::names::Audience;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::Sequence;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::roster::Role;
use crate::model::roster::Roster;
use crate::model::time::Timestamp;
use crate::wire::pb;
use crate::wire::time::timestamp;
use crate::wire::time::timestamp_to_wire;

const MEMBERS: [(&str, Role); 8] = [
    ("acme-video", Role::Company),
    ("birch-social", Role::Company),
    ("cedar-chat", Role::Company),
    ("dune-forum", Role::Company),
    ("harbour-liaison", Role::Observer),
    ("inlet-liaison", Role::Observer),
    ("jetty-liaison", Role::Observer),
    ("operator", Role::Operator),
];
const CUSTOM: [&str; 2] = ["0123456789abcdef0001", "0123456789abcdef0002"];

/// Looks at everything again for every question.
struct Oracle<'a> {
    scene: &'a Scene,
    caller: MemberId,
    since: Option<u64>,
    until: Option<u64>,
    head: u64,
}

impl Oracle<'_> {
    fn in_window(&self, said: &Said) -> bool {
        let at = said.accept_time.as_micros();
        said.sequence < self.head
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
    }

    fn may(&self, who: &MemberId, said: &Said, as_the_caller_knows: bool) -> bool {
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

    fn names(&self) -> BTreeSet<RecordName> {
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

    fn members(&self) -> Vec<(MemberId, Role)> {
        let members = self.scene.roster.members();
        let reading = members.filter(|one| matches!(one.role, Role::Company | Role::Observer));
        reading.map(|one| (one.id.clone(), one.role)).collect()
    }

    fn by_name(&self, id: &MemberId, role: Role) -> bool {
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
                if let Some((reported, claimed)) = self.acted(&name, &id) {
                    add(&id, Stage::Acted, published, reported);
                    claimed
                        .into_iter()
                        .for_each(|at| add(&id, Stage::ActedAsClaimed, published, at));
                }
                for stage in [Stage::Delivered, Stage::Acknowledged] {
                    if self.by_name(&id, role)
                        && self.receives(&id, &name)
                        && let Some(at) = self.claim(&id, &name, stage)
                    {
                        add(&id, stage, published, at);
                    }
                }
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
                let group = groups.entry(key).or_default();
                if to < from { group.1 += 1 } else { group.0.push(to - from) }
            }
        }
        groups
            .into_iter()
            .map(|((_, member, operation, stage), (mut values, left_out))| {
                if stage.is_hubs() {
                    values.iter_mut().for_each(|value| *value = ten_bits(*value));
                }
                values.sort_unstable();
                let percentiles =
                    (!values.is_empty()).then(|| (at_rank(&values, 0.5), at_rank(&values, 0.9)));
                StageTime { member, operation, stage, count: size(&values), left_out, percentiles }
            })
            .collect()
    }

    fn ledger(&self) -> Ledger {
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

fn content(said: &Said) -> Option<&pb::body::Content> {
    said.body.as_ref()?.content.as_ref()
}

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

/// One step of a random log; numbers choose among what is there.
#[derive(Clone, Debug)]
struct Step {
    publisher: usize,
    what: u8,
    of: usize,
    /// Stance, count, action, whether a body is gone.
    value: i32,
    audiences: u8,
    recipient: usize,
    seconds: u64,
    /// How long before or after now it is said to have happened.
    claimed: Option<i8>,
    revises: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let who = (0..MEMBERS.len() - 1, any::<u8>(), any::<u8>(), 0..MEMBERS.len() - 1);
    let what = (0..12_u8, 0..64_usize, 0..9_i32, proptest::option::of(any::<i8>()), any::<bool>());
    (who, what, 0..3_u64).prop_map(|((publisher, bits, more, recipient), what, seconds)| {
        let (what, of, value, claimed, revises) = what;
        // Most records reach many, so that there is something to count.
        let audiences = if more < 128 { 1 | (bits & 31) } else { bits & 31 };
        Step { publisher, what, of, value, audiences, recipient, seconds, claimed, revises }
    })
}

fn play(scene: &mut Scene, step: &Step) {
    scene.wait(step.seconds);
    let offset = step.claimed.map(|seconds| i64::from(seconds) * 1_000_000);
    let time = offset.map(|offset| {
        let micros = scene.now().as_micros().checked_add_signed(offset).unwrap();
        Timestamp::from_micros(micros).unwrap()
    });
    let records: Vec<RecordName> = {
        let chosen = scene.log.iter().filter(|said| said.body_kind.is_chosen());
        chosen.map(|said| said.name.clone()).collect()
    };
    let of = records.get(step.of % records.len().max(1)).cloned();
    let publisher = MEMBERS[step.publisher].0;
    let mut to: Vec<&str> = Vec::new();
    for (bit, audience) in
        ["all", "companies", "observers", CUSTOM[0], CUSTOM[1]].iter().enumerate()
    {
        if step.audiences >> bit & 1 == 1 {
            to.push(audience);
        }
    }
    let recipient = format!("@{}", MEMBERS[step.recipient].0);
    to.push(&recipient);
    let Some(content) = said(step, of.as_ref(), time) else { return };
    let kind = crate::ledger::scene::kind(&content);
    if kind.is_recall() {
        let of = of.expect("there is one");
        let own = if step.value < 6 { of.member.as_str() } else { publisher };
        let withdrawer = if kind == BodyKind::Takedown { "operator" } else { own };
        scene.say_to(withdrawer, &[], content);
        return;
    }
    let last = scene.log.iter().rfind(|said| {
        said.name.member.as_str() == publisher && said.body_kind == kind && said.revision < 4
    });
    match last.map(|said| said.name.clone()).filter(|_name| step.revises) {
        Some(name) => scene.revise(&name, &to, content),
        None => drop(scene.say_to(publisher, &to, content)),
    }
    if step.value == 8 && step.seconds == 0 {
        scene.log.last_mut().expect("it was said").body = None;
    }
}

fn said(
    step: &Step,
    of: Option<&RecordName>,
    time: Option<Timestamp>,
) -> Option<pb::body::Content> {
    let wire = time.map(timestamp_to_wire);
    Some(match step.what {
        0 | 1 => pb::body::Content::Indicator(pb::Indicator {
            first_seen_time: wire,
            ..pb::Indicator::default()
        }),
        2 => pb::body::Content::Indicator(pb::Indicator {
            last_seen_time: wire,
            ..match part_of(of?) {
                pb::body::Content::Indicator(indicator) => indicator,
                _ => return None,
            }
        }),
        3 => pb::body::Content::Operation(pb::Operation {
            last_activity_time: wire,
            ..pb::Operation::default()
        }),
        4 | 5 => opinion(of?, pb::Stance::try_from(step.value % 6).ok()?),
        6 => sighting(of?, u64::try_from(step.value % 3).ok()?),
        7 | 8 => action(of?, pb::Action::try_from(step.value).ok()?, time),
        9 => note(of?),
        10 => withdrawal(of?),
        _ if step.value < 3 => takedown(of?),
        _ => return None,
    })
}

/// A random exchange: who is in it, who is suspended, who is in which custom audience, and what they said.
fn scene() -> impl Strategy<Value = Scene> {
    let steps = proptest::collection::vec(step(), 1..60);
    let claims =
        proptest::collection::vec((0..7_usize, 0..60_u64, any::<bool>(), -3..400_i32), 0..80);
    (1..=4_usize, 0..=3_usize, any::<u8>(), any::<u16>(), steps, claims).prop_map(
        |(companies, observers, suspended, audiences, steps, claims)| {
            let mut scene = Scene::empty();
            for (place, (id, role)) in MEMBERS.iter().enumerate() {
                if place < companies || (4..4 + observers).contains(&place) || place == 7 {
                    scene.admit(id, *role);
                }
            }
            gather(&mut scene, audiences);
            let is_in = |scene: &Scene, place: usize| {
                scene.roster.member(&MEMBERS[place].0.parse().unwrap()).is_some()
            };
            let told = steps.iter().filter(|step| is_in(&scene, step.publisher));
            let told: Vec<&Step> = told.collect();
            told.into_iter().for_each(|step| play(&mut scene, step));
            for place in (0..7).filter(|place| suspended >> place & 1 == 1 && suspended < 64) {
                if is_in(&scene, place) {
                    scene.suspend(MEMBERS[place].0);
                }
            }
            scene.claimed = claimed(&scene, &claims);
            scene
        },
    )
}

fn gather(scene: &mut Scene, bits: u16) {
    let keeper: MemberId = "acme-video".parse().unwrap();
    for (place, name) in CUSTOM.iter().enumerate() {
        let others: Vec<MemberId> = (1..7)
            .filter(|member| bits >> (place * 7 + member) & 1 == 1)
            .map(|member| MEMBERS[member].0.parse().unwrap())
            .filter(|id| scene.roster.member(id).is_some())
            .collect();
        // The first is kept by acme-video, the second by whoever comes first, which may not be in the first.
        let keeper = if place == 0 { &keeper } else { others.first().unwrap_or(&keeper) };
        let audience: Audience = name.parse().unwrap();
        let audiences = &mut scene.roster.audiences;
        audiences.create(&audience, String::new(), keeper, &others, Sequence(0)).unwrap();
    }
}

fn claimed(scene: &Scene, claims: &[(usize, u64, bool, i32)]) -> Claimed {
    let mut claimed = Claimed::default();
    for (place, sequence, acknowledged, tenths) in claims {
        let Some(said) = scene.log.iter().find(|said| said.sequence == *sequence) else { continue };
        let micros = said.accept_time.as_micros();
        let micros = micros.checked_add_signed(i64::from(*tenths) * 100_003).unwrap();
        let time = Timestamp::from_micros(micros).unwrap();
        let all = if *acknowledged { &mut claimed.acknowledged } else { &mut claimed.delivered };
        all.insert((MEMBERS[*place].0.parse().unwrap(), *sequence), time);
    }
    claimed
}

/// What a member was sent, and what it can know of audiences.
fn as_sent(scene: &Scene, caller: &MemberId) -> (Roster, Vec<Said>) {
    let mut roster = scene.roster.clone();
    let foreign: Vec<Audience> = roster
        .audiences
        .iter()
        .filter(|(_name, audience)| !audience.members.contains(caller))
        .map(|(name, _audience)| name.clone())
        .collect();
    let mut known = crate::model::audiences::Audiences::default();
    for (name, audience) in roster.audiences.iter().filter(|(name, _)| !foreign.contains(name)) {
        let members: Vec<MemberId> = audience.members.iter().cloned().collect();
        let title = audience.title.clone();
        known.create(name, title, &audience.keeper, &members, audience.created_at).unwrap();
    }
    roster.audiences = known;
    let oracle = Oracle { scene, caller: caller.clone(), since: None, until: None, head: u64::MAX };
    let seen: BTreeSet<RecordName> = oracle.names();
    let is_sent = |said: &&Said| match content(said) {
        Some(pb::body::Content::Withdrawal(recall)) => {
            seen.iter().any(|name| name.to_string() == recall.of)
        }
        Some(pb::body::Content::Takedown(recall)) => {
            seen.iter().any(|name| name.to_string() == recall.of)
        }
        _ => oracle.may(caller, said, false),
    };
    (roster, scene.log.iter().filter(is_sent).cloned().collect())
}

/// Bounds in seconds from the begin, and a head.
fn window() -> impl Strategy<Value = (Option<u64>, Option<u64>, u64)> {
    let moment = || proptest::option::of((0..60_u64).prop_map(|seconds| BEGIN + seconds * SECOND));
    (moment(), moment(), prop_oneof![Just(u64::MAX), 0..60_u64])
}

fn to_window((since, until, head): (Option<u64>, Option<u64>, u64)) -> Window {
    let time = |micros: Option<u64>| micros.and_then(Timestamp::from_micros);
    Window::new(time(since), time(until), head)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_fold_gives_what_the_definition_says(
        scene in scene(),
        caller in 0..8_usize,
        bounds in window(),
    ) {
        let (since, until, head) = bounds;
        let caller = MEMBERS[caller].0.parse().unwrap();
        let oracle = Oracle { scene: &scene, caller, since, until, head };
        let ledger = scene.ledger_in(oracle.caller.as_str(), to_window(bounds));
        prop_assert_eq!(ledger, oracle.ledger());
    }

    #[test]
    fn neither_order_nor_repetition_matters(
        (scene, order) in scene().prop_flat_map(|scene| {
            let twice: Vec<usize> = (0..scene.log.len()).chain(0..scene.log.len() / 2).collect();
            (Just(scene), Just(twice).prop_shuffle())
        }),
        caller in 0..8_usize,
        bounds in window(),
    ) {
        let caller = MEMBERS[caller].0;
        let shuffled: Vec<&Said> = order.iter().map(|place| &scene.log[*place]).collect();
        let window = to_window(bounds);
        let again = fold(&scene.roster, &shuffled, caller, window, Some(&scene.claimed));
        prop_assert_eq!(again, scene.ledger_in(caller, window));
    }

    #[test]
    fn a_member_computes_what_the_hub_answers(
        scene in scene(),
        caller in 0..8_usize,
        bounds in window(),
    ) {
        let caller = MEMBERS[caller].0;
        let window = to_window(bounds);
        let (roster, sent) = as_sent(&scene, &caller.parse().unwrap());
        let sent: Vec<&Said> = sent.iter().rev().collect();
        let computed = fold(&roster, &sent, caller, window, None);
        let answered = scene.ledger_in(caller, window);
        let found = differences(&(&answered).into(), &(&computed).into());
        prop_assert_eq!(found, Vec::new());
        let with_claims = fold(&roster, &sent, caller, window, Some(&scene.claimed));
        prop_assert_eq!(with_claims, answered);
    }

    #[test]
    fn claims_about_those_who_are_not_told_apart_move_no_number(
        scene in scene(),
        caller in 0..8_usize,
    ) {
        let caller: MemberId = MEMBERS[caller].0.parse().unwrap();
        let before = scene.ledger(caller.as_str());
        let oracle = Oracle { scene: &scene, caller, since: None, until: None, head: u64::MAX };
        let mut other = scene.clone();
        for (id, _role) in oracle.members().into_iter().filter(|(id, role)| !oracle.by_name(id, *role)) {
            other.claimed.delivered.retain(|(member, _sequence), _time| *member != id);
            for said in &scene.log {
                other.claimed.acknowledged.insert((id.clone(), said.sequence), said.accept_time);
            }
        }
        prop_assert_eq!(other.ledger(oracle.caller.as_str()), before);
    }

    #[test]
    fn what_the_caller_may_not_see_moves_no_number(scene in scene(), caller in 0..8_usize) {
        let caller: MemberId = MEMBERS[caller].0.parse().unwrap();
        let before = scene.ledger(caller.as_str());
        let mut less = scene.clone();
        let oracle = Oracle { scene: &scene, caller, since: None, until: None, head: u64::MAX };
        less.log.retain(|said| !said.body_kind.is_chosen() || oracle.may(&oracle.caller, said, false));
        prop_assert_eq!(less.ledger(oracle.caller.as_str()), before);
    }
}

#[test]
fn a_reach_is_read_as_it_is_written() {
    let written = reach(&["companies", "@acme-video"]);
    assert_eq!((written.audiences.len(), written.recipients.len()), (1, 1));
}
