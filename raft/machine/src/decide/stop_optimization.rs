use super::{Context, DecideError, Decision, check_access, held_variable, living_session};
use crate::{Answer, Payload, Rejection, Rows, StopOptimization};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &StopOptimization,
) -> Result<Decision, DecideError> {
    living_session(rows, context, &body.session_id)?;
    let held = held_variable(rows, &body.session_id, &body.identifier)?;
    check_access(context, &held)?;
    // Where the value is that the optimization leaves behind.
    let position = held.chain.first().copied().unwrap_or(0);
    let answer = |existed| Answer::OptimizationStopped { existed, position };
    let Some(lock) = held.lock_at(context.time_ms) else {
        return Ok(Decision::unchanged(answer(false)));
    };
    let owns = if body.optimization_id.is_empty() {
        lock.is_owned_by(context.origin)
    } else {
        lock.optimization_id == body.optimization_id
    };
    if !owns && !body.force {
        return Err(Rejection::refused(format!(
            "variable_locked_for_optimization: {} is held by optimizer {}, not by the one who asks; hint: give its optimization id, or use force",
            held.name, lock.optimizer_id
        ))
        .into());
    }
    Ok(Decision {
        answer: answer(true),
        events: vec![Payload::OptimizationStopped {
            id: held.id.clone(),
            name: held.name.clone(),
            optimization_id: lock.optimization_id.clone(),
            forced: !owns,
        }],
    })
}
