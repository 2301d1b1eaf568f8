use std::collections::BTreeMap;

use super::{broken, put_session, put_variable, session_of, variable_of};
use crate::{Event, Payload, Row, RowKey, RowsError, RowsExt, RowsMut, SessionRow, VariableRow};

pub(super) fn registered<R: RowsMut>(rows: &mut R, event: &Event) -> Result<(), RowsError> {
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
    } = &event.payload
    else {
        return Err(broken(event, "another payload was expected"));
    };
    let mut session = session_of(rows, event)?;
    session.updates += 1;
    let mut row = match rows.variable_named(&event.session_id, name)? {
        Some(held) => held,
        None => {
            session.variables += 1;
            VariableRow {
                id: id.clone(),
                name: name.clone(),
                type_name: type_name.clone(),
                value: value.clone(),
                constraints_json: String::new(),
                metadata: BTreeMap::new(),
                version: 0,
                created_ms: event.time_ms,
                updated_ms: event.time_ms,
                by_tool: false,
                chain: Vec::new(),
                access_json: String::new(),
                depends_on: BTreeMap::new(),
                dependents: BTreeMap::new(),
                lock: None,
            }
        }
    };
    row.value = value.clone();
    row.constraints_json.clone_from(constraints_json);
    row.metadata.clone_from(metadata);
    row.access_json.clone_from(access_json);
    advance(&mut row, &mut session, event, *version);
    put_variable(rows, event, row);
    put_session(rows, session, event);
    Ok(())
}

pub(super) fn set<R: RowsMut>(rows: &mut R, event: &Event) -> Result<(), RowsError> {
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
    }) = &event.payload
    else {
        return Err(broken(event, "another payload was expected"));
    };
    let mut session = session_of(rows, event)?;
    session.updates += 1;
    let mut row = variable_of(rows, event, name)?;
    row.value = value.clone();
    row.metadata.extend(metadata.clone());
    advance(&mut row, &mut session, event, *version);
    put_variable(rows, event, row);
    put_session(rows, session, event);
    Ok(())
}

/// The row has a new version.
fn advance(row: &mut VariableRow, session: &mut SessionRow, event: &Event, version: u64) {
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
            session.locked.remove(&row.name);
        }
    }
}

pub(super) fn deleted<R: RowsMut>(
    rows: &mut R,
    event: &Event,
    name: &str,
) -> Result<(), RowsError> {
    let mut session = session_of(rows, event)?;
    session.variables = session.variables.saturating_sub(1);
    session.locked.remove(name);
    let gone = variable_of(rows, event, name)?;
    for other in gone.depends_on.keys() {
        let mut row = variable_of(rows, event, other)?;
        row.dependents.remove(name);
        put_variable(rows, event, row);
    }
    for other in gone.dependents.keys() {
        let mut row = variable_of(rows, event, other)?;
        row.depends_on.remove(name);
        put_variable(rows, event, row);
    }
    rows.delete(RowKey::Variable(session.id.clone(), name.to_owned()));
    put_session(rows, session, event);
    Ok(())
}

pub(super) fn access_set<R: RowsMut>(
    rows: &mut R,
    event: &Event,
    name: &str,
    access_json: &str,
) -> Result<(), RowsError> {
    let session = session_of(rows, event)?;
    let mut row = variable_of(rows, event, name)?;
    access_json.clone_into(&mut row.access_json);
    rows.put(
        RowKey::Variable(session.id.clone(), name.to_owned()),
        Row::Variable(row),
    );
    put_session(rows, session, event);
    Ok(())
}
