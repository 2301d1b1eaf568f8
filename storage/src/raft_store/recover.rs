//! What a log on disk says when it is opened.

use std::io;

use rocksdb::{DB, IteratorMode};

use super::columns;
use super::queue::Shared;
use crate::codec::{keys, log_entry, meta};
use crate::error::{damaged, rocks};
use crate::traits::EntryId;

/// Marks and bounds of the log on disk; writes the format into a new one.
pub(super) fn recover(db: &DB) -> io::Result<Shared> {
    check_format(db)?;
    let mut shared = Shared::default();
    if let Some(bytes) = get(db, meta::VOTE_KEY)? {
        shared.vote = Some(meta::open_vote(&bytes)?);
    }
    if let Some(bytes) = get(db, meta::COMMITTED_KEY)? {
        shared.committed = meta::open_mark(&bytes)?;
    }
    if let Some(bytes) = get(db, meta::PURGED_KEY)? {
        shared.purged = meta::open_mark(&bytes)?;
    }
    let first = edge(db, IteratorMode::Start)?;
    let last = edge(db, IteratorMode::End)?;
    if let (Some(first), Some(purged)) = (first, shared.purged)
        && first.index != purged.index.saturating_add(1)
    {
        return Err(damaged(format_args!(
            "the raft log begins with entry {}, but it was purged up to entry {}",
            first.index, purged.index
        )));
    }
    shared.first = first.map_or(0, |first| first.index);
    shared.last = last.or(shared.purged);
    Ok(shared)
}

fn check_format(db: &DB) -> io::Result<()> {
    if let Some(bytes) = get(db, meta::FORMAT_KEY)? {
        return Ok(meta::check_format("the raft log", &bytes)?);
    }
    let column = columns::handle(db, columns::META)?;
    let mut options = rocksdb::WriteOptions::default();
    options.set_sync(true);
    db.put_cf_opt(column, meta::FORMAT_KEY, [meta::FORMAT], &options)
        .map_err(rocks("write the format of the raft log"))
}

fn get(db: &DB, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
    db.get_cf(columns::handle(db, columns::META)?, key)
        .map_err(rocks("read the marks of the raft log"))
}

fn edge(db: &DB, mode: IteratorMode<'_>) -> io::Result<Option<EntryId>> {
    let column = columns::handle(db, columns::LOG)?;
    let Some(item) = db.iterator_cf(column, mode).next() else {
        return Ok(None);
    };
    let (key, value) = item.map_err(rocks("read the raft log"))?;
    let index = keys::log::decode(&key)?;
    Ok(Some(log_entry::decode(index, &value)?.id))
}
