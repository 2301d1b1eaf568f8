//! The first half of a replay: whether events are those of chain and tree.

use snakepit_machine::Event;

use super::ReplayError;
use crate::codec::meta::ChainMeta;
use crate::state_store::StoredEvent;
use crate::tree::Hash;

/// Checks events in order: each must follow the one before it, have the hash of the chain, and be an event.
#[derive(Debug, Default)]
pub struct Check {
    chain: ChainMeta,
}

impl Check {
    /// Check the next event and decode it; an error changes nothing.
    pub fn feed(&mut self, stored: &StoredEvent) -> Result<Event, ReplayError> {
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
        let event = snakepit_proto::events::decode(&stored.bytes).map_err(|error| {
            ReplayError::Undecodable {
                position,
                reason: error.to_string(),
            }
        })?;
        if event.position != position {
            return Err(ReplayError::Misplaced {
                position,
                content: event.position,
            });
        }
        self.chain.push(&stored.bytes, hash, |_, _| {});
        Ok(event)
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
