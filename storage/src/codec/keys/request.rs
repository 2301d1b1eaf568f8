//! `requests`: session id with its length, epoch, request id.

use super::{damaged, number, prefixed, split_prefixed, text};
use crate::error::CodecError;

/// The key of a kept answer.
pub fn encode(session_id: &str, epoch: u64, request_id: &str) -> Result<Vec<u8>, CodecError> {
    let mut bytes = prefixed(session_id, 8 + request_id.len())?;
    bytes.extend_from_slice(&epoch.to_be_bytes());
    bytes.extend_from_slice(request_id.as_bytes());
    Ok(bytes)
}

/// Session id, epoch and request id in a key.
pub fn decode(bytes: &[u8]) -> Result<(&str, u64, &str), CodecError> {
    let (session_id, rest) = split_prefixed("request", bytes)?;
    let (epoch, request_id) = rest
        .split_at_checked(8)
        .ok_or_else(|| damaged("request", "it is too short"))?;
    Ok((
        session_id,
        number("request", epoch)?,
        text("request", request_id)?,
    ))
}
