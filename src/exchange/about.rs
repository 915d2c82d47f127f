//! What is said about a record: every visible current record that names it, found through the index.

use std::cell::Cell;

use crate::exchange::entries;
use crate::exchange::reads::is_current;
use crate::exchange::reads::pretend;
use crate::exchange::search::Agreed;
use crate::exchange::search::Clause;
use crate::exchange::search::agree;
use crate::exchange::turns::Halt;
use crate::model::facts::Facts;
use crate::model::index_keys::Group;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::RevisionName;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::store::COARSE_SEQUENCES;
use crate::store::LogBlock;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::StoredEntry;
use crate::wire;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// A place in the log with what was read there.
pub(super) struct Found {
    pub(super) sequence: u64,
    pub(super) facts: Facts,
    pub(super) entry: pb::Entry,
    pub(super) record: Record,
}

/// Reads entries for one reader, up to a bound.
pub(super) struct Reading<'a> {
    pub(super) store: &'a Store,
    pub(super) reader: &'a Reader,
    groups: Vec<Group>,
    /// The size of the log that is shown.
    pub(super) size: u64,
    /// Entries that may still be read.
    budget: usize,
    /// Lists of postings that may still be asked for.
    probes: Cell<usize>,
    block: Option<LogBlock>,
    /// Set when nobody waits for the answer any more.
    pub(super) halt: Halt,
}

impl<'a> Reading<'a> {
    pub(super) fn new(store: &'a Store, reader: &'a Reader, size: u64, budget: usize) -> Self {
        let (groups, halt) = (Group::of_reader(reader), Halt::default());
        let probes = Cell::new(limits::INDEX_PROBES_MAX);
        Self { store, reader, groups, size, budget, probes, block: None, halt }
    }

    /// Reads only as long as somebody waits for it.
    pub(super) fn until(self, halt: &Halt) -> Self {
        Self { halt: halt.clone(), ..self }
    }

    /// Whether a bound was met, so that there may be more.
    pub(super) const fn is_tired(&self) -> bool {
        self.budget == 0 || self.probes.get() == 0
    }

    /// Takes one list of postings from the bound; whether there was one left.
    fn probe(&self) -> Result<bool, StoreError> {
        self.halt.check()?;
        let left = self.probes.get();
        self.probes.set(left.saturating_sub(1));
        Ok(left > 0)
    }

    /// Places of entries that may have a term, rising, as many as may still be read.
    pub(super) fn places(&self, term: Term) -> Result<Vec<u64>, StoreError> {
        self.in_each_group(|group, limit| self.store.find_term(term, group, 0, limit))
    }

    /// The same for indicators with a value.
    pub(super) fn places_of_value(&self, digest: &Digest) -> Result<Vec<u64>, StoreError> {
        self.in_each_group(|group, limit| self.store.find_value(digest, group, limit))
    }

    /// What is found for the reader's groups, each a list of postings from the bound.
    fn in_each_group(
        &self,
        find: impl Fn(Group, usize) -> Result<Vec<u64>, StoreError>,
    ) -> Result<Vec<u64>, StoreError> {
        let mut places = Vec::new();
        for group in &self.groups {
            if !self.probe()? {
                break;
            }
            places.extend(find(*group, self.budget.saturating_add(1))?);
        }
        places.sort_unstable();
        places.dedup();
        places.retain(|place| *place < self.size);
        Ok(places)
    }

    /// The facts at a place, if it holds the current revision of a record that the reader may see. `None` without a
    /// look once the bound is met.
    pub(super) fn facts(&mut self, sequence: u64) -> Result<Option<Facts>, StoreError> {
        let Some(left) = self.budget.checked_sub(1) else { return Ok(None) };
        self.budget = left;
        self.halt.check()?;
        let (store, reader, size) = (self.store, self.reader, self.size);
        let Some((_block, stored)) = self.stored(sequence)? else { return Ok(None) };
        let facts = stored.facts.clone();
        let shown = may_see(reader, &facts.scope) && is_current(store, &facts, size)?;
        Ok(shown.then_some(facts))
    }

    /// The same, decoded; `None` if its body was erased.
    pub(super) fn found(&mut self, sequence: u64) -> Result<Option<Found>, StoreError> {
        match self.facts(sequence)? {
            Some(_shown) => self.again(sequence),
            None => Ok(None),
        }
    }

    /// What was judged already, decoded; `None` if its body was erased.
    pub(super) fn again(&mut self, sequence: u64) -> Result<Option<Found>, StoreError> {
        Ok(self.bare(sequence)?.filter(|found| found.entry.erased.is_none()))
    }

    /// The same, even if its body was erased: then there is none.
    fn bare(&mut self, sequence: u64) -> Result<Option<Found>, StoreError> {
        let Some((block, stored)) = self.stored(sequence)? else { return Ok(None) };
        let (entry, facts) = (entries::decode(block, stored)?, stored.facts.clone());
        let damaged = |_refusal| StoreError::Corrupt {
            place: format!("sequence {sequence}"),
            what: "its record is unreadable",
        };
        let record = wire::envelope::of_entry(entry.clone()).map_err(damaged)?;
        Ok(Some(Found { sequence, facts, entry, record }))
    }

    /// The facts of the current revision of a record, if the reader may see it.
    pub(super) fn latest_facts(&mut self, name: &RecordName) -> Result<Option<Facts>, StoreError> {
        match self.place_of(name)? {
            Some(sequence) => self.facts(sequence),
            None => Ok(None),
        }
    }

    /// The current revision of a record, if the reader may see it; without a body if that was erased.
    pub(super) fn latest(&mut self, name: &RecordName) -> Result<Option<Found>, StoreError> {
        let Some(sequence) = self.place_of(name)? else { return Ok(None) };
        match self.facts(sequence)? {
            Some(_shown) => self.bare(sequence),
            None => Ok(None),
        }
    }

    /// The place of the latest revision of a record. What is not there counts as examined like what is there, and
    /// takes as long, so that neither the bound nor the time tells anything.
    fn place_of(&mut self, name: &RecordName) -> Result<Option<u64>, StoreError> {
        let latest = self.store.latest(name)?;
        if latest.is_none() {
            self.budget = self.budget.saturating_sub(1);
            self.pretend(name)?;
        }
        Ok(latest.map(|(_revision, sequence)| sequence))
    }

    /// The same record, even if it was withdrawn.
    pub(super) fn latest_of(&mut self, name: &RecordName) -> Result<Option<Found>, StoreError> {
        let Some((_revision, sequence)) = self.store.latest(name)? else {
            self.pretend(name)?;
            return Ok(None);
        };
        let reader = self.reader;
        let Some((_block, stored)) = self.stored(sequence)? else { return Ok(None) };
        if may_see(reader, &stored.facts.scope) { self.bare(sequence) } else { Ok(None) }
    }

    fn pretend(&self, name: &RecordName) -> Result<(), StoreError> {
        pretend(self.store, &RevisionName { record: name.clone(), revision: None }, self.size)
    }

    /// Places of entries of one publisher that may have a term, rising, at most so many; and whether there may be more.
    /// What others say under the same term costs nothing unless it lies beside.
    pub(super) fn places_by(
        &mut self,
        term: Term,
        publisher: &MemberId,
        limit: usize,
    ) -> Result<(Vec<u64>, bool), StoreError> {
        let mut clauses = [
            Clause::new(vec![term], &self.groups, 1),
            Clause::new(vec![Term::publisher(publisher)], &self.groups, COARSE_SEQUENCES),
        ];
        let (mut places, mut next, mut examined) = (Vec::new(), 0, 0);
        loop {
            let end = self.size;
            let within = (next..end, &mut examined);
            let range = match agree(self.store, &self.halt, &mut clauses, within)? {
                Agreed::Nowhere => return Ok((places, false)),
                Agreed::Tired(_at) => return Ok((places, true)),
                Agreed::On(range) => range,
            };
            next = range.end;
            examined += usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            for sequence in range {
                let stored = self.stored(sequence)?;
                let is_own = stored.is_some_and(|(_, own)| own.facts.scope.publisher == *publisher);
                places.extend(is_own.then_some(sequence));
            }
            if places.len() >= limit || examined >= limits::PAGE_EXAMINED_MAX {
                places.truncate(limit);
                return Ok((places, true));
            }
        }
    }

    fn stored(&mut self, sequence: u64) -> Result<Option<(&LogBlock, &StoredEntry)>, StoreError> {
        if self.block.as_ref().is_none_or(|block| block.at(sequence).is_none()) {
            self.block = self.store.block_at(sequence)?;
        }
        Ok(self.block.as_ref().and_then(|block| Some((block, block.at(sequence)?))))
    }
}
