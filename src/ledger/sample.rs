//! How long things took: half of them, and nine in ten.
//!
//! What can be computed again is exact. What the hub claims is not: there is a pair for each record and each reader,
//! far more than records, so that their times are counted by their first ten bits, in bounded memory.

use std::collections::BTreeMap;
use std::time::Duration;

/// Leading bits of a claimed duration that are kept: a thousandth.
const BITS_KEPT: u32 = 10;

/// Measured durations, in microseconds.
#[derive(Debug)]
pub(super) enum Sample {
    /// Each as it is.
    Exact(Vec<u64>),
    /// How many there are of each, rounded up.
    Rounded(BTreeMap<u64, u64>),
}

impl Sample {
    /// Adds one.
    pub(super) fn add(&mut self, micros: u64) {
        match self {
            Self::Exact(all) => all.push(micros),
            Self::Rounded(counts) => {
                let count = counts.entry(rounded(micros)).or_default();
                *count = count.saturating_add(1);
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Exact(all) => u64::try_from(all.len()).unwrap_or(u64::MAX),
            Self::Rounded(counts) => counts.values().sum(),
        }
    }

    /// The median and the ninth decile, by nearest rank; `None` if there is nothing.
    pub(super) fn percentiles(&mut self) -> Option<(Duration, Duration)> {
        let count = self.count();
        let p50 = self.ranked(rank(count, 5)?)?;
        let p90 = self.ranked(rank(count, 9)?)?;
        Some((Duration::from_micros(p50), Duration::from_micros(p90)))
    }

    /// The one at a rank, from 0.
    fn ranked(&mut self, rank: u64) -> Option<u64> {
        match self {
            Self::Exact(all) => {
                let rank = usize::try_from(rank).ok().filter(|rank| *rank < all.len())?;
                Some(*all.select_nth_unstable(rank).1)
            }
            Self::Rounded(counts) => {
                let mut below = 0;
                let passed = counts.iter().find(|(_value, count)| {
                    below += **count;
                    below > rank
                });
                passed.map(|(value, _count)| *value)
            }
        }
    }
}

/// The nearest rank of so many tenths, from 0: the smallest that so many tenths do not exceed.
const fn rank(count: u64, tenths: u64) -> Option<u64> {
    count.saturating_mul(tenths).div_ceil(10).checked_sub(1)
}

/// Up to the next number with so few bits behind the first.
const fn rounded(micros: u64) -> u64 {
    let dropped = (u64::BITS - micros.leading_zeros()).saturating_sub(BITS_KEPT);
    let unit = 1 << dropped;
    micros.div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(values: &[u64], expected: Option<(u64, u64)>) {
        let mut sample = Sample::Exact(values.to_vec());
        let micros = sample.percentiles().map(|(p50, p90)| (p50.as_micros(), p90.as_micros()));
        assert_eq!(micros, expected.map(|(p50, p90)| (p50.into(), p90.into())), "{values:?}");
    }

    #[test]
    fn the_nearest_rank_is_one_that_was_measured() {
        check(&[], None);
        check(&[7], Some((7, 7)));
        check(&[9, 1], Some((1, 9)));
        check(&[3, 2, 1], Some((2, 3)));
        check(&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1], Some((5, 9)));
        check(&[11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1], Some((6, 10)));
    }

    #[test]
    fn a_claim_is_rounded_up_by_less_than_two_thousandths() {
        for (micros, expected) in [
            (0, 0),
            (1023, 1023),
            (1024, 1024),
            (1025, 1026),
            (2047, 2048),
            (1_000_001, 1_000_448),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(rounded(micros), expected, "{micros}");
        }
    }

    proptest! {
        #[test]
        fn rounded_samples_differ_from_exact_ones_by_rounding_alone(values: Vec<u32>) {
            let mut exact = Sample::Exact(values.iter().copied().map(u64::from).collect());
            let mut coarse = Sample::Rounded(BTreeMap::new());
            values.iter().copied().map(u64::from).for_each(|value| coarse.add(value));
            prop_assert_eq!(exact.count(), coarse.count());
            let up = |micros: Duration| {
                Duration::from_micros(rounded(u64::try_from(micros.as_micros()).unwrap()))
            };
            let expected = exact.percentiles().map(|(p50, p90)| (up(p50), up(p90)));
            prop_assert_eq!(coarse.percentiles(), expected);
        }

        #[test]
        fn rounding_keeps_order_and_stays_near(a: u64, b: u64) {
            let (low, high) = (a.min(b) >> 1, a.max(b) >> 1);
            prop_assert!(rounded(low) <= rounded(high));
            prop_assert!(rounded(low) >= low && rounded(low) - low <= low / 512);
        }
    }
}
