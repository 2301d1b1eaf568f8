use super::{broken, put_session, session_of};
use crate::{Event, Payload, Row, RowKey, RowsError, RowsExt, RowsMut, VariableRow};

pub(super) fn registered<R: RowsMut>(rows: &mut R, event: &Event) -> Result<(), RowsError> {
    let Payload::VariableRegistered {
        id,
        name,
        type_name,
        value,
        constraints_json,
        metadata,
        version,
    } = &event.payload
    else {
        return Err(broken(event, "another payload was expected"));
    };
    let mut session = session_of(rows, event)?;
    let created_ms = match rows.variable_named(&event.session_id, name)? {
        Some(held) => held.created_ms,
        None => {
            session.variables += 1;
            event.time_ms
        }
    };
    let row = VariableRow {
        id: id.clone(),
        name: name.clone(),
        type_name: type_name.clone(),
        value: value.clone(),
        constraints_json: constraints_json.clone(),
        metadata: metadata.clone(),
        version: *version,
        created_ms,
        updated_ms: event.time_ms,
        position: event.position,
    };
    rows.put(
        RowKey::Variable(session.id.clone(), name.clone()),
        Row::Variable(row),
    );
    put_session(rows, session, event);
    Ok(())
}

pub(super) fn set<R: RowsMut>(rows: &mut R, event: &Event) -> Result<(), RowsError> {
    let Payload::VariableSet {
        name,
        value,
        metadata,
        version,
        ..
    } = &event.payload
    else {
        return Err(broken(event, "another payload was expected"));
    };
    let session = session_of(rows, event)?;
    let mut row = rows
        .variable_named(&event.session_id, name)?
        .ok_or_else(|| broken(event, "its variable does not exist"))?;
    row.value = value.clone();
    row.metadata.extend(metadata.clone());
    row.version = *version;
    row.updated_ms = event.time_ms;
    row.position = event.position;
    rows.put(
        RowKey::Variable(session.id.clone(), name.clone()),
        Row::Variable(row),
    );
    put_session(rows, session, event);
    Ok(())
}

pub(super) fn deleted<R: RowsMut>(
    rows: &mut R,
    event: &Event,
    name: &str,
) -> Result<(), RowsError> {
    let mut session = session_of(rows, event)?;
    session.variables = session.variables.saturating_sub(1);
    rows.delete(RowKey::Variable(session.id.clone(), name.to_owned()));
    put_session(rows, session, event);
    Ok(())
}
