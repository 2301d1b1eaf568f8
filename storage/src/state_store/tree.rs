//! The Merkle tree as stored: leaves are the events themselves, of the nodes only some levels are kept.

use std::io;

use super::db::StateDb;
use super::{StateStore, columns, events};
use crate::codec::keys;
use crate::error::{damaged, rocks};
use crate::tree::{self, Hash, Leaves, Place, leaf_hash};

/// Bytes of events that are read for leaves at once.
const READ_BYTES: usize = 8 << 20;

impl StateStore {
    /// Size and root of the tree of all events.
    pub fn tree_head(&self) -> (u64, Hash) {
        let published = self.published();
        (published.tree.size(), published.tree.root())
    }

    /// Root of the tree of the first `size` events.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where there are fewer.
    pub fn tree_root(&self, size: u64) -> io::Result<Hash> {
        self.check_size(size)?;
        tree::root(&*self.db(), size)
    }

    /// Roots of the perfect subtrees of the tree of the first `size` events, the largest first.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where there are fewer.
    pub fn tree_peaks(&self, size: u64) -> io::Result<Vec<Hash>> {
        self.check_size(size)?;
        tree::peaks(&*self.db(), size)
    }

    /// Proof that the event at a position is in the tree of the first `size` events.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where there are fewer, or the position is not among them.
    pub fn inclusion_proof(&self, position: u64, size: u64) -> io::Result<Vec<Hash>> {
        self.check_size(size)?;
        let leaf = position
            .checked_sub(1)
            .ok_or_else(|| invalid("positions begin at 1"))?;
        tree::inclusion(&*self.db(), leaf, size)
    }

    /// Proof that the tree of the first `old` events is the beginning of that of the first `new`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where there are fewer, `old` is 0 or above `new`.
    pub fn consistency_proof(&self, old: u64, new: u64) -> io::Result<Vec<Hash>> {
        self.check_size(new)?;
        tree::consistency(&*self.db(), old, new)
    }

    fn check_size(&self, size: u64) -> io::Result<()> {
        let position = self.head().position;
        if size > position {
            return Err(invalid(&format!(
                "the log has {position} events, a tree of {size} is asked for"
            )));
        }
        Ok(())
    }
}

impl Leaves for StateDb {
    fn leaves(&self, from: u64, count: usize) -> io::Result<Vec<Hash>> {
        let mut hashes = Vec::with_capacity(count);
        while hashes.len() < count {
            let position = from + hashes.len() as u64 + 1;
            let found = events::from(self, position, count - hashes.len(), READ_BYTES)?;
            for (event, position) in found.iter().zip(position..) {
                if event.position != position {
                    return Err(damaged(format_args!("event {position} is missing")));
                }
                hashes.push(leaf_hash(&event.bytes));
            }
            if found.is_empty() {
                return Err(damaged(format_args!("event {position} is missing")));
            }
        }
        Ok(hashes)
    }

    fn stored(&self, place: Place) -> io::Result<Hash> {
        let key = keys::tree::encode(place);
        let value = self.raw().get_pinned_cf(self.column(columns::TREE)?, key);
        let value = value.map_err(rocks("read the tree"))?;
        let hash = value.and_then(|value| Hash::try_from(value.as_ref()).ok());
        hash.ok_or_else(|| damaged(format_args!("the tree's node {place:?} is missing")))
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
