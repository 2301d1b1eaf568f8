//! Sessions.

use std::collections::BTreeMap;
use std::time::Duration;

use snakepit_proto::bridge::{self, bridge_service_client::BridgeServiceClient};
use snakepit_proto::cluster::{ListSessionsRequest, cluster_client::ClusterClient};
use snakepit_proto::times;

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::cluster::Page;
use crate::error::from_refusal;
use crate::{Answer, Client, ClientError};

/// A session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// What its client wants kept with it.
    pub metadata: BTreeMap<String, String>,
    /// When it began, milliseconds since 1970.
    pub created_ms: u64,
    /// When it ends unless it is used, milliseconds since 1970.
    pub expires_ms: u64,
    /// Life after its last use, in seconds.
    pub ttl_s: u64,
    /// Variables that it holds.
    pub variables: u64,
    /// Events that it has had.
    pub revision: u64,
}

impl From<bridge::GetSessionResponse> for Session {
    fn from(answer: bridge::GetSessionResponse) -> Self {
        Self {
            id: answer.session_id,
            metadata: answer.metadata,
            created_ms: answer.created_at.as_ref().map_or(0, times::millis),
            expires_ms: answer.expires_at.as_ref().map_or(0, times::millis),
            ttl_s: u64::try_from(answer.ttl_seconds).unwrap_or(0),
            variables: u64::try_from(answer.variable_count).unwrap_or(0),
            revision: answer.revision,
        }
    }
}

impl Client {
    /// Make a session; false where it existed and was left as it is. `ttl` is rounded up to seconds; the
    /// node's default where `None`.
    pub async fn create_session(
        &self,
        id: &str,
        ttl: Option<Duration>,
        metadata: BTreeMap<String, String>,
    ) -> Result<Answer<bool>, ClientError> {
        let config = ttl.map(|ttl| bridge::SessionConfig {
            ttl_seconds: i64::try_from(ttl.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX),
            ..Default::default()
        });
        let request = bridge::InitializeSessionRequest {
            session_id: id.to_owned(),
            metadata,
            config,
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .initialize_session(request)
                .await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        answer.try_map(|answer| {
            if answer.success {
                Ok(answer.created)
            } else {
                Err(from_refusal(&answer.error_message))
            }
        })
    }

    /// A session.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none, or none any more.
    pub async fn get_session(&self, id: &str) -> Result<Answer<Session>, ClientError> {
        let request = bridge::GetSessionRequest {
            session_id: id.to_owned(),
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel).get_session(request).await
        };
        let answer = self
            .call(Repeat::Read, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(Session::from))
    }

    /// End a session; false where there was none.
    pub async fn delete_session(&self, id: &str) -> Result<Answer<bool>, ClientError> {
        let request = bridge::CleanupSessionRequest {
            session_id: id.to_owned(),
            force: false,
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .cleanup_session(request)
                .await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|answer| answer.success))
    }

    /// Use a session, so that it lives on; false where there is none.
    pub async fn heartbeat(&self, id: &str) -> Result<Answer<bool>, ClientError> {
        let request = bridge::HeartbeatRequest {
            session_id: id.to_owned(),
            client_time: None,
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel).heartbeat(request).await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|answer| answer.session_valid))
    }

    /// One page of sessions, in the order of their ids; `page_size` 0 leaves it to the node.
    pub async fn list_sessions(
        &self,
        page_size: u32,
        page_token: &str,
    ) -> Result<Answer<Page<Session>>, ClientError> {
        let request = ListSessionsRequest {
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
            ..Default::default()
        };
        let send = |channel, request| async move {
            ClusterClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .list_sessions(request)
                .await
        };
        let answer = self
            .call(Repeat::Read, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|answer| Page {
            items: answer.sessions.into_iter().map(Session::from).collect(),
            next: answer.next_page_token,
        }))
    }
}
