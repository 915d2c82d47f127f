//! How many lines may wait for the file: each sort has places of its own, so that what is cheap to cause can crowd out
//! nothing but its own sort.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::server::audit::event::Sort;

/// Changes that wait, while the file cannot be written.
const CHANGES: usize = 4096;
/// Lines of each other sort. A member has four of a sort while the thread is held up, and one an hour for each kind of read
/// that is added up; while it is not, a few a minute, so that it takes very many members to fill them.
const OTHERS: usize = 1024;
/// All of them together.
pub(super) const ALL: usize = CHANGES + 4 * OTHERS;

/// The places that are taken: by lines that were told and are not written yet.
#[derive(Debug, Default)]
pub(super) struct Places {
    own: AtomicUsize,
    changes: AtomicUsize,
    attempts: AtomicUsize,
    refusals: AtomicUsize,
    reads: AtomicUsize,
}

impl Places {
    /// Takes a place, if one is left.
    pub(super) fn take(&self, sort: Sort) -> bool {
        let (taken, most) = self.of(sort);
        let more = |count: usize| (count < most).then(|| count.saturating_add(1));
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Whether one is left.
    pub(super) fn has(&self, sort: Sort) -> bool {
        let (taken, most) = self.of(sort);
        taken.load(Ordering::Relaxed) < most
    }

    /// Gives one back that was taken.
    pub(super) fn give_back(&self, sort: Sort) {
        self.of(sort).0.fetch_sub(1, Ordering::Relaxed);
    }

    const fn of(&self, sort: Sort) -> (&AtomicUsize, usize) {
        match sort {
            Sort::Own => (&self.own, OTHERS),
            Sort::Change => (&self.changes, CHANGES),
            Sort::Attempt => (&self.attempts, OTHERS),
            Sort::Refusal => (&self.refusals, OTHERS),
            Sort::Read => (&self.reads, OTHERS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sort_that_is_full_leaves_the_others_their_places() {
        let places = Places::default();
        assert_eq!((0..5000).filter(|_| places.take(Sort::Refusal)).count(), OTHERS);
        for other in [Sort::Own, Sort::Attempt, Sort::Read] {
            assert_eq!((0..5000).filter(|_| places.take(other)).count(), OTHERS, "{other:?}");
        }
        assert_eq!((0..5000).filter(|_| places.take(Sort::Change)).count(), CHANGES);
        places.give_back(Sort::Refusal);
        assert!(places.take(Sort::Refusal) && !places.take(Sort::Refusal));
    }
}
