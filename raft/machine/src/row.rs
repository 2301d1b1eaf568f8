//! Rows: the state, as a fold of events leaves it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Answer, Origin, Past, Value};

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
    /// A kept answer, by session id, epoch and request id. An empty session id stands for requests that
    /// begin or end their session, or belong to none.
    Request(String, u64, String),
    /// A session's deadline: milliseconds since 1970, session id.
    Deadline(u64, String),
    /// A program, by session id and program id; an empty session id stands for global ones.
    Program(String, String),
    /// A global program's deadline: milliseconds since 1970, program id.
    ProgramDeadline(u64, String),
    /// A registered tool, by session id and name.
    Tool(String, String),
    /// A pool of the cluster, by name.
    Pool(String),
    /// A segment of archived events, by the position of its first.
    Segment(u64),
    /// A subject whose sessions are sealed, by name.
    Subject(String),
}

/// All rows of one kind of one session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowPrefix {
    /// Its variables.
    Variables(String),
    /// Its kept answers.
    Requests(String),
    /// Its kept answers of one epoch.
    RequestEpoch(String, u64),
    /// Its programs.
    Programs(String),
    /// Its registered tools.
    Tools(String),
}

impl RowPrefix {
    /// The least key that can belong here; those that do follow each other.
    pub(crate) fn first_key(&self) -> RowKey {
        match self {
            Self::Variables(session_id) => RowKey::Variable(session_id.clone(), String::new()),
            Self::Requests(session_id) => RowKey::Request(session_id.clone(), 0, String::new()),
            Self::RequestEpoch(session_id, epoch) => {
                RowKey::Request(session_id.clone(), *epoch, String::new())
            }
            Self::Programs(session_id) => RowKey::Program(session_id.clone(), String::new()),
            Self::Tools(session_id) => RowKey::Tool(session_id.clone(), String::new()),
        }
    }

    /// Whether a row belongs here.
    pub fn covers(&self, key: &RowKey) -> bool {
        match (self, key) {
            (Self::Variables(a), RowKey::Variable(b, _))
            | (Self::Requests(a), RowKey::Request(b, _, _))
            | (Self::Programs(a), RowKey::Program(b, _))
            | (Self::Tools(a), RowKey::Tool(b, _)) => a == b,
            (Self::RequestEpoch(a, epoch), RowKey::Request(b, held, _)) => epoch == held && a == b,
            _ => false,
        }
    }
}

/// A row's content; its variant goes with that of its key. Those that are read again and again, and large, are shared:
/// a copy costs nothing until one of the two is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Row {
    /// For [`RowKey::Head`].
    Head(HeadRow),
    /// For [`RowKey::Session`].
    Session(Arc<SessionRow>),
    /// For [`RowKey::Variable`].
    Variable(Arc<VariableRow>),
    /// For [`RowKey::Request`]: the first answer.
    Request(Answer),
    /// For [`RowKey::Deadline`] and [`RowKey::ProgramDeadline`].
    Deadline,
    /// For [`RowKey::Program`].
    Program(Arc<ProgramRow>),
    /// For [`RowKey::Tool`].
    Tool(ToolRow),
    /// For [`RowKey::Pool`].
    Pool(PoolRow),
    /// For [`RowKey::Segment`].
    Segment(SegmentRow),
    /// For [`RowKey::Subject`].
    Subject(SubjectRow),
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
    /// Kept answers to requests that begin or end their session, or belong to none.
    pub answers: Kept,
    /// Events of no session.
    pub revision: u64,
    /// Global programs that exist.
    pub programs: u64,
    /// Pools of the cluster that exist.
    pub pools: u64,
    /// Position of the last event of a pool; 0 where there was none. Who keeps an eye on pools compares it.
    pub pools_position: u64,
    /// Position of the last event that is archived; 0 where none is.
    pub archived: u64,
    /// Subjects that are known, erased ones included.
    pub subjects: u64,
    /// Position of the last event of a subject; 0 where there was none. Who keeps keys compares it.
    pub subjects_position: u64,
}

/// Kept answers are gathered in epochs. Those of the current epoch and of the one before are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The current epoch, from 0.
    pub epoch: u64,
    /// Answers in it.
    pub count: u64,
    /// Time of its first answer, milliseconds since 1970.
    pub began_ms: u64,
}

/// How nodes serve a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionConfig {
    /// Whether variables may be read from a node's own rows.
    pub enable_caching: bool,
    /// How long ago that node may have been up to date, in milliseconds.
    pub cache_ttl_ms: u64,
    /// Whether each request on it is logged.
    pub enable_telemetry: bool,
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
    pub answers: Kept,
    /// How nodes serve it.
    pub config: SessionConfig,
    /// The session of which it is a copy; empty where it is none.
    pub imported_from: String,
    /// Values that its variables have been given.
    pub updates: u64,
    /// Programs that it holds.
    pub programs: u64,
    /// Tools that are registered in it.
    pub tools: u64,
    /// Names of the variables that an optimization holds, or held when its lease ended.
    pub locked: BTreeSet<String>,
    /// The workers to which its calls go, by pool.
    pub bindings: BTreeMap<String, Binding>,
    /// Under whose key its values are encrypted; empty where they are not.
    pub subject: String,
}

/// A session's worker in a pool: no other gets its calls there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The worker's node.
    pub node: u64,
    /// The worker's id.
    pub worker: String,
}

impl SessionRow {
    /// What goes with it: variables, programs, tools.
    pub fn resources(&self) -> u64 {
        self.variables + self.programs + self.tools
    }

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
    /// Whether a tool call gave it its value.
    pub by_tool: bool,
    /// Positions of the events that gave it its value, and of earlier versions: the next is always that of
    /// the version which lacks the lowest set bit. Empty nowhere.
    pub chain: Vec<u64>,
    /// Who may read, write and watch it, or empty.
    pub access_json: String,
    /// Kind of dependency, by name of the variable that it depends on.
    pub depends_on: BTreeMap<String, String>,
    /// Kind of dependency, by name of the variable that depends on it.
    pub dependents: BTreeMap<String, String>,
    /// The optimization that holds it, or held it when its lease ended.
    pub lock: Option<Lock>,
}

impl VariableRow {
    /// Where the versions before the next one are.
    pub fn past_of_next(&self) -> Past {
        let at = |place: usize| self.chain.get(place).copied().unwrap_or(0);
        Past {
            previous: at(0),
            skip: at((self.version + 1).trailing_zeros() as usize),
        }
    }

    /// The lock, if its lease has not ended.
    pub fn lock_at(&self, time_ms: u64) -> Option<&Lock> {
        self.lock
            .as_ref()
            .filter(|lock| time_ms < lock.expires_ms())
    }
}

/// An optimization's hold on a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// `opt_<name>_<n>`, unique for ever.
    pub optimization_id: String,
    /// Who optimizes.
    pub optimizer_id: String,
    /// Who asked for it; empty where nobody was declared.
    pub principal: String,
    /// What is kept with it.
    pub config: BTreeMap<String, String>,
    /// When it began, milliseconds since 1970.
    pub started_ms: u64,
    /// Its owner's last sign of life, milliseconds since 1970.
    pub renewed_ms: u64,
    /// Its life after that, in milliseconds.
    pub lease_ms: u64,
}

impl Lock {
    /// Whether a request comes from its owner: it carries the id, or has the principal that asked for it.
    pub fn is_owned_by(&self, origin: &Origin) -> bool {
        if origin.optimization_id.is_empty() {
            origin.principal.name == self.principal
        } else {
            origin.optimization_id == self.optimization_id
        }
    }

    /// When it ends, milliseconds since 1970: at this moment it is gone.
    pub fn expires_ms(&self) -> u64 {
        self.renewed_ms.saturating_add(self.lease_ms)
    }
}

/// A program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgramRow {
    /// Its id.
    pub id: String,
    /// Its content.
    pub value: Value,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// From 1, one more with each content.
    pub version: u64,
    /// When it was first written, milliseconds since 1970.
    pub created_ms: u64,
    /// When it got its content, milliseconds since 1970.
    pub updated_ms: u64,
    /// Life after that, in milliseconds; 0 in a session.
    pub ttl_ms: u64,
}

impl ProgramRow {
    /// When it ends, milliseconds since 1970; never by itself in a session.
    pub fn deadline_ms(&self) -> u64 {
        match self.ttl_ms {
            0 => u64::MAX,
            ttl_ms => self.updated_ms.saturating_add(ttl_ms),
        }
    }

    /// Whether it is still there.
    pub fn alive_at(&self, time_ms: u64) -> bool {
        time_ms < self.deadline_ms()
    }
}

/// A registered tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRow {
    /// Its name.
    pub name: String,
    /// Who offers it.
    pub worker_id: String,
    /// An encoded `snakepit.bridge.ToolSpec`.
    pub spec: Vec<u8>,
}

/// A pool of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRow {
    /// Its name.
    pub name: String,
    /// Its settings, a JSON object.
    pub definition_json: String,
    /// From 1, one more with each definition.
    pub version: u64,
    /// When it was first defined, milliseconds since 1970.
    pub created_ms: u64,
    /// When it got its definition, milliseconds since 1970.
    pub updated_ms: u64,
}

/// A segment of archived events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRow {
    /// Position of its first event.
    pub first: u64,
    /// Position of its last event.
    pub last: u64,
    /// Root of the Merkle tree of all events up to its last, 32 bytes.
    pub root: Vec<u8>,
    /// Hash of the chain at its last event, 32 bytes.
    pub hash: Vec<u8>,
    /// When it was archived, milliseconds since 1970.
    pub archived_ms: u64,
}

/// A subject: somebody or something whose values can be erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectRow {
    /// Its name.
    pub name: String,
    /// Names its key, which nodes have in files of their own.
    pub key_id: String,
    /// When its key was made, milliseconds since 1970.
    pub created_ms: u64,
    /// When its key was destroyed, milliseconds since 1970; 0 where it was not.
    pub erased_ms: u64,
}
