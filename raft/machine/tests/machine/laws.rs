//! Laws that every sequence of commands keeps. proptest prints the seed of a sequence that breaks one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use snakepit_machine::{
    AddDependency, Answer, ArchiveEvents, BINDINGS_PER_SESSION_MAX, BindWorker, Body, CallChunks,
    CallEnd, CallRecord, CallStart, Checked, Command, CreateSession, DeleteProgram, EraseSubject,
    Event, ExpireProgram, ImportSession, ImportedProgram, ImportedVariable, Kept, Limits,
    MemoryRows, Payload, PutPool, PutProgram, PutSubject, RegisterTools, RegisterVariable,
    RollbackVariable, Row, RowKey, RowsExt, Sealed, SessionConfig, SessionRow, SetAccess,
    SetVariable, SetVariables, StartOptimization, StopOptimization, Value, VariableRow, replay,
};

use crate::support::*;

const SESSIONS: [&str; 3] = ["a", "b", "ab"];
/// The third is what an early variable's id looks like.
const NAMES: [&str; 4] = ["x", "y", "var_x_2", "var_x_3"];
const REQUESTS: [&str; 12] = ["", "", "", "", "", "", "", "p", "q", "r", "bq", "1:ap"];

/// A command, and how much later than the one before it comes; earlier where negative. Where it `holds`, it
/// carries the id of a lock of its session.
#[derive(Clone, Debug)]
struct Act {
    later_ms: i64,
    holds: bool,
    command: Command,
}

/// One of them more often than the others, so that something happens in it.
fn one_session() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(SESSIONS[0]), 1 => Just(SESSIONS[1]), 1 => Just(SESSIONS[2])]
}

fn one_name() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(NAMES[0]), 4 => Just(NAMES[1]), 1 => Just(NAMES[2]), 1 => Just(NAMES[3])]
}

fn identifier() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => one_name().prop_map(str::to_owned),
        1 => (one_name(), 1..40u64).prop_map(|(name, n)| format!("var_{name}_{n}")),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        12 => (-2..12i64).prop_map(int),
        1 => Just(Value::Float(f64::NAN)),
        1 => Just(Value::Float(3.0)),
        1 => "[a-c]{0,3}".prop_map(|letters| text(&letters)),
        1 => any::<bool>().prop_map(Value::Boolean),
    ]
}

fn one_update() -> impl Strategy<Value = SetVariable> {
    let expected = prop_oneof![3 => Just(0), 1 => 1..4u64];
    let value = prop_oneof![8 => value().prop_map(Ok), 1 => Just(Err("unreadable".to_owned()))];
    (identifier(), value, expected).prop_map(|(identifier, value, expected_version)| SetVariable {
        identifier,
        value,
        expected_version,
    })
}

fn rules() -> impl Strategy<Value = &'static str> {
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

fn dependency_kind() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["derives", "relates", "derives", "requires", "other"])
}

fn imported() -> impl Strategy<Value = Body> {
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
fn other_body() -> impl Strategy<Value = Body> {
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
fn work() -> impl Strategy<Value = Body> {
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

fn body() -> impl Strategy<Value = Body> {
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

fn act() -> impl Strategy<Value = Act> {
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

fn small() -> Machine {
    let limits = Limits {
        sessions_max: 2,
        variables_per_session_max: 3,
        dependencies_per_variable_max: 2,
        programs_per_session_max: 2,
        global_programs_max: 2,
        tools_per_session_max: 2,
        pools_max: 2,
        ..Limits::default()
    };
    Machine::limited(limits)
}

/// Answers that must be given again.
#[derive(Default)]
struct Answers {
    living: BTreeMap<(String, String), Answer>,
    outliving: BTreeMap<(String, String), Answer>,
}

impl Answers {
    fn expected(&self, machine: &Machine, time_ms: u64, command: &Command) -> Option<&Answer> {
        let session_id = command.body.session_id();
        let key = (session_id.to_owned(), command.origin.request_id.clone());
        let begins_or_ends = matches!(
            command.body,
            Body::CreateSession(_)
                | Body::ImportSession(_)
                | Body::DeleteSession(_)
                | Body::ExpireSession(_)
        );
        if begins_or_ends || session_id.is_empty() {
            return self.outliving.get(&key);
        }
        let time_ms = time_ms.max(machine.head().time_ms);
        let session = machine.rows.session(session_id).unwrap();
        session
            .filter(|session| session.alive_at(time_ms))
            .and_then(|_| self.living.get(&key))
    }

    fn learn(&mut self, event: &Event) {
        let key = (event.session_id.clone(), event.cause.request_id.clone());
        let ends = matches!(
            event.payload,
            Payload::SessionDeleted | Payload::SessionExpired { .. }
        );
        if ends {
            self.living
                .retain(|(session_id, _), _| *session_id != event.session_id);
        }
        let Some(answer) = &event.answer else { return };
        let begins = matches!(
            answer,
            Answer::SessionCreated { .. } | Answer::SessionImported { .. }
        );
        let kept = if ends || begins || event.session_id.is_empty() {
            &mut self.outliving
        } else {
            &mut self.living
        };
        assert_eq!(
            kept.insert(key, answer.clone()),
            None,
            "a kept answer was given anew"
        );
    }
}

/// What a command may do, by its kind.
fn check_step(command: &Command, did: &Did) {
    assert_eq!(
        did.events.is_empty(),
        did.changes.rows.is_empty() && did.changes.cleared.is_empty()
    );
    if did.outcome.is_err() {
        assert_eq!(did.events, []);
    }
    let Body::SetVariables(body) = &command.body else {
        return;
    };
    let Ok(Answer::VariablesSet { versions, refused }) = &did.outcome else {
        return;
    };
    if body.atomic && !refused.is_empty() {
        assert_eq!(did.events, []);
        // With a name it may be the first answer, to another command of that name.
        assert!(versions.is_empty() || !command.origin.request_id.is_empty());
    }
    if did.events.is_empty() {
        return;
    }
    assert_eq!(did.events.len(), versions.len());
    if body.atomic {
        assert_eq!(
            did.events.len(),
            body.updates.len(),
            "an atomic batch is all or nothing"
        );
        assert!(refused.is_empty());
    } else {
        let distinct: BTreeSet<_> = body
            .updates
            .iter()
            .map(|update| &update.identifier)
            .collect();
        let answered: BTreeSet<_> = versions.keys().chain(refused.keys()).collect();
        assert_eq!(answered, distinct, "each is answered");
    }
}

/// A session's rows.
#[derive(Default)]
struct Held<'a> {
    variables: BTreeMap<&'a str, &'a VariableRow>,
    programs: u64,
    tools: u64,
    answers: BTreeMap<u64, BTreeSet<&'a str>>,
}

/// What is true of rows at any time.
fn check_rows(rows: &MemoryRows) {
    let mut sessions: BTreeMap<&str, &SessionRow> = BTreeMap::new();
    let (mut deadlines, mut program_deadlines) = (Vec::new(), Vec::new());
    let mut global = Vec::new();
    let mut archived = 0;
    let mut subjects = 0;
    let mut pools = 0;
    let mut held: BTreeMap<&str, Held<'_>> = BTreeMap::new();
    for (key, row) in rows.iter() {
        match (key, row) {
            (RowKey::Head, Row::Head(_)) => {}
            (RowKey::Session(id), Row::Session(session)) => {
                assert_eq!(*id, session.id);
                sessions.insert(id.as_str(), session);
            }
            (RowKey::Variable(session, name), Row::Variable(variable)) => {
                assert_eq!(*name, variable.name);
                assert!(variable.id.starts_with(&format!("var_{name}_")));
                let held = held.entry(session).or_default();
                held.variables.insert(name, variable);
            }
            (RowKey::Request(session, epoch, id), Row::Request(_)) => {
                let held = held.entry(session).or_default();
                assert!(
                    held.answers.entry(*epoch).or_default().insert(id),
                    "one request twice"
                );
            }
            (RowKey::Deadline(time_ms, session), Row::Deadline) => {
                deadlines.push((*time_ms, session.as_str()))
            }
            (RowKey::ProgramDeadline(time_ms, id), Row::Deadline) => {
                program_deadlines.push((*time_ms, id.as_str()))
            }
            (RowKey::Program(session, id), Row::Program(program)) => {
                assert_eq!(*id, program.id);
                assert_eq!(session.is_empty(), program.ttl_ms != 0);
                held.entry(session).or_default().programs += 1;
                if session.is_empty() {
                    global.push((program.deadline_ms(), id.as_str()));
                }
            }
            (RowKey::Tool(session, name), Row::Tool(tool)) => {
                assert_eq!(*name, tool.name);
                held.entry(session).or_default().tools += 1;
            }
            (RowKey::Pool(name), Row::Pool(pool)) => {
                assert_eq!(*name, pool.name);
                assert!(pool.version > 0 && pool.created_ms <= pool.updated_ms);
                pools += 1;
            }
            (RowKey::Subject(name), Row::Subject(subject)) => {
                assert_eq!(*name, subject.name);
                subjects += 1;
            }
            (RowKey::Segment(first), Row::Segment(segment)) => {
                assert_eq!((*first, segment.first), (archived + 1, archived + 1));
                assert!(segment.last >= segment.first);
                archived = segment.last;
            }
            (key, row) => panic!("{key:?} holds {row:?}"),
        }
    }
    let head = rows.head().unwrap();
    assert_eq!(head.archived, archived);
    assert_eq!(head.subjects, subjects);
    assert!(archived == 0 || archived < head.position);
    assert_eq!(head.sessions, sessions.len() as u64);
    assert_eq!(head.pools, pools);
    assert!(head.pools_position <= head.position);
    let mut wanted: Vec<_> = sessions
        .values()
        .map(|row| (row.deadline_ms(), row.id.as_str()))
        .collect();
    wanted.sort_unstable();
    assert_eq!(
        deadlines, wanted,
        "one deadline for each session, and no other"
    );
    global.sort_unstable();
    assert_eq!(
        program_deadlines, global,
        "one deadline for each global program, and no other"
    );
    let of_none = held.remove("").unwrap_or_default();
    assert_eq!(head.programs, of_none.programs);
    assert!(of_none.variables.is_empty() && of_none.tools == 0);
    check_answers(head.answers, &of_none);
    for (id, session) in sessions {
        let held = held.remove(id).unwrap_or_default();
        assert_eq!(session.variables, held.variables.len() as u64);
        assert_eq!(session.programs, held.programs);
        assert_eq!(session.tools, held.tools);
        assert!(session.bindings.len() <= BINDINGS_PER_SESSION_MAX);
        check_answers(session.answers, &held);
        check_variables(session, &held.variables);
    }
    assert!(held.is_empty(), "rows of no session");
}

fn check_answers(kept: Kept, held: &Held<'_>) {
    let now = held.answers.get(&kept.epoch);
    assert_eq!(now.map_or(0, |now| now.len() as u64), kept.count);
    assert!(held.answers.keys().all(|epoch| *epoch == kept.epoch));
}

/// Locks, dependencies and chains of one session.
fn check_variables(session: &SessionRow, variables: &BTreeMap<&str, &VariableRow>) {
    let locked = variables.values().filter(|row| row.lock.is_some());
    let locked: BTreeSet<String> = locked.map(|row| row.name.clone()).collect();
    assert_eq!(session.locked, locked);
    for (name, row) in variables {
        assert_eq!(row.chain.len(), row.version.count_ones() as usize);
        assert!(row.chain.is_sorted_by(|later, earlier| later > earlier));
        for (to, kind) in &row.depends_on {
            assert_eq!(variables[to.as_str()].dependents.get(*name), Some(kind));
        }
        for (from, kind) in &row.dependents {
            assert_eq!(variables[from.as_str()].depends_on.get(*name), Some(kind));
        }
    }
    // What depends on nothing that is left is peeled off, until nothing is left.
    let mut left: BTreeSet<&str> = variables.keys().copied().collect();
    while !left.is_empty() {
        let free = left.iter().copied().find(|name| {
            let depends_on = &variables[name].depends_on;
            depends_on.keys().all(|to| !left.contains(to.as_str()))
        });
        assert!(free.is_some_and(|free| left.remove(free)), "a cycle");
    }
}

/// What is true of events, from the first on.
fn check_events(events: &[Event]) {
    let mut revisions: BTreeMap<&str, u64> = BTreeMap::new();
    // Positions of a variable's versions; `None` once it is deleted.
    let mut versions: BTreeMap<&str, Option<Vec<u64>>> = BTreeMap::new();
    let mut optimizations = BTreeSet::new();
    let mut pools: BTreeMap<&str, u64> = BTreeMap::new();
    let mut bound: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut time_ms = 0;
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event.position, number as u64 + 1);
        assert!(event.time_ms >= time_ms, "time goes back");
        time_ms = event.time_ms;
        let revision = revisions.entry(&event.session_id).or_default();
        *revision += 1;
        assert_eq!(event.revision, *revision);
        match &event.payload {
            Payload::SessionDeleted | Payload::SessionExpired { .. } => {
                revisions.remove(event.session_id.as_str());
                bound.retain(|(session, _), _| *session != event.session_id);
            }
            Payload::PoolPut { name, version, .. } => {
                let before = pools.insert(name, *version).unwrap_or_default();
                assert_eq!(*version, before + 1);
            }
            Payload::PoolRemoved { name, version } => {
                assert_eq!(pools.remove(name.as_str()), Some(*version));
            }
            Payload::WorkerBound { pool, worker, .. } => {
                let before = bound.insert((&event.session_id, pool), worker);
                assert_ne!(before, Some(worker.as_str()), "bound twice");
            }
            Payload::WorkerUnbound { pool, worker, .. } => {
                let before = bound.remove(&(event.session_id.as_str(), pool.as_str()));
                assert_eq!(before, Some(worker.as_str()));
            }
            #[rustfmt::skip]
            Payload::VariableRegistered { id, version, past, .. }
            | Payload::VariableSet { id, version, past, .. }
            | Payload::VariableRolledBack { id, version, past, .. } => {
                let positions = versions.entry(id).or_insert_with(|| Some(Vec::new()));
                let positions = positions.as_mut().expect("a deleted variable's id");
                assert_eq!(*version, positions.len() as u64 + 1, "versions of {id}");
                let at = |version: u64| match version {
                    0 => 0,
                    version => positions[usize::try_from(version).unwrap() - 1],
                };
                let skip = version & (version - 1);
                assert_eq!((past.previous, past.skip), (at(version - 1), at(skip)));
                positions.push(event.position);
            }
            Payload::VariableDeleted { id, version, .. } => {
                let positions = versions.insert(id, None).flatten();
                assert_eq!(positions.map(|all| all.len() as u64), Some(*version));
            }
            Payload::SessionCreated { .. } => assert_eq!(event.revision, 1),
            Payload::OptimizationStarted {
                optimization_id,
                renewed,
                ..
            } => assert_eq!(optimizations.insert(optimization_id), !renewed),
            _ => {}
        }
    }
}

/// The id of a lock of that session.
fn lock_id(rows: &MemoryRows, session_id: &str) -> Option<String> {
    rows.iter().find_map(|(key, row)| match (key, row) {
        (RowKey::Variable(of, _), Row::Variable(row)) if of == session_id => {
            row.lock.as_ref().map(|lock| lock.optimization_id.clone())
        }
        _ => None,
    })
}

fn run(acts: &[Act], mut check: impl FnMut(&Machine, u64, &Command, &Did, &Machine)) -> Machine {
    let mut machine = small();
    let mut clock = 1_000_000i64;
    // Something to begin with.
    let setup = [
        create("a", 60_000),
        register("a", "x", "integer", int(1)),
        register("a", "y", "integer", int(1)),
    ];
    let setup = setup.map(|body| Act {
        later_ms: 0,
        holds: false,
        command: command("", body),
    });
    for act in setup.iter().chain(acts) {
        clock += act.later_ms;
        let time_ms = u64::try_from(clock.max(0)).unwrap();
        let before = machine.clone();
        let mut command = act.command.clone();
        if act.holds {
            let held = lock_id(&machine.rows, command.body.session_id());
            command.origin.optimization_id = held.unwrap_or_default();
        }
        if let Body::RollbackVariable(body) = &mut command.body
            && let Some(row) = machine.rows.variable(&body.session_id, &body.id).unwrap()
        {
            body.id = row.id.clone();
        }
        let did = machine.step(time_ms, &command);
        check(&before, time_ms, &command, &did, &machine);
    }
    machine
}

fn any_text() -> impl Strategy<Value = String> {
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

fn any_value() -> impl Strategy<Value = Value> {
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
fn arbitrary_body() -> impl Strategy<Value = Body> {
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

fn key_of(subject: &str) -> String {
    format!("{:0>32}", subject.len())
}

fn put_subject(subject: &str) -> Body {
    Body::PutSubject(PutSubject {
        name: subject.into(),
        key_id: key_of(subject),
    })
}

fn erase_subject(subject: &str) -> Body {
    Body::EraseSubject(EraseSubject {
        name: subject.into(),
    })
}

/// A sealed session, or one that says so only in its id.
fn open_sealed(subject: &str, sealed: bool) -> Body {
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
fn register_sealed(subject: &str, sealed: bool) -> Body {
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

fn archive(first: u64, last: u64) -> Body {
    Body::ArchiveEvents(ArchiveEvents {
        first,
        last,
        root: vec![7; 32],
        hash: vec![8; 32],
    })
}

fn arbitrary_work(session_id: String, texts: [String; 5], number: u64) -> Body {
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

proptest! {
    #[test]
    fn rows_and_events_keep_their_shape(acts in prop::collection::vec(act(), 1..60)) {
        let mut answers = Answers::default();
        let machine = run(&acts, |before, time_ms, command, did, after| {
            if let Some(answer) = answers.expected(before, time_ms, command) {
                did.only_answers(answer.clone());
            }
            check_step(command, did);
            check_rows(&after.rows);
            did.events.iter().for_each(|event| answers.learn(event));
        });
        check_events(&machine.events);
    }

    #[test]
    fn a_replay_of_the_events_gives_the_rows(acts in prop::collection::vec(act(), 1..60)) {
        let mut replayed = MemoryRows::default();
        run(&acts, |_, _, _, did, after| {
            for event in &did.events {
                replay(&mut replayed, event).unwrap();
            }
            assert_eq!(replayed, after.rows);
        });
    }

    #[test]
    fn the_same_commands_do_the_same(acts in prop::collection::vec(act(), 1..60)) {
        let log = || {
            let mut log = String::new();
            let machine = run(&acts, |_, _, _, did, _| log += &format!("{did:?}\n"));
            format!("{log}{:?}", machine.rows)
        };
        prop_assert_eq!(log(), log());
    }

    #[test]
    fn a_session_that_ends_leaves_nothing(acts in prop::collection::vec(act(), 1..60)) {
        let mut machine = run(&acts, |_, _, _, _, _| {});
        for session in SESSIONS.into_iter().chain(["sealed:ada", "sealed:bo"]) {
            let end = machine.head().time_ms + 1_000_000;
            machine.run(end, expire(session)).outcome.unwrap();
        }
        let left = machine.keys().into_iter().filter(|key| match key {
            RowKey::Head => false,
            RowKey::Request(session, ..) | RowKey::Program(session, _) => !session.is_empty(),
            RowKey::ProgramDeadline(..)
            | RowKey::Pool(_)
            | RowKey::Segment(_)
            | RowKey::Subject(_) => false,
            _ => true,
        });
        prop_assert_eq!(left.collect::<Vec<_>>(), vec![]);
        prop_assert_eq!(machine.head().sessions, 0);
    }

    #[test]
    fn values_are_counted(acts in prop::collection::vec(act(), 1..60)) {
        let mut updates: BTreeMap<String, u64> = BTreeMap::new();
        run(&acts, |_, _, _, did, after| {
            for event in &did.events {
                match &event.payload {
                    Payload::SessionCreated { .. } => {
                        updates.insert(event.session_id.clone(), 0);
                    }
                    Payload::VariableRegistered { .. }
                    | Payload::VariableSet { .. }
                    | Payload::VariableRolledBack { .. } => {
                        *updates.get_mut(&event.session_id).unwrap() += 1;
                    }
                    _ => {}
                }
                if let Some(row) = after.rows.session(&event.session_id).unwrap() {
                    assert_eq!(row.revision, did.events.last().unwrap().revision);
                }
            }
            for session in SESSIONS {
                if let Some(row) = after.rows.session(session).unwrap() {
                    assert_eq!(row.updates, updates[session]);
                }
            }
        });
    }

    #[test]
    fn no_text_stops_the_machine(acts in prop::collection::vec((arbitrary_body(), any_text()), 1..20)) {
        let mut machine = Machine::with_session("s");
        machine.register(T0, "s", "v", 1).outcome.unwrap();
        for (body, who) in acts {
            let mut command = command(&who, body);
            command.origin.principal.name.clone_from(&who);
            command.origin.optimization_id = who;
            let did = machine.step(T0, &command);
            check_step(&command, &did);
        }
        check_rows(&machine.rows);
        machine.check_replay();
    }
}

#[test]
fn the_laws_see_every_event_and_every_refusal() {
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(act(), 60);
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for _ in 0..400 {
        let acts = strategy.new_tree(&mut runner).unwrap().current();
        run(&acts, |_, _, _, did, _| {
            for event in &did.events {
                *seen.entry(event.payload.name()).or_default() += 1;
            }
            let refused = match &did.outcome {
                Err(rejection) => vec![rejection],
                Ok(Answer::VariablesSet { refused, .. }) => refused.values().collect(),
                Ok(_) => vec![],
            };
            for rejection in refused {
                *seen.entry(rejection.kind.name()).or_default() += 1;
            }
        });
    }
    let wanted = [
        "SessionCreated",
        "SessionTouched",
        "SessionDeleted",
        "SessionExpired",
        "VariableRegistered",
        "VariableSet",
        "VariableDeleted",
        "VariableRolledBack",
        "VariableAccessSet",
        "DependencyAdded",
        "DependencyRemoved",
        "OptimizationStarted",
        "OptimizationStopped",
        "ProgramPut",
        "ProgramDeleted",
        "ProgramExpired",
        "ToolsRegistered",
        "PoolPut",
        "PoolRemoved",
        "WorkerBound",
        "WorkerUnbound",
        "CallStarted",
        "CallEnded",
        "CallChunksPut",
        "CallsRecorded",
        "EventsArchived",
        "SubjectPut",
        "SubjectErased",
        "invalid",
        "not_found",
        "already_exists",
        "conflict",
        "refused",
        "exhausted",
        "denied",
    ];
    for name in wanted {
        let times = seen.get(name).copied().unwrap_or_default();
        assert!(times >= 20, "{name}: {times} times, of {seen:?}");
    }
}
