//! One command, decided and folded.

use crate::decide::{Context, DecideError, decide};
use crate::evolve::{evolve, outliving_request};
use crate::rows::RowsExt;
use crate::{
    Answer, Cause, Command, Event, ID_BYTES_MAX, Kept, Limits, Outcome, Payload, Rejection, Rows,
    RowsError, RowsMut, SessionRow,
};

/// Where in the Raft log a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPoint {
    /// Index of its entry.
    pub index: u64,
    /// Term of its entry.
    pub term: u64,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq)]
pub struct Stepped {
    /// To the caller.
    pub outcome: Outcome,
    /// In order; empty where nothing changed.
    pub events: Vec<Event>,
}

/// Decide a command and fold its events into the rows. A repeated request changes nothing and gets the
/// first answer. An error means that the rows cannot be read, and that the node must stop.
pub fn step<R: RowsMut>(
    rows: &mut R,
    point: LogPoint,
    time_ms: u64,
    limits: &Limits,
    command: &Command,
) -> Result<Stepped, RowsError> {
    let head = rows.head()?;
    let time_ms = time_ms.max(head.time_ms);
    let context = Context {
        time_ms,
        position: head.position + 1,
        limits,
        origin: &command.origin,
    };
    if let Err(rejection) = check_origin(command) {
        return Ok(Stepped {
            outcome: Err(rejection),
            events: Vec::new(),
        });
    }
    let session_id = command.body.session_id();
    let session = rows.session(session_id)?;
    let first = first_answer(rows, head.answers, session.as_deref(), time_ms, command)?;
    let revision_before = match &session {
        Some(session) => session.revision,
        None if session_id.is_empty() => head.revision,
        None => 0,
    };
    // Whoever holds the only copy can change it in place.
    drop(session);
    if let Some(answer) = first {
        return Ok(Stepped {
            outcome: Ok(answer),
            events: Vec::new(),
        });
    }
    let decision = match decide(rows, context, command) {
        Ok(decision) => decision,
        Err(DecideError::Rejected(rejection)) => {
            return Ok(Stepped {
                outcome: Err(rejection),
                events: Vec::new(),
            });
        }
        Err(DecideError::Rows(error)) => return Err(error),
    };

    let last = decision.events.len().saturating_sub(1);
    let mut revision = revision_before;
    let mut events = Vec::with_capacity(decision.events.len());
    for (number, payload) in decision.events.into_iter().enumerate() {
        if matches!(payload, Payload::SessionCreated { .. }) {
            revision = 0;
        }
        revision += 1;
        let event = Event {
            position: context.position + number as u64,
            session_id: session_id.to_owned(),
            revision,
            raft_index: point.index,
            raft_term: point.term,
            time_ms,
            principal: command.origin.principal.clone(),
            cause: Cause {
                request_id: command.origin.request_id.clone(),
                call_id: command.origin.call_id.clone(),
                tool: command.origin.tool.clone(),
                worker: command.origin.worker.clone(),
                node: command.origin.node,
            },
            answer: (number == last && !command.origin.request_id.is_empty())
                .then(|| decision.answer.clone()),
            payload,
        };
        evolve(rows, &event)?;
        events.push(event);
    }
    Ok(Stepped {
        outcome: Ok(decision.answer),
        events,
    })
}

/// Fold a stored event into the rows, as [`step`] did when it was made.
pub fn replay<R: RowsMut>(rows: &mut R, event: &Event) -> Result<(), RowsError> {
    evolve(rows, event)
}

fn check_origin(command: &Command) -> Result<(), Rejection> {
    let origin = &command.origin;
    for (field, text) in [
        ("request id", &origin.request_id),
        ("principal", &origin.principal.name),
        ("optimization id", &origin.optimization_id),
    ] {
        if text.len() > ID_BYTES_MAX {
            return Err(Rejection::invalid(format!(
                "the {field} has {} bytes, the limit is {ID_BYTES_MAX}; hint: shorten it",
                text.len()
            )));
        }
    }
    Ok(())
}

fn first_answer<R: Rows>(
    rows: &R,
    outliving: Kept,
    session: Option<&SessionRow>,
    time_ms: u64,
    command: &Command,
) -> Result<Option<Answer>, RowsError> {
    let request_id = &command.origin.request_id;
    if request_id.is_empty() {
        return Ok(None);
    }
    let session_id = command.body.session_id();
    if command.body.answer_outlives_session() {
        let request_id = outliving_request(session_id, request_id);
        return rows.kept_answer("", outliving, &request_id);
    }
    match session {
        Some(session) if session.alive_at(time_ms) => {
            rows.kept_answer(session_id, session.answers, request_id)
        }
        _ => Ok(None),
    }
}
