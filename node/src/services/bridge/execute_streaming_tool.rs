use std::sync::Arc;

use snakepit_proto::bridge::{ExecuteToolRequest, ToolChunk};
use tonic::Response;
use tonic::metadata::MetadataMap;

use super::Answers;
use crate::services::route::Routed;
use crate::services::{Ask, Failure, Node};

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    metadata: MetadataMap,
    mut request: ExecuteToolRequest,
) -> Result<Response<Answers<ToolChunk>>, Failure> {
    // The log tells by it how the tool was called.
    request.stream = true;
    let call = Routed::take(&node, &ask, &metadata, request).await?;
    Ok(Response::new(node.route_stream(call).await?))
}
