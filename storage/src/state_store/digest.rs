//! A digest of all rows, by which nodes and replays are compared.

use crate::codec::keys::RowColumn;

/// blake3 of all rows in canonical order: column by column, within a column by key. Each row goes in as
/// column (1), length of key (4, big-endian), key, length of value (4, big-endian), value. Physical layout,
/// compaction and compression do not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsDigest {
    /// The hash.
    pub hash: [u8; 32],
    /// How many rows went in.
    pub rows: u64,
    /// Bytes of keys and values that went in.
    pub bytes: u64,
}

/// One row as it goes into the digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowBytes {
    /// Its column.
    pub column: RowColumn,
    /// Its key in the column; see `codec::keys`.
    pub key: Vec<u8>,
    /// Its bytes; see `codec::row`.
    pub value: Vec<u8>,
}

/// Makes a [`RowsDigest`] of rows that are given in canonical order.
#[derive(Clone, Debug, Default)]
pub struct RowsDigester {
    hasher: blake3::Hasher,
    rows: u64,
    bytes: u64,
}

impl RowsDigester {
    /// Take the next row.
    pub fn row(&mut self, column: RowColumn, key: &[u8], value: &[u8]) {
        self.hasher.update(&[column as u8]);
        self.part(key);
        self.part(value);
        self.rows += 1;
    }

    /// The digest of what was taken.
    pub fn finish(&self) -> RowsDigest {
        RowsDigest {
            hash: *self.hasher.finalize().as_bytes(),
            rows: self.rows,
            bytes: self.bytes,
        }
    }

    fn part(&mut self, bytes: &[u8]) {
        // Keys have at most 64 KiB and some, values at most `BODY_BYTES_MAX`: both fit.
        self.hasher
            .update(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}
