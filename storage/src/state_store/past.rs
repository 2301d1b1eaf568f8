//! A session as it was: folded from the nearest point before.

use std::io;

use rocksdb::{Direction, ErrorKind, IteratorMode, ReadOptions, ReadTier, WriteBatch};
use snakepit_machine::{MemoryRows, RowKey, RowPrefix, RowsExt as _, RowsMut as _};

use super::db::StateDb;
use super::fold::{Folded, unreadable};
use super::{StateStore, columns, events};
use crate::codec::keys::{self, RowColumn};
use crate::codec::{row, session_point};
use crate::error::{damaged, rocks};

/// Events of a session between two points, where the session is small.
const POINT_EVENTS: u64 = 256;
/// What a point may have in bytes for each event since the one before it: points are a small part of what
/// events take, and large sessions have few of them.
const POINT_BYTES_PER_EVENT: u64 = 64;
/// Events that are read at once.
const READ_EVENTS: usize = 1_024;
const READ_BYTES: usize = 8 << 20;

/// A session's rows after one of its events.
#[derive(Clone, Debug, Default)]
pub struct PastSession {
    /// Its rows, kept answers apart; without a session row where it did not exist then.
    pub rows: MemoryRows,
    /// The last of its events by then; 0 where there was none.
    pub position: u64,
    /// When that was, milliseconds since 1970.
    pub time_ms: u64,
}

impl StateStore {
    /// A session as it was after the event at a position of the log.
    pub fn session_at(&self, session_id: &str, position: u64) -> io::Result<PastSession> {
        let db = self.db();
        let mut past = nearest(&db, session_id, position)?;
        loop {
            let from = past.position + 1;
            let found = events::of_session(&db, session_id, from, READ_EVENTS, READ_BYTES)?;
            let full = !found.is_empty();
            for stored in found {
                if stored.position > position {
                    return Ok(past);
                }
                let event = snakepit_proto::events::decode(&stored.bytes)
                    .map_err(|error| damaged(format_args!("event {}: {error}", stored.position)))?;
                snakepit_machine::replay(&mut past.rows, &event).map_err(unreadable)?;
                past.position = stored.position;
                past.time_ms = event.time_ms;
            }
            if !full {
                return Ok(past);
            }
        }
    }

    /// The last position whose event is not later than a time, milliseconds since 1970; 0 where there is none.
    pub fn position_at(&self, time_ms: u64) -> io::Result<u64> {
        let db = self.db();
        // Times never go back, so that halving finds it.
        let (mut before, mut behind) = (0, self.head().position + 1);
        while behind - before > 1 {
            let middle = before + (behind - before) / 2;
            let stored = events::at(&db, middle)?;
            let event = snakepit_proto::events::decode(&stored.bytes)
                .map_err(|error| damaged(format_args!("event {middle}: {error}")))?;
            if event.time_ms <= time_ms {
                before = middle;
            } else {
                behind = middle;
            }
        }
        Ok(before)
    }
}

/// The last point that is not behind a position; nothing at all where there is none.
fn nearest(db: &StateDb, session_id: &str, position: u64) -> io::Result<PastSession> {
    let start = keys::session_event::encode(session_id, position)?;
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(keys::session_event::encode(session_id, 0)?);
    let mode = IteratorMode::From(&start, Direction::Reverse);
    let family = db.column(columns::SESSION_POINTS)?;
    let Some(item) = db.raw().iterator_cf_opt(family, options, mode).next() else {
        return Ok(PastSession::default());
    };
    let (key, value) = item.map_err(rocks("read a session's points"))?;
    let mut past = PastSession {
        position: keys::session_event::decode(&key)?.1,
        ..Default::default()
    };
    for (column, key, value) in session_point::decode(&value)? {
        past.rows
            .put(keys::decode_row_key(column, key)?, row::decode(value)?);
    }
    past.time_ms = past.rows.head().map_err(unreadable)?.time_ms;
    Ok(past)
}

/// A point that is to be kept of a session. Points are no part of the state: where one is missing, more events are
/// folded.
#[derive(Debug)]
pub(super) struct DuePoint {
    session_id: String,
    /// Of its last event.
    position: u64,
    bytes_max: u64,
}

/// Points of the sessions that have come far enough with what was just written.
pub(super) fn due_points(folded: &Folded) -> Vec<DuePoint> {
    let mut due = Vec::new();
    for event in &folded.events {
        if event.session_id.is_empty() || event.revision % POINT_EVENTS != 0 {
            continue;
        }
        let last = folded
            .events
            .iter()
            .rfind(|later| later.session_id == event.session_id);
        let position = last.map_or(event.position, |last| last.position);
        // A session of many rows has a point at every second multiple only, or every fourth …
        let multiple = event.revision / POINT_EVENTS;
        let bytes_max = (POINT_EVENTS * POINT_BYTES_PER_EVENT) << multiple.trailing_zeros().min(20);
        due.push(DuePoint {
            session_id: event.session_id.clone(),
            position,
            bytes_max,
        });
    }
    due
}

impl DuePoint {
    /// Keep it, of the session as it is now, with nothing applied since.
    pub(super) fn keep(&self, db: &StateDb) -> io::Result<()> {
        let Some(batch) = self.batch(db, ReadTier::All)? else {
            return Ok(());
        };
        db.write(batch)
    }

    /// The same, if nothing has to be waited for; false where it is not so.
    pub(super) fn keep_at_once(&self, db: &StateDb) -> io::Result<bool> {
        match self.batch(db, ReadTier::BlockCache) {
            Ok(None) => Ok(true),
            Ok(Some(batch)) => db.write_at_once(batch),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn batch(&self, db: &StateDb, tier: ReadTier) -> io::Result<Option<WriteBatch>> {
        let Some(point) = point(db, &self.session_id, self.bytes_max, tier)? else {
            return Ok(None);
        };
        let mut batch = WriteBatch::default();
        let key = keys::session_event::encode(&self.session_id, self.position)?;
        batch.put_cf(db.column(columns::SESSION_POINTS)?, key, point);
        Ok(Some(batch))
    }
}

/// A session's rows as they are now; `None` where they have too many bytes, or there are none. `WouldBlock` where one
/// is not in the tier.
fn point(
    db: &StateDb,
    session_id: &str,
    bytes_max: u64,
    tier: ReadTier,
) -> io::Result<Option<Vec<u8>>> {
    let failed = |error: rocksdb::Error| match error.kind() {
        ErrorKind::Incomplete => io::ErrorKind::WouldBlock.into(),
        _ => rocks("read rows")(error),
    };
    let options = || {
        let mut options = ReadOptions::default();
        options.set_read_tier(tier);
        options
    };
    let mut bytes = session_point::begin();
    let mut single = |column: RowColumn, key: &RowKey| {
        let (_, stored) = super::commit::stored_key(key)?;
        let family = db.column(columns::of_rows(column))?;
        let value = db.raw().get_pinned_cf_opt(family, stored, &options());
        let value = value.map_err(failed)?;
        if let Some(value) = &value {
            let (_, key) = keys::row_key(key)?;
            session_point::push(&mut bytes, column, &key, value);
        }
        Ok::<_, io::Error>(value.is_some())
    };
    single(RowColumn::Head, &RowKey::Head)?;
    if !single(RowColumn::Sessions, &RowKey::Session(session_id.into()))? {
        return Ok(None);
    }
    for prefix in [
        RowPrefix::Variables(session_id.into()),
        RowPrefix::Programs(session_id.into()),
        RowPrefix::Tools(session_id.into()),
    ] {
        let (column, start) = keys::row_prefix(&prefix)?;
        let mut options = options();
        if let Some(end) = keys::prefix_end(&start) {
            options.set_iterate_upper_bound(end);
        }
        let family = db.column(columns::of_rows(column))?;
        let mode = IteratorMode::From(&start, Direction::Forward);
        for item in db.raw().iterator_cf_opt(family, options, mode) {
            let (key, value) = item.map_err(failed)?;
            session_point::push(&mut bytes, column, &key, &value);
            if bytes.len() as u64 > bytes_max {
                return Ok(None);
            }
        }
    }
    Ok(Some(bytes))
}
