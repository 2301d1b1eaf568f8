//! One generation of the state: a RocksDB instance in a folder of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::{ColumnFamily, DB, ErrorKind, WriteBatch, WriteOptions};

use super::columns;
use crate::codec::meta::{self, AppliedMeta, ChainMeta};
use crate::error::{damaged, rocks};
use crate::segment::SegmentFolder;

/// An open generation. Readers hold on to it while a new one takes its place; the last of them to let go of
/// one that was replaced removes its folder.
pub(crate) struct StateDb {
    // Fields are dropped in this order: the instance is closed before its folder goes.
    db: DB,
    folder: Folder,
    segments: Arc<SegmentFolder>,
}

struct Folder {
    path: PathBuf,
    replaced: AtomicBool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.replaced.load(Ordering::Acquire)
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            // It is no longer named anywhere: the next start removes it.
            tracing::warn!(%error, path = %self.path.display(), "cannot remove a replaced state");
        }
    }
}

impl StateDb {
    /// Open the instance in a folder, or make a new one; archived events are in segments.
    pub(crate) fn open(path: &Path, segments: Arc<SegmentFolder>) -> io::Result<Self> {
        let this = Self::around(columns::open(path)?, path, segments);
        match this.meta(meta::FORMAT_KEY)? {
            Some(found) => meta::check_format("the state", &found)?,
            None => {
                let mut batch = WriteBatch::default();
                batch.put_cf(
                    this.column(columns::META)?,
                    meta::FORMAT_KEY,
                    [meta::FORMAT],
                );
                this.write(batch)?;
            }
        }
        Ok(this)
    }

    pub(crate) fn open_read_only(path: &Path, segments: Arc<SegmentFolder>) -> io::Result<Self> {
        let this = Self::around(columns::open_read_only(path)?, path, segments);
        let found = this.meta(meta::FORMAT_KEY)?;
        meta::check_format("the state", found.as_deref().unwrap_or_default())?;
        Ok(this)
    }

    fn around(db: DB, path: &Path, segments: Arc<SegmentFolder>) -> Self {
        Self {
            db,
            segments,
            folder: Folder {
                path: path.to_owned(),
                replaced: AtomicBool::new(false),
            },
        }
    }

    /// Another generation is the valid one: the folder goes with the last reader.
    pub(crate) fn mark_replaced(&self) {
        self.folder.replaced.store(true, Ordering::Release);
    }

    /// Where archived events are.
    pub(crate) fn segments(&self) -> &Arc<SegmentFolder> {
        &self.segments
    }

    pub(crate) fn raw(&self) -> &DB {
        &self.db
    }

    pub(crate) fn column(&self, name: &str) -> io::Result<&ColumnFamily> {
        self.db
            .cf_handle(name)
            .ok_or_else(|| damaged(format_args!("the state has no column {name}")))
    }

    /// Write a batch to the WAL, without a sync: what is lost by a power failure is applied again from the
    /// Raft log.
    pub(crate) fn write(&self, batch: WriteBatch) -> io::Result<()> {
        self.db.write(batch).map_err(rocks("write the state"))
    }

    /// The same, unless RocksDB holds writes back until it has caught up: then nothing is written.
    pub(crate) fn write_at_once(&self, batch: WriteBatch) -> io::Result<bool> {
        let mut options = WriteOptions::default();
        options.set_no_slowdown(true);
        match self.db.write_opt(batch, &options) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Incomplete => Ok(false),
            Err(error) => Err(rocks("write the state")(error)),
        }
    }

    /// Flush all columns to disk, together.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let columns = columns::ALL
            .iter()
            .map(|name| self.column(name))
            .collect::<io::Result<Vec<_>>>()?;
        self.db
            .flush_cfs_opt(&columns, &rocksdb::FlushOptions::default())
            .map_err(rocks("flush the state"))
    }

    /// Compact all columns.
    pub(crate) fn compact(&self) -> io::Result<()> {
        for name in columns::ALL {
            self.db
                .compact_range_cf(self.column(name)?, None::<&[u8]>, None::<&[u8]>);
        }
        Ok(())
    }

    pub(crate) fn meta(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.db
            .get_cf(self.column(columns::META)?, key)
            .map_err(rocks("read the state's marks"))
    }

    pub(crate) fn applied(&self) -> io::Result<AppliedMeta> {
        let bytes = self.meta(meta::APPLIED_KEY)?;
        Ok(bytes
            .map(|bytes| meta::open_applied(&bytes))
            .transpose()?
            .unwrap_or_default())
    }

    pub(crate) fn chain(&self) -> io::Result<ChainMeta> {
        let bytes = self.meta(meta::CHAIN_KEY)?;
        let chain = bytes
            .map(|bytes| meta::open_chain(&bytes))
            .transpose()?
            .unwrap_or_default();
        if !chain.tree.is_whole() || chain.tree.size() != chain.position {
            return Err(damaged("the tree is not that of the chain"));
        }
        Ok(chain)
    }
}
