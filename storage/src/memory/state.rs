//! The state in maps. Its snapshots are the stored events: installing one replays them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use snakepit_machine::{MemoryRows, Outcome, RowsExt};

use crate::codec::keys::position;
use crate::codec::stored_event;
use crate::error::{damaged, file};
use crate::replay::{Replay, ReplayedRows};
use crate::snapshot::{self, SnapshotFile, SnapshotManifest, hash_file, verify};
use crate::state_store::fold::{Folded, fold, unreadable};
use crate::state_store::head::Published;
use crate::state_store::{Head, RowsDigest, StoredEvent};
use crate::sync::lock;
use crate::traits::{AppliedState, ApplyEntry, SnapshotRef, StateStorage};
use crate::tree::Hash;

const EVENTS_NAME: &str = "events";

/// A state in memory, with its snapshots in a folder.
#[derive(Debug)]
pub struct MemoryState {
    dir: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    rows: MemoryRows,
    events: Vec<StoredEvent>,
    published: Published,
    snapshot: Option<SnapshotRef>,
}

impl MemoryState {
    /// An empty state whose snapshots go to a folder.
    pub fn new(snapshots: impl Into<PathBuf>) -> Self {
        Self {
            dir: snapshots.into(),
            inner: Mutex::default(),
        }
    }

    /// How far it has come.
    pub fn head(&self) -> Head {
        lock(&self.inner).published.head
    }

    /// Root of the tree of all events.
    pub fn tree_root(&self) -> Hash {
        lock(&self.inner).published.tree.root()
    }

    /// A copy of all rows.
    pub fn rows(&self) -> MemoryRows {
        lock(&self.inner).rows.clone()
    }

    /// Events from a position on, at most `limit`.
    pub fn events(&self, from_position: u64, limit: usize) -> Vec<StoredEvent> {
        let skipped = usize::try_from(from_position.saturating_sub(1)).unwrap_or(usize::MAX);
        lock(&self.inner)
            .events
            .iter()
            .skip(skipped)
            .take(limit)
            .cloned()
            .collect()
    }

    /// Digest of all rows.
    pub fn rows_digest(&self) -> io::Result<RowsDigest> {
        Ok(ReplayedRows::from(&lock(&self.inner).rows).digest()?)
    }
}

impl StateStorage for MemoryState {
    fn applied(&self) -> io::Result<AppliedState> {
        Ok(lock(&self.inner).published.applied.clone())
    }

    fn apply(&self, entries: Vec<ApplyEntry>) -> io::Result<Vec<Vec<Outcome>>> {
        let mut inner = lock(&self.inner);
        let before = &inner.published;
        let folded = fold(
            &inner.rows,
            before.applied.clone(),
            before.chain(),
            &entries,
        )?;
        let Folded {
            outcomes,
            changes,
            events,
            applied,
            chain,
            ..
        } = folded;
        inner.rows.commit(changes);
        inner
            .events
            .extend(events.into_iter().map(|event| StoredEvent {
                position: event.position,
                bytes: event.bytes,
                hash: event.hash,
            }));
        let row = inner.rows.head().map_err(unreadable)?;
        inner.published = Published::new(applied, chain, &row);
        Ok(outcomes)
    }

    fn try_apply(&self, entries: &[ApplyEntry]) -> io::Result<Option<Vec<Vec<Outcome>>>> {
        self.apply(entries.to_vec()).map(Some)
    }

    fn build_snapshot(&self) -> io::Result<SnapshotRef> {
        let mut inner = lock(&self.inner);
        let id = snapshot::new_id(inner.published.applied.last);
        let path = self.dir.join(&id);
        fs::create_dir_all(&path).map_err(file("make directory", &path))?;
        let listed = path.join(EVENTS_NAME);
        fs::write(&listed, encode(&inner.events)).map_err(file("write", &listed))?;
        let bytes = fs::metadata(&listed)
            .map_err(file("look at", &listed))?
            .len();
        let blake3 = hash_file(&listed)?;
        let files = vec![SnapshotFile {
            name: EVENTS_NAME.into(),
            bytes,
            blake3,
        }];
        let manifest = SnapshotManifest::new(&id, &inner.published, files);
        manifest.write(&path)?;
        let reference = manifest.reference(&path);
        inner.snapshot = Some(reference.clone());
        Ok(reference)
    }

    fn current_snapshot(&self) -> io::Result<Option<SnapshotRef>> {
        Ok(lock(&self.inner).snapshot.clone())
    }

    fn staging(&self, snapshot_id: &str) -> io::Result<PathBuf> {
        snapshot::check_id(snapshot_id)?;
        let path = self.dir.join(format!("{snapshot_id}.staging"));
        fs::create_dir_all(&path).map_err(file("make directory", &path))?;
        Ok(path)
    }

    fn install_snapshot(&self, staged: &Path) -> io::Result<SnapshotRef> {
        let manifest = SnapshotManifest::read(staged)?;
        verify(staged, &manifest)?;
        let listed = staged.join(EVENTS_NAME);
        let events = decode(&fs::read(&listed).map_err(file("read", &listed))?)?;
        let mut replay = Replay::new();
        for event in &events {
            replay
                .feed(event)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        let rows = replay.rows().to_memory()?;
        let row = rows.head().map_err(unreadable)?;
        let published = Published::new(manifest.state(), replay.chain().clone(), &row);
        let path = self.dir.join(&manifest.id);
        if path != staged {
            if path.exists() {
                fs::remove_dir_all(&path).map_err(file("remove", &path))?;
            }
            fs::rename(staged, &path).map_err(file("rename", staged))?;
        }
        let reference = manifest.reference(&path);
        let mut inner = lock(&self.inner);
        inner.rows = rows;
        inner.events = events;
        inner.published = published;
        inner.snapshot = Some(reference.clone());
        Ok(reference)
    }
}

/// Position, length and stored value of each event.
fn encode(events: &[StoredEvent]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        let value = stored_event::encode(&event.hash, &event.bytes);
        bytes.extend_from_slice(&position::encode(event.position));
        bytes.extend_from_slice(&(value.len() as u64).to_be_bytes());
        bytes.extend_from_slice(&value);
    }
    bytes
}

fn decode(mut bytes: &[u8]) -> io::Result<Vec<StoredEvent>> {
    let short = || damaged("the snapshot's events end too early");
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at_checked(16).ok_or_else(short)?;
        let at = position::decode(&head[..8])?;
        let length = usize::try_from(position::decode(&head[8..])?).unwrap_or(usize::MAX);
        let (value, rest) = rest.split_at_checked(length).ok_or_else(short)?;
        let (hash, content) = stored_event::decode(at, value)?;
        events.push(StoredEvent {
            position: at,
            bytes: content.to_vec(),
            hash,
        });
        bytes = rest;
    }
    Ok(events)
}
