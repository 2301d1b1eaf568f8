//! From an event to rows. There is no other way to change a row. One file per event family; this file is
//! the table.

mod requests;
mod session;
mod variable;

pub(crate) use requests::ended_request;
pub use requests::{REQUESTS_KEPT_MAX, REQUESTS_KEPT_MIN, REQUESTS_KEPT_MS};

use crate::{Event, HeadRow, Payload, Row, RowKey, RowsError, RowsExt, RowsMut, SessionRow};

/// Fold one event into the rows.
pub fn evolve<R: RowsMut>(rows: &mut R, event: &Event) -> Result<(), RowsError> {
    let mut head = rows.head()?;
    head.position = event.position;
    head.time_ms = event.time_ms;
    match &event.payload {
        Payload::SessionCreated { metadata, ttl_ms } => {
            session::created(rows, &mut head, event, metadata, *ttl_ms);
        }
        Payload::SessionTouched => session::touched(rows, event)?,
        Payload::SessionDeleted | Payload::SessionExpired { .. } => {
            session::ended(rows, &mut head, event)?
        }
        Payload::VariableRegistered { .. } => variable::registered(rows, event)?,
        Payload::VariableSet { .. } => variable::set(rows, event)?,
        Payload::VariableDeleted { name, .. } => variable::deleted(rows, event, name)?,
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

fn broken(event: &Event, reason: &str) -> RowsError {
    RowsError {
        key: format!("of event {} ({})", event.position, event.payload.name()),
        reason: reason.to_owned(),
    }
}
