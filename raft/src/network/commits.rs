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
    /// Told when a follower was given an index to wait for.
    awaited: watch::Receiver<()>,
    eager: Eager,
    wait_max: Duration,
    /// The last entry that was sent on this stream.
    sent: Option<LogId>,
    held: Option<Request>,
    /// Runs on where what was held has left with others: one timer for many.
    timer: Pin<Box<Sleep>>,
    is_timed: bool,
}

/// The requests, without those that are told by the next one.
pub(super) fn gather(
    requests: impl Stream<Item = Request> + Unpin,
    awaited: watch::Receiver<()>,
    eager: Eager,
    wait_max: Duration,
) -> impl Stream<Item = Request> {
    let commits = Commits {
        requests,
        awaited,
        eager,
        wait_max,
        sent: None,
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
                    if let Some(held) = self.held.take() {
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

    /// Whether it holds nothing but a commit, which nobody is known to wait for.
    fn may_wait(&self, request: &Request) -> bool {
        request.entries.is_empty()
            && self.sent.is_some()
            && request.prev_log_id == self.sent
            && !self.wait_max.is_zero()
            && !self.eager.get()
    }

    fn send(&mut self, request: Request) -> Request {
        let last = request.entries.last().map(|entry| entry.log_id);
        self.sent = last.or(request.prev_log_id);
        self.held = None;
        self.awaited.mark_unchanged();
        request
    }
}
