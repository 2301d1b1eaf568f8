//! How the group stands, as one node sees it.

use openraft::{RaftMetrics, ServerState};
use snakepit_storage::NodeAddress;

use crate::types::TypeConfig;

/// What a node is in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads.
    Leader,
    /// It follows.
    Follower,
    /// It asks to be elected.
    Candidate,
    /// It follows without a vote.
    Learner,
    /// It has stopped.
    Stopped,
}

impl Role {
    /// Name on the wire and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
            Self::Stopped => "stopped",
        }
    }
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub id: u64,
    /// Where it is reached.
    pub address: NodeAddress,
    /// Whether it votes.
    pub voter: bool,
    /// Log index known to be replicated there; only the leader knows.
    pub matched: Option<u64>,
}

/// The group as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// This node.
    pub node_id: u64,
    /// What it is.
    pub role: Role,
    /// The current term.
    pub term: u64,
    /// Who leads, where that is known.
    pub leader: Option<u64>,
    /// Last entry in the log.
    pub last_log: Option<u64>,
    /// Last entry known to be committed.
    pub committed: Option<u64>,
    /// Last entry applied.
    pub applied: Option<u64>,
    /// Last entry that a snapshot covers.
    pub snapshot: Option<u64>,
    /// Last entry that was purged.
    pub purged: Option<u64>,
    /// Members, by id.
    pub members: Vec<MemberStatus>,
}

impl GroupStatus {
    pub(crate) fn of(metrics: &RaftMetrics<TypeConfig>) -> Self {
        let membership = metrics.membership_config.membership();
        let voters: Vec<u64> = membership.voter_ids().collect();
        let matched = |id: &u64| match &metrics.replication {
            _ if *id == metrics.id => metrics.replication.as_ref().and(metrics.last_log_index),
            Some(replication) => replication
                .get(id)
                .and_then(|log_id| log_id.as_ref().map(|id| id.index())),
            None => None,
        };
        Self {
            node_id: metrics.id,
            role: match metrics.state {
                _ if metrics.running_state.is_err() => Role::Stopped,
                ServerState::Leader => Role::Leader,
                ServerState::Follower => Role::Follower,
                ServerState::Candidate => Role::Candidate,
                ServerState::Learner => Role::Learner,
                ServerState::Shutdown => Role::Stopped,
            },
            term: metrics.current_term,
            leader: metrics.current_leader,
            last_log: metrics.last_log_index,
            committed: metrics.local_committed.as_ref().map(|id| id.index()),
            applied: metrics.last_applied.as_ref().map(|id| id.index()),
            snapshot: metrics.snapshot.as_ref().map(|id| id.index()),
            purged: metrics.purged.as_ref().map(|id| id.index()),
            members: membership
                .nodes()
                .map(|(id, address)| MemberStatus {
                    id: *id,
                    address: address.clone(),
                    voter: voters.contains(id),
                    matched: matched(id),
                })
                .collect(),
        }
    }

    /// Where a member is reached.
    pub fn address_of(&self, node: u64) -> Option<&NodeAddress> {
        self.members
            .iter()
            .find(|member| member.id == node)
            .map(|member| &member.address)
    }
}
