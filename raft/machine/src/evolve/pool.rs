use super::Fold;
use crate::{Payload, PoolRow, Row, RowKey, RowsError, RowsExt, RowsMut};

pub(super) fn put<R: RowsMut>(fold: &mut Fold<'_, R>) -> Result<(), RowsError> {
    let Payload::PoolPut {
        name,
        definition_json,
        version,
    } = &fold.event.payload
    else {
        return Err(fold.broken("another payload was expected"));
    };
    let held = fold.rows.pool(name)?;
    fold.head.pools += u64::from(held.is_none());
    fold.head.pools_position = fold.event.position;
    let row = PoolRow {
        name: name.clone(),
        definition_json: definition_json.clone(),
        version: *version,
        created_ms: held.map_or(fold.event.time_ms, |held| held.created_ms),
        updated_ms: fold.event.time_ms,
    };
    fold.rows.put(RowKey::Pool(name.clone()), Row::Pool(row));
    Ok(())
}

pub(super) fn removed<R: RowsMut>(fold: &mut Fold<'_, R>, name: &str) -> Result<(), RowsError> {
    fold.rows
        .pool(name)?
        .ok_or_else(|| fold.broken("its pool does not exist"))?;
    fold.head.pools = fold.head.pools.saturating_sub(1);
    fold.head.pools_position = fold.event.position;
    fold.rows.delete(RowKey::Pool(name.to_owned()));
    Ok(())
}
