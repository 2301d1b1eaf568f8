use std::sync::Arc;

use snakepit_proto::bridge::{PingRequest, PingResponse};
use snakepit_proto::times;
use snakepit_raft::wall_clock_ms;
use tonic::Response;

use crate::services::{Ask, Failure, Node};

pub(super) async fn answer(
    _node: Arc<Node>,
    _ask: Ask,
    request: PingRequest,
) -> Result<Response<PingResponse>, Failure> {
    let message = format!("pong: {}", request.message);
    Ok(Response::new(PingResponse {
        message,
        server_time: Some(times::timestamp(wall_clock_ms())),
    }))
}
