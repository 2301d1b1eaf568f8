use std::sync::Arc;

use snakepit_machine::{Answer, Body, SetVariable, SetVariables};
use snakepit_proto::bridge::{SetVariableRequest, SetVariableResponse};
use tonic::Response;

use super::misfit;
use super::set_variables::{expected, value};
use crate::services::{Ask, Failure, Node, wire};

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: SetVariableRequest,
) -> Result<Response<SetVariableResponse>, Failure> {
    let identifier = request.variable_identifier;
    let update = SetVariable {
        value: value(request.value.as_ref(), &request.binary_value),
        expected_version: expected(request.expected_version)?,
        identifier: identifier.clone(),
    };
    let body = SetVariables {
        session_id: request.session_id,
        atomic: true,
        updates: vec![update],
        metadata: request.metadata,
    };
    let (
        index,
        Answer::VariablesSet {
            versions,
            mut refused,
        },
    ) = node.propose(&ask, Body::SetVariables(body)).await?
    else {
        return Err(misfit());
    };
    if let Some(rejection) = refused.remove(&identifier) {
        return Err(rejection.into());
    }
    let new_version = versions
        .get(&identifier)
        .copied()
        .map(wire::version)
        .ok_or_else(misfit)?;
    Ok(wire::at_index(
        index,
        SetVariableResponse {
            success: true,
            error_message: String::new(),
            new_version,
        },
    ))
}
