//! From an event to rows. There is no other way to change a row. One file per event family; this file is
//! the table.

mod call;
mod dependency;
mod log;
mod optimization;
mod pool;
mod program;
mod requests;
mod session;
mod subject;
mod tools;
mod variable;
mod worker;

pub(crate) use requests::outliving_request;
pub use requests::{REQUESTS_KEPT_MAX, REQUESTS_KEPT_MIN, REQUESTS_KEPT_MS};

use crate::{
    Event, HeadRow, Payload, Row, RowKey, RowsError, RowsExt, RowsMut, SessionRow, VariableRow,
};

/// Fold one event into the rows.
pub fn evolve<R: RowsMut>(rows: &mut R, event: &Event) -> Result<(), RowsError> {
    let mut head = rows.head()?;
    head.position = event.position;
    head.time_ms = event.time_ms;
    if event.session_id.is_empty() {
        head.revision = event.revision;
    }
    match &event.payload {
        Payload::SessionCreated { .. } => session::created(rows, &mut head, event)?,
        Payload::SessionTouched => session::touched(rows, event)?,
        Payload::SessionDeleted | Payload::SessionExpired { .. } => {
            session::ended(rows, &mut head, event)?
        }
        Payload::VariableRegistered { .. } => variable::registered(rows, event)?,
        Payload::VariableSet { .. } | Payload::VariableRolledBack { .. } => {
            variable::set(rows, event)?
        }
        Payload::VariableDeleted { name, .. } => variable::deleted(rows, event, name)?,
        Payload::VariableAccessSet {
            name, access_json, ..
        } => variable::access_set(rows, event, name, access_json)?,
        Payload::DependencyAdded { from, to, kind } => {
            dependency::added(rows, event, from, to, kind)?
        }
        Payload::DependencyRemoved { from, to } => dependency::removed(rows, event, from, to)?,
        Payload::OptimizationStarted { .. } => optimization::started(rows, event)?,
        Payload::OptimizationStopped { name, .. } => optimization::stopped(rows, event, name)?,
        Payload::ProgramPut { .. } => program::put(rows, &mut head, event)?,
        Payload::ProgramDeleted { program_id, .. } | Payload::ProgramExpired { program_id, .. } => {
            program::ended(rows, &mut head, event, program_id)?
        }
        Payload::ToolsRegistered { worker_id, tools } => {
            tools::registered(rows, event, worker_id, tools)?
        }
        Payload::PoolPut { .. } => pool::put(rows, &mut head, event)?,
        Payload::PoolRemoved { name, .. } => pool::removed(rows, &mut head, event, name)?,
        Payload::WorkerBound { pool, node, worker } => {
            worker::bound(rows, event, pool, *node, worker)?
        }
        Payload::WorkerUnbound { pool, .. } => worker::unbound(rows, event, pool)?,
        Payload::CallStarted { .. }
        | Payload::CallEnded { .. }
        | Payload::CallChunksPut { .. }
        | Payload::CallsRecorded { .. } => call::journaled(rows, event)?,
        Payload::EventsArchived { .. } => log::archived(rows, &mut head, event)?,
        Payload::SubjectPut { name, key_id } => subject::put(rows, &mut head, event, name, key_id)?,
        Payload::SubjectErased { name, .. } => subject::erased(rows, &mut head, event, name)?,
    }
    requests::keep(rows, &mut head, event)?;
    put_head(rows, head);
    Ok(())
}

fn put_head<R: RowsMut>(rows: &mut R, head: HeadRow) {
    rows.put(RowKey::Head, Row::Head(head));
}

/// The event's session, which must be there.
fn session_of<R: RowsMut>(rows: &R, event: &Event) -> Result<SessionRow, RowsError> {
    rows.session(&event.session_id)?
        .ok_or_else(|| broken(event, "its session does not exist"))
}

/// Write a session row after one of its events; a use that is worth recording moves the deadline.
fn put_session<R: RowsMut>(rows: &mut R, mut session: SessionRow, event: &Event) {
    session.revision = event.revision;
    if session.wants_touch(event.time_ms) {
        rows.delete(RowKey::Deadline(session.deadline_ms(), session.id.clone()));
        session.touched_ms = event.time_ms;
        rows.put(
            RowKey::Deadline(session.deadline_ms(), session.id.clone()),
            Row::Deadline,
        );
    }
    rows.put(RowKey::Session(session.id.clone()), Row::Session(session));
}

/// A variable of the event's session, which must be there.
fn variable_of<R: RowsMut>(rows: &R, event: &Event, name: &str) -> Result<VariableRow, RowsError> {
    rows.variable_named(&event.session_id, name)?
        .ok_or_else(|| broken(event, "its variable does not exist"))
}

fn put_variable<R: RowsMut>(rows: &mut R, event: &Event, row: VariableRow) {
    let key = RowKey::Variable(event.session_id.clone(), row.name.clone());
    rows.put(key, Row::Variable(row));
}

fn broken(event: &Event, reason: &str) -> RowsError {
    RowsError {
        key: format!("of event {} ({})", event.position, event.payload.name()),
        reason: reason.to_owned(),
    }
}
