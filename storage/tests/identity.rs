//! Whose data it is, and that only one process uses it.

use snakepit_storage::identity::{DataLock, IdentityError};
use snakepit_storage::{DataDir, Identity, RaftStore, StateStore};

#[test]
fn an_identity_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let error = Identity::open_or_create(dir.path(), 1, None).unwrap_err();
    assert!(matches!(error, IdentityError::NoClusterId(_)), "{error}");
    let made = Identity::open_or_create(dir.path(), 1, Some("a1b2")).unwrap();
    assert_eq!((made.cluster_id.as_str(), made.node_id), ("a1b2", 1));
    assert_eq!(
        Identity::open_or_create(dir.path(), 1, Some("a1b2")).unwrap(),
        made
    );
    assert_eq!(Identity::open_or_create(dir.path(), 1, None).unwrap(), made);
    assert_eq!(Identity::read(dir.path()).unwrap(), Some(made));
}

#[test]
fn the_data_of_others_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Identity::open_or_create(dir.path(), 1, Some("a1b2")).unwrap();
    let error = Identity::open_or_create(dir.path(), 1, Some("c3d4"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("belongs to cluster a1b2, this node is configured for c3d4; hint:"),
        "{error}"
    );
    let error = Identity::open_or_create(dir.path(), 2, Some("a1b2"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("belongs to node 1, this node is configured as 2; hint:"),
        "{error}"
    );
}

#[test]
fn unknown_formats_and_damage_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = DataDir::new(dir.path()).identity();
    std::fs::write(&path, r#"{"format_version": 9, "whatever": true}"#).unwrap();
    let error = Identity::open_or_create(dir.path(), 1, Some("a")).unwrap_err();
    assert!(
        matches!(error, IdentityError::UnknownFormat { found: 9, .. }),
        "{error}"
    );
    std::fs::write(&path, "{").unwrap();
    let error = Identity::open_or_create(dir.path(), 1, Some("a")).unwrap_err();
    assert!(matches!(error, IdentityError::Unreadable { .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    drop(RaftStore::open(dir.path()).unwrap());
    let error = Identity::open_or_create(dir.path(), 1, Some("a")).unwrap_err();
    assert!(error.to_string().contains("identity.json"), "{error}");
}

#[test]
fn a_directory_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let lock = DataLock::acquire(dir.path()).unwrap();
    let error = DataLock::acquire(dir.path()).unwrap_err();
    assert!(matches!(error, IdentityError::InUse { .. }), "{error}");
    drop(StateStore::open(dir.path()).unwrap());
    let error = StateStore::open_read_only(dir.path()).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy);
    drop(lock);
    let reader = StateStore::open_read_only(dir.path()).unwrap();
    assert!(DataLock::acquire(dir.path()).is_err());
    drop(reader);
    DataLock::acquire(dir.path()).unwrap();
}
