//! A tree in memory: every perfect subtree, by level.

use std::convert::Infallible;

use sha2::Digest as _;
use sha2::Sha256;
use watchfire::model::names::Digest;
use watchfire::transparency::Node;
use watchfire::transparency::Nodes;
use watchfire::transparency::proof;

/// The tree over the numbers below its size.
#[derive(Debug)]
pub(crate) struct Plain(Vec<Vec<Digest>>);

impl Plain {
    pub(crate) fn of(size: u64) -> Self {
        let leaf = |number: u64| {
            let hash = Sha256::new().chain_update([0]).chain_update(number.to_be_bytes());
            hash.finalize().into()
        };
        let mut levels = vec![(0..size).map(leaf).collect::<Vec<Digest>>()];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let (pairs, _odd) = below.as_chunks::<2>();
            levels.push(pairs.iter().map(|[left, right]| join(left, right)).collect());
        }
        Self(levels)
    }

    /// The root when the tree had so many leaves.
    pub(crate) fn root(&self, size: u64) -> Digest {
        match proof::frontier(self, size) {
            Ok(frontier) => frontier.root(),
        }
    }

    /// A leaf.
    pub(crate) fn leaf(&self, index: u64) -> Digest {
        match self.node(Node::leaf(index)) {
            Ok(leaf) => leaf,
        }
    }
}

impl Nodes for Plain {
    type Error = Infallible;

    fn node(&self, node: Node) -> Result<Digest, Infallible> {
        let level = self.0.get(usize::from(node.level)).expect("a level");
        Ok(*level.get(usize::try_from(node.index).expect("a place")).expect("a node"))
    }
}

fn join(left: &Digest, right: &Digest) -> Digest {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}
