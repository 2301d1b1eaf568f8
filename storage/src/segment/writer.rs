//! Writing a segment: events in, a synced file out.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::codec::segment::{self, BLOCK_BYTES, Block, Index};
use crate::codec::stored_event::chain;
use crate::error::{damaged, file};
use crate::identity::sync_dir;

/// How hard blocks are compressed: what zstd does by default.
const ZSTD_LEVEL: i32 = 3;

/// A segment that is being written under another name. Dropped before [`Self::finish`], it leaves nothing.
pub(crate) struct SegmentWriter {
    temporary: Temporary,
    out: BufWriter<File>,
    offset: u64,
    index: Index,
    /// Records of the block that is open.
    block: Vec<u8>,
    /// Position of its first event, and the hash in front of it.
    block_first: u64,
    block_previous: [u8; 32],
    compressor: zstd::bulk::Compressor<'static>,
}

struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is not there where it was renamed.
        let _ = fs::remove_file(&self.0);
    }
}

impl SegmentWriter {
    /// Begin a segment at a position, in a folder; `previous` is the hash of the chain in front of it.
    pub(crate) fn begin(folder: &Path, first: u64, previous: [u8; 32]) -> io::Result<Self> {
        let unique = uuid::Uuid::now_v7().simple();
        let path = folder.join(format!("events-{first:020}.segment.{unique}.tmp"));
        let handle = File::options().write(true).create_new(true).open(&path);
        let mut out = BufWriter::new(handle.map_err(file("make", &path))?);
        let temporary = Temporary(path);
        out.write_all(&segment::MAGIC)?;
        Ok(Self {
            temporary,
            out,
            offset: segment::MAGIC.len() as u64,
            index: Index {
                first,
                last: first - 1,
                hash: previous,
                blocks: Vec::new(),
            },
            block: Vec::with_capacity(2 * BLOCK_BYTES),
            block_first: first,
            block_previous: previous,
            compressor: zstd::bulk::Compressor::new(ZSTD_LEVEL)?,
        })
    }

    /// Add the next event.
    pub(crate) fn push(&mut self, event: &[u8]) -> io::Result<()> {
        segment::push_record(&mut self.block, event)?;
        self.index.last += 1;
        self.index.hash = chain(&self.index.hash, event);
        if self.block.len() >= BLOCK_BYTES {
            self.close_block()?;
        }
        Ok(())
    }

    /// Hash of the chain at the last event so far.
    pub(crate) fn hash(&self) -> [u8; 32] {
        self.index.hash
    }

    fn close_block(&mut self) -> io::Result<()> {
        let compressed = self.compressor.compress(&self.block)?;
        self.out.write_all(&compressed)?;
        let bytes = u32::try_from(compressed.len()).map_err(io::Error::other)?;
        self.index.blocks.push(Block {
            first: self.block_first,
            offset: self.offset,
            bytes,
            previous: self.block_previous,
        });
        self.offset += u64::from(bytes);
        self.block.clear();
        self.block_first = self.index.last + 1;
        self.block_previous = self.index.hash;
        Ok(())
    }

    /// Write what is left, sync the file and give it its name.
    pub(crate) fn finish(mut self, path: &Path) -> io::Result<()> {
        if !self.block.is_empty() {
            self.close_block()?;
        }
        if self.index.blocks.is_empty() {
            return Err(damaged("a segment has no events"));
        }
        let index = segment::seal_index(&self.index)?;
        let length = u32::try_from(index.len()).map_err(io::Error::other)?;
        self.out.write_all(&index)?;
        self.out.write_all(&segment::trailer(self.offset, length))?;
        let handle = self
            .out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        handle.sync_all().map_err(file("sync", &self.temporary.0))?;
        fs::rename(&self.temporary.0, path).map_err(file("rename", &self.temporary.0))?;
        match path.parent() {
            Some(folder) => sync_dir(folder),
            None => Ok(()),
        }
    }
}
