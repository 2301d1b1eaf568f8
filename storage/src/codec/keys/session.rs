//! `sessions`: the id, raw, so that sessions are listed in the order of their ids.

use super::text;
use crate::error::CodecError;

/// The key of a session.
pub fn encode(session_id: &str) -> Vec<u8> {
    session_id.as_bytes().to_vec()
}

/// The id in a key.
pub fn decode(bytes: &[u8]) -> Result<&str, CodecError> {
    text("session", bytes)
}
