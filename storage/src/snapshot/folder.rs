//! The snapshots of a node.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rocksdb::checkpoint::Checkpoint;

use super::InstallStep;
use super::files::{hash_file, is_immutable, sync_file};
use super::manifest::{MANIFEST_NAME, SnapshotFile, SnapshotManifest};
use crate::error::{file, rocks};
use crate::identity::{make_dir, sync_dir};
use crate::state_store::db::StateDb;
use crate::state_store::head::Published;
use crate::traits::{AppliedState, EntryId, SnapshotRef};

/// Complete snapshots that are kept: the current one, and one that may still be on its way to another node.
pub const SNAPSHOTS_KEPT: usize = 2;

/// Longest id of a snapshot, in bytes.
pub const ID_BYTES_MAX: usize = 128;

const BUILDING: &str = ".tmp";
const STAGING: &str = ".staging";

/// The folder of a node's snapshots.
pub(crate) struct SnapshotFolder {
    dir: PathBuf,
    current: Option<SnapshotManifest>,
    /// Hashes of immutable files by name and size, so that each is hashed once.
    hashes: BTreeMap<(String, u64), String>,
}

impl SnapshotFolder {
    /// Open it and clean up after a crash. `installed` names the snapshot that the state was made from: where
    /// a crash came before it was moved out of staging, that is done now.
    pub(crate) fn open(dir: &Path, installed: Option<&str>) -> io::Result<Self> {
        make_dir(dir)?;
        if let Some(id) = installed {
            check_id(id)?;
            let staged = dir.join(format!("{id}{STAGING}"));
            if !dir.join(id).exists() && SnapshotManifest::read(&staged).is_ok() {
                fs::rename(&staged, dir.join(id)).map_err(file("rename", &staged))?;
                sync_dir(dir)?;
            }
        }
        for (name, path) in folders(dir)? {
            if name.ends_with(BUILDING) {
                fs::remove_dir_all(&path).map_err(file("remove", &path))?;
            }
        }
        let mut this = Self {
            dir: dir.to_owned(),
            current: None,
            hashes: BTreeMap::new(),
        };
        if let Some(manifest) = this.complete()?.pop() {
            this.make_current(manifest);
        }
        Ok(this)
    }

    /// The current snapshot.
    pub(crate) fn current(&self) -> Option<SnapshotRef> {
        self.current
            .as_ref()
            .map(|manifest| manifest.reference(&self.path(&manifest.id)))
    }

    /// The current snapshot if it covers exactly this.
    pub(crate) fn current_of(&self, state: &AppliedState) -> Option<SnapshotRef> {
        self.current().filter(|current| current.state == *state)
    }

    /// A folder in which a snapshot can be received. Those of other snapshots go: only one is on its way.
    pub(crate) fn staging(&self, id: &str) -> io::Result<PathBuf> {
        check_id(id)?;
        let wanted = format!("{id}{STAGING}");
        for (name, path) in folders(&self.dir)? {
            if name.ends_with(STAGING) && name != wanted {
                fs::remove_dir_all(&path).map_err(file("remove", &path))?;
            }
        }
        let path = self.dir.join(wanted);
        make_dir(&path)?;
        Ok(path)
    }

    /// Hard links of all that the state consists of, under a temporary name. Nothing may be applied meanwhile.
    pub(crate) fn checkpoint(&self, db: &StateDb, id: &str) -> io::Result<PathBuf> {
        let path = self.dir.join(format!("{id}{BUILDING}"));
        Checkpoint::new(db.raw())
            .and_then(|checkpoint| checkpoint.create_checkpoint(&path))
            .map_err(rocks("make a checkpoint of the state"))?;
        Ok(path)
    }

    /// Make a snapshot of a checkpoint: hash, sync, rename; then drop older ones.
    pub(crate) fn finish(
        &mut self,
        checkpoint: PathBuf,
        id: &str,
        published: &Published,
    ) -> io::Result<SnapshotRef> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&checkpoint).map_err(file("list", &checkpoint))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push(self.describe(&entry.path(), name)?);
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let manifest = SnapshotManifest::new(id, published, files);
        manifest.write(&checkpoint)?;
        fs::rename(&checkpoint, self.path(id)).map_err(file("rename", &checkpoint))?;
        sync_dir(&self.dir)?;
        self.make_current(manifest.clone());
        self.drop_older()?;
        Ok(manifest.reference(&self.path(id)))
    }

    /// Make an installed snapshot the current one.
    pub(crate) fn adopt(
        &mut self,
        staged: &Path,
        manifest: SnapshotManifest,
        after: &mut dyn FnMut(InstallStep) -> io::Result<()>,
    ) -> io::Result<SnapshotRef> {
        let path = self.path(&manifest.id);
        if staged != path {
            if path.exists() {
                fs::remove_dir_all(&path).map_err(file("remove", &path))?;
            }
            fs::rename(staged, &path).map_err(file("rename", staged))?;
            sync_dir(&self.dir)?;
        }
        after(InstallStep::Adopted)?;
        let reference = manifest.reference(&path);
        // Another node numbered these files.
        self.hashes.clear();
        self.make_current(manifest);
        self.drop_older()?;
        Ok(reference)
    }

    fn describe(&mut self, path: &Path, name: String) -> io::Result<SnapshotFile> {
        let bytes = fs::metadata(path).map_err(file("look at", path))?.len();
        let key = (name, bytes);
        let blake3 = match self.hashes.get(&key) {
            Some(hash) => hash.clone(),
            None => {
                sync_file(path)?;
                hash_file(path)?
            }
        };
        Ok(SnapshotFile {
            name: key.0,
            bytes,
            blake3,
        })
    }

    /// Files that are in no later snapshot are gone from the state: only the current one's hashes are kept.
    fn make_current(&mut self, manifest: SnapshotManifest) {
        self.hashes = manifest
            .files
            .iter()
            .filter(|file| is_immutable(&file.name))
            .map(|file| ((file.name.clone(), file.bytes), file.blake3.clone()))
            .collect();
        self.current = Some(manifest);
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(id)
    }

    /// Manifests of complete snapshots, the latest last.
    fn complete(&self) -> io::Result<Vec<SnapshotManifest>> {
        let mut manifests = Vec::new();
        for (name, path) in folders(&self.dir)? {
            if name.ends_with(STAGING) || name.ends_with(BUILDING) {
                continue;
            }
            match SnapshotManifest::read(&path) {
                Ok(manifest) if manifest.id == name => manifests.push(manifest),
                Ok(manifest) => {
                    tracing::warn!(
                        folder = name,
                        id = manifest.id,
                        "ignoring a misnamed snapshot"
                    );
                }
                Err(error) => {
                    tracing::warn!(folder = name, %error, "ignoring an unreadable snapshot");
                }
            }
        }
        manifests.sort_by(|a, b| (a.last, &a.id).cmp(&(b.last, &b.id)));
        Ok(manifests)
    }

    fn drop_older(&self) -> io::Result<()> {
        let current = self.current.as_ref().map(|manifest| manifest.id.clone());
        let mut others = self.complete()?;
        others.retain(|manifest| Some(&manifest.id) != current.as_ref());
        let surplus = others.len().saturating_sub(SNAPSHOTS_KEPT - 1);
        for manifest in &others[..surplus] {
            let path = self.path(&manifest.id);
            // Without its manifest it is not complete, should the removal be interrupted.
            let listed = path.join(MANIFEST_NAME);
            fs::remove_file(&listed).map_err(file("remove", &listed))?;
            fs::remove_dir_all(&path).map_err(file("remove", &path))?;
        }
        Ok(())
    }
}

/// An id for a new snapshot: readable, and never given twice.
pub(crate) fn new_id(last: Option<EntryId>) -> String {
    let unique = uuid::Uuid::now_v7().simple();
    match last {
        Some(id) => format!("{}-{}-{unique}", id.term, id.index),
        None => format!("empty-{unique}"),
    }
}

/// Refuse ids that are not plain names of folders.
pub(crate) fn check_id(id: &str) -> io::Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(plain) {
        return Ok(());
    }
    let message = format!("{id:?} is not the id of a snapshot: letters, digits, - and _ only");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

fn folders(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(file("list", dir))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push((
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            ));
        }
    }
    Ok(found)
}
