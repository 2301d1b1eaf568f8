//! Reading entries: from disk below the oldest one in memory, from memory above.

use std::io;
use std::ops::RangeInclusive;

use rocksdb::{Direction, IteratorMode, ReadOptions};

use super::{Core, columns};
use crate::codec::{keys, log_entry};
use crate::error::{damaged, rocks};
use crate::sync::lock;
use crate::traits::LogEntry;

/// A read from disk is begun anew where the log was cut or purged under it; more often than this it is not.
const TRIES_MAX: usize = 8;

pub(super) fn entries(
    core: &Core,
    range: RangeInclusive<u64>,
    bytes_max: usize,
) -> io::Result<Vec<LogEntry>> {
    let mut read = Read {
        found: Vec::new(),
        bytes: 0,
        bytes_max,
    };
    let mut truncations = None;
    let mut missing = 0;
    let mut tries = 0;
    while tries < TRIES_MAX {
        let on_disk = {
            let shared = lock(&core.shared);
            let Some(last) = shared.last else {
                return Ok(read.found);
            };
            let cut = truncations.is_some_and(|before| before != shared.truncations);
            if cut && !read.found.is_empty() {
                return Ok(read.found);
            }
            truncations = Some(shared.truncations);
            let from = match read.found.last() {
                Some(entry) => entry.id.index.saturating_add(1),
                None => (*range.start()).max(shared.first),
            };
            let to = (*range.end()).min(last.index);
            if from > to || shared.last == shared.purged || read.is_full() {
                return Ok(read.found);
            }
            match shared.tail.first() {
                Some(first) if from >= first => {
                    for index in from..=to {
                        match shared.tail.get(index) {
                            Some(entry) if !read.is_full() => read.push(entry.clone()),
                            _ => break,
                        }
                    }
                    return Ok(read.found);
                }
                Some(first) => from..=to.min(first - 1),
                None => from..=to,
            }
        };
        match from_disk(core, on_disk, &mut read)? {
            None => {}
            Some(gap) => {
                missing = gap;
                tries += 1;
            }
        }
    }
    Err(damaged(format_args!(
        "entry {missing} is missing from the raft log"
    )))
}

struct Read {
    found: Vec<LogEntry>,
    bytes: usize,
    bytes_max: usize,
}

impl Read {
    fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max && !self.found.is_empty()
    }

    fn push(&mut self, entry: LogEntry) {
        self.bytes += entry.payload.len();
        self.found.push(entry);
    }
}

/// Read a range; the index of the first entry that is not there.
fn from_disk(core: &Core, range: RangeInclusive<u64>, read: &mut Read) -> io::Result<Option<u64>> {
    let column = columns::handle(&core.db, columns::LOG)?;
    let mut options = ReadOptions::default();
    if let Some(end) = range.end().checked_add(1) {
        options.set_iterate_upper_bound(keys::log::encode(end));
    }
    let start = keys::log::encode(*range.start());
    let mode = IteratorMode::From(&start, Direction::Forward);
    let mut items = core.db.iterator_cf_opt(column, options, mode);
    for index in range {
        if read.is_full() {
            return Ok(None);
        }
        let Some(item) = items.next() else {
            return Ok(Some(index));
        };
        let (key, value) = item.map_err(rocks("read the raft log"))?;
        if keys::log::decode(&key)? != index {
            return Ok(Some(index));
        }
        read.push(log_entry::decode(index, &value)?);
    }
    Ok(None)
}
