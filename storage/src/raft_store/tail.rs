//! The end of the log, in memory: readable before it is flushed, dropped from the front once it is.

use std::collections::VecDeque;

use super::limits::ENTRY_OVERHEAD_BYTES;
use crate::traits::LogEntry;

/// Entries without a gap, each with the number of the write that holds it.
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<(u64, LogEntry)>,
    bytes: usize,
}

impl Tail {
    /// Index of the oldest entry in memory.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.front().map(|(_, entry)| entry.id.index)
    }

    pub(super) fn push(&mut self, write: u64, entry: LogEntry) {
        self.bytes += cost(&entry);
        self.entries.push_back((write, entry));
    }

    /// Drop entries above an index; all where `None`.
    pub(super) fn truncate_after(&mut self, last: Option<u64>) {
        while let Some((_, entry)) = self.entries.back()
            && last.is_none_or(|last| entry.id.index > last)
        {
            self.bytes -= cost(entry);
            self.entries.pop_back();
        }
    }

    /// Drop entries up to and with an index.
    pub(super) fn purge(&mut self, last: u64) {
        while let Some((_, entry)) = self.entries.front()
            && entry.id.index <= last
        {
            self.bytes -= cost(entry);
            self.entries.pop_front();
        }
    }

    /// Drop the oldest entries that are on disk while there are more bytes than wanted.
    pub(super) fn evict(&mut self, flushed_write: u64, bytes_max: usize) {
        while self.bytes > bytes_max
            && let Some((write, entry)) = self.entries.front()
            && *write <= flushed_write
        {
            self.bytes -= cost(entry);
            self.entries.pop_front();
        }
    }

    pub(super) fn get(&self, index: u64) -> Option<&LogEntry> {
        let offset = index.checked_sub(self.first()?)?;
        self.entries
            .get(usize::try_from(offset).ok()?)
            .map(|(_, entry)| entry)
    }
}

fn cost(entry: &LogEntry) -> usize {
    entry.payload.len() + ENTRY_OVERHEAD_BYTES
}
