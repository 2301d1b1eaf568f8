//! Entries that are applied at once, where nothing has to be waited for, and those that are not.

mod suite;

use snakepit_machine::{Outcome, Value};
use snakepit_storage::{ApplyEntry, StateStorage, StateStore};
use suite::{apply, command, create, delete, register, set};

/// Apply in either way; whether it was at once.
fn applied(state: &StateStore, entry: ApplyEntry) -> (Vec<Vec<Outcome>>, bool) {
    let before = state.head();
    if let Some(outcomes) = state.try_apply(std::slice::from_ref(&entry)).unwrap() {
        return (outcomes, true);
    }
    assert_eq!(state.head(), before, "what is not applied changes nothing");
    (state.apply(vec![entry]).unwrap(), false)
}

fn opened(dir: &tempfile::TempDir) -> StateStore {
    StateStore::open(dir.path()).unwrap()
}

fn a_set(index: u64) -> ApplyEntry {
    let body = set("s", "v", Value::Integer(index.into()), 0);
    apply(
        index,
        1_000 + index,
        vec![command(&format!("r{index}"), body)],
    )
}

fn begin() -> Vec<ApplyEntry> {
    let variable = register("s", "v", Value::Integer(0.into()));
    vec![apply(
        1,
        1_000,
        vec![command("", create("s", 3_600_000)), command("", variable)],
    )]
}

/// Both ways give the same outcomes, the same rows, the same events, and the same past.
#[test]
fn it_makes_no_difference() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [waiting, at_once] = [opened(&dirs[0]), opened(&dirs[1])];
    waiting.apply(begin()).unwrap();
    at_once.apply(begin()).unwrap();
    for index in 2..=600 {
        let outcomes = waiting.apply(vec![a_set(index)]).unwrap();
        let (found, was_at_once) = applied(&at_once, a_set(index));
        assert_eq!(found, outcomes);
        assert!(was_at_once, "entry {index}");
    }
    assert_eq!(
        at_once.rows_digest().unwrap(),
        waiting.rows_digest().unwrap()
    );
    assert_eq!(at_once.tree_head(), waiting.tree_head());
    for position in [1, 2, 255, 256, 257, 300, 512, 513, 600] {
        let [waiting, at_once] =
            [&waiting, &at_once].map(|of| of.session_at("s", position).unwrap());
        assert_eq!(at_once.rows, waiting.rows, "at {position}");
    }
}

/// Rows that only the disk has are waited for, and with them what was to be applied.
#[test]
fn rows_that_are_not_in_memory_are_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let state = opened(&dir);
    state.apply(begin()).unwrap();
    assert!(applied(&state, a_set(2)).1);
    state.compact().unwrap();
    drop(state);
    let state = opened(&dir);
    assert!(!applied(&state, a_set(3)).1);
    assert!(applied(&state, a_set(4)).1);
}

/// What a session leaves behind when it ends is looked for on the disk.
#[test]
fn the_end_of_a_session_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let state = opened(&dir);
    state.apply(begin()).unwrap();
    let end = apply(2, 2_000, vec![command("", delete("s"))]);
    assert!(!applied(&state, end).1);
    assert_eq!(state.head().sessions, 0);
    assert!(applied(&state, a_set(3)).1, "it is refused at once");
}
