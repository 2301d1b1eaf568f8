use super::{Context, DecideError, Decision};
use crate::{Answer, DeleteSession, Payload, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &DeleteSession,
) -> Result<Decision, DecideError> {
    match rows.session(&body.session_id)? {
        Some(session) if session.alive_at(context.time_ms) => Ok(Decision {
            answer: Answer::SessionDeleted {
                existed: true,
                variables: session.variables,
            },
            events: vec![Payload::SessionDeleted],
        }),
        _ => Ok(Decision::unchanged(Answer::SessionDeleted {
            existed: false,
            variables: 0,
        })),
    }
}
