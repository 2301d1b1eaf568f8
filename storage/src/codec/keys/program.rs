//! `programs`: session id with its length, empty for global ones; program id.

use super::{prefixed, split_prefixed, text};
use crate::error::CodecError;

/// The key of a program.
pub fn encode(session_id: &str, program_id: &str) -> Result<Vec<u8>, CodecError> {
    let mut bytes = prefixed(session_id, program_id.len())?;
    bytes.extend_from_slice(program_id.as_bytes());
    Ok(bytes)
}

/// Session id and program id in a key.
pub fn decode(bytes: &[u8]) -> Result<(&str, &str), CodecError> {
    let (session_id, program_id) = split_prefixed("program", bytes)?;
    Ok((session_id, text("program", program_id)?))
}
