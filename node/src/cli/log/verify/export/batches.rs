//! The events of an export, some at a time, so that memory is bounded whatever the export's size.

use std::io::{BufRead, Read as _};

use parquet::file::reader::ChunkReader;
use sha2::{Digest as _, Sha256};
use snakepit_storage::tree::Hash;

use super::super::super::export::{Form, Reader, Row};
use super::fault::Fault;
use super::shown::{self, Sound};

/// Events of a batch, at most.
const BATCH_EVENTS_MAX: usize = 256;
/// Bytes of its lines, or of its events and changes; one event may be more.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Bytes of one line, at most.
const LINE_BYTES_MAX: u64 = 512 << 20;

/// Where events come from.
pub(super) trait Source {
    /// The next events, `left` of them at most and one at least, which may be missing.
    fn batch(&mut self, left: u64) -> Result<Batch, Fault>;

    /// Whether nothing is left behind the last event.
    fn has_ended(&mut self) -> Result<bool, Fault>;

    /// Size and SHA-256 of the file, all of which was read.
    fn contents(self) -> (u64, Hash);
}

/// Some events, not checked yet.
pub(super) enum Batch {
    /// The last line is empty where the file has ended.
    Lines(Vec<Vec<u8>>),
    /// None where the table has ended.
    Rows(Vec<Row>),
}

/// A batch that was checked: the sound events until one that is not, and what is wrong with that.
pub(super) struct Checked {
    pub(super) sound: Vec<Sound>,
    pub(super) trouble: Option<String>,
}

impl Batch {
    /// Events in it, the missing one included.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.len() as u64,
            Self::Rows(rows) => rows.len().max(1) as u64,
        }
    }

    /// Check all of them, of which the first should have that position.
    pub(super) fn check(self, form: Form, origin: &str, first: u64) -> Checked {
        match self {
            Self::Lines(lines) => {
                let each = (first..).zip(&lines);
                gathered(each.map(|(position, line)| shown::line(line, form, origin, position)))
            }
            Self::Rows(rows) if rows.is_empty() => Checked {
                sound: Vec::new(),
                trouble: Some("the file ends in front of it".into()),
            },
            Self::Rows(rows) => {
                let each = (first..).zip(rows);
                gathered(each.map(|(position, row)| shown::row(row, position)))
            }
        }
    }
}

fn gathered(each: impl Iterator<Item = Result<Sound, String>>) -> Checked {
    let mut sound = Vec::new();
    for one in each {
        match one {
            Ok(one) => sound.push(one),
            Err(trouble) => {
                return Checked {
                    sound,
                    trouble: Some(trouble),
                };
            }
        }
    }
    Checked {
        sound,
        trouble: None,
    }
}

/// Lines of a file.
pub(super) struct Lines<R> {
    from: R,
    bytes: u64,
    sha256: Sha256,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(from: R) -> Self {
        Self {
            from,
            bytes: 0,
            sha256: Sha256::new(),
        }
    }
}

impl<R: BufRead> Source for Lines<R> {
    fn batch(&mut self, left: u64) -> Result<Batch, Fault> {
        let count = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(BATCH_EVENTS_MAX);
        let mut lines = Vec::new();
        let mut bytes = 0;
        while lines.len() < count && bytes < BATCH_BYTES_MAX {
            let mut line = Vec::new();
            let mut from = (&mut self.from).take(LINE_BYTES_MAX);
            from.read_until(b'\n', &mut line).map_err(unread)?;
            self.sha256.update(&line);
            bytes += line.len();
            let ended = line.is_empty();
            lines.push(line);
            if ended {
                break;
            }
        }
        self.bytes += bytes as u64;
        Ok(Batch::Lines(lines))
    }

    fn has_ended(&mut self) -> Result<bool, Fault> {
        Ok(self.from.fill_buf().map_err(unread)?.is_empty())
    }

    fn contents(self) -> (u64, Hash) {
        (self.bytes, self.sha256.finalize().into())
    }
}

fn unread(error: std::io::Error) -> Fault {
    Fault::of(format!("cannot read the export: {error}")).hint("name the file of the events")
}

/// Rows of a table, of which the file was hashed before.
pub(super) struct Table<R: ChunkReader + 'static> {
    reader: Reader<R>,
    contents: (u64, Hash),
}

impl<R: ChunkReader + 'static> Table<R> {
    pub(super) fn new(from: R, contents: (u64, Hash)) -> Result<Self, Fault> {
        let reader = Reader::new(from).map_err(Fault::of)?;
        Ok(Self { reader, contents })
    }
}

impl<R: ChunkReader + 'static> Source for Table<R> {
    fn batch(&mut self, left: u64) -> Result<Batch, Fault> {
        let count = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(BATCH_EVENTS_MAX);
        let rows = self.reader.rows(count, BATCH_BYTES_MAX);
        rows.map(Batch::Rows).map_err(Fault::of)
    }

    fn has_ended(&mut self) -> Result<bool, Fault> {
        let more = self.reader.rows(1, 1).map_err(Fault::of)?;
        Ok(more.is_empty())
    }

    fn contents(self) -> (u64, Hash) {
        self.contents
    }
}

/// Size and SHA-256 of what is read.
pub(super) fn hashed(from: &mut impl BufRead) -> Result<(u64, Hash), Fault> {
    let mut sha256 = Sha256::new();
    let mut bytes = 0;
    loop {
        let read = from.fill_buf().map_err(unread)?;
        let length = read.len();
        if length == 0 {
            return Ok((bytes, sha256.finalize().into()));
        }
        sha256.update(read);
        bytes += length as u64;
        from.consume(length);
    }
}
