//! Commands that bind sessions to workers.

use serde::{Deserialize, Serialize};

/// Send a session's calls in a pool to one worker, unless another one has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindWorker {
    /// The session.
    pub session_id: String,
    /// The pool: 1 to 256 bytes.
    pub pool: String,
    /// The worker's node.
    pub node: u64,
    /// The worker: 1 to 256 bytes.
    pub worker: String,
    /// The worker whose place it takes, which is gone; empty where there is none.
    pub replaces: String,
}

/// Let a session's calls in a pool go to any worker again, if they go to that one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnbindWorker {
    /// The session.
    pub session_id: String,
    /// The pool: 1 to 256 bytes.
    pub pool: String,
    /// The worker: 1 to 256 bytes.
    pub worker: String,
}
