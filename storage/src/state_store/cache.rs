//! Rows that were read or written lately, decoded, so that applying a change to a busy session does not read
//! them again. Only applying uses it, under its lock; whatever it holds equals what is stored.

use std::cell::RefCell;

use foldhash::HashMap;
use snakepit_machine::{Changes, Row, RowKey, Rows, RowsError};

/// Rows that are kept at most; then all go, and it fills again.
pub const ROWS_MAX: usize = 8_192;
/// Largest value of a variable that is kept, in bytes.
pub const VALUE_BYTES_MAX: u64 = 4 << 10;

/// The cache; empty where the stored rows may have changed beside it.
#[derive(Debug, Default)]
pub(super) struct RowCache {
    rows: HashMap<RowKey, Option<Row>>,
}

impl RowCache {
    /// Take over what was written.
    pub(super) fn write(&mut self, changes: Changes) {
        if !changes.cleared.is_empty() {
            self.rows
                .retain(|key, _| !changes.cleared.iter().any(|prefix| prefix.covers(key)));
        }
        for (key, row) in changes.rows {
            if is_kept(&key, row.as_ref()) {
                self.keep(key, row);
            } else {
                self.rows.remove(&key);
            }
        }
    }

    fn keep(&mut self, key: RowKey, row: Option<Row>) {
        if self.rows.len() >= ROWS_MAX && !self.rows.contains_key(&key) {
            self.rows.clear();
        }
        self.rows.insert(key, row);
    }
}

/// Rows that are read again and again; the others are read once or not at all.
fn is_kept(key: &RowKey, row: Option<&Row>) -> bool {
    match (key, row) {
        (RowKey::Variable(..), Some(Row::Variable(row))) => {
            row.value.size_bytes() <= VALUE_BYTES_MAX
        }
        (RowKey::Head | RowKey::Session(_) | RowKey::Variable(..), _) => true,
        _ => false,
    }
}

/// Rows below, read through the cache.
pub(super) struct Through<'a, R> {
    cache: RefCell<&'a mut RowCache>,
    below: R,
}

impl<'a, R: Rows> Through<'a, R> {
    pub(super) fn new(cache: &'a mut RowCache, below: R) -> Self {
        Self {
            cache: RefCell::new(cache),
            below,
        }
    }
}

impl<R: Rows> Rows for Through<'_, R> {
    fn get(&self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        if let Some(row) = self.cache.borrow().rows.get(key) {
            return Ok(row.clone());
        }
        let row = self.below.get(key)?;
        if is_kept(key, row.as_ref()) {
            self.cache.borrow_mut().keep(key.clone(), row.clone());
        }
        Ok(row)
    }

    fn forget(&self, key: &RowKey) {
        self.cache.borrow_mut().rows.remove(key);
    }

    fn keeps(&self, key: &RowKey, row: &Row) -> bool {
        is_kept(key, Some(row))
    }
}
