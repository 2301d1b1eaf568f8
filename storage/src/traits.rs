//! What Raft asks of a store. Both traits have a RocksDB implementation and a memory twin, and one suite
//! runs against each.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snakepit_machine::{Outcome, Proposal};

/// Names a log entry.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct EntryId {
    /// The term in which a leader proposed it.
    pub term: u64,
    /// Its place in the log, from 0.
    pub index: u64,
}

/// A Raft vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteRecord {
    /// The term.
    pub term: u64,
    /// For whom.
    pub node_id: u64,
    /// Whether a quorum granted it: that node is the leader of the term.
    pub committed: bool,
}

/// Where a node is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAddress {
    /// host:port for clients (gRPC).
    pub client: String,
    /// host:port for other nodes (gRPC).
    pub peer: String,
    /// host:port for health, metrics and the console (HTTP).
    pub http: String,
}

/// Who belongs to the group: one set of voters, or two while it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipRecord {
    /// Sets of voters.
    pub configs: Vec<BTreeSet<u64>>,
    /// Voters and learners.
    pub nodes: BTreeMap<u64, NodeAddress>,
}

/// A log entry: its id and the stored bytes of its payload (see `codec::payload`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its id.
    pub id: EntryId,
    /// Kind, version, checksum and body, as stored and as sent to other nodes.
    pub payload: Bytes,
}

/// Called once when a write is on disk, or has failed.
pub type Flushed = Box<dyn FnOnce(io::Result<()>) + Send>;

/// The Raft log, its vote and its marks. Writes are queued in order and flushed in groups; what was
/// appended can be read at once.
pub trait LogStorage: Send + Sync + 'static {
    /// The last purged entry and the last entry; the last purged one where the log is empty.
    fn bounds(&self) -> io::Result<(Option<EntryId>, Option<EntryId>)>;
    /// Queue entries, which follow each other without a gap; `flushed` is called when they are on disk.
    fn append(&self, entries: Vec<LogEntry>, flushed: Flushed) -> io::Result<()>;
    /// Queue the removal of all entries above `last`; of all where `None`.
    fn truncate_after(&self, last: Option<EntryId>, flushed: Flushed) -> io::Result<()>;
    /// Queue the removal of all entries up to and with `last`.
    fn purge(&self, last: EntryId, flushed: Flushed) -> io::Result<()>;
    /// Queue the vote.
    fn save_vote(&self, vote: VoteRecord, flushed: Flushed) -> io::Result<()>;
    /// The last vote given to `save_vote`.
    fn vote(&self) -> io::Result<Option<VoteRecord>>;
    /// Queue the commit mark; it rides on the next flush and is not waited for.
    fn save_committed(&self, committed: Option<EntryId>) -> io::Result<()>;
    /// The last commit mark.
    fn committed(&self) -> io::Result<Option<EntryId>>;
    /// Entries of a range, from its start on, until `bytes_max` is passed; at least one where there is one.
    fn entries(&self, range: RangeInclusive<u64>, bytes_max: usize) -> io::Result<Vec<LogEntry>>;
}

/// One committed entry, ready to be applied.
#[derive(Clone, Debug)]
pub struct ApplyEntry {
    /// Its id.
    pub id: EntryId,
    /// What it holds.
    pub payload: ApplyPayload,
}

/// What a committed entry holds.
#[derive(Clone, Debug)]
pub enum ApplyPayload {
    /// Nothing: a new leader's first entry.
    Blank,
    /// Commands.
    Proposal(Proposal),
    /// A membership.
    Membership(MembershipRecord),
}

/// How far a state has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliedState {
    /// The last applied entry.
    pub last: Option<EntryId>,
    /// The last applied membership, and the entry that set it.
    pub membership_id: Option<EntryId>,
    /// The membership.
    pub membership: MembershipRecord,
}

/// A snapshot on disk: a folder of files with a manifest, complete and synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRef {
    /// Names it among a node's snapshots.
    pub id: String,
    /// Its folder.
    pub path: PathBuf,
    /// What it covers.
    pub state: AppliedState,
}

/// The state: rows and events, applied in log order.
pub trait StateStorage: Send + Sync + 'static {
    /// How far it has come.
    fn applied(&self) -> io::Result<AppliedState>;
    /// Apply entries in order, in one atomic write; one list of outcomes for each entry.
    fn apply(&self, entries: Vec<ApplyEntry>) -> io::Result<Vec<Vec<Outcome>>>;
    /// The same if nothing has to be waited for, no disk and no lock; `None` where it is not so, and nothing is done.
    fn try_apply(&self, entries: &[ApplyEntry]) -> io::Result<Option<Vec<Vec<Outcome>>>>;
    /// Make a durable snapshot of the state as it is now, and drop older ones.
    fn build_snapshot(&self) -> io::Result<SnapshotRef>;
    /// The latest complete snapshot.
    fn current_snapshot(&self) -> io::Result<Option<SnapshotRef>>;
    /// An empty folder in which a snapshot can be received, on the same file system. A folder left by an
    /// earlier try at the same snapshot is kept, so that the transfer can go on.
    fn staging(&self, snapshot_id: &str) -> io::Result<PathBuf>;
    /// Check a received folder against its manifest and put it in the place of the state.
    fn install_snapshot(&self, staged: &Path) -> io::Result<SnapshotRef>;
}
