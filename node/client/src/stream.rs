//! Streaming calls: a stream that goes on at another node where one fails and the call's journal has its chunks.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::Value as Json;
use snakepit_proto::bridge::{ToolChunk, bridge_service_client::BridgeServiceClient};
use tokio::time::{Instant, sleep};
use tonic::Streaming;

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::error::Failure;
use crate::tool::StreamPosition;
use crate::{CallRequest, Client, ClientError};

/// Waits between attempts at a stream that breaks again and again without a chunk in between.
const REOPEN_WAIT: Duration = Duration::from_millis(200);
/// Breaks in a row, without a chunk in between, after which a stream gives up.
const BREAKS_MAX: u32 = 5;

/// Chunks in order, each once; an error is the last item.
pub type ChunkStream = Pin<Box<dyn Stream<Item = Result<Chunk, ClientError>> + Send>>;

/// A part of what a streaming tool gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Its place in the stream, from 0.
    pub number: u64,
    /// The call that it is of; with its number, where a stream goes on. Empty where nodes do not say.
    pub call_id: String,
    /// The tool's own name of it.
    pub id: String,
    /// What it holds, mostly JSON text.
    pub data: Bytes,
    /// Whether the tool marked it as the last.
    pub is_final: bool,
    /// What the tool says beside it.
    pub metadata: BTreeMap<String, String>,
}

impl Chunk {
    /// What it holds, where that is JSON text.
    pub fn json(&self) -> Option<Json> {
        crate::json::read(&self.data)
    }
}

impl From<ToolChunk> for Chunk {
    fn from(chunk: ToolChunk) -> Self {
        Self {
            number: chunk.number,
            call_id: chunk.call_id,
            id: chunk.chunk_id,
            data: chunk.data,
            is_final: chunk.is_final,
            metadata: chunk.metadata,
        }
    }
}

struct Open {
    chunks: Streaming<ToolChunk>,
    /// The node that serves it, by its number in the pool.
    node: usize,
}

struct Calling {
    client: Client,
    call: CallRequest,
    deadline: Instant,
    open: Option<Open>,
    /// Whether a chunk has come.
    given: bool,
    /// Why the last stream broke, while its end is being made good.
    broken: Option<ClientError>,
    breaks: u32,
    done: bool,
}

impl Client {
    /// Call a streaming tool. Where its node dies, the stream goes on at another one behind the last chunk, if
    /// the call's pool keeps its chunks (journal `full`); a call that is idempotent or has an idempotency key
    /// begins anew if no chunk has come. Otherwise the error is given as it is, and is the last item.
    /// Dropping the stream cancels the call.
    pub fn call_stream(&self, call: CallRequest) -> ChunkStream {
        let client = call.client(self);
        let deadline = Instant::now() + client.options.timeout;
        let calling = Calling {
            client,
            call,
            deadline,
            open: None,
            given: false,
            broken: None,
            breaks: 0,
            done: false,
        };
        Box::pin(stream::unfold(calling, |mut calling| async move {
            let item = calling.next().await?;
            calling.done |= item.is_err();
            Some((item, calling))
        }))
    }
}

impl Calling {
    async fn next(&mut self) -> Option<Result<Chunk, ClientError>> {
        while !self.done {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => match self.open().await {
                    Ok(open) => open,
                    // That it cannot be made good does not say why it broke.
                    Err(error) => return Some(Err(self.broken.take().unwrap_or(error))),
                },
            };
            match open.chunks.message().await {
                Ok(Some(chunk)) => {
                    self.open = Some(open);
                    self.breaks = 0;
                    if self.is_new(&chunk) {
                        return Some(Ok(chunk.into()));
                    }
                }
                Ok(None) => return None,
                Err(status) => {
                    let endpoint = self.client.pool.at(open.node).endpoint;
                    let failure = Failure::of(endpoint.authority(), &status);
                    if let Err(error) = self.broke(open.node, failure) {
                        return Some(Err(error));
                    }
                    sleep(REOPEN_WAIT * self.breaks.saturating_sub(1)).await;
                }
            }
        }
        None
    }

    /// Begin the call, or go on behind its last chunk.
    async fn open(&mut self) -> Result<Open, ClientError> {
        let repeat = match self.call.resume {
            Some(_) => Repeat::Read,
            None => self.call.repeat(),
        };
        let left = self.deadline.saturating_duration_since(Instant::now());
        let client = self.client.clone().with_timeout(left);
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .execute_streaming_tool(request)
                .await
        };
        let request = self.call.clone().into_wire(true);
        let answer = client.call(repeat, Patience::Whole, request, send).await?;
        Ok(Open {
            chunks: answer.value,
            node: client.pinned.unwrap_or_else(|| client.pool.current().0),
        })
    }

    /// Note the place behind a chunk; false for one that was given before its stream broke.
    fn is_new(&mut self, chunk: &ToolChunk) -> bool {
        self.given = true;
        self.broken = None;
        if chunk.call_id.is_empty() {
            return true;
        }
        let next = self.call.resume.get_or_insert_with(StreamPosition::default);
        if next.call_id == chunk.call_id && chunk.number < next.number {
            return false;
        }
        next.call_id.clone_from(&chunk.call_id);
        next.number = chunk.number + 1;
        true
    }

    /// A stream broke: leave its node, unless the call cannot go on.
    fn broke(&mut self, node: usize, failure: Failure) -> Result<(), ClientError> {
        self.breaks += 1;
        let goes_on = match self.call.resume {
            Some(_) => true,
            None => !self.given && (self.call.repeat() != Repeat::Once || !failure.maybe_done),
        };
        let late = Instant::now() >= self.deadline;
        if !failure.transient || !goes_on || late || self.breaks > BREAKS_MAX {
            return Err(failure.error);
        }
        if self.client.pinned.is_none() {
            match failure.leader.as_deref().map(str::parse) {
                Some(Ok(leader)) => self.client.pool.follow(node, &leader),
                _ => self.client.pool.leave(node),
            }
        }
        self.broken = Some(failure.error);
        Ok(())
    }
}
