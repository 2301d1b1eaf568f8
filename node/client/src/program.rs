//! Programs: named documents of a session, or of the cluster where the session is empty.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use snakepit_proto::session::{self, sessions_client::SessionsClient};
use snakepit_proto::times;

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::cluster::Page;
use crate::json::{any_from_json, any_to_json};
use crate::variable::{version, wire_version};
use crate::{Answer, Client, ClientError};

/// A program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// Its id.
    pub id: String,
    /// What it is.
    pub value: Json,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// From 1, one more with each value.
    pub version: u64,
    /// When it was first put, milliseconds since 1970.
    pub created_ms: u64,
    /// When it got its value, milliseconds since 1970.
    pub updated_ms: u64,
    /// When it ends, milliseconds since 1970; 0 for one of a session.
    pub expires_ms: u64,
}

/// What to put.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PutProgram {
    /// What it is.
    pub value: Json,
    /// In place of the metadata that is there.
    pub metadata: BTreeMap<String, String>,
    /// The version that must hold.
    pub expected_version: Option<u64>,
    /// Life of a program of the cluster after its last change, rounded up to seconds; the node's default where
    /// `None`.
    pub ttl: Option<Duration>,
}

impl TryFrom<session::Program> for Program {
    type Error = ClientError;

    fn try_from(program: session::Program) -> Result<Self, ClientError> {
        Ok(Self {
            value: any_to_json(program.value.as_ref(), &program.binary_value)?,
            id: program.program_id,
            metadata: program.metadata,
            version: version(program.version),
            created_ms: program.created_at.as_ref().map_or(0, times::millis),
            updated_ms: program.updated_at.as_ref().map_or(0, times::millis),
            expires_ms: program.expires_at.as_ref().map_or(0, times::millis),
        })
    }
}

impl Client {
    /// Put a program; its new version.
    ///
    /// # Errors
    ///
    /// `Conflict` where it is not at the expected version any more.
    pub async fn put_program(
        &self,
        session: &str,
        id: &str,
        put: PutProgram,
    ) -> Result<Answer<u64>, ClientError> {
        let (value, payload) = any_from_json(&put.value, None);
        let ttl = put.ttl.map_or(0, |ttl| ttl.as_millis().div_ceil(1_000));
        let request = session::PutProgramRequest {
            session_id: session.to_owned(),
            program_id: id.to_owned(),
            value: Some(value),
            binary_value: payload,
            metadata: put.metadata,
            expected_version: put.expected_version.map_or(Ok(0), wire_version)?,
            ttl_seconds: i64::try_from(ttl).unwrap_or(i64::MAX),
        };
        let send = |channel, request| async move {
            SessionsClient::new(channel).put_program(request).await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|answer| version(answer.version)))
    }

    /// A program.
    ///
    /// # Errors
    ///
    /// `NotFound` where it, or its session, does not exist.
    pub async fn get_program(
        &self,
        session: &str,
        id: &str,
    ) -> Result<Answer<Program>, ClientError> {
        let request = session::GetProgramRequest {
            session_id: session.to_owned(),
            program_id: id.to_owned(),
        };
        let send = |channel, request| async move {
            SessionsClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .get_program(request)
                .await
        };
        let answer = self
            .call(Repeat::Read, Patience::Attempt, request, send)
            .await?;
        answer.try_map(|answer| {
            let missing = || ClientError::NotFound(format!("program not found: {id}"));
            Program::try_from(answer.program.ok_or_else(missing)?)
        })
    }

    /// One page of programs, in the order of their ids. `pattern` is a glob over the whole id, empty for all;
    /// `page_size` 0 leaves it to the node.
    pub async fn list_programs(
        &self,
        session: &str,
        pattern: &str,
        page_size: u32,
        page_token: &str,
    ) -> Result<Answer<Page<Program>>, ClientError> {
        let request = session::ListProgramsRequest {
            session_id: session.to_owned(),
            pattern: pattern.to_owned(),
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
        };
        let send = |channel, request| async move {
            SessionsClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .list_programs(request)
                .await
        };
        let answer = self
            .call(Repeat::Read, Patience::Attempt, request, send)
            .await?;
        answer.try_map(|answer| {
            let items = answer.programs.into_iter().map(Program::try_from);
            Ok(Page {
                items: items.collect::<Result<_, ClientError>>()?,
                next: answer.next_page_token,
            })
        })
    }

    /// Delete a program; false where there was none.
    pub async fn delete_program(
        &self,
        session: &str,
        id: &str,
    ) -> Result<Answer<bool>, ClientError> {
        let request = session::DeleteProgramRequest {
            session_id: session.to_owned(),
            program_id: id.to_owned(),
        };
        let send = |channel, request| async move {
            SessionsClient::new(channel).delete_program(request).await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        Ok(answer.map(|answer| answer.existed))
    }
}
