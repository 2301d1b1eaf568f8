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
}

impl Client {
    /// Call a tool and wait. Tried again only where it has certainly not begun; an `Unknown` error means that
    /// it may have run.
    pub async fn call_tool(&self, call: CallRequest) -> Result<Answer<CallAnswer>, ClientError> {
        let (mut parameters, mut binary_parameters) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in call.parameters {
            let (value, payload) = any_from_json(&value, None);
            if !payload.is_empty() {
                binary_parameters.insert(name.clone(), payload);
            }
            parameters.insert(name, value);
        }
        let request = bridge::ExecuteToolRequest {
            session_id: call.session,
            tool_name: call.tool,
            parameters,
            metadata: call.metadata,
            stream: false,
            binary_parameters,
        };
        let send = |channel, request| async move {
            BridgeServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .execute_tool(request)
                .await
        };
        let client = match call.deadline {
            Some(deadline) => self.clone().with_timeout(deadline),
            None => self.clone(),
        };
        let answer = client
            .call(Repeat::Once, Patience::Whole, request, send)
            .await?;
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
        (false, Some(error)) => Err(ToolError {
            type_name: error.r#type,
            message: error.message,
            traceback: error.traceback,
        }),
        (false, None) => return Err(from_refusal(&answer.error_message)),
    };
    Ok(CallAnswer {
        outcome,
        binary: answer.binary_result,
        node_id: answer.node_id,
        worker_id: answer.worker_id,
        call_id: answer.call_id,
        execution_time_ms: u64::try_from(answer.execution_time_ms).unwrap_or(0),
    })
}
