//! What operators ask.

use futures_util::future::join_all;
use snakepit_proto::bridge::ToolSpec;
use snakepit_proto::cluster::{
    self, ListToolsRequest, ListWorkersRequest, StatusRequest, StatusResponse, TakeSnapshotRequest,
    TransferLeaderRequest, cluster_client::ClusterClient,
};

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::{Answer, Client, ClientError, Endpoint};

/// A worker, as the cluster's schema has it.
pub use snakepit_proto::cluster::Worker;

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// Token of the next page; empty on the last.
    pub next: String,
}

/// A tool and where its workers are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tool {
    /// What it is called and takes.
    pub spec: ToolSpec,
    /// Nodes whose workers offer it.
    pub nodes: Vec<u64>,
}

impl Client {
    /// Status of one node: the pinned one, or the one that is asked now.
    pub async fn status(&self) -> Result<StatusResponse, ClientError> {
        let send =
            |channel, request| async move { ClusterClient::new(channel).status(request).await };
        let request = StatusRequest {};
        Ok(self
            .call(Repeat::Read, Patience::Attempt, request, send)
            .await?
            .value)
    }

    /// Status of each known node, in the order of `endpoints()`, asked at the same time.
    pub async fn status_all(&self) -> Vec<(Endpoint, Result<StatusResponse, ClientError>)> {
        let asked = self.endpoints().into_iter().map(|endpoint| async move {
            let status = match self.at(&endpoint) {
                Ok(client) => client.status().await,
                Err(error) => Err(error),
            };
            (endpoint, status)
        });
        join_all(asked).await
    }

    /// Have another node lead; 0 leaves the choice to the leader, who is asked wherever it is known.
    pub async fn transfer_leader(&self, to: u64) -> Result<Answer<()>, ClientError> {
        let leader = self.status().await?.leader_address.parse();
        let client = match (leader, self.pinned) {
            (Ok(leader), None) => self.at(&leader)?,
            _ => self.clone(),
        };
        let send = |channel, request| async move {
            ClusterClient::new(channel).transfer_leader(request).await
        };
        let request = TransferLeaderRequest { to };
        // Doing it twice does no harm.
        let answer = client
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|_| ()))
    }

    /// Have the asked node take a snapshot; the log index that it covers.
    pub async fn take_snapshot(&self) -> Result<u64, ClientError> {
        let send = |channel, request| async move {
            ClusterClient::new(channel).take_snapshot(request).await
        };
        let request = TakeSnapshotRequest {};
        let answer = self
            .call(Repeat::Deduplicated, Patience::Whole, request, send)
            .await?;
        Ok(answer.value.index)
    }

    /// Tools of all nodes that the asked one can reach.
    pub async fn list_tools(&self) -> Result<Answer<Vec<Tool>>, ClientError> {
        let send = |channel, request| async move {
            ClusterClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .list_tools(request)
                .await
        };
        let request = ListToolsRequest {};
        let answer = self
            .call(Repeat::Read, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|answer| {
            let tools = answer.tools.into_iter();
            tools
                .map(|tool| Tool {
                    spec: tool.spec.unwrap_or_default(),
                    nodes: tool.nodes,
                })
                .collect()
        }))
    }

    /// Workers of the asked node.
    pub async fn list_workers(&self) -> Result<Answer<Vec<cluster::Worker>>, ClientError> {
        let send = |channel, request| async move {
            ClusterClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .list_workers(request)
                .await
        };
        let request = ListWorkersRequest {};
        let answer = self
            .call(Repeat::Read, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|answer| answer.workers))
    }
}
