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

/// Rows with changes on top. Each row that is there below is read once, or kept there.
#[derive(Debug)]
pub struct Overlay<R> {
    base: R,
    changes: Changes,
    /// What was read below, is not kept there, and has not changed.
    read: RefCell<BTreeMap<RowKey, Row>>,
}

impl<R: Rows> Overlay<R> {
    /// No changes yet.
    pub fn new(base: R) -> Self {
        Self {
            base,
            changes: Changes::default(),
            read: RefCell::default(),
        }
    }

    /// What was changed.
    pub fn into_changes(self) -> Changes {
        self.changes
    }

    fn is_cleared(&self, key: &RowKey) -> bool {
        let mut cleared = self.changes.cleared.iter();
        cleared.any(|prefix| prefix.covers(key))
    }
}

impl<R: Rows> Rows for Overlay<R> {
    fn get(&self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        if let Some(changed) = self.changes.rows.get(key) {
            return Ok(changed.clone());
        }
        if let Some(row) = self.read.borrow().get(key) {
            return Ok(Some(row.clone()));
        }
        if self.is_cleared(key) {
            return Ok(None);
        }
        let found = self.base.get(key)?;
        if let Some(row) = &found
            && !self.base.keeps(key, row)
        {
            self.read.borrow_mut().insert(key.clone(), row.clone());
        }
        Ok(found)
    }
}

impl<R: Rows> RowsMut for Overlay<R> {
    fn put(&mut self, key: RowKey, row: Row) {
        self.changes.rows.insert(key, Some(row));
    }

    /// Leaves nothing in the row's place until it is put back.
    fn take(&mut self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        if let Some(changed) = self.changes.rows.get_mut(key) {
            return Ok(changed.take());
        }
        if let Some(row) = self.read.get_mut().remove(key) {
            self.base.forget(key);
            return Ok(Some(row));
        }
        if self.is_cleared(key) {
            return Ok(None);
        }
        let row = self.base.get(key)?;
        self.base.forget(key);
        Ok(row)
    }

    fn delete(&mut self, key: RowKey) {
        self.changes.rows.insert(key, None);
    }

    fn clear(&mut self, prefix: RowPrefix) {
        self.changes.rows.retain(|key, _| !prefix.covers(key));
        self.read.get_mut().retain(|key, _| !prefix.covers(key));
        self.changes.cleared.insert(prefix);
    }
}
