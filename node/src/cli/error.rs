//! What went wrong, in the command's voice: `error: …`, `hint: …`, and an exit code.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use snakepit_client::ClientError;

use super::output::note;

/// Refused or failed.
pub(crate) const FAILED: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// No node could take it.
pub(crate) const UNAVAILABLE: u8 = 3;

/// Why a command ends without success.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CliError {
    /// What happened; nothing is printed where empty.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Of the process.
    pub code: u8,
}

impl CliError {
    /// A failure; a hint within the message, behind `; hint: `, is taken apart.
    pub fn failed(message: impl fmt::Display) -> Self {
        let message = message.to_string();
        let (message, hint) = match message.rsplit_once("; hint: ") {
            Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
            None => (message, None),
        };
        Self {
            message: lower_first(message),
            hint,
            code: FAILED,
        }
    }

    /// A mistake in the command line.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self {
            code: USAGE,
            ..Self::failed(message)
        }
    }

    /// Nothing answers.
    pub fn unavailable(message: impl fmt::Display) -> Self {
        Self {
            code: UNAVAILABLE,
            ..Self::failed(message)
        }
    }

    /// An end of which everything has been said already.
    pub fn said(code: u8) -> Self {
        Self {
            message: String::new(),
            hint: None,
            code,
        }
    }

    /// A file operation that failed.
    pub fn file(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::failed(format!("cannot {doing} {}: {error}", path.display()))
    }

    /// The same error with advice, where it has none yet.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert(hint.into());
        self
    }

    /// Tell it, and give its exit code.
    pub fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            note(&self.to_string());
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        self.hint
            .as_ref()
            .map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let told = Self::failed(error.message());
        match error {
            ClientError::Unavailable(_) => Self {
                code: UNAVAILABLE,
                ..told
            }
            .hint(
                "look at the nodes with `snakepit cluster status`, or give others with --endpoints",
            ),
            ClientError::Unknown(_) => {
                told.hint("it may have been done: look before you repeat it")
            }
            // Its text is the exception's own.
            ClientError::Raised(message) => Self {
                message,
                hint: None,
                code: FAILED,
            },
            ClientError::Conflict(_) => told.hint("read again and retry"),
            ClientError::Exhausted(_) => told.hint("wait a little and retry"),
            _ => told,
        }
    }
}

impl From<io::Error> for CliError {
    /// Of standard output: who reads it may have seen enough.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::said(0);
        }
        Self::failed(error)
    }
}

/// Messages begin in lower case, unless their first word is a name in capitals.
fn lower_first(text: String) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_hints_are_taken_apart() {
        let error = CliError::failed("Unknown type: x; hint: use one of float");
        assert_eq!(
            error.to_string(),
            "error: unknown type: x\nhint: use one of float"
        );
        assert_eq!(
            CliError::failed("TLS is off").to_string(),
            "error: TLS is off"
        );
    }

    #[test]
    fn kinds_have_exit_codes() {
        let code = |error: ClientError| CliError::from(error).code;
        assert_eq!(code(ClientError::Unavailable("x".into())), UNAVAILABLE);
        assert_eq!(code(ClientError::Conflict("x".into())), FAILED);
        assert_eq!(code(ClientError::Unknown("x".into())), FAILED);
    }
}
