//! The nodes of the Merkle tree as they are stored, and the leaves that they are made of.
//!
//! A tile is written with the group that makes it whole. The edge, the tiles that are not, lies in memory; when the
//! store is opened it is found again from the last entries and the tiles below, and must be what the head says.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::names::Digest;
use crate::model::names::Sequence;
use crate::model::names::sha256;
use crate::store::LogBlock;
use crate::store::StoreError;
use crate::store::block;
use crate::store::keys;
use crate::store::log::Rows;
use crate::store::log::Store;
use crate::transparency::Edge;
use crate::transparency::LeafData;
use crate::transparency::Node;
use crate::transparency::Nodes;
use crate::transparency::TILE_HEIGHT;
use crate::transparency::TILE_WIDTH;
use crate::transparency::Tile;
use crate::transparency::TileId;
use crate::transparency::proof;
use crate::wire;
use crate::wire::pb;

/// Tiles that one reader keeps: those above all leaves of a batch and of its neighbours.
const TILES_KEPT_MAX: usize = 64;
/// Bytes of blocks that are read at a time, and rows that are written at a time, to make up for tiles that are missing.
const STEP_BYTES: usize = 4 * 1024 * 1024;
const STEP_ROWS: usize = 1024;

/// The leaf data of an entry; `None` if it is none.
pub fn leaf(entry: &pb::Entry) -> Option<LeafData> {
    let envelope = entry.envelope.as_ref()?;
    let header = wire::header::header(&envelope.payload).ok()?;
    let time = entry.accept_time?;
    Some(LeafData {
        sequence: Sequence(entry.sequence),
        accept_time: wire::time::timestamp(&time, "entry.accept_time").ok()?,
        name_digest: header.name_digest(),
        header_digest: sha256(&envelope.payload),
        signatures_digest: wire::envelope::signatures_digest(envelope),
    })
}

pub(super) fn row(id: TileId, tile: &Tile) -> (Vec<u8>, Option<Bytes>) {
    (keys::tile(id), Some(block::seal(&tile.to_bytes()).into()))
}

/// The tree for one reader, who asks for neighbours: tiles that were read are kept for a while. It has every node below
/// the head at the time it was made.
pub struct Tree<'a> {
    store: &'a Store,
    edge: Arc<Edge>,
    kept: RefCell<HashMap<TileId, Arc<Tile>>>,
}

impl Tree<'_> {
    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The leaf hashes at some places of the tree. Neighbours are read together.
    pub fn leaves(&self, places: &[u64]) -> Result<Vec<Digest>, StoreError> {
        let mut at: Option<(TileId, Arc<Tile>)> = None;
        let leaf = |place: &u64| {
            let node = Node::leaf(*place);
            let (id, row, place) = node.tile();
            let tile = match &at {
                Some((own, tile)) if *own == id => tile,
                _ => {
                    let tile = self.tile(id)?.ok_or_else(|| missing(node))?;
                    &at.insert((id, tile)).1
                }
            };
            tile.node(row, place).ok_or_else(|| missing(node))
        };
        places.iter().map(leaf).collect()
    }

    /// A tile, whether it is whole or not.
    fn tile(&self, id: TileId) -> Result<Option<Arc<Tile>>, StoreError> {
        if let Some(tile) = self.edge.tile(id) {
            return Ok(Some(Arc::clone(tile)));
        }
        let mut kept = self.kept.borrow_mut();
        if let Some(tile) = kept.get(&id) {
            return Ok(Some(Arc::clone(tile)));
        }
        let Some(tile) = self.store.tile(id)?.map(Arc::new) else { return Ok(None) };
        if kept.len() >= TILES_KEPT_MAX {
            kept.clear();
        }
        kept.insert(id, Arc::clone(&tile));
        Ok(Some(tile))
    }
}

impl Nodes for Tree<'_> {
    type Error = StoreError;

    fn node(&self, node: Node) -> Result<Digest, StoreError> {
        let (id, row, place) = node.tile();
        let tile = self.tile(id)?;
        tile.and_then(|tile| tile.node(row, place)).ok_or_else(|| missing(node))
    }
}

fn missing(node: Node) -> StoreError {
    StoreError::corrupt(format!("node {node:?}"), "it is missing")
}

impl Store {
    /// The tree as of the durable head, or later.
    pub fn tree(&self) -> Tree<'_> {
        Tree { store: self, edge: self.edge.load_full(), kept: RefCell::default() }
    }

    /// A whole tile.
    pub fn tile(&self, id: TileId) -> Result<Option<Tile>, StoreError> {
        let damaged = || StoreError::corrupt(format!("tile {id:?}"), "it is unreadable");
        let Some(value) = self.get(&keys::tile(id))? else { return Ok(None) };
        block::open(&value).and_then(Tile::from_bytes).map(Some).ok_or_else(damaged)
    }

    /// Finds the edge again, writes tiles that are missing, and demands that both are what the head says.
    pub(super) fn raise_tree(&self) -> Result<(), StoreError> {
        let frontier = self.head()?.frontier;
        self.write_missing_tiles(frontier.size())?;
        let edge = Edge::of(frontier.size(), |node| self.lowest(node))?;
        self.edge.store(Arc::new(edge));
        let found = proof::frontier(&self.tree(), frontier.size())?;
        if found != frontier {
            return Err(StoreError::corrupt("the tree", "its nodes are not those of the head"));
        }
        Ok(())
    }

    pub(super) fn clear_tree(&self) -> Result<(), StoreError> {
        let mut rows = Rows::new();
        for key in self.db.scan_prefix([keys::TILE]).keys() {
            rows.push((key.map_err(StoreError::io("reading the tree"))?.to_vec(), None));
            if rows.len() >= STEP_ROWS {
                self.write(std::mem::take(&mut rows))?;
                self.sync()?;
            }
        }
        self.write(rows)
    }

    /// Tiles of a store that was written before there were any, or whose tree was cleared.
    fn write_missing_tiles(&self, size: u64) -> Result<(), StoreError> {
        let last = size / TILE_WIDTH;
        if last == 0 || self.get(&keys::tile(TileId { level: 0, index: last - 1 }))?.is_some() {
            return Ok(());
        }
        tracing::info!("the nodes of the log's tree are worked out anew");
        let (mut edge, mut rows) = (Edge::default(), Rows::new());
        while edge.size() < size {
            for block in self.blocks_from(edge.size(), STEP_BYTES)? {
                let hashes = leaf_hashes(&block, edge.size())?;
                hashes.for_each(|hash| edge.push(hash, |id, tile| rows.push(row(id, tile))));
            }
            if rows.len() >= STEP_ROWS {
                self.write(std::mem::take(&mut rows))?;
                self.sync()?;
            }
        }
        self.write(rows)?;
        self.sync()
    }

    /// What the lowest row of a tile is made of: a leaf, or the root of the tile below.
    fn lowest(&self, node: Node) -> Result<Digest, StoreError> {
        let missing = || missing(node);
        let Some(level) = (node.level / TILE_HEIGHT).checked_sub(1) else {
            let block = self.block_at(node.index)?.ok_or_else(missing)?;
            return leaf_hashes(&block, node.index)?.next().ok_or_else(missing);
        };
        let tile = self.tile(TileId { level, index: node.index })?;
        tile.and_then(|tile| tile.root()).ok_or_else(missing)
    }
}

/// The leaf hashes of a block's entries from a sequence on.
fn leaf_hashes(block: &LogBlock, from: u64) -> Result<impl Iterator<Item = Digest>, StoreError> {
    let hashes = block.entries_from(from).map(|(sequence, stored)| {
        let entry = wire::entry::decode(block.framed(stored));
        let leaf = entry.as_ref().and_then(leaf);
        let damaged = || StoreError::corrupt(format!("sequence {sequence}"), "it is unreadable");
        leaf.map(|leaf| leaf.hash()).ok_or_else(damaged)
    });
    Ok(hashes.collect::<Result<Vec<_>, _>>()?.into_iter())
}
