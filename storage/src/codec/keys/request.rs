//! `requests`: session id with its length, request id.

use super::{prefixed, split_prefixed, text};
use crate::error::CodecError;

/// The key of a kept answer.
pub fn encode(session_id: &str, request_id: &str) -> Result<Vec<u8>, CodecError> {
    let mut bytes = prefixed(session_id, request_id.len())?;
    bytes.extend_from_slice(request_id.as_bytes());
    Ok(bytes)
}

/// Session id and request id in a key.
pub fn decode(bytes: &[u8]) -> Result<(&str, &str), CodecError> {
    let (session_id, request_id) = split_prefixed("request", bytes)?;
    Ok((session_id, text("request", request_id)?))
}
