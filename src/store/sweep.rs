//! Sweeping an index: postings of entries that lost their bodies leave the runs on the disk a little at a time.
//!
//! Taking them out with each erasure would write nearly every part of a long run anew for each. So the erasure only
//! notes them, in the same batch, by the short run or the part of a long run in which they lie; later each such place
//! is read, written without them, and the note removed, in one batch; one of many postings in several, a slice at a
//! time, so that none of it need be in memory. Until then a question may still be led to an entry that no longer has
//! what is asked for, and it compares. The notes go with what they are about: a run that is merged takes its own
//! along, or gives them to what it is merged into, and a rebuild or a compaction has neither.

use std::ops::Bound;
use std::ops::RangeInclusive;
use std::sync::PoisonError;

use sled::Batch;
use sled::IVec;
use sled::Tree;

use crate::store::StoreError;
use crate::store::disk::Writer;
use crate::store::disk::rows_with;
use crate::store::index::FilterValues;
use crate::store::index::Index;
use crate::store::index::LONG;
use crate::store::index::PART_SHIFT;
use crate::store::index::PARTS;
use crate::store::index::Posting;
use crate::store::index::RunFilter;
use crate::store::index::SHORT;
use crate::store::index::remove_sorted;
use crate::store::index::rows;
use crate::store::keys;

/// Rows of a slice: a mebibyte.
const SLICE_ROWS: usize = 256;

/// What is swept at a time: a short run, or a part of a long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) level: u8,
    pub(super) run: u64,
    pub(super) part: u8,
}

/// A place that was read and is clean, or a slice of one, until it is written.
#[derive(Debug)]
pub(super) struct Swept {
    place: Place,
    /// Where the next slice begins; `None`: this was the last.
    next: Option<Posting>,
    /// For a part of a long run, with its last slice.
    filter: Option<RunFilter>,
    batch: Batch,
    bytes: usize,
}

impl Place {
    pub(super) const fn short(run: u64) -> Self {
        Self { level: SHORT, run, part: 0 }
    }

    /// The part of a long run in which a value lies.
    pub(super) fn long(run: u64, value: u64) -> Self {
        Self::part(run, value >> PART_SHIFT)
    }

    pub(super) fn part(run: u64, part: u64) -> Self {
        // It has six bits.
        Self { level: LONG, run, part: u8::try_from(part).unwrap_or(u8::MAX) }
    }

    /// The number of the part among those of all long runs.
    pub(super) fn number(self) -> Option<usize> {
        let number = self.run.checked_mul(PARTS)?.checked_add(u64::from(self.part))?;
        usize::try_from(number).ok()
    }

    /// The values that lie there.
    pub(super) fn values(self) -> RangeInclusive<u64> {
        if self.level != LONG {
            return 0..=u64::MAX;
        }
        let first = u64::from(self.part) << PART_SHIFT;
        first..=first | ((1 << PART_SHIFT) - 1)
    }

    /// The place in the key of what is to be swept from it.
    fn of_key(key: &[u8]) -> Option<Self> {
        let (level, rest) = key.get(3..)?.split_first()?;
        let (run, rest) = rest.split_first_chunk()?;
        let part = rest.first()?;
        Some(Self { level: *level, run: u64::from_be_bytes(*run), part: *part })
    }
}

impl Index {
    /// Notes what is to be swept from a place: sorted postings.
    pub(super) fn insert_stale(&self, batch: &mut Batch, place: Place, postings: &[Posting]) {
        self.stale_rows(place, postings).for_each(|(key, row)| batch.insert(key, row));
    }

    fn stale_rows(
        &self,
        place: Place,
        postings: &[Posting],
    ) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        rows(postings).map(move |((value, sequence), row)| {
            let mut key = self.stale_key(place);
            key.extend_from_slice(&value.to_be_bytes());
            key.extend_from_slice(&sequence.to_be_bytes());
            (key, row)
        })
    }

    /// What is to be swept from a place, sorted; `None` if it is too much to be in memory.
    pub(super) fn read_stale(
        &self,
        tree: &Tree,
        place: Place,
    ) -> Result<Option<Vec<Posting>>, StoreError> {
        let mut stale = Vec::new();
        for row in rows_with(tree, self.stale_key(place)) {
            stale.extend(self.decode(&row?.1)?);
            if stale.len() > self.room.open {
                return Ok(None);
            }
        }
        // Each erasure has rows of its own.
        stale.sort_unstable();
        Ok(Some(stale))
    }

    /// Notes what is to be swept from one place for another, too, as far as it lies there.
    pub(super) fn carry_stale(
        &self,
        writer: &mut Writer<'_>,
        from: Place,
        to: Place,
    ) -> Result<(), StoreError> {
        for row in rows_with(writer.tree(), self.stale_key(from)) {
            let mut stale = self.decode(&row?.1)?;
            stale.retain(|posting| to.values().contains(&posting.0));
            for (key, row) in self.stale_rows(to, &stale) {
                writer.insert(key, row)?;
            }
        }
        Ok(())
    }

    /// Makes the next place clean, or the next slice of one; `None` if nothing is to be swept. All have their turn,
    /// whatever is erased meanwhile.
    pub(super) fn sweep(&self, tree: &Tree) -> Result<Option<Swept>, StoreError> {
        let sweeping = self.state.read().unwrap_or_else(PoisonError::into_inner).sweeping;
        let place = match sweeping {
            Some(sweeping) => Some(sweeping),
            None => self.next_stale(tree)?.map(|place| (place, (*place.values().start(), 0))),
        };
        place.map(|(place, from)| self.clean(tree, place, from)).transpose()
    }

    /// A slice of a place without what is to be swept, from a posting on with which a row begins. Its last row, which
    /// may have room left, is the first of the next slice.
    fn clean(&self, tree: &Tree, place: Place, from: Posting) -> Result<Swept, StoreError> {
        let (mut batch, mut postings) = (Batch::default(), Vec::new());
        let mut read = self.rows_of(tree, place, from);
        for row in read.by_ref().take(SLICE_ROWS) {
            let (key, bytes) = row?;
            postings.extend(self.decode(&bytes)?);
            batch.remove(key);
        }
        let has_more = read.next().transpose()?.is_some();
        let last = postings.last().copied().filter(|_last| has_more);
        let stale = self.take_stale(tree, place, (from, last), &mut batch)?;
        remove_sorted(&mut postings, &stale);
        let (mut next, mut bytes) = (last.map(|(value, sequence)| (value, sequence + 1)), 0);
        for ((value, sequence), row) in rows(&postings) {
            next = next.map(|_behind| (value, sequence));
            bytes += row.len();
            batch.insert(keys::postings(self.id, place.level, place.run, value, sequence), row);
        }
        let filter = (place.level == LONG && next.is_none())
            .then(|| self.filter_of(tree, place, (from, &postings)))
            .transpose()?;
        if let Some(filter) = &filter {
            for key in tree.scan_prefix(self.filter_prefix(place)).keys() {
                batch.remove(key.map_err(StoreError::io("reading an index"))?);
            }
            self.filter_rows(place, filter).for_each(|(key, row)| batch.insert(key, row));
        }
        Ok(Swept { place, next, filter, batch, bytes })
    }

    /// What is to be swept from a slice, sorted. Its notes go, but for the last one of a place that is not clean yet:
    /// after a crash that one says so.
    fn take_stale(
        &self,
        tree: &Tree,
        place: Place,
        (from, last): (Posting, Option<Posting>),
        batch: &mut Batch,
    ) -> Result<Vec<Posting>, StoreError> {
        let mut stale = Vec::new();
        let mut notes = rows_with(tree, self.stale_key(place)).peekable();
        let is_behind = |posting: &Posting| last.is_some_and(|last| *posting > last);
        while let Some(row) = notes.next() {
            let (key, bytes) = row?;
            let gone = self.decode(&bytes)?;
            if gone.first().is_some_and(is_behind) {
                break;
            }
            let is_done = !gone.last().is_some_and(is_behind);
            if is_done && (last.is_none() || notes.peek().is_some()) {
                batch.remove(key);
            }
            let own = gone.into_iter().filter(|posting| *posting >= from && !is_behind(posting));
            stale.extend(own);
        }
        // Each erasure has rows of its own.
        stale.sort_unstable();
        Ok(stale)
    }

    /// The filter of a part that is clean up to its last slice, which is this.
    fn filter_of(
        &self,
        tree: &Tree,
        place: Place,
        (from, slice): (Posting, &[Posting]),
    ) -> Result<RunFilter, StoreError> {
        let mut values = FilterValues::default();
        for posting in self.rising(tree, place) {
            let posting = posting?;
            if posting >= from {
                break;
            }
            values.take(Some(&posting));
        }
        for posting in slice {
            values.take(Some(posting));
        }
        Ok(values.filter())
    }

    /// Writes what was made clean; how many bytes. Nobody may read the index meanwhile.
    pub(super) fn replace(&self, tree: &Tree, swept: Swept) -> Result<usize, StoreError> {
        let Swept { place, next, filter, batch, bytes } = swept;
        tree.apply_batch(batch).map_err(StoreError::io("writing an index"))?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.sweeping = next.map(|next| (place, next));
        if next.is_none() {
            state.replace(place, filter);
        }
        Ok(bytes)
    }

    /// The next place that is to be swept. The open run, of which only what was written ahead has notes, is swept when
    /// it is full.
    fn next_stale(&self, tree: &Tree) -> Result<Option<Place>, StoreError> {
        let (swept, open) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            (state.swept, Place::short(state.written))
        };
        let all = keys::all_stale(self.id);
        let behind = |place: Place| {
            let mut last = self.stale_key(place);
            last.extend_from_slice(&[u8::MAX; 16]);
            let later = tree.range((Bound::Excluded(last), Bound::Unbounded)).next();
            self.place_of(
                later.filter(|row| row.as_ref().map_or(true, |row| row.0.starts_with(&all))),
            )
        };
        let unless_open = |found: Option<Place>| {
            if found == Some(open) { behind(open) } else { Ok(found) }
        };
        let later = swept.map(behind).transpose()?.flatten();
        match unless_open(later)? {
            Some(place) => Ok(Some(place)),
            None => unless_open(self.place_of(tree.scan_prefix(all).next())?),
        }
    }

    /// The place in the key of a note.
    fn place_of(
        &self,
        row: Option<sled::Result<(IVec, IVec)>>,
    ) -> Result<Option<Place>, StoreError> {
        let Some(row) = row else { return Ok(None) };
        let (key, _row) = row.map_err(StoreError::io("reading an index"))?;
        Place::of_key(&key).map(Some).ok_or_else(|| self.damaged())
    }

    fn stale_key(&self, place: Place) -> Vec<u8> {
        keys::stale(self.id, place.level, place.run, place.part)
    }
}
