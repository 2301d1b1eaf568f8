//! Each format as a file: what is encoded today is what was encoded when the format was made, and what was
//! encoded then can be decoded. A difference is a new version, not a new file; for a new format run
//! `GOLDEN_WRITE=1 cargo test -p snakepit-storage golden`, which writes files that are missing.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;

use snakepit_machine::*;

use super::payload::EntryPayload;
use super::*;
use crate::traits::{EntryId, LogEntry, MembershipRecord, NodeAddress, VoteRecord};
use crate::tree::{Frontier, Place};

fn golden<T: PartialEq + Debug>(
    name: &str,
    value: &T,
    encode: impl Fn(&T) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> T,
) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(format!("{name}.hex"));
    let encoded = encode(value);
    if std::env::var_os("GOLDEN_WRITE").is_some() && !path.exists() {
        std::fs::write(&path, to_hex(&encoded)).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; GOLDEN_WRITE=1 writes files that are missing",
            path.display()
        )
    });
    assert_eq!(
        to_hex(&encoded),
        text,
        "{name} is encoded in another way: that needs a new version"
    );
    assert_eq!(
        decode(&from_hex(&text)),
        *value,
        "{name} is decoded in another way"
    );
}

fn kept() -> Kept {
    Kept {
        epoch: 1,
        count: 2,
        began_ms: 1_700_000_000_000,
    }
}

fn to_hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(32).map(|line| {
        let line: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
        line + "\n"
    });
    lines.collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn reads() -> CallReads {
    let read = |name: &str, version: u64| CallRead {
        session_id: "session-1".into(),
        name: name.into(),
        version,
    };
    CallReads {
        noted: vec![read("x", 3), read("y", 1)],
        left_out: 7,
    }
}

pub(super) fn commands() -> Vec<(&'static str, Command)> {
    let session_id = || "session-1".to_owned();
    let bodies = vec![
        (
            "create_session",
            Body::CreateSession(CreateSession {
                session_id: session_id(),
                metadata: map(&[("a", "b"), ("c", "")]),
                ttl_ms: 3_600_000,
                config: SessionConfig::default(),
                subject: String::new(),
            }),
        ),
        (
            "delete_session",
            Body::DeleteSession(DeleteSession {
                session_id: session_id(),
                force: true,
            }),
        ),
        (
            "touch_session",
            Body::TouchSession(TouchSession {
                session_id: session_id(),
            }),
        ),
        (
            "expire_session",
            Body::ExpireSession(ExpireSession {
                session_id: session_id(),
            }),
        ),
        (
            "register_variable",
            Body::RegisterVariable(RegisterVariable {
                session_id: session_id(),
                name: "x".into(),
                type_name: "integer".into(),
                value: Value::Integer("-123456789012345678901234567890".parse().unwrap()),
                constraints_json: r#"{"min":-1}"#.into(),
                metadata: map(&[("k", "v")]),
                access_json: "{}".into(),
            }),
        ),
        (
            "set_variables",
            Body::SetVariables(SetVariables {
                session_id: session_id(),
                atomic: true,
                updates: vec![
                    SetVariable {
                        identifier: "x".into(),
                        value: Ok(Value::Float(-0.5)),
                        expected_version: 3,
                    },
                    SetVariable {
                        identifier: "var_y_1".into(),
                        value: Ok(Value::Boolean(true)),
                        expected_version: 0,
                    },
                    SetVariable {
                        identifier: "z".into(),
                        value: Err("not JSON".into()),
                        expected_version: 0,
                    },
                ],
                metadata: map(&[]),
            }),
        ),
        (
            "delete_variable",
            Body::DeleteVariable(DeleteVariable {
                session_id: session_id(),
                identifier: "x".into(),
            }),
        ),
        (
            "rollback_variable",
            Body::RollbackVariable(RollbackVariable {
                session_id: session_id(),
                id: "var_x_1".into(),
                target_version: 2,
                value: Value::Array(
                    Array::new(Dtype::Float32, vec![2, 1], vec![0, 1, 2, 3, 4, 5, 6, 7]).unwrap(),
                ),
                expected_version: 5,
                metadata: map(&[]),
            }),
        ),
        (
            "set_access",
            Body::SetAccess(SetAccess {
                session_id: session_id(),
                identifier: "x".into(),
                access_json: "{}".into(),
            }),
        ),
        (
            "add_dependency",
            Body::AddDependency(AddDependency {
                session_id: session_id(),
                from: "x".into(),
                to: "y".into(),
                kind: "derives".into(),
            }),
        ),
        (
            "remove_dependency",
            Body::RemoveDependency(RemoveDependency {
                session_id: session_id(),
                from: "x".into(),
                to: "y".into(),
            }),
        ),
        (
            "start_optimization",
            Body::StartOptimization(StartOptimization {
                session_id: session_id(),
                identifier: "x".into(),
                optimizer_id: "mipro".into(),
                config: map(&[("trials", "5")]),
                lease_ms: 30_000,
            }),
        ),
        (
            "stop_optimization",
            Body::StopOptimization(StopOptimization {
                session_id: session_id(),
                identifier: "x".into(),
                optimization_id: "opt_x_9".into(),
                force: false,
            }),
        ),
        (
            "put_program",
            Body::PutProgram(PutProgram {
                session_id: String::new(),
                program_id: "program-1".into(),
                value: Value::List("[1]".into()),
                metadata: map(&[]),
                expected_version: 0,
                ttl_ms: 3_600_000,
            }),
        ),
        (
            "delete_program",
            Body::DeleteProgram(DeleteProgram {
                session_id: session_id(),
                program_id: "program-1".into(),
            }),
        ),
        (
            "expire_program",
            Body::ExpireProgram(ExpireProgram {
                program_id: "program-1".into(),
            }),
        ),
        (
            "register_tools",
            Body::RegisterTools(RegisterTools {
                session_id: session_id(),
                worker_id: "python-1".into(),
                tools: [("train".to_owned(), vec![1, 2, 3])].into(),
            }),
        ),
        (
            "import_session",
            Body::ImportSession(ImportSession {
                session_id: session_id(),
                imported_from: "session-0".into(),
                metadata: map(&[]),
                ttl_ms: 3_600_000,
                config: SessionConfig::default(),
                variables: [(
                    "x".to_owned(),
                    ImportedVariable {
                        type_name: "bytes".into(),
                        value: Value::Bytes(vec![0, 255]),
                        constraints_json: String::new(),
                        metadata: map(&[]),
                        access_json: String::new(),
                        depends_on: map(&[("y", "relates")]),
                    },
                )]
                .into(),
                programs: [(
                    "program-1".to_owned(),
                    ImportedProgram {
                        value: Value::Null,
                        metadata: map(&[]),
                    },
                )]
                .into(),
                subject: String::new(),
            }),
        ),
    ];
    let bodies = bodies.into_iter().chain(of_pools_and_calls());
    let origin = Origin {
        request_id: "request-1".into(),
        principal: Principal {
            name: "alice".into(),
            verified: true,
        },
        call_id: "call-1".into(),
        tool: "tool".into(),
        worker: "worker-1".into(),
        node: 2,
        optimization_id: "opt_x_9".into(),
    };
    let with_origin = |body| Command {
        origin: origin.clone(),
        body,
    };
    bodies
        .map(|(name, body)| (name, with_origin(body)))
        .collect()
}

fn of_pools_and_calls() -> Vec<(&'static str, Body)> {
    let session_id = || "session-1".to_owned();
    vec![
        (
            "put_pool",
            Body::PutPool(PutPool {
                name: "pool-1".into(),
                definition_json: r#"{"size":2}"#.into(),
                expected_version: 3,
                create_only: true,
            }),
        ),
        (
            "remove_pool",
            Body::RemovePool(RemovePool {
                name: "pool-1".into(),
            }),
        ),
        (
            "archive_events",
            Body::ArchiveEvents(ArchiveEvents {
                first: 1,
                last: 300,
                root: vec![7; 32],
                hash: vec![8; 32],
            }),
        ),
        (
            "put_subject",
            Body::PutSubject(PutSubject {
                name: "ada".into(),
                key_id: "0".repeat(32),
            }),
        ),
        (
            "erase_subject",
            Body::EraseSubject(EraseSubject { name: "ada".into() }),
        ),
        (
            "set_sealed",
            Body::SetVariables(SetVariables {
                session_id: "sealed:ada".into(),
                atomic: true,
                updates: vec![SetVariable {
                    identifier: "x".into(),
                    value: Ok(Value::Sealed(Sealed {
                        key_id: "0".repeat(32),
                        data: vec![1, 2, 3],
                        checked: Some(Box::new(Checked {
                            type_name: "integer".into(),
                            constraints_json: r#"{"min":1}"#.into(),
                        })),
                    })),
                    expected_version: 2,
                }],
                metadata: map(&[]),
            }),
        ),
        (
            "bind_worker",
            Body::BindWorker(BindWorker {
                session_id: session_id(),
                pool: "pool-1".into(),
                node: 2,
                worker: "worker-2".into(),
                replaces: "worker-1".into(),
            }),
        ),
        (
            "unbind_worker",
            Body::UnbindWorker(UnbindWorker {
                session_id: session_id(),
                pool: "pool-1".into(),
                worker: "worker-2".into(),
            }),
        ),
        (
            "start_call",
            Body::StartCall(CallStart {
                session_id: session_id(),
                of_session: session_id(),
                call_id: "call-2".into(),
                pool: "pool-1".into(),
                tool: "train".into(),
                tool_version: "1.2".into(),
                idempotency_key: "key-1".into(),
                arguments: vec![1, 2],
                arguments_digest: vec![8; 32],
                deadline_ms: 30_000,
                attempt: 1,
            }),
        ),
        (
            "end_call",
            Body::EndCall(CallEnd {
                session_id: session_id(),
                of_session: session_id(),
                call_id: "call-2".into(),
                pool: "pool-1".into(),
                tool: "train".into(),
                worker: "worker-2".into(),
                node: 2,
                outcome: "raised".into(),
                error_type: "ValueError".into(),
                result: vec![3, 4],
                result_digest: vec![9; 32],
                duration_us: 70_000,
                queued_us: 300,
                chunks: 5,
                attempts: 2,
                idempotency_key: "key-1".into(),
                reads: reads(),
            }),
        ),
        (
            "put_chunks",
            Body::PutChunks(CallChunks {
                session_id: session_id(),
                of_session: session_id(),
                call_id: "call-2".into(),
                batch: 1,
                first: 3,
                chunks: vec![vec![5, 6], vec![]],
            }),
        ),
        (
            "record_calls",
            Body::RecordCalls(RecordCalls {
                calls: vec![CallRecord {
                    call_id: "call-3".into(),
                    session_id: session_id(),
                    pool: "pool-1".into(),
                    tool: "train".into(),
                    tool_version: "1.2".into(),
                    worker: "worker-2".into(),
                    node: 2,
                    principal: "alice".into(),
                    request_id: "request-2".into(),
                    outcome: "ok".into(),
                    error_type: String::new(),
                    arguments_digest: vec![8; 32],
                    result_digest: vec![9; 32],
                    started_ms: 1_700_000_000_000,
                    duration_us: 70_000,
                    queued_us: 300,
                    reads: reads(),
                }],
            }),
        ),
    ]
}

pub(super) fn proposal() -> Proposal {
    let commands = commands().into_iter().map(|(_, command)| command).collect();
    Proposal {
        time_ms: 1_700_000_000_000,
        limits: Limits::default(),
        commands,
    }
}

pub(super) fn membership() -> MembershipRecord {
    let address = |node: u64| NodeAddress {
        client: format!("127.0.0.1:{}", 7000 + node),
        peer: format!("127.0.0.1:{}", 7100 + node),
        http: format!("127.0.0.1:{}", 7200 + node),
    };
    MembershipRecord {
        configs: vec![[1, 2, 3].into(), [1, 2].into()],
        nodes: (1..=4).map(|node| (node, address(node))).collect(),
    }
}

pub(super) fn outcomes() -> Vec<(&'static str, Outcome)> {
    let refused = Rejection::exhausted("too many");
    vec![
        (
            "session_created",
            Ok(Answer::SessionCreated { created: true }),
        ),
        (
            "session_deleted",
            Ok(Answer::SessionDeleted {
                existed: true,
                resources: 300,
            }),
        ),
        (
            "session_touched",
            Ok(Answer::SessionTouched { valid: false }),
        ),
        (
            "variable_registered",
            Ok(Answer::VariableRegistered {
                id: "var_x_1".into(),
                version: 1,
            }),
        ),
        (
            "variables_set",
            Ok(Answer::VariablesSet {
                versions: [("x".to_owned(), 2)].into(),
                refused: [("y".to_owned(), refused.clone())].into(),
            }),
        ),
        ("variable_deleted", Ok(Answer::VariableDeleted)),
        ("done", Ok(Answer::Done { existed: true })),
        (
            "optimization_started",
            Ok(Answer::OptimizationStarted {
                optimization_id: "opt_x_9".into(),
                expires_ms: 1_700_000_030_000,
            }),
        ),
        (
            "variable_rolled_back",
            Ok(Answer::VariableRolledBack {
                version: 3,
                position: 9,
            }),
        ),
        (
            "optimization_stopped",
            Ok(Answer::OptimizationStopped {
                existed: true,
                position: 9,
            }),
        ),
        ("program_put", Ok(Answer::ProgramPut { version: 2 })),
        (
            "session_imported",
            Ok(Answer::SessionImported {
                variables: 2,
                programs: 1,
            }),
        ),
        ("pool_put", Ok(Answer::PoolPut { version: 2 })),
        (
            "worker_bound",
            Ok(Answer::WorkerBound {
                node: 2,
                worker: "worker-2".into(),
                bound: true,
            }),
        ),
        (
            "call_started",
            Ok(Answer::CallStarted {
                call_id: "call-2".into(),
                node: 2,
                position: 9,
            }),
        ),
        (
            "call_ended",
            Ok(Answer::CallEnded {
                outcome: "ok".into(),
                result: vec![3, 4],
                position: 9,
            }),
        ),
        (
            "call_chunks_put",
            Ok(Answer::CallChunksPut {
                position: 9,
                first: 3,
                count: 2,
            }),
        ),
        ("rejected", Err(refused)),
    ]
}

pub(super) fn rows() -> Vec<(&'static str, Row)> {
    vec![
        (
            "head",
            Row::Head(HeadRow {
                position: 70_000,
                time_ms: 1_700_000_000_000,
                sessions: 3,
                answers: kept(),
                revision: 9,
                programs: 4,
                pools: 2,
                pools_position: 69_000,
                archived: 300,
                subjects: 3,
                subjects_position: 200,
            }),
        ),
        (
            "session",
            Row::Session(
                SessionRow {
                    id: "session-1".into(),
                    metadata: map(&[("a", "b")]),
                    created_ms: 1_700_000_000_000,
                    ttl_ms: 3_600_000,
                    touched_ms: 1_700_000_000_001,
                    revision: 7,
                    variables: 2,
                    answers: kept(),
                    config: SessionConfig {
                        enable_caching: true,
                        cache_ttl_ms: 5_000,
                        enable_telemetry: true,
                    },
                    imported_from: "session-0".into(),
                    updates: 6,
                    programs: 1,
                    tools: 2,
                    locked: ["x".to_owned()].into(),
                    bindings: [(
                        "pool-1".to_owned(),
                        Binding {
                            node: 2,
                            worker: "worker-2".into(),
                        },
                    )]
                    .into(),
                    subject: String::new(),
                }
                .into(),
            ),
        ),
        (
            "variable",
            Row::Variable(
                VariableRow {
                    id: "var_x_1".into(),
                    name: "x".into(),
                    type_name: "string".into(),
                    value: Value::String("text".into()),
                    constraints_json: String::new(),
                    metadata: map(&[]),
                    version: 2,
                    created_ms: 1,
                    updated_ms: 2,
                    by_tool: true,
                    chain: vec![3, 2],
                    access_json: r#"{"write":{"principals":["ada"]}}"#.into(),
                    depends_on: map(&[("y", "derives")]),
                    dependents: map(&[("z", "requires")]),
                    lock: Some(Lock {
                        optimization_id: "opt_x_9".into(),
                        optimizer_id: "mipro".into(),
                        principal: "ada".into(),
                        config: map(&[("trials", "5")]),
                        started_ms: 3,
                        renewed_ms: 4,
                        lease_ms: 30_000,
                    }),
                }
                .into(),
            ),
        ),
        ("request", Row::Request(Answer::VariableDeleted)),
        ("deadline", Row::Deadline),
        (
            "program",
            Row::Program(
                ProgramRow {
                    id: "program-1".into(),
                    value: Value::Map(r#"{"a":1}"#.into()),
                    metadata: map(&[("a", "b")]),
                    version: 2,
                    created_ms: 1,
                    updated_ms: 2,
                    ttl_ms: 3_600_000,
                }
                .into(),
            ),
        ),
        (
            "tool",
            Row::Tool(ToolRow {
                name: "train".into(),
                worker_id: "python-1".into(),
                spec: vec![1, 2, 3],
            }),
        ),
        (
            "subject",
            Row::Subject(SubjectRow {
                name: "ada".into(),
                key_id: "0".repeat(32),
                created_ms: 1,
                erased_ms: 2,
            }),
        ),
        (
            "segment",
            Row::Segment(SegmentRow {
                first: 1,
                last: 300,
                root: vec![7; 32],
                hash: vec![8; 32],
                archived_ms: 3,
            }),
        ),
        (
            "pool",
            Row::Pool(PoolRow {
                name: "pool-1".into(),
                definition_json: r#"{"size":2}"#.into(),
                version: 2,
                created_ms: 1,
                updated_ms: 2,
            }),
        ),
    ]
}

#[test]
fn golden_payloads() {
    let payloads = [
        ("blank", EntryPayload::Blank),
        ("proposal", EntryPayload::Proposal(proposal())),
        ("membership", EntryPayload::Membership(membership())),
    ];
    for (name, payload) in payloads {
        let encode = |payload: &EntryPayload| payload::encode(payload).unwrap().to_vec();
        golden(&format!("payload_{name}"), &payload, encode, |bytes| {
            payload::decode(bytes).unwrap()
        });
    }
}

#[test]
fn golden_commands_and_outcomes() {
    for (name, command) in commands() {
        let encode = |command: &Command| command::encode(command).unwrap();
        golden(&format!("command_{name}"), &command, encode, |bytes| {
            command::decode(bytes).unwrap()
        });
    }
    for (name, outcome) in outcomes() {
        let encode = |outcome: &Outcome| outcome::encode(outcome).unwrap();
        golden(&format!("outcome_{name}"), &outcome, encode, |bytes| {
            outcome::decode(bytes).unwrap()
        });
    }
}

#[test]
fn golden_rows() {
    for (name, row) in rows() {
        let encode = |row: &Row| row::encode(row).unwrap();
        golden(&format!("row_{name}"), &row, encode, |bytes| {
            row::decode(bytes).unwrap()
        });
    }
}

#[test]
fn golden_keys() {
    let id = || "session-1".to_owned();
    let keys = [
        ("session", RowKey::Session(id())),
        ("variable", RowKey::Variable(id(), "x".into())),
        ("request", RowKey::Request(id(), 258, "request-1".into())),
        ("deadline", RowKey::Deadline(1_700_000_000_000, id())),
        ("program", RowKey::Program(id(), "program-1".into())),
        (
            "program_deadline",
            RowKey::ProgramDeadline(1_700_000_000_000, "program-1".into()),
        ),
        ("tool", RowKey::Tool(id(), "train".into())),
        ("pool", RowKey::Pool("pool-1".into())),
        ("segment", RowKey::Segment(300)),
        ("subject", RowKey::Subject("ada".into())),
    ];
    for (name, key) in keys {
        let (column, _) = keys::row_key(&key).unwrap();
        let encode = |key: &RowKey| keys::row_key(key).unwrap().1;
        let decode = |bytes: &[u8]| keys::decode_row_key(column, bytes).unwrap();
        golden(&format!("key_{name}"), &key, encode, decode);
    }
    golden(
        "key_log",
        &258,
        |index| keys::log::encode(*index).to_vec(),
        |bytes| keys::log::decode(bytes).unwrap(),
    );
    golden(
        "key_event",
        &258,
        |position| keys::position::encode(*position).to_vec(),
        |bytes| keys::position::decode(bytes).unwrap(),
    );
    let place = Place {
        level: 16,
        index: 258,
    };
    let encode = |place: &Place| keys::tree::encode(*place).to_vec();
    golden("key_tree", &place, encode, |bytes| {
        keys::tree::decode(bytes).unwrap()
    });
    let event = (id(), 258);
    let encode = |event: &(String, u64)| keys::session_event::encode(&event.0, event.1).unwrap();
    golden("key_session_event", &event, encode, |bytes| {
        let (id, position) = keys::session_event::decode(bytes).unwrap();
        (id.to_owned(), position)
    });
}

#[test]
fn golden_stored_values() {
    let payload = payload::encode(&EntryPayload::Blank).unwrap();
    let entry = LogEntry {
        id: EntryId { term: 3, index: 17 },
        payload,
    };
    golden("log_entry", &entry, log_entry::encode, |bytes| {
        log_entry::decode(17, bytes).unwrap()
    });
    let event = (
        stored_event::chain(&stored_event::GENESIS, b"event"),
        b"event".to_vec(),
    );
    let encode = |event: &([u8; 32], Vec<u8>)| stored_event::encode(&event.0, &event.1);
    golden("stored_event", &event, encode, |bytes| {
        let (hash, bytes) = stored_event::decode(1, bytes).unwrap();
        (hash, bytes.to_vec())
    });
}

#[test]
fn golden_marks() {
    let id = EntryId { term: 3, index: 17 };
    let vote = VoteRecord {
        term: 3,
        node_id: 2,
        committed: true,
    };
    golden(
        "meta_vote",
        &vote,
        |vote| meta::seal_vote(vote).unwrap(),
        |bytes| meta::open_vote(bytes).unwrap(),
    );
    golden(
        "meta_mark",
        &Some(id),
        |mark| meta::seal_mark(mark).unwrap(),
        |bytes| meta::open_mark(bytes).unwrap(),
    );
    let applied = meta::AppliedMeta {
        last: Some(id),
        membership_id: Some(EntryId { term: 1, index: 0 }),
        membership: membership(),
    };
    golden(
        "meta_applied",
        &applied,
        |applied| meta::seal_applied(applied).unwrap(),
        |bytes| meta::open_applied(bytes).unwrap(),
    );
    let chain = meta::ChainMeta {
        position: 70_000,
        hash: [7; 32],
        tree: (0..3).fold(Frontier::default(), |mut tree, leaf| {
            tree.push([leaf; 32], |_, _| {});
            tree
        }),
    };
    golden(
        "meta_chain",
        &chain,
        |chain| meta::seal_chain(chain).unwrap(),
        |bytes| meta::open_chain(bytes).unwrap(),
    );
}
