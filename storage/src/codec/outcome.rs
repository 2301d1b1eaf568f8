//! An outcome, as the leader answers a follower that forwarded a command.

use snakepit_machine::Outcome;

use super::frame::{self, Kind};
use crate::error::CodecError;

const WHAT: &str = "outcome";

/// Its bytes.
pub fn encode(value: &Outcome) -> Result<Vec<u8>, CodecError> {
    frame::seal(Kind::Outcome, WHAT, value)
}

/// What [`encode`] wrote.
pub fn decode(bytes: &[u8]) -> Result<Outcome, CodecError> {
    frame::open(Kind::Outcome, WHAT, bytes)
}
