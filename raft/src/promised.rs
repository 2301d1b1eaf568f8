//! A follower's request for a read index is an answer of that follower: together with the leader's own, it is a quorum of
//! three nodes, and no further message is needed to know that nobody else led when the readers came.
//!
//! A later leader needs votes of a quorum. If two nodes that are a quorum themselves have not voted in a later term, the one
//! when the readers had come, the other (the leader) after that, there was no later leader then. What was acknowledged
//! before is committed in the leader's term or an earlier one, so that its read index covers it (section 6.4 of Ongaro's
//! dissertation, with the follower's message in place of a heartbeat's answer).
//!
//! The members are those of the leader's metrics, which may be one change behind its log, never two: a change begins when
//! the one before is committed. Quorums of two successive sets of members have a node in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::Membership;
use snakepit_storage::NodeAddress;

/// The latest term that this node may have voted in, known before anybody else can know of the vote.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promised(Arc<AtomicU64>);

impl Promised {
    pub(crate) fn term(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// There may be a vote in this term.
    pub(crate) fn raise(&self, term: u64) {
        self.0.fetch_max(term, Ordering::SeqCst);
    }
}

/// Whether these two nodes are a quorum, of both sets of voters where the members are about to change.
pub(crate) fn are_quorum(pair: [u64; 2], members: &Membership<u64, NodeAddress>) -> bool {
    let configs = members.get_joint_config();
    !configs.is_empty()
        && configs.iter().all(|voters| {
            let votes = voters.iter().filter(|id| pair.contains(id)).count();
            2 * votes > voters.len()
        })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn members(configs: &[&[u64]]) -> Membership<u64, NodeAddress> {
        let configs: Vec<BTreeSet<u64>> = configs
            .iter()
            .map(|voters| voters.iter().copied().collect())
            .collect();
        let address = NodeAddress {
            client: String::new(),
            peer: String::new(),
            http: String::new(),
        };
        // Node 9 learns and has no vote.
        let ids = configs.iter().flatten().copied().chain([9]);
        let nodes: BTreeMap<_, _> = ids.map(|id| (id, address.clone())).collect();
        Membership::new(configs, nodes).unwrap()
    }

    #[test]
    fn two_of_three_are_a_quorum_and_two_of_four_are_none() {
        assert!(are_quorum([1, 2], &members(&[&[1, 2]])));
        assert!(are_quorum([1, 2], &members(&[&[1, 2, 3]])));
        assert!(!are_quorum([1, 2], &members(&[&[1, 2, 3, 4]])));
        assert!(!are_quorum([1, 2], &members(&[&[1, 2, 3, 4, 5]])));
        assert!(!are_quorum([1, 2], &Membership::default()));
    }

    #[test]
    fn one_node_is_one_vote_and_a_learner_is_none() {
        assert!(!are_quorum([1, 1], &members(&[&[1, 2, 3]])));
        assert!(!are_quorum([1, 9], &members(&[&[1, 2, 3]])));
        assert!(are_quorum([1, 9], &members(&[&[1]])));
    }

    #[test]
    fn both_sets_of_voters_count_while_members_change() {
        assert!(are_quorum([1, 2], &members(&[&[1, 2, 3], &[1, 2, 4]])));
        assert!(!are_quorum([1, 3], &members(&[&[1, 2, 3], &[1, 2, 4]])));
    }

    #[test]
    fn a_promise_is_never_lowered() {
        let promised = Promised::default();
        promised.raise(7);
        promised.raise(3);
        assert_eq!(promised.term(), 7);
    }
}
