//! An admitted call, and what is to be done once the pool's lock is let go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use snakepit_proto::worker as wire;
use tokio::sync::{mpsc, oneshot};

use super::super::call::{CallContext, CallOutcome};
use super::super::error::CallError;
use super::super::link::Link;
use super::circuit::Phase;

/// Who waits for a call.
pub(in super::super) enum Reply {
    Once(oneshot::Sender<Result<CallOutcome, CallError>>),
    Stream(mpsc::Sender<Result<wire::Chunk, CallError>>),
    /// The caller has gone.
    Nobody,
}

impl Reply {
    /// Answer with an error. A stream's channel has room for it beyond its credits.
    pub(in super::super) fn fail(self, error: CallError) {
        match self {
            Self::Once(reply) => drop(reply.send(Err(error))),
            Self::Stream(reply) => drop(reply.try_send(Err(error))),
            Self::Nobody => {}
        }
    }
}

/// Which worker a call wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum Wanted {
    #[default]
    Any,
    /// This one while it is free.
    Rather(String),
    /// No other; it waits for it where the flag says so.
    Only(String, bool),
}

/// An admitted call.
pub(in super::super) struct Ticket {
    pub(in super::super) context: CallContext,
    /// None once it was sent and was too large to keep.
    pub(in super::super) call: Option<Box<wire::Call>>,
    pub(in super::super) bytes: usize,
    pub(in super::super) deadline: Instant,
    pub(in super::super) admitted: Instant,
    pub(in super::super) idempotent: bool,
    pub(in super::super) wanted: Wanted,
    /// Refused where it would wait.
    pub(in super::super) or_back: bool,
    /// May be given back while it waits.
    pub(in super::super) movable: bool,
    /// Whether chunks went out: such a stream cannot begin again.
    pub(in super::super) begun: bool,
    /// The unguessable half of the call's token.
    pub(in super::super) secret: u128,
    pub(in super::super) reply: Reply,
}

/// How a call ended, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Ending {
    Ok,
    Raised,
    Lost,
}

/// A tool's circuit changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Switched {
    pub(in super::super) tool: String,
    pub(in super::super) to: Phase,
    pub(in super::super) failures: u32,
}

/// A call has got a worker; noted only where somebody listens to events.
#[derive(Clone, Debug)]
pub(in super::super) struct Dispatched {
    pub(in super::super) waited: Duration,
    pub(in super::super) context: CallContext,
    pub(in super::super) correlation_id: String,
    pub(in super::super) queued: bool,
}

/// What the lock's holder does after it has let go.
#[derive(Default)]
pub(in super::super) struct After {
    pub(in super::super) answers: Vec<(Reply, Result<CallOutcome, CallError>)>,
    pub(in super::super) wake: Vec<Arc<Link>>,
    /// How long each call waited that has now got a worker.
    pub(in super::super) waited: Vec<Duration>,
    /// From admission to answer, and whether it succeeded.
    pub(in super::super) ended: Vec<(Duration, Ending)>,
    pub(in super::super) moved: u64,
    pub(in super::super) switched: Vec<Switched>,
    pub(in super::super) dispatched: Vec<Dispatched>,
}

impl After {
    /// Answer the callers and wake the workers. Not under the lock.
    pub(in super::super) fn act(self) {
        for (reply, answer) in self.answers {
            match (reply, answer) {
                (Reply::Once(reply), answer) => drop(reply.send(answer)),
                // A stream ends with its channel.
                (Reply::Stream(_), Ok(outcome)) if outcome.success => {}
                (reply @ Reply::Stream(_), Ok(outcome)) => {
                    reply.fail(CallError::ToolFailed {
                        error: Box::new(outcome.error.unwrap_or_default()),
                    });
                }
                (reply, Err(error)) => reply.fail(error),
                (Reply::Nobody, Ok(_)) => {}
            }
        }
        for link in self.wake {
            link.wake();
        }
    }
}
