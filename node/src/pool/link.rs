//! What the ends of one worker's connection share.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::Stream;
use futures_util::task::AtomicWaker;
use snakepit_proto::worker as wire;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::pool::Pool;
use super::state::WorkerKey;

/// A worker's connection, as seen by its reader, its writer and its supervisor.
pub(super) struct Link {
    pub(super) key: WorkerKey,
    /// Wakes the writer.
    waker: AtomicWaker,
    /// The reader has taken everything that the worker sent, and has told the pool.
    pub(super) closed: CancellationToken,
    kill: CancellationToken,
    kill_reason: OnceLock<&'static str>,
    retire: CancellationToken,
    retire_reason: OnceLock<&'static str>,
    drained: AtomicBool,
    drain: CancellationToken,
}

impl Link {
    pub(super) fn new(key: WorkerKey) -> Self {
        Self {
            key,
            waker: AtomicWaker::new(),
            closed: CancellationToken::new(),
            kill: CancellationToken::new(),
            kill_reason: OnceLock::new(),
            retire: CancellationToken::new(),
            retire_reason: OnceLock::new(),
            drained: AtomicBool::new(false),
            drain: CancellationToken::new(),
        }
    }

    /// Have the process killed. False where that was asked before.
    pub(super) fn kill(&self, reason: &'static str) -> bool {
        let first = self.kill_reason.set(reason).is_ok();
        self.kill.cancel();
        first
    }

    /// Wait for the order to kill; returns its reason.
    pub(super) async fn killed(&self) -> &'static str {
        self.kill.cancelled().await;
        self.kill_reason.get().copied().unwrap_or("killed")
    }

    /// Have the worker replaced: another is started first, then this one drains. False where that was asked
    /// before.
    pub(super) fn retire(&self, reason: &'static str) -> bool {
        let first = self.retire_reason.set(reason).is_ok();
        self.retire.cancel();
        first
    }

    /// Wait for the order to be replaced; returns its reason.
    pub(super) async fn retired(&self) -> &'static str {
        self.retire.cancelled().await;
        self.retire_reason.get().copied().unwrap_or("asked")
    }

    /// Have the worker drain, and be replaced then. False where that was asked before.
    pub(super) fn drain(&self) -> bool {
        let first = !self.drain.is_cancelled();
        self.drain.cancel();
        first
    }

    /// Wait for the order to drain.
    pub(super) async fn asked_to_drain(&self) {
        self.drain.cancelled().await;
    }

    /// The worker said goodbye.
    pub(super) fn set_drained(&self) {
        self.drained.store(true, Ordering::Release);
    }

    /// Whether the worker said goodbye.
    pub(super) fn drained(&self) -> bool {
        self.drained.load(Ordering::Acquire)
    }

    /// There is something to send.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }
}

/// The messages to a worker. Each takes along everything that waits for it when it is made: while one is being
/// written the next gathers, and there is no timer.
pub struct Outgoing {
    pool: Arc<Pool>,
    link: Arc<Link>,
    /// The first message.
    welcome: Option<wire::Welcome>,
    /// Whether the tasks that are ready now have had their turn to add calls.
    yielded: bool,
}

impl Outgoing {
    pub(super) fn new(pool: Arc<Pool>, link: Arc<Link>, welcome: wire::Welcome) -> Self {
        Self {
            pool,
            link,
            welcome: Some(welcome),
            yielded: false,
        }
    }
}

impl Stream for Outgoing {
    type Item = Result<wire::ToWorker, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(welcome) = self.welcome.take() {
            let message = Some(wire::to_worker::Message::Welcome(welcome));
            return Poll::Ready(Some(Ok(wire::ToWorker { message })));
        }
        self.link.waker.register(context.waker());
        if self.link.closed.is_cancelled() {
            return Poll::Ready(None);
        }
        if !self.yielded && self.pool.has_several_calls() {
            // To the back of the line of tasks: those in front may have calls for the same message. Where there is
            // but one caller nobody else has, and to be run once more would wake another thread for nothing.
            self.yielded = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.pool.next_message(self.link.key, Instant::now()) {
            Some(message) => Poll::Ready(Some(Ok(message))),
            None => {
                self.yielded = false;
                Poll::Pending
            }
        }
    }
}
