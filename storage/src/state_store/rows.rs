//! Reading rows as the machine does: at the latest state.

use std::cell::Cell;
use std::io;
use std::sync::Arc;

use rocksdb::{ErrorKind, ReadOptions, ReadTier};
use snakepit_machine::{Row, RowKey, Rows, RowsError};

use super::columns;
use super::commit::stored_key;
use super::db::StateDb;
use crate::codec::row;
use crate::error::rocks;

/// Rows at the latest state: two reads may see different states, a [`super::StateView`] may not.
#[derive(Clone)]
pub struct LatestRows {
    pub(super) db: Arc<StateDb>,
}

impl Rows for LatestRows {
    fn get(&self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        DbRows(&self.db).get(key)
    }
}

/// Rows that RocksDB has in memory. Reading never waits for the disk: where a row is not there, reading fails
/// and [`Self::missed`] tells.
pub struct CachedRows {
    db: Arc<StateDb>,
    options: ReadOptions,
    missed: Cell<bool>,
}

impl CachedRows {
    pub(super) fn new(db: Arc<StateDb>) -> Self {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::BlockCache);
        Self {
            db,
            options,
            missed: Cell::new(false),
        }
    }

    /// Whether a row was wanted that is not in memory: read again in a way that may wait.
    pub fn missed(&self) -> bool {
        self.missed.get()
    }
}

impl Rows for CachedRows {
    fn get(&self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        read(key, |family, bytes| {
            let found =
                self.db
                    .raw()
                    .get_pinned_cf_opt(self.db.column(family)?, bytes, &self.options);
            match found {
                Ok(Some(bytes)) => Ok(Some(row::decode(&bytes)?)),
                Ok(None) => Ok(None),
                Err(error) if error.kind() == ErrorKind::Incomplete => {
                    self.missed.set(true);
                    Err(io::ErrorKind::WouldBlock.into())
                }
                Err(error) => Err(rocks("read rows")(error)),
            }
        })
    }
}

/// The same, for as long as an apply takes.
pub(super) struct DbRows<'a>(pub &'a StateDb);

impl Rows for DbRows<'_> {
    fn get(&self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        read(key, |family, bytes| {
            let bytes = self.0.raw().get_pinned_cf(self.0.column(family)?, bytes);
            let Some(bytes) = bytes.map_err(rocks("read rows"))? else {
                return Ok(None);
            };
            Ok(Some(row::decode(&bytes)?))
        })
    }
}

/// Read a row through `get`, which takes the column family and the stored key.
pub(super) fn read(
    key: &RowKey,
    get: impl FnOnce(&'static str, &[u8]) -> io::Result<Option<Row>>,
) -> Result<Option<Row>, RowsError> {
    // An id that is too long for a key is in no row.
    let Ok((column, bytes)) = stored_key(key) else {
        return Ok(None);
    };
    get(columns::of_rows(column), &bytes).map_err(|error| RowsError {
        key: format!("{key:?}"),
        reason: error.to_string(),
    })
}
