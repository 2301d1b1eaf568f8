//! Appends that only tell what is committed: each follower is told with the next entries too, so such an append waits
//! for them a while. With one client at a time, every other message between the nodes would be one of these.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use openraft::raft::AppendEntriesRequest;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use crate::types::{LogId, TypeConfig};

type Request = AppendEntriesRequest<TypeConfig>;

/// Whether a follower wants to know each commit as it comes; it says so with its answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Eager(Arc<AtomicBool>);

impl Eager {
    pub(super) fn set(&self, eager: bool) {
        self.0.store(eager, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct Commits<S> {
    requests: S,
    /// The last index that a follower was given to wait for.
    awaited: watch::Receiver<u64>,
    eager: Eager,
    wait_max: Duration,
    /// The last entry that was sent on this stream.
    sent: Option<LogId>,
    /// The last commit that was told on this stream.
    told: u64,
    held: Option<Request>,
    /// Runs on where what was held has left with others: one timer for many.
    timer: Pin<Box<Sleep>>,
    is_timed: bool,
}

/// The requests, without those that are told by the next one.
pub(super) fn gather(
    requests: impl Stream<Item = Request> + Unpin,
    awaited: watch::Receiver<u64>,
    eager: Eager,
    wait_max: Duration,
) -> impl Stream<Item = Request> {
    let commits = Commits {
        requests,
        awaited,
        eager,
        wait_max,
        sent: None,
        told: 0,
        held: None,
        timer: Box::pin(tokio::time::sleep(wait_max)),
        is_timed: false,
    };
    stream::unfold(commits, |mut commits| async {
        let next = commits.next().await?;
        Some((next, commits))
    })
}

impl<S: Stream<Item = Request> + Unpin> Commits<S> {
    async fn next(&mut self) -> Option<Request> {
        loop {
            tokio::select! {
                biased;
                request = self.requests.next() => {
                    let request = request?;
                    if !self.may_wait(&request) {
                        return Some(self.send(request));
                    }
                    self.held = Some(request);
                    if !std::mem::replace(&mut self.is_timed, true) {
                        self.timer.as_mut().reset(Instant::now() + self.wait_max);
                    }
                }
                Ok(()) = self.awaited.changed(), if self.held.is_some() => {
                    if self.is_awaited() && let Some(held) = self.held.take() {
                        return Some(self.send(held));
                    }
                }
                () = &mut self.timer, if self.is_timed => {
                    self.is_timed = false;
                    if let Some(held) = self.held.take() {
                        return Some(self.send(held));
                    }
                }
            }
        }
    }

    /// Whether it holds nothing but a commit, which nobody is known to wait for. One that does not go on where the last
    /// one ended asks what the follower has.
    fn may_wait(&self, request: &Request) -> bool {
        request.entries.is_empty()
            && self.sent.is_some()
            && request.prev_log_id == self.sent
            && !self.wait_max.is_zero()
            && !self.eager.get()
            && !self.is_awaited()
    }

    /// Whether a follower waits for a commit that it was not told of.
    fn is_awaited(&self) -> bool {
        *self.awaited.borrow() > self.told
    }

    fn send(&mut self, request: Request) -> Request {
        let last = request.entries.last().map(|entry| entry.log_id);
        self.sent = last.or(request.prev_log_id);
        let told = request.leader_commit.as_ref().map(LogId::index);
        self.told = self.told.max(told.unwrap_or(0));
        self.held = None;
        request
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use openraft::entry::RaftEntry as _;
    use snakepit_storage::{EntryId, VoteRecord};
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;
    use crate::convert;
    use crate::types::Entry;

    const LONG: Duration = Duration::from_secs(3_600);

    fn id(index: u64) -> LogId {
        convert::log_id(EntryId { term: 1, index })
    }

    /// Entries from one behind `prev` through `last`, and what is committed.
    fn request(prev: u64, last: u64, committed: u64) -> Request {
        let vote = VoteRecord {
            term: 1,
            node_id: 1,
            committed: true,
        };
        Request {
            vote: convert::vote(vote),
            prev_log_id: Some(id(prev)),
            entries: (prev + 1..=last)
                .map(|index| Entry::new_blank(id(index)))
                .collect(),
            leader_commit: Some(id(committed)),
        }
    }

    struct Bench {
        send: mpsc::Sender<Request>,
        awaited: watch::Sender<u64>,
        eager: Eager,
        gathered: Pin<Box<dyn Stream<Item = Request>>>,
    }

    fn bench(wait_max: Duration) -> Bench {
        let (send, requests) = mpsc::channel(8);
        let awaited = watch::Sender::new(0);
        let eager = Eager::default();
        let requests = ReceiverStream::new(requests);
        let gathered = gather(requests, awaited.subscribe(), eager.clone(), wait_max);
        Bench {
            send,
            awaited,
            eager,
            gathered: Box::pin(gathered),
        }
    }

    impl Bench {
        async fn put(&self, request: Request) {
            self.send.send(request).await.unwrap();
        }

        /// Previous and last index and what is committed of the next one; `None` where there is none yet.
        fn next(&mut self) -> Option<(u64, usize, u64)> {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match self.gathered.poll_next_unpin(&mut context) {
                Poll::Ready(Some(request)) => Some(told(&request)),
                Poll::Ready(None) => panic!("it has ended"),
                Poll::Pending => None,
            }
        }
    }

    fn told(request: &Request) -> (u64, usize, u64) {
        (
            request.prev_log_id.as_ref().unwrap().index(),
            request.entries.len(),
            request.leader_commit.as_ref().unwrap().index(),
        )
    }

    #[tokio::test]
    async fn a_commit_is_told_with_the_next_entries() {
        let mut bench = bench(LONG);
        // With the first one the leader asks what the follower has.
        bench.put(request(4, 4, 4)).await;
        assert_eq!(bench.next(), Some((4, 0, 4)));
        bench.put(request(4, 6, 4)).await;
        assert_eq!(bench.next(), Some((4, 2, 4)));
        bench.put(request(6, 6, 5)).await;
        bench.put(request(6, 6, 6)).await;
        assert_eq!(bench.next(), None);
        bench.put(request(6, 7, 6)).await;
        assert_eq!(bench.next(), Some((6, 1, 6)));
        assert_eq!(bench.next(), None, "nothing is told twice");
    }

    #[tokio::test]
    async fn a_commit_is_told_at_once_where_it_is_waited_for() {
        let mut bench = bench(LONG);
        bench.put(request(4, 5, 4)).await;
        assert!(bench.next().is_some());
        bench.put(request(5, 5, 5)).await;
        assert_eq!(bench.next(), None);
        bench.awaited.send_replace(5);
        assert_eq!(bench.next(), Some((5, 0, 5)));
        bench.put(request(5, 6, 5)).await;
        assert_eq!(bench.next(), Some((5, 1, 5)));

        // The index was given away before its commit came to this stream, and what leaves meanwhile does not tell it.
        bench.awaited.send_replace(6);
        bench.put(request(6, 7, 5)).await;
        assert_eq!(bench.next(), Some((6, 1, 5)));
        bench.put(request(7, 7, 6)).await;
        assert_eq!(bench.next(), Some((7, 0, 6)));
        bench.put(request(7, 7, 7)).await;
        assert_eq!(bench.next(), None, "nobody waits for this one");

        bench.eager.set(true);
        bench.put(request(7, 7, 7)).await;
        assert_eq!(bench.next(), Some((7, 0, 7)));
        bench.eager.set(false);
        bench.put(request(7, 7, 7)).await;
        assert_eq!(bench.next(), None);
    }

    #[tokio::test]
    async fn a_commit_that_no_entries_follow_is_told_in_time() {
        let mut bench = bench(Duration::from_millis(1));
        bench.put(request(4, 5, 4)).await;
        assert!(bench.next().is_some());
        for _ in 0..2 {
            bench.put(request(5, 5, 5)).await;
            let next = bench.gathered.next().await.unwrap();
            assert_eq!(told(&next), (5, 0, 5));
        }
    }
}
