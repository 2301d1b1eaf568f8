//! `tools`: session id with its length, name.

use super::{prefixed, split_prefixed, text};
use crate::error::CodecError;

/// The key of a registered tool.
pub fn encode(session_id: &str, name: &str) -> Result<Vec<u8>, CodecError> {
    let mut bytes = prefixed(session_id, name.len())?;
    bytes.extend_from_slice(name.as_bytes());
    Ok(bytes)
}

/// Session id and name in a key.
pub fn decode(bytes: &[u8]) -> Result<(&str, &str), CodecError> {
    let (session_id, name) = split_prefixed("tool", bytes)?;
    Ok((session_id, text("tool", name)?))
}
