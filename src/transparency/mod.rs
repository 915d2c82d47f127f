//! The log's proof side: leaf data, Merkle frontier, checkpoints. Pure functions over hashes.
//!
//! The tree is that of RFC 6962, the checkpoint a C2SP signed note. The leaf format is fixed for good: it can
//! be checked without any body.

mod checkpoint;
mod cosignature;
mod frontier;
mod leaf;
mod log_keys;
pub mod proof;
mod tree;

pub use self::checkpoint::Checkpoint;
pub use self::checkpoint::InvalidCheckpoint;
pub use self::checkpoint::LogKey;
pub use self::checkpoint::roster_digest;
pub use self::cosignature::ConflictingCheckpoints;
pub use self::cosignature::Cosigned;
pub use self::cosignature::Cosigner;
pub use self::frontier::Frontier;
pub use self::leaf::LeafData;
pub use self::log_keys::LogKeys;
pub use self::tree::Edge;
pub use self::tree::Node;
pub use self::tree::Nodes;
pub use self::tree::TILE_HEIGHT;
pub use self::tree::TILE_WIDTH;
pub use self::tree::Tile;
pub use self::tree::TileId;
pub use self::tree::subtrees;
