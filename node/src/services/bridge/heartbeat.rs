use std::sync::Arc;

use snakepit_machine::{Rejection, RejectionKind};
use snakepit_proto::bridge::{HeartbeatRequest, HeartbeatResponse};
use snakepit_proto::times;
use snakepit_raft::wall_clock_ms;
use tonic::Response;

use crate::services::{Ask, Failure, Node, wire};

/// Extends the session's life, as every use does. An unknown session is an answer, not an error.
pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: HeartbeatRequest,
) -> Result<Response<HeartbeatResponse>, Failure> {
    let (index, session_valid) = match node
        .read_rows(&ask, &request.session_id, |_, _, _| Ok(()))
        .await
    {
        Ok((index, ())) => (index, true),
        Err(Failure::Rejected(Rejection {
            kind: RejectionKind::NotFound,
            ..
        })) => (node.group.applied_index().get(), false),
        Err(failure) => return Err(failure),
    };
    let server_time = Some(times::timestamp(wall_clock_ms()));
    Ok(wire::at_index(
        index,
        HeartbeatResponse {
            server_time,
            session_valid,
        },
    ))
}
