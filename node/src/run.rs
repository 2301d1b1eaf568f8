//! One node, from its settings to its end: bind, open, join, serve; then, in the opposite order, stop.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use snakepit_proto::bridge::bridge_service_server::BridgeServiceServer;
use snakepit_proto::cluster::audit_server::AuditServer;
use snakepit_proto::cluster::cluster_server::ClusterServer;
use snakepit_proto::peer::calls_server::CallsServer;
use snakepit_proto::peer::keys_server::KeysServer;
use snakepit_proto::session::sessions_server::SessionsServer;
use snakepit_raft::{Group, RaftOptions, Stores};
use snakepit_storage::identity::{DataLock, link_archive};
use snakepit_storage::{Identity, NodeAddress, RaftStore, StateStore};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::config::{Flags, Settings, environment};
use crate::evidence::checkpoint::SigningKey;
use crate::gathered::Gathered;
use crate::heal;
use crate::keys::KeyStore;
use crate::labels::Labels;
use crate::pool::{self, Pools};
use crate::services::{
    AuditService, Bridge, CallService, ClusterService, KeyService, Node, Peers, Readiness,
    SessionService, Stored, wanted_pools,
};
use crate::{http, telemetry};

/// Time that requests under way have to end once the node is told to stop.
const REQUESTS_GRACE: Duration = Duration::from_secs(5);
/// What a message between nodes may hold beside entries, in bytes.
const PEER_MESSAGE_OVERHEAD_BYTES: usize = 512 << 10;
/// Time between two pings of an idle client, and the client's time to answer.
const CLIENT_PING: Duration = Duration::from_secs(20);

/// Sockets, bound before anything else is done, so that a port in use harms nothing.
struct Listeners {
    client: TcpListener,
    peer: TcpListener,
    http: TcpListener,
}

impl Listeners {
    async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            client: bind("listen.client", settings.listen.client).await?,
            peer: bind("listen.peer", settings.listen.peer).await?,
            http: bind("listen.http", settings.listen.http).await?,
        })
    }
}

async fn bind(name: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{name} = {address} is in use; hint: stop what listens there, or choose another port")
        }
        _ => anyhow::anyhow!("{name} = {address} cannot be bound: {error}; hint: choose an address of this machine"),
    })
}

/// Run a node until it is told to stop by SIGTERM or SIGINT; a second signal ends it at once.
pub async fn node(flags: Flags) -> anyhow::Result<()> {
    let settings = Settings::load(&flags, environment())?;
    if flags.print_config {
        use std::io::Write as _;
        let labels = Labels::detect(&settings).await;
        let text = settings.render() + &labels.render();
        io::stdout().write_all(text.as_bytes())?;
        return Ok(());
    }
    telemetry::init_log(&settings.log, settings.node.id)?;
    let stop = CancellationToken::new();
    tokio::spawn(signals(stop.clone()));
    match run(settings, stop).await? {
        Ended::Stopped => Ok(()),
        Ended::ToBeHealed => match heal::begin_anew()? {},
    }
}

/// Why a node has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// Its state is wrong, and replaced on the next start.
    ToBeHealed,
}

async fn signals(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals cannot be handled; the node stops only when it is killed");
        return;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if stop.is_cancelled() {
            tracing::warn!("told to stop a second time; ending at once");
            std::process::exit(1);
        }
        stop.cancel();
    }
}

/// The key that signs checkpoints, where the settings name one.
fn signing_key(settings: &Settings) -> anyhow::Result<Option<SigningKey>> {
    let path = &settings.audit.signing_key;
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let key = SigningKey::load(path).map_err(|error| {
        anyhow::anyhow!(
            "audit.signing_key = {} cannot be used: {error}; hint: make one with `snakepit log keygen`",
            path.display()
        )
    })?;
    Ok(Some(key))
}

/// Run a node with these settings until `stop`.
pub async fn run(settings: Settings, stop: CancellationToken) -> anyhow::Result<Ended> {
    let listeners = Listeners::bind(&settings).await?;
    let metrics = telemetry::Metrics::install()?;
    tokio::spawn(telemetry::upkeep(metrics.clone(), stop.clone()));
    let traces = telemetry::init_traces(&settings)?;
    let labels = Labels::detect(&settings).await;
    let signing_key = signing_key(&settings)?;
    let opened = settings.clone();
    let (lock, stores) = tokio::task::spawn_blocking(move || open(&opened)).await??;
    if !heal::heal(&settings, &stores, &stop).await? {
        return Ok(Ended::Stopped);
    }
    let group = Group::start(settings.node.id, raft_options(&settings), stores.clone()).await?;
    let socket = pool::socket_path(&settings.node.data_dir)?;
    let workers = pool::listen_unix(&socket)
        .with_context(|| format!("cannot listen on {}", socket.display()))?;
    let wanted = wanted_pools(&settings, &labels, &stores.state)?;
    let pools = Pools::start(wanted, settings.node.id, socket)?;
    let keys = Arc::new(KeyStore::open(&settings.node.data_dir)?);
    let peers = Peers::start(&settings, &stop);
    let stored = Stored {
        state: stores.state.clone(),
        keys,
        signing_key,
    };
    let node = Node::new(settings, group, stored, pools, peers, labels);
    tracing::info!(cluster = node.settings.node.cluster_id, data = %node.settings.node.data_dir.display(), "the node is up");

    // The peers' and the workers' servers end last: requests under way need both.
    let late = CancellationToken::new();
    let mut servers = JoinSet::new();
    servers.spawn(serve_peers(node.clone(), listeners.peer, late.clone()));
    servers.spawn(serve_workers(node.clone(), workers, late.clone()));
    servers.spawn(serve_http(
        node.clone(),
        listeners.http,
        metrics,
        late.clone(),
    ));
    servers.spawn(serve_clients(node.clone(), listeners.client, stop.clone()));
    join(&node).await?;
    tokio::spawn(node.clone().keep_looking(stop.clone()));
    tokio::spawn(node.clone().keep_pools(stop.clone()));
    tokio::spawn(node.clone().keep_comparing(stop.clone()));
    tokio::spawn(node.clone().keep_archive(stop.clone()));
    tokio::spawn(node.clone().keep_keys(stop.clone()));
    tokio::spawn(node.clone().keep_balance(stop.clone()));
    let recorded = CancellationToken::new();
    let recorder = tokio::spawn(node.clone().keep_call_log(recorded.clone()));

    let ended = tokio::select! {
        () = stop.cancelled() => Ok(Ended::Stopped),
        () = node.integrity.wants_healing() => Ok(Ended::ToBeHealed),
        reason = node.group.failed() => Err(anyhow::anyhow!("raft has stopped: {reason}; hint: see the records above")),
        Some(server) = servers.join_next() => Err(match server {
            Ok(Ok(())) => anyhow::anyhow!("a server ended by itself"),
            Ok(Err(error)) => error,
            Err(error) => error.into(),
        }),
    };
    stop.cancel();
    tracing::info!("the node is stopping");
    node.pools
        .drain_and_stop(Instant::now() + REQUESTS_GRACE)
        .await;
    recorded.cancel();
    let _ = recorder.await;
    telemetry::events::close();
    node.group.stop().await;
    late.cancel();
    while servers.join_next().await.is_some() {}
    if let Some(traces) = traces {
        traces.stop().await;
    }
    tracing::info!("the node has stopped");
    // Held until here: the lock on the data directory.
    drop(lock);
    ended
}

/// Take the data directory, and open both stores.
fn open(settings: &Settings) -> anyhow::Result<(DataLock, Stores)> {
    let dir = &settings.node.data_dir;
    let lock = DataLock::acquire(dir)?;
    Identity::open_or_create(dir, settings.node.id, Some(&settings.node.cluster_id))?;
    link_archive(dir, &settings.audit.archive_dir)?;
    let stores = Stores {
        log: Arc::new(RaftStore::open(dir)?),
        state: Arc::new(StateStore::open(dir)?),
    };
    Ok((lock, stores))
}

/// Begin the group, where this node's log says that there is none.
async fn join(node: &Node) -> anyhow::Result<()> {
    let members = node.settings.members.iter().map(|member| {
        let address = NodeAddress {
            client: member.client.to_string(),
            peer: member.peer.to_string(),
            http: member.http.to_string(),
        };
        (member.id, address)
    });
    let members: BTreeMap<u64, NodeAddress> = members.collect();
    if !members.is_empty() && node.group.bootstrap(members).await? {
        tracing::info!("a new group begins");
    }
    Ok(())
}

fn raft_options(settings: &Settings) -> RaftOptions {
    let raft = &settings.raft;
    RaftOptions {
        cluster_id: settings.node.cluster_id.clone(),
        heartbeat_interval_ms: raft.heartbeat_interval_ms,
        election_timeout_min_ms: raft.election_timeout_min_ms,
        election_timeout_max_ms: raft.election_timeout_max_ms,
        snapshot_entries: raft.snapshot_entries,
        log_entries_kept: raft.log_entries_kept,
        append_bytes_max: raft.append_bytes_max,
        proposal_commands_max: raft.proposal_commands_max,
        proposal_bytes_max: raft.proposal_bytes_max,
        proposals_in_flight_max: raft.proposals_in_flight_max,
        propose_queue_max: raft.propose_queue_max,
        propose_queue_bytes_max: raft.propose_queue_bytes_max,
        apply_lag_max: Duration::from_millis(raft.apply_lag_max_ms),
        // A client's largest message becomes an entry, which must fit a message beside others.
        message_bytes_max: settings.limits.message_bytes_max
            + raft.append_bytes_max
            + PEER_MESSAGE_OVERHEAD_BYTES,
        limits: settings.limits.machine_limits(),
    }
}

fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(CLIENT_PING))
        .http2_keepalive_timeout(Some(CLIENT_PING))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
}

fn bridge(node: &Arc<Node>) -> BridgeServiceServer<Bridge> {
    let limit = node.settings.limits.message_bytes_max;
    BridgeServiceServer::new(Bridge(node.clone()))
        .max_decoding_message_size(limit)
        .max_encoding_message_size(limit)
}

fn sessions(node: &Arc<Node>) -> SessionsServer<SessionService> {
    let limit = node.settings.limits.message_bytes_max;
    SessionsServer::new(SessionService(node.clone()))
        .max_decoding_message_size(limit)
        .max_encoding_message_size(limit)
}

/// Serve until `stop`, then let requests under way end for a while.
async fn serve(
    name: &'static str,
    routes: Routes,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "{name} are served");
    let stopped = stop.clone();
    let connections = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = server()
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections.map_ok(Gathered::new), async move {
            stopped.cancelled().await
        });
    within_grace(served, stop)
        .await
        .with_context(|| format!("{name} cannot be served"))
}

async fn within_grace(
    served: impl Future<Output = Result<(), tonic::transport::Error>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let out_of_time = async {
        stop.cancelled().await;
        tokio::time::sleep(REQUESTS_GRACE).await;
    };
    tokio::select! {
        served = served => Ok(served?),
        () = out_of_time => Ok(()),
    }
}

async fn serve_clients(
    node: Arc<Node>,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<BridgeServiceServer<Bridge>>().await;
    let stopping = stop.clone();
    tokio::spawn(async move {
        stopping.cancelled().await;
        health
            .set_not_serving::<BridgeServiceServer<Bridge>>()
            .await;
    });
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(snakepit_proto::DESCRIPTORS)
        .build_v1()?;
    let mut routes = Routes::builder();
    routes
        .add_service(bridge(&node))
        .add_service(ClusterServer::new(ClusterService(node.clone())))
        .add_service(AuditServer::new(AuditService(node.clone())))
        .add_service(sessions(&node))
        .add_service(node.pools.offers(node.settings.limits.message_bytes_max))
        .add_service(health_service)
        .add_service(reflection);
    serve("clients", routes.routes(), listener, stop).await
}

async fn serve_peers(
    node: Arc<Node>,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let limit = node.settings.limits.message_bytes_max;
    let calls = CallsServer::new(CallService(node.clone()))
        .max_decoding_message_size(limit)
        .max_encoding_message_size(limit);
    serve(
        "other nodes",
        node.group
            .services()
            .add_service(calls)
            .add_service(KeysServer::new(KeyService(node))),
        listener,
        stop,
    )
    .await
}

async fn serve_workers(
    node: Arc<Node>,
    workers: tokio_stream::wrappers::UnixListenerStream,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let served = pool::server()
        .add_service(node.pools.service())
        .add_service(bridge(&node));
    let stopped = stop.clone();
    within_grace(
        served.serve_with_incoming_shutdown(workers, async move { stopped.cancelled().await }),
        stop,
    )
    .await
    .context("workers cannot be served")
}

async fn serve_http(
    node: Arc<Node>,
    listener: TcpListener,
    metrics: telemetry::Metrics,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let connections = node.settings.limits.http_connections_max;
    Ok(http::serve(
        listener,
        connections,
        Arc::new(Readiness(node)),
        metrics,
        stop,
    )
    .await?)
}
