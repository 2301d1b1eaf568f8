//! From a gRPC status to what the caller can do about it: the one place that knows both.

use std::error::Error as _;
use std::time::Duration;

use snakepit_proto::headers;
use snakepit_proto::transport::{causes, never_begun};
use tonic::{Code, Status};

/// Why a call has no answer. Each kind says what to do; the message says what happened and carries a hint
/// behind `; hint: ` where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The request is wrong: mend it.
    #[error("{0}")]
    Invalid(String),
    /// What it names does not exist.
    #[error("{0}")]
    NotFound(String),
    /// What it would make exists, and is another thing.
    #[error("{0}")]
    AlreadyExists(String),
    /// What it expected has changed: read again and retry.
    #[error("{0}")]
    Conflict(String),
    /// Something holds it back: wait or give up.
    #[error("{0}")]
    Refused(String),
    /// Access rules keep the caller out.
    #[error("{0}")]
    Denied(String),
    /// A limit is reached: back off.
    #[error("{0}")]
    Exhausted(String),
    /// No node could take it; it is definitely not done.
    #[error("{0}")]
    Unavailable(String),
    /// It may have been done, or may yet be: repeat it with the same request id.
    #[error("{0}")]
    Unknown(String),
    /// It was begun and lost, and may be done; repeated, the answer is the same: look whether it is.
    #[error("{0}")]
    Lost(String),
    /// A streaming tool raised: an outcome, after the chunks before it. The text is `Type: message`.
    #[error("{0}")]
    Raised(String),
    /// Stored bytes are damaged: stop and repair.
    #[error("{0}")]
    Data(String),
    /// The node does not know the call, or failed in a way it has no word for.
    #[error("{0}")]
    Other(String),
}

impl ClientError {
    /// One word, as in `x-snakepit-error-kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::NotFound(_) => "not_found",
            Self::AlreadyExists(_) => "already_exists",
            Self::Conflict(_) => "conflict",
            Self::Refused(_) => "refused",
            Self::Denied(_) => "denied",
            Self::Exhausted(_) => "exhausted",
            Self::Unavailable(_) => "unavailable",
            Self::Unknown(_) => "unknown",
            Self::Lost(_) => "lost",
            Self::Raised(_) => "tool",
            Self::Data(_) => "data",
            Self::Other(_) => "other",
        }
    }

    /// What happened, with the hint.
    pub fn message(&self) -> &str {
        match self {
            Self::Invalid(text)
            | Self::NotFound(text)
            | Self::AlreadyExists(text)
            | Self::Conflict(text)
            | Self::Refused(text)
            | Self::Denied(text)
            | Self::Exhausted(text)
            | Self::Unavailable(text)
            | Self::Unknown(text)
            | Self::Lost(text)
            | Self::Raised(text)
            | Self::Data(text)
            | Self::Other(text) => text,
        }
    }

    /// Whether the request may have taken effect all the same.
    pub fn maybe_done(&self) -> bool {
        matches!(
            self,
            Self::Unknown(_) | Self::Lost(_) | Self::Raised(_) | Self::Other(_)
        )
    }
}

/// What nodes call a call that was begun and whose end nobody knows any more, and one whose tool raised.
const LOST: &str = "lost";
const RAISED: &str = "tool";

/// Whether a repeated request of that outcome is told the same again.
fn is_final(kind: &str) -> bool {
    matches!(kind, LOST | RAISED)
}

/// One try that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub error: ClientError,
    /// It may have taken effect.
    pub maybe_done: bool,
    /// Another try, perhaps at another node, may do better.
    pub transient: bool,
    /// Where the leader is said to be.
    pub leader: Option<String>,
}

impl Failure {
    /// What a status means. Where the node does not say whether the request was done, the code does, and for
    /// a connection that broke, whether it had been made.
    pub fn of(endpoint: &str, status: &Status) -> Self {
        let said = |name: &str| {
            status
                .metadata()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let local = status.source().is_some();
        let maybe_done = match said(headers::DONE) {
            Some("no") => false,
            Some(_) => true,
            None if never_begun(status) => false,
            None if local => true,
            None => matches!(
                status.code(),
                Code::Unknown | Code::DeadlineExceeded | Code::Cancelled | Code::Internal
            ),
        };
        let kind = said(headers::ERROR_KIND).unwrap_or_default();
        let transient = match status.code() {
            _ if is_final(kind) => false,
            Code::Unavailable | Code::Unknown | Code::DeadlineExceeded | Code::Cancelled => true,
            Code::Internal => local,
            _ => false,
        };
        let message = if local {
            format!("{endpoint}: {}", innermost(status))
        } else {
            status.message().to_owned()
        };
        Self {
            error: match kind {
                LOST => ClientError::Lost(message),
                RAISED => ClientError::Raised(message),
                _ => error_of(status.code(), maybe_done, message),
            },
            maybe_done,
            transient,
            leader: said(headers::LEADER)
                .filter(|leader| !leader.is_empty())
                .map(str::to_owned),
        }
    }

    /// A try that took too long.
    pub fn silent(endpoint: &str, waited: Duration) -> Self {
        let error =
            ClientError::Unknown(format!("{endpoint}: no answer within {}", rounded(waited)));
        Self {
            error,
            maybe_done: true,
            transient: true,
            leader: None,
        }
    }
}

/// Whether the status only says that the budget of a try is spent.
pub(crate) fn is_timeout(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<tonic::TimeoutExpired>())
}

/// A time as people read it: hundredths of a second.
pub(crate) fn rounded(time: Duration) -> String {
    let hundredths = (time.as_millis() + 5) / 10;
    format!("{} s", hundredths as f64 / 100.0)
}

fn error_of(code: Code, maybe_done: bool, message: String) -> ClientError {
    let make = match code {
        Code::InvalidArgument | Code::OutOfRange => ClientError::Invalid,
        Code::NotFound => ClientError::NotFound,
        Code::AlreadyExists => ClientError::AlreadyExists,
        Code::Aborted => ClientError::Conflict,
        Code::FailedPrecondition => ClientError::Refused,
        Code::PermissionDenied | Code::Unauthenticated => ClientError::Denied,
        Code::ResourceExhausted => ClientError::Exhausted,
        Code::Unavailable if !maybe_done => ClientError::Unavailable,
        Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Cancelled => {
            if maybe_done {
                ClientError::Unknown
            } else {
                ClientError::Unavailable
            }
        }
        Code::DataLoss => ClientError::Data,
        Code::Ok | Code::Internal | Code::Unimplemented => ClientError::Other,
    };
    make(message)
}

/// The error for an answer that says `success = false`, as Snakepit's do: all it has is a text.
pub(crate) fn from_refusal(text: &str) -> ClientError {
    let lower = text.to_lowercase();
    let make = if lower.contains("not found") || lower.contains("does not exist") {
        ClientError::NotFound
    } else if lower.contains("version")
        && (lower.contains("mismatch") || lower.contains("expected"))
    {
        ClientError::Conflict
    } else if lower.contains("locked") {
        ClientError::Refused
    } else {
        ClientError::Invalid
    };
    make(if text.is_empty() {
        "refused without a reason".to_owned()
    } else {
        text.to_owned()
    })
}

/// The text of the deepest cause: the layers above say "transport error" and little more.
fn innermost(status: &Status) -> String {
    causes(status)
        .last()
        .map_or_else(|| status.message().to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: Code, done: Option<&str>) -> Status {
        let mut status = Status::new(code, "text");
        if let Some(done) = done {
            status
                .metadata_mut()
                .insert(headers::DONE, done.parse().unwrap());
        }
        status
    }

    #[test]
    fn codes_become_kinds() {
        let kind = |code, done| Failure::of("a:1", &status(code, done)).error.kind();
        assert_eq!(kind(Code::InvalidArgument, None), "invalid");
        assert_eq!(kind(Code::Aborted, None), "conflict");
        assert_eq!(kind(Code::PermissionDenied, None), "denied");
        assert_eq!(kind(Code::Unavailable, None), "unavailable");
        assert_eq!(kind(Code::Unavailable, Some("maybe")), "unknown");
        assert_eq!(kind(Code::DeadlineExceeded, None), "unknown");
        assert_eq!(kind(Code::DeadlineExceeded, Some("no")), "unavailable");
        assert_eq!(kind(Code::DataLoss, None), "data");
        assert_eq!(kind(Code::Unimplemented, None), "other");
    }

    #[test]
    fn only_some_failures_are_worth_another_try() {
        let transient = |code| Failure::of("a:1", &status(code, None)).transient;
        assert!(transient(Code::Unavailable) && transient(Code::Unknown));
        assert!(!transient(Code::Aborted) && !transient(Code::Internal));
    }

    #[test]
    fn what_is_over_is_not_worth_another_try() {
        for (kind, named) in [("lost", "lost"), ("tool", "tool"), ("unknown", "unknown")] {
            let mut status = status(Code::Unknown, Some("maybe"));
            let metadata = status.metadata_mut();
            metadata.insert(headers::ERROR_KIND, kind.parse().unwrap());
            let failure = Failure::of("a:1", &status);
            assert_eq!(failure.error.kind(), named);
            assert_eq!(failure.transient, kind == "unknown", "{kind}");
            assert!(failure.maybe_done && failure.error.maybe_done(), "{kind}");
        }
    }

    #[test]
    fn refusals_are_sorted_by_their_text() {
        assert_eq!(from_refusal("Variable not found: x").kind(), "not_found");
        assert_eq!(from_refusal("version mismatch: 2").kind(), "conflict");
        assert_eq!(from_refusal("must be integer").kind(), "invalid");
    }
}
