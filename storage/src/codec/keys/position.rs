//! `events`: position in the whole log.

use super::number;
use crate::error::CodecError;

/// The key of an event.
pub fn encode(position: u64) -> [u8; 8] {
    position.to_be_bytes()
}

/// The position in a key.
pub fn decode(bytes: &[u8]) -> Result<u64, CodecError> {
    number("event", bytes)
}
