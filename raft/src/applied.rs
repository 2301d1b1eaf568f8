//! How far this node has applied the log, and whether somebody is waiting for more of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// Time after which a read index that is not reached is asked for again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The state is gone, and will not get any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node stopped")]
pub struct Stopped;

/// The last applied log index, as it grows. Entries that nobody waits for are applied a little later than they are
/// committed, several at a time (`raft.apply_lag_max_ms`); to wait here is to ask for them.
#[derive(Clone, Debug)]
pub struct AppliedIndex {
    index: watch::Receiver<u64>,
    demand: Arc<Demand>,
}

impl AppliedIndex {
    pub(crate) fn new(index: watch::Receiver<u64>, demand: Arc<Demand>) -> Self {
        Self { index, demand }
    }

    /// The last applied index; 0 where there is none.
    pub fn get(&self) -> u64 {
        *self.index.borrow()
    }

    /// Wait until an entry is applied, which it is as soon as it is committed.
    pub async fn reach(&mut self, index: u64) -> Result<(), Stopped> {
        if self.get() >= index {
            return Ok(());
        }
        let _following = self.follow();
        let reached = self.index.wait_for(|applied| *applied >= index).await;
        reached.map(|_| ()).map_err(|_| Stopped)
    }

    /// Wait until what a leader gave as a read index is applied. Entries that were not committed when it died may be gone, and
    /// so may be the index: it is asked for again now and then, and the lowest answer is enough. Returns the one that counts.
    pub(crate) async fn reach_confirmed<F: Future<Output = Option<u64>>>(
        &mut self,
        mut index: u64,
        mut ask_again: impl FnMut() -> F,
    ) -> Result<u64, Stopped> {
        loop {
            if let Ok(reached) = tokio::time::timeout(ASK_AGAIN_AFTER, self.reach(index)).await {
                return reached.map(|()| index);
            }
            index = index.min(ask_again().await.unwrap_or(index));
        }
    }

    /// Wait until more is applied than when this was last called.
    pub async fn changed(&mut self) -> Result<(), Stopped> {
        self.index.changed().await.map_err(|_| Stopped)
    }

    /// Whether somebody wants more than is applied.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.demand.is_open()
    }

    /// As long as this lives, all entries are applied as soon as they are committed.
    pub fn follow(&self) -> Following {
        self.demand.followers.fetch_add(1, Ordering::SeqCst);
        self.demand.more.notify_one();
        Following(self.demand.clone())
    }
}

/// Somebody who wants to see each change as it comes.
#[derive(Debug)]
pub struct Following(Arc<Demand>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is waited for.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    followers: AtomicUsize,
    /// Told when there is more demand.
    more: Notify,
}

impl Demand {
    /// Whether there is any.
    pub(crate) fn is_open(&self) -> bool {
        self.followers.load(Ordering::SeqCst) > 0
    }

    /// Returns when there is some. One may wait at a time.
    pub(crate) async fn until_open(&self) {
        while !self.is_open() {
            self.more.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[tokio::test]
    async fn a_read_index_that_is_gone_is_asked_for_again_and_the_lowest_counts() {
        let (grow, index) = watch::channel(3);
        let mut applied = AppliedIndex::new(index, Arc::default());
        let mut answers = vec![Some(12), None, Some(7)];
        let mut growing = Some(grow);
        let reached = applied.reach_confirmed(10, || {
            let answer = answers.pop().flatten();
            if answers.is_empty() {
                // Only now is there what the lowest answer asks for, and not what the others do.
                growing.as_ref().unwrap().send_replace(7);
            }
            ready(answer)
        });
        assert_eq!(reached.await, Ok(7));
        assert!(answers.is_empty());

        growing.take();
        let gone = applied.reach_confirmed(10, || ready(None)).await;
        assert_eq!(gone, Err(Stopped));
    }
}
