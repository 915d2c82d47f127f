//! How long sharing took: of all, by member, by operation; each stage apart, by who vouches for its times.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::ledger::answer::Stage;
use crate::ledger::answer::StageTime;
use crate::ledger::names::NameId;
use crate::ledger::names::Turned;
use crate::ledger::people::People;
use crate::ledger::people::Person;
use crate::ledger::people::Place;
use crate::ledger::people::Shown;
use crate::ledger::resolve::Given;
use crate::ledger::sample::Sample;
use crate::model::limits;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;

/// What was measured so far.
#[derive(Debug)]
pub(super) struct Times {
    all: Stages,
    members: BTreeMap<Place, Stages>,
    operations: HashMap<NameId, (RecordName, Stages)>,
    operations_left_out: u64,
}

type Stages = BTreeMap<Stage, Measured>;

#[derive(Debug)]
struct Measured {
    sample: Sample,
    left_out: u64,
}

impl Times {
    /// Nothing measured yet; operations with the most records will have times of their own.
    pub(super) fn new(given: &[Given], names: &Turned) -> Self {
        let mut sizes: HashMap<NameId, u64> = HashMap::new();
        for operation in
            given.iter().filter(|given| given.stands_as_asset()).filter_map(|given| given.operation)
        {
            let size = sizes.entry(operation).or_default();
            *size = size.saturating_add(1);
        }
        let operations = names.records(|id| sizes.contains_key(&id));
        let mut largest: Vec<(Reverse<u64>, RecordName, NameId)> = operations
            .map(|(id, name)| (Reverse(sizes.get(&id).copied().unwrap_or_default()), name, id))
            .collect();
        largest.sort_unstable();
        let left_out = largest.len().saturating_sub(limits::LEDGER_OPERATIONS_MAX);
        largest.truncate(limits::LEDGER_OPERATIONS_MAX);
        let operations = largest.into_iter().map(|(_size, name, id)| (id, (name, Stages::new())));
        Self {
            all: Stages::new(),
            members: BTreeMap::new(),
            operations: operations.collect(),
            operations_left_out: u64::try_from(left_out).unwrap_or(u64::MAX),
        }
    }

    /// Adds a stage of a record, which is a person's.
    pub(super) fn add(
        &mut self,
        given: &Given,
        stage: Stage,
        (place, person): (Place, &Person),
        (begin, end): (Timestamp, Timestamp),
    ) {
        let by_name = person.shown == Shown::ByName;
        let own = by_name.then(|| self.members.entry(place).or_default());
        let operation = given.operation.and_then(|operation| self.operations.get_mut(&operation));
        let operation = operation.map(|(_name, stages)| stages);
        let took = end.as_micros().checked_sub(begin.as_micros());
        for stages in [Some(&mut self.all), own, operation].into_iter().flatten() {
            stages.entry(stage).or_insert_with(|| Measured::new(stage)).add(took);
        }
    }

    /// The times, and how many operations were left out.
    pub(super) fn finish(self, people: &People) -> (Vec<StageTime>, u64) {
        let Self { all, members, operations, operations_left_out } = self;
        let mut times: Vec<StageTime> = finished(all).collect();
        for (place, stages) in members {
            let member = people.get(place).map(|person| person.id().clone());
            times.extend(finished(stages).map(|time| StageTime { member: member.clone(), ..time }));
        }
        let operations: BTreeMap<RecordName, Stages> = operations.into_values().collect();
        for (name, stages) in operations {
            let operation = Some(name);
            times.extend(
                finished(stages).map(|time| StageTime { operation: operation.clone(), ..time }),
            );
        }
        (times, operations_left_out)
    }
}

impl Measured {
    const fn new(stage: Stage) -> Self {
        let sample = if stage.is_hubs() {
            Sample::Rounded(BTreeMap::new())
        } else {
            Sample::Exact(Vec::new())
        };
        Self { sample, left_out: 0 }
    }

    /// Adds one; what would end before it began is only counted.
    fn add(&mut self, took: Option<u64>) {
        match took {
            Some(micros) => self.sample.add(micros),
            None => self.left_out = self.left_out.saturating_add(1),
        }
    }
}

fn finished(stages: Stages) -> impl Iterator<Item = StageTime> {
    stages.into_iter().map(|(stage, mut measured)| StageTime {
        member: None,
        operation: None,
        stage,
        count: measured.sample.count(),
        left_out: measured.left_out,
        percentiles: measured.sample.percentiles(),
    })
}
