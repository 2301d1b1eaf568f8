//! Why a command was refused.

use serde::{Deserialize, Serialize};

/// What kind of refusal this is; each maps to one gRPC code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RejectionKind {
    /// The request itself is wrong.
    Invalid,
    /// What it names does not exist.
    NotFound,
    /// What it would make exists, and is another thing.
    AlreadyExists,
    /// What it expected has changed.
    Conflict,
    /// Something holds it back for now.
    Refused,
    /// A limit is reached.
    Exhausted,
    /// Access rules forbid it.
    Denied,
}

impl RejectionKind {
    /// Name on the wire and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Exhausted => "exhausted",
            Self::Denied => "denied",
        }
    }

    /// The kind of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Invalid,
            Self::NotFound,
            Self::AlreadyExists,
            Self::Conflict,
            Self::Refused,
            Self::Exhausted,
            Self::Denied,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }
}

/// A refusal: nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// Its kind.
    pub kind: RejectionKind,
    /// What happened, the limit where there is one, and what to do about it.
    pub message: String,
}

impl Rejection {
    /// A refusal of that kind.
    pub fn new(kind: RejectionKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// The request is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(RejectionKind::Invalid, message)
    }

    /// No such session; Snakepit's wording.
    pub fn no_session(session_id: &str) -> Self {
        Self::new(
            RejectionKind::NotFound,
            format!("Session not found: {session_id}"),
        )
    }

    /// No such variable; Snakepit's wording.
    pub fn no_variable(identifier: &str) -> Self {
        Self::new(
            RejectionKind::NotFound,
            format!("Variable not found: {identifier}"),
        )
    }

    /// No such program.
    pub fn no_program(program_id: &str) -> Self {
        Self::new(
            RejectionKind::NotFound,
            format!("Program not found: {program_id}"),
        )
    }

    /// The state does not allow it for now.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(RejectionKind::Refused, message)
    }

    /// A limit is reached.
    pub fn exhausted(message: impl Into<String>) -> Self {
        Self::new(RejectionKind::Exhausted, message)
    }
}
