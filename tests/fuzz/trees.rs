//! Every proof of every tree, beside another implementation; and every proof changed, which is refused (T-L1).

use ct_merkle::ConsistencyProof;
use ct_merkle::InclusionProof;
use ct_merkle::RootHash;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::Rng as _;
use proptest::test_runner::RngAlgorithm;
use proptest::test_runner::TestRng;
use sha2::Sha256;
use watchfire::model::names::Digest;
use watchfire::transparency::Frontier;
use watchfire::transparency::Node;
use watchfire::transparency::Nodes as _;
use watchfire::transparency::proof;

use crate::lane::is_on_demand;
use crate::targets::plain::Plain;

/// Trees of which every proof is made, up to this size: 1,000 on demand.
const EXHAUSTIVE: u64 = 100;
const EXHAUSTIVE_ON_DEMAND: u64 = 1000;
/// The largest tree of which some are made, and how many trees and proofs of each.
const LARGEST: u64 = 20_000;
const LARGEST_ON_DEMAND: u64 = 1_000_000;
const TREES: u64 = 8;
const TREES_ON_DEMAND: u64 = 40;
const PROOFS: u64 = 32;

fn small(number: u64) -> usize {
    usize::try_from(number).expect("a number")
}

fn random(name: &str) -> TestRng {
    TestRng::from_seed(RngAlgorithm::ChaCha, &watchfire::model::names::sha256(name.as_bytes()))
}

/// A tree and its twin, and every root that they had.
struct Trees {
    ours: Plain,
    theirs: MemoryBackedTree<Sha256, Vec<u8>>,
    roots: Vec<Digest>,
}

impl Trees {
    fn of(size: u64) -> Self {
        let mut theirs = MemoryBackedTree::new();
        (0..size).for_each(|number| theirs.push(number.to_be_bytes().to_vec()));
        let ours = Plain::of(size);
        let mut frontier = Frontier::default();
        let mut roots = vec![frontier.root()];
        for number in 0..size {
            frontier.push(ours.leaf(number));
            roots.push(frontier.root());
        }
        Self { ours, theirs, roots }
    }

    fn root(&self, size: u64) -> Digest {
        *self.roots.get(small(size)).expect("a root")
    }

    /// One proof of inclusion in the whole tree, and changes of it.
    fn inclusion(&self, index: u64, size: u64, random: &mut TestRng) -> u64 {
        let Ok(path) = proof::inclusion(&self.ours, index, size);
        assert_eq!(
            path.concat(),
            self.theirs.prove_inclusion(small(index)).as_bytes(),
            "{index} of {size}"
        );
        let (leaf, root) = (self.ours.leaf(index), self.root(size));
        let holds = |leaf, place, root: &Digest, path: &[Digest]| {
            proof::check_inclusion(leaf, place, (size, root), path).is_ok()
        };
        assert!(holds(leaf, index, &root, &path), "{index} of {size}");
        let ours = InclusionProof::<Sha256>::try_from_bytes(path.concat()).expect("a proof");
        let their_root = RootHash::<Sha256>::new(root.into(), size);
        their_root.verify_inclusion(&index.to_be_bytes().to_vec(), index, &ours).expect("it holds");
        let mut changed = 0;
        for other in mutants(&path, random) {
            assert!(!holds(leaf, index, &root, &other), "a changed path, {index} of {size}");
            changed += 1;
        }
        assert!(!holds(flipped(&leaf, random), index, &root, &path), "another leaf");
        assert!(!holds(leaf, index, &flipped(&root, random), &path), "another root");
        assert!(size == 1 || !holds(leaf, (index + 1) % size, &root, &path), "another place");
        changed + 3
    }

    /// One proof that a smaller tree is the beginning of the whole one, and changes of it.
    fn consistency(&self, old: u64, new: u64, random: &mut TestRng) -> u64 {
        let Ok(path) = proof::consistency(&self.ours, old, new);
        let theirs = self.theirs.prove_consistency(small(new - old));
        assert_eq!(path.concat(), theirs.as_bytes(), "{old} in {new}");
        let (old_root, new_root) = (self.root(old), self.root(new));
        let holds = |old_root: &Digest, new_root: &Digest, path: &[Digest]| {
            proof::check_consistency((old, old_root), (new, new_root), path).is_ok()
        };
        assert!(holds(&old_root, &new_root, &path), "{old} in {new}");
        let ours = ConsistencyProof::<Sha256>::try_from_bytes(path.concat()).expect("a proof");
        let [their_old, their_new] = [(old_root, old), (new_root, new)]
            .map(|(root, size)| RootHash::<Sha256>::new(root.into(), size));
        their_new.verify_consistency(&their_old, &ours).expect("it holds");
        let mut changed = 0;
        for other in mutants(&path, random) {
            assert!(!holds(&old_root, &new_root, &other), "a changed path, {old} in {new}");
            changed += 1;
        }
        assert!(!holds(&flipped(&old_root, random), &new_root, &path), "another beginning");
        assert!(!holds(&old_root, &flipped(&new_root, random), &path), "another tree");
        changed + 2
    }
}

/// A hash with one bit flipped.
fn flipped(hash: &Digest, random: &mut TestRng) -> Digest {
    let mut hash = *hash;
    let bit = small(random.next_u64() % 256);
    hash.get_mut(bit / 8).into_iter().for_each(|byte| *byte ^= 1 << (bit % 8));
    hash
}

/// Each hash changed, each left out, each twice, and neighbours in the place of each other.
fn mutants(path: &[Digest], random: &mut TestRng) -> Vec<Vec<Digest>> {
    let mut all = vec![[path, &[[7; 32]]].concat()];
    for (at, hash) in path.iter().enumerate() {
        let with = |change: &dyn Fn(&mut Vec<Digest>)| {
            let mut other = path.to_vec();
            change(&mut other);
            other
        };
        let other = flipped(hash, random);
        all.push(with(&|path| drop(path.splice(at..=at, [other]))));
        all.push(with(&|path| drop(path.drain(at..=at))));
        all.push(with(&|path| path.insert(at, *hash)));
        if at > 0 {
            all.push(with(&|path| path.swap(at - 1, at)));
        }
    }
    all
}

/// The leaves, in hex, by which implementations of RFC 6962 and RFC 9162 (section 2.1.1) check their trees, beginning with
/// the certificate-transparency project's, and the roots of the first one, two, and so on of them.
const PUBLISHED: [(&str, &str); 8] = [
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    (
        "606162636465666768696a6b6c6d6e6f",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ),
];

#[test]
fn roots_are_those_that_were_published() {
    let mut frontier = Frontier::default();
    for (size, (leaf, root)) in (1_u64..).zip(PUBLISHED) {
        let leaf = hex::decode(leaf).expect("hex");
        frontier.push(watchfire::model::names::sha256(&[&[0], leaf.as_slice()].concat()));
        assert_eq!(hex::encode(frontier.root()), root, "{size}");
    }
}

#[test]
fn every_proof_of_every_small_tree_is_that_of_another_implementation_and_no_other_holds() {
    let most = if is_on_demand() { EXHAUSTIVE_ON_DEMAND } else { EXHAUSTIVE };
    let mut random = random("small trees");
    let (mut proofs, mut changed) = (0_u64, 0_u64);
    assert_eq!(Trees::of(0).root(0), watchfire::model::names::sha256(b""));
    for size in 1..=most {
        let trees = Trees::of(size);
        for index in 0..size {
            changed += trees.inclusion(index, size, &mut random);
            changed += trees.consistency(index + 1, size, &mut random);
            proofs += 2;
        }
    }
    println!("trees up to {most}: {proofs} proofs, {changed} changed ones refused");
}

#[test]
fn proofs_of_large_trees_are_those_of_another_implementation_and_no_others_hold() {
    let is_on_demand = is_on_demand();
    let most = if is_on_demand { LARGEST_ON_DEMAND } else { LARGEST };
    let count = if is_on_demand { TREES_ON_DEMAND } else { TREES };
    let mut random = random("large trees");
    let (mut proofs, mut changed) = (0_u64, 0_u64);
    for tree in 0..count {
        let size = if tree == 0 { most } else { 1 + random.next_u64() % most };
        let trees = Trees::of(size);
        let Ok(whole) = trees.ours.node(Node::leaf(size - 1));
        assert_eq!(whole, trees.ours.leaf(size - 1));
        for _proof in 0..PROOFS {
            changed += trees.inclusion(random.next_u64() % size, size, &mut random);
            changed += trees.consistency(1 + random.next_u64() % size, size, &mut random);
            proofs += 2;
        }
    }
    println!("{count} trees up to {most}: {proofs} proofs, {changed} changed ones refused");
}
