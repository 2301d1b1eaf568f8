//! How far the state has come, readable without touching the disk.

use crate::codec::meta::{AppliedMeta, ChainMeta};
use crate::traits::{AppliedState, EntryId};
use crate::tree::Frontier;

/// The latest state in a few numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The last applied entry.
    pub applied: Option<EntryId>,
    /// Position of the last event; 0 where there is none.
    pub position: u64,
    /// Hash of the last event; 32 zero bytes where there is none. Nodes at the same position have the same.
    pub chain_head: [u8; 32],
    /// Time of the last event, milliseconds since 1970.
    pub time_ms: u64,
    /// Sessions that exist.
    pub sessions: u64,
    /// Position of the last event of a pool of the cluster; 0 where there was none. As long as it is the same,
    /// so are the pools.
    pub pools_position: u64,
    /// Position of the last event of a subject; 0 where there was none. As long as it is the same, so are the subjects.
    pub subjects_position: u64,
}

/// A head with the membership beside it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    pub head: Head,
    pub tree: Frontier,
    pub applied: AppliedState,
}

impl Published {
    pub(crate) fn new(
        applied: AppliedState,
        chain: ChainMeta,
        row: &snakepit_machine::HeadRow,
    ) -> Self {
        let head = Head {
            applied: applied.last,
            position: chain.position,
            chain_head: chain.hash,
            time_ms: row.time_ms,
            sessions: row.sessions,
            pools_position: row.pools_position,
            subjects_position: row.subjects_position,
        };
        Self {
            head,
            tree: chain.tree,
            applied,
        }
    }

    pub(crate) fn chain(&self) -> ChainMeta {
        ChainMeta {
            position: self.head.position,
            hash: self.head.chain_head,
            tree: self.tree.clone(),
        }
    }
}

impl From<AppliedMeta> for AppliedState {
    fn from(meta: AppliedMeta) -> Self {
        Self {
            last: meta.last,
            membership_id: meta.membership_id,
            membership: meta.membership,
        }
    }
}

impl From<&AppliedState> for AppliedMeta {
    fn from(state: &AppliedState) -> Self {
        Self {
            last: state.last,
            membership_id: state.membership_id,
            membership: state.membership.clone(),
        }
    }
}
