//! `event_by_call`: a call's id, then the position of an event of it.

use super::{number, prefixed, split_prefixed};
use crate::error::CodecError;

/// The key of an event of a call.
pub fn encode(call_id: &str, position: u64) -> Result<Vec<u8>, CodecError> {
    let mut bytes = prefixed(call_id, 8)?;
    bytes.extend_from_slice(&position.to_be_bytes());
    Ok(bytes)
}

/// Call and position of a key.
pub fn decode(bytes: &[u8]) -> Result<(&str, u64), CodecError> {
    let (call_id, rest) = split_prefixed("call event", bytes)?;
    Ok((call_id, number("call event", rest)?))
}

/// What all keys of a call begin with.
pub fn prefix(call_id: &str) -> Result<Vec<u8>, CodecError> {
    prefixed(call_id, 0)
}
