use std::collections::BTreeMap;
use std::sync::Arc;

use super::Fold;
use crate::{Payload, RowKey, RowsError, RowsExt, RowsMut, VariableRow};

pub(super) fn registered<R: RowsMut>(fold: &mut Fold<'_, R>) -> Result<(), RowsError> {
    let Payload::VariableRegistered {
        id,
        name,
        type_name,
        value,
        constraints_json,
        metadata,
        version,
        access_json,
        ..
    } = &fold.event.payload
    else {
        return Err(fold.broken("another payload was expected"));
    };
    fold.session()?.updates += 1;
    let mut held = match fold.variable_if_there(name)? {
        Some(held) => held,
        None => {
            fold.session()?.variables += 1;
            Arc::new(VariableRow {
                id: id.clone(),
                name: name.clone(),
                type_name: type_name.clone(),
                value: value.clone(),
                constraints_json: String::new(),
                metadata: BTreeMap::new(),
                version: 0,
                created_ms: fold.event.time_ms,
                updated_ms: fold.event.time_ms,
                by_tool: false,
                chain: Vec::new(),
                access_json: String::new(),
                depends_on: BTreeMap::new(),
                dependents: BTreeMap::new(),
                lock: None,
            })
        }
    };
    let row = Arc::make_mut(&mut held);
    row.value = value.clone();
    row.constraints_json.clone_from(constraints_json);
    row.metadata.clone_from(metadata);
    row.access_json.clone_from(access_json);
    advance(fold, row, *version)?;
    fold.put_variable(held);
    fold.used()
}

pub(super) fn set<R: RowsMut>(fold: &mut Fold<'_, R>) -> Result<(), RowsError> {
    let (Payload::VariableSet {
        name,
        value,
        metadata,
        version,
        ..
    }
    | Payload::VariableRolledBack {
        name,
        value,
        metadata,
        version,
        ..
    }) = &fold.event.payload
    else {
        return Err(fold.broken("another payload was expected"));
    };
    fold.session()?.updates += 1;
    let mut held = fold.variable(name)?;
    let row = Arc::make_mut(&mut held);
    row.value = value.clone();
    row.metadata.extend(metadata.clone());
    advance(fold, row, *version)?;
    fold.put_variable(held);
    fold.used()
}

/// The row has a new version.
fn advance<R: RowsMut>(
    fold: &mut Fold<'_, R>,
    row: &mut VariableRow,
    version: u64,
) -> Result<(), RowsError> {
    let event = fold.event;
    row.version = version;
    row.updated_ms = event.time_ms;
    row.by_tool = !event.cause.call_id.is_empty();
    let passed = (version.trailing_zeros() as usize).min(row.chain.len());
    row.chain.splice(..passed, [event.position]);
    // Only the owner writes while a lock holds, which renews it; one that does not hold any more is gone.
    if let Some(lock) = &mut row.lock {
        if event.time_ms < lock.expires_ms() {
            lock.renewed_ms = event.time_ms;
        } else {
            row.lock = None;
            fold.session()?.locked.remove(&row.name);
        }
    }
    Ok(())
}

pub(super) fn deleted<R: RowsMut>(fold: &mut Fold<'_, R>, name: &str) -> Result<(), RowsError> {
    let session = fold.session()?;
    session.variables = session.variables.saturating_sub(1);
    session.locked.remove(name);
    let gone = fold
        .rows
        .variable_named(&fold.event.session_id, name)?
        .ok_or_else(|| fold.broken("its variable does not exist"))?;
    for other in gone.depends_on.keys() {
        let mut row = fold.variable(other)?;
        Arc::make_mut(&mut row).dependents.remove(name);
        fold.put_variable(row);
    }
    for other in gone.dependents.keys() {
        let mut row = fold.variable(other)?;
        Arc::make_mut(&mut row).depends_on.remove(name);
        fold.put_variable(row);
    }
    let key = RowKey::Variable(fold.event.session_id.clone(), name.to_owned());
    fold.rows.delete(key);
    fold.used()
}

pub(super) fn access_set<R: RowsMut>(
    fold: &mut Fold<'_, R>,
    name: &str,
    access_json: &str,
) -> Result<(), RowsError> {
    let mut row = fold.variable(name)?;
    access_json.clone_into(&mut Arc::make_mut(&mut row).access_json);
    fold.put_variable(row);
    fold.used()
}
