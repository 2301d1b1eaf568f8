use super::{Context, DecideError, Decision, check_id, living_session};
use crate::{Answer, BINDINGS_PER_SESSION_MAX, BindWorker, Payload, Rejection, Rows};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &BindWorker,
) -> Result<Decision, DecideError> {
    let session = living_session(rows, context, &body.session_id)?;
    check_id("pool", &body.pool)?;
    check_id("worker", &body.worker)?;
    let held = session.bindings.get(&body.pool);
    if let Some(held) = held {
        let same = held.node == body.node && held.worker == body.worker;
        if same || held.worker != body.replaces {
            return Ok(Decision::unchanged(Answer::WorkerBound {
                node: held.node,
                worker: held.worker.clone(),
                bound: same,
            }));
        }
    }
    if held.is_none() && session.bindings.len() >= BINDINGS_PER_SESSION_MAX {
        return Err(Rejection::exhausted(format!(
            "session {} is bound to workers of {} pools, the limit is {BINDINGS_PER_SESSION_MAX}; hint: use fewer pools in a session",
            session.id,
            session.bindings.len()
        ))
        .into());
    }
    Ok(Decision {
        answer: Answer::WorkerBound {
            node: body.node,
            worker: body.worker.clone(),
            bound: true,
        },
        events: vec![Payload::WorkerBound {
            pool: body.pool.clone(),
            node: body.node,
            worker: body.worker.clone(),
        }],
    })
}
