//! What can be asked of the machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Principal;
use crate::{Limits, Value};

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
}

impl Body {
    /// The session that the command touches; every command touches one.
    pub fn session_id(&self) -> &str {
        match self {
            Self::CreateSession(body) => &body.session_id,
            Self::DeleteSession(body) => &body.session_id,
            Self::TouchSession(body) => &body.session_id,
            Self::ExpireSession(body) => &body.session_id,
            Self::RegisterVariable(body) => &body.session_id,
            Self::SetVariables(body) => &body.session_id,
            Self::DeleteVariable(body) => &body.session_id,
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
}

/// End a session and all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteSession {
    /// Its id.
    pub session_id: String,
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
