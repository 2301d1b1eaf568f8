//! Archived events: they leave the state only for a checked segment, and everything reads as if they were still there.

mod suite;

use std::io::ErrorKind;
use std::path::Path;

use snakepit_machine::{ArchiveEvents, Body, SegmentRow, Value};
use snakepit_storage::state_store::{SEGMENT_EVENTS_MAX, Sealed, SegmentStanding};
use snakepit_storage::{Replay, StateStorage, StateStore, StoredEvent};
use suite::{apply, command, create, register, set};

const EVENTS: u64 = 3_004;

/// A state of two sessions that were written in turn.
fn filled(dir: &Path) -> StateStore {
    let state = StateStore::open(dir).unwrap();
    let mut commands = Vec::new();
    for session in ["a", "b"] {
        commands.push(command("", create(session, 1_000_000)));
        commands.push(command(
            "",
            register(session, "x", Value::Integer(0.into())),
        ));
    }
    for number in 0..1_500 {
        for session in ["a", "b"] {
            let text = format!("{session}{number}").repeat(20);
            let value = if number % 2 == 0 {
                Value::Integer(number.into())
            } else {
                Value::Integer(text.len().into())
            };
            commands.push(command("", set(session, "x", value, 0)));
        }
    }
    for (index, commands) in commands.chunks(100).enumerate() {
        let time_ms = 1_000 + index as u64;
        state
            .apply(vec![apply(index as u64, time_ms, commands.to_vec())])
            .unwrap();
    }
    assert_eq!(state.head().position, EVENTS);
    state
}

/// Say in the log that a segment is archived.
fn commit(state: &StateStore, sealed: Sealed) -> SegmentRow {
    let index = state.head().applied.unwrap().index + 1;
    let body = Body::ArchiveEvents(ArchiveEvents {
        first: sealed.first,
        last: sealed.last,
        root: sealed.root.to_vec(),
        hash: sealed.hash.to_vec(),
    });
    let outcomes = state.apply(vec![apply(index, 9_000, vec![command("", body)])]);
    outcomes.unwrap().remove(0).remove(0).unwrap();
    state.segments().unwrap().pop().unwrap()
}

fn archive(state: &StateStore, first: u64, last: u64) -> SegmentRow {
    let row = commit(state, state.seal(first, last).unwrap());
    assert_eq!(state.standing(&row).unwrap(), SegmentStanding::Held);
    state.move_out(&row).unwrap();
    assert_eq!(state.standing(&row).unwrap(), SegmentStanding::Moved);
    row
}

/// All that is to be read of the first events.
fn read(state: &StateStore) -> Vec<String> {
    let mut events: Vec<StoredEvent> = Vec::new();
    while (events.len() as u64) < EVENTS {
        let found = state.events(events.len() as u64 + 1, 700, 1 << 20).unwrap();
        assert!(!found.is_empty());
        events.extend(found);
    }
    events.truncate(EVENTS as usize);
    let mut told: Vec<_> = events.iter().map(|event| format!("{event:?}")).collect();
    let mut of_session: Vec<StoredEvent> = Vec::new();
    loop {
        let next = of_session.last().map_or(1, |last| last.position + 1);
        let found = state.session_events("b", next, 400, 1 << 20).unwrap();
        if found.is_empty() {
            break;
        }
        of_session.extend(found);
    }
    assert_eq!(of_session.len(), 1_502);
    told.push(format!("{of_session:?}"));
    for position in [1, 2, 255, 256, 999, 1_000, 1_001, 1_700, 1_701, 3_000] {
        told.push(format!("{:?}", state.event(position).unwrap()));
        told.push(format!("{:?}", state.inclusion_proof(position, EVENTS)));
        told.push(format!("{:?}", state.consistency_proof(position, EVENTS)));
        told.push(format!("{:?}", state.tree_root(position)));
        told.push(format!("{:?}", state.session_at("a", position)));
    }
    for time_ms in 999..1_035 {
        told.push(format!("{:?}", state.position_at(time_ms)));
    }
    told
}

#[test]
fn archived_events_read_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let state = filled(dir.path());
    let before = read(&state);
    archive(&state, 1, 1_000);
    assert_eq!(read(&state), before);
    archive(&state, 1_001, 1_700);
    archive(&state, 1_701, 1_701);
    assert_eq!(read(&state), before);
    assert_eq!(state.archived().unwrap(), 1_701);

    // A replay over segments and state gives the rows that are served.
    let mut replay = Replay::new();
    while replay.position() < state.head().position {
        for event in state.events(replay.position() + 1, 500, 1 << 20).unwrap() {
            replay.feed(&event).unwrap();
        }
    }
    assert_eq!(replay.rows_digest().unwrap(), state.rows_digest().unwrap());
    assert_eq!(replay.tree_root(), state.tree_head().1);

    drop(state);
    let again = StateStore::open(dir.path()).unwrap();
    assert_eq!(read(&again), before);
    drop(again);
    let stopped = StateStore::open_read_only(dir.path()).unwrap();
    assert_eq!(read(&stopped), before);
}

#[test]
fn events_stay_where_the_log_names_others() {
    let dir = tempfile::tempdir().unwrap();
    let state = filled(dir.path());
    let before = read(&state);
    let mut sealed = state.seal(1, 500).unwrap();
    // A segment that is sealed and not in the log is a file and nothing more.
    assert_eq!(state.segments().unwrap(), []);
    sealed.root[0] ^= 1;
    let row = commit(&state, sealed);
    let error = state.move_out(&row).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(
        error
            .to_string()
            .contains("events 1 to 500 of this node are not those"),
        "{error}"
    );
    assert_eq!(state.standing(&row).unwrap(), SegmentStanding::Held);
    assert_eq!(read(&state), before);

    for (first, last) in [(0, 5), (6, 5), (1, 4_000), (1, SEGMENT_EVENTS_MAX + 1)] {
        let error = state.seal(first, last).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

#[test]
fn a_damaged_segment_is_noticed_wherever_it_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let state = filled(dir.path());
    let row = archive(&state, 1, 1_000);
    let path = state.segment_file(1, 1_000).unwrap();
    let events = state.events(1, 1_000, usize::MAX).unwrap();
    drop(state);
    let whole = std::fs::read(&path).unwrap();
    let step = whole.len() / 150;
    for place in (0..whole.len()).step_by(step.max(1)) {
        let mut damaged = whole.clone();
        damaged[place] ^= 1 << (place % 8);
        std::fs::write(&path, &damaged).unwrap();
        let state = StateStore::open(dir.path()).unwrap();
        // zstd has bits that mean nothing: where it is read, it is what was logged.
        if let Ok(found) = state.events(1, 1_000, usize::MAX) {
            assert_eq!(found, events, "byte {place}");
        }
    }
    for length in [0, 7, 8, 27, 28, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let state = StateStore::open(dir.path()).unwrap();
        assert!(
            state.events(1, 1_000, usize::MAX).is_err(),
            "{length} bytes"
        );
        assert!(state.event(5).is_err(), "{length} bytes");
    }
    // While the events are still in the state, it is written again.
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let state = filled(dir.path());
    let row_again = commit(&state, state.seal(1, 1_000).unwrap());
    assert_eq!(row_again.root, row.root);
    std::fs::copy(&path, state.segment_file(1, 1_000).unwrap()).unwrap();
    drop(state);
    let state = StateStore::open(dir.path()).unwrap();
    state.move_out(&row_again).unwrap();
    assert_eq!(state.events(1, 1_000, usize::MAX).unwrap(), events);
    let aside = state
        .segment_file(1, 1_000)
        .unwrap()
        .with_extension("damaged");
    assert!(aside.exists());
}

#[test]
fn a_missing_segment_is_named_and_can_be_got_from_another_node() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (state, source) = (filled(dir.path()), filled(other.path()));
    let before = read(&state);
    let row = archive(&state, 1, 1_000);
    archive(&source, 1, 1_000);
    drop(state);
    std::fs::remove_dir_all(dir.path().join("archive")).unwrap();
    let state = StateStore::open(dir.path()).unwrap();
    assert_eq!(state.standing(&row).unwrap(), SegmentStanding::Missing);
    for error in [
        state.event(5).unwrap_err(),
        state.events(5, 10, 1_000).unwrap_err(),
        state.session_events("a", 1, 10, 1_000).unwrap_err(),
        state.check_events(1, 1).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(
            error
                .to_string()
                .contains("is archived, its segment is not"),
            "{error}"
        );
    }
    assert_eq!(state.events(1_001, 1, 0).unwrap()[0].position, 1_001);

    // One of other events is refused and removed.
    let source_file = source.segment_file(1, 1_000).unwrap();
    let received = state.receive_segment(1, 1_000).unwrap();
    let mut bytes = std::fs::read(&source_file).unwrap();
    bytes[5_000] ^= 1;
    std::fs::write(&received, &bytes).unwrap();
    assert!(state.adopt_segment(&received, &row).is_err());
    assert!(!received.exists());
    assert_eq!(state.standing(&row).unwrap(), SegmentStanding::Missing);

    let received = state.receive_segment(1, 1_000).unwrap();
    std::fs::copy(&source_file, &received).unwrap();
    state.adopt_segment(&received, &row).unwrap();
    assert_eq!(state.standing(&row).unwrap(), SegmentStanding::Moved);
    assert_eq!(read(&state), before);
}

#[test]
fn the_archive_may_be_elsewhere() {
    use snakepit_storage::identity::link_archive;
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = elsewhere.path().join("cold");
    link_archive(dir.path(), &target).unwrap();
    link_archive(dir.path(), &target).unwrap();
    let state = filled(dir.path());
    let before = read(&state);
    archive(&state, 1, 1_000);
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 1);
    drop(state);
    // The setting is needed for writing only.
    let state = StateStore::open_read_only(dir.path()).unwrap();
    assert_eq!(read(&state), before);
    drop(state);
    let error = link_archive(dir.path(), &elsewhere.path().join("other")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(
        error.to_string().contains("hint: stop the node, move"),
        "{error}"
    );
}

#[test]
fn stored_events_can_be_checked_again() {
    let dir = tempfile::tempdir().unwrap();
    let state = filled(dir.path());
    archive(&state, 1, 700);
    let mut next = 1;
    let mut rounds = 0;
    while next != 0 {
        next = state.check_events(next, 3).unwrap();
        rounds += 1;
    }
    assert_eq!(rounds, 4);
    // From the middle of a block on, the block is checked whole.
    assert_eq!(state.check_events(300, 1).unwrap(), 513);
    assert_eq!(state.check_events(10_000, 1).unwrap(), 0);
}
