//! Snapshots: built, sent in pieces, installed, interrupted, damaged.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use snakepit_machine::{Body, Command, CreateSession, Limits, Origin, Proposal};

use super::*;
use crate::state_store::Older;
use crate::{ApplyEntry, ApplyPayload, EntryId, SnapshotRef, StateStorage, StateStore};

fn apply(state: &StateStore, index: u64, sessions: std::ops::Range<u64>) {
    let commands = sessions.map(|number| Command {
        origin: Origin::default(),
        body: Body::CreateSession(CreateSession {
            session_id: format!("session-{number}"),
            metadata: Default::default(),
            ttl_ms: 60_000,
            config: Default::default(),
            subject: String::new(),
        }),
    });
    let proposal = Proposal {
        time_ms: 1_000,
        limits: Limits::default(),
        commands: commands.collect(),
    };
    let id = EntryId { term: 1, index };
    state
        .apply(vec![ApplyEntry {
            id,
            payload: ApplyPayload::Proposal(proposal),
        }])
        .unwrap();
}

struct Fixture {
    _dirs: Vec<tempfile::TempDir>,
    from: StateStore,
    built: SnapshotRef,
    data: PathBuf,
}

/// A snapshot on one node, and the data directory of another that is behind.
fn fixture() -> Fixture {
    let dirs: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let from = StateStore::open(dirs[0].path()).unwrap();
    apply(&from, 0, 0..50);
    apply(&from, 1, 50..60);
    let built = from.build_snapshot().unwrap();
    let data = dirs[1].path().to_owned();
    let to = StateStore::open(&data).unwrap();
    apply(&to, 0, 0..50);
    Fixture {
        _dirs: dirs,
        from,
        built,
        data,
    }
}

/// Receive a snapshot as the Raft layer does, `piece` bytes of each file at a time and no more than `limit`
/// in all; whether it is complete.
fn receive(built: &Path, staged: &Path, piece: u64, mut limit: u64) -> bool {
    let manifest = SnapshotManifest::read(built).unwrap();
    for file in &manifest.files {
        loop {
            let have = bytes_received(staged, &file.name).unwrap();
            if have == file.bytes && staged.join(&file.name).exists() {
                break;
            }
            if limit == 0 {
                return false;
            }
            let take = piece.min(limit);
            let source = open_at(built, &file.name, have).unwrap();
            let mut bytes = Vec::new();
            source.take(take).read_to_end(&mut bytes).unwrap();
            receive_at(staged, &file.name, have)
                .unwrap()
                .write_all(&bytes)
                .unwrap();
            limit -= bytes.len() as u64;
        }
    }
    manifest.write(staged).unwrap();
    true
}

fn generations(data: &Path) -> usize {
    let entries = fs::read_dir(data.join("state")).unwrap();
    entries
        .filter(|entry| entry.as_ref().unwrap().path().is_dir())
        .count()
}

#[test]
fn a_transfer_goes_on_after_an_interruption() {
    let fixture = fixture();
    let to = StateStore::open(&fixture.data).unwrap();
    let staged = to.staging(&fixture.built.id).unwrap();
    assert!(!receive(&fixture.built.path, &staged, 100, 1_000));
    assert!(to.install_snapshot(&staged).is_err());
    drop(to);

    let to = StateStore::open(&fixture.data).unwrap();
    let staged = to.staging(&fixture.built.id).unwrap();
    assert!(SnapshotManifest::read(&staged).is_err());
    let files = SnapshotManifest::read(&fixture.built.path).unwrap().files;
    let received = files
        .iter()
        .map(|file| bytes_received(&staged, &file.name).unwrap());
    assert_eq!(received.sum::<u64>(), 1_000);
    assert!(receive(&fixture.built.path, &staged, 4_096, u64::MAX));

    let reader = to.reader();
    let view = reader.view();
    let before = view.rows_digest().unwrap();
    to.install_snapshot(&staged).unwrap();
    // A reader in flight finishes on the old state.
    assert_eq!(view.rows_digest().unwrap(), before);
    assert_eq!(to.head(), fixture.from.head());
    assert_eq!(
        to.rows_digest().unwrap(),
        fixture.from.rows_digest().unwrap()
    );
    assert_eq!(
        to.events(1, usize::MAX, usize::MAX).unwrap(),
        fixture.from.events(1, usize::MAX, usize::MAX).unwrap()
    );
    assert_eq!(generations(&fixture.data), 2);
    drop(view);
    drop(reader);
    assert_eq!(generations(&fixture.data), 1);
}

#[test]
fn a_crash_at_any_step_leaves_one_good_state() {
    for step in InstallStep::ALL {
        let fixture = fixture();
        let to = StateStore::open(&fixture.data).unwrap();
        let (old, new) = (
            to.rows_digest().unwrap(),
            fixture.from.rows_digest().unwrap(),
        );
        let staged = to.staging(&fixture.built.id).unwrap();
        receive(&fixture.built.path, &staged, u64::MAX, u64::MAX);
        let crash = to.install(&staged, Older::Refused, &mut |done| match done == step {
            true => Err(io::Error::other("crash")),
            false => Ok(()),
        });
        assert_eq!(crash.unwrap_err().to_string(), "crash");
        drop(to);

        let to = StateStore::open(&fixture.data).unwrap();
        assert_eq!(generations(&fixture.data), 1, "{step:?}");
        let switched = matches!(step, InstallStep::Switched | InstallStep::Adopted);
        assert_eq!(
            to.rows_digest().unwrap(),
            if switched { new } else { old },
            "{step:?}"
        );
        let current = to.current_snapshot().unwrap().map(|snapshot| snapshot.id);
        assert_eq!(
            current,
            switched.then(|| fixture.built.id.clone()),
            "{step:?}"
        );
        if !switched {
            // What was received is still there for another try.
            let staged = to.staging(&fixture.built.id).unwrap();
            to.install_snapshot(&staged).unwrap();
            assert_eq!(to.rows_digest().unwrap(), new, "{step:?}");
        }
        apply(&to, 2, 60..70);
        drop(to);
        let to = StateStore::open(&fixture.data).unwrap();
        assert_eq!(to.head().sessions, 70, "{step:?}");
        assert_eq!(
            to.current_snapshot().unwrap().unwrap().id,
            fixture.built.id,
            "{step:?}"
        );
    }
}

#[test]
fn damage_is_refused_and_received_again() {
    let fixture = fixture();
    let to = StateStore::open(&fixture.data).unwrap();
    let before = to.rows_digest().unwrap();
    let staged = to.staging(&fixture.built.id).unwrap();
    receive(&fixture.built.path, &staged, u64::MAX, u64::MAX);
    let manifest = SnapshotManifest::read(&staged).unwrap();
    let victim = manifest
        .files
        .iter()
        .find(|file| file.name.ends_with(".sst"))
        .unwrap();
    let path = staged.join(&victim.name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = to.install_snapshot(&staged).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains(&victim.name), "{error}");
    assert!(!path.exists());
    assert_eq!(to.rows_digest().unwrap(), before);
    assert!(receive(&fixture.built.path, &staged, u64::MAX, u64::MAX));

    // A manifest that says something else than the rows.
    let lie = SnapshotManifest {
        position: manifest.position + 1,
        ..manifest.clone()
    };
    lie.write(&staged).unwrap();
    let error = to.install_snapshot(&staged).unwrap_err();
    assert!(error.to_string().contains("its manifest says"), "{error}");
    manifest.write(&staged).unwrap();
    to.install_snapshot(&staged).unwrap();
    assert_eq!(to.head(), fixture.from.head());
}

#[test]
fn an_older_snapshot_is_refused() {
    let fixture = fixture();
    let to = StateStore::open(&fixture.data).unwrap();
    apply(&to, 7, 100..101);
    let staged = to.staging(&fixture.built.id).unwrap();
    receive(&fixture.built.path, &staged, u64::MAX, u64::MAX);
    let error = to.install_snapshot(&staged).unwrap_err();
    assert!(
        error.to_string().contains("older than the state"),
        "{error}"
    );
    assert_eq!(to.head().applied.unwrap().index, 7);
    assert_eq!(generations(&fixture.data), 1);
}

#[test]
fn older_snapshots_and_other_stagings_go() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateStore::open(dir.path()).unwrap();
    let mut ids = Vec::new();
    for index in 0..5 {
        apply(&state, index, index * 10..index * 10 + 10);
        ids.push(state.build_snapshot().unwrap().id);
    }
    let names = || {
        let entries = fs::read_dir(dir.path().join("snapshots")).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(), ids[3..]);
    state.staging("other-1").unwrap();
    state.staging("other-2").unwrap();
    assert_eq!(names().last().unwrap(), "other-2.staging");
    assert_eq!(names().len(), 3);
    // What a crash left while a snapshot was built.
    fs::create_dir(dir.path().join("snapshots/1-9-x.tmp")).unwrap();
    drop(state);
    let state = StateStore::open(dir.path()).unwrap();
    assert_eq!(names().len(), 3);
    assert_eq!(state.current_snapshot().unwrap().unwrap().id, ids[4]);
    // Each file of each snapshot is what its manifest says, hashes from earlier snapshots included.
    for id in &ids[3..] {
        let path = dir.path().join("snapshots").join(id);
        verify(&path, &SnapshotManifest::read(&path).unwrap()).unwrap();
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/x",
        "manifest.json",
        "manifest.json.tmp",
        "a/",
    ] {
        assert!(manifest::check_name(name).is_err(), "{name}");
    }
    for name in ["CURRENT", "000012.sst", "MANIFEST-000005"] {
        manifest::check_name(name).unwrap();
    }
    for id in ["", "..", "a/b", "a.tmp", &"x".repeat(200)] {
        assert!(check_id(id).is_err(), "{id}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(receive_at(dir.path(), "x", 1).is_err());
}
