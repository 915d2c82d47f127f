//! Leaf data: what the log commits to for each entry.

use sha2::Digest as _;
use sha2::Sha256;

use crate::model::names::Digest;
use crate::model::names::Sequence;
use crate::model::time::Timestamp;

/// The version of the format, and what separates it from all other hashed bytes.
const TAG: &[u8] = b"watchfire-leaf-v1\0";

/// `TAG || sequence u64 || accept_time us u64 || SHA-256(name@revision) || SHA-256(header) ||
/// SHA-256(signatures as stored)`, all big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafData {
    /// The place.
    pub sequence: Sequence,
    /// When the hub took it in.
    pub accept_time: Timestamp,
    /// SHA-256 of `name@revision`.
    pub name_digest: Digest,
    /// SHA-256 of the header bytes.
    pub header_digest: Digest,
    /// SHA-256 of the signatures as stored.
    pub signatures_digest: Digest,
}

impl LeafData {
    /// The bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        [
            TAG,
            &self.sequence.0.to_be_bytes(),
            &self.accept_time.as_micros().to_be_bytes(),
            &self.name_digest,
            &self.header_digest,
            &self.signatures_digest,
        ]
        .concat()
    }

    /// SHA-256(0x00 || leaf data), RFC 6962 section 2.1.
    pub fn hash(&self) -> Digest {
        Sha256::new().chain_update([0]).chain_update(self.to_bytes()).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leaf_format_is_golden() {
        let leaf = LeafData {
            sequence: Sequence(1),
            accept_time: Timestamp::from_micros(2).unwrap(),
            name_digest: [3; 32],
            header_digest: [4; 32],
            signatures_digest: [5; 32],
        };
        let expected = format!(
            "7761746368666972652d6c6561662d763100{}{}{}{}{}",
            "0000000000000001",
            "0000000000000002",
            "03".repeat(32),
            "04".repeat(32),
            "05".repeat(32)
        );
        assert_eq!(hex::encode(leaf.to_bytes()), expected);
        assert_eq!(leaf.to_bytes().len(), 18 + 16 + 96);
    }
}
