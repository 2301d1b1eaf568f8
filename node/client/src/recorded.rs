//! Calls as the log has them, run again bit for bit: nothing of them is read as JSON on the way.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use snakepit_proto::bridge::bridge_service_client::BridgeServiceClient;
use snakepit_proto::headers;
use tonic::{Code, Status};

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::error::Failure;
use crate::{Answer, Client, ClientError};

/// A call, its answer and its chunks, as they travel and as the log keeps them.
pub use snakepit_proto::bridge::{ExecuteToolRequest, ExecuteToolResponse, ToolChunk};

/// Chunks as they come; an error is the last item.
pub type RecordedStream = Pin<Box<dyn Stream<Item = Result<ToolChunk, StreamFailure>> + Send>>;

/// Why a stream ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFailure {
    /// In the words of the log: `raised`, `deadline`, `cancelled`, `lost` or `refused`.
    pub outcome: &'static str,
    /// What happened.
    pub error: ClientError,
}

impl StreamFailure {
    fn of(endpoint: &str, status: &Status) -> Self {
        let failure = Failure::of(endpoint, status);
        let raised = status
            .metadata()
            .get(headers::ERROR_KIND)
            .is_some_and(|kind| kind == "tool");
        let outcome = match status.code() {
            _ if raised => "raised",
            Code::DeadlineExceeded => "deadline",
            Code::Cancelled => "cancelled",
            _ if failure.maybe_done => "lost",
            _ => "refused",
        };
        Self {
            outcome,
            error: failure.error,
        }
    }
}

impl Client {
    /// Call a tool with a request as it was recorded. Tried again only where it has certainly not begun.
    pub async fn call_recorded(
        &self,
        request: ExecuteToolRequest,
    ) -> Result<Answer<ExecuteToolResponse>, ClientError> {
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .execute_tool(request)
                .await
        };
        self.call(Repeat::Once, Patience::Whole, request, send)
            .await
    }

    /// As [`Self::call_recorded`], of a stream. Dropping it cancels the call.
    pub async fn stream_recorded(
        &self,
        request: ExecuteToolRequest,
    ) -> Result<RecordedStream, ClientError> {
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .execute_streaming_tool(request)
                .await
        };
        let answer = self
            .call(Repeat::Once, Patience::Whole, request, send)
            .await?;
        let endpoint = self.endpoint();
        Ok(Box::pin(answer.value.map(move |chunk| {
            chunk.map_err(|status| StreamFailure::of(endpoint.authority(), &status))
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_streams_are_told_in_the_words_of_the_log() {
        let of = |mut status: Status, kind: Option<&'static str>, done: &'static str| {
            let metadata = status.metadata_mut();
            metadata.insert(headers::DONE, done.parse().unwrap());
            if let Some(kind) = kind {
                metadata.insert(headers::ERROR_KIND, kind.parse().unwrap());
            }
            StreamFailure::of("a:1", &status).outcome
        };
        assert_eq!(of(Status::unknown("x"), Some("tool"), "maybe"), "raised");
        assert_eq!(of(Status::unknown("x"), Some("unknown"), "maybe"), "lost");
        assert_eq!(
            of(Status::deadline_exceeded("x"), None, "maybe"),
            "deadline"
        );
        assert_eq!(of(Status::cancelled("x"), None, "maybe"), "cancelled");
        assert_eq!(of(Status::unavailable("x"), None, "no"), "refused");
    }
}
