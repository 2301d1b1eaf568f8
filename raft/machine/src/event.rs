//! What happened.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::row::SessionConfig;
use crate::{Answer, CallReads, CallRecord, Value};

/// One change, with who made it and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Dense in the whole log, from 1.
    pub position: u64,
    /// The session that changed.
    pub session_id: String,
    /// Dense in the session, from 1.
    pub revision: u64,
    /// Index of the log entry that made it.
    pub raft_index: u64,
    /// Term of that entry.
    pub raft_term: u64,
    /// The leader's wall clock, milliseconds since 1970; never goes back.
    pub time_ms: u64,
    /// Who.
    pub principal: Principal,
    /// Through what.
    pub cause: Cause,
    /// The answer to the request, on the last event that the request made.
    pub answer: Option<Answer>,
    /// What.
    pub payload: Payload,
}

/// Who made a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// Name; empty where nobody was declared.
    pub name: String,
    /// True where the name was authenticated, false where it was only declared.
    pub verified: bool,
}

/// Through what a request was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The request's name; empty where it had none.
    pub request_id: String,
    /// The tool call that made it; empty where none.
    pub call_id: String,
    /// The tool of that call.
    pub tool: String,
    /// The worker of that call.
    pub worker: String,
    /// The node that took the request.
    pub node: u64,
}

/// The changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// A session began.
    SessionCreated {
        /// What the client wants kept with it.
        metadata: BTreeMap<String, String>,
        /// Life after its last use, in milliseconds.
        ttl_ms: u64,
        /// How nodes serve it.
        config: SessionConfig,
        /// The session of which it is a copy; empty where it is none.
        imported_from: String,
        /// Under whose key its values are encrypted; empty where they are not.
        subject: String,
    },
    /// A session's life was extended from the event's time on.
    SessionTouched,
    /// A session was ended by request.
    SessionDeleted,
    /// A session's deadline passed.
    SessionExpired {
        /// When, milliseconds since 1970.
        deadline_ms: u64,
    },
    /// A variable was registered, for the first time or again.
    VariableRegistered {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Its type's name.
        type_name: String,
        /// Its value.
        value: Value,
        /// Its constraints, a JSON object or empty.
        constraints_json: String,
        /// Its metadata.
        metadata: BTreeMap<String, String>,
        /// 1, or above where it was registered again.
        version: u64,
        /// Who may read, write and watch it, or empty.
        access_json: String,
        /// Where earlier versions are.
        past: Past,
    },
    /// A variable got a value.
    VariableSet {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Its value.
        value: Value,
        /// What the request added to its metadata.
        metadata: BTreeMap<String, String>,
        /// Its new version.
        version: u64,
        /// Where earlier versions are.
        past: Past,
        /// Its type's name.
        type_name: String,
        /// Who might read, write and watch it then, or empty.
        access_json: String,
    },
    /// A variable was deleted.
    VariableDeleted {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Its last version.
        version: u64,
        /// Its type's name.
        type_name: String,
        /// Who might read, write and watch it then, or empty.
        access_json: String,
    },
    /// A variable got the value of an earlier version.
    VariableRolledBack {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Its value.
        value: Value,
        /// What the request added to its metadata.
        metadata: BTreeMap<String, String>,
        /// Its new version.
        version: u64,
        /// The version that had the value.
        target_version: u64,
        /// Where earlier versions are.
        past: Past,
        /// Its type's name.
        type_name: String,
        /// Who might read, write and watch it then, or empty.
        access_json: String,
    },
    /// Who may read, write and watch a variable was changed.
    VariableAccessSet {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// The rules, or empty.
        access_json: String,
    },
    /// One variable depends on another from now on, or does so in another way.
    DependencyAdded {
        /// Name of the dependent one.
        from: String,
        /// Name of what it depends on.
        to: String,
        /// One of [`crate::DEPENDENCY_KINDS`].
        kind: String,
    },
    /// One variable does not depend on another any more.
    DependencyRemoved {
        /// Name of the dependent one.
        from: String,
        /// Name of what it depended on.
        to: String,
    },
    /// A variable was locked for an optimizer, or its lease renewed.
    OptimizationStarted {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// `opt_<name>_<n>`, unique for ever.
        optimization_id: String,
        /// Who optimizes.
        optimizer_id: String,
        /// What is kept with the lock.
        config: BTreeMap<String, String>,
        /// Life of the lock after its owner's last sign of life, in milliseconds.
        lease_ms: u64,
        /// Whether it held the lock already.
        renewed: bool,
    },
    /// A variable was unlocked.
    OptimizationStopped {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// The lock's.
        optimization_id: String,
        /// Whether somebody else did it.
        forced: bool,
    },
    /// A program was written.
    ProgramPut {
        /// Its id.
        program_id: String,
        /// Its content.
        value: Value,
        /// Its metadata.
        metadata: BTreeMap<String, String>,
        /// From 1, one more with each content.
        version: u64,
        /// Life after this change, in milliseconds; 0 in a session.
        ttl_ms: u64,
    },
    /// A program was deleted.
    ProgramDeleted {
        /// Its id.
        program_id: String,
        /// Its last version.
        version: u64,
    },
    /// A global program's deadline passed.
    ProgramExpired {
        /// Its id.
        program_id: String,
        /// When, milliseconds since 1970.
        deadline_ms: u64,
    },
    /// A worker's tools were put with a session.
    ToolsRegistered {
        /// Who offers them.
        worker_id: String,
        /// What they are, by name: an encoded `snakepit.bridge.ToolSpec`.
        tools: BTreeMap<String, Vec<u8>>,
    },
    /// A pool of the cluster was defined, for the first time or anew.
    PoolPut {
        /// Its name.
        name: String,
        /// Its settings, a JSON object.
        definition_json: String,
        /// From 1, one more with each definition.
        version: u64,
    },
    /// A pool of the cluster was removed.
    PoolRemoved {
        /// Its name.
        name: String,
        /// Its last version.
        version: u64,
    },
    /// A session's calls in a pool go to one worker from now on.
    WorkerBound {
        /// The pool.
        pool: String,
        /// The worker's node.
        node: u64,
        /// The worker.
        worker: String,
    },
    /// A session's calls in a pool may go to any worker again.
    WorkerUnbound {
        /// The pool.
        pool: String,
        /// The worker to which they went.
        worker: String,
        /// That worker's node.
        node: u64,
    },
    /// A call is about to be run; the event is of the session to which its pool's journal belongs, or of none.
    CallStarted {
        /// The session that the call names; empty where none.
        of_session: String,
        /// The call.
        call_id: String,
        /// Where it is to run.
        pool: String,
        /// What it calls.
        tool: String,
        /// The tool's version; empty where it has none.
        tool_version: String,
        /// Names what must be done once, whoever asks for it; empty where nothing must.
        idempotency_key: String,
        /// What it brings, encoded; empty unless it is journaled in full.
        arguments: Vec<u8>,
        /// blake3 of that, 32 bytes; empty where it was not made.
        arguments_digest: Vec<u8>,
        /// Time that it has, in milliseconds.
        deadline_ms: u64,
        /// From 1, one more each time that it is begun.
        attempt: u32,
    },
    /// A call came to its end.
    CallEnded {
        /// The session that the call names; empty where none.
        of_session: String,
        /// The call.
        call_id: String,
        /// Where it ran.
        pool: String,
        /// What it called.
        tool: String,
        /// The worker that ran it; empty where none did.
        worker: String,
        /// The node of that worker.
        node: u64,
        /// One of [`crate::CALL_OUTCOMES`].
        outcome: String,
        /// The type of the error that ended it; empty where none did.
        error_type: String,
        /// The response, encoded; empty unless it is journaled in full or to be given again.
        result: Vec<u8>,
        /// blake3 of that, 32 bytes; empty where it was not made.
        result_digest: Vec<u8>,
        /// Time in the worker, in microseconds.
        duration_us: u64,
        /// Time before that, in microseconds.
        queued_us: u64,
        /// Chunks of its stream.
        chunks: u64,
        /// How often it was begun.
        attempts: u32,
        /// As when it started.
        idempotency_key: String,
        /// What it had read of variables.
        reads: CallReads,
    },
    /// A call's stream went on.
    CallChunksPut {
        /// The session that the call names; empty where none.
        of_session: String,
        /// The call.
        call_id: String,
        /// Number of the batch in the stream, from 0.
        batch: u64,
        /// Number of the first chunk in the stream, from 0.
        first: u64,
        /// The chunks, encoded.
        chunks: Vec<Vec<u8>>,
    },
    /// Calls had come to their ends.
    CallsRecorded {
        /// Which, and how.
        calls: Vec<CallRecord>,
    },
    /// Old events were sealed in a segment; nodes may move them out of their stores.
    EventsArchived {
        /// Position of the first of them.
        first: u64,
        /// Position of the last of them.
        last: u64,
        /// Root of the Merkle tree of all events up to the last of them, 32 bytes.
        root: Vec<u8>,
        /// Hash of the chain at the last of them, 32 bytes.
        hash: Vec<u8>,
    },
    /// A subject has a key.
    SubjectPut {
        /// Its name.
        name: String,
        /// Names the key.
        key_id: String,
    },
    /// The key of a subject is destroyed.
    SubjectErased {
        /// Its name.
        name: String,
        /// Names the key.
        key_id: String,
    },
}

/// Where earlier versions of a variable are: positions of events, 0 where there is none. Version `v` knows
/// the one before it and the one that lacks its lowest set bit, so that any version is a few steps away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Of version `v - 1`.
    pub previous: u64,
    /// Of version `v - (v & -v)`.
    pub skip: u64,
}

impl Payload {
    /// Names of all events; see [`Self::name`].
    pub const NAMES: [&'static str; 28] = [
        "SessionCreated",
        "SessionTouched",
        "SessionDeleted",
        "SessionExpired",
        "VariableRegistered",
        "VariableSet",
        "VariableDeleted",
        "VariableRolledBack",
        "VariableAccessSet",
        "DependencyAdded",
        "DependencyRemoved",
        "OptimizationStarted",
        "OptimizationStopped",
        "ProgramPut",
        "ProgramDeleted",
        "ProgramExpired",
        "ToolsRegistered",
        "PoolPut",
        "PoolRemoved",
        "WorkerBound",
        "WorkerUnbound",
        "CallStarted",
        "CallEnded",
        "CallChunksPut",
        "CallsRecorded",
        "EventsArchived",
        "SubjectPut",
        "SubjectErased",
    ];

    /// Name of the event, as in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SessionCreated { .. } => "SessionCreated",
            Self::SessionTouched => "SessionTouched",
            Self::SessionDeleted => "SessionDeleted",
            Self::SessionExpired { .. } => "SessionExpired",
            Self::VariableRegistered { .. } => "VariableRegistered",
            Self::VariableSet { .. } => "VariableSet",
            Self::VariableDeleted { .. } => "VariableDeleted",
            Self::VariableRolledBack { .. } => "VariableRolledBack",
            Self::VariableAccessSet { .. } => "VariableAccessSet",
            Self::DependencyAdded { .. } => "DependencyAdded",
            Self::DependencyRemoved { .. } => "DependencyRemoved",
            Self::OptimizationStarted { .. } => "OptimizationStarted",
            Self::OptimizationStopped { .. } => "OptimizationStopped",
            Self::ProgramPut { .. } => "ProgramPut",
            Self::ProgramDeleted { .. } => "ProgramDeleted",
            Self::ProgramExpired { .. } => "ProgramExpired",
            Self::ToolsRegistered { .. } => "ToolsRegistered",
            Self::PoolPut { .. } => "PoolPut",
            Self::PoolRemoved { .. } => "PoolRemoved",
            Self::WorkerBound { .. } => "WorkerBound",
            Self::WorkerUnbound { .. } => "WorkerUnbound",
            Self::CallStarted { .. } => "CallStarted",
            Self::CallEnded { .. } => "CallEnded",
            Self::CallChunksPut { .. } => "CallChunksPut",
            Self::CallsRecorded { .. } => "CallsRecorded",
            Self::EventsArchived { .. } => "EventsArchived",
            Self::SubjectPut { .. } => "SubjectPut",
            Self::SubjectErased { .. } => "SubjectErased",
        }
    }
}
