//! Whose log is the right one: what most voters have.

use snakepit_raft::TreeHead;
use snakepit_storage::tree::Hash;

/// What comparing comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All that answer have the same.
    Same,
    /// Most voters have what this node has; these have not.
    OthersDiffer(Vec<u64>),
    /// Most voters have another log than this node: these.
    Wrong(Vec<u64>),
    /// Some differ, and there is no majority on either side: of these it is not known who is right.
    Split(Vec<u64>),
}

/// Compare the head of this node's tree with others', all of the same size. `others` holds only nodes that are in service.
pub(super) fn judge(own: &TreeHead, others: &[TreeHead], voters: usize) -> Verdict {
    let majority = voters / 2 + 1;
    let seen = |head: &TreeHead| -> (Hash, u64) {
        // After the same entry of the Raft log all must have the same events.
        let position = if head.applied == own.applied {
            head.position
        } else {
            own.position
        };
        (head.root, position)
    };
    let mine = seen(own);
    let (same, differ): (Vec<TreeHead>, Vec<TreeHead>) =
        others.iter().partition(|head| seen(head) == mine);
    if differ.is_empty() {
        return Verdict::Same;
    }
    let ids = |heads: &[TreeHead]| heads.iter().map(|head| head.node_id).collect();
    for head in &differ {
        let agreeing: Vec<_> = differ
            .iter()
            .copied()
            .filter(|other| seen(other) == seen(head))
            .collect();
        if agreeing.len() >= majority {
            return Verdict::Wrong(ids(&agreeing));
        }
    }
    if same.len() + 1 >= majority {
        Verdict::OthersDiffer(ids(&differ))
    } else {
        Verdict::Split(ids(&differ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(node_id: u64, root: u8, applied: u64, position: u64) -> TreeHead {
        TreeHead {
            node_id,
            size: 5,
            root: [root; 32],
            applied,
            position,
            out_of_service: false,
        }
    }

    #[test]
    fn what_most_voters_have_is_right() {
        let (own, a, b) = (head(1, 1, 9, 5), head(2, 1, 9, 5), head(3, 1, 8, 4));
        assert_eq!(judge(&own, &[a, b], 3), Verdict::Same);
        assert_eq!(judge(&own, &[], 3), Verdict::Same);
        let (a, b) = (head(2, 2, 9, 5), head(3, 2, 8, 5));
        assert_eq!(judge(&own, &[a, b], 3), Verdict::Wrong(vec![2, 3]));
        let b = head(3, 1, 8, 5);
        assert_eq!(judge(&own, &[a, b], 3), Verdict::OthersDiffer(vec![2]));
        assert_eq!(judge(&own, &[a], 3), Verdict::Split(vec![2]));
        // Three logs, none of them two nodes'.
        let b = head(3, 3, 8, 5);
        assert_eq!(judge(&own, &[a, b], 3), Verdict::Split(vec![2, 3]));
    }

    #[test]
    fn the_same_entry_must_have_made_the_same_events() {
        let own = head(1, 1, 9, 5);
        let (a, b) = (head(2, 1, 9, 6), head(3, 1, 9, 6));
        assert_eq!(judge(&own, &[a, b], 3), Verdict::Wrong(vec![2, 3]));
        let later = head(3, 1, 10, 7);
        assert_eq!(judge(&own, &[a, later], 3), Verdict::OthersDiffer(vec![2]));
    }
}
