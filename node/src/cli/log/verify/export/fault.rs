//! Why an export does not verify.

use super::super::super::super::error::CliError;

/// What to do about an export that was changed.
const AGAIN: &str = "the export was changed or is damaged: get it again, and keep this one";

/// Something is not as it was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// What, at the position of an event where it has one.
    pub(super) message: String,
    pub(super) hint: String,
}

impl Fault {
    /// The export was changed.
    pub(super) fn of(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: AGAIN.into(),
        }
    }

    /// One of its events was.
    pub(super) fn at(position: u64, message: &str) -> Self {
        // What is wrong within an event may bring advice of its own.
        let (message, hint) = message.rsplit_once("; hint: ").unwrap_or((message, AGAIN));
        Self::of(format!("event {position}: {message}")).hint(hint)
    }

    /// With other advice.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: hint.into(),
            ..self
        }
    }
}

impl From<Fault> for CliError {
    fn from(fault: Fault) -> Self {
        Self::failed(fault.message).hint(fault.hint)
    }
}
