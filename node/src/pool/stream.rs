//! A streaming call's chunks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use snakepit_proto::bridge::ToolChunk;
use snakepit_proto::worker as wire;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::CallError;
use super::pool::{Admitted, Pool};
use super::state::CallKey;

/// The chunks of a call, in order; an error is the last item. Dropping it cancels the call.
///
/// The worker may be `chunk_credits` ahead of the reader, not more.
pub struct CallStream {
    pool: Arc<Pool>,
    key: CallKey,
    chunks: mpsc::Receiver<Result<wire::Chunk, CallError>>,
    /// Taken by the reader since the last grant.
    taken: u32,
    /// How many make a grant.
    grant_at: u32,
    /// Chunks given to the reader so far.
    number: u64,
    call_id: String,
    watch: JoinHandle<()>,
    ended: bool,
}

impl CallStream {
    pub(super) fn new(
        pool: Arc<Pool>,
        admitted: &Admitted,
        call_id: String,
        chunks: mpsc::Receiver<Result<wire::Chunk, CallError>>,
    ) -> Self {
        let key = admitted.key;
        let grant_at = pool.settings().chunk_credits.div_ceil(2);
        let watch = tokio::spawn(watch(
            pool.clone(),
            key,
            admitted.queue_deadline.map(Into::into),
            admitted.deadline.into(),
        ));
        Self {
            pool,
            key,
            chunks,
            taken: 0,
            grant_at,
            number: 0,
            call_id,
            watch,
            ended: false,
        }
    }
}

impl CallStream {
    /// How many chunks wait for the reader here: at most `chunk_credits`.
    pub fn chunks_waiting(&self) -> usize {
        self.chunks.len()
    }
}

/// Ends the call in time, also where the reader does not read. Ends with the stream.
async fn watch(
    pool: Arc<Pool>,
    key: CallKey,
    queue_deadline: Option<tokio::time::Instant>,
    deadline: tokio::time::Instant,
) {
    if let Some(queue_deadline) = queue_deadline.filter(|at| *at < deadline) {
        tokio::time::sleep_until(queue_deadline).await;
        if pool.queue_timeout(key).is_some() {
            return;
        }
    }
    tokio::time::sleep_until(deadline).await;
    pool.expire(key);
}

impl Stream for CallStream {
    type Item = Result<ToolChunk, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = match ready!(self.chunks.poll_recv(context)) {
            Some(Ok(chunk)) => {
                self.taken += 1;
                if self.taken >= self.grant_at {
                    self.pool.grant(self.key, self.taken);
                    self.taken = 0;
                }
                let number = self.number;
                self.number += 1;
                Ok(ToolChunk {
                    chunk_id: chunk.chunk_id,
                    data: chunk.data,
                    is_final: chunk.is_final,
                    metadata: chunk.metadata,
                    number,
                    call_id: self.call_id.clone(),
                    call_reads: Default::default(),
                })
            }
            Some(Err(error)) => {
                self.ended = true;
                Err(error)
            }
            None => {
                self.ended = true;
                return Poll::Ready(None);
            }
        };
        Poll::Ready(Some(item))
    }
}

impl Drop for CallStream {
    fn drop(&mut self) {
        self.watch.abort();
        self.pool.abandon(self.key);
    }
}
