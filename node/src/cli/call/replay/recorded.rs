//! A call as the log has it.

use futures_util::StreamExt as _;
use prost::Message as _;
use serde_json::Value as Json;
use snakepit_client::{
    Client, EventFilter, EventQuery, ExecuteToolRequest, ExecuteToolResponse, ToolChunk,
};
use snakepit_machine::{CallReads, CallRecord, Event, Payload, SEALED_PREFIX};

use super::super::super::error::CliError;
use super::super::super::log::{payload, source, view};
use super::went::{Went, chunk_json};

/// In the metadata of a call that is run again: which call it repeats.
pub(super) const REPLAY_OF: &str = "replay_of";

/// A call of the log.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded {
    pub(super) call_id: String,
    pub(super) session: String,
    pub(super) tool: String,
    /// When it began, milliseconds since 1970.
    pub(super) time_ms: u64,
    /// Position of the event of its beginning; 0 where only its outcome is recorded.
    pub(super) position: u64,
    /// Time that it had, in milliseconds; 0 where it named none.
    pub(super) deadline_ms: u64,
    /// What it brought; `None` where that is not journaled.
    pub(super) request: Option<ExecuteToolRequest>,
    /// How it went. Its outcome is empty where its end is not in the log.
    pub(super) went: Went,
    /// Its chunks as they are compared.
    pub(super) chunks: Vec<Json>,
    /// What it had read.
    pub(super) reads: CallReads,
    /// It gave a result that was too large for the log.
    pub(super) result_left_out: bool,
    /// Position of its end; 0 where there is none.
    pub(super) ended: u64,
}

impl Recorded {
    /// What the journal has of a call; `None` where it has nothing.
    pub(super) async fn read(client: &Client, call_id: &str) -> Result<Option<Self>, CliError> {
        let query = EventQuery {
            journal_of: call_id.to_owned(),
            ..Default::default()
        };
        let mut events = source::online(client.read_events(query));
        let mut found = None;
        while let Some(stored) = events.next().await {
            let event = view::decode(&stored?)?;
            let call = found.get_or_insert_with(|| Self {
                call_id: call_id.to_owned(),
                ..Self::default()
            });
            call.take(event)?;
        }
        let Some(mut call) = found else {
            return Ok(None);
        };
        if call.request.is_some() && !call.session.is_empty() {
            call.read_writes(client).await?;
        }
        Ok(Some(call))
    }

    /// What runs again.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub(super) fn runnable(&self) -> Result<&ExecuteToolRequest, String> {
        if self.is_sealed() {
            let message = "its session is sealed, and so is what the log has of it; hint: only calls of other sessions can be run again";
            return Err(message.into());
        }
        let request = self.request.as_ref().ok_or(
            "the log has its outcome, not its arguments; hint: only calls of pools with journal full can be run again",
        )?;
        if request.metadata.contains_key(REPLAY_OF) {
            return Err("it was run by snakepit call replay itself".into());
        }
        if self.went.outcome.is_empty() {
            let message = "its end is not in the log; hint: it may be running, or its node died";
            return Err(message.into());
        }
        Ok(request)
    }

    /// Whether only nodes can read what the log has of it.
    fn is_sealed(&self) -> bool {
        self.session.starts_with(SEALED_PREFIX)
    }

    /// Whether it was called as a stream.
    pub(super) fn streams(&self) -> bool {
        let asked = self.request.as_ref().is_some_and(|request| request.stream);
        asked || self.went.chunks > 0
    }

    fn take(&mut self, event: Event) -> Result<(), CliError> {
        match event.payload {
            Payload::CallStarted {
                of_session,
                pool,
                tool,
                tool_version,
                arguments,
                deadline_ms,
                ..
            } => {
                self.session = of_session;
                self.tool = tool;
                self.time_ms = event.time_ms;
                self.position = event.position;
                self.deadline_ms = deadline_ms;
                self.went.tool_version = tool_version;
                self.went.pool = pool;
                if !arguments.is_empty() && !self.is_sealed() {
                    let request = ExecuteToolRequest::decode(arguments.as_slice());
                    self.request =
                        Some(request.map_err(|error| self.damaged("arguments", &error))?);
                }
            }
            Payload::CallEnded {
                worker,
                node,
                outcome,
                error_type,
                result,
                result_digest,
                duration_us,
                chunks,
                reads,
                ..
            } => {
                self.ended = event.position;
                self.reads = reads;
                self.result_left_out = result.is_empty() && !result_digest.is_empty();
                self.went.outcome = outcome;
                self.went.error_type = error_type;
                self.went.worker = worker;
                self.went.node = node;
                self.went.chunks = chunks;
                self.went.duration_us = duration_us;
                if !self.is_sealed() {
                    self.take_result(&result, event.time_ms)?;
                }
            }
            Payload::CallChunksPut { chunks, .. } if !self.is_sealed() => {
                for bytes in chunks {
                    let chunk = ToolChunk::decode(bytes.as_slice());
                    let chunk = chunk.map_err(|error| self.damaged("chunks", &error))?;
                    self.chunks.push(chunk_json(&chunk));
                }
            }
            Payload::CallsRecorded { calls } => {
                if let Some(record) = calls.into_iter().find(|call| call.call_id == self.call_id) {
                    self.take_record(record);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The response of a call, or what ended a stream.
    fn take_result(&mut self, result: &[u8], ended_ms: u64) -> Result<(), CliError> {
        if self.streams() {
            self.went.error_message = String::from_utf8_lossy(result).into_owned();
            self.went.duration_us = ended_ms.saturating_sub(self.time_ms).saturating_mul(1_000);
            return Ok(());
        }
        if result.is_empty() {
            return Ok(());
        }
        let answer = ExecuteToolResponse::decode(result);
        let answer = answer.map_err(|error| self.damaged("result", &error))?;
        let told = Went::answered(&answer)?;
        self.went.error_message = told.error_message;
        self.went.result = told.result;
        self.went.result_type = told.result_type;
        self.went.pool = told.pool;
        Ok(())
    }

    fn take_record(&mut self, record: CallRecord) {
        self.session = record.session_id;
        self.tool = record.tool;
        self.time_ms = record.started_ms;
        self.reads = record.reads;
        self.went = Went {
            outcome: record.outcome,
            error_type: record.error_type,
            tool_version: record.tool_version,
            pool: record.pool,
            worker: record.worker,
            node: record.node,
            duration_us: record.duration_us,
            ..Went::default()
        };
    }

    fn damaged(&self, what: &str, error: &prost::DecodeError) -> CliError {
        CliError::failed(format!(
            "the {what} of call {} cannot be read: {error}",
            self.call_id
        ))
    }

    /// The last value that it gave each variable and program of its session.
    async fn read_writes(&mut self, client: &Client) -> Result<(), CliError> {
        let query = EventQuery {
            from: self.position,
            to: self.ended,
            session: self.session.clone(),
            filter: EventFilter {
                call_id: self.call_id.clone(),
                ..Default::default()
            },
            ..Default::default()
        };
        let mut events = source::online(client.read_events(query));
        while let Some(stored) = events.next().await {
            let (what, value) = match view::decode(&stored?)?.payload {
                Payload::VariableRegistered { name, value, .. }
                | Payload::VariableSet { name, value, .. }
                | Payload::VariableRolledBack { name, value, .. } => {
                    (variable(&name), Some(payload::value_json(&value)))
                }
                Payload::VariableDeleted { name, .. } => (variable(&name), None),
                Payload::ProgramPut {
                    program_id, value, ..
                } => (program(&program_id), Some(payload::value_json(&value))),
                Payload::ProgramDeleted { program_id, .. } => (program(&program_id), None),
                _ => continue,
            };
            self.went.written.insert(what, value);
        }
        Ok(())
    }
}

/// What a variable is called in a report.
pub(super) fn variable(name: &str) -> String {
    format!("variable {name}")
}

/// What a program is called in a report.
pub(super) fn program(id: &str) -> String {
    format!("program {id}")
}
