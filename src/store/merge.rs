//! Sorted postings of several runs as one sorted sequence, merged while they are read: whatever a run has, one posting
//! of it is in memory, or one row.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::store::StoreError;
use crate::store::index::Posting;

/// Postings that rise.
pub(super) type Rising<'a> = Box<dyn Iterator<Item = Result<Posting, StoreError>> + 'a>;

/// The postings of all, each once.
pub(super) struct Merged<'a> {
    sources: Vec<Rising<'a>>,
    /// The next posting of each source that has one.
    next: BinaryHeap<Reverse<(Posting, usize)>>,
    failed: Option<StoreError>,
    last: Option<Posting>,
}

impl<'a> Merged<'a> {
    pub(super) fn new(mut sources: Vec<Rising<'a>>) -> Self {
        let (mut next, mut failed) = (BinaryHeap::new(), None);
        for (at, source) in sources.iter_mut().enumerate() {
            match source.next() {
                Some(Ok(posting)) => next.push(Reverse((posting, at))),
                Some(Err(error)) => failed = Some(error),
                None => {}
            }
        }
        Self { sources, next, failed, last: None }
    }

    /// The least posting, whose source goes on to its next.
    fn pop(&mut self) -> Option<Posting> {
        let mut least = self.next.peek_mut()?;
        let Reverse((posting, at)) = *least;
        match self.sources.get_mut(at).and_then(Iterator::next) {
            Some(Ok(next)) => *least = Reverse((next, at)),
            Some(Err(error)) => self.failed = Some(error),
            None => {
                let _done = PeekMut::pop(least);
            }
        }
        Some(posting)
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Posting, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.failed.take() {
                self.next.clear();
                return Some(Err(error));
            }
            let posting = self.pop()?;
            if self.last.replace(posting) != Some(posting) {
                return Some(Ok(posting));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rising(postings: &[Posting]) -> Rising<'_> {
        Box::new(postings.iter().copied().map(Ok))
    }

    proptest! {
        #[test]
        fn what_is_merged_is_what_is_sorted_together(
            mut runs in prop::collection::vec(prop::collection::vec((0..20_u64, 0..20_u64), 0..40), 0..9),
        ) {
            for run in &mut runs {
                run.sort_unstable();
            }
            let mut expected = runs.concat();
            expected.sort_unstable();
            expected.dedup();
            let merged = Merged::new(runs.iter().map(|run| rising(run)).collect());
            prop_assert_eq!(merged.collect::<Result<Vec<_>, _>>().unwrap(), expected);
        }
    }

    #[test]
    fn a_run_that_cannot_be_read_ends_the_whole() {
        let broken = || [Ok((1, 1)), Err(StoreError::missing(7)), Ok((3, 3))];
        let sources: Vec<Rising<'_>> =
            vec![rising(&[(2, 2), (4, 4)]), Box::new(broken().into_iter())];
        let merged: Vec<_> = Merged::new(sources).collect();
        let Err(error) = merged.last().unwrap() else { panic!("{merged:?}") };
        assert!(error.to_string().contains('7'), "{error}");
        let at_once: Vec<Rising<'_>> = vec![Box::new(broken().into_iter().skip(1))];
        assert!(Merged::new(at_once).next().unwrap().is_err());
    }
}
