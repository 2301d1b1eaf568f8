//! Events, stored and in the machine.

use num_bigint::BigInt;
use prost::Message as _;
use snakepit_machine::{
    Answer, Array, Cause, Dtype, Event, Past, Payload, Principal, Rejection, RejectionKind,
    SessionConfig, Value,
};

use crate::stored::{self, answer, event, value};

/// Bytes that are no event that this release knows.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not the schema's encoding.
    #[error(
        "the event's bytes are damaged: {0}; hint: verify the log, and restore this node from another"
    )]
    Damaged(#[from] prost::DecodeError),
    /// A field is missing or of an unknown kind.
    #[error(
        "the event has no {0} that this release knows; hint: read it with the release that wrote it, or a later one"
    )]
    Unknown(&'static str),
}

/// The bytes that are stored and hashed.
pub fn encode(event: &Event) -> Vec<u8> {
    to_stored(event).encode_to_vec()
}

/// Read stored bytes.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    from_stored(stored::Event::decode(bytes)?)
}

/// The schema's form of an event.
pub fn to_stored(event: &Event) -> stored::Event {
    stored::Event {
        position: event.position,
        session_id: event.session_id.clone(),
        revision: event.revision,
        raft_index: event.raft_index,
        raft_term: event.raft_term,
        time_ms: event.time_ms,
        principal: Some(stored::Principal {
            name: event.principal.name.clone(),
            verified: event.principal.verified,
        }),
        cause: Some(stored::Cause {
            request_id: event.cause.request_id.clone(),
            call_id: event.cause.call_id.clone(),
            tool: event.cause.tool.clone(),
            worker: event.cause.worker.clone(),
            node: event.cause.node,
        }),
        answer: event.answer.as_ref().map(stored_answer),
        payload: Some(stored_payload(&event.payload)),
    }
}

fn from_stored(stored: stored::Event) -> Result<Event, DecodeError> {
    let principal = stored.principal.unwrap_or_default();
    let cause = stored.cause.unwrap_or_default();
    Ok(Event {
        position: stored.position,
        session_id: stored.session_id,
        revision: stored.revision,
        raft_index: stored.raft_index,
        raft_term: stored.raft_term,
        time_ms: stored.time_ms,
        principal: Principal {
            name: principal.name,
            verified: principal.verified,
        },
        cause: Cause {
            request_id: cause.request_id,
            call_id: cause.call_id,
            tool: cause.tool,
            worker: cause.worker,
            node: cause.node,
        },
        answer: stored.answer.map(machine_answer).transpose()?,
        payload: machine_payload(stored.payload.ok_or(DecodeError::Unknown("payload"))?)?,
    })
}

fn stored_payload(payload: &Payload) -> event::Payload {
    use event::Payload as Stored;
    match payload.clone() {
        Payload::SessionCreated {
            metadata,
            ttl_ms,
            config,
            imported_from,
        } => Stored::SessionCreated(stored::SessionCreated {
            metadata,
            ttl_ms,
            enable_caching: config.enable_caching,
            cache_ttl_ms: config.cache_ttl_ms,
            enable_telemetry: config.enable_telemetry,
            imported_from,
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
    }
}

/// Left out where there is nothing to say.
fn stored_past(past: Past) -> Option<stored::Past> {
    (past != Past::default()).then_some(stored::Past {
        previous: past.previous,
        skip: past.skip,
    })
}

fn machine_past(past: Option<stored::Past>) -> Past {
    past.map_or_else(Past::default, |past| Past {
        previous: past.previous,
        skip: past.skip,
    })
}

fn machine_payload(payload: event::Payload) -> Result<Payload, DecodeError> {
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
    })
}

fn stored_value(value: Value) -> stored::Value {
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

fn machine_value(value: Option<stored::Value>) -> Result<Value, DecodeError> {
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

fn stored_answer(answer: &Answer) -> stored::Answer {
    let kind = match answer.clone() {
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
    };
    stored::Answer { kind: Some(kind) }
}

fn machine_answer(stored: stored::Answer) -> Result<Answer, DecodeError> {
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
    })
}

#[cfg(test)]
mod tests;
