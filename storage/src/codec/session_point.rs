//! A session's rows at one event, kept so that its past need not be folded from the beginning: version (1),
//! then for each row its column (1), length of its key (4, big-endian), key, length of its value (4,
//! big-endian), value. Kept answers are left out.

use super::keys::RowColumn;
use crate::error::CodecError;

const VERSION: u8 = 1;
const WHAT: &str = "session point";

/// Bytes in front of the first row.
pub fn begin() -> Vec<u8> {
    vec![VERSION]
}

/// Add a row.
pub fn push(bytes: &mut Vec<u8>, column: RowColumn, key: &[u8], value: &[u8]) {
    bytes.push(column as u8);
    for part in [key, value] {
        bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
}

/// A row: its column, its key, its value.
pub type PointRow<'a> = (RowColumn, &'a [u8], &'a [u8]);

/// The rows.
pub fn decode(bytes: &[u8]) -> Result<Vec<PointRow<'_>>, CodecError> {
    let short = || CodecError::damaged(WHAT, "it ends too early");
    let (version, mut rest) = bytes.split_first().ok_or_else(short)?;
    if *version != VERSION {
        return Err(CodecError::UnknownVersion {
            what: WHAT.into(),
            found: *version,
            known: VERSION,
        });
    }
    let mut rows = Vec::new();
    while let Some((column, after)) = rest.split_first() {
        let column = RowColumn::ALL
            .into_iter()
            .find(|known| *known as u8 == *column)
            .ok_or_else(|| CodecError::damaged(WHAT, format!("column {column} is not known")))?;
        let (key, after) = part(after).ok_or_else(short)?;
        let (value, after) = part(after).ok_or_else(short)?;
        rows.push((column, key, value));
        rest = after;
    }
    Ok(rows)
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}
