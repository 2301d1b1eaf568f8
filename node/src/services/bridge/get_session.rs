use std::sync::Arc;

use snakepit_proto::bridge::{GetSessionRequest, GetSessionResponse};
use tonic::Response;

use crate::services::{Ask, Failure, Node, wire};

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: GetSessionRequest,
) -> Result<Response<GetSessionResponse>, Failure> {
    let read = node.read_rows(&ask, &request.session_id, |_, session, _| {
        Ok(wire::session(session.clone()))
    });
    let (index, session) = read.await?;
    Ok(wire::at_index(index, session))
}
