//! Calling tools.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value as Json;
use snakepit_proto::bridge::{self, bridge_service_client::BridgeServiceClient};

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::error::from_refusal;
use crate::json::{any_from_json, any_to_json};
use crate::{Answer, Client, ClientError};

/// What to call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallRequest {
    /// The tool.
    pub tool: String,
    /// The session it works in; empty for none.
    pub session: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, Json>,
    /// For the tool's request.
    pub metadata: BTreeMap<String, String>,
    /// Time it may take, carried through every hop; the client's `timeout` where `None`.
    pub deadline: Option<Duration>,
    /// Names the call in the cluster: a repeated one gets the answer of the first one. Empty: it has no name.
    pub idempotency_key: String,
    /// The pool whose workers shall run it; empty for any that has the tool.
    pub pool: String,
    /// It may run twice: the cluster and this client repeat it where its worker or its node dies.
    pub idempotent: bool,
    /// Follows one piece of work through all hops; empty where nobody asks.
    pub correlation_id: String,
    /// Where a streaming call goes on; `None` begins one.
    pub resume: Option<StreamPosition>,
}

/// A place in the stream of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamPosition {
    /// The call.
    pub call_id: String,
    /// Number of the next chunk, from 0.
    pub number: u64,
}

impl CallRequest {
    /// When it may be tried again.
    pub(crate) fn repeat(&self) -> Repeat {
        if self.idempotent || !self.idempotency_key.is_empty() {
            Repeat::Deduplicated
        } else {
            Repeat::Once
        }
    }

    /// A client with the call's own budget and name.
    pub(crate) fn client(&self, client: &Client) -> Client {
        let client = match self.deadline {
            Some(deadline) => client.clone().with_timeout(deadline),
            None => client.clone(),
        };
        match self.idempotency_key.as_str() {
            "" => client,
            key => client.with_idempotency_key(key),
        }
    }

    /// As it travels.
    pub(crate) fn into_wire(self, stream: bool) -> bridge::ExecuteToolRequest {
        let (mut parameters, mut binary_parameters) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in self.parameters {
            let (value, payload) = any_from_json(&value, None);
            if !payload.is_empty() {
                binary_parameters.insert(name.clone(), payload);
            }
            parameters.insert(name, value);
        }
        let mut metadata = self.metadata;
        let idempotent = if self.idempotent { "true" } else { "" };
        for (key, value) in [
            ("pool", self.pool.as_str()),
            ("idempotent", idempotent),
            ("correlation_id", self.correlation_id.as_str()),
        ] {
            if !value.is_empty() {
                metadata.insert(key.to_owned(), value.to_owned());
            }
        }
        let resume = self.resume.unwrap_or_default();
        bridge::ExecuteToolRequest {
            session_id: self.session,
            tool_name: self.tool,
            parameters,
            metadata,
            stream,
            binary_parameters,
            resume_call_id: resume.call_id,
            resume_from: resume.number,
        }
    }
}

/// What a tool answered.
#[derive(Clone, Debug, PartialEq)]
pub struct CallAnswer {
    /// Its value, or the exception that it raised.
    pub outcome: Result<Json, ToolError>,
    /// Bytes beside the value; empty where none.
    pub binary: Bytes,
    /// The node whose worker ran it.
    pub node_id: u64,
    /// The worker.
    pub worker_id: String,
    /// Names the call in the log.
    pub call_id: String,
    /// How long it ran, in milliseconds.
    pub execution_time_ms: u64,
    /// What the tool wrote to its standard output, the newest part of it.
    pub stdout: String,
    /// And to its standard error.
    pub stderr: String,
    /// Whether it is the answer of an earlier call with the same idempotency key.
    pub recorded: bool,
    /// How often it was begun.
    pub attempts: u32,
    /// The pool whose worker ran it.
    pub pool: String,
}

/// An exception in a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolError {
    /// Its class, such as `ValueError`.
    pub type_name: String,
    /// Its message.
    pub message: String,
    /// Its traceback; may be empty.
    pub traceback: String,
    /// What went wrong, where that can be told: `shape_mismatch`, `out_of_memory` and the like.
    pub kind: String,
    /// What to do about it, where that can be told.
    pub hint: String,
    /// What is known of it, such as `expected_shape`.
    pub details: BTreeMap<String, String>,
}

impl From<bridge::ToolError> for ToolError {
    fn from(error: bridge::ToolError) -> Self {
        Self {
            type_name: error.r#type,
            message: error.message,
            traceback: error.traceback,
            kind: error.kind,
            hint: error.hint,
            details: error.details,
        }
    }
}

impl Client {
    /// Call a tool and wait. Tried again where it has certainly not begun, and where it is idempotent or has an
    /// idempotency key; an `Unknown` error means that it may have run.
    pub async fn call_tool(&self, call: CallRequest) -> Result<Answer<CallAnswer>, ClientError> {
        let (client, repeat) = (call.client(self), call.repeat());
        let request = call.into_wire(false);
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .execute_tool(request)
                .await
        };
        let answer = client.call(repeat, Patience::Whole, request, send).await?;
        answer.try_map(call_answer)
    }
}

fn call_answer(mut answer: bridge::ExecuteToolResponse) -> Result<CallAnswer, ClientError> {
    // Bytes are the value itself; what comes beside another value stays beside it.
    let is_bytes = |any: &prost_types::Any| any.type_url.ends_with(".bytes");
    let payload = if answer.result.as_ref().is_some_and(is_bytes) {
        std::mem::take(&mut answer.binary_result)
    } else {
        Bytes::new()
    };
    let outcome = match (answer.success, answer.error) {
        (true, _) => Ok(any_to_json(answer.result.as_ref(), &payload)?),
        (false, Some(error)) => Err(error.into()),
        (false, None) => return Err(from_refusal(&answer.error_message)),
    };
    Ok(CallAnswer {
        outcome,
        binary: answer.binary_result,
        node_id: answer.node_id,
        worker_id: answer.worker_id,
        call_id: answer.call_id,
        execution_time_ms: u64::try_from(answer.execution_time_ms).unwrap_or(0),
        stdout: answer.stdout,
        stderr: answer.stderr,
        recorded: answer.recorded,
        attempts: answer.attempts,
        pool: answer.pool,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_is_told_travels_in_its_metadata() {
        let call = CallRequest {
            tool: "add".into(),
            pool: "gpu".into(),
            idempotent: true,
            correlation_id: "c-1".into(),
            metadata: [("a".into(), "b".into())].into(),
            resume: Some(StreamPosition {
                call_id: "x".into(),
                number: 3,
            }),
            ..Default::default()
        };
        assert_eq!(call.repeat(), Repeat::Deduplicated);
        let wire = call.into_wire(true);
        let told: Vec<_> = wire
            .metadata
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(
            told,
            ["a=b", "correlation_id=c-1", "idempotent=true", "pool=gpu"]
        );
        assert_eq!((wire.resume_call_id.as_str(), wire.resume_from), ("x", 3));
        let plain = CallRequest::default();
        assert_eq!(plain.repeat(), Repeat::Once);
        assert!(plain.into_wire(false).metadata.is_empty());
    }
}
