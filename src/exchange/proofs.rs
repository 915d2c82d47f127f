//! Proofs for callers: that an entry is in the log, that one log is the beginning of another, and the log's leaves.
//!
//! Leaves say nothing of what a record says or who may read it, so that every member in good standing may have all.

use crate::exchange::entries;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::sequencer::Outcome;
use crate::exchange::sequencer::Receipt;
use crate::exchange::tail::DurableHead;
use crate::exchange::turns::Halt;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::store;
use crate::store::LogBlock;
use crate::store::Store;
use crate::store::StoreError;
use crate::transparency::LeafData;
use crate::transparency::Node;
use crate::transparency::Nodes as _;
use crate::transparency::proof;

/// A proof, and the tree that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The hashes, 32 bytes each.
    pub hashes: Vec<Digest>,
    /// The size of the tree.
    pub size: u64,
    /// The newest checkpoint.
    pub checkpoint: String,
}

impl Hub {
    /// Proves that the records of one call which were taken in are in the tree of their checkpoint, and that it is a
    /// continuation of the tree of a size.
    pub fn prove(&self, outcomes: &mut [Outcome], known: u64) -> Result<Vec<u8>, StoreError> {
        let mut taken: Vec<&mut Receipt> = outcomes.iter_mut().flatten().collect();
        taken.sort_unstable_by_key(|receipt| receipt.sequence);
        let Some(size) = taken.first().map(|receipt| receipt.tree_size) else {
            return Ok(Vec::new());
        };
        let sequences: Vec<u64> = taken.iter().map(|receipt| receipt.sequence).collect();
        let tree = self.store.tree();
        let paths = proof::inclusions(&tree, &sequences, size)?;
        for (receipt, path) in taken.into_iter().zip(paths) {
            receipt.inclusion_proof = path.concat();
        }
        Ok(proof::consistency(&tree, known, size)?.concat())
    }

    /// Proves that an entry is in the tree of a size, or of the head's; its leaf hash with it.
    pub async fn inclusion_proof(
        &self,
        member: &MemberId,
        sequence: u64,
        size: Option<u64>,
    ) -> Result<(Digest, Proof), ExchangeError> {
        let head = self.proving(member)?;
        let size = size.unwrap_or(head.size);
        if size > head.size {
            return Err(beyond("tree_size", head.size).into());
        }
        if sequence >= size {
            return Err(beyond("sequence", size.saturating_sub(1)).into());
        }
        let prove = move |store: &Store, _short: &Halt| {
            let tree = store.tree();
            Ok((tree.node(Node::leaf(sequence))?, proof::inclusion(&tree, sequence, size)?))
        };
        let (leaf, hashes) = self.read(Some(member), prove).await?;
        Ok((leaf, Proof { hashes, size, checkpoint: head.checkpoint.to_string() }))
    }

    /// Proves that the tree of one size is the beginning of that of another, or of the head's.
    pub async fn consistency_proof(
        &self,
        member: &MemberId,
        first: u64,
        second: Option<u64>,
    ) -> Result<Proof, ExchangeError> {
        let head = self.proving(member)?;
        let size = second.unwrap_or(head.size);
        if size > head.size {
            return Err(beyond("second_size", head.size).into());
        }
        if first > size {
            return Err(beyond("first_size", size).into());
        }
        let prove =
            move |store: &Store, _short: &Halt| proof::consistency(&store.tree(), first, size);
        let hashes = self.read(Some(member), prove).await?;
        Ok(Proof { hashes, size, checkpoint: head.checkpoint.to_string() })
    }

    /// Leaves from a place on, below the head, and the checkpoint that covers them.
    pub async fn leaves(
        &self,
        member: &MemberId,
        start: u64,
        count: usize,
    ) -> Result<(Vec<LeafData>, String), ExchangeError> {
        let head = self.proving(member)?;
        let wide = u64::try_from(count).unwrap_or(u64::MAX);
        let end = start.saturating_add(wide).min(head.size);
        let read = move |store: &Store, _short: &Halt| {
            let (mut leaves, mut next) = (Vec::with_capacity(count), start);
            while next < end {
                let block = store.block_at(next)?.ok_or_else(|| StoreError::missing(next))?;
                leaves.extend(leaves_of(&block, next, end)?);
                next = block.end();
            }
            Ok(leaves)
        };
        let leaves = self.read(Some(member), read).await?;
        Ok((leaves, head.checkpoint.to_string()))
    }

    /// The head, for a member that may ask for a proof now.
    fn proving(&self, member: &MemberId) -> Result<DurableHead, Refusal> {
        self.reader(member)?;
        self.take_lookups(member, 1)?;
        Ok(self.head())
    }
}

fn leaves_of(block: &LogBlock, from: u64, end: u64) -> Result<Vec<LeafData>, StoreError> {
    let own = block.entries_from(from).take_while(|(sequence, _stored)| *sequence < end);
    own.map(|(sequence, stored)| {
        let entry = entries::decode(block, stored)?;
        let damaged = || StoreError::corrupt(format!("sequence {sequence}"), "it has no leaf");
        store::leaf(&entry).ok_or_else(damaged)
    })
    .collect()
}

fn beyond(field: &'static str, most: u64) -> Refusal {
    Refusal::field(Reason::FieldInvalid, field, format!("must be at most {most}"))
}
