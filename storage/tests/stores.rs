//! Both suites against all implementations, and what only those on disk must do: be there after a restart.

mod suite;

use snakepit_storage::{
    LogStorage, MemoryLog, MemoryState, RaftStore, StateStorage, StateStore, VoteRecord,
};
use suite::{entry, entry_of, history, id, wait};

#[test]
fn memory_log() {
    suite::log::run(MemoryLog::new);
}

#[test]
fn rocks_log() {
    let mut dirs = Vec::new();
    suite::log::run(|| {
        let dir = tempfile::tempdir().unwrap();
        let store = RaftStore::open(dir.path()).unwrap();
        dirs.push(dir);
        store
    });
}

#[test]
fn memory_state() {
    let mut dirs = Vec::new();
    suite::state::run(|| {
        let dir = tempfile::tempdir().unwrap();
        let state = MemoryState::new(dir.path());
        dirs.push(dir);
        state
    });
}

#[test]
fn rocks_state() {
    let mut dirs = Vec::new();
    suite::state::run(|| {
        let dir = tempfile::tempdir().unwrap();
        let store = StateStore::open(dir.path()).unwrap();
        dirs.push(dir);
        store
    });
}

#[test]
fn log_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let vote = VoteRecord {
        term: 3,
        node_id: 1,
        committed: true,
    };
    {
        let log = RaftStore::open(dir.path()).unwrap();
        log.append(
            (0..500).map(|index| entry(1, index)).collect(),
            Box::new(|_| {}),
        )
        .unwrap();
        log.truncate_after(Some(id(1, 399)), Box::new(|_| {}))
            .unwrap();
        log.append(
            (400..450).map(|index| entry(2, index)).collect(),
            Box::new(|_| {}),
        )
        .unwrap();
        log.purge(id(1, 99), Box::new(|_| {})).unwrap();
        log.save_vote(vote, Box::new(|_| {})).unwrap();
        log.save_committed(Some(id(2, 420))).unwrap();
        // Dropping it flushes what was queued, and the commit mark.
    }
    for _ in 0..2 {
        let log = RaftStore::open(dir.path()).unwrap();
        assert_eq!(log.bounds().unwrap(), (Some(id(1, 99)), Some(id(2, 449))));
        assert_eq!(log.vote().unwrap(), Some(vote));
        assert_eq!(log.committed().unwrap(), Some(id(2, 420)));
        let entries = log.entries(0..=1_000, usize::MAX).unwrap();
        assert_eq!(entries.len(), 350);
        for (found, index) in entries.iter().zip(100..) {
            assert_eq!(*found, entry(if index < 400 { 1 } else { 2 }, index));
        }
    }
    // From disk, with new entries in memory behind the old ones.
    let log = RaftStore::open(dir.path()).unwrap();
    log.append(vec![entry(2, 450)], Box::new(|_| {})).unwrap();
    let entries = log.entries(448..=450, usize::MAX).unwrap();
    assert_eq!(entries, [entry(2, 448), entry(2, 449), entry(2, 450)]);
}

#[test]
fn log_reads_across_the_edge_of_memory() {
    let dir = tempfile::tempdir().unwrap();
    let log = RaftStore::open(dir.path()).unwrap();
    // More than the tail keeps: the oldest are read from disk.
    for index in 0..90 {
        log.append(vec![entry_of(1, index, 1 << 20)], Box::new(|_| {}))
            .unwrap();
    }
    wait(|flushed| log.append(Vec::new(), flushed));
    let entries = log.entries(0..=89, usize::MAX).unwrap();
    assert_eq!(entries.len(), 90);
    assert!(
        entries
            .iter()
            .zip(0..)
            .all(|(entry, index)| entry.id == id(1, index))
    );
    wait(|flushed| log.truncate_after(Some(id(1, 3)), flushed));
    wait(|flushed| log.append(vec![entry(2, 4)], flushed));
    let ids: Vec<_> = log
        .entries(2..=89, usize::MAX)
        .unwrap()
        .iter()
        .map(|e| e.id)
        .collect();
    assert_eq!(ids, [id(1, 2), id(1, 3), id(2, 4)]);
}

#[test]
fn state_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (head, digest, applied) = {
        let state = StateStore::open(dir.path()).unwrap();
        state.apply(history()).unwrap();
        (
            state.head(),
            state.rows_digest().unwrap(),
            state.applied().unwrap(),
        )
    };
    let state = StateStore::open(dir.path()).unwrap();
    assert_eq!(state.head(), head);
    assert_eq!(state.rows_digest().unwrap(), digest);
    assert_eq!(state.applied().unwrap(), applied);
    let snapshot = state.build_snapshot().unwrap();
    drop(state);
    let state = StateStore::open(dir.path()).unwrap();
    assert_eq!(state.current_snapshot().unwrap(), Some(snapshot.clone()));
    // Nothing was applied since: the snapshot is still good.
    assert_eq!(state.build_snapshot().unwrap(), snapshot);
    drop(state);

    let reader = StateStore::open_read_only(dir.path()).unwrap();
    assert_eq!(reader.head(), head);
    assert_eq!(reader.rows_digest().unwrap(), digest);
    assert!(reader.apply(vec![suite::apply(9, 1, Vec::new())]).is_err());
    assert!(reader.build_snapshot().is_err());
    assert!(StateStore::open_read_only(&dir.path().join("none")).is_err());
}
