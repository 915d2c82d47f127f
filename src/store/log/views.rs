//! The indexes over the log: folded entry by entry, asked, and folded anew from the log.

use std::ops::Range;
use std::sync::Arc;
use std::sync::PoisonError;

use sha2::Digest as _;
use sha2::Sha256;

use crate::model::facts::Facts;
use crate::model::facts::Scope;
use crate::model::index_keys;
use crate::model::index_keys::Term;
use crate::model::names::Digest;
use crate::model::names::RecordName;
use crate::store::StoreError;
use crate::store::block::LogBlock;
use crate::store::block::StoredEntry;
use crate::store::index::Index;
use crate::store::index::Posting;
use crate::store::index::SPILLED;
use crate::store::keys;
use crate::store::log::Store;
use crate::store::log::group::NewEntry;

/// The indexes, as their keys have them.
pub(super) const NAMES: u8 = 1;

pub(super) const VALUES: u8 = 2;

pub(super) const TERMS: u8 = 3;

/// What a rebuild of the views found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Entries that were folded.
    pub entries: u64,
    /// Whether the views were what the log says before.
    pub unchanged: bool,
}

/// An entry as the indexes take it.
struct Posted<'a> {
    sequence: u64,
    facts: &'a Facts,
    terms: &'a [Term],
}

/// What a scope adds to the keys of its entries; neighbours share one, so that it is worked out once.
#[derive(Default)]
pub(super) struct ScopeKeys {
    scope: Option<Arc<Scope>>,
    groups: Vec<index_keys::Group>,
    coarse: Vec<u64>,
    /// The operation that they belong to, or that they say something about.
    pub(super) operation: Option<Term>,
}

impl ScopeKeys {
    pub(super) fn look_at(&mut self, scope: &Arc<Scope>) {
        if self.scope.as_ref().is_some_and(|known| Arc::ptr_eq(known, scope) || known == scope) {
            return;
        }
        self.groups = index_keys::Group::of_scope(scope);
        let coarse = index_keys::coarse_terms(scope);
        self.coarse = self.keys(&coarse).collect();
        let shape = scope.shapes.first();
        self.operation = shape.and_then(|shape| shape.operation.as_ref()).map(Term::about);
        self.scope = Some(Arc::clone(scope));
    }

    /// The keys of terms, one for each group that the scope reaches.
    pub(super) fn keys(&self, terms: &[Term]) -> impl Iterator<Item = u64> {
        terms.iter().flat_map(|term| self.groups.iter().map(|group| term.key(*group)))
    }
}

/// How many postings an entry's body is found by, at most.
pub fn body_postings(block: &LogBlock, entry: &StoredEntry) -> Result<usize, StoreError> {
    let groups = index_keys::Group::of_scope(&entry.facts.scope).len();
    // One more for its value.
    Ok((block.terms(entry)?.len() + 1).saturating_mul(groups))
}

/// The first entry of a block, from a sequence on, whose body is found by more postings than are left.
fn first_beyond(block: &LogBlock, from: u64, left: &mut usize) -> Result<Option<u64>, StoreError> {
    for (sequence, entry) in block.entries_from(from) {
        match left.checked_sub(body_postings(block, entry)?) {
            Some(rest) => *left = rest,
            None => return Ok(Some(sequence)),
        }
    }
    Ok(None)
}

impl Store {
    /// Folds committed entries into the indexes, the first of which is at a sequence. In order, by the writing thread
    /// only.
    pub fn apply_views(&self, first: u64, entries: &[NewEntry]) -> Result<(), StoreError> {
        let mut scopes = ScopeKeys::default();
        for (sequence, entry) in (first..).zip(entries) {
            scopes.look_at(&entry.facts.scope);
            let posted = Posted { sequence, facts: &entry.facts, terms: &entry.terms };
            self.written(self.index(&posted, &scopes, [0; 3]))?;
        }
        Ok(())
    }

    /// Whether one revision of a record may be there: no more than the index is asked. Never wrong about one that is.
    pub fn may_have_revision(&self, name: &RecordName, revision: u32) -> Result<bool, StoreError> {
        let digest = index_keys::revision_digest(&name.member, name.record, revision);
        let found = self.names.find(&self.db, index_keys::first_bits(&digest), 0, 1)?;
        Ok(!found.is_empty())
    }

    /// The place of one revision of a record.
    pub fn revision(&self, name: &RecordName, revision: u32) -> Result<Option<u64>, StoreError> {
        let digest = index_keys::revision_digest(&name.member, name.record, revision);
        for sequence in self.names.find(&self.db, index_keys::first_bits(&digest), 0, usize::MAX)? {
            // The index has only the beginning of the digest.
            let block = self.block_at(sequence)?;
            let facts =
                block.as_ref().and_then(|block| block.at(sequence)).map(|entry| &entry.facts);
            if facts.is_some_and(|facts| facts.revision == revision && facts.is_of(name)) {
                return Ok(Some(sequence));
            }
        }
        Ok(None)
    }

    /// The records whose first revision the index of names has under a key, with its place: more than one only if their
    /// digests begin alike.
    pub fn records_of_key(&self, key: u64) -> Result<Vec<(RecordName, u64)>, StoreError> {
        let mut records = Vec::new();
        for sequence in self.names.find(&self.db, key, 0, usize::MAX)? {
            let block = self.block_at(sequence)?;
            let Some(facts) =
                block.as_ref().and_then(|block| block.at(sequence)).map(|entry| &entry.facts)
            else {
                continue;
            };
            let digest =
                index_keys::revision_digest(&facts.scope.publisher, facts.record, facts.revision);
            if facts.revision == 1 && index_keys::first_bits(&digest) == key {
                records.push((facts.name(), sequence));
            }
        }
        Ok(records)
    }

    /// The latest revision of a record and its place. Revisions have no gaps, so that doubling finds one that is
    /// not there, and halving the last that is.
    pub fn latest(&self, name: &RecordName) -> Result<Option<(u32, u64)>, StoreError> {
        let Some(first) = self.revision(name, 1)? else {
            return Ok(None);
        };
        let (mut there, mut place) = (1_u32, first);
        let mut absent = 2;
        while let Some(sequence) = self.revision(name, absent)? {
            (there, place) = (absent, sequence);
            absent = absent.saturating_mul(2);
        }
        while absent - there > 1 {
            let middle = there + (absent - there) / 2;
            match self.revision(name, middle)? {
                Some(sequence) => (there, place) = (middle, sequence),
                None => absent = middle,
            }
        }
        Ok(Some((there, place)))
    }

    /// Places of indicators that may have this value and reach this group, rising; the digest must be compared still.
    pub fn find_value(
        &self,
        digest: &Digest,
        group: index_keys::Group,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        self.find(&self.values, (Term::value(digest).key(group), 0), limit)
    }

    /// Places from one on, rising, of entries that may have this term and reach this group. For a coarse term: of the
    /// first of every 64 among which an entry has it.
    pub fn find_term(
        &self,
        term: Term,
        group: index_keys::Group,
        from: u64,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        self.find(&self.terms, (term.key(group), from), limit)
    }

    pub(super) fn find(
        &self,
        index: &Index,
        (key, from): Posting,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let _shared = self.rewriting.read().unwrap_or_else(PoisonError::into_inner);
        index.find(&self.db, key, from, limit)
    }

    /// The end of as many entries at the beginning of a range as are found by so many postings of their bodies together;
    /// of one at least.
    pub fn end_within(&self, range: Range<u64>, postings: usize) -> Result<u64, StoreError> {
        let (mut next, mut left) = (range.start, postings);
        while next < range.end {
            let block = self.block_at(next)?.ok_or_else(|| StoreError::missing(next))?;
            if let Some(beyond) = first_beyond(&block, next, &mut left)? {
                return Ok(beyond.max(range.start + 1).min(range.end));
            }
            next = block.end();
        }
        Ok(range.end)
    }

    /// Drops every view and folds it again from the log.
    pub fn rebuild(&self) -> Result<Rebuilt, StoreError> {
        let before = match self.digest_of_swept() {
            Ok(digest) => Some(digest),
            // This is what a rebuild is for; should it be the log that is damaged, the fold below says so.
            Err(StoreError::Corrupt { .. }) => None,
            Err(error) => return Err(error),
        };
        self.clear_indexes()?;
        self.catch_up()?;
        self.clear_tree()?;
        self.raise_tree()?;
        self.sync()?;
        self.confirm()?;
        Ok(Rebuilt {
            entries: self.head()?.frontier.size(),
            unchanged: before == Some(self.views_digest()?),
        })
    }

    /// The digest of the views once nothing is left to be swept: the fold never has what is gone.
    fn digest_of_swept(&self) -> Result<Digest, StoreError> {
        self.catch_up()?;
        while self.sweep()? {}
        self.views_digest()
    }

    /// A digest of every row of the views, to compare a rebuild with what was there. What was written ahead of a run
    /// that is not full, and what is to be swept from it, comes and goes with restarts.
    pub fn views_digest(&self) -> Result<Digest, StoreError> {
        let mut hasher = Sha256::new();
        let indexes = [NAMES, VALUES, TERMS];
        let passing = indexes.map(|index| keys::level(index, SPILLED));
        let stale = indexes.map(keys::all_stale);
        let tiles = self.db.scan_prefix([keys::TILE]);
        for row in tiles.chain(self.db.scan_prefix([keys::INDEX])) {
            let (key, value) = row.map_err(StoreError::io("reading the views"))?;
            if passing.iter().any(|prefix| key.starts_with(prefix))
                || stale.iter().any(|prefix| key.starts_with(prefix))
            {
                continue;
            }
            hasher.update(&key);
            hasher.update(&value);
        }
        Ok(hasher.finalize().into())
    }

    /// Every posting of the runs that are not full, sorted: what a restart folds again.
    #[cfg(test)]
    pub(crate) fn views_in_memory(&self) -> Vec<Vec<(u64, u64)>> {
        [&self.names, &self.values, &self.terms].map(Index::open_postings).to_vec()
    }

    /// Folds what the indexes lack.
    pub(in crate::store) fn catch_up(&self) -> Result<(), StoreError> {
        let head = self.head()?.frontier.size();
        // All are written at the same sequences, but a crash may come between.
        let starts = [&self.names, &self.values, &self.terms].map(|index| index.start(self));
        let [names, values, terms] = starts;
        let starts = [names?, values?, terms?];
        let mut next = starts.iter().copied().min().unwrap_or_default();
        let mut scopes = ScopeKeys::default();
        while next < head {
            let blocks = self.blocks_from(next, 4 * 1024 * 1024)?;
            let Some(end) = blocks.last().map(LogBlock::end) else {
                return Err(StoreError::missing(next));
            };
            for block in &blocks {
                self.index_block(block, next, &mut scopes, starts)?;
            }
            next = end;
            // So that a power cut takes little of this again.
            self.sync()?;
        }
        Ok(())
    }

    /// Folds the entries of a block from a sequence on.
    fn index_block(
        &self,
        block: &LogBlock,
        from: u64,
        scopes: &mut ScopeKeys,
        starts: [u64; 3],
    ) -> Result<(), StoreError> {
        for (sequence, entry) in block.entries_from(from) {
            scopes.look_at(&entry.facts.scope);
            let terms = block.terms(entry)?;
            self.index(&Posted { sequence, facts: &entry.facts, terms: &terms }, scopes, starts)?;
        }
        Ok(())
    }

    fn clear_indexes(&self) -> Result<(), StoreError> {
        for index in [&self.names, &self.values, &self.terms] {
            while index.clear_some(&self.db)? {
                self.sync()?;
            }
        }
        Ok(())
    }

    /// Folds one entry into the indexes that do not have it yet: those that begin at or before its place.
    fn index(
        &self,
        entry: &Posted<'_>,
        scopes: &ScopeKeys,
        starts: [u64; 3],
    ) -> Result<(), StoreError> {
        let Posted { sequence, facts, terms } = entry;
        let [names, values, terms_start] = starts;
        let none = std::iter::empty;
        if *sequence >= names {
            let name =
                index_keys::revision_digest(&facts.scope.publisher, facts.record, facts.revision);
            self.names.apply(
                self,
                *sequence,
                [index_keys::first_bits(&name)].into_iter(),
                none(),
            )?;
        }
        if *sequence >= values {
            let value = facts.value_digest.as_ref().map(Term::value);
            self.values.apply(self, *sequence, scopes.keys(value.as_slice()), none())?;
        }
        if *sequence >= terms_start {
            let coarse = scopes.coarse.iter().copied();
            let operation = scopes.operation.as_slice();
            let keys = scopes.keys(terms).chain(scopes.keys(operation));
            self.terms.apply(self, *sequence, keys, coarse)?;
        }
        Ok(())
    }
}
