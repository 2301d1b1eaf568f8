use std::sync::Arc;

use snakepit_machine::{Answer, Body, StopOptimization};
use snakepit_proto::bridge::{StopOptimizationRequest, StopOptimizationResponse};
use tonic::Response;

use super::misfit;
use crate::services::history::Version;
use crate::services::{Ask, Failure, Node, wire};

/// `success` is false where no optimization held the variable.
pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: StopOptimizationRequest,
) -> Result<Response<StopOptimizationResponse>, Failure> {
    let session_id = request.session_id;
    let body = StopOptimization {
        session_id: session_id.clone(),
        identifier: request.variable_identifier,
        optimization_id: request.optimization_id,
        force: request.force,
    };
    let (index, Answer::OptimizationStopped { existed, position }) =
        node.propose(&ask, Body::StopOptimization(body)).await?
    else {
        return Err(misfit());
    };
    node.applied(&ask, index).await?;
    node.key_of(&ask, &session_id).await?;
    let look = ask.look(0);
    let version = node
        .blocking(move |state| Version::read(state, position))
        .await?;
    let shown = version.value().map(|value| {
        let (name, type_name) = (version.name(), version.type_name());
        wire::value(&session_id, name, value, type_name, &look)
    });
    let (value, payload) = shown.transpose()?.unzip();
    Ok(wire::at_index(
        index,
        StopOptimizationResponse {
            success: existed,
            final_value: value,
            final_binary_value: payload.unwrap_or_default().into(),
        },
    ))
}
