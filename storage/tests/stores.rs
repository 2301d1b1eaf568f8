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

/// The log's one WAL file after 100 appends, each flushed by itself.
fn wal_of_hundred_appends(dir: &std::path::Path) -> std::path::PathBuf {
    let log = RaftStore::open(dir).unwrap();
    for index in 0..100 {
        wait(|flushed| log.append(vec![entry_of(1, index, 1_000)], flushed));
    }
    drop(log);
    let files = std::fs::read_dir(dir.join("raft"))
        .unwrap()
        .map(|file| file.unwrap().path());
    let is_wal = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "log");
    files
        .filter(is_wal)
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap()
}

#[test]
fn a_torn_end_of_the_log_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = wal_of_hundred_appends(dir.path());
    let length = path.metadata().unwrap().len();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(length - 10).unwrap();
    let log = RaftStore::open(dir.path()).unwrap();
    assert_eq!(log.bounds().unwrap(), (None, Some(id(1, 98))));
}

#[test]
fn damage_within_the_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = wal_of_hundred_appends(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = RaftStore::open(dir.path())
        .err()
        .expect("the log is damaged");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("hint:"), "{error}");
}
