//! Rows in a map: for replay, tests and simulation.

use std::collections::BTreeMap;

use crate::{Changes, Row, RowKey, RowPrefix, Rows, RowsError, RowsMut};

/// Rows in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryRows {
    rows: BTreeMap<RowKey, Row>,
}

impl MemoryRows {
    /// All rows, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&RowKey, &Row)> {
        self.rows.iter()
    }

    /// Write what an overlay gathered.
    pub fn commit(&mut self, changes: Changes) {
        for prefix in changes.cleared {
            self.clear(prefix);
        }
        for (key, row) in changes.rows {
            match row {
                Some(row) => self.put(key, row),
                None => self.delete(key),
            }
        }
    }
}

impl Rows for MemoryRows {
    fn get(&self, key: &RowKey) -> Result<Option<Row>, RowsError> {
        Ok(self.rows.get(key).cloned())
    }
}

impl RowsMut for MemoryRows {
    fn put(&mut self, key: RowKey, row: Row) {
        self.rows.insert(key, row);
    }

    fn delete(&mut self, key: RowKey) {
        self.rows.remove(&key);
    }

    fn clear(&mut self, prefix: RowPrefix) {
        let from = prefix.first_key();
        let covered = self.rows.range(from..).map(|(key, _)| key);
        let gone: Vec<RowKey> = covered
            .take_while(|key| prefix.covers(key))
            .cloned()
            .collect();
        for key in gone {
            self.rows.remove(&key);
        }
    }
}
