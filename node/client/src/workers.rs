//! Workers, and what operators tell them.

use snakepit_proto::cluster::{
    ControlWorkersRequest, ListWorkersRequest, cluster_client::ClusterClient,
};

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::{Answer, Client, ClientError};

/// A worker, and a member of the cluster, as the cluster's schema has them.
pub use snakepit_proto::cluster::{Member, Worker};

/// What a worker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerAction {
    /// Let a new one take its place, then finish what runs.
    Restart,
    /// Finish what runs, and be replaced.
    Drain,
    /// End at once; what runs is lost.
    Kill,
}

impl WorkerAction {
    /// As it travels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Drain => "drain",
            Self::Kill => "kill",
        }
    }
}

impl Client {
    /// Workers of the asked node.
    pub async fn list_workers(&self) -> Result<Answer<Vec<Worker>>, ClientError> {
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

    /// Workers of each member, asked at the same time; an error for each that says nothing.
    ///
    /// # Errors
    ///
    /// Where no node can say who the members are.
    pub async fn list_workers_of_members(
        &self,
    ) -> Result<Vec<(Member, Result<Vec<Worker>, ClientError>)>, ClientError> {
        self.ask_members(|client| async move { Ok(client.list_workers().await?.value) })
            .await
    }

    /// Restart, drain or kill workers of the asked node: one by its id, those of a pool, or all where both are
    /// empty. The ids of those that were told. Tried again only where it has certainly not begun, unless it
    /// names one worker: another one never has its id.
    ///
    /// # Errors
    ///
    /// `NotFound` where the node has no such worker or pool.
    pub async fn control_workers(
        &self,
        action: WorkerAction,
        worker_id: &str,
        pool: &str,
    ) -> Result<Answer<Vec<String>>, ClientError> {
        let request = ControlWorkersRequest {
            action: action.name().to_owned(),
            worker_id: worker_id.to_owned(),
            pool: pool.to_owned(),
        };
        let send = |channel, request| async move {
            ClusterClient::new(channel).control_workers(request).await
        };
        let repeat = if worker_id.is_empty() {
            Repeat::Once
        } else {
            Repeat::Deduplicated
        };
        let answer = self.call(repeat, Patience::Whole, request, send).await?;
        Ok(answer.map(|answer| answer.worker_ids))
    }
}
