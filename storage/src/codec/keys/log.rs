//! `log`: index of a Raft log entry.

use super::number;
use crate::error::CodecError;

/// The key of an entry.
pub fn encode(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// The index in a key.
pub fn decode(bytes: &[u8]) -> Result<u64, CodecError> {
    number("log entry", bytes)
}
