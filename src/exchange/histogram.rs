//! How often a figure lay within which bounds, counted without a lock.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bounds of times, in microseconds: from what a memory file system takes to what a dying disk does.
pub(super) const TIMES: &[u64] = &[
    250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 512_000,
    1_000_000, 4_000_000, 16_000_000,
];
/// Bounds of group sizes, in records.
pub(super) const SIZES: &[u64] = &[0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];

/// The count. Nobody decides anything by it, so that no order between its numbers is needed.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for what lies above all of them.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

/// The numbers at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// Bounds, included, each with how many figures lie between the one before and it.
    pub(crate) within: Vec<(u64, u64)>,
    /// How many lie above all of them.
    pub(crate) above: u64,
    /// All figures together.
    pub(crate) sum: u64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_bound| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts one figure.
    pub(super) fn take(&self, figure: u64) {
        let place = self.bounds.partition_point(|bound| *bound < figure);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(figure, Ordering::Relaxed);
    }

    /// Counts a time, in microseconds.
    pub(super) fn take_time(&self, time: Duration) {
        self.take(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The numbers now.
    pub(super) fn distribution(&self) -> Distribution {
        let mut counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        Distribution {
            within: self.bounds.iter().copied().zip(counts.by_ref()).collect(),
            above: counts.next().unwrap_or_default(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_counted_once_where_it_belongs() {
        let histogram = Histogram::new(&[0, 10, 20]);
        for figure in [0, 1, 10, 11, 20, 21, 1_000] {
            histogram.take(figure);
        }
        let found = histogram.distribution();
        assert_eq!(found.within, [(0, 1), (10, 2), (20, 2)]);
        assert_eq!((found.above, found.sum), (2, 1_063));
    }

    #[test]
    fn bounds_rise() {
        for bounds in [TIMES, SIZES] {
            assert!(bounds.is_sorted_by(|one, next| one < next), "{bounds:?}");
        }
    }
}
