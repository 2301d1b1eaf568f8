//! To the other nodes: one long-lived channel each for appends, for votes and heartbeats, and for
//! snapshots, so that none waits behind another.

mod append;
mod channels;
mod commits;
mod heartbeat;
mod snapshot;
mod vote;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::error::{RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RPCTypes, RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use snakepit_proto::peer::raft_client::RaftClient;
use snakepit_storage::{NodeAddress, SnapshotRef};
use tonic::transport::Channel;

pub(crate) use channels::{Channels, Purpose};

use crate::convert::wire;
use crate::types::{Snapshot, TypeConfig, Vote};

/// Makes connections for openraft.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) channels: Arc<Channels>,
    /// Time that a follower waits to be told of a commit at most, where nothing else is to be told.
    pub(crate) commit_wait_max: Duration,
}

impl Network {
    fn connection(&self, target: u64, node: &NodeAddress, purpose: Purpose) -> Connection {
        let limit = self.channels.message_bytes_max();
        let client = |purpose| {
            RaftClient::new(self.channels.get(target, &node.peer, purpose))
                .max_decoding_message_size(limit)
                .max_encoding_message_size(limit)
        };
        Connection {
            channels: self.channels.clone(),
            commit_wait_max: self.commit_wait_max,
            target,
            client: client(purpose),
            control: client(Purpose::Control),
            purpose,
            failures: append::Failures::default(),
            idle: None,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &NodeAddress) -> Connection {
        self.connection(target, node, Purpose::Append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &NodeAddress) -> Connection {
        self.connection(target, node, Purpose::Control)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &NodeAddress) -> Connection {
        self.connection(target, node, Purpose::Snapshot)
    }
}

/// One channel to one node.
#[derive(Debug)]
pub(crate) struct Connection {
    channels: Arc<Channels>,
    commit_wait_max: Duration,
    target: u64,
    client: RaftClient<Channel>,
    /// For votes, which must not wait behind appends.
    control: RaftClient<Channel>,
    purpose: Purpose,
    failures: append::Failures,
    idle: Option<heartbeat::Idle>,
}

impl Connection {
    /// Bound a call; a peer that does not answer in time is as good as gone.
    async fn bounded<T>(
        &self,
        action: RPCTypes,
        timeout: Duration,
        call: impl Future<Output = Result<T, tonic::Status>>,
    ) -> Result<T, RPCError<TypeConfig>> {
        match tokio::time::timeout(timeout, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(status)) => Err(unreachable_peer(&status)),
            Err(_) => Err(Timeout {
                action,
                id: self.channels.local(),
                target: self.target,
                timeout,
            }
            .into()),
        }
    }
}

fn unreachable_peer(status: &tonic::Status) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::from_string(format!(
        "{}: {}",
        status.code(),
        status.message()
    )))
}

fn bad_message(error: impl std::fmt::Display) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::from_string(error))
}

impl NetBackoff<TypeConfig> for Connection {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

impl NetStreamAppend<TypeConfig> for Connection {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<
            BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>,
            RPCError<TypeConfig>,
        >,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        if self.purpose == Purpose::Control {
            let answers = heartbeat::exchange(self, input, option);
            return Box::pin(std::future::ready(Ok(answers)));
        }
        Box::pin(append::stream(self, input, option))
    }
}

impl NetVote<TypeConfig> for Connection {
    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        vote::ask(self, &request, option, false).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        vote::ask(self, &request, option, true).await
    }
}

impl NetTransferLeader<TypeConfig> for Connection {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        vote::transfer(self, &request, option).await
    }
}

impl NetSnapshot<TypeConfig> for Connection {
    type SnapshotData = SnapshotRef;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = snapshot::send(self, vote, snapshot) => sent,
        }
    }
}
