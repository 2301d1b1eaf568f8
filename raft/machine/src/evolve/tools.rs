use std::collections::BTreeMap;

use super::{put_session, session_of};
use crate::{Event, Row, RowKey, RowsError, RowsExt, RowsMut, ToolRow};

pub(super) fn registered<R: RowsMut>(
    rows: &mut R,
    event: &Event,
    worker_id: &str,
    tools: &BTreeMap<String, Vec<u8>>,
) -> Result<(), RowsError> {
    let mut session = session_of(rows, event)?;
    for (name, spec) in tools {
        if rows.tool(&session.id, name)?.is_none() {
            session.tools += 1;
        }
        let row = ToolRow {
            name: name.clone(),
            worker_id: worker_id.to_owned(),
            spec: spec.clone(),
        };
        rows.put(
            RowKey::Tool(session.id.clone(), name.clone()),
            Row::Tool(row),
        );
    }
    put_session(rows, session, event);
    Ok(())
}
