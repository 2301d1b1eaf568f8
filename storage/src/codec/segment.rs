//! A segment's file: archived events in a row, in compressed blocks, and an index of the blocks.
//!
//! ```text
//! magic (8)
//! blocks: zstd of records; a record is length (u32, little-endian) and an event's stored bytes
//! index: sealed, see `frame`
//! trailer: offset of the index (u64, little-endian), its length (u32, little-endian), magic (8)
//! ```
//!
//! Hashes of the chain are not stored for each event: a block knows the one in front of it, and those that follow from
//! it must lead to that of the next block.

use serde::{Deserialize, Serialize};

use super::frame::{self, Kind};
use crate::error::CodecError;

/// Begins and ends a segment; the last byte is the format's version.
pub(crate) const MAGIC: [u8; 8] = *b"SNPKSEG\x01";
/// Bytes behind the index.
pub(crate) const TRAILER_BYTES: u64 = 8 + 4 + 8;
/// Bytes of records after which a block is closed; only one that holds a single event has many more.
pub(crate) const BLOCK_BYTES: usize = 128 << 10;
/// Bytes that a block may have when it is opened.
pub(crate) const BLOCK_BYTES_MAX: usize = frame::BODY_BYTES_MAX + BLOCK_BYTES;

/// What a segment holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index {
    /// Position of its first event.
    pub first: u64,
    /// Position of its last event.
    pub last: u64,
    /// Hash of the chain at its last event.
    pub hash: [u8; 32],
    /// Its blocks, in order.
    pub blocks: Vec<Block>,
}

/// One block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    /// Position of its first event.
    pub first: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its size in the file.
    pub bytes: u32,
    /// Hash of the chain in front of its first event.
    pub previous: [u8; 32],
}

/// The index, sealed.
pub(crate) fn seal_index(index: &Index) -> Result<Vec<u8>, CodecError> {
    frame::seal(Kind::Segment, "the index of a segment", index)
}

/// What [`seal_index`] made.
pub(crate) fn open_index(bytes: &[u8]) -> Result<Index, CodecError> {
    frame::open(Kind::Segment, "the index of a segment", bytes)
}

/// What is behind the index.
pub(crate) fn trailer(offset: u64, bytes: u32) -> [u8; TRAILER_BYTES as usize] {
    let mut trailer = [0; TRAILER_BYTES as usize];
    trailer[..8].copy_from_slice(&offset.to_le_bytes());
    trailer[8..12].copy_from_slice(&bytes.to_le_bytes());
    trailer[12..].copy_from_slice(&MAGIC);
    trailer
}

/// Offset and length of the index.
pub(crate) fn open_trailer(
    trailer: &[u8; TRAILER_BYTES as usize],
) -> Result<(u64, u32), CodecError> {
    let [offset @ .., _, _, _, _, _, _, _, _, _, _, _, _] = *trailer;
    let [_, _, _, _, _, _, _, _, a, b, c, d, magic @ ..] = *trailer;
    check_magic(&magic)?;
    Ok((u64::from_le_bytes(offset), u32::from_le_bytes([a, b, c, d])))
}

/// Refuse what is no segment, or one of another format.
pub(crate) fn check_magic(found: &[u8; 8]) -> Result<(), CodecError> {
    let [name @ .., version] = MAGIC;
    let [found_name @ .., found_version] = *found;
    if found_name != name {
        return Err(CodecError::damaged(
            "a segment",
            "it does not begin or end as one",
        ));
    }
    if found_version != version {
        return Err(CodecError::UnknownVersion {
            what: "a segment".into(),
            found: found_version,
            known: version,
        });
    }
    Ok(())
}

/// Add a record to a block.
pub(crate) fn push_record(block: &mut Vec<u8>, event: &[u8]) -> Result<(), CodecError> {
    let length = u32::try_from(event.len()).map_err(|_| CodecError::TooLarge {
        what: "an event".into(),
        bytes: event.len(),
        bytes_max: frame::BODY_BYTES_MAX,
    })?;
    block.extend_from_slice(&length.to_le_bytes());
    block.extend_from_slice(event);
    Ok(())
}

/// The events of a block.
pub(crate) fn records(block: &[u8]) -> impl Iterator<Item = Result<&[u8], CodecError>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let split = rest.split_first_chunk::<4>().and_then(|(length, behind)| {
            behind.split_at_checked(u32::from_le_bytes(*length) as usize)
        });
        let Some((event, behind)) = split else {
            rest = &[];
            return Some(Err(CodecError::damaged(
                "a block of a segment",
                "a record is cut off",
            )));
        };
        rest = behind;
        Some(Ok(event))
    })
}
