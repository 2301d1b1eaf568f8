//! From the machine's form to the stored one.

use snakepit_machine::{Answer, CallRead, CallRecord, Past, Payload, Value};

use crate::stored::{self, answer, event, value};

pub(super) fn payload(payload: Payload) -> event::Payload {
    use event::Payload as Stored;
    match payload {
        Payload::SessionCreated {
            metadata,
            ttl_ms,
            config,
            imported_from,
            subject,
        } => Stored::SessionCreated(stored::SessionCreated {
            metadata,
            ttl_ms,
            enable_caching: config.enable_caching,
            cache_ttl_ms: config.cache_ttl_ms,
            enable_telemetry: config.enable_telemetry,
            imported_from,
            subject,
        }),
        Payload::SessionTouched => Stored::SessionTouched(stored::SessionTouched {}),
        Payload::SessionDeleted => Stored::SessionDeleted(stored::SessionDeleted {}),
        Payload::SessionExpired { deadline_ms } => {
            Stored::SessionExpired(stored::SessionExpired { deadline_ms })
        }
        Payload::VariableRegistered {
            id,
            name,
            type_name,
            value,
            constraints_json,
            metadata,
            version,
            access_json,
            past,
        } => Stored::VariableRegistered(stored::VariableRegistered {
            id,
            name,
            r#type: type_name,
            value: Some(stored_value(value)),
            constraints_json,
            metadata,
            version,
            access_json,
            past: stored_past(past),
        }),
        Payload::VariableSet {
            id,
            name,
            value,
            metadata,
            version,
            past,
            type_name,
            access_json,
        } => Stored::VariableSet(stored::VariableSet {
            id,
            name,
            value: Some(stored_value(value)),
            metadata,
            version,
            past: stored_past(past),
            r#type: type_name,
            access_json,
        }),
        Payload::VariableDeleted {
            id,
            name,
            version,
            type_name,
            access_json,
        } => Stored::VariableDeleted(stored::VariableDeleted {
            id,
            name,
            version,
            r#type: type_name,
            access_json,
        }),
        Payload::VariableRolledBack {
            id,
            name,
            value,
            metadata,
            version,
            target_version,
            past,
            type_name,
            access_json,
        } => Stored::VariableRolledBack(stored::VariableRolledBack {
            id,
            name,
            value: Some(stored_value(value)),
            metadata,
            version,
            target_version,
            past: stored_past(past),
            r#type: type_name,
            access_json,
        }),
        Payload::VariableAccessSet {
            id,
            name,
            access_json,
        } => Stored::VariableAccessSet(stored::VariableAccessSet {
            id,
            name,
            access_json,
        }),
        Payload::DependencyAdded { from, to, kind } => {
            Stored::DependencyAdded(stored::DependencyAdded { from, to, kind })
        }
        Payload::DependencyRemoved { from, to } => {
            Stored::DependencyRemoved(stored::DependencyRemoved { from, to })
        }
        Payload::OptimizationStarted {
            id,
            name,
            optimization_id,
            optimizer_id,
            config,
            lease_ms,
            renewed,
        } => Stored::OptimizationStarted(stored::OptimizationStarted {
            id,
            name,
            optimization_id,
            optimizer_id,
            config,
            lease_ms,
            renewed,
        }),
        Payload::OptimizationStopped {
            id,
            name,
            optimization_id,
            forced,
        } => Stored::OptimizationStopped(stored::OptimizationStopped {
            id,
            name,
            optimization_id,
            forced,
        }),
        Payload::ProgramPut {
            program_id,
            value,
            metadata,
            version,
            ttl_ms,
        } => Stored::ProgramPut(stored::ProgramPut {
            program_id,
            value: Some(stored_value(value)),
            metadata,
            version,
            ttl_ms,
        }),
        Payload::ProgramDeleted {
            program_id,
            version,
        } => Stored::ProgramDeleted(stored::ProgramDeleted {
            program_id,
            version,
        }),
        Payload::ProgramExpired {
            program_id,
            deadline_ms,
        } => Stored::ProgramExpired(stored::ProgramExpired {
            program_id,
            deadline_ms,
        }),
        Payload::ToolsRegistered { worker_id, tools } => {
            let tools = tools.into_iter().map(|(name, spec)| (name, spec.into()));
            Stored::ToolsRegistered(stored::ToolsRegistered {
                worker_id,
                tools: tools.collect(),
            })
        }
        Payload::PoolPut {
            name,
            definition_json,
            version,
        } => Stored::PoolPut(stored::PoolPut {
            name,
            definition_json,
            version,
        }),
        Payload::EventsArchived {
            first,
            last,
            root,
            hash,
        } => Stored::EventsArchived(stored::EventsArchived {
            first,
            last,
            root: root.into(),
            hash: hash.into(),
        }),
        Payload::SubjectPut { name, key_id } => {
            Stored::SubjectPut(stored::SubjectPut { name, key_id })
        }
        Payload::SubjectErased { name, key_id } => {
            Stored::SubjectErased(stored::SubjectErased { name, key_id })
        }
        Payload::PoolRemoved { name, version } => {
            Stored::PoolRemoved(stored::PoolRemoved { name, version })
        }
        Payload::WorkerBound { pool, node, worker } => {
            Stored::WorkerBound(stored::WorkerBound { pool, node, worker })
        }
        Payload::WorkerUnbound { pool, worker, node } => {
            Stored::WorkerUnbound(stored::WorkerUnbound { pool, worker, node })
        }
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
        } => Stored::CallStarted(stored::CallStarted {
            of_session,
            call_id,
            pool,
            tool,
            tool_version,
            idempotency_key,
            arguments: arguments.into(),
            arguments_digest: arguments_digest.into(),
            deadline_ms,
            attempt,
        }),
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
        } => Stored::CallEnded(stored::CallEnded {
            of_session,
            call_id,
            pool,
            tool,
            worker,
            node,
            outcome,
            error_type,
            result: result.into(),
            result_digest: result_digest.into(),
            duration_us,
            queued_us,
            chunks,
            attempts,
            idempotency_key,
            reads: reads.noted.into_iter().map(stored_read).collect(),
            reads_left_out: reads.left_out,
        }),
        Payload::CallChunksPut {
            of_session,
            call_id,
            batch,
            first,
            chunks,
        } => Stored::CallChunksPut(stored::CallChunksPut {
            of_session,
            call_id,
            batch,
            first,
            chunks: chunks.into_iter().map(Into::into).collect(),
        }),
        Payload::CallsRecorded { calls } => Stored::CallsRecorded(stored::CallsRecorded {
            calls: calls.into_iter().map(stored_call).collect(),
        }),
    }
}

/// Left out where there is nothing to say.
fn stored_past(past: Past) -> Option<stored::Past> {
    (past != Past::default()).then_some(stored::Past {
        previous: past.previous,
        skip: past.skip,
    })
}

fn stored_call(call: CallRecord) -> stored::CallRecord {
    stored::CallRecord {
        call_id: call.call_id,
        session_id: call.session_id,
        pool: call.pool,
        tool: call.tool,
        tool_version: call.tool_version,
        worker: call.worker,
        node: call.node,
        principal: call.principal,
        request_id: call.request_id,
        outcome: call.outcome,
        error_type: call.error_type,
        arguments_digest: call.arguments_digest.into(),
        result_digest: call.result_digest.into(),
        started_ms: call.started_ms,
        duration_us: call.duration_us,
        queued_us: call.queued_us,
        reads: call.reads.noted.into_iter().map(stored_read).collect(),
        reads_left_out: call.reads.left_out,
    }
}

fn stored_read(read: CallRead) -> stored::CallRead {
    stored::CallRead {
        session_id: read.session_id,
        name: read.name,
        version: read.version,
    }
}

pub(super) fn stored_value(value: Value) -> stored::Value {
    let kind = match value {
        Value::Float(number) => value::Kind::FloatValue(number),
        Value::Integer(integer) => match i64::try_from(&integer) {
            Ok(small) => value::Kind::IntegerValue(small),
            Err(_) => value::Kind::BigIntegerValue(integer.to_string()),
        },
        Value::String(text) => value::Kind::StringValue(text),
        Value::Boolean(truth) => value::Kind::BooleanValue(truth),
        Value::Null => value::Kind::NullValue(true),
        Value::Bytes(bytes) => value::Kind::BytesValue(bytes.into()),
        Value::Sealed(sealed) => value::Kind::SealedValue(stored::Sealed {
            key_id: sealed.key_id,
            data: sealed.data.into(),
        }),
        Value::Map(text) => value::Kind::MapJson(text),
        Value::List(text) => value::Kind::ListJson(text),
        Value::Array(array) => value::Kind::ArrayValue(stored::Array {
            dtype: array.dtype.name().to_owned(),
            shape: array.shape,
            data: array.data.into(),
        }),
    };
    stored::Value { kind: Some(kind) }
}

pub(super) fn answer(answer: Answer) -> stored::Answer {
    let kind = match answer {
        Answer::SessionCreated { created } => {
            answer::Kind::SessionCreated(stored::SessionCreatedAnswer { created })
        }
        Answer::SessionDeleted { existed, resources } => {
            answer::Kind::SessionDeleted(stored::SessionDeletedAnswer { existed, resources })
        }
        Answer::SessionTouched { valid } => {
            answer::Kind::SessionTouched(stored::SessionTouchedAnswer { valid })
        }
        Answer::VariableRegistered { id, version } => {
            answer::Kind::VariableRegistered(stored::VariableRegisteredAnswer { id, version })
        }
        Answer::VariablesSet { versions, refused } => {
            let refused = refused.into_iter().map(|(identifier, rejection)| {
                let kind = rejection.kind.name().to_owned();
                (
                    identifier,
                    stored::Rejection {
                        kind,
                        message: rejection.message,
                    },
                )
            });
            answer::Kind::VariablesSet(stored::VariablesSetAnswer {
                versions,
                refused: refused.collect(),
            })
        }
        Answer::VariableDeleted => answer::Kind::VariableDeleted(stored::VariableDeletedAnswer {}),
        Answer::Done { existed } => answer::Kind::Done(stored::DoneAnswer { existed }),
        Answer::OptimizationStarted {
            optimization_id,
            expires_ms,
        } => answer::Kind::OptimizationStarted(stored::OptimizationStartedAnswer {
            optimization_id,
            expires_ms,
        }),
        Answer::VariableRolledBack { version, position } => {
            answer::Kind::VariableRolledBack(stored::VariableRolledBackAnswer { version, position })
        }
        Answer::OptimizationStopped { existed, position } => {
            answer::Kind::OptimizationStopped(stored::OptimizationStoppedAnswer {
                existed,
                position,
            })
        }
        Answer::ProgramPut { version } => {
            answer::Kind::ProgramPut(stored::ProgramPutAnswer { version })
        }
        Answer::SessionImported {
            variables,
            programs,
        } => answer::Kind::SessionImported(stored::SessionImportedAnswer {
            variables,
            programs,
        }),
        Answer::PoolPut { version } => answer::Kind::PoolPut(stored::PoolPutAnswer { version }),
        Answer::WorkerBound {
            node,
            worker,
            bound,
        } => answer::Kind::WorkerBound(stored::WorkerBoundAnswer {
            node,
            worker,
            bound,
        }),
        Answer::CallStarted {
            call_id,
            node,
            position,
        } => answer::Kind::CallStarted(stored::CallStartedAnswer {
            call_id,
            node,
            position,
        }),
        Answer::CallEnded {
            outcome,
            result,
            position,
        } => answer::Kind::CallEnded(stored::CallEndedAnswer {
            outcome,
            result: result.into(),
            position,
        }),
        Answer::CallChunksPut {
            position,
            first,
            count,
        } => answer::Kind::CallChunksPut(stored::CallChunksPutAnswer {
            position,
            first,
            count,
        }),
    };
    stored::Answer { kind: Some(kind) }
}
