use super::broken;
use crate::{Event, HeadRow, Payload, PoolRow, Row, RowKey, RowsError, RowsExt, RowsMut};

pub(super) fn put<R: RowsMut>(
    rows: &mut R,
    head: &mut HeadRow,
    event: &Event,
) -> Result<(), RowsError> {
    let Payload::PoolPut {
        name,
        definition_json,
        version,
    } = &event.payload
    else {
        return Err(broken(event, "another payload was expected"));
    };
    let held = rows.pool(name)?;
    head.pools += u64::from(held.is_none());
    head.pools_position = event.position;
    let row = PoolRow {
        name: name.clone(),
        definition_json: definition_json.clone(),
        version: *version,
        created_ms: held.map_or(event.time_ms, |held| held.created_ms),
        updated_ms: event.time_ms,
    };
    rows.put(RowKey::Pool(name.clone()), Row::Pool(row));
    Ok(())
}

pub(super) fn removed<R: RowsMut>(
    rows: &mut R,
    head: &mut HeadRow,
    event: &Event,
    name: &str,
) -> Result<(), RowsError> {
    rows.pool(name)?
        .ok_or_else(|| broken(event, "its pool does not exist"))?;
    head.pools = head.pools.saturating_sub(1);
    head.pools_position = event.position;
    rows.delete(RowKey::Pool(name.to_owned()));
    Ok(())
}
