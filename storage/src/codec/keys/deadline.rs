//! `deadlines` and `program_deadlines`: milliseconds since 1970; session id or program id, raw.

use super::{damaged, number, text};
use crate::error::CodecError;

/// The key of a deadline.
pub fn encode(time_ms: u64, session_id: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + session_id.len());
    bytes.extend_from_slice(&time_ms.to_be_bytes());
    bytes.extend_from_slice(session_id.as_bytes());
    bytes
}

/// Time and session id in a key.
pub fn decode(bytes: &[u8]) -> Result<(u64, &str), CodecError> {
    let (time, id) = bytes
        .split_at_checked(8)
        .ok_or_else(|| damaged("deadline", "it is too short"))?;
    Ok((number("deadline", time)?, text("deadline", id)?))
}
