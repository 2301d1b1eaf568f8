//! Exports as Parquet: its columns, and an event as a row. There are no statistics and no indexes: readers
//! follow them in place of the events, and nothing in a checkpoint covers them.

mod read;
mod write;

use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::TypePtr;
use serde_json::{Map, Value as Json, json};
use snakepit_client::StoredEvent;
use snakepit_machine::{Event, json};

pub(in super::super) use self::read::Reader;
#[cfg(test)]
pub(in super::super) use self::write::Writer;
pub(in super::super) use self::write::pack;
use super::super::super::output::time;
use super::super::payload;

/// The columns, in the order in which [`Row`] has them.
const COLUMNS: &str = "
message event {
  required int64 position (integer(64, false));
  optional int64 time (timestamp(millis, true));
  required int64 time_ms (integer(64, false));
  required binary session (string);
  required int64 revision (integer(64, false));
  required binary event (string);
  required binary change (string);
  required binary principal (string);
  required boolean principal_verified;
  optional binary cause_request (string);
  optional binary cause_call (string);
  optional binary cause_tool (string);
  optional binary cause_worker (string);
  optional int64 cause_node (integer(64, false));
  required int64 raft_index (integer(64, false));
  required int64 raft_term (integer(64, false));
  required binary hash;
  required binary bytes;
}";

fn schema() -> Result<TypePtr, ParquetError> {
    parse_message_type(COLUMNS).map(Arc::new)
}

/// An event, flat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Row {
    pub(in super::super) position: u64,
    /// Milliseconds since 1970; `None` where `time` of a line is empty.
    pub(in super::super) time: Option<i64>,
    pub(in super::super) time_ms: u64,
    pub(in super::super) session: String,
    pub(in super::super) revision: u64,
    pub(in super::super) event: String,
    /// JSON.
    pub(in super::super) change: String,
    pub(in super::super) principal: String,
    pub(in super::super) principal_verified: bool,
    pub(in super::super) cause_request: Option<String>,
    pub(in super::super) cause_call: Option<String>,
    pub(in super::super) cause_tool: Option<String>,
    pub(in super::super) cause_worker: Option<String>,
    pub(in super::super) cause_node: Option<u64>,
    pub(in super::super) raft_index: u64,
    pub(in super::super) raft_term: u64,
    pub(in super::super) hash: Vec<u8>,
    pub(in super::super) bytes: Vec<u8>,
}

impl Row {
    /// An event, and as it is stored.
    pub(in super::super) fn of(event: &Event, stored: &StoredEvent) -> Self {
        let shown = !time(event.time_ms).is_empty();
        let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            position: event.position,
            time: i64::try_from(event.time_ms).ok().filter(|_| shown),
            time_ms: event.time_ms,
            session: event.session_id.clone(),
            revision: event.revision,
            event: event.payload.name().to_owned(),
            change: json!(payload::Change(&event.payload)).to_string(),
            principal: event.principal.name.clone(),
            principal_verified: event.principal.verified,
            cause_request: known(&event.cause.request_id),
            cause_call: known(&event.cause.call_id),
            cause_tool: known(&event.cause.tool),
            cause_worker: known(&event.cause.worker),
            cause_node: Some(event.cause.node).filter(|node| *node > 0),
            raft_index: event.raft_index,
            raft_term: event.raft_term,
            hash: stored.hash.to_vec(),
            bytes: stored.event.to_vec(),
        }
    }

    /// What a line of JSON would say, without hash and bytes.
    ///
    /// # Errors
    ///
    /// Where `change` is no JSON, or `time` no time that is shown.
    pub(in super::super) fn object(&self) -> Result<Map<String, Json>, String> {
        let change = json::read_unique(&self.change);
        let change = change.map_err(|error| format!("change is no JSON: {error}"))?;
        let shown = match self.time {
            None => String::new(),
            Some(ms) => {
                let shown = u64::try_from(ms).map(time).unwrap_or_default();
                if shown.is_empty() {
                    return Err(format!("time is {ms}, which is never shown"));
                }
                shown
            }
        };
        let texts = [
            ("request", &self.cause_request),
            ("call", &self.cause_call),
            ("tool", &self.cause_tool),
            ("worker", &self.cause_worker),
        ];
        let mut cause = Map::new();
        for (name, text) in texts {
            if let Some(text) = text {
                cause.insert(name.into(), text.as_str().into());
            }
        }
        if let Some(node) = self.cause_node {
            cause.insert("node".into(), node.into());
        }
        let principal = json!({ "name": self.principal, "verified": self.principal_verified });
        let fields = [
            ("position", self.position.into()),
            ("time", shown.into()),
            ("time_ms", self.time_ms.into()),
            ("session", self.session.as_str().into()),
            ("revision", self.revision.into()),
            ("event", self.event.as_str().into()),
            ("change", change),
            ("principal", principal),
            ("cause", cause.into()),
            ("raft_index", self.raft_index.into()),
            ("raft_term", self.raft_term.into()),
        ];
        let fields = fields.map(|(name, value): (_, Json)| (name.to_owned(), value));
        Ok(fields.into_iter().collect())
    }
}
