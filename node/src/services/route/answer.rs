//! The answer to a call.

use std::time::Instant;

use snakepit_proto::bridge::{ExecuteToolResponse, ToolError};
use snakepit_proto::values::{self, Arrays};

use crate::pool::CallOutcome;
use crate::services::{Node, wire};

/// Larger arrays are written as JSON on a thread of their own, in bytes.
const LARGE_BYTES: usize = 256 * 1024;
/// Room for the frame around a result that fills its message.
const FRAME_BYTES: usize = 1024;

impl Node {
    /// The answer as its caller takes arrays: workers give them raw, and the log keeps them so.
    pub(in super::super) async fn for_caller(
        &self,
        mut answer: ExecuteToolResponse,
        arrays: Arrays,
    ) -> ExecuteToolResponse {
        if arrays == Arrays::Raw || !answer.result.as_ref().is_some_and(values::is_raw) {
            return answer;
        }
        let raw = answer.result.take().unwrap_or_default();
        let payload = std::mem::take(&mut answer.binary_result);
        let large = payload.len() > LARGE_BYTES;
        let write = move || values::without_raw(&raw, &payload);
        let written = if large {
            let written = tokio::task::spawn_blocking(write).await;
            written.unwrap_or_else(|error| Err(values::BadValue(error.to_string())))
        } else {
            write()
        };
        let limit = self.settings.limits.message_bytes_max - FRAME_BYTES;
        let problem = match written {
            Ok((any, _)) if any.value.len() > limit => format!(
                "the result has {} bytes as JSON; a message holds {limit} at most; hint: take arrays raw, or return less",
                any.value.len()
            ),
            Ok((any, _)) => {
                answer.result = Some(any);
                return answer;
            }
            Err(bad) => bad.0,
        };
        answer.success = false;
        answer.error_message.clone_from(&problem);
        answer.error = Some(ToolError {
            r#type: "Exhausted".into(),
            message: problem,
            ..ToolError::default()
        });
        answer
    }

    pub(super) fn response(
        &self,
        call_id: String,
        began: Instant,
        outcome: CallOutcome,
    ) -> ExecuteToolResponse {
        let mut metadata = outcome.metadata;
        metadata.insert(
            "execution_time".into(),
            (outcome.execution_time_us / 1_000).to_string(),
        );
        metadata.insert("total_time_ms".into(), wire::elapsed_ms(began).to_string());
        metadata.insert("tool_type".into(), "remote".into());
        ExecuteToolResponse {
            success: outcome.success,
            result: outcome.value,
            error_message: outcome
                .error
                .as_ref()
                .map(|error| error.message.clone())
                .unwrap_or_default(),
            metadata,
            execution_time_ms: i64::try_from(outcome.execution_time_us / 1_000).unwrap_or(i64::MAX),
            binary_result: outcome.binary_value,
            error: outcome.error,
            node_id: self.id(),
            pool: outcome.pool,
            worker_id: outcome.worker_id,
            call_id,
            stdout: outcome.stdout,
            stderr: outcome.stderr,
            execution_time_us: outcome.execution_time_us,
            queued_us: outcome.queued_us,
            recorded: false,
            attempts: 1,
            call_reads: Default::default(),
        }
    }
}
