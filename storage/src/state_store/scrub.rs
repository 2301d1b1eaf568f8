//! Reading stored events again, to see that they still are what was hashed.

use std::io;

use super::{StateStore, events};
use crate::codec::stored_event::{GENESIS, chain};
use crate::error::damaged;
use crate::tree::{Frontier, Leaves as _, Place, STORED_LEVELS, leaf_hash};

/// Events of which one stored node of the tree is made.
const BLOCK: u64 = 1 << STORED_LEVELS;
/// Bytes that are read at once.
const READ_BYTES: usize = 8 << 20;

impl StateStore {
    /// Check the chain and the stored nodes of the tree over some events, in blocks of 256 from the one that holds a
    /// position on; where to go on, 0 at the end. Events behind the last whole block are checked against the chain only.
    ///
    /// # Errors
    ///
    /// `InvalidData` where what is stored is not what was hashed; `NotFound` where the events are in a segment that is
    /// not here.
    pub fn check_events(&self, position: u64, blocks: u64) -> io::Result<u64> {
        let db = self.db();
        let end = self.head().position;
        let mut next = position.saturating_sub(1) / BLOCK * BLOCK + 1;
        if next > end {
            return Ok(0);
        }
        let mut hash = match next {
            1 => GENESIS,
            _ => events::at(&db, next - 1)?.hash,
        };
        for _ in 0..blocks {
            if next > end {
                return Ok(0);
            }
            let (first, last) = (next, (next + BLOCK - 1).min(end));
            let mut tree = Frontier::default();
            while next <= last {
                let count = usize::try_from(last - next + 1).unwrap_or(usize::MAX);
                let found = events::from(&db, next, count, READ_BYTES)?;
                if found.is_empty() {
                    return Err(damaged(format_args!("event {next} is missing")));
                }
                for event in found {
                    hash = chain(&hash, &event.bytes);
                    if event.position != next || event.hash != hash {
                        return Err(damaged(format_args!(
                            "event {next} is not the one that was logged"
                        )));
                    }
                    tree.push(leaf_hash(&event.bytes), |_, _| {});
                    next += 1;
                }
            }
            if tree.size() == BLOCK {
                let place = Place {
                    level: STORED_LEVELS,
                    index: (first - 1) / BLOCK,
                };
                if db.stored(place)? != tree.root() {
                    return Err(damaged(format_args!(
                        "events {first} to {last} are not those of the tree"
                    )));
                }
            }
        }
        Ok(if next > end { 0 } else { next })
    }
}
