//! `tree`: level (1), then number in the level.

use super::damaged;
use crate::error::CodecError;
use crate::tree::Place;

/// The key of a subtree. Levels are below 64.
pub fn encode(place: Place) -> [u8; 9] {
    let mut bytes = [0; 9];
    bytes[0] = place.level.to_le_bytes()[0];
    bytes[1..].copy_from_slice(&place.index.to_be_bytes());
    bytes
}

/// The subtree of a key.
pub fn decode(bytes: &[u8]) -> Result<Place, CodecError> {
    let Some((level, index)) = bytes.split_first() else {
        return Err(damaged("tree", "it is empty"));
    };
    Ok(Place {
        level: u32::from(*level),
        index: super::number("tree", index)?,
    })
}
