use std::sync::Arc;

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
        ..
    } = request;
    let id = session_id.clone();
    let read = node.read_rows(&ask, &id, move |rows, _| {
        let row = rows.variable(&session_id, &variable_identifier)?;
        row.ok_or_else(|| Rejection::no_variable(&variable_identifier).into())
    });
    let (index, row) = read.await?;
    Ok(wire::at_index(
        index,
        GetVariableResponse {
            variable: Some(wire::variable(row)),
            from_cache: false,
        },
    ))
}
