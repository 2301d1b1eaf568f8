//! Folding stored events again, from the first: what comes out must be what nodes serve.

mod answers;
mod check;
mod error;
mod rows;
mod threads;

use snakepit_machine::Event;

use check::Check;
pub use error::ReplayError;
pub use rows::ReplayedRows;
pub use threads::{Checked, Replayed, in_threads};

use crate::codec::meta::ChainMeta;
use crate::error::CodecError;
use crate::state_store::{RowsDigest, StoredEvent};
use crate::tree::Hash;

/// A replay: feed it events in order.
#[derive(Debug, Default)]
pub struct Replay {
    check: Check,
    rows: ReplayedRows,
}

impl Replay {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Check the next event and fold it; the event, for whoever wants to look at it. After an error the
    /// replay is not to be used any more.
    pub fn feed(&mut self, stored: &StoredEvent) -> Result<Event, ReplayError> {
        self.check.check(stored)?;
        let event = self.rows.feed(stored)?;
        self.check.push(stored);
        Ok(event)
    }

    /// Position of the last event; 0 before the first.
    pub fn position(&self) -> u64 {
        self.check.position()
    }

    /// Hash of the last event; 32 zero bytes before the first.
    pub fn chain_head(&self) -> [u8; 32] {
        self.check.chain_head()
    }

    /// Root of the tree of the events so far.
    pub fn tree_root(&self) -> Hash {
        self.check.tree_root()
    }

    pub(crate) fn chain(&self) -> &ChainMeta {
        self.check.chain()
    }

    /// The rows so far.
    pub fn rows(&self) -> &ReplayedRows {
        &self.rows
    }

    /// Digest of the rows so far, the same as a node's [`crate::StateView::rows_digest`] at this position.
    pub fn rows_digest(&self) -> Result<RowsDigest, CodecError> {
        self.rows.digest()
    }
}
