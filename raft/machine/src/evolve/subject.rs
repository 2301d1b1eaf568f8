use super::Fold;
use crate::{Row, RowKey, RowsError, RowsExt, RowsMut, SubjectRow};

pub(super) fn put<R: RowsMut>(
    fold: &mut Fold<'_, R>,
    name: &str,
    key_id: &str,
) -> Result<(), RowsError> {
    if fold.rows.subject(name)?.is_some() {
        return Err(fold.broken("its subject has a key already"));
    }
    fold.head.subjects += 1;
    fold.head.subjects_position = fold.event.position;
    let row = SubjectRow {
        name: name.to_owned(),
        key_id: key_id.to_owned(),
        created_ms: fold.event.time_ms,
        erased_ms: 0,
    };
    fold.rows
        .put(RowKey::Subject(name.to_owned()), Row::Subject(row));
    Ok(())
}

pub(super) fn erased<R: RowsMut>(fold: &mut Fold<'_, R>, name: &str) -> Result<(), RowsError> {
    let mut row = fold
        .rows
        .subject(name)?
        .ok_or_else(|| fold.broken("its subject is not known"))?;
    row.erased_ms = fold.event.time_ms.max(1);
    fold.head.subjects_position = fold.event.position;
    fold.rows
        .put(RowKey::Subject(name.to_owned()), Row::Subject(row));
    Ok(())
}
