//! Keys, one file for each kind. Their order as bytes is the order in which they are read: numbers are
//! big-endian; a session id in front of something else carries its length (u16), so that a session's rows
//! share a prefix that no other session's key has; a session id at the end is raw, so that it sorts as text.

pub mod call_event;
pub mod deadline;
pub mod log;
pub mod pool;
pub mod position;
pub mod program;
pub mod request;
pub mod segment;
pub mod session;
pub mod session_event;
pub mod subject;
pub mod tool;
pub mod tree;
pub mod variable;

use snakepit_machine::{RowKey, RowPrefix};

use crate::error::CodecError;

/// Longest id in a key, in bytes: what a u16 can say.
pub const KEY_ID_BYTES_MAX: usize = u16::MAX as usize;

/// The columns that hold rows, in canonical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RowColumn {
    /// The cluster's row: one, with an empty key.
    Head = 0,
    /// Sessions by id.
    Sessions = 1,
    /// Variables by session and name.
    Variables = 2,
    /// Kept answers by session, epoch and request.
    Requests = 3,
    /// Deadlines by time and session.
    Deadlines = 4,
    /// Programs by session and id.
    Programs = 5,
    /// Deadlines of global programs by time and id.
    ProgramDeadlines = 6,
    /// Registered tools by session and name.
    Tools = 7,
    /// Pools of the cluster by name.
    Pools = 8,
    /// Segments of archived events by their first position.
    Segments = 9,
    /// Subjects by name.
    Subjects = 10,
}

impl RowColumn {
    /// All of them, in canonical order.
    pub const ALL: [Self; 11] = [
        Self::Head,
        Self::Sessions,
        Self::Variables,
        Self::Requests,
        Self::Deadlines,
        Self::Programs,
        Self::ProgramDeadlines,
        Self::Tools,
        Self::Pools,
        Self::Segments,
        Self::Subjects,
    ];
}

/// Column and key of a row. Refused where an id has more than [`KEY_ID_BYTES_MAX`] bytes.
pub fn row_key(key: &RowKey) -> Result<(RowColumn, Vec<u8>), CodecError> {
    Ok(match key {
        RowKey::Head => (RowColumn::Head, Vec::new()),
        RowKey::Session(id) => (RowColumn::Sessions, session::encode(id)),
        RowKey::Variable(id, name) => (RowColumn::Variables, variable::encode(id, name)?),
        RowKey::Request(id, epoch, request) => {
            (RowColumn::Requests, request::encode(id, *epoch, request)?)
        }
        RowKey::Deadline(time_ms, id) => (RowColumn::Deadlines, deadline::encode(*time_ms, id)),
        RowKey::Program(id, program) => (RowColumn::Programs, program::encode(id, program)?),
        RowKey::ProgramDeadline(time_ms, id) => {
            (RowColumn::ProgramDeadlines, deadline::encode(*time_ms, id))
        }
        RowKey::Tool(id, name) => (RowColumn::Tools, tool::encode(id, name)?),
        RowKey::Pool(name) => (RowColumn::Pools, pool::encode(name)),
        RowKey::Segment(first) => (RowColumn::Segments, segment::encode(*first).to_vec()),
        RowKey::Subject(name) => (RowColumn::Subjects, subject::encode(name)),
    })
}

/// The row that a key of a column names.
pub fn decode_row_key(column: RowColumn, bytes: &[u8]) -> Result<RowKey, CodecError> {
    Ok(match column {
        RowColumn::Head if bytes.is_empty() => RowKey::Head,
        RowColumn::Head => return Err(damaged("head", "it has bytes")),
        RowColumn::Sessions => RowKey::Session(session::decode(bytes)?.to_owned()),
        RowColumn::Variables => {
            let (id, name) = variable::decode(bytes)?;
            RowKey::Variable(id.to_owned(), name.to_owned())
        }
        RowColumn::Requests => {
            let (id, epoch, request) = request::decode(bytes)?;
            RowKey::Request(id.to_owned(), epoch, request.to_owned())
        }
        RowColumn::Programs => {
            let (id, program) = program::decode(bytes)?;
            RowKey::Program(id.to_owned(), program.to_owned())
        }
        RowColumn::ProgramDeadlines => {
            let (time_ms, id) = deadline::decode(bytes)?;
            RowKey::ProgramDeadline(time_ms, id.to_owned())
        }
        RowColumn::Tools => {
            let (id, name) = tool::decode(bytes)?;
            RowKey::Tool(id.to_owned(), name.to_owned())
        }
        RowColumn::Pools => RowKey::Pool(pool::decode(bytes)?.to_owned()),
        RowColumn::Segments => RowKey::Segment(segment::decode(bytes)?),
        RowColumn::Subjects => RowKey::Subject(subject::decode(bytes)?.to_owned()),
        RowColumn::Deadlines => {
            let (time_ms, id) = deadline::decode(bytes)?;
            RowKey::Deadline(time_ms, id.to_owned())
        }
    })
}

/// Column of a prefix and the bytes that all its keys begin with.
pub fn row_prefix(prefix: &RowPrefix) -> Result<(RowColumn, Vec<u8>), CodecError> {
    Ok(match prefix {
        RowPrefix::Variables(id) => (RowColumn::Variables, prefixed(id, 0)?),
        RowPrefix::Requests(id) => (RowColumn::Requests, prefixed(id, 0)?),
        RowPrefix::RequestEpoch(id, epoch) => {
            (RowColumn::Requests, request::encode(id, *epoch, "")?)
        }
        RowPrefix::Programs(id) => (RowColumn::Programs, prefixed(id, 0)?),
        RowPrefix::Tools(id) => (RowColumn::Tools, prefixed(id, 0)?),
    })
}

/// The first key behind all that begin with a prefix; `None` where there can be none.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// A session id with its length, and room for what follows.
fn prefixed(session_id: &str, room: usize) -> Result<Vec<u8>, CodecError> {
    let length = u16::try_from(session_id.len()).map_err(|_| CodecError::TooLarge {
        what: "session id".into(),
        bytes: session_id.len(),
        bytes_max: KEY_ID_BYTES_MAX,
    })?;
    let mut bytes = Vec::with_capacity(2 + session_id.len() + room);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(session_id.as_bytes());
    Ok(bytes)
}

/// The session id of [`prefixed`] and what follows it.
fn split_prefixed<'a>(what: &str, bytes: &'a [u8]) -> Result<(&'a str, &'a [u8]), CodecError> {
    let (length, rest) = bytes
        .split_first_chunk::<2>()
        .ok_or_else(|| damaged(what, "it is too short"))?;
    let (id, rest) = rest
        .split_at_checked(usize::from(u16::from_be_bytes(*length)))
        .ok_or_else(|| damaged(what, "it is shorter than it says"))?;
    Ok((text(what, id)?, rest))
}

fn text<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a str, CodecError> {
    std::str::from_utf8(bytes).map_err(|error| damaged(what, &error.to_string()))
}

fn number(what: &str, bytes: &[u8]) -> Result<u64, CodecError> {
    let bytes = bytes
        .try_into()
        .map_err(|_| damaged(what, "its number has not 8 bytes"))?;
    Ok(u64::from_be_bytes(bytes))
}

fn damaged(what: &str, reason: &str) -> CodecError {
    CodecError::damaged(format!("{what} key"), reason)
}

#[cfg(test)]
mod tests;
