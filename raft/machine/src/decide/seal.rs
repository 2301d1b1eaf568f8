//! Sealed sessions: their values must be encrypted under the key of their subject, those of others must not.

use super::DecideError;
use crate::{Rejection, Rows, RowsExt, SEALED_PREFIX, Sealed, SessionRow, Value};

/// What values of a session must be.
pub(super) enum Seal {
    /// In plain text.
    Plain,
    /// Sealed with this key.
    Key(String),
}

impl Seal {
    /// Of a session.
    pub(super) fn of<R: Rows>(rows: &R, session: &SessionRow) -> Result<Self, DecideError> {
        Self::named(rows, &session.subject)
    }

    /// Of a subject; of none where the name is empty.
    pub(super) fn named<R: Rows>(rows: &R, subject: &str) -> Result<Self, DecideError> {
        if subject.is_empty() {
            return Ok(Self::Plain);
        }
        match rows.subject(subject)? {
            Some(held) if held.erased_ms == 0 => Ok(Self::Key(held.key_id)),
            Some(_) => Err(erased(subject).into()),
            None => Err(Rejection::refused(format!(
                "subject {subject} has no key; hint: create the session through a node of this release"
            ))
            .into()),
        }
    }

    /// Whether a value is as it must be.
    pub(super) fn check(&self, value: &Value) -> Result<(), Rejection> {
        match (self, value) {
            (Self::Plain, Value::Sealed(_)) => Err(Rejection::invalid(
                "a sealed value in a session that is not sealed; hint: send it in plain text",
            )),
            (Self::Plain, _) => Ok(()),
            (Self::Key(key_id), Value::Sealed(sealed)) if sealed.key_id == *key_id => Ok(()),
            (Self::Key(_), _) => Err(Rejection::refused(
                "a value is not sealed with the key of its session's subject; hint: retry",
            )),
        }
    }
}

/// Whether a session's id says what it is.
pub(super) fn check_prefix(session_id: &str, subject: &str) -> Result<(), Rejection> {
    match (session_id.starts_with(SEALED_PREFIX), subject.is_empty()) {
        (true, true) => Err(Rejection::invalid(format!(
            "session ids that begin with {SEALED_PREFIX} are of sealed sessions; hint: name a subject, or choose another id"
        ))),
        (false, false) => Err(Rejection::invalid(format!(
            "a session of a subject is sealed, its id must begin with {SEALED_PREFIX}; hint: name it {SEALED_PREFIX}{session_id}"
        ))),
        _ => Ok(()),
    }
}

/// Whether the node that sealed a value has checked it against what holds now; the value as it is kept.
pub(super) fn admit(
    sealed: Sealed,
    type_name: &str,
    constraints_json: &str,
) -> Result<Value, Rejection> {
    let fits = sealed.checked.as_ref().is_some_and(|checked| {
        checked.type_name == type_name && checked.constraints_json == constraints_json
    });
    if !fits {
        return Err(Rejection::new(
            crate::RejectionKind::Conflict,
            "the type or the constraints of the variable have changed meanwhile; hint: retry",
        ));
    }
    Ok(Value::Sealed(Sealed {
        checked: None,
        ..sealed
    }))
}

/// A value as it is kept where nothing is to be checked.
pub(super) fn unchecked(value: Value) -> Value {
    match value {
        Value::Sealed(sealed) => Value::Sealed(Sealed {
            checked: None,
            ..sealed
        }),
        plain => plain,
    }
}

fn erased(subject: &str) -> Rejection {
    Rejection::refused(format!(
        "the values of subject {subject} were erased; hint: begin a session of another subject"
    ))
}
