//! Proofs of RFC 6962: that an entry is in a tree, and that one tree is the beginning of another.
//!
//! They are made from the nodes that are kept, and checked from hashes alone (RFC 9162, sections 2.1.3.2 and 2.1.4.2).

use crate::model::names::Digest;
use crate::transparency::Frontier;
use crate::transparency::tree::Node;
use crate::transparency::tree::Nodes;
use crate::transparency::tree::join;
use crate::transparency::tree::subtrees;

/// Hashes of a proof at most: a path from a leaf of the largest tree, and a consistency proof's one more.
pub const PROOF_HASHES_MAX: usize = 65;

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not lead from the one to the other")]
pub struct InvalidProof;

/// The path from a leaf to the root of a tree of some size, from below; empty if the tree has no such leaf.
pub fn inclusion<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Digest>, N::Error> {
    Ok(inclusions(nodes, &[index], size)?.pop().unwrap_or_default())
}

/// The path of each of some leaves, which rise and are in the tree. What paths share is looked for once.
pub fn inclusions<N: Nodes>(
    nodes: &N,
    indices: &[u64],
    size: u64,
) -> Result<Vec<Vec<Digest>>, N::Error> {
    let within = indices.partition_point(|index| *index < size);
    let mut descent = Descent { nodes, above: Vec::new(), paths: Vec::with_capacity(within) };
    descent.go(0, size, indices.get(..within).unwrap_or_default())?;
    Ok(descent.paths)
}

/// What proves at once that some leaves, which rise strictly and are in the tree, are at their places: the roots of the largest
/// subtrees that hold none of them, from the left.
pub fn multiproof<N: Nodes>(
    nodes: &N,
    indices: &[u64],
    size: u64,
) -> Result<Vec<Digest>, N::Error> {
    let mut hashes = Vec::new();
    if !indices.is_empty() {
        beside(nodes, (0, size), indices, &mut hashes)?;
    }
    Ok(hashes)
}

fn beside<N: Nodes>(
    nodes: &N,
    (from, to): (u64, u64),
    indices: &[u64],
    hashes: &mut Vec<Digest>,
) -> Result<(), N::Error> {
    if indices.is_empty() {
        hashes.push(root(nodes, from, to)?);
    } else if to - from > 1 {
        let middle = from + split(to - from);
        let (left, right) = indices.split_at(indices.partition_point(|index| *index < middle));
        beside(nodes, (from, middle), left, hashes)?;
        beside(nodes, (middle, to), right, hashes)?;
    }
    Ok(())
}

/// The way down to leaves, and what lies beside it.
struct Descent<'a, N> {
    nodes: &'a N,
    above: Vec<Digest>,
    paths: Vec<Vec<Digest>>,
}

impl<N: Nodes> Descent<'_, N> {
    fn go(&mut self, from: u64, to: u64, indices: &[u64]) -> Result<(), N::Error> {
        if indices.is_empty() {
            return Ok(());
        }
        if to - from == 1 {
            let path: Vec<Digest> = self.above.iter().rev().copied().collect();
            self.paths.extend(indices.iter().map(|_index| path.clone()));
            return Ok(());
        }
        let middle = from + split(to - from);
        let (left, right) = indices.split_at(indices.partition_point(|index| *index < middle));
        for (own, (start, end), beside) in
            [(left, (from, middle), (middle, to)), (right, (middle, to), (from, middle))]
        {
            if own.is_empty() {
                continue;
            }
            self.above.push(root(self.nodes, beside.0, beside.1)?);
            self.go(start, end, own)?;
            self.above.pop();
        }
        Ok(())
    }
}

/// What leads from the root of a tree of one size to that of a larger one; empty where there is nothing to prove.
pub fn consistency<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Vec<Digest>, N::Error> {
    let mut path = Vec::new();
    if old == 0 || old >= new {
        return Ok(path);
    }
    let (mut from, mut to) = (0, new);
    while to != old {
        let middle = from + split(to - from);
        if old <= middle {
            path.push(root(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(root(nodes, from, middle)?);
            from = middle;
        }
    }
    // The old tree's own root is known to whoever asks.
    if from > 0 {
        path.push(root(nodes, from, to)?);
    }
    path.reverse();
    Ok(path)
}

/// The frontier of a tree of some size.
pub fn frontier<N: Nodes>(nodes: &N, size: u64) -> Result<Frontier, N::Error> {
    let peaks = subtrees(0, size).map(|node| nodes.node(node)).collect::<Result<Vec<_>, _>>()?;
    // One perfect subtree for each bit set in the size.
    Ok(Frontier::from_peaks(size, peaks).unwrap_or_default())
}

/// The way of a node up to the root (RFC 9162, sections 2.1.3.2 and 2.1.4.2): its place in its row, and the last one there.
struct Way {
    own: u64,
    last: u64,
}

impl Way {
    const fn is_at_the_top(&self) -> bool {
        self.last == 0
    }

    /// Goes up to the next node that has two children; whether it comes from the right one.
    const fn goes_up_from_the_right(&mut self) -> bool {
        let from_right = self.own % 2 == 1 || self.own == self.last;
        // Rows in which it has no neighbour are passed by. 0 has none in any.
        let passed = if from_right && self.own != 0 { self.own.trailing_zeros() } else { 0 };
        self.own >>= passed + 1;
        self.last >>= passed + 1;
        from_right
    }
}

/// Checks that a leaf is at a place of the tree with a root.
pub fn check_inclusion(
    leaf: Digest,
    index: u64,
    (size, root): (u64, &Digest),
    path: &[Digest],
) -> Result<(), InvalidProof> {
    if index >= size {
        return Err(InvalidProof);
    }
    let (mut way, mut hash) = (Way { own: index, last: size - 1 }, leaf);
    for other in path {
        if way.is_at_the_top() {
            return Err(InvalidProof);
        }
        hash = if way.goes_up_from_the_right() { join(other, &hash) } else { join(&hash, other) };
    }
    if way.is_at_the_top() && hash == *root { Ok(()) } else { Err(InvalidProof) }
}

/// Checks that leaves, each with its place, are in the tree with a root. They must rise strictly.
pub fn check_multiproof(
    leaves: &[(u64, Digest)],
    (size, root): (u64, &Digest),
    hashes: &[Digest],
) -> Result<(), InvalidProof> {
    if !leaves.is_sorted_by(|(one, _), (next, _)| one < next) {
        return Err(InvalidProof);
    }
    match leaves.last() {
        None => return if hashes.is_empty() { Ok(()) } else { Err(InvalidProof) },
        Some((last, _leaf)) if *last >= size => return Err(InvalidProof),
        Some(_within) => {}
    }
    let mut hashes = hashes.iter();
    let found = root_with((0, size), leaves, &mut hashes)?;
    if found == *root && hashes.as_slice().is_empty() { Ok(()) } else { Err(InvalidProof) }
}

/// The root over a part of the tree, from the leaves in it and what lies beside them.
fn root_with(
    (from, to): (u64, u64),
    leaves: &[(u64, Digest)],
    hashes: &mut std::slice::Iter<'_, Digest>,
) -> Result<Digest, InvalidProof> {
    match leaves.first() {
        None => hashes.next().copied().ok_or(InvalidProof),
        Some((_place, leaf)) if to - from == 1 => Ok(*leaf),
        Some(_below) => {
            let middle = from + split(to - from);
            let (left, right) =
                leaves.split_at(leaves.partition_point(|(place, _leaf)| *place < middle));
            let left = root_with((from, middle), left, hashes)?;
            Ok(join(&left, &root_with((middle, to), right, hashes)?))
        }
    }
}

/// The root of the tree when a leaf was its last, by the path of the leaf in a larger tree, which holds: what lies left of
/// the way was there already.
pub fn root_then(leaf: Digest, index: u64, size: u64, path: &[Digest]) -> Digest {
    let (mut way, mut hash) = (Way { own: index, last: size.saturating_sub(1) }, leaf);
    for other in path {
        if way.goes_up_from_the_right() {
            hash = join(other, &hash);
        }
    }
    hash
}

/// Checks that the tree with one root is the beginning of the tree with another.
pub fn check_consistency(
    (old, old_root): (u64, &Digest),
    (new, new_root): (u64, &Digest),
    path: &[Digest],
) -> Result<(), InvalidProof> {
    if old > new {
        return Err(InvalidProof);
    }
    if old == 0 || old == new {
        let same = old == 0 || old_root == new_root;
        return if same && path.is_empty() { Ok(()) } else { Err(InvalidProof) };
    }
    let begins_with_old = old.is_power_of_two();
    let (first, rest) = match path.split_first() {
        Some(_) if begins_with_old => (old_root, path),
        Some((first, rest)) => (first, rest),
        None => return Err(InvalidProof),
    };
    let skipped = (old - 1).trailing_ones();
    let mut way = Way { own: (old - 1) >> skipped, last: (new - 1) >> skipped };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for other in rest {
        if way.is_at_the_top() {
            return Err(InvalidProof);
        }
        if way.goes_up_from_the_right() {
            old_hash = join(other, &old_hash);
            new_hash = join(other, &new_hash);
        } else {
            new_hash = join(&new_hash, other);
        }
    }
    let holds = way.is_at_the_top() && old_hash == *old_root && new_hash == *new_root;
    if holds { Ok(()) } else { Err(InvalidProof) }
}

/// The root over leaves from one place up to another, the first of which begins a perfect subtree of that many.
fn root<N: Nodes>(nodes: &N, from: u64, to: u64) -> Result<Digest, N::Error> {
    let peaks = subtrees(from, to).map(|node: Node| nodes.node(node));
    let peaks = peaks.collect::<Result<Vec<_>, _>>()?;
    let folded = peaks.into_iter().rev().reduce(|right, left| join(&left, &right));
    Ok(folded.unwrap_or_default())
}

/// The largest power of two below a number of leaves, of which there are two at least.
const fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use ct_merkle::ConsistencyProof;
    use ct_merkle::InclusionProof;
    use ct_merkle::RootHash;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use sha2::Sha256;

    use super::*;
    use crate::transparency::tree::tests::Kept;
    use crate::transparency::tree::tests::leaf;
    use crate::transparency::tree::tests::root as plain_root;

    const EXHAUSTIVE: u64 = 140;

    fn flip(hash: &mut Digest, bit: usize) {
        hash[bit / 8] ^= 1 << (bit % 8);
    }

    fn oracle(size: u64) -> MemoryBackedTree<Sha256, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        (0..size).for_each(|number: u64| tree.push(number.to_be_bytes().to_vec()));
        tree
    }

    #[test]
    fn every_inclusion_proof_of_every_small_tree_is_that_of_another_implementation() {
        let kept = Kept::of(EXHAUSTIVE);
        for size in 1..=EXHAUSTIVE {
            let tree = oracle(size);
            let root = plain_root(0, size);
            for index in 0..size {
                let path = inclusion(&kept, index, size).unwrap();
                let theirs = tree.prove_inclusion(usize::try_from(index).unwrap());
                assert_eq!(path.concat(), theirs.as_bytes(), "{index} of {size}");
                check_inclusion(leaf(index), index, (size, &root), &path).unwrap();
                let ours = InclusionProof::<Sha256>::try_from_bytes(path.concat()).unwrap();
                let their_root = RootHash::<Sha256>::new(root.into(), size);
                their_root.verify_inclusion(&index.to_be_bytes().to_vec(), index, &ours).unwrap();
            }
        }
    }

    #[test]
    fn every_consistency_proof_of_every_small_tree_is_that_of_another_implementation() {
        let kept = Kept::of(EXHAUSTIVE);
        for new in 1..=EXHAUSTIVE {
            let tree = oracle(new);
            let new_root = plain_root(0, new);
            for old in 1..=new {
                let path = consistency(&kept, old, new).unwrap();
                let theirs = tree.prove_consistency(usize::try_from(new - old).unwrap());
                assert_eq!(path.concat(), theirs.as_bytes(), "{old} in {new}");
                let old_root = plain_root(0, old);
                check_consistency((old, &old_root), (new, &new_root), &path).unwrap();
                let ours = ConsistencyProof::<Sha256>::try_from_bytes(path.concat()).unwrap();
                let [their_old, their_new] = [(old_root, old), (new_root, new)]
                    .map(|(root, size)| RootHash::<Sha256>::new(root.into(), size));
                their_new.verify_consistency(&their_old, &ours).unwrap();
            }
        }
    }

    #[test]
    fn paths_of_many_leaves_are_those_of_each() {
        let kept = Kept::of(EXHAUSTIVE);
        let indices: Vec<u64> = [0, 1, 1, 63, 64, 70, 130, 139, 140, 999].to_vec();
        let paths = inclusions(&kept, &indices, EXHAUSTIVE).unwrap();
        assert_eq!(paths.len(), 8, "what is not in the tree has no path");
        for (index, path) in indices.into_iter().zip(paths) {
            assert_eq!(path, inclusion(&kept, index, EXHAUSTIVE).unwrap());
        }
    }

    #[test]
    fn a_multiproof_of_one_leaf_has_the_hashes_of_its_path_and_of_all_leaves_none() {
        for size in 1..=EXHAUSTIVE {
            let kept = Kept::of(size);
            let root = plain_root(0, size);
            for index in 0..size {
                let mut path = inclusion(&kept, index, size).unwrap();
                let mut hashes = multiproof(&kept, &[index], size).unwrap();
                check_multiproof(&[(index, leaf(index))], (size, &root), &hashes).unwrap();
                path.sort_unstable();
                hashes.sort_unstable();
                assert_eq!(hashes, path, "{index} of {size}");
            }
            let all: Vec<(u64, Digest)> = (0..size).map(|index| (index, leaf(index))).collect();
            check_multiproof(&all, (size, &root), &[]).unwrap();
            check_multiproof(&all, (size, &root), &[root]).unwrap_err();
        }
    }

    #[test]
    fn the_path_of_a_leaf_tells_the_root_of_the_tree_that_ended_with_it() {
        let kept = Kept::of(EXHAUSTIVE);
        for size in 1..=EXHAUSTIVE {
            for index in 0..size {
                let path = inclusion(&kept, index, size).unwrap();
                let root = root_then(leaf(index), index, size, &path);
                assert_eq!(root, plain_root(0, index + 1), "{index} of {size}");
            }
        }
    }

    #[test]
    fn nothing_is_to_be_proved_of_the_empty_tree() {
        let (kept, any) = (Kept::of(5), [7; 32]);
        assert!(consistency(&kept, 0, 5).unwrap().is_empty());
        check_consistency((0, &any), (5, &plain_root(0, 5)), &[]).unwrap();
        check_consistency((0, &any), (5, &plain_root(0, 5)), &[any]).unwrap_err();
        check_inclusion(leaf(0), 0, (0, &plain_root(0, 0)), &[]).unwrap_err();
    }

    #[test]
    fn a_frontier_is_found_for_every_size() {
        let kept = Kept::of(EXHAUSTIVE);
        for size in 0..=EXHAUSTIVE {
            assert_eq!(frontier(&kept, size).unwrap().root(), plain_root(0, size));
        }
    }

    proptest! {
        #[test]
        fn a_multiproof_holds_for_its_leaves_at_their_places_and_for_nothing_else(
            size in 1_u64..300,
            places in prop::collection::btree_set(0_u64..300, 1..40),
            change in 0_u8..7,
            bit in 0_usize..256,
            which in any::<prop::sample::Index>(),
        ) {
            let (kept, root) = (Kept::of(size), plain_root(0, size));
            let places: Vec<u64> = places.into_iter().filter(|place| *place < size).collect();
            prop_assume!(!places.is_empty());
            let mut leaves: Vec<(u64, Digest)> =
                places.iter().map(|place| (*place, leaf(*place))).collect();
            let mut hashes = multiproof(&kept, &places, size).unwrap();
            prop_assert!(check_multiproof(&leaves, (size, &root), &hashes).is_ok());
            match change {
                0 if !hashes.is_empty() => flip(which.get_mut(&mut hashes), bit),
                0 | 1 => flip(&mut which.get_mut(&mut leaves).1, bit),
                2 => hashes.push(root),
                3 if !hashes.is_empty() => drop(hashes.pop()),
                3 | 4 => {
                    // Another place that is free, or beyond the tree.
                    let free = (0..=size).find(|place| !places.contains(place)).unwrap();
                    which.get_mut(&mut leaves).0 = free;
                    leaves.sort_unstable();
                }
                5 => leaves.push(*leaves.last().unwrap()),
                _ => leaves.reverse(),
            }
            let is_same = change == 6 && leaves.len() == 1;
            prop_assert_eq!(check_multiproof(&leaves, (size, &root), &hashes).is_ok(), is_same);
        }

        #[test]
        fn a_changed_proof_of_inclusion_is_refused(
            size in 2_u64..300,
            at in 0_u64..300,
            change in 0_u8..6,
            bit in 0_usize..256,
            which in any::<prop::sample::Index>(),
        ) {
            let (kept, index) = (Kept::of(size), at % size);
            let mut path = inclusion(&kept, index, size).unwrap();
            let (mut leaf, mut place, mut root) = (leaf(index), index, plain_root(0, size));
            match change {
                0 => flip(which.get_mut(&mut path), bit),
                1 => flip(&mut leaf, bit),
                2 => flip(&mut root, bit),
                3 => place = (index + 1 + at % (size - 1)) % size,
                4 => drop(path.pop()),
                _ => path.push(root),
            }
            prop_assert!(check_inclusion(leaf, place, (size, &root), &path).is_err());
        }

        #[test]
        fn a_changed_proof_of_consistency_is_refused(
            new in 2_u64..300,
            at in 0_u64..300,
            change in 0_u8..5,
            bit in 0_usize..256,
            which in any::<prop::sample::Index>(),
        ) {
            let (kept, old) = (Kept::of(new), 1 + at % (new - 1));
            let mut path = consistency(&kept, old, new).unwrap();
            let (mut old_root, mut new_root) = (plain_root(0, old), plain_root(0, new));
            match change {
                0 => flip(which.get_mut(&mut path), bit),
                1 => flip(&mut old_root, bit),
                2 => flip(&mut new_root, bit),
                3 => drop(path.pop()),
                _ => path.push(new_root),
            }
            prop_assert!(check_consistency((old, &old_root), (new, &new_root), &path).is_err());
        }
    }
}
