use std::sync::Arc;

use snakepit_proto::bridge::{GetExposedElixirToolsRequest, GetExposedElixirToolsResponse};
use tonic::Response;

use crate::services::{Ask, Failure, Node};

/// What a tool can call beside itself: the tools of all pools of the cluster. A session that is named must exist.
pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: GetExposedElixirToolsRequest,
) -> Result<Response<GetExposedElixirToolsResponse>, Failure> {
    if !request.session_id.is_empty() {
        node.read_rows(&ask, &request.session_id, |_, _, _| Ok(()))
            .await?;
    }
    Ok(Response::new(GetExposedElixirToolsResponse {
        tools: node.cluster_tools(),
    }))
}
