use super::call::{
    check_digest, check_names, check_outcome, check_reads, check_scope, check_size, check_texts,
};
use super::{Context, DecideError, Decision};
use crate::{Answer, CallEnd, Payload, Rows};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &CallEnd,
) -> Result<Decision, DecideError> {
    check_scope(rows, context, &body.session_id)?;
    check_names(&body.call_id, &body.tool)?;
    check_texts(&[
        ("of_session", &body.of_session),
        ("pool", &body.pool),
        ("worker", &body.worker),
        ("idempotency_key", &body.idempotency_key),
    ])?;
    check_outcome(&body.outcome, &body.error_type)?;
    check_size("result", body.result.len() as u64, context.limits)?;
    check_digest("result_digest", &body.result_digest)?;
    check_reads(&body.reads)?;
    Ok(Decision {
        answer: Answer::CallEnded {
            outcome: body.outcome.clone(),
            result: body.result.clone(),
            position: context.position,
        },
        events: vec![Payload::CallEnded {
            of_session: body.of_session.clone(),
            call_id: body.call_id.clone(),
            pool: body.pool.clone(),
            tool: body.tool.clone(),
            worker: body.worker.clone(),
            node: body.node,
            outcome: body.outcome.clone(),
            error_type: body.error_type.clone(),
            result: body.result.clone(),
            result_digest: body.result_digest.clone(),
            duration_us: body.duration_us,
            queued_us: body.queued_us,
            chunks: body.chunks,
            attempts: body.attempts,
            idempotency_key: body.idempotency_key.clone(),
            reads: body.reads.clone(),
        }],
    })
}
