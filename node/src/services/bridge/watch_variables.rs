use std::sync::Arc;

use futures_util::StreamExt as _;
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
    let (call, session_id) = (ask.call.clone(), request.session_id.clone());
    let (index, updates) = watch::watch(node, ask, request).await?;
    let updates = ReceiverStream::new(updates).inspect(move |update| {
        if let (
            Some(call),
            Ok(VariableUpdate {
                variable: Some(variable),
                ..
            }),
        ) = (&call, update)
        {
            call.note_shown(&session_id, variable);
        }
    });
    let updates: Answers<VariableUpdate> = Box::pin(updates);
    Ok(wire::at_index(index, updates))
}
