//! Between openraft's types, the store's and the wire's.

use std::io;

use openraft::Membership;
use openraft::entry::RaftEntry;
use openraft::vote::RaftLeaderId;
use openraft::vote::RaftVote;
use snakepit_proto::peer;
use snakepit_storage::codec::payload::{self, EntryPayload, PayloadKind};
use snakepit_storage::{AppliedState, EntryId, LogEntry, MembershipRecord, VoteRecord};

use crate::types::{
    EncodedProposal, Entry, LogId, Payload, SnapshotMeta, StoredMembership, TypeConfig, Vote,
};

type CommittedLeaderId = openraft::alias::CommittedLeaderIdOf<TypeConfig>;

pub(crate) fn log_id(id: EntryId) -> LogId {
    LogId::new(CommittedLeaderId::new(id.term), id.index)
}

pub(crate) fn entry_id(id: &LogId) -> EntryId {
    EntryId {
        term: **id.committed_leader_id(),
        index: id.index(),
    }
}

pub(crate) fn vote(record: VoteRecord) -> Vote {
    Vote::from_leader_id(
        RaftLeaderId::new(record.term, record.node_id),
        record.committed,
    )
}

pub(crate) fn vote_record(vote: &Vote) -> VoteRecord {
    VoteRecord {
        term: vote.leader_id().term(),
        node_id: *vote.leader_id().node_id(),
        committed: vote.is_committed(),
    }
}

pub(crate) fn membership_record(
    membership: &Membership<u64, snakepit_storage::NodeAddress>,
) -> MembershipRecord {
    MembershipRecord {
        configs: membership.get_joint_config().clone(),
        nodes: membership
            .nodes()
            .map(|(id, node)| (*id, node.clone()))
            .collect(),
    }
}

fn membership(record: MembershipRecord) -> Membership<u64, snakepit_storage::NodeAddress> {
    if record.configs.is_empty() {
        return Membership::default();
    }
    // What was stored or received was a valid membership when it was made.
    Membership::new(record.configs, record.nodes).unwrap_or_default()
}

pub(crate) fn stored_membership(state: &AppliedState) -> StoredMembership {
    StoredMembership::new(
        state.membership_id.map(log_id),
        membership(state.membership.clone()),
    )
}

pub(crate) fn snapshot_meta(state: &AppliedState) -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: state.last.map(log_id),
        last_membership: stored_membership(state),
    }
}

pub(crate) fn to_log(entry: &Entry) -> io::Result<LogEntry> {
    let bytes = match &entry.payload {
        Payload::Blank => payload::encode(&EntryPayload::Blank)?,
        Payload::Normal(proposal) => proposal.0.clone(),
        Payload::Membership(membership) => {
            payload::encode(&EntryPayload::Membership(membership_record(membership)))?
        }
    };
    Ok(LogEntry {
        id: entry_id(&entry.log_id),
        payload: bytes,
    })
}

/// An entry of stored or received bytes; its checksum is checked here.
pub(crate) fn from_log(entry: LogEntry) -> io::Result<Entry> {
    let content = match payload::check(&entry.payload)? {
        PayloadKind::Blank => Payload::Blank,
        PayloadKind::Proposal => Payload::Normal(EncodedProposal(entry.payload)),
        PayloadKind::Membership => match payload::decode(&entry.payload)? {
            EntryPayload::Membership(record) => Payload::Membership(membership(record)),
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a membership entry holds something else",
                ));
            }
        },
    };
    Ok(Entry::new(log_id(entry.id), content))
}

pub(crate) mod wire {
    //! To and from the peer protocol.

    use openraft::raft::{
        AppendEntriesRequest, StreamAppendError, StreamAppendResult, VoteRequest, VoteResponse,
    };

    use super::*;

    /// A message from a peer that lacks something or is damaged.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum BadMessage {
        #[error("the message has no {0}")]
        Missing(&'static str),
        #[error(transparent)]
        Entry(#[from] io::Error),
    }

    pub(crate) fn id(id: &LogId) -> peer::LogId {
        let id = entry_id(id);
        peer::LogId {
            term: id.term,
            index: id.index,
        }
    }

    pub(crate) fn from_id(id: peer::LogId) -> LogId {
        log_id(EntryId {
            term: id.term,
            index: id.index,
        })
    }

    pub(crate) fn vote(vote: &Vote) -> peer::RaftVote {
        let record = vote_record(vote);
        peer::RaftVote {
            term: record.term,
            node_id: record.node_id,
            committed: record.committed,
        }
    }

    pub(crate) fn from_vote(vote: Option<peer::RaftVote>) -> Result<Vote, BadMessage> {
        let vote = vote.ok_or(BadMessage::Missing("vote"))?;
        Ok(super::vote(VoteRecord {
            term: vote.term,
            node_id: vote.node_id,
            committed: vote.committed,
        }))
    }

    pub(crate) fn append(
        request: AppendEntriesRequest<TypeConfig>,
    ) -> io::Result<peer::AppendRequest> {
        let entries = request
            .entries
            .iter()
            .map(|entry| {
                Ok(peer::Entry {
                    id: Some(id(&entry.log_id)),
                    payload: to_log(entry)?.payload,
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(peer::AppendRequest {
            vote: Some(vote(&request.vote)),
            prev: request.prev_log_id.as_ref().map(id),
            entries,
            leader_commit: request.leader_commit.as_ref().map(id),
        })
    }

    pub(crate) fn from_append(
        request: peer::AppendRequest,
    ) -> Result<AppendEntriesRequest<TypeConfig>, BadMessage> {
        let entries = request
            .entries
            .into_iter()
            .map(|entry| {
                let id = entry.id.ok_or(BadMessage::Missing("entry id"))?;
                let id = EntryId {
                    term: id.term,
                    index: id.index,
                };
                Ok(from_log(LogEntry {
                    id,
                    payload: entry.payload,
                })?)
            })
            .collect::<Result<_, BadMessage>>()?;
        Ok(AppendEntriesRequest {
            vote: from_vote(request.vote)?,
            prev_log_id: request.prev.map(from_id),
            entries,
            leader_commit: request.leader_commit.map(from_id),
        })
    }

    pub(crate) fn appended(
        result: &StreamAppendResult<TypeConfig>,
        eager: bool,
    ) -> peer::AppendResponse {
        use peer::append_response::Result as Wire;
        let result = match result {
            Ok(last) => Wire::Matched(peer::Matched {
                last: last.as_ref().map(id),
            }),
            Err(StreamAppendError::Conflict(at)) => Wire::Conflict(id(at)),
            Err(StreamAppendError::HigherVote(higher)) => Wire::HigherVote(vote(higher)),
        };
        peer::AppendResponse {
            result: Some(result),
            eager,
        }
    }

    pub(crate) fn from_appended(
        response: peer::AppendResponse,
    ) -> Result<StreamAppendResult<TypeConfig>, BadMessage> {
        use peer::append_response::Result as Wire;
        Ok(
            match response.result.ok_or(BadMessage::Missing("result"))? {
                Wire::Matched(matched) => Ok(matched.last.map(from_id)),
                Wire::Conflict(at) => Err(StreamAppendError::Conflict(from_id(at))),
                Wire::HigherVote(higher) => {
                    Err(StreamAppendError::HigherVote(from_vote(Some(higher))?))
                }
            },
        )
    }

    pub(crate) fn vote_request(request: &VoteRequest<TypeConfig>) -> peer::VoteRequest {
        peer::VoteRequest {
            vote: Some(vote(&request.vote)),
            last: request.last_log_id.as_ref().map(id),
            leadership_transfer: request.leadership_transfer,
        }
    }

    pub(crate) fn from_vote_request(
        request: peer::VoteRequest,
    ) -> Result<VoteRequest<TypeConfig>, BadMessage> {
        let mut wanted = VoteRequest::new(from_vote(request.vote)?, request.last.map(from_id));
        wanted.leadership_transfer = request.leadership_transfer;
        Ok(wanted)
    }

    pub(crate) fn vote_response(response: &VoteResponse<TypeConfig>) -> peer::VoteResponse {
        peer::VoteResponse {
            vote: Some(vote(&response.vote)),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(id),
        }
    }

    pub(crate) fn from_vote_response(
        response: peer::VoteResponse,
    ) -> Result<VoteResponse<TypeConfig>, BadMessage> {
        Ok(VoteResponse::new(
            from_vote(response.vote)?,
            response.last.map(from_id),
            response.granted,
        ))
    }
}
