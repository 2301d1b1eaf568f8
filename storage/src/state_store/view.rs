//! Rows as they were at one moment.

use std::io;
use std::sync::Arc;

use rocksdb::{DBIteratorWithThreadMode, Direction, IteratorMode, ReadOptions, Snapshot};
use snakepit_machine::{
    HeadRow, PoolRow, ProgramRow, Row, RowKey, Rows, RowsError, RowsExt, SessionRow, SubjectRow,
    ToolRow, VariableRow,
};

use super::columns;
use super::db::StateDb;
use super::digest::{RowBytes, RowsDigest, RowsDigester};
use super::fold::unreadable;
use crate::codec::keys::{self, RowColumn};
use crate::codec::{meta, row};
use crate::error::{damaged, rocks};
use crate::traits::AppliedState;

/// One moment of the state. Nothing that is applied while a view is held is seen through it; holding one for
/// long keeps old rows on disk.
pub struct StateView<'a> {
    db: &'a StateDb,
    snapshot: Snapshot<'a>,
}

impl<'a> StateView<'a> {
    pub(super) fn new(db: &'a StateDb) -> Self {
        Self {
            db,
            snapshot: db.raw().snapshot(),
        }
    }

    /// How far the state had come.
    pub fn applied(&self) -> io::Result<AppliedState> {
        let bytes = self.mark(meta::APPLIED_KEY)?;
        let meta = bytes.map(|bytes| meta::open_applied(&bytes)).transpose()?;
        Ok(meta.unwrap_or_default().into())
    }

    /// Position and hash of the last event.
    pub fn chain_head(&self) -> io::Result<(u64, [u8; 32])> {
        let bytes = self.mark(meta::CHAIN_KEY)?;
        let chain = bytes
            .map(|bytes| meta::open_chain(&bytes))
            .transpose()?
            .unwrap_or_default();
        Ok((chain.position, chain.hash))
    }

    /// The cluster's row.
    pub fn head_row(&self) -> io::Result<HeadRow> {
        self.head().map_err(unreadable)
    }

    /// Sessions in the order of their ids, from behind one; whether their deadlines have passed or not.
    pub fn list_sessions(&self, after: Option<&str>, limit: usize) -> io::Result<Vec<SessionRow>> {
        let start = after
            .map(|after| behind(keys::session::encode(after)))
            .unwrap_or_default();
        let mut found = Vec::new();
        for item in self.iterate(columns::SESSIONS, &start, None)?.take(limit) {
            let (key, value) = item.map_err(rocks("read sessions"))?;
            match row::decode(&value)? {
                Row::Session(session) => found.push(Arc::unwrap_or_clone(session)),
                _ => return Err(misfit(RowColumn::Sessions, &key)),
            }
        }
        Ok(found)
    }

    /// Variables of a session in the order of their names, from behind one.
    pub fn list_variables(
        &self,
        session_id: &str,
        after_name: Option<&str>,
        limit: usize,
    ) -> io::Result<Vec<VariableRow>> {
        let prefix = keys::variable::encode(session_id, "")?;
        let end = keys::prefix_end(&prefix);
        let start = match after_name {
            Some(name) => behind(keys::variable::encode(session_id, name)?),
            None => prefix,
        };
        let mut found = Vec::new();
        for item in self.iterate(columns::VARIABLES, &start, end)?.take(limit) {
            let (key, value) = item.map_err(rocks("read variables"))?;
            match row::decode(&value)? {
                Row::Variable(variable) => found.push(Arc::unwrap_or_clone(variable)),
                _ => return Err(misfit(RowColumn::Variables, &key)),
            }
        }
        Ok(found)
    }

    /// Programs of a session in the order of their ids, from behind one; global ones where the session id is
    /// empty, whether their deadlines have passed or not.
    pub fn list_programs(
        &self,
        session_id: &str,
        after_id: Option<&str>,
        limit: usize,
    ) -> io::Result<Vec<ProgramRow>> {
        let prefix = keys::program::encode(session_id, "")?;
        let end = keys::prefix_end(&prefix);
        let start = match after_id {
            Some(id) => behind(keys::program::encode(session_id, id)?),
            None => prefix,
        };
        let mut found = Vec::new();
        for item in self.iterate(columns::PROGRAMS, &start, end)?.take(limit) {
            let (key, value) = item.map_err(rocks("read programs"))?;
            match row::decode(&value)? {
                Row::Program(program) => found.push(Arc::unwrap_or_clone(program)),
                _ => return Err(misfit(RowColumn::Programs, &key)),
            }
        }
        Ok(found)
    }

    /// Tools that are registered in a session, in the order of their names.
    pub fn list_tools(&self, session_id: &str) -> io::Result<Vec<ToolRow>> {
        let prefix = keys::tool::encode(session_id, "")?;
        let end = keys::prefix_end(&prefix);
        let mut found = Vec::new();
        for item in self.iterate(columns::TOOLS, &prefix, end)? {
            let (key, value) = item.map_err(rocks("read tools"))?;
            match row::decode(&value)? {
                Row::Tool(tool) => found.push(tool),
                _ => return Err(misfit(RowColumn::Tools, &key)),
            }
        }
        Ok(found)
    }

    /// Pools of the cluster, in the order of their names.
    pub fn list_pools(&self) -> io::Result<Vec<PoolRow>> {
        let mut found = Vec::new();
        for item in self.iterate(columns::POOLS, &[], None)? {
            let (key, value) = item.map_err(rocks("read pools"))?;
            match row::decode(&value)? {
                Row::Pool(pool) => found.push(pool),
                _ => return Err(misfit(RowColumn::Pools, &key)),
            }
        }
        Ok(found)
    }

    /// Subjects in the order of their names, from behind one; erased ones too.
    pub fn list_subjects(&self, after: Option<&str>, limit: usize) -> io::Result<Vec<SubjectRow>> {
        let start = after
            .map(|after| behind(keys::subject::encode(after)))
            .unwrap_or_default();
        let mut found = Vec::new();
        for item in self.iterate(columns::SUBJECTS, &start, None)?.take(limit) {
            let (key, value) = item.map_err(rocks("read subjects"))?;
            match row::decode(&value)? {
                Row::Subject(subject) => found.push(subject),
                _ => return Err(misfit(RowColumn::Subjects, &key)),
            }
        }
        Ok(found)
    }

    /// Sessions whose deadline is at or before a time, the earliest first: deadline and session id.
    pub fn due_sessions(&self, now_ms: u64, limit: usize) -> io::Result<Vec<(u64, String)>> {
        self.due(columns::DEADLINES, now_ms, limit)
    }

    /// Global programs whose deadline is at or before a time, the earliest first: deadline and program id.
    pub fn due_programs(&self, now_ms: u64, limit: usize) -> io::Result<Vec<(u64, String)>> {
        self.due(columns::PROGRAM_DEADLINES, now_ms, limit)
    }

    fn due(
        &self,
        family: &'static str,
        now_ms: u64,
        limit: usize,
    ) -> io::Result<Vec<(u64, String)>> {
        let mut due = Vec::new();
        for item in self.iterate(family, &[], None)?.take(limit) {
            let (key, _) = item.map_err(rocks("read deadlines"))?;
            let (deadline_ms, id) = keys::deadline::decode(&key)?;
            if deadline_ms > now_ms {
                break;
            }
            due.push((deadline_ms, id.to_owned()));
        }
        Ok(due)
    }

    /// The earliest deadline, milliseconds since 1970.
    pub fn next_deadline(&self) -> io::Result<Option<u64>> {
        let sessions = self.due_sessions(u64::MAX, 1)?;
        let programs = self.due_programs(u64::MAX, 1)?;
        let deadlines = sessions.iter().chain(&programs);
        Ok(deadlines.map(|(deadline_ms, _)| *deadline_ms).min())
    }

    /// All rows in canonical order, one at a time.
    pub fn row_bytes(&self) -> impl Iterator<Item = io::Result<RowBytes>> + '_ {
        RowColumn::ALL
            .into_iter()
            .flat_map(move |column| self.column_bytes(column))
    }

    /// Digest of all rows; reads all of them.
    pub fn rows_digest(&self) -> io::Result<RowsDigest> {
        let mut digester = RowsDigester::default();
        for row in self.row_bytes() {
            let row = row?;
            digester.row(row.column, &row.key, &row.value);
        }
        Ok(digester.finish())
    }

    fn column_bytes(
        &self,
        column: RowColumn,
    ) -> Box<dyn Iterator<Item = io::Result<RowBytes>> + '_> {
        if column == RowColumn::Head {
            let head = self.mark(meta::HEAD_KEY).transpose();
            return Box::new(head.into_iter().map(move |value| {
                value.map(|value| RowBytes {
                    column,
                    key: Vec::new(),
                    value,
                })
            }));
        }
        match self.iterate(columns::of_rows(column), &[], None) {
            Err(error) => Box::new(std::iter::once(Err(error))),
            Ok(items) => Box::new(items.map(move |item| {
                let (key, value) = item.map_err(rocks("read rows"))?;
                Ok(RowBytes {
                    column,
                    key: key.into_vec(),
                    value: value.into_vec(),
                })
            })),
        }
    }

    fn iterate(
        &self,
        family: &'static str,
        start: &[u8],
        end: Option<Vec<u8>>,
    ) -> io::Result<DBIteratorWithThreadMode<'_, rocksdb::DB>> {
        let mut options = ReadOptions::default();
        if let Some(end) = end {
            options.set_iterate_upper_bound(end);
        }
        let mode = IteratorMode::From(start, Direction::Forward);
        Ok(self
            .snapshot
            .iterator_cf_opt(self.db.column(family)?, options, mode))
    }

    fn mark(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.snapshot
            .get_cf(self.db.column(columns::META)?, key)
            .map_err(rocks("read the state's marks"))
    }
}

impl Rows for StateView<'_> {
    fn get(&self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        super::rows::read(key, |family, bytes| {
            let bytes = self.snapshot.get_pinned_cf(self.db.column(family)?, bytes);
            let Some(bytes) = bytes.map_err(rocks("read rows"))? else {
                return Ok(None);
            };
            Ok(Some(row::decode(&bytes)?))
        })
    }
}

/// The first key behind one.
fn behind(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

fn misfit(column: RowColumn, key: &[u8]) -> io::Error {
    damaged(format_args!(
        "a row in {column:?} is of another kind, key {key:02x?}"
    ))
}
