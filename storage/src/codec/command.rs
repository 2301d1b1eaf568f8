//! A command, as a follower forwards it to the leader.

use snakepit_machine::Command;

use super::frame::{self, Kind};
use crate::error::CodecError;

const WHAT: &str = "command";

/// Its bytes.
pub fn encode(value: &Command) -> Result<Vec<u8>, CodecError> {
    frame::seal(Kind::Command, WHAT, value)
}

/// What [`encode`] wrote.
pub fn decode(bytes: &[u8]) -> Result<Command, CodecError> {
    frame::open(Kind::Command, WHAT, bytes)
}
