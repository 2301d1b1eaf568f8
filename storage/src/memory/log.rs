//! The Raft log in a map.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Mutex;

use crate::raft_store::check_follows;
use crate::sync::lock;
use crate::traits::{EntryId, Flushed, LogEntry, LogStorage, VoteRecord};

/// A Raft log in memory; a write is "on disk" before its call returns.
#[derive(Debug, Default)]
pub struct MemoryLog {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<u64, LogEntry>,
    purged: Option<EntryId>,
    vote: Option<VoteRecord>,
    committed: Option<EntryId>,
}

impl Inner {
    fn last(&self) -> Option<EntryId> {
        self.entries
            .last_key_value()
            .map(|(_, entry)| entry.id)
            .or(self.purged)
    }
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }
}

impl LogStorage for MemoryLog {
    fn bounds(&self) -> io::Result<(Option<EntryId>, Option<EntryId>)> {
        let inner = lock(&self.inner);
        Ok((inner.purged, inner.last()))
    }

    fn append(&self, entries: Vec<LogEntry>, flushed: Flushed) -> io::Result<()> {
        {
            let mut inner = lock(&self.inner);
            check_follows(inner.last(), &entries)?;
            inner
                .entries
                .extend(entries.into_iter().map(|entry| (entry.id.index, entry)));
        }
        flushed(Ok(()));
        Ok(())
    }

    fn truncate_after(&self, last: Option<EntryId>, flushed: Flushed) -> io::Result<()> {
        lock(&self.inner)
            .entries
            .retain(|index, _| last.is_some_and(|last| *index <= last.index));
        flushed(Ok(()));
        Ok(())
    }

    fn purge(&self, last: EntryId, flushed: Flushed) -> io::Result<()> {
        {
            let mut inner = lock(&self.inner);
            if inner.purged.is_none_or(|purged| purged.index < last.index) {
                inner.entries.retain(|index, _| *index > last.index);
                inner.purged = Some(last);
            }
        }
        flushed(Ok(()));
        Ok(())
    }

    fn save_vote(&self, vote: VoteRecord, flushed: Flushed) -> io::Result<()> {
        lock(&self.inner).vote = Some(vote);
        flushed(Ok(()));
        Ok(())
    }

    fn vote(&self) -> io::Result<Option<VoteRecord>> {
        Ok(lock(&self.inner).vote)
    }

    fn save_committed(&self, committed: Option<EntryId>) -> io::Result<()> {
        lock(&self.inner).committed = committed;
        Ok(())
    }

    fn committed(&self) -> io::Result<Option<EntryId>> {
        Ok(lock(&self.inner).committed)
    }

    fn entries(&self, range: RangeInclusive<u64>, bytes_max: usize) -> io::Result<Vec<LogEntry>> {
        let inner = lock(&self.inner);
        let mut found = Vec::new();
        let mut bytes = 0;
        if range.is_empty() {
            return Ok(found);
        }
        for entry in inner.entries.range(range).map(|(_, entry)| entry) {
            if bytes >= bytes_max && !found.is_empty() {
                break;
            }
            bytes += entry.payload.len();
            found.push(entry.clone());
        }
        Ok(found)
    }
}
