//! How a call went, then or now, as far as the two can be compared.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use snakepit_client::{ExecuteToolResponse, ToolChunk, any_to_json, bytes_to_json};

use super::super::super::error::CliError;

/// How a call went.
#[derive(Clone, Debug, Default)]
pub(super) struct Went {
    /// One of the words of the log; empty where its end is not there.
    pub(super) outcome: String,
    /// Type of the error that ended it; empty where none did.
    pub(super) error_type: String,
    /// And its message, where that is known.
    pub(super) error_message: String,
    /// What it gave; `None` where nothing, or where that is not known.
    pub(super) result: Option<Json>,
    /// Name of the type of that, as it travels.
    pub(super) result_type: String,
    /// Chunks of its stream.
    pub(super) chunks: u64,
    /// The values that variables and programs had behind it, by `variable x` or `program p`; `None`: deleted.
    pub(super) written: BTreeMap<String, Option<Json>>,
    pub(super) tool_version: String,
    pub(super) pool: String,
    pub(super) worker: String,
    pub(super) node: u64,
    pub(super) call_id: String,
    pub(super) duration_us: u64,
}

impl Went {
    /// Of an answer: of today, or as the log keeps it.
    pub(super) fn answered(answer: &ExecuteToolResponse) -> Result<Self, CliError> {
        let error = answer.error.clone().unwrap_or_default();
        let message = if error.message.is_empty() && !answer.success {
            answer.error_message.clone()
        } else {
            error.message
        };
        let result = answer.result.as_ref();
        Ok(Self {
            outcome: if answer.success { "ok" } else { "raised" }.to_owned(),
            error_type: error.r#type,
            error_message: message,
            result: answer
                .success
                .then(|| any_to_json(result, &answer.binary_result))
                .transpose()?,
            result_type: result.map_or_else(String::new, |any| type_name(&any.type_url)),
            pool: answer.pool.clone(),
            worker: answer.worker_id.clone(),
            node: answer.node_id,
            call_id: answer.call_id.clone(),
            duration_us: answer.execution_time_us,
            ..Self::default()
        })
    }
}

/// What a chunk holds: JSON, or else text, or else bytes; with what the tool says beside it.
pub(super) fn chunk_json(chunk: &ToolChunk) -> Json {
    let text = || std::str::from_utf8(&chunk.data).ok().map(Json::from);
    let value = serde_json::from_slice(&chunk.data)
        .ok()
        .or_else(text)
        .unwrap_or_else(|| bytes_to_json(&chunk.data));
    serde_json::json!({ "value": value, "final": chunk.is_final, "metadata": chunk.metadata })
}

fn type_name(url: &str) -> String {
    url.rsplit(['/', '.']).next().unwrap_or(url).to_owned()
}
