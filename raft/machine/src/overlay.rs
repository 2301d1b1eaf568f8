//! Changes kept apart from the rows below them, until they are written in one batch.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::{Row, RowKey, RowPrefix, Rows, RowsError, RowsMut};

/// What was changed: prefixes are cleared first, then rows are written or deleted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Whole prefixes that were cleared.
    pub cleared: BTreeSet<RowPrefix>,
    /// New rows; `None` where one was deleted.
    pub rows: BTreeMap<RowKey, Option<Row>>,
}

/// Rows with changes on top. Each row below is read once.
#[derive(Debug)]
pub struct Overlay<R> {
    base: R,
    seen: RefCell<BTreeMap<RowKey, Option<Row>>>,
    changes: Changes,
}

impl<R: Rows> Overlay<R> {
    /// No changes yet.
    pub fn new(base: R) -> Self {
        Self {
            base,
            seen: RefCell::default(),
            changes: Changes::default(),
        }
    }

    /// What was changed.
    pub fn into_changes(self) -> Changes {
        self.changes
    }
}

impl<R: Rows> Rows for Overlay<R> {
    fn get(&self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        if let Some(changed) = self.changes.rows.get(key) {
            return Ok(changed.clone());
        }
        if !self.changes.cleared.is_empty()
            && self.changes.cleared.iter().any(|prefix| prefix.covers(key))
        {
            return Ok(None);
        }
        if let Some(seen) = self.seen.borrow().get(key) {
            return Ok(seen.clone());
        }
        let row = self.base.get(key)?;
        self.seen.borrow_mut().insert(key.clone(), row.clone());
        Ok(row)
    }
}

impl<R: Rows> RowsMut for Overlay<R> {
    fn put(&mut self, key: RowKey, row: Row) {
        self.changes.rows.insert(key, Some(row));
    }

    fn delete(&mut self, key: RowKey) {
        self.changes.rows.insert(key, None);
    }

    fn clear(&mut self, prefix: RowPrefix) {
        self.changes.rows.retain(|key, _| !prefix.covers(key));
        self.changes.cleared.insert(prefix);
    }
}
