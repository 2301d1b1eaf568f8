//! Why a proposal or a read barrier failed.

use snakepit_machine::Outcome;

/// A command's way through the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposed {
    /// Index of the entry that holds it: the answer is true there.
    pub index: u64,
    /// What the machine answered.
    pub outcome: Outcome,
}

/// A command that got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Definitely not done: no leader took it.
    #[error("no leader takes writes at the moment; hint: retry, here or on another node")]
    NoLeader {
        /// The leader, where another node is known to be it.
        leader: Option<u64>,
    },
    /// Definitely not done: too much is waiting.
    #[error("{0}")]
    Exhausted(String),
    /// Definitely not done: the node is stopping.
    #[error("this node is stopping; hint: retry on another node")]
    Stopping,
    /// Definitely not done: larger than an entry may be.
    #[error("{0}")]
    TooLarge(String),
    /// Maybe done: lost on its way, or given up at the deadline.
    #[error("{0}; the write may have been done; hint: retry with the same request id")]
    Unknown(String),
}

impl ProposeError {
    /// Whether the command may have taken effect.
    pub fn maybe_done(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

/// A read barrier that could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No leader, or it has lost its quorum.
    #[error(
        "no leader confirms reads at the moment; hint: retry, here or on another node, or ask for x-snakepit-consistency: stale"
    )]
    NoLeader {
        /// The leader, where another node is known to be it.
        leader: Option<u64>,
    },
    /// The deadline came first.
    #[error("the read's deadline passed before it was confirmed; hint: retry, or allow more time")]
    Deadline,
    /// The node is stopping.
    #[error("this node is stopping; hint: retry on another node")]
    Stopping,
}
