use std::sync::Arc;

use snakepit_proto::bridge::{
    ExecuteElixirToolRequest, ExecuteElixirToolResponse, ExecuteToolRequest,
};
use tonic::Response;
use tonic::metadata::MetadataMap;

use crate::pool::CallErrorKind;
use crate::services::route::Routed;
use crate::services::{Ask, Failure, Node};
use crate::telemetry::trace;

/// Runs a tool of any pool of the cluster. A tool that is unknown is an answer, not an error, as in Snakepit.
pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    metadata: MetadataMap,
    request: ExecuteElixirToolRequest,
) -> Result<Response<ExecuteElixirToolResponse>, Failure> {
    let call = ExecuteToolRequest {
        session_id: request.session_id,
        tool_name: request.tool_name,
        parameters: request.parameters,
        metadata: request.metadata,
        ..ExecuteToolRequest::default()
    };
    let call = Routed::take(&node, &ask, &metadata, call).await?;
    let answered = match node.route(call).await {
        Ok(answered) => node.for_caller(answered, ask.arrays).await,
        Err(Failure::Call(error)) if error.kind() == CallErrorKind::NotFound => {
            return Ok(Response::new(ExecuteElixirToolResponse {
                success: false,
                error_message: error.to_string(),
                ..ExecuteElixirToolResponse::default()
            }));
        }
        Err(failure) => return Err(failure),
    };
    trace::set(trace::keys::CALL_ID, || answered.call_id.clone());
    Ok(Response::new(ExecuteElixirToolResponse {
        success: answered.success,
        result: answered.result,
        error_message: answered.error_message,
        metadata: answered.metadata,
        execution_time_ms: answered.execution_time_ms,
        binary_result: answered.binary_result,
    }))
}
