//! A row, as stored. Replays and digests compare these bytes.

use snakepit_machine::Row;

use super::frame::{self, Kind};
use crate::error::CodecError;

const WHAT: &str = "row";

/// Its bytes.
pub fn encode(row: &Row) -> Result<Vec<u8>, CodecError> {
    frame::seal(Kind::Row, WHAT, row)
}

/// What [`encode`] wrote.
pub fn decode(bytes: &[u8]) -> Result<Row, CodecError> {
    frame::open(Kind::Row, WHAT, bytes)
}
