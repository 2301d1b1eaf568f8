//! Rows: the state, as a fold of events leaves it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Answer, Value};

/// Names one row. A session's rows share the session id as a prefix, so that sessions can be spread over
/// several groups.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RowKey {
    /// The one row of the whole cluster.
    Head,
    /// A session, by id.
    Session(String),
    /// A variable, by session id and name.
    Variable(String, String),
    /// A kept answer, by session id and request id. An empty session id stands for requests that ended
    /// their session.
    Request(String, String),
    /// A request id, by session id and number in the ring.
    RequestOrder(String, u64),
    /// A session's deadline: milliseconds since 1970, session id.
    Deadline(u64, String),
}

/// All rows of one kind of one session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowPrefix {
    /// Its variables.
    Variables(String),
    /// Its kept answers.
    Requests(String),
    /// The order of its kept answers.
    RequestOrders(String),
}

impl RowPrefix {
    /// The least key that can belong here; those that do follow each other.
    pub(crate) fn first_key(&self) -> RowKey {
        match self {
            Self::Variables(session_id) => RowKey::Variable(session_id.clone(), String::new()),
            Self::Requests(session_id) => RowKey::Request(session_id.clone(), String::new()),
            Self::RequestOrders(session_id) => RowKey::RequestOrder(session_id.clone(), 0),
        }
    }

    /// Whether a row belongs here.
    pub fn covers(&self, key: &RowKey) -> bool {
        match (self, key) {
            (Self::Variables(a), RowKey::Variable(b, _))
            | (Self::Requests(a), RowKey::Request(b, _))
            | (Self::RequestOrders(a), RowKey::RequestOrder(b, _)) => a == b,
            _ => false,
        }
    }
}

/// A row's content; its variant goes with that of its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Row {
    /// For [`RowKey::Head`].
    Head(HeadRow),
    /// For [`RowKey::Session`].
    Session(SessionRow),
    /// For [`RowKey::Variable`].
    Variable(VariableRow),
    /// For [`RowKey::Request`].
    Request(RequestRow),
    /// For [`RowKey::RequestOrder`]: request id and the time at which it was answered, in milliseconds.
    RequestOrder(String, u64),
    /// For [`RowKey::Deadline`].
    Deadline,
}

/// What the whole cluster shares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadRow {
    /// Position of the last event; 0 where there is none.
    pub position: u64,
    /// Time of the last event, milliseconds since 1970.
    pub time_ms: u64,
    /// Sessions that exist.
    pub sessions: u64,
    /// Kept answers to requests that ended their session.
    pub requests: Ring,
}

/// A ring of kept answers: numbers `first..next` are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring {
    /// The oldest.
    pub first: u64,
    /// The next to be given.
    pub next: u64,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Its id.
    pub id: String,
    /// What the client wants kept with it.
    pub metadata: BTreeMap<String, String>,
    /// When it began, milliseconds since 1970.
    pub created_ms: u64,
    /// Life after its last use, in milliseconds.
    pub ttl_ms: u64,
    /// The use from which its deadline counts, milliseconds since 1970.
    pub touched_ms: u64,
    /// Events that it has had.
    pub revision: u64,
    /// Variables that it holds.
    pub variables: u64,
    /// Its kept answers.
    pub requests: Ring,
}

impl SessionRow {
    /// When it ends, milliseconds since 1970: at this moment it is gone.
    pub fn deadline_ms(&self) -> u64 {
        self.touched_ms.saturating_add(self.ttl_ms)
    }

    /// Whether it is still there.
    pub fn alive_at(&self, time_ms: u64) -> bool {
        time_ms < self.deadline_ms()
    }

    /// Whether a use at this time is worth recording: a tenth of its life has gone by since the last.
    pub fn wants_touch(&self, time_ms: u64) -> bool {
        time_ms.saturating_sub(self.touched_ms) >= self.ttl_ms / 10
    }
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariableRow {
    /// `var_<name>_<n>`.
    pub id: String,
    /// Its name, unique in the session.
    pub name: String,
    /// Its type's name.
    pub type_name: String,
    /// Its value.
    pub value: Value,
    /// Its constraints, a JSON object or empty.
    pub constraints_json: String,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// From 1, one more with each value.
    pub version: u64,
    /// When it was first registered, milliseconds since 1970.
    pub created_ms: u64,
    /// When it got its value, milliseconds since 1970.
    pub updated_ms: u64,
    /// Position of the event that gave it its value.
    pub position: u64,
}

/// A kept answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRow {
    /// The first answer.
    pub answer: Answer,
    /// When it was given, milliseconds since 1970.
    pub time_ms: u64,
}
