use super::{
    Context, DecideError, Decision, check_access, check_id, check_metadata, held_variable,
    living_session,
};
use crate::{Answer, LEASE_MAX_MS, LEASE_MIN_MS, Payload, Rejection, Rows, StartOptimization};

pub(super) fn decide<R: Rows>(
    rows: &R,
    context: Context<'_>,
    body: &StartOptimization,
) -> Result<Decision, DecideError> {
    living_session(rows, context, &body.session_id)?;
    check_id("optimizer_id", &body.optimizer_id)?;
    check_metadata(&body.config, context.limits)?;
    if !(LEASE_MIN_MS..=LEASE_MAX_MS).contains(&body.lease_ms) {
        return Err(Rejection::invalid(format!(
            "lease_ms is {}, it must be {LEASE_MIN_MS} to {LEASE_MAX_MS}; hint: give another, or 0 for the default",
            body.lease_ms
        ))
        .into());
    }
    let held = held_variable(rows, &body.session_id, &body.identifier)?;
    check_access(context, &held)?;
    let (optimization_id, renewed) = match held.lock_at(context.time_ms) {
        Some(lock)
            if lock.optimizer_id == body.optimizer_id && lock.is_owned_by(context.origin) =>
        {
            (lock.optimization_id.clone(), true)
        }
        Some(lock) => {
            return Err(Rejection::refused(format!(
                "variable_locked_for_optimization: {} is held by optimizer {}; hint: wait until it stops, or stop it with force",
                held.name, lock.optimizer_id
            ))
            .into());
        }
        None => (format!("opt_{}_{}", held.name, context.position), false),
    };
    Ok(Decision {
        answer: Answer::OptimizationStarted {
            optimization_id: optimization_id.clone(),
            expires_ms: context.time_ms.saturating_add(body.lease_ms),
        },
        events: vec![Payload::OptimizationStarted {
            id: held.id.clone(),
            name: held.name.clone(),
            optimization_id,
            optimizer_id: body.optimizer_id.clone(),
            config: body.config.clone(),
            lease_ms: body.lease_ms,
            renewed,
        }],
    })
}
