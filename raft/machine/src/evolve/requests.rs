//! Kept answers: a repeated request gets the first one. They are gathered in epochs, of which the current one
//! and the one before are kept: an epoch ends when it is old enough and large enough, and with it go all
//! answers of the epoch before, at once. Requests that begin or end their session, or belong to none, are kept
//! apart, under the empty session id.
//!
//! How long answers are kept is part of the format, not a setting: a fold of the same events gives the
//! same rows whatever a node's settings are.

use super::Fold;
use crate::{Event, Kept, Payload, RowPrefix, RowsError, RowsMut};

/// Requests whose answers a session keeps at least.
pub const REQUESTS_KEPT_MIN: u64 = 1_024;
/// Time for which an answer is kept at least, in milliseconds.
pub const REQUESTS_KEPT_MS: u64 = 600_000;
/// Requests whose answers a session keeps at most; beyond it the oldest go, whatever their age.
pub const REQUESTS_KEPT_MAX: u64 = 1_000_000;

pub(super) fn keep<R: RowsMut>(fold: &mut Fold<'_, R>) -> Result<(), RowsError> {
    let event = fold.event;
    let request_id = &event.cause.request_id;
    let (Some(answer), false) = (&event.answer, request_id.is_empty()) else {
        return Ok(());
    };
    // What a request to begin a session, or to import one, made last may be any event of it: its answer tells.
    if outlives_session(event) {
        let request_id = outliving_request(&event.session_id, request_id);
        let epoch = count(fold.rows, "", &mut fold.head.answers, event.time_ms);
        fold.rows.keep("", epoch, &request_id, answer);
        return Ok(());
    }
    let mut kept = fold.session()?.answers;
    let epoch = count(fold.rows, &event.session_id, &mut kept, event.time_ms);
    fold.session()?.answers = kept;
    fold.rows.keep(&event.session_id, epoch, request_id, answer);
    Ok(())
}

fn outlives_session(event: &Event) -> bool {
    use crate::Answer;
    event.session_id.is_empty()
        || matches!(
            event.payload,
            Payload::SessionDeleted | Payload::SessionExpired { .. }
        )
        || matches!(
            event.answer,
            Some(Answer::SessionCreated { .. } | Answer::SessionImported { .. })
        )
}

/// Names a request whose answer outlives its session, among those of all sessions.
pub(crate) fn outliving_request(session_id: &str, request_id: &str) -> String {
    format!("{}:{session_id}{request_id}", session_id.len())
}

/// Count one more answer; the epoch that it belongs to.
fn count<R: RowsMut>(rows: &mut R, session_id: &str, kept: &mut Kept, now_ms: u64) -> u64 {
    let old = now_ms.saturating_sub(kept.began_ms) > REQUESTS_KEPT_MS;
    if (old && kept.count >= REQUESTS_KEPT_MIN) || kept.count >= REQUESTS_KEPT_MAX / 2 {
        if let Some(before) = kept.epoch.checked_sub(1) {
            rows.clear(RowPrefix::RequestEpoch(session_id.to_owned(), before));
        }
        kept.epoch += 1;
        kept.count = 0;
    }
    if kept.count == 0 {
        kept.began_ms = now_ms;
    }
    kept.count += 1;
    kept.epoch
}
