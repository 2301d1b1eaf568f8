use super::{Context, DecideError, Decision};
use crate::{Answer, ExpireSession, Payload, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &ExpireSession,
) -> Result<Decision, DecideError> {
    match rows.session(&body.session_id)? {
        Some(session) if !session.alive_at(context.time_ms) => Ok(Decision {
            answer: Answer::SessionDeleted {
                existed: true,
                resources: session.resources(),
            },
            events: vec![Payload::SessionExpired {
                deadline_ms: session.deadline_ms(),
            }],
        }),
        _ => Ok(Decision::unchanged(Answer::SessionDeleted {
            existed: false,
            resources: 0,
        })),
    }
}
