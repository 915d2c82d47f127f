//! Which of the short runs, and whether the open one, may have a key.
//!
//! There are up to 127 short ones, and most keys that are asked for are in none. A filter for each would cost three
//! reads of memory each; here a key names two rows of one table, and a run may have it if the run's bit is set in both.
//! So all of them cost two reads, within one page of memory. (A Bloom filter for each run, turned on its side: Goodwin et
//! al., `BitFunnel`, SIGIR 2017.)

use crate::store::index::PARTS;

/// Runs that are told apart.
const RUNS: u64 = 128;
/// Short runs are numbered in a row, at most two long runs' but for one, and the open run has the next number.
const _: () = assert!(RUNS >= 2 * PARTS, "each of them has a bit of its own");

/// Rows that lie together, in 4 KiB, of which a key names two.
const SHELF_BITS: u32 = 8;

/// A bit for each run in each row.
#[derive(Debug)]
pub(super) struct Sieve {
    rows: Vec<u128>,
}

impl Sieve {
    /// With 2 to the power of so many rows, of 16 bytes each.
    pub(super) fn new(bits: u32) -> Self {
        Self { rows: vec![0; 1 << bits.min(usize::BITS - 1)] }
    }

    /// Says that a run has a key. No two runs whose numbers differ by a multiple of 128 may be in it at once.
    pub(super) fn insert(&mut self, run: u64, key: u64) {
        for at in self.rows_of(key) {
            if let Some(row) = self.rows.get_mut(at) {
                *row |= bit(run);
            }
        }
    }

    /// Says that a run may have any key.
    pub(super) fn insert_all(&mut self, run: u64) {
        self.rows.iter_mut().for_each(|row| *row |= bit(run));
    }

    /// The runs that may have a key. Never wrong about one that has it.
    pub(super) fn of(&self, key: u64) -> Candidates {
        let row = |at: usize| self.rows.get(at).copied().unwrap_or_default();
        let [first, second] = self.rows_of(key);
        Candidates(row(first) & row(second))
    }

    /// Forgets runs with everything that they have.
    pub(super) fn forget(&mut self, runs: std::ops::Range<u64>) {
        let kept = !runs.map(bit).fold(0, |all, one| all | one);
        for row in &mut self.rows {
            *row &= kept;
        }
    }

    /// Keys are hashes: parts of one name a shelf and two of its rows.
    fn rows_of(&self, key: u64) -> [usize; 2] {
        let last = self.rows.len() - 1;
        let [at, first, second] = [key >> 32, key, key >> SHELF_BITS]
            .map(|part| usize::try_from(part & u64::from(u32::MAX)).unwrap_or(0));
        let base = (at << SHELF_BITS) & last;
        let within = (1 << SHELF_BITS) - 1;
        [first, second].map(|row| base | (row & within & last))
    }
}

/// Runs that may have a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidates(u128);

impl Candidates {
    /// Whether a run is one of them.
    pub(super) const fn has(self, run: u64) -> bool {
        self.0 & bit(run) != 0
    }

    /// Those of so many runs from one on, rising; 127 at most.
    pub(super) fn among(self, first: u64, count: usize) -> impl Iterator<Item = u64> {
        let from_first = self.0.rotate_right(u32::try_from(first % RUNS).unwrap_or_default());
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let mut left = from_first & 1_u128.checked_shl(count).map_or(u128::MAX, |end| end - 1);
        std::iter::from_fn(move || {
            let place = left.trailing_zeros();
            // Its lowest bit is put out.
            left &= left.checked_sub(1)?;
            Some(first + u64::from(place))
        })
    }
}

const fn bit(run: u64) -> u128 {
    1 << (run % RUNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> u64 {
        let digest = crate::model::names::sha256(&number.to_be_bytes());
        crate::model::index_keys::first_bits(&digest)
    }

    #[test]
    fn candidates_come_one_by_one_as_they_are_asked_for() {
        for (bits, first, count) in
            [(0, 0, 127), (u128::MAX, 100, 127), (1 << 5, 133, 1), (1 << 127 | 3, 126, 60)]
        {
            let candidates = Candidates(bits);
            let asked = (first..first + 127).take(count).filter(|run| candidates.has(*run));
            let found = candidates.among(first, count).collect::<Vec<_>>();
            assert_eq!(found, asked.collect::<Vec<_>>(), "{bits:x} {first} {count}");
        }
    }

    #[test]
    fn what_a_run_has_is_always_found_and_what_it_has_not_seldom() {
        let mut sieve = Sieve::new(16);
        // Numbers that wrap around, as they do in a long log.
        for run in 100..220 {
            for number in 0..1000 {
                sieve.insert(run, key(run * 1000 + number));
            }
        }
        sieve.forget(100..164);
        let mut wrong = 0_u32;
        for run in 100..220 {
            for number in (0..1000).step_by(10) {
                let found = sieve.of(key(run * 1000 + number));
                assert!(run < 164 || found.has(run), "{run}");
                wrong += (164..220)
                    .map(|other| u32::from(other != run && found.has(other)))
                    .sum::<u32>();
            }
        }
        // 2,000 of 65,536 bits are set for each run: one in a thousand by mistake.
        assert!(wrong < 2 * 120 * 100 * 56 / 1000, "{wrong}");
        let mut found = 0;
        for key in (0..1000).map(|number| key(1_000_000 + number)) {
            found += (100..164).filter(|run| sieve.of(key).has(*run)).count();
        }
        assert_eq!(found, 0, "what was forgotten is in no row");
        sieve.insert_all(7);
        assert!(
            (0..1000).all(|number| sieve.of(key(number)).has(7) && !sieve.of(key(number)).has(8))
        );
        sieve.forget(7..8);
        assert!(!sieve.of(key(1)).has(7));
    }
}
