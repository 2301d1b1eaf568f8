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

/// Rows with changes on top. Each row that is there below is read once.
#[derive(Debug)]
pub struct Overlay<R> {
    base: R,
    rows: RefCell<BTreeMap<RowKey, Slot>>,
    cleared: BTreeSet<RowPrefix>,
}

/// A row as it is now.
#[derive(Debug)]
struct Slot {
    row: Option<Row>,
    changed: bool,
}

impl<R: Rows> Overlay<R> {
    /// No changes yet.
    pub fn new(base: R) -> Self {
        Self {
            base,
            rows: RefCell::default(),
            cleared: BTreeSet::new(),
        }
    }

    /// What was changed.
    pub fn into_changes(self) -> Changes {
        let rows = self.rows.into_inner().into_iter();
        Changes {
            cleared: self.cleared,
            rows: rows
                .filter(|(_, slot)| slot.changed)
                .map(|(key, slot)| (key, slot.row))
                .collect(),
        }
    }

    fn change(&mut self, key: RowKey, row: Option<Row>) {
        self.rows.get_mut().insert(key, Slot { row, changed: true });
    }
}

impl<R: Rows> Rows for Overlay<R> {
    fn get(&self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        if let Some(slot) = self.rows.borrow().get(key) {
            return Ok(slot.row.clone());
        }
        if self.cleared.iter().any(|prefix| prefix.covers(key)) {
            return Ok(None);
        }
        let row = self.base.get(key)?;
        if row.is_some() {
            let slot = Slot {
                row: row.clone(),
                changed: false,
            };
            self.rows.borrow_mut().insert(key.clone(), slot);
        }
        Ok(row)
    }
}

impl<R: Rows> RowsMut for Overlay<R> {
    fn put(&mut self, key: RowKey, row: Row) {
        self.change(key, Some(row));
    }

    /// Leaves nothing in the row's place until it is put back.
    fn take(&mut self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        if let Some(slot) = self.rows.get_mut().get_mut(key) {
            if !slot.changed {
                self.base.forget(key);
            }
            return Ok(slot.row.take());
        }
        if self.cleared.iter().any(|prefix| prefix.covers(key)) {
            return Ok(None);
        }
        let row = self.base.get(key)?;
        self.base.forget(key);
        Ok(row)
    }

    fn delete(&mut self, key: RowKey) {
        self.change(key, None);
    }

    fn clear(&mut self, prefix: RowPrefix) {
        self.rows.get_mut().retain(|key, _| !prefix.covers(key));
        self.cleared.insert(prefix);
    }
}
