//! Kept answers: a repeated request gets the first one. A request that ended its session is kept apart,
//! under the empty session id, since its session's rows are gone.
//!
//! How long answers are kept is part of the format, not a setting: a fold of the same events gives the
//! same rows whatever a node's settings are.

use crate::{Event, HeadRow, RequestRow, Ring, Row, RowKey, Rows, RowsError, RowsExt, RowsMut};

/// Requests whose answers a session keeps at least.
pub const REQUESTS_KEPT_MIN: u64 = 1_024;
/// Time for which an answer is kept at least, in milliseconds.
pub const REQUESTS_KEPT_MS: u64 = 600_000;
/// Requests whose answers a session keeps at most; beyond it the oldest go, whatever their age.
pub const REQUESTS_KEPT_MAX: u64 = 1_000_000;

/// Evictions for each kept answer: two, so that a ring that is too long grows shorter.
const EVICTIONS: usize = 2;

pub(super) fn keep<R: RowsMut>(
    rows: &mut R,
    head: &mut HeadRow,
    event: &Event,
) -> Result<(), RowsError> {
    let (Some(answer), false) = (&event.answer, event.cause.request_id.is_empty()) else {
        return Ok(());
    };
    let row = RequestRow {
        answer: answer.clone(),
        time_ms: event.time_ms,
    };
    match rows.session(&event.session_id)? {
        Some(mut session) => {
            keep_in(
                rows,
                &session.id.clone(),
                &mut session.requests,
                &event.cause.request_id,
                row,
            )?;
            rows.put(RowKey::Session(session.id.clone()), Row::Session(session));
        }
        None => {
            let request_id = ended_request(&event.session_id, &event.cause.request_id);
            keep_in(rows, "", &mut head.requests, &request_id, row)?;
        }
    }
    Ok(())
}

/// Names a request that ended its session, among those of all sessions.
pub(crate) fn ended_request(session_id: &str, request_id: &str) -> String {
    format!("{}:{session_id}{request_id}", session_id.len())
}

fn keep_in<R: RowsMut>(
    rows: &mut R,
    session_id: &str,
    ring: &mut Ring,
    request_id: &str,
    row: RequestRow,
) -> Result<(), RowsError> {
    let session_id = session_id.to_owned();
    for _ in 0..EVICTIONS {
        if !evict_oldest(rows, &session_id, ring, row.time_ms)? {
            break;
        }
    }
    let order = Row::RequestOrder(request_id.to_owned(), row.time_ms);
    rows.put(RowKey::RequestOrder(session_id.clone(), ring.next), order);
    rows.put(
        RowKey::Request(session_id, request_id.to_owned()),
        Row::Request(row),
    );
    ring.next += 1;
    Ok(())
}

/// Drop the oldest answer if its time is over.
fn evict_oldest<R: RowsMut>(
    rows: &mut R,
    session_id: &str,
    ring: &mut Ring,
    now_ms: u64,
) -> Result<bool, RowsError> {
    let kept = ring.next - ring.first;
    if kept < REQUESTS_KEPT_MIN {
        return Ok(false);
    }
    let key = RowKey::RequestOrder(session_id.to_owned(), ring.first);
    let Some(Row::RequestOrder(request_id, time_ms)) = Rows::get(rows, &key)? else {
        return Err(RowsError {
            key: format!("{key:?}"),
            reason: "the ring of kept answers has a gap".into(),
        });
    };
    let old = now_ms.saturating_sub(time_ms) > REQUESTS_KEPT_MS;
    if !old && kept < REQUESTS_KEPT_MAX {
        return Ok(false);
    }
    rows.delete(key);
    rows.delete(RowKey::Request(session_id.to_owned(), request_id));
    ring.first += 1;
    Ok(true)
}
