use std::sync::Arc;

use snakepit_proto::bridge::{ExecuteToolRequest, ExecuteToolResponse};
use tonic::Response;
use tonic::metadata::MetadataMap;

use crate::services::route::Routed;
use crate::services::{Ask, Failure, Node};
use crate::telemetry::trace;

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    metadata: MetadataMap,
    mut request: ExecuteToolRequest,
) -> Result<Response<ExecuteToolResponse>, Failure> {
    // The log tells by it how the tool was called.
    request.stream = false;
    let call = Routed::take(&node, &ask, &metadata, request).await?;
    let answered = node.route(call).await?;
    let answered = node.for_caller(answered, ask.arrays).await;
    trace::set(trace::keys::CALL_ID, || answered.call_id.clone());
    Ok(Response::new(answered))
}
