use std::sync::Arc;

use snakepit_machine::{Answer, Body, RegisterVariable};
use snakepit_proto::bridge::{RegisterVariableRequest, RegisterVariableResponse};
use tonic::Response;

use super::misfit;
use super::set_variables::value;
use crate::services::{Ask, Failure, Node, wire};

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: RegisterVariableRequest,
) -> Result<Response<RegisterVariableResponse>, Failure> {
    // The type's own message comes before that of a value which only fits another type.
    snakepit_machine::types::by_name(&request.r#type)?;
    let value = value(
        request.initial_value.as_ref(),
        &request.initial_binary_value,
    )
    .map_err(Failure::Invalid)?;
    let body = RegisterVariable {
        session_id: request.session_id,
        name: request.name,
        type_name: request.r#type,
        value,
        constraints_json: request.constraints_json,
        metadata: request.metadata,
        access_json: request.access_control_json,
    };
    let (index, Answer::VariableRegistered { id, version }) =
        node.propose(&ask, Body::RegisterVariable(body)).await?
    else {
        return Err(misfit());
    };
    let response = RegisterVariableResponse {
        success: true,
        variable_id: id,
        error_message: String::new(),
        version: wire::version(version),
    };
    Ok(wire::at_index(index, response))
}
