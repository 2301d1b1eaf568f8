//! A log of events with all their fields.

use std::collections::BTreeMap;

use snakepit_machine::{
    Answer, Array, CallRead, CallReads, CallRecord, Cause, Dtype, Event, Past, Payload, Principal,
    Rejection, RejectionKind, Sealed, SessionConfig, Value,
};

/// The log so far.
#[derive(Default)]
struct Log {
    events: Vec<(String, Event)>,
    revisions: BTreeMap<String, u64>,
}

impl Log {
    fn of(&mut self, session: &str, about: &str, payload: Payload, answer: Option<Answer>) {
        let position = self.events.len() as u64 + 1;
        let revision = self.revisions.entry(session.to_owned()).or_default();
        *revision += 1;
        let event = Event {
            position,
            session_id: session.to_owned(),
            revision: *revision,
            raft_index: position + 2,
            raft_term: 3,
            time_ms: 1_700_000_000_000 + position,
            principal: Principal {
                name: "ada".into(),
                verified: true,
            },
            cause: Cause {
                request_id: format!("0192-{position}"),
                call_id: "c-1".into(),
                tool: "train".into(),
                worker: "w-1".into(),
                node: 2,
            },
            answer,
            payload,
        };
        let name = match about {
            "" => event.payload.name().to_owned(),
            about => format!("{}-{about}", event.payload.name()),
        };
        self.events.push((name, event));
    }

    fn put(&mut self, payload: Payload, answer: Option<Answer>) {
        self.of("s", "", payload, answer);
    }
}

fn texts() -> BTreeMap<String, String> {
    [("a", "b"), ("k", "é")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn created() -> Payload {
    Payload::SessionCreated {
        metadata: texts(),
        ttl_ms: 3_600_000,
        config: SessionConfig {
            enable_caching: true,
            cache_ttl_ms: 60_000,
            enable_telemetry: true,
        },
        imported_from: "r@7".into(),
        subject: "person-7".into(),
    }
}

fn registered(name: &str) -> Payload {
    Payload::VariableRegistered {
        id: format!("var_{name}_1"),
        name: name.into(),
        type_name: "float".into(),
        value: Value::Float(1.5),
        constraints_json: r#"{"min": 0.50}"#.into(),
        metadata: texts(),
        version: 1,
        access_json: r#"{"write":{"principals":["ada"]}}"#.into(),
        past: Past {
            previous: 1,
            skip: 1,
        },
    }
}

fn set(version: u64, value: Value) -> Payload {
    Payload::VariableSet {
        id: "var_x_1".into(),
        name: "x".into(),
        value,
        metadata: texts(),
        version,
        past: Past {
            previous: 3,
            skip: 2,
        },
        type_name: "float".into(),
        access_json: "{}".into(),
    }
}

fn reads() -> CallReads {
    CallReads {
        noted: vec![CallRead {
            session_id: "s".into(),
            name: "x".into(),
            version: 300,
        }],
        left_out: 7,
    }
}

fn sealed() -> Value {
    Value::Sealed(Sealed {
        key_id: "0f".repeat(16),
        data: (0..48).collect(),
        checked: None,
    })
}

/// One of each kind of value.
fn values() -> Vec<(&'static str, Value)> {
    let array = Array::new(Dtype::Int16, vec![2, 1], vec![1, 0, 255, 255]);
    let big = "-123456789012345678901234567890".parse().unwrap();
    vec![
        ("float", Value::Float(-0.1)),
        ("integer", Value::Integer((-300).into())),
        ("big_integer", Value::Integer(big)),
        ("string", Value::String("é\n".into())),
        ("boolean", Value::Boolean(true)),
        ("null", Value::Null),
        ("bytes", Value::Bytes(vec![0, 255])),
        ("map", Value::Map(r#"{"b": 1.50, "a": [null]}"#.into())),
        ("list", Value::List(r#"[1, "x"]"#.into())),
        ("array", Value::Array(array.unwrap())),
        ("sealed", sealed()),
    ]
}

pub(super) fn log() -> Vec<(String, Event)> {
    let mut log = Log::default();
    log.put(created(), Some(Answer::SessionCreated { created: true }));
    let id = "var_x_1".to_owned();
    log.put(
        registered("x"),
        Some(Answer::VariableRegistered { id, version: 1 }),
    );
    log.of("s", "other", registered("y"), None);
    of_variables(&mut log);
    of_programs(&mut log);
    of_calls(&mut log);
    let deleted = Payload::VariableDeleted {
        id: "var_y_1".into(),
        name: "y".into(),
        version: 1,
        type_name: "float".into(),
        access_json: "{}".into(),
    };
    log.put(deleted, Some(Answer::VariableDeleted));
    log.put(
        Payload::SessionTouched,
        Some(Answer::SessionTouched { valid: true }),
    );
    let gone = Answer::SessionDeleted {
        existed: true,
        resources: 300,
    };
    log.put(Payload::SessionDeleted, Some(gone));
    let imported = Answer::SessionImported {
        variables: 2,
        programs: 1,
    };
    log.of("t", "imported", created(), Some(imported));
    let deadline_ms = 1_700_003_600_000;
    log.of("t", "", Payload::SessionExpired { deadline_ms }, None);
    log.events
}

fn of_variables(log: &mut Log) {
    let rejection = Rejection::new(RejectionKind::NotFound, "no variable z");
    let answer = Answer::VariablesSet {
        versions: [("x".to_owned(), 2)].into(),
        refused: [("z".to_owned(), rejection)].into(),
    };
    log.put(set(2, Value::Float(2.0)), Some(answer));
    for (version, (kind, value)) in (3..).zip(values()) {
        log.of("s", kind, set(version, value), None);
    }
    let rolled_back = Payload::VariableRolledBack {
        id: "var_x_1".into(),
        name: "x".into(),
        value: Value::Float(1.5),
        metadata: texts(),
        version: 13,
        target_version: 1,
        past: Past {
            previous: 13,
            skip: 13,
        },
        type_name: "float".into(),
        access_json: "{}".into(),
    };
    let answer = Answer::VariableRolledBack {
        version: 13,
        position: 15,
    };
    log.put(rolled_back, Some(answer));
    let access = Payload::VariableAccessSet {
        id: "var_x_1".into(),
        name: "x".into(),
        access_json: r#"{"read":{}}"#.into(),
    };
    log.put(access, Some(Answer::Done { existed: true }));
    let (from, to) = ("x".to_owned(), "y".to_owned());
    let added = Payload::DependencyAdded {
        from: from.clone(),
        to: to.clone(),
        kind: "data".into(),
    };
    log.put(added, Some(Answer::Done { existed: true }));
    log.put(Payload::DependencyRemoved { from, to }, None);
    let started = Payload::OptimizationStarted {
        id: "var_x_1".into(),
        name: "x".into(),
        optimization_id: "opt_x_1".into(),
        optimizer_id: "sweep".into(),
        config: texts(),
        lease_ms: 30_000,
        renewed: true,
    };
    let answer = Answer::OptimizationStarted {
        optimization_id: "opt_x_1".into(),
        expires_ms: 1_700_000_030_000,
    };
    log.put(started, Some(answer));
    let stopped = Payload::OptimizationStopped {
        id: "var_x_1".into(),
        name: "x".into(),
        optimization_id: "opt_x_1".into(),
        forced: true,
    };
    let answer = Answer::OptimizationStopped {
        existed: true,
        position: 15,
    };
    log.put(stopped, Some(answer));
}

fn of_programs(log: &mut Log) {
    let put = || Payload::ProgramPut {
        program_id: "p".into(),
        value: Value::String("print(1)".into()),
        metadata: texts(),
        version: 1,
        ttl_ms: 60_000,
    };
    log.put(put(), Some(Answer::ProgramPut { version: 1 }));
    let deleted = Payload::ProgramDeleted {
        program_id: "p".into(),
        version: 1,
    };
    log.put(deleted, Some(Answer::Done { existed: true }));
    log.of("", "global", put(), None);
    let expired = Payload::ProgramExpired {
        program_id: "p".into(),
        deadline_ms: 1_700_000_060_000,
    };
    log.of("", "", expired, None);
}

fn of_calls(log: &mut Log) {
    let pool = || "p".to_owned();
    let tools = Payload::ToolsRegistered {
        worker_id: "w-1".into(),
        tools: [("train".to_owned(), vec![1, 0, 255])].into(),
    };
    log.put(tools, None);
    let (worker, node) = ("w-1".to_owned(), 2);
    let bound = Payload::WorkerBound {
        pool: pool(),
        node,
        worker: worker.clone(),
    };
    let answer = Answer::WorkerBound {
        node,
        worker: worker.clone(),
        bound: true,
    };
    log.put(bound, Some(answer));
    let unbound = Payload::WorkerUnbound {
        pool: pool(),
        worker: worker.clone(),
        node,
    };
    log.put(unbound, None);
    let call_id = || "c-1".to_owned();
    let started = Payload::CallStarted {
        of_session: "s".into(),
        call_id: call_id(),
        pool: pool(),
        tool: "train".into(),
        tool_version: "1.2".into(),
        idempotency_key: "once".into(),
        arguments: vec![1, 0],
        arguments_digest: (0..32).collect(),
        deadline_ms: 30_000,
        attempt: 2,
    };
    let answer = Answer::CallStarted {
        call_id: call_id(),
        node,
        position: 23,
    };
    log.put(started, Some(answer));
    let chunks = Payload::CallChunksPut {
        of_session: "s".into(),
        call_id: call_id(),
        batch: 1,
        first: 16,
        chunks: vec![vec![1], Vec::new()],
    };
    let answer = Answer::CallChunksPut {
        position: 24,
        first: 16,
        count: 2,
    };
    log.put(chunks, Some(answer));
    let ended = Payload::CallEnded {
        of_session: "s".into(),
        call_id: call_id(),
        pool: pool(),
        tool: "train".into(),
        worker: worker.clone(),
        node,
        outcome: "raised".into(),
        error_type: "ValueError".into(),
        result: vec![2, 0],
        result_digest: (32..64).collect(),
        duration_us: 1_500,
        queued_us: 20,
        chunks: 18,
        attempts: 2,
        idempotency_key: "once".into(),
        reads: reads(),
    };
    let answer = Answer::CallEnded {
        outcome: "raised".into(),
        result: vec![2, 0],
        position: 25,
    };
    log.put(ended, Some(answer));
    let record = CallRecord {
        call_id: call_id(),
        session_id: "s".into(),
        pool: pool(),
        tool: "train".into(),
        tool_version: "1.2".into(),
        worker,
        node,
        principal: "ada".into(),
        request_id: "0192".into(),
        outcome: "raised".into(),
        error_type: "ValueError".into(),
        arguments_digest: (0..32).collect(),
        result_digest: (32..64).collect(),
        started_ms: 1_700_000_000_123,
        duration_us: 1_500,
        queued_us: 20,
        reads: reads(),
    };
    let calls = vec![record];
    log.of("", "", Payload::CallsRecorded { calls }, None);
    let put = Payload::PoolPut {
        name: pool(),
        definition_json: r#"{"workers":4}"#.into(),
        version: 1,
    };
    log.of("", "", put, Some(Answer::PoolPut { version: 1 }));
    let removed = Payload::PoolRemoved {
        name: pool(),
        version: 1,
    };
    log.of("", "", removed, Some(Answer::Done { existed: true }));
    let archived = Payload::EventsArchived {
        first: 1,
        last: 2,
        root: (0..32).collect(),
        hash: (32..64).collect(),
    };
    log.of("", "", archived, Some(Answer::Done { existed: true }));
    let (name, key_id) = ("ada".to_owned(), "0f".repeat(16));
    let put = Payload::SubjectPut {
        name: name.clone(),
        key_id: key_id.clone(),
    };
    log.of("", "", put, None);
    log.of("", "", Payload::SubjectErased { name, key_id }, None);
}
