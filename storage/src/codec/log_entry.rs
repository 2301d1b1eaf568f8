//! A log entry's value in the `log` column: version (1), crc32c of version, index and term (4,
//! little-endian), term (8, big-endian), payload (which has a checksum of its own).

use bytes::Bytes;

use super::payload;
use crate::error::CodecError;
use crate::traits::{EntryId, LogEntry};

const VERSION: u8 = 1;
/// Bytes in front of the payload.
pub const HEADER_BYTES: usize = 13;

/// The value of an entry; its index is the key.
pub fn encode(entry: &LogEntry) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(entry, &mut bytes);
    bytes
}

/// The same, behind what is there already.
pub(crate) fn encode_into(entry: &LogEntry, to: &mut Vec<u8>) {
    to.reserve(HEADER_BYTES + entry.payload.len());
    to.push(VERSION);
    to.extend_from_slice(&checksum(entry.id).to_le_bytes());
    to.extend_from_slice(&entry.id.term.to_be_bytes());
    to.extend_from_slice(&entry.payload);
}

/// The entry of a key's index and a value; its payload is checked, not decoded.
pub fn decode(index: u64, bytes: &[u8]) -> Result<LogEntry, CodecError> {
    let id = decode_id(index, bytes)?;
    let body = &bytes[HEADER_BYTES..];
    payload::check(body).map_err(|error| error.naming(format!("entry {index}")))?;
    Ok(LogEntry {
        id,
        payload: Bytes::copy_from_slice(body),
    })
}

/// The id only.
pub fn decode_id(index: u64, bytes: &[u8]) -> Result<EntryId, CodecError> {
    let what = || format!("entry {index}");
    let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(CodecError::damaged(
            what(),
            format!("{} bytes", bytes.len()),
        ));
    };
    let [version, c0, c1, c2, c3, term @ ..] = *header;
    if version != VERSION {
        return Err(CodecError::UnknownVersion {
            what: what(),
            found: version,
            known: VERSION,
        });
    }
    let id = EntryId {
        term: u64::from_be_bytes(term),
        index,
    };
    let stored = u32::from_le_bytes([c0, c1, c2, c3]);
    let computed = checksum(id);
    if stored != computed {
        let reason = format!("checksum {computed:08x} instead of {stored:08x}");
        return Err(CodecError::damaged(what(), reason));
    }
    Ok(id)
}

fn checksum(id: EntryId) -> u32 {
    let mut sum = crc32c::crc32c(&[VERSION]);
    sum = crc32c::crc32c_append(sum, &id.index.to_be_bytes());
    crc32c::crc32c_append(sum, &id.term.to_be_bytes())
}
