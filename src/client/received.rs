//! What came on a stream without a filter, so that heads of publishers can be held against it.

use std::collections::BTreeMap;

use crate::model::head::Counted;
use crate::model::head::HeadName;
use crate::model::head::PublisherHead;
use crate::model::names::Digest;

/// Entries that are remembered at most, the newest of them.
const REMEMBERED_MAX: usize = 100_000;

/// The places and header digests of what came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    /// Of the log, by its last mark; 0 before the first.
    epoch: u32,
    /// From here on everything came that may be seen; `None` before the first mark.
    since: Option<u64>,
    /// Up to here.
    position: u64,
    entries: BTreeMap<u64, Digest>,
    /// What was compared of heads: below which size, and what they counted there.
    compared: BTreeMap<HeadName, (u64, Counted)>,
}

impl Received {
    /// An entry came.
    pub(super) fn take(&mut self, sequence: u64, header_digest: Digest) {
        self.entries.insert(sequence, header_digest);
        if self.entries.len() > REMEMBERED_MAX
            && let Some((first, _digest)) = self.entries.pop_first()
        {
            self.since = self.since.map(|since| since.max(first.saturating_add(1)));
        }
    }

    /// A mark came, of a stream that began at a place.
    pub(super) fn marked(&mut self, epoch: u32, position: u64, start: Option<u64>) {
        // An entry's own epoch says nothing here: a log that was restored keeps its entries of earlier ones.
        if self.epoch != epoch && self.epoch != 0 {
            // What came in the other epoch may stand elsewhere now.
            *self = Self { since: Some(position), ..Self::default() };
        }
        self.epoch = epoch;
        let first = self.entries.first_key_value().map(|(sequence, _digest)| *sequence);
        let full = self.entries.len() >= REMEMBERED_MAX;
        // What was forgotten is not missed.
        let start = start.map(|start| if full { start.max(first.unwrap_or(start)) } else { start });
        self.since = self.since.or(start);
        self.position = position;
    }

    /// Whether a head that was found right was held against what came, or counts nothing that this stream brings.
    pub(super) fn has_compared(&self, head: &PublisherHead) -> bool {
        let is_before = self.since.is_some_and(|since| head.size <= since);
        let compared = self.compared.get(&head.name) == Some(&(head.size, head.counted));
        head.epoch == self.epoch && (is_before || compared)
    }

    /// A head was held against what came.
    pub(super) fn compare(&mut self, head: &PublisherHead) {
        if head.epoch == self.epoch {
            self.compared.insert(head.name.clone(), (head.size, head.counted));
        }
    }

    /// From where on entries of a head must be listed to hold them against what came, and what is counted up to there:
    /// behind what was compared before, or behind what another check has found right and this stream did not bring.
    pub(super) fn begin_listing(
        &self,
        head: &PublisherHead,
        found_right: Option<(u64, Counted)>,
    ) -> (u64, Counted) {
        let is_below = |place: &(u64, Counted)| place.0 <= head.size;
        let compared = self.compared.get(&head.name).copied();
        let compared = compared.filter(|_compared| head.epoch == self.epoch).filter(is_below);
        let since = self.since.unwrap_or(0);
        let found_right = found_right.filter(|found| found.0 <= since).filter(is_below);
        compared.into_iter().chain(found_right).max_by_key(|place| place.0).unwrap_or_default()
    }

    /// Whether everything below a place has come, as far as this stream brings it.
    pub(super) const fn reaches(&self, size: u64) -> bool {
        self.position >= size
    }

    /// Whether an entry that may be seen did not come, or another came in its place.
    pub(super) fn misses(&self, epoch: u32, sequence: u64, header_digest: &Digest) -> bool {
        let is_covered = epoch == self.epoch
            && sequence < self.position
            && self.since.is_some_and(|since| sequence >= since);
        is_covered && self.entries.get(&sequence) != Some(header_digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_missed_where_the_stream_brings_all() {
        let mut received = Received::default();
        assert!(!received.misses(1, 5, &[5; 32]), "nothing is known yet");
        received.take(5, [5; 32]);
        received.marked(1, 9, Some(3));
        assert!(!received.misses(1, 5, &[5; 32]));
        assert!(received.misses(1, 5, &[6; 32]), "another one");
        assert!(received.misses(1, 6, &[6; 32]));
        assert!(!received.misses(1, 2, &[2; 32]), "before the stream began");
        assert!(!received.misses(1, 9, &[9; 32]), "behind the mark");
        assert!(received.reaches(9) && !received.reaches(10));
        // It goes on where it stood after an interruption.
        received.marked(1, 12, Some(9));
        assert!(received.misses(1, 6, &[6; 32]));
        // A restore begins anew.
        received.marked(2, 4, Some(4));
        assert!(!received.misses(2, 3, &[3; 32]) && !received.misses(1, 6, &[6; 32]));
    }

    #[test]
    fn entries_of_before_a_restore_count_in_the_log_that_goes_on() {
        let mut received = Received::default();
        received.take(5, [5; 32]);
        received.marked(2, 9, Some(0));
        assert!(!received.misses(2, 5, &[5; 32]), "it came on this stream");
        assert!(received.misses(2, 6, &[6; 32]));
    }

    #[test]
    fn each_stream_compares_each_head_itself_and_lists_no_more_than_it_must() {
        let head = |epoch, size| PublisherHead {
            exchange: crate::model::names::ExchangeName::from_name(
                "exchanges/spring-0123456789abcdef",
            )
            .unwrap(),
            name: HeadName {
                publisher: "acme-video".parse().unwrap(),
                key: crate::model::names::KeyId::of_spki(b"key"),
                scope: "audiences/companies".parse().unwrap(),
            },
            epoch,
            size,
            counted: Counted { count: size, digest: [1; 32] },
            time: crate::model::time::Timestamp::default(),
            next_due: crate::model::time::Timestamp::MAX,
            seen: Vec::new(),
        };
        let place = |size| (size, Counted { count: size, digest: [1; 32] });
        let mut received = Received::default();
        received.marked(1, 9, Some(5));
        assert!(!received.has_compared(&head(1, 8)) && !received.has_compared(&head(2, 5)));
        assert!(received.has_compared(&head(1, 5)), "it counts nothing that came here");
        let begin = |received: &Received, size, found| {
            received.begin_listing(&head(1, size), Some(place(found))).0
        };
        assert_eq!(
            begin(&received, 8, 8),
            0,
            "another check's word is not enough for what came here"
        );
        assert_eq!(begin(&received, 8, 5), 5, "it is for what did not come here");
        received.compare(&head(1, 8));
        assert!(received.has_compared(&head(1, 8)) && !received.has_compared(&head(1, 9)));
        assert_eq!(begin(&received, 9, 5), 8);
        assert_eq!(begin(&received, 7, 5), 5, "never from behind the head");
        received.compare(&head(2, 9));
        assert!(!received.has_compared(&head(2, 9)), "it is of another log");
        received.marked(2, 9, Some(5));
        assert!(!received.has_compared(&head(1, 8)) && !received.has_compared(&head(2, 10)));
    }

    #[test]
    fn what_is_forgotten_is_not_missed() {
        let mut received = Received::default();
        let many = u64::try_from(REMEMBERED_MAX).unwrap() + 10;
        (0..many).for_each(|sequence| received.take(sequence, [1; 32]));
        received.marked(1, many, Some(0));
        assert_eq!(received.entries.len(), REMEMBERED_MAX);
        assert!(!received.misses(1, 9, &[1; 32]) && !received.misses(1, 10, &[1; 32]));
        received.take(many, [1; 32]);
        assert!(!received.misses(1, 10, &[1; 32]));
        assert!(received.misses(1, 11, &[2; 32]));
    }
}
