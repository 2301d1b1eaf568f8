//! Folding stored events again, from the first: what comes out must be what nodes serve.

use snakepit_machine::{MemoryRows, RowsError};

use crate::codec::meta::ChainMeta;
use crate::codec::{keys, row};
use crate::error::CodecError;
use crate::state_store::{RowsDigest, RowsDigester, StoredEvent};
use crate::tree::Hash;

/// Events do not fold.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A position does not follow the one before it.
    #[error("event {expected} is missing or out of order: event {found} came in its place")]
    OutOfOrder {
        /// The position that had to come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// The hash is not that of the previous hash and the bytes.
    #[error("event {position} is damaged: its hash is {found}, the chain says {expected}")]
    BrokenChain {
        /// Its position.
        position: u64,
        /// The hash of the chain, hexadecimal.
        expected: String,
        /// The stored hash, hexadecimal.
        found: String,
    },
    /// The bytes are not an event.
    #[error("event {position} is damaged: {reason}")]
    Undecodable {
        /// Its position.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The event is at another position than it says.
    #[error("event {position} is damaged: its content says that it is event {content}")]
    Misplaced {
        /// Where it is stored.
        position: u64,
        /// Where it says it is.
        content: u64,
    },
    /// It cannot have happened after the events before it.
    #[error("event {position} does not fold: {source}")]
    Unfoldable {
        /// Its position.
        position: u64,
        /// What is wrong.
        source: RowsError,
    },
    /// A row cannot be encoded.
    #[error(transparent)]
    Row(#[from] CodecError),
}

/// A replay: feed it events in order.
#[derive(Debug, Default)]
pub struct Replay {
    rows: MemoryRows,
    chain: ChainMeta,
}

impl Replay {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Check the next event and fold it; the event, for whoever wants to look at it. After an error the
    /// replay is not to be used any more.
    pub fn feed(&mut self, stored: &StoredEvent) -> Result<snakepit_machine::Event, ReplayError> {
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
        snakepit_machine::replay(&mut self.rows, &event)
            .map_err(|source| ReplayError::Unfoldable { position, source })?;
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

    /// The rows so far.
    pub fn rows(&self) -> &MemoryRows {
        &self.rows
    }

    /// Digest of the rows so far, the same as a node's [`crate::StateView::rows_digest`] at this position.
    pub fn rows_digest(&self) -> Result<RowsDigest, CodecError> {
        digest(&self.rows)
    }
}

/// Digest of rows in memory.
pub(crate) fn digest(rows: &MemoryRows) -> Result<RowsDigest, CodecError> {
    let mut keys = Vec::new();
    for (key, row) in rows.iter() {
        keys.push((keys::row_key(key)?, row));
    }
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    let mut digester = RowsDigester::default();
    for ((column, key), row) in keys {
        digester.row(column, &key, &row::encode(row)?);
    }
    Ok(digester.finish())
}

fn hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from(*hash).to_hex().to_string()
}
