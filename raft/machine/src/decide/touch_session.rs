use super::{Context, DecideError, Decision};
use crate::{Answer, Payload, Rows, RowsExt, TouchSession};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &TouchSession,
) -> Result<Decision, DecideError> {
    match rows.session(&body.session_id)? {
        Some(session) if session.alive_at(context.time_ms) => Ok(Decision {
            answer: Answer::SessionTouched { valid: true },
            events: if session.wants_touch(context.time_ms) {
                vec![Payload::SessionTouched]
            } else {
                Vec::new()
            },
        }),
        _ => Ok(Decision::unchanged(Answer::SessionTouched { valid: false })),
    }
}
