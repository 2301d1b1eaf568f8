//! A stream that goes on: on any node, from a chunk number, with what the log has; where the node that ran it
//! is gone, an idempotent tool is run again for the rest.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use snakepit_machine::{Answer, Payload};
use snakepit_proto::bridge::{ExecuteToolRequest, ToolChunk};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::Routed;
use super::chunks::batch_id;
use super::full::{end_id, start_id};
use crate::pool::Journal;
use crate::services::bridge::Answers;
use crate::services::status::LOST;
use crate::services::{Failure, Node};

/// Time between two looks for what a running stream has logged.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Chunks that wait for the reader.
const AHEAD: usize = 64;

impl Node {
    /// Go on with a stream. The request names its call; what was called, the log knows.
    pub(super) async fn resume(
        self: &Arc<Self>,
        mut call: Routed,
    ) -> Result<Answers<ToolChunk>, Failure> {
        let (resumed, from) = (
            call.request.resume_call_id.clone(),
            call.request.resume_from,
        );
        let Some(Answer::CallStarted { node, position, .. }) =
            self.answer_in_log(&call, &start_id(&resumed)).await?
        else {
            return Err(Failure::Invalid(format!(
                "no stream of call {resumed} is in the log of this session; hint: only streams of pools with journal full are resumed, within ten minutes"
            )));
        };
        let Payload::CallStarted { arguments, .. } = self.payload_at(position).await? else {
            return Err(crate::services::bridge::misfit());
        };
        let arguments = self.opened(&call, &resumed, arguments).await?;
        let first = ExecuteToolRequest::decode(arguments.as_slice())
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))?;
        call.request = first;
        call.note_reads(Journal::Full);
        let (reader, given) = mpsc::channel(AHEAD);
        let me = self.clone();
        tokio::spawn(async move {
            if let Err(failure) = me.follow(call, &resumed, node, from, &reader).await {
                let _ = reader.send(Err(me.status(failure))).await;
            }
        });
        Ok(Box::pin(ReceiverStream::new(given)))
    }

    async fn follow(
        self: &Arc<Self>,
        call: Routed,
        resumed: &str,
        node: u64,
        from: u64,
        reader: &mpsc::Sender<Result<ToolChunk, Status>>,
    ) -> Result<(), Failure> {
        let mut next = from;
        let mut batch = 0;
        let mut silence = self.silence_of(node, &call);
        loop {
            // Asked first: what it logs before it ends is found then.
            let open = self.is_open(resumed, &mut silence).await;
            while let Some(Answer::CallChunksPut {
                position,
                first,
                count,
            }) = self.answer_in_log(&call, &batch_id(resumed, batch)).await?
            {
                batch += 1;
                if first + count <= next {
                    continue;
                }
                for chunk in self.chunks_at(&call, resumed, position).await? {
                    if chunk.number >= next {
                        next = chunk.number + 1;
                        if reader.send(Ok(chunk)).await.is_err() {
                            return Ok(());
                        }
                    }
                }
            }
            match self.answer_in_log(&call, &end_id(resumed)).await? {
                Some(Answer::CallEnded {
                    outcome, result, ..
                }) => match outcome.as_str() {
                    "ok" => return Ok(()),
                    "raised" => {
                        let message = self.opened(&call, resumed, result).await?;
                        return Err(raised(&message));
                    }
                    _ => return self.run_the_rest(call, resumed, next, reader).await,
                },
                Some(_) => return Err(crate::services::bridge::misfit()),
                None if !open => return self.run_the_rest(call, resumed, next, reader).await,
                None => {}
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = reader.closed() => return Ok(()),
            }
        }
    }

    /// Run the tool again, and give the chunks that are still wanted.
    async fn run_the_rest(
        self: &Arc<Self>,
        call: Routed,
        resumed: &str,
        next: u64,
        reader: &mpsc::Sender<Result<ToolChunk, Status>>,
    ) -> Result<(), Failure> {
        if !self.may_repeat(&call) {
            let mut status = Status::new(
                Code::Unknown,
                format!(
                    "the stream of call {resumed} was lost before chunk {next}; it may be done; hint: mark the tool idempotent to have it run again"
                ),
            );
            crate::services::status::mark(&mut status, LOST, true);
            return Err(Failure::Remote(status));
        }
        tracing::info!(
            call_id = resumed,
            next,
            "a lost stream runs again for the rest"
        );
        let mut chunks = self.stream_in_full(call, next).await?;
        while let Some(chunk) = chunks.next().await {
            if reader.send(chunk).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn chunks_at(
        &self,
        call: &Routed,
        call_id: &str,
        position: u64,
    ) -> Result<Vec<ToolChunk>, Failure> {
        let Payload::CallChunksPut { chunks, .. } = self.payload_at(position).await? else {
            return Err(crate::services::bridge::misfit());
        };
        let mut decoded = Vec::with_capacity(chunks.len());
        for bytes in chunks {
            let bytes = self.opened(call, call_id, bytes).await?;
            let chunk = ToolChunk::decode(bytes.as_slice());
            decoded
                .push(chunk.map_err(|error| {
                    std::io::Error::new(std::io::ErrorKind::InvalidData, error)
                })?);
        }
        Ok(decoded)
    }

    /// What the log has of a call of this session, in plain text.
    pub(super) async fn opened(
        &self,
        call: &Routed,
        call_id: &str,
        bytes: Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        let ask = self.own_ask(&call.principal)?;
        self.open_bytes(&ask, call.session(), call_id, bytes).await
    }
}

fn raised(message: &[u8]) -> Failure {
    let mut status = Status::new(Code::Unknown, String::from_utf8_lossy(message));
    crate::services::status::mark(&mut status, "tool", true);
    Failure::Remote(status)
}
