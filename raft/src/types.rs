//! The types that openraft is told to use.

use std::fmt;

use bytes::Bytes;
use openraft::impls::leader_id_std::LeaderId;
use snakepit_machine::Outcome;
use snakepit_storage::{NodeAddress, StateStore};

use crate::state::State;

openraft::declare_raft_types!(
    /// Types of our group: single-leader terms as in the paper, so that a log id is a term and an index.
    pub TypeConfig:
        D = EncodedProposal,
        R = Applied,
        NodeId = u64,
        Node = NodeAddress,
        LeaderId = LeaderId<u64, u64>,
);

pub(crate) type Raft = openraft::Raft<TypeConfig, State<StateStore>>;
pub(crate) type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::alias::VoteOf<TypeConfig>;
pub(crate) type Entry = openraft::alias::EntryOf<TypeConfig>;
pub(crate) type Payload = openraft::EntryPayload<EncodedProposal, u64, NodeAddress>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot = openraft::alias::SnapshotOf<TypeConfig, snakepit_storage::SnapshotRef>;

/// A proposal as it is stored and sent: encoded once by the leader, checksum included.
#[derive(Clone)]
pub struct EncodedProposal(pub Bytes);

impl fmt::Debug for EncodedProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proposal of {} bytes", self.0.len())
    }
}

impl fmt::Display for EncodedProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What applying one entry answered: an outcome for each of its commands.
#[derive(Clone, Debug, Default)]
pub struct Applied(pub Vec<Outcome>);
