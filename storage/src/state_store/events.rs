//! Reading stored events. They are only ever added, or moved to a segment, so that no view is needed.

use std::io;

use rocksdb::{Direction, IteratorMode, ReadOptions};

use snakepit_machine::RowsExt as _;

use super::columns;
use super::db::StateDb;
use super::fold::unreadable;
use super::rows::DbRows;
use crate::codec::{keys, stored_event};
use crate::error::{damaged, rocks};

/// An event as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its position, from 1.
    pub position: u64,
    /// Its bytes, protobuf.
    pub bytes: Vec<u8>,
    /// SHA-256 of the previous event's hash and these bytes.
    pub hash: [u8; 32],
}

/// Events from a position on, at most `limit`, until `bytes_max` is passed; at least one where there is one. Where
/// an archived event is the first, none that are not of its segment.
pub(super) fn from(
    db: &StateDb,
    position: u64,
    limit: usize,
    bytes_max: usize,
) -> io::Result<Vec<StoredEvent>> {
    let position = position.max(1);
    let found = held(db, position, limit, bytes_max)?;
    if limit == 0
        || found
            .first()
            .is_some_and(|event| event.position == position)
    {
        return Ok(found);
    }
    match db.segments().covering(position)? {
        Some(segment) => segment.events(position, limit, bytes_max),
        None => {
            check_not_archived(db, position)?;
            Ok(found)
        }
    }
}

/// Events from a position on that are in the state itself, as far as none is missing between them.
fn held(
    db: &StateDb,
    position: u64,
    limit: usize,
    bytes_max: usize,
) -> io::Result<Vec<StoredEvent>> {
    let mut options = ReadOptions::default();
    // A log that is read from end to end must not push out of the cache what is asked for often.
    options.fill_cache(false);
    let family = db.column(columns::EVENTS)?;
    let mut items = db.raw().raw_iterator_cf_opt(family, options);
    items.seek(keys::position::encode(position));
    let mut found: Vec<StoredEvent> = Vec::new();
    let mut bytes_found = 0;
    while found.len() < limit
        && bytes_found < bytes_max.max(1)
        && let Some((key, value)) = items.item()
    {
        let event = decode(keys::position::decode(key)?, value)?;
        if found
            .last()
            .is_some_and(|last| last.position + 1 != event.position)
        {
            break;
        }
        bytes_found += event.bytes.len();
        found.push(event);
        items.next();
    }
    items.status().map_err(rocks("read events"))?;
    Ok(found)
}

/// Events of a session, of all its lives, from a position on.
pub(super) fn of_session(
    db: &StateDb,
    session_id: &str,
    position: u64,
    limit: usize,
    bytes_max: usize,
) -> io::Result<Vec<StoredEvent>> {
    let start = keys::session_event::encode(session_id, position)?;
    let (_, prefix) = keys::row_prefix(&snakepit_machine::RowPrefix::Variables(session_id.into()))?;
    let position_of = |key: &[u8]| Ok(keys::session_event::decode(key)?.1);
    let index = (columns::EVENT_BY_SESSION, start, prefix);
    indexed(db, index, position_of, limit, bytes_max)
}

/// Events of a call from a position on.
pub(super) fn of_call(
    db: &StateDb,
    call_id: &str,
    position: u64,
    limit: usize,
    bytes_max: usize,
) -> io::Result<Vec<StoredEvent>> {
    let start = keys::call_event::encode(call_id, position)?;
    let prefix = keys::call_event::prefix(call_id)?;
    let position_of = |key: &[u8]| Ok(keys::call_event::decode(key)?.1);
    let index = (columns::EVENT_BY_CALL, start, prefix);
    indexed(db, index, position_of, limit, bytes_max)
}

/// Events whose positions are in the keys of a column, from one key on, as long as keys have a prefix.
fn indexed(
    db: &StateDb,
    (column, start, prefix): (&str, Vec<u8>, Vec<u8>),
    position_of: impl Fn(&[u8]) -> io::Result<u64>,
    limit: usize,
    bytes_max: usize,
) -> io::Result<Vec<StoredEvent>> {
    let mut options = ReadOptions::default();
    if let Some(end) = keys::prefix_end(&prefix) {
        options.set_iterate_upper_bound(end);
    }
    let mode = IteratorMode::From(&start, Direction::Forward);
    let items = db.raw().iterator_cf_opt(db.column(column)?, options, mode);
    let mut found = Vec::new();
    let mut bytes_found = 0;
    for item in items.take(limit) {
        let (key, _) = item.map_err(rocks("read an index of events"))?;
        let event = at(db, position_of(&key)?)?;
        bytes_found += event.bytes.len();
        found.push(event);
        if bytes_found >= bytes_max {
            break;
        }
    }
    Ok(found)
}

/// Position of the first event with at least this revision in the session's last life. Walks back from the
/// session's end: its cost grows with the number of later events.
pub(super) fn position_of_revision(
    db: &StateDb,
    session_id: &str,
    revision: u64,
) -> io::Result<Option<u64>> {
    let end = keys::session_event::encode(session_id, u64::MAX)?;
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(keys::session_event::encode(session_id, 0)?);
    let mode = IteratorMode::From(&end, Direction::Reverse);
    let family = db.column(columns::EVENT_BY_SESSION)?;
    let mut found = None;
    let mut later = u64::MAX;
    for item in db.raw().iterator_cf_opt(family, options, mode) {
        let (key, value) = item.map_err(rocks("read a session's events"))?;
        let at = keys::session_event::decode_value(&value)?;
        if at < revision || at >= later {
            break;
        }
        found = Some(keys::session_event::decode(&key)?.1);
        later = at;
    }
    Ok(found)
}

/// The event at a position.
pub(super) fn at(db: &StateDb, position: u64) -> io::Result<StoredEvent> {
    let key = keys::position::encode(position);
    let value = db.raw().get_pinned_cf(db.column(columns::EVENTS)?, key);
    if let Some(value) = value.map_err(rocks("read events"))? {
        return decode(position, &value);
    }
    let archived = match db.segments().covering(position)? {
        Some(segment) => segment.events(position, 1, 0)?.pop(),
        None => {
            check_not_archived(db, position)?;
            None
        }
    };
    archived.ok_or_else(|| damaged(format_args!("event {position} is missing")))
}

/// An archived event whose segment is not here is not lost: say where it should be.
fn check_not_archived(db: &StateDb, position: u64) -> io::Result<()> {
    let archived = DbRows(db).head().map_err(unreadable)?.archived;
    if position > archived {
        return Ok(());
    }
    let message = format!(
        "event {position} is archived, its segment is not in the archive of this node; \
         hint: ask another node, or wait until this one has got it from there"
    );
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

fn decode(position: u64, value: &[u8]) -> io::Result<StoredEvent> {
    let (hash, bytes) = stored_event::decode(position, value)?;
    Ok(StoredEvent {
        position,
        bytes: bytes.to_vec(),
        hash,
    })
}
