//! A cluster of processes.

use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use snakepit_client::{Client, ClientOptions, Endpoint, StatusResponse};
use tempfile::TempDir;

use crate::deadline::{eventually, within};
use crate::node::Node;
use crate::processes;
use crate::settings::Spec;

/// Time that a node's status may take.
const STATUS: Duration = Duration::from_secs(2);
/// Time for a cluster to be ready, its workers included.
const READY: Duration = Duration::from_secs(60);
/// What a node started is gone so soon after it.
pub const GONE: Duration = Duration::from_secs(5);

/// Clusters of this process so far.
static CLUSTERS: AtomicU8 = AtomicU8::new(0);

/// A cluster. Dropping it kills all its processes; what its nodes started must be gone then.
#[derive(Debug)]
pub struct Cluster {
    /// What it was to be.
    pub spec: Spec,
    nodes: Vec<Node>,
    address: Ipv4Addr,
    mark: String,
    // Goes last.
    _dir: TempDir,
}

/// An address that no other process of these tests uses, and no other cluster of this one: all of
/// 127.0.0.0/8 is loopback.
pub fn own_address() -> Ipv4Addr {
    let pid = std::process::id();
    let number = CLUSTERS.fetch_add(1, Ordering::Relaxed);
    let [_, _, high, low] = pid.to_be_bytes();
    Ipv4Addr::new(127, 1 + number % 250, high, low.max(1))
}

impl Cluster {
    /// The places of its nodes; none of them runs.
    pub fn prepare(spec: Spec) -> Self {
        let dir = tempfile::Builder::new().prefix("spt-").tempdir();
        let dir = dir.expect("the folder for temporary files can be written");
        let address = own_address();
        let mark = format!("{}-{address}", uuid::Uuid::new_v4().simple());
        let nodes = (1..=spec.nodes).map(|id| Node::new(&spec, id, address, dir.path(), &mark));
        Self {
            nodes: nodes.collect(),
            spec,
            address,
            mark,
            _dir: dir,
        }
    }

    /// Start all nodes, and wait until they are ready.
    pub async fn start(spec: Spec) -> Self {
        let mut cluster = Self::prepare(spec);
        for id in cluster.ids() {
            cluster.node(id).start();
        }
        cluster.wait_ready().await;
        cluster
    }

    /// Numbers of all nodes.
    pub fn ids(&self) -> Vec<u64> {
        (1..=self.spec.nodes).collect()
    }

    /// Numbers of the nodes that are up and not paused.
    pub fn up(&self) -> Vec<u64> {
        let up = self
            .nodes
            .iter()
            .filter(|node| node.is_started() && !node.is_paused());
        up.map(|node| node.id).collect()
    }

    /// Numbers of all nodes but this one.
    pub fn others(&self, id: u64) -> Vec<u64> {
        self.ids()
            .into_iter()
            .filter(|other| *other != id)
            .collect()
    }

    /// A node, to do something to it.
    pub fn node(&mut self, id: u64) -> &mut Node {
        let at = usize::try_from(id - 1).expect("it is small");
        &mut self.nodes[at]
    }

    /// A node.
    pub fn node_ref(&self, id: u64) -> &Node {
        let at = usize::try_from(id - 1).expect("it is small");
        &self.nodes[at]
    }

    /// Where all nodes are.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// In the environment of all its processes.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// Kill nodes.
    pub fn kill(&mut self, ids: &[u64]) {
        // All signals first: none of them is to notice the others' end.
        for id in ids {
            processes::signal(self.node(*id).pid(), Signal::KILL);
        }
        for id in ids {
            self.node(*id).kill();
        }
    }

    /// Start nodes, and wait until all that run are ready.
    pub async fn restart(&mut self, ids: &[u64]) {
        for id in ids {
            self.node(*id).start();
        }
        self.wait_ready().await;
    }

    /// Where a node serves clients.
    pub fn endpoint(&self, id: u64) -> Endpoint {
        self.node_ref(id)
            .addresses
            .client
            .parse()
            .expect("an endpoint")
    }

    /// A client of all nodes that begins with this one.
    pub fn client_from(&self, id: u64, options: ClientOptions) -> Client {
        let mut ids = self.ids();
        ids.rotate_left(usize::try_from(id - 1).expect("it is small") % self.nodes.len());
        let endpoints = ids.into_iter().map(|id| self.endpoint(id));
        Client::new(endpoints, options).expect("endpoints")
    }

    /// A client of all nodes.
    pub fn client(&self) -> Client {
        self.client_from(1, ClientOptions::default())
    }

    /// A client of this node only.
    pub fn at(&self, id: u64) -> Client {
        Client::new([self.endpoint(id)], ClientOptions::default()).expect("endpoints")
    }

    /// Status of a node, where it answers.
    pub async fn try_status(&self, id: u64) -> Result<StatusResponse, String> {
        let client = self.at(id).with_timeout(STATUS);
        client
            .status()
            .await
            .map_err(|error| format!("node {id}: {error}"))
    }

    /// Status of a node.
    pub async fn status(&self, id: u64) -> StatusResponse {
        eventually("a node tells its status", || self.try_status(id)).await
    }

    /// Status of all nodes that are up.
    pub async fn statuses(&self) -> Result<Vec<StatusResponse>, String> {
        join_all(self.up().into_iter().map(|id| self.try_status(id)))
            .await
            .into_iter()
            .collect()
    }

    /// The leader: the one that all nodes which are up agree on.
    pub async fn leader(&self) -> u64 {
        eventually("the nodes agree on a leader", || async {
            agreed(&self.statuses().await?)
        })
        .await
    }

    /// A node that follows.
    pub async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        let mut others = self.up().into_iter().filter(|id| *id != leader);
        others.next().expect("more than one node is up")
    }

    /// Wait until all nodes that are up have a leader, all that was committed when they had one, and their workers. Under
    /// load a node has never all that is committed at the moment.
    pub async fn wait_ready(&mut self) {
        for node in &mut self.nodes {
            assert!(
                !node.is_started() || node.is_running(),
                "node {} has ended",
                node.id
            );
        }
        let committed = OnceLock::new();
        within(READY, "the nodes are ready", || async {
            let statuses = self.statuses().await?;
            agreed(&statuses)?;
            let newest = statuses.iter().map(|status| status.committed_index).max();
            let goal = *committed.get_or_init(|| newest.unwrap_or(0));
            for status in &statuses {
                let id = status.node_id;
                if status.applied_index < goal {
                    return Err(format!("node {id} is behind: {}", status.applied_index));
                }
                if (status.workers_ready as usize) < self.spec.workers_of(id) {
                    return Err(format!("node {id} has {} workers", status.workers_ready));
                }
            }
            Ok(())
        })
        .await;
    }
}

fn agreed(statuses: &[StatusResponse]) -> Result<u64, String> {
    let views: Vec<_> = statuses
        .iter()
        .map(|s| (s.node_id, s.role.clone(), s.term, s.leader_id))
        .collect();
    let leads = |id: u64| {
        views
            .iter()
            .any(|(of, role, ..)| *of == id && role == "leader")
    };
    match views.first() {
        Some((_, _, term, leader))
            if leads(*leader) && views.iter().all(|(_, _, t, l)| (t, l) == (term, leader)) =>
        {
            Ok(*leader)
        }
        _ => Err(format!("(node, role, term, leader): {views:?}")),
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            self.nodes.iter().for_each(Node::show_log);
        }
        self.nodes.iter_mut().for_each(Node::kill);
        let left = processes::drained(&self.mark, &[], GONE);
        for process in &left {
            processes::signal(process.pid, Signal::KILL);
        }
        if !left.is_empty() {
            let told = format!("left {GONE:?} after their nodes were killed: {left:?}");
            if failed {
                println!("{told}");
            } else {
                panic!("{told}");
            }
        }
    }
}
