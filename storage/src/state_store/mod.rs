//! The state in RocksDB: events and rows, one write for each apply.

mod apply;
mod archive;
mod cache;
mod columns;
mod commit;
mod configs;
pub(crate) mod db;
mod digest;
mod events;
pub(crate) mod fold;
pub(crate) mod generation;
pub(crate) mod head;
mod past;
mod read;
mod rows;
mod scrub;
mod tree;
mod view;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use snakepit_machine::{Outcome, RowsExt};

use self::apply::Applying;
use self::configs::SessionConfigs;
use self::db::StateDb;
use self::generation::Generation;
use self::head::Published;
use self::rows::DbRows;
use crate::identity::{DataDir, DataLock};
use crate::segment::SegmentFolder;
use crate::snapshot::{self, SnapshotFolder};
use crate::sync::{lock, read, write};
use crate::traits::{AppliedState, ApplyEntry, SnapshotRef, StateStorage};

pub use self::archive::{SEGMENT_EVENTS_MAX, Sealed, SegmentStanding};
pub use self::digest::{RowBytes, RowsDigest, RowsDigester};
pub use self::events::StoredEvent;
pub use self::head::Head;
pub use self::past::PastSession;
pub use self::read::StateReader;
pub use self::rows::{CachedRows, LatestRows};
pub use self::view::StateView;

/// The state of one node; cheap to clone.
#[derive(Clone)]
pub struct StateStore {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    data: DataDir,
    /// The valid generation. Readers take the `Arc` and let the lock go.
    db: RwLock<Arc<StateDb>>,
    published: RwLock<Arc<Published>>,
    configs: SessionConfigs,
    /// Held while entries are applied or a generation is replaced.
    apply: Mutex<Applying>,
    /// Held while a snapshot is built or installed; `None` where the store is for reading only. Taken before
    /// `apply` where both are.
    snapshots: Mutex<Option<Snapshots>>,
    /// Held where the store is for reading only and nobody else holds it.
    _lock: Option<DataLock>,
}

pub(crate) struct Snapshots {
    pub folder: SnapshotFolder,
    pub generation: Generation,
}

impl StateStore {
    /// Open the state in a data directory, or make a new one; finishes what a crash has interrupted.
    ///
    /// # Errors
    ///
    /// `InvalidData` where it is damaged, `Unsupported` where another release wrote it.
    pub fn open(data: &Path) -> io::Result<Self> {
        let data = DataDir::new(data);
        let generation = Generation::open(&data.state())?;
        let folder = SnapshotFolder::open(&data.snapshots(), generation.snapshot.as_deref())?;
        let segments = Arc::new(SegmentFolder::open(&data.archive())?);
        let db = StateDb::open(&generation.path(&data.state()), segments)?;
        Self::around(data, db, Some(Snapshots { folder, generation }), None)
    }

    /// Open the state of a stopped node for reading; nothing in the directory is changed, and a node cannot be
    /// started on it meanwhile.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` where a node is running, `NotFound` where there is no state.
    pub fn open_read_only(data: &Path) -> io::Result<Self> {
        let data = DataDir::new(data);
        let Some(generation) = Generation::read(&data.state())? else {
            let message = format!("{} holds no state of a node", data.root().display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        };
        let held = DataLock::acquire(data.root())?;
        let segments = Arc::new(SegmentFolder::open_read_only(&data.archive())?);
        let db = StateDb::open_read_only(&generation.path(&data.state()), segments)?;
        Self::around(data, db, None, Some(held))
    }

    fn around(
        data: DataDir,
        db: StateDb,
        snapshots: Option<Snapshots>,
        held: Option<DataLock>,
    ) -> io::Result<Self> {
        let published = published(&db)?;
        Ok(Self {
            shared: Arc::new(Shared {
                data,
                db: RwLock::new(Arc::new(db)),
                published: RwLock::new(Arc::new(published)),
                configs: SessionConfigs::default(),
                apply: Mutex::default(),
                snapshots: Mutex::new(snapshots),
                _lock: held,
            }),
        })
    }

    /// How far the state has come; does not touch the disk.
    pub fn head(&self) -> Head {
        read(&self.shared.published).head
    }

    /// Rows at the latest state, as the machine reads them.
    pub fn rows(&self) -> LatestRows {
        LatestRows { db: self.db() }
    }

    /// Rows at the latest state, as far as they are in memory.
    pub fn cached_rows(&self) -> CachedRows {
        CachedRows::new(self.db())
    }

    /// The valid generation, for reading events and for views. Holding it keeps a replaced one on disk.
    pub fn reader(&self) -> StateReader {
        StateReader { db: self.db() }
    }

    /// Read at one moment of the state.
    pub fn with_view<T>(&self, read: impl FnOnce(&StateView<'_>) -> T) -> T {
        read(&self.reader().view())
    }

    pub(crate) fn db(&self) -> Arc<StateDb> {
        Arc::clone(&read(&self.shared.db))
    }

    fn published(&self) -> Arc<Published> {
        Arc::clone(&read(&self.shared.published))
    }
}

/// What an instance says about itself.
pub(crate) fn published(db: &StateDb) -> io::Result<Published> {
    let row = DbRows(db).head().map_err(fold::unreadable)?;
    let chain = db.chain()?;
    if row.position != chain.position {
        return Err(crate::error::damaged(format_args!(
            "the rows are at event {}, the chain is at event {}",
            row.position, chain.position
        )));
    }
    Ok(Published::new(db.applied()?.into(), chain, &row))
}

fn read_only() -> io::Error {
    io::Error::new(
        io::ErrorKind::ReadOnlyFilesystem,
        "the state is open for reading only",
    )
}

impl StateStorage for StateStore {
    fn applied(&self) -> io::Result<AppliedState> {
        Ok(self.published().applied.clone())
    }

    fn apply(&self, entries: Vec<ApplyEntry>) -> io::Result<Vec<Vec<Outcome>>> {
        self.apply_waiting(&entries)
    }

    fn try_apply(&self, entries: &[ApplyEntry]) -> io::Result<Option<Vec<Vec<Outcome>>>> {
        self.apply_at_once(entries)
    }

    fn build_snapshot(&self) -> io::Result<SnapshotRef> {
        let mut snapshots = lock(&self.shared.snapshots);
        let snapshots = snapshots.as_mut().ok_or_else(read_only)?;
        // Most of the memory is flushed here, so that applying waits below for little more than hard links.
        self.db().flush()?;
        let id;
        let published;
        let checkpoint;
        {
            let _applying = lock(&self.shared.apply);
            published = self.published();
            if let Some(current) = snapshots.folder.current_of(&published.applied) {
                return Ok(current);
            }
            id = snapshot::new_id(published.applied.last);
            checkpoint = snapshots.folder.checkpoint(&self.db(), &id)?;
        }
        snapshots.folder.finish(checkpoint, &id, &published)
    }

    fn current_snapshot(&self) -> io::Result<Option<SnapshotRef>> {
        let snapshots = lock(&self.shared.snapshots);
        Ok(snapshots.as_ref().ok_or_else(read_only)?.folder.current())
    }

    fn staging(&self, snapshot_id: &str) -> io::Result<PathBuf> {
        let snapshots = lock(&self.shared.snapshots);
        snapshots
            .as_ref()
            .ok_or_else(read_only)?
            .folder
            .staging(snapshot_id)
    }

    fn install_snapshot(&self, staged: &Path) -> io::Result<SnapshotRef> {
        self.install(staged, Older::Refused, &mut |_| Ok(()))
    }
}

/// Whether a snapshot may take the place of a later state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Older {
    Refused,
    Taken,
}

impl StateStore {
    /// Put a received snapshot in the place of this state although it may be later: for a state that is wrong. What
    /// came behind the snapshot is applied again from the Raft log, which must have it; nothing may be applied
    /// meanwhile.
    pub fn replace(&self, staged: &Path) -> io::Result<SnapshotRef> {
        self.install(staged, Older::Taken, &mut |_| Ok(()))
    }

    /// Install with a look in after each step; an error there stands for a crash.
    pub(crate) fn install(
        &self,
        staged: &Path,
        older: Older,
        after: &mut dyn FnMut(snapshot::InstallStep) -> io::Result<()>,
    ) -> io::Result<SnapshotRef> {
        let mut snapshots = lock(&self.shared.snapshots);
        let snapshots = snapshots.as_mut().ok_or_else(read_only)?;
        let state = self.shared.data.state();
        let segments = self.db().segments().clone();
        let prepared = snapshot::prepare(staged, &state, &snapshots.generation, segments, after)?;
        let mut applying = lock(&self.shared.apply);
        applying.clear();
        let before = self.published();
        if older == Older::Refused && prepared.published.applied.last < before.applied.last {
            prepared.db.mark_replaced();
            let message = format!(
                "snapshot {} is older than the state, which is at {:?}",
                prepared.manifest.id, before.applied.last
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        prepared.generation.make_current(&state)?;
        snapshots.generation = prepared.generation;
        let old = std::mem::replace(&mut *write(&self.shared.db), Arc::new(prepared.db));
        old.mark_replaced();
        *write(&self.shared.published) = Arc::new(prepared.published);
        self.shared.configs.forget_all();
        drop(old);
        after(snapshot::InstallStep::Switched)?;
        snapshots.folder.adopt(staged, prepared.manifest, after)
    }
}
