use super::call::{check_digest, check_names, check_scope, check_size, check_texts};
use super::{Context, DecideError, Decision};
use crate::{Answer, CallStart, Payload, Rows};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &CallStart,
) -> Result<Decision, DecideError> {
    check_scope(rows, context, &body.session_id)?;
    check_names(&body.call_id, &body.tool)?;
    check_texts(&[
        ("of_session", &body.of_session),
        ("pool", &body.pool),
        ("tool_version", &body.tool_version),
        ("idempotency_key", &body.idempotency_key),
    ])?;
    check_size("arguments", body.arguments.len() as u64, context.limits)?;
    check_digest("arguments_digest", &body.arguments_digest)?;
    Ok(Decision {
        answer: Answer::CallStarted {
            call_id: body.call_id.clone(),
            node: context.origin.node,
            position: context.position,
        },
        events: vec![Payload::CallStarted {
            of_session: body.of_session.clone(),
            call_id: body.call_id.clone(),
            pool: body.pool.clone(),
            tool: body.tool.clone(),
            tool_version: body.tool_version.clone(),
            idempotency_key: body.idempotency_key.clone(),
            arguments: body.arguments.clone(),
            arguments_digest: body.arguments_digest.clone(),
            deadline_ms: body.deadline_ms,
            attempt: body.attempt,
        }],
    })
}
