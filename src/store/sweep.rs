//! Sweeping an index: postings of entries that lost their bodies leave the runs on the disk a little at a time.
//!
//! Taking them out with each erasure would write nearly every part of a long run anew for each. So the erasure only
//! notes them, in the same batch, by the short run or the part of a long run in which they lie; later each such place
//! is read, written without them, and the note removed, in one batch. Until then a question may still be led to an
//! entry that no longer has what is asked for, and it compares. The notes go with what they are about: a run that is
//! merged takes its own along, and a rebuild or a compaction has neither.

use std::ops::Bound;
use std::ops::RangeInclusive;
use std::sync::PoisonError;

use sled::Batch;
use sled::Tree;

use crate::store::StoreError;
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

/// What is swept at a time: a short run, or a part of a long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) level: u8,
    pub(super) run: u64,
    pub(super) part: u8,
}

/// A place that was read and is clean, until it is written.
#[derive(Debug)]
pub(super) struct Swept {
    place: Place,
    /// For a part of a long run.
    filter: Option<RunFilter>,
    batch: Batch,
}

impl Place {
    pub(super) const fn short(run: u64) -> Self {
        Self { level: SHORT, run, part: 0 }
    }

    /// The part of a long run in which a value lies.
    pub(super) fn long(run: u64, value: u64) -> Self {
        // Six bits are left.
        Self { level: LONG, run, part: u8::try_from(value >> PART_SHIFT).unwrap_or(u8::MAX) }
    }

    /// The number of the part among those of all long runs.
    pub(super) fn number(self) -> Option<usize> {
        let number = self.run.checked_mul(PARTS)?.checked_add(u64::from(self.part))?;
        usize::try_from(number).ok()
    }

    /// The values that lie there.
    pub(super) fn values(self) -> RangeInclusive<u64> {
        if self.level == SHORT {
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
        for ((value, sequence), row) in rows(postings) {
            let mut key = self.stale_key(place);
            key.extend_from_slice(&value.to_be_bytes());
            key.extend_from_slice(&sequence.to_be_bytes());
            batch.insert(key, row);
        }
    }

    /// The postings of a place but for those that are to be swept from it, sorted.
    pub(super) fn read_clean(&self, tree: &Tree, place: Place) -> Result<Vec<Posting>, StoreError> {
        let mut stale = Vec::new();
        for row in tree.scan_prefix(self.stale_key(place)) {
            let (_key, bytes) = row.map_err(StoreError::io("reading an index"))?;
            stale.extend(self.decode(&bytes)?);
        }
        // Each erasure has rows of its own.
        stale.sort_unstable();
        let mut postings = self.read(tree, place)?;
        remove_sorted(&mut postings, &stale);
        Ok(postings)
    }

    /// Makes the next place clean; `None` if nothing is to be swept. All have their turn, whatever is erased meanwhile.
    pub(super) fn sweep(&self, tree: &Tree) -> Result<Option<Swept>, StoreError> {
        let Some(place) = self.next_stale(tree)? else { return Ok(None) };
        let postings = self.read_clean(tree, place)?;
        let filter = (place.level == LONG).then(|| RunFilter::of(&postings));
        let mut batch = Batch::default();
        self.remove_postings(tree, &mut batch, place)?;
        self.insert(&mut batch, place.level, place.run, &postings);
        if let Some(filter) = &filter {
            self.replace_filter(tree, &mut batch, place, filter)?;
        }
        for key in tree.scan_prefix(self.stale_key(place)).keys() {
            batch.remove(key.map_err(StoreError::io("reading an index"))?);
        }
        Ok(Some(Swept { place, filter, batch }))
    }

    /// Writes a place that was made clean. Nobody may read the index meanwhile.
    pub(super) fn replace(&self, tree: &Tree, swept: Swept) -> Result<(), StoreError> {
        let Swept { place, filter, batch } = swept;
        tree.apply_batch(batch).map_err(StoreError::io("writing an index"))?;
        self.state.write().unwrap_or_else(PoisonError::into_inner).replace(place, filter);
        Ok(())
    }

    fn next_stale(&self, tree: &Tree) -> Result<Option<Place>, StoreError> {
        let swept = self.state.read().unwrap_or_else(PoisonError::into_inner).swept;
        let all = keys::all_stale(self.id);
        let later = swept.and_then(|place| {
            let mut last = self.stale_key(place);
            last.extend_from_slice(&[u8::MAX; 16]);
            let later = tree.range((Bound::Excluded(last), Bound::Unbounded)).next();
            later.filter(|row| row.as_ref().map_or(true, |(key, _row)| key.starts_with(&all)))
        });
        let Some(found) = later.or_else(|| tree.scan_prefix(all).next()) else { return Ok(None) };
        let (key, _row) = found.map_err(StoreError::io("reading an index"))?;
        Place::of_key(&key).map(Some).ok_or_else(|| self.damaged())
    }

    fn stale_key(&self, place: Place) -> Vec<u8> {
        keys::stale(self.id, place.level, place.run, place.part)
    }
}
