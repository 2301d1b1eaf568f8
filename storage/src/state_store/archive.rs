//! Moving old events out: into a segment first, then, once the log says so, out of the state. This is the only place
//! where an event is ever deleted, and only one that a checked segment holds.

use std::io;
use std::path::PathBuf;

use rocksdb::{Direction, IteratorMode};
use snakepit_machine::{Row, RowsExt as _, SegmentRow};

use super::db::StateDb;
use super::fold::unreadable;
use super::rows::DbRows;
use super::{StateStore, columns, events};
use crate::codec::keys::{self};
use crate::codec::{row, stored_event};
use crate::error::{damaged, rocks};
use crate::segment::{SegmentFile, SegmentWriter};
use crate::tree::{Frontier, Hash, leaf_hash, peaks};

/// Events that one segment may hold.
pub const SEGMENT_EVENTS_MAX: u64 = 1_000_000;

/// Events that are read at once.
const READ_EVENTS: usize = 4_096;
const READ_BYTES: usize = 8 << 20;

/// What proves a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Position of its first event.
    pub first: u64,
    /// Position of its last event.
    pub last: u64,
    /// Root of the tree of all events up to its last.
    pub root: Hash,
    /// Hash of the chain at its last event.
    pub hash: Hash,
}

/// Where a node stands with an archived segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentStanding {
    /// Its events are in the state, and maybe in a file too.
    Held,
    /// Its events are in its file only.
    Moved,
    /// Its events are not on this node: another one has them.
    Missing,
}

impl StateStore {
    /// Write the events of a range into a segment, synced and checked. Where it is there already, it is checked only.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the range is empty, too long or not in the log; `InvalidData` where the segment is damaged.
    pub fn seal(&self, first: u64, last: u64) -> io::Result<Sealed> {
        let db = self.db();
        let position = self.head().position;
        if first == 0 || first > last || last > position || last - first >= SEGMENT_EVENTS_MAX {
            let message = format!(
                "events {first} to {last} are no segment: the log has {position}, a segment has 1 to {SEGMENT_EVENTS_MAX}"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let segments = db.segments();
        if !segments.has(first, last) {
            let mut writer =
                SegmentWriter::begin(segments.dir()?, first, hash_at(&db, first - 1)?)?;
            each(&db, first, last, |event| writer.push(&event.bytes))?;
            if writer.hash() != hash_at(&db, last)? {
                return Err(damaged(format_args!(
                    "events {first} to {last} are not those of the chain"
                )));
            }
            writer.finish(&segments.path(first, last))?;
            segments.add(first, last);
        }
        check(&db, first, last)
    }

    /// The segments that the log names, in order.
    pub fn segments(&self) -> io::Result<Vec<SegmentRow>> {
        let db = self.db();
        let family = db.column(columns::SEGMENTS)?;
        let mut found = Vec::new();
        for item in db.raw().iterator_cf(family, IteratorMode::Start) {
            let (key, value) = item.map_err(rocks("read segments"))?;
            match row::decode(&value)? {
                Row::Segment(segment) => found.push(segment),
                _ => {
                    return Err(damaged(format_args!(
                        "a segment is another row, key {key:02x?}"
                    )));
                }
            }
        }
        Ok(found)
    }

    /// Position of the last archived event; 0 where none is.
    pub fn archived(&self) -> io::Result<u64> {
        Ok(DbRows(&self.db()).head().map_err(unreadable)?.archived)
    }

    /// Where this node stands with a segment.
    pub fn standing(&self, segment: &SegmentRow) -> io::Result<SegmentStanding> {
        let db = self.db();
        if holds(&db, segment.first, segment.last)? {
            return Ok(SegmentStanding::Held);
        }
        Ok(if db.segments().has(segment.first, segment.last) {
            SegmentStanding::Moved
        } else {
            SegmentStanding::Missing
        })
    }

    /// Move the events of a segment that the log names out of the state: its file is written where it is not there,
    /// and must prove what the log says of it. A file that does not is set aside and made anew.
    ///
    /// # Errors
    ///
    /// `InvalidData` where the events themselves are not those that the log names; nothing is deleted then.
    pub fn move_out(&self, segment: &SegmentRow) -> io::Result<()> {
        let (first, last) = (segment.first, segment.last);
        let db = self.db();
        let mut sealed = self.seal(first, last);
        if let Err(error) = &sealed
            && db.segments().has(first, last)
        {
            let aside = db.segments().set_aside(first, last)?;
            tracing::error!(%error, file = %aside.display(), "a damaged segment was set aside; it is written again");
            sealed = self.seal(first, last);
        }
        agree(&sealed?, segment)?;
        delete(&db, first, last)
    }

    /// Set aside the files of segments that do not prove what the log says of them, where their events are in no other
    /// place of this node; the segments, which are missing then.
    pub fn set_damaged_aside(&self) -> io::Result<Vec<SegmentRow>> {
        let mut aside = Vec::new();
        for segment in self.segments()? {
            if self.standing(&segment)? != SegmentStanding::Moved {
                continue;
            }
            let (first, last) = (segment.first, segment.last);
            let proved = check(&self.db(), first, last).and_then(|sealed| agree(&sealed, &segment));
            if let Err(error) = proved {
                let file = self.db().segments().set_aside(first, last)?;
                tracing::error!(%error, file = %file.display(), "a damaged segment was set aside");
                aside.push(segment);
            }
        }
        Ok(aside)
    }

    /// The file of a segment, for sending it to another node; `None` where it is not here.
    pub fn segment_file(&self, first: u64, last: u64) -> Option<PathBuf> {
        let db = self.db();
        let segments = db.segments();
        segments
            .has(first, last)
            .then(|| segments.path(first, last))
    }

    /// A new file in which a segment can be received, beside where it will be.
    pub fn receive_segment(&self, first: u64, last: u64) -> io::Result<PathBuf> {
        let db = self.db();
        db.segments().dir()?;
        let unique = uuid::Uuid::now_v7().simple();
        let path = db.segments().path(first, last);
        Ok(path.with_extension(format!("segment.{unique}.tmp")))
    }

    /// Put a received file in its place, if it proves what the log says of the segment; else it is removed.
    ///
    /// # Errors
    ///
    /// `InvalidData` where it does not.
    pub fn adopt_segment(
        &self,
        received: &std::path::Path,
        segment: &SegmentRow,
    ) -> io::Result<()> {
        let db = self.db();
        let proved = SegmentFile::open(received).and_then(|file| {
            agree(&prove(&db, &file)?, segment)?;
            std::fs::File::open(received)?.sync_all()
        });
        if let Err(error) = proved {
            std::fs::remove_file(received)?;
            return Err(error);
        }
        let segments = db.segments();
        std::fs::rename(received, segments.path(segment.first, segment.last))?;
        crate::identity::sync_dir(segments.dir()?)?;
        segments.add(segment.first, segment.last);
        Ok(())
    }
}

/// The segment must be what the log says.
fn agree(sealed: &Sealed, segment: &SegmentRow) -> io::Result<()> {
    if sealed.root.as_slice() == segment.root
        && sealed.hash.as_slice() == segment.hash
        && (sealed.first, sealed.last) == (segment.first, segment.last)
    {
        return Ok(());
    }
    Err(damaged(format_args!(
        "events {} to {} of this node are not those that the log names as archived",
        segment.first, segment.last
    )))
}

/// What the file of a segment proves.
fn check(db: &StateDb, first: u64, last: u64) -> io::Result<Sealed> {
    match db.segments().covering(first)? {
        Some(file) if file.range() == (first, last) => prove(db, &file),
        _ => Err(damaged(format_args!(
            "the segment of events {first} to {last} is not there"
        ))),
    }
}

fn prove(db: &StateDb, file: &SegmentFile) -> io::Result<Sealed> {
    let (first, last) = file.range();
    let (previous, _) = file.hashes();
    if previous != hash_at(db, first - 1)? {
        return Err(damaged(format_args!(
            "the segment from event {first} on does not follow the event before it"
        )));
    }
    let mut tree = Frontier::of(first - 1, peaks(db, first - 1)?)
        .ok_or_else(|| damaged("the tree has another size than the chain"))?;
    let mut hash = previous;
    while tree.size() < last {
        let found = file.events(tree.size() + 1, READ_EVENTS, READ_BYTES)?;
        if found.is_empty() {
            return Err(damaged(format_args!(
                "event {} is missing",
                tree.size() + 1
            )));
        }
        for event in found {
            hash = stored_event::chain(&hash, &event.bytes);
            tree.push(leaf_hash(&event.bytes), |_, _| {});
        }
    }
    Ok(Sealed {
        first,
        last,
        root: tree.root(),
        hash,
    })
}

/// Hash of the chain at a position.
fn hash_at(db: &StateDb, position: u64) -> io::Result<Hash> {
    match position {
        0 => Ok(stored_event::GENESIS),
        _ => Ok(events::at(db, position)?.hash),
    }
}

fn each(
    db: &StateDb,
    first: u64,
    last: u64,
    mut told: impl FnMut(events::StoredEvent) -> io::Result<()>,
) -> io::Result<()> {
    let mut next = first;
    while next <= last {
        let found = events::from(db, next, READ_EVENTS, READ_BYTES)?;
        if found.first().is_none_or(|event| event.position != next) {
            return Err(damaged(format_args!("event {next} is missing")));
        }
        for event in found {
            if event.position > last {
                return Ok(());
            }
            next = event.position + 1;
            told(event)?;
        }
    }
    Ok(())
}

/// Whether the state holds any event of a range.
fn holds(db: &StateDb, first: u64, last: u64) -> io::Result<bool> {
    let start = keys::position::encode(first);
    let mode = IteratorMode::From(&start, Direction::Forward);
    let family = db.column(columns::EVENTS)?;
    let Some(item) = db.raw().iterator_cf(family, mode).next() else {
        return Ok(false);
    };
    let (key, _) = item.map_err(rocks("read events"))?;
    Ok(keys::position::decode(&key)? <= last)
}

/// Delete the events of a range, and give back what they take on disk.
fn delete(db: &StateDb, first: u64, last: u64) -> io::Result<()> {
    let family = db.column(columns::EVENTS)?;
    let (start, end) = (
        keys::position::encode(first),
        keys::position::encode(last + 1),
    );
    db.raw()
        .delete_file_in_range_cf(family, start, end)
        .and_then(|()| db.raw().delete_range_cf(family, start, end))
        .map_err(rocks("move events out"))?;
    db.raw().compact_range_cf(family, Some(start), Some(end));
    Ok(())
}
