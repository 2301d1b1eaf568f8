//! From the stored form to the machine's.

use num_bigint::BigInt;
use snakepit_machine::{
    Answer, Array, CallRead, CallReads, CallRecord, Dtype, Past, Payload, Rejection, RejectionKind,
    Sealed, SessionConfig, Value,
};

use super::DecodeError;
use crate::stored::{self, answer, event, value};

pub(super) fn payload(payload: event::Payload) -> Result<Payload, DecodeError> {
    use event::Payload as Stored;
    Ok(match payload {
        Stored::SessionCreated(body) => Payload::SessionCreated {
            metadata: body.metadata,
            ttl_ms: body.ttl_ms,
            config: SessionConfig {
                enable_caching: body.enable_caching,
                cache_ttl_ms: body.cache_ttl_ms,
                enable_telemetry: body.enable_telemetry,
            },
            imported_from: body.imported_from,
            subject: body.subject,
        },
        Stored::SessionTouched(_) => Payload::SessionTouched,
        Stored::SessionDeleted(_) => Payload::SessionDeleted,
        Stored::SessionExpired(body) => Payload::SessionExpired {
            deadline_ms: body.deadline_ms,
        },
        Stored::VariableRegistered(body) => Payload::VariableRegistered {
            id: body.id,
            name: body.name,
            type_name: body.r#type,
            value: machine_value(body.value)?,
            constraints_json: body.constraints_json,
            metadata: body.metadata,
            version: body.version,
            access_json: body.access_json,
            past: machine_past(body.past),
        },
        Stored::VariableSet(body) => Payload::VariableSet {
            id: body.id,
            name: body.name,
            value: machine_value(body.value)?,
            metadata: body.metadata,
            version: body.version,
            past: machine_past(body.past),
            type_name: body.r#type,
            access_json: body.access_json,
        },
        Stored::VariableDeleted(body) => Payload::VariableDeleted {
            id: body.id,
            name: body.name,
            version: body.version,
            type_name: body.r#type,
            access_json: body.access_json,
        },
        Stored::VariableRolledBack(body) => Payload::VariableRolledBack {
            id: body.id,
            name: body.name,
            value: machine_value(body.value)?,
            metadata: body.metadata,
            version: body.version,
            target_version: body.target_version,
            past: machine_past(body.past),
            type_name: body.r#type,
            access_json: body.access_json,
        },
        Stored::VariableAccessSet(body) => Payload::VariableAccessSet {
            id: body.id,
            name: body.name,
            access_json: body.access_json,
        },
        Stored::DependencyAdded(body) => Payload::DependencyAdded {
            from: body.from,
            to: body.to,
            kind: body.kind,
        },
        Stored::DependencyRemoved(body) => Payload::DependencyRemoved {
            from: body.from,
            to: body.to,
        },
        Stored::OptimizationStarted(body) => Payload::OptimizationStarted {
            id: body.id,
            name: body.name,
            optimization_id: body.optimization_id,
            optimizer_id: body.optimizer_id,
            config: body.config,
            lease_ms: body.lease_ms,
            renewed: body.renewed,
        },
        Stored::OptimizationStopped(body) => Payload::OptimizationStopped {
            id: body.id,
            name: body.name,
            optimization_id: body.optimization_id,
            forced: body.forced,
        },
        Stored::ProgramPut(body) => Payload::ProgramPut {
            program_id: body.program_id,
            value: machine_value(body.value)?,
            metadata: body.metadata,
            version: body.version,
            ttl_ms: body.ttl_ms,
        },
        Stored::ProgramDeleted(body) => Payload::ProgramDeleted {
            program_id: body.program_id,
            version: body.version,
        },
        Stored::ProgramExpired(body) => Payload::ProgramExpired {
            program_id: body.program_id,
            deadline_ms: body.deadline_ms,
        },
        Stored::ToolsRegistered(body) => Payload::ToolsRegistered {
            worker_id: body.worker_id,
            tools: body
                .tools
                .into_iter()
                .map(|(name, spec)| (name, spec.to_vec()))
                .collect(),
        },
        Stored::PoolPut(body) => Payload::PoolPut {
            name: body.name,
            definition_json: body.definition_json,
            version: body.version,
        },
        Stored::EventsArchived(body) => Payload::EventsArchived {
            first: body.first,
            last: body.last,
            root: body.root.to_vec(),
            hash: body.hash.to_vec(),
        },
        Stored::SubjectPut(body) => Payload::SubjectPut {
            name: body.name,
            key_id: body.key_id,
        },
        Stored::SubjectErased(body) => Payload::SubjectErased {
            name: body.name,
            key_id: body.key_id,
        },
        Stored::PoolRemoved(body) => Payload::PoolRemoved {
            name: body.name,
            version: body.version,
        },
        Stored::WorkerBound(body) => Payload::WorkerBound {
            pool: body.pool,
            node: body.node,
            worker: body.worker,
        },
        Stored::WorkerUnbound(body) => Payload::WorkerUnbound {
            pool: body.pool,
            worker: body.worker,
            node: body.node,
        },
        Stored::CallStarted(body) => Payload::CallStarted {
            of_session: body.of_session,
            call_id: body.call_id,
            pool: body.pool,
            tool: body.tool,
            tool_version: body.tool_version,
            idempotency_key: body.idempotency_key,
            arguments: body.arguments.to_vec(),
            arguments_digest: body.arguments_digest.to_vec(),
            deadline_ms: body.deadline_ms,
            attempt: body.attempt,
        },
        Stored::CallEnded(body) => Payload::CallEnded {
            of_session: body.of_session,
            call_id: body.call_id,
            pool: body.pool,
            tool: body.tool,
            worker: body.worker,
            node: body.node,
            outcome: body.outcome,
            error_type: body.error_type,
            result: body.result.to_vec(),
            result_digest: body.result_digest.to_vec(),
            duration_us: body.duration_us,
            queued_us: body.queued_us,
            chunks: body.chunks,
            attempts: body.attempts,
            idempotency_key: body.idempotency_key,
            reads: machine_reads(body.reads, body.reads_left_out),
        },
        Stored::CallChunksPut(body) => Payload::CallChunksPut {
            of_session: body.of_session,
            call_id: body.call_id,
            batch: body.batch,
            first: body.first,
            chunks: body.chunks.iter().map(|chunk| chunk.to_vec()).collect(),
        },
        Stored::CallsRecorded(body) => Payload::CallsRecorded {
            calls: body.calls.into_iter().map(machine_call).collect(),
        },
    })
}

fn machine_past(past: Option<stored::Past>) -> Past {
    past.map_or_else(Past::default, |past| Past {
        previous: past.previous,
        skip: past.skip,
    })
}

fn machine_call(call: stored::CallRecord) -> CallRecord {
    CallRecord {
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
        arguments_digest: call.arguments_digest.to_vec(),
        result_digest: call.result_digest.to_vec(),
        started_ms: call.started_ms,
        duration_us: call.duration_us,
        queued_us: call.queued_us,
        reads: machine_reads(call.reads, call.reads_left_out),
    }
}

fn machine_reads(reads: Vec<stored::CallRead>, left_out: u64) -> CallReads {
    let noted = reads.into_iter().map(|read| CallRead {
        session_id: read.session_id,
        name: read.name,
        version: read.version,
    });
    CallReads {
        noted: noted.collect(),
        left_out,
    }
}

pub(super) fn machine_value(value: Option<stored::Value>) -> Result<Value, DecodeError> {
    Ok(
        match value
            .and_then(|value| value.kind)
            .ok_or(DecodeError::Unknown("value"))?
        {
            value::Kind::FloatValue(number) => Value::Float(number),
            value::Kind::IntegerValue(small) => Value::Integer(small.into()),
            value::Kind::BigIntegerValue(text) => Value::Integer(
                text.parse::<BigInt>()
                    .map_err(|_| DecodeError::Unknown("integer"))?,
            ),
            value::Kind::StringValue(text) => Value::String(text),
            value::Kind::BooleanValue(truth) => Value::Boolean(truth),
            value::Kind::NullValue(_) => Value::Null,
            value::Kind::BytesValue(bytes) => Value::Bytes(bytes.to_vec()),
            value::Kind::SealedValue(sealed) => Value::Sealed(Sealed {
                key_id: sealed.key_id,
                data: sealed.data.to_vec(),
                checked: None,
            }),
            value::Kind::MapJson(text) => Value::Map(text),
            value::Kind::ListJson(text) => Value::List(text),
            value::Kind::ArrayValue(array) => {
                let dtype = Dtype::from_name(&array.dtype).ok_or(DecodeError::Unknown("dtype"))?;
                let array = Array::new(dtype, array.shape, array.data.to_vec());
                Value::Array(array.map_err(|_| DecodeError::Unknown("array"))?)
            }
        },
    )
}

pub(super) fn answer(stored: stored::Answer) -> Result<Answer, DecodeError> {
    Ok(match stored.kind.ok_or(DecodeError::Unknown("answer"))? {
        answer::Kind::SessionCreated(body) => Answer::SessionCreated {
            created: body.created,
        },
        answer::Kind::SessionDeleted(body) => Answer::SessionDeleted {
            existed: body.existed,
            resources: body.resources,
        },
        answer::Kind::SessionTouched(body) => Answer::SessionTouched { valid: body.valid },
        answer::Kind::VariableRegistered(body) => Answer::VariableRegistered {
            id: body.id,
            version: body.version,
        },
        answer::Kind::VariablesSet(body) => {
            let refused = body.refused.into_iter().map(|(identifier, rejection)| {
                let kind = RejectionKind::from_name(&rejection.kind)
                    .ok_or(DecodeError::Unknown("rejection"))?;
                Ok((identifier, Rejection::new(kind, rejection.message)))
            });
            Answer::VariablesSet {
                versions: body.versions,
                refused: refused.collect::<Result<_, DecodeError>>()?,
            }
        }
        answer::Kind::VariableDeleted(_) => Answer::VariableDeleted,
        answer::Kind::Done(body) => Answer::Done {
            existed: body.existed,
        },
        answer::Kind::OptimizationStarted(body) => Answer::OptimizationStarted {
            optimization_id: body.optimization_id,
            expires_ms: body.expires_ms,
        },
        answer::Kind::VariableRolledBack(body) => Answer::VariableRolledBack {
            version: body.version,
            position: body.position,
        },
        answer::Kind::OptimizationStopped(body) => Answer::OptimizationStopped {
            existed: body.existed,
            position: body.position,
        },
        answer::Kind::ProgramPut(body) => Answer::ProgramPut {
            version: body.version,
        },
        answer::Kind::SessionImported(body) => Answer::SessionImported {
            variables: body.variables,
            programs: body.programs,
        },
        answer::Kind::PoolPut(body) => Answer::PoolPut {
            version: body.version,
        },
        answer::Kind::WorkerBound(body) => Answer::WorkerBound {
            node: body.node,
            worker: body.worker,
            bound: body.bound,
        },
        answer::Kind::CallStarted(body) => Answer::CallStarted {
            call_id: body.call_id,
            node: body.node,
            position: body.position,
        },
        answer::Kind::CallEnded(body) => Answer::CallEnded {
            outcome: body.outcome,
            result: body.result.to_vec(),
            position: body.position,
        },
        answer::Kind::CallChunksPut(body) => Answer::CallChunksPut {
            position: body.position,
            first: body.first,
            count: body.count,
        },
    })
}
