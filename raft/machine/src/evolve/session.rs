use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Fold;
use crate::{Kept, Payload, Row, RowKey, RowPrefix, RowsError, RowsMut, SessionRow};

pub(super) fn created<R: RowsMut>(fold: &mut Fold<'_, R>) -> Result<(), RowsError> {
    let Payload::SessionCreated {
        metadata,
        ttl_ms,
        config,
        imported_from,
        subject,
    } = &fold.event.payload
    else {
        return Err(fold.broken("another payload was expected"));
    };
    let session = SessionRow {
        id: fold.event.session_id.clone(),
        metadata: metadata.clone(),
        created_ms: fold.event.time_ms,
        ttl_ms: *ttl_ms,
        touched_ms: fold.event.time_ms,
        revision: fold.event.revision,
        variables: 0,
        answers: Kept::default(),
        config: *config,
        imported_from: imported_from.clone(),
        subject: subject.clone(),
        updates: 0,
        programs: 0,
        tools: 0,
        locked: BTreeSet::new(),
        bindings: BTreeMap::new(),
    };
    fold.head.sessions += 1;
    fold.rows.put(
        RowKey::Deadline(session.deadline_ms(), session.id.clone()),
        Row::Deadline,
    );
    fold.session = Some(Arc::new(session));
    Ok(())
}

pub(super) fn ended<R: RowsMut>(fold: &mut Fold<'_, R>) -> Result<(), RowsError> {
    let session = fold.take_session()?;
    fold.head.sessions = fold.head.sessions.saturating_sub(1);
    fold.rows
        .delete(RowKey::Deadline(session.deadline_ms(), session.id.clone()));
    fold.rows.delete(RowKey::Session(session.id.clone()));
    fold.rows.clear(RowPrefix::Variables(session.id.clone()));
    fold.rows.clear(RowPrefix::Requests(session.id.clone()));
    fold.rows.clear(RowPrefix::Programs(session.id.clone()));
    fold.rows.clear(RowPrefix::Tools(session.id.clone()));
    Ok(())
}
