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
    /// Values that its variables have been given.
    pub updates: u64,
    /// Programs that it holds.
    pub programs: u64,
    /// Tools that are registered in it.
    pub tools: u64,
    /// Variables that an optimization holds.
    pub locks: u64,
    /// Age that values from a node's own rows may have; `None` where the leader is asked each time.
    pub cache: Option<Duration>,
    /// Whether its requests are written to the log of the nodes.
    pub telemetry: bool,
    /// Under whose key its values are sealed; empty where they are not.
    pub subject: String,
}

/// A session to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewSession {
    /// Life after its last use, rounded up to seconds; the node's default where `None`.
    pub ttl: Option<Duration>,
    /// What its client wants kept with it.
    pub metadata: BTreeMap<String, String>,
    /// Let reads be answered from a node's own rows of this age, rounded up to seconds; the node's default age
    /// where zero.
    pub cache: Option<Duration>,
    /// Write one log line for each of its requests.
    pub telemetry: bool,
    /// Seal its values with the key of this subject; empty to leave them in plain text. The id must begin with
    /// `sealed:` where it is not.
    pub subject: String,
}

/// Which sessions; all where everything is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionQuery {
    /// A glob over the whole id; empty for all.
    pub pattern: String,
    /// All of these must be in its metadata.
    pub metadata: BTreeMap<String, String>,
    /// Made at this time or later, milliseconds since 1970.
    pub created_after_ms: u64,
    /// Made at this time or earlier, milliseconds since 1970; 0 for any.
    pub created_before_ms: u64,
    /// Not used for so long; known to a tenth of their life.
    pub idle: Duration,
}

impl From<bridge::GetSessionResponse> for Session {
    fn from(answer: bridge::GetSessionResponse) -> Self {
        let count = |number: i32| u64::try_from(number).unwrap_or(0);
        let config = answer.config.unwrap_or_default();
        let cache = Duration::from_secs(count(config.cache_ttl_seconds));
        Self {
            id: answer.session_id,
            metadata: answer.metadata,
            created_ms: answer.created_at.as_ref().map_or(0, times::millis),
            expires_ms: answer.expires_at.as_ref().map_or(0, times::millis),
            ttl_s: u64::try_from(answer.ttl_seconds).unwrap_or(0),
            variables: count(answer.variable_count),
            revision: answer.revision,
            updates: u64::try_from(answer.update_count).unwrap_or(0),
            programs: count(answer.program_count),
            tools: count(answer.tool_count),
            locks: count(answer.lock_count),
            cache: config.enable_caching.then_some(cache),
            telemetry: config.enable_telemetry,
            subject: answer.subject,
        }
    }
}

impl Client {
    /// As [`Client::open_session`], with a life and metadata.
    pub async fn create_session(
        &self,
        id: &str,
        ttl: Option<Duration>,
        metadata: BTreeMap<String, String>,
    ) -> Result<Answer<bool>, ClientError> {
        let session = NewSession {
            ttl,
            metadata,
            ..Default::default()
        };
        self.open_session(id, session).await
    }

    /// Make a session; false where it existed and was left as it is.
    pub async fn open_session(
        &self,
        id: &str,
        session: NewSession,
    ) -> Result<Answer<bool>, ClientError> {
        let config = bridge::SessionConfig {
            enable_caching: session.cache.is_some(),
            cache_ttl_seconds: session
                .cache
                .map_or(0, |age| i32::try_from(seconds(age)).unwrap_or(i32::MAX)),
            enable_telemetry: session.telemetry,
            ttl_seconds: session.ttl.map_or(0, seconds),
        };
        let request = bridge::InitializeSessionRequest {
            session_id: id.to_owned(),
            subject: session.subject,
            metadata: session.metadata,
            config: Some(config),
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
    ///
    /// # Errors
    ///
    /// `Refused` where an optimization of another owner holds one of its variables.
    pub async fn delete_session(&self, id: &str) -> Result<Answer<bool>, ClientError> {
        Ok(self.end_session(id, false).await?.map(|ended| ended > 0))
    }

    /// End a session, with `force` even where an optimization holds one of its variables. What ended with it:
    /// the session, its variables, programs and tools; 0 where there was none.
    pub async fn end_session(&self, id: &str, force: bool) -> Result<Answer<u64>, ClientError> {
        let request = bridge::CleanupSessionRequest {
            session_id: id.to_owned(),
            force,
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .cleanup_session(request)
                .await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|answer| u64::try_from(answer.resources_cleaned).unwrap_or(0)))
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
        self.find_sessions(&SessionQuery::default(), page_size, page_token)
            .await
    }

    /// As [`Client::list_sessions`], only some of them.
    pub async fn find_sessions(
        &self,
        query: &SessionQuery,
        page_size: u32,
        page_token: &str,
    ) -> Result<Answer<Page<Session>>, ClientError> {
        let request = ListSessionsRequest {
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
            pattern: query.pattern.clone(),
            metadata: query.metadata.clone(),
            created_after_ms: query.created_after_ms,
            created_before_ms: query.created_before_ms,
            idle_ms_min: u64::try_from(query.idle.as_millis()).unwrap_or(u64::MAX),
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

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX)
}
