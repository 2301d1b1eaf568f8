//! What can be wrong with stored events.

use snakepit_machine::RowsError;

use crate::error::CodecError;

/// Events do not fold.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A position does not follow the one before it.
    #[error("event {expected} is missing or out of order: event {found} came in its place")]
    OutOfOrder {
        /// The position that had to come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// The hash is not that of the previous hash and the bytes.
    #[error("event {position} is damaged: its hash is {found}, the chain says {expected}")]
    BrokenChain {
        /// Its position.
        position: u64,
        /// The hash of the chain, hexadecimal.
        expected: String,
        /// The stored hash, hexadecimal.
        found: String,
    },
    /// The bytes are not an event.
    #[error("event {position} is damaged: {reason}")]
    Undecodable {
        /// Its position.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The event is at another position than it says.
    #[error("event {position} is damaged: its content says that it is event {content}")]
    Misplaced {
        /// Where it is stored.
        position: u64,
        /// Where it says it is.
        content: u64,
    },
    /// It cannot have happened after the events before it.
    #[error("event {position} does not fold: {source}")]
    Unfoldable {
        /// Its position.
        position: u64,
        /// What is wrong.
        source: RowsError,
    },
    /// A row cannot be encoded.
    #[error(transparent)]
    Row(#[from] CodecError),
}
