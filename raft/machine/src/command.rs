//! What can be asked of the machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Principal;
use crate::row::SessionConfig;
use crate::{Limits, Value};

mod bindings;
mod calls;
mod log;
mod pools;
mod subjects;

pub use bindings::{BindWorker, UnbindWorker};
pub use calls::{
    CALL_OUTCOMES, CallChunks, CallEnd, CallRead, CallReads, CallRecord, CallStart, RecordCalls,
};
pub use log::ArchiveEvents;
pub use pools::{PutPool, RemovePool};
pub use subjects::{EraseSubject, PutSubject};

/// What one Raft log entry holds: commands, stamped by the leader that proposed them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The leader's wall clock, milliseconds since 1970.
    pub time_ms: u64,
    /// The limits that decide.
    pub limits: Limits,
    /// The commands, decided in this order.
    pub commands: Vec<Command>,
}

/// One request, with everything that its decision depends on filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Who asked, and how.
    pub origin: Origin,
    /// What is asked.
    pub body: Body,
}

/// Who asked for a change, and through what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Names the request, so that a repeated one takes effect once; empty where it has no name.
    pub request_id: String,
    /// Who.
    pub principal: Principal,
    /// The tool call that made the request; empty where none.
    pub call_id: String,
    /// The tool of that call.
    pub tool: String,
    /// The worker of that call.
    pub worker: String,
    /// The node that took the request.
    pub node: u64,
    /// The optimization whose locks the request holds; empty where none.
    pub optimization_id: String,
}

/// The commands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// See [`CreateSession`].
    CreateSession(CreateSession),
    /// See [`DeleteSession`].
    DeleteSession(DeleteSession),
    /// See [`TouchSession`].
    TouchSession(TouchSession),
    /// See [`ExpireSession`].
    ExpireSession(ExpireSession),
    /// See [`RegisterVariable`].
    RegisterVariable(RegisterVariable),
    /// See [`SetVariables`].
    SetVariables(SetVariables),
    /// See [`DeleteVariable`].
    DeleteVariable(DeleteVariable),
    /// See [`RollbackVariable`].
    RollbackVariable(RollbackVariable),
    /// See [`SetAccess`].
    SetAccess(SetAccess),
    /// See [`AddDependency`].
    AddDependency(AddDependency),
    /// See [`RemoveDependency`].
    RemoveDependency(RemoveDependency),
    /// See [`StartOptimization`].
    StartOptimization(StartOptimization),
    /// See [`StopOptimization`].
    StopOptimization(StopOptimization),
    /// See [`PutProgram`].
    PutProgram(PutProgram),
    /// See [`DeleteProgram`].
    DeleteProgram(DeleteProgram),
    /// See [`ExpireProgram`].
    ExpireProgram(ExpireProgram),
    /// See [`RegisterTools`].
    RegisterTools(RegisterTools),
    /// See [`ImportSession`].
    ImportSession(ImportSession),
    /// See [`PutPool`].
    PutPool(PutPool),
    /// See [`RemovePool`].
    RemovePool(RemovePool),
    /// See [`BindWorker`].
    BindWorker(BindWorker),
    /// See [`UnbindWorker`].
    UnbindWorker(UnbindWorker),
    /// See [`CallStart`].
    StartCall(CallStart),
    /// See [`CallEnd`].
    EndCall(CallEnd),
    /// See [`CallChunks`].
    PutChunks(CallChunks),
    /// See [`RecordCalls`].
    RecordCalls(RecordCalls),
    /// See [`ArchiveEvents`].
    ArchiveEvents(ArchiveEvents),
    /// See [`PutSubject`].
    PutSubject(PutSubject),
    /// See [`EraseSubject`].
    EraseSubject(EraseSubject),
}

impl Body {
    /// The session that the command touches; empty for what belongs to the whole cluster.
    pub fn session_id(&self) -> &str {
        match self {
            Self::CreateSession(body) => &body.session_id,
            Self::DeleteSession(body) => &body.session_id,
            Self::TouchSession(body) => &body.session_id,
            Self::ExpireSession(body) => &body.session_id,
            Self::RegisterVariable(body) => &body.session_id,
            Self::SetVariables(body) => &body.session_id,
            Self::DeleteVariable(body) => &body.session_id,
            Self::RollbackVariable(body) => &body.session_id,
            Self::SetAccess(body) => &body.session_id,
            Self::AddDependency(body) => &body.session_id,
            Self::RemoveDependency(body) => &body.session_id,
            Self::StartOptimization(body) => &body.session_id,
            Self::StopOptimization(body) => &body.session_id,
            Self::PutProgram(body) => &body.session_id,
            Self::DeleteProgram(body) => &body.session_id,
            Self::ExpireProgram(_)
            | Self::PutPool(_)
            | Self::RemovePool(_)
            | Self::RecordCalls(_)
            | Self::ArchiveEvents(_)
            | Self::PutSubject(_)
            | Self::EraseSubject(_) => "",
            Self::RegisterTools(body) => &body.session_id,
            Self::ImportSession(body) => &body.session_id,
            Self::BindWorker(body) => &body.session_id,
            Self::UnbindWorker(body) => &body.session_id,
            Self::StartCall(body) => &body.session_id,
            Self::EndCall(body) => &body.session_id,
            Self::PutChunks(body) => &body.session_id,
        }
    }

    /// Whether its kept answer outlives the session: what begins and ends sessions, and what belongs to none.
    pub(crate) fn answer_outlives_session(&self) -> bool {
        match self {
            Self::CreateSession(_)
            | Self::DeleteSession(_)
            | Self::ExpireSession(_)
            | Self::ImportSession(_) => true,
            other => other.session_id().is_empty(),
        }
    }
}

/// Create a session, or find that it is there: an existing one stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateSession {
    /// Its id: 1 to 256 bytes.
    pub session_id: String,
    /// Whatever the client wants kept with it.
    pub metadata: BTreeMap<String, String>,
    /// Life after its last use, in milliseconds.
    pub ttl_ms: u64,
    /// How nodes serve it.
    pub config: SessionConfig,
    /// Under whose key its values are encrypted; empty where they are not.
    pub subject: String,
}

/// End a session and all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteSession {
    /// Its id.
    pub session_id: String,
    /// Also while an optimization of somebody else holds one of its variables.
    pub force: bool,
}

/// Extend a session's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TouchSession {
    /// Its id.
    pub session_id: String,
}

/// End a session whose deadline has passed; nothing where it has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpireSession {
    /// Its id.
    pub session_id: String,
}

/// Register a variable, or register it anew: the same type keeps the id and grows the version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegisterVariable {
    /// The session that holds it.
    pub session_id: String,
    /// Its name: 1 to 256 bytes.
    pub name: String,
    /// Its type's name.
    pub type_name: String,
    /// Its first value.
    pub value: Value,
    /// A JSON object of constraints, or empty.
    pub constraints_json: String,
    /// Whatever the client wants kept with it.
    pub metadata: BTreeMap<String, String>,
    /// Who may read, write and watch it, see [`crate::access`]; empty keeps what holds.
    pub access_json: String,
}

/// Set one or more variables of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetVariables {
    /// The session that holds them.
    pub session_id: String,
    /// All or nothing; otherwise the good ones are applied.
    pub atomic: bool,
    /// What to set, decided in this order.
    pub updates: Vec<SetVariable>,
    /// Added to the metadata of each.
    pub metadata: BTreeMap<String, String>,
}

/// One variable of [`SetVariables`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetVariable {
    /// Its id or its name; an id wins.
    pub identifier: String,
    /// Its new value, or what is wrong with the one that was sent.
    pub value: Result<Value, String>,
    /// The version that must hold; 0 takes any.
    pub expected_version: u64,
}

/// Delete a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteVariable {
    /// The session that holds it.
    pub session_id: String,
    /// Its id or its name; an id wins.
    pub identifier: String,
}

/// Give a variable the value of an earlier version, as a new version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollbackVariable {
    /// The session that holds it.
    pub session_id: String,
    /// Its id, not its name: versions belong to it.
    pub id: String,
    /// The version to go back to.
    pub target_version: u64,
    /// The value of that version, as the node that took the request read it from the log.
    pub value: Value,
    /// The version that must hold; 0 takes any.
    pub expected_version: u64,
    /// Added to the variable's metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Change who may read, write and watch a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAccess {
    /// The session that holds it.
    pub session_id: String,
    /// Its id or its name; an id wins.
    pub identifier: String,
    /// The rules, see [`crate::access`]; empty lifts them.
    pub access_json: String,
}

/// Note that one variable depends on another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddDependency {
    /// The session that holds both.
    pub session_id: String,
    /// The dependent one, by id or name.
    pub from: String,
    /// What it depends on, by id or name.
    pub to: String,
    /// One of [`crate::DEPENDENCY_KINDS`].
    pub kind: String,
}

/// Forget that one variable depends on another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveDependency {
    /// The session that holds both.
    pub session_id: String,
    /// The dependent one, by id or name.
    pub from: String,
    /// What it depended on, by id or name.
    pub to: String,
}

/// Lock a variable for an optimizer, or renew its lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartOptimization {
    /// The session that holds it.
    pub session_id: String,
    /// Its id or its name; an id wins.
    pub identifier: String,
    /// Who optimizes: 1 to 256 bytes.
    pub optimizer_id: String,
    /// Whatever the optimizer wants kept with the lock.
    pub config: BTreeMap<String, String>,
    /// Life of the lock after its owner's last sign of life, in milliseconds.
    pub lease_ms: u64,
}

/// Unlock a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOptimization {
    /// The session that holds it.
    pub session_id: String,
    /// Its id or its name; an id wins.
    pub identifier: String,
    /// The lock's; where empty the principal decides.
    pub optimization_id: String,
    /// Whoever holds it.
    pub force: bool,
}

/// Write a program of a session, or of the cluster where the session id is empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PutProgram {
    /// The session; empty for a global one.
    pub session_id: String,
    /// Its id: 1 to 256 bytes.
    pub program_id: String,
    /// Its content.
    pub value: Value,
    /// Whatever the client wants kept with it; replaces what was there.
    pub metadata: BTreeMap<String, String>,
    /// The version that must hold; 0 takes any.
    pub expected_version: u64,
    /// Life of a global program after its last change, in milliseconds; 0 in a session.
    pub ttl_ms: u64,
}

/// Delete a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteProgram {
    /// The session; empty for a global one.
    pub session_id: String,
    /// Its id.
    pub program_id: String,
}

/// End a global program whose deadline has passed; nothing where it has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpireProgram {
    /// Its id.
    pub program_id: String,
}

/// Keep the tools that a worker offers with a session: all or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterTools {
    /// The session.
    pub session_id: String,
    /// Who offers them.
    pub worker_id: String,
    /// What they are, by name: an encoded `snakepit.bridge.ToolSpec`.
    pub tools: BTreeMap<String, Vec<u8>>,
}

/// Make a new session of an exported one: all of it or nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportSession {
    /// Its id, which no session may have.
    pub session_id: String,
    /// The exported session.
    pub imported_from: String,
    /// Whatever the client wants kept with it.
    pub metadata: BTreeMap<String, String>,
    /// Life after its last use, in milliseconds.
    pub ttl_ms: u64,
    /// How nodes serve it.
    pub config: SessionConfig,
    /// Under whose key its values are encrypted; empty where they are not.
    pub subject: String,
    /// Its variables, by name.
    pub variables: BTreeMap<String, ImportedVariable>,
    /// Its programs, by id.
    pub programs: BTreeMap<String, ImportedProgram>,
}

/// A variable of [`ImportSession`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportedVariable {
    /// Its type's name.
    pub type_name: String,
    /// Its value.
    pub value: Value,
    /// A JSON object of constraints, or empty.
    pub constraints_json: String,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// Who may read, write and watch it, or empty.
    pub access_json: String,
    /// Kind of dependency, by name of the variable that it depends on.
    pub depends_on: BTreeMap<String, String>,
}

/// A program of [`ImportSession`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportedProgram {
    /// Its content.
    pub value: Value,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
}
