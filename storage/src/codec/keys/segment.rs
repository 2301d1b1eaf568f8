//! `segments`: position of the first event, so that segments are listed in the order of the log.

use super::number;
use crate::error::CodecError;

/// The key of a segment.
pub fn encode(first: u64) -> [u8; 8] {
    first.to_be_bytes()
}

/// The position in a key.
pub fn decode(bytes: &[u8]) -> Result<u64, CodecError> {
    number("segment", bytes)
}
