//! What a variable was, and how it becomes that again.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use snakepit_proto::bridge::{self, bridge_service_client::BridgeServiceClient};
use snakepit_proto::times;

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::error::from_refusal;
use crate::json::any_to_json;
use crate::variable::{Variable, version, wire_version};
use crate::watch::ChangeCause;
use crate::{Answer, Client, ClientError};

/// One version of a variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryEntry {
    /// From 1.
    pub version: u64,
    /// Its value.
    pub value: Json,
    /// When it got it, milliseconds since 1970.
    pub time_ms: u64,
    /// `value_change`, `rollback` or `registered`.
    pub kind: String,
    /// Where it is a rollback: the version whose value it took.
    pub rolled_back_to: Option<u64>,
    /// What the change added to the variable's metadata.
    pub metadata: BTreeMap<String, String>,
    /// Of its event in the log.
    pub position: u64,
    /// Who, and through what.
    pub cause: ChangeCause,
}

/// A part of a variable's history, the newest version first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryPage {
    /// The versions.
    pub entries: Vec<HistoryEntry>,
    /// `before` of the next page; `None` on the last.
    pub next_before: Option<u64>,
}

/// A rollback to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollback {
    /// The version whose value is taken.
    pub target_version: u64,
    /// The version that must hold.
    pub expected_version: Option<u64>,
    /// Added to the variable's metadata.
    pub metadata: BTreeMap<String, String>,
}

impl Client {
    /// Versions of a variable, the newest first: those before `before`, at most `limit`, which 0 leaves to the
    /// node.
    pub async fn variable_history(
        &self,
        session: &str,
        identifier: &str,
        limit: u32,
        before: Option<u64>,
    ) -> Result<Answer<HistoryPage>, ClientError> {
        let request = bridge::GetVariableHistoryRequest {
            session_id: session.to_owned(),
            variable_identifier: identifier.to_owned(),
            limit: i32::try_from(limit).unwrap_or(i32::MAX),
            before_version: before.map_or(Ok(0), wire_version)?,
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .get_variable_history(request)
                .await
        };
        let answer = self
            .call(Repeat::Read, Patience::Attempt, request, send)
            .await?;
        answer.try_map(|answer| {
            let entries = answer.entries.into_iter().map(HistoryEntry::try_from);
            Ok(HistoryPage {
                entries: entries.collect::<Result<_, ClientError>>()?,
                next_before: Some(version(answer.next_before_version)).filter(|next| *next > 0),
            })
        })
    }

    /// Give a variable the value that it had at an old version, as a new version.
    pub async fn rollback_variable(
        &self,
        session: &str,
        identifier: &str,
        rollback: Rollback,
    ) -> Result<Answer<Variable>, ClientError> {
        let request = bridge::RollbackVariableRequest {
            session_id: session.to_owned(),
            variable_identifier: identifier.to_owned(),
            target_version: wire_version(rollback.target_version)?,
            expected_version: rollback.expected_version.map_or(Ok(0), wire_version)?,
            metadata: rollback.metadata,
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .rollback_variable(request)
                .await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        answer.try_map(|answer| match answer.variable {
            Some(variable) if answer.success => Variable::try_from(variable),
            _ => Err(from_refusal(&answer.error_message)),
        })
    }
}

impl TryFrom<bridge::VariableHistoryEntry> for HistoryEntry {
    type Error = ClientError;

    fn try_from(entry: bridge::VariableHistoryEntry) -> Result<Self, ClientError> {
        Ok(Self {
            version: version(entry.version),
            value: any_to_json(entry.value.as_ref(), &entry.binary_value)?,
            time_ms: entry.timestamp.as_ref().map_or(0, times::millis),
            kind: entry.update_type,
            rolled_back_to: Some(version(entry.rolled_back_to)).filter(|target| *target > 0),
            metadata: entry.metadata,
            position: entry.position,
            cause: entry.cause.unwrap_or_default(),
        })
    }
}
