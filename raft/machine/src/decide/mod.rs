//! From a command to events, or to a refusal. One file per command; this file is the table.

mod create_session;
mod delete_session;
mod delete_variable;
mod expire_session;
mod register_variable;
mod set_variables;
mod touch_session;

use std::collections::BTreeMap;

use crate::{
    Answer, Body, Command, ID_BYTES_MAX, Limits, Payload, Rejection, Rows, RowsError, RowsExt,
    SessionRow,
};

/// What a decision depends on beside the rows.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time at which the command takes effect, milliseconds since 1970.
    pub time_ms: u64,
    /// The position that the command's first event would get.
    pub position: u64,
    /// The limits that the leader stamped.
    pub limits: &'a Limits,
}

/// A command taken: what it answers, and what happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// To the caller.
    pub answer: Answer,
    /// Each with the session that it belongs to the command's own; empty where nothing changed.
    pub events: Vec<Payload>,
}

impl Decision {
    fn unchanged(answer: Answer) -> Self {
        Self {
            answer,
            events: Vec::new(),
        }
    }
}

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The command is refused; nothing changes.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The rows cannot be read; the node cannot go on.
    #[error(transparent)]
    Rows(#[from] RowsError),
}

/// Decide one command.
pub fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    command: &Command,
) -> Result<Decision, DecideError> {
    match &command.body {
        Body::CreateSession(body) => create_session::decide(rows, context, body),
        Body::DeleteSession(body) => delete_session::decide(rows, context, body),
        Body::TouchSession(body) => touch_session::decide(rows, context, body),
        Body::ExpireSession(body) => expire_session::decide(rows, context, body),
        Body::RegisterVariable(body) => register_variable::decide(rows, context, body),
        Body::SetVariables(body) => set_variables::decide(rows, context, body),
        Body::DeleteVariable(body) => delete_variable::decide(rows, context, body),
    }
}

/// A session that exists at the command's time.
fn living_session<R: Rows>(
    rows: &R,
    context: Context<'_>,
    session_id: &str,
) -> Result<SessionRow, DecideError> {
    match rows.session(session_id)? {
        Some(session) if session.alive_at(context.time_ms) => Ok(session),
        _ => Err(Rejection::no_session(session_id).into()),
    }
}

fn check_id(field: &str, id: &str) -> Result<(), Rejection> {
    if id.is_empty() {
        return Err(Rejection::invalid(format!(
            "{field} is empty; hint: give 1 to {ID_BYTES_MAX} bytes"
        )));
    }
    if id.len() > ID_BYTES_MAX {
        return Err(Rejection::invalid(format!(
            "{field} has {} bytes, the limit is {ID_BYTES_MAX}; hint: shorten it",
            id.len()
        )));
    }
    Ok(())
}

fn check_metadata(metadata: &BTreeMap<String, String>, limits: &Limits) -> Result<(), Rejection> {
    let bytes: usize = metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if bytes as u64 > limits.metadata_bytes_max {
        return Err(Rejection::invalid(format!(
            "metadata has {bytes} bytes, the limit metadata_bytes_max is {}; hint: keep large things in variables",
            limits.metadata_bytes_max
        )));
    }
    Ok(())
}

fn check_value_size(name: &str, bytes: u64, limits: &Limits) -> Result<(), Rejection> {
    if bytes > limits.value_bytes_max {
        return Err(Rejection::invalid(format!(
            "the value of {name} has {bytes} bytes, the limit value_bytes_max is {}; hint: split it or raise the limit",
            limits.value_bytes_max
        )));
    }
    Ok(())
}
