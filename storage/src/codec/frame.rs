//! Sealed bytes: version (1), kind (1), crc32c of all other bytes (4, little-endian), bincode body.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::CodecError;

/// The version that this build writes and reads.
pub(crate) const VERSION: u8 = 4;
/// Bytes in front of the body.
pub(crate) const HEADER_BYTES: usize = 6;
/// Largest body, and the most that decoding one may allocate, in bytes.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// What sealed bytes hold; one number for each format, so that none is taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Blank = 0,
    Proposal = 1,
    Membership = 2,
    Command = 16,
    Outcome = 17,
    Row = 32,
    Vote = 48,
    Mark = 49,
    Applied = 50,
    Chain = 51,
    Segment = 52,
}

type Config = Configuration<LittleEndian, Varint, Limit<BODY_BYTES_MAX>>;

fn config() -> Config {
    bincode::config::standard().with_limit::<BODY_BYTES_MAX>()
}

/// Encode and seal.
pub(crate) fn seal<T: Serialize>(kind: Kind, what: &str, value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    seal_into(kind, what, value, &mut bytes)?;
    Ok(bytes)
}

/// Encode and seal behind what is there already. After an error there may be more, which means nothing.
pub(crate) fn seal_into<T: Serialize>(
    kind: Kind,
    what: &str,
    value: &T,
    to: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let begin = to.len();
    to.extend([VERSION, kind as u8, 0, 0, 0, 0]);
    bincode::serde::encode_into_std_write(value, to, config())
        .map_err(|error| CodecError::damaged(what, format!("cannot be encoded: {error}")))?;
    let sealed = &mut to[begin..];
    let body_bytes = sealed.len() - HEADER_BYTES;
    if body_bytes > BODY_BYTES_MAX {
        return Err(too_large(what, body_bytes));
    }
    let sum = checksum(sealed);
    sealed[2..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// Check version, size and checksum; the kind byte and the body.
pub(crate) fn check<'a>(what: &str, bytes: &'a [u8]) -> Result<(u8, &'a [u8]), CodecError> {
    let kind = kind(what, bytes)?;
    let body = &bytes[HEADER_BYTES..];
    if body.len() > BODY_BYTES_MAX {
        return Err(too_large(what, body.len()));
    }
    let stored = u32::from_le_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
    let computed = checksum(bytes);
    if stored != computed {
        let reason = format!("checksum {computed:08x} instead of {stored:08x}");
        return Err(CodecError::damaged(what, reason));
    }
    Ok((kind, body))
}

/// Check the header only; the kind byte.
pub(crate) fn kind(what: &str, bytes: &[u8]) -> Result<u8, CodecError> {
    if bytes.len() < HEADER_BYTES {
        let reason = format!("{} bytes, a header has {HEADER_BYTES}", bytes.len());
        return Err(CodecError::damaged(what, reason));
    }
    if bytes[0] != VERSION {
        return Err(CodecError::UnknownVersion {
            what: what.into(),
            found: bytes[0],
            known: VERSION,
        });
    }
    Ok(bytes[1])
}

/// Open what [`seal`] made.
pub(crate) fn open<T: DeserializeOwned>(
    kind: Kind,
    what: &str,
    bytes: &[u8],
) -> Result<T, CodecError> {
    let (found, body) = check(what, bytes)?;
    if found != kind as u8 {
        let reason = format!("kind {found} instead of {}", kind as u8);
        return Err(CodecError::damaged(what, reason));
    }
    body_of(what, body)
}

/// Decode a body that has been checked.
pub(crate) fn body_of<T: DeserializeOwned>(what: &str, body: &[u8]) -> Result<T, CodecError> {
    let (value, used) = bincode::serde::decode_from_slice(body, config())
        .map_err(|error| CodecError::damaged(what, format!("cannot be decoded: {error}")))?;
    if used != body.len() {
        let reason = format!("{} bytes too many", body.len() - used);
        return Err(CodecError::damaged(what, reason));
    }
    Ok(value)
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..2]), &bytes[HEADER_BYTES..])
}

fn too_large(what: &str, bytes: usize) -> CodecError {
    CodecError::TooLarge {
        what: what.into(),
        bytes,
        bytes_max: BODY_BYTES_MAX,
    }
}
