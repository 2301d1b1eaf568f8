//! The Raft log in RocksDB.
//!
//! Callers change the log in memory and queue the change; one thread writes what has gathered and syncs it
//! once (`writer.rs`). Reads see what was queued: the newest entries from memory, older ones from disk.

mod columns;
pub mod limits;
mod queue;
mod read;
mod recover;
mod tail;
mod writer;

use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use rocksdb::DB;

use self::queue::{Change, Shared};
use crate::identity::DataDir;
use crate::sync::lock;
use crate::traits::{EntryId, Flushed, LogEntry, LogStorage, VoteRecord};

/// What the writer and the callers share.
struct Core {
    db: DB,
    shared: Mutex<Shared>,
    work: Condvar,
}

/// The Raft log of one node. Dropping it flushes what was queued. Callbacks run on the writer's thread and
/// must not block; where a call is refused, its callback is not called.
pub struct RaftStore {
    core: Arc<Core>,
    writer: Option<JoinHandle<()>>,
}

impl RaftStore {
    /// Open the log in a data directory, or make a new one.
    ///
    /// # Errors
    ///
    /// `InvalidData` where it is damaged, `Unsupported` where another release wrote it.
    pub fn open(data: &Path) -> io::Result<Self> {
        let path = DataDir::new(data).raft();
        crate::identity::make_dir(&path)?;
        let db = columns::open(&path)?;
        let shared = Mutex::new(recover::recover(&db)?);
        let core = Arc::new(Core {
            db,
            shared,
            work: Condvar::new(),
        });
        let of_writer = Arc::clone(&core);
        let writer = std::thread::Builder::new()
            .name("raft-log-writer".into())
            .spawn(move || writer::run(&of_writer))?;
        Ok(Self {
            core,
            writer: Some(writer),
        })
    }
}

impl Drop for RaftStore {
    fn drop(&mut self) {
        lock(&self.core.shared).closing = true;
        self.core.work.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Refuse entries that do not follow each other and the log.
pub(crate) fn check_follows(last: Option<EntryId>, entries: &[LogEntry]) -> io::Result<()> {
    let mut previous = last;
    for entry in entries {
        if let Some(previous) = previous
            && previous.index.checked_add(1) != Some(entry.id.index)
        {
            let message = format!(
                "entry {} does not follow entry {}",
                entry.id.index, previous.index
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        previous = Some(entry.id);
    }
    Ok(())
}

impl LogStorage for RaftStore {
    fn bounds(&self) -> io::Result<(Option<EntryId>, Option<EntryId>)> {
        let shared = lock(&self.core.shared);
        Ok((shared.purged, shared.last))
    }

    fn append(&self, entries: Vec<LogEntry>, flushed: Flushed) -> io::Result<()> {
        let mut shared = lock(&self.core.shared);
        check_follows(shared.last, &entries)?;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            shared.push(None, flushed)?;
            self.core.work.notify_one();
            return Ok(());
        };
        let (first, last) = (first.id.index, last.id);
        let write = shared.push(Some(Change::Append(entries.clone())), flushed)?;
        if shared.last == shared.purged {
            shared.first = first;
        }
        shared.last = Some(last);
        for entry in entries {
            shared.tail.push(write, entry);
        }
        self.core.work.notify_one();
        Ok(())
    }

    fn truncate_after(&self, last: Option<EntryId>, flushed: Flushed) -> io::Result<()> {
        let mut shared = lock(&self.core.shared);
        let keep = last.max(shared.purged);
        let change = match shared.last {
            Some(end) if keep.is_none_or(|keep| end.index > keep.index) => Some(Change::Truncate {
                after: keep.map(|keep| keep.index),
                last: end.index,
            }),
            _ => None,
        };
        let cuts = change.is_some();
        shared.push(change, flushed)?;
        if cuts {
            shared.truncations += 1;
            shared.tail.truncate_after(keep.map(|keep| keep.index));
            shared.last = keep;
        }
        self.core.work.notify_one();
        Ok(())
    }

    fn purge(&self, last: EntryId, flushed: Flushed) -> io::Result<()> {
        let mut shared = lock(&self.core.shared);
        if shared
            .purged
            .is_some_and(|purged| purged.index >= last.index)
        {
            shared.push(None, flushed)?;
        } else {
            let first = shared.first;
            shared.push(
                Some(Change::Purge {
                    first,
                    through: last,
                }),
                flushed,
            )?;
            shared.tail.purge(last.index);
            shared.purged = Some(last);
            shared.first = last.index.saturating_add(1);
            if shared.last.is_none_or(|end| end.index <= last.index) {
                shared.last = Some(last);
            }
        }
        self.core.work.notify_one();
        Ok(())
    }

    fn save_vote(&self, vote: VoteRecord, flushed: Flushed) -> io::Result<()> {
        let mut shared = lock(&self.core.shared);
        shared.push(Some(Change::Vote(vote)), flushed)?;
        shared.vote = Some(vote);
        self.core.work.notify_one();
        Ok(())
    }

    fn vote(&self) -> io::Result<Option<VoteRecord>> {
        Ok(lock(&self.core.shared).vote)
    }

    fn save_committed(&self, committed: Option<EntryId>) -> io::Result<()> {
        let mut shared = lock(&self.core.shared);
        shared.committed_dirty |= shared.committed != committed;
        shared.committed = committed;
        Ok(())
    }

    fn committed(&self) -> io::Result<Option<EntryId>> {
        Ok(lock(&self.core.shared).committed)
    }

    fn entries(&self, range: RangeInclusive<u64>, bytes_max: usize) -> io::Result<Vec<LogEntry>> {
        read::entries(&self.core, range, bytes_max)
    }
}
