use super::*;
use crate::codec::stored_event::{GENESIS, chain};

fn event(number: u64) -> Vec<u8> {
    format!("event {number} ")
        .repeat(number as usize % 90)
        .into_bytes()
}

#[test]
fn a_segment_gives_what_was_put_in() {
    let dir = tempfile::tempdir().unwrap();
    let folder = SegmentFolder::open(dir.path()).unwrap();
    let (first, last) = (11, 4_000);
    let previous = chain(&GENESIS, b"before");
    let mut writer = SegmentWriter::begin(folder.dir().unwrap(), first, previous).unwrap();
    let mut hash = previous;
    for number in first..=last {
        writer.push(&event(number)).unwrap();
        hash = chain(&hash, &event(number));
    }
    assert_eq!(writer.hash(), hash);
    writer.finish(&folder.path(first, last)).unwrap();
    assert!(folder.covering(100).unwrap().is_none());
    folder.add(first, last);
    for outside in [10, 4_001] {
        assert!(folder.covering(outside).unwrap().is_none());
    }
    let file = folder.covering(100).unwrap().unwrap();
    assert_eq!(
        (file.range(), file.hashes()),
        ((first, last), (previous, hash))
    );
    let all = file.events(first, usize::MAX, usize::MAX).unwrap();
    assert_eq!(all.len() as u64, last - first + 1);
    assert!(
        all.iter()
            .zip(first..)
            .all(|(found, number)| { found.position == number && found.bytes == event(number) })
    );
    assert_eq!(
        file.events(3_990, 3, usize::MAX).unwrap(),
        all[3_979..3_982]
    );
    assert_eq!(file.events(500, 10, 0).unwrap(), all[489..490]);
    assert_eq!(file.events(last + 1, 10, 10).unwrap(), []);
    // A folder that is opened again knows it, and leaves what is being written.
    let unfinished = SegmentWriter::begin(dir.path(), 5_000, hash).unwrap();
    let again = SegmentFolder::open(dir.path()).unwrap();
    assert!(again.has(first, last));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    drop(unfinished);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_segment_must_have_events() {
    let dir = tempfile::tempdir().unwrap();
    let writer = SegmentWriter::begin(dir.path(), 1, GENESIS).unwrap();
    assert!(writer.finish(&dir.path().join("x.segment")).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
