//! The Raft log, as openraft wants it, over a [`LogStorage`].

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use openraft::alias::LogIdOf;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use snakepit_storage::{Flushed, LogStorage};
use tokio::sync::oneshot;

use crate::convert;
use crate::promised::Promised;
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// A log store; cheap to clone.
#[derive(Debug)]
pub struct Log<L> {
    store: Arc<L>,
    read_bytes_max: usize,
    promised: Promised,
}

impl<L> Log<L> {
    /// Over this store. One read for a follower gives at most so many bytes, unless one entry is larger.
    pub fn new(store: Arc<L>, read_bytes_max: usize) -> Self {
        Self {
            store,
            read_bytes_max,
            promised: Promised::default(),
        }
    }

    /// In which term this node may have voted.
    pub(crate) fn promised(&self) -> Promised {
        self.promised.clone()
    }
}

impl<L> Clone for Log<L> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            read_bytes_max: self.read_bytes_max,
            promised: self.promised.clone(),
        }
    }
}

impl<L: LogStorage> Log<L> {
    fn read(&self, range: impl RangeBounds<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => Some(*end),
            Bound::Excluded(end) => end.checked_sub(1),
            Bound::Unbounded => Some(u64::MAX),
        };
        match end {
            Some(end) if start <= end => self
                .store
                .entries(start..=end, bytes_max)?
                .into_iter()
                .map(convert::from_log)
                .collect(),
            _ => Ok(Vec::new()),
        }
    }
}

/// Queue a write and wait until it is on disk.
async fn flushed(queue: impl FnOnce(Flushed) -> io::Result<()>) -> io::Result<()> {
    let (tell, told) = oneshot::channel();
    queue(Box::new(move |result| {
        let _ = tell.send(result);
    }))?;
    told.await
        .map_err(|_| io::Error::other("the log's writer has stopped"))?
}

impl<L: LogStorage> RaftLogReader<TypeConfig> for Log<L> {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        self.read(range, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, self.read_bytes_max)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let record = self.store.vote()?;
        if let Some(record) = &record {
            self.promised.raise(record.term);
        }
        Ok(record.map(convert::vote))
    }
}

impl<L: LogStorage> RaftLogStorage<TypeConfig> for Log<L> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let (purged, last) = self.store.bounds()?;
        Ok(LogState {
            last_purged_log_id: purged.map(convert::log_id),
            last_log_id: last.map(convert::log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let record = convert::vote_record(vote);
        // Nobody is told of a vote before it is on disk.
        self.promised.raise(record.term);
        flushed(|done| self.store.save_vote(record, done)).await
    }

    async fn save_committed(&mut self, committed: Option<LogIdOf<TypeConfig>>) -> io::Result<()> {
        self.store
            .save_committed(committed.as_ref().map(convert::entry_id))
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.store.committed()?.map(convert::log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries = entries
            .into_iter()
            .map(|entry| convert::to_log(&entry))
            .collect::<io::Result<Vec<_>>>()?;
        self.store.append(
            entries,
            Box::new(move |result| callback.io_completed(result)),
        )
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let last = last.as_ref().map(convert::entry_id);
        flushed(|done| self.store.truncate_after(last, done)).await
    }

    async fn purge(&mut self, last: LogId) -> io::Result<()> {
        flushed(|done| self.store.purge(convert::entry_id(&last), done)).await
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use snakepit_storage::{RaftStore, VoteRecord};

    use super::*;

    fn vote(term: u64) -> Vote {
        convert::vote(VoteRecord {
            term,
            node_id: 2,
            committed: false,
        })
    }

    #[tokio::test]
    async fn a_vote_is_promised_before_it_is_on_disk_and_after_a_restart() {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Arc::new(RaftStore::open(dir.path()).unwrap());
        let mut log = Log::new(store.clone(), 1);
        let (promised, mut other) = (log.promised(), log.clone());
        assert_eq!(promised.term(), 0);
        let (seven, eight) = (vote(7), vote(8));
        log.save_vote(&seven).await.unwrap();
        {
            let mut saving = std::pin::pin!(other.save_vote(&eight));
            assert_eq!(promised.term(), 7);
            let _ = saving
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(promised.term(), 8);
            saving.await.unwrap();
        }

        let mut restarted = Log::new(store, 1);
        restarted.read_vote().await.unwrap();
        assert_eq!(restarted.promised().term(), 8);
    }
}
