//! The stored nodes of the Merkle tree: tiles of 64 hashes with every node above them, so that a proof is read and not
//! computed.
//!
//! A tile of level 0 holds the leaf hashes of 64 consecutive entries and the nodes above them up to the tile's root;
//! roots of 64 tiles are the lowest row of a tile one level up (the layout of C2SP tlog-tiles, with all rows and a
//! height of 6, so that a tile fits one stored value). Whole tiles never change. The unfinished ones, one a level, are
//! the tree's edge.

use std::sync::Arc;

use sha2::Digest as _;
use sha2::Sha256;

use crate::model::names::Digest;

/// Rows of a tile below its root.
pub const TILE_HEIGHT: u8 = 6;
/// Hashes of a tile's lowest row.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;
/// Rows of a tile: one more than its height.
const ROWS: usize = 7;
/// Nodes of a whole tile.
const TILE_NODES: usize = (1 << ROWS) - 1;
/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;

/// A perfect subtree: the one over the leaves from `index * 2^level` up to `(index + 1) * 2^level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// How often leaves were joined.
    pub level: u8,
    /// Which of its level.
    pub index: u64,
}

/// Which tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// How many tiles are below it.
    pub level: u8,
    /// Which of its level.
    pub index: u64,
}

/// Where the hashes of nodes come from.
pub trait Nodes {
    /// Why a node cannot be had.
    type Error;

    /// The hash of a perfect subtree that is complete.
    fn node(&self, node: Node) -> Result<Digest, Self::Error>;
}

/// The nodes of up to 64 neighbours of one level, and of the levels above them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tile {
    rows: [Vec<Digest>; ROWS],
}

/// The tiles of a tree that are not whole, one for each level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    tiles: Vec<Arc<Tile>>,
}

impl Node {
    /// The leaf at a place.
    pub const fn leaf(index: u64) -> Self {
        Self { level: 0, index }
    }

    /// The largest perfect subtree that begins at a place and ends at or before another; `None` if there is nothing
    /// between them.
    pub fn first_of(from: u64, to: u64) -> Option<Self> {
        if from >= to {
            return None;
        }
        let level = from.trailing_zeros().min((to - from).ilog2());
        // At most 63, so that it is never refused.
        Some(Self { level: u8::try_from(level).ok()?, index: from >> level })
    }

    /// The place behind its last leaf.
    pub const fn end(self) -> u64 {
        (self.index + 1) << self.level
    }

    /// The tile that holds it, the row there, and the place in the row.
    pub const fn tile(self) -> (TileId, u8, u64) {
        let row = self.level % TILE_HEIGHT;
        let width = TILE_WIDTH >> row;
        let tile = TileId { level: self.level / TILE_HEIGHT, index: self.index / width };
        (tile, row, self.index % width)
    }
}

/// The perfect subtrees that leaves from one place up to another fall into: the fewest, rising.
pub fn subtrees(from: u64, to: u64) -> impl Iterator<Item = Node> {
    std::iter::successors(Node::first_of(from, to), move |node| Node::first_of(node.end(), to))
}

impl Tile {
    /// A whole tile from its lowest row.
    pub fn of_row(row: impl IntoIterator<Item = Digest>) -> Self {
        let mut tile = Self::default();
        for hash in row {
            tile.push(hash);
        }
        tile
    }

    /// Appends to the lowest row; the root, if that made the tile whole.
    pub fn push(&mut self, hash: Digest) -> Option<Digest> {
        let [below @ .., root] = &mut self.rows;
        let mut hash = hash;
        for row in below {
            row.push(hash);
            match row.as_slice() {
                [.., left, right] if row.len() % 2 == 0 => hash = join(left, right),
                _ => return None,
            }
        }
        root.push(hash);
        Some(hash)
    }

    /// The hash at a place of a row.
    pub fn node(&self, row: u8, place: u64) -> Option<Digest> {
        let place = usize::try_from(place).ok()?;
        self.rows.get(usize::from(row))?.get(place).copied()
    }

    /// The lowest row.
    pub fn leaves(&self) -> &[Digest] {
        self.rows.first().map_or(&[], Vec::as_slice)
    }

    /// The root of a whole tile.
    pub fn root(&self) -> Option<Digest> {
        self.node(TILE_HEIGHT, 0)
    }

    /// Every row, the lowest first.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.rows.concat().concat()
    }

    /// A whole tile; `None` if it is not one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != TILE_NODES * DIGEST_BYTES {
            return None;
        }
        let mut nodes = bytes.as_chunks::<DIGEST_BYTES>().0.iter().copied();
        let mut tile = Self::default();
        for (row, width) in tile.rows.iter_mut().zip((0..ROWS).rev().map(|height| 1 << height)) {
            row.extend(nodes.by_ref().take(width));
        }
        Some(tile)
    }
}

impl Edge {
    /// The edge of a tree of some size; `hash` gives the nodes that the lowest rows of its tiles are made of.
    pub fn of<E>(size: u64, mut hash: impl FnMut(Node) -> Result<Digest, E>) -> Result<Self, E> {
        let mut tiles = Vec::new();
        let (mut level, mut count) = (0, size);
        while count > 0 {
            let start = count - count % TILE_WIDTH;
            let row = (start..count).map(|index| hash(Node { level, index }));
            tiles.push(Arc::new(Tile::of_row(row.collect::<Result<Vec<_>, E>>()?)));
            level += TILE_HEIGHT;
            count /= TILE_WIDTH;
        }
        Ok(Self { size, tiles })
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash, and hands over every tile that it makes whole.
    pub fn push(&mut self, leaf_hash: Digest, mut whole: impl FnMut(TileId, &Tile)) {
        let (mut hash, mut index) = (leaf_hash, self.size);
        for level in 0_u8.. {
            if usize::from(level) == self.tiles.len() {
                self.tiles.push(Arc::default());
            }
            let Some(tile) = self.tiles.get_mut(usize::from(level)) else { break };
            let tile = Arc::make_mut(tile);
            let root = tile.push(hash);
            index /= TILE_WIDTH;
            let Some(root) = root else { break };
            whole(TileId { level, index }, tile);
            *tile = Tile::default();
            hash = root;
        }
        self.size = self.size.saturating_add(1);
    }

    /// A node of a tile that is not whole; `None` if it lies in another, which is stored.
    pub fn node(&self, node: Node) -> Option<Digest> {
        let (tile, row, place) = node.tile();
        self.tile(tile)?.node(row, place)
    }

    /// A tile that is not whole; `None` if it is another, which is stored.
    pub fn tile(&self, id: TileId) -> Option<&Arc<Tile>> {
        let height = u32::from(id.level + 1) * u32::from(TILE_HEIGHT);
        let unfinished = self.size.checked_shr(height).unwrap_or(0);
        if id.index != unfinished {
            return None;
        }
        self.tiles.get(usize::from(id.level))
    }
}

/// SHA-256(0x01 || left || right), RFC 6962 section 2.1.
pub(super) fn join(left: &Digest, right: &Digest) -> Digest {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::transparency::Frontier;

    /// A tree in memory, as the store keeps it.
    #[derive(Default)]
    pub(crate) struct Kept {
        pub(crate) edge: Edge,
        pub(crate) tiles: HashMap<TileId, Tile>,
    }

    impl Kept {
        pub(crate) fn of(size: u64) -> Self {
            let mut kept = Self::default();
            (0..size).for_each(|number| kept.push(leaf(number)));
            kept
        }

        pub(crate) fn push(&mut self, leaf: Digest) {
            let Self { edge, tiles } = self;
            edge.push(leaf, |id, tile| assert!(tiles.insert(id, tile.clone()).is_none()));
        }
    }

    impl Nodes for Kept {
        type Error = Node;

        fn node(&self, node: Node) -> Result<Digest, Node> {
            let (tile, row, place) = node.tile();
            let stored = || self.tiles.get(&tile).and_then(|tile| tile.node(row, place));
            self.edge.node(node).or_else(stored).ok_or(node)
        }
    }

    pub(crate) fn leaf(number: u64) -> Digest {
        Sha256::new().chain_update([0]).chain_update(number.to_be_bytes()).finalize().into()
    }

    /// As RFC 6962 defines it, with nothing kept.
    pub(crate) fn root(from: u64, to: u64) -> Digest {
        match to - from {
            0 => Sha256::digest([]).into(),
            1 => leaf(from),
            count => {
                let middle = from + (1 << (count - 1).ilog2());
                join(&root(from, middle), &root(middle, to))
            }
        }
    }

    #[test]
    fn every_node_of_every_small_tree_is_kept() {
        let mut kept = Kept::default();
        for size in 0..=300 {
            assert_eq!(kept.edge.size(), size);
            let of_level = |level: u8| (0..size >> level).map(move |index| Node { level, index });
            for node in (0..9).flat_map(of_level) {
                let (from, to) = (node.index << node.level, node.end());
                assert_eq!(kept.node(node), Ok(root(from, to)), "{node:?}");
            }
            kept.push(leaf(size));
        }
    }

    #[test]
    fn an_edge_is_found_again_from_what_is_stored() {
        for size in [0, 1, 63, 64, 65, 4095, 4096, 4097, 5000] {
            let kept = Kept::of(size);
            let mut frontier = Frontier::default();
            (0..size).for_each(|number| frontier.push(leaf(number)));
            // A node of a tile's lowest row is the root of the tile below it.
            let again = Edge::of(size, |node| match node.level {
                0 => Ok(leaf(node.index)),
                level => {
                    let below = TileId { level: level / TILE_HEIGHT - 1, index: node.index };
                    kept.tiles.get(&below).and_then(Tile::root).ok_or(node)
                }
            });
            let mut expected = kept.edge.clone();
            expected.tiles.truncate(again.as_ref().unwrap().tiles.len());
            assert_eq!(again.unwrap(), expected, "{size}");
        }
    }

    #[test]
    fn a_whole_tile_survives_its_bytes_and_nothing_else_does() {
        let tile = Tile::of_row((0..TILE_WIDTH).map(leaf));
        let bytes = tile.to_bytes();
        assert_eq!(bytes.len(), 4064);
        assert_eq!(Tile::from_bytes(&bytes), Some(tile.clone()));
        assert_eq!(tile.root(), Some(root(0, TILE_WIDTH)));
        assert_eq!(Tile::from_bytes(&bytes[1..]), None);
        assert_eq!(Tile::from_bytes(&Tile::of_row((0..63).map(leaf)).to_bytes()), None);
    }

    #[test]
    fn leaves_fall_into_the_fewest_perfect_subtrees() {
        for (from, to) in (0..40).flat_map(|from| (from..40).map(move |to| (from, to))) {
            let found: Vec<Node> = subtrees(from, to).collect();
            let mut next = from;
            for node in &found {
                assert_eq!(node.index << node.level, next);
                next = node.end();
            }
            assert_eq!(next, to);
            assert!(found.len() <= 11, "{from} {to}");
        }
    }
}
