//! The read API beside the traits.

use std::io;
use std::sync::Arc;

use super::db::StateDb;
use super::events::{self, StoredEvent};
use super::view::StateView;
use super::{RowsDigest, StateStore};

/// One generation of the state, open for reading. A snapshot that is installed meanwhile is not seen.
#[derive(Clone)]
pub struct StateReader {
    pub(super) db: Arc<StateDb>,
}

impl StateReader {
    /// The state as it is now, held still.
    pub fn view(&self) -> StateView<'_> {
        StateView::new(&self.db)
    }
}

impl StateStore {
    /// Events from a position on, at most `limit`, until `bytes_max` is passed; at least one where there is
    /// one and `limit` is not 0.
    pub fn events(
        &self,
        from_position: u64,
        limit: usize,
        bytes_max: usize,
    ) -> io::Result<Vec<StoredEvent>> {
        events::from(&self.db(), from_position, limit, bytes_max)
    }

    /// The event at a position, which must be there.
    pub fn event(&self, position: u64) -> io::Result<StoredEvent> {
        events::at(&self.db(), position)
    }

    /// Events of a session from a position on; also those of earlier sessions with the same id.
    pub fn session_events(
        &self,
        session_id: &str,
        from_position: u64,
        limit: usize,
        bytes_max: usize,
    ) -> io::Result<Vec<StoredEvent>> {
        events::of_session(&self.db(), session_id, from_position, limit, bytes_max)
    }

    /// Events of a call from a position on: its start, its end, its chunks, or the record of it.
    pub fn call_events(
        &self,
        call_id: &str,
        from_position: u64,
        limit: usize,
        bytes_max: usize,
    ) -> io::Result<Vec<StoredEvent>> {
        events::of_call(&self.db(), call_id, from_position, limit, bytes_max)
    }

    /// Position of the first event with at least this revision in the last session of that id; `None` where
    /// there is none yet. Its cost grows with the number of events from there on.
    pub fn position_of_revision(&self, session_id: &str, revision: u64) -> io::Result<Option<u64>> {
        events::position_of_revision(&self.db(), session_id, revision)
    }

    /// Sessions whose deadline is at or before a time, the earliest first: deadline and session id.
    pub fn due_sessions(&self, now_ms: u64, limit: usize) -> io::Result<Vec<(u64, String)>> {
        self.with_view(|view| view.due_sessions(now_ms, limit))
    }

    /// Global programs whose deadline is at or before a time, the earliest first: deadline and program id.
    pub fn due_programs(&self, now_ms: u64, limit: usize) -> io::Result<Vec<(u64, String)>> {
        self.with_view(|view| view.due_programs(now_ms, limit))
    }

    /// The earliest deadline of a session or a global program, milliseconds since 1970.
    pub fn next_deadline(&self) -> io::Result<Option<u64>> {
        self.reader().view().next_deadline()
    }

    /// Flush and compact all columns: what was overwritten and deleted goes from the disk. Takes long.
    pub fn compact(&self) -> io::Result<()> {
        let db = self.db();
        db.flush()?;
        db.compact()
    }

    /// Digest of all rows as they are now; reads all of them.
    pub fn rows_digest(&self) -> io::Result<RowsDigest> {
        self.reader().view().rows_digest()
    }
}
