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
use crate::model::limits;
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

/// Several entries in one tree, which continues another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multiproof {
    /// The newest checkpoint, of whose tree the proof is.
    pub checkpoint: String,
    /// The hashes beside the entries.
    pub hashes: Vec<Digest>,
    /// From the tree that was known to this one.
    pub growth: Vec<Digest>,
}

impl Hub {
    /// Proves that the records of one call which were taken in are in the tree of their checkpoint, and that it is a
    /// continuation of the tree of a size.
    pub async fn prove(
        &self,
        member: &MemberId,
        mut outcomes: Vec<Outcome>,
        known: u64,
    ) -> Result<(Vec<Outcome>, Vec<u8>), StoreError> {
        if !outcomes.iter().flatten().any(|receipt| receipt.repeated) {
            // The hashes beside what was just written are in memory.
            let growth = prove(&self.store, &mut outcomes, known)?;
            return Ok((outcomes, growth));
        }
        let prove = move |store: &Store, _short: &Halt| {
            let growth = prove(store, &mut outcomes, known)?;
            Ok((outcomes, growth))
        };
        self.read(Some(member), prove).await
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

    /// Proves that entries are in the tree of the head, which continues that of a size. It is for what was read before,
    /// and takes nothing from the quota of look-ups.
    pub async fn multiproof(
        &self,
        member: &MemberId,
        sequences: Vec<u64>,
        known: u64,
    ) -> Result<Multiproof, ExchangeError> {
        self.reader(member)?;
        let head = self.head();
        demand_places(&sequences, head.size)?;
        let prove = move |store: &Store, _short: &Halt| {
            let tree = store.tree();
            let hashes = proof::multiproof(&tree, &sequences, head.size)?;
            Ok((hashes, proof::consistency(&tree, known, head.size)?))
        };
        let (hashes, growth) = self.read(Some(member), prove).await?;
        Ok(Multiproof { checkpoint: head.checkpoint.to_string(), hashes, growth })
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

/// Puts its proof into the receipt of each record that was taken in; the proof of the tree's growth.
fn prove(store: &Store, outcomes: &mut [Outcome], known: u64) -> Result<Vec<u8>, StoreError> {
    let mut taken: Vec<&mut Receipt> = outcomes.iter_mut().flatten().collect();
    taken.sort_unstable_by_key(|receipt| receipt.sequence);
    let Some(size) = taken.first().map(|receipt| receipt.tree_size) else {
        return Ok(Vec::new());
    };
    let sequences: Vec<u64> = taken.iter().map(|receipt| receipt.sequence).collect();
    let tree = store.tree();
    let paths = proof::inclusions(&tree, &sequences, size)?;
    for (receipt, path) in taken.into_iter().zip(paths) {
        receipt.inclusion_proof = path.concat();
    }
    Ok(proof::consistency(&tree, known, size)?.concat())
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

/// Demands places of entries that rise, not too many.
fn demand_places(sequences: &[u64], size: u64) -> Result<(), Refusal> {
    let refused = |message: String| Err(Refusal::field(Reason::FieldInvalid, "sequences", message));
    let most = limits::PAGE_ENTRIES_MAX;
    if sequences.is_empty() || sequences.len() > most {
        return refused(format!("must be 1 to {most} places"));
    }
    if !sequences.is_sorted_by(|one, next| one < next) {
        return refused("must rise".to_owned());
    }
    match sequences.last() {
        Some(last) if *last >= size => Err(beyond("sequences", size.saturating_sub(1))),
        _below => Ok(()),
    }
}

fn beyond(field: &'static str, most: u64) -> Refusal {
    Refusal::field(Reason::FieldInvalid, field, format!("must be at most {most}"))
}
