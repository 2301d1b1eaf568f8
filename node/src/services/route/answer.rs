//! The answer to a call.

use std::time::Instant;

use snakepit_proto::bridge::ExecuteToolResponse;

use crate::pool::CallOutcome;
use crate::services::{Node, wire};

impl Node {
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
