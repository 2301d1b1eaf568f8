//! What goes into a call, and what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use prost_types::Any;
use snakepit_proto::bridge::{ToolError, Variable};

use super::reads::Reads;

/// A tool's call.
#[derive(Clone, Debug, Default)]
pub struct ToolCall {
    /// Names the call in the cluster.
    pub call_id: String,
    /// The caller's session; empty where there is none.
    pub session_id: String,
    /// The tool's name.
    pub tool: String,
    /// Its arguments.
    pub parameters: BTreeMap<String, Any>,
    /// Payloads of arguments.
    pub binary_parameters: BTreeMap<String, Bytes>,
    /// What travels along.
    pub metadata: BTreeMap<String, String>,
    /// When the caller stops waiting; the pool's `call_timeout_ms` from now where it says nothing.
    pub deadline: Option<Instant>,
    /// Who calls.
    pub principal: String,
    /// Whether it may run again after the death of its worker. A tool's own mark counts as well.
    pub idempotent: bool,
    /// The pool that must run it; empty: any that offers the tool.
    pub pool: String,
    /// The worker that the pool's affinity asks for; empty: any.
    pub worker: String,
    /// Another node seems to have a free worker: the call is refused where it would wait.
    pub or_back: bool,
    /// It may be given back while it waits, to run on another node. Streams never are.
    pub movable: bool,
    /// Where what it reads is noted; none where nobody journals that.
    pub reads: Option<Arc<Reads>>,
}

/// A call's end, a Python exception included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallOutcome {
    /// Whether the tool returned.
    pub success: bool,
    /// What it returned.
    pub value: Option<Any>,
    /// The payload of what it returned.
    pub binary_value: Bytes,
    /// What it raised.
    pub error: Option<ToolError>,
    /// How long it ran, in microseconds.
    pub execution_time_us: u64,
    /// From its admission until a worker was chosen, in microseconds.
    pub queued_us: u64,
    /// What travels along.
    pub metadata: BTreeMap<String, String>,
    /// What the tool wrote to its standard output, the newest part.
    pub stdout: String,
    /// What the tool wrote to its standard error, the newest part.
    pub stderr: String,
    /// The worker that ran it.
    pub worker_id: String,
    /// Its pool.
    pub pool: String,
}

/// A call that runs now, as its state callbacks need it.
#[derive(Clone, Debug, Default)]
pub struct CallContext {
    /// Names the call in the cluster.
    pub call_id: String,
    /// The tool's name.
    pub tool: String,
    /// The worker that runs it.
    pub worker_id: String,
    /// The caller's session; empty where there is none.
    pub session_id: String,
    /// Who calls.
    pub principal: String,
    /// Where what it reads is noted; none where nobody journals that.
    pub reads: Option<Arc<Reads>>,
}

impl CallContext {
    /// Note that the call was given a version of a variable, where its pool journals that.
    pub fn note_read(&self, session_id: &str, name: &str, version: u64) {
        if let Some(reads) = &self.reads {
            reads.note(session_id, name, version);
        }
    }

    /// As [`Self::note_read`], of a variable as callers are shown it.
    pub fn note_shown(&self, session_id: &str, variable: &Variable) {
        let version = u64::try_from(variable.version).unwrap_or(0);
        self.note_read(session_id, &variable.name, version);
    }
}

/// One pool's part in the node's readiness.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PoolReadiness {
    /// The pool's name.
    pub pool: String,
    /// How many workers there should be.
    pub size: usize,
    /// How many serve.
    pub ready: usize,
    /// Why one of the others does not, where that is known.
    pub problem: Option<String>,
}
