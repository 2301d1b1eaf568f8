//! `request_order`: session id with its length, number in the ring.

use super::{number, prefixed, split_prefixed};
use crate::error::CodecError;

/// The key of a place in a session's ring.
pub fn encode(session_id: &str, place: u64) -> Result<Vec<u8>, CodecError> {
    let mut bytes = prefixed(session_id, 8)?;
    bytes.extend_from_slice(&place.to_be_bytes());
    Ok(bytes)
}

/// Session id and number in a key.
pub fn decode(bytes: &[u8]) -> Result<(&str, u64), CodecError> {
    let (session_id, rest) = split_prefixed("request order", bytes)?;
    Ok((session_id, number("request order", rest)?))
}
