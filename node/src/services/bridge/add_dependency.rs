use std::sync::Arc;

use snakepit_machine::{AddDependency, Answer, Body, DEPENDENCY_KINDS};
use snakepit_proto::bridge::{AddDependencyRequest, AddDependencyResponse};
use tonic::Response;

use super::misfit;
use crate::services::{Ask, Failure, Node, wire};

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: AddDependencyRequest,
) -> Result<Response<AddDependencyResponse>, Failure> {
    let kind = match request.dependency_type.as_str() {
        "" => DEPENDENCY_KINDS[0],
        kind => kind,
    };
    let body = AddDependency {
        session_id: request.session_id,
        from: request.from_variable,
        to: request.to_variable,
        kind: kind.to_owned(),
    };
    let (index, Answer::Done { .. }) = node.propose(&ask, Body::AddDependency(body)).await? else {
        return Err(misfit());
    };
    Ok(wire::at_index(
        index,
        AddDependencyResponse {
            success: true,
            error_message: String::new(),
        },
    ))
}
