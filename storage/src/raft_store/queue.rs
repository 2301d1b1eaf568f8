//! What the callers and the writer share: the log as it is seen, and the writes that are not on disk yet.

use std::collections::VecDeque;
use std::io;

use super::limits::{BATCH_BYTES_MAX, ENTRY_OVERHEAD_BYTES, QUEUE_BYTES_MAX, QUEUE_WRITES_MAX};
use super::tail::Tail;
use crate::traits::{EntryId, Flushed, LogEntry, VoteRecord};

/// One change of the log on disk.
#[derive(Debug)]
pub(super) enum Change {
    Append(Vec<LogEntry>),
    /// Remove what is above, up to the last index that there was.
    Truncate {
        after: Option<u64>,
        last: u64,
    },
    /// Remove what is at and below; `first` is the lowest index that there may be.
    Purge {
        first: u64,
        through: EntryId,
    },
    Vote(VoteRecord),
}

impl Change {
    fn bytes(&self) -> usize {
        match self {
            Self::Append(entries) => entries
                .iter()
                .map(|entry| entry.payload.len() + ENTRY_OVERHEAD_BYTES)
                .sum(),
            Self::Truncate { .. } | Self::Purge { .. } | Self::Vote(_) => ENTRY_OVERHEAD_BYTES,
        }
    }
}

/// A change that waits for the disk. Without a change it only waits for those in front of it.
pub(super) struct Write {
    pub change: Option<Change>,
    pub flushed: Flushed,
    bytes: usize,
}

/// The log as callers see it, and what the writer has to do.
#[derive(Default)]
pub(super) struct Shared {
    pub purged: Option<EntryId>,
    pub last: Option<EntryId>,
    /// Lowest index that there may be on disk.
    pub first: u64,
    pub vote: Option<VoteRecord>,
    pub committed: Option<EntryId>,
    /// Whether the commit mark has changed since it was last written.
    pub committed_dirty: bool,
    pub tail: Tail,
    /// Counts truncations: what was read before one is not mixed with what is read after it.
    pub truncations: u64,
    pub closing: bool,
    queue: VecDeque<Write>,
    queue_bytes: usize,
    /// Number of the last write that was queued.
    pub writes: u64,
}

/// What the writer does at once.
pub(super) struct Batch {
    pub writes: Vec<Write>,
    /// Number of the last of them.
    pub last_write: u64,
    pub committed: Option<Option<EntryId>>,
}

impl Shared {
    /// Queue a write; its number. Refused where the queue is full: then nothing is queued.
    pub(super) fn push(&mut self, change: Option<Change>, flushed: Flushed) -> io::Result<u64> {
        let bytes = change.as_ref().map_or(0, Change::bytes);
        self.admit(bytes)?;
        self.queue_bytes += bytes;
        self.writes += 1;
        self.queue.push_back(Write {
            change,
            flushed,
            bytes,
        });
        Ok(self.writes)
    }

    /// Whether that many more bytes may be queued. One write is taken whatever its size.
    fn admit(&self, bytes: usize) -> io::Result<()> {
        if self.closing {
            return Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the raft log is closed",
            ));
        }
        let full = self.queue.len() >= QUEUE_WRITES_MAX
            || (!self.queue.is_empty() && self.queue_bytes + bytes > QUEUE_BYTES_MAX);
        if !full {
            return Ok(());
        }
        let message = format!(
            "{} writes with {} bytes wait for the disk, the limits are {QUEUE_WRITES_MAX} and \
             {QUEUE_BYTES_MAX}; hint: the disk of this node does not keep up or has stopped",
            self.queue.len(),
            self.queue_bytes,
        );
        Err(io::Error::new(io::ErrorKind::WouldBlock, message))
    }

    pub(super) fn has_work(&self) -> bool {
        !self.queue.is_empty() || (self.closing && self.committed_dirty)
    }

    /// Take the next batch: all that waits, up to a size.
    pub(super) fn take(&mut self) -> Batch {
        let mut writes = Vec::with_capacity(self.queue.len());
        let mut bytes = 0;
        while bytes < BATCH_BYTES_MAX
            && let Some(write) = self.queue.pop_front()
        {
            bytes += write.bytes;
            writes.push(write);
        }
        self.queue_bytes -= bytes;
        let committed = std::mem::take(&mut self.committed_dirty).then_some(self.committed);
        Batch {
            last_write: self.writes - self.queue.len() as u64,
            writes,
            committed,
        }
    }
}
