//! Events, stored and in the machine.

use num_bigint::BigInt;
use prost::Message as _;
use snakepit_machine::{Answer, Cause, Event, Payload, Principal, Rejection, RejectionKind, Value};

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
        Payload::SessionCreated { metadata, ttl_ms } => {
            Stored::SessionCreated(stored::SessionCreated { metadata, ttl_ms })
        }
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
        } => Stored::VariableRegistered(stored::VariableRegistered {
            id,
            name,
            r#type: type_name,
            value: Some(stored_value(value)),
            constraints_json,
            metadata,
            version,
        }),
        Payload::VariableSet {
            id,
            name,
            value,
            metadata,
            version,
        } => Stored::VariableSet(stored::VariableSet {
            id,
            name,
            value: Some(stored_value(value)),
            metadata,
            version,
        }),
        Payload::VariableDeleted { id, name, version } => {
            Stored::VariableDeleted(stored::VariableDeleted { id, name, version })
        }
    }
}

fn machine_payload(payload: event::Payload) -> Result<Payload, DecodeError> {
    use event::Payload as Stored;
    Ok(match payload {
        Stored::SessionCreated(body) => Payload::SessionCreated {
            metadata: body.metadata,
            ttl_ms: body.ttl_ms,
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
        },
        Stored::VariableSet(body) => Payload::VariableSet {
            id: body.id,
            name: body.name,
            value: machine_value(body.value)?,
            metadata: body.metadata,
            version: body.version,
        },
        Stored::VariableDeleted(body) => Payload::VariableDeleted {
            id: body.id,
            name: body.name,
            version: body.version,
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
        },
    )
}

fn stored_answer(answer: &Answer) -> stored::Answer {
    let kind = match answer.clone() {
        Answer::SessionCreated { created } => {
            answer::Kind::SessionCreated(stored::SessionCreatedAnswer { created })
        }
        Answer::SessionDeleted { existed, variables } => {
            answer::Kind::SessionDeleted(stored::SessionDeletedAnswer { existed, variables })
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
            variables: body.variables,
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
    })
}

#[cfg(test)]
mod tests;
