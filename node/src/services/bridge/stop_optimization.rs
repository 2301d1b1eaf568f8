use std::sync::Arc;

use snakepit_machine::{Answer, Body, Rejection, RowsExt, StopOptimization};
use snakepit_proto::bridge::{StopOptimizationRequest, StopOptimizationResponse};
use snakepit_proto::values;
use tonic::Response;

use super::misfit;
use crate::services::{Ask, Failure, Node, wire};

/// `success` is false where no optimization held the variable.
pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: StopOptimizationRequest,
) -> Result<Response<StopOptimizationResponse>, Failure> {
    let (session_id, identifier) = (request.session_id, request.variable_identifier);
    let body = StopOptimization {
        session_id: session_id.clone(),
        identifier: identifier.clone(),
        optimization_id: request.optimization_id,
        force: request.force,
    };
    let (_, Answer::Done { existed }) = node.propose(&ask, Body::StopOptimization(body)).await?
    else {
        return Err(misfit());
    };
    let id = session_id.clone();
    let read = node.read_rows(&ask, &id, move |rows, _, look| {
        let row = rows
            .variable(&session_id, &identifier)?
            .ok_or_else(|| Rejection::no_variable(&identifier))?;
        Ok(values::encode(&row.value, &row.type_name, look.arrays))
    });
    let (index, (value, payload)) = read.await?;
    Ok(wire::at_index(
        index,
        StopOptimizationResponse {
            success: existed,
            final_value: Some(value),
            final_binary_value: payload.into(),
        },
    ))
}
