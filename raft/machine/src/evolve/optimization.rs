use super::{broken, put_session, put_variable, session_of, variable_of};
use crate::{Event, Lock, Payload, RowsError, RowsMut};

pub(super) fn started<R: RowsMut>(rows: &mut R, event: &Event) -> Result<(), RowsError> {
    let Payload::OptimizationStarted {
        name,
        optimization_id,
        optimizer_id,
        config,
        lease_ms,
        renewed,
        ..
    } = &event.payload
    else {
        return Err(broken(event, "another payload was expected"));
    };
    let mut session = session_of(rows, event)?;
    let mut row = variable_of(rows, event, name)?;
    // Whoever renews it by its id does not take it over.
    let (started_ms, principal) = match row.lock.take() {
        Some(lock) if *renewed => (lock.started_ms, lock.principal),
        _ => (event.time_ms, event.principal.name.clone()),
    };
    row.lock = Some(Lock {
        optimization_id: optimization_id.clone(),
        optimizer_id: optimizer_id.clone(),
        principal,
        config: config.clone(),
        started_ms,
        renewed_ms: event.time_ms,
        lease_ms: *lease_ms,
    });
    put_variable(rows, event, row);
    session.locked.insert(name.clone());
    put_session(rows, session, event);
    Ok(())
}

pub(super) fn stopped<R: RowsMut>(
    rows: &mut R,
    event: &Event,
    name: &str,
) -> Result<(), RowsError> {
    let mut session = session_of(rows, event)?;
    let mut row = variable_of(rows, event, name)?;
    row.lock = None;
    put_variable(rows, event, row);
    session.locked.remove(name);
    put_session(rows, session, event);
    Ok(())
}
