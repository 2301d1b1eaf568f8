use super::{Context, DecideError, Decision};
use crate::{Answer, DeleteSession, Payload, Rejection, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &DeleteSession,
) -> Result<Decision, DecideError> {
    let session = match rows.session(&body.session_id)? {
        Some(session) if session.alive_at(context.time_ms) => session,
        _ => {
            return Ok(Decision::unchanged(Answer::SessionDeleted {
                existed: false,
                resources: 0,
            }));
        }
    };
    if !body.force {
        for name in &session.locked {
            let held = rows.variable_named(&session.id, name)?;
            let lock = held
                .as_ref()
                .and_then(|held| held.lock_at(context.time_ms))
                .filter(|lock| !lock.is_owned_by(context.origin));
            if let Some(lock) = lock {
                return Err(Rejection::refused(format!(
                    "variable {name} of session {} is held by optimizer {}; hint: stop the optimization, or use force",
                    session.id, lock.optimizer_id
                ))
                .into());
            }
        }
    }
    Ok(Decision {
        answer: Answer::SessionDeleted {
            existed: true,
            resources: session.resources(),
        },
        events: vec![Payload::SessionDeleted],
    })
}
