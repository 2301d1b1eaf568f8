use std::collections::BTreeMap;

use super::Fold;
use crate::{Row, RowKey, RowsError, RowsExt, RowsMut, ToolRow};

pub(super) fn registered<R: RowsMut>(
    fold: &mut Fold<'_, R>,
    worker_id: &str,
    tools: &BTreeMap<String, Vec<u8>>,
) -> Result<(), RowsError> {
    let session_id = &fold.event.session_id;
    for (name, spec) in tools {
        if fold.rows.tool(session_id, name)?.is_none() {
            fold.session()?.tools += 1;
        }
        let row = ToolRow {
            name: name.clone(),
            worker_id: worker_id.to_owned(),
            spec: spec.clone(),
        };
        let key = RowKey::Tool(session_id.clone(), name.clone());
        fold.rows.put(key, Row::Tool(row));
    }
    fold.used()
}
