//! What every state must do.

use snakepit_machine::{Answer, RejectionKind, Value};
use snakepit_storage::{ApplyEntry, ApplyPayload, StateStorage};

use super::{apply, command, create, history, id, members, register};

/// Run all of it, each part on fresh states.
pub fn run<S: StateStorage>(mut fresh: impl FnMut() -> S) {
    empty(&fresh());
    outcomes(&fresh());
    entries_are_applied_once(&fresh());
    grouping_does_not_matter(&fresh(), &fresh());
    snapshot_moves_the_state(&fresh(), &fresh());
    staging_is_kept(&fresh());
}

fn empty(state: &impl StateStorage) {
    assert_eq!(state.applied().unwrap(), Default::default());
    assert_eq!(state.current_snapshot().unwrap(), None);
    assert_eq!(state.apply(Vec::new()).unwrap(), Vec::<Vec<_>>::new());
}

fn outcomes(state: &impl StateStorage) {
    let outcomes = state.apply(history()).unwrap();
    assert_eq!(
        outcomes.iter().map(Vec::len).collect::<Vec<_>>(),
        [0, 0, 2, 3, 3, 4]
    );
    assert_eq!(outcomes[2][0], Ok(Answer::SessionCreated { created: true }));
    let Ok(Answer::VariablesSet { refused, .. }) = &outcomes[4][1] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(refused["x"].kind, RejectionKind::Conflict);
    // A repeated request gets the first answer.
    assert_eq!(outcomes[4][2], Ok(Answer::SessionCreated { created: true }));
    assert_eq!(
        outcomes[5][2],
        Ok(Answer::SessionDeleted {
            existed: true,
            resources: 1
        })
    );
    let applied = state.applied().unwrap();
    assert_eq!(applied.last, Some(id(1, 5)));
    assert_eq!(applied.membership_id, Some(id(1, 0)));
    assert_eq!(applied.membership, members(&[1, 2, 3]));
}

fn entries_are_applied_once(state: &impl StateStorage) {
    state.apply(history()).unwrap();
    let error = state.apply(vec![apply(5, 2_000, Vec::new())]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(state.applied().unwrap().last, Some(id(1, 5)));
}

fn grouping_does_not_matter(together: &impl StateStorage, apart: &impl StateStorage) {
    let expected = together.apply(history()).unwrap();
    let mut found = Vec::new();
    for entry in history() {
        found.extend(apart.apply(vec![entry]).unwrap());
    }
    assert_eq!(found, expected);
    assert_eq!(together.applied().unwrap(), apart.applied().unwrap());
}

fn snapshot_moves_the_state(from: &impl StateStorage, to: &impl StateStorage) {
    from.apply(history()).unwrap();
    let built = from.build_snapshot().unwrap();
    assert_eq!(built.state, from.applied().unwrap());
    assert_eq!(from.current_snapshot().unwrap(), Some(built.clone()));
    to.apply(vec![apply(
        0,
        500,
        vec![command("", create("gone", 60_000))],
    )])
    .unwrap();

    let staged = to.staging(&built.id).unwrap();
    for entry in std::fs::read_dir(&built.path).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), staged.join(entry.file_name())).unwrap();
    }
    let installed = to.install_snapshot(&staged).unwrap();
    assert_eq!((&installed.id, &installed.state), (&built.id, &built.state));
    assert!(!staged.exists());
    assert_eq!(to.current_snapshot().unwrap(), Some(installed));
    assert_eq!(to.applied().unwrap(), from.applied().unwrap());

    // Both go on from there, and alike.
    let more = || {
        let register = register("a", "more", Value::Boolean(true));
        vec![
            apply(
                6,
                2_000,
                vec![command("", register), command("r2", create("a", 1_000))],
            ),
            ApplyEntry {
                id: id(2, 7),
                payload: ApplyPayload::Membership(members(&[1, 2])),
            },
        ]
    };
    assert_eq!(from.apply(more()).unwrap(), to.apply(more()).unwrap());
    let next = to.build_snapshot().unwrap();
    assert_ne!(next.id, built.id);
    assert_eq!(to.current_snapshot().unwrap(), Some(next));
}

fn staging_is_kept(state: &impl StateStorage) {
    let staged = state.staging("1-2-abc").unwrap();
    std::fs::write(staged.join("half"), b"half").unwrap();
    assert_eq!(state.staging("1-2-abc").unwrap(), staged);
    assert_eq!(std::fs::read(staged.join("half")).unwrap(), b"half");
    assert!(state.staging("../elsewhere").is_err());
    assert!(state.install_snapshot(&staged).is_err());
}
