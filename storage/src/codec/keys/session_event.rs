//! `event_by_session`: session id with its length, position; the value is the revision (8, big-endian).
//!
//! Position and not revision is in the key: a session that was ended and made again counts its revisions
//! anew, and the events of its earlier lives must stay found.

use super::{number, prefixed, split_prefixed};
use crate::error::CodecError;

/// The key of a session's event.
pub fn encode(session_id: &str, position: u64) -> Result<Vec<u8>, CodecError> {
    let mut bytes = prefixed(session_id, 8)?;
    bytes.extend_from_slice(&position.to_be_bytes());
    Ok(bytes)
}

/// Session id and position in a key.
pub fn decode(bytes: &[u8]) -> Result<(&str, u64), CodecError> {
    let (session_id, rest) = split_prefixed("session event", bytes)?;
    Ok((session_id, number("session event", rest)?))
}

/// The value: the revision.
pub fn encode_value(revision: u64) -> [u8; 8] {
    revision.to_be_bytes()
}

/// The revision in a value.
pub fn decode_value(bytes: &[u8]) -> Result<u64, CodecError> {
    number("session event", bytes)
}
