use std::sync::Arc;

use snakepit_machine::{Answer, Body, StartOptimization};
use snakepit_proto::bridge::{StartOptimizationRequest, StartOptimizationResponse};
use snakepit_proto::times;
use tonic::Response;

use super::misfit;
use crate::services::{Ask, Failure, Node, wire};

/// Lease where the request says nothing, in milliseconds.
const LEASE_MS: u64 = 30_000;

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: StartOptimizationRequest,
) -> Result<Response<StartOptimizationResponse>, Failure> {
    let lease_ms = match u64::try_from(request.lease_ms) {
        Ok(0) => LEASE_MS,
        Ok(lease_ms) => lease_ms,
        Err(_) => {
            return Err(Failure::Invalid(format!(
                "lease_ms is {}; hint: give a positive number, or 0 for {LEASE_MS}",
                request.lease_ms
            )));
        }
    };
    let body = StartOptimization {
        session_id: request.session_id,
        identifier: request.variable_identifier,
        optimizer_id: request.optimizer_id,
        config: request.optimizer_config,
        lease_ms,
    };
    let (
        index,
        Answer::OptimizationStarted {
            optimization_id,
            expires_ms,
        },
    ) = node.propose(&ask, Body::StartOptimization(body)).await?
    else {
        return Err(misfit());
    };
    Ok(wire::at_index(
        index,
        StartOptimizationResponse {
            success: true,
            error_message: String::new(),
            optimization_id,
            expires_at: Some(times::timestamp(expires_ms)),
        },
    ))
}
