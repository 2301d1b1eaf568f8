use super::broken;
use crate::{Event, HeadRow, Row, RowKey, RowsError, RowsExt, RowsMut, SubjectRow};

pub(super) fn put<R: RowsMut>(
    rows: &mut R,
    head: &mut HeadRow,
    event: &Event,
    name: &str,
    key_id: &str,
) -> Result<(), RowsError> {
    if rows.subject(name)?.is_some() {
        return Err(broken(event, "its subject has a key already"));
    }
    head.subjects += 1;
    head.subjects_position = event.position;
    let row = SubjectRow {
        name: name.to_owned(),
        key_id: key_id.to_owned(),
        created_ms: event.time_ms,
        erased_ms: 0,
    };
    rows.put(RowKey::Subject(name.to_owned()), Row::Subject(row));
    Ok(())
}

pub(super) fn erased<R: RowsMut>(
    rows: &mut R,
    head: &mut HeadRow,
    event: &Event,
    name: &str,
) -> Result<(), RowsError> {
    let mut row = rows
        .subject(name)?
        .ok_or_else(|| broken(event, "its subject is not known"))?;
    row.erased_ms = event.time_ms.max(1);
    head.subjects_position = event.position;
    rows.put(RowKey::Subject(name.to_owned()), Row::Subject(row));
    Ok(())
}
