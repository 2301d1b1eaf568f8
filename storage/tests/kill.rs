//! A process that is killed while it writes: what it had acknowledged is there.

mod suite;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use snakepit_storage::{LogStorage, RaftStore, StateStorage, StateStore};
use suite::{apply, command, create, entry_of, wait};

const CHILD: &str = "SNAKEPIT_STORAGE_KILL_CHILD";
const ENTRIES: u64 = 300;

/// Not a test by itself: what the killed process runs.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let log = RaftStore::open(Path::new(&dir)).unwrap();
    let state = StateStore::open(Path::new(&dir)).unwrap();
    for index in 0.. {
        wait(|flushed| log.append(vec![entry_of(1, index, 2_000)], flushed));
        let create = create(&format!("s{index}"), 60_000);
        state
            .apply(vec![apply(index, 1_000, vec![command("", create)])])
            .unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "\nacknowledged {index}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn acknowledged_writes_outlive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = 0;
    for line in lines {
        let line = line.unwrap();
        if let Some(index) = line.strip_prefix("acknowledged ") {
            acknowledged = index.parse().unwrap();
        }
        if acknowledged >= ENTRIES {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(acknowledged >= ENTRIES, "the child ended by itself");

    let log = RaftStore::open(dir.path()).unwrap();
    let last = log.bounds().unwrap().1.unwrap().index;
    assert!(last >= acknowledged, "{last} < {acknowledged}");
    let entries = log.entries(0..=last, usize::MAX).unwrap();
    assert_eq!(entries.len() as u64, last + 1);
    assert!(
        entries
            .iter()
            .zip(0..)
            .all(|(found, index)| *found == entry_of(1, index, 2_000))
    );
    // A kill does not lose the page cache: what was applied is there as well, whole entries of it.
    let state = StateStore::open(dir.path()).unwrap();
    let applied = state.applied().unwrap().last.unwrap().index;
    assert!(applied >= acknowledged && applied <= last);
    assert_eq!(state.head().sessions, applied + 1);
}
