//! Optimizations: locks of variables that end by themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use snakepit_proto::bridge::{self, bridge_service_client::BridgeServiceClient};
use snakepit_proto::times;

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::error::from_refusal;
use crate::json::any_to_json;
use crate::{Answer, Client, ClientError};

/// What holds a variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Who optimizes.
    pub optimizer_id: String,
    /// What it was started with.
    pub config: BTreeMap<String, String>,
    /// When it began, milliseconds since 1970.
    pub started_ms: u64,
    /// When it ends unless its owner renews it, milliseconds since 1970.
    pub expires_ms: u64,
}

impl From<bridge::OptimizationStatus> for Lock {
    fn from(status: bridge::OptimizationStatus) -> Self {
        Self {
            optimizer_id: status.optimizer_id,
            config: status.optimizer_config,
            started_ms: status.started_at.as_ref().map_or(0, times::millis),
            expires_ms: status.expires_at.as_ref().map_or(0, times::millis),
        }
    }
}

/// An optimization to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Optimization {
    /// Who optimizes; the same one renews its lease.
    pub optimizer_id: String,
    /// Kept with the lock.
    pub config: BTreeMap<String, String>,
    /// The lock ends so long after its owner's last sign of life; the node's default where `None`.
    pub lease: Option<Duration>,
}

/// An optimization that was started, or whose lease was renewed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Optimizing {
    /// For [`Client::with_optimization_id`].
    pub optimization_id: String,
    /// When the lock ends unless its owner renews it, milliseconds since 1970.
    pub expires_ms: u64,
}

/// An optimization that was stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct Stopped {
    /// Whether one held the variable.
    pub existed: bool,
    /// The value of the variable.
    pub value: Json,
}

impl Client {
    /// Lock a variable, or renew the lock.
    ///
    /// # Errors
    ///
    /// `Refused` where another optimization holds it.
    pub async fn start_optimization(
        &self,
        session: &str,
        identifier: &str,
        optimization: Optimization,
    ) -> Result<Answer<Optimizing>, ClientError> {
        let lease = optimization.lease.map_or(0, |lease| lease.as_millis());
        let request = bridge::StartOptimizationRequest {
            session_id: session.to_owned(),
            variable_identifier: identifier.to_owned(),
            optimizer_id: optimization.optimizer_id,
            optimizer_config: optimization.config,
            lease_ms: i64::try_from(lease).unwrap_or(i64::MAX),
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .start_optimization(request)
                .await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        answer.try_map(|answer| {
            if !answer.success {
                return Err(from_refusal(&answer.error_message));
            }
            Ok(Optimizing {
                optimization_id: answer.optimization_id,
                expires_ms: answer.expires_at.as_ref().map_or(0, times::millis),
            })
        })
    }

    /// Unlock a variable: as the principal that locked it, with the optimization's id, or by `force`.
    ///
    /// # Errors
    ///
    /// `Refused` where another one's optimization holds it.
    pub async fn stop_optimization(
        &self,
        session: &str,
        identifier: &str,
        optimization_id: &str,
        force: bool,
    ) -> Result<Answer<Stopped>, ClientError> {
        let request = bridge::StopOptimizationRequest {
            session_id: session.to_owned(),
            variable_identifier: identifier.to_owned(),
            force,
            optimization_id: optimization_id.to_owned(),
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .stop_optimization(request)
                .await
        };
        let answer = self
            .call(Repeat::Deduplicated, Patience::Attempt, request, send)
            .await?;
        answer.try_map(|answer| {
            Ok(Stopped {
                existed: answer.success,
                value: any_to_json(answer.final_value.as_ref(), &answer.final_binary_value)?,
            })
        })
    }
}
