//! What was sent on one stream, so that its reader can follow the log's tree, and so that the hub can be held to it.
//!
//! Of entries that are not sent the reader gets the fewest subtrees that stand for them: it learns how many there are,
//! which every member may know, and nothing else of them.

use sha2::Digest as _;
use sha2::Sha256;
use tokio::time::Instant;

use crate::model::limits;
use crate::model::names::Digest;
use crate::store::StoreError;
use crate::store::Tree;
use crate::transparency::Nodes as _;
use crate::transparency::proof;
use crate::transparency::subtrees;
use crate::wire::StreamId;

/// The account of one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) stream: StreamId,
    /// Where it began.
    pub(super) start: u64,
    /// Entries sent.
    pub(super) count: u64,
    /// Running digest over their leaf hashes.
    pub(super) digest: Digest,
    /// The reader has the tree up to here; `None` before the first mark of a stream that begins in the midst.
    covered: Option<u64>,
    /// The same of the walk of a back-fill.
    backfilled: Option<u64>,
    /// The position and the head of the last mark.
    marked: Option<(u64, u64)>,
    /// The size of the checkpoint that the reader knew when it came.
    known: u64,
    signed: Option<Instant>,
}

/// What a mark brings besides its place.
#[derive(Debug, Default)]
pub struct MarkProofs {
    /// What fills the tree up to the position.
    pub hidden: Vec<u8>,
    /// The same behind a back-fill.
    pub backfill_hidden: Vec<u8>,
    /// The peaks at the position, where the stream begins in the midst.
    pub frontier: Vec<u8>,
    /// From the position to the head.
    pub head_proof: Vec<u8>,
    /// From the head before to this one.
    pub growth_proof: Vec<u8>,
}

impl Account {
    /// Of a stream that begins at a place, or with a snapshot, which is a walk from the first entry on.
    pub(super) const fn new(stream: StreamId, start: u64, with_snapshot: bool, known: u64) -> Self {
        Self {
            stream,
            start,
            count: 0,
            digest: [0; 32],
            covered: if start == 0 || with_snapshot { Some(0) } else { None },
            backfilled: None,
            marked: None,
            known,
            signed: None,
        }
    }

    /// A back-fill begins, or begins again.
    pub(super) const fn begin_backfill(&mut self) {
        self.backfilled = Some(0);
    }

    /// Takes note of entries that are sent next, rising; what stands for those between them.
    pub(super) fn send(
        &mut self,
        tree: &Tree<'_>,
        sequences: &[u64],
        backfill: bool,
    ) -> Result<Vec<u8>, StoreError> {
        let covered = if backfill { self.backfilled } else { self.covered };
        let mut next = covered.unwrap_or_default();
        let mut hidden = Vec::new();
        for (sequence, leaf) in sequences.iter().zip(tree.leaves(sequences)?) {
            fill(tree, next, *sequence, &mut hidden)?;
            self.digest =
                Sha256::new().chain_update(self.digest).chain_update(leaf).finalize().into();
            self.count += 1;
            next = sequence.saturating_add(1);
        }
        *(if backfill { &mut self.backfilled } else { &mut self.covered }) = Some(next);
        Ok(hidden)
    }

    /// What a mark at a position proves, in a log of some size.
    pub(super) fn mark(
        &mut self,
        tree: &Tree<'_>,
        position: u64,
        head: u64,
    ) -> Result<MarkProofs, StoreError> {
        let mut proofs = MarkProofs::default();
        match self.covered {
            Some(covered) => fill(tree, covered, position, &mut proofs.hidden)?,
            None => fill(tree, 0, position, &mut proofs.frontier)?,
        }
        if let Some(backfilled) = self.backfilled.take() {
            fill(tree, backfilled, position, &mut proofs.backfill_hidden)?;
        }
        proofs.head_proof = proof::consistency(tree, position, head)?.concat();
        let (before, known) = self.marked.unwrap_or((u64::MAX, self.known));
        // Who had everything up to the head before, and has everything up to this one, has followed it.
        if before != known || position != head {
            proofs.growth_proof = proof::consistency(tree, known, head)?.concat();
        }
        self.covered = Some(position);
        self.marked = Some((position, head));
        Ok(proofs)
    }

    /// Whether the next mark is to be signed, because it must or because it is time; it is then.
    pub(super) fn take_signature(&mut self, must: bool) -> bool {
        let due = must || self.signed.is_none_or(|at| at.elapsed() >= limits::MARK_INTERVAL);
        if due {
            self.signed = Some(Instant::now());
        }
        due
    }
}

/// The perfect subtrees from one place up to another.
fn fill(tree: &Tree<'_>, from: u64, to: u64, hidden: &mut Vec<u8>) -> Result<(), StoreError> {
    for node in subtrees(from, to) {
        hidden.extend(tree.node(node)?);
    }
    Ok(())
}
