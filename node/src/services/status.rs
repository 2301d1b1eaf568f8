//! The one place where a gRPC status is made. Its message says what happened and what to do; its metadata
//! says of what kind it is, whether the request may have been done, and who leads.

use std::io;

use snakepit_machine::{Rejection, RejectionKind};
use snakepit_proto::headers;
use snakepit_raft::{ProposeError, ReadError};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::Node;
use crate::pool::{CallError, CallErrorKind};

/// The kind of a call that the log says was lost: repeated, it is told the same. What is merely `unknown` may
/// be repeated.
pub(super) const LOST: &str = "lost";

/// The kind of a call that would have to wait at a node, and is sent back for another one; no client sees it.
pub(super) const BUSY: &str = "busy";

/// Why a request has no answer.
#[derive(Debug)]
pub enum Failure {
    /// The request is wrong.
    Invalid(String),
    /// Something holds it back.
    Refused(String),
    /// A limit is reached.
    Exhausted(String),
    /// A watcher was too slow.
    FellBehind(String),
    /// Ask another node.
    Unavailable(String),
    /// The machine refused it.
    Rejected(Rejection),
    /// It was not, or maybe, proposed.
    Propose(ProposeError),
    /// The read could not be confirmed.
    Read(ReadError),
    /// The call of a tool has no outcome.
    Call(CallError),
    /// Another node answered so.
    Remote(Status),
    /// The store cannot be read.
    Storage(io::Error),
}

macro_rules! from {
    ($($source:ty => $variant:ident),*) => {
        $(impl From<$source> for Failure {
            fn from(source: $source) -> Self {
                Self::$variant(source)
            }
        })*
    };
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&message(self))
    }
}

from!(Rejection => Rejected, ProposeError => Propose, ReadError => Read, CallError => Call, io::Error => Storage);

impl From<snakepit_machine::RowsError> for Failure {
    fn from(error: snakepit_machine::RowsError) -> Self {
        Self::Storage(io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// Kind, gRPC code, and whether the request may have been done.
fn class(failure: &Failure) -> (&'static str, Code, bool) {
    match failure {
        Failure::Invalid(_) => ("invalid", Code::InvalidArgument, false),
        Failure::Refused(_) => ("refused", Code::FailedPrecondition, false),
        Failure::Exhausted(_) => ("exhausted", Code::ResourceExhausted, false),
        Failure::FellBehind(_) => ("fell_behind", Code::Aborted, false),
        Failure::Unavailable(_) => ("unavailable", Code::Unavailable, false),
        Failure::Rejected(rejection) => {
            (rejection.kind.name(), rejection_code(rejection.kind), false)
        }
        Failure::Propose(ProposeError::NoLeader { .. } | ProposeError::Stopping) => {
            ("unavailable", Code::Unavailable, false)
        }
        Failure::Propose(ProposeError::Exhausted(_)) => {
            ("exhausted", Code::ResourceExhausted, false)
        }
        Failure::Propose(ProposeError::TooLarge(_)) => ("invalid", Code::InvalidArgument, false),
        Failure::Propose(ProposeError::Unknown(_)) => ("unknown", Code::Unknown, true),
        Failure::Read(ReadError::Deadline) => ("deadline", Code::DeadlineExceeded, false),
        Failure::Read(_) => ("unavailable", Code::Unavailable, false),
        Failure::Call(error) => {
            let (kind, code) = call_class(error.kind());
            (kind, code, error.maybe_done())
        }
        Failure::Remote(status) => ("remote", status.code(), false),
        Failure::Storage(_) => ("data", Code::DataLoss, false),
    }
}

fn rejection_code(kind: RejectionKind) -> Code {
    match kind {
        RejectionKind::Invalid => Code::InvalidArgument,
        RejectionKind::NotFound => Code::NotFound,
        RejectionKind::AlreadyExists => Code::AlreadyExists,
        RejectionKind::Conflict => Code::Aborted,
        RejectionKind::Refused => Code::FailedPrecondition,
        RejectionKind::Exhausted => Code::ResourceExhausted,
        RejectionKind::Denied => Code::PermissionDenied,
    }
}

pub(super) fn call_class(kind: CallErrorKind) -> (&'static str, Code) {
    match kind {
        CallErrorKind::Invalid => ("invalid", Code::InvalidArgument),
        CallErrorKind::NotFound => ("not_found", Code::NotFound),
        CallErrorKind::Exhausted => ("exhausted", Code::ResourceExhausted),
        CallErrorKind::Busy => (BUSY, Code::ResourceExhausted),
        CallErrorKind::Unavailable => ("unavailable", Code::Unavailable),
        CallErrorKind::CircuitOpen => ("circuit_open", Code::Unavailable),
        CallErrorKind::WorkerLost => ("worker_lost", Code::FailedPrecondition),
        CallErrorKind::Deadline => ("deadline", Code::DeadlineExceeded),
        CallErrorKind::Unknown => ("unknown", Code::Unknown),
        CallErrorKind::Cancelled => ("cancelled", Code::Cancelled),
        CallErrorKind::Tool => ("tool", Code::Unknown),
    }
}

fn message(failure: &Failure) -> String {
    match failure {
        Failure::Invalid(text)
        | Failure::Refused(text)
        | Failure::Exhausted(text)
        | Failure::FellBehind(text)
        | Failure::Unavailable(text) => text.clone(),
        Failure::Rejected(rejection) => rejection.message.clone(),
        Failure::Propose(error) => error.to_string(),
        Failure::Read(error) => error.to_string(),
        Failure::Call(error) => error.to_string(),
        Failure::Remote(status) => status.message().to_owned(),
        Failure::Storage(error) => format!(
            "this node cannot read its data: {error}; hint: verify the log, ask another node"
        ),
    }
}

/// Bytes of a message at most. It travels as a header, up to three times as long, and a connection whose
/// headers grow beyond 16 KiB is closed with all that is on it.
const MESSAGE_BYTES_MAX: usize = 4_000;

/// A message that quotes what was sent, however long that is: its begin and its end, where the hint is.
fn clip(message: String) -> String {
    if message.len() <= MESSAGE_BYTES_MAX {
        return message;
    }
    let head = message.floor_char_boundary(MESSAGE_BYTES_MAX / 2);
    let tail = message.ceil_char_boundary(message.len() - MESSAGE_BYTES_MAX / 2);
    let left_out = tail - head;
    format!(
        "{}… ({left_out} bytes left out) …{}",
        &message[..head],
        &message[tail..]
    )
}

/// Say of what kind a status is, and whether the request may have been done.
pub(super) fn mark(status: &mut Status, kind: &'static str, maybe: bool) {
    let done = if maybe { "maybe" } else { "no" };
    let metadata = status.metadata_mut();
    metadata.insert(headers::ERROR_KIND, MetadataValue::from_static(kind));
    metadata.insert(headers::DONE, MetadataValue::from_static(done));
}

impl Node {
    /// The status of a failure.
    pub(super) fn status(&self, failure: Failure) -> Status {
        if let Failure::Remote(status) = failure {
            return status;
        }
        let (kind, code, maybe) = class(&failure);
        if code == Code::DataLoss {
            tracing::error!(?failure, "a request found damaged data");
        }
        let mut status = Status::new(code, clip(message(&failure)));
        mark(&mut status, kind, maybe);
        let metadata = status.metadata_mut();
        if code == Code::Unavailable {
            let group = self.group.status();
            let address = group
                .leader
                .and_then(|leader| Some(group.address_of(leader)?.client.clone()));
            if let Some(value) = address.and_then(|address| address.parse().ok()) {
                metadata.insert(headers::LEADER, value);
            }
        }
        status
    }
}
