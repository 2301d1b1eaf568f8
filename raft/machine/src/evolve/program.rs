use super::{broken, put_session, session_of};
use crate::{Event, HeadRow, Payload, ProgramRow, Row, RowKey, RowsError, RowsExt, RowsMut};

pub(super) fn put<R: RowsMut>(
    rows: &mut R,
    head: &mut HeadRow,
    event: &Event,
) -> Result<(), RowsError> {
    let Payload::ProgramPut {
        program_id,
        value,
        metadata,
        version,
        ttl_ms,
    } = &event.payload
    else {
        return Err(broken(event, "another payload was expected"));
    };
    let held = rows.program(&event.session_id, program_id)?;
    let row = ProgramRow {
        id: program_id.clone(),
        value: value.clone(),
        metadata: metadata.clone(),
        version: *version,
        created_ms: held.as_ref().map_or(event.time_ms, |held| held.created_ms),
        updated_ms: event.time_ms,
        ttl_ms: *ttl_ms,
    };
    let added = u64::from(held.is_none());
    if event.session_id.is_empty() {
        head.programs += added;
        if let Some(held) = held {
            rows.delete(RowKey::ProgramDeadline(held.deadline_ms(), held.id));
        }
        rows.put(
            RowKey::ProgramDeadline(row.deadline_ms(), row.id.clone()),
            Row::Deadline,
        );
    } else {
        let mut session = session_of(rows, event)?;
        session.programs += added;
        put_session(rows, session, event);
    }
    rows.put(
        RowKey::Program(event.session_id.clone(), row.id.clone()),
        Row::Program(row),
    );
    Ok(())
}

pub(super) fn ended<R: RowsMut>(
    rows: &mut R,
    head: &mut HeadRow,
    event: &Event,
    program_id: &str,
) -> Result<(), RowsError> {
    let held = rows
        .program(&event.session_id, program_id)?
        .ok_or_else(|| broken(event, "its program does not exist"))?;
    if event.session_id.is_empty() {
        head.programs = head.programs.saturating_sub(1);
        rows.delete(RowKey::ProgramDeadline(held.deadline_ms(), held.id.clone()));
    } else {
        let mut session = session_of(rows, event)?;
        session.programs = session.programs.saturating_sub(1);
        put_session(rows, session, event);
    }
    rows.delete(RowKey::Program(event.session_id.clone(), held.id));
    Ok(())
}
