//! Events, stored and in the machine.

mod read;
mod whole;
mod write;

use prost::Message as _;
use snakepit_machine::{Cause, Event, Principal};

use crate::stored;

pub use whole::check_whole;

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
    /// They say more than this release reads.
    #[error(
        "this release does not read all of the event: {0}; hint: read it with the release that wrote it, or a later one"
    )]
    Unread(String),
}

/// The bytes that are stored and hashed.
pub fn encode(event: Event) -> Vec<u8> {
    to_stored(event).encode_to_vec()
}

/// Read stored bytes.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    from_stored(stored::Event::decode(bytes)?)
}

/// The bytes of a value by itself, as they are sealed.
pub fn encode_value(value: &snakepit_machine::Value) -> Vec<u8> {
    write::stored_value(value.clone()).encode_to_vec()
}

/// Read what [`encode_value`] made.
pub fn decode_value(bytes: &[u8]) -> Result<snakepit_machine::Value, DecodeError> {
    read::machine_value(Some(stored::Value::decode(bytes)?))
}

/// The schema's form of an event.
pub fn to_stored(event: Event) -> stored::Event {
    stored::Event {
        position: event.position,
        session_id: event.session_id,
        revision: event.revision,
        raft_index: event.raft_index,
        raft_term: event.raft_term,
        time_ms: event.time_ms,
        principal: Some(stored::Principal {
            name: event.principal.name,
            verified: event.principal.verified,
        }),
        cause: Some(stored::Cause {
            request_id: event.cause.request_id,
            call_id: event.cause.call_id,
            tool: event.cause.tool,
            worker: event.cause.worker,
            node: event.cause.node,
        }),
        answer: event.answer.map(write::answer),
        payload: Some(write::payload(event.payload)),
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
        answer: stored.answer.map(read::answer).transpose()?,
        payload: read::payload(stored.payload.ok_or(DecodeError::Unknown("payload"))?)?,
    })
}

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod tests;
