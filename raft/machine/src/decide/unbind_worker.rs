use super::{Context, DecideError, Decision, check_id, living_session};
use crate::{Answer, Payload, Rows, UnbindWorker};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &UnbindWorker,
) -> Result<Decision, DecideError> {
    let session = living_session(rows, context, &body.session_id)?;
    check_id("pool", &body.pool)?;
    check_id("worker", &body.worker)?;
    match session.bindings.get(&body.pool) {
        Some(held) if held.worker == body.worker => Ok(Decision {
            answer: Answer::Done { existed: true },
            events: vec![Payload::WorkerUnbound {
                pool: body.pool.clone(),
                worker: held.worker.clone(),
                node: held.node,
            }],
        }),
        _ => Ok(Decision::unchanged(Answer::Done { existed: false })),
    }
}
