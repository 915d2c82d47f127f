//! The view by value: from the digest of a normal form to the sequences of the indicators that have it.
//!
//! A row for each value would cost as much as a signature. So postings are kept in memory for the run of
//! 4,096 sequences that is being filled, written as one sorted run when it is full, and every 16 runs are merged
//! into one. Runs lie at fixed places of the log, so that a rebuild gives the same bytes. The view follows the
//! log: what a crash takes from it is folded again at the next start.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::RwLock;

use sled::Batch;
use sled::Tree;

use crate::model::limits::STORED_VALUE_BYTES_MAX;
use crate::model::names::Digest;
use crate::store::StoreError;
use crate::store::block;
use crate::store::keys;

/// Sequences of one run of the lowest level.
pub const RUN_SEQUENCES: u64 = 4096;
/// Runs of the lowest level that are merged into one of the next.
const RUNS_MERGED: u64 = 16;
/// Bytes of a posting: the first eight of the digest, and the sequence.
const POSTING_BYTES: usize = 16;
const CHUNK_POSTINGS: usize = (STORED_VALUE_BYTES_MAX - 4) / POSTING_BYTES;

/// A value prefix and a sequence.
type Posting = (u64, u64);

/// The view.
#[derive(Debug, Default)]
pub(super) struct Values {
    open: RwLock<OpenRun>,
}

/// The run that is being filled. Owned by the writing thread; readers look at it under the lock.
#[derive(Debug, Default)]
struct OpenRun {
    number: u64,
    postings: BTreeMap<u64, Vec<u64>>,
}

impl Values {
    /// Starts at the first run that is not on the disk; returns the first sequence to be folded.
    pub(super) fn start(&self, tree: &Tree) -> Result<u64, StoreError> {
        let number = runs(tree)?;
        *self.open.write().unwrap_or_else(PoisonError::into_inner) =
            OpenRun { number, postings: BTreeMap::new() };
        Ok(number.saturating_mul(RUN_SEQUENCES))
    }

    /// Takes in the next entry of the log; writes the run if it was its last.
    pub(super) fn apply(
        &self,
        tree: &Tree,
        sequence: u64,
        digest: Option<&Digest>,
    ) -> Result<(), StoreError> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = digest {
            open.postings.entry(prefix(digest)).or_default().push(sequence);
        }
        if !(sequence + 1).is_multiple_of(RUN_SEQUENCES) {
            return Ok(());
        }
        let postings: Vec<Posting> = open
            .postings
            .iter()
            .flat_map(|(value, sequences)| sequences.iter().map(|sequence| (*value, *sequence)))
            .collect();
        write_run(tree, open.number, &postings)?;
        *open = OpenRun { number: open.number + 1, postings: BTreeMap::new() };
        Ok(())
    }

    /// Sequences whose digest begins as this one does, rising, at most `limit`.
    pub(super) fn find(
        &self,
        tree: &Tree,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let value = prefix(digest);
        // The open run is read first: a run that is written meanwhile is then seen twice, never missed.
        let (number, recent) = {
            let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
            (open.number, open.postings.get(&value).cloned().unwrap_or_default())
        };
        let mut found = Vec::new();
        for (level, run) in layout(number) {
            collect(tree, level, run, value, &mut found)?;
            if found.len() >= limit {
                break;
            }
        }
        found.extend(recent);
        found.truncate(limit);
        Ok(found)
    }

    /// Removes every run, so that the view can be folded anew.
    pub(super) fn clear(tree: &Tree) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for key in tree.scan_prefix([keys::POSTINGS]).keys() {
            batch.remove(key.map_err(StoreError::io("reading the view"))?);
        }
        batch.remove(&keys::RUNS);
        tree.apply_batch(batch).map_err(StoreError::io("clearing the view"))
    }
}

fn prefix(digest: &Digest) -> u64 {
    let (first, _rest) = digest.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*first)
}

/// How many runs of the lowest level were written.
fn runs(tree: &Tree) -> Result<u64, StoreError> {
    let value = tree.get(keys::RUNS).map_err(StoreError::io("reading the view"))?;
    value.map_or(Ok(0), |value| {
        keys::number(&value)
            .ok_or_else(|| StoreError::corrupt("the view", "its counter is unreadable"))
    })
}

/// Where the first `number` runs lie: merged ones, then those of the lowest level.
fn layout(number: u64) -> impl Iterator<Item = (u8, u64)> {
    let merged = number / RUNS_MERGED;
    let high = (0..merged).map(|run| (1, run));
    high.chain((merged * RUNS_MERGED..number).map(|run| (0, run)))
}

fn write_run(tree: &Tree, number: u64, postings: &[Posting]) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    if (number + 1).is_multiple_of(RUNS_MERGED) {
        let first = number + 1 - RUNS_MERGED;
        let mut all = postings.to_vec();
        for run in first..number {
            for chunk in tree.scan_prefix(keys::run(0, run)) {
                let (key, value) = chunk.map_err(StoreError::io("reading the view"))?;
                all.extend(decode(&value)?);
                batch.remove(key);
            }
        }
        all.sort_unstable();
        insert_run(&mut batch, 1, number / RUNS_MERGED, &all);
    } else {
        insert_run(&mut batch, 0, number, postings);
    }
    batch.insert(&keys::RUNS, (number + 1).to_be_bytes().to_vec());
    tree.apply_batch(batch).map_err(StoreError::io("writing the view"))
}

fn insert_run(batch: &mut Batch, level: u8, run: u64, postings: &[Posting]) {
    for chunk in postings.chunks(CHUNK_POSTINGS) {
        let Some((value, sequence)) = chunk.first() else {
            continue;
        };
        let mut bytes = Vec::with_capacity(chunk.len() * POSTING_BYTES);
        for (value, sequence) in chunk {
            bytes.extend_from_slice(&value.to_be_bytes());
            bytes.extend_from_slice(&sequence.to_be_bytes());
        }
        batch.insert(keys::postings(level, run, *value, *sequence), block::seal(bytes));
    }
}

fn collect(
    tree: &Tree,
    level: u8,
    run: u64,
    value: u64,
    found: &mut Vec<u64>,
) -> Result<(), StoreError> {
    let start = keys::run(level, run);
    let wanted = keys::postings(level, run, value, 0);
    let before = tree.range(start..=wanted.clone()).next_back();
    let end = keys::postings(level, run, value, u64::MAX);
    for chunk in before.into_iter().chain(tree.range(wanted..=end)) {
        let (_key, bytes) = chunk.map_err(StoreError::io("reading the view"))?;
        let postings = decode(&bytes)?;
        found.extend(
            postings.into_iter().filter(|posting| posting.0 == value).map(|posting| posting.1),
        );
    }
    found.dedup();
    Ok(())
}

fn decode(sealed: &[u8]) -> Result<Vec<Posting>, StoreError> {
    let damaged =
        || StoreError::corrupt("the view by value", "a run is damaged; run watchfired rebuild");
    let bytes = block::open(sealed).ok_or_else(damaged)?;
    let (chunks, rest) = bytes.as_chunks::<POSTING_BYTES>();
    if !rest.is_empty() {
        return Err(damaged());
    }
    let posting = |chunk: &[u8; POSTING_BYTES]| {
        let (value, sequence) = chunk.split_at(8);
        Some((keys::number(value)?, keys::number(sequence)?))
    };
    chunks.iter().map(posting).collect::<Option<_>>().ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::sha256;

    /// The value of a sequence: few values, unevenly shared, some entries without one.
    fn value(sequence: u64) -> Option<Digest> {
        (!sequence.is_multiple_of(7)).then(|| sha256(&(sequence * sequence % 9973).to_be_bytes()))
    }

    #[test]
    fn the_view_equals_the_fold_across_runs_and_merges() {
        let folder = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(folder.path()).flush_every_ms(None).open().unwrap();
        let view = Values::default();
        let mut model: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        // Into the second merged run, and a little further.
        let end = RUN_SEQUENCES * (2 * RUNS_MERGED + 3) + 17;
        for sequence in view.start(&db).unwrap()..end {
            view.apply(&db, sequence, value(sequence).as_ref()).unwrap();
            if let Some(digest) = value(sequence) {
                model.entry(prefix(&digest)).or_default().push(sequence);
            }
        }
        for root in 0..200_u64 {
            let digest = sha256(&(root * root % 9973).to_be_bytes());
            let expected = model.get(&prefix(&digest)).cloned().unwrap_or_default();
            assert_eq!(view.find(&db, &digest, usize::MAX).unwrap(), expected, "{root}");
            let few: Vec<u64> = expected.iter().copied().take(3).collect();
            assert_eq!(view.find(&db, &digest, 3).unwrap(), few, "the oldest come first");
        }
        // A restart knows the runs that were written and asks for the rest of the log again.
        let again = Values::default();
        let next = again.start(&db).unwrap();
        assert_eq!(next, RUN_SEQUENCES * (2 * RUNS_MERGED + 3));
        for sequence in next..end {
            again.apply(&db, sequence, value(sequence).as_ref()).unwrap();
        }
        for root in 0..200_u64 {
            let digest = sha256(&(root * root % 9973).to_be_bytes());
            let found = again.find(&db, &digest, usize::MAX).unwrap();
            assert_eq!(found, view.find(&db, &digest, usize::MAX).unwrap());
        }
    }
}
