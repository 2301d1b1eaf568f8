//! Streams of pools that are journaled in full: a chunk is in the log before its reader gets it. Chunks are
//! gathered while the ones before are on their way.

use std::sync::Arc;

use futures_util::StreamExt as _;
use prost::Message as _;
use snakepit_machine::{Body, CallChunks};
use snakepit_proto::bridge::ToolChunk;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Routed;
use super::full::{end_id, start_id};
use super::journal::{Ended, Open, of_status};
use crate::services::bridge::Answers;
use crate::services::{Failure, Node};

/// Chunks of one entry in the log, at most.
const CHUNKS_MAX: usize = 256;
/// Chunks that wait for the reader.
const AHEAD: usize = 64;

/// A batch of chunks of a call, as a request in the log.
pub(super) fn batch_id(call_id: &str, batch: u64) -> String {
    format!("call:{call_id}:chunks:{batch}")
}

impl Node {
    /// Run a streaming call and log its chunks; give those from number `from` on.
    pub(super) async fn stream_in_full(
        self: &Arc<Self>,
        call: Routed,
        from: u64,
    ) -> Result<Answers<ToolChunk>, Failure> {
        let (start, end) = (start_id(&call.call_id), end_id(&call.call_id));
        self.start_call(&call, &start, 1, true).await?;
        let open = Open::new(self, &call.call_id);
        let chunks = match self.open_stream(call.clone()).await {
            Ok(chunks) => chunks,
            Err(failure) => {
                let ended = Ended::failed(&failure);
                self.end_call(&call, &end, ended, 0).await?;
                return Err(failure);
            }
        };
        let (reader, given) = mpsc::channel(AHEAD);
        let node = self.clone();
        tokio::spawn(async move {
            let _open = open;
            let told = node.log_chunks(&call, chunks, &reader, from).await;
            let (ended, count) = (told.ended(), told.count);
            match node.end_call(&call, &end, ended, count).await {
                // The stream ends where the log says so, not before.
                Ok(_) => {
                    if let Some(status) = told.status {
                        let _ = reader.send(Err(status)).await;
                    }
                }
                Err(failure) => drop(reader.send(Err(node.status(failure))).await),
            }
        });
        Ok(Box::pin(ReceiverStream::new(given)))
    }

    async fn log_chunks(
        &self,
        call: &Routed,
        chunks: Answers<ToolChunk>,
        reader: &mpsc::Sender<Result<ToolChunk, Status>>,
        from: u64,
    ) -> Told {
        let mut told = Told::default();
        let mut chunks = chunks.ready_chunks(CHUNKS_MAX);
        let mut batch = 0;
        loop {
            let gathered = tokio::select! {
                gathered = chunks.next() => gathered,
                () = reader.closed() => {
                    told.left = true;
                    return told;
                }
            };
            let Some(gathered) = gathered else {
                return told;
            };
            let first = told.count;
            let mut good = Vec::with_capacity(gathered.len());
            for chunk in gathered {
                match chunk {
                    Ok(mut chunk) => {
                        chunk.number = told.count;
                        chunk.call_id.clone_from(&call.call_id);
                        told.count += 1;
                        good.push(chunk);
                    }
                    Err(status) => {
                        told.status = Some(status);
                        break;
                    }
                }
            }
            if !good.is_empty() {
                let body = Body::PutChunks(CallChunks {
                    session_id: call.session().to_owned(),
                    of_session: call.session().to_owned(),
                    call_id: call.call_id.clone(),
                    batch,
                    first,
                    chunks: good.iter().map(ToolChunk::encode_to_vec).collect(),
                });
                let request_id = batch_id(&call.call_id, batch);
                if let Err(failure) = self.propose_for(call, &request_id, body).await {
                    told.status = Some(self.status(self.unlogged(call, failure)));
                    return told;
                }
                batch += 1;
            }
            for chunk in good.into_iter().filter(|chunk| chunk.number >= from) {
                if reader.send(Ok(chunk)).await.is_err() {
                    told.left = true;
                    return told;
                }
            }
            if told.status.is_some() {
                return told;
            }
        }
    }
}

/// How a stream ended.
#[derive(Default)]
struct Told {
    count: u64,
    status: Option<Status>,
    /// Its reader went away.
    left: bool,
}

impl Told {
    fn ended(&self) -> Ended {
        let outcome = match &self.status {
            None if self.left => "cancelled",
            None => "ok",
            Some(status) => of_status(status),
        };
        let told = self.status.as_ref();
        let message = told.map_or_else(String::new, |status| status.message().to_owned());
        Ended {
            outcome,
            error_type: told.map_or_else(String::new, |status| format!("{:?}", status.code())),
            // What a reader that comes later is told.
            result: message.into_bytes(),
            ..Ended::cancelled()
        }
    }
}
