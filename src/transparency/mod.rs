//! The log's proof side: leaf data, Merkle frontier, checkpoints. Pure functions over hashes.
