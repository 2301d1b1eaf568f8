//! Stored events in a file, one behind the other, as `--raw` writes them: what an export is gathered in whose
//! form can only be written at once.

use std::io::{self, BufRead, Read as _};
use std::path::{Path, PathBuf};

use prost::Message as _;
use snakepit_client::StoredEvent;

/// Bytes of one record at most: more is damage.
const RECORD_BYTES_MAX: u64 = 512 << 20;

/// A file beside another one.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A record: a `StoredEvent` behind its length, as protobuf's delimited streams have it.
pub(super) fn record(stored: &StoredEvent) -> Vec<u8> {
    stored.encode_length_delimited_to_vec()
}

/// The next event and the bytes of its record; `None` at the end, also where the last record is cut off or is
/// none.
pub(super) fn next(from: &mut impl BufRead) -> io::Result<Option<(StoredEvent, Vec<u8>)>> {
    let mut record = Vec::new();
    let mut length = 0_u64;
    loop {
        let mut byte = [0];
        // No length of this size has more bytes.
        if record.len() == 5 || from.read(&mut byte)? == 0 {
            return Ok(None);
        }
        length |= u64::from(byte[0] & 0x7f) << (7 * record.len());
        record.push(byte[0]);
        if byte[0] < 0x80 {
            break;
        }
    }
    if length > RECORD_BYTES_MAX {
        return Ok(None);
    }
    let begin = record.len();
    let taken = from.take(length).read_to_end(&mut record)?;
    let whole = taken as u64 == length;
    let event = whole.then(|| StoredEvent::decode(&record[begin..]).ok());
    Ok(event.flatten().map(|event| (event, record)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_until_one_is_cut_off() {
        let event = |position: u64, length: usize| StoredEvent {
            position,
            event: vec![7; length].into(),
            hash: vec![9; 32].into(),
        };
        let events = [event(1, 0), event(2, 300), event(300, 70_000)];
        let bytes: Vec<u8> = events.iter().flat_map(record).collect();
        let read = |bytes: &[u8]| {
            let mut from = bytes;
            let mut found = Vec::new();
            while let Some((event, own)) = next(&mut from).unwrap() {
                assert_eq!(own, record(&event));
                found.push(event);
            }
            found
        };
        assert_eq!(read(&bytes), events);
        for cut in [0, 1, 60, bytes.len() - 1] {
            let found = read(&bytes[..cut]);
            assert_eq!(found, events[..found.len()]);
            assert!(found.len() < 3);
        }
        assert!(read(&[0xff; 20]).is_empty());
        assert!(read(&[2, 0xff, 0xff]).is_empty());
    }
}
