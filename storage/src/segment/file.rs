//! Reading a segment.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::codec::segment::{self, BLOCK_BYTES_MAX, Block, Index, TRAILER_BYTES};
use crate::codec::stored_event::chain;
use crate::error::{damaged, file};
use crate::state_store::StoredEvent;
use crate::sync::lock;

/// A segment, open for reading. What is read is checked against the chain.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    path: PathBuf,
    handle: File,
    index: Index,
    /// The block that was read last: who reads one event often reads its neighbour next.
    last: Mutex<Option<(usize, Arc<[StoredEvent]>)>>,
}

impl SegmentFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let handle = File::open(path).map_err(file("open", path))?;
        let bytes = handle.metadata()?.len();
        let named = |error: io::Error| {
            let message = format!("{} cannot be read: {error}", path.display());
            io::Error::new(error.kind(), message)
        };
        let index = read_index(&handle, bytes).map_err(named)?;
        Ok(Self {
            path: path.to_owned(),
            handle,
            index,
            last: Mutex::default(),
        })
    }

    /// Positions of its first and its last event.
    pub(crate) fn range(&self) -> (u64, u64) {
        (self.index.first, self.index.last)
    }

    /// Hash of the chain in front of its first event, and at its last.
    pub(crate) fn hashes(&self) -> ([u8; 32], [u8; 32]) {
        (self.index.blocks[0].previous, self.index.hash)
    }

    /// Its events from a position on, at most `limit`, until `bytes_max` is passed; at least one where it has one.
    pub(crate) fn events(
        &self,
        position: u64,
        limit: usize,
        bytes_max: usize,
    ) -> io::Result<Vec<StoredEvent>> {
        let mut found = Vec::new();
        let mut bytes_found = 0;
        let begin = self
            .index
            .blocks
            .partition_point(|block| block.first <= position)
            .saturating_sub(1);
        for place in begin..self.index.blocks.len() {
            let block = self.block(place)?;
            for event in block.iter().filter(|event| event.position >= position) {
                if found.len() >= limit || (bytes_found >= bytes_max && !found.is_empty()) {
                    return Ok(found);
                }
                bytes_found += event.bytes.len();
                found.push(event.clone());
            }
            if found.len() >= limit || bytes_found >= bytes_max {
                break;
            }
        }
        Ok(found)
    }

    fn block(&self, place: usize) -> io::Result<Arc<[StoredEvent]>> {
        if let Some((held, block)) = &*lock(&self.last)
            && *held == place
        {
            return Ok(block.clone());
        }
        let block: Arc<[StoredEvent]> = self.open_block(place)?.into();
        *lock(&self.last) = Some((place, block.clone()));
        Ok(block)
    }

    /// All events of a block, whose chain must lead to what follows.
    fn open_block(&self, place: usize) -> io::Result<Vec<StoredEvent>> {
        let block = &self.index.blocks[place];
        let bytes = self.read(block)?;
        let (next, next_hash) = match self.index.blocks.get(place + 1) {
            Some(next) => (next.first, next.previous),
            None => (self.index.last + 1, self.index.hash),
        };
        let mut events = Vec::new();
        let mut hash = block.previous;
        for (record, position) in segment::records(&bytes).zip(block.first..) {
            let record = record?;
            hash = chain(&hash, record);
            events.push(StoredEvent {
                position,
                bytes: record.to_vec(),
                hash,
            });
        }
        if hash != next_hash || block.first + events.len() as u64 != next {
            return Err(damaged(format_args!(
                "{} is damaged: its events from {} on are not those of the chain",
                self.path.display(),
                block.first
            )));
        }
        Ok(events)
    }

    fn read(&self, block: &Block) -> io::Result<Vec<u8>> {
        let mut compressed = vec![0; block.bytes as usize];
        self.handle
            .read_exact_at(&mut compressed, block.offset)
            .map_err(file("read", &self.path))?;
        let bound = zstd::bulk::Decompressor::upper_bound(&compressed)
            .unwrap_or(BLOCK_BYTES_MAX)
            .min(BLOCK_BYTES_MAX);
        zstd::bulk::decompress(&compressed, bound).map_err(|error| {
            damaged(format_args!(
                "{} is damaged at byte {}: {error}",
                self.path.display(),
                block.offset
            ))
        })
    }
}

fn read_index(handle: &File, bytes: u64) -> io::Result<Index> {
    let least = segment::MAGIC.len() as u64 + TRAILER_BYTES;
    let cut_off = || damaged("it is cut off");
    if bytes < least {
        return Err(cut_off());
    }
    let mut magic = [0; 8];
    handle.read_exact_at(&mut magic, 0)?;
    segment::check_magic(&magic)?;
    let mut trailer = [0; TRAILER_BYTES as usize];
    handle.read_exact_at(&mut trailer, bytes - TRAILER_BYTES)?;
    let (offset, length) = segment::open_trailer(&trailer)?;
    if offset.checked_add(u64::from(length)) != Some(bytes - TRAILER_BYTES) {
        return Err(cut_off());
    }
    let mut sealed = vec![0; length as usize];
    handle.read_exact_at(&mut sealed, offset)?;
    let index = segment::open_index(&sealed)?;
    let ordered = index
        .blocks
        .windows(2)
        .all(|pair| pair[0].first < pair[1].first && pair[0].offset < pair[1].offset);
    let within = index
        .blocks
        .iter()
        .all(|block| block.offset.saturating_add(u64::from(block.bytes)) <= offset);
    let begins = index.blocks.first().map(|block| block.first);
    if !ordered || !within || begins != Some(index.first) || index.last < index.first {
        return Err(damaged("its index does not fit"));
    }
    Ok(index)
}
