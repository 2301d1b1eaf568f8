//! `subjects`: the name, raw, so that subjects are listed in the order of their names.

use super::text;
use crate::error::CodecError;

/// The key of a subject.
pub fn encode(name: &str) -> Vec<u8> {
    name.as_bytes().to_vec()
}

/// The name in a key.
pub fn decode(bytes: &[u8]) -> Result<&str, CodecError> {
    text("subject", bytes)
}
