//! Pools of workers: what they are told, and how each node does its share.

use snakepit_proto::cluster::{
    ListPoolsRequest, Member, PutPoolRequest, RemovePoolRequest, cluster_client::ClusterClient,
};

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::{Answer, Client, ClientError};

/// A pool as one node has it, and a tool's circuit there, as the cluster's schema has them.
pub use snakepit_proto::cluster::{Circuit, Pool};

impl Client {
    /// All pools, and how the asked node does its share of each.
    pub async fn list_pools(&self) -> Result<Answer<Vec<Pool>>, ClientError> {
        let send = |channel, request| async move {
            ClusterClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .list_pools(request)
                .await
        };
        let request = ListPoolsRequest {};
        let answer = self
            .call(Repeat::Read, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|answer| answer.pools))
    }

    /// Pools as each member has them, asked at the same time; an error for each that says nothing.
    ///
    /// # Errors
    ///
    /// Where no node can say who the members are.
    pub async fn list_pools_of_members(
        &self,
    ) -> Result<Vec<(Member, Result<Vec<Pool>, ClientError>)>, ClientError> {
        self.ask_members(|client| async move { Ok(client.list_pools().await?.value) })
            .await
    }

    /// Add a pool, or change one, on all nodes; its new version. `definition_json` is the whole of its
    /// settings; `expected_version` 0 takes any.
    ///
    /// # Errors
    ///
    /// `Invalid` where a setting is unknown or out of bounds, `AlreadyExists` where it should only be created,
    /// `Conflict` where it has another version.
    pub async fn put_pool(
        &self,
        name: &str,
        definition_json: &str,
        expected_version: u64,
        create_only: bool,
    ) -> Result<Answer<u64>, ClientError> {
        let request = PutPoolRequest {
            name: name.to_owned(),
            definition_json: definition_json.to_owned(),
            expected_version,
            create_only,
        };
        let send =
            |channel, request| async move { ClusterClient::new(channel).put_pool(request).await };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|answer| answer.version))
    }

    /// Remove a pool from all nodes; its workers finish what runs. Whether there was one.
    pub async fn remove_pool(&self, name: &str) -> Result<Answer<bool>, ClientError> {
        let request = RemovePoolRequest {
            name: name.to_owned(),
        };
        let send = |channel, request| async move {
            ClusterClient::new(channel).remove_pool(request).await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|answer| answer.existed))
    }
}
