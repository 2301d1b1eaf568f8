use std::sync::Arc;

use snakepit_machine::{Answer, Body, SetAccess};
use snakepit_proto::session::{SetAccessRequest, SetAccessResponse};
use tonic::Response;

use crate::services::bridge::misfit;
use crate::services::{Ask, Failure, Node, wire};

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: SetAccessRequest,
) -> Result<Response<SetAccessResponse>, Failure> {
    let body = SetAccess {
        session_id: request.session_id,
        identifier: request.variable_identifier,
        access_json: request.access_control_json,
    };
    let (index, Answer::Done { .. }) = node.propose(&ask, Body::SetAccess(body)).await? else {
        return Err(misfit());
    };
    Ok(wire::at_index(index, SetAccessResponse {}))
}
