use std::sync::Arc;

use snakepit_machine::{Answer, Body, DeleteSession};
use snakepit_proto::bridge::{CleanupSessionRequest, CleanupSessionResponse};
use tonic::Response;

use super::misfit;
use crate::services::{Ask, Failure, Node, wire};

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: CleanupSessionRequest,
) -> Result<Response<CleanupSessionResponse>, Failure> {
    let body = DeleteSession {
        session_id: request.session_id,
        force: request.force,
    };
    let (index, Answer::SessionDeleted { existed, resources }) =
        node.propose(&ask, Body::DeleteSession(body)).await?
    else {
        return Err(misfit());
    };
    // The session itself and what it held; 0 where there was none.
    let resources_cleaned = if existed {
        wire::version(resources.saturating_add(1))
    } else {
        0
    };
    Ok(wire::at_index(
        index,
        CleanupSessionResponse {
            success: true,
            resources_cleaned,
        },
    ))
}
