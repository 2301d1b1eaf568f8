use std::collections::{BTreeMap, BTreeSet};

use super::{broken, put_session, session_of};
use crate::{
    Event, HeadRow, Kept, Payload, Row, RowKey, RowPrefix, RowsError, RowsMut, SessionRow,
};

pub(super) fn created<R: RowsMut>(
    rows: &mut R,
    head: &mut HeadRow,
    event: &Event,
) -> Result<(), RowsError> {
    let Payload::SessionCreated {
        metadata,
        ttl_ms,
        config,
        imported_from,
        subject,
    } = &event.payload
    else {
        return Err(broken(event, "another payload was expected"));
    };
    let session = SessionRow {
        id: event.session_id.clone(),
        metadata: metadata.clone(),
        created_ms: event.time_ms,
        ttl_ms: *ttl_ms,
        touched_ms: event.time_ms,
        revision: event.revision,
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
    head.sessions += 1;
    rows.put(
        RowKey::Deadline(session.deadline_ms(), session.id.clone()),
        Row::Deadline,
    );
    rows.put(RowKey::Session(session.id.clone()), Row::Session(session));
    Ok(())
}

pub(super) fn touched<R: RowsMut>(rows: &mut R, event: &Event) -> Result<(), RowsError> {
    let session = session_of(rows, event)?;
    put_session(rows, session, event);
    Ok(())
}

pub(super) fn ended<R: RowsMut>(
    rows: &mut R,
    head: &mut HeadRow,
    event: &Event,
) -> Result<(), RowsError> {
    let session = session_of(rows, event)?;
    head.sessions = head.sessions.saturating_sub(1);
    rows.delete(RowKey::Deadline(session.deadline_ms(), session.id.clone()));
    rows.delete(RowKey::Session(session.id.clone()));
    rows.clear(RowPrefix::Variables(session.id.clone()));
    rows.clear(RowPrefix::Requests(session.id.clone()));
    rows.clear(RowPrefix::Programs(session.id.clone()));
    rows.clear(RowPrefix::Tools(session.id));
    Ok(())
}
