//! What the tests are made of: a machine over rows in memory, commands, events and rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use num_bigint::BigInt;
use snakepit_machine::{
    AddDependency, Answer, BindWorker, Body, CallChunks, CallEnd, CallRead, CallReads, CallRecord,
    CallStart, Cause, Changes, Command, CreateSession, DeleteProgram, DeleteSession,
    DeleteVariable, Event, ExpireProgram, ExpireSession, HeadRow, ImportSession, ImportedProgram,
    ImportedVariable, Kept, Limits, LogPoint, MemoryRows, Origin, Outcome, Overlay, Past, Payload,
    Principal, ProgramRow, PutPool, PutProgram, RecordCalls, RegisterTools, RegisterVariable,
    Rejection, RejectionKind, RemoveDependency, RemovePool, RollbackVariable, Row, RowKey,
    RowPrefix, RowsExt, SessionConfig, SessionRow, SetAccess, SetVariable, SetVariables,
    StartOptimization, StopOptimization, TouchSession, UnbindWorker, Value, VariableRow, replay,
    step,
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

    /// Step a command of that principal, through no tool, that carries an optimization id.
    pub fn by(&mut self, who: &str, optimization_id: &str, time_ms: u64, body: Body) -> Did {
        self.step(time_ms, &from(who, optimization_id, body))
    }

    /// What a replay of all events gives: it must be the rows.
    #[track_caller]
    pub fn check_replay(&self) {
        let mut replayed = MemoryRows::default();
        for event in &self.events {
            replay(&mut replayed, event).unwrap();
        }
        assert_eq!(replayed, self.rows);
    }

    /// Register an integer variable of that value.
    pub fn register(&mut self, time_ms: u64, session_id: &str, name: &str, value: i64) -> Did {
        self.run(time_ms, register(session_id, name, "integer", int(value)))
    }

    pub fn head(&self) -> HeadRow {
        self.rows.head().unwrap()
    }

    pub fn session(&self, session_id: &str) -> SessionRow {
        Arc::unwrap_or_clone(self.rows.session(session_id).unwrap().unwrap())
    }

    pub fn variable(&self, session_id: &str, identifier: &str) -> VariableRow {
        Arc::unwrap_or_clone(self.rows.variable(session_id, identifier).unwrap().unwrap())
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
        optimization_id: String::new(),
    }
}

/// A command of that principal, through no tool.
pub fn from(who: &str, optimization_id: &str, body: Body) -> Command {
    Command {
        origin: Origin {
            principal: Principal {
                name: who.into(),
                verified: false,
            },
            optimization_id: optimization_id.into(),
            ..Origin::default()
        },
        body,
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
        config: SessionConfig::default(),
        subject: String::new(),
    })
}

pub fn delete(session_id: &str) -> Body {
    Body::DeleteSession(DeleteSession {
        session_id: session_id.into(),
        force: false,
    })
}

pub fn force_delete(session_id: &str) -> Body {
    Body::DeleteSession(DeleteSession {
        session_id: session_id.into(),
        force: true,
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
        access_json: String::new(),
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

pub fn rollback(session_id: &str, id: &str, target_version: u64, value: Value) -> Body {
    Body::RollbackVariable(RollbackVariable {
        session_id: session_id.into(),
        id: id.into(),
        target_version,
        value,
        expected_version: 0,
        metadata: BTreeMap::new(),
    })
}

pub fn set_access(session_id: &str, identifier: &str, access_json: &str) -> Body {
    Body::SetAccess(SetAccess {
        session_id: session_id.into(),
        identifier: identifier.into(),
        access_json: access_json.into(),
    })
}

pub fn depend(session_id: &str, from: &str, to: &str, kind: &str) -> Body {
    Body::AddDependency(AddDependency {
        session_id: session_id.into(),
        from: from.into(),
        to: to.into(),
        kind: kind.into(),
    })
}

pub fn undepend(session_id: &str, from: &str, to: &str) -> Body {
    Body::RemoveDependency(RemoveDependency {
        session_id: session_id.into(),
        from: from.into(),
        to: to.into(),
    })
}

pub fn start(session_id: &str, identifier: &str, optimizer_id: &str, lease_ms: u64) -> Body {
    Body::StartOptimization(StartOptimization {
        session_id: session_id.into(),
        identifier: identifier.into(),
        optimizer_id: optimizer_id.into(),
        config: BTreeMap::new(),
        lease_ms,
    })
}

pub fn stop(session_id: &str, identifier: &str, optimization_id: &str, force: bool) -> Body {
    Body::StopOptimization(StopOptimization {
        session_id: session_id.into(),
        identifier: identifier.into(),
        optimization_id: optimization_id.into(),
        force,
    })
}

pub fn put_program(session_id: &str, program_id: &str, value: Value, ttl_ms: u64) -> Body {
    Body::PutProgram(PutProgram {
        session_id: session_id.into(),
        program_id: program_id.into(),
        value,
        metadata: BTreeMap::new(),
        expected_version: 0,
        ttl_ms,
    })
}

pub fn delete_program(session_id: &str, program_id: &str) -> Body {
    Body::DeleteProgram(DeleteProgram {
        session_id: session_id.into(),
        program_id: program_id.into(),
    })
}

pub fn expire_program(program_id: &str) -> Body {
    Body::ExpireProgram(ExpireProgram {
        program_id: program_id.into(),
    })
}

pub fn register_tools(session_id: &str, worker_id: &str, tools: &[(&str, &[u8])]) -> Body {
    Body::RegisterTools(RegisterTools {
        session_id: session_id.into(),
        worker_id: worker_id.into(),
        tools: tools
            .iter()
            .map(|(name, spec)| ((*name).to_owned(), spec.to_vec()))
            .collect(),
    })
}

pub fn put_pool(name: &str, definition_json: &str) -> Body {
    Body::PutPool(PutPool {
        name: name.into(),
        definition_json: definition_json.into(),
        expected_version: 0,
        create_only: false,
    })
}

pub fn remove_pool(name: &str) -> Body {
    Body::RemovePool(RemovePool { name: name.into() })
}

/// To a worker of node 2, in place of another one where there is a name.
pub fn bind(session_id: &str, pool: &str, worker: &str, replaces: &str) -> Body {
    Body::BindWorker(BindWorker {
        session_id: session_id.into(),
        pool: pool.into(),
        node: 2,
        worker: worker.into(),
        replaces: replaces.into(),
    })
}

pub fn unbind(session_id: &str, pool: &str, worker: &str) -> Body {
    Body::UnbindWorker(UnbindWorker {
        session_id: session_id.into(),
        pool: pool.into(),
        worker: worker.into(),
    })
}

/// A call whose event is of that session, or of none.
pub fn call_start(session_id: &str, call_id: &str) -> CallStart {
    CallStart {
        session_id: session_id.into(),
        of_session: "s".into(),
        call_id: call_id.into(),
        pool: "p".into(),
        tool: "train".into(),
        tool_version: "1.2".into(),
        idempotency_key: "key".into(),
        arguments: b"arguments".to_vec(),
        arguments_digest: vec![1; 32],
        deadline_ms: 30_000,
        attempt: 1,
    }
}

/// That call, run well.
pub fn call_end(session_id: &str, call_id: &str) -> CallEnd {
    CallEnd {
        session_id: session_id.into(),
        of_session: "s".into(),
        call_id: call_id.into(),
        pool: "p".into(),
        tool: "train".into(),
        worker: "w".into(),
        node: 2,
        outcome: "ok".into(),
        error_type: String::new(),
        result: b"result".to_vec(),
        result_digest: vec![2; 32],
        duration_us: 70_000,
        queued_us: 300,
        chunks: 5,
        attempts: 1,
        idempotency_key: "key".into(),
        reads: call_reads(2),
    }
}

/// Reads of so many variables of one session.
pub fn call_reads(count: u64) -> CallReads {
    let read = |number| CallRead {
        session_id: "s".into(),
        name: format!("x{number}"),
        version: number + 1,
    };
    CallReads {
        noted: (0..count).map(read).collect(),
        left_out: 3,
    }
}

/// Two chunks of its stream.
pub fn call_chunks(session_id: &str, call_id: &str) -> CallChunks {
    CallChunks {
        session_id: session_id.into(),
        of_session: "s".into(),
        call_id: call_id.into(),
        batch: 1,
        first: 3,
        chunks: vec![b"three".to_vec(), Vec::new()],
    }
}

pub fn call_record(call_id: &str) -> CallRecord {
    CallRecord {
        call_id: call_id.into(),
        session_id: "s".into(),
        pool: "p".into(),
        tool: "train".into(),
        tool_version: "1.2".into(),
        worker: "w".into(),
        node: 2,
        principal: "ada".into(),
        request_id: "r".into(),
        outcome: "raised".into(),
        error_type: "ValueError".into(),
        arguments_digest: vec![1; 32],
        result_digest: vec![2; 32],
        started_ms: T0,
        duration_us: 70_000,
        queued_us: 300,
        reads: call_reads(1),
    }
}

pub fn record(calls: Vec<CallRecord>) -> Body {
    Body::RecordCalls(RecordCalls { calls })
}

pub fn import(
    session_id: &str,
    variables: Vec<(&str, ImportedVariable)>,
    programs: Vec<(&str, Value)>,
) -> ImportSession {
    let program = |value| ImportedProgram {
        value,
        metadata: BTreeMap::new(),
    };
    ImportSession {
        session_id: session_id.into(),
        imported_from: "old".into(),
        metadata: BTreeMap::new(),
        ttl_ms: TTL_MS,
        config: SessionConfig::default(),
        variables: variables
            .into_iter()
            .map(|(name, variable)| (name.to_owned(), variable))
            .collect(),
        programs: programs
            .into_iter()
            .map(|(id, value)| (id.to_owned(), program(value)))
            .collect(),
        subject: String::new(),
    }
}

/// An exported integer with its dependencies.
pub fn exported(value: i64, depends_on: &[(&str, &str)]) -> ImportedVariable {
    ImportedVariable {
        type_name: "integer".into(),
        value: int(value),
        constraints_json: String::new(),
        metadata: BTreeMap::new(),
        access_json: String::new(),
        depends_on: map(depends_on),
    }
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
        RowPrefix::Programs(id()),
        RowPrefix::Tools(id()),
    ])
}

pub fn head(position: u64, time_ms: u64, sessions: u64) -> (RowKey, Option<Row>) {
    let row = HeadRow {
        position,
        time_ms,
        sessions,
        ..HeadRow::default()
    };
    (RowKey::Head, Some(Row::Head(row)))
}

pub fn session_key(session_id: &str) -> RowKey {
    RowKey::Session(session_id.into())
}

pub fn session_row(row: SessionRow) -> (RowKey, Option<Row>) {
    (session_key(&row.id), Some(Row::Session(row.into())))
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
        answers: Kept::default(),
        config: SessionConfig::default(),
        imported_from: String::new(),
        updates: 0,
        programs: 0,
        tools: 0,
        locked: BTreeSet::new(),
        bindings: BTreeMap::new(),
        subject: String::new(),
    }
}

/// An integer variable as it is right after it was registered by [`origin`], at that position.
pub fn new_variable(name: &str, position: u64, time_ms: u64, value: i64) -> VariableRow {
    VariableRow {
        id: format!("var_{name}_{position}"),
        name: name.into(),
        type_name: "integer".into(),
        value: int(value),
        constraints_json: String::new(),
        metadata: BTreeMap::new(),
        version: 1,
        created_ms: time_ms,
        updated_ms: time_ms,
        by_tool: true,
        chain: vec![position],
        access_json: String::new(),
        depends_on: BTreeMap::new(),
        dependents: BTreeMap::new(),
        lock: None,
    }
}

pub fn past(previous: u64, skip: u64) -> Past {
    Past { previous, skip }
}

pub fn program_row(session_id: &str, row: ProgramRow) -> (RowKey, Option<Row>) {
    (
        RowKey::Program(session_id.into(), row.id.clone()),
        Some(Row::Program(row.into())),
    )
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
        Some(Row::Variable(row.into())),
    )
}
