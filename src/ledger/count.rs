//! From what stands to rows and times.

use std::collections::BTreeSet;

use crate::ledger::answer::Ledger;
use crate::ledger::answer::Row;
use crate::ledger::answer::Stage;
use crate::ledger::fold::HubClaims;
use crate::ledger::names::Named;
use crate::ledger::names::Turned;
use crate::ledger::people::People;
use crate::ledger::people::Person;
use crate::ledger::people::Place;
use crate::ledger::people::Shown;
use crate::ledger::resolve::Act;
use crate::ledger::resolve::Given;
use crate::ledger::resolve::Resolved;
use crate::ledger::resolve::Voice;
use crate::ledger::times::Times;
use crate::ledger::window::Window;
use crate::model::names::MemberId;
use crate::model::roster::Role;
use crate::model::time::Timestamp;

/// Counts everything.
pub(super) fn ledger(
    resolved: &Resolved,
    people: &People,
    names: &Turned,
    window: &Window,
    claims: Option<&dyn HubClaims>,
) -> Ledger {
    let mut count = Count {
        people,
        tallies: vec![Tally::default(); people.len()],
        times: Times::new(&resolved.given, names),
        claims: claims.map(|claims| Claims { claims, window }),
    };
    for given in &resolved.given {
        count.give(given);
    }
    count.feedback(resolved);
    count.receive(resolved, names);
    let Count { tallies, times, .. } = count;
    let rows = rows(people, &tallies, claims.is_some());
    let (times, operations_left_out) = times.finish(people);
    Ledger { bounds: resolved.bounds, head: window.head(), rows, times, operations_left_out }
}

/// What is counted for one person.
#[derive(Clone, Debug, Default)]
struct Tally {
    row: Row,
    confirmed_by: BTreeSet<Named>,
    disputed_by: BTreeSet<Named>,
    acted_on_by: BTreeSet<Named>,
    delivered: u64,
    acknowledged: u64,
}

struct Count<'a> {
    people: &'a People,
    tallies: Vec<Tally>,
    times: Times,
    claims: Option<Claims<'a>>,
}

impl Count<'_> {
    fn tally(&mut self, place: Option<Place>) -> Option<&mut Tally> {
        self.tallies.get_mut(place?.index())
    }

    /// Counts a record for its publisher.
    fn give(&mut self, given: &Given) {
        let place = self.people.of(given.publisher);
        let Some(tally) = self.tally(place) else {
            return;
        };
        if given.is_withdrawn {
            increase(&mut tally.row.withdrawn);
            return;
        }
        increase(tally.row.given.entry(given.kind).or_default());
        let (Some(observed), true) = (given.observed, given.is_asset()) else {
            return;
        };
        if let Some((place, person)) = self.people.place(given.publisher) {
            let span = (observed, given.published);
            self.times.add(given, Stage::Published, (place, person), span);
        }
    }

    /// Counts what others said of records for their publishers.
    fn feedback(&mut self, resolved: &Resolved) {
        let Resolved { confirmed, disputed, acts, .. } = resolved;
        let acts: Vec<Voice> = acts.iter().map(|act| act.voice).collect();
        self.voices(confirmed, |tally| (&mut tally.row.confirmed, &mut tally.confirmed_by));
        self.voices(disputed, |tally| (&mut tally.row.disputed, &mut tally.disputed_by));
        self.voices(&acts, |tally| (&mut tally.row.acted_on, &mut tally.acted_on_by));
    }

    /// Counts each record once, and each member that spoke of any once.
    fn voices(
        &mut self,
        voices: &[Voice],
        counts: impl Fn(&mut Tally) -> (&mut u64, &mut BTreeSet<Named>),
    ) {
        for of_one in voices.chunk_by(|a, b| a.of == b.of) {
            let place = of_one.first().and_then(|voice| self.people.of(voice.publisher));
            if let Some(tally) = self.tally(place) {
                let (records, members) = counts(tally);
                increase(records);
                members.extend(of_one.iter().map(|voice| voice.by));
            }
        }
    }

    /// Counts standing records for those who may read them; the policy is asked once for each publisher and reach.
    fn receive(&mut self, resolved: &Resolved, names: &Turned) {
        let mut given: Vec<&Given> =
            resolved.given.iter().filter(|given| !given.is_withdrawn).collect();
        given.sort_unstable_by_key(|given| given.scope);
        for alike in given.chunk_by(|a, b| a.scope == b.scope) {
            let scope = alike.first().and_then(|given| names.scope(given.scope));
            let readers = scope.map(|scope| self.people.readers(&scope)).unwrap_or_default();
            self.read(&readers, u64::try_from(alike.len()).unwrap_or(u64::MAX));
            for given in alike {
                self.act(given, &readers, &resolved.acts);
                self.claim(given, &readers);
            }
        }
    }

    fn read(&mut self, readers: &[Place], count: u64) {
        for place in readers {
            if let Some(tally) = self.tally(Some(*place)) {
                tally.row.received = tally.row.received.saturating_add(count);
            }
        }
    }

    /// What others did about a record.
    fn act(&mut self, given: &Given, readers: &[Place], acts: &[Act]) {
        let begin = acts.partition_point(|act| act.voice.of < given.name);
        let acts = acts.iter().skip(begin).take_while(|act| act.voice.of == given.name);
        for act in acts {
            let Some((place, person)) = self.people.place(act.voice.by) else {
                continue;
            };
            let (from, at) = (given.published, act.reported);
            self.times.add(given, Stage::Acted, (place, person), (from, at));
            if let Some(claimed) = act.claimed {
                self.times.add(given, Stage::ActedAsClaimed, (place, person), (from, claimed));
            }
            if readers.contains(&place)
                && let Some(tally) = self.tally(Some(place))
            {
                increase(&mut tally.row.received_acted_on);
            }
        }
    }

    /// What the hub claims of those who may read a record, if the caller may tell them apart: of the others it enters
    /// nothing at all.
    fn claim(&mut self, given: &Given, readers: &[Place]) {
        let Some(claims) = self.claims else {
            return;
        };
        for place in readers {
            let Some(person) = self.people.get(*place).filter(|person| person.is_shown()) else {
                continue;
            };
            let delivered = claims.delivered(person.id(), given.sequence);
            let acknowledged = claims.acknowledged(person.id(), given.sequence);
            let stages = [(Stage::Delivered, delivered), (Stage::Acknowledged, acknowledged)];
            let timed = stages.into_iter().filter(|_stage| given.is_asset());
            for (stage, time) in timed.filter_map(|(stage, time)| Some((stage, time?))) {
                self.times.add(given, stage, (*place, person), (given.published, time));
            }
            if let Some(tally) = self.tally(Some(*place)) {
                tally.delivered = tally.delivered.saturating_add(delivered.is_some().into());
                tally.acknowledged =
                    tally.acknowledged.saturating_add(acknowledged.is_some().into());
            }
        }
    }
}

/// What the hub claims to have happened before the window ended.
#[derive(Clone, Copy)]
struct Claims<'a> {
    claims: &'a dyn HubClaims,
    window: &'a Window,
}

impl Claims<'_> {
    fn delivered(self, member: &MemberId, sequence: u64) -> Option<Timestamp> {
        self.claims.delivered(member, sequence).filter(|time| self.window.is_before_end(*time))
    }

    fn acknowledged(self, member: &MemberId, sequence: u64) -> Option<Timestamp> {
        self.claims.acknowledged(member, sequence).filter(|time| self.window.is_before_end(*time))
    }
}

/// One row for each member by name, and one of all the others.
fn rows(people: &People, tallies: &[Tally], with_claims: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut others: Option<(Tally, Option<Role>)> = None;
    for ((_place, person), tally) in people.all().zip(tallies) {
        match person.shown {
            Shown::ByName => rows.push(named_row(person, tally, with_claims)),
            Shown::Among => {
                let (all, role) =
                    others.get_or_insert_with(|| (Tally::default(), Some(person.role())));
                all.join(tally);
                *role = role.filter(|role| *role == person.role());
            }
        }
    }
    rows.extend(others.map(|(tally, role)| Row { role, ..tally.to_row() }));
    rows
}

fn named_row(person: &Person, tally: &Tally, with_claims: bool) -> Row {
    Row {
        member: Some(person.id().clone()),
        role: Some(person.role()),
        members: 1,
        delivered: with_claims.then_some(tally.delivered),
        acknowledged: with_claims.then_some(tally.acknowledged),
        ..tally.to_row()
    }
}

impl Tally {
    fn to_row(&self) -> Row {
        let count = |members: &BTreeSet<Named>| u64::try_from(members.len()).unwrap_or(u64::MAX);
        Row {
            confirmed_by: count(&self.confirmed_by),
            disputed_by: count(&self.disputed_by),
            acted_on_by: count(&self.acted_on_by),
            ..self.row.clone()
        }
    }

    /// Adds what can be computed again of another member; what the hub claims of it stays out.
    fn join(&mut self, other: &Self) {
        let Self { row, confirmed_by, disputed_by, acted_on_by, delivered: _, acknowledged: _ } =
            other;
        for (kind, count) in &row.given {
            let sum = self.row.given.entry(*kind).or_default();
            *sum = sum.saturating_add(*count);
        }
        for (sum, more) in [
            (&mut self.row.confirmed, row.confirmed),
            (&mut self.row.disputed, row.disputed),
            (&mut self.row.acted_on, row.acted_on),
            (&mut self.row.withdrawn, row.withdrawn),
            (&mut self.row.received, row.received),
            (&mut self.row.received_acted_on, row.received_acted_on),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.row.members = self.row.members.saturating_add(1);
        self.confirmed_by.extend(confirmed_by);
        self.disputed_by.extend(disputed_by);
        self.acted_on_by.extend(acted_on_by);
    }
}

const fn increase(count: &mut u64) {
    *count = count.saturating_add(1);
}
