//! The first half of a replay: whether events are those of chain and tree.

use super::ReplayError;
use crate::codec::meta::ChainMeta;
use crate::state_store::StoredEvent;
use crate::tree::Hash;

/// Checks events in order: each must follow the one before it and have the hash of the chain.
#[derive(Debug, Default)]
pub struct Check {
    chain: ChainMeta,
}

impl Check {
    /// Check the next event; an error changes nothing.
    pub fn feed(&mut self, stored: &StoredEvent) -> Result<(), ReplayError> {
        self.check(stored)?;
        self.push(stored);
        Ok(())
    }

    /// Whether an event is the next one.
    pub fn check(&self, stored: &StoredEvent) -> Result<(), ReplayError> {
        let (position, expected) = (stored.position, self.chain.position + 1);
        if position != expected {
            return Err(ReplayError::OutOfOrder {
                expected,
                found: position,
            });
        }
        let hash = self.chain.next_hash(&stored.bytes);
        if hash != stored.hash {
            return Err(ReplayError::BrokenChain {
                position,
                expected: hex(&hash),
                found: hex(&stored.hash),
            });
        }
        Ok(())
    }

    /// Add the next event, which was checked.
    pub fn push(&mut self, stored: &StoredEvent) {
        self.chain.push(&stored.bytes, stored.hash, |_, _| {});
    }

    /// Position of the last event; 0 before the first.
    pub fn position(&self) -> u64 {
        self.chain.position
    }

    /// Hash of the last event; 32 zero bytes before the first.
    pub fn chain_head(&self) -> [u8; 32] {
        self.chain.hash
    }

    /// Root of the tree of the events so far.
    pub fn tree_root(&self) -> Hash {
        self.chain.tree.root()
    }

    pub(crate) fn chain(&self) -> &ChainMeta {
        &self.chain
    }
}

fn hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from(*hash).to_hex().to_string()
}
