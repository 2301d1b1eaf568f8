//! What calls have read, on the way from the node that runs a call to the one that took it and journals it.

use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};
use prost::Message as _;
use snakepit_machine::{CallRead, CallReads};
use snakepit_proto::bridge::{ExecuteToolResponse, ToolChunk};
use snakepit_proto::{headers, peer};
use tonic::Status;
use tonic::metadata::MetadataValue;

use super::Routed;
use crate::pool::{Journal, Reads};
use crate::services::bridge::Answers;

/// What an error brings of them at most, in bytes: HTTP/2 bounds its metadata.
const ERROR_BYTES_MAX: usize = 4_096;

impl Routed {
    /// Note what it reads from now on, where its pool's journal wants that.
    pub(super) fn note_reads(&mut self, journal: Journal) {
        self.reads = (journal != Journal::Off).then(Arc::default);
    }

    /// What it has read until now; nothing where that is not noted.
    pub(super) fn told_reads(&self) -> CallReads {
        told(self.reads.as_ref())
    }

    /// Where what it reads is noted.
    pub(in super::super) fn reads(&self) -> Option<Arc<Reads>> {
        self.reads.clone()
    }

    /// Take what another node noted out of its answer.
    pub(super) fn take_reads(&self, answered: &mut Result<ExecuteToolResponse, Status>) {
        match answered {
            Ok(answer) => take(self.reads.as_ref(), &std::mem::take(&mut answer.call_reads)),
            Err(status) => take_of_error(self.reads.as_ref(), status),
        }
    }

    /// As [`Self::take_reads`], of a stream.
    pub(super) fn take_reads_of<S>(&self, chunks: S) -> Answers<ToolChunk>
    where
        S: Stream<Item = Result<ToolChunk, Status>> + Send + 'static,
    {
        let reads = self.reads.clone();
        Box::pin(chunks.filter_map(move |item| {
            let kept = match item {
                Ok(chunk) if !chunk.call_reads.is_empty() => {
                    take(reads.as_ref(), &chunk.call_reads);
                    None
                }
                other => Some(other),
            };
            std::future::ready(kept)
        }))
    }
}

/// Put what was noted into an answer to another node.
pub(in super::super) fn send(
    reads: Option<&Arc<Reads>>,
    answered: &mut Result<ExecuteToolResponse, Status>,
) {
    if reads.is_none() {
        return;
    }
    let told = told(reads);
    match answered {
        Ok(answer) => answer.call_reads = encode(&told).into(),
        Err(status) => {
            let value = MetadataValue::from_bytes(&clipped(told));
            status.metadata_mut().insert_bin(headers::CALL_READS, value);
        }
    }
}

/// Put what was noted, if anything, behind the chunks of a stream to another node, in front of its error.
pub(in super::super) fn send_behind(
    reads: Option<Arc<Reads>>,
    chunks: Answers<ToolChunk>,
) -> Answers<ToolChunk> {
    let Some(reads) = reads else { return chunks };
    let last = move || {
        let told = reads.told();
        (told != CallReads::default()).then(|| {
            Ok(ToolChunk {
                call_reads: encode(&told).into(),
                ..ToolChunk::default()
            })
        })
    };
    let chunks = chunks.map(Some).chain(stream::iter([None]));
    Box::pin(chunks.flat_map(move |item| {
        let (first, second) = match item {
            Some(Ok(given)) => (Some(Ok(given)), None),
            Some(Err(status)) => (last(), Some(Err(status))),
            None => (last(), None),
        };
        stream::iter(first.into_iter().chain(second))
    }))
}

fn told(reads: Option<&Arc<Reads>>) -> CallReads {
    reads.map_or_else(CallReads::default, |reads| reads.told())
}

fn take(reads: Option<&Arc<Reads>>, bytes: &[u8]) {
    if let (Some(reads), Ok(told)) = (reads, peer::CallReads::decode(bytes)) {
        let noted = told.reads.into_iter().map(|read| CallRead {
            session_id: read.session_id,
            name: read.name,
            version: read.version,
        });
        reads.add(CallReads {
            noted: noted.collect(),
            left_out: told.left_out,
        });
    }
}

fn take_of_error(reads: Option<&Arc<Reads>>, status: &mut Status) {
    let value = status.metadata_mut().remove_bin(headers::CALL_READS);
    if let Some(bytes) = value.and_then(|value| value.to_bytes().ok()) {
        take(reads, &bytes);
    }
}

fn encode(told: &CallReads) -> Vec<u8> {
    let reads = told.noted.iter().map(|read| peer::CallRead {
        session_id: read.session_id.clone(),
        name: read.name.clone(),
        version: read.version,
    });
    let message = peer::CallReads {
        reads: reads.collect(),
        left_out: told.left_out,
    };
    message.encode_to_vec()
}

/// As many of the first reads as an error may bring.
fn clipped(mut told: CallReads) -> Vec<u8> {
    loop {
        let bytes = encode(&told);
        if bytes.len() <= ERROR_BYTES_MAX {
            return bytes;
        }
        let kept = told.noted.len() / 2;
        told.left_out += (told.noted.len() - kept) as u64;
        told.noted.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(count: u64) -> Arc<Reads> {
        let reads = Reads::default();
        for version in 1..=count {
            reads.note("s", &"n".repeat(200), version);
        }
        Arc::new(reads)
    }

    fn taken(bytes: &[u8]) -> CallReads {
        let reads = Arc::new(Reads::default());
        take(Some(&reads), bytes);
        reads.told()
    }

    #[test]
    fn an_answer_brings_all_and_an_error_what_fits() {
        let there = noted(100);
        let mut answered = Ok(ExecuteToolResponse::default());
        send(Some(&there), &mut answered);
        assert_eq!(taken(&answered.unwrap().call_reads), there.told());

        let mut answered = Err(Status::unknown("lost"));
        send(Some(&there), &mut answered);
        let here = Arc::new(Reads::default());
        let mut status = answered.unwrap_err();
        take_of_error(Some(&here), &mut status);
        assert!(status.metadata().is_empty(), "callers do not see it");
        let told = here.told();
        assert!((1..100).contains(&told.noted.len()), "{}", told.noted.len());
        assert_eq!(told.noted.len() as u64 + told.left_out, 100);
        assert_eq!(told.noted[..], there.told().noted[..told.noted.len()]);
    }

    #[tokio::test]
    async fn a_stream_brings_them_behind_its_chunks_and_in_front_of_its_error() {
        let items = || {
            let given = ToolChunk {
                data: b"1".as_slice().into(),
                ..ToolChunk::default()
            };
            [Ok(given), Err(Status::unknown("as asked"))]
        };
        let sent = send_behind(Some(noted(3)), Box::pin(stream::iter(items())));
        let sent: Vec<_> = sent.take(3).collect().await;
        let [Ok(first), Ok(second), Err(_)] = &sent[..] else {
            panic!("{sent:?}")
        };
        assert!(first.call_reads.is_empty() && second.data.is_empty());
        assert_eq!(taken(&second.call_reads), noted(3).told());
        let [good, _] = items();
        let ended = send_behind(Some(noted(3)), Box::pin(stream::iter([good])));
        assert_eq!(ended.count().await, 2);
        // Of a call that has read nothing there is nothing to tell.
        let sent = send_behind(Some(noted(0)), Box::pin(stream::iter(items())));
        let sent: Vec<_> = sent.take(3).collect().await;
        assert!(matches!(&sent[..], [Ok(_), Err(_)]), "{sent:?}");
    }
}
