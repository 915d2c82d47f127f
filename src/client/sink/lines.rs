//! Where every entry of a file of JSON lines lies, and what is known of its record: in memory, read once.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;

use crate::client::batch::DeletedBy;
use crate::client::batch::ErasedBy;
use crate::client::batch::Fact;
use crate::client::batch::Item;
use crate::client::batch::Payload;
use crate::client::sink::Holding;
use crate::client::sink::SinkError;
use crate::client::sink::Withdrawal;
use crate::client::sink::effects::is_recallable;
use crate::client::sink::own_name;
use crate::model::names::RecordName;

/// Bytes of a line: an envelope's body with every byte escaped, and the envelope in base64, fit several times over.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where everything lies: about 200 bytes of memory a record.
#[derive(Debug, Default)]
pub(super) struct Index {
    records: HashMap<RecordName, Lines>,
    /// The bytes that count.
    pub(super) length: u64,
}

/// What the file holds of one record.
#[derive(Debug, Default)]
struct Lines {
    lines: Vec<Line>,
    /// In the order in which they came.
    withdrawn: Vec<Withdrawn>,
}

/// Where one entry lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    epoch: u32,
    revision: u32,
    sequence: u64,
    pub(super) offset: u64,
    pub(super) length: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has its payload and may be taken back.
    Whole,
    /// It is of a kind that nobody takes back.
    Fixed,
    /// Its payload was deleted, for the withdrawal at this epoch and place.
    Deleted(u32, u64),
    /// The hub erased its body, for the entry at this place.
    Erased(u64),
}

/// A withdrawal that the file holds.
#[derive(Clone, Debug)]
struct Withdrawn {
    by: DeletedBy,
    demand_deletion: bool,
    /// Lines before this offset were there when it came.
    offset: u64,
}

/// A line of the file, as far as it counts.
#[derive(Deserialize)]
struct Kept {
    #[serde(flatten)]
    fact: Fact,
    #[serde(default)]
    envelope: String,
    body: Option<KeptBody>,
}

#[derive(Deserialize)]
struct KeptBody {
    withdrawal: Option<KeptWithdrawal>,
    takedown: Option<KeptTakedown>,
}

/// The operator's withdrawal: of any member's record, and always with a demand.
#[derive(Deserialize)]
struct KeptTakedown {
    of: String,
}

#[derive(Deserialize)]
struct KeptWithdrawal {
    of: String,
    #[serde(default, alias = "demandDeletion")]
    demand_deletion: bool,
}

impl Kept {
    /// What it takes back, and whether with a demand for deletion.
    fn withdraws(
        &self,
        name: &RecordName,
        path: &Path,
    ) -> Result<Option<(RecordName, bool)>, SinkError> {
        let Some(body) = &self.body else { return Ok(None) };
        if let Some(KeptTakedown { of }) = &body.takedown {
            return Ok(Some((own_name(of, path)?, true)));
        }
        let Some(KeptWithdrawal { of, demand_deletion }) = &body.withdrawal else {
            return Ok(None);
        };
        let of = own_name(of, path)?;
        Ok((of.member == name.member).then_some((of, *demand_deletion)))
    }
}

impl Index {
    /// Reads the bytes that count.
    pub(super) fn read(file: &File, length: u64, path: &Path) -> Result<Self, SinkError> {
        let mut index = Self::default();
        let mut reader = BufReader::new(file).take(length);
        let mut bytes = Vec::new();
        for number in 1_u64.. {
            bytes.clear();
            let mut line = (&mut reader).take(LINE_BYTES_MAX);
            let read = line.read_until(b'\n', &mut bytes).map_err(SinkError::reading(path))?;
            if read == 0 {
                break;
            }
            let damaged = |why: String| SinkError::damaged(path, format!("line {number}: {why}"));
            if bytes.pop() != Some(b'\n') {
                return Err(damaged("it does not end".to_owned()));
            }
            let kept: Kept =
                serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
            index.add(&kept, bytes.len(), path)?;
        }
        Ok(index)
    }

    fn add(&mut self, kept: &Kept, length: usize, path: &Path) -> Result<(), SinkError> {
        let name = own_name(&kept.fact.name, path)?;
        let (fact, offset) = (&kept.fact, self.length);
        if let Some((of, demand_deletion)) = kept.withdraws(&name, path)? {
            let by = DeletedBy {
                withdrawal: fact.name.clone(),
                epoch: fact.epoch,
                sequence: fact.sequence,
            };
            self.withdrawn(of, Withdrawn { by, demand_deletion, offset });
        }
        let state = state(fact);
        if kept.envelope.is_empty() == matches!(state, State::Whole | State::Fixed) {
            return Err(SinkError::damaged(path, "a line is neither whole nor says why not"));
        }
        self.push(name, fact, state, length);
        Ok(())
    }

    fn push(&mut self, name: RecordName, fact: &Fact, state: State, length: usize) {
        let Fact { epoch, sequence, revision, .. } = *fact;
        let line = Line { epoch, revision, sequence, offset: self.length, length, state };
        self.records.entry(name).or_default().lines.push(line);
        self.length += u64::try_from(length).unwrap_or(u64::MAX).saturating_add(1);
    }

    /// Appends an entry to what is to be written; whether it was not there before.
    pub(super) fn store(&mut self, item: &Item, text: &mut String) -> bool {
        let name = &item.header.name;
        let known = self.records.get(name);
        let mut lines = known.into_iter().flat_map(|known| &known.lines);
        if lines.any(|line| (line.epoch, line.sequence) == (item.epoch, item.sequence)) {
            return false;
        }
        let mut fact = item.fact();
        let erased = known.and_then(|known| known.erased(item.header.revision));
        fact.erased = fact.erased.or(erased);
        if is_recallable(&fact.kind) {
            fact.deleted = known.and_then(Lines::deletion);
        }
        let is_whole = fact.erased.is_none() && fact.deleted.is_none();
        let line = match &item.payload {
            Payload::Whole { line, .. } if is_whole => line.clone(),
            Payload::Whole { .. } | Payload::Erased { .. } => fact.line(),
        };
        self.push(name.clone(), &fact, state(&fact), line.len());
        text.push_str(&line);
        text.push('\n');
        true
    }

    /// Notes a withdrawal; what is held of its record, or was when it came for the first time.
    pub(super) fn withdraw(&mut self, withdrawal: &Withdrawal) -> Holding {
        let (by, offset) = (withdrawal.deleted_by(), self.length);
        let demand_deletion = withdrawal.demand_deletion;
        self.withdrawn(withdrawal.of.clone(), Withdrawn { by, demand_deletion, offset });
        let lines = self.records.get(&withdrawal.of);
        withdrawal.holding(lines.is_some_and(|lines| lines.were_held(withdrawal)))
    }

    /// The first time counts.
    fn withdrawn(&mut self, of: RecordName, withdrawn: Withdrawn) {
        let known = &mut self.records.entry(of).or_default().withdrawn;
        if known.iter().all(|said| said.by.withdrawal != withdrawn.by.withdrawal) {
            known.push(withdrawn);
        }
    }

    /// Lines of a record, or of one revision of it, whose payload may go.
    pub(super) fn whole(
        &self,
        name: &RecordName,
        revision: Option<u32>,
    ) -> impl Iterator<Item = Line> {
        let lines = self.records.get(name).into_iter().flat_map(|lines| &lines.lines);
        lines.filter(move |line| line.may_go(revision)).copied()
    }

    pub(super) fn set(&mut self, name: &RecordName, revision: Option<u32>, state: State) {
        let lines = self.records.get_mut(name).into_iter().flat_map(|lines| &mut lines.lines);
        for line in lines.filter(|line| line.may_go(revision)) {
            line.state = state;
        }
    }
}

impl Line {
    /// A whole record goes if it may be taken back; one revision goes if the hub erased it, whatever it is.
    fn may_go(&self, revision: Option<u32>) -> bool {
        match revision {
            None => self.state == State::Whole,
            Some(revision) => {
                self.revision == revision && matches!(self.state, State::Whole | State::Fixed)
            }
        }
    }
}

impl Lines {
    fn erased(&self, revision: u32) -> Option<ErasedBy> {
        let mut lines = self.lines.iter().filter(|line| line.revision == revision);
        lines.find_map(|line| match line.state {
            State::Erased(cause_sequence) => Some(ErasedBy { cause_sequence }),
            State::Whole | State::Fixed | State::Deleted(..) => None,
        })
    }

    fn deletion(&self) -> Option<DeletedBy> {
        let demanded = self.withdrawn.iter().rfind(|withdrawn| withdrawn.demand_deletion);
        demanded.map(|withdrawn| withdrawn.by.clone())
    }

    /// Whether a payload was there when a withdrawal came for the first time.
    fn were_held(&self, withdrawal: &Withdrawal) -> bool {
        let name = withdrawal.name.to_string();
        let at = self.withdrawn.iter().position(|said| said.by.withdrawal == name);
        let (earlier, rest) = self.withdrawn.split_at(at.unwrap_or(self.withdrawn.len()));
        let Some(said) = rest.first() else { return false };
        let was_there = |line: &Line| match line.state {
            // It goes with this step, for the first that demands it.
            State::Whole => earlier.iter().all(|said| !said.demand_deletion),
            State::Deleted(epoch, sequence) => {
                earlier.iter().all(|said| (said.by.epoch, said.by.sequence) != (epoch, sequence))
            }
            State::Fixed | State::Erased(_) => false,
        };
        self.lines.iter().any(|line| line.offset < said.offset && was_there(line))
    }
}

fn state(fact: &Fact) -> State {
    if let Some(ErasedBy { cause_sequence }) = fact.erased {
        State::Erased(cause_sequence)
    } else if let Some(DeletedBy { epoch, sequence, .. }) = fact.deleted {
        State::Deleted(epoch, sequence)
    } else if is_recallable(&fact.kind) {
        State::Whole
    } else {
        State::Fixed
    }
}
