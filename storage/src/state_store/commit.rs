//! One write for one apply: events, rows, last applied and chain head, all or nothing.

use std::io;

use rocksdb::{Direction, IteratorMode, ReadOptions, WriteBatch};
use snakepit_machine::{Changes, RowKey, RowPrefix};

use super::columns;
use super::db::StateDb;
use super::fold::Folded;
use crate::codec::keys::{self, RowColumn};
use crate::codec::{meta, row, stored_event};
use crate::error::rocks;

/// Keys under a cleared prefix that are deleted one by one. Range tombstones cost every later read of their
/// column; most sessions are small and leave none.
const DELETE_ONE_BY_ONE_MAX: usize = 1_024;

/// What is to be written of what entries did.
pub(super) fn batch(db: &StateDb, folded: &Folded) -> io::Result<WriteBatch> {
    let mut batch = WriteBatch::default();
    put_rows(db, &mut batch, &folded.changes)?;
    let events = db.column(columns::EVENTS)?;
    let by_session = db.column(columns::EVENT_BY_SESSION)?;
    let by_call = db.column(columns::EVENT_BY_CALL)?;
    for event in &folded.events {
        let value = stored_event::encode(&event.hash, &event.bytes);
        batch.put_cf(events, keys::position::encode(event.position), value);
        for call_id in &event.calls {
            let key = keys::call_event::encode(call_id, event.position)?;
            batch.put_cf(by_call, key, []);
        }
        let key = keys::session_event::encode(&event.session_id, event.position)?;
        batch.put_cf(
            by_session,
            key,
            keys::session_event::encode_value(event.revision),
        );
    }
    let tree = db.column(columns::TREE)?;
    for (place, hash) in &folded.nodes {
        batch.put_cf(tree, keys::tree::encode(*place), hash);
    }
    let marks = db.column(columns::META)?;
    let applied = meta::seal_applied(&(&folded.applied).into())?;
    batch.put_cf(marks, meta::APPLIED_KEY, applied);
    if !folded.events.is_empty() {
        batch.put_cf(marks, meta::CHAIN_KEY, meta::seal_chain(&folded.chain)?);
    }
    Ok(batch)
}

fn put_rows(db: &StateDb, batch: &mut WriteBatch, changes: &Changes) -> io::Result<()> {
    for prefix in &changes.cleared {
        clear(db, batch, prefix)?;
    }
    let mut value = Vec::new();
    for (key, new) in &changes.rows {
        let (column, key) = stored_key(key)?;
        let family = db.column(columns::of_rows(column))?;
        match new {
            Some(new) => {
                value.clear();
                row::encode_into(new, &mut value)?;
                batch.put_cf(family, key, &value);
            }
            None => batch.delete_cf(family, key),
        }
    }
    Ok(())
}

fn clear(db: &StateDb, batch: &mut WriteBatch, prefix: &RowPrefix) -> io::Result<()> {
    let (column, start) = keys::row_prefix(prefix)?;
    let family = db.column(columns::of_rows(column))?;
    let mut options = ReadOptions::default();
    let end = keys::prefix_end(&start);
    if let Some(end) = &end {
        options.set_iterate_upper_bound(end.clone());
    }
    let mode = IteratorMode::From(&start, Direction::Forward);
    let items = db.raw().iterator_cf_opt(family, options, mode);
    for (count, item) in items.enumerate() {
        let (key, _) = item.map_err(rocks("read rows"))?;
        if count == DELETE_ONE_BY_ONE_MAX
            && let Some(end) = &end
        {
            batch.delete_range_cf(family, key.as_ref(), end.as_slice());
            break;
        }
        batch.delete_cf(family, key);
    }
    Ok(())
}

/// Column and key of a row, as stored: the cluster's row is one of the records in `meta`.
pub(super) fn stored_key(key: &RowKey) -> Result<(RowColumn, Vec<u8>), crate::CodecError> {
    let (column, bytes) = keys::row_key(key)?;
    Ok(match column {
        RowColumn::Head => (column, meta::HEAD_KEY.to_vec()),
        _ => (column, bytes),
    })
}
