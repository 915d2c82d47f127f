//! An index: from keys, which are hashes, to the sequences of the entries that have them.
//!
//! A row for each entry would cost as much as a signature. So postings are kept in memory for the run of 4,096
//! sequences that is being filled, and written as one sorted run when it is full. Every 64 runs are merged into a
//! long run, a sixty-fourth with each run that follows, so that no record waits for a whole merge. Short runs stay in
//! memory until they are merged, and one table says which of them may have a key (see `sieve`). A filter in memory for
//! each part of a long run says which need not be read: a digest that is nowhere costs no read of the disk at all.
//!
//! What is in memory has a bound ([`Room`]), whatever is published. A run that is being filled and has too many
//! postings is written ahead, in pieces that its own rows take the place of when it is full (see `spill`). A short run
//! for which there is no room is read from the disk, where it lies anyway, and so is a part whose filter has no room.
//!
//! What many entries have in common (a kind, a platform) would be a posting for each of them. Such a key is coarse:
//! it has one posting for each 64 sequences among which an entry has it.
//!
//! Runs lie at fixed places of the log, so that a rebuild gives the same bytes. The index follows the log: what a
//! crash takes from it is folded again at the next start.
//!
//! Postings of entries that lost their bodies leave the runs on the disk later, a little at a time: see `sweep`.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;
use std::ops::Bound;
use std::ops::RangeInclusive;
use std::sync::PoisonError;
use std::sync::RwLock;

use sled::Batch;
use sled::IVec;
use sled::Tree;
use xorf::BinaryFuse8;
use xorf::BinaryFuse8Ref;
use xorf::DmaSerializable;
use xorf::Filter as _;
use xorf::FilterRef as _;

use crate::store::StoreError;
use crate::store::block;
use crate::store::block::VALUE_PAYLOAD_MAX;
use crate::store::disk::Disk;
use crate::store::disk::Writer;
use crate::store::disk::rows_between;
use crate::store::keys;
use crate::store::log::release_pages;
use crate::store::merge::Merged;
use crate::store::merge::Rising;
use crate::store::sieve::Sieve;
use crate::store::spill::Spilled;
use crate::store::sweep::Place;

/// Sequences of a short run.
pub const RUN_SEQUENCES: u64 = 4096;
/// Sequences that share one posting of a coarse key.
pub const COARSE_SEQUENCES: u64 = 64;
/// Short runs that are merged into a long one, and parts in which that is done.
pub(super) const PARTS: u64 = 64;
/// Bits of a value that say which part of a long run it lies in.
pub(super) const PART_SHIFT: u32 = u64::BITS - PARTS.trailing_zeros();
pub(super) const SHORT: u8 = 0;
pub(super) const LONG: u8 = 1;
/// Pieces of the run that is being filled.
pub(super) const SPILLED: u8 = 2;
/// Bytes of a posting: the first eight of the digest, and the sequence.
const POSTING_BYTES: usize = 16;
/// Rows that are removed at a time.
const CLEARED_ROWS: usize = 1024;
const CHUNK_POSTINGS: usize = VALUE_PAYLOAD_MAX / POSTING_BYTES;
/// Values of a filter: what is made of them fits the rows of one, and making it takes some 30 MiB.
const FILTER_VALUES_MAX: usize = 768 * 1024;
const MIB: usize = 1024 * 1024;

/// A key and a sequence.
pub(super) type Posting = (u64, u64);

/// How many keys an index has for each entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// One, for a few groups of readers.
    Few,
    /// A dozen or more.
    Many,
}

impl Keys {
    /// Bits of a row's number in the sieve of the short runs: one in 50 of them at most is looked at in vain.
    const fn sieve_bits(self) -> u32 {
        match self {
            Self::Few => 18,
            Self::Many => 20,
        }
    }

    const fn room(self) -> Room {
        let open = 8 * MIB / POSTING_BYTES;
        match self {
            Self::Few => Room { open, short: 64 * MIB / POSTING_BYTES, filters: 64 * MIB },
            Self::Many => Room { open, short: 128 * MIB / POSTING_BYTES, filters: 256 * MIB },
        }
    }
}

/// What an index may hold in memory. None of it shows in what lies on the disk behind a full run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Postings of the run that is being filled, but for those of the entry that is beyond; and of any other run, if it
    /// is to be in memory.
    pub(super) open: usize,
    /// Postings of the short runs together: 16 for each entry of 127 runs, where keys are many.
    pub(super) short: usize,
    /// Bytes of the filters together: enough for 18 million entries with a dozen keys each, where keys are many.
    pub(super) filters: usize,
}

/// One index of the store. One thread writes, any may read.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) id: u8,
    keys: Keys,
    pub(super) room: Room,
    pub(super) state: RwLock<State>,
}

/// What is in memory.
#[derive(Debug)]
pub(super) struct State {
    room: Room,
    /// Short runs written so far.
    pub(super) written: u64,
    /// The run that is being filled, unsorted, but for what was written ahead.
    pub(super) open: Vec<Posting>,
    /// What of that run was written ahead, the oldest first.
    pub(super) spilled: Vec<Spilled>,
    /// Coarse keys of the sequences that share a posting now.
    coarse: HashSet<u64, BuildHasherDefault<HashedAlready>>,
    /// The short runs that no complete long run has, the last of which is the last written.
    short: VecDeque<ShortRun>,
    /// Which of the short runs, and whether the open one, may have a key.
    sieve: Sieve,
    /// The parts of the long runs, those of one that is being written included.
    parts: Vec<RunFilter>,
    /// Bytes of their filters.
    filter_bytes: usize,
    /// What was swept last.
    pub(super) swept: Option<Place>,
    /// What is being swept, and the first posting that is not yet.
    pub(super) sweeping: Option<(Place, Posting)>,
}

/// For keys, which are hashes: each is its own. Whoever makes them collide has the few that 64 entries share.
#[derive(Debug, Default)]
pub(super) struct HashedAlready(u64);

impl Hasher for HashedAlready {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A short run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ShortRun {
    /// Sorted.
    InMemory(Vec<Posting>),
    /// There is no room for it.
    OnDisk,
}

/// Where the sequences of a key may lie.
enum Source {
    /// In a run on the disk.
    Disk(u8, u64),
    /// Here they are, rising.
    Known(Vec<u64>),
    /// In the run that is being filled: here, and in what of it was written ahead.
    Open(Vec<u64>, Vec<u64>),
}

impl Index {
    pub(super) fn new(id: u8, keys: Keys) -> Self {
        Self::with_room(id, keys, keys.room())
    }

    pub(super) fn with_room(id: u8, keys: Keys, room: Room) -> Self {
        Self { id, keys, room, state: RwLock::new(State::new(keys, room)) }
    }

    /// Reads the filters and the short runs; returns the first sequence to be folded.
    pub(super) fn start(&self, disk: &dyn Disk) -> Result<u64, StoreError> {
        let tree = disk.tree();
        self.remove_spilled(disk)?;
        let written = self.runs_written(tree)?;
        let mut state = State::new(self.keys, self.room);
        state.written = written;
        for run in long_runs(written) * PARTS..written {
            let postings = self.read_short(tree, run)?;
            state.push(run, postings);
            release_pages();
        }
        for number in 0..written.saturating_sub(PARTS) {
            state.push_part(self.load_filter(tree, number / PARTS, number % PARTS)?);
        }
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        Ok(written.saturating_mul(RUN_SEQUENCES))
    }

    /// Takes in the next entry of the log, with its keys and its coarse keys; writes the run if it was its last.
    pub(super) fn apply(
        &self,
        disk: &dyn Disk,
        sequence: u64,
        keys: impl Iterator<Item = u64>,
        coarse: impl Iterator<Item = u64>,
    ) -> Result<(), StoreError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            state.take((key, sequence));
        }
        let shared = sequence - sequence % COARSE_SEQUENCES;
        if sequence == shared {
            state.coarse.clear();
        }
        for key in coarse {
            if state.coarse.insert(key) {
                state.take((key, shared));
            }
        }
        let is_full = state.open.len() >= self.room.open;
        drop(state);
        if (sequence + 1).is_multiple_of(RUN_SEQUENCES) {
            self.close_run(disk)
        } else if is_full {
            self.spill(disk)
        } else {
            Ok(())
        }
    }

    /// Sequences of a key from one on, rising, at most `limit`.
    pub(super) fn find(
        &self,
        tree: &Tree,
        key: u64,
        from: u64,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let plan = self.state.read().unwrap_or_else(PoisonError::into_inner).plan(key, from);
        let mut found = Vec::new();
        for source in plan {
            if found.len() >= limit {
                break;
            }
            let left = limit - found.len();
            match source {
                Source::Disk(level, run) => {
                    self.read_key(tree, (level, run), (key, from), left, &mut found)?;
                }
                Source::Known(known) => found.extend(known),
                Source::Open(known, pieces) => {
                    found.extend(self.read_open(tree, (key, from), left, (known, pieces))?);
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// What the open run has of a key, from its posting on: what is known of it, and what lies in pieces.
    fn read_open(
        &self,
        tree: &Tree,
        posting: Posting,
        limit: usize,
        (known, pieces): (Vec<u64>, Vec<u64>),
    ) -> Result<Vec<u64>, StoreError> {
        let mut all = known;
        for piece in pieces {
            self.read_key(tree, (SPILLED, piece), posting, limit, &mut all)?;
        }
        // Coarse postings lie before those of the entry that brought them.
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Forgets postings of entries whose bodies go. In the short runs and the open one, which are in memory, they are
    /// gone at once; for the disk the batch that makes the bodies go notes what is to be swept. What was written ahead
    /// of the open run is swept when that is full.
    pub(super) fn forget(&self, gone: &HashSet<Posting>, batch: &mut Batch) {
        let mut gone: Vec<Posting> = gone.iter().copied().collect();
        gone.sort_unstable();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let (written, open): (Vec<Posting>, Vec<Posting>) =
            gone.into_iter().partition(|posting| posting.1 / RUN_SEQUENCES < state.written);
        let mut by_place: BTreeMap<Place, Vec<Posting>> = BTreeMap::new();
        if !open.is_empty() {
            state.open.retain(|posting| open.binary_search(posting).is_err());
            if !state.spilled.is_empty() {
                by_place.insert(Place::short(state.written), open);
            }
        }
        for posting in written {
            for place in state.places_of(posting) {
                by_place.entry(place).or_default().push(posting);
            }
        }
        for (place, postings) in by_place {
            if let Some(ShortRun::InMemory(run)) = state.short_run(place) {
                remove_sorted(run, &postings);
            }
            // Some of it may lie in what was swept already.
            state.sweeping = state.sweeping.filter(|(sweeping, _next)| *sweeping != place);
            self.insert_stale(batch, place, &postings);
        }
    }

    #[cfg(test)]
    pub(super) fn open_postings(&self) -> Vec<Posting> {
        let mut postings = self.state.read().unwrap_or_else(PoisonError::into_inner).open.clone();
        postings.sort_unstable();
        postings.dedup();
        postings
    }

    /// Removes some rows, until the index can be folded anew; whether there were any. What says how much was written
    /// goes first: an index that is cut off here is folded from the beginning.
    pub(super) fn clear_some(&self, tree: &Tree) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        batch.remove(&keys::runs(self.id));
        let mut any = false;
        for key in tree.scan_prefix([keys::INDEX, self.id]).keys().take(CLEARED_ROWS) {
            any = true;
            batch.remove(key.map_err(StoreError::io("reading an index"))?);
        }
        tree.apply_batch(batch).map_err(StoreError::io("clearing an index"))?;
        Ok(any)
    }

    /// Writes the run that is full, and the next part of the long run before it. Nobody reads them before the counter of
    /// runs, which is written last, says that they are there: what a crash leaves of them is written again.
    fn close_run(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        let run = self.state.read().unwrap_or_else(PoisonError::into_inner).written;
        let mut writer = Writer::new(disk);
        // Its long run is complete; to remove all 64 at once takes most of a second.
        if let Some(merged) = run.checked_sub(2 * PARTS) {
            disk.wait_for_readers();
            writer.remove_all(keys::run(self.id, SHORT, merged))?;
            writer.remove_all(keys::stale(self.id, SHORT, merged, 0))?;
        }
        let postings = self.write_open(&mut writer, run)?;
        let filter = (run >= PARTS).then(|| self.write_part(&mut writer, run)).transpose()?;
        writer.insert(keys::runs(self.id).to_vec(), (run + 1).to_be_bytes().to_vec())?;
        writer.finish()?;
        let is_spilled = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            state.advance(postings, filter);
            !std::mem::take(&mut state.spilled).is_empty()
        };
        if is_spilled {
            disk.wait_for_readers();
            self.remove_spilled(disk)?;
        }
        Ok(())
    }

    /// Writes the open run as a short one; its postings, if they fit memory.
    fn write_open(
        &self,
        writer: &mut Writer<'_>,
        run: u64,
    ) -> Result<Option<Vec<Posting>>, StoreError> {
        let tree = writer.tree();
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let postings = state.open_sorted();
        self.remove_postings(writer, Place::short(run))?;
        if state.spilled.is_empty() {
            self.write(writer, (SHORT, run), in_memory(&postings))?;
            return Ok(Some(postings));
        }
        let pieces = state.spilled.iter().map(|piece| self.rising(tree, piece.place()));
        let merged = Merged::new(pieces.chain([in_memory(&postings)]).collect());
        self.write(writer, (SHORT, run), merged)?;
        Ok(None)
    }

    /// Writes the part of a long run that goes with a short run: the 64 oldest short runs are its own.
    fn write_part(&self, writer: &mut Writer<'_>, run: u64) -> Result<RunFilter, StoreError> {
        let (tree, place) = (writer.tree(), Place::part(run / PARTS - 1, run % PARTS));
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let own = (state.first_short()..).zip(&state.short);
        let own = own.take(usize::try_from(PARTS).unwrap_or(usize::MAX));
        let sources = own.clone().map(|(run, short)| match short {
            ShortRun::InMemory(postings) => in_memory(between(postings, place.values())),
            ShortRun::OnDisk => self.rising_among(tree, Place::short(run), place.values()),
        });
        self.remove_postings(writer, place)?;
        writer.remove_all(self.filter_prefix(place))?;
        let mut values = FilterValues::default();
        let merged = Merged::new(sources.collect());
        let merged = merged.inspect(|posting| values.take(posting.as_ref().ok()));
        self.write(writer, (LONG, place.run), merged)?;
        let filter = values.filter();
        for (key, row) in self.filter_rows(place, &filter) {
            writer.insert(key, row)?;
        }
        for (run, short) in own {
            // What is in memory is clean.
            if *short == ShortRun::OnDisk {
                self.carry_stale(writer, Place::short(run), place)?;
            }
        }
        Ok(filter)
    }

    /// Writes postings, which rise, as rows of a run.
    pub(super) fn write(
        &self,
        writer: &mut Writer<'_>,
        (level, run): (u8, u64),
        postings: impl Iterator<Item = Result<Posting, StoreError>>,
    ) -> Result<(), StoreError> {
        let mut chunk = Vec::with_capacity(CHUNK_POSTINGS);
        for posting in postings {
            chunk.push(posting?);
            if chunk.len() == CHUNK_POSTINGS {
                self.write_row(writer, (level, run), &chunk)?;
                chunk.clear();
            }
        }
        self.write_row(writer, (level, run), &chunk)
    }

    fn write_row(
        &self,
        writer: &mut Writer<'_>,
        (level, run): (u8, u64),
        chunk: &[Posting],
    ) -> Result<(), StoreError> {
        for ((value, sequence), row) in rows(chunk) {
            writer.insert(keys::postings(self.id, level, run, value, sequence), row)?;
        }
        Ok(())
    }

    /// The rows of a filter.
    pub(super) fn filter_rows(
        &self,
        place: Place,
        filter: &RunFilter,
    ) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let bytes = filter.to_bytes();
        let chunks: Vec<Vec<u8>> = bytes.chunks(VALUE_PAYLOAD_MAX).map(block::seal).collect();
        let key = move |piece| keys::filter(self.id, place.run, place.part, piece);
        (0..=u8::MAX).map(key).zip(chunks)
    }

    /// Removes the rows of a short run's postings, or of those of a part of a long one, whose rows begin with it.
    fn remove_postings(&self, writer: &mut Writer<'_>, place: Place) -> Result<(), StoreError> {
        for row in self.rows_of(writer.tree(), place, (*place.values().start(), 0)) {
            writer.remove(row?.0)?;
        }
        Ok(())
    }

    /// The postings of a short run but for those that are to be swept from it, sorted; `None` if they are too many to
    /// be in memory.
    fn read_short(&self, tree: &Tree, run: u64) -> Result<Option<Vec<Posting>>, StoreError> {
        let place = Place::short(run);
        let Some(stale) = self.read_stale(tree, place)? else { return Ok(None) };
        let mut postings = Vec::new();
        for posting in self.rising(tree, place) {
            if postings.len() >= self.room.open {
                return Ok(None);
            }
            postings.push(posting?);
        }
        remove_sorted(&mut postings, &stale);
        postings.shrink_to_fit();
        Ok(Some(postings))
    }

    /// The rows of a place, from a posting on with which one begins. Row by row: of what a range reads, sled's cache
    /// takes no note, and hundreds of megabytes of pages would stay.
    pub(super) fn rows_of<'a>(
        &self,
        tree: &'a Tree,
        place: Place,
        (value, sequence): Posting,
    ) -> impl Iterator<Item = Result<(IVec, IVec), StoreError>> + use<'a> {
        let key = |value, sequence| {
            IVec::from(keys::postings(self.id, place.level, place.run, value, sequence))
        };
        let end = key(*place.values().end(), u64::MAX);
        rows_between(tree, Bound::Included(key(value, sequence)), end)
    }

    /// The postings of a place, as they lie on the disk.
    pub(super) fn rising<'a>(&'a self, tree: &'a Tree, place: Place) -> Rising<'a> {
        self.rising_among(tree, place, place.values())
    }

    /// Those whose values lie in a range.
    fn rising_among<'a>(
        &'a self,
        tree: &'a Tree,
        place: Place,
        values: RangeInclusive<u64>,
    ) -> Rising<'a> {
        let (level, run) = (place.level, place.run);
        let wanted = keys::postings(self.id, level, run, *values.start(), 0);
        let end = keys::postings(self.id, level, run, *values.end(), u64::MAX);
        // What lies in the range may begin in a row before it.
        let before = tree.range(keys::run(self.id, level, run)..wanted.clone()).next_back();
        let before = before.map(|row| row.map_err(StoreError::io("reading an index")));
        let rows = rows_between(tree, Bound::Included(wanted.into()), end.into());
        let postings = before.into_iter().chain(rows).flat_map(move |row| {
            let (postings, error) = match row.and_then(|(_key, bytes)| self.decode(&bytes)) {
                Ok(postings) => (postings, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            postings.into_iter().map(Ok).chain(error)
        });
        let is_within = move |found: &Result<Posting, _>| {
            found.as_ref().map_or(true, |(value, _)| values.contains(value))
        };
        Box::new(postings.filter(is_within))
    }

    /// Reads on a key in a run, from its posting on.
    fn read_key(
        &self,
        tree: &Tree,
        (level, run): (u8, u64),
        posting: Posting,
        limit: usize,
        found: &mut Vec<u64>,
    ) -> Result<(), StoreError> {
        let (key, from) = posting;
        let start = keys::run(self.id, level, run);
        let wanted = keys::postings(self.id, level, run, key, from);
        let end = keys::postings(self.id, level, run, key, u64::MAX);
        let before = tree.range(start..wanted.clone()).next_back();
        let enough = found.len().saturating_add(limit);
        for chunk in before.into_iter().chain(tree.range(wanted..=end)) {
            let (_key, bytes) = chunk.map_err(StoreError::io("reading an index"))?;
            let postings = self.decode(&bytes)?.into_iter();
            let own = postings.filter(|(other, sequence)| *other == key && *sequence >= from);
            found.extend(own.map(|(_key, sequence)| sequence));
            if found.len() >= enough {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn decode(&self, sealed: &[u8]) -> Result<Vec<Posting>, StoreError> {
        let bytes = block::open(sealed).ok_or_else(|| self.damaged())?;
        let (chunks, rest) = bytes.as_chunks::<POSTING_BYTES>();
        if !rest.is_empty() {
            return Err(self.damaged());
        }
        let posting = |chunk: &[u8; POSTING_BYTES]| {
            let (value, sequence) = chunk.split_at(8);
            Some((keys::number(value)?, keys::number(sequence)?))
        };
        chunks.iter().map(posting).collect::<Option<_>>().ok_or_else(|| self.damaged())
    }

    /// How many short runs were written.
    fn runs_written(&self, tree: &Tree) -> Result<u64, StoreError> {
        let value = tree.get(keys::runs(self.id)).map_err(StoreError::io("reading an index"))?;
        value.map_or(Ok(0), |value| keys::number(&value).ok_or_else(|| self.damaged()))
    }

    fn load_filter(&self, tree: &Tree, run: u64, part: u64) -> Result<RunFilter, StoreError> {
        let (mut bytes, place) = (Vec::new(), Place::part(run, part));
        for piece in 0..=u8::MAX {
            let value = tree
                .get(keys::filter(self.id, place.run, place.part, piece))
                .map_err(StoreError::io("reading an index"))?
                .ok_or_else(|| self.damaged())?;
            let chunk = block::open(&value).ok_or_else(|| self.damaged())?;
            bytes.extend_from_slice(chunk);
            if chunk.len() < VALUE_PAYLOAD_MAX {
                break;
            }
        }
        RunFilter::from_bytes(&bytes).ok_or_else(|| self.damaged())
    }

    /// All rows of the filter of a part begin with this.
    pub(super) fn filter_prefix(&self, place: Place) -> Vec<u8> {
        let mut prefix = keys::filter(self.id, place.run, place.part, 0);
        prefix.pop();
        prefix
    }

    pub(super) fn damaged(&self) -> StoreError {
        let place = format!("index {}", self.id);
        StoreError::corrupt(place, "it is damaged; run watchfired rebuild")
    }
}

impl State {
    fn new(keys: Keys, room: Room) -> Self {
        Self {
            room,
            written: 0,
            open: Vec::new(),
            spilled: Vec::new(),
            coarse: HashSet::default(),
            short: VecDeque::new(),
            sieve: Sieve::new(keys.sieve_bits()),
            parts: Vec::new(),
            filter_bytes: 0,
            swept: None,
            sweeping: None,
        }
    }

    /// Where a posting lies on the disk: in its short run, which stays until 128 others were written, and in the part
    /// of a long run from when that is written.
    fn places_of(&self, (value, sequence): Posting) -> impl Iterator<Item = Place> + use<> {
        let run = sequence / RUN_SEQUENCES;
        let is_there = run >= self.written.saturating_sub(2 * PARTS);
        let short = is_there.then_some(Place::short(run));
        let long = Place::long(run / PARTS, value);
        let is_written = long.number().is_some_and(|number| number < self.parts.len());
        short.into_iter().chain(is_written.then_some(long))
    }

    /// The short run at a place, if it is in memory.
    fn short_run(&mut self, place: Place) -> Option<&mut ShortRun> {
        let at = (place.level == SHORT).then(|| place.run.checked_sub(self.first_short()));
        self.short.get_mut(usize::try_from(at.flatten()?).ok()?)
    }

    /// Takes note of what was swept, with the filter of a part of a long run.
    pub(super) fn replace(&mut self, place: Place, filter: Option<RunFilter>) {
        self.swept = Some(place);
        let known = place.number().filter(|number| *number < self.parts.len());
        if let (Some(number), Some(filter)) = (known, filter) {
            self.filter_bytes -= self.parts.get(number).map_or(0, RunFilter::bytes);
            let filter = self.fit(filter);
            if let Some(known) = self.parts.get_mut(number) {
                *known = filter;
            }
        }
    }

    /// Where a key may lie, in the order of the log.
    fn plan(&self, key: u64, from: u64) -> Vec<Source> {
        let part = key >> PART_SHIFT;
        let may_have = |run: &u64| {
            let filter = usize::try_from(run * PARTS + part).ok().and_then(|at| self.parts.get(at));
            filter.is_none_or(|filter| filter.may_contain(key))
        };
        let first_long = from / (PARTS * RUN_SEQUENCES);
        let long = (first_long..long_runs(self.written)).filter(may_have);
        let mut plan: Vec<Source> = long.map(|run| Source::Disk(LONG, run)).collect();
        let candidates = self.sieve.of(key);
        let mut known = Vec::new();
        let is_behind = |posting: &&Posting| posting.1 >= from;
        let first_short = self.first_short();
        // Hardly ever more than one: all are not looked at.
        for run in candidates.among(first_short, self.short.len()) {
            match usize::try_from(run - first_short).ok().and_then(|at| self.short.get(at)) {
                None => {}
                Some(ShortRun::InMemory(postings)) => {
                    let own = between(postings, key..=key).iter().filter(is_behind);
                    known.extend(own.map(|posting| posting.1));
                }
                Some(ShortRun::OnDisk) => {
                    plan.push(Source::Known(std::mem::take(&mut known)));
                    plan.push(Source::Disk(SHORT, run));
                }
            }
        }
        plan.push(Source::Known(known));
        if candidates.has(self.written) {
            let own = self.open.iter().filter(|posting| posting.0 == key).filter(is_behind);
            let pieces = self.spilled.iter().map(|piece| piece.number);
            plan.push(Source::Open(own.map(|posting| posting.1).collect(), pieces.collect()));
        }
        plan
    }

    /// Takes a posting into the open run, whose number is that of the next short run.
    fn take(&mut self, posting: Posting) {
        self.sieve.insert(self.written, posting.0);
        self.open.push(posting);
    }

    /// What is in memory of the open run.
    pub(super) fn open_sorted(&self) -> Vec<Posting> {
        let mut postings = self.open.clone();
        postings.sort_unstable_by_key(as_number);
        postings.dedup();
        postings
    }

    /// Makes the open run the last of the short ones.
    fn advance(&mut self, postings: Option<Vec<Posting>>, part: Option<RunFilter>) {
        // A part of a run that was cut off may have been swept before it was written again.
        self.sweeping = None;
        let before = self.first_short();
        self.written += 1;
        self.open.clear();
        if let Some(part) = part {
            self.push_part(part);
        }
        let merged = before..self.first_short();
        if !merged.is_empty() {
            self.short.drain(..self.short.len().min(usize::try_from(PARTS).unwrap_or(usize::MAX)));
            self.sieve.forget(merged);
        }
        let run = self.keep(postings);
        self.short.push_back(run);
    }

    /// Takes in a short run that was read from the disk, if it can be in memory.
    fn push(&mut self, number: u64, postings: Option<Vec<Posting>>) {
        match &postings {
            Some(postings) => {
                for posting in postings {
                    self.sieve.insert(number, posting.0);
                }
            }
            None => self.sieve.insert_all(number),
        }
        let run = self.keep(postings);
        self.short.push_back(run);
    }

    /// A short run in memory if there is room for it.
    fn keep(&self, postings: Option<Vec<Posting>>) -> ShortRun {
        let held: usize = self.short.iter().map(ShortRun::held).sum();
        let fits = |postings: &Vec<Posting>| held + postings.len() <= self.room.short;
        postings.filter(fits).map_or(ShortRun::OnDisk, ShortRun::InMemory)
    }

    fn push_part(&mut self, filter: RunFilter) {
        let filter = self.fit(filter);
        self.parts.push(filter);
    }

    /// A filter if there is room for it.
    fn fit(&mut self, filter: RunFilter) -> RunFilter {
        if self.filter_bytes + filter.bytes() > self.room.filters {
            return RunFilter::Everything;
        }
        self.filter_bytes += filter.bytes();
        filter
    }

    /// Postings in memory, and bytes of filters.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        let short: usize = self.short.iter().map(ShortRun::held).sum();
        (self.open.len() + short, self.parts.iter().map(RunFilter::bytes).sum())
    }

    /// The number of the first short run in memory.
    const fn first_short(&self) -> u64 {
        long_runs(self.written) * PARTS
    }
}

impl ShortRun {
    /// Postings in memory.
    fn held(&self) -> usize {
        match self {
            Self::InMemory(postings) => postings.len(),
            Self::OnDisk => 0,
        }
    }
}

fn in_memory(postings: &[Posting]) -> Rising<'_> {
    Box::new(postings.iter().copied().map(Ok))
}

/// Those of sorted postings whose values lie in a range.
fn between(postings: &[Posting], values: RangeInclusive<u64>) -> &[Posting] {
    let start = postings.partition_point(|posting| posting.0 < *values.start());
    let end = postings.partition_point(|posting| posting.0 <= *values.end());
    postings.get(start..end).unwrap_or_default()
}

/// A posting as one number of the same order, which is compared without a branch.
fn as_number(&(key, sequence): &Posting) -> u128 {
    u128::from(key) << u64::BITS | u128::from(sequence)
}

/// Rows of sorted postings, each with its first.
pub(super) fn rows(postings: &[Posting]) -> impl Iterator<Item = (Posting, Vec<u8>)> {
    postings.chunks(CHUNK_POSTINGS).filter_map(|chunk| {
        let mut bytes = Vec::with_capacity(chunk.len() * POSTING_BYTES);
        for (value, sequence) in chunk {
            bytes.extend_from_slice(&value.to_be_bytes());
            bytes.extend_from_slice(&sequence.to_be_bytes());
        }
        Some((*chunk.first()?, block::seal(&bytes)))
    })
}

/// Removes some of sorted postings, themselves sorted.
pub(super) fn remove_sorted(postings: &mut Vec<Posting>, gone: &[Posting]) {
    let mut gone = gone.iter().peekable();
    postings.retain(|posting| {
        while gone.next_if(|other| *other < posting).is_some() {}
        gone.peek() != Some(&posting)
    });
}

/// How many long runs are complete when so many short runs were written: each is written with the 64 after its own.
const fn long_runs(written: u64) -> u64 {
    (written / PARTS).saturating_sub(1)
}

const NOTHING: u8 = 0;
const FUSE: u8 = 1;
const EVERYTHING: u8 = 2;

/// Values of which a filter is made, each once. They come sorted.
#[derive(Debug, Default)]
pub(super) struct FilterValues {
    values: Vec<u64>,
    is_too_long: bool,
}

impl FilterValues {
    pub(super) fn take(&mut self, posting: Option<&Posting>) {
        let Some((value, _sequence)) = posting else { return };
        if self.is_too_long || self.values.last() == Some(value) {
            return;
        }
        if self.values.len() < FILTER_VALUES_MAX {
            self.values.push(*value);
        } else {
            *self = Self { values: Vec::new(), is_too_long: true };
        }
    }

    pub(super) fn filter(self) -> RunFilter {
        if self.is_too_long {
            return RunFilter::Everything;
        }
        if self.values.is_empty() {
            return RunFilter::Nothing;
        }
        BinaryFuse8::try_from(self.values).map_or(RunFilter::Everything, |filter| {
            let mut descriptor = [0; BinaryFuse8::DESCRIPTOR_LEN];
            filter.dma_copy_descriptor_to(&mut descriptor);
            RunFilter::Fuse { descriptor, fingerprints: filter.dma_fingerprints().into() }
        })
    }
}

/// Which values may be in one part of a run: never wrong about one that is, once in 256 about one that is not.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RunFilter {
    /// There are no postings.
    Nothing,
    /// A binary fuse filter (Graf and Lemire, "Binary Fuse Filters", 2022).
    Fuse { descriptor: [u8; BinaryFuse8::DESCRIPTOR_LEN], fingerprints: Box<[u8]> },
    /// None could be made, or there is no room for one; the run is always read.
    Everything,
}

impl RunFilter {
    /// The filter of sorted postings.
    pub(super) fn of(postings: &[Posting]) -> Self {
        let mut values = FilterValues::default();
        for posting in postings {
            values.take(Some(posting));
        }
        values.filter()
    }

    /// What it takes in memory, beside its place in the list.
    const fn bytes(&self) -> usize {
        match self {
            Self::Nothing | Self::Everything => 0,
            Self::Fuse { fingerprints, .. } => fingerprints.len(),
        }
    }

    pub(super) fn may_contain(&self, value: u64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Fuse { descriptor, fingerprints } => {
                BinaryFuse8Ref::from_dma(descriptor, fingerprints).contains(&value)
            }
        }
    }

    /// Never a multiple of a row's length, so that a shorter piece is the last.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = match self {
            Self::Nothing => vec![NOTHING],
            Self::Everything => vec![EVERYTHING],
            Self::Fuse { descriptor, fingerprints } => {
                [&[FUSE][..], &descriptor[..], &fingerprints[..]].concat()
            }
        };
        if bytes.len().is_multiple_of(VALUE_PAYLOAD_MAX) {
            bytes.push(0);
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&NOTHING, []) => Some(Self::Nothing),
            (&EVERYTHING, []) => Some(Self::Everything),
            (&FUSE, rest) => {
                let (descriptor, fingerprints) = rest.split_first_chunk()?;
                let fits = is_within(descriptor, fingerprints.len());
                fits.then(|| Self::Fuse {
                    descriptor: *descriptor,
                    fingerprints: fingerprints.into(),
                })
            }
            _ => None,
        }
    }
}

/// Whether a fuse filter looks for no fingerprint beyond those that are there, which it does not ask itself: in three
/// segments that follow each other, of which the first is one of so many, and of one at least.
fn is_within(descriptor: &[u8; BinaryFuse8::DESCRIPTOR_LEN], fingerprints: usize) -> bool {
    let number = |at: usize| {
        let bytes = descriptor.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes).map(u64::from)
    };
    let (Some(segment), Some(mask), Some(firsts)) = (number(8), number(12), number(16)) else {
        return false;
    };
    let whole = segment.is_power_of_two()
        && mask == segment - 1
        && firsts > 0
        && firsts.is_multiple_of(segment);
    // A byte may follow them, see `to_bytes`.
    let needed = firsts + 2 * segment;
    whole && u64::try_from(fingerprints).is_ok_and(|found| found >= needed && found <= needed + 1)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::model::index_keys::first_bits;
    use crate::model::names::Digest;
    use crate::model::names::sha256;

    /// The value of a sequence: few values, unevenly shared, some entries without one.
    fn value(sequence: u64) -> Option<Digest> {
        (!sequence.is_multiple_of(7)).then(|| sha256(&(sequence * sequence % 9973).to_be_bytes()))
    }

    /// Two coarse keys, one of them in every second run of 64.
    fn coarse(sequence: u64) -> impl Iterator<Item = u64> {
        let second = (sequence / COARSE_SEQUENCES).is_multiple_of(2) && sequence % 64 == 9;
        [Some(1), second.then_some(2)].into_iter().flatten()
    }

    fn folded(index: &Index, tree: &sled::Db, end: u64) -> BTreeMap<u64, Vec<u64>> {
        let mut model: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let start = index.start(tree).unwrap();
        for sequence in 0..end {
            if sequence >= start {
                let keys = value(sequence).as_ref().map(first_bits);
                index.apply(tree, sequence, keys.into_iter(), coarse(sequence)).unwrap();
            }
            if let Some(digest) = value(sequence) {
                model.entry(first_bits(&digest)).or_default().push(sequence);
            }
        }
        model
    }

    fn demand_equal(index: &Index, tree: &Tree, model: &BTreeMap<u64, Vec<u64>>, end: u64) {
        for root in 0..100_u64 {
            let digest = sha256(&(root * root % 9973).to_be_bytes());
            let expected = model.get(&first_bits(&digest)).cloned().unwrap_or_default();
            assert_eq!(
                index.find(tree, first_bits(&digest), 0, usize::MAX).unwrap(),
                expected,
                "{root}"
            );
            let few: Vec<u64> = expected.iter().copied().take(3).collect();
            assert_eq!(
                index.find(tree, first_bits(&digest), 0, 3).unwrap(),
                few,
                "the oldest come first"
            );
            let Some(middle) = expected.get(expected.len() / 2) else { continue };
            let rest = index.find(tree, first_bits(&digest), *middle, usize::MAX).unwrap();
            assert_eq!(rest, expected[expected.len() / 2..], "from the middle on");
        }
        for (key, step) in [(1, COARSE_SEQUENCES), (2, 2 * COARSE_SEQUENCES)] {
            let found = index.find(tree, key, 0, usize::MAX).unwrap();
            let expected: Vec<u64> = (0..end).step_by(usize::try_from(step).unwrap()).collect();
            assert_eq!(found, expected, "one posting for each 64 sequences");
        }
        let absent = sha256(b"a value that no entry has");
        assert_eq!(
            index.find(tree, first_bits(&absent), 0, usize::MAX).unwrap(),
            Vec::<u64>::new()
        );
    }

    #[test]
    fn an_index_equals_the_fold_across_runs_and_merges() {
        let folder = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(folder.path()).flush_every_ms(None).open().unwrap();
        // Before a merge begins, in the middle of the first and of the second, behind the removal of short runs.
        for runs in [3, PARTS + 5, 2 * PARTS, 2 * PARTS + 1, 3 * PARTS + 2] {
            let index = Index::new(9, Keys::Few);
            let end = RUN_SEQUENCES * runs + 17;
            let model = folded(&index, &db, end);
            demand_equal(&index, &db, &model, end);
            let short = db.scan_prefix([keys::INDEX, 9, 0, SHORT]).count();
            assert!(short < 4 * 17 * 64, "{short} rows of short runs are left");
            // What was in memory alone is asked for again.
            let again = Index::new(9, Keys::Few);
            assert_eq!(again.start(&db).unwrap(), RUN_SEQUENCES * runs);
            assert_eq!(again.state.read().unwrap().short, index.state.read().unwrap().short);
            assert_eq!(again.state.read().unwrap().parts, index.state.read().unwrap().parts);
        }
    }

    #[test]
    fn the_rows_are_golden() {
        // They lie on disk: others need another format.
        let folder = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(folder.path()).flush_every_ms(None).open().unwrap();
        folded(&Index::new(9, Keys::Many), &db, RUN_SEQUENCES * (2 * PARTS + 3) + 17);
        let rows = db.iter().map(Result::unwrap).flat_map(|(key, row)| [key, row]);
        let all: Vec<u8> = rows.flat_map(|bytes| bytes.to_vec()).collect();
        let digest = "8cda4376ff77abdbed811229fcb2a568c8b1e4ef65cec797142a4d126cc7a3f9";
        assert_eq!(hex::encode(sha256(&all)), digest, "{} bytes", all.len());
    }

    #[test]
    fn what_is_forgotten_is_gone_as_if_it_had_never_been() {
        let fold = |forgotten: &HashSet<u64>, later: bool| {
            let folder = tempfile::tempdir().unwrap();
            let db = sled::Config::new().path(folder.path()).flush_every_ms(None).open().unwrap();
            let index = Index::new(9, Keys::Many);
            index.start(&db).unwrap();
            let end = RUN_SEQUENCES * (2 * PARTS + 5) + 100;
            for sequence in 0..end {
                let is_there = later || !forgotten.contains(&sequence);
                let key = value(sequence).filter(|_value| is_there).as_ref().map(first_bits);
                index.apply(&db, sequence, key.into_iter(), coarse(sequence)).unwrap();
            }
            if later {
                let key = |sequence: &u64| Some((first_bits(&value(*sequence)?), *sequence));
                let mut batch = Batch::default();
                index.forget(&forgotten.iter().filter_map(key).collect(), &mut batch);
                db.apply_batch(batch).unwrap();
                sweep(&index, &db, usize::MAX);
            }
            let rows: Vec<_> = db.iter().map(Result::unwrap).collect();
            let state = index.state.into_inner().unwrap();
            (rows, state.open, state.short, state.parts)
        };
        // In a long run, in one that is being merged, in a short one, and in the open one.
        let runs = [0, 3, PARTS + 1, 2 * PARTS + 1, 2 * PARTS + 5];
        let forgotten: HashSet<u64> =
            runs.iter().flat_map(|run| [5, 6, 9, 77].map(|at| run * RUN_SEQUENCES + at)).collect();
        assert!(fold(&forgotten, true) == fold(&forgotten, false));
    }

    /// Folds what is not forgotten, from where an index begins.
    fn grow(index: &Index, tree: &sled::Db, sequences: Range<u64>, forgotten: &HashSet<u64>) {
        for sequence in sequences {
            let key = value(sequence).filter(|_value| !forgotten.contains(&sequence));
            let key = key.as_ref().map(first_bits);
            index.apply(tree, sequence, key.into_iter(), coarse(sequence)).unwrap();
        }
    }

    fn sweep(index: &Index, tree: &Tree, places: usize) {
        for _place in 0..places {
            let Some(swept) = index.sweep(tree).unwrap() else { return };
            index.replace(tree, swept).unwrap();
        }
    }

    /// Every place whose entry is there is found, and beside those only what waits to be swept.
    fn demand_found(index: &Index, tree: &Tree, end: u64, forgotten: &HashSet<u64>) {
        let mut model: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for sequence in (0..end).filter(|sequence| !sequence.is_multiple_of(7)) {
            model.entry(sequence * sequence % 9973).or_default().push(sequence);
        }
        for (root, all) in model.into_iter().step_by(97) {
            let key = first_bits(&sha256(&root.to_be_bytes()));
            let mut found = index.find(tree, key, 0, usize::MAX).unwrap();
            assert!(found.iter().all(|sequence| all.contains(sequence)));
            found.retain(|sequence| !forgotten.contains(sequence));
            let there = all.into_iter().filter(|sequence| !forgotten.contains(sequence));
            assert_eq!(found, there.collect::<Vec<_>>());
        }
    }

    /// Erasures, sweeps and restarts come between any two runs, and right where a merge begins, goes on and ends.
    #[test]
    fn an_index_that_forgets_while_it_grows_becomes_the_fold_of_what_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            let config = sled::Config::new().path(folder.path().join(name)).flush_every_ms(None);
            config.open().unwrap()
        };
        let (db, fresh_db) = (open("grown"), open("fresh"));
        let mut index = Index::new(9, Keys::Few);
        index.start(&db).unwrap();
        let (mut end, mut forgotten) = (0, HashSet::new());
        let runs = [2, PARTS - 1, PARTS, PARTS + 1, PARTS + 40, 2 * PARTS - 1, 2 * PARTS];
        let runs = runs.into_iter().chain([2 * PARTS + 1, 2 * PARTS + 5]);
        for (step, runs) in (1_u64..).zip(runs.flat_map(|runs| [runs, runs])) {
            let next = end.max(runs * RUN_SEQUENCES + (step % 2) * 100);
            grow(&index, &db, end..next, &forgotten);
            end = next;
            let some = (0..200_u64).map(|at| (at * at * 7919 + step * 104_729) % end);
            let new: HashSet<u64> = some.filter(|at| !forgotten.contains(at)).collect();
            let key = |sequence: &u64| Some((first_bits(&value(*sequence)?), *sequence));
            let mut batch = Batch::default();
            index.forget(&new.iter().filter_map(key).collect(), &mut batch);
            db.apply_batch(batch).unwrap();
            forgotten.extend(new);
            sweep(&index, &db, [0, 1, 30, usize::MAX][usize::try_from(step % 4).unwrap()]);
            if step % 3 == 0 {
                index = Index::new(9, Keys::Few);
                let start = index.start(&db).unwrap();
                grow(&index, &db, start..end, &forgotten);
            }
            demand_found(&index, &db, end, &forgotten);
        }
        assert!(db.scan_prefix(keys::all_stale(9)).next().is_some(), "something is left to sweep");
        sweep(&index, &db, usize::MAX);
        let fresh = Index::new(9, Keys::Few);
        fresh.start(&fresh_db).unwrap();
        grow(&fresh, &fresh_db, 0..end, &forgotten);
        let rows = |db: &sled::Db| db.iter().map(Result::unwrap).collect::<Vec<_>>();
        assert!(rows(&db) == rows(&fresh_db), "the same bytes lie on the disk");
        let (grown, fresh) = (index.state.into_inner().unwrap(), fresh.state.into_inner().unwrap());
        assert!((grown.open, grown.short, grown.parts) == (fresh.open, fresh.short, fresh.parts));
    }

    #[test]
    fn every_place_is_swept_in_turn_whatever_is_erased_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(folder.path()).flush_every_ms(None).open().unwrap();
        let index = Index::new(9, Keys::Many);
        index.start(&db).unwrap();
        let end = 5 * RUN_SEQUENCES;
        grow(&index, &db, 0..end, &HashSet::new());
        for round in 0..5_u64 {
            // The first run is never clean.
            let mut gone: HashSet<u64> = HashSet::from([round * 7 + 1]);
            gone.extend(
                (round == 0)
                    .then_some([1, 2, 3, 4].map(|run| run * RUN_SEQUENCES + 1))
                    .into_iter()
                    .flatten(),
            );
            let key = |sequence: &u64| Some((first_bits(&value(*sequence)?), *sequence));
            let mut batch = Batch::default();
            index.forget(&gone.iter().filter_map(key).collect(), &mut batch);
            db.apply_batch(batch).unwrap();
            sweep(&index, &db, 1);
        }
        let left = db.scan_prefix(keys::all_stale(9)).keys().map(|key| key.unwrap()[11]);
        assert_eq!(left.collect::<HashSet<u8>>(), HashSet::from([0]), "only the newest is left");
    }

    #[test]
    fn a_damaged_filter_is_none() {
        let postings: Vec<Posting> = (0..500).map(|value| (value << 40, value)).collect();
        let bytes = RunFilter::of(&postings).to_bytes();
        assert!(RunFilter::from_bytes(&bytes).is_some());
        // Behind the kind and the seed lie the numbers that say where it looks.
        for bit in 9 * 8..21 * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RunFilter::from_bytes(&damaged), None, "bit {bit}");
        }
        assert_eq!(RunFilter::from_bytes(&bytes[..bytes.len() - 1]), None, "a cut one");
        assert_eq!(RunFilter::from_bytes(&[&bytes[..], &[0; 2]].concat()), None, "a longer one");
        // The second and the third segment alone: it would look one beyond.
        let numbers = [32_u32, 31, 0].map(u32::to_le_bytes).concat();
        let empty = [&[FUSE][..], &[0; 8], &numbers, &[0; 64]].concat();
        assert_eq!(RunFilter::from_bytes(&empty), None, "no first segment");
    }

    #[test]
    fn a_filter_knows_what_is_there_and_little_else() {
        let postings: Vec<Posting> = (0..4096).map(|at| (at << 40, at)).collect();
        let filter = RunFilter::of(&postings);
        assert!(postings.iter().all(|posting| filter.may_contain(posting.0)));
        let wrong = (4096..104_096_u64).filter(|value| filter.may_contain(value << 40 | 1)).count();
        assert!(wrong < 600, "{wrong} of 100,000");
        for filter in
            [filter, RunFilter::of(&[]), RunFilter::of(&[(7, 1), (7, 2)]), RunFilter::Everything]
        {
            assert_eq!(RunFilter::from_bytes(&filter.to_bytes()).as_ref(), Some(&filter));
        }
        assert!(!RunFilter::of(&[]).may_contain(0));
    }

    #[test]
    fn a_filter_of_as_many_values_as_it_may_have_fits_its_rows() {
        let mut values = FilterValues::default();
        let posting = |number: u64| (first_bits(&sha256(&number.to_be_bytes())), number);
        let most = u64::try_from(FILTER_VALUES_MAX).unwrap();
        let mut sorted: Vec<Posting> = (0..most).map(posting).collect();
        sorted.sort_unstable();
        for posting in sorted.iter().chain(sorted.last()) {
            values.take(Some(posting));
        }
        let filter = values.filter();
        assert!(matches!(filter, RunFilter::Fuse { .. }));
        let rows = filter.to_bytes().chunks(VALUE_PAYLOAD_MAX).count();
        assert!((200..256).contains(&rows), "{rows}");
        sorted.push((u64::MAX, 0));
        assert_eq!(RunFilter::of(&sorted), RunFilter::Everything, "and one more");
    }

    #[test]
    fn the_pieces_of_a_filter_have_an_end() {
        let fingerprints = vec![3; VALUE_PAYLOAD_MAX - 1 - BinaryFuse8::DESCRIPTOR_LEN].into();
        let filter = RunFilter::Fuse { descriptor: [1; BinaryFuse8::DESCRIPTOR_LEN], fingerprints };
        assert!(!filter.to_bytes().len().is_multiple_of(VALUE_PAYLOAD_MAX));
    }
}
