use std::sync::Arc;

use snakepit_machine::{Answer, Body, StopOptimization};
use snakepit_proto::bridge::{StopOptimizationRequest, StopOptimizationResponse};
use snakepit_proto::values;
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
    let body = StopOptimization {
        session_id: request.session_id,
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
    let arrays = ask.arrays;
    let read = node.blocking(move |state| {
        let version = Version::read(state, position)?;
        let type_name = version.type_name().to_owned();
        Ok(version
            .value()
            .map(|value| values::encode(value, &type_name, arrays)))
    });
    let (value, payload) = read.await?.unzip();
    Ok(wire::at_index(
        index,
        StopOptimizationResponse {
            success: existed,
            final_value: value,
            final_binary_value: payload.unwrap_or_default().into(),
        },
    ))
}
