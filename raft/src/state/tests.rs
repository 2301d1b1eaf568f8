//! Entries that wait to be applied.

use std::time::Duration;

use futures_util::stream;
use openraft::entry::RaftEntry as _;
use openraft::storage::{RaftSnapshotBuilder as _, RaftStateMachine as _};
use snakepit_storage::{EntryId, MemoryState};
use tempfile::TempDir;

use super::*;
use crate::types::Entry;

const LONG: Duration = Duration::from_secs(3_600);

fn state(lag_max: Duration) -> (TempDir, State<MemoryState>) {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(MemoryState::new(dir.path()));
    (dir, State::new(store, lag_max).unwrap())
}

/// Have entries applied that no client waits for.
async fn hand_over(
    state: &State<MemoryState>,
    indexes: impl IntoIterator<Item = u64>,
) -> io::Result<()> {
    let entries = indexes.into_iter().map(|index| {
        let id = convert::log_id(EntryId { term: 1, index });
        Ok((Entry::new_blank(id), None))
    });
    let entries: Vec<_> = entries.collect();
    state.clone().apply(stream::iter(entries)).await
}

fn applied(state: &State<MemoryState>) -> u64 {
    let last = state.shared.store.applied().unwrap().last;
    assert_eq!(state.applied_index().get(), last.map_or(0, |id| id.index));
    state.applied_index().get()
}

#[tokio::test]
async fn what_nobody_waits_for_waits() {
    let (_dir, state) = state(LONG);
    hand_over(&state, 1..=2).await.unwrap();
    hand_over(&state, [3]).await.unwrap();
    assert_eq!(applied(&state), 0);

    state.applied_index().reach(2).await.unwrap();
    assert_eq!(applied(&state), 3, "what has gathered is applied together");
    hand_over(&state, [4]).await.unwrap();
    assert_eq!(applied(&state), 3);

    // Who waits for what is not there yet, has it as soon as it comes.
    let mut early = state.applied_index();
    let waiting = tokio::spawn(async move { early.reach(6).await });
    hand_over(&state, [5]).await.unwrap();
    hand_over(&state, [6]).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(applied(&state), 6);
}

#[tokio::test]
async fn nothing_waits_while_somebody_follows() {
    let (_dir, state) = state(LONG);
    let following = state.applied_index().follow();
    for index in 1..=3 {
        hand_over(&state, [index]).await.unwrap();
        assert_eq!(applied(&state), index);
    }
    drop(following);
    // A wait that was given up is none any more.
    let mut far = state.applied_index();
    let given_up = tokio::time::timeout(Duration::from_millis(1), far.reach(u64::MAX)).await;
    assert!(given_up.is_err());
    hand_over(&state, [4]).await.unwrap();
    assert_eq!(applied(&state), 3);
    let _following = state.applied_index().follow();
    state.applied_index().reach(4).await.unwrap();
}

#[tokio::test]
async fn nothing_waits_longer_than_it_may() {
    let (_dir, state) = state(Duration::from_millis(1));
    let mut seen = state.applied_index();
    hand_over(&state, [1]).await.unwrap();
    while seen.get() < 1 {
        seen.changed().await.unwrap();
    }
    let (_dir, at_once) = self::state(Duration::ZERO);
    hand_over(&at_once, [1]).await.unwrap();
    assert_eq!(applied(&at_once), 1);
}

#[tokio::test]
async fn many_do_not_wait() {
    let (_dir, state) = state(LONG);
    hand_over(&state, 1..=1_000).await.unwrap();
    let some = applied(&state);
    assert!((700..1_000).contains(&some), "{some}");
}

#[tokio::test]
async fn raft_and_its_snapshots_see_all_that_was_handed_over() {
    let (_dir, state) = state(LONG);
    hand_over(&state, 1..=2).await.unwrap();
    let (last, _) = state.clone().applied_state().await.unwrap();
    assert_eq!(last.unwrap().index(), 2);
    hand_over(&state, [3]).await.unwrap();
    let snapshot = state.clone().build_snapshot().await.unwrap();
    assert_eq!(snapshot.meta.last_log_id.unwrap().index(), 3);
}

#[tokio::test]
async fn what_cannot_be_applied_is_told() {
    let (_dir, state) = state(LONG);
    hand_over(&state, 1..=3).await.unwrap();
    state.settle().await.unwrap();
    // It is there already.
    hand_over(&state, [2]).await.unwrap();
    assert_eq!(state.failure(), None);
    let mut waiting = state.applied_index();
    let waiting = tokio::spawn(async move { waiting.reach(4).await });
    while state.failure().is_none() {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    let told = state.failure().unwrap();
    assert!(
        told.contains("entry 2 is to be applied, but entry 3 already is"),
        "{told}"
    );
    assert!(hand_over(&state, [4]).await.is_err());
    assert_eq!(applied(&state), 3);
}
