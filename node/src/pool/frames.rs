//! A worker's stream without gRPC, for workers of this node: each message with its length before it. A Python
//! process spends several times as long on gRPC's frames, flow control and threads as on a quick tool.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use futures_util::{Stream, StreamExt as _};
use prost::Message as _;
use snakepit_proto::worker as wire;
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};
use tonic::Status;

use super::endpoint::{Registry, hello, read};
use super::link::Outgoing;
use super::settings::MESSAGE_BYTES_MAX;

/// The socket's name in its folder; no longer than that of the other one.
const NAME: &str = "frame.sock";
/// What a message may have beyond the largest that settings allow, in bytes.
const EXTRA_BYTES: usize = 64 * 1024;
/// The first buffer of a reader, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;
/// Pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The socket for frames, beside the one for gRPC.
pub(super) fn beside(socket: &Path) -> PathBuf {
    socket.with_file_name(NAME)
}

/// Let workers in until the task is stopped.
pub(super) async fn serve(mut listener: UnixListenerStream, registry: Arc<Registry>) {
    while let Some(accepted) = listener.next().await {
        match accepted {
            Ok(stream) => {
                tokio::spawn(worker(stream, registry.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a worker's connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn worker(stream: UnixStream, registry: Arc<Registry>) {
    let (incoming, mut outgoing) = stream.into_split();
    let mut incoming = messages(incoming);
    let let_in = match hello(&mut incoming).await {
        Ok(hello) => registry.let_in(hello),
        Err(status) => Err(status),
    };
    match let_in {
        Ok((pool, link, messages)) => {
            tokio::spawn(write(messages, outgoing));
            read(incoming, pool, link, true).await;
        }
        Err(status) => {
            let refusal = wire::Refusal {
                code: status.code().into(),
                message: status.message().to_owned(),
            };
            let refusal = wire::ToWorker {
                message: Some(wire::to_worker::Message::Refusal(refusal)),
            };
            // It learns the reason, or sees the end of the stream.
            let _ = outgoing.write_all(&framed(&refusal)).await;
        }
    }
}

fn messages(
    incoming: impl AsyncRead + Unpin,
) -> impl Stream<Item = Result<wire::FromWorker, Status>> + Unpin {
    let codec = LengthDelimitedCodec::builder()
        .max_frame_length(MESSAGE_BYTES_MAX + EXTRA_BYTES)
        .new_codec();
    let frames = FramedRead::with_capacity(incoming, codec, BUFFER_BYTES);
    frames.map(|frame| {
        let frame = frame.map_err(|error| Status::unavailable(error.to_string()))?;
        wire::FromWorker::decode(frame.freeze())
            .map_err(|error| Status::invalid_argument(error.to_string()))
    })
}

async fn write(
    mut messages: Outgoing,
    mut outgoing: tokio::net::unix::OwnedWriteHalf,
) -> io::Result<()> {
    while let Some(Ok(message)) = messages.next().await {
        outgoing.write_all(&framed(&message)).await?;
    }
    outgoing.shutdown().await
}

fn framed(message: &wire::ToWorker) -> BytesMut {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(4 + length);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message
        .encode(&mut frame)
        .expect("the buffer grows as it must");
    frame
}
