//! An event's value in the `events` column: version (1), chain hash (32), the event's bytes (protobuf, which
//! the hash covers).

use sha2::{Digest as _, Sha256};

use crate::error::CodecError;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 33;

/// The hash of an event: SHA-256 of the previous event's hash and the stored bytes, so that any standard library
/// can check it. The first event follows [`GENESIS`].
pub fn chain(previous: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(bytes);
    hasher.finalize().into()
}

/// The hash in front of the first event.
pub const GENESIS: [u8; 32] = [0; 32];

/// The value of an event; its position is the key.
pub fn encode(hash: &[u8; 32], bytes: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    encode_into(hash, bytes, &mut value);
    value
}

/// The same, behind what is there already.
pub(crate) fn encode_into(hash: &[u8; 32], bytes: &[u8], to: &mut Vec<u8>) {
    to.reserve(HEADER_BYTES + bytes.len());
    to.push(VERSION);
    to.extend_from_slice(hash);
    to.extend_from_slice(bytes);
}

/// Hash and bytes of the event at a position.
pub fn decode(position: u64, value: &[u8]) -> Result<([u8; 32], &[u8]), CodecError> {
    let what = || format!("event {position}");
    let Some((header, bytes)) = value.split_first_chunk::<HEADER_BYTES>() else {
        return Err(CodecError::damaged(
            what(),
            format!("{} bytes", value.len()),
        ));
    };
    let [version, hash @ ..] = *header;
    if version != VERSION {
        return Err(CodecError::UnknownVersion {
            what: what(),
            found: version,
            known: VERSION,
        });
    }
    Ok((hash, bytes))
}
