use super::seal::{self, Seal};
use super::{Context, DecideError, Decision, check_id, check_metadata, check_sessions, check_ttl};
use crate::{Answer, CreateSession, Payload, Rows, RowsExt};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &CreateSession,
) -> Result<Decision, DecideError> {
    let limits = context.limits;
    check_id("session_id", &body.session_id)?;
    check_metadata(&body.metadata, limits)?;
    check_ttl(body.ttl_ms, limits)?;
    seal::check_prefix(&body.session_id, &body.subject)?;
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
    check_sessions(sessions, limits)?;
    Seal::named(rows, &body.subject)?;
    events.push(Payload::SessionCreated {
        metadata: body.metadata.clone(),
        ttl_ms: body.ttl_ms,
        config: body.config,
        imported_from: String::new(),
        subject: body.subject.clone(),
    });
    Ok(Decision {
        answer: Answer::SessionCreated { created: true },
        events,
    })
}
