//! The frontier of a Merkle tree: the roots of its perfect subtrees, enough to append and to name the root.

use sha2::Digest as _;
use sha2::Sha256;

use crate::model::names::Digest;

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
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
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
            .reduce(|right, left| node(&left, &right))
            .unwrap_or_else(|| Sha256::digest([]).into())
    }
}

/// SHA-256(0x01 || left || right), RFC 6962 section 2.1.
fn node(left: &Digest, right: &Digest) -> Digest {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;

    use super::*;

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
    fn the_empty_tree_has_the_root_of_rfc_6962() {
        let root = hex::encode(Frontier::default().root());
        assert_eq!(root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn peaks_that_do_not_fit_the_size_are_refused() {
        assert!(Frontier::from_peaks(3, vec![[0; 32]]).is_none());
    }
}
