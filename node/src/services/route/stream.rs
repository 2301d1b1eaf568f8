//! Streaming calls: where they run. A stream that has begun is not begun again.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::{Stream, StreamExt as _};
use snakepit_proto::bridge::ToolChunk;
use tonic::{Code, Status};

use super::Routed;
use super::choose::{Target, Tried};
use super::journal::{Pending, of_status};
use super::run::{Again, BOUND_ANEW_MAX, again};
use crate::pool::{CallError, Journal};
use crate::services::bridge::Answers;
use crate::services::{Failure, Node};

impl Node {
    /// Run a streaming call where there is room for it, with what its pool's journal asks for; or go on with
    /// one that is in the log.
    pub(in super::super) async fn route_stream(
        self: &Arc<Self>,
        mut call: Routed,
    ) -> Result<Answers<ToolChunk>, Failure> {
        if !call.request.resume_call_id.is_empty() {
            return self.resume(call).await;
        }
        let journal = self.journal_of(&call);
        call.note_reads(journal);
        match journal {
            Journal::Off => self.open_stream(call).await,
            Journal::Outcome => {
                let pending = Pending::begin(self, &call);
                let chunks = match self.open_stream(call).await {
                    Ok(chunks) => chunks,
                    Err(failure) => {
                        pending.failed(&failure);
                        return Err(failure);
                    }
                };
                Ok(Box::pin(Recorded {
                    chunks,
                    pending: Some(pending),
                }))
            }
            Journal::Full => self.stream_in_full(call, 0).await,
        }
    }

    /// Begin a streaming call where there is room for it.
    pub(super) async fn open_stream(
        self: &Arc<Self>,
        call: Routed,
    ) -> Result<Answers<ToolChunk>, Failure> {
        let mut bound_anew = 0;
        let mut tried = Tried::default();
        loop {
            let target = self.choose(&call, &tried).await?;
            let begun = self.begin_stream(call.clone(), &target).await;
            if let (Err(failure), Some(node)) = (&begun, target.node)
                && again(failure) == Again::Busy
            {
                self.note_back(&target, &mut tried);
                tried.nodes.push(node);
                continue;
            }
            let gone = match &begun {
                Ok(_) => false,
                Err(failure) => Box::pin(self.note_lost_worker(&call, &target, failure)).await,
            };
            if !gone || !target.fresh || bound_anew == BOUND_ANEW_MAX {
                return begun;
            }
            bound_anew += 1;
        }
    }

    async fn begin_stream(
        self: &Arc<Self>,
        mut call: Routed,
        target: &Target,
    ) -> Result<Answers<ToolChunk>, Failure> {
        call.worker.clone_from(&target.worker);
        call.or_back = target.or_back;
        if !target.pool.is_empty() {
            call.pool.clone_from(&target.pool);
        }
        match target.node {
            Some(peer) => {
                let chunks = self.peers.execute_stream(peer, call.clone().for_peer());
                let chunks = chunks.await.map_err(Failure::Remote)?;
                Ok(call.take_reads_of(chunks))
            }
            None => self.stream_here(call).await,
        }
    }

    /// Run a streaming call on this node's workers.
    pub(in super::super) async fn stream_here(
        self: &Arc<Self>,
        call: Routed,
    ) -> Result<Answers<ToolChunk>, Failure> {
        let node = self.clone();
        let tool = call.tool().to_owned();
        let streams = self
            .pools
            .tools()
            .into_iter()
            .find(|spec| spec.name == tool)
            .is_none_or(|spec| spec.supports_streaming);
        if !streams {
            return Err(Failure::Remote(Status::unimplemented(format!(
                "Streaming execution is not enabled for tool {tool}. Enable streaming support on the adapter (supports_streaming: true) or use ExecuteTool instead."
            ))));
        }
        let span = call.span("ToolStream");
        let chunks = self.pools.stream(call.into_call(&span)).await?;
        // It ends with the stream: well where that was read to its end.
        let mut span = Some(span);
        let chunks = chunks.map(Some).chain(futures_util::stream::iter([None]));
        Ok(Box::pin(chunks.filter_map(move |chunk| {
            let item = match chunk {
                Some(chunk) => Some(chunk.map_err(|error: CallError| node.status(error.into()))),
                None => {
                    if let Some(span) = span.take() {
                        span.end(Code::Ok);
                    }
                    None
                }
            };
            std::future::ready(item)
        })))
    }
}

/// A stream whose end is recorded; as cancelled where it is dropped before.
struct Recorded {
    chunks: Answers<ToolChunk>,
    pending: Option<Pending>,
}

impl Stream for Recorded {
    type Item = Result<ToolChunk, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.chunks.poll_next_unpin(context));
        let ended = match &item {
            None => Some("ok"),
            Some(Err(status)) => Some(of_status(status)),
            Some(Ok(_)) => None,
        };
        if let Some(outcome) = ended
            && let Some(pending) = self.pending.take()
        {
            pending.end_as(outcome);
        }
        Poll::Ready(item)
    }
}
