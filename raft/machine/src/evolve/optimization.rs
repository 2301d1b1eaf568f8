use std::sync::Arc;

use super::Fold;
use crate::{Lock, Payload, RowsError, RowsMut};

pub(super) fn started<R: RowsMut>(fold: &mut Fold<'_, R>) -> Result<(), RowsError> {
    let Payload::OptimizationStarted {
        name,
        optimization_id,
        optimizer_id,
        config,
        lease_ms,
        renewed,
        ..
    } = &fold.event.payload
    else {
        return Err(fold.broken("another payload was expected"));
    };
    let mut held = fold.variable(name)?;
    let row = Arc::make_mut(&mut held);
    // Whoever renews it by its id does not take it over.
    let (started_ms, principal) = match row.lock.take() {
        Some(lock) if *renewed => (lock.started_ms, lock.principal),
        _ => (fold.event.time_ms, fold.event.principal.name.clone()),
    };
    row.lock = Some(Lock {
        optimization_id: optimization_id.clone(),
        optimizer_id: optimizer_id.clone(),
        principal,
        config: config.clone(),
        started_ms,
        renewed_ms: fold.event.time_ms,
        lease_ms: *lease_ms,
    });
    fold.put_variable(held);
    fold.session()?.locked.insert(name.clone());
    fold.used()
}

pub(super) fn stopped<R: RowsMut>(fold: &mut Fold<'_, R>, name: &str) -> Result<(), RowsError> {
    let mut row = fold.variable(name)?;
    Arc::make_mut(&mut row).lock = None;
    fold.put_variable(row);
    fold.session()?.locked.remove(name);
    fold.used()
}
