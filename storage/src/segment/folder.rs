//! The folder of a node's segments.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use super::SegmentFile;
use crate::error::file;
use crate::identity::{make_dir, sync_dir};
use crate::sync::{lock, read, write};

/// Segments that are held open at once.
const OPEN_MAX: usize = 32;

/// Time after which a file that was not finished is removed on start.
const UNFINISHED_KEPT: Duration = Duration::from_secs(3_600);

const SUFFIX: &str = ".segment";

/// What is archived, by its files.
#[derive(Debug)]
pub(crate) struct SegmentFolder {
    dir: PathBuf,
    /// Last positions by first ones, of the complete segments.
    ranges: RwLock<BTreeMap<u64, u64>>,
    /// The last ones that were read, the latest last.
    open: Mutex<VecDeque<Arc<SegmentFile>>>,
}

impl SegmentFolder {
    /// Open the folder, which may not be there yet, and remove what was not finished.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let this = Self::open_read_only(dir)?;
        for path in files(dir)? {
            if path.extension().is_some_and(|extension| extension == "tmp") && is_old(&path) {
                fs::remove_file(&path).map_err(file("remove", &path))?;
            }
        }
        Ok(this)
    }

    /// Open the folder for reading; nothing in it is changed.
    pub(crate) fn open_read_only(dir: &Path) -> io::Result<Self> {
        let ranges: BTreeMap<u64, u64> = files(dir)?
            .iter()
            .filter_map(|path| range_of(path))
            .collect();
        Ok(Self {
            dir: dir.to_owned(),
            ranges: RwLock::new(ranges),
            open: Mutex::default(),
        })
    }

    /// Where it is; made if need be.
    pub(crate) fn dir(&self) -> io::Result<&Path> {
        make_dir(&self.dir)?;
        Ok(&self.dir)
    }

    /// The file of a segment.
    pub(crate) fn path(&self, first: u64, last: u64) -> PathBuf {
        self.dir
            .join(format!("events-{first:020}-{last:020}{SUFFIX}"))
    }

    /// Whether a segment's file is there.
    pub(crate) fn has(&self, first: u64, last: u64) -> bool {
        read(&self.ranges).get(&first) == Some(&last)
    }

    /// The segment that holds a position.
    pub(crate) fn covering(&self, position: u64) -> io::Result<Option<Arc<SegmentFile>>> {
        let range = read(&self.ranges)
            .range(..=position)
            .next_back()
            .map(|(first, last)| (*first, *last));
        match range {
            Some((first, last)) if position <= last => self.get(first, last).map(Some),
            _ => Ok(None),
        }
    }

    fn get(&self, first: u64, last: u64) -> io::Result<Arc<SegmentFile>> {
        let mut open = lock(&self.open);
        if let Some(place) = open.iter().position(|held| held.range() == (first, last))
            && let Some(held) = open.remove(place)
        {
            open.push_back(held.clone());
            return Ok(held);
        }
        let path = self.path(first, last);
        let opened = Arc::new(SegmentFile::open(&path)?);
        if opened.range() != (first, last) {
            return Err(crate::error::damaged(format_args!(
                "{} holds other events than its name says",
                path.display()
            )));
        }
        if open.len() >= OPEN_MAX {
            open.pop_front();
        }
        open.push_back(opened.clone());
        Ok(opened)
    }

    /// A file is complete and has its name: events are read from it from now on.
    pub(crate) fn add(&self, first: u64, last: u64) {
        write(&self.ranges).insert(first, last);
    }

    /// A file is not what it should be: set it aside, so that another can be made.
    pub(crate) fn set_aside(&self, first: u64, last: u64) -> io::Result<PathBuf> {
        let path = self.path(first, last);
        let aside = path.with_extension("damaged");
        write(&self.ranges).remove(&first);
        lock(&self.open).retain(|held| held.range() != (first, last));
        fs::rename(&path, &aside).map_err(file("rename", &path))?;
        sync_dir(&self.dir)?;
        Ok(aside)
    }
}

fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file("list", dir)(error)),
    };
    entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect()
}

/// Whether nobody can be writing a file any more; the folder may be shared.
fn is_old(path: &Path) -> bool {
    let written = fs::metadata(path).and_then(|metadata| metadata.modified());
    written.is_ok_and(|written| written.elapsed().is_ok_and(|since| since > UNFINISHED_KEPT))
}

/// The range in a segment's name.
fn range_of(path: &Path) -> Option<(u64, u64)> {
    let name = path.file_name()?.to_str()?;
    let (first, last) = name
        .strip_prefix("events-")?
        .strip_suffix(SUFFIX)?
        .split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}
