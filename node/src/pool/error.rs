//! Why a call has no outcome.

use snakepit_proto::bridge::ToolError;

/// The kinds of [`CallError`]; each maps to one gRPC status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallErrorKind {
    /// Mend the request: INVALID_ARGUMENT.
    Invalid,
    /// No such tool: NOT_FOUND.
    NotFound,
    /// A limit is reached: RESOURCE_EXHAUSTED; back off.
    Exhausted,
    /// It would wait here, and need not elsewhere: RESOURCE_EXHAUSTED, between nodes only.
    Busy,
    /// This node cannot now: UNAVAILABLE; retry elsewhere.
    Unavailable,
    /// The tool is refused for a while: UNAVAILABLE; retry later, or elsewhere.
    CircuitOpen,
    /// The worker that the session was bound to is gone: FAILED_PRECONDITION.
    WorkerLost,
    /// The deadline has passed: DEADLINE_EXCEEDED.
    Deadline,
    /// Lost after it was sent to a worker: UNKNOWN; maybe done.
    Unknown,
    /// The caller took it back: CANCELLED.
    Cancelled,
    /// The tool itself failed on its way, in a stream: UNKNOWN, with the exception.
    Tool,
}

/// A call without an outcome. A Python exception is an outcome, except in a stream, whose answer has begun.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// No pool offers the tool.
    #[error("no tool is named {tool:?}; hint: known are {}", listed(known))]
    NoSuchTool {
        /// What was asked for.
        tool: String,
        /// What there is, sorted.
        known: Vec<String>,
    },
    /// The call does not fit into a message.
    #[error(
        "the call has {bytes} bytes, a message holds {limit}; hint: pass less, or raise message_bytes_max of pool {pool}"
    )]
    TooLarge {
        /// The pool asked.
        pool: String,
        /// The call's size.
        bytes: usize,
        /// The pool's `message_bytes_max`.
        limit: usize,
    },
    /// The pool's queue is full.
    #[error(
        "{queued} calls wait in pool {pool}, its queue_max; hint: back off, ask another node, or add workers"
    )]
    QueueFull {
        /// The pool asked.
        pool: String,
        /// How many wait.
        queued: usize,
    },
    /// No worker was free in time. The call is out of the queue and will not run.
    #[error(
        "no worker of pool {pool} was free within {waited_ms} ms; hint: not done, retry; add workers if this lasts"
    )]
    QueueTimeout {
        /// The pool asked.
        pool: String,
        /// How long the call waited.
        waited_ms: u64,
    },
    /// No worker is free here, and another node seems to have one.
    #[error("no worker of pool {pool} is free here; hint: not done, ask another node")]
    NoneFree {
        /// The pool asked.
        pool: String,
    },
    /// The pool that was named does not offer the tool.
    #[error(
        "no pool named {pool} offers tool {tool:?}; hint: see snakepit pool ls and snakepit tool ls"
    )]
    NoSuchPool {
        /// What was asked for.
        pool: String,
        /// The tool.
        tool: String,
    },
    /// The tool failed again and again, and is refused for a while.
    #[error(
        "tool {tool} of pool {pool} has failed {failures} times one after the other, its circuit is open; hint: not done, retry after {retry_after_ms} ms, elsewhere at once"
    )]
    CircuitOpen {
        /// The pool asked.
        pool: String,
        /// The tool.
        tool: String,
        /// How often it failed in a row.
        failures: u32,
        /// When it will be tried again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The session is bound to a worker that is no more.
    #[error(
        "worker {worker_id} of pool {pool}, to which the session is bound, is gone; hint: not done, what only that worker knew is lost; call again to be bound to another"
    )]
    BoundWorkerGone {
        /// The pool asked.
        pool: String,
        /// The worker.
        worker_id: String,
    },
    /// The session is bound to a worker that is busy.
    #[error(
        "worker {worker_id} of pool {pool}, to which the session is bound, is busy; hint: not done, back off and retry"
    )]
    BoundWorkerBusy {
        /// The pool asked.
        pool: String,
        /// The worker.
        worker_id: String,
    },
    /// The call's deadline has passed.
    #[error("the call's deadline has passed{}; hint: give it more time", maybe_text(*maybe))]
    DeadlineExceeded {
        /// Whether the tool may have run, in part or whole.
        maybe: bool,
    },
    /// The worker died while it had the call.
    #[error("worker {worker_id} died while it had the call{}; hint: {}", maybe_text(*maybe), retry_text(*maybe))]
    WorkerDied {
        /// The worker.
        worker_id: String,
        /// Whether the tool may have run, in part or whole.
        maybe: bool,
    },
    /// The node is about to stop.
    #[error("the node is stopping; hint: not done, ask another node")]
    Draining,
    /// The call was taken back.
    #[error("the call was cancelled{}", maybe_text(*maybe))]
    Cancelled {
        /// Whether the tool may have run, in part or whole.
        maybe: bool,
    },
    /// A streaming tool raised.
    #[error("{}: {}", error.r#type, error.message)]
    ToolFailed {
        /// The exception.
        error: Box<ToolError>,
    },
}

impl CallError {
    /// Which status it becomes.
    pub fn kind(&self) -> CallErrorKind {
        match self {
            Self::NoSuchTool { .. } | Self::NoSuchPool { .. } => CallErrorKind::NotFound,
            Self::CircuitOpen { .. } => CallErrorKind::CircuitOpen,
            Self::BoundWorkerGone { .. } => CallErrorKind::WorkerLost,
            Self::TooLarge { .. } => CallErrorKind::Invalid,
            Self::QueueFull { .. } | Self::QueueTimeout { .. } | Self::BoundWorkerBusy { .. } => {
                CallErrorKind::Exhausted
            }
            Self::NoneFree { .. } => CallErrorKind::Busy,
            Self::DeadlineExceeded { .. } => CallErrorKind::Deadline,
            Self::WorkerDied { maybe: true, .. } => CallErrorKind::Unknown,
            Self::WorkerDied { maybe: false, .. } | Self::Draining => CallErrorKind::Unavailable,
            Self::Cancelled { .. } => CallErrorKind::Cancelled,
            Self::ToolFailed { .. } => CallErrorKind::Tool,
        }
    }

    /// Whether the tool may have run, in part or whole; false where it definitely has not.
    pub fn maybe_done(&self) -> bool {
        match self {
            Self::DeadlineExceeded { maybe }
            | Self::WorkerDied { maybe, .. }
            | Self::Cancelled { maybe } => *maybe,
            Self::ToolFailed { .. } => true,
            _ => false,
        }
    }
}

/// Names shown of those that there are.
const NAMES_SHOWN_MAX: usize = 50;

fn listed(names: &[String]) -> String {
    match names.len() {
        0 => "none: no worker has started yet, or its adapter has no tools".into(),
        count if count > NAMES_SHOWN_MAX => {
            format!(
                "{} and {} more",
                names[..NAMES_SHOWN_MAX].join(", "),
                count - NAMES_SHOWN_MAX
            )
        }
        _ => names.join(", "),
    }
}

fn maybe_text(maybe: bool) -> &'static str {
    if maybe {
        "; it may be done"
    } else {
        "; it is not done"
    }
}

fn retry_text(maybe: bool) -> &'static str {
    if maybe {
        "retry only if running it twice does no harm"
    } else {
        "retry"
    }
}
