//! Segments: old events in files of their own, moved out of the state. What is in a segment is proved by the log itself:
//! the event that names it carries the root of the tree and the hash of the chain at its end.
//!
//! ```text
//! archive/events-<first>-<last>.segment     complete: synced, renamed into place, checked
//! archive/events-<first>-<last>.segment.…   being written or received; removed when it is old
//! ```
//!
//! The folder may be a link to another disk, also to one that nodes share: all write the same bytes.

mod file;
mod folder;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use self::file::SegmentFile;
pub(crate) use self::folder::SegmentFolder;
pub(crate) use self::writer::SegmentWriter;
