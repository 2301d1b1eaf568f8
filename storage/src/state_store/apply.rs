//! Applying entries: one at a time, with the rows that were read or written lately at hand.

use std::io;
use std::sync::Arc;

use snakepit_machine::{HeadRow, Outcome, Rows, RowsExt as _};

use super::cache::{RowCache, Through};
use super::db::StateDb;
use super::fold::{self, Folded};
use super::head::Published;
use super::past::{self, DuePoint};
use super::rows::{CachedRows, DbRows};
use super::{StateStore, commit};
use crate::sync::{lock, try_lock, write};
use crate::traits::ApplyEntry;

/// What is kept from one time to the next.
#[derive(Debug, Default)]
pub(super) struct Applying {
    cache: RowCache,
    /// Points of sessions that are to be kept before anything else is applied.
    due: Vec<DuePoint>,
}

impl Applying {
    /// The rows have changed beside it.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn keep_points(&mut self, db: &StateDb) -> io::Result<()> {
        for point in self.due.drain(..) {
            point.keep(db)?;
        }
        Ok(())
    }

    /// False where some have to wait.
    fn keep_points_at_once(&mut self, db: &StateDb) -> io::Result<bool> {
        while let Some(point) = self.due.last() {
            if !point.keep_at_once(db)? {
                return Ok(false);
            }
            self.due.pop();
        }
        Ok(true)
    }
}

impl StateStore {
    /// Apply entries; reads from the disk, and waits where RocksDB holds writes back.
    pub(super) fn apply_waiting(&self, entries: &[ApplyEntry]) -> io::Result<Vec<Vec<Outcome>>> {
        let mut applying = lock(&self.shared.apply);
        let db = self.db();
        applying.keep_points(&db)?;
        let folded = self.fold(&mut applying.cache, DbRows(&db), entries)?;
        db.write(commit::batch(&db, &folded)?)?;
        let outcomes = self.publish(&mut applying, &db, folded)?;
        applying.keep_points(&db)?;
        Ok(outcomes)
    }

    /// Apply entries if nothing has to be waited for: nobody else applies or makes a snapshot, all rows are in memory,
    /// and RocksDB does not hold writes back. `None` where it is not so, and nothing is done.
    pub(super) fn apply_at_once(
        &self,
        entries: &[ApplyEntry],
    ) -> io::Result<Option<Vec<Vec<Outcome>>>> {
        let Some(mut applying) = try_lock(&self.shared.apply) else {
            return Ok(None);
        };
        let db = self.db();
        if !applying.keep_points_at_once(&db)? {
            return Ok(None);
        }
        let below = CachedRows::new(Arc::clone(&db));
        let folded = match self.fold(&mut applying.cache, &below, entries) {
            Err(_) if below.missed() => return Ok(None),
            folded => folded?,
        };
        // To clear what is under a prefix, it is read.
        if !folded.changes.cleared.is_empty() || !db.write_at_once(commit::batch(&db, &folded)?)? {
            return Ok(None);
        }
        self.publish(&mut applying, &db, folded).map(Some)
    }

    fn fold(
        &self,
        cache: &mut RowCache,
        below: impl Rows,
        entries: &[ApplyEntry],
    ) -> io::Result<Folded> {
        let before = self.published();
        let rows = Through::new(cache, below);
        fold::fold(rows, before.applied.clone(), before.chain(), entries)
    }

    /// What was written is what is served from now on.
    fn publish(
        &self,
        applying: &mut Applying,
        db: &StateDb,
        folded: Folded,
    ) -> io::Result<Vec<Vec<Outcome>>> {
        applying.due = past::due_points(&folded);
        self.shared.configs.forget_ended(&folded.changes);
        applying.cache.write(folded.changes);
        let row = if folded.events.is_empty() {
            let before = self.published();
            HeadRow {
                time_ms: before.head.time_ms,
                sessions: before.head.sessions,
                pools_position: before.head.pools_position,
                subjects_position: before.head.subjects_position,
                ..Default::default()
            }
        } else {
            let rows = Through::new(&mut applying.cache, DbRows(db));
            rows.head().map_err(fold::unreadable)?
        };
        let after = Published::new(folded.applied, folded.chain, &row);
        *write(&self.shared.published) = Arc::new(after);
        Ok(folded.outcomes)
    }
}

#[cfg(test)]
mod tests {
    use rocksdb::IteratorMode;
    use snakepit_machine::{Body, Command, CreateSession, Limits, Origin, Proposal, TouchSession};

    use super::super::columns;
    use super::*;
    use crate::traits::{ApplyPayload, EntryId};

    fn entry(index: u64, body: Body) -> ApplyEntry {
        let proposal = Proposal {
            // Each use is worth an event.
            time_ms: 1_000 * index,
            limits: Limits::default(),
            commands: vec![Command {
                origin: Origin::default(),
                body,
            }],
        };
        ApplyEntry {
            id: EntryId { term: 1, index },
            payload: ApplyPayload::Proposal(proposal),
        }
    }

    fn points(state: &StateStore) -> Vec<Box<[u8]>> {
        let db = state.db();
        let family = db.column(columns::SESSION_POINTS).unwrap();
        let items = db.raw().iterator_cf(family, IteratorMode::Start);
        items.map(|item| item.unwrap().0).collect()
    }

    /// A session's past is as near as it is where entries are waited for: the same points are kept, at the latest
    /// when the next entry is applied.
    #[test]
    fn points_of_sessions_are_kept_at_once_too() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [waiting, at_once] =
            [&dirs[0], &dirs[1]].map(|dir| StateStore::open(dir.path()).unwrap());
        let session_id = "s".to_owned();
        let create = Body::CreateSession(CreateSession {
            session_id: session_id.clone(),
            metadata: Default::default(),
            ttl_ms: 5_000,
            config: Default::default(),
            subject: String::new(),
        });
        let touch = Body::TouchSession(TouchSession { session_id });
        let bodies = std::iter::once(create).chain(std::iter::repeat_n(touch, 519));
        for (index, body) in (1..).zip(bodies) {
            let entry = [entry(index, body)];
            let outcomes = waiting.apply_waiting(&entry).unwrap();
            assert_eq!(at_once.apply_at_once(&entry).unwrap(), Some(outcomes));
        }
        assert_eq!(waiting.head().position, 520);
        assert_eq!(points(&waiting).len(), 2);
        assert_eq!(points(&at_once), points(&waiting));
    }
}
