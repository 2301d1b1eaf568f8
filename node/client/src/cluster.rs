//! What operators ask.

use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;
use snakepit_proto::bridge::ToolSpec;
use snakepit_proto::cluster::{
    ListToolsRequest, Member, StatusRequest, StatusResponse, TakeSnapshotRequest,
    TransferLeaderRequest, cluster_client::ClusterClient,
};

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::{Answer, Client, ClientError, Endpoint};

/// Time of a member that is asked together with all others.
const MEMBER_TIMEOUT: Duration = Duration::from_secs(3);

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

    /// The same question to each member, at the same time, with a budget of its own: an answer or an error for
    /// each.
    ///
    /// # Errors
    ///
    /// Where no node can say who the members are.
    pub(crate) async fn ask_members<T, F>(
        &self,
        ask: impl Fn(Client) -> F,
    ) -> Result<Vec<(Member, Result<T, ClientError>)>, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let budget = self.options.timeout.min(MEMBER_TIMEOUT);
        let members = self.status().await?.members;
        let asked = members.into_iter().map(|member| {
            let client = member
                .client_address
                .parse()
                .and_then(|endpoint: Endpoint| self.at(&endpoint));
            let asked = client.map(|client| ask(client.with_timeout(budget)));
            async move {
                let told = match asked {
                    Ok(asked) => asked.await,
                    Err(error) => Err(error),
                };
                (member, told)
            }
        });
        Ok(join_all(asked).await)
    }
}
