//! What happened.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Answer, Value};

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
    },
    /// A variable was deleted.
    VariableDeleted {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Its last version.
        version: u64,
    },
}

impl Payload {
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
        }
    }
}
