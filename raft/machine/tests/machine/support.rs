//! What the tests are made of: a machine over rows in memory, commands, events and rows.

use std::collections::{BTreeMap, BTreeSet};

use num_bigint::BigInt;
use snakepit_machine::{
    Answer, Body, Cause, Changes, Command, CreateSession, DeleteSession, DeleteVariable, Event,
    ExpireSession, HeadRow, Limits, LogPoint, MemoryRows, Origin, Outcome, Overlay, Payload,
    Principal, RegisterVariable, Rejection, RejectionKind, Ring, Row, RowKey, RowPrefix, RowsExt,
    SessionRow, SetVariable, SetVariables, TouchSession, Value, VariableRow, step,
};

/// The life of a test's session, in milliseconds; a tenth of it is a round number.
pub const TTL_MS: u64 = 10_000;
/// When a test begins, milliseconds since 1970.
pub const T0: u64 = 1_000_000;
/// The term of all entries.
pub const TERM: u64 = 7;

/// Everything that one command did.
#[derive(Clone, Debug, PartialEq)]
pub struct Did {
    pub outcome: Outcome,
    pub events: Vec<Event>,
    pub changes: Changes,
}

impl Did {
    /// Nothing but an answer.
    #[track_caller]
    pub fn only_answers(&self, answer: Answer) {
        assert_eq!(
            *self,
            Self {
                outcome: Ok(answer),
                events: Vec::new(),
                changes: Changes::default()
            }
        );
    }

    /// Nothing but a refusal of that kind and wording.
    #[track_caller]
    pub fn only_refuses(&self, kind: RejectionKind, message: &str) {
        assert_eq!(
            *self,
            Self {
                outcome: Err(Rejection::new(kind, message)),
                events: Vec::new(),
                changes: Changes::default(),
            }
        );
    }

    pub fn payloads(&self) -> Vec<&Payload> {
        self.events.iter().map(|event| &event.payload).collect()
    }
}

/// Rows in memory, with all events that led to them.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    pub rows: MemoryRows,
    pub events: Vec<Event>,
    pub limits: Limits,
    index: u64,
}

impl Machine {
    /// An empty one with other limits.
    pub fn limited(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// One with a living session of [`TTL_MS`], created at [`T0`] without a request id.
    pub fn with_session(session_id: &str) -> Self {
        let mut machine = Self::default();
        machine.run(T0, create(session_id, TTL_MS)).outcome.unwrap();
        machine
    }

    /// Step one command at a time of the leader, with whatever it does kept.
    pub fn step(&mut self, time_ms: u64, command: &Command) -> Did {
        self.index += 1;
        let mut overlay = Overlay::new(&self.rows);
        let point = LogPoint {
            index: self.index,
            term: TERM,
        };
        let stepped = step(&mut overlay, point, time_ms, &self.limits, command).unwrap();
        let changes = overlay.into_changes();
        self.rows.commit(changes.clone());
        self.events.extend(stepped.events.iter().cloned());
        Did {
            outcome: stepped.outcome,
            events: stepped.events,
            changes,
        }
    }

    /// Step a command that has no request id.
    pub fn run(&mut self, time_ms: u64, body: Body) -> Did {
        self.step(time_ms, &command("", body))
    }

    /// Step a command that has a request id.
    pub fn request(&mut self, time_ms: u64, request_id: &str, body: Body) -> Did {
        self.step(time_ms, &command(request_id, body))
    }

    /// Register an integer variable of that value.
    pub fn register(&mut self, time_ms: u64, session_id: &str, name: &str, value: i64) -> Did {
        self.run(time_ms, register(session_id, name, "integer", int(value)))
    }

    pub fn head(&self) -> HeadRow {
        self.rows.head().unwrap()
    }

    pub fn session(&self, session_id: &str) -> SessionRow {
        self.rows.session(session_id).unwrap().unwrap()
    }

    pub fn variable(&self, session_id: &str, identifier: &str) -> VariableRow {
        self.rows.variable(session_id, identifier).unwrap().unwrap()
    }

    pub fn keys(&self) -> Vec<RowKey> {
        self.rows.iter().map(|(key, _)| key.clone()).collect()
    }
}

pub fn int(value: i64) -> Value {
    Value::Integer(BigInt::from(value))
}

pub fn text(value: &str) -> Value {
    Value::String(value.into())
}

pub fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub fn origin(request_id: &str) -> Origin {
    Origin {
        request_id: request_id.into(),
        principal: Principal {
            name: "ada".into(),
            verified: true,
        },
        call_id: "call-1".into(),
        tool: "tool".into(),
        worker: "worker-1".into(),
        node: 3,
    }
}

pub fn command(request_id: &str, body: Body) -> Command {
    Command {
        origin: origin(request_id),
        body,
    }
}

pub fn create(session_id: &str, ttl_ms: u64) -> Body {
    Body::CreateSession(CreateSession {
        session_id: session_id.into(),
        metadata: BTreeMap::new(),
        ttl_ms,
    })
}

pub fn delete(session_id: &str) -> Body {
    Body::DeleteSession(DeleteSession {
        session_id: session_id.into(),
    })
}

pub fn touch(session_id: &str) -> Body {
    Body::TouchSession(TouchSession {
        session_id: session_id.into(),
    })
}

pub fn expire(session_id: &str) -> Body {
    Body::ExpireSession(ExpireSession {
        session_id: session_id.into(),
    })
}

pub fn register(session_id: &str, name: &str, type_name: &str, value: Value) -> Body {
    Body::RegisterVariable(RegisterVariable {
        session_id: session_id.into(),
        name: name.into(),
        type_name: type_name.into(),
        value,
        constraints_json: String::new(),
        metadata: BTreeMap::new(),
    })
}

pub fn update(identifier: &str, value: Value) -> SetVariable {
    SetVariable {
        identifier: identifier.into(),
        value: Ok(value),
        expected_version: 0,
    }
}

pub fn update_at(identifier: &str, value: Value, expected_version: u64) -> SetVariable {
    SetVariable {
        expected_version,
        ..update(identifier, value)
    }
}

pub fn set(session_id: &str, atomic: bool, updates: Vec<SetVariable>) -> Body {
    Body::SetVariables(SetVariables {
        session_id: session_id.into(),
        atomic,
        updates,
        metadata: BTreeMap::new(),
    })
}

pub fn delete_variable(session_id: &str, identifier: &str) -> Body {
    Body::DeleteVariable(DeleteVariable {
        session_id: session_id.into(),
        identifier: identifier.into(),
    })
}

/// An event of [`origin`] in [`TERM`]; `at` is position, revision and log index.
pub fn event(
    at: (u64, u64, u64),
    session_id: &str,
    time_ms: u64,
    request: Option<(&str, Answer)>,
    payload: Payload,
) -> Event {
    let (position, revision, raft_index) = at;
    let from = origin(request.as_ref().map_or("", |(request_id, _)| request_id));
    Event {
        position,
        session_id: session_id.into(),
        revision,
        raft_index,
        raft_term: TERM,
        time_ms,
        principal: from.principal,
        cause: Cause {
            request_id: from.request_id,
            call_id: from.call_id,
            tool: from.tool,
            worker: from.worker,
            node: from.node,
        },
        answer: request.map(|(_, answer)| answer),
        payload,
    }
}

pub fn changed(rows: Vec<(RowKey, Option<Row>)>) -> Changes {
    Changes {
        cleared: BTreeSet::new(),
        rows: rows.into_iter().collect(),
    }
}

/// What the end of a session clears.
pub fn cleared(session_id: &str) -> BTreeSet<RowPrefix> {
    let id = || session_id.to_owned();
    BTreeSet::from([
        RowPrefix::Variables(id()),
        RowPrefix::Requests(id()),
        RowPrefix::RequestOrders(id()),
    ])
}

pub fn head(position: u64, time_ms: u64, sessions: u64) -> (RowKey, Option<Row>) {
    let row = HeadRow {
        position,
        time_ms,
        sessions,
        requests: Ring::default(),
    };
    (RowKey::Head, Some(Row::Head(row)))
}

pub fn session_key(session_id: &str) -> RowKey {
    RowKey::Session(session_id.into())
}

pub fn session_row(row: SessionRow) -> (RowKey, Option<Row>) {
    (session_key(&row.id), Some(Row::Session(row)))
}

/// A session as it is right after it was created.
pub fn new_session(session_id: &str, time_ms: u64) -> SessionRow {
    SessionRow {
        id: session_id.into(),
        metadata: BTreeMap::new(),
        created_ms: time_ms,
        ttl_ms: TTL_MS,
        touched_ms: time_ms,
        revision: 1,
        variables: 0,
        requests: Ring::default(),
    }
}

pub fn deadline(time_ms: u64, session_id: &str) -> (RowKey, Option<Row>) {
    (
        RowKey::Deadline(time_ms, session_id.into()),
        Some(Row::Deadline),
    )
}

pub fn no_deadline(time_ms: u64, session_id: &str) -> (RowKey, Option<Row>) {
    (RowKey::Deadline(time_ms, session_id.into()), None)
}

pub fn variable_row(session_id: &str, row: VariableRow) -> (RowKey, Option<Row>) {
    (
        RowKey::Variable(session_id.into(), row.name.clone()),
        Some(Row::Variable(row)),
    )
}
