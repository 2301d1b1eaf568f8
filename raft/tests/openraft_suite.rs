//! openraft's own suite for log and state stores, against ours: on disk and in memory.

use std::sync::Arc;
use std::time::Duration;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use snakepit_raft::{Log, State, TypeConfig};
use snakepit_storage::{MemoryLog, MemoryState, RaftStore, StateStore};
use tempfile::TempDir;

/// What nobody waits for is applied together.
const LAG_MAX: Duration = Duration::from_millis(20);

/// Small, so that the suite sees reads that are cut short.
const READ_BYTES_MAX: usize = 64;

struct OnDisk;

impl StoreBuilder<TypeConfig, Log<RaftStore>, State<StateStore>, TempDir> for OnDisk {
    async fn build(
        &self,
    ) -> Result<(TempDir, Log<RaftStore>, State<StateStore>), StorageError<TypeConfig>> {
        let dir = TempDir::new().unwrap();
        let log = Arc::new(RaftStore::open(dir.path()).unwrap());
        let state = Arc::new(StateStore::open(dir.path()).unwrap());
        Ok((
            dir,
            Log::new(log, READ_BYTES_MAX),
            State::new(state, LAG_MAX).unwrap(),
        ))
    }
}

struct InMemory;

impl StoreBuilder<TypeConfig, Log<MemoryLog>, State<MemoryState>, TempDir> for InMemory {
    async fn build(
        &self,
    ) -> Result<(TempDir, Log<MemoryLog>, State<MemoryState>), StorageError<TypeConfig>> {
        let dir = TempDir::new().unwrap();
        let state = Arc::new(MemoryState::new(dir.path()));
        Ok((
            dir,
            Log::new(Arc::new(MemoryLog::new()), READ_BYTES_MAX),
            State::new(state, LAG_MAX).unwrap(),
        ))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stores_on_disk_pass() {
    Suite::test_all(OnDisk).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stores_in_memory_pass() {
    Suite::test_all(InMemory).await.unwrap();
}
