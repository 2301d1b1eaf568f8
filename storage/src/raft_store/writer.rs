//! The one thread that writes. It takes all that has gathered while the last flush was under way, writes it
//! as one batch, syncs once and tells the callers in order.

use std::io;
use std::sync::Arc;

use rocksdb::{WriteBatch, WriteOptions};

use super::limits::{DELETE_ONE_BY_ONE_MAX, TAIL_BYTES_MAX};
use super::queue::{Batch, Change};
use super::{Core, columns};
use crate::codec::{keys, log_entry, meta};
use crate::error::rocks;
use crate::sync::lock;

/// Bytes of room for values that are kept from one batch to the next.
const VALUE_BYTES_KEPT_MAX: usize = 1 << 20;

/// Runs until the store is closed and all that was queued is on disk. Ends the process where a write fails:
/// after a failed fsync nobody knows what is on disk, and trying again would only hide that.
pub(super) fn run(core: &Arc<Core>) {
    let mut value = Vec::new();
    loop {
        let batch = {
            let mut shared = lock(&core.shared);
            loop {
                if shared.has_work() {
                    break shared.take();
                }
                if shared.closing {
                    return;
                }
                shared = match core.work.wait(shared) {
                    Ok(shared) => shared,
                    Err(_) => std::process::abort(),
                };
            }
        };
        if let Err(error) = write(core, &batch, &mut value) {
            tracing::error!(%error, "cannot write the raft log; stopping, a failed flush is not retried");
            std::process::abort();
        }
        lock(&core.shared)
            .tail
            .evict(batch.last_write, TAIL_BYTES_MAX);
        for write in batch.writes {
            (write.flushed)(Ok(()));
        }
    }
}

/// `value` is for values on their way; one that has grown large is given back.
fn write(core: &Core, batch: &Batch, value: &mut Vec<u8>) -> io::Result<()> {
    let log = columns::handle(&core.db, columns::LOG)?;
    let meta_column = columns::handle(&core.db, columns::META)?;
    let mut rocks_batch = WriteBatch::default();
    for change in batch
        .writes
        .iter()
        .filter_map(|write| write.change.as_ref())
    {
        match change {
            Change::Append(entries) => {
                for entry in entries {
                    let key = keys::log::encode(entry.id.index);
                    value.clear();
                    log_entry::encode_into(entry, value);
                    rocks_batch.put_cf(log, key, &*value);
                }
            }
            Change::Truncate { after, last } => {
                let from = after.map_or(Some(0), |after| after.checked_add(1));
                if let Some(from) = from {
                    delete(&mut rocks_batch, log, from, *last);
                }
            }
            Change::Purge { first, through } => {
                delete(&mut rocks_batch, log, *first, through.index);
                let mark = meta::seal_mark(&Some(*through))?;
                rocks_batch.put_cf(meta_column, meta::PURGED_KEY, mark);
            }
            Change::Vote(vote) => {
                rocks_batch.put_cf(meta_column, meta::VOTE_KEY, meta::seal_vote(vote)?);
            }
        }
    }
    value.shrink_to(VALUE_BYTES_KEPT_MAX);
    if let Some(committed) = &batch.committed {
        rocks_batch.put_cf(
            meta_column,
            meta::COMMITTED_KEY,
            meta::seal_mark(committed)?,
        );
    }
    let mut options = WriteOptions::default();
    options.set_sync(true);
    core.db
        .write_opt(rocks_batch, &options)
        .map_err(rocks("write the raft log"))
}

/// Delete indexes `from..=to`.
fn delete(batch: &mut WriteBatch, log: &rocksdb::ColumnFamily, from: u64, to: u64) {
    if from > to {
        return;
    }
    if to - from < DELETE_ONE_BY_ONE_MAX {
        for index in from..=to {
            batch.delete_cf(log, keys::log::encode(index));
        }
        return;
    }
    // The end of a range is not in it; the last key there can be is deleted by itself.
    batch.delete_range_cf(log, keys::log::encode(from), keys::log::encode(to));
    batch.delete_cf(log, keys::log::encode(to));
}
