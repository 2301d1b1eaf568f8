//! What the node tells about itself in numbers, beside what its parts count.

use std::sync::Arc;
use std::time::{Duration, Instant};

use snakepit_raft::Role;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::Node;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Node {
    /// Keep the gauges of Raft and of the state until `stop`.
    pub async fn keep_gauges(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let (status, head) = (self.group.status(), self.state.head());
            let set = |name: &'static str, value: u64| metrics::gauge!(name).set(value as f64);
            set("snakepit_raft_term", status.term);
            set(
                "snakepit_raft_leader",
                u64::from(status.role == Role::Leader),
            );
            set("snakepit_raft_last_log_index", status.last_log.unwrap_or(0));
            set(
                "snakepit_raft_committed_index",
                status.committed.unwrap_or(0),
            );
            set("snakepit_raft_applied_index", status.applied.unwrap_or(0));
            set("snakepit_raft_snapshot_index", status.snapshot.unwrap_or(0));
            set("snakepit_raft_purged_index", status.purged.unwrap_or(0));
            set("snakepit_events", head.position);
            set("snakepit_sessions", head.sessions);
            if stop
                .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
                .await
                .is_none()
            {
                return;
            }
        }
    }
}

/// Count one request of a call, and how long its answer took.
pub(super) fn count(call: &'static str, began: Instant, code: Code) {
    metrics::counter!("snakepit_requests_total", "call" => call, "code" => name(code)).increment(1);
    metrics::histogram!("snakepit_request_seconds", "call" => call).record(began.elapsed());
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
        Code::Unknown => "unknown",
    }
}
