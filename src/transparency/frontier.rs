//! The frontier of a Merkle tree: the roots of its perfect subtrees, enough to append and to name the root.

use sha2::Digest as _;
use sha2::Sha256;

use crate::model::names::Digest;
use crate::transparency::tree::join;
use crate::transparency::tree::subtrees;

/// The perfect subtrees of a tree of some size, largest first: one for each bit set in the size (RFC 6962).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Digest>,
}

impl Frontier {
    /// From stored peaks; `None` if their number does not fit the size.
    pub fn from_peaks(size: u64, peaks: Vec<Digest>) -> Option<Self> {
        let fits = usize::try_from(size.count_ones()).is_ok_and(|count| count == peaks.len());
        fits.then_some(Self { size, peaks })
    }

    /// Appends a leaf hash: O(1) amortised, O(log n) at worst.
    pub fn push(&mut self, leaf_hash: Digest) {
        let mut hash = leaf_hash;
        for _merged in 0..self.size.trailing_ones() {
            // Invariant: one peak for each bit set in the size, so there is one to merge with.
            if let Some(left) = self.peaks.pop() {
                hash = join(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// Appends a perfect subtree of `2^level` leaves; whether it fits behind what is there.
    #[must_use]
    pub fn push_subtree(&mut self, level: u8, hash: Digest) -> bool {
        let Some(leaves) = 1_u64.checked_shl(u32::from(level)) else { return false };
        if !self.size.is_multiple_of(leaves) || self.size.checked_add(leaves).is_none() {
            return false;
        }
        let mut hash = hash;
        for _merged in 0..(self.size / leaves).trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = join(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += leaves;
        true
    }

    /// Appends leaves that are not known one by one, up to a place, as the perfect subtrees that they fall into, in the
    /// order of [`subtrees`]; whether there were enough hashes.
    #[must_use]
    pub fn fill(&mut self, to: u64, hashes: &mut impl Iterator<Item = Digest>) -> bool {
        subtrees(self.size, to)
            .all(|node| hashes.next().is_some_and(|hash| self.push_subtree(node.level, hash)))
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The peaks, largest first.
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// The root: peaks folded from the right; of an empty tree the hash of nothing.
    pub fn root(&self) -> Digest {
        self.peaks
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| join(&left, &right))
            .unwrap_or_else(|| Sha256::digest([]).into())
    }
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;

    use super::*;
    use crate::transparency::proof::frontier;
    use crate::transparency::tree::Nodes as _;
    use crate::transparency::tree::tests::Kept;
    use crate::transparency::tree::tests::leaf;

    #[test]
    fn the_root_is_that_of_another_implementation_for_every_small_size() {
        let mut frontier = Frontier::default();
        let mut oracle = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for number in 0..600_u64 {
            let leaf = number.to_be_bytes().to_vec();
            let hash = Sha256::new().chain_update([0]).chain_update(&leaf).finalize();
            frontier.push(hash.into());
            oracle.push(leaf);
            assert_eq!(frontier.root().as_slice(), oracle.root().as_bytes().as_slice(), "{number}");
            let again = Frontier::from_peaks(frontier.size(), frontier.peaks().to_vec());
            assert_eq!(again.as_ref(), Some(&frontier));
        }
    }

    #[test]
    fn what_is_not_seen_is_filled_by_subtrees() {
        let kept = Kept::of(200);
        for (from, to) in [(0, 200), (1, 200), (37, 150), (64, 128), (127, 129), (200, 200)] {
            let mut walk = frontier(&kept, from).unwrap();
            // Every seventh is seen.
            for seen in (from..to).filter(|place| place % 7 == 0) {
                let mut hidden = subtrees(walk.size(), seen).map(|node| kept.node(node).unwrap());
                assert!(walk.fill(seen, &mut hidden) && hidden.next().is_none());
                walk.push(leaf(seen));
            }
            let mut hidden = subtrees(walk.size(), to).map(|node| kept.node(node).unwrap());
            assert!(walk.fill(to, &mut hidden));
            assert_eq!(walk, frontier(&kept, to).unwrap(), "{from} {to}");
        }
        let mut short = Frontier::default();
        assert!(!short.fill(3, &mut std::iter::once(leaf(0))));
        assert!(!frontier(&kept, 3).unwrap().push_subtree(1, leaf(0)), "it does not fit behind 3");
        assert!(!Frontier::default().push_subtree(64, leaf(0)));
    }

    #[test]
    fn the_empty_tree_has_the_root_of_rfc_6962() {
        let root = hex::encode(Frontier::default().root());
        assert_eq!(root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn peaks_that_do_not_fit_the_size_are_refused() {
        assert!(Frontier::from_peaks(3, vec![[0; 32]]).is_none());
    }
}
