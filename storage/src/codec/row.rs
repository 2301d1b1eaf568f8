//! A row, as stored. Replays and digests compare these bytes.

use serde::{Serialize, Serializer};
use snakepit_machine::{Answer, Row};

use super::frame::{self, Kind};
use crate::error::CodecError;

const WHAT: &str = "row";
/// Place of [`Row::Request`] among the rows.
const REQUEST: u32 = 3;

/// Its bytes.
pub fn encode(row: &Row) -> Result<Vec<u8>, CodecError> {
    frame::seal(Kind::Row, WHAT, row)
}

/// Its bytes, behind what is there already. After an error there may be more, which means nothing.
pub(crate) fn encode_into(row: &Row, to: &mut Vec<u8>) -> Result<(), CodecError> {
    frame::seal_into(Kind::Row, WHAT, row, to)
}

/// [`encode_into`] of the row that holds an answer.
pub(crate) fn encode_answer_into(answer: &Answer, to: &mut Vec<u8>) -> Result<(), CodecError> {
    frame::seal_into(Kind::Row, WHAT, &Kept(answer), to)
}

/// What [`encode`] wrote.
pub fn decode(bytes: &[u8]) -> Result<Row, CodecError> {
    frame::open(Kind::Row, WHAT, bytes)
}

/// A row that holds an answer, as serde sees it.
struct Kept<'a>(&'a Answer);

impl Serialize for Kept<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_newtype_variant("Row", REQUEST, "Request", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_encoded_as_the_row_that_holds_it() {
        let answer = Answer::ProgramPut { version: 7 };
        let mut bytes = b"before".to_vec();
        encode_answer_into(&answer, &mut bytes).unwrap();
        let row = Row::Request(answer);
        assert_eq!(decode(&bytes[6..]).unwrap(), row);
        assert_eq!(bytes[6..], encode(&row).unwrap());
    }
}
