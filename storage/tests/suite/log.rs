//! What every Raft log must do.

use std::sync::{Arc, Mutex};

use snakepit_storage::{LogEntry, LogStorage, VoteRecord};

use super::{entry, entry_of, id, wait};

/// Run all of it, each part on a fresh log.
pub fn run<L: LogStorage>(mut fresh: impl FnMut() -> L) {
    empty(&fresh());
    append_and_read(&fresh());
    append_is_seen_at_once(&fresh());
    truncate_and_append(&fresh());
    truncate_everything(&fresh());
    purge_within(&fresh());
    purge_beyond_the_end(&fresh());
    reads_are_capped_by_bytes(&fresh());
    gaps_are_refused(&fresh());
    votes_and_marks(&fresh());
    callbacks_come_in_order(&fresh());
}

fn all(log: &impl LogStorage) -> Vec<LogEntry> {
    log.entries(0..=u64::MAX, usize::MAX).unwrap()
}

fn range(term: u64, indexes: std::ops::Range<u64>) -> Vec<LogEntry> {
    indexes.map(|index| entry(term, index)).collect()
}

fn empty(log: &impl LogStorage) {
    assert_eq!(log.bounds().unwrap(), (None, None));
    assert_eq!(all(log), []);
    assert_eq!(log.vote().unwrap(), None);
    assert_eq!(log.committed().unwrap(), None);
    wait(|flushed| log.append(Vec::new(), flushed));
    wait(|flushed| log.truncate_after(None, flushed));
    assert_eq!(log.bounds().unwrap(), (None, None));
}

fn append_and_read(log: &impl LogStorage) {
    wait(|flushed| log.append(range(1, 0..10), flushed));
    assert_eq!(all(log), range(1, 0..10));
    assert_eq!(log.entries(3..=5, usize::MAX).unwrap(), range(1, 3..6));
    assert_eq!(log.entries(9..=20, usize::MAX).unwrap(), range(1, 9..10));
    assert_eq!(log.entries(10..=20, usize::MAX).unwrap(), []);
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = log.entries(5..=4, usize::MAX).unwrap();
    assert_eq!(reversed, []);
    assert_eq!(log.bounds().unwrap(), (None, Some(id(1, 9))));
}

fn append_is_seen_at_once(log: &impl LogStorage) {
    for index in 0..50 {
        log.append(vec![entry(1, index)], Box::new(|_| {})).unwrap();
        assert_eq!(log.entries(index..=index, 1).unwrap(), [entry(1, index)]);
    }
}

fn truncate_and_append(log: &impl LogStorage) {
    log.append(range(1, 0..200), Box::new(|_| {})).unwrap();
    log.truncate_after(Some(id(1, 99)), Box::new(|_| {}))
        .unwrap();
    assert_eq!(log.bounds().unwrap(), (None, Some(id(1, 99))));
    assert_eq!(
        log.entries(98..=101, usize::MAX).unwrap(),
        range(1, 98..100)
    );
    wait(|flushed| log.append(range(2, 100..120), flushed));
    let expected: Vec<_> = range(1, 0..100)
        .into_iter()
        .chain(range(2, 100..120))
        .collect();
    assert_eq!(all(log), expected);
    wait(|flushed| log.truncate_after(Some(id(2, 118)), flushed));
    assert_eq!(log.bounds().unwrap(), (None, Some(id(2, 118))));
    wait(|flushed| log.truncate_after(Some(id(2, 500)), flushed));
    assert_eq!(log.bounds().unwrap(), (None, Some(id(2, 118))));
}

fn truncate_everything(log: &impl LogStorage) {
    wait(|flushed| log.append(range(1, 0..10), flushed));
    wait(|flushed| log.truncate_after(None, flushed));
    assert_eq!(log.bounds().unwrap(), (None, None));
    assert_eq!(all(log), []);
    wait(|flushed| log.append(range(2, 0..3), flushed));
    assert_eq!(all(log), range(2, 0..3));
}

fn purge_within(log: &impl LogStorage) {
    wait(|flushed| log.append(range(1, 0..300), flushed));
    wait(|flushed| log.purge(id(1, 199), flushed));
    assert_eq!(log.bounds().unwrap(), (Some(id(1, 199)), Some(id(1, 299))));
    assert_eq!(all(log), range(1, 200..300));
    wait(|flushed| log.purge(id(1, 100), flushed));
    assert_eq!(log.bounds().unwrap(), (Some(id(1, 199)), Some(id(1, 299))));
    wait(|flushed| log.purge(id(1, 299), flushed));
    assert_eq!(log.bounds().unwrap(), (Some(id(1, 299)), Some(id(1, 299))));
    assert_eq!(all(log), []);
    wait(|flushed| log.append(range(1, 300..301), flushed));
    assert_eq!(all(log), range(1, 300..301));
}

fn purge_beyond_the_end(log: &impl LogStorage) {
    wait(|flushed| log.append(range(1, 0..10), flushed));
    wait(|flushed| log.purge(id(3, 1_000), flushed));
    assert_eq!(
        log.bounds().unwrap(),
        (Some(id(3, 1_000)), Some(id(3, 1_000)))
    );
    assert_eq!(all(log), []);
    wait(|flushed| log.append(range(3, 1_001..1_003), flushed));
    assert_eq!(all(log), range(3, 1_001..1_003));
}

fn reads_are_capped_by_bytes(log: &impl LogStorage) {
    let entries: Vec<_> = (0..10).map(|index| entry_of(1, index, 1_000)).collect();
    wait(|flushed| log.append(entries.clone(), flushed));
    assert_eq!(log.entries(0..=9, 0).unwrap(), entries[..1]);
    assert_eq!(log.entries(0..=9, 1).unwrap(), entries[..1]);
    assert_eq!(log.entries(4..=9, 2_500).unwrap(), entries[4..7]);
}

fn gaps_are_refused(log: &impl LogStorage) {
    wait(|flushed| log.append(range(1, 0..2), flushed));
    let refused = |entries| {
        let error = log
            .append(entries, Box::new(|_| panic!("refused")))
            .unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    };
    refused(vec![entry(1, 3)]);
    refused(vec![entry(1, 1)]);
    refused(vec![entry(1, 2), entry(1, 4)]);
    assert_eq!(log.bounds().unwrap(), (None, Some(id(1, 1))));
}

fn votes_and_marks(log: &impl LogStorage) {
    let vote = VoteRecord {
        term: 4,
        node_id: 2,
        committed: false,
    };
    wait(|flushed| log.save_vote(vote, flushed));
    assert_eq!(log.vote().unwrap(), Some(vote));
    log.save_committed(Some(id(4, 7))).unwrap();
    assert_eq!(log.committed().unwrap(), Some(id(4, 7)));
    log.save_committed(None).unwrap();
    assert_eq!(log.committed().unwrap(), None);
}

fn callbacks_come_in_order(log: &impl LogStorage) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    for index in 0..100 {
        let seen = Arc::clone(&seen);
        let note = Box::new(move |result: std::io::Result<()>| {
            result.unwrap();
            seen.lock().unwrap().push(index);
        });
        log.append(vec![entry(1, index)], note).unwrap();
    }
    wait(|flushed| log.append(Vec::new(), flushed));
    assert_eq!(*seen.lock().unwrap(), (0..100).collect::<Vec<_>>());
}
