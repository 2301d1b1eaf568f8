//! From a command to events, or to a refusal. One file per command; this file is the table.

mod add_dependency;
mod archive_events;
mod bind_worker;
mod call;
mod create_session;
mod delete_program;
mod delete_session;
mod delete_variable;
mod end_call;
mod erase_subject;
mod expire_program;
mod expire_session;
mod import_session;
mod put_chunks;
mod put_pool;
mod put_program;
mod put_subject;
mod record_calls;
mod register_tools;
mod register_variable;
mod remove_dependency;
mod remove_pool;
mod rollback_variable;
mod seal;
mod set_access;
mod set_variables;
mod start_call;
mod start_optimization;
mod stop_optimization;
mod touch_session;
mod unbind_worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::access::{self, Action, Actor};
use crate::types::{self, Constraints};
use crate::{
    Answer, Body, Command, ID_BYTES_MAX, Limits, Origin, Payload, Rejection, RejectionKind, Rows,
    RowsError, RowsExt, SessionRow, Value, VariableRow,
};

pub use add_dependency::DEPENDENCY_KINDS;

/// What a decision depends on beside the rows.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time at which the command takes effect, milliseconds since 1970.
    pub time_ms: u64,
    /// The position that the command's first event would get.
    pub position: u64,
    /// The limits that the leader stamped.
    pub limits: &'a Limits,
    /// Who asks, and through what.
    pub origin: &'a Origin,
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
        Body::RollbackVariable(body) => rollback_variable::decide(rows, context, body),
        Body::SetAccess(body) => set_access::decide(rows, context, body),
        Body::AddDependency(body) => add_dependency::decide(rows, context, body),
        Body::RemoveDependency(body) => remove_dependency::decide(rows, context, body),
        Body::StartOptimization(body) => start_optimization::decide(rows, context, body),
        Body::StopOptimization(body) => stop_optimization::decide(rows, context, body),
        Body::PutProgram(body) => put_program::decide(rows, context, body),
        Body::DeleteProgram(body) => delete_program::decide(rows, context, body),
        Body::ExpireProgram(body) => expire_program::decide(rows, context, body),
        Body::RegisterTools(body) => register_tools::decide(rows, context, body),
        Body::ImportSession(body) => import_session::decide(rows, context, body),
        Body::PutPool(body) => put_pool::decide(rows, context, body),
        Body::RemovePool(body) => remove_pool::decide(rows, context, body),
        Body::BindWorker(body) => bind_worker::decide(rows, context, body),
        Body::UnbindWorker(body) => unbind_worker::decide(rows, context, body),
        Body::StartCall(body) => start_call::decide(rows, context, body),
        Body::EndCall(body) => end_call::decide(rows, context, body),
        Body::PutChunks(body) => put_chunks::decide(rows, context, body),
        Body::RecordCalls(body) => record_calls::decide(rows, context, body),
        Body::ArchiveEvents(body) => archive_events::decide(rows, context, body),
        Body::PutSubject(body) => put_subject::decide(rows, context, body),
        Body::EraseSubject(body) => erase_subject::decide(rows, context, body),
    }
}

/// A session that exists at the command's time.
fn living_session<R: Rows>(
    rows: &R,
    context: Context<'_>,
    session_id: &str,
) -> Result<Arc<SessionRow>, DecideError> {
    match rows.session(session_id)? {
        Some(session) if session.alive_at(context.time_ms) => Ok(session),
        _ => Err(Rejection::no_session(session_id).into()),
    }
}

/// A variable of a living session, by id or name.
fn held_variable<R: Rows>(
    rows: &R,
    session_id: &str,
    identifier: &str,
) -> Result<Arc<VariableRow>, DecideError> {
    Ok(rows
        .variable(session_id, identifier)?
        .ok_or_else(|| Rejection::no_variable(identifier))?)
}

/// Whether the one who asks may change a variable: by its rules.
fn check_access(context: Context<'_>, held: &VariableRow) -> Result<(), Rejection> {
    let actor = Actor {
        principal: &context.origin.principal.name,
        tool: &context.origin.tool,
    };
    access::check(&held.access_json, &held.name, Action::Write, actor)
}

/// Whether the one who asks may give a variable a value: by its rules, and while an optimization holds it.
fn check_write(context: Context<'_>, held: &VariableRow) -> Result<(), Rejection> {
    check_access(context, held)?;
    match held.lock_at(context.time_ms) {
        Some(lock) if lock.optimization_id != context.origin.optimization_id => {
            Err(Rejection::refused(format!(
                "variable_locked_for_optimization: {} is held by optimizer {}; hint: wait until it stops, or carry its optimization id",
                held.name, lock.optimizer_id
            )))
        }
        _ => Ok(()),
    }
}

fn check_version(held: &VariableRow, expected: u64) -> Result<(), Rejection> {
    if expected != 0 && expected != held.version {
        return Err(Rejection::new(
            RejectionKind::Conflict,
            format!(
                "variable {} is at version {}, not {expected}; hint: read it again and retry",
                held.name, held.version
            ),
        ));
    }
    Ok(())
}

/// A value as a variable of a type and with constraints takes it. One that is sealed was checked by the node that sealed
/// it, with [`admit_plain`].
fn admit(
    name: &str,
    type_name: &str,
    constraints_json: &str,
    value: Value,
    limits: &Limits,
) -> Result<Value, Rejection> {
    if let Value::Sealed(sealed) = value {
        check_value_size(name, Value::Sealed(sealed.clone()).size_bytes(), limits)?;
        return seal::admit(sealed, type_name, constraints_json);
    }
    admit_plain(name, type_name, constraints_json, value, limits)
}

/// What the machine takes a value for: of its type, within its constraints and its size.
pub fn admit_plain(
    name: &str,
    type_name: &str,
    constraints_json: &str,
    value: Value,
    limits: &Limits,
) -> Result<Value, Rejection> {
    let kind = types::by_name(type_name)?;
    let constraints = Constraints::parse(constraints_json)?;
    check_value_size(name, value.size_bytes(), limits)?;
    let value = types::admit(kind, value, &constraints)?;
    check_value_size(name, value.size_bytes(), limits)?;
    Ok(value)
}

/// Whether the metadata that a request adds fits what is there.
fn check_added_metadata(
    context: Context<'_>,
    held: &BTreeMap<String, String>,
    added: &BTreeMap<String, String>,
) -> Result<(), Rejection> {
    if added.is_empty() {
        return Ok(());
    }
    let mut together = held.clone();
    together.extend(added.clone());
    check_metadata(&together, context.limits)
}

fn check_ttl(ttl_ms: u64, limits: &Limits) -> Result<(), Rejection> {
    if (limits.ttl_min_ms..=limits.ttl_max_ms).contains(&ttl_ms) {
        return Ok(());
    }
    Err(Rejection::invalid(format!(
        "the ttl is {ttl_ms} ms, it must be {} to {} ms; hint: give another ttl_seconds, or 0 for the default",
        limits.ttl_min_ms, limits.ttl_max_ms
    )))
}

fn check_constraints_size(document: &str, limits: &Limits) -> Result<(), Rejection> {
    if document.len() as u64 > limits.constraints_bytes_max {
        return Err(Rejection::invalid(format!(
            "constraints_json has {} bytes, the limit constraints_bytes_max is {}; hint: shorten it",
            document.len(),
            limits.constraints_bytes_max
        )));
    }
    Ok(())
}

/// Whether the cluster may hold one session more, where `sessions` exist.
fn check_sessions(sessions: u64, limits: &Limits) -> Result<(), Rejection> {
    if sessions >= limits.sessions_max {
        return Err(Rejection::exhausted(format!(
            "there are {sessions} sessions, the limit sessions_max is {}; hint: delete sessions, shorten their ttl, or raise the limit",
            limits.sessions_max
        )));
    }
    Ok(())
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
