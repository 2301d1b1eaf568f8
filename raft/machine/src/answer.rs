//! What a command answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Rejection;

/// The result of one command: an answer, or a refusal that changed nothing.
pub type Outcome = Result<Answer, Rejection>;

/// Answers, one for each command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To `CreateSession`.
    SessionCreated {
        /// False where it was there already.
        created: bool,
    },
    /// To `DeleteSession` and `ExpireSession`.
    SessionDeleted {
        /// False where there was none.
        existed: bool,
        /// What went with it: variables, programs, tools.
        resources: u64,
    },
    /// To `TouchSession`.
    SessionTouched {
        /// False where there is no such session.
        valid: bool,
    },
    /// To `RegisterVariable`.
    VariableRegistered {
        /// `var_<name>_<n>`, unique for ever.
        id: String,
        /// 1 for a new variable.
        version: u64,
    },
    /// To `SetVariables`.
    VariablesSet {
        /// New versions, by the identifier that was asked.
        versions: BTreeMap<String, u64>,
        /// What was refused and why, by the identifier that was asked.
        refused: BTreeMap<String, Rejection>,
    },
    /// To `DeleteVariable`.
    VariableDeleted,
    /// To commands of which nothing more is to be said.
    Done {
        /// Whether what the command ends or replaces was there.
        existed: bool,
    },
    /// To `StartOptimization`.
    OptimizationStarted {
        /// `opt_<name>_<n>`, unique for ever.
        optimization_id: String,
        /// When the lease ends unless it is renewed, milliseconds since 1970.
        expires_ms: u64,
    },
    /// To `RollbackVariable`.
    VariableRolledBack {
        /// The new version.
        version: u64,
        /// Position of the event that made it.
        position: u64,
    },
    /// To `StopOptimization`.
    OptimizationStopped {
        /// False where no optimization held the variable.
        existed: bool,
        /// Position of the event that gave the variable its value.
        position: u64,
    },
    /// To `PutProgram`.
    ProgramPut {
        /// 1 for a new program.
        version: u64,
    },
    /// To `ImportSession`.
    SessionImported {
        /// Variables that it has.
        variables: u64,
        /// Programs that it has.
        programs: u64,
    },
    /// To `PutPool`.
    PoolPut {
        /// 1 for a new pool.
        version: u64,
    },
    /// To `BindWorker`: the binding that holds.
    WorkerBound {
        /// The node of the worker.
        node: u64,
        /// The worker.
        worker: String,
        /// False where it is another one than was asked for, to which the session was bound before.
        bound: bool,
    },
    /// To `StartCall`.
    CallStarted {
        /// The call.
        call_id: String,
        /// The node that took it.
        node: u64,
        /// Position of the event.
        position: u64,
    },
    /// To `EndCall`.
    CallEnded {
        /// One of [`crate::CALL_OUTCOMES`].
        outcome: String,
        /// The encoded response, where it was given.
        result: Vec<u8>,
        /// Position of the event.
        position: u64,
    },
    /// To `PutChunks`.
    CallChunksPut {
        /// Position of the event.
        position: u64,
        /// Number of the first chunk in its stream, from 0.
        first: u64,
        /// How many there are.
        count: u64,
    },
}
