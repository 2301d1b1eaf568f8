use super::{Context, DecideError, Decision, check_id, check_metadata};
use crate::{Answer, CreateSession, Payload, Rejection, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &CreateSession,
) -> Result<Decision, DecideError> {
    let limits = context.limits;
    check_id("session_id", &body.session_id)?;
    check_metadata(&body.metadata, limits)?;
    if !(limits.ttl_min_ms..=limits.ttl_max_ms).contains(&body.ttl_ms) {
        return Err(Rejection::invalid(format!(
            "the session's ttl is {} ms, it must be {} to {} ms; hint: give another ttl_seconds, or 0 for the default",
            body.ttl_ms, limits.ttl_min_ms, limits.ttl_max_ms
        ))
        .into());
    }
    let mut events = Vec::with_capacity(2);
    let mut sessions = rows.head()?.sessions;
    if let Some(session) = rows.session(&body.session_id)? {
        if session.alive_at(context.time_ms) {
            return Ok(Decision::unchanged(Answer::SessionCreated {
                created: false,
            }));
        }
        events.push(Payload::SessionExpired {
            deadline_ms: session.deadline_ms(),
        });
        sessions = sessions.saturating_sub(1);
    }
    if sessions >= limits.sessions_max {
        return Err(Rejection::exhausted(format!(
            "there are {sessions} sessions, the limit sessions_max is {}; hint: delete sessions, shorten their ttl, or raise the limit",
            limits.sessions_max
        ))
        .into());
    }
    events.push(Payload::SessionCreated {
        metadata: body.metadata.clone(),
        ttl_ms: body.ttl_ms,
    });
    Ok(Decision {
        answer: Answer::SessionCreated { created: true },
        events,
    })
}
