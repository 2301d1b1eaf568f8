//! What may happen: commands, and arguments of all kinds.

use std::collections::BTreeMap;

use proptest::prelude::*;
use snakepit_machine::{
    AddDependency, ArchiveEvents, BindWorker, Body, CallChunks, CallEnd, CallRecord, CallStart,
    Checked, Command, CreateSession, DeleteProgram, EraseSubject, ExpireProgram, ImportSession,
    ImportedProgram, ImportedVariable, PutPool, PutProgram, PutSubject, RegisterTools,
    RegisterVariable, RollbackVariable, Sealed, SessionConfig, SetAccess, SetVariable,
    SetVariables, StartOptimization, StopOptimization, Value,
};

use crate::support::*;

pub(super) const SESSIONS: [&str; 3] = ["a", "b", "ab"];
/// The third is what an early variable's id looks like.
pub(super) const NAMES: [&str; 4] = ["x", "y", "var_x_2", "var_x_3"];
pub(super) const REQUESTS: [&str; 12] = ["", "", "", "", "", "", "", "p", "q", "r", "bq", "1:ap"];

/// A command, and how much later than the one before it comes; earlier where negative. Where it `holds`, it
/// carries the id of a lock of its session.
#[derive(Clone, Debug)]
pub(super) struct Act {
    pub later_ms: i64,
    pub holds: bool,
    pub command: Command,
}

/// One of them more often than the others, so that something happens in it.
pub(super) fn one_session() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(SESSIONS[0]), 1 => Just(SESSIONS[1]), 1 => Just(SESSIONS[2])]
}

pub(super) fn one_name() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(NAMES[0]), 4 => Just(NAMES[1]), 1 => Just(NAMES[2]), 1 => Just(NAMES[3])]
}

pub(super) fn identifier() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => one_name().prop_map(str::to_owned),
        1 => (one_name(), 1..40u64).prop_map(|(name, n)| format!("var_{name}_{n}")),
    ]
}

pub(super) fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        12 => (-2..12i64).prop_map(int),
        1 => Just(Value::Float(f64::NAN)),
        1 => Just(Value::Float(3.0)),
        1 => "[a-c]{0,3}".prop_map(|letters| text(&letters)),
        1 => any::<bool>().prop_map(Value::Boolean),
    ]
}

pub(super) fn one_update() -> impl Strategy<Value = SetVariable> {
    let expected = prop_oneof![3 => Just(0), 1 => 1..4u64];
    let value = prop_oneof![8 => value().prop_map(Ok), 1 => Just(Err("unreadable".to_owned()))];
    (identifier(), value, expected).prop_map(|(identifier, value, expected_version)| SetVariable {
        identifier,
        value,
        expected_version,
    })
}

pub(super) fn rules() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "",
        "",
        "",
        "",
        "{}",
        r#"{"write":{"principals":["a*"]}}"#,
        r#"{"write":{"tools":["tool"]}}"#,
        r#"{"read":{}}"#,
        "{",
    ])
}

pub(super) fn dependency_kind() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["derives", "relates", "derives", "requires", "other"])
}

pub(super) fn imported() -> impl Strategy<Value = Body> {
    let depends_on = prop::collection::btree_map(
        one_name().prop_map(str::to_owned),
        dependency_kind().prop_map(str::to_owned),
        0..2,
    );
    let variable =
        (value(), rules(), depends_on).prop_map(|(value, rules, depends_on)| ImportedVariable {
            access_json: rules.into(),
            depends_on,
            value,
            ..exported(0, &[])
        });
    let variables = prop::collection::btree_map(one_name().prop_map(str::to_owned), variable, 0..4);
    (one_session(), variables, any::<bool>()).prop_map(|(session, variables, program)| {
        let programs = if program { vec![("p", int(1))] } else { vec![] };
        Body::ImportSession(ImportSession {
            variables,
            ..import(session, vec![], programs)
        })
    })
}

/// Commands on locks, dependencies, rules, programs and tools.
pub(super) fn other_body() -> impl Strategy<Value = Body> {
    let session = one_session;
    let place = || prop_oneof![2 => session(), 1 => Just("")];
    let program = || prop::sample::select(vec!["p", "q", "r"]);
    let lease = prop::sample::select(vec![1_000, 5_000, 60_000, 1]);
    let optimizer = prop::sample::select(vec!["o", "oo"]);
    let rolled = (session(), identifier(), 0..4u64, value());
    let spec = prop::sample::select(vec![&b"1"[..], b"2"]);
    let tools = prop::collection::vec((prop::sample::select(vec!["t", "u", "v", "-"]), spec), 0..3);
    prop_oneof![
        3 => rolled.prop_map(|(session, id, target, value)| rollback(session, &id, target, value)),
        2 => (session(), identifier(), rules()).prop_map(|(session, id, rules)| set_access(session, &id, rules)),
        8 => (session(), identifier(), identifier(), dependency_kind())
            .prop_map(|(session, from, to, kind)| depend(session, &from, &to, kind)),
        12 => (session(), identifier(), identifier())
            .prop_map(|(session, from, to)| undepend(session, &from, &to)),
        4 => (session(), identifier(), optimizer, lease)
            .prop_map(|(session, id, optimizer, lease)| start(session, &id, optimizer, lease)),
        6 => (session(), identifier(), prop::sample::select(vec!["", "", "opt_x_3"]), any::<bool>())
            .prop_map(|(session, id, held, force)| stop(session, &id, held, force)),
        5 => (place(), program(), value(), any::<bool>()).prop_map(|(session, id, value, odd)| {
            let ttl_ms = if session.is_empty() != odd { 2_000 } else { 0 };
            put_program(session, id, value, ttl_ms)
        }),
        3 => (place(), program()).prop_map(|(session, id)| delete_program(session, id)),
        2 => program().prop_map(expire_program),
        4 => (session(), prop::sample::select(vec!["w", "x"]), tools)
            .prop_map(|(session, worker, tools)| register_tools(session, worker, &tools)),
        1 => prop::sample::select(&SESSIONS[1..]).prop_map(force_delete),
    ]
}

/// Commands on pools, bindings and calls.
pub(super) fn work() -> impl Strategy<Value = Body> {
    let session = one_session;
    let place = || prop_oneof![2 => session(), 1 => Just("")];
    let pool = || prop::sample::select(vec!["p", "q", "r"]);
    let bound = || prop::sample::select(vec!["p", "q"]);
    let subject = || prop::sample::select(vec!["ada", "bo"]);
    let worker = || prop::sample::select(vec!["v", "w"]);
    let call = || prop::sample::select(vec!["c", "d", ""]);
    let put = (
        pool(),
        prop::sample::select(vec!["{}", "[]", ""]),
        0..3u64,
        any::<bool>(),
    );
    prop_oneof![
        6 => put.prop_map(|(name, definition, expected_version, create_only)| {
            Body::PutPool(PutPool {
                name: name.into(),
                definition_json: definition.into(),
                expected_version,
                create_only: create_only && expected_version == 0,
            })
        }),
        28 => pool().prop_map(remove_pool),
        3 => (0..60u64, 0..20u64).prop_map(|(first, more)| archive(first, first + more)),
        6 => (1..30u64).prop_map(|last| archive(1, last)),
        3 => subject().prop_map(put_subject),
        6 => subject().prop_map(erase_subject),
        2 => (subject(), any::<bool>()).prop_map(|(subject, sealed)| open_sealed(subject, sealed)),
        4 => (subject(), any::<bool>()).prop_map(|(subject, sealed)| register_sealed(subject, sealed)),
        6 => (session(), bound(), worker(), worker())
            .prop_map(|(session, pool, worker, replaces)| bind(session, pool, worker, replaces)),
        24 => (session(), bound(), worker())
            .prop_map(|(session, pool, worker)| unbind(session, pool, worker)),
        2 => (place(), call()).prop_map(|(place, call)| Body::StartCall(call_start(place, call))),
        1 => (place(), call()).prop_map(|(place, call)| Body::EndCall(call_end(place, call))),
        1 => (place(), call()).prop_map(|(place, call)| Body::PutChunks(call_chunks(place, call))),
        1 => prop::collection::vec(call(), 0..3)
            .prop_map(|calls| record(calls.into_iter().map(call_record).collect())),
    ]
}

pub(super) fn body() -> impl Strategy<Value = Body> {
    let session = one_session;
    let kinds = prop_oneof![9 => Just("integer"), 1 => prop::sample::select(vec!["float", "string", "boolean"])];
    let bounds = prop::sample::select(vec![
        "",
        "",
        "",
        "{}",
        r#"{"max":9}"#,
        r#"{"min":0,"max":5}"#,
        "[",
    ]);
    let registered = (session(), one_name(), kinds, value(), bounds, rules());
    prop_oneof![
        4 => (session(), prop::sample::select(vec![1_000, TTL_MS, 60_000, 60_000, 1]))
            .prop_map(|(session, ttl_ms)| create(session, ttl_ms)),
        1 => session().prop_map(delete),
        2 => session().prop_map(touch),
        1 => session().prop_map(expire),
        20 => registered.prop_map(|(session, name, kind, value, bounds, rules)| {
            let Body::RegisterVariable(mut body) = register(session, name, kind, value) else { unreachable!() };
            body.constraints_json = bounds.into();
            body.access_json = rules.into();
            Body::RegisterVariable(body)
        }),
        16 => (session(), any::<bool>(), prop::collection::vec(one_update(), 0..4))
            .prop_map(|(session, atomic, updates)| set(session, atomic, updates)),
        2 => (session(), identifier()).prop_map(|(session, identifier)| delete_variable(session, &identifier)),
        2 => imported(),
        80 => other_body(),
        44 => work(),
    ]
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let later =
        prop_oneof![40 => 0..300i64, 3 => 900..5_000i64, 1 => 9_000..70_000i64, 2 => -20_000..0i64];
    let who = prop::sample::select(vec!["ada", "ada", "bob", ""]);
    let tool = prop::sample::select(vec!["tool", ""]);
    let request_id = prop::sample::select(&REQUESTS[..]);
    (later, request_id, body(), who, tool, any::<bool>()).prop_map(
        |(later_ms, request_id, body, who, tool, holds)| {
            let mut command = command(request_id, body);
            command.origin.principal.name = who.into();
            command.origin.tool = tool.into();
            Act {
                later_ms,
                holds,
                command,
            }
        },
    )
}

pub(super) fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => ".{0,12}",
        2 => any::<String>(),
        1 => "var_v_[0-9]{0,22}",
        1 => r#"[{}\[\]:,"a-z0-9.*?\-]{0,16}"#,
        6 => prop::sample::select(vec![
            "", "s", "v", "var_v_2", "var__", "p", "{}", "null", "[]", "[1,2]", r#"["NaN",1e400]"#,
            r#"{"shape":[18446744073709551615,2],"data":[]}"#, r#"{"shape":[],"data":[[1]]}"#,
            r#"{"shape":[1],"data":[1.5],"dtype":"int8"}"#, r#"{"max":1e999,"pattern":"("}"#,
            r#"{"pattern":"(a{1000}){1000}","enum":[1]}"#, r#"{"write":{"principals":["*"]}}"#,
            r#"{"$serde_json::private::Number":"x"}"#, r#"{"__snakepit_float__":"NaN"}"#,
            "embedding", "tensor", "string", "float", "map", "choice", "requires", "derives",
        ]).prop_map(str::to_owned),
    ]
}

pub(super) fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any_text().prop_map(Value::String),
        any_text().prop_map(Value::Map),
        any_text().prop_map(Value::List),
        any_text().prop_map(|text| Value::Bytes(text.into_bytes())),
        any::<f64>().prop_map(Value::Float),
        any::<i64>().prop_map(int),
        Just(Value::Null),
    ]
}

/// Every command with any text, of a session that exists more often than not.
pub(super) fn arbitrary_body() -> impl Strategy<Value = Body> {
    let session = prop_oneof![3 => Just("s".to_owned()), 1 => any_text()];
    let texts = [(); 5].map(|()| any_text());
    (0..20u8, session, texts, any_value(), any::<u64>()).prop_map(
        |(which, session_id, texts, value, number)| {
            if which > 17 {
                return arbitrary_work(session_id, texts, number);
            }
            let [a, b, c, d, e] = texts;
            let entries = || BTreeMap::from([(d.clone(), e.clone())]);
            match which {
                0 => Body::CreateSession(CreateSession {
                    session_id,
                    metadata: entries(),
                    ttl_ms: number,
                    config: SessionConfig::default(),
                    subject: String::new(),
                }),
                1 => delete(&session_id),
                2 => touch(&session_id),
                3 => expire(&session_id),
                4..=6 => Body::RegisterVariable(RegisterVariable {
                    session_id,
                    name: a,
                    type_name: b,
                    value,
                    constraints_json: c,
                    metadata: entries(),
                    access_json: e.clone(),
                }),
                7 => Body::SetVariables(SetVariables {
                    session_id,
                    atomic: number % 2 == 0,
                    updates: vec![update(&a, value.clone()), update_at(&b, value, number)],
                    metadata: entries(),
                }),
                8 => delete_variable(&session_id, &a),
                9 => Body::RollbackVariable(RollbackVariable {
                    session_id,
                    id: a,
                    target_version: number % 3,
                    value,
                    expected_version: number % 2,
                    metadata: entries(),
                }),
                10 => Body::SetAccess(SetAccess {
                    session_id,
                    identifier: a,
                    access_json: b,
                }),
                11 => Body::AddDependency(AddDependency {
                    session_id,
                    from: a,
                    to: b,
                    kind: c,
                }),
                12 => undepend(&session_id, &a, &b),
                13 => Body::StartOptimization(StartOptimization {
                    session_id,
                    identifier: a,
                    optimizer_id: b,
                    config: entries(),
                    lease_ms: number % 100_000_000,
                }),
                14 => Body::StopOptimization(StopOptimization {
                    session_id,
                    identifier: a,
                    optimization_id: b,
                    force: number % 2 == 0,
                }),
                15 => Body::PutProgram(PutProgram {
                    session_id: if number % 2 == 0 {
                        session_id
                    } else {
                        String::new()
                    },
                    program_id: a,
                    value,
                    metadata: entries(),
                    expected_version: number % 3,
                    ttl_ms: if number % 2 == 0 { 0 } else { 5_000 },
                }),
                16 => Body::RegisterTools(RegisterTools {
                    session_id,
                    worker_id: a,
                    tools: BTreeMap::from([(b, c.into_bytes())]),
                }),
                _ if number % 3 == 0 => Body::DeleteProgram(DeleteProgram {
                    session_id,
                    program_id: a,
                }),
                _ if number % 3 == 1 => Body::ExpireProgram(ExpireProgram { program_id: a }),
                _ => Body::ImportSession(ImportSession {
                    session_id: a,
                    imported_from: b,
                    metadata: entries(),
                    ttl_ms: TTL_MS,
                    config: SessionConfig::default(),
                    variables: BTreeMap::from([(
                        c.clone(),
                        ImportedVariable {
                            type_name: session_id,
                            value: value.clone(),
                            constraints_json: d.clone(),
                            metadata: entries(),
                            access_json: e.clone(),
                            depends_on: BTreeMap::from([(c, d.clone())]),
                        },
                    )]),
                    programs: BTreeMap::from([(
                        e.clone(),
                        ImportedProgram {
                            value,
                            metadata: entries(),
                        },
                    )]),
                    subject: String::new(),
                }),
            }
        },
    )
}

pub(super) fn key_of(subject: &str) -> String {
    format!("{:0>32}", subject.len())
}

pub(super) fn put_subject(subject: &str) -> Body {
    Body::PutSubject(PutSubject {
        name: subject.into(),
        key_id: key_of(subject),
    })
}

pub(super) fn erase_subject(subject: &str) -> Body {
    Body::EraseSubject(EraseSubject {
        name: subject.into(),
    })
}

/// A sealed session, or one that says so only in its id.
pub(super) fn open_sealed(subject: &str, sealed: bool) -> Body {
    Body::CreateSession(CreateSession {
        session_id: format!("sealed:{subject}"),
        metadata: BTreeMap::new(),
        ttl_ms: 60_000,
        config: SessionConfig::default(),
        subject: if sealed {
            subject.into()
        } else {
            String::new()
        },
    })
}

/// A value for a sealed session, sealed as it must be or in plain text.
pub(super) fn register_sealed(subject: &str, sealed: bool) -> Body {
    let value = Value::Sealed(Sealed {
        key_id: key_of(subject),
        data: vec![1, 2, 3],
        checked: Some(Box::new(Checked {
            type_name: "integer".into(),
            constraints_json: String::new(),
        })),
    });
    Body::RegisterVariable(RegisterVariable {
        session_id: format!("sealed:{subject}"),
        name: "x".into(),
        type_name: "integer".into(),
        value: if sealed { value } else { int(5) },
        constraints_json: String::new(),
        metadata: BTreeMap::new(),
        access_json: String::new(),
    })
}

pub(super) fn archive(first: u64, last: u64) -> Body {
    Body::ArchiveEvents(ArchiveEvents {
        first,
        last,
        root: vec![7; 32],
        hash: vec![8; 32],
    })
}

pub(super) fn arbitrary_work(session_id: String, texts: [String; 5], number: u64) -> Body {
    let [a, b, c, d, e] = texts;
    match number % 9 {
        8 => Body::ArchiveEvents(ArchiveEvents {
            first: number / 9 % 3,
            last: number,
            root: a.into_bytes(),
            hash: vec![8; 32],
        }),
        0 => Body::PutPool(PutPool {
            name: a,
            definition_json: b,
            expected_version: number / 8 % 3,
            create_only: number.is_multiple_of(16),
        }),
        1 => remove_pool(&a),
        2 => Body::BindWorker(BindWorker {
            session_id,
            pool: a,
            node: number,
            worker: b,
            replaces: c,
        }),
        3 => unbind(&session_id, &a, &b),
        4 => Body::StartCall(CallStart {
            of_session: a,
            pool: b,
            tool: c,
            idempotency_key: d,
            arguments_digest: e.into_bytes(),
            deadline_ms: number,
            ..call_start(&session_id, "c")
        }),
        5 => Body::EndCall(CallEnd {
            worker: a,
            tool: b,
            outcome: c,
            error_type: d,
            result: e.into_bytes(),
            duration_us: number,
            ..call_end(&session_id, "c")
        }),
        6 => Body::PutChunks(CallChunks {
            of_session: a,
            first: number,
            chunks: vec![b.into_bytes(), c.into_bytes()],
            ..call_chunks(&session_id, &d)
        }),
        _ => record(vec![CallRecord {
            session_id,
            pool: a,
            tool: b,
            principal: c,
            error_type: d,
            ..call_record(&e)
        }]),
    }
}
