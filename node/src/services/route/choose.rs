//! Which node should run a call, and which of its workers.
//!
//! 1. A pool that offers the tool by its own name wins over an adapter that takes any.
//! 2. A session's calls go to one worker, the same from every node, where the pool's affinity says so. What
//!    this node knows of others' workers is some time old: whether a hinted worker is free is for its own node to
//!    say, which gives the call to another free worker there, or sends it back where it would wait.
//! 3. Else: here, while a slot is free; else the less loaded of two nodes picked at random, if that is less
//!    loaded than this one.
//!
//! A call that goes to another node is sent back where it would wait there while a third seems to have a free
//! slot, and given back while it waits once one seems to have one (`balance`); [`BACK_MAX`] times at most.

use rand::seq::IndexedRandom as _;

use super::Routed;
use crate::pool::{Affinity, Load};
use crate::services::{Busy, Failure, Node};

/// How often a call is sent back by nodes that have nothing free; then it waits where it is.
pub(super) const BACK_MAX: usize = 2;

/// What has become of a call so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tried {
    /// Nodes that have just failed it, or sent it back.
    pub(super) nodes: Vec<u64>,
    /// How often it was sent back.
    pub(super) backs: usize,
}

/// Where a call goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// None: this node.
    pub(super) node: Option<u64>,
    /// The pool there; empty: any that offers the tool.
    pub(super) pool: String,
    /// The worker wanted there; empty: any.
    pub(super) worker: String,
    /// Whether another node seems to have a free slot: the call comes back where it would wait.
    pub(super) or_back: bool,
    /// Whether the call may be given back while it waits.
    pub(super) movable: bool,
    /// Whether the call's session was bound to that worker just now: it has nothing there to lose.
    pub(super) fresh: bool,
}

impl Node {
    /// Where a call should run.
    pub(super) async fn choose(&self, call: &Routed, tried: &Tried) -> Result<Target, Failure> {
        if !call.worker.is_empty() {
            // It was chosen by the node that took the call.
            return Ok(Target {
                node: None,
                pool: call.pool.clone(),
                worker: call.worker.clone(),
                or_back: call.or_back,
                movable: call.movable,
                fresh: false,
            });
        }
        let mut loads = self.all_loads(call.tool());
        loads.retain(|load| call.pool.is_empty() || load.pool == call.pool);
        if loads.iter().any(|load| load.exact) {
            loads.retain(|load| load.exact);
        }
        if let Some(pool) = loads.first().filter(|_| !call.session().is_empty()) {
            let pool = pool.pool.clone();
            match self.affinity_of(&pool) {
                Affinity::Hint => {
                    if let Some(target) = self.hinted(call, &pool, &loads, &tried.nodes) {
                        return Ok(with_way_back(target, &loads, tried));
                    }
                }
                Affinity::StrictQueue | Affinity::StrictFailFast => {
                    return Box::pin(self.bound(call, &pool)).await;
                }
            }
        }
        let mut target = self.least_loaded(&loads, &tried.nodes);
        if target.is_none() && !tried.nodes.is_empty() {
            // All have failed it: once more, wherever that is.
            target = self.least_loaded(&loads, &[]);
        }
        let target = target.unwrap_or_default();
        Ok(with_way_back(target, &loads, tried))
    }

    /// This node's pools that offer the tool, and the others', by pool.
    fn all_loads(&self, tool: &str) -> Vec<Load> {
        let mut loads = self.pools.loads(tool);
        loads.extend(self.peers.loads(tool));
        loads.sort_by(|one, other| one.pool.cmp(&other.pool));
        loads
    }

    fn affinity_of(&self, pool: &str) -> Affinity {
        self.pools
            .affinity(pool)
            .or_else(|| self.peers.affinity(pool))
            .unwrap_or_default()
    }

    /// The worker that a session's calls go to while it is free, or may be.
    fn hinted(&self, call: &Routed, pool: &str, loads: &[Load], not: &[u64]) -> Option<Target> {
        let (node, worker, busy) = self.favourite(call.session(), pool)?;
        let takes = |load: &&Load| load.node == node && load.pool == pool && !load.circuit_open;
        let at = loads.iter().find(takes).filter(|_| !not.contains(&node))?;
        let goes = match busy {
            Busy::No => true,
            Busy::Yes => false,
            // Its node would send the call back, or it would wait no longer there than elsewhere.
            Busy::Perhaps => {
                has_room_elsewhere(loads, node, not)
                    || !loads.iter().any(|other| less_load(other, at).is_gt())
            }
        };
        goes.then(|| Target {
            node: (node != self.id()).then_some(node),
            pool: pool.to_owned(),
            worker,
            ..Target::default()
        })
    }

    /// The worker of a pool that a session hashes to, and what is known of it: the highest random weight, so
    /// that a worker's end moves only the sessions that it had, and every node finds the same one.
    pub(super) fn favourite(&self, session: &str, pool: &str) -> Option<(u64, String, Busy)> {
        let own = self.pools.serving_workers(pool).into_iter();
        let known = |free| if free { Busy::No } else { Busy::Yes };
        let own = own.map(|(worker, free)| (self.id(), worker, known(free)));
        own.chain(self.peers.workers(pool))
            .max_by_key(|(_, worker, _)| weight(session, worker))
    }

    /// Here or elsewhere, by load; None where nobody can be asked.
    fn least_loaded(&self, loads: &[Load], not: &[u64]) -> Option<Target> {
        let usable = |load: &&Load| !load.circuit_open && !not.contains(&load.node);
        let (own, others): (Vec<&Load>, Vec<&Load>) = loads
            .iter()
            .filter(usable)
            .partition(|load| load.node == self.id());
        let here = own.into_iter().max_by(|one, other| less_load(one, other));
        if here.is_some_and(|here| here.free > 0) {
            return Some(Target::default());
        }
        let mut random = rand::rng();
        let two = others.choose_multiple(&mut random, 2).copied();
        let there = two.max_by(|one, other| less_load(one, other));
        match (here, there) {
            (None, None) => None,
            (None, Some(there)) => Some(to(there)),
            (Some(here), Some(there)) if less_load(there, here).is_gt() => Some(to(there)),
            _ => Some(Target::default()),
        }
    }
}

/// Have a call come back from a node where it would wait, while another one seems to have room.
fn with_way_back(mut target: Target, loads: &[Load], tried: &Tried) -> Target {
    target.movable = tried.backs < BACK_MAX;
    target.or_back = tried.backs < BACK_MAX
        && target
            .node
            .is_some_and(|node| has_room_elsewhere(loads, node, &tried.nodes));
    target
}

/// Whether a node but this one seems to have a free slot.
fn has_room_elsewhere(loads: &[Load], node: u64, not: &[u64]) -> bool {
    loads.iter().any(|load| {
        load.node != node && load.free > 0 && !load.circuit_open && !not.contains(&load.node)
    })
}

fn to(load: &Load) -> Target {
    Target {
        node: Some(load.node),
        pool: load.pool.clone(),
        ..Target::default()
    }
}

/// Greater where the first is less loaded: more free slots, or fewer calls that wait for each slot.
fn less_load(one: &Load, other: &Load) -> std::cmp::Ordering {
    let free = |load: &Load| load.free.min(1);
    let line = |load: &Load| {
        let slots = u64::from(load.slots.max(1));
        u64::from(load.waiting) * 1_000 / slots
    };
    free(one)
        .cmp(&free(other))
        .then_with(|| line(other).cmp(&line(one)))
}

fn weight(session: &str, worker: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(session.len() as u64).to_le_bytes());
    hasher.update(session.as_bytes());
    hasher.update(worker.as_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(node: u64, free: u32, waiting: u32) -> Load {
        Load {
            node,
            pool: "p".into(),
            exact: true,
            slots: 2,
            free,
            waiting,
            circuit_open: false,
        }
    }

    #[test]
    fn a_free_slot_beats_a_line_and_a_short_line_a_long_one() {
        assert!(less_load(&load(1, 1, 0), &load(2, 0, 0)).is_gt());
        assert!(less_load(&load(1, 0, 1), &load(2, 0, 5)).is_gt());
        assert!(less_load(&load(1, 2, 0), &load(2, 1, 0)).is_eq());
    }

    #[test]
    fn a_call_comes_back_only_where_another_node_has_room() {
        let loads = [load(1, 0, 3), load(2, 0, 0), load(3, 1, 0)];
        let to_second = || to(&loads[1]);
        let back = |tried: &Tried| with_way_back(to_second(), &loads, tried).or_back;
        assert!(back(&Tried::default()));
        let tried = |nodes: &[u64], backs| Tried {
            nodes: nodes.to_vec(),
            backs,
        };
        assert!(!back(&tried(&[3], 1)), "the one with room has sent it back");
        assert!(
            !back(&tried(&[1], BACK_MAX)),
            "it was sent back often enough"
        );
        let here = with_way_back(Target::default(), &loads, &Tried::default());
        assert!(!here.or_back, "here it waits");
    }

    #[test]
    fn a_workers_end_moves_only_its_own_sessions() {
        let workers = ["a", "b", "c", "d"];
        let favourite = |session: &str, left_out: &str| {
            let left = workers.iter().filter(|worker| **worker != left_out);
            *left.max_by_key(|worker| weight(session, worker)).unwrap()
        };
        let mut moved = 0;
        for number in 0..1_000 {
            let session = format!("s{number}");
            let (before, after) = (favourite(&session, ""), favourite(&session, "c"));
            if before != after {
                assert_eq!(before, "c");
                moved += 1;
            }
        }
        assert!((150..350).contains(&moved), "{moved} of 1000 moved");
    }
}
