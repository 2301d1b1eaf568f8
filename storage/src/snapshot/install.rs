//! Putting a received snapshot in the place of the state.
//!
//! The new state is made in a folder of its own and opened there; one rename of one small file then makes it
//! the valid one. A crash before leaves the old state (and the staged files, for another try), a crash after
//! leaves the new one; what is left over is cleaned up on start.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::files::{link_or_copy, sync_file, verify};
use super::manifest::SnapshotManifest;
use crate::error::{damaged, file};
use crate::identity::{make_dir, sync_dir};
use crate::segment::SegmentFolder;
use crate::state_store::db::StateDb;
use crate::state_store::generation::Generation;
use crate::state_store::head::Published;
use crate::state_store::published;

/// The steps of an install, in order; a test may end it after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InstallStep {
    /// The received files are what the manifest says.
    Verified,
    /// They are on disk.
    Synced,
    /// The new generation has all files.
    Linked,
    /// It was opened and says what the manifest says.
    Opened,
    /// It is the valid one.
    Switched,
    /// The received folder has become the current snapshot.
    Adopted,
}

impl InstallStep {
    /// All of them, in order.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 6] = [
        Self::Verified,
        Self::Synced,
        Self::Linked,
        Self::Opened,
        Self::Switched,
        Self::Adopted,
    ];
}

/// A new generation that nothing names yet.
pub(crate) struct Prepared {
    pub manifest: SnapshotManifest,
    pub generation: Generation,
    pub db: StateDb,
    pub published: Published,
}

/// Check a received folder and make a generation of it.
pub(crate) fn prepare(
    staged: &Path,
    state: &Path,
    generation: &Generation,
    segments: Arc<SegmentFolder>,
    after: &mut dyn FnMut(InstallStep) -> io::Result<()>,
) -> io::Result<Prepared> {
    let manifest = SnapshotManifest::read(staged)?;
    verify(staged, &manifest)?;
    after(InstallStep::Verified)?;

    for entry in &manifest.files {
        sync_file(&staged.join(&entry.name))?;
    }
    sync_dir(staged)?;
    after(InstallStep::Synced)?;

    let generation = generation.next(&manifest.id);
    let path = generation.path(state);
    if path.exists() {
        fs::remove_dir_all(&path).map_err(file("remove", &path))?;
    }
    make_dir(&path)?;
    for entry in &manifest.files {
        link_or_copy(staged, &path, &entry.name)?;
    }
    sync_dir(&path)?;
    sync_dir(state)?;
    after(InstallStep::Linked)?;

    let db = StateDb::open(&path, segments)?;
    let published = published(&db).and_then(|published| agree(&manifest, published));
    let published = published.inspect_err(|_| db.mark_replaced())?;
    after(InstallStep::Opened)?;
    Ok(Prepared {
        manifest,
        generation,
        db,
        published,
    })
}

/// The state itself must say what the manifest says of it.
fn agree(manifest: &SnapshotManifest, published: Published) -> io::Result<Published> {
    let says = SnapshotManifest::new(&manifest.id, &published, manifest.files.clone());
    if says == *manifest {
        return Ok(published);
    }
    Err(damaged(format_args!(
        "snapshot {} is damaged: its manifest says {:?} at event {}, its rows say {:?} at event {}",
        manifest.id, manifest.last, manifest.position, says.last, says.position
    )))
}
