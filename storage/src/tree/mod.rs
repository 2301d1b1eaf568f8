//! The Merkle tree over the log, as RFC 6962 section 2.1 has it: SHA-256, leaves are the stored bytes of events.
//! The event at position p is leaf p - 1. What the tree proves needs no trust in who proves it.

mod frontier;
mod proof;
mod reader;

use sha2::{Digest as _, Sha256};

pub use self::frontier::Frontier;
pub use self::proof::{ProofError, verify_consistency, verify_inclusion};
pub use self::reader::{Leaves, consistency, inclusion, peaks, root};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// Nodes of these levels are stored: every eighth, so that a proof reads 256 neighbours at most, and what is
/// stored is an eighth of a byte for each event.
pub const STORED_LEVELS: u32 = 8;

/// Hash of a leaf: SHA-256 of 0x00 and its bytes.
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(bytes);
    hasher.finalize().into()
}

/// Hash of a node: SHA-256 of 0x01, its left child and its right one.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// Root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// A perfect subtree: its level (0 is a leaf) and its place among those of its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its height.
    pub level: u32,
    /// Its number in its level, from 0.
    pub index: u64,
}

impl Place {
    /// Whether its hash is stored.
    pub fn is_stored(self) -> bool {
        self.level > 0 && self.level.is_multiple_of(STORED_LEVELS)
    }
}

/// Where the left part of a range of leaves ends: at the largest power of two below its length, which is 2 or
/// more.
fn split(length: u64) -> u64 {
    1 << (63 - (length - 1).leading_zeros())
}

#[cfg(test)]
mod tests;
