//! The read API of the state, and replays of its events.

mod suite;

use proptest::prelude::*;
use snakepit_machine::{Body, Row, RowKey, Rows, RowsExt, Value};
use snakepit_storage::codec::stored_event::chain;
use snakepit_storage::replay::{Replayed, in_threads};
use snakepit_storage::tree::{Frontier, leaf_hash};
use snakepit_storage::{
    ApplyEntry, MemoryState, Replay, ReplayError, StateStorage, StateStore, StoredEvent,
};
use suite::{
    apply, bind, command, create, delete, expire, history, put_pool, register, remove_pool, set,
    start_call, touch,
};

fn replayed(events: &[StoredEvent]) -> Replay {
    let mut replay = Replay::new();
    for event in events {
        replay.feed(event).unwrap();
    }
    replay
}

fn filled() -> (tempfile::TempDir, StateStore) {
    let dir = tempfile::tempdir().unwrap();
    let state = StateStore::open(dir.path()).unwrap();
    state.apply(history()).unwrap();
    (dir, state)
}

#[test]
fn events_and_their_chain() {
    let (_dir, state) = filled();
    let events = state.events(0, 1_000, usize::MAX).unwrap();
    assert_eq!(events.len() as u64, state.head().position);
    assert_eq!(events.last().unwrap().hash, state.head().chain_head);
    assert!(
        events
            .iter()
            .zip(1..)
            .all(|(event, position)| event.position == position)
    );
    assert_eq!(state.events(3, 2, usize::MAX).unwrap(), events[2..4]);
    assert_eq!(state.events(3, 10, 1).unwrap(), events[2..3]);
    assert_eq!(state.events(1_000, 10, 1).unwrap(), []);

    let replay = replayed(&events);
    assert_eq!(replay.chain_head(), state.head().chain_head);
    assert_eq!(replay.rows_digest().unwrap(), state.rows_digest().unwrap());
    assert_eq!(
        replay.rows().head().unwrap().sessions,
        state.head().sessions
    );
}

#[test]
fn what_a_newer_release_wrote_stays_in_chain_and_tree() {
    let (_dir, state) = filled();
    let mut events = state.events(0, 1_000, usize::MAX).unwrap();
    // Field 1023 of an event, which this release does not know.
    events[2].bytes.extend([0xf8, 0x3f, 1]);
    let mut hash = [0; 32];
    let mut tree = Frontier::default();
    for event in &mut events {
        hash = chain(&hash, &event.bytes);
        event.hash = hash;
        tree.push(leaf_hash(&event.bytes), |_, _| {});
    }
    let replay = replayed(&events);
    assert_eq!(replay.chain_head(), hash);
    assert_eq!(replay.tree_root(), tree.root());
    assert_ne!(replay.tree_root(), state.tree_head().1);
    assert_eq!(replay.rows_digest().unwrap(), state.rows_digest().unwrap());

    // An event of an unknown kind cannot be folded: payload 1016, an empty message.
    let mut replay = Replay::new();
    let bytes = vec![8, 1, 0xc2, 0x3f, 0];
    let unknown = StoredEvent {
        position: 1,
        hash: chain(&[0; 32], &bytes),
        bytes,
    };
    let error = replay.feed(&unknown).unwrap_err();
    assert!(matches!(
        error,
        ReplayError::Undecodable { position: 1, .. }
    ));
    assert!(error.to_string().contains("hint: read it with the release"));
    assert_eq!(replay.position(), 0);
}

#[test]
fn a_session_has_its_events_of_all_its_lives() {
    let (_dir, state) = filled();
    let events = state.session_events("c", 0, 100, usize::MAX).unwrap();
    let decode = |event: &StoredEvent| snakepit_proto::events::decode(&event.bytes).unwrap();
    let revisions: Vec<_> = events.iter().map(|event| decode(event).revision).collect();
    assert_eq!(revisions, [1, 2, 3, 1]);
    assert!(events.iter().all(|event| decode(event).session_id == "c"));
    let last = events.last().unwrap().position;
    assert_eq!(
        state.session_events("c", last, 100, usize::MAX).unwrap(),
        events[3..]
    );
    assert_eq!(state.position_of_revision("c", 1).unwrap(), Some(last));
    assert_eq!(state.position_of_revision("c", 0).unwrap(), Some(last));
    assert_eq!(state.position_of_revision("c", 2).unwrap(), None);
    let of_a = state.session_events("a", 0, 100, usize::MAX).unwrap();
    assert_eq!(
        state.position_of_revision("a", 2).unwrap(),
        Some(of_a[1].position)
    );
    assert_eq!(
        state.session_events("none", 0, 100, usize::MAX).unwrap(),
        []
    );
}

#[test]
fn lists_and_deadlines() {
    let (_dir, state) = filled();
    let reader = state.reader();
    let view = reader.view();
    let ids = |after: Option<&str>, limit| -> Vec<_> {
        let sessions = view.list_sessions(after, limit).unwrap();
        sessions.into_iter().map(|session| session.id).collect()
    };
    assert_eq!(ids(None, 10), ["a", "b", "c"]);
    assert_eq!(ids(None, 2), ["a", "b"]);
    assert_eq!(ids(Some("a"), 10), ["b", "c"]);
    let names = |session: &str, after: Option<&str>| -> Vec<_> {
        let variables = view.list_variables(session, after, 10).unwrap();
        variables
            .into_iter()
            .map(|variable| variable.name)
            .collect()
    };
    assert_eq!(names("a", None), ["x", "y"]);
    assert_eq!(names("a", Some("x")), ["y"]);
    assert_eq!(names("c", None), [""; 0]);
    assert_eq!(state.next_deadline().unwrap(), Some(6_000));
    let due = state.due_sessions(10_000, 10).unwrap();
    assert_eq!(due, [(6_000, "b".to_owned()), (9_003, "c".to_owned())]);
    assert_eq!(state.due_sessions(5_999, 10).unwrap(), []);
    assert_eq!(state.due_sessions(u64::MAX, 1).unwrap().len(), 1);
}

#[test]
fn pools_are_listed_and_the_head_tells_that_they_changed() {
    let (dir, state) = filled();
    let names = |state: &StateStore| -> Vec<(String, u64)> {
        let pools = state.with_view(|view| view.list_pools()).unwrap();
        pools
            .into_iter()
            .map(|pool| (pool.name, pool.version))
            .collect()
    };
    assert_eq!(names(&state), []);
    assert_eq!(state.head().pools_position, 0);
    let run = |index, body| {
        let outcomes = state.apply(vec![apply(index, 2_000, vec![command("", body)])]);
        outcomes.unwrap().remove(0).remove(0).unwrap();
    };
    run(6, put_pool("b", "{}"));
    run(7, put_pool("a-longer", "{}"));
    run(8, put_pool("b", r#"{"size":1}"#));
    let position = state.head().pools_position;
    assert_eq!(position, state.head().position);
    let listed = [("a-longer".to_owned(), 1), ("b".to_owned(), 2)];
    assert_eq!(names(&state), listed);
    let row = state.rows().pool("b").unwrap().unwrap();
    assert_eq!(
        (row.definition_json.as_str(), row.version),
        (r#"{"size":1}"#, 2)
    );
    assert_eq!(state.cached_rows().pool("b").unwrap(), Some(row));
    // What is no event of a pool, and what is no event at all, leaves it.
    run(9, touch("a"));
    run(10, put_pool("b", r#"{"size":1}"#));
    run(11, remove_pool("none"));
    assert_eq!(state.head().pools_position, position);
    let head = state.head();
    drop(state);
    let state = StateStore::open(dir.path()).unwrap();
    assert_eq!((state.head(), names(&state)), (head, listed.into()));
    state
        .apply(vec![apply(12, 3_000, vec![command("", remove_pool("b"))])])
        .unwrap();
    assert_eq!(names(&state), [("a-longer".to_owned(), 1)]);
    assert_eq!(state.head().pools_position, state.head().position);
    assert_eq!(state.with_view(|view| view.head_row()).unwrap().pools, 1);
}

#[test]
fn a_view_holds_still() {
    let (_dir, state) = filled();
    let reader = state.reader();
    let view = reader.view();
    let before = view.rows_digest().unwrap();
    let put = set("a", "x", Value::Integer(100.into()), 0);
    state
        .apply(vec![apply(6, 2_000, vec![command("", put)])])
        .unwrap();
    assert_eq!(view.rows_digest().unwrap(), before);
    assert_ne!(state.rows_digest().unwrap(), before);
    let value = |rows: &dyn Rows| rows.variable("a", "x").unwrap().unwrap().value.clone();
    assert_eq!(value(&view), Value::Integer(8.into()));
    assert_eq!(value(&state.rows()), Value::Integer(100.into()));
    assert_eq!(view.applied().unwrap().last.unwrap().index, 5);
    let long = RowKey::Variable("s".repeat(100_000), "x".into());
    assert_eq!(state.rows().get(&long).unwrap(), None::<Row>);
}

#[test]
fn a_replay_names_what_is_damaged() {
    let (_dir, state) = filled();
    let events = state.events(1, 100, usize::MAX).unwrap();
    let mut replay = replayed(&events[..2]);
    let error = replay.feed(&events[3]).unwrap_err();
    assert!(
        matches!(
            error,
            ReplayError::OutOfOrder {
                expected: 3,
                found: 4
            }
        ),
        "{error}"
    );
    let mut damaged = events[2].clone();
    damaged.bytes[0] ^= 1;
    let error = replay.feed(&damaged).unwrap_err();
    assert!(
        matches!(error, ReplayError::BrokenChain { position: 3, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("event 3"), "{error}");
    let bytes = b"not an event".to_vec();
    let hash = snakepit_storage::codec::stored_event::chain(&replay.chain_head(), &bytes);
    let error = replay
        .feed(&StoredEvent {
            position: 3,
            bytes,
            hash,
        })
        .unwrap_err();
    assert!(
        matches!(error, ReplayError::Undecodable { position: 3, .. }),
        "{error}"
    );
}

/// A replay in two threads, three events at once.
fn in_batches(events: &[StoredEvent], at: &[u64]) -> Replayed {
    let mut batches = events.chunks(3).map(<[_]>::to_vec);
    in_threads(|| batches.next(), at)
}

/// Whichever thread it is that finds something, what is told is the first of what is wrong.
#[test]
fn a_replay_in_threads_names_what_is_damaged() {
    let (_dir, state) = filled();
    let events = state.events(1, 100, usize::MAX).unwrap();
    let end = in_batches(&events, &[]).end.unwrap();
    assert_eq!(end.rows_digest().unwrap(), state.rows_digest().unwrap());
    assert_eq!(end.position(), state.head().position);

    let mut damaged = events.clone();
    damaged[4].bytes[0] ^= 1;
    let replayed = in_batches(&damaged, &[2, 9]);
    assert_eq!(replayed.checked.len(), 1);
    assert_eq!(replayed.checked[0].chain_head, events[1].hash);
    let error = replayed.end.unwrap_err();
    assert!(
        matches!(error, ReplayError::BrokenChain { position: 5, .. }),
        "{error}"
    );

    // A chain that is sound, of events that do not fold: without the first, a variable has no session. What
    // comes behind it, wrong in another way, is not what is told.
    let mut hash = [0; 32];
    let mut unfoldable = Vec::new();
    for (position, event) in (1..).zip(&events[1..]) {
        let mut event = snakepit_proto::events::decode(&event.bytes).unwrap();
        event.position = position;
        let bytes = snakepit_proto::events::encode(event.clone());
        hash = chain(&hash, &bytes);
        unfoldable.push(StoredEvent {
            position,
            bytes,
            hash,
        });
    }
    unfoldable[7].hash = [0; 32];
    for batch in [1, 3, 100] {
        let mut batches = unfoldable.chunks(batch).map(<[_]>::to_vec);
        let error = in_threads(|| batches.next(), &[]).end.unwrap_err();
        assert!(
            matches!(error, ReplayError::Unfoldable { position: 2, .. }),
            "{error}"
        );
    }
    let mut gap = events.clone();
    gap.remove(3);
    let error = in_batches(&gap, &[]).end.unwrap_err();
    assert!(
        matches!(
            error,
            ReplayError::OutOfOrder {
                expected: 4,
                found: 5
            }
        ),
        "{error}"
    );
}

fn body() -> impl Strategy<Value = Body> {
    let session = prop_oneof!["[ab]", "s[0-9]"];
    let name = "[xyz]";
    let value = prop_oneof![
        any::<i64>().prop_map(|number| Value::Integer(number.into())),
        any::<f64>().prop_map(Value::Float),
        ".{0,8}".prop_map(Value::String),
    ];
    (session, name, value, 0u64..3, 0..16).prop_map(|(session, name, value, version, which)| {
        let session = session.as_str();
        match which {
            0..=2 => create(session, 1_000 + version * 500),
            3 => delete(session),
            4 => touch(session),
            5 => expire(session),
            6..=8 => register(session, &name, value),
            9..=10 => set(session, &name, value, version),
            11 => put_pool(&name, session),
            12 => remove_pool(&name),
            13 => bind(session, "pool", &name),
            14 => start_call(if version == 0 { "" } else { session }, &name),
            _ => suite::delete_variable(session, &name),
        }
    })
}

fn entries() -> impl Strategy<Value = Vec<Vec<ApplyEntry>>> {
    let request = prop_oneof![3 => Just(String::new()), 2 => "r[0-9]"];
    let commands = proptest::collection::vec((request, body()), 0..6);
    let steps = proptest::collection::vec((0u64..400, any::<bool>(), commands), 1..60);
    steps.prop_map(|steps| {
        let mut groups: Vec<Vec<ApplyEntry>> = vec![Vec::new()];
        let mut time_ms = 1_000;
        for (index, (later, begins, commands)) in steps.into_iter().enumerate() {
            time_ms += later;
            let commands = commands
                .into_iter()
                .map(|(id, body)| command(&id, body))
                .collect();
            if begins {
                groups.push(Vec::new());
            }
            groups
                .last_mut()
                .unwrap()
                .push(apply(index as u64, time_ms, commands));
        }
        groups
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Rows on disk, rows in memory and rows of a replay are the same bytes.
    #[test]
    fn disk_memory_and_replay_agree(groups in entries()) {
        let dir = tempfile::tempdir().unwrap();
        let disk = StateStore::open(dir.path()).unwrap();
        let memory = MemoryState::new(dir.path().join("memory"));
        for (number, group) in groups.into_iter().enumerate() {
            let at_once = if number % 2 == 0 { disk.try_apply(&group).unwrap() } else { None };
            let on_disk = at_once.map_or_else(|| disk.apply(group.clone()), Ok).unwrap();
            prop_assert_eq!(on_disk, memory.apply(group).unwrap());
            prop_assert_eq!(disk.head(), memory.head());
        }
        let digest = disk.rows_digest().unwrap();
        prop_assert_eq!(digest, memory.rows_digest().unwrap());
        let events = disk.events(1, usize::MAX, usize::MAX).unwrap();
        prop_assert_eq!(&events, &memory.events(1, usize::MAX));
        let replay = replayed(&events);
        prop_assert_eq!(replay.rows_digest().unwrap(), digest);
        prop_assert_eq!(replay.chain_head(), disk.head().chain_head);
        let middle = events.len() as u64 / 2;
        let replayed = in_batches(&events, &[middle, 1_000_000]);
        let replay = replayed.end.unwrap();
        prop_assert_eq!(replay.rows_digest().unwrap(), digest);
        prop_assert_eq!(replay.tree_root(), disk.tree_head().1);
        let heads: Vec<_> = replayed.checked.iter().map(|of| (of.position, of.chain_head)).collect();
        let expected: Vec<_> = events.iter().filter(|of| of.position == middle).map(|of| (middle, of.hash)).collect();
        prop_assert_eq!(heads, expected);
        drop(disk);
        let again = StateStore::open(dir.path()).unwrap();
        prop_assert_eq!(again.rows_digest().unwrap(), digest);
    }
}
