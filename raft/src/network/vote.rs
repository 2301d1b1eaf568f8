//! Votes, pre-votes and the transfer of leadership.

use openraft::error::RPCError;
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{
    TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use snakepit_proto::peer;

use super::{Connection, bad_message};
use crate::convert::wire;
use crate::types::TypeConfig;

pub(super) async fn ask(
    connection: &Connection,
    request: &VoteRequest<TypeConfig>,
    option: RPCOption,
    pre: bool,
) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
    let message = wire::vote_request(request);
    let mut client = connection.control.clone();
    let call = async move {
        if pre {
            client.pre_vote(message).await
        } else {
            client.vote(message).await
        }
    };
    let response = connection
        .bounded(RPCTypes::Vote, option.hard_ttl(), call)
        .await?;
    wire::from_vote_response(response.into_inner()).map_err(bad_message)
}

pub(super) async fn transfer(
    connection: &Connection,
    request: &TransferLeaderRequest<TypeConfig>,
    option: RPCOption,
) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
    let message = peer::TransferLeaderRequest {
        from: Some(wire::vote(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().map(wire::id),
    };
    let mut client = connection.control.clone();
    let call = async move { client.transfer_leader(message).await };
    let response = connection
        .bounded(RPCTypes::TransferLeader, option.hard_ttl(), call)
        .await?
        .into_inner();
    if response.accepted {
        return Ok(Ok(()));
    }
    tracing::info!(
        reason = response.reason,
        target = connection.target,
        "leadership was not taken over"
    );
    Ok(Err(TransferLeaderError::LogNotFlushed {
        expected: request.last_log_id().cloned(),
        actual: None,
    }))
}
