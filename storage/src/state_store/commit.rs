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

/// Bytes of a row beside what its event says, about.
const BATCH_ROW_BYTES: usize = 160;

/// What is to be written of what entries did.
pub(super) fn batch(db: &StateDb, folded: &Folded) -> io::Result<WriteBatch> {
    let mut batch = WriteBatch::with_capacity_bytes(size_hint(folded));
    let mut value = Vec::new();
    put_rows(db, &mut batch, &folded.changes, &mut value)?;
    let events = db.column(columns::EVENTS)?;
    let by_session = db.column(columns::EVENT_BY_SESSION)?;
    let by_call = db.column(columns::EVENT_BY_CALL)?;
    for event in &folded.events {
        value.clear();
        stored_event::encode_into(&event.hash, &event.bytes, &mut value);
        batch.put_cf(events, keys::position::encode(event.position), &value);
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

/// Bytes that a batch will have, about: the largest value of an event is in a row too.
fn size_hint(folded: &Folded) -> usize {
    let events = folded.events.iter().map(|event| event.bytes.len());
    2 * events.sum::<usize>() + BATCH_ROW_BYTES * folded.changes.rows.len()
}

fn put_rows(
    db: &StateDb,
    batch: &mut WriteBatch,
    changes: &Changes,
    value: &mut Vec<u8>,
) -> io::Result<()> {
    for prefix in &changes.cleared {
        clear(db, batch, prefix)?;
    }
    for (key, new) in &changes.rows {
        let (column, key) = stored_key(key)?;
        let family = db.column(columns::of_rows(column))?;
        match new {
            Some(new) => {
                value.clear();
                row::encode_into(new, value)?;
                batch.put_cf(family, key, &*value);
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
