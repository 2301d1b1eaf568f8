//! Commands that journal tool calls. They only go into the log; a session's rows note that it was used.

use serde::{Deserialize, Serialize};

/// How a call can end: with a result, with an exception in the tool, with its worker, cancelled by its caller,
/// too late, or before it ran.
pub const CALL_OUTCOMES: [&str; 6] = ["ok", "raised", "lost", "cancelled", "deadline", "refused"];

/// Journal that a call is about to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallStart {
    /// The session whose event it is; empty where it is of none.
    pub session_id: String,
    /// The session that the call names, also where the event is of none: at most 256 bytes.
    pub of_session: String,
    /// The call: 1 to 256 bytes.
    pub call_id: String,
    /// Where it is to run: at most 256 bytes.
    pub pool: String,
    /// What it calls: 1 to 256 bytes.
    pub tool: String,
    /// The tool's version, or empty: at most 256 bytes.
    pub tool_version: String,
    /// Names what must be done once, whoever asks for it, or empty: at most 256 bytes.
    pub idempotency_key: String,
    /// What it brings, encoded; empty unless it is journaled in full. At most
    /// [`crate::CALL_EXTRA_BYTES_MAX`] above the size of a value.
    pub arguments: Vec<u8>,
    /// blake3 of that: 32 bytes, or empty.
    pub arguments_digest: Vec<u8>,
    /// Time that it has, in milliseconds.
    pub deadline_ms: u64,
    /// From 1, one more each time that it is begun.
    pub attempt: u32,
}

/// Journal that a call came to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallEnd {
    /// The session whose event it is; empty where it is of none.
    pub session_id: String,
    /// The session that the call names, also where the event is of none: at most 256 bytes.
    pub of_session: String,
    /// The call: 1 to 256 bytes.
    pub call_id: String,
    /// Where it ran: at most 256 bytes.
    pub pool: String,
    /// What it called: 1 to 256 bytes.
    pub tool: String,
    /// The worker that ran it, or empty: at most 256 bytes.
    pub worker: String,
    /// The node of that worker.
    pub node: u64,
    /// One of [`CALL_OUTCOMES`].
    pub outcome: String,
    /// The type of the error that ended it, or empty: at most [`crate::ERROR_TYPE_BYTES_MAX`] bytes.
    pub error_type: String,
    /// The response, encoded; empty unless it is journaled in full or to be given again. At most
    /// [`crate::CALL_EXTRA_BYTES_MAX`] above the size of a value.
    pub result: Vec<u8>,
    /// blake3 of that: 32 bytes, or empty.
    pub result_digest: Vec<u8>,
    /// Time in the worker, in microseconds.
    pub duration_us: u64,
    /// Time before that, in microseconds.
    pub queued_us: u64,
    /// Chunks of its stream.
    pub chunks: u64,
    /// How often it was begun.
    pub attempts: u32,
    /// As when it started: at most 256 bytes.
    pub idempotency_key: String,
    /// What it had read.
    pub reads: CallReads,
}

/// Journal chunks of a call's stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallChunks {
    /// The session whose event it is; empty where it is of none.
    pub session_id: String,
    /// The session that the call names, also where the event is of none: at most 256 bytes.
    pub of_session: String,
    /// The call: 1 to 256 bytes.
    pub call_id: String,
    /// Number of the batch in the stream, from 0.
    pub batch: u64,
    /// Number of the first chunk in the stream, from 0.
    pub first: u64,
    /// The chunks, encoded: 1 to [`crate::CHUNKS_PER_BATCH_MAX`], together at most
    /// [`crate::CALL_EXTRA_BYTES_MAX`] above the size of a value.
    pub chunks: Vec<Vec<u8>>,
}

/// Journal calls that have ended: all or none. The event is of no session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordCalls {
    /// At most [`crate::RECORDED_CALLS_MAX`], with at most [`crate::RECORDED_READS_MAX`] reads together.
    pub calls: Vec<CallRecord>,
}

/// A call that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The call: 1 to 256 bytes.
    pub call_id: String,
    /// The session that it named, or empty: at most 256 bytes.
    pub session_id: String,
    /// Where it ran: at most 256 bytes.
    pub pool: String,
    /// What it called: 1 to 256 bytes.
    pub tool: String,
    /// The tool's version, or empty: at most 256 bytes.
    pub tool_version: String,
    /// The worker that ran it, or empty: at most 256 bytes.
    pub worker: String,
    /// The node of that worker.
    pub node: u64,
    /// Who called, or empty: at most 256 bytes.
    pub principal: String,
    /// The request's name, or empty: at most 256 bytes.
    pub request_id: String,
    /// One of [`CALL_OUTCOMES`].
    pub outcome: String,
    /// The type of the error that ended it, or empty: at most [`crate::ERROR_TYPE_BYTES_MAX`] bytes.
    pub error_type: String,
    /// blake3 of the encoded arguments: 32 bytes, or empty.
    pub arguments_digest: Vec<u8>,
    /// blake3 of the encoded response: 32 bytes, or empty.
    pub result_digest: Vec<u8>,
    /// When it was taken, milliseconds since 1970, by the clock of the node that took it.
    pub started_ms: u64,
    /// Time in the worker, in microseconds.
    pub duration_us: u64,
    /// Time before that, in microseconds.
    pub queued_us: u64,
    /// What it had read.
    pub reads: CallReads,
}

/// What a call had read of variables, in the order of the first reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallReads {
    /// Each version of each variable once; at most [`crate::CALL_READS_MAX`].
    pub noted: Vec<CallRead>,
    /// How many reads there were beyond these, repeated ones counted each time.
    pub left_out: u64,
}

/// A version of a variable that a call had read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRead {
    /// The session that holds it: 1 to 256 bytes.
    pub session_id: String,
    /// The variable's name: 1 to 256 bytes.
    pub name: String,
    /// The version, from 1.
    pub version: u64,
}
