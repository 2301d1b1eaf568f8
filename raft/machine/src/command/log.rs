//! Commands on the log itself.

use serde::{Deserialize, Serialize};

/// Old events are sealed in a segment: nodes may move them out of their stores. The node that asks has a copy of the
/// segment on disk already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveEvents {
    /// Position of the first of them: the one behind those that are archived.
    pub first: u64,
    /// Position of the last of them.
    pub last: u64,
    /// Root of the Merkle tree of all events up to the last of them, 32 bytes.
    pub root: Vec<u8>,
    /// Hash of the chain at the last of them, 32 bytes.
    pub hash: Vec<u8>,
}
