//! Kept answers of a replay: nearly every event leaves one, and none is read before the end.

use snakepit_machine::Answer;

use crate::codec::row;
use crate::error::CodecError;

/// Answers to requests as they came, as the bytes of their rows, all in one place.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Of each the request's id and the row.
    bytes: Vec<u8>,
    /// Where ids and rows end.
    ends: Vec<(usize, usize)>,
}

impl Answers {
    /// Add one. After an error they are of no use any more.
    pub(super) fn push(&mut self, request_id: &str, answer: &Answer) -> Result<(), CodecError> {
        self.bytes.extend_from_slice(request_id.as_bytes());
        let id_end = self.bytes.len();
        row::encode_answer_into(answer, &mut self.bytes)?;
        self.ends.push((id_end, self.bytes.len()));
        Ok(())
    }

    /// Request ids and rows, as they came; of two to the same request the later one counts.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &[u8])> {
        (0..self.ends.len()).map(|place| {
            let begin = place.checked_sub(1).map_or(0, |before| self.ends[before].1);
            let (id_end, end) = self.ends[place];
            let id = std::str::from_utf8(&self.bytes[begin..id_end]);
            (id.unwrap_or_default(), &self.bytes[id_end..end])
        })
    }

    /// The row of a request.
    pub(super) fn get(&self, request_id: &str) -> Option<&[u8]> {
        let mut found = self.iter().filter(|(id, _)| *id == request_id);
        found.next_back().map(|(_, row)| row)
    }

    /// Take those to a request out.
    pub(super) fn remove(&mut self, request_id: &str) {
        let mut left = Self::default();
        for (id, row) in self.iter().filter(|(id, _)| *id != request_id) {
            left.bytes.extend_from_slice(id.as_bytes());
            let id_end = left.bytes.len();
            left.bytes.extend_from_slice(row);
            left.ends.push((id_end, left.bytes.len()));
        }
        *self = left;
    }
}
