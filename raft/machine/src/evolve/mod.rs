//! From an event to rows. There is no other way to change a row. One file per event family; this file is
//! the table.

mod call;
mod dependency;
mod log;
mod optimization;
mod pool;
mod program;
mod requests;
mod session;
mod subject;
mod tools;
mod variable;
mod worker;

pub(crate) use requests::outliving_request;
pub use requests::{REQUESTS_KEPT_MAX, REQUESTS_KEPT_MIN, REQUESTS_KEPT_MS};

use std::sync::Arc;

use crate::rows::misfit;
use crate::{Event, HeadRow, Payload, Row, RowKey, RowsError, RowsMut, SessionRow, VariableRow};

/// Fold one event into the rows.
pub fn evolve<R: RowsMut>(rows: &mut R, event: &Event) -> Result<(), RowsError> {
    let mut fold = Fold::begin(rows, event)?;
    match &event.payload {
        Payload::SessionCreated { .. } => session::created(&mut fold)?,
        Payload::SessionTouched => fold.used()?,
        Payload::SessionDeleted | Payload::SessionExpired { .. } => session::ended(&mut fold)?,
        Payload::VariableRegistered { .. } => variable::registered(&mut fold)?,
        Payload::VariableSet { .. } | Payload::VariableRolledBack { .. } => {
            variable::set(&mut fold)?
        }
        Payload::VariableDeleted { name, .. } => variable::deleted(&mut fold, name)?,
        Payload::VariableAccessSet {
            name, access_json, ..
        } => variable::access_set(&mut fold, name, access_json)?,
        Payload::DependencyAdded { from, to, kind } => {
            dependency::added(&mut fold, from, to, kind)?
        }
        Payload::DependencyRemoved { from, to } => dependency::removed(&mut fold, from, to)?,
        Payload::OptimizationStarted { .. } => optimization::started(&mut fold)?,
        Payload::OptimizationStopped { name, .. } => optimization::stopped(&mut fold, name)?,
        Payload::ProgramPut { .. } => program::put(&mut fold)?,
        Payload::ProgramDeleted { program_id, .. } | Payload::ProgramExpired { program_id, .. } => {
            program::ended(&mut fold, program_id)?
        }
        Payload::ToolsRegistered { worker_id, tools } => {
            tools::registered(&mut fold, worker_id, tools)?
        }
        Payload::PoolPut { .. } => pool::put(&mut fold)?,
        Payload::PoolRemoved { name, .. } => pool::removed(&mut fold, name)?,
        Payload::WorkerBound { pool, node, worker } => {
            worker::bound(&mut fold, pool, *node, worker)?
        }
        Payload::WorkerUnbound { pool, .. } => worker::unbound(&mut fold, pool)?,
        Payload::CallStarted { .. }
        | Payload::CallEnded { .. }
        | Payload::CallChunksPut { .. }
        | Payload::CallsRecorded { .. } => call::journaled(&mut fold)?,
        Payload::EventsArchived { .. } => log::archived(&mut fold)?,
        Payload::SubjectPut { name, key_id } => subject::put(&mut fold, name, key_id)?,
        Payload::SubjectErased { name, .. } => subject::erased(&mut fold, name)?,
    }
    requests::keep(&mut fold)?;
    fold.end();
    Ok(())
}

/// An event on its way into the rows. The two rows that nearly every event changes, the cluster's and its
/// session's, are read once and written once.
struct Fold<'a, R> {
    rows: &'a mut R,
    event: &'a Event,
    head: HeadRow,
    session: Option<Arc<SessionRow>>,
    /// Of the variable that was read last, for when it is put back.
    variable_key: Option<RowKey>,
}

impl<'a, R: RowsMut> Fold<'a, R> {
    fn begin(rows: &'a mut R, event: &'a Event) -> Result<Self, RowsError> {
        let mut head = match rows.take(&RowKey::Head)? {
            None => HeadRow::default(),
            Some(Row::Head(head)) => head,
            Some(_) => return Err(misfit(&RowKey::Head)),
        };
        head.position = event.position;
        head.time_ms = event.time_ms;
        if event.session_id.is_empty() {
            head.revision = event.revision;
        }
        Ok(Self {
            rows,
            event,
            head,
            session: None,
            variable_key: None,
        })
    }

    /// Write what was read once.
    fn end(self) {
        if let Some(session) = self.session {
            let key = RowKey::Session(session.id.clone());
            self.rows.put(key, Row::Session(session));
        }
        self.rows.put(RowKey::Head, Row::Head(self.head));
    }

    /// The event's session, which must be there.
    fn session(&mut self) -> Result<&mut SessionRow, RowsError> {
        if self.session.is_none() {
            let key = RowKey::Session(self.event.session_id.clone());
            self.session = match self.rows.take(&key)? {
                None => None,
                Some(Row::Session(session)) => Some(session),
                Some(_) => return Err(misfit(&key)),
            };
        }
        let event = self.event;
        self.session
            .as_mut()
            .map(Arc::make_mut)
            .ok_or_else(|| broken(event, "its session does not exist"))
    }

    /// The same, for an event with which it ends.
    fn take_session(&mut self) -> Result<Arc<SessionRow>, RowsError> {
        self.session()?;
        self.session
            .take()
            .ok_or_else(|| self.broken("its session does not exist"))
    }

    /// The event is a use of its session; one that is worth recording moves the deadline.
    fn used(&mut self) -> Result<(), RowsError> {
        let event = self.event;
        let session = self.session()?;
        session.revision = event.revision;
        if session.wants_touch(event.time_ms) {
            let before = RowKey::Deadline(session.deadline_ms(), session.id.clone());
            session.touched_ms = event.time_ms;
            let after = RowKey::Deadline(session.deadline_ms(), session.id.clone());
            self.rows.delete(before);
            self.rows.put(after, Row::Deadline);
        }
        Ok(())
    }

    /// A variable of the event's session, which must be there, to be put back.
    fn variable(&mut self, name: &str) -> Result<Arc<VariableRow>, RowsError> {
        self.variable_if_there(name)?
            .ok_or_else(|| self.broken("its variable does not exist"))
    }

    /// A variable of the event's session, to be put back.
    fn variable_if_there(&mut self, name: &str) -> Result<Option<Arc<VariableRow>>, RowsError> {
        let key = RowKey::Variable(self.event.session_id.clone(), name.to_owned());
        match self.rows.take(&key)? {
            None => Ok(None),
            Some(Row::Variable(row)) => {
                self.variable_key = Some(key);
                Ok(Some(row))
            }
            Some(_) => Err(misfit(&key)),
        }
    }

    fn put_variable(&mut self, row: Arc<VariableRow>) {
        let key = match self.variable_key.take() {
            Some(RowKey::Variable(session_id, name)) if name == row.name => {
                RowKey::Variable(session_id, name)
            }
            _ => RowKey::Variable(self.event.session_id.clone(), row.name.clone()),
        };
        self.rows.put(key, Row::Variable(row));
    }

    fn broken(&self, reason: &str) -> RowsError {
        broken(self.event, reason)
    }
}

fn broken(event: &Event, reason: &str) -> RowsError {
    RowsError {
        key: format!("of event {} ({})", event.position, event.payload.name()),
        reason: reason.to_owned(),
    }
}
