use std::sync::Arc;

use snakepit_machine::{Answer, Body, RemoveDependency};
use snakepit_proto::session::{RemoveDependencyRequest, RemoveDependencyResponse};
use tonic::Response;

use crate::services::bridge::misfit;
use crate::services::{Ask, Failure, Node, wire};

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: RemoveDependencyRequest,
) -> Result<Response<RemoveDependencyResponse>, Failure> {
    let body = RemoveDependency {
        session_id: request.session_id,
        from: request.from_variable,
        to: request.to_variable,
    };
    let (index, Answer::Done { existed }) =
        node.propose(&ask, Body::RemoveDependency(body)).await?
    else {
        return Err(misfit());
    };
    Ok(wire::at_index(index, RemoveDependencyResponse { existed }))
}
