//! Three nodes, each on a runtime of its own, so that one can be killed as a process is: without a word.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use snakepit_machine::{
    Answer, Body, Command, CreateSession, Origin, RegisterVariable, RowsExt, SetVariable,
    SetVariables, Value,
};
use snakepit_raft::{Consistency, Group, ProposeError, Proposed, RaftOptions, Role, Stores};
use snakepit_storage::{NodeAddress, RaftStore, StateStore};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use crate::proxy::Proxy;

/// More than anything takes on a busy machine; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(40);

pub const IDS: [u64; 3] = [1, 2, 3];

pub fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// Wait until something holds.
#[track_caller]
pub fn eventually<'a>(
    what: &'a str,
    mut holds: impl FnMut() -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = deadline();
        while !holds() {
            assert!(
                Instant::now() < deadline,
                "{caller}: it never came that {what}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

struct Running {
    runtime: Runtime,
    group: Group,
    store: Arc<StateStore>,
    /// What the others ask is served until this is cancelled, and what is under way then.
    stop_serving: CancellationToken,
    served: JoinHandle<Result<(), tonic::transport::Error>>,
}

struct Node {
    dir: TempDir,
    proxy: Proxy,
    running: Option<Running>,
}

/// The group and what stands around it.
pub struct Cluster {
    nodes: BTreeMap<u64, Node>,
    options: RaftOptions,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in self.nodes.values_mut() {
            if let Some(running) = node.running.take() {
                running.runtime.shutdown_background();
            }
        }
    }
}

pub fn options() -> RaftOptions {
    RaftOptions::new("test")
}

impl Cluster {
    /// Three nodes that have never met.
    pub async fn prepare(options: RaftOptions) -> Self {
        let mut nodes = BTreeMap::new();
        for id in IDS {
            let dir = TempDir::new().unwrap();
            nodes.insert(
                id,
                Node {
                    dir,
                    proxy: Proxy::start().await,
                    running: None,
                },
            );
        }
        let mut this = Self { nodes, options };
        for id in IDS {
            this.start(id).await;
        }
        this
    }

    /// Three nodes that form a group, with session "s" and integer "v" of value 0 in it.
    pub async fn form(options: RaftOptions) -> Self {
        let this = Self::prepare(options).await;
        this.bootstrap().await;
        this.done(1, create("s")).await;
        this.done(2, register("v")).await;
        this
    }

    /// Begin the group on all nodes at once; which of them have begun it.
    pub async fn bootstrap(&self) -> Vec<bool> {
        let begun = IDS.map(|id| {
            let (group, members) = (self.group(id), self.members());
            async move { group.bootstrap(members).await.unwrap() }
        });
        futures_util::future::join_all(begun).await
    }

    pub fn members(&self) -> BTreeMap<u64, NodeAddress> {
        let address = |node: &Node| NodeAddress {
            client: String::new(),
            peer: node.proxy.address.to_string(),
            http: String::new(),
        };
        self.nodes
            .iter()
            .map(|(id, node)| (*id, address(node)))
            .collect()
    }

    /// Start a node on what its disk holds.
    pub async fn start(&mut self, id: u64) {
        let options = self.options.clone();
        let node = self.nodes.get_mut(&id).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let path = node.dir.path().to_owned();
        let started = runtime.spawn(async move {
            let (log, state) = open(&path).await;
            let store = state.clone();
            let group = Group::start(id, options, Stores { log, state })
                .await
                .unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let stop_serving = CancellationToken::new();
            let server = tonic::transport::Server::builder()
                .add_routes(group.services())
                .serve_with_incoming_shutdown(
                    TcpListenerStream::new(listener),
                    stop_serving.clone().cancelled_owned(),
                );
            (group, store, address, stop_serving, tokio::spawn(server))
        });
        let (group, store, address, stop_serving, served) = started.await.unwrap();
        node.proxy.lead_to(Some(address));
        node.running = Some(Running {
            runtime,
            group,
            store,
            stop_serving,
            served,
        });
    }

    /// End a node at once, with whatever it is doing.
    pub fn kill(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.proxy.lead_to(None);
        node.running.take().unwrap().runtime.shutdown_background();
    }

    /// Stop a node as it stops when it is asked to: nobody else keeps it, by the streams of writes and reads that they have to it.
    pub async fn stop(&mut self, id: u64) {
        for other in self.running() {
            let reads = self.group(other);
            let read = reads.barrier(Consistency::Linearizable, deadline());
            read.await.unwrap();
        }
        let running = self.nodes.get_mut(&id).unwrap().running.as_mut().unwrap();
        running.group.stop().await;
        running.stop_serving.cancel();
        let ended = tokio::time::timeout(PATIENCE, &mut running.served).await;
        ended.expect("its server ends").unwrap().unwrap();
        self.kill(id);
    }

    pub fn proxy(&self, id: u64) -> Proxy {
        self.nodes[&id].proxy.clone()
    }

    pub fn group(&self, id: u64) -> Group {
        self.nodes[&id].running.as_ref().unwrap().group.clone()
    }

    pub fn store(&self, id: u64) -> Arc<StateStore> {
        self.nodes[&id].running.as_ref().unwrap().store.clone()
    }

    pub fn running(&self) -> Vec<u64> {
        self.nodes
            .iter()
            .filter(|(_, node)| node.running.is_some())
            .map(|(id, _)| *id)
            .collect()
    }

    /// The node that leads, once all that run agree on it.
    pub async fn leader(&self) -> u64 {
        let running = self.running();
        let agreed = || {
            let mut said = running.iter().map(|id| self.group(*id).status().leader);
            let first = said.next().flatten()?;
            let leads = running.contains(&first) && self.group(first).status().role == Role::Leader;
            (leads && said.all(|other| other == Some(first))).then_some(first)
        };
        eventually("all nodes agree on a leader", || agreed().is_some()).await;
        agreed().unwrap_or(running[0])
    }

    /// One that does not lead.
    pub async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        self.running().into_iter().find(|id| *id != leader).unwrap()
    }

    pub async fn propose(&self, id: u64, command: Command) -> Result<Proposed, ProposeError> {
        self.group(id).propose(command, deadline()).await
    }

    /// Propose what must succeed.
    #[track_caller]
    pub fn done(&self, id: u64, body: Body) -> impl Future<Output = Answer> + use<> {
        let caller = std::panic::Location::caller();
        let group = self.group(id);
        async move {
            let proposed = group.propose(named("", body), deadline()).await;
            match proposed.map(|proposed| proposed.outcome) {
                Ok(Ok(answer)) => answer,
                other => panic!("{caller}: {other:?}"),
            }
        }
    }

    /// Value's version of the variable, on that node, behind a barrier.
    pub async fn version(&self, id: u64, name: &str) -> u64 {
        self.group(id)
            .barrier(Consistency::Linearizable, deadline())
            .await
            .unwrap();
        self.store(id)
            .rows()
            .variable_named("s", name)
            .unwrap()
            .unwrap()
            .version
    }

    /// All nodes that run have applied the same, with equal bytes.
    pub async fn agree(&self) {
        let running = self.running();
        for id in &running {
            self.group(*id)
                .barrier(Consistency::Linearizable, deadline())
                .await
                .unwrap();
        }
        let heads = || {
            running
                .iter()
                .map(|id| self.store(*id).head())
                .collect::<Vec<_>>()
        };
        eventually("all nodes have applied the same", || {
            heads()
                .windows(2)
                .all(|pair| pair[0].applied == pair[1].applied)
        })
        .await;
        let heads = heads();
        assert!(heads.windows(2).all(|pair| pair[0] == pair[1]), "{heads:?}");
        let digests: Vec<_> = running
            .iter()
            .map(|id| self.store(*id).rows_digest().unwrap())
            .collect();
        assert!(
            digests.windows(2).all(|pair| pair[0] == pair[1]),
            "{digests:?}"
        );
    }
}

/// Open the stores; those of a killed node are let go a moment later.
async fn open(path: &std::path::Path) -> (Arc<RaftStore>, Arc<StateStore>) {
    let deadline = deadline();
    loop {
        let opened = RaftStore::open(path).and_then(|log| Ok((log, StateStore::open(path)?)));
        match opened {
            Ok((log, state)) => return (Arc::new(log), Arc::new(state)),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn named(request_id: &str, body: Body) -> Command {
    let origin = Origin {
        request_id: request_id.into(),
        ..Origin::default()
    };
    Command { origin, body }
}

pub fn create(session_id: &str) -> Body {
    Body::CreateSession(CreateSession {
        session_id: session_id.into(),
        metadata: BTreeMap::new(),
        ttl_ms: 3_600_000,
        config: Default::default(),
        subject: String::new(),
    })
}

pub fn register_text(name: &str, text: String) -> Body {
    Body::RegisterVariable(RegisterVariable {
        session_id: "s".into(),
        name: name.into(),
        type_name: "string".into(),
        value: Value::String(text),
        constraints_json: String::new(),
        metadata: BTreeMap::new(),
        access_json: String::new(),
    })
}

pub fn register(name: &str) -> Body {
    register_text(name, String::new())
}

/// Set a variable; each time its version grows by one.
pub fn set(name: &str) -> Body {
    Body::SetVariables(SetVariables {
        session_id: "s".into(),
        atomic: true,
        updates: vec![SetVariable {
            identifier: name.into(),
            value: Ok(Value::String(name.into())),
            expected_version: 0,
        }],
        metadata: BTreeMap::new(),
    })
}
