use std::sync::Arc;

use snakepit_machine::{Answer, Body, DeleteVariable};
use snakepit_proto::bridge::{DeleteVariableRequest, DeleteVariableResponse};
use tonic::Response;

use super::misfit;
use crate::services::{Ask, Failure, Node, wire};

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: DeleteVariableRequest,
) -> Result<Response<DeleteVariableResponse>, Failure> {
    let body = DeleteVariable {
        session_id: request.session_id,
        identifier: request.variable_identifier,
    };
    let (index, Answer::VariableDeleted) = node.propose(&ask, Body::DeleteVariable(body)).await?
    else {
        return Err(misfit());
    };
    Ok(wire::at_index(
        index,
        DeleteVariableResponse {
            success: true,
            error_message: String::new(),
        },
    ))
}
