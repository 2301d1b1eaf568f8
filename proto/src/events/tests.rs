use std::collections::BTreeMap;

use proptest::prelude::*;
use snakepit_machine::{
    Answer, Array, CallRead, CallReads, CallRecord, Cause, Dtype, Event, Past, Payload, Principal,
    Rejection, Sealed, SessionConfig, Value,
};

use super::{decode, encode};

fn texts() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map(".{0,8}", ".{0,8}", 0..3)
}

fn value() -> impl Strategy<Value = Value> {
    let dtype = prop::sample::select(Dtype::ALL.to_vec());
    prop_oneof![
        any::<f64>().prop_map(Value::Float),
        any::<i128>().prop_map(|number| Value::Integer(number.into())),
        ".{0,16}".prop_map(Value::String),
        any::<bool>().prop_map(Value::Boolean),
        Just(Value::Null),
        any::<Vec<u8>>().prop_map(Value::Bytes),
        ".{0,16}".prop_map(Value::Map),
        ".{0,16}".prop_map(Value::List),
        (".{0,8}", any::<Vec<u8>>()).prop_map(|(key_id, data)| {
            Value::Sealed(Sealed {
                key_id,
                data,
                checked: None,
            })
        }),
        (dtype, any::<[u8; 16]>()).prop_map(|(dtype, data)| {
            let shape = vec![2, 8 / dtype.size_bytes() as u64];
            Value::Array(Array::new(dtype, shape, data.to_vec()).unwrap())
        }),
    ]
}

fn past() -> impl Strategy<Value = Past> {
    any::<(u64, u64)>().prop_map(|(previous, skip)| Past { previous, skip })
}

fn of_sessions() -> impl Strategy<Value = Payload> {
    prop_oneof![
        (texts(), any::<u64>(), any::<(bool, u64, bool)>(), ".{0,8}").prop_map(
            |(
                metadata,
                ttl_ms,
                (enable_caching, cache_ttl_ms, enable_telemetry),
                imported_from,
            )| {
                Payload::SessionCreated {
                    metadata,
                    ttl_ms,
                    config: SessionConfig {
                        enable_caching,
                        cache_ttl_ms,
                        enable_telemetry,
                    },
                    imported_from,
                    subject: format!("of {ttl_ms}"),
                }
            }
        ),
        Just(Payload::SessionTouched),
        Just(Payload::SessionDeleted),
        any::<u64>().prop_map(|deadline_ms| Payload::SessionExpired { deadline_ms }),
        (".{0,8}", value(), texts(), any::<(u64, u64)>()).prop_map(
            |(program_id, value, metadata, (version, ttl_ms))| Payload::ProgramPut {
                program_id,
                value,
                metadata,
                version,
                ttl_ms,
            }
        ),
        (".{0,8}", any::<u64>()).prop_map(|(program_id, version)| Payload::ProgramDeleted {
            program_id,
            version
        }),
        (".{0,8}", any::<u64>()).prop_map(|(program_id, deadline_ms)| Payload::ProgramExpired {
            program_id,
            deadline_ms
        }),
        (
            ".{0,8}",
            proptest::collection::btree_map(".{0,8}", any::<Vec<u8>>(), 0..3)
        )
            .prop_map(|(worker_id, tools)| Payload::ToolsRegistered { worker_id, tools }),
    ]
}

fn of_variables() -> impl Strategy<Value = Payload> {
    let named = || (".{0,8}", ".{0,8}", any::<u64>());
    prop_oneof![
        (named(), value(), texts(), ".{0,8}", past()).prop_map(
            |((id, name, version), value, metadata, access_json, past)| {
                Payload::VariableRegistered {
                    id,
                    name,
                    type_name: "float".into(),
                    value,
                    constraints_json: "{}".into(),
                    metadata,
                    version,
                    access_json,
                    past,
                }
            }
        ),
        (named(), value(), texts(), past()).prop_map(
            |((id, name, version), value, metadata, past)| Payload::VariableSet {
                id,
                name,
                value,
                metadata,
                version,
                past,
                type_name: "float".into(),
                access_json: "{}".into(),
            }
        ),
        (named(), value(), texts(), any::<u64>(), past()).prop_map(
            |((id, name, version), value, metadata, target_version, past)| {
                Payload::VariableRolledBack {
                    id,
                    name,
                    value,
                    metadata,
                    version,
                    target_version,
                    past,
                    type_name: "float".into(),
                    access_json: "{}".into(),
                }
            }
        ),
        named().prop_map(|(id, name, version)| Payload::VariableDeleted {
            id,
            name,
            version,
            type_name: "float".into(),
            access_json: "{}".into()
        }),
        (".{0,8}", ".{0,8}", ".{0,8}").prop_map(|(id, name, access_json)| {
            Payload::VariableAccessSet {
                id,
                name,
                access_json,
            }
        }),
        (".{0,8}", ".{0,8}", ".{0,8}").prop_map(|(from, to, kind)| Payload::DependencyAdded {
            from,
            to,
            kind
        }),
        (".{0,8}", ".{0,8}").prop_map(|(from, to)| Payload::DependencyRemoved { from, to }),
        (named(), ".{0,8}", ".{0,8}", texts(), any::<bool>()).prop_map(
            |((id, name, lease_ms), optimization_id, optimizer_id, config, renewed)| {
                Payload::OptimizationStarted {
                    id,
                    name,
                    optimization_id,
                    optimizer_id,
                    config,
                    lease_ms,
                    renewed,
                }
            }
        ),
        (".{0,8}", ".{0,8}", ".{0,8}", any::<bool>()).prop_map(
            |(id, name, optimization_id, forced)| Payload::OptimizationStopped {
                id,
                name,
                optimization_id,
                forced,
            }
        ),
    ]
}

fn of_pools() -> impl Strategy<Value = Payload> {
    prop_oneof![
        (".{0,8}", ".{0,8}", any::<u64>()).prop_map(|(name, definition_json, version)| {
            Payload::PoolPut {
                name,
                definition_json,
                version,
            }
        }),
        (".{0,8}", any::<u64>()).prop_map(|(name, version)| Payload::PoolRemoved { name, version }),
        (".{0,8}", any::<u64>(), ".{0,8}").prop_map(|(pool, node, worker)| Payload::WorkerBound {
            pool,
            node,
            worker
        }),
        (".{0,8}", ".{0,8}", any::<u64>())
            .prop_map(|(pool, worker, node)| Payload::WorkerUnbound { pool, worker, node }),
        (".{0,8}", ".{0,8}").prop_map(|(name, key_id)| Payload::SubjectPut { name, key_id }),
        (".{0,8}", ".{0,8}").prop_map(|(name, key_id)| Payload::SubjectErased { name, key_id }),
        any::<([u64; 2], [Vec<u8>; 2])>().prop_map(|([first, last], [root, hash])| {
            Payload::EventsArchived {
                first,
                last,
                root,
                hash,
            }
        }),
    ]
}

/// Texts that are told apart.
fn names() -> impl Strategy<Value = [String; 9]> {
    [(); 9].map(|()| ".{0,8}")
}

fn call_reads() -> impl Strategy<Value = CallReads> {
    let read =
        (".{0,8}", ".{0,8}", any::<u64>()).prop_map(|(session_id, name, version)| CallRead {
            session_id,
            name,
            version,
        });
    (proptest::collection::vec(read, 0..3), any::<u64>())
        .prop_map(|(noted, left_out)| CallReads { noted, left_out })
}

fn call_record() -> impl Strategy<Value = CallRecord> {
    let digests = any::<[Vec<u8>; 2]>();
    let numbers = any::<[u64; 4]>();
    (names(), ".{0,8}", digests, numbers, call_reads()).prop_map(
        |(names, error_type, [arguments_digest, result_digest], numbers, reads)| {
            let [
                call_id,
                session_id,
                pool,
                tool,
                tool_version,
                worker,
                principal,
                request_id,
                outcome,
            ] = names;
            let [node, started_ms, duration_us, queued_us] = numbers;
            CallRecord {
                call_id,
                session_id,
                pool,
                tool,
                tool_version,
                worker,
                node,
                principal,
                request_id,
                outcome,
                error_type,
                arguments_digest,
                result_digest,
                started_ms,
                duration_us,
                queued_us,
                reads,
            }
        },
    )
}

fn of_calls() -> impl Strategy<Value = Payload> {
    let bytes = any::<[Vec<u8>; 2]>;
    prop_oneof![
        (names(), bytes(), any::<(u64, u32)>()).prop_map(
            |(names, [arguments, arguments_digest], (deadline_ms, attempt))| {
                let [
                    of_session,
                    call_id,
                    pool,
                    tool,
                    tool_version,
                    idempotency_key,
                    ..,
                ] = names;
                Payload::CallStarted {
                    of_session,
                    call_id,
                    pool,
                    tool,
                    tool_version,
                    idempotency_key,
                    arguments,
                    arguments_digest,
                    deadline_ms,
                    attempt,
                }
            }
        ),
        (
            names(),
            bytes(),
            any::<[u64; 4]>(),
            any::<u32>(),
            call_reads()
        )
            .prop_map(
                |(names, [result, result_digest], numbers, attempts, reads)| {
                    let [
                        of_session,
                        call_id,
                        pool,
                        tool,
                        worker,
                        outcome,
                        error_type,
                        idempotency_key,
                        _,
                    ] = names;
                    let [node, duration_us, queued_us, chunks] = numbers;
                    Payload::CallEnded {
                        of_session,
                        call_id,
                        pool,
                        tool,
                        worker,
                        node,
                        outcome,
                        error_type,
                        result,
                        result_digest,
                        duration_us,
                        queued_us,
                        chunks,
                        attempts,
                        idempotency_key,
                        reads,
                    }
                }
            ),
        (names(), any::<(u64, u64)>(), any::<Vec<Vec<u8>>>()).prop_map(
            |([of_session, call_id, ..], (batch, first), chunks)| Payload::CallChunksPut {
                of_session,
                call_id,
                batch,
                first,
                chunks,
            }
        ),
        proptest::collection::vec(call_record(), 0..3)
            .prop_map(|calls| Payload::CallsRecorded { calls }),
    ]
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![of_sessions(), of_variables(), of_pools(), of_calls()]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        any::<bool>().prop_map(|created| Answer::SessionCreated { created }),
        any::<(bool, u64)>()
            .prop_map(|(existed, resources)| Answer::SessionDeleted { existed, resources }),
        any::<bool>().prop_map(|valid| Answer::SessionTouched { valid }),
        (".{0,8}", any::<u64>())
            .prop_map(|(id, version)| Answer::VariableRegistered { id, version }),
        (
            proptest::collection::btree_map(".{0,4}", any::<u64>(), 0..3),
            ".{0,4}"
        )
            .prop_map(|(versions, name)| {
                let refused = BTreeMap::from([(name.clone(), Rejection::no_variable(&name))]);
                Answer::VariablesSet { versions, refused }
            }),
        Just(Answer::VariableDeleted),
        any::<bool>().prop_map(|existed| Answer::Done { existed }),
        (".{0,8}", any::<u64>()).prop_map(|(optimization_id, expires_ms)| {
            Answer::OptimizationStarted {
                optimization_id,
                expires_ms,
            }
        }),
        any::<u64>().prop_map(|version| Answer::ProgramPut { version }),
        any::<(u64, u64)>()
            .prop_map(|(version, position)| Answer::VariableRolledBack { version, position }),
        any::<(bool, u64)>()
            .prop_map(|(existed, position)| Answer::OptimizationStopped { existed, position }),
        any::<(u64, u64)>().prop_map(|(variables, programs)| Answer::SessionImported {
            variables,
            programs
        }),
        any::<u64>().prop_map(|version| Answer::PoolPut { version }),
        (any::<u64>(), ".{0,8}", any::<bool>()).prop_map(|(node, worker, bound)| {
            Answer::WorkerBound {
                node,
                worker,
                bound,
            }
        }),
        (".{0,8}", any::<(u64, u64)>()).prop_map(|(call_id, (node, position))| {
            Answer::CallStarted {
                call_id,
                node,
                position,
            }
        }),
        (".{0,8}", any::<Vec<u8>>(), any::<u64>()).prop_map(|(outcome, result, position)| {
            Answer::CallEnded {
                outcome,
                result,
                position,
            }
        }),
        any::<(u64, u64, u64)>().prop_map(|(position, first, count)| Answer::CallChunksPut {
            position,
            first,
            count,
        }),
    ]
}

proptest! {
    #[test]
    fn events_come_back(
        numbers in any::<(u64, u64, u64, u64, u64, u64)>(),
        session_id in ".{0,8}",
        request_id in ".{0,8}",
        verified in any::<bool>(),
        answer in proptest::option::of(answer()),
        payload in payload(),
    ) {
        let event = Event {
            position: numbers.0,
            session_id,
            revision: numbers.1,
            raft_index: numbers.2,
            raft_term: numbers.3,
            time_ms: numbers.4,
            principal: Principal { name: "someone".into(), verified },
            cause: Cause { request_id, tool: "tool".into(), node: numbers.5, ..Cause::default() },
            answer,
            payload,
        };
        let bytes = encode(event.clone());
        prop_assert_eq!(&encode(event.clone()), &bytes);
        prop_assert_eq!(decode(&bytes).unwrap(), event);
    }

    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        let _ = decode(&bytes);
    }
}
