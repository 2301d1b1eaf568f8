use std::sync::Arc;

use snakepit_proto::bridge::{VariableUpdate, WatchVariablesRequest};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Response;

use super::Answers;
use crate::services::{Ask, Failure, Node, watch, wire};

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: WatchVariablesRequest,
) -> Result<Response<Answers<VariableUpdate>>, Failure> {
    let (index, updates) = watch::watch(node, ask, request).await?;
    let updates: Answers<VariableUpdate> = Box::pin(ReceiverStream::new(updates));
    Ok(wire::at_index(index, updates))
}
