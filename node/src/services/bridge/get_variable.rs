use std::sync::Arc;

use snakepit_machine::access::Action;
use snakepit_machine::{Rejection, RowsExt};
use snakepit_proto::bridge::{GetVariableRequest, GetVariableResponse};
use tonic::Response;

use crate::services::{Ask, Failure, Node, wire};

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: GetVariableRequest,
) -> Result<Response<GetVariableResponse>, Failure> {
    let GetVariableRequest {
        session_id,
        variable_identifier,
        bypass_cache,
    } = request;
    let (barrier, from_cache) = node.cached_barrier(&ask, &session_id, bypass_cache).await?;
    let id = session_id.clone();
    let read = node.read_rows_at(&ask, &id, barrier, move |rows, _, look| {
        let row = rows
            .variable(&session_id, &variable_identifier)?
            .ok_or_else(|| Rejection::no_variable(&variable_identifier))?;
        look.check(Action::Read, &row)?;
        wire::variable(&session_id, Arc::unwrap_or_clone(row), look)
    });
    let (index, variable) = read.await?;
    ask.note_shown(&id, &variable);
    Ok(wire::at_index(
        index,
        GetVariableResponse {
            variable: Some(variable),
            from_cache,
        },
    ))
}
