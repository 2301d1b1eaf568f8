use std::sync::Arc;

use super::Fold;
use crate::{Payload, ProgramRow, Row, RowKey, RowsError, RowsExt, RowsMut};

pub(super) fn put<R: RowsMut>(fold: &mut Fold<'_, R>) -> Result<(), RowsError> {
    let Payload::ProgramPut {
        program_id,
        value,
        metadata,
        version,
        ttl_ms,
    } = &fold.event.payload
    else {
        return Err(fold.broken("another payload was expected"));
    };
    let held = fold.rows.program(&fold.event.session_id, program_id)?;
    let row = ProgramRow {
        id: program_id.clone(),
        value: value.clone(),
        metadata: metadata.clone(),
        version: *version,
        created_ms: held
            .as_ref()
            .map_or(fold.event.time_ms, |held| held.created_ms),
        updated_ms: fold.event.time_ms,
        ttl_ms: *ttl_ms,
    };
    let added = u64::from(held.is_none());
    if fold.event.session_id.is_empty() {
        fold.head.programs += added;
        if let Some(held) = held {
            fold.rows
                .delete(RowKey::ProgramDeadline(held.deadline_ms(), held.id.clone()));
        }
        fold.rows.put(
            RowKey::ProgramDeadline(row.deadline_ms(), row.id.clone()),
            Row::Deadline,
        );
    } else {
        fold.session()?.programs += added;
        fold.used()?;
    }
    fold.rows.put(
        RowKey::Program(fold.event.session_id.clone(), row.id.clone()),
        Row::Program(Arc::new(row)),
    );
    Ok(())
}

pub(super) fn ended<R: RowsMut>(fold: &mut Fold<'_, R>, program_id: &str) -> Result<(), RowsError> {
    let held = fold
        .rows
        .program(&fold.event.session_id, program_id)?
        .ok_or_else(|| fold.broken("its program does not exist"))?;
    if fold.event.session_id.is_empty() {
        fold.head.programs = fold.head.programs.saturating_sub(1);
        fold.rows
            .delete(RowKey::ProgramDeadline(held.deadline_ms(), held.id.clone()));
    } else {
        let session = fold.session()?;
        session.programs = session.programs.saturating_sub(1);
        fold.used()?;
    }
    fold.rows.delete(RowKey::Program(
        fold.event.session_id.clone(),
        held.id.clone(),
    ));
    Ok(())
}
