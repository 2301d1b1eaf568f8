//! What a node keeps on disk: the Raft log, the events, the rows and the snapshots, and every byte format.
//!
//! Two RocksDB instances live side by side in a data directory ([`identity`] has its layout):
//!
//! - [`raft_store::RaftStore`]: the Raft log, its vote and marks, flushed to disk in groups;
//! - [`state_store::StateStore`]: events and rows, written once for each apply, snapshotted with hard links.
//!
//! Raft sees them through [`traits`]; [`memory`] has a twin of each for tests and simulation. [`codec`] is the
//! only place that knows how bytes are laid out, [`replay`] the only one that folds stored events again,
//! [`tree`] the only one that hashes them into a Merkle tree.

pub mod codec;
pub mod error;
pub mod identity;
pub mod memory;
pub mod raft_store;
pub mod replay;
mod segment;
pub mod snapshot;
pub mod state_store;
mod sync;
pub mod traits;
pub mod tree;

pub use error::CodecError;
pub use identity::{DataDir, Identity};
pub use memory::{MemoryLog, MemoryState};
pub use raft_store::RaftStore;
pub use replay::{Replay, ReplayError, ReplayedRows};
pub use snapshot::SnapshotManifest;
pub use state_store::{Head, RowsDigest, StateStore, StateView, StoredEvent};
pub use traits::*;
