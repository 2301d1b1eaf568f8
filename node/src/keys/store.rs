//! The keys that a node has, each in a file that is overwritten before it is removed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::{Key, KeyId};

const SUFFIX: &str = ".key";

/// Keys by their ids, in files that only this user may read.
#[derive(Debug)]
pub struct KeyStore {
    dir: PathBuf,
    held: Mutex<BTreeMap<KeyId, Arc<Key>>>,
}

impl KeyStore {
    /// Open the folder of keys in a data directory, and read them.
    ///
    /// # Errors
    ///
    /// Whatever keeps the folder from being made or read; `InvalidData` where a file does not hold the key of its name.
    pub fn open(data: &Path) -> io::Result<Self> {
        let dir = data.join("keys");
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&dir)?;
        let mut held = BTreeMap::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(name) = name.and_then(|name| name.strip_suffix(SUFFIX)) else {
                // One that was not finished.
                destroy(&path)?;
                continue;
            };
            let key = Key::from_bytes(&fs::read(&path)?);
            match key.filter(|key| key.id().as_str() == name) {
                Some(key) => held.insert(key.id().clone(), Arc::new(key)),
                // What a crash left while it was overwritten.
                None => {
                    destroy(&path)?;
                    None
                }
            };
        }
        Ok(Self {
            dir,
            held: Mutex::new(held),
        })
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<KeyId, Arc<Key>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: &KeyId) -> PathBuf {
        self.dir.join(format!("{id}{SUFFIX}"))
    }

    /// A key, where this node has it.
    pub fn get(&self, id: &KeyId) -> Option<Arc<Key>> {
        self.held().get(id).cloned()
    }

    /// The keys that this node has, and when each was written.
    pub fn list(&self) -> Vec<(KeyId, SystemTime)> {
        let ids: Vec<KeyId> = self.held().keys().cloned().collect();
        let written = |id: &KeyId| fs::metadata(self.path(id)).and_then(|file| file.modified());
        ids.into_iter()
            .map(|id| {
                let at = written(&id).unwrap_or_else(|_| SystemTime::now());
                (id, at)
            })
            .collect()
    }

    /// Keep a key, durably.
    pub fn put(&self, key: Key) -> io::Result<Arc<Key>> {
        if let Some(held) = self.get(key.id()) {
            return Ok(held);
        }
        let key = Arc::new(key);
        let path = self.path(key.id());
        let temporary = path.with_extension(format!("{}.tmp", uuid::Uuid::now_v7().simple()));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(key.bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(&self.dir)?.sync_all()?;
        self.held().insert(key.id().clone(), key.clone());
        Ok(key)
    }

    /// Destroy a key: overwrite its file, remove it, forget it; whether it was there.
    pub fn destroy(&self, id: &KeyId) -> io::Result<bool> {
        let known = self.held().remove(id).is_some();
        let path = self.path(id);
        if !path.exists() {
            return Ok(known);
        }
        destroy(&path)?;
        File::open(&self.dir)?.sync_all()?;
        Ok(true)
    }
}

fn destroy(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let bytes = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&vec![0; bytes])?;
    file.sync_all()?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kept_and_destroyed() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::open(dir.path()).unwrap();
        let (first, second) = (Key::generate(), Key::generate());
        let (a, b) = (first.id().clone(), second.id().clone());
        let bytes = first.bytes().to_vec();
        store.put(first).unwrap();
        store.put(second).unwrap();
        store.put(Key::from_bytes(&bytes).unwrap()).unwrap();
        assert_eq!(store.list().len(), 2);
        drop(store);
        fs::write(dir.path().join("keys/x.tmp"), [1; 32]).unwrap();
        fs::write(
            dir.path().join(format!("keys/{}.key", "0".repeat(32))),
            [0; 32],
        )
        .unwrap();
        let store = KeyStore::open(dir.path()).unwrap();
        assert_eq!(store.get(&a).unwrap().bytes(), bytes);
        assert!(store.destroy(&a).unwrap());
        assert!(!store.destroy(&a).unwrap());
        assert!(store.get(&a).is_none());
        drop(store);
        let store = KeyStore::open(dir.path()).unwrap();
        let left: Vec<_> = store.list().into_iter().map(|(id, _)| id).collect();
        assert_eq!(left, [b]);
        let files: Vec<_> = fs::read_dir(dir.path().join("keys")).unwrap().collect();
        assert_eq!(files.len(), 1);
    }
}
