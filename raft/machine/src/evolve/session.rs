use std::collections::BTreeMap;

use super::{put_session, session_of};
use crate::{Event, HeadRow, Ring, Row, RowKey, RowPrefix, RowsError, RowsMut, SessionRow};

pub(super) fn created<R: RowsMut>(
    rows: &mut R,
    head: &mut HeadRow,
    event: &Event,
    metadata: &BTreeMap<String, String>,
    ttl_ms: u64,
) {
    let session = SessionRow {
        id: event.session_id.clone(),
        metadata: metadata.clone(),
        created_ms: event.time_ms,
        ttl_ms,
        touched_ms: event.time_ms,
        revision: event.revision,
        variables: 0,
        requests: Ring::default(),
    };
    head.sessions += 1;
    rows.put(
        RowKey::Deadline(session.deadline_ms(), session.id.clone()),
        Row::Deadline,
    );
    rows.put(RowKey::Session(session.id.clone()), Row::Session(session));
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
    rows.clear(RowPrefix::RequestOrders(session.id));
    Ok(())
}
