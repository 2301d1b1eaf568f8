//! How the machine reads and changes rows.

use std::sync::Arc;

use crate::{
    Answer, HeadRow, Kept, PoolRow, ProgramRow, Row, RowKey, RowPrefix, SessionRow, SubjectRow,
    ToolRow, VariableRow,
};

/// A row could not be read: the store failed, or what it holds is not what its key says.
#[derive(Debug, thiserror::Error)]
#[error("cannot read row {key}: {reason}")]
pub struct RowsError {
    /// The row.
    pub key: String,
    /// What went wrong.
    pub reason: String,
}

/// Reads rows: RocksDB behind it in a node, a map in tests and simulation.
pub trait Rows {
    /// One row.
    fn get(&self, key: &RowKey) -> Result<Option<Row>, RowsError>;
    /// The row will be written again soon: a copy that is kept in memory, for reading, need not be kept any longer.
    /// Who holds the only one can change it in place.
    fn forget(&self, _key: &RowKey) {}
    /// Whether a row that was just read is kept in memory until then, so that to read it again costs next to nothing.
    fn keeps(&self, _key: &RowKey, _row: &Row) -> bool {
        false
    }
}

/// Changes rows.
pub trait RowsMut: Rows {
    /// Write one row.
    fn put(&mut self, key: RowKey, row: Row);
    /// Delete one row; nothing where it is not there.
    fn delete(&mut self, key: RowKey);
    /// Delete all rows of one kind of one session.
    fn clear(&mut self, prefix: RowPrefix);
    /// Write a kept answer.
    fn keep(&mut self, session_id: &str, epoch: u64, request_id: &str, answer: &Answer) {
        let key = RowKey::Request(session_id.to_owned(), epoch, request_id.to_owned());
        self.put(key, Row::Request(answer.clone()));
    }
    /// Read a row that is about to be written again. A store in memory may give the row away instead of
    /// a copy: until it is put back, and so after an error, there is none.
    fn take(&mut self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        self.get(key)
    }
}

/// Typed reading.
pub trait RowsExt: Rows {
    /// The cluster's row; a fresh one where there is none yet.
    fn head(&self) -> Result<HeadRow, RowsError> {
        match self.get(&RowKey::Head)? {
            None => Ok(HeadRow::default()),
            Some(Row::Head(row)) => Ok(row),
            Some(_) => Err(misfit(&RowKey::Head)),
        }
    }

    /// A session, whether its deadline has passed or not.
    fn session(&self, session_id: &str) -> Result<Option<Arc<SessionRow>>, RowsError> {
        let key = RowKey::Session(session_id.to_owned());
        match self.get(&key)? {
            None => Ok(None),
            Some(Row::Session(row)) => Ok(Some(row)),
            Some(_) => Err(misfit(&key)),
        }
    }

    /// A variable by name.
    fn variable_named(
        &self,
        session_id: &str,
        name: &str,
    ) -> Result<Option<Arc<VariableRow>>, RowsError> {
        let key = RowKey::Variable(session_id.to_owned(), name.to_owned());
        match self.get(&key)? {
            None => Ok(None),
            Some(Row::Variable(row)) => Ok(Some(row)),
            Some(_) => Err(misfit(&key)),
        }
    }

    /// A variable by id or name; an id wins.
    fn variable(
        &self,
        session_id: &str,
        identifier: &str,
    ) -> Result<Option<Arc<VariableRow>>, RowsError> {
        if let Some(name) = name_in_id(identifier)
            && let Some(row) = self.variable_named(session_id, name)?
            && row.id == identifier
        {
            return Ok(Some(row));
        }
        self.variable_named(session_id, identifier)
    }

    /// A kept answer of the current epoch or the one before.
    fn kept_answer(
        &self,
        session_id: &str,
        kept: Kept,
        request_id: &str,
    ) -> Result<Option<Answer>, RowsError> {
        let epochs = [Some(kept.epoch), kept.epoch.checked_sub(1)];
        for epoch in epochs.into_iter().flatten() {
            let key = RowKey::Request(session_id.to_owned(), epoch, request_id.to_owned());
            match self.get(&key)? {
                None => {}
                Some(Row::Request(answer)) => return Ok(Some(answer)),
                Some(_) => return Err(misfit(&key)),
            }
        }
        Ok(None)
    }

    /// The kept answer to a request on a session, or of no session; None where there is none any more.
    fn answer_to(&self, session_id: &str, request_id: &str) -> Result<Option<Answer>, RowsError> {
        if session_id.is_empty() {
            let request_id = crate::evolve::outliving_request("", request_id);
            return self.kept_answer("", self.head()?.answers, &request_id);
        }
        match self.session(session_id)? {
            Some(session) => self.kept_answer(session_id, session.answers, request_id),
            None => Ok(None),
        }
    }

    /// A program, whether its deadline has passed or not; an empty session id stands for global ones.
    fn program(&self, session_id: &str, id: &str) -> Result<Option<Arc<ProgramRow>>, RowsError> {
        let key = RowKey::Program(session_id.to_owned(), id.to_owned());
        match self.get(&key)? {
            None => Ok(None),
            Some(Row::Program(row)) => Ok(Some(row)),
            Some(_) => Err(misfit(&key)),
        }
    }

    /// A registered tool.
    fn tool(&self, session_id: &str, name: &str) -> Result<Option<ToolRow>, RowsError> {
        let key = RowKey::Tool(session_id.to_owned(), name.to_owned());
        match self.get(&key)? {
            None => Ok(None),
            Some(Row::Tool(row)) => Ok(Some(row)),
            Some(_) => Err(misfit(&key)),
        }
    }

    /// A subject.
    fn subject(&self, name: &str) -> Result<Option<SubjectRow>, RowsError> {
        let key = RowKey::Subject(name.to_owned());
        match self.get(&key)? {
            None => Ok(None),
            Some(Row::Subject(row)) => Ok(Some(row)),
            Some(_) => Err(misfit(&key)),
        }
    }

    /// A pool of the cluster.
    fn pool(&self, name: &str) -> Result<Option<PoolRow>, RowsError> {
        let key = RowKey::Pool(name.to_owned());
        match self.get(&key)? {
            None => Ok(None),
            Some(Row::Pool(row)) => Ok(Some(row)),
            Some(_) => Err(misfit(&key)),
        }
    }
}

impl<R: Rows + ?Sized> RowsExt for R {}

impl<R: Rows + ?Sized> Rows for &R {
    fn get(&self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        (**self).get(key)
    }

    fn forget(&self, key: &RowKey) {
        (**self).forget(key);
    }

    fn keeps(&self, key: &RowKey, row: &Row) -> bool {
        (**self).keeps(key, row)
    }
}

/// The name within `var_<name>_<n>`.
fn name_in_id(identifier: &str) -> Option<&str> {
    let (name, number) = identifier.strip_prefix("var_")?.rsplit_once('_')?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

pub(crate) fn misfit(key: &RowKey) -> RowsError {
    RowsError {
        key: format!("{key:?}"),
        reason: "holds a row of another kind".into(),
    }
}
